package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// Handler answers one request, or says with an error why it cannot.
type Handler func(r *Request) error

// Access is who may come to an address. Each address declares it: the zero
// Access is refused when the program starts.
type Access int

const (
	// Entry is for anyone, and blind: no cookie is read, and the page has no
	// Cross-Origin-Opener-Policy, so that an envelope's page can hand over its
	// ciphertext (envelope-v1.md 6).
	Entry Access = iota + 1
	// Public is for anyone; a session is known if there is one.
	Public
	// Visitor is for anyone; a POST without a session gets a visitor's. A GET
	// never makes one: coming from a mail, a browser keeps its Strict cookie
	// back, and a new one would sign the person out.
	Visitor
	// SignedIn is for people who signed in.
	SignedIn
	// Admin is for administrators of an account, and for operators who have proved a second factor of late. What they may do there is
	// decided below, in the act's own transaction: there it is also refused to whoever has no right at all, with a record.
	Admin
)

func (a Access) String() string {
	return [...]string{"undeclared", "entry", "public", "visitor", "signed in", "administrator"}[a]
}

// Route is one registered address.
type Route struct {
	Pattern  string
	Access   Access
	JSON     bool
	AnyScope bool  // also for a session that opens only one page: for the second factor, or a password to set
	Body     int64 // most bytes of a request's body
	Tokens   bool  // also for the bearer of an API token
	Cross    bool  // may be posted to from another site
}

// RouteOption says something unusual of an address.
type RouteOption func(*Route)

// AnyScope lets also those in who have a second factor to prove, or a temporary
// password to replace, first.
func AnyScope() RouteOption { return func(rt *Route) { rt.AnyScope = true } }

// Tokens lets API tokens in. Whether one may do what it asks for is decided
// below, in the act's own transaction.
func Tokens() RouteOption { return func(rt *Route) { rt.Tokens = true } }

// Body allows bodies of n bytes instead of 1 MiB.
func Body(n int64) RouteOption { return func(rt *Route) { rt.Body = n } }

// CrossSite lets other sites post here. Only for an address that reads no
// cookie and changes nothing but what it stages.
func CrossSite() RouteOption { return func(rt *Route) { rt.Cross = true } }

// Handle registers a page. It panics on an undeclared access or a pattern
// without a method, which is a mistake in the program.
func (k *Kit) Handle(pattern string, h Handler, access Access, opts ...RouteOption) {
	k.register(Route{Pattern: pattern, Access: access, Body: 1 << 20}, h, opts)
}

// HandleJSON registers an address of the JSON API: a bearer token is taken as
// well as the cookie, and failures are answered as application/problem+json.
func (k *Kit) HandleJSON(pattern string, h Handler, access Access, opts ...RouteOption) {
	k.register(Route{Pattern: pattern, Access: access, Body: 1 << 20, JSON: true}, h, opts)
}

func (k *Kit) register(rt Route, h Handler, opts []RouteOption) {
	for _, o := range opts {
		o(&rt)
	}
	if rt.Access < Entry || rt.Access > Admin {
		panic("web: " + rt.Pattern + " does not declare who may come")
	}
	if method, _, ok := strings.Cut(rt.Pattern, " "); !ok || strings.HasPrefix(method, "/") {
		panic("web: " + rt.Pattern + " does not name its method")
	}
	if rt.Cross && rt.Access != Entry {
		panic("web: " + rt.Pattern + " reads cookies and may not be posted to by other sites")
	}
	k.routes = append(k.routes, rt)
	k.mux.HandleFunc(rt.Pattern, func(w http.ResponseWriter, req *http.Request) { k.serve(rt, h, w, req) })
}

// Routes are the registered addresses, for tests that walk all of them.
func (k *Kit) Routes() []Route { return append([]Route(nil), k.routes...) }

func (k *Kit) exempt(pattern string) bool {
	for _, rt := range k.routes {
		if rt.Pattern == pattern {
			return rt.Cross
		}
	}
	return false
}

func (k *Kit) serve(rt Route, h Handler, w http.ResponseWriter, req *http.Request) {
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = http.MaxBytesReader(w, req.Body, rt.Body)
	}
	r := &Request{Request: req, W: w, kit: k, json: rt.JSON, admin: rt.Access == Admin && !rt.JSON, entry: rt.Access == Entry, Printer: k.printer(req, nil)}
	if lang := req.URL.Query().Get("lang"); known(lang) && safe(req.Method) {
		k.setCookie(w, "lang", lang, year, http.SameSiteLaxMode)
	}
	if rt.Access == Entry {
		w.Header().Del("Cross-Origin-Opener-Policy")
	} else {
		if r.host, _ = req.Context().Value(hostKey{}).(*account.Actor); r.host != nil {
			if err := admitHost(rt); err != nil {
				k.fail(r, err)
			} else if err := h(r); err != nil {
				k.fail(r, err)
			}
			return
		}
		s, err := k.session(req, rt.JSON)
		if err != nil {
			k.fail(r, err)
			return
		}
		if s != nil {
			s.Origin = k.client(req)
		}
		r.Session = s
		if rt.Access == Visitor && !safe(req.Method) {
			if err := r.Visit(); err != nil {
				k.fail(r, err)
				return
			}
		}
		r.Printer = k.printer(req, s)
		if done := k.admit(rt, r); done {
			return
		}
	}
	if err := h(r); err != nil {
		k.fail(r, err)
	}
}

