package portal_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// The look of an account is on the pages of its envelopes once it is known whose
// they are, and not before; the verified domain is said as before. Where the
// operators turn it off it is nowhere.
func TestBrandedPages(t *testing.T) {
	t.Parallel()
	h := house(t)
	op := account.Operator("test")
	if _, err := h.Accounts.SetBranding(t.Context(), op, webtest.Account, []account.Setting{
		{Name: "name", Value: "Clinic of the Lake"}, {Name: "color", Value: "#0b5d5b"}, {Name: "intro_en", Value: "Results come this way."},
		{Name: "footer", Value: "Geneva"}, {Name: "contact", Value: "+41 22 000 00 00"},
	}); err != nil {
		t.Fatal(err)
	}
	v, err := h.Accounts.SetLogo(t.Context(), op, webtest.Account, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`))
	if err != nil {
		t.Fatal(err)
	}
	e := send(t, h)
	b := h.Browser(t)
	signs := []string{"Clinic of the Lake", `href="/brand/0b5d5b.css"`, v.LogoPath(), "Geneva", "41 22 000 00 00"}
	for _, early := range []string{"/", "/e/" + e.Ref, "/m/" + e.Ref, "/open", "/signin", "/e/" + e.Ref + "/code"} {
		if a := b.Get(t, early); containsAny(a.Body, append(signs, "Results come this way.")) {
			t.Errorf("%s shows whose it is", early)
		}
	}
	prove(t, b, e)
	card := b.Get(t, "/e/"+e.Ref+"?lang=en").Body
	for _, sign := range append(signs, "Results come this way.", "verified") {
		if !strings.Contains(strings.ToLower(card), strings.ToLower(sign)) {
			t.Errorf("the card does not show %q", sign)
		}
	}
	if strings.Contains(card, "Example Health") {
		t.Error("the card shows two names")
	}
	opened(t, h, b, e)
	if a := b.Get(t, "/e/"+e.Ref+"/message"); !containsAny(a.Body, signs[:1]) || !strings.Contains(a.Body, v.LogoPath()) {
		t.Error("the page of the message has no look")
	}
	if _, err := h.Accounts.SetSettings(t.Context(), op, account.LimitsOf(webtest.Account), []account.Setting{{Name: "branding", Value: "false"}}); err != nil {
		t.Fatal(err)
	}
	if a := b.Get(t, "/e/"+e.Ref); containsAny(a.Body, signs) || !strings.Contains(a.Body, "Example Health") {
		t.Error("it is seen where it is off")
	}
	if err := h.DB.Update(t.Context(), func(tx *store.Tx) error { return tx.SetBrand(webtest.Account, "{broken", "") }); err != nil {
		t.Fatal(err)
	}
	if a := b.Get(t, "/e/"+e.Ref); a.Status != 200 {
		t.Errorf("a look that cannot be read: %d", a.Status)
	}
}

func containsAny(s string, of []string) bool {
	for _, x := range of {
		if strings.Contains(s, x) {
			return true
		}
	}
	return false
}
