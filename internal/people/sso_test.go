package people_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/people"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/sso/ssotest"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// organisation is a house with two providers, of which each vouches for
// example.org and staff.example.
func organisation(t *testing.T) (h *webtest.House, work, other *ssotest.IdP) {
	t.Helper()
	h, work, other = webtest.New(t), ssotest.New(t), ssotest.New(t)
	of := func(name string, idp *ssotest.IdP) *sso.Provider {
		return sso.New(sso.Config{Name: name, Label: "the " + name, Issuer: idp.URL, ClientID: ssotest.Client, Secret: ssotest.Secret,
			Domains: []string{"example.org", "staff.example"}, Redirect: h.Origin + "/signin/from/" + name})
	}
	if err := people.New(h.Kit, h.Accounts, h.Keys, of("work", work), of("other", other)); err != nil {
		t.Fatal(err)
	}
	return h, work, other
}

// away presses the button of a provider and gives the address that it leads to.
func away(t *testing.T, b *webtest.Browser, name string) string {
	t.Helper()
	a := b.Post(t, "/signin/with/"+name, "next", "/help/check")
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	m := leads.FindStringSubmatch(a.Body)
	if m == nil || !strings.Contains(a.Body, `<meta http-equiv="refresh" content="0;url=`+m[1]) {
		t.Fatalf("leads nowhere: %s", a.Body)
	}
	return html.UnescapeString(m[1])
}

var leads = regexp.MustCompile(`<a class="btn pri" href="(http://127[^"]*)"`)