type hostKey struct{}

// OnHost is a context for requests that this process makes of itself for who acts
// at the command line of the service's host. What comes over a network has none.
func OnHost(ctx context.Context, actor account.Actor) context.Context {
	return context.WithValue(ctx, hostKey{}, &actor)
}

// admitHost lets the host's operator do by the API what a token could: what is
// left is of a person's session.
func admitHost(rt Route) error {
	if !rt.JSON || !rt.Tokens {
		return fault.New(fault.Denied, "tok.session")
	}
	return nil
}

// Visit begins a visitor's session, unless the request has one. What only goes
// on in a session, as entering a code does, is Public and begins none: when the
// form was sent twice, the first has ended the session that the second names,
// and a fresh one would take the place of what the first has proved.
func (r *Request) Visit() error {
	if r.Session != nil {
		return nil
	}
	s, err := r.kit.conf.Accounts.Visit(r.Context(), r.UserAgent(), r.Client())
	if err != nil {
		return err
	}
	s.Origin = r.Client()
	r.kit.setSession(r.W, s)
	r.Session = s
	return nil
}

// admit answers, and says so, when this person may not come here now.
func (k *Kit) admit(rt Route, r *Request) (done bool) {
	s := r.Session
	signedIn := s != nil && s.UserID != ""
	if s != nil && s.APIToken != nil && !rt.Tokens {
		k.fail(r, fault.New(fault.Denied, "tok.session"))
		return true
	}
	if rt.Access >= SignedIn && !signedIn {
		k.signInFirst(rt, r)
		return true
	}
	if signedIn && s.Scope == store.ScopeSecond && !rt.AnyScope {
		if rt.JSON {
			k.fail(r, fault.New(fault.Denied, "second.first"))
		} else if to := "/second"; safe(r.Method) {
			k.redirect(r, to+"?next="+url.QueryEscape(r.URL.RequestURI()))
		} else {
			k.redirect(r, to)
		}
		return true
	}
	if signedIn && s.Scope == store.ScopeMailbox && !rt.AnyScope {
		if rt.JSON {
			k.fail(r, fault.New(fault.Denied, "proof.first"))
		} else if to := "/mailbox"; safe(r.Method) {
			k.redirect(r, to+"?next="+url.QueryEscape(r.URL.RequestURI()))
		} else {
			k.redirect(r, to)
		}
		return true
	}
	if signedIn && s.Scope == store.ScopeSetSecond && !rt.AnyScope {
		if rt.JSON {
			k.fail(r, fault.New(fault.Denied, "second.setup"))
		} else if to := "/second/setup"; safe(r.Method) {
			k.redirect(r, to+"?next="+url.QueryEscape(r.URL.RequestURI()))
		} else {
			k.redirect(r, to)
		}
		return true
	}
	if signedIn && s.Scope == store.ScopeSetPassword && !rt.AnyScope {
		// AT-42, I3: a temporary password opens one page.
		if rt.JSON {
			k.fail(r, fault.New(fault.Denied, "si.mustchange"))
		} else {
			k.redirect(r, "/password")
		}
		return true
	}
	if r.Operates() && !s.SecondAt.Add(account.OperatorLimit).After(k.conf.Accounts.Now()) {
		switch {
		case !safe(r.Method):
			k.fail(r, fault.New(fault.Denied, "second.first"))
		case !s.Factors:
			r.Flash("warn", "opr.setsecond")
			k.redirect(r, "/profile/security")
		default:
			k.redirect(r, "/second?next="+url.QueryEscape(r.URL.RequestURI()))
		}
		return true
	}
	if rt.Access == Admin && safe(r.Method) && !r.Operates() && len(s.AdminOf) == 0 {
		k.redirect(r, "/admin/request") // who can help, and a way to ask them
		return true
	}
	return false
}

func (k *Kit) signInFirst(rt Route, r *Request) {
	switch {
	case rt.JSON || !safe(r.Method):
		k.fail(r, fault.New(fault.Unauthenticated, "sess.h1"))
	case r.Header.Get("Sec-Fetch-Site") == "cross-site" || r.Header.Get("Sec-Fetch-Site") == "same-site":
		// The browser kept its Strict cookie back because the link was in a mail
		// or on another site. Asked again by a page of ours, it sends it.
		r.Self = r.URL.RequestURI()
		page := &struct {
			Base
			URL string
		}{r.Base(r.T("c.continue")), r.Self}
		if err := r.render(http.StatusOK, k.errors, "again", page); err != nil {
			k.fail(r, err)
		}
	default:
		to := "/signin"
		if rt.Access == Admin {
			to = "/admin/signin"
		}
		k.redirect(r, to+"?next="+url.QueryEscape(r.URL.RequestURI()))
	}
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }
