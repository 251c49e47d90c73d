package account_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// calls is every method that takes an actor and an account, on objects of the
// account that is named last.
func calls(w *world, number int64, group, user, invitation, request string) map[string]func(a account.Actor) error {
	ctx := w.Context()
	n := account.NewUser{Address: id.New() + "@example.org", Password: temp, Confirm: temp, EnforceExpiry: true}
	return map[string]func(a account.Actor) error{
		"account.view":  func(a account.Actor) error { _, err := w.Account(ctx, a, number); return err },
		"domain.list":   func(a account.Actor) error { _, err := w.Domains(ctx, a, number); return err },
		"domain.remove": func(a account.Actor) error { return w.RemoveDomain(ctx, a, number, "none.example") },
		"domain.claim":  func(a account.Actor) error { _, err := w.ClaimDomain(ctx, a, number, "none.example"); return err },
		"domain.check":  func(a account.Actor) error { _, err := w.CheckDomain(ctx, a, number, "none.example"); return err },
		"domain.senders": func(a account.Actor) error {
			return w.SetDomainSenders(ctx, a, number, "none.example", group)
		},
		"domain.list one": func(a account.Actor) error { _, err := w.Domain(ctx, a, number, "none.example"); return err },
		"dkim.make":       func(a account.Actor) error { _, err := w.MakeDKIMKey(ctx, a, number, "none.example"); return err },
		"dkim.remove":     func(a account.Actor) error { return w.RemoveDKIMKey(ctx, a, number, "none.example", "x") },
		"group.rights": func(a account.Actor) error {
			_, err := w.SetGroupRights(ctx, a, number, group, nil)
			return err
		},
		"group.view rights": func(a account.Actor) error { _, err := w.GroupRights(ctx, a, number, group); return err },
		"member.set_end": func(a account.Actor) error {
			_, _, err := w.SetMembershipEnd(ctx, a, number, group, user, time.Time{})
			return err
		},
		"group.view":         func(a account.Actor) error { _, err := w.Groups(ctx, a, number, "", "", 5); return err },
		"group.view one":     func(a account.Actor) error { _, err := w.Group(ctx, a, number, group); return err },
		"group.view name":    func(a account.Actor) error { _, err := w.GroupNamed(ctx, a, number, "x"); return err },
		"group.view members": func(a account.Actor) error { _, err := w.Members(ctx, a, number, group, "", "", 5); return err },
		"group.add":          func(a account.Actor) error { _, err := w.AddGroup(ctx, a, number, "x"); return err },
		"group.rename":       func(a account.Actor) error { _, err := w.RenameGroup(ctx, a, number, group, "y"); return err },
		"group.delete":       func(a account.Actor) error { _, err := w.DeleteGroup(ctx, a, number, group); return err },
		"member.add": func(a account.Actor) error {
			_, err := w.AddMembers(ctx, a, number, group, "eve@example.com", time.Time{})
			return err
		},
		"member.remove": func(a account.Actor) error { _, _, err := w.RemoveMember(ctx, a, number, group, user); return err },
		"invitation.send": func(a account.Actor) error {
			_, err := w.Invite(ctx, a, number, group, "new@example.org", time.Time{})
			return err
		},
		"invitation.send more": func(a account.Actor) error { _, err := w.ResendInvitation(ctx, a, number, invitation); return err },
		"invitation.revoke":    func(a account.Actor) error { _, err := w.RevokeInvitation(ctx, a, number, invitation); return err },
		"user.view":            func(a account.Actor) error { _, err := w.Users(ctx, a, number, "", "", "", 5); return err },
		"user.view one":        func(a account.Actor) error { _, err := w.User(ctx, a, number, user); return err },
		"user.view address":    func(a account.Actor) error { _, err := w.UserByAddress(ctx, a, number, "bo@example.com"); return err },
		"user.view suggest":    func(a account.Actor) error { _, err := w.Suggest(ctx, a, number, "b"); return err },
		"user.add":             func(a account.Actor) error { _, err := w.AddUser(ctx, a, number, n); return err },
		"user.block":           func(a account.Actor) error { _, err := w.BlockUser(ctx, a, number, user); return err },
		"user.unblock":         func(a account.Actor) error { _, err := w.UnblockUser(ctx, a, number, user); return err },
		"user.reset_password":  func(a account.Actor) error { _, err := w.ResetPassword(ctx, a, number, user, temp, temp); return err },
		"user.delete":          func(a account.Actor) error { _, err := w.DeleteUser(ctx, a, number, user); return err },
		"request.view":         func(a account.Actor) error { _, err := w.Requests(ctx, a, number, "", 50); return err },
		"request.decide":       func(a account.Actor) error { _, err := w.DecideRequest(ctx, a, request, true, "", ""); return err },
		"audit.view":           func(a account.Actor) error { _, err := w.Audit(ctx, a, number, "", 5); return err },
		"message.explain":      func(a account.Actor) error { _, err := w.Transits(ctx, a, number, "x@y.test"); return err },
		"upstream.list":        func(a account.Actor) error { _, err := w.Upstreams(ctx, a, number); return err },
		"token.view":           func(a account.Actor) error { _, err := w.Tokens(ctx, a, number, "", 5); return err },
		"token.view one":       func(a account.Actor) error { _, err := w.Token(ctx, a, number, "none"); return err },
		"token.revoke":         func(a account.Actor) error { _, err := w.RevokeToken(ctx, a, number, "none"); return err },
		"rules.view":           func(a account.Actor) error { _, err := w.Rules(ctx, a, number, 0); return err },
		"rules.view history":   func(a account.Actor) error { _, err := w.RulesHistory(ctx, a, number, "", 5); return err },
		"rules.set":            func(a account.Actor) error { _, err := w.SetRules(ctx, a, number, `default = "seal"`); return err },
		"report.view": func(a account.Actor) error {
			_, err := w.Report(ctx, a, number, 7, time.Time{}, 5)
			return err
		},
		"audit.view one": func(a account.Actor) error { _, err := w.UserActivity(ctx, a, number, user, 5); return err },
	}
}

