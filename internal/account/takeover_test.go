package account_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// An invitation that is taken up by somebody who is in the account already puts
// them under nobody who could not have added them (AT-58).
func TestInvitationPullsNobody(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		otto := w.signIn("otto@example.org", better)
		get[account.Pending](w)(w.Invite(ctx, h.lead, 100042, h.ward.ID, "otto@example.org", time.Time{}))
		letter, _ := last[account.InvitationLetter](w.mail)
		get[*account.Session](w)(w.AcceptInvitation(ctx, otto, letter.Token, account.Enrolment{}))
		if _, err := w.User(ctx, h.lead, 100042, h.otto.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("AT-58: who manages one group reaches a colleague by their click: %v", err)
		}
	})
}

// Nobody makes a user whose address is in a domain that another account has proved.
func TestUserOfAnotherAccountsDomain(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		mal, _ := w.account(100043, "mal@rival.example")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.InsertDomain(store.Domain{Name: "clinic.example", AccountID: 100042})
		}))
		n := account.NewUser{Address: "bob@clinic.example", FirstName: "Bob", LastName: "Bo", Password: better, Confirm: better}
		_, err := w.AddUser(ctx, mal.Actor(here), 100043, n)
		w.fails(err, fault.Conflict, "people.unavailable")
		get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, n))
	})
}

// Of the last two administrators who delete themselves at once, one stays.
func TestDeleteOwnAtOnce(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		for number := int64(300000); number < 300020; number++ {
			one, two := fmt.Sprintf("a%d@example.org", number), fmt.Sprintf("b%d@example.org", number)
			a, group := w.account(number, one)
			get[account.Added](w)(w.AddUser(ctx, a.Actor(here), number, account.NewUser{Address: two, Password: better, Confirm: better, Own: true, GroupID: group}))
			b := w.signIn(two, better)
			errs := make(chan error, 2)
			go func() { errs <- w.DeleteOwn(ctx, a, one) }()
			go func() { errs <- w.DeleteOwn(ctx, b, two) }()
			<-errs
			<-errs
			if v := get[account.AccountView](w)(w.Account(ctx, w.root, number)); v.Administrators != 1 {
				t.Fatalf("%d administrators are left", v.Administrators)
			}
		}
	})
}
