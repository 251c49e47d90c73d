package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
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

		if v := get[account.InvitationView](w)(w.Invitation(ctx, back.Token)); len(v.Groups) != 0 {
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

// operator is somebody who runs the service from a browser, as they act there.
func (w *world) operator(u store.User) account.Actor {
	w.Helper()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error { return tx.InsertOperator(u.ID, "operator:root") }))
	return account.Actor{Kind: account.KindOperator, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: here}
}

// Whom an operator invites from a browser is what they were invited as, in an
// account that is not the operator's own, while the operator is one.
func TestOperatorInvites(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		opal := w.user(100042, "opal@example.org")
		op := w.operator(opal)
		open := func(name, admin string) (store.Account, account.InvitationLetter) {
			a := get[store.Account](w)(w.OpenAccount(ctx, op, account.NewAccount{Name: name, Language: "en", TimeZone: "Europe/Paris"}, admin))
			letter, _ := last[account.InvitationLetter](w.mail)
			return a, letter
		}
		accept := func(number int64, letter account.InvitationLetter) account.UserView {
			get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), letter.Token, account.Enrolment{FirstName: "X", Password: better, Confirm: better}))
			return get[account.UserView](w)(w.UserByAddress(ctx, w.root, number, letter.To.Canonical()))
		}
		a, letter := open("First", "max@first.example")
		get[account.SettingsView](w)(w.SetSettings(ctx, w.root, account.SettingsOf(a.ID), []account.Setting{{Name: "guests", Value: "false"}}))
		if v := get[account.InvitationView](w)(w.Invitation(ctx, letter.Token)); len(v.Groups) != 1 || !v.Groups[0].Builtin {
			w.Errorf("the page promises %+v", v)
		}
		if u := accept(a.ID, letter); len(u.Groups) != 1 || !u.Groups[0].Builtin || u.TimeZone != a.TimeZone {
			w.Errorf("in %+v, at the time of %s", u.Groups, u.TimeZone)
		}
		if l, n := last[account.AdminAddedLetter](w.mail); n == 0 || l.Admin != opal.Name() {
			w.Errorf("the letter says that %q did it", l.Admin)
		}
		a, letter = open("Second", "max@second.example")
		get[store.User](w)(w.RemoveOperator(ctx, w.root, "opal@example.org"))
		if u := accept(a.ID, letter); len(u.Groups) != 0 {
			w.Errorf("by who is an operator no longer: in %+v", u.Groups)
		}
	})
}

// A search in a group's invitations is of canonical addresses, beyond the first page too.
func TestGroupInvitations(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		ward := w.group(ada, "Ward 3")
		for i := range 101 {
			get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, ward.ID, fmt.Sprintf("n%d@example.org", i), time.Time{}))
		}
		get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, ward.ID, "Zoe.Martin@Example.org", time.Time{}))
		dora := w.delegate(ada, ward, "dora@example.org")
		for _, query := range []string{"zoe", "ZOE.m"} {
			if p := get[account.InvitationsPage](w)(w.Invitations(ctx, dora.Actor(here), 100042, ward.ID, query, "", 10)).Pending; len(p) != 1 || p[0].Address != "Zoe.Martin@example.org" {
				t.Errorf("%q finds %+v", query, p)
			}
			if p := get[account.UsersPage](w)(w.Users(ctx, dora.Actor(here), 100042, query, account.OnlyInvited, "", 10)); len(p.Pending) != 1 {
				t.Errorf("%q finds %+v among all", query, p.Pending)
			}
		}
		if p := get[account.InvitationsPage](w)(w.Invitations(ctx, dora.Actor(here), 100042, ward.ID, "martin", "", 10)).Pending; len(p) != 0 {
			t.Errorf("%+v", p)
		}
		// All of them come in pages, to the delegate of several groups too, and to the list of users.
		more := w.group(ada, "Ward 4")
		get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, more.ID, "n5@example.org", time.Time{}))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, ada.Actor(here), 100042, get[account.UserView](w)(w.UserByAddress(ctx, ada.Actor(here), 100042, "dora@example.org")).Groups[0].ID,
			[]store.Grant{{Right: store.RightUsers, Scope: ward.ID}, {Right: store.RightUsers, Scope: more.ID}}))
		for name, page := range map[string]func(after string) account.InvitationsPage{
			"a delegate's": func(after string) account.InvitationsPage {
				return get[account.InvitationsPage](w)(w.Invitations(ctx, dora.Actor(here), 100042, "", "", after, 40))
			},
			"the account's": func(after string) account.InvitationsPage {
				return get[account.InvitationsPage](w)(w.Invitations(ctx, ada.Actor(here), 100042, "", "", after, 40))
			},
			"those of the list of users": func(after string) account.InvitationsPage {
				p := get[account.UsersPage](w)(w.Users(ctx, ada.Actor(here), 100042, "", account.OnlyInvited, after, 40))
				return account.InvitationsPage{Pending: p.Pending, Next: p.Next}
			},
		} {
			var seen []string
			for p, after := page(""), ""; ; p = page(after) {
				for _, i := range p.Pending {
					seen = append(seen, strings.ToLower(i.Address)+" "+i.ID)
				}
				if after = p.Next; after == "" {
					break
				}
			}
			if len(seen) != 103 || !slices.IsSorted(seen) || len(slices.Compact(seen)) != 103 {
				t.Errorf("%s: %d in pages", name, len(seen))
			}
		}
		_, err := w.Invitations(ctx, dora.Actor(here), 100042, w.admins(100042).ID, "", "", 10)
		w.fails(err, fault.NotFound, "e404.h1")
	})
}