// onlyOperators are the methods that no administrator may call.
func onlyOperators(w *world, number int64) map[string]func(a account.Actor) error {
	ctx := w.Context()
	return map[string]func(a account.Actor) error{
		"account.create": func(a account.Actor) error {
			_, err := w.CreateAccount(ctx, a, account.NewAccount{Name: "Mine"})
			return err
		},
		"account.suspend": func(a account.Actor) error { return w.SuspendAccount(ctx, a, number) },
		"account.resume":  func(a account.Actor) error { return w.ResumeAccount(ctx, a, number) },
		"domain.add":      func(a account.Actor) error { _, _, err := w.AddDomain(ctx, a, number, "example.org"); return err },
		"upstream.add": func(a account.Actor) error {
			_, err := w.AddUpstream(ctx, a, number, account.NewUpstream{Name: "mta", Networks: []string{"192.0.2.1"}})
			return err
		},
		"upstream.remove": func(a account.Actor) error { return w.RemoveUpstream(ctx, a, number, "mta") },
		"account.add_administrator": func(a account.Actor) error {
			_, err := w.AddAdministrator(ctx, a, number, account.NewUser{Address: "eve@example.com"}, false)
			return err
		},
	}
}

// AT-56, AT-59: every act by every kind of actor on an account that is their
// own, another's and missing. What is another's answers as what is missing, and
// changes nothing; each refusal is recorded where the actor belongs.
func TestEveryActByEveryone(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		_, theirs := w.account(100043, "bo@example.com")
		plain := w.user(100042, "plain@example.org")
		victim := w.user(100043, "victim@example.com")
		invitation := get[account.Pending](w)(w.Invite(ctx, w.root, 100043, theirs, "zoe@example.com", time.Time{}))
		w.ok(w.RequestAccess(ctx, w.signIn("victim@example.com", better), 100043, store.RightAll, "please"))
		request := get[account.RequestsPage](w)(w.Requests(ctx, w.root, 100043, "", 50)).Requests[0]
		suspended, _ := w.account(100044, "sam@example.net")
		sam := suspended.Actor(here)
		w.ok(w.SuspendAccount(ctx, w.root, 100044))
		dead := w.signIn("ada@example.org", good)
		w.ok(w.SignOut(ctx, dead))

		count := func() (n int) {
			for _, r := range get[account.AuditPage](w)(w.Audit(ctx, w.root, 100043, "", 500)).Records {
				if r.Outcome == store.Done {
					n++
				}
			}
			return n
		}
		before := count()
		foreign := calls(w, 100043, theirs, victim.ID, invitation.ID, request.ID)
		missing := calls(w, 999999, theirs, victim.ID, invitation.ID, id.New())
		delete(missing, "request.decide") // takes no account
		for name := range missing {
			for _, a := range []account.Actor{ada.Actor(here), w.signIn("plain@example.org", better).Actor(here)} {
				foreignErr, missingErr := foreign[name](a), missing[name](a)
				w.fails(foreignErr, fault.NotFound, "e404.h1")
				w.fails(missingErr, fault.NotFound, "e404.h1")
				if foreignErr.Error() != missingErr.Error() {
					t.Errorf("%s: %q for another's, %q for a missing one", name, foreignErr, missingErr)
				}
			}
		}
		w.fails(foreign["request.decide"](ada.Actor(here)), fault.NotFound, "e404.h1")
		all := maps.Clone(foreign)
		maps.Copy(all, onlyOperators(w, 100042))
		for name, call := range all {
			for _, a := range []account.Actor{{}, {Kind: account.KindSystem}, {Kind: account.KindUser, UserID: id.New()}, {Kind: account.Kind(77)}} {
				if err := call(a); !fault.Is(err, fault.Denied) {
					t.Errorf("%s by %s: %v", name, a, err)
				}
			}
		}
		for name, call := range calls(w, 100042, w.admins(100042).ID, plain.ID, id.New(), id.New()) {
			if strings.HasPrefix(name, "request.decide") {
				continue
			}
			w.fails(call(w.signIn("plain@example.org", better).Actor(here)), fault.Denied, "err.forbidden")
			w.fails(call(dead.Actor(here)), fault.Denied, "err.forbidden")
			action, _, _ := strings.Cut(name, " ")
			if w.audit(100042, action, store.Refused) == 0 {
				t.Errorf("%s: no record of the refusal", name)
			}
		}
		for name, call := range calls(w, 100044, w.admins(100044).ID, suspended.UserID, id.New(), id.New()) {
			if err := call(sam); name != "request.decide" && !fault.Is(err, fault.Denied) {
				t.Errorf("%s in a suspended account: %v", name, err)
			}
		}
		// AT-58: an administrator is no operator.
		for _, call := range onlyOperators(w, 100042) {
			w.fails(call(ada.Actor(here)), fault.Denied, "err.forbidden")
		}
		if after := count(); after != before {
			t.Errorf("%d records of things done in the other account, %d before", after, before)
		}
		if n := len(get[account.MembersPage](w)(w.Members(ctx, w.root, 100043, theirs, "", "", 50)).Members); n != 1 {
			t.Errorf("%d members in the other account", n)
		}

		// The other account's ids inside one's own account are as missing ones.
		own := calls(w, 100042, theirs, victim.ID, invitation.ID, request.ID)
		for _, name := range []string{"group.view one", "group.view members", "group.rename", "group.delete", "group.rights", "group.view rights", "member.set_end", "member.add", "member.remove", "invitation.send",
			"invitation.send more", "invitation.revoke", "user.view one", "user.view address", "user.block", "user.unblock", "user.reset_password",
			"user.delete", "request.decide", "audit.view one"} {
			w.fails(own[name](ada.Actor(here)), fault.NotFound, "e404.h1")
		}
		n := account.NewUser{Address: "in.theirs@example.org", Password: temp, Confirm: temp, GroupID: theirs, EnforceExpiry: true}
		_, err := w.AddUser(ctx, ada.Actor(here), 100042, n)
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.Users(ctx, ada.Actor(here), 100042, "", "", "%%%", 5)
		w.fails(err, fault.Invalid, "err.cursor")

		// Nor does creating tell whose an address is, and inviting tells nothing.
		_, err = w.AddUser(ctx, ada.Actor(here), 100042, account.NewUser{Address: "victim@example.com", Password: temp, Confirm: temp, EnforceExpiry: true})
		w.fails(err, fault.Conflict, "people.unavailable")
		one, two := "victim@example.com", "nobody@example.com"
		a, b := get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, "", one, time.Time{})), get[account.Pending](w)(w.Invite(ctx, ada.Actor(here), 100042, "", two, time.Time{}))
		a.ID, a.Address, b.ID, b.Address = "", "", "", ""
		if a != b {
			t.Errorf("invited %+v and %+v", a, b)
		}
	})
}

