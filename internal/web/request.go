package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
)

// Request is one request as a handler sees it.
type Request struct {
	*http.Request
	W       http.ResponseWriter
	Printer i18n.Printer
	Session *account.Session // nil: nobody we know
	Self    string           // where the language link leads after a POST; the page's own address by default

	kit    *Kit
	host   *account.Actor // at the command line of the service's host, nil: came over a network
	json   bool
	admin  bool // a page of administrators
	entry  bool // an entry page: blind, without Cross-Origin-Opener-Policy
	status int  // instead of the one that the kind of failure has
}

// T says a catalogue text in the visitor's language.
func (r *Request) T(key string, pairs ...any) string { return r.Printer.T(key, pairs...) }

// User is the person who signed in, or nil.
func (r *Request) User() *store.User {
	if r.Session == nil || r.Session.UserID == "" {
		return nil
	}
	return r.Session.User
}

// Client is the network address of the visitor.
func (r *Request) Client() string { return r.kit.client(r.Request) }

// Actor is the visitor as the one who acts: on the pages of administrators, an
// operator acts as one.
func (r *Request) Actor() account.Actor {
	if r.host != nil {
		return *r.host
	}
	a := r.Session.Actor(r.Client())
	if r.Operates() {
		a = r.Session.OperatorActor(r.Client())
	}
	a.Language = r.Printer.Lang
	return a
}

// OnHost reports whether the request is one of the command line on the service's host.
func (r *Request) OnHost() bool { return r.host != nil }

// Operates reports whether this is a page of administrators, and the visitor runs the service.
func (r *Request) Operates() bool {
	return r.admin && r.Session != nil && r.Session.Operator
}

// Visitor is who asks the key server. Somebody without a session has proved nothing.
func (r *Request) Visitor() keyserver.Visitor {
	v := keyserver.Visitor{Origin: r.Client(), Language: r.Printer.Lang}
	if r.Session != nil {
		v.Session = r.Session.Hash
	}
	if device := r.device(); !device.IsZero() {
		v.Device = device.Hash()
	}
	return v
}

// Reference is the envelope's reference in the path, {ref}, as people type it. One
// that cannot be is a page not found; whether a possible one exists is not told.
func (r *Request) Reference() (string, error) {
	ref, ok := id.ParseReference(r.PathValue("ref"))
	if !ok {
		return "", fault.New(fault.NotFound, "home.err")
	}
	return ref, nil
}

// Languages are the choices of a language, in the catalogue's words.
func (r *Request) Languages(chosen string) []Option {
	var out []Option
	for _, l := range i18n.Languages {
		out = append(out, Option{Value: l, Text: r.T("me.lang." + l), Selected: l == chosen})
	}
	return out
}

func (r *Request) answer() http.Header { return r.W.Header() }

// Redirect answers 303 to a path of this site.
func (r *Request) Redirect(path string) error {
	r.kit.redirect(r, path)
	return nil
}

func (k *Kit) redirect(r *Request, path string) {
	r.W.Header().Set("Location", LocalPath(path, "/"))
	r.W.WriteHeader(http.StatusSeeOther)
}

// Next is where the visitor wanted to go before signing in: the local path in
// the form or query value "next", or else fallback.
func (r *Request) Next(fallback string) string { return LocalPath(r.FormValue("next"), fallback) }

// LocalPath returns s if it is a path of this site, else fallback.
func LocalPath(s, fallback string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil ||
		!strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return fallback
	}
	return s
}

// SetSession makes s the visitor's session: after signing in, a code, a new password.
func (r *Request) SetSession(s *account.Session) {
	r.Session = s
	r.SetToken(s.Token)
}

// SetToken makes the session that t belongs to the visitor's, from the next request on.
func (r *Request) SetToken(t id.Token) {
	r.kit.setCookie(r.W, r.kit.cookieName(), t.Reveal(), 0, http.SameSiteStrictMode)
}

// EndSession forgets the session in the browser, and what the browser keeps of
// envelopes. Ending it in the database is account's.
func (r *Request) EndSession() {
	r.Session = nil
	r.kit.setCookie(r.W, r.kit.cookieName(), "", -1, http.SameSiteStrictMode)
	r.answer().Set("Clear-Site-Data", `"storage"`)
}

// Once does what a form asks when it is sent the first time, by the name that
// Base.Once gave it. The answer to such a form shows a secret: to load it again makes
// no second one. What is refused can be sent again. Fault: web.once.
func (r *Request) Once(act func() error) error {
	key := r.PostFormValue("once")
	if key == "" {
		return act()
	}
	accounts := r.kit.conf.Accounts
	o, err := accounts.Once(r.Context(), r.Actor(), r.URL.Path, key, nil)
	if o.Status != 0 || fault.HasKey(err, "api.retry.running") {
		return fault.New(fault.Conflict, "web.once")
	}
	if err != nil {
		return err
	}
	if err := act(); err != nil {
		return errors.Join(err, accounts.Unanswered(r.Context(), o))
	}
	return accounts.Answered(r.Context(), o, http.StatusCreated, nil)
}

// SetLanguage remembers the language in the browser, and uses it from now on.
func (r *Request) SetLanguage(lang string) {
	if i18n.Known(lang) {
		r.kit.setCookie(r.W, "lang", lang, year, http.SameSiteLaxMode)
		r.Printer = r.kit.conf.Catalogue.Printer(lang, r.Printer.Zone)
	}
}

