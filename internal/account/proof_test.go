package account_test

import (
	"testing"

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
