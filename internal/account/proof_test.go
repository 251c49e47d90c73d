package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// An administrator who resets a password does not get to what its person wrote:
// neither with the temporary password, nor with what they could make of it.
func TestResetReadsNothing(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		w.signIn("lea@example.org", better)
		get[store.User](w)(w.ResetPassword(ctx, ada.Actor(here), 100042, lea.ID, temp, temp))
		if l, n := last[account.PasswordChangedLetter](w.mail); n != 1 || l.To.Canonical() != "lea@example.org" {
			w.Errorf("%d letters about the reset, the last %+v", n, l)
		}

		s := w.signIn("lea@example.org", temp)
		if s.Scope != store.ScopeMailbox || s.SignedIn() || s.Address != "" || s.Actor(here).Kind != account.Nobody {
			w.Fatalf("in with %+v", s)
		}
		_, err := w.SetPassword(ctx, s, good, good)
		w.fails(err, fault.Unauthenticated, "sess.p")
		_, err = w.ChangePassword(ctx, s, temp, good, good)
		w.fails(err, fault.Unauthenticated, "sess.p")
		_, err = w.Aliases(ctx, s)
		w.fails(err, fault.Unauthenticated, "sess.p")
		w.fails(w.SetUpAuthenticator(ctx, s), fault.Unauthenticated, "sess.p")
		_, err = w.Confirm(ctx, s, temp)
		w.fails(err, fault.Unauthenticated, "sess.p")
		if n := w.audit(100042, "session.unproved", store.Done); n != 1 {
			w.Errorf("%d records", n)
		}
		// The administrator's own code, and their own mailbox proved in that browser, are not hers.
		w.ok(w.SendSignInCode(ctx, s, "lea@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		if l.To.Canonical() != "lea@example.org" {
			w.Fatalf("the code went to %s", l.To)
		}
		_, err = w.SignInWithCode(ctx, s, "00000000", here, "Firefox")
		w.fails(err, fault.Invalid, "code.wrong")
		v := w.proven("ada@example.org")
		if other := get[*account.Session](w)(w.SignIn(ctx, v, "lea@example.org", temp, here, "")); other.Scope != store.ScopeMailbox {
			w.Errorf("in by another mailbox: %+v", other)
		}
		if _, n := last[account.FactorLetter](w.mail); n != 0 {
			w.Errorf("%d letters before anybody was in", n)
		}

		// She reads it: what others began ends, and she is told.
		full := w.reads(w.signIn("lea@example.org", temp))
		if full.Scope != store.ScopeSetPassword {
			w.Fatalf("%+v", full)
		}
		w.dead(s)
		if l, n := last[account.FactorLetter](w.mail); n != 1 || l.What != account.FactorGivenUsed || l.To.Canonical() != "lea@example.org" {
			w.Errorf("%d letters, the last %+v", n, l)
		}
		get[*account.Session](w)(w.SetPassword(ctx, full, good, good))
		if in := w.signIn("lea@example.org", good); !in.SignedIn() {
			w.Errorf("with her own password %+v", in)
		}
	})
}

