package mailbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
)

//go:embed pages
var files embed.FS

// pages are the templates with the one style sheet and script, which stand in
// each page so that the mailbox needs no other request.
type pages struct {
	list, mail, missing *template.Template
	style               template.CSS
	script              template.JS
	policy              string
}

func parsePages() (*pages, error) {
	style, err := files.ReadFile("pages/mailbox.css")
	if err != nil {
		return nil, err
	}
	script, err := files.ReadFile("pages/mailbox.js")
	if err != nil {
		return nil, err
	}
	p := &pages{style: template.CSS(style), script: template.JS(script)}
	p.policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		digest(style), digest(script))
	for name, t := range map[string]**template.Template{"list": &p.list, "mail": &p.mail, "missing": &p.missing} {
		if *t, err = template.ParseFS(files, "pages/layout.html", "pages/"+name+".html"); err != nil {
			return nil, fmt.Errorf("read the mailbox's pages: %w", err)
		}
	}
	return p, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is what each template sees.
type page struct {
	i18n.Printer
	Title  string
	Style  template.CSS
	Script template.JS
	Site   string
	Other  string // address of this page in the other language
	Query  string
	Mails  []*Mail
	Mail   *Mail
}

// When is a time for people, in the machine's zone: the mailbox runs where they sit.
func (p page) When(t time.Time) string { return p.Time(t) }

