package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// ward is an account with an administrator, a delegate of each kind, and plain people.
type ward struct {
	*world
	ada                      account.Actor // administers
	desk                     account.Actor // manages all people
	lead                     account.Actor // manages the people of the group ward
	log                      account.Actor // reads the log
	ward, leads, desks, logs store.Group
	admins                   string
	nina, otto               store.User // in the ward, and not
}

func newWard(w *world) *ward {
	ctx := w.Context()
	ada, admins := w.account(100042, "ada@example.org")
	h := &ward{world: w, ada: ada.Actor(here), admins: admins}
	group := func(name string, grants ...store.Grant) store.Group {
		g := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, name))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, g.ID, grants))
		return g
	}
	h.ward = group("Ward")
	h.leads = group("Leads", store.Grant{Right: store.RightUsers, Scope: h.ward.ID}, store.Grant{Right: store.RightMessages, Scope: h.ward.ID})
	h.desks = group("Desk", store.Grant{Right: store.RightUsers})
	h.logs = group("Log", store.Grant{Right: store.RightAudit})
	person := func(address string, groups ...store.Group) store.User {
		u := w.user(100042, address)
		for _, g := range groups {
			get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, g.ID, address, time.Time{}))
		}
		return u
	}
	actor := func(u store.User) account.Actor { return w.signIn(u.Address, better).Actor(here) }
	h.desk, h.lead, h.log = actor(person("desk@example.org", h.desks)), actor(person("lead@example.org", h.leads)), actor(person("log@example.org", h.logs))
	h.nina, h.otto = person("nina@example.org", h.ward), person("otto@example.org")
	return h
}

// A delegate sees what somebody of their group may do, and not which groups of
// others give it or are meant.
func TestForeignGroupsAreNotNamed(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		for _, g := range []string{h.logs.ID, h.leads.ID} {
			get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, g, "nina@example.org", time.Time{}))
		}
		far := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Far"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, h.logs.ID, []store.Grant{{Right: store.RightAudit, Scope: far.ID}}))
		want := []account.Effective{{Right: store.RightAudit, Apart: true}, {Right: store.RightMessages, Scope: h.ward}, {Right: store.RightUsers, Scope: h.ward}}
		rights := get[account.UserView](w)(w.User(ctx, h.lead, 100042, h.nina.ID)).Rights
		if len(rights) != len(want) {
			w.Fatalf("%+v", rights)
		}
		for _, x := range want {
			if !slices.ContainsFunc(rights, func(r account.Effective) bool {
				return r.Right == x.Right && r.Apart == x.Apart && r.Scope.ID == x.Scope.ID && r.Because == store.Group{}
			}) {
				t.Errorf("no %+v in %+v", x, rights)
			}
		}
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, h.ward.ID, []store.Grant{{Right: store.RightAudit, Scope: far.ID}, {Right: store.RightMessages, Scope: h.ward.ID}}))
		own := get[account.GroupRights](w)(w.GroupRights(ctx, h.lead, 100042, h.ward.ID)).Grants
		if !slices.Equal(own, []account.GroupGrant{
			{Grant: store.Grant{Right: store.RightAudit}, Apart: true},
			{Grant: store.Grant{Right: store.RightMessages, Scope: h.ward.ID}, Over: h.ward.Name},
		}) {
			t.Errorf("of the group that they manage: %+v", own)
		}
		if own = get[account.GroupRights](w)(w.GroupRights(ctx, h.ada, 100042, h.ward.ID)).Grants; own[0].Over != far.Name || own[0].Scope != far.ID {
			t.Errorf("an administrator sees %+v", own)
		}
		for _, r := range get[account.UserView](w)(w.User(ctx, h.ada, 100042, h.nina.ID)).Rights {
			if r.Because.ID == "" || r.Apart {
				t.Errorf("an administrator sees %+v", r)
			}
		}
	})
}

