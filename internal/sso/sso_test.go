package sso_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/sso/ssotest"
)

func provider(idp *ssotest.IdP) *sso.Provider {
	return sso.New(sso.Config{Name: "work", Label: "Example Health", Issuer: idp.URL, ClientID: ssotest.Client, Secret: ssotest.Secret,
		Domains: []string{"example.org", "xn--bcher-kva.example"}, Redirect: "https://pli.example/signin/from/work"})
}

const nonce = "nonce-nonce-nonce-nonce-nonce-nonce-nonce-no"

var verifier = strings.Repeat("v", 43)

// AT-47: everything that an ID token must be, one thing at a time.
func TestIdentify(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) {
			if value == nil {
				delete(c, name)
			} else {
				c[name] = value
			}
		}
	}
	for _, c := range []struct {
		name, key string // "": it is taken
		alg       string
		claims    func(map[string]any)
	}{
		{"right", "", "", nil},
		{"verified as a string", "", "", set("email_verified", "true")},
		{"several audiences with our party", "", "", func(c map[string]any) { c["aud"], c["azp"] = []string{"x", ssotest.Client}, ssotest.Client }},
		{"wrong iss", "sso.failed", "", set("iss", "https://evil.example")},
		{"wrong aud", "sso.failed", "", set("aud", "another client")},
		{"several audiences without party", "sso.failed", "", set("aud", []string{"x", ssotest.Client})},
		{"another party", "sso.failed", "", set("azp", "x")},
		{"wrong nonce", "sso.failed", "", set("nonce", nonce+"x")},
		{"no nonce", "sso.failed", "", set("nonce", nil)},
		{"no subject", "sso.failed", "", set("sub", nil)},
		{"alg none", "sso.failed", "none", nil},
		{"HS256 with the public key", "sso.failed", "HS256", nil},
		{"expired", "sso.failed", "", set("exp", time.Now().Add(-time.Second).Unix())},
		{"not yet", "sso.failed", "", set("nbf", time.Now().Add(time.Hour).Unix())},
		{"unverified e-mail", "sso.unverified", "", set("email_verified", false)},
		{"verification not said", "sso.unverified", "", set("email_verified", nil)},
		{"Microsoft's claim, of another", "sso.unverified", "", func(c map[string]any) { delete(c, "email_verified"); c["xms_edov"] = true }},
		{"no e-mail", "sso.unverified", "", set("email", nil)},
		{"two e-mails", "sso.unverified", "", set("email", "ada@example.org, eve@evil.example")},
		{"foreign domain", "sso.domain", "", set("email", "ada@evil.example")},
		{"a domain below ours", "sso.domain", "", set("email", "ada@x.example.org")},
		{"a domain that ends as ours", "sso.domain", "", set("email", "ada@evilexample.org")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			idp := ssotest.New(t)
			idp.Alg, idp.Claims = c.alg, c.claims
			p := provider(idp)
			at, err := p.Authorize(t.Context(), strings.Repeat("s", 43), nonce, verifier)
			if err != nil || !strings.HasPrefix(at, idp.URL+"/authorize?") {
				t.Fatal(at, err)
			}
			code, _ := idp.Arrive(t, at, "Ada@Example.org", "u-1")
			id, err := p.Identify(t.Context(), code, nonce, verifier)
			if idp.Uses != 1 {
				t.Fatalf("the code was exchanged %d times", idp.Uses)
			}
			if c.key == "" {
				if err != nil || id.Issuer != idp.URL || id.Subject != "u-1" || id.Address.Canonical() != "ada@example.org" {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			if !fault.HasKey(err, c.key) || !fault.Is(err, fault.Denied) || id != (sso.Identity{}) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestIdentifyCode(t *testing.T) {
	t.Parallel()
	idp, other := ssotest.New(t), ssotest.New(t)
	p := provider(idp)
	arrive := func() string {
		at, err := p.Authorize(t.Context(), strings.Repeat("s", 43), nonce, verifier)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := idp.Arrive(t, at, "ada@example.org", "u-1")
		return code
	}
	code := arrive()
	if _, err := p.Identify(t.Context(), code, nonce, strings.Repeat("w", 43)); !fault.HasKey(err, "sso.failed") {
		t.Errorf("another verifier: %v", err)
	} else if strings.Contains(fault.Of(err).Error(), code) {
		t.Error("the error repeats the code")
	}
	code = arrive()
	if _, err := p.Identify(t.Context(), code, nonce, verifier); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Identify(t.Context(), code, nonce, verifier); !fault.HasKey(err, "sso.failed") {
		t.Errorf("a code twice: %v", err)
	}
	if _, err := provider(other).Identify(t.Context(), arrive(), nonce, verifier); !fault.HasKey(err, "sso.failed") {
		t.Errorf("one provider's code at another: %v", err)
	}
	lost := sso.New(sso.Config{Issuer: "http://127.0.0.1:1", ClientID: "x"})
	if _, err := lost.Authorize(t.Context(), "s", nonce, verifier); !fault.HasKey(err, "sso.unreachable") || !fault.Is(err, fault.Unavailable) {
		t.Errorf("a provider that is down: %v", err)
	}
}

// What two large providers say in words of their own.
func TestVouched(t *testing.T) {
	t.Parallel()
	const google, entra = "https://accounts.google.com", "https://login.microsoftonline.com/t/v2.0"
	for _, c := range []struct{ issuer, claims, key string }{
		{google, `{"email":"ada@example.org","email_verified":true,"hd":"example.org"}`, ""},
		{google, `{"email":"ada@example.org","email_verified":true}`, "sso.unverified"},
		{google, `{"email":"ada@gmail.com","email_verified":true}`, ""},
		{google, `{"email":"ada@example.org","hd":"example.org"}`, "sso.unverified"},
		{entra, `{"email":"ada@example.org","xms_edov":true}`, ""},
		{entra, `{"email":"ada@example.org","xms_edov":"1"}`, ""},
		{entra, `{"email":"ada@example.org","xms_edov":false}`, "sso.unverified"},
		{entra, `{"email":"ada@example.org"}`, "sso.unverified"},
		{entra, `{"email":"ada@example.org","xms_edov":true,"email_verified":false}`, "sso.unverified"},
		{entra, `{"email":"ada@evil.example","xms_edov":true}`, "sso.domain"},
		{entra + ".evil.example", `{"email":"ada@example.org"}`, "sso.unverified"},
		{"https://login.microsoftonline.com.evil.example/t", `{"email":"ada@example.org","xms_edov":true}`, "sso.unverified"},
	} {
		id, err := sso.Vouched(sso.New(sso.Config{Issuer: c.issuer, Domains: []string{"example.org", "gmail.com"}}), c.claims)
		if c.key == "" && (err != nil || id.Issuer != c.issuer || id.Subject != "u-1") || c.key != "" && !fault.HasKey(err, c.key) {
			t.Errorf("%s %s: %+v, %v", c.issuer, c.claims, id, err)
		}
	}
}
