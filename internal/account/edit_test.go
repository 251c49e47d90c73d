package account_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// A managed user is renamed and signed out by who manages them; one who enrolled,
// or holds more, is not.
func TestEditUser(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		lea := w.user(100042, "lea@example.org")
		desk := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Help desk"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}}))
		nina := w.user(100042, "nina@example.org")
		_, err := w.AddMembers(ctx, a, 100042, desk.ID, "nina@example.org", time.Time{})
		w.ok(err)
		n := account.Actor{Kind: account.KindUser, UserID: nina.ID, Address: nina.Address, Name: "Nina", Origin: here}

		u := get[store.User](w)(w.EditUser(ctx, n, 100042, lea.ID, " Léa ", "Martin", "fr"))
		if u.Name() != "Léa Martin" || u.Language != "fr" {
			t.Errorf("%+v", u)
		}
		if p := get[account.UsersPage](w)(w.Users(ctx, n, 100042, "lea mar", "", "", 10)); len(p.Users) != 1 {
			t.Errorf("%d found by the new name", len(p.Users))
		}
		_, err = w.EditUser(ctx, n, 100042, lea.ID, "<x@y>", "M", "fr")
		w.fails(err, fault.Invalid, "people.namechars")
		_, err = w.EditUser(ctx, n, 100042, ada.UserID, "A", "B", "en")
		w.fails(err, fault.Denied, "rt.above")
		_, _, err = w.EndSessions(ctx, n, 100042, ada.UserID)
		w.fails(err, fault.Denied, "rt.above")
		_, _, err = w.EndSessions(ctx, n, 100042, lea.ID)
		w.ok(err)
		if w.audit(100042, "user.edit", store.Done) != 1 || w.audit(100042, "user.end_sessions", store.Done) != 1 {
			t.Error("not recorded")
		}
	})
}