// A password for good that an administrator typed (remedy B): the first time is
// without a code, thereafter with, until the person has their own.
func TestGivenPassword(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		n := account.NewUser{Address: "lea@example.org", Password: better, Confirm: better}
		lea := get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, n)).User
		first := w.signIn("lea@example.org", better)
		if !first.SignedIn() {
			w.Fatalf("the first time %+v", first)
		}
		again := w.signIn("lea@example.org", better)
		if again.Scope != store.ScopeMailbox {
			w.Fatalf("the second time %+v", again)
		}
		again = w.reads(again)
		if !again.SignedIn() || again.Address != "lea@example.org" {
			w.Errorf("with the code %+v", again)
		}
		w.dead(first) // it may have been the administrator's
		if s := w.signIn("lea@example.org", better); s.Scope != store.ScopeMailbox {
			w.Errorf("the third time %+v", s)
		}
		own := get[*account.Session](w)(w.ChangePassword(ctx, again, better, good, good))
		if s := w.signIn("lea@example.org", good); !own.SignedIn() || !s.SignedIn() {
			w.Errorf("with her own %+v", s)
		}

		// A reset before anybody was here asks for no code, but after a mail of theirs went through the gateway.
		n.Address = "bo@example.org"
		bo := get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, n)).User
		get[store.User](w)(w.ResetPassword(ctx, ada.Actor(here), 100042, bo.ID, temp, temp))
		if s := w.signIn("bo@example.org", temp); s.Scope != store.ScopeSetPassword {
			w.Errorf("who was never here %+v", s)
		}
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.InsertMessage(store.Message{ID: id.New(), AccountID: 100042, SenderID: bo.ID, SenderAddress: bo.Address, SealedAt: tx.Now, Carrier: "mail",
				Card: []byte{}, MH: []byte{}, HH: []byte{}, PH: []byte{}, Seal: []byte{}})
		}))
		if s := w.signIn("bo@example.org", temp); s.Scope != store.ScopeMailbox {
			w.Errorf("who has sent %+v", s)
		}

		// Deleted and added again is somebody else, to whom nothing of hers is left.
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.InsertAlias(store.Alias{Address: "lea@example.net", DisplayAddress: "lea@example.net", UserID: lea.ID})
		}))
		get[store.User](w)(w.DeleteUser(ctx, ada.Actor(here), 100042, lea.ID))
		n.Address = "lea@example.org"
		next := get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, n)).User
		s := w.signIn("lea@example.org", better)
		if next.ID == lea.ID || s.Address != "" || len(get[[]account.Alias](w)(w.Aliases(ctx, s))) != 0 {
			w.Errorf("added again: %+v", s)
		}
		// Nor is somebody's further address hers to take: it needs a code from there.
		get[*account.Session](w)(w.Enrol(ctx, w.proven("zoe@example.net"), account.Enrolment{FirstName: "Zoe", Password: good, Confirm: good}))
		n.Address = "zoe@example.net"
		_, err := w.AddUser(ctx, ada.Actor(here), 100042, n)
		w.fails(err, fault.Conflict, "people.unavailable")
	})
}