// An operator's command names an account; without one it acts on none.
func TestOperatorWithoutAccount(t *testing.T) {
	each(t, func(w *world) {
		for name, call := range calls(w, 0, "", "", "", "") {
			if err := call(w.root); !fault.Is(err, fault.NotFound) && name != "request.view" && name != "audit.view" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// AT-57: two administrators remove each other at the same moment, by every way
// there is, and one remains.
func TestLastAdministratorAtOnce(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ways := map[string]func(a account.Actor, number int64, group, user string) error{
			"remove": func(a account.Actor, number int64, group, user string) error {
				_, _, err := w.RemoveMember(ctx, a, number, group, user)
				return err
			},
			"block": func(a account.Actor, number int64, group, user string) error {
				_, err := w.BlockUser(ctx, a, number, user)
				return err
			},
			"delete": func(a account.Actor, number int64, group, user string) error {
				_, err := w.DeleteUser(ctx, a, number, user)
				return err
			},
		}
		number := int64(200000)
		for first, one := range ways {
			for second, two := range ways {
				for _, self := range []bool{false, true} {
					if self && first == "block" && second == "block" {
						continue // nobody blocks themselves
					}
					number++
					a, group := w.account(number, fmt.Sprintf("a%d@example.org", number))
					n := account.NewUser{Address: fmt.Sprintf("b%d@example.org", number), Password: better, Confirm: better, GroupID: group}
					bUser := get[account.Added](w)(w.AddUser(ctx, a.Actor(here), number, n)).User
					b := w.signIn(bUser.Address, better)
					targetOfA, targetOfB := b.UserID, a.UserID
					if self {
						targetOfA, targetOfB = a.UserID, b.UserID
					}
					errs := make(chan error, 2)
					go func() { errs <- one(a.Actor(here), number, group, targetOfA) }()
					go func() { errs <- two(b.Actor(here), number, group, targetOfB) }()
					ok := 0
					for range 2 {
						if <-errs == nil {
							ok++
						}
					}
					v := get[account.AccountView](w)(w.Account(ctx, w.root, number))
					if ok != 1 || v.Administrators != 1 {
						t.Errorf("%s and %s at once (self %v): %d succeeded, %d administrators", first, second, self, ok, v.Administrators)
					}
				}
			}
		}
	})
}

// The last one who can act stays; one who never chose a password is nobody to rely on.
func TestLastAdministrator(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		lea := get[account.Added](w)(w.AddUser(ctx, actor, 100042, account.NewUser{Address: "lea@example.org", Password: temp, Confirm: temp, EnforceExpiry: true, GroupID: group})).User
		_, _, err := w.RemoveMember(ctx, actor, 100042, group, ada.UserID)
		w.fails(err, fault.Conflict, "m.last")
		_, err = w.BlockUser(ctx, w.root, 100042, ada.UserID)
		w.fails(err, fault.Conflict, "m.last")
		_, err = w.DeleteUser(ctx, actor, 100042, ada.UserID)
		w.fails(err, fault.Conflict, "m.last")
		if n := w.audit(100042, "member.remove", store.Refused); n != 1 {
			t.Errorf("%d records of the refusal", n)
		}
		get[store.User](w)(w.BlockUser(ctx, actor, 100042, lea.ID))
		r, err := w.AddMembers(ctx, actor, 100042, group, "lea@example.org", time.Time{})
		w.fails(err, fault.Invalid, "people.blocked")
		if len(r.Locked) != 1 {
			t.Errorf("locked %+v", r)
		}
		get[store.User](w)(w.UnblockUser(ctx, actor, 100042, lea.ID))
		get[*account.Session](w)(w.SetPassword(ctx, w.signIn("lea@example.org", temp), better, better))
		_, g, err := w.RemoveMember(ctx, actor, 100042, group, ada.UserID) // the page has asked twice
		w.ok(err)
		if !g.Builtin {
			t.Error("not the built-in group")
		}
		_, err = w.Groups(ctx, actor, 100042, "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
	})
}

// AT-61: a blocked person and a suspended account stop at once.
func TestBlockAndSuspend(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		get[account.AddResult](w)(w.AddMembers(ctx, ada.Actor(here), 100042, group, "lea@example.org", time.Time{}))
		session := w.signIn("lea@example.org", better)
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, lea.ID))
		w.dead(session)
		_, err := w.Groups(ctx, session.Actor(here), 100042, "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
		_, err = w.SignIn(ctx, nil, "lea@example.org", better, here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		get[store.User](w)(w.UnblockUser(ctx, ada.Actor(here), 100042, lea.ID))
		w.dead(session) // it ended; it did not wait
		session = w.signIn("lea@example.org", better)
		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		w.dead(session)
		w.dead(ada)
		_, err = w.SignIn(ctx, nil, "lea@example.org", "not the password", here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		_, err = w.SignIn(ctx, nil, "lea@example.org", better, here, "")
		w.fails(err, fault.Unauthenticated, "si.suspended")
		w.ok(w.ResumeAccount(ctx, w.root, 100042))
		w.dead(session)
		w.signIn("lea@example.org", better)
	})
}

