package web

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
)

var (
	logoName  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	colorName = regexp.MustCompile(`^[0-9a-f]{6}\.css$`)
)

// brandPolicy is for a logo that somebody opens by its address: whatever an SVG
// had in it would not run (package brand has left nothing that could).
const brandPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

// serveBrand answers /brand/HASH with a logo, and /brand/RRGGBB.css with the
// style sheet of a colour. Both are what their name says, so they may be kept for
// ever; no cookie is read and nothing is counted. They are public: the hash of a
// logo is in pages and says nothing of an account.
func (k *Kit) serveBrand() {
	k.mux.HandleFunc("GET "+brand.Path+"{name}", func(w http.ResponseWriter, req *http.Request) {
		kind, body, err := k.brandFile(req, req.PathValue("name"))
		if err != nil {
			k.fail(&Request{Request: req, W: w, kit: k, Printer: k.printer(req, nil)}, err)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", brandPolicy)
		h.Set("Content-Type", kind)
		h.Set("Content-Length", fmt.Sprint(len(body)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin") // a preview's frame has no origin
		h.Del("Vary")
		if req.Method != http.MethodHead {
			w.Write(body)
		}
	})
}

func (k *Kit) brandFile(req *http.Request, name string) (kind string, body []byte, err error) {
	switch {
	case logoName.MatchString(name):
		l, err := k.conf.Accounts.Logo(req.Context(), name)
		return l.MediaType, l.Body, err
	case colorName.MatchString(name):
		if c, ok := brand.ParseColor("#" + strings.TrimSuffix(name, ".css")); ok && c.Ratio() >= brand.Readable {
			return "text/css; charset=utf-8", []byte(c.Style()), nil
		}
	}
	return "", nil, fault.New(fault.NotFound, "e404.p")
}
