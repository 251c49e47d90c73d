package account_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/account/accounttest"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// TestNobodyGivesMore walks random acts of random people with rights of every
// kind, confined and not, some for a time, and holds after each what was there
// before against what is there now (accounttest). TestEveryDoor in server does so
// through pages, API and import.
func TestNobodyGivesMore(t *testing.T) {
	each(t, func(w *world) {
		run, done, byDelegates := 0, map[string]int{}, map[string]int{}
		rapid.Check(w.T, func(r *rapid.T) {
			run++
			newBench(w, r, 10*run, done, byDelegates).play()
		})
		if len(done) < 8 || len(byDelegates) < 5 {
			w.Errorf("too little was done: %v, by who has some rights only %v", done, byDelegates)
		}
	})
}

// bench is one walk.
type bench struct {
	*world
	r                 *rapid.T
	numbers           [2]int64
	n                 int
	done, byDelegates map[string]int
	codes             map[string]account.InvitationLetter // by address
}

func newBench(w *world, r *rapid.T, number int, done, byDelegates map[string]int) *bench {
	b := &bench{world: w, r: r, numbers: [2]int64{int64(1_000_000 + number), int64(1_000_001 + number)}, done: done, byDelegates: byDelegates, codes: map[string]account.InvitationLetter{}}
	ctx := w.Context()
	for _, n := range b.numbers {
		get[store.Account](w)(w.CreateAccount(ctx, w.root, account.NewAccount{Number: n, Name: "A", TimeZone: "Europe/Paris"}))
		groups := []string{w.admins(n).ID}
		for _, name := range []string{"ward", "leads", "desk", "log"} {
			groups = append(groups, get[store.Group](w)(w.AddGroup(ctx, w.root, n, name)).ID)
		}
		ward, leads, desk, log := groups[1], groups[2], groups[3], groups[4]
		for group, grants := range map[string][]store.Grant{
			leads: {{Right: store.RightUsers, Scope: ward}, {Right: store.RightMessages, Scope: ward}},
			desk:  {{Right: store.RightUsers}},
			log:   {{Right: store.RightAudit}, {Right: store.RightReports}},
		} {
			get[account.GroupRights](w)(w.SetGroupRights(ctx, w.root, n, group, grants))
		}
		for i, in := range [][]string{{groups[0]}, {groups[0]}, {desk}, {leads}, {ward, leads}, {ward}, {desk, log}, {}} {
			added := get[account.Added](w)(w.AddUser(ctx, w.root, n, account.NewUser{Address: b.address(), Password: better, Confirm: better}))
			for _, g := range in {
				var until time.Time
				if i%2 == 1 {
					until = w.db.Now().Add(time.Duration(i) * 12 * time.Hour)
				}
				get[account.AddResult](w)(w.AddMembers(ctx, w.root, n, g, added.User.Address, until))
			}
		}
	}
	return b
}

func (b *bench) address() string {
	b.n++
	return fmt.Sprintf("q%d.%d@example.org", b.numbers[0], b.n)
}

func pick[T any](b *bench, what string, from []T) T { return rapid.SampledFrom(from).Draw(b.r, what) }

func (b *bench) look() accounttest.Picture {
	p, err := accounttest.Look(b.Context(), b.db, b.numbers[:]...)
	b.ok(err)
	return p
}

func (b *bench) sound(problem string) {
	if problem != "" {
		b.r.Fatal(problem)
	}
}