func TestGroupsAndPages(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		if p := get[account.GroupsPage](w)(w.Groups(ctx, actor, 100042, "", "", 50)); len(p.Groups) != 1 || !p.Groups[0].Builtin || p.Total != 1 {
			t.Errorf("a new account has %+v", p)
		}
		for _, name := range []string{"Night", "  Day \u200b shift ", "Évêché"} {
			get[store.Group](w)(w.AddGroup(ctx, actor, 100042, name))
		}
		_, err := w.AddGroup(ctx, actor, 100042, "day SHIFT")
		w.fails(err, fault.Conflict, "g.dup")
		_, err = w.AddGroup(ctx, actor, 100042, "account administrators")
		w.fails(err, fault.Conflict, "g.dup")
		_, err = w.AddGroup(ctx, actor, 100042, "   ")
		w.fails(err, fault.Invalid, "people.nogroupname")
		_, err = w.AddGroup(ctx, actor, 100042, strings.Repeat("é", 65))
		w.fails(err, fault.Invalid, "people.namelong")
		for _, name := range []string{"Account \u0410dministrators", "Administrat\u03bfrs", "Administrateurs du \u0441ompte"} {
			_, err = w.AddGroup(ctx, actor, 100042, name)
			w.fails(err, fault.Invalid, "people.mixed")
		}
		words, err := i18n.Load()
		w.ok(err)
		for _, name := range []string{"Account\u2024Administrators", "Account\u3164Administrators", "ACCOUNT ADMÍNISTRATORS", "Account Adm\u0131nistrators",
			words.Printer("fr", time.UTC).T("seed.admins"), words.Printer("en", time.UTC).T("seed.admins"), "Administrateurs  de Compté"} {
			_, err = w.AddGroup(ctx, actor, 100042, name)
			if !fault.HasKey(err, "g.dup") && !fault.HasKey(err, "err.title") || err == nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, name := range []string{"Отдел IT", "α-Strahlen", "日本語テスト"} {
			w.ok(second(w.DeleteGroup(ctx, actor, 100042, get[store.Group](w)(w.AddGroup(ctx, actor, 100042, name)).ID)))
		}
		_, err = w.RenameGroup(ctx, actor, 100042, group, "Mine")
		w.fails(err, fault.Conflict, "g.nodelete")
		_, err = w.DeleteGroup(ctx, actor, 100042, group)
		w.fails(err, fault.Conflict, "g.nodelete")
		var names []string
		for after := ""; ; {
			p := get[account.GroupsPage](w)(w.Groups(ctx, actor, 100042, "", after, 2))
			for _, g := range p.Groups {
				names = append(names, g.Name)
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if got := strings.Join(names, ","); got != "Account Administrators,Day shift,Night,Évêché" {
			t.Errorf("pages: %s", got)
		}
		night := get[store.Group](w)(w.GroupNamed(ctx, actor, 100042, "NIGHT"))
		get[store.Group](w)(w.RenameGroup(ctx, actor, 100042, night.ID, "Late"))
		_, err = w.RenameGroup(ctx, actor, 100042, night.ID, "day shift")
		w.fails(err, fault.Conflict, "g.dup")
		for i := range 5 {
			w.user(100042, fmt.Sprintf("u%d@example.org", i))
		}
		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, night.ID, "u0@example.org u1@example.org u2@example.org", time.Time{}))
		p := get[account.MembersPage](w)(w.Members(ctx, actor, 100042, night.ID, "", "", 2))
		q := get[account.MembersPage](w)(w.Members(ctx, actor, 100042, night.ID, "", p.Next, 2))
		if len(p.Members) != 2 || len(q.Members) != 1 || q.Next != "" || p.Group.Members != 3 {
			t.Errorf("members %+v, %+v", p, q)
		}
		users := get[account.UsersPage](w)(w.Users(ctx, actor, 100042, "u", "", "", 3))
		if len(users.Users) != 3 || users.Total != 5 || users.Next == "" || len(users.Users[0].Groups) != 1 {
			t.Errorf("users %+v", users)
		}
		if s := get[[]account.Person](w)(w.Suggest(ctx, actor, 100042, "U1")); len(s) != 1 || len(s[0].Groups) != 1 {
			t.Errorf("suggested %+v", s)
		}
		get[store.Group](w)(w.DeleteGroup(ctx, actor, 100042, night.ID))
		if v := get[account.AccountView](w)(w.Account(ctx, actor, 100042)); v.Groups != 3 || v.Users != 6 {
			t.Errorf("account %+v", v)
		}
	})
}