func session(t *testing.T, h *webtest.House, b *webtest.Browser) *account.Session {
	t.Helper()
	token, err := id.ParseToken(b.Cookie("pli"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Accounts.Session(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func back(t *testing.T, b *webtest.Browser, name, code, state string, more ...string) webtest.Answer {
	t.Helper()
	a := b.Get(t, "/signin/from/"+name+"?"+url.Values{"code": {code}, "state": {state}}.Encode())
	if a.Status != 200 || !strings.Contains(a.Body, code) || b.Cookie("flash") != "" {
		t.Fatalf("back: %d %s", a.Status, a.Body)
	}
	return b.Post(t, "/signin/from/"+name, append([]string{"code", code, "state", state}, more...)...)
}

func wantBack(t *testing.T, what string, b *webtest.Browser, a webtest.Answer, to, text string) {
	t.Helper()
	if a.Status != 303 || a.Header.Get("Location") != to {
		t.Errorf("%s: %d to %s", what, a.Status, a.Header.Get("Location"))
	} else if p := b.Visit(t, "/help/check?lang=en"); text != "" && !p.Has(text) {
		t.Errorf("%s: no %q among %q", what, text, p.Texts("p"))
	}
}

const stale = "This sign-in was begun elsewhere, used already, or too long ago. Begin it again here."

// An organisation's word proves an address: to whoever has a user it is a
// sign-in, to others it opens what is sealed for them.
func TestOrganisation(t *testing.T) {
	t.Parallel()
	h, work, _ := organisation(t)
	b := h.Browser(t)
	if p := b.Visit(t, "/signin?lang=en&next=/help/check"); !p.Has("Sign in with the work") || !p.Has("Sign in with the other") {
		t.Fatalf("%q", p.Texts("button"))
	}
	at := away(t, b, "work")
	before := b.Cookie("pli")
	code, state := work.Arrive(t, at, webtest.User, "u-1")
	a := back(t, b, "work", code, state)
	if a.Status != 303 || a.Header.Get("Location") != "/welcome?next=%2Fhelp%2Fcheck" {
		t.Errorf("a user: %d %s", a.Status, a.Header.Get("Location"))
	}
	if b.Cookie("pli") == before || b.Cookie("pli") == "" {
		t.Error("AT-43: the session kept its token")
	}
	if s := session(t, h, b); s.User == nil || s.User.Address != webtest.User || s.Address != webtest.User || s.Method != "oidc" {
		t.Errorf("signed in as %+v", s)
	}

	// The subject counts, not the address: the same one elsewhere is refused, another address of it is the same user.
	b = h.Browser(t)
	code, state = work.Arrive(t, away(t, b, "work"), webtest.User, "u-2")
	wantBack(t, "another subject with the address", b, back(t, b, "work", code, state), "/help/check", "Another sign-in of the work belongs to this account. Use that one, or ask for a code by e-mail.")
	if s := session(t, h, b); s.User != nil || s.Address != "" {
		t.Errorf("it proved %+v", s)
	}
	b = h.Browser(t)
	code, state = work.Arrive(t, away(t, b, "work"), "claire.new@example.org", "u-1")
	back(t, b, "work", code, state)
	if s := session(t, h, b); s.User == nil || s.User.Address != webtest.User || s.Address != "" { // an administrator made her
		t.Errorf("the subject with another address: %+v", s)
	}

	b = h.Browser(t)
	code, state = work.Arrive(t, away(t, b, "work"), "new@staff.example", "u-3")
	wantBack(t, "nobody's address", b, back(t, b, "work", code, state), "/help/check", "new@staff.example is confirmed by the work.")
	if s := session(t, h, b); s.User != nil || s.Address != "new@staff.example" || s.Method != "oidc" {
		t.Errorf("proved %+v", s)
	}
}

// AT-47: what comes back must be what this session asked that provider for, once.
func TestOrganisationRefuses(t *testing.T) {
	t.Parallel()
	h, work, other := organisation(t)
	start := func() (b *webtest.Browser, code, state string) {
		b = h.Browser(t)
		code, state = work.Arrive(t, away(t, b, "work"), "new@staff.example", "u-1")
		return b, code, state
	}
	proved := func(what string, b *webtest.Browser, uses int) {
		t.Helper()
		if b.Cookie("pli") != "" {
			if s := session(t, h, b); s.User != nil || s.Address != "" {
				t.Errorf("%s: proved %+v", what, s)
			}
		}
		if work.Uses+other.Uses != uses {
			t.Errorf("%s: %d codes were exchanged, want %d", what, work.Uses+other.Uses, uses)
		}
	}

	b, code, state := start()
	thief := h.Browser(t)
	away(t, thief, "work") // has a session, and a way of their own
	wantBack(t, "another browser", thief, back(t, thief, "work", code, state), "/signin", stale)
	proved("another browser", thief, 0)
	wantBack(t, "another provider", b, back(t, b, "other", code, state), "/signin", stale)
	wantBack(t, "a state that nobody has", b, back(t, b, "work", code, strings.Repeat("A", 43)), "/signin", stale)
	wantBack(t, "no state", b, back(t, b, "work", code, ""), "/signin", stale)
	proved("no state", b, 0)

	wantBack(t, "mix-up: the other issuer", b, back(t, b, "work", code, state, "iss", other.URL), "/help/check", "the work did not confirm who you are. Try again, or ask for a code by e-mail.")
	proved("mix-up", b, 0)
	wantBack(t, "the same state again", b, back(t, b, "work", code, state), "/signin", stale)

	b, _, state = start()
	second, _ := other.Arrive(t, away(t, b, "other"), "new@staff.example", "u-1")
	wantBack(t, "mix-up: the other's code", b, back(t, b, "work", second, state), "/help/check", "the work did not confirm who you are. Try again, or ask for a code by e-mail.")
	proved("the other's code", b, 0)

	b, code, state = start()
	a := back(t, b, "work", code, state)
	if a.Status != 303 || work.Uses != 1 {
		t.Fatalf("%d, %d", a.Status, work.Uses)
	}
	wantBack(t, "code replay", b, back(t, b, "work", code, state), "/signin", stale)
	if work.Uses != 1 {
		t.Error("the code was exchanged again")
	}
	if a := b.Post(t, "/signin/with/nobody"); a.Status != 404 {
		t.Errorf("an unknown provider: %d", a.Status)
	}
	b, _, state = start()
	wantBack(t, "the person said no", b, back(t, b, "work", "", state, "error", "access_denied"), "/help/check", "the work did not confirm who you are. Try again, or ask for a code by e-mail.")

	b = h.Browser(t)
	work.Claims = func(c map[string]any) { c["email_verified"] = false }
	code, state = work.Arrive(t, away(t, b, "work"), "new@staff.example", "u-9")
	wantBack(t, "unverified", b, back(t, b, "work", code, state), "/help/check", "the work does not vouch for your e-mail address. Ask for a code by e-mail instead.")
	if s := session(t, h, b); s.Address != "" {
		t.Errorf("an unverified address was proved: %+v", s)
	}
}
