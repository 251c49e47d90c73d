package web_test

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/web"
	"github.com/pli-mail/pli/internal/web/webtest"
)

var pages = fstest.MapFS{"pages/form.html": {Data: []byte(`{{define "main"}}<h1>{{.T "seed.groups"}}</h1>
<form method="post">{{template "field" (.Field "name" "seed.group_name" "hint" "g.hint")}}{{template "field" (.Field "secret" "seed.password" "type" "password")}}</form>
<p>{{.T "seed.nonexistent"}}</p>{{end}}`)}}

// formPage has fields with the names of what the layout shows: they are not shown there.
type formPage struct {
	web.Base
	Other, Address, Theme string
}

// house is a kit with one address for each access and each kind of failure.
func house(t *testing.T) *webtest.House {
	h := webtest.New(t)
	p, err := h.Kit.Parse(pages)
	if err != nil {
		t.Fatal(err)
	}
	page := func(r *web.Request) *formPage { return &formPage{r.Base("Form"), "mine", "mine", "mine"} }
	show := func(r *web.Request) error { return r.Render(p, "form", page(r)) }
	h.Kit.Handle("GET /entry", show, web.Entry)
	h.Kit.Handle("GET /public", show, web.Public)
	h.Kit.Handle("GET /visitor", show, web.Visitor)
	h.Kit.Handle("GET /mine", show, web.SignedIn)
	h.Kit.Handle("GET /password", show, web.SignedIn, web.AnyScope())
	h.Kit.Handle("GET /admin/accounts", show, web.Admin)
	h.Kit.Handle("POST /form", func(r *web.Request) error {
		if name := r.PostFormValue("name"); name != "good" {
			return r.Again(p, "form", page(r), fault.New(fault.Invalid, "g.dup").In("name", "g.dup", fault.Args{"name": name}))
		}
		r.Flash("ok", "g.deleted", "name", "A", "n", 2)
		return r.Redirect("/public")
	}, web.Visitor)
	h.Kit.Handle("POST /away", func(r *web.Request) error { return r.Redirect(r.Next("/fallback")) }, web.Public)
	h.Kit.Handle("GET /panic", func(*web.Request) error { panic("secret cause") }, web.Public)
	h.Kit.Handle("GET /fail/{kind}", func(r *web.Request) error {
		kinds := map[string]*fault.Error{
			"internal": fault.Of(errors.New("secret cause")), "invalid": fault.New(fault.Invalid, "err.email"),
			"unauthenticated": fault.New(fault.Unauthenticated, "sess.h1"), "denied": fault.New(fault.Denied, "err.forbidden"),
			"notfound": fault.New(fault.NotFound, "e404.p"), "conflict": fault.New(fault.Conflict, "err.stale"),
			"closed": fault.New(fault.Closed, "open.recalled"), "gone": fault.New(fault.Gone, "open.recalled"),
			"toolarge": fault.New(fault.TooLarge, "web.toolarge.p").With("n", 1), "toomany": fault.New(fault.TooMany, "e429.p").With("n", 3),
			"unavailable": fault.New(fault.Unavailable, "e503.p").Because(errors.New("secret cause")),
		}
		return kinds[r.PathValue("kind")]
	}, web.Public)
	h.Kit.HandleJSON("POST /api/v1/echo", func(r *web.Request) error {
		var in struct {
			A string `json:"a"`
		}
		if err := r.ReadJSON(&in); err != nil {
			return err
		}
		return r.JSON(in)
	}, web.Visitor)
	h.Kit.HandleJSON("GET /api/v1/mine", func(r *web.Request) error { return r.JSON(r.User().Address) }, web.SignedIn)
	return h
}

