package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// Where there are more groups than a choice can show, a group is named: none is out of
// reach, and what was chosen before is not lost by saving again.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	h := house(t)
	root := account.Operator("test")
	for i := range 205 {
		if _, err := h.Accounts.AddGroup(t.Context(), root, webtest.Account, fmt.Sprintf("Ward %03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const at = "/admin/accounts/100042"
	for _, page := range []string{"/users/new", "/users/invite", "/users/import", "/users", "/rules/add"} {
		if a := b.Visit(t, at+page); strings.Contains(a.Body, `<select id="f-group"`) || !strings.Contains(a.Body, `id="f-group"`) {
			t.Errorf("%s asks for a group by a choice", page)
		}
	}
	invite := func(group string) webtest.Answer {
		return b.Do(t, "POST", at+"/users/invite", url.Values{"user": {"new@example.net"}, "group": {group}})
	}
	if a := invite("Ward 999"); a.Status != 422 || !strings.Contains(a.Body, "There is no group of this name") || !strings.Contains(a.Body, `value="Ward 999"`) {
		t.Errorf("a group that there is not: %d", a.Status)
	}
	if a := invite("ward 204"); a.Status != 303 {
		t.Errorf("the last one: %d %s", a.Status, a.Body)
	}
	g, err := h.Accounts.GroupNamed(t.Context(), root, webtest.Account, "Ward 204")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := h.Accounts.Invitations(t.Context(), root, webtest.Account, g.ID, "", "", 5); err != nil || len(list.Pending) != 1 {
		t.Errorf("invited to it: %+v, %v", list, err)
	}
	const domain = at + "/domains/mail.example.org"
	if _, _, err := h.Accounts.AddDomain(t.Context(), root, webtest.Account, "mail.example.org"); err != nil {
		t.Fatal(err)
	}
	if a := b.Do(t, "POST", domain+"/senders", url.Values{"group": {"Ward 203"}}); a.Status != 303 {
		t.Errorf("who may send: %d", a.Status)
	}
	if a := b.Visit(t, domain); !strings.Contains(a.Body, `value="Ward 203"`) {
		t.Error("who may send is not shown")
	}
}
