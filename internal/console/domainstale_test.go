package console_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// Of two who say who may send under a domain, the second is told, and what the
// first said stays.
func TestSendersOfADomainInTwoWindows(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	g := must[store.Group](t)(h.Accounts.AddGroup(t.Context(), account.Operator("test"), webtest.Account, "Press"))
	if _, _, err := h.Accounts.AddDomain(t.Context(), account.Operator("test"), webtest.Account, "example.org"); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("/admin/accounts/%d/domains/example.org", webtest.Account)
	seen := regexp.MustCompile(`name="revision" value="([^"]+)"`).FindStringSubmatch(b.Get(t, at).Body)
	if seen == nil {
		t.Fatal("the form does not say what it showed")
	}
	if a := b.Post(t, at+"/senders", "group", g.ID, "revision", seen[1]); a.Status != 303 {
		t.Fatalf("%d", a.Status)
	}
	a := b.Post(t, at+"/senders", "group", "", "revision", seen[1])
	d := must[account.DomainView](t)(h.Accounts.Domain(t.Context(), account.Operator("test"), webtest.Account, "example.org"))
	if a.Status != 412 || strings.Contains(a.Body, seen[1]) || d.SendersGroup != g.ID {
		t.Errorf("%d, %q", a.Status, d.SendersGroup)
	}
}
