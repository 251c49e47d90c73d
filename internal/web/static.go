package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
)

//go:embed static
var staticFiles embed.FS

// asset is one static file: as it is, and compressed.
type asset struct {
	name, kind, hash string
	raw, zipped      []byte
	begun            bool // by finish
}

type assets struct{ named map[string]*asset }

func loadAssets() (*assets, error) {
	a := &assets{named: map[string]*asset{}}
	err := fs.WalkDir(staticFiles, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := staticFiles.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, "static/")
		a.named[name] = &asset{name: name, raw: raw, kind: kindOf(p)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name := range a.named {
		if err := a.finish(name); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// imported finds the modules that a script imports, as the house's scripts write it.
var imported = regexp.MustCompile(`((?:from |import |import\()'\./)([\w-]+\.js)'`)

// finish gives the imports of a script their addresses with a hash, so that a
// browser that has them asks nobody, and hashes and compresses it. What a
// script imports is finished before; none may import itself by way of others.
func (a *assets) finish(name string) error {
	f := a.named[name]
	if f == nil {
		return fmt.Errorf("there is no static file %q", name)
	}
	if f.hash != "" {
		return nil
	}
	if f.begun {
		return fmt.Errorf("static file %q imports itself by way of others", name)
	}
	f.begun = true
	if f.kind == kindOf(".js") {
		for _, m := range imported.FindAllSubmatch(f.raw, -1) {
			if err := a.finish(string(m[2])); err != nil {
				return err
			}
		}
		f.raw = imported.ReplaceAllFunc(f.raw, func(b []byte) []byte {
			m := imported.FindSubmatch(b)
			return fmt.Appendf(nil, "%s%s?v=%s'", m[1], m[2], a.named[string(m[2])].hash)
		})
	}
	sum := sha256.Sum256(f.raw)
	f.hash = hex.EncodeToString(sum[:8])
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	z.Write(f.raw)
	if err := z.Close(); err != nil {
		return err
	}
	if buf.Len() < len(f.raw) {
		f.zipped = buf.Bytes()
	}
	return nil
}

func kindOf(p string) string {
	switch path.Ext(p) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(p)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// url is the address of a static file, with its hash, so that it may be kept for ever.
func (a *assets) url(name string) (string, error) {
	f := a.named[name]
	if f == nil {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return "/static/" + f.name + "?v=" + f.hash, nil
}

// serveStatic answers /static/…: for ever under the address with the hash, and
// after asking again under the bare one.
func (k *Kit) serveStatic() {
	k.mux.HandleFunc("GET /static/{name...}", func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		f := k.static.named[req.PathValue("name")]
		if f == nil {
			k.fail(&Request{Request: req, W: w, kit: k, Printer: k.printer(req, nil)}, fault.New(fault.NotFound, "e404.p"))
			return
		}
		etag := `"` + f.hash + `"`
		h.Set("ETag", etag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept-Encoding")
		// The same for everybody. A page that a viewer runs in its own sandbox has
		// no origin, and needs its script to say so (AT-20).
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if req.URL.Query().Get("v") == f.hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if f.name == "device-worker.js" {
			h.Set("Service-Worker-Allowed", "/device") // the page that it may answer for, and no other
		}
		if req.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := f.raw
		if f.zipped != nil && strings.Contains(req.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.zipped
		}
		h.Set("Content-Type", f.kind)
		h.Set("Content-Length", fmt.Sprint(len(body)))
		if req.Method != http.MethodHead {
			w.Write(body)
		}
	})
	k.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/static/icon.svg")
		w.WriteHeader(http.StatusMovedPermanently)
	})
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