func TestRequestAccess(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "eve@example.com")
		w.user(100042, "lea@example.org")
		lea := w.signIn("lea@example.org", better)
		if c := get[[]account.Contact](w)(w.WhoCanHelp(ctx, lea)); len(c) != 1 || c[0].Address != "ada@example.org" {
			t.Errorf("who can help: %v", c)
		}
		w.fails(w.RequestAccess(ctx, lea, 100043, store.RightAll, ""), fault.NotFound, "e404.h1")
		w.ok(w.RequestAccess(ctx, lea, 100042, store.RightAll, "I replace Ada"))
		w.fails(w.RequestAccess(ctx, lea, 100042, store.RightAll, ""), fault.Conflict, "people.asked")
		if l, n := last[account.AccessRequestedLetter](w.mail); n != 1 || l.To.Canonical() != "ada@example.org" || l.Reason != "I replace Ada" {
			t.Errorf("%d letters, %+v", n, l)
		}
		r := get[account.RequestsPage](w)(w.Requests(ctx, ada.Actor(here), 100042, "", 50)).Requests
		if len(r) != 1 || r[0].User.ID != lea.UserID {
			t.Fatalf("requests %+v", r)
		}
		_, err := w.DecideRequest(ctx, lea.Actor(here), r[0].ID, true, "", "") // I2: nobody grants themselves
		w.fails(err, fault.Denied, "err.forbidden")
		get[account.Decision](w)(w.DecideRequest(ctx, ada.Actor(here), r[0].ID, false, "", ""))
		_, err = w.DecideRequest(ctx, ada.Actor(here), r[0].ID, true, "", "")
		w.fails(err, fault.NotFound, "e404.h1")
		w.ok(w.RequestAccess(ctx, lea, 100042, store.RightAll, "please"))
		r = get[account.RequestsPage](w)(w.Requests(ctx, ada.Actor(here), 100042, "", 50)).Requests
		get[account.Decision](w)(w.DecideRequest(ctx, ada.Actor(here), r[0].ID, true, "", ""))
		if lea = get[*account.Session](w)(w.Session(ctx, lea.Token)); len(lea.AdminOf) != 1 {
			t.Error("granted, and no administrator")
		}

		// Who belongs to no account asks the operator, who names the account.
		zoe := get[*account.Session](w)(w.Enrol(ctx, w.proven("zoe@example.net"), account.Enrolment{Password: better, Confirm: better}))
		if c := get[[]account.Contact](w)(w.WhoCanHelp(ctx, zoe)); len(c) != 1 || c[0].Name != "Help desk" {
			t.Errorf("who can help: %v", c)
		}
		w.ok(w.RequestAccess(ctx, zoe, 0, store.RightAll, ""))
		r = get[account.RequestsPage](w)(w.Requests(ctx, w.root, 0, "", 50)).Requests
		_, err = w.DecideRequest(ctx, w.root, r[0].ID, true, "", "")
		w.fails(err, fault.Invalid, "people.namenumber")
		_, err = w.DecideRequest(ctx, ada.Actor(here), r[0].ID, true, "", "")
		w.fails(err, fault.NotFound, "e404.h1")
		added := get[account.AdministratorAdded](w)(w.AddAdministrator(ctx, w.root, 100043, account.NewUser{Address: "zoe@example.net"}, false))
		if added.Created || added.Already || added.User.AccountID != 100043 {
			t.Errorf("added %+v", added)
		}
		_, err = w.AddAdministrator(ctx, w.root, 100042, account.NewUser{Address: "zoe@example.net"}, false)
		w.fails(err, fault.Conflict, "people.elsewhere")
		made := get[account.AdministratorAdded](w)(w.AddAdministrator(ctx, w.root, 100042, account.NewUser{Address: "new@example.org"}, false))
		if !made.Created || w.signIn("new@example.org", made.TemporaryPassword).Scope != store.ScopeSetPassword {
			t.Errorf("made %+v", made)
		}
		if sent := get[account.AdministratorAdded](w)(w.AddAdministrator(ctx, w.root, 100042, account.NewUser{Address: "late@example.org"}, true)); !sent.Invited {
			t.Errorf("invited %+v", sent)
		}
	})
}

