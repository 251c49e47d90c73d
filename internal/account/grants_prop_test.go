package account_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// TestNobodyGivesMore walks random acts of random people with rights of every
// kind, confined and not, some for a time, and holds after each what was there
// before against what is there now. The oracle knows no act, only the rules: I2,
// whatever anybody has gained, by membership, grant or invitation, who acted had
// too, and for as long; whoever was acted on had no more than who acted, and was
// in reach; nobody reaches more people by their own act; I5, nothing of another
// account changed or was seen; I1, an administrator is left who stays one.
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

// picture is all that the rules are about, as the database has it.
type picture struct {
	now    time.Time
	people map[string]snapshot // by address: users, and who is invited
	groups map[string]store.Group
	grants map[string][]store.Grant
}

// snapshot is one person in a picture.
type snapshot struct {
	id      string // "" = only invited
	account int64
	state   string // with whether their password is temporary
	active  bool
	holds   []store.Holding // by memberships and open invitations
	in      map[string]time.Time
	ended   []string
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
			log:   {{Right: store.RightAudit}, {Right: store.RightReports, Scope: ward}},
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

func (b *bench) look() (p picture) {
	b.ok(b.db.View(b.Context(), func(tx *store.Tx) error {
		p = picture{now: tx.Now, people: map[string]snapshot{}, groups: map[string]store.Group{}, grants: map[string][]store.Grant{}}
		for _, n := range b.numbers {
			users, err := tx.ListUsers(n, "", "", 500)
			if err != nil {
				return err
			}
			for _, u := range users {
				holds, err := tx.ListHoldings(u.ID, n)
				if err != nil {
					return err
				}
				p.people[u.Address] = snapshot{id: u.ID, account: n, state: fmt.Sprint(u.State, u.Temporary), active: u.State == store.UserActive && !u.Temporary, holds: holds, in: map[string]time.Time{}}
			}
			groups, err := tx.ListGroups(n, "", "", 500)
			if err != nil {
				return err
			}
			builtin, err := tx.FindBuiltinGroup(n)
			if err != nil {
				return err
			}
			for _, g := range append(groups, builtin) {
				p.groups[g.ID] = g
				if p.grants[g.ID], err = tx.ListGrants(g.ID); err != nil {
					return err
				}
				if g.Builtin {
					p.grants[g.ID] = []store.Grant{{Right: store.RightAll}}
				}
				members, err := tx.ListMembers(g.ID, "", "", 500)
				if err != nil {
					return err
				}
				for _, m := range members {
					who := p.people[m.Address]
					if m.Ended {
						who.ended = append(who.ended, g.ID)
					} else {
						who.in[g.ID] = m.Until
					}
					p.people[m.Address] = who
				}
			}
			invited, err := tx.ListInvitations(n, "", 500)
			if err != nil {
				return err
			}
			for _, i := range invited {
				who := p.people[i.Address]
				if i.GroupID == "" || !i.ExpiresAt.After(tx.Now) || !i.MemberUntil.IsZero() && !i.MemberUntil.After(tx.Now) || who.account != 0 && who.account != n {
					continue
				}
				if who.id == "" {
					who.account = n
				}
				who.holds = slices.Clone(who.holds)
				for _, g := range p.grants[i.GroupID] {
					who.holds = append(who.holds, store.Holding{Grant: g, GroupID: i.GroupID, Until: i.MemberUntil})
				}
				p.people[i.Address] = who
			}
		}
		return nil
	}))
	return p
}

// has reports whether these holdings are g or more, until then at least.
func has(holds []store.Holding, g store.Holding) bool {
	for _, h := range holds {
		if (h.Right == "all" || h.Right == g.Right) && (h.Scope == "" || h.Scope == g.Scope) && (h.Until.IsZero() || !g.Until.IsZero() && !h.Until.Before(g.Until)) {
			return true
		}
	}
	return false
}

// over is whom somebody has which rights over.
func (p picture) over(address string) map[string]bool {
	out, who := map[string]bool{}, p.people[address]
	for _, h := range who.holds {
		for a, x := range p.people {
			if _, in := x.in[h.Scope]; x.id != "" && x.account == who.account && (h.Scope == "" || in) {
				for _, right := range account.Rights {
					if h.Right == right || h.Right == "all" {
						out[right+" over "+a] = true
					}
				}
			}
		}
	}
	return out
}

// check holds what is there now against what was there before address acted.
func (b *bench) check(what, address string, before, after picture) {
	actor := before.people[address]
	for a, x := range after.people {
		was, known := before.people[a]
		changed := !known || was.state != x.state || !maps.Equal(was.in, x.in)
		if changed && x.account != actor.account {
			b.r.Fatalf("%s by %s of %d changed %s of %d", what, address, actor.account, a, x.account)
		}
		for _, h := range x.holds {
			if !has(was.holds, h) && !has(actor.holds, h) {
				b.r.Fatalf("%s by %s, who has %v, gives %s %+v, who had %v", what, address, actor.holds, a, h, was.holds)
			}
		}
	}
	for a, was := range before.people {
		x := after.people[a]
		if was.id == "" || was.state == x.state && maps.Equal(was.in, x.in) && x.id == was.id {
			continue
		}
		reached := false
		for _, h := range actor.holds {
			_, in := was.in[h.Scope]
			reached = reached || (h.Right == "all" || h.Right == "users") && (h.Scope == "" || in)
		}
		if !reached {
			b.r.Fatalf("%s by %s, who has %v, acts on %s, who is in %v", what, address, actor.holds, a, was.in)
		}
		var theirs []store.Holding
		for g, until := range was.in {
			for _, grant := range before.grants[g] {
				theirs = append(theirs, store.Holding{Grant: grant, Until: until})
			}
		}
		for _, h := range theirs {
			if !has(actor.holds, h) && !strings.HasPrefix(what, "group") { // a group's end is judged by its grants, below
				b.r.Fatalf("%s by %s, who has %v, acts on %s, who has %+v", what, address, actor.holds, a, h)
			}
		}
	}
	for id, g := range before.groups {
		for _, x := range before.grants[id] {
			if now, still := after.groups[id]; (!still || now.Name != g.Name || !slices.Contains(after.grants[id], x)) && !has(actor.holds, store.Holding{Grant: x}) {
				b.r.Fatalf("%s by %s, who has %v, takes %+v from %s", what, address, actor.holds, x, g.Name)
			}
		}
	}
	mine := before.over(address)
	for pair := range after.over(address) {
		_, of, _ := strings.Cut(pair, " over ")
		if was := before.people[of]; !mine[pair] && was.id != "" {
			b.r.Fatalf("%s by %s: now %s", what, address, pair)
		}
	}
}

// standing demands of each account an administrator who stays one.
func (b *bench) standing(p picture) {
	for _, n := range b.numbers {
		if !slices.ContainsFunc(slices.Collect(maps.Values(p.people)), func(x snapshot) bool {
			return x.account == n && x.active && x.id != "" && slices.ContainsFunc(slices.Collect(maps.Keys(x.in)), func(g string) bool { return p.groups[g].Builtin && x.in[g].IsZero() })
		}) {
			b.r.Fatalf("account %d has no administrator left", n)
		}
	}
}

func pick[T any](b *bench, what string, from []T) T { return rapid.SampledFrom(from).Draw(b.r, what) }

func (b *bench) play() {
	ctx := b.Context()
	before := b.look()
	for range 12 {
		addresses := slices.Sorted(maps.Keys(before.people))
		users := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return before.people[a].id == "" })
		named := map[string]store.Group{}
		for _, g := range before.groups {
			named[fmt.Sprint(g.AccountID, " ", g.Name)] = g
		}
		groups := slices.Sorted(maps.Keys(named))
		address, target, group, scope := pick(b, "who", users), pick(b, "target", users), named[pick(b, "group", groups)], named[pick(b, "scope", groups)]
		if rapid.Bool().Draw(b.r, "with rights") {
			address = pick(b, "who, with rights", slices.DeleteFunc(slices.Clone(users), func(a string) bool { return len(before.people[a].holds) == 0 }))
		}
		who := before.people[address]
		if rapid.Bool().Draw(b.r, "own account") { // else most acts fail for a dull reason
			own := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return named[g].AccountID != who.account })
			group, scope = named[pick(b, "own group", own)], named[pick(b, "own scope", own)]
			target = pick(b, "own target", slices.DeleteFunc(slices.Clone(users), func(a string) bool { return before.people[a].account != who.account }))
		}
		members := slices.DeleteFunc(slices.Clone(users), func(a string) bool { _, in := before.people[a].in[group.ID]; return !in })
		if len(members) > 0 && rapid.Bool().Draw(b.r, "a member") {
			target = pick(b, "member", members)
		}
		n := who.account
		actor := account.Actor{Kind: account.KindUser, UserID: who.id, Address: address, Name: address, Origin: here}
		var until time.Time
		if days := rapid.IntRange(0, 3).Draw(b.r, "days"); days > 0 {
			until = before.now.Add(time.Duration(days) * 24 * time.Hour)
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
			"remove": func() { _, _, err = b.RemoveMember(ctx, actor, n, group.ID, before.people[target].id) },
			"end": func() {
				_, _, err = b.SetMembershipEnd(ctx, actor, n, group.ID, before.people[target].id, until)
			},
			"grant": func() {
				grants := slices.Clone(before.grants[group.ID])
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
			"reset":   func() { _, err = b.ResetPassword(ctx, actor, n, before.people[target].id, temp, temp) },
			"block":   func() { _, err = b.BlockUser(ctx, actor, n, before.people[target].id) },
			"unblock": func() { _, err = b.UnblockUser(ctx, actor, n, before.people[target].id) },
			"delete":  func() { _, err = b.DeleteUser(ctx, actor, n, before.people[target].id) },
			"decide": func() {
				id := b.address()
				b.ok(b.db.Update(ctx, func(tx *store.Tx) error {
					return tx.InsertRequest(store.AccessRequest{ID: id, UserID: before.people[target].id, AccountID: before.people[target].account, Right: pick(b, "wanted", []string{"", store.RightUsers, store.RightAudit})})
				}))
				_, err = b.DecideRequest(ctx, actor, id, true, "")
			},
			"look": func() {
				page, uerr := b.Users(ctx, actor, n, "", "", "", 500)
				err = uerr
				for _, u := range page.Users {
					seen := false
					for _, h := range who.holds {
						_, in := before.people[u.Address].in[h.Scope]
						seen = seen || (h.Right == "all" || h.Right == "users" || h.Right == "audit") && (h.Scope == "" || in)
					}
					if !seen || u.AccountID != n {
						b.r.Fatalf("%s, who has %v, sees %s", address, who.holds, u.Address)
					}
				}
				if own, oerr := b.Own(ctx, actor, n); oerr == nil && !who.active {
					b.r.Fatalf("%s, who is %s, looks at %v", address, who.state, own)
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
					return tx.SetPassword(before.people[target].id, store.Password{Hash: "x"})
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
			b.standing(before)
			continue
		}
		what = chosen
		acts[chosen]()
		after := b.look()
		b.check(chosen, address, before, after)
		b.standing(after)
		before = after
		everything := has(who.holds, store.Holding{Grant: store.Grant{Right: "all"}})
		switch {
		case err == nil && what != "" && !who.active:
			b.r.Fatalf("%s by %s, who is %s", chosen, address, who.state)
		case err == nil && what != "":
			b.done[chosen]++
			if !everything {
				b.byDelegates[chosen]++
			}
		case fault.Is(err, fault.Internal):
			b.r.Fatalf("%s: %v", chosen, err)
		case fault.Is(err, fault.Denied) && everything && who.active:
			b.r.Fatalf("%s by the administrator %s: %v", chosen, address, err)
		}
	}
}
