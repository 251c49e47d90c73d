package account_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// enrolled is a person of no account who has opened an envelope of one.
func (w *world) enrolled(number int64, address string) *account.Session {
	w.Helper()
	w.opened(w.envelope(number, address))
	return get[*account.Session](w)(w.Enrol(w.Context(), w.proven(address), account.Enrolment{FirstName: "Lea", Password: better, Confirm: better}))
}

// A login that somebody made for themselves stays theirs, whatever account took
// them in: they are told of it, it cannot be locked there, and it survives leaving.
func TestOwnLogin(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, admins := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		group := get[store.Group](w)(w.AddGroup(ctx, actor, 100042, "Nurses"))
		lea := w.enrolled(100042, "lea@example.net")

		// Who is in no account is told from nobody else who is unavailable.
		_, err := w.AddUser(ctx, actor, 100042, account.NewUser{Address: "lea@example.net", Password: temp, Confirm: temp, EnforceExpiry: true})
		w.fails(err, fault.Conflict, "people.unavailable")

		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, group.ID, "lea@example.net", time.Time{}))
		if l, n := last[account.JoinedLetter](w.mail); n != 1 || l.To.Canonical() != "lea@example.net" || l.Group != "Nurses" || l.Organisation != "Example Health" || l.Admin != "Ada Min" {
			t.Errorf("%d letters, the last %+v", n, l)
		}
		_, err = w.BlockUser(ctx, actor, 100042, lea.UserID)
		w.fails(err, fault.Conflict, "people.blockown")
		if n := w.audit(100042, "user.block", store.Refused); n != 1 {
			t.Errorf("%d refusals recorded", n)
		}
		again := w.signIn("lea@example.net", better)

		// A request of somebody who left waits for nobody.
		w.ok(w.RequestAccess(ctx, again, 100042, store.RightAll, "I run the desk"))
		get[store.User](w)(w.DeleteUser(ctx, actor, 100042, lea.UserID))
		w.dead(again)
		if r := get[account.RequestsPage](w)(w.Requests(ctx, actor, 100042, "", 50)).Requests; len(r) != 0 {
			t.Errorf("still asked by %+v", r)
		}
		if v := get[account.AccountView](w)(w.Account(ctx, actor, 100042)); v.Requests != 0 {
			t.Errorf("%d requests", v.Requests)
		}
		w.signIn("lea@example.net", better)

		// Taken in as an administrator they are told by the letter for those.
		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, admins, "lea@example.net", time.Time{}))
		if l, _ := last[account.AdminAddedLetter](w.mail); l.To.Canonical() != "lea@example.net" {
			t.Errorf("the last letter is %+v", l)
		}
	})
}

// AT-66: a name that looks like an address lies beside the real one.
func TestNameIsNoAddress(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		for _, name := range []string{"ceo@example.com", "Ana <ana@example.org>", "a>b", "ceo\uff20example.com", "\uff1cx"} {
			_, err := w.Enrol(ctx, w.proven("lea@example.net"), account.Enrolment{FirstName: name, Password: better, Confirm: better})
			w.fails(err, fault.Invalid, "people.namechars")
			w.fails(w.SavePreferences(ctx, ada, account.Preferences{LastName: name, Language: "en", TimeZone: "UTC", Theme: "auto"}), fault.Invalid, "people.namechars")
			_, err = w.AddUser(ctx, ada.Actor(here), 100042, account.NewUser{Address: "bo@example.org", LastName: name, Password: better, Confirm: better})
			w.fails(err, fault.Invalid, "people.namechars")
		}
		for _, name := range []string{"https://evil.example", "WWW.evil.example"} {
			w.fails(w.SavePreferences(ctx, ada, account.Preferences{LastName: name, Language: "en", TimeZone: "UTC", Theme: "auto"}), fault.Invalid, "people.namelink")
		}
	})
}

// Who deletes their own account types its address and has proved lately that it
// is they. Nothing of them is left but what they sent and the records; the last
// administrator of an account stays.
func TestDeleteOwn(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		lea := w.enrolled(100042, "lea@example.net")
		w.ok(w.alias(lea, "lea@other.example"))
		w.fails(w.DeleteOwn(ctx, lea, "ada@example.org"), fault.Invalid, "data.typed")
		w.fails(w.DeleteOwn(ctx, lea, ""), fault.Invalid, "data.typed")
		w.pass(account.FreshLimit)
		w.fails(w.DeleteOwn(ctx, lea, "lea@example.net"), fault.Denied, "second.again")
		second := w.signIn("lea@example.net", better)
		phone := w.signIn("lea@example.net", better)
		w.ok(w.DeleteOwn(ctx, second, " Lea@example.NET "))
		for _, s := range []*account.Session{lea, second, phone} {
			w.dead(s)
		}
		w.fails(w.DeleteOwn(ctx, second, "lea@example.net"), fault.Unauthenticated, "sess.p")
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			if _, err := tx.FindUserByAddress("lea@example.net"); err != store.ErrNotFound {
				t.Errorf("the user is there: %v", err)
			}
			if _, err := tx.FindAlias("lea@other.example"); err != store.ErrNotFound {
				t.Errorf("the alias is there: %v", err)
			}
			return nil
		}))
		if n := w.audit(0, "user.delete_own", store.Done); n != 1 {
			t.Errorf("%d records", n)
		}
		w.enrolled(100042, "lea@example.net") // the address is free again

		ada := w.signIn("ada@example.org", good)
		w.fails(w.DeleteOwn(ctx, ada, "ada@example.org"), fault.Conflict, "m.last")
		if n := w.audit(100042, "user.delete_own", store.Refused); n != 1 {
			t.Errorf("%d refusals recorded", n)
		}
		if _, err := w.Sessions(ctx, ada); err != nil {
			t.Errorf("the administrator's session ended: %v", err)
		}
	})
}