// Every kind of failure has its status and its page, in both languages, and
// shows a stranger nothing of its cause.
func TestFailures(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	for kind, want := range map[string]int{
		"internal": 500, "invalid": 422, "unauthenticated": 401, "denied": 403, "notfound": 404, "conflict": 409,
		"closed": 403, "gone": 410, "toolarge": 413, "toomany": 429, "unavailable": 503,
	} {
		for _, lang := range []string{"en", "fr"} {
			a := b.Get(t, "/fail/"+kind+"?lang="+lang)
			if a.Status != want {
				t.Errorf("%s: %d, want %d", kind, a.Status, want)
			}
			if !strings.Contains(a.Body, `<html lang="`+lang+`"`) || !strings.Contains(a.Body, "<h1>") {
				t.Errorf("%s %s: not a page: %s", kind, lang, a.Body)
			}
			if strings.Contains(a.Body, "secret cause") {
				t.Errorf("%s shows its cause", kind)
			}
		}
	}
	if a := b.Get(t, "/fail/toomany"); a.Header.Get("Retry-After") != "180" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	a := b.Get(t, "/panic?lang=en")
	if a.Status != 500 || strings.Contains(a.Body, "secret") {
		t.Errorf("panic: %d %s", a.Status, a.Body)
	}
	_, after, _ := strings.Cut(a.Body, "administrator: ")
	if id := after[:8]; !strings.Contains(h.Logged(), "incident="+id) || !strings.Contains(h.Logged(), "secret cause") {
		t.Errorf("the log does not have incident %s: %s", id, h.Logged())
	}
	if a := b.Get(t, "/nowhere"); a.Status != 404 || !strings.Contains(a.Body, "</html>") {
		t.Errorf("nowhere: %d", a.Status)
	}
	if a := b.Do(t, "PUT", "/public", nil); a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(a.Body, "</html>") {
		t.Errorf("PUT: %d %v", a.Status, a.Header)
	}
}

// AT-15, AT-16: the headers of every answer, also of failures and of files; an
// entry page has no Cross-Origin-Opener-Policy and every other page has.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	for _, path := range []string{"/entry", "/public", "/visitor", "/mine", "/nowhere", "/panic", "/fail/denied", "/api/v1/mine", "/healthz", "/readyz"} {
		a := b.Get(t, path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Dns-Prefetch-Control": "off", "Strict-Transport-Security": "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		csp := a.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'",
			"base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp+";", part+";") {
				t.Errorf("%s: the policy has no %s: %s", path, part, csp)
			}
		}
		want := "same-origin-allow-popups"
		if path == "/entry" {
			want = ""
		}
		if got := a.Header.Get("Cross-Origin-Opener-Policy"); got != want {
			t.Errorf("%s: Cross-Origin-Opener-Policy %q", path, got)
		}
	}
	a := b.Get(t, "/public")
	for _, line := range strings.Split(a.Body, "\n") {
		_, link, ok := strings.Cut(line, `"/static/`)
		if !ok {
			continue
		}
		link, _, _ = strings.Cut(link, `"`)
		f := b.Get(t, "/static/"+strings.ReplaceAll(link, "&amp;", "&"))
		if f.Status != 200 || !strings.Contains(f.Header.Get("Cache-Control"), "immutable") || f.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", link, f.Status, f.Header)
		}
		etag := b.Do(t, "GET", "/static/"+link, nil, "If-None-Match", f.Header.Get("ETag"))
		if etag.Status != http.StatusNotModified {
			t.Errorf("%s asked again: %d", link, etag.Status)
		}
	}
	if strings.Contains(a.Body, "<style") || strings.Contains(a.Body, " style=") || strings.Contains(a.Body, " onclick") {
		t.Error("inline style or script")
	}
}

// Over https cookies are __Host- and Secure, and HSTS is set.
func TestSecureOrigin(t *testing.T) {
	t.Parallel()
	h := house(t)
	k := kit(t, h, web.Config{Origin: "https://pli.example"})
	k.Handle("POST /visit", func(r *web.Request) error { return r.Redirect("/") }, web.Visitor)
	a := serve(k, "POST", "/visit", nil)
	c := a.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-pli=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(c, part) {
			t.Errorf("the cookie has no %s: %s", part, c)
		}
	}
	if strings.Contains(c, "Domain") || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("cookie %s, HSTS %q", c, a.Header.Get("Strict-Transport-Security"))
	}
}