func (b *bench) play() {
	ctx := b.Context()
	before := b.look()
	for range 12 {
		addresses := slices.Sorted(maps.Keys(before.People))
		users := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return before.People[a].ID == "" })
		named := map[string]store.Group{}
		for _, g := range before.Groups {
			named[fmt.Sprint(g.AccountID, " ", g.Name)] = g
		}
		groups := slices.Sorted(maps.Keys(named))
		address, target, group, scope := pick(b, "who", users), pick(b, "target", users), named[pick(b, "group", groups)], named[pick(b, "scope", groups)]
		if rapid.Bool().Draw(b.r, "with rights") {
			address = pick(b, "who, with rights", slices.DeleteFunc(slices.Clone(users), func(a string) bool { return len(before.People[a].Holds) == 0 }))
		}
		who := before.People[address]
		if rapid.Bool().Draw(b.r, "own account") { // else most acts fail for a dull reason
			own := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return named[g].AccountID != who.Account })
			group, scope = named[pick(b, "own group", own)], named[pick(b, "own scope", own)]
			target = pick(b, "own target", slices.DeleteFunc(slices.Clone(users), func(a string) bool { return before.People[a].Account != who.Account }))
		}
		members := slices.DeleteFunc(slices.Clone(users), func(a string) bool { _, in := before.People[a].In[group.ID]; return !in })
		if len(members) > 0 && rapid.Bool().Draw(b.r, "a member") {
			target = pick(b, "member", members)
		}
		n := who.Account
		actor := account.Actor{Kind: account.KindUser, UserID: who.ID, Address: address, Name: address, Origin: here}
		var until time.Time
		if days := rapid.IntRange(0, 3).Draw(b.r, "days"); days > 0 {
			until = before.Now.Add(time.Duration(days) * 24 * time.Hour)
		}
		what, err := "", error(nil)
		acts := map[string]func(){
			"add": func() {
				var r account.AddResult
				r, err = b.AddMembers(ctx, actor, n, group.ID, target, until)
				if len(r.Added) == 0 {
					what = "" // already in it, or invited
				}
			},
			"remove": func() { _, _, err = b.RemoveMember(ctx, actor, n, group.ID, before.People[target].ID) },
			"end": func() {
				_, _, err = b.SetMembershipEnd(ctx, actor, n, group.ID, before.People[target].ID, until)
			},
			"grant": func() {
				grants := slices.Clone(before.Grants[group.ID])
				if len(grants) > 0 && rapid.Bool().Draw(b.r, "take") {
					grants = grants[1:]
				}
				x := store.Grant{Right: pick(b, "right", append([]string{store.RightAll}, account.Rights...))}
				if rapid.Bool().Draw(b.r, "confined") {
					x.Scope = scope.ID
				}
				_, err = b.SetGroupRights(ctx, actor, n, group.ID, append(grants, x))
			},
			"group":        func() { _, err = b.AddGroup(ctx, actor, n, b.address()) },
			"group rename": func() { _, err = b.RenameGroup(ctx, actor, n, group.ID, b.address()) },
			"group delete": func() { _, err = b.DeleteGroup(ctx, actor, n, group.ID) },
			"invite": func() {
				to := target
				if rapid.Bool().Draw(b.r, "somebody new") {
					to = b.address()
				}
				if _, err = b.Invite(ctx, actor, n, group.ID, to, until); err == nil {
					b.codes[to], _ = last[account.InvitationLetter](b.mail)
				}
			},
			"again": func() {
				m, merr := b.Members(ctx, b.root, n, group.ID, "", "", 50)
				if merr != nil || len(m.Pending) == 0 {
					what = ""
					return
				}
				if rapid.Bool().Draw(b.r, "revoke") {
					_, err = b.RevokeInvitation(ctx, actor, n, m.Pending[0].ID)
				} else if _, err = b.ResendInvitation(ctx, actor, n, m.Pending[0].ID); err == nil {
					b.codes[m.Pending[0].Address], _ = last[account.InvitationLetter](b.mail)
				}
			},
			"user": func() {
				_, err = b.AddUser(ctx, actor, n, account.NewUser{Address: b.address(), Password: better, Confirm: better, GroupID: group.ID, Until: until})
			},
			"reset":   func() { _, err = b.ResetPassword(ctx, actor, n, before.People[target].ID, temp, temp) },
			"block":   func() { _, err = b.BlockUser(ctx, actor, n, before.People[target].ID) },
			"unblock": func() { _, err = b.UnblockUser(ctx, actor, n, before.People[target].ID) },
			"delete":  func() { _, err = b.DeleteUser(ctx, actor, n, before.People[target].ID) },
			"decide": func() {
				id := b.address()
				b.ok(b.db.Update(ctx, func(tx *store.Tx) error {
					return tx.InsertRequest(store.AccessRequest{ID: id, UserID: before.People[target].ID, AccountID: before.People[target].Account, Right: pick(b, "wanted", []string{"", store.RightUsers, store.RightAudit})})
				}))
				_, err = b.DecideRequest(ctx, actor, id, true, "", "")
			},
			"look": func() {
				page, uerr := b.Users(ctx, actor, n, "", "", "", 500)
				err = uerr
				for _, u := range page.Users {
					seen := false
					for _, h := range who.Holds {
						_, in := before.People[u.Address].In[h.Scope]
						seen = seen || (h.Right == "all" || h.Right == "users" || h.Right == "audit") && (h.Scope == "" || in)
					}
					if !seen || u.AccountID != n {
						b.r.Fatalf("%s, who has %v, sees %s", address, who.Holds, u.Address)
					}
				}
				if own, oerr := b.Own(ctx, actor, n); oerr == nil && !who.Active {
					b.r.Fatalf("%s, who is %s, looks at %v", address, who.State, own)
				}
			},
		}
		free := map[string]func(){ // without a right
			"accept": func() {
				if len(b.codes) == 0 {
					return
				}
				to := slices.Sorted(maps.Keys(b.codes))[0]
				if _, err = b.AcceptInvitation(ctx, b.visit(), b.codes[to].Token, account.Enrolment{Password: better, Confirm: better}); err == nil {
					b.done["accept"]++
				}
				delete(b.codes, to)
			},
			"wait": func() { b.pass(time.Duration(rapid.IntRange(1, 30).Draw(b.r, "hours")) * time.Hour) },
			"choose a password": func() {
				b.ok(b.db.Update(ctx, func(tx *store.Tx) error {
					return tx.SetPassword(before.People[target].ID, store.Password{Hash: "x"})
				}))
			},
		}
		names := slices.Sorted(maps.Keys(acts))
		chosen := pick(b, "act", append(names, slices.Sorted(maps.Keys(free))...))
		if len(b.codes) > 0 && rapid.Bool().Draw(b.r, "accept") {
			chosen = "accept"
		}
		if do := free[chosen]; do != nil {
			do()
			before = b.look()
			b.sound(before.Standing(b.numbers[:]...))
			continue
		}
		what = chosen
		acts[chosen]()
		after := b.look()
		b.sound(before.Check(chosen, address, after))
		b.sound(after.Standing(b.numbers[:]...))
		before = after
		everything := accounttest.Has(who.Holds, store.Holding{Grant: store.Grant{Right: "all"}})
		switch {
		case err == nil && what != "" && !who.Active:
			b.r.Fatalf("%s by %s, who is %s", chosen, address, who.State)
		case err == nil && what != "":
			b.done[chosen]++
			if !everything {
				b.byDelegates[chosen]++
			}
		case fault.Is(err, fault.Internal):
			b.r.Fatalf("%s: %v", chosen, err)
		case fault.Is(err, fault.Denied) && everything && who.Active:
			b.r.Fatalf("%s by the administrator %s: %v", chosen, address, err)
		}
	}
}
