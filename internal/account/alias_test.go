package account_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// alias adds an address to a person, with its mailed code.
func (w *world) alias(s *account.Session, address string) error {
	w.Helper()
	w.ok(w.SendAliasCode(w.Context(), s, address))
	l, _ := last[account.CodeLetter](w.mail)
	if l.To.String() != address || l.Purpose != store.CodeAlias {
		w.Fatalf("the last letter is %+v", l)
	}
	_, err := w.AddAlias(w.Context(), s, l.Code)
	return err
}

func TestAliases(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		lea, eve := w.enrolled(100042, "lea@example.net"), w.enrolled(100042, "eve@example.net")
		lea.Origin, eve.Origin = here, faraway

		w.ok(w.SendAliasCode(ctx, lea, "Lea@old.example"))
		l, _ := last[account.CodeLetter](w.mail)
		_, err := w.AddAlias(ctx, eve, l.Code)
		w.fails(err, fault.Invalid, "people.nocode") // another session's
		_, err = w.AddAlias(ctx, lea, wrongOf(l.Code))
		w.fails(err, fault.Invalid, "code.wrong")
		if a := get[string](w)(w.AddAlias(ctx, lea, l.Code)); a != "lea@old.example" {
			t.Errorf("added %s", a)
		}
		_, err = w.AddAlias(ctx, lea, l.Code)
		w.fails(err, fault.Invalid, "people.nocode") // a second use
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 1 || list[0].Address != "lea@old.example" {
			t.Errorf("aliases %+v", list)
		}

		w.fails(w.SendAliasCode(ctx, lea, "LEA@old.example"), fault.Conflict, "alias.own")
		w.fails(w.SendAliasCode(ctx, lea, "lea@example.net"), fault.Conflict, "alias.own")
		w.fails(w.SendAliasCode(ctx, lea, "no address"), fault.Invalid, "err.email")
		// Another's: the code is mailed as to anybody, and then it is not said whose it is.
		w.fails(w.alias(eve, "lea@old.example"), fault.Conflict, "alias.taken")
		w.fails(w.alias(eve, "lea@example.net"), fault.Conflict, "alias.taken")
		if n := w.audit(0, "alias.add", store.Refused); n != 3 { // one of them for a wrong code
			t.Errorf("%d refusals recorded", n)
		}

		// Whoever proves the mailbox and makes it an account of their own has it.
		w.enrolled(100042, "lea@old.example")
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 0 {
			t.Errorf("still %+v", list)
		}
		// So has whoever an account made or invited, from when they prove it.
		w.ok(w.alias(lea, "made@old.example"))
		w.ok(w.alias(lea, "invited@old.example"))
		w.user(100042, "made@old.example")
		w.signIn("made@old.example", better) // a password that somebody gave them proves nothing
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 2 {
			t.Errorf("taken without a proof: %+v", list)
		}
		v := w.visit()
		w.ok(w.SendSignInCode(ctx, v, "made@old.example", here))
		l, _ = last[account.CodeLetter](w.mail)
		get[*account.Session](w)(w.SignInWithCode(ctx, v, l.Code, here, "Firefox"))
		get[account.Pending](w)(w.Invite(ctx, w.root, 100042, "", "invited@old.example", time.Time{}))
		i, _ := last[account.InvitationLetter](w.mail)
		get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), i.Token, account.Enrolment{FirstName: "Ina", Password: better, Confirm: better}))
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 0 {
			t.Errorf("still %+v", list)
		}

		w.ok(w.alias(lea, "new@old.example"))
		w.ok(w.RemoveAlias(ctx, eve, "new@old.example"))
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 1 {
			t.Error("somebody else removed an alias")
		}
		w.ok(w.RemoveAlias(ctx, lea, "new@old.example"))
		w.ok(w.alias(eve, "new@old.example"))
	})
}

