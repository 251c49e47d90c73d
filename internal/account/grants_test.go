package account_test

import (
	"slices"
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
			"sets a rule":                         second(w.SetRules(ctx, h.desk, 100042, `default = "seal"`, -1)),
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
			"the account": second(w.Requests(ctx, h.lead, 100042)),
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
				"user.view suggest", "audit.view", "audit.view one", "upstream.list", "rules.view", "rules.view history", "group.view name", "group.view rights", "user.view rights", "domain.list one", "domain.list check", "domain.list make", "request.decide":
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
		if e := get[[]account.Effective](w)(w.Effective(ctx, h.ada, 100042, h.otto.ID)); len(e) != 1 || e[0].Right != store.RightAll || e[0].Until != friday || !e[0].Because.Builtin {
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
		q := get[[]account.Request](w)(w.Requests(ctx, h.ada, 100042))
		if len(q) != 1 || q[0].Right != store.RightAudit || len(q[0].Groups) != 1 || q[0].Groups[0].ID != h.logs.ID {
			t.Fatalf("requests %+v", q)
		}
		if q := get[[]account.Request](w)(w.Requests(ctx, h.desk, 100042)); len(q) != 1 || len(q[0].Groups) != 0 {
			t.Errorf("who manages people may grant %+v", q)
		}
		_, err := w.DecideRequest(ctx, h.desk, q[0].ID, true, "")
		w.fails(err, fault.Denied, "rt.beyond")
		_, err = w.DecideRequest(ctx, h.ada, q[0].ID, true, h.ward.ID)
		w.fails(err, fault.Conflict, "rt.nogroup")
		get[store.User](w)(w.DecideRequest(ctx, h.ada, q[0].ID, true, h.logs.ID))
		get[account.AuditPage](w)(w.Audit(ctx, otto.Actor(here), 100042, "", 5))
	})
}
