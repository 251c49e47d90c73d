package account_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

// An invitation that waits gives no more than its inviter has when it is
// accepted: who is about to lose a right leaves no way back to it.
func TestInvitationGivesWhatIsHeld(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, admins := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		desk := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Help desk"))
		ward := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Ward 3"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}}))
		lea := w.user(100042, "lea@example.org")
		l := account.Actor{Kind: account.KindUser, UserID: lea.ID, Address: lea.Address, Name: "Lea", Origin: here}
		get[account.AddResult](w)(w.AddMembers(ctx, a, 100042, admins, "lea@example.org", time.Time{}))

		invite := func(by account.Actor, group, address string) account.InvitationLetter {
			get[account.Pending](w)(w.Invite(ctx, by, 100042, group, address, time.Time{}))
			letter, _ := last[account.InvitationLetter](w.mail)
			return letter
		}
		accept := func(letter account.InvitationLetter) account.UserView {
			get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), letter.Token, account.Enrolment{FirstName: "X", Password: better, Confirm: better}))
			return get[account.UserView](w)(w.UserByAddress(ctx, w.root, 100042, letter.To.Canonical()))
		}
		kept := accept(invite(l, admins, "kept@example.com"))
		if len(kept.Groups) != 1 || kept.Groups[0].ID != admins {
			w.Errorf("while she may: %+v", kept.Groups)
		}
		back := invite(l, admins, "back@example.com")
		renewed := invite(l, admins, "renewed@example.com")
		get[account.AddResult](w)(w.AddMembers(ctx, a, 100042, desk.ID, "lea@example.org", time.Time{}))
		later := invite(l, ward.ID, "later@example.com")
		plain := invite(l, ward.ID, "plain@example.com")
		_, _, err := w.RemoveMember(ctx, a, 100042, admins, lea.ID)
		w.ok(err)

		if v := get[account.InvitationView](w)(w.Invitation(ctx, back.Token)); v.Builtin || v.Group != "" {
			w.Errorf("the page promises %+v", v)
		}
		if u := accept(back); len(u.Groups) != 0 || len(u.Rights) != 0 || u.AccountID != 100042 {
			w.Errorf("by an invitation of before: %+v, %+v", u.Groups, u.Rights)
		}
		// Sent again by who may, it counts.
		pending := get[account.MembersPage](w)(w.Members(ctx, a, 100042, admins, "", "", 10)).Pending
		if len(pending) != 1 {
			w.Fatalf("%+v", pending)
		}
		get[account.Pending](w)(w.ResendInvitation(ctx, a, 100042, pending[0].ID))
		again, _ := last[account.InvitationLetter](w.mail)
		if u := accept(again); again.Token == renewed.Token || len(u.Groups) != 1 {
			w.Errorf("sent again: %+v", u.Groups)
		}
		// A group without rights takes who was invited; one that was given rights meanwhile does not.
		if u := accept(plain); len(u.Groups) != 1 || u.Groups[0].ID != ward.ID {
			w.Errorf("a group without rights: %+v", u.Groups)
		}
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, ward.ID, []store.Grant{{Right: store.RightAudit}}))
		if u := accept(later); len(u.Groups) != 0 || len(u.Rights) != 0 {
			w.Errorf("a group that has rights now: %+v, %+v", u.Groups, u.Rights)
		}
		get[store.User](w)(w.DeleteUser(ctx, a, 100042, lea.ID))
	})
}