// SetTheme remembers the appearance in the browser: auto, light or dark.
func (r *Request) SetTheme(theme string) {
	switch theme {
	case "light", "dark":
		r.kit.setCookie(r.W, "theme", theme, year, http.SameSiteLaxMode)
	default:
		r.kit.setCookie(r.W, "theme", "", -1, http.SameSiteLaxMode)
	}
}

// Render answers 200 with a page.
func (r *Request) Render(p *Pages, name string, page Page) error {
	return r.render(http.StatusOK, p, name, page)
}

// RenderStatus answers with a page and a status.
func (r *Request) RenderStatus(status int, p *Pages, name string, page Page) error {
	return r.render(status, p, name, page)
}

// Mendable reports whether a form that failed with err is shown once more. What
// no form can mend is a missing page, a refusal, a failure of ours.
func Mendable(err error) bool {
	switch f := asFault(err); f.Kind {
	case fault.Invalid, fault.Conflict, fault.Stale, fault.TooMany, fault.TooLarge, fault.Closed:
		return true
	case fault.Unauthenticated: // a wrong password can be mended, a session that ended cannot
		return !strings.HasPrefix(f.Key, "sess.")
	case fault.Denied: // by a proof in another tab, or by leaving out whom or what one has no right over
		return f.Key == proveAgain || f.Key == "rt.above" || f.Key == "rt.beyond"
	}
	return false
}

// Again renders the page of a form once more with what is wrong: the status of
// err's kind, everything typed except passwords, the summary focused. What is
// not Mendable is returned.
func (r *Request) Again(p *Pages, name string, page Page, err error) error {
	if !Mendable(err) {
		return err
	}
	f := asFault(err)
	if f.Kind == fault.Stale { // the page that is shown has been read again
		f = fault.New(fault.Stale, "web.stale").Because(err)
	}
	b := page.base()
	b.Problem = f
	if b.Input == nil {
		b.Input = r.PostForm
	}
	if f.Kind == fault.TooMany {
		retryAfter(r.answer(), f)
	}
	return r.render(statusOf(f.Kind), p, name, page)
}

// Retry is Again for a page that takes reading. It is read only where the form can
// be mended: else the reading would be refused, and recorded, as well.
func Retry[P Page](r *Request, p *Pages, name string, read func(*Request) (P, error), err error) error {
	if !Mendable(err) {
		return err
	}
	page, failed := read(r)
	if failed != nil {
		return failed
	}
	return r.Again(p, name, page, err)
}

// render writes nothing before the page is whole: a page never breaks off half-way.
func (r *Request) render(status int, p *Pages, name string, page Page) error {
	t := p.named[name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	b := page.base()
	if b.kit == nil {
		return fmt.Errorf("page %q was not made with Base", name)
	}
	b.takeFlash(r)
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&buf, "layout", page); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	// html/template writes ' as &#39;, which every attribute in double quotes can
	// spare (checkQuotes). The texts are the catalogue's, byte for byte.
	body := bytes.ReplaceAll(buf.Bytes(), []byte("&#39;"), []byte("'"))
	h := r.answer()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", fmt.Sprint(len(body)))
	r.W.WriteHeader(status)
	if r.Method != http.MethodHead {
		r.W.Write(body)
	}
	return nil
}

// WantsJSON reports whether a page's script asks, and not the browser for a page.
func (r *Request) WantsJSON() bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// JSON answers 200 with v.
func (r *Request) JSON(v any) error { return r.writeJSON(http.StatusOK, v) }

// JSONStatus answers with v under another status of success.
func (r *Request) JSONStatus(status int, v any) error { return r.writeJSON(status, v) }

// Raw answers 200 with content that is ready.
func (r *Request) Raw(mediaType string, content []byte) error {
	h := r.answer()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", fmt.Sprint(len(content)))
	_, err := r.W.Write(content)
	return err
}

// JSONProblem answers with the status of a failure's kind, and v for a script to show.
func (r *Request) JSONProblem(k fault.Kind, v any) error { return r.writeJSON(statusOf(k), v) }

func (r *Request) writeJSON(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := r.answer()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", fmt.Sprint(len(raw)+1))
	r.W.WriteHeader(status)
	r.W.Write(append(raw, '\n'))
	return nil
}

// ReadJSON reads the body into v, strictly. The media type must be
// application/json, which no form of another site can send (AT-55).
func (r *Request) ReadJSON(v any) error {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return r.Unsupported("application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return err
		}
		return fault.New(fault.Invalid, "api.badjson").Because(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "api.badjson")
	}
	return nil
}

// Unsupported is the failure of a body of another media type than the one that
// the address takes (415).
func (r *Request) Unsupported(takes string) error {
	r.status = http.StatusUnsupportedMediaType
	return fault.New(fault.Invalid, "api.notjson").With("type", takes)
}

// Download answers 200 with a file of that name, which write writes. It is saved
// and never shown: its type is application/octet-stream whatever it is.
func (r *Request) Download(name string, write func(io.Writer) error) error {
	h := r.answer()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return write(r.W)
}

// Stream answers 200 with size bytes of body as application/octet-stream.
func (r *Request) Stream(body io.Reader, size int64) error {
	h := r.answer()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", "attachment")
	r.W.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := io.Copy(r.W, body)
	return err
}
