package account_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// Tries that are refused leave a record in the account of the person that they
// are about; those at nobody in none. A flood leaves a few, which say how many.
func TestRefusedTries(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		words, err := i18n.Load()
		w.ok(err)
		w.account(100042, "ada@example.org")
		w.signIn("ada@example.org", good)

		wrong := func(address, from string) error {
			_, err := w.SignIn(ctx, w.visit(), address, "not it at all", from, "")
			return err
		}
		for i := range 12 {
			w.fails(wrong("ada@example.org", fmt.Sprintf("203.0.%d.1", i)), fault.Unauthenticated, "si.bad")
			w.fails(wrong(fmt.Sprintf("nobody%d@example.org", i), fmt.Sprintf("203.0.%d.1", i)), fault.Unauthenticated, "si.bad")
		}
		if n, of := w.audit(100042, "session.signin", store.Refused), w.audit(0, "session.signin", store.Refused); n != 2 || of != 2 {
			w.Errorf("%d records about her, %d about nobody", n, of)
		}
		log := get[account.AuditPage](w)(w.Audit(ctx, w.root, 100042, "", 10)).Records
		if r := log[0]; r.Detail["times"] != "10" || r.Detail["reason"] != "si.bad" || r.Target != "ada@example.org" ||
			account.Sentence(words.Printer("en", time.UTC), r) != "Sign-in refused for ada@example.org, 10 times within an hour" {
			w.Errorf("the last record is %+v", r)
		}
		for _, r := range get[account.AuditPage](w)(w.Audit(ctx, w.root, 0, "", 10)).Records {
			if r.Action == "session.signin" && (r.Target != "" || r.Actor != "nobody") {
				w.Errorf("says who does not exist: %+v", r)
			}
		}
		w.pass(time.Hour)
		w.fails(wrong("ada@example.org", faraway), fault.Unauthenticated, "si.bad")
		if n := w.audit(100042, "session.signin", store.Refused); n != 3 {
			w.Errorf("%d records after an hour", n)
		}
		for range 5 {
			wrong("ada@example.org", faraway)
		}
		if n := w.audit(100042, "session.signin", store.Refused); n != 4 { // that she is kept waiting
			w.Errorf("%d records with the wait", n)
		}

		// A mailed code, the current password, an invitation that has ended, and one that never was.
		v := w.visit()
		w.ok(w.SendSignInCode(ctx, v, "ada@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		for range account.CodeTries {
			w.SignInWithCode(ctx, v, wrongOf(l.Code), here, "")
		}
		if n := w.audit(100042, "session.signin", store.Refused); n != 6 { // wrong, and dead
			w.Errorf("%d records with the codes", n)
		}
		in := get[*account.Session](w)(w.Session(ctx, w.signIn("ada@example.org", good).Token))
		_, err = w.Confirm(ctx, in, "not it at all")
		w.fails(err, fault.Invalid, "people.current")
		get[account.Pending](w)(w.Invite(ctx, w.root, 100042, "", "ina@example.org", time.Time{}))
		i, _ := last[account.InvitationLetter](w.mail)
		w.pass(account.InvitationLimit)
		_, err = w.AcceptInvitation(ctx, w.visit(), i.Token, account.Enrolment{FirstName: "Ina", Password: better, Confirm: better})
		w.fails(err, fault.Gone, "inv.old")
		_, err = w.AcceptInvitation(ctx, w.visit(), id.NewToken(), account.Enrolment{})
		w.fails(err, fault.NotFound, "e404.h1")
		if a, b, c := w.audit(100042, "session.confirm", store.Refused), w.audit(100042, "invitation.accept", store.Refused), w.audit(0, "invitation.accept", store.Refused); a != 1 || b != 1 || c != 1 {
			w.Errorf("%d %d %d records", a, b, c)
		}
	})
}
