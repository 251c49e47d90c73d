package console_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// An operator is led to the second factor, and then sees all accounts, the log
// and the state of the service.
func TestOperatorPages(t *testing.T) {
	t.Parallel()
	h := house(t)
	stranger(t, h)
	op := account.Operator("test")
	b := h.Browser(t)
	seed, _ := h.Authenticator(t, webtest.User)
	if _, _, err := h.Accounts.AddOperator(t.Context(), op, webtest.User); err != nil {
		t.Fatal(err)
	}
	b.SignIn(t, webtest.User)
	p := b.Visit(t, "/admin/accounts")
	if !strings.HasPrefix(p.Path, "/second") {
		t.Fatalf("led to %s", p.Path)
	}
	p = p.Press(t, "Continue", "Enter the code from your authenticator app", webtest.AppCode(t, seed, 1))
	if p.Status != 200 || !p.Has("100042") || !p.Has("200007") {
		t.Fatalf("%d at %s: %q", p.Status, p.Path, p.Texts("a"))
	}
	if p = b.Visit(t, "/admin/accounts?q=200007"); p.Has("100042") || !p.Has("200007") {
		t.Errorf("search: %q", p.Texts("a"))
	}
	p = b.Visit(t, "/admin/accounts/new").Press(t, "Create account", "Name", "Clinic", "First administrator", "nobody")
	if p.Status != 422 || p.Value(t, "Name") != "Clinic" {
		t.Errorf("%d %q", p.Status, p.Value(t, "Name"))
	}
	p = p.Press(t, "Create account", "First administrator", "lea@clinic.example")
	if p.Status != 200 || !p.Has("Account 200008 created.") {
		t.Errorf("%d %q", p.Status, p.Texts("p"))
	}
	if p = b.Visit(t, "/admin/accounts/200008"); !p.Has("Nobody administers this account yet. Add an administrator.") {
		t.Errorf("%q", p.Texts("p"))
	}
	p = b.Visit(t, "/admin/audit")
	if p.Status != 200 || !p.Has("claire.roux@example.org (operator) created account 200008") {
		t.Errorf("%d %q", p.Status, p.Texts("a"))
	}
	if p = b.Visit(t, "/admin/system"); p.Status != 200 {
		t.Errorf("system: %d", p.Status)
	}
	if _, err := h.Accounts.RemoveOperator(t.Context(), op, webtest.User); err != nil {
		t.Fatal(err)
	}
	if a := b.Get(t, "/admin/accounts"); a.Status != 303 {
		t.Errorf("who is an operator no longer: %d", a.Status)
	}
}

// The site's settings are saved before anybody said something of them, and of two
// who save the second is told and keeps what they typed.
func TestSiteSettingsPage(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	seed, _ := h.Authenticator(t, webtest.User)
	if _, _, err := h.Accounts.AddOperator(t.Context(), account.Operator("test"), webtest.User); err != nil {
		t.Fatal(err)
	}
	b.SignIn(t, webtest.User)
	b.Visit(t, "/admin/accounts").Press(t, "Continue", "Enter the code from your authenticator app", webtest.AppCode(t, seed, 1))
	const at = "/admin/system/settings"
	first, second := b.Visit(t, at), b.Visit(t, at)
	const label = "Days at most"
	if p := first.Press(t, "Save", label, "60"); p.Status != 200 || p.Value(t, label) != "60" {
		t.Errorf("%d %q", p.Status, p.Texts("p"))
	}
	p := second.Press(t, "Save", label, "50")
	if p.Status != 412 || p.Value(t, label) != "50" {
		t.Fatalf("stale: %d", p.Status)
	}
	if p = p.Press(t, "Save"); p.Status != 200 || p.Value(t, label) != "50" {
		t.Errorf("once more: %d %q", p.Status, p.Value(t, label))
	}
}
