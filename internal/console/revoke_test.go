package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
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
