package people_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

func TestOtherAddresses(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	p := b.Visit(t, "/profile?lang=en").Follow(t, "Other addresses and devices")
	if p.Heading(t) != "Other addresses and devices" || !p.Has("None yet.") {
		t.Fatalf("%d %q", p.Status, p.Texts("p"))
	}
	if bad := p.Press(t, "Send a code to it", "Address to add", "no address"); bad.Status != 422 || bad.Value(t, "Address to add") != "no address" {
		t.Errorf("not an address: %d", bad.Status)
	}
	p = p.Press(t, "Send a code to it", "Address to add", "claire@old.example")
	if !p.Has("We sent 6 digits to claire@old.example. The code works for 10 minutes, in this browser only.") {
		t.Fatalf("%d %q", p.Status, p.Texts("p"))
	}
	code := h.Code(t)
	if wrong := p.Press(t, "Confirm the address", "Code (6 digits)", "000000"); wrong.Status != 422 || !wrong.Has("We sent 6 digits to claire@old.example. The code works for 10 minutes, in this browser only.") {
		t.Errorf("a wrong code: %d %q", wrong.Status, wrong.Texts("p"))
	}
	p = p.Press(t, "Confirm the address", "Code (6 digits)", code)
	if p.Path != "/profile/addresses" || !p.Has("claire@old.example belongs to your account now.") {
		t.Fatalf("%d %s %q", p.Status, p.Path, p.Texts("p"))
	}
	if again := p.Press(t, "Send a code to it", "Address to add", "claire@old.example"); again.Status != 409 || !strings.Contains(again.Body, "the address of your account already") {
		t.Errorf("twice: %d", again.Status)
	}
	if p = p.Press(t, "Remove"); !p.Has("claire@old.example was removed from your account.") || !p.Has("None yet.") {
		t.Errorf("removed: %q", p.Texts("p"))
	}
	// Nobody gets to the page without having signed in.
	if a := h.Browser(t).Post(t, "/profile/addresses", "do", "forget"); a.Status != 401 {
		t.Errorf("a visitor: %d", a.Status)
	}
}
