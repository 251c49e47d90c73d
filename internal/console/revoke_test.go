package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// Every open invitation can be revoked, however many there are; one that has
// ended, or is another account's, is not found.
func TestRevokeAmongMany(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	var last string
	for i := range 102 { // a list shows 100
		invited, err := h.Accounts.Invite(t.Context(), account.Operator("test"), webtest.Account, "", fmt.Sprintf("guest%03d@example.net", i), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		last = invited.ID
	}
	path := "/admin/accounts/100042/invitations/" + last + "/revoke"
	p := b.Visit(t, path+"?lang=en")
	if p.Status != 200 || !strings.Contains(p.Body, "guest101@example.net") {
		t.Fatalf("%d %q", p.Status, p.Texts("h1"))
	}
	if p = p.Press(t, "Revoke the invitation"); !p.Has("The invitation of guest101@example.net has been revoked.") {
		t.Errorf("%d %q", p.Status, p.Texts("p"))
	}
	stranger(t, h)
	theirs := objectsOf(t, h, 200007, "200007", "clara@elsewhere.example")
	for _, id := range []string{last, theirs.invitation, "x"} {
		if a := b.Get(t, "/admin/accounts/100042/invitations/"+id+"/revoke"); a.Status != 404 {
			t.Errorf("invitation %s: %d", id, a.Status)
		}
	}
}

// A page that leads to an act is not for who may not do it, and what is advised
// and hinted is true.
func TestSaysWhatIs(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	g := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Auditors"))
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, g.ID, []store.Grant{{Right: store.RightAudit}}))
	must[account.AddResult](t)(h.Accounts.AddMembers(ctx, op, webtest.Account, g.ID, webtest.User, time.Time{}))
	auditor, b := h.Browser(t), h.Browser(t)
	auditor.SignIn(t, webtest.User)
	if a := auditor.Get(t, "/admin/accounts/100042/groups/"+g.ID+"/delete"); a.Status != 403 {
		t.Errorf("an auditor is asked whether to delete a group: %d", a.Status)
	}
	b.SignIn(t, webtest.Admin)
	if p := b.Visit(t, "/admin/accounts/100042/users/new"); !strings.Contains(p.Body, "first sign-in, else 15.") {
		t.Errorf("%q", p.Texts("span"))
	}
	if p := b.Visit(t, "/admin/accounts/100042/policies").Press(t, "Check"); !strings.Contains(p.Body, "no envelope was sent, so this day") || strings.Contains(p.Body, "With this change:") {
		t.Errorf("%q", p.Texts("p"))
	}
	if n := strings.Count(b.Get(t, "/admin/accounts/100042/audit").Body, "stay in … without an end</option>"); n != 1 {
		t.Errorf("the log has %d choices of a membership without an end", n)
	}
}

// To load once more an answer that shows a secret makes no second secret, and
// ends none that was handed over.
func TestReloadMakesNoSecondSecret(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	o := objectsOf(t, h, webtest.Account, "100042", webtest.User)
	for _, c := range []struct {
		page, button string
		filled       []string
		status       int
	}{
		{"/integrations", "New token", []string{"Name", "Twice", "Send", "on"}, 201},
		{"/integrations/webhooks/new", "New webhook", []string{"URL", "https://hooks.example.org/x", "Groups", "on"}, 201},
		{"/users/" + o.user + "/reset", "Reset password", nil, 200},
	} {
		p := b.Visit(t, "/admin/accounts/100042"+c.page)
		first := p.Press(t, c.button, c.filled...)
		if first.Status != c.status {
			t.Errorf("%s: %d %q", c.page, first.Status, first.Texts("p"))
		}
		before := h.Tables(t)
		again := p.Press(t, c.button, c.filled...)
		if again.Status != 409 || !strings.Contains(again.Body, "That was done already") {
			t.Errorf("%s: again %d", c.page, again.Status)
		}
		if d := webtest.Changed(before, h.Tables(t)); d != "" {
			t.Errorf("%s: changed again: %s", c.page, d)
		}
	}
}
