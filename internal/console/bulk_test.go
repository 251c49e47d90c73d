package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// What was done to some is taken back on these alone, also where others were left
// out, and for as many as a page of the list has.
func TestUndoOfSome(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	var ids []string
	for i := range 50 {
		address := fmt.Sprintf("crew%d@example.org", i)
		ids = append(ids, must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password})).User.ID)
	}
	admin := must[account.UserView](t)(h.Accounts.UserByAddress(ctx, op, webtest.Account, webtest.Admin)).ID
	was := ids[1] // blocked before
	must[store.User](t)(h.Accounts.BlockUser(ctx, op, webtest.Account, was))
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const path = "/admin/accounts/100042/users/bulk"
	on := func(ids ...string) []string {
		fields := []string{"do", "block"}
		for _, id := range ids {
			fields = append(fields, "id", id)
		}
		return fields
	}
	offered := func(a webtest.Answer) (out []string) {
		t.Helper()
		_, form, found := strings.Cut(a.Body, `<form method="post" action="`+path+`"><input type="hidden" name="do" value="unblock">`)
		form, _, _ = strings.Cut(form, "</form>")
		if found != strings.Contains(form, ">Undo<") {
			t.Fatalf("%s", a.Body)
		}
		for _, id := range append(slices.Clone(ids), admin) {
			if strings.Contains(form, id) {
				out = append(out, id)
			}
		}
		return out
	}
	a := b.Post(t, path, on(ids[0], was, admin)...)
	if got := offered(a); a.Status != 200 || !strings.Contains(a.Body, "Done: 2. Left out: 1.") || !slices.Equal(got, ids[:1]) {
		t.Errorf("%d, Undo concerns %v: %s", a.Status, got, a.Body)
	}
	b.Post(t, path, "do", "unblock", "id", ids[0])
	for id, want := range map[string]string{ids[0]: store.UserActive, was: store.UserLocked, admin: store.UserActive} {
		if u := must[account.UserView](t)(h.Accounts.User(ctx, op, webtest.Account, id)); u.State != want {
			t.Errorf("%s is %s", u.Address, u.State)
		}
	}
	if got := offered(b.Post(t, path, on(was, admin)...)); len(got) != 0 {
		t.Errorf("nothing was changed, and Undo concerns %v", got)
	}
	b.Post(t, path, on(ids...)...)
	if got := offered(b.Get(t, "/admin/accounts/100042/users")); len(got) != 49 || slices.Contains(got, was) {
		t.Errorf("Undo concerns %d", len(got))
	}
}
