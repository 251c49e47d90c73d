package console_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// A file of members is what pasting them is: as many at once, the same answer
// for each, for a delegate too, whom nobody outside their group is there for.
func TestMembersFromAFile(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	group := func(name string) store.Group {
		return must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, name))
	}
	user := func(address, in string) {
		must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password, GroupID: in}))
	}
	ward, leads := group("Ward"), group("Ward leads")
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, leads.ID, []store.Grant{{Right: store.RightUsers, Scope: ward.ID}}))
	user("in@example.org", ward.ID)
	user("out@example.org", "")
	user("more@example.org", "")
	user("lead@example.org", leads.ID)
	at := fmt.Sprintf("/admin/accounts/%d/groups/%s/members", webtest.Account, ward.ID)
	members := func() (out string) {
		p := must[account.MembersPage](t)(h.Accounts.Members(ctx, op, webtest.Account, ward.ID, "", "", 50))
		for _, m := range p.Members {
			out += m.Address + " "
		}
		return out
	}

	lead := h.Browser(t)
	lead.SignIn(t, "lead@example.org")
	a := sendFileTo(t, lead, at, "m.csv", []byte("Courriel;Nom\nin@example.org;I\nout@example.org;O\n"))
	if a.Status != 422 || !strings.Contains(a.Body, `name="user" value="out@example.org"`) || members() != "in@example.org " {
		t.Errorf("a delegate: %d, %s", a.Status, members())
	}

	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	if a := sendFileTo(t, b, at, "m.txt", []byte("in@example.org\r\nout@example.org\r\n"), "user", "more@example.org"); a.Status != 303 {
		t.Errorf("%d", a.Status)
	}
	if m := members(); m != "in@example.org more@example.org out@example.org " {
		t.Error(m)
	}
	var many strings.Builder
	for i := range 201 {
		fmt.Fprintf(&many, "p%d@example.org\n", i)
	}
	for name, c := range map[string]struct {
		file   string
		status int
		says   string
	}{
		"many":    {many.String(), 422, "Add 200 addresses at a time at most."},
		"empty":   {"\ufeff", 422, "The file is empty."},
		"none":    {"name,phone\nA,1\n", 422, "There is no e-mail column. We read these headings: name, phone"},
		"nobody":  {"email\nnobody\n", 422, "nobody"},
		"too big": {"email\n" + strings.Repeat("x", 5<<20), 413, "The file is larger than 4 MB."},
	} {
		if a := sendFileTo(t, b, at, "m.csv", []byte(c.file)); a.Status != c.status || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
}