// Whoever finds a session that was signed in long ago cannot make somebody, with
// it, whose own sign-in is recent: what gives rights, or a way to use those of
// another, asks for a proof (AT-43). What gives nobody anything does not.
func TestRightsAskForProof(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		waits := get[account.Pending](w)(w.Invite(ctx, h.ada, 100042, h.leads.ID, "new@example.net", time.Time{}))
		revoked := get[account.Pending](w)(w.Invite(ctx, h.ada, 100042, h.leads.ID, "old@example.net", time.Time{}))
		w.ok(w.RequestAccess(ctx, w.signIn("otto@example.org", better), 100042, "", ""))
		list := get[account.ImportView](w)(w.CheckImport(ctx, h.ada, 100042, account.Import{File: "x.csv"}, strings.NewReader("email\nx@example.org\n")))
		w.loses("nina@example.org", better)
		lead := get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "lead@example.org")).User
		asked := get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, "", 50)).Requests
		grants := []store.Grant{{Right: store.RightUsers}}
		n := account.NewUser{Address: "own@example.org", FirstName: "O", LastName: "O", Password: better, Confirm: better, GroupID: h.admins}
		w.user(100042, "away@example.org")
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.logs.ID, "away@example.org", time.Time{}))
		away := get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "away@example.org")).User
		get[store.User](w)(w.BlockUser(ctx, w.root, 100042, away.ID))
		get[store.User](w)(w.RequireSecond(ctx, h.ada, 100042, lead.ID, true))
		acts := map[string]func(by account.Actor) error{
			"unblocks who has rights": func(by account.Actor) error { return second(w.UnblockUser(ctx, by, 100042, away.ID)) },
			"unblocks all": func(by account.Actor) error {
				return second(w.StartBulk(ctx, by, 100042, account.Bulk{Do: account.BulkUnblock, Query: "away"}))
			},
			"releases from a second factor": func(by account.Actor) error { return second(w.RequireSecond(ctx, by, 100042, lead.ID, false)) },
			"asks no second factor of anybody": func(by account.Actor) error {
				return second(w.SetSettings(ctx, by, account.SettingsOf(100042), []account.Setting{{Name: "second_grace_days", Value: "9"}}))
			},
			"adds to the administrators": func(by account.Actor) error {
				return second(w.AddMembers(ctx, by, 100042, h.admins, "otto@example.org", time.Time{}))
			},
			"adds to a group with rights": func(by account.Actor) error {
				return second(w.AddMembers(ctx, by, 100042, h.logs.ID, "otto@example.org", time.Time{}))
			},
			"adds many": func(by account.Actor) error {
				return second(w.ActOnUsers(ctx, by, 100042, account.Bulk{Do: account.BulkGroup, GroupID: h.logs.ID}, []string{h.otto.ID}))
			},
			"adds all": func(by account.Actor) error {
				return second(w.StartBulk(ctx, by, 100042, account.Bulk{Do: account.BulkGroup, GroupID: h.logs.ID, Query: "otto"}))
			},
			"makes a user with rights": func(by account.Actor) error { return second(w.AddUser(ctx, by, 100042, n)) },
			"invites to rights": func(by account.Actor) error {
				return second(w.Invite(ctx, by, 100042, h.logs.ID, "more@example.net", time.Time{}))
			},
			"invites again": func(by account.Actor) error { return second(w.ResendInvitation(ctx, by, 100042, waits.ID)) },
			"gives a longer membership": func(by account.Actor) error {
				_, _, err := w.SetMembershipEnd(ctx, by, 100042, h.leads.ID, lead.ID, time.Time{})
				return err
			},
			"gives a group rights": func(by account.Actor) error { return second(w.SetGroupRights(ctx, by, 100042, h.ward.ID, grants)) },
			"grants a request":     func(by account.Actor) error { return second(w.DecideRequest(ctx, by, asked[0].ID, true, "", "")) },
			"starts an import":     func(by account.Actor) error { return w.StartImport(ctx, by, 100042, list.ID) },
			"resets a delegate":    func(by account.Actor) error { return second(w.ResetPassword(ctx, by, 100042, lead.ID, temp, temp)) },
			"lifts a factor":       func(by account.Actor) error { return second(w.DecideLift(ctx, by, 100042, h.nina.ID, true)) },
		}
		w.user(100042, "runs@example.org")
		runs, seed, _ := w.app(w.signIn("runs@example.org", better))
		_, _, err := w.AddOperator(ctx, w.root, "runs@example.org")
		w.ok(err)
		w.pass(time.Minute)
		operator := get[*account.Session](w)(w.ProveSecond(ctx, runs, w.code(seed))).OperatorActor(here)
		w.pass(account.FreshLimit)
		for name, act := range acts {
			if err := act(h.ada); !fault.Is(err, fault.Denied) || !fault.HasKey(err, "second.again") {
				t.Errorf("AT-43: with an old session she %s: %v", name, err)
			}
		}
		if err := second(w.AddAdministrator(ctx, operator, 100042, account.NewUser{Address: "otto@example.org", FirstName: "O", LastName: "O"}, false)); !fault.HasKey(err, "second.again") {
			t.Errorf("AT-43: an operator's old session makes an administrator: %v", err)
		}
		if _, err := w.OpenAccount(ctx, operator, account.NewAccount{Name: "Another", Language: "en", TimeZone: "UTC"}, "otto@example.net"); !fault.HasKey(err, "second.again") {
			t.Errorf("AT-43: an operator's old session opens an account: %v", err)
		}
		// What gives nobody a right, or takes one, needs none.
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.ward.ID, "otto@example.org", time.Time{}))
		get[store.Group](w)(w.RenameGroup(ctx, h.ada, 100042, h.logs.ID, "Logs"))
		get[account.Pending](w)(w.RevokeInvitation(ctx, h.ada, 100042, revoked.ID))
		get[store.User](w)(w.ResetPassword(ctx, h.ada, 100042, h.otto.ID, temp, temp))
		_, _, err = w.RemoveMember(ctx, h.ada, 100042, h.desks.ID, get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "desk@example.org")).ID)
		w.ok(err)
		again := w.signIn("ada@example.org", good).Actor(here)
		for name, act := range acts {
			if err := act(again); fault.HasKey(err, "second.again") {
				t.Errorf("with a fresh session she is asked again: %s", name)
			}
		}
	})
}