func kit(t *testing.T, h *webtest.House, c web.Config) *web.Kit {
	t.Helper()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	c.Accounts, c.Catalogue, c.Root = h.Accounts, cat, masterkeytest.Root(t)
	k, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// AT-55: who posts from elsewhere is refused, whatever the trick.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		{"Sec-Fetch-Site", "cross-site", "X-HTTP-Method-Override", "GET"},
	} {
		a := b.Do(t, "POST", "/form", url.Values{"name": {"good"}}, headers...)
		if a.Status != 403 || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %d", headers, a.Status)
		}
		if a := b.Do(t, "POST", "/api/v1/echo", map[string]string{"a": "x"}, headers...); a.Status != 403 {
			t.Errorf("API %v: %d", headers, a.Status)
		}
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", h.Origin}, {}} {
		if a := b.Do(t, "POST", "/form", url.Values{"name": {"good"}}, headers...); a.Status != 303 {
			t.Errorf("%v: %d", headers, a.Status)
		}
	}
	// A form of another site can send text/plain, and nothing that is taken for JSON.
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"} {
		if a := b.Do(t, "POST", "/api/v1/echo", `{"a":"x"}`, "Content-Type", kind); a.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", kind, a.Status)
		}
	}
	for _, body := range []string{`{"a":"x","b":1}`, `{"a":"x"}{}`, `[`, ``} {
		a := b.Do(t, "POST", "/api/v1/echo", body, "Content-Type", "application/json")
		if a.Status != 422 || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %d %s", body, a.Status, a.Body)
		}
	}
	if a := b.Do(t, "POST", "/api/v1/echo", map[string]string{"a": strings.Repeat("x", 2<<20)}); a.Status != 413 {
		t.Errorf("2 MiB: %d", a.Status)
	}
}