// Serve shows the mailbox on l until ctx ends.
func (b *Box) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler is the pages and the JSON of the mailbox.
func (b *Box) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.list)
	mux.HandleFunc("GET /mails/{id}", b.show)
	mux.HandleFunc("GET /mails/{id}/html", b.html)
	mux.HandleFunc("GET /mails/{id}/raw", b.raw)
	mux.HandleFunc("GET /mails/{id}/attachments/{n}", b.download)
	mux.HandleFunc("GET /api/mails", b.apiList)
	mux.HandleFunc("GET /api/mails/{id}", b.apiShow)
	mux.HandleFunc("GET /api/mails/{id}/attachments/{n}", b.download)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { b.missing(w, r) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if host, _, err := net.SplitHostPort(r.Host); err != nil || !isLocal(host) {
			// Another site whose name was pointed at this machine would read the mails.
			http.Error(w, b.printer(w, r).T("mailbox.elsewhere"), http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// printer speaks the language of the address (?lang=), else of an earlier choice, else of the browser.
func (b *Box) printer(w http.ResponseWriter, r *http.Request) i18n.Printer {
	lang := i18n.Match(r.Header.Get("Accept-Language"))
	if c, err := r.Cookie("lang"); err == nil && i18n.Known(c.Value) {
		lang = c.Value
	}
	if asked := r.URL.Query().Get("lang"); i18n.Known(asked) {
		lang = asked
		http.SetCookie(w, &http.Cookie{Name: "lang", Value: lang, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	return b.conf.Catalogue.Printer(lang, time.Local)
}

func (b *Box) render(w http.ResponseWriter, r *http.Request, status int, t *template.Template, p page) {
	p.Style, p.Script, p.Site = b.pages.style, b.pages.script, b.conf.Site
	q := r.URL.Query()
	q.Set("lang", map[string]string{"en": "fr", "fr": "en"}[p.Lang])
	p.Other = r.URL.Path + "?" + q.Encode()
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&buf, "layout", p); err != nil {
		b.conf.Log.Error("render page", "path", r.URL.Path, "error", err)
		http.Error(w, p.T("e500.h1"), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", b.pages.policy)
	h.Set("Vary", "Accept-Language, Cookie")
	sum := sha256.Sum256(buf.Bytes())
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	w.WriteHeader(status)
	w.Write(buf.Bytes()) // the reader may have gone
}

func (b *Box) list(w http.ResponseWriter, r *http.Request) {
	p := page{Printer: b.printer(w, r), Query: strings.TrimSpace(r.URL.Query().Get("to"))}
	p.Title = p.T("mailbox.title")
	p.Mails = b.to(p.Query)
	b.render(w, r, http.StatusOK, b.pages.list, p)
}

// to returns the mails for a recipient whose address contains query, the newest first.
func (b *Box) to(query string) []*Mail {
	all := b.Mails()
	if query == "" {
		return all
	}
	var out []*Mail
	for _, m := range all {
		if strings.Contains(strings.ToLower(strings.Join(m.To, " ")), strings.ToLower(query)) {
			out = append(out, m)
		}
	}
	return out
}

func (b *Box) show(w http.ResponseWriter, r *http.Request) {
	m, ok := b.Find(r.PathValue("id"))
	if !ok {
		b.missing(w, r)
		return
	}
	p := page{Printer: b.printer(w, r), Mail: m, Title: m.Subject}
	if p.Title == "" {
		p.Title = p.T("mailbox.nosubject")
	}
	b.render(w, r, http.StatusOK, b.pages.mail, p)
}

func (b *Box) missing(w http.ResponseWriter, r *http.Request) {
	p := page{Printer: b.printer(w, r)}
	p.Title = p.T("e404.h1")
	b.render(w, r, http.StatusNotFound, b.pages.missing, p)
}

// html is the mail's own page, for the frame: without script and without
// network, and its links open beside it.
func (b *Box) html(w http.ResponseWriter, r *http.Request) {
	m, ok := b.Find(r.PathValue("id"))
	if !ok {
		b.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'")
	page := m.HTML
	for id, data := range m.Pictures {
		page = strings.ReplaceAll(page, `"cid:`+html.EscapeString(id)+`"`, `"`+html.EscapeString(data)+`"`)
	}
	io.WriteString(w, linksOpenBeside(page)) // the reader may have gone
}

// linksOpenBeside gives every link of a page target=_blank. (A base element
// would need base-uri, and an unclosed one of the mail's own would win.)
func linksOpenBeside(page string) string {
	var out strings.Builder
	rest := page
	for {
		i := indexFold(rest, "<a ")
		if i < 0 {
			break
		}
		out.WriteString(rest[:i+3])
		out.WriteString(`target="_blank" rel="noopener noreferrer" `)
		rest = rest[i+3:]
	}
	out.WriteString(rest)
	return out.String()
}

// indexFold is strings.Index without regard to the case of ASCII letters.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

func (b *Box) raw(w http.ResponseWriter, r *http.Request) {
	m, ok := b.Find(r.PathValue("id"))
	if !ok {
		b.missing(w, r)
		return
	}
	f, err := os.Open(b.path(m.ID))
	if err != nil {
		b.missing(w, r)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	w.Header().Set("Content-Length", strconv.FormatInt(m.Size, 10))
	io.Copy(w, f) // the reader may have gone
}

func (b *Box) download(w http.ResponseWriter, r *http.Request) {
	m, ok := b.Find(r.PathValue("id"))
	n, err := strconv.Atoi(r.PathValue("n"))
	if !ok || err != nil {
		b.missing(w, r)
		return
	}
	err = b.attachment(m, n, func(a Attachment, body io.Reader) error {
		h := w.Header()
		h.Set("Content-Type", a.Type)
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		h.Set("Content-Length", strconv.FormatInt(m.Attachments[n].Size, 10))
		_, err := io.Copy(w, body)
		return err
	})
	if errors.Is(err, errNoAttachment) {
		b.missing(w, r)
	} else if err != nil {
		b.conf.Log.Debug("send attachment", "error", err)
	}
}

func (b *Box) apiList(w http.ResponseWriter, r *http.Request) {
	list := b.to(r.URL.Query().Get("to"))
	if list == nil {
		list = []*Mail{}
	}
	writeJSON(w, http.StatusOK, list)
}

func (b *Box) apiShow(w http.ResponseWriter, r *http.Request) {
	m, ok := b.Find(r.PathValue("id"))
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": b.printer(w, r).T("e404.h1")})
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v) // the reader may have gone
}