// The right over settings names groups, as settings do, and shows nobody in them.
func TestSettingsAlone(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		g := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Settings"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, g.ID, []store.Grant{{Right: store.RightSettings}}))
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, g.ID, "otto@example.org", time.Time{}))
		otto := w.signIn("otto@example.org", better).Actor(here)
		if page := get[account.GroupsPage](w)(w.Groups(ctx, otto, 100042, "", "", 50)); len(page.Groups) < 3 {
			t.Errorf("%d groups", len(page.Groups))
		}
		w.fails(second(w.Members(ctx, otto, 100042, h.ward.ID, "", "", 50)), fault.Denied, "err.forbidden")
		w.fails(second(w.Invitations(ctx, otto, 100042, h.ward.ID, "", "", 50)), fault.Denied, "err.forbidden")
		w.fails(second(w.Users(ctx, otto, 100042, "", "", "", 50)), fault.Denied, "err.forbidden")
	})
}

// A try at somebody, or at a group, out of reach is answered as one at nobody, and
// is in the log, where one at nobody is not.
func TestOutOfReachIsRecorded(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		for name, act := range map[string]func(user, group string) error{
			"user.block": func(user, _ string) error { return second(w.BlockUser(ctx, h.lead, 100042, user)) },
			"user.edit":  func(user, _ string) error { return second(w.EditUser(ctx, h.lead, 100042, user, "A", "B", "en")) },
			"member.add": func(_, group string) error {
				return second(w.AddMembers(ctx, h.lead, 100042, group, "nina@example.org", time.Time{}))
			},
			"invitation.send": func(_, group string) error {
				return second(w.Invite(ctx, h.lead, 100042, group, "n@example.net", time.Time{}))
			},
			"user.bulk": func(_, group string) error {
				return second(w.ActOnUsers(ctx, h.lead, 100042, account.Bulk{Do: account.BulkGroup, GroupID: group}, nil))
			},
			"user.reset_link": func(user, _ string) error { return second(w.SendPasswordLink(ctx, h.lead, 100042, user)) },
			"member.set_end": func(user, group string) error {
				_, _, err := w.SetMembershipEnd(ctx, h.lead, 100042, group, user, time.Time{})
				return err
			},
			"user.end_sessions":   func(user, _ string) error { _, _, err := w.EndSessions(ctx, h.lead, 100042, user); return err },
			"user.merge_cancel":   func(user, _ string) error { return second(w.CancelMerge(ctx, h.lead, 100042, user)) },
			"user.reset_password": func(user, _ string) error { return second(w.ResetPassword(ctx, h.lead, 100042, user, temp, temp)) },
		} {
			nobody := act("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef")
			if n := w.audit(100042, name, store.Refused); n != 0 {
				t.Errorf("%s at nobody: %d records", name, n)
			}
			there := act(h.otto.ID, h.logs.ID)
			if !fault.Is(there, fault.NotFound) || fault.Of(there).Key != fault.Of(nobody).Key {
				t.Errorf("%s out of reach: %v, at nobody: %v", name, there, nobody)
			}
			if n := w.audit(100042, name, store.Refused); n != 1 {
				t.Errorf("%s out of reach: %d records", name, n)
			}
		}
		// Nor do they learn of an invitation to no group.
		i := get[account.Pending](w)(w.Invite(ctx, h.ada, 100042, "", "new@example.net", time.Time{}))
		before := w.audit(100042, "invitation.send", store.Refused)
		w.fails(second(w.ResendInvitation(ctx, h.lead, 100042, i.ID)), fault.NotFound, "e404.h1")
		if n := w.audit(100042, "invitation.send", store.Refused); n != before+1 {
			t.Errorf("sending again what is out of reach: %d records", n-before)
		}
		rows := get[[]account.BulkRow](w)(w.ActOnUsers(ctx, h.lead, 100042, account.Bulk{Do: account.BulkSignOut}, []string{h.otto.ID, h.nina.ID, "gone"}))
		if len(rows) != 3 || rows[0].Key != "bulk.gone" || rows[1].Failed || rows[2].Key != "bulk.gone" || rows[0].Address+rows[2].Address != "" {
			t.Errorf("of several: %+v", rows)
		}
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.ward.ID, "otto@example.org", w.now.Add(time.Minute)))
		w.pass(2 * time.Minute)
		_, _, err := w.RemoveMember(ctx, h.lead, 100042, h.ward.ID, h.otto.ID) // whose time there is over
		w.fails(err, fault.NotFound, "e404.h1")
		if n := w.audit(100042, "member.remove", store.Refused); n != 1 {
			t.Errorf("taking away who is out of reach: %d records", n)
		}
		// Of who they manage they see what these did themselves.
		get[store.User](w)(w.EditUser(ctx, h.ada, 100042, h.nina.ID, "Nina", "N", "en"))
		w.signIn("nina@example.org", better)
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, h.leads.ID, []store.Grant{{Right: store.RightAudit, Scope: h.ward.ID}}))
		for _, row := range get[[]store.AuditRow](w)(w.UserActivity(ctx, h.lead, 100042, h.nina.ID, 50)) {
			if row.Action != "session.signin" {
				t.Errorf("a delegate sees %s", row.Action)
			}
		}
		for range 3 {
			get[store.User](w)(w.EditUser(ctx, h.ada, 100042, h.nina.ID, "Nina", "N", "en"))
		}
		if rows := get[[]store.AuditRow](w)(w.UserActivity(ctx, h.lead, 100042, h.nina.ID, 1)); len(rows) != 1 {
			t.Errorf("behind what they do not see: %d records", len(rows))
		}
	})
}