// AT-60: nothing that a method gives back can carry a hash or a secret.
func TestResultsHoldNoSecret(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	shown := []string{"AdministratorAdded.TemporaryPassword", "ArchiveView.Job.TokenID", "ImportView.Job.TokenID", "BulkView.Job.TokenID", "Job.TokenID", "TokenView.APIToken", "TokensPage.Tokens", // they name tokens, and hold none
		"Settings.PasswordLength", "Settings.PasswordDays"}
	var walk func(path string, r reflect.Type)
	walk = func(path string, r reflect.Type) {
		for r.Kind() == reflect.Pointer || r.Kind() == reflect.Slice || r.Kind() == reflect.Map {
			r = r.Elem()
		}
		if r.Kind() != reflect.Struct || seen[r] || r == reflect.TypeFor[time.Time]() {
			return
		}
		seen[r] = true
		for f := range r.Fields() {
			for _, word := range []string{"hash", "secret", "token", "box", "password", "code"} {
				if strings.Contains(strings.ToLower(f.Name), word) && !slices.Contains(shown, path+"."+f.Name) {
					t.Errorf("%s.%s", path, f.Name)
				}
			}
			walk(path+"."+f.Name, f.Type)
		}
	}
	n := 0
	service := reflect.TypeFor[*account.Service]()
	for m := range service.Methods() {
		for i := range m.Type.NumOut() {
			// A session is the caller's own; who is admitted is for the gateway alone.
			if out := m.Type.Out(i); out != reflect.TypeFor[*account.Session]() && out != reflect.TypeFor[*account.Admission]() && out != reflect.TypeFor[id.Token]() {
				walk(out.Name(), out)
				n++
			}
		}
	}
	if n < 30 || len(seen) < 10 {
		t.Fatalf("only %d results of %d types were looked at", n, len(seen))
	}
}

