// Package web is what every page of Pli needs and no page says twice: sessions
// in cookies, who may come to which address, the language and the appearance,
// the headers that keep a browser careful, forms that lose nothing, messages
// that survive a redirect, and one answer for every kind of failure.
//
// A package of pages embeds its own pages/*.html, parses them with the kit's
// layout when the program starts, and registers its addresses, each with who
// may come:
//
//	//go:embed pages/*.html
//	var files embed.FS
//
//	type groupsPage struct {
//		web.Base
//		Groups []account.Group
//	}
//
//	func New(kit *web.Kit, accounts *account.Service) error {
//		pages, err := kit.Parse(files)              // a broken template stops the start
//		if err != nil {
//			return err
//		}
//		c := &console{pages, accounts}
//		kit.Handle("GET /admin/accounts/{n}/groups", c.groups, web.Admin)
//		kit.Handle("POST /admin/accounts/{n}/groups", c.addGroup, web.Admin)
//		return nil
//	}
//
//	func (c *console) groups(r *web.Request) error {
//		page, err := c.groupsPage(r)                // fills &groupsPage{Base: r.Base("Groups", "Account 100042")}
//		if err != nil {
//			return err                          // the kit answers: status, page, log
//		}
//		return r.Render(c.pages, "groups", page)
//	}
//
//	func (c *console) addGroup(r *web.Request) error {
//		err := c.accounts.AddGroup(r.Context(), r.Actor(), number, r.PostFormValue("name"))
//		if err != nil {
//			page, perr := c.groupsPage(r)
//			if perr != nil {
//				return perr
//			}
//			return r.Again(c.pages, "groups", page, err)   // 422, input kept, summary focused
//		}
//		r.Flash("ok", "g.added", "name", name)
//		return r.Redirect("/admin/accounts/100042/groups")     // 303
//	}
//
// and pages/groups.html, which sees the page as its data:
//
//	{{define "main"}}
//	<h1>{{.T "seed.groups"}}</h1>
//	<form method="post" class="row">
//	{{template "field" (.Field "name" "seed.group_name" "hint" "g.hint" "max" 64 "required" true)}}
//	<button class="btn pri">{{.T "seed.add_group"}}</button></form>
//	{{range .Groups}}<p>{{.Name}} {{$.When .CreatedAt}} {{icon "edit"}}</p>{{end}}
//	{{end}}
//
// In a page, T says a catalogue text, When a time, Date a day, Bytes a size,
// Field one input with its label, hint and error. They are methods of the page,
// so that no template is ever changed for a visitor. A page may also define
// "head" (more scripts), and "problem" (instead of the usual error summary).
package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/masterkey"
)

// Config is what a Kit is made of.
type Config struct {
	Accounts  *account.Service
	Catalogue *i18n.Catalogue
	Root      *masterkey.Root // signs what a redirect carries
	Origin    string          // the public address, https://host[:port], or http on loopback
	SiteName  string          // "Pli" when empty
	Version   string          // shown to administrators
	Level     string          // of accessibility, as stated in the footer: full, partial (when empty), none

	Demo       bool   // show the banner of the demonstration
	DemoKept   bool   // what is in the demonstration outlives it
	MailboxURL string // of the demonstration's mailbox

	Proxies []netip.Prefix              // whose X-Forwarded-For is believed; none by default
	Ready   func(context.Context) error // whether /readyz may say so; nil is always
	Log     *slog.Logger
}

// Kit serves the addresses that packages of pages register on it.
type Kit struct {
	conf   Config
	host   string // of the public address, as shown to people
	secure bool   // the public address is https
	mux    *http.ServeMux
	routes []Route
	cross  *http.CrossOriginProtection
	static *assets
	errors *Pages
}

// New returns a kit with the static files, the health checks and the error pages.
func New(c Config) (*Kit, error) {
	u, err := url.Parse(c.Origin)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("the public address %q is not http://… or https://…", c.Origin)
	}
	if c.SiteName == "" {
		c.SiteName = "Pli"
	}
	if c.Level == "" {
		c.Level = "partial"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	k := &Kit{conf: c, host: u.Host, secure: u.Scheme == "https", mux: http.NewServeMux(), cross: http.NewCrossOriginProtection()}
	// Behind a proxy the Host header may differ from the public address.
	if err := k.cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, err
	}
	if k.static, err = loadAssets(); err != nil {
		return nil, err
	}
	if k.errors, err = k.Parse(files); err != nil {
		return nil, err
	}
	k.serveStatic()
	k.serveBrand()
	k.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	k.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if c.Ready != nil {
			if err := c.Ready(r.Context()); err != nil {
				c.Log.Warn("not ready", "err", err)
				http.Error(w, "not ready", http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ready")
	})
	return k, nil
}

// Host is the public host, with its port if it has one, as people see it in the address bar.
func (k *Kit) Host() string { return k.host }

// Origin is the public address without a path.
func (k *Kit) Origin() string { return k.conf.Origin }

// Catalogue is the texts.
func (k *Kit) Catalogue() *i18n.Catalogue { return k.conf.Catalogue }

// Secure reports whether the public address is https: cookies are then Secure and __Host-.
func (k *Kit) Secure() bool { return k.secure }

// ServeHTTP answers one request. Whatever happens below, the careful headers
// are set, a panic becomes the page of F6, and the log names the pattern of the
// address, never the address: references, staged ids and invitations are in it.
func (k *Kit) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	k.headers(rec.Header(), defaultPolicy(), false)
	_, pattern := k.mux.Handler(req)
	r := &Request{Request: req, W: rec, kit: k, Printer: k.printer(req, nil)}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			k.fail(r, fmt.Errorf("panic: %v", p))
		}
		if !strings.HasPrefix(pattern, "GET /static/") {
			k.conf.Log.Debug("request", "method", req.Method, "address", pattern, "status", rec.status,
				"bytes", rec.size, "ms", time.Since(start).Milliseconds(), "client", k.client(req))
		}
	}()
	r.json = strings.HasPrefix(req.URL.Path, "/api/")
	if pattern == "" {
		k.nowhere(r)
		return
	}
	if err := k.cross.Check(req); err != nil && !k.exempt(pattern) {
		k.fail(r, fault.New(fault.Denied, "web.crossorigin").Because(err))
		return
	}
	k.mux.ServeHTTP(rec, req)
}

// nowhere answers an address that nobody registered, or not with this method.
func (k *Kit) nowhere(r *Request) {
	h, _ := k.mux.Handler(r.Request)
	probe := &recorder{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(probe, r.Request)
	no := fault.New(fault.NotFound, "e404.p")
	if allow := probe.Header().Get("Allow"); probe.status == http.StatusMethodNotAllowed {
		r.W.Header().Set("Allow", allow)
		r.status = http.StatusMethodNotAllowed
		if r.json {
			no = fault.New(fault.Invalid, "api.method").With("method", r.Method).With("methods", allow)
		}
	}
	r.Session, _ = k.session(r.Request, r.json)
	r.Printer = k.printer(r.Request, r.Session)
	k.fail(r, no)
}

// incident returns a short number under which a failure is found in the log.
func incident() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.size += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// errIsCancel reports a visitor who left: nobody reads an answer, nothing is wrong.
func errIsCancel(err error) bool { return errors.Is(err, context.Canceled) }