// An export of the log ends where the right to it does.
func TestAuditExport(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		for range 600 { // more than a page
			second(w.AddGroup(ctx, h.log, 100042, "Refused"))
		}
		next, _, err := w.ExportAudit(ctx, h.log, 100042, account.AuditQuery{Outcome: store.Refused}, "csv")
		w.ok(err)
		if rows := get[[]store.AuditRow](w)(next(ctx)); len(rows) != 500 {
			t.Errorf("%d rows", len(rows))
		}
		_, _, err = w.RemoveMember(ctx, h.ada, 100042, h.logs.ID, h.log.UserID)
		w.ok(err)
		rows, err := next(ctx)
		if len(rows) > 0 || !fault.Is(err, fault.Denied) {
			t.Errorf("%d rows for who may no longer read: %v", len(rows), err)
		}
	})
	if q := (account.AuditQuery{Target: " ", Actor: "\t"}); !q.IsZero() { // else a file with nothing in it would look whole
		t.Error("a blank is looked for")
	}
}

// Who manages all people manages those who have no more than they have, and
// gives no right that they do not have (AT-58).
func TestManagesPeople(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		if r := get[account.AddResult](w)(w.AddMembers(ctx, h.desk, 100042, h.ward.ID, "otto@example.org", time.Time{})); len(r.Added) != 1 {
			t.Errorf("added %+v", r)
		}
		m, _, err := w.SetMembershipEnd(ctx, h.desk, 100042, h.ward.ID, h.otto.ID, w.db.Now().Add(time.Hour))
		w.ok(err)
		if m.Until.IsZero() || m.Ended {
			t.Errorf("member %+v", m)
		}
		get[account.AddResult](w)(w.AddMembers(ctx, h.desk, 100042, h.desks.ID, "nina@example.org", time.Time{})) // what they have
		get[store.User](w)(w.ResetPassword(ctx, h.desk, 100042, h.otto.ID, temp, temp))
		plain := get[store.Group](w)(w.AddGroup(ctx, h.desk, 100042, "Plain"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.desk, 100042, plain.ID, []store.Grant{{Right: store.RightUsers, Scope: h.ward.ID}}))
		get[store.Group](w)(w.DeleteGroup(ctx, h.desk, 100042, plain.ID))
		log := get[account.UserView](w)(w.UserByAddress(ctx, h.desk, 100042, "log@example.org"))
		if log.May || len(log.Rights) != 1 || log.Rights[0].Because.ID != h.logs.ID {
			t.Errorf("seen as %+v", log)
		}
		for name, err := range map[string]error{
			"adds themself to the administrators": second(w.AddMembers(ctx, h.desk, 100042, h.admins, "desk@example.org", time.Time{})),
			"invites to the administrators":       second(w.Invite(ctx, h.desk, 100042, h.admins, "new@example.org", time.Time{})),
			"makes an administrator":              second(w.AddUser(ctx, h.desk, 100042, account.NewUser{Address: "new@example.org", Password: temp, Confirm: temp, EnforceExpiry: true, GroupID: h.admins})),
			"adds to who reads the log":           second(w.AddMembers(ctx, h.desk, 100042, h.logs.ID, "otto@example.org", time.Time{})),
			"moves an administrator into a group": second(w.AddMembers(ctx, h.desk, 100042, h.ward.ID, "ada@example.org", time.Time{})),
			"gives a group a right":               second(w.SetGroupRights(ctx, h.desk, 100042, h.desks.ID, []store.Grant{{Right: store.RightUsers}, {Right: store.RightAudit}})),
			"takes a right from a group":          second(w.SetGroupRights(ctx, h.desk, 100042, h.logs.ID, nil)),
			"deletes a group with rights":         second(w.DeleteGroup(ctx, h.desk, 100042, h.logs.ID)),
			"deletes what a right is confined to": second(w.DeleteGroup(ctx, h.desk, 100042, h.ward.ID)), // messages over the ward
			"renames a group with rights":         second(w.RenameGroup(ctx, h.desk, 100042, h.logs.ID, "x")),
			"resets an administrator":             second(w.ResetPassword(ctx, h.desk, 100042, h.ada.UserID, temp, temp)),
			"blocks who reads the log":            second(w.BlockUser(ctx, h.desk, 100042, h.log.UserID)),
			"deletes who reads the log":           second(w.DeleteUser(ctx, h.desk, 100042, h.log.UserID)),
			"reads the log":                       second(w.Audit(ctx, h.desk, 100042, "", 5)),
			"sets a rule":                         second(w.SetRules(ctx, h.desk, 100042, `default = "seal"`)),
		} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("AT-58: who manages people %s: %v", name, err)
			}
		}
		_, _, err = w.RemoveMember(ctx, h.desk, 100042, h.logs.ID, h.log.UserID)
		w.fails(err, fault.Denied, "rt.above")
		if w.audit(100042, "member.add", store.Refused) == 0 || w.audit(100042, "group.rights", store.Refused) == 0 {
			t.Error("no record of a refusal")
		}
	})
}