// Every act that is recorded has its sentence in both languages.
func TestSentences(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		_, err := w.Groups(ctx, w.signIn("lea@example.org", better).Actor(here), 100042, "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
		get[account.AddResult](w)(w.AddMembers(ctx, ada.Actor(here), 100042, group, "lea@example.org", time.Time{}))
		c, err := i18n.Load()
		w.ok(err)
		var en, fr []string
		for _, r := range get[account.AuditPage](w)(w.Audit(context.Background(), ada.Actor(here), 100042, "", 50)).Records {
			en = append(en, account.Sentence(c.Printer("en", nil), r))
			fr = append(fr, account.Sentence(c.Printer("fr", nil), r))
		}
		for _, tt := range []struct{ got, want string }{
			{en[0], "ada@example.org added lea@example.org to Account Administrators"},
			{fr[0], "ada@example.org a ajouté lea@example.org au groupe Administrateurs de compte"},
			{en[1], "Access to the groups refused for lea@example.org"},
			{en[2], "lea@example.org signed in"},
			{en[3], "root (operator) created the user lea@example.org"},
		} {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		}
		for action, tt := range map[string]struct { // what a record has in one word is said in the reader's language
			detail map[string]string
			want   string
		}{
			"token.make":          {map[string]string{"scopes": "users,send", "until": "2027-02-25"}, "ada a créé le jeton d'API x, jusqu'au 25 février 2027\u00a0: Gérer les personnes, Envoyer"},
			"user.bulk":           {map[string]string{"do": "unblock"}, "ada a agi sur de nombreux utilisateurs (Débloquer)"},
			"user.require_second": {map[string]string{"required": "yes"}, "ada a changé si x doit avoir un second facteur\u00a0: Oui"},
		} {
			if s := account.Sentence(c.Printer("fr", time.UTC), store.AuditRow{Actor: "user:ada", Action: action, Target: "x", Detail: tt.detail}); s != tt.want {
				t.Errorf("%q, not %q", s, tt.want)
			}
		}
		if s := account.Sentence(c.Printer("fr", nil), store.AuditRow{Actor: "system", Action: "new.act", Target: "x"}); s != "Pli\u00a0: new.act x" {
			t.Errorf("an unknown act: %q", s)
		}
	})
}
