package account_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// person is what the model knows of somebody.
type person struct {
	address string
	id      string
	account int64 // 0: none
	admin   bool
	blocked bool
	deleted bool
}

// TestRightsHold walks random acts of random people on two accounts, beside a
// model that is a few lines. After each: I1, every account has an active
// administrator; I2, who administers is exactly who was granted it by somebody
// entitled; I5, what is another account's answers as what is not there.
func TestRightsHold(t *testing.T) {
	each(t, func(w *world) {
		run := 0
		rapid.Check(w.T, func(r *rapid.T) {
			run++
			newCourt(w, r, run).play()
		})
	})
}

// court is one walk: two accounts, their people, and some who belong to none.
type court struct {
	*world
	r      *rapid.T
	number [2]int64
	group  map[int64]string
	people []*person
	n      int
}

func newCourt(w *world, r *rapid.T, run int) *court {
	c := &court{world: w, r: r, number: [2]int64{int64(1000 * run), int64(1000*run + 1)}, group: map[int64]string{}}
	for _, n := range c.number {
		ctx := w.Context()
		get[store.Account](w)(w.CreateAccount(ctx, w.root, account.NewAccount{Number: n, Name: "A"}))
		c.group[n] = w.admins(n).ID
		for i := range 3 {
			p := c.newPerson(n)
			nu := account.NewUser{Address: p.address, Password: better, Confirm: better}
			if i == 0 {
				nu.GroupID, p.admin = c.group[n], true
			}
			p.id = get[account.Added](w)(w.AddUser(ctx, w.root, n, nu)).User.ID
		}
	}
	free := c.newPerson(0)
	free.id = get[*account.Session](w)(w.Enrol(w.Context(), w.proven(free.address), account.Enrolment{Password: better, Confirm: better})).UserID
	return c
}

func (c *court) newPerson(n int64) *person {
	c.n++
	p := &person{address: fmt.Sprintf("p%d.%d@example.org", c.number[0], c.n), account: n}
	c.people = append(c.people, p)
	return p
}

func (c *court) pick(what string) *person { return rapid.SampledFrom(c.people).Draw(c.r, what) }

func (p *person) actor() account.Actor {
	return account.Actor{Kind: account.KindUser, UserID: p.id, Address: p.address, Name: p.address, Origin: here}
}

// admins are the active administrators of an account, by the model.
func (c *court) adminsOf(n int64) (list []*person) {
	for _, p := range c.people {
		if p.account == n && p.admin && !p.blocked && !p.deleted {
			list = append(list, p)
		}
	}
	return list
}

// entitled is the whole rule: an active administrator of that account.
func (c *court) entitled(p *person, n int64) bool { return slices.Contains(c.adminsOf(n), p) }

// last reports whether taking p's right away would leave nobody.
func (c *court) last(p *person) bool {
	a := c.adminsOf(p.account)
	return len(a) == 1 && a[0] == p
}

// expect compares an answer with the model's. It returns whether the act was done.
func (c *court) expect(what string, who *person, n int64, target *person, err error, allowed error) bool {
	want := allowed
	switch {
	case who.deleted:
		want = fault.New(fault.Denied, "err.forbidden")
	case who.account != n:
		want = fault.New(fault.NotFound, "e404.h1")
	case !c.entitled(who, n):
		want = fault.New(fault.Denied, "err.forbidden")
	}
	if (want == nil) != (err == nil) || want != nil && fault.Of(err).Key != fault.Of(want).Key {
		c.r.Fatalf("%s by %+v in %d on %+v: got %v, want %v", what, *who, n, target, err, want)
	}
	return err == nil
}

var missing = fault.New(fault.NotFound, "e404.h1")