// Who manages one group sees and manages its members; the account's other
// people and groups are as if they were not there.
func TestManagesOneGroup(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		users := get[account.UsersPage](w)(w.Users(ctx, h.lead, 100042, "", "", "", 50))
		groups := get[account.GroupsPage](w)(w.Groups(ctx, h.lead, 100042, "", "", 50))
		if len(users.Users) != 1 || users.Total != 1 || users.Users[0].ID != h.nina.ID || len(groups.Groups) != 1 || groups.Total != 1 || groups.Groups[0].ID != h.ward.ID {
			t.Errorf("sees %+v, %+v", users, groups)
		}
		if v := get[account.AccountView](w)(w.Account(ctx, h.lead, 100042)); v.Counted || v.Users != 0 || v.Administrators != 0 {
			t.Errorf("counts %+v", v)
		}
		if s := get[[]account.Person](w)(w.Suggest(ctx, h.lead, 100042, "otto")); len(s) != 0 {
			t.Errorf("suggested %+v", s)
		}
		for name, err := range map[string]error{
			"user":    second(w.User(ctx, h.lead, 100042, h.otto.ID)),
			"address": second(w.UserByAddress(ctx, h.lead, 100042, "otto@example.org")),
			"reset":   second(w.ResetPassword(ctx, h.lead, 100042, h.otto.ID, temp, temp)),
			"block":   second(w.BlockUser(ctx, h.lead, 100042, h.otto.ID)),
			"delete":  second(w.DeleteUser(ctx, h.lead, 100042, h.ada.UserID)),
			"group":   second(w.Group(ctx, h.lead, 100042, h.leads.ID)),
			"members": second(w.Members(ctx, h.lead, 100042, h.admins, "", "", 5)),
			"name":    second(w.GroupNamed(ctx, h.lead, 100042, "Desk")),
			"add":     second(w.AddMembers(ctx, h.lead, 100042, h.leads.ID, "nina@example.org", time.Time{})),
			"invite":  second(w.Invite(ctx, h.lead, 100042, h.desks.ID, "new@example.org", time.Time{})),
		} {
			if !fault.Is(err, fault.NotFound) || !fault.HasKey(err, "e404.h1") {
				t.Errorf("%s out of reach: %v", name, err)
			}
		}
		for name, err := range map[string]error{
			"a group":     second(w.AddGroup(ctx, h.lead, 100042, "New")),
			"rename":      second(w.RenameGroup(ctx, h.lead, 100042, h.ward.ID, "New")),
			"delete":      second(w.DeleteGroup(ctx, h.lead, 100042, h.ward.ID)),
			"rights":      second(w.SetGroupRights(ctx, h.lead, 100042, h.ward.ID, []store.Grant{{Right: store.RightUsers, Scope: h.ward.ID}})),
			"the account": second(w.Requests(ctx, h.lead, 100042, "", 50)),
			"log":         second(w.Audit(ctx, h.lead, 100042, "", 5)),
		} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("%s by who manages one group: %v", name, err)
			}
		}
		// Somebody of the account who is out of reach and nobody give the same words.
		_, known := w.AddMembers(ctx, h.lead, 100042, h.ward.ID, "otto@example.org", time.Time{})
		_, nobody := w.AddMembers(ctx, h.lead, 100042, h.ward.ID, "otta@example.org", time.Time{})
		w.fails(known, fault.Invalid, "seed.nonexistent")
		w.fails(nobody, fault.Invalid, "seed.nonexistent")
		_, err := w.AddUser(ctx, h.lead, 100042, account.NewUser{Address: "otto@example.org", Password: temp, Confirm: temp, EnforceExpiry: true, GroupID: h.ward.ID})
		w.fails(err, fault.Conflict, "people.unavailable")
		_, err = w.AddUser(ctx, h.lead, 100042, account.NewUser{Address: "new@example.org", Password: temp, Confirm: temp, EnforceExpiry: true})
		w.fails(err, fault.Invalid, "rt.needgroup")

		// What they may.
		added := get[account.Added](w)(w.AddUser(ctx, h.lead, 100042, account.NewUser{Address: "new@example.org", Password: better, Confirm: better, GroupID: h.ward.ID}))
		get[store.User](w)(w.BlockUser(ctx, h.lead, 100042, added.User.ID))
		get[store.User](w)(w.UnblockUser(ctx, h.lead, 100042, added.User.ID))
		get[account.Pending](w)(w.Invite(ctx, h.lead, 100042, h.ward.ID, "guest@example.net", time.Time{}))
		if p := get[account.UsersPage](w)(w.Users(ctx, h.lead, 100042, "", account.OnlyInvited, "", 50)).Pending; len(p) != 1 {
			t.Errorf("invited %+v", p)
		}
		_, _, err = w.RemoveMember(ctx, h.lead, 100042, h.ward.ID, h.nina.ID)
		w.ok(err)
		_, err = w.User(ctx, h.lead, 100042, h.nina.ID)
		w.fails(err, fault.NotFound, "e404.h1")
	})
}

