// Package accounttest holds what was there before an act against what is there
// after it, for tests that let random people act. It knows no act, only the rules
// of security.md: I1, an administrator is left who stays one; I2, whatever anybody
// has gained, by membership, grant or invitation, who acted had too, and for as
// long, whoever was acted on had no more than who acted and was in reach, and
// nobody reaches more people by their own act; I5, nothing of another account
// changed.
package accounttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

// Picture is all that the rules are about, as the database has it.
type Picture struct {
	Now    time.Time
	People map[string]Person // by address: users, and who is invited
	Groups map[string]store.Group
	Grants map[string][]store.Grant
}

// Person is one person in a picture.
type Person struct {
	ID      string // "" = only invited
	Account int64
	State   string // with whether their password is temporary
	Active  bool
	Holds   []store.Holding // by memberships and open invitations
	In      map[string]time.Time
	Ended   []string
}

// Look takes a picture of some accounts, of at most 500 users each.
func Look(ctx context.Context, db *store.DB, numbers ...int64) (p Picture, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		p = Picture{Now: tx.Now, People: map[string]Person{}, Groups: map[string]store.Group{}, Grants: map[string][]store.Grant{}}
		for _, n := range numbers {
			users, err := tx.ListUsers(n, "", "", 500)
			if err != nil {
				return err
			}
			for _, u := range users {
				holds, err := tx.ListHoldings(u.ID, n)
				if err != nil {
					return err
				}
				p.People[u.Address] = Person{ID: u.ID, Account: n, State: fmt.Sprint(u.State, u.Temporary), Active: u.State == store.UserActive && !u.Temporary, Holds: holds, In: map[string]time.Time{}}
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
				p.Groups[g.ID] = g
				if p.Grants[g.ID], err = tx.ListGrants(g.ID); err != nil {
					return err
				}
				if g.Builtin {
					p.Grants[g.ID] = []store.Grant{{Right: store.RightAll}}
				}
				members, err := tx.ListMembers(g.ID, "", "", 500)
				if err != nil {
					return err
				}
				for _, m := range members {
					who := p.People[m.Address]
					if m.Ended {
						who.Ended = append(who.Ended, g.ID)
					} else {
						who.In[g.ID] = m.Until
					}
					p.People[m.Address] = who
				}
			}
			invited, err := tx.ListInvitations(n, "", "", "", 500)
			if err != nil {
				return err
			}
			for _, i := range invited {
				who := p.People[i.Address]
				if i.GroupID == "" || !i.ExpiresAt.After(tx.Now) || !i.MemberUntil.IsZero() && !i.MemberUntil.After(tx.Now) || who.Account != 0 && who.Account != n {
					continue
				}
				if who.ID == "" {
					who.Account = n
				}
				who.Holds = slices.Clone(who.Holds)
				for _, g := range p.Grants[i.GroupID] {
					who.Holds = append(who.Holds, store.Holding{Grant: g, GroupID: i.GroupID, Until: i.MemberUntil})
				}
				p.People[i.Address] = who
			}
		}
		return nil
	})
	return p, err
}

// Has reports whether these holdings are g or more, until then at least.
func Has(holds []store.Holding, g store.Holding) bool {
	for _, h := range holds {
		if (h.Right == "all" || h.Right == g.Right) && (h.Scope == "" || h.Scope == g.Scope) && (h.Until.IsZero() || !g.Until.IsZero() && !h.Until.Before(g.Until)) {
			return true
		}
	}
	return false
}

// over is whom somebody has which rights over.
func (p Picture) over(address string) map[string]bool {
	out, who := map[string]bool{}, p.People[address]
	for _, h := range who.Holds {
		for a, x := range p.People {
			if _, in := x.In[h.Scope]; x.ID != "" && x.Account == who.Account && (h.Scope == "" || in) {
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

// Check returns what somebody's act has done against the rules, "" for nothing.
func (before Picture) Check(what, address string, after Picture) string {
	actor := before.People[address]
	for a, x := range after.People {
		was, known := before.People[a]
		changed := !known || was.State != x.State || !maps.Equal(was.In, x.In)
		if changed && x.Account != actor.Account {
			return fmt.Sprintf("%s by %s of %d changed %s of %d", what, address, actor.Account, a, x.Account)
		}
		for _, h := range x.Holds {
			if !Has(was.Holds, h) && !Has(actor.Holds, h) {
				return fmt.Sprintf("%s by %s, who has %v, gives %s %+v, who had %v", what, address, actor.Holds, a, h, was.Holds)
			}
		}
	}
	for a, was := range before.People {
		x := after.People[a]
		locked := strings.HasPrefix(was.State, store.UserLocked)
		for g := range x.In {
			if _, in := was.In[g]; !in && locked && x.ID == was.ID {
				return fmt.Sprintf("%s by %s puts %s, who is locked, into a group", what, address, a)
			}
		}
		if a == address && !locked && strings.HasPrefix(x.State, store.UserLocked) {
			return fmt.Sprintf("%s: %s locks themselves", what, a)
		}
		if was.ID == "" || was.State == x.State && maps.Equal(was.In, x.In) && x.ID == was.ID {
			continue
		}
		reached := false
		for _, h := range actor.Holds {
			_, in := was.In[h.Scope]
			reached = reached || (h.Right == "all" || h.Right == "users") && (h.Scope == "" || in)
		}
		if !reached {
			return fmt.Sprintf("%s by %s, who has %v, acts on %s, who is in %v", what, address, actor.Holds, a, was.In)
		}
		var theirs []store.Holding
		for g, until := range was.In {
			for _, grant := range before.Grants[g] {
				theirs = append(theirs, store.Holding{Grant: grant, Until: until})
			}
		}
		for _, h := range theirs {
			if !Has(actor.Holds, h) && !strings.HasPrefix(what, "group") { // a group's end is judged by its grants, below
				return fmt.Sprintf("%s by %s, who has %v, acts on %s, who has %+v", what, address, actor.Holds, a, h)
			}
		}
	}
	for id, g := range before.Groups {
		for _, x := range before.Grants[id] {
			if now, still := after.Groups[id]; (!still || now.Name != g.Name || !slices.Contains(after.Grants[id], x)) && !Has(actor.Holds, store.Holding{Grant: x}) {
				return fmt.Sprintf("%s by %s, who has %v, takes %+v from %s", what, address, actor.Holds, x, g.Name)
			}
		}
	}
	mine := before.over(address)
	for pair := range after.over(address) {
		_, of, _ := strings.Cut(pair, " over ")
		if was := before.People[of]; !mine[pair] && was.ID != "" {
			return fmt.Sprintf("%s by %s: now %s", what, address, pair)
		}
	}
	return ""
}

// Standing returns which account is left without an administrator who stays one,
// "" for none.
func (p Picture) Standing(numbers ...int64) string {
	for _, n := range numbers {
		if !slices.ContainsFunc(slices.Collect(maps.Values(p.People)), func(x Person) bool {
			return x.Account == n && x.Active && x.ID != "" && slices.ContainsFunc(slices.Collect(maps.Keys(x.In)), func(g string) bool { return p.Groups[g].Builtin && x.In[g].IsZero() })
		}) {
			return fmt.Sprintf("account %d has no administrator left", n)
		}
	}
	return ""
}