// Nobody mails the world codes through this page, nor fills the table.
func TestAliasLimits(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		lea := w.enrolled(100042, "lea@example.net")
		lea.Origin = here
		for i := range 10 {
			w.ok(w.SendAliasCode(w.Context(), lea, fmt.Sprintf("a%d@old.example", i)))
		}
		w.fails(w.SendAliasCode(w.Context(), lea, "a@old.example"), fault.TooMany, "code.toomany")
		w.pass(time.Hour)
		for i := range 20 {
			w.pass(7 * time.Minute)
			lea = get[*account.Session](w)(w.Confirm(w.Context(), lea, better))
			lea.Origin = here
			w.ok(w.alias(lea, fmt.Sprintf("b%d@old.example", i)))
		}
		w.fails(w.SendAliasCode(w.Context(), lea, "c@old.example"), fault.Conflict, "alias.many")
	})
}

// The devices of an address are shown to whoever proved its mailbox: an
// administrator who made its user, and knows the password, sees and ends none.
func TestKnownDevices(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.enrolled(100042, "lea@example.net")
		put := func(address string) {
			w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
				return tx.PutRemembered(store.Remembered{TokenHash: "d" + address, Address: address, Client: "Firefox"})
			}))
		}
		put("lea@example.net")
		put("lea@old.example")
		put("ada@example.org")
		if list := get[[]account.KnownDevice](w)(w.KnownDevices(ctx, lea)); len(list) != 1 || list[0].Address != "lea@example.net" {
			t.Errorf("devices %+v", list)
		}
		w.ok(w.alias(lea, "lea@old.example"))
		if list := get[[]account.KnownDevice](w)(w.KnownDevices(ctx, lea)); len(list) != 2 {
			t.Errorf("devices %+v", list)
		}
		if !ada.User.Managed || len(get[[]account.KnownDevice](w)(w.KnownDevices(ctx, ada))) != 0 {
			t.Error("a user whom an administrator made sees devices without having proved the mailbox")
		}
		w.ok(w.ForgetDevices(ctx, lea))
		w.ok(w.ForgetDevices(ctx, ada))
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			left, err := tx.ListRemembered("lea@example.net", "lea@old.example", "ada@example.org")
			if len(left) != 1 || left[0].Address != "ada@example.org" {
				t.Errorf("left %+v", left)
			}
			return err
		}))
	})
}

// An old session, which somebody may have found open, neither adds nor removes
// an address; what changes is told to all the addresses that were there.
func TestAliasAsksForProof(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		lea := w.enrolled(100042, "lea@example.net")
		lea.Origin = here
		told := func() (to []string, what, name string) {
			w.mail.mu.Lock()
			defer w.mail.mu.Unlock()
			for _, x := range w.mail.letters {
				if l, ok := x.(account.FactorLetter); ok {
					to, what, name = append(to, l.To.Canonical()), l.What, l.Name
				}
			}
			w.mail.letters = nil
			return to, what, name
		}
		w.ok(w.alias(lea, "one@old.example"))
		if to, what, name := told(); !slices.Equal(to, []string{"lea@example.net"}) || what != account.FactorAliasAdded || name != "one@old.example" {
			w.Errorf("told %v %s %s", to, what, name)
		}
		w.ok(w.alias(lea, "two@old.example"))
		if to, _, _ := told(); !slices.Equal(to, []string{"one@old.example", "lea@example.net"}) {
			w.Errorf("told %v", to)
		}
		w.ok(w.SendAliasCode(ctx, lea, "eve@old.example"))
		l, _ := last[account.CodeLetter](w.mail)
		w.pass(account.FreshLimit)
		w.fails(w.SendAliasCode(ctx, lea, "eva@old.example"), fault.Denied, "second.again")
		_, err := w.AddAlias(ctx, lea, l.Code)
		w.fails(err, fault.Denied, "second.again")
		w.fails(w.RemoveAlias(ctx, lea, "one@old.example"), fault.Denied, "second.again")
		if list := get[[]account.Alias](w)(w.Aliases(ctx, lea)); len(list) != 2 {
			w.Errorf("aliases %+v", list)
		}
		if to, _, _ := told(); len(to) != 0 {
			w.Errorf("told %v of nothing", to)
		}
		lea = get[*account.Session](w)(w.Confirm(ctx, lea, better))
		lea.Origin = here
		w.ok(w.RemoveAlias(ctx, lea, "one@old.example"))
		if to, what, _ := told(); !slices.Equal(to, []string{"two@old.example", "lea@example.net"}) || what != account.FactorAliasRemoved {
			w.Errorf("told %v %s", to, what)
		}
	})
}