// Nobody gets more people by putting them into the group that a right of theirs
// is confined to.
func TestPullsNobodyIn(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		g := get[store.Group](w)(w.AddGroup(ctx, h.ada, 100042, "Ward's log"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, h.ada, 100042, g.ID, []store.Grant{{Right: store.RightAudit, Scope: h.ward.ID}}))
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, g.ID, "desk@example.org", time.Time{}))
		_, err := w.AddMembers(ctx, h.desk, 100042, h.ward.ID, "otto@example.org", time.Time{})
		w.fails(err, fault.Denied, "rt.beyond")
		get[[]store.AuditRow](w)(w.UserActivity(ctx, h.desk, 100042, h.nina.ID, 5))
		_, err = w.UserActivity(ctx, h.desk, 100042, h.otto.ID, 5)
		w.fails(err, fault.NotFound, "e404.h1")
	})
}

// Who reads the log looks at people, groups and rules, and changes nothing.
func TestReadsOnly(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		get[account.AuditPage](w)(w.Audit(ctx, h.log, 100042, "", 5))
		m := get[account.MembersPage](w)(w.Members(ctx, h.log, 100042, h.ward.ID, "", "", 5))
		u := get[account.UserView](w)(w.User(ctx, h.log, 100042, h.nina.ID))
		w.ok(second(w.Rules(ctx, h.log, 100042, 0)))
		held := get[account.Held](w)(w.Holds(ctx, h.log, 100042))
		if m.May || u.May || held.Has(store.RightUsers) || !held.Has(store.RightAudit) || held.Everything() {
			t.Errorf("may %v %v, holds %+v", m.May, u.May, held)
		}
		for name, call := range calls(w, 100042, h.ward.ID, h.nina.ID, "x", "x") {
			switch name {
			case "account.view", "domain.list", "group.view", "group.view one", "group.view members", "user.view", "user.view one", "user.view address",
				"user.view suggest", "audit.view", "audit.view one", "upstream.list", "rules.view", "rules.view history", "group.view name", "group.view rights", "domain.list one", "domain.list check", "domain.list make", "request.decide":
			default:
				if err := call(h.log); !fault.Is(err, fault.Denied) {
					t.Errorf("%s by who reads the log: %v", name, err)
				}
			}
		}
	})
}