// The records of a person are those by and about them, in pages; where others
// acted from is not theirs to know.
func TestOwnRecords(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		u := w.user(100042, "tom@example.org")
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(faraway), 100042, u.ID))
		get[store.User](w)(w.UnblockUser(ctx, ada.Actor(faraway), 100042, u.ID))
		w.user(100042, "eve@example.org")
		tom := w.signIn("tom@example.org", better)
		w.ok(w.Exported(ctx, tom))
		seen, after := map[string]int{}, ""
		for {
			p := get[account.AuditPage](w)(w.OwnRecords(ctx, tom, after, 2))
			for _, r := range p.Records {
				seen[r.Action]++
				if r.Actor != "user:tom@example.org" && (r.Target != "tom@example.org" || r.Origin != "") {
					t.Errorf("%+v", r)
				}
			}
			if after = p.Next; after == "" {
				break
			}
		}
		for _, a := range []string{"user.add", "user.block", "user.unblock", "session.signin", "user.export"} {
			if seen[a] != 1 {
				t.Errorf("%s: %d times in %v", a, seen[a], seen)
			}
		}
	})
}

// What an operator has locked of somebody whose login is their own, an account's
// administrators do not unlock, nor by taking them out of it. Who is taken out
// leaves what they had in it, and does not find it again.
func TestOwnLoginStaysLocked(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, admins := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		lea := w.enrolled(100042, "lea@example.net")
		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, admins, "lea@example.net", time.Time{}))
		get[store.User](w)(w.BlockUser(ctx, w.root, 100042, lea.UserID))
		_, err := w.UnblockUser(ctx, actor, 100042, lea.UserID)
		w.fails(err, fault.Conflict, "people.unblockown")
		_, err = w.DeleteUser(ctx, actor, 100042, lea.UserID)
		w.fails(err, fault.Conflict, "people.unblockown")
		if n := w.audit(100042, "user.unblock", store.Refused) + w.audit(100042, "user.delete", store.Refused); n != 2 {
			t.Errorf("%d refusals recorded", n)
		}
		rows := get[[]account.BulkRow](w)(w.ActOnUsers(ctx, actor, 100042, account.Bulk{Do: account.BulkUnblock}, []string{lea.UserID}))
		if rows[0].Key != "people.unblockown" {
			t.Errorf("%+v", rows)
		}
		get[store.User](w)(w.UnblockUser(ctx, w.root, 100042, lea.UserID))

		session := w.signIn("lea@example.net", better)
		_, token, err := w.MakeToken(ctx, session.Actor(here), 100042, account.NewToken{Name: "hers", Scopes: []string{store.ScopeSend}, Days: 30})
		w.ok(err)
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.TouchContact(lea.UserID, store.Contact{Address: "jean@example.com"}, "")
		}))
		get[store.User](w)(w.DeleteUser(ctx, actor, 100042, lea.UserID))
		if n := w.audit(100042, "token.end", store.Done); n != 1 {
			t.Errorf("%d records of tokens that ended", n)
		}
		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, admins, "lea@example.net", time.Time{}))
		if _, err := w.TokenSession(ctx, token); err == nil {
			t.Error("a token from before is good again")
		}
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			contacts, err := tx.ListContacts(lea.UserID, 10)
			if len(contacts) != 0 {
				t.Errorf("contacts from before: %+v", contacts)
			}
			return err
		}))
	})
}

// Locking and unlocking who is so already changes nothing, and nobody locks themselves.
func TestLockedAlready(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo := w.user(100042, "bo@example.org")
		w.into(ada, w.admins(100042), "bo@example.org")
		actor := ada.Actor(here)
		was, is := w.user(100042, "was@example.org"), w.user(100042, "is@example.org")
		get[store.User](w)(w.BlockUser(ctx, actor, 100042, was.ID))
		rows := get[[]account.BulkRow](w)(w.ActOnUsers(ctx, actor, 100042, account.Bulk{Do: account.BulkBlock}, []string{was.ID, is.ID}))
		if len(rows) != 2 || rows[0].Failed || rows[0].Changed || rows[0].ID != was.ID || !rows[1].Changed {
			t.Errorf("%+v", rows)
		}
		get[store.User](w)(w.BlockUser(ctx, actor, 100042, is.ID))
		if n := w.audit(100042, "user.block", store.Done); n != 2 {
			t.Errorf("%d records of locks", n)
		}
		get[store.User](w)(w.UnblockUser(ctx, actor, 100042, bo.ID))
		if n := w.audit(100042, "user.unblock", store.Done); n != 0 {
			t.Errorf("%d records of unlocks", n)
		}
		_, err := w.BlockUser(ctx, actor, 100042, ada.UserID)
		w.fails(err, fault.Conflict, "bulk.self")
		get[*account.Session](w)(w.Session(ctx, ada.Token))
	})
}