func (c *court) play() {
	ctx := c.Context()
	acts := map[string]func(){
		"add": func() {
			who, target, n := c.pick("who"), c.pick("target"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			_, err := c.AddMembers(ctx, who.actor(), n, c.group[n], target.address, time.Time{})
			var allowed error
			switch {
			case target.deleted || target.account != n: // the free one never had an envelope of either
				allowed = fault.New(fault.Invalid, "seed.nonexistent")
			case target.blocked:
				allowed = fault.New(fault.Invalid, "people.blocked")
			}
			if c.expect("add", who, n, target, err, allowed) {
				target.admin = true
			}
		},
		"remove": func() {
			who, target, n := c.pick("who"), c.pick("target"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			_, _, err := c.RemoveMember(ctx, who.actor(), n, c.group[n], target.id)
			var allowed error
			switch {
			case target.deleted || target.account != n:
				allowed = missing
			case c.last(target):
				allowed = fault.New(fault.Conflict, "m.last")
			case !target.admin:
				allowed = missing
			}
			if c.expect("remove", who, n, target, err, allowed) {
				target.admin = false
			}
		},
		"block": func() {
			who, target, n := c.pick("who"), c.pick("target"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			_, err := c.BlockUser(ctx, who.actor(), n, target.id)
			allowed := c.mayLose(target, n)
			if who == target && who.account == n {
				allowed = fault.New(fault.Conflict, "bulk.self")
			}
			if c.expect("block", who, n, target, err, allowed) {
				target.blocked = true
			}
		},
		"unblock": func() {
			who, target, n := c.pick("who"), c.pick("target"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			_, err := c.UnblockUser(ctx, who.actor(), n, target.id)
			var allowed error
			if target.deleted || target.account != n {
				allowed = missing
			}
			if c.expect("unblock", who, n, target, err, allowed) {
				target.blocked = false
			}
		},
		"delete": func() {
			who, target, n := c.pick("who"), c.pick("target"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			_, err := c.DeleteUser(ctx, who.actor(), n, target.id)
			if c.expect("delete", who, n, target, err, c.mayLose(target, n)) {
				target.deleted = true
			}
		},
		"create": func() {
			who, n := c.pick("who"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			p := c.newPerson(n)
			added, err := c.AddUser(ctx, who.actor(), n, account.NewUser{Address: p.address, Password: better, Confirm: better, GroupID: c.group[n]})
			if c.expect("create", who, n, p, err, nil) {
				p.id, p.admin = added.User.ID, true
			} else {
				p.deleted, p.id = true, "none"
			}
		},
		"create in another's group": func() {
			who := c.pick("who")
			n := who.account
			for _, other := range c.number {
				if other != n {
					_, err := c.AddUser(ctx, who.actor(), n, account.NewUser{Address: "x" + who.address, Password: better, Confirm: better, GroupID: c.group[other]})
					if err == nil {
						c.r.Fatalf("created in the group of %d by one of %d", other, n)
					}
				}
			}
		},
		"ask and decide": func() {
			asker, who := c.pick("asker"), c.pick("who")
			var requestID string
			c.ok(c.db.Update(ctx, func(tx *store.Tx) error {
				requestID = ""
				if asker.deleted || asker.account == 0 {
					return nil
				}
				requestID = "r" + fmt.Sprint(c.n) + asker.id
				c.n++
				return tx.InsertRequest(store.AccessRequest{ID: requestID, UserID: asker.id, AccountID: asker.account})
			}))
			if requestID == "" {
				return
			}
			_, err := c.DecideRequest(ctx, who.actor(), requestID, true, "", "")
			var allowed error
			if asker.blocked {
				allowed = fault.New(fault.Conflict, "people.blocked")
			}
			if c.expect("decide", who, asker.account, asker, err, allowed) {
				asker.admin = true
			}
		},
		"look": func() {
			who, n := c.pick("who"), rapid.SampledFrom(c.number[:]).Draw(c.r, "account")
			page, err := c.Users(ctx, who.actor(), n, "", "", "", 500)
			if c.expect("look", who, n, nil, err, nil) {
				for _, u := range page.Users {
					if u.AccountID != n {
						c.r.Fatalf("%d sees a user of %d", n, u.AccountID)
					}
				}
			}
		},
	}
	names := slices.Sorted(maps.Keys(acts))
	for range rapid.IntRange(1, 25).Draw(c.r, "acts") {
		acts[rapid.SampledFrom(names).Draw(c.r, "act")]()
		c.check()
	}
}

// mayLose is the answer to an entitled person who blocks or deletes target.
func (c *court) mayLose(target *person, n int64) error {
	switch {
	case target.deleted || target.account != n:
		return missing
	case c.last(target):
		return fault.New(fault.Conflict, "m.last")
	}
	return nil
}

// check compares the database with the model.
func (c *court) check() {
	for _, n := range c.number {
		var got, want []string
		c.ok(c.db.View(c.Context(), func(tx *store.Tx) error {
			got = nil
			admins, err := tx.ListAdministrators(n, 500)
			for _, u := range admins {
				got = append(got, u.Address)
			}
			return err
		}))
		for _, p := range c.adminsOf(n) {
			want = append(want, p.address)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			c.r.Fatalf("account %d is administered by %v, granted to %v", n, got, want)
		}
		if len(got) == 0 {
			c.r.Fatalf("account %d has no administrator", n)
		}
	}
}