// A membership counts until its end, by the server's clock, and not again when
// that clock is set back; nobody gives for longer than they have.
func TestMembershipEnds(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		friday := w.db.Now().Add(48 * time.Hour)
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.admins, "otto@example.org", friday))
		otto := w.signIn("otto@example.org", better)
		if len(otto.AdminOf) != 1 {
			t.Fatal("no administrator")
		}
		actor := otto.Actor(here)
		_, err := w.AddMembers(ctx, actor, 100042, h.admins, "nina@example.org", time.Time{})
		w.fails(err, fault.Denied, "rt.beyond")
		get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, h.admins, "nina@example.org", friday))
		_, _, err = w.SetMembershipEnd(ctx, actor, 100042, h.admins, h.otto.ID, time.Time{})
		w.fails(err, fault.Denied, "rt.beyond")
		_, err = w.BlockUser(ctx, actor, 100042, h.ada.UserID) // who has it for longer
		w.fails(err, fault.Denied, "rt.above")
		_, _, err = w.SetMembershipEnd(ctx, h.ada, 100042, h.admins, h.ada.UserID, friday)
		w.fails(err, fault.Conflict, "m.last")
		_, _, err = w.RemoveMember(ctx, h.ada, 100042, h.admins, h.ada.UserID)
		w.fails(err, fault.Conflict, "m.last")
		_, _, err = w.SetMembershipEnd(ctx, h.ada, 100042, h.ward.ID, h.nina.ID, w.db.Now())
		w.fails(err, fault.Invalid, "rt.past")
		// Adding somebody once more gives another end, and without one changes nothing.
		_, err = w.AddMembers(ctx, h.ada, 100042, h.admins, "ada@example.org", friday)
		w.fails(err, fault.Conflict, "m.last")
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.admins, "otto@example.org", friday.Add(time.Hour)))
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.admins, "otto@example.org", friday))
		if r := get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.admins, "otto@example.org", time.Time{})); len(r.Already) != 1 || w.audit(100042, "member.set_end", store.Done) != 2 {
			t.Errorf("%+v, %d ends", r, w.audit(100042, "member.set_end", store.Done))
		}
		if e := get[account.UserView](w)(w.User(ctx, h.ada, 100042, h.otto.ID)).Rights; len(e) != 1 || e[0].Right != store.RightAll || e[0].Until != friday || !e[0].Because.Builtin {
			t.Errorf("effective %+v", e)
		}
		w.pass(48*time.Hour - time.Minute)
		otto = w.signIn("otto@example.org", better)
		actor = otto.Actor(here)
		get[account.GroupsPage](w)(w.Groups(ctx, actor, 100042, "", "", 5))
		w.pass(time.Minute)
		_, err = w.Groups(ctx, actor, 100042, "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error { return tx.RaiseClockMark(tx.Now) }))
		w.pass(-time.Hour)
		_, err = w.Groups(ctx, actor, 100042, "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
		w.pass(time.Hour)
		if s := get[*account.Session](w)(w.Session(ctx, otto.Token)); len(s.AdminOf) != 0 {
			t.Error("still an administrator")
		}
		if v := get[account.AccountView](w)(w.Account(ctx, w.root, 100042)); v.Administrators != 1 {
			t.Errorf("%d administrators", v.Administrators)
		}
		m := get[account.MembersPage](w)(w.Members(ctx, w.root, 100042, h.admins, "", "", 5)).Members
		if i := slices.IndexFunc(m, func(m store.Member) bool { return m.ID == h.otto.ID }); i < 0 || !m[i].Ended {
			t.Errorf("members %+v", m)
		}
		if r := get[account.AddResult](w)(w.AddMembers(ctx, w.root, 100042, h.admins, "otto@example.org", time.Time{})); len(r.Added) != 1 {
			t.Errorf("begun anew: %+v", r)
		}
	})
}