// A form that fails keeps what was typed, but passwords; one that succeeds
// redirects, and says so once.
func TestForm(t *testing.T) {
	t.Parallel()
	b := house(t).Browser(t)
	a := b.Post(t, "/form?lang=fr", "name", `<b>"Bad"`, "secret", "hunter2hunter2")
	for _, want := range []string{`<title>Erreur`, `aria-invalid="true"`, `aria-describedby="f-name-h f-name-e"`, `value="&lt;b&gt;&#34;Bad&#34;"`,
		`id="problem" tabindex="-1" autofocus`, `href="#f-name"`, "Impossible d'ajouter un utilisateur inexistant."} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("no %s in %s", want, a.Body)
		}
	}
	if a.Status != 422 || strings.Contains(a.Body, "hunter2") {
		t.Errorf("%d, or the password came back", a.Status)
	}
	if a = b.Post(t, "/form", "name", "good"); a.Status != 303 || a.Header.Get("Location") != "/public" {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	if a = b.Get(t, "/public?lang=en"); !strings.Contains(a.Body, `Group "A" deleted. Its 2 members remain users.`) &&
		!strings.Contains(a.Body, `Group &#34;A&#34; deleted. Its 2 members remain users.`) {
		t.Errorf("no message: %s", a.Body)
	}
	if a = b.Get(t, "/public"); strings.Contains(a.Body, "deleted") {
		t.Error("the message is shown twice")
	}
	// A forged one is not shown.
	if a = b.Do(t, "GET", "/public", nil, "Cookie", "flash=eyJrIjoib2siLCJ0IjoiYy5zYXZlZCIsInMiOjQwMDAwMDAwMDB9.AAAA"); strings.Contains(a.Body, "Saved.") {
		t.Error("a forged message is shown")
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	is := func(a webtest.Answer, lang string) {
		t.Helper()
		if !strings.Contains(a.Body, `<html lang="`+lang+`"`) {
			t.Errorf("not %s", lang)
		}
	}
	is(b.Get(t, "/public"), "en")
	if a := b.Get(t, "/public"); !strings.Contains(a.Body, `lang="fr" hreflang="fr">Français`) || strings.Contains(a.Body, "mine") {
		t.Errorf("the layout shows the page's own fields: %s", a.Body)
	}
	is(b.Do(t, "GET", "/public", nil, "Accept-Language", "de, fr-CA;q=0.8"), "fr")
	is(b.Do(t, "GET", "/public", nil, "Accept-Language", "pt"), "en")
	a := b.Get(t, "/public?q=a%26b&lang=fr")
	is(a, "fr")
	if !strings.Contains(a.Body, `href="/public?lang=en&amp;q=a%26b"`) {
		t.Errorf("the language link does not keep the address: %s", a.Body)
	}
	is(b.Do(t, "GET", "/public", nil, "Accept-Language", "en"), "fr") // the cookie
	if a := b.Post(t, "/form", "name", "bad"); !strings.Contains(a.Body, `href="/?lang=en"`) {
		t.Error("the language link of a form that has no page of its own")
	}
}

// People come where they may, and are told where else to go.
func TestAccess(t *testing.T) {
	t.Parallel()
	h := house(t)
	visitor, user, admin, temporary, half := h.Browser(t), h.Browser(t), h.Browser(t), h.Browser(t), h.Browser(t)
	user.SignIn(t, webtest.User)
	admin.SignIn(t, webtest.Admin)
	temporary.SignIn(t, "paul@example.org")
	h.Authenticator(t, webtest.Admin)
	half.SignIn(t, webtest.Admin)
	for _, tt := range []struct {
		who  *webtest.Browser
		path string
		want string
	}{
		{visitor, "/entry", "200"}, {visitor, "/public", "200"}, {visitor, "/visitor", "200"},
		{visitor, "/mine?a=b", "/signin?next=%2Fmine%3Fa%3Db"}, {visitor, "/admin/accounts", "/admin/signin?next=%2Fadmin%2Faccounts"},
		{user, "/mine", "200"}, {user, "/admin/accounts", "/admin/request"}, {admin, "/admin/accounts", "200"},
		// AT-42, I3: a temporary password opens the page that sets another, and no other.
		{temporary, "/password", "200"}, {temporary, "/public", "/password"}, {temporary, "/mine", "/password"},
		{temporary, "/admin/accounts", "/password"}, {temporary, "/visitor", "/password"},
		// AT-50: without the second factor nothing opens but what asks for it.
		{half, "/password", "200"}, {half, "/public", "/second?next=%2Fpublic"}, {half, "/mine?a=b", "/second?next=%2Fmine%3Fa%3Db"},
		{half, "/admin/accounts", "/second?next=%2Fadmin%2Faccounts"}, {half, "/visitor", "/second?next=%2Fvisitor"},
	} {
		a := tt.who.Get(t, tt.path)
		got := a.Header.Get("Location")
		if a.Status == 200 {
			got = "200"
		}
		if got != tt.want {
			t.Errorf("%s: %d %s, want %s", tt.path, a.Status, got, tt.want)
		}
	}
	if a := temporary.Get(t, "/api/v1/mine"); a.Status != 403 {
		t.Errorf("a temporary password reads the API: %d", a.Status)
	}
	if a := half.Get(t, "/api/v1/mine"); a.Status != 403 {
		t.Errorf("half a sign-in reads the API: %d", a.Status)
	}
	if a := visitor.Get(t, "/api/v1/mine"); a.Status != 401 || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("API: %d", a.Status)
	}
	if a := visitor.Do(t, "GET", "/api/v1/mine", nil, "Authorization", "Bearer nonsense"); a.Status != 401 {
		t.Errorf("bad token: %d", a.Status)
	}
	// From a mail the Strict cookie is kept back: the page asks once more from here.
	a := visitor.Do(t, "GET", "/mine", nil, "Sec-Fetch-Site", "cross-site")
	if a.Status != 200 || !strings.Contains(a.Body, `content="0;url=/mine"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// AT-49: a GET never makes a session, which would also end the one kept back.
	if visitor.Cookie("pli") != "" {
		t.Error("a GET made a session")
	}
	if visitor.Post(t, "/form", "name", "good"); visitor.Cookie("pli") == "" {
		t.Error("a POST made no session")
	}
}

func TestNextStaysHere(t *testing.T) {
	t.Parallel()
	b := house(t).Browser(t)
	for next, want := range map[string]string{
		"/admin/accounts?q=1": "/admin/accounts?q=1", "//evil.example": "/fallback", "https://evil.example": "/fallback", `/\evil.example`: "/fallback",
		"javascript:alert(1)": "/fallback", "": "/fallback", "/a\r\nSet-Cookie: x=y": "/fallback", "/\t/evil.example": "/fallback",
	} {
		if a := b.Post(t, "/away", "next", next); a.Header.Get("Location") != want {
			t.Errorf("%q leads to %q", next, a.Header.Get("Location"))
		}
	}
}

// Every address declares who may come, and every pattern its method.
func TestRoutesDeclare(t *testing.T) {
	t.Parallel()
	h := house(t)
	refused := func(name string, register func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s was registered", name)
			}
		}()
		register()
	}
	none := func(*web.Request) error { return nil }
	refused("an undeclared address", func() { h.Kit.Handle("GET /x", none, 0) })
	refused("an address without a method", func() { h.Kit.Handle("/x", none, web.Public) })
	refused("a cross-site address with a session", func() { h.Kit.Handle("POST /x", none, web.Public, web.CrossSite()) })
	for _, rt := range h.Kit.Routes() {
		if rt.Access.String() == "undeclared" {
			t.Errorf("%s declares nothing", rt.Pattern)
		}
	}
}

func TestBrokenTemplatesStopTheStart(t *testing.T) {
	t.Parallel()
	h := webtest.New(t)
	for name, page := range map[string]string{
		"syntax": `{{define "main"}}{{.T "x"{{end}}`, "no main": `<p>`, "unknown function": `{{define "main"}}{{nope}}{{end}}`,
		"loose quotes": `{{define "main"}}<a href={{.Self}}>x</a>{{end}}`, "single quotes": `{{define "main"}}<a href='{{.Self}}'>x</a>{{end}}`,
	} {
		if _, err := h.Kit.Parse(fstest.MapFS{"pages/x.html": {Data: []byte(page)}}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := h.Kit.Parse(fstest.MapFS{}); err == nil {
		t.Error("a package without pages was accepted")
	}
}

// AT-86: forwarded addresses are believed of trusted proxies only, and only
// what those wrote.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	h := house(t)
	var got string
	see := func(r *web.Request) error { got = r.Client(); return r.Redirect("/") }
	plain, behind := kit(t, h, web.Config{Origin: "https://pli.example"}),
		kit(t, h, web.Config{Origin: "https://pli.example", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}})
	plain.Handle("GET /ip", see, web.Public)
	behind.Handle("GET /ip", see, web.Public)
	for _, tt := range []struct {
		kit       *web.Kit
		forwarded string
		want      string
	}{
		{plain, "203.0.113.9", "192.0.2.1"},
		{behind, "", "192.0.2.1"},
		{behind, "203.0.113.9", "203.0.113.9"},
		{behind, "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		{behind, "203.0.113.9, 10.1.1.1", "203.0.113.9"},
		{behind, "203.0.113.9, nonsense", "192.0.2.1"},
	} {
		serve(tt.kit, "GET", "/ip", http.Header{"X-Forwarded-For": {tt.forwarded}})
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.forwarded, got, tt.want)
		}
	}
}

// AT-84: the log has patterns, not addresses: what is in them may be secret.
func TestLogNamesNoAddress(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.Get(t, "/fail/internal?next=topsecret")
	if strings.Contains(h.Logged(), "topsecret") {
		t.Error(h.Logged())
	}
}