// A person asks for one right; who grants it puts them into a group that has it,
// and has it themself.
func TestRequestRight(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		otto := w.signIn("otto@example.org", better)
		w.fails(w.RequestAccess(ctx, otto, 100042, "root", ""), fault.Invalid, "rt.unknown")
		w.ok(w.RequestAccess(ctx, otto, 100042, store.RightAudit, "the inspection"))
		q := get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, "", 50)).Requests
		if len(q) != 1 || q[0].Right != store.RightAudit || len(q[0].Groups) != 1 || q[0].Groups[0].ID != h.logs.ID {
			t.Fatalf("requests %+v", q)
		}
		if q := get[account.RequestsPage](w)(w.Requests(ctx, h.desk, 100042, "", 50)).Requests; len(q) != 1 || len(q[0].Groups) != 0 {
			t.Errorf("who manages people may grant %+v", q)
		}
		_, err := w.DecideRequest(ctx, h.desk, q[0].ID, true, "", "")
		w.fails(err, fault.Denied, "rt.beyond")
		_, err = w.DecideRequest(ctx, h.ada, q[0].ID, true, h.ward.ID, "")
		w.fails(err, fault.Conflict, "rt.nogroup")
		get[account.Decision](w)(w.DecideRequest(ctx, h.ada, q[0].ID, true, h.logs.ID, ""))
		get[account.AuditPage](w)(w.Audit(ctx, otto.Actor(here), 100042, "", 5))
		if l, n := last[account.AccessDecidedLetter](w.mail); n != 1 || l.To.Canonical() != "otto@example.org" || l.Right != store.RightAudit || l.Group != h.logs.Name {
			t.Errorf("%d letters, %+v", n, l)
		}
		if q := get[store.AccessRequest](w)(w.LastRequest(ctx, otto)); q.State != store.RequestGranted || q.DecidedAt.IsZero() || q.Right != store.RightAudit {
			t.Errorf("told %+v", q)
		}

		// What else a group gives is said before and after.
		g := get[store.Group](w)(w.AddGroup(ctx, w.root, 100042, "Figures"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, w.root, 100042, g.ID, []store.Grant{{Right: store.RightReports}, {Right: store.RightAudit, Scope: h.ward.ID}}))
		w.ok(w.RequestAccess(ctx, otto, 100042, store.RightReports, ""))
		q = get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, "", 50)).Requests
		also := []account.Given{{Right: store.RightAudit, Over: h.ward.Name}}
		if len(q) != 1 || len(q[0].Groups) != 1 || !slices.Equal(q[0].Groups[0].Also, also) {
			t.Fatalf("requests %+v", q)
		}
		get[account.Decision](w)(w.DecideRequest(ctx, h.ada, q[0].ID, false, "", ""))
		if l, n := last[account.AccessDecidedLetter](w.mail); n != 2 || l.Right != store.RightReports || l.Group != "" {
			t.Errorf("%d letters, %+v", n, l)
		}
		w.ok(w.RequestAccess(ctx, otto, 100042, store.RightReports, ""))
		q = get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, "", 50)).Requests
		if d := get[account.Decision](w)(w.DecideRequest(ctx, h.ada, q[0].ID, true, "", "")); d.Group.ID != g.ID || !slices.Equal(d.Also, also) {
			t.Errorf("decided %+v", d)
		}
	})
}

// Whoever decides may say a word: the person reads it in the mail and where they
// asked, it goes when they do, and the log says only that there was one.
func TestWordOfADecision(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		otto := w.signIn("otto@example.org", better)
		ask := func(right string) string {
			w.Helper()
			w.pass(time.Minute)
			w.ok(w.RequestAccess(ctx, otto, 100042, right, ""))
			return get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, "", 50)).Requests[0].ID
		}
		id := ask(store.RightAudit)
		for _, who := range []account.Actor{otto.Actor(here), h.lead, h.log} {
			for _, grant := range []bool{true, false} {
				w.fails(second(w.DecideRequest(ctx, who, id, grant, "", "let them in")), fault.Denied, "err.forbidden")
			}
		}
		w.fails(second(w.DecideRequest(ctx, otto.Actor(here), id, false, "", strings.Repeat("x", 301))), fault.Denied, "err.forbidden") // who may not learns nothing of the word
		w.fails(second(w.DecideRequest(ctx, h.desk, id, true, "", "let them in")), fault.Denied, "rt.beyond")
		for word, key := range map[string]string{
			strings.Repeat("é", 301): "people.reasonlong", "a\x00b": "mail.seal.character", "a\rBcc: eve@z.test": "mail.seal.character", "\x1b[31m": "mail.seal.character",
			"\u202egpj.exe": "mail.seal.character", "a\u2066b": "mail.seal.character", "a\u2028b": "mail.seal.character", "a\xffb": "mail.seal.character",
		} {
			for _, grant := range []bool{true, false} {
				_, err := w.DecideRequest(ctx, h.ada, id, grant, "", word)
				if w.fails(err, fault.Invalid, key); len(fault.Of(err).Fields) != 1 || fault.Of(err).Fields[0].Name != "word" {
					t.Errorf("%q: %+v", word, fault.Of(err).Fields)
				}
			}
		}
		if q := get[store.AccessRequest](w)(w.LastRequest(ctx, otto)); q.State != store.RequestPending || q.Word != "" {
			t.Errorf("decided by nobody: %+v", q)
		}
		if l, n := last[account.AccessDecidedLetter](w.mail); n != 0 {
			t.Errorf("%d letters, %+v", n, l)
		}

		// Refused, granted, made an administrator: each with a word.
		no := "<b>Not yet</b>\nBcc: eve@z.test\n.\n" + strings.Repeat("é", 265)
		get[account.Decision](w)(w.DecideRequest(ctx, h.ada, id, false, "", " "+strings.ReplaceAll(no, "\n", "\r\n")+" \r\n"))
		if q := get[store.AccessRequest](w)(w.LastRequest(ctx, otto)); q.State != store.RequestRefused || q.Word != no {
			t.Errorf("told %+v", q)
		}
		if l, _ := last[account.AccessDecidedLetter](w.mail); l.Word != no || l.Group != "" {
			t.Errorf("mailed %+v", l)
		}
		w.fails(second(w.DecideRequest(ctx, h.ada, id, true, "", "after all")), fault.NotFound, "e404.h1")
		get[account.Decision](w)(w.DecideRequest(ctx, h.ada, ask(store.RightAudit), true, "", "Welcome, Otto"))
		if l, n := last[account.AccessDecidedLetter](w.mail); n != 2 || l.Word != "Welcome, Otto" || l.Group != h.logs.Name {
			t.Errorf("%d letters, %+v", n, l)
		}
		get[account.Decision](w)(w.DecideRequest(ctx, w.root, ask(store.RightAll), true, "", "Take care"))
		if l, _ := last[account.AdminAddedLetter](w.mail); l.Word != "Take care" || l.To.Canonical() != "otto@example.org" {
			t.Errorf("mailed %+v", l)
		}
		if q := get[store.AccessRequest](w)(w.LastRequest(ctx, otto)); q.State != store.RequestGranted || q.Word != "Take care" {
			t.Errorf("told %+v", q)
		}

		said := 0
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			said = 0
			rows, err := tx.ListAudit(100042, "", 1000)
			for _, r := range rows {
				if r.Action == "request.decide" && r.Outcome == store.Done && r.Detail["word"] == "yes" {
					said++
				}
				for _, v := range r.Detail {
					for _, word := range []string{"Not yet", "Welcome", "Take care", "let them in"} {
						if strings.Contains(v, word) {
							t.Errorf("the log has the word: %+v", r)
						}
					}
				}
			}
			return err
		}))
		if said != 3 {
			t.Errorf("%d records say that there was a word", said)
		}

		find := func(tx *store.Tx) error { _, err := tx.FindRequest(id); return err }
		w.ok(w.db.View(ctx, find))
		get[store.User](w)(w.DeleteUser(ctx, h.ada, 100042, otto.UserID))
		if err := w.db.View(ctx, find); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the word outlives its person: %v", err)
		}
	})
}

// What one saved is what one saw, in whatever order the rights were said.
func TestRightsRevision(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		desk := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Help desk"))
		grants := []store.Grant{{Right: store.RightUsers}, {Right: store.RightAudit}}
		saved := get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, grants))
		a.IfMatch = saved.Revision
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, grants[:1]))
		_, err := w.SetGroupRights(ctx, a, 100042, desk.ID, grants)
		w.fails(err, fault.Stale, "api.stale")
	})
}
