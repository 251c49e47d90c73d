package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// An upstream's name is its account's own.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 100042)
		addAccount(t, db, 100043)
		net := store.Upstream{ID: id.New(), AccountID: 100042, Name: "net", Kind: store.UpstreamNetwork, Value: "192.0.2.0/24", Forwards: true, CreatedAt: noon}
		mta := store.Upstream{ID: id.New(), AccountID: 100042, Name: "mta", Kind: store.UpstreamPassword, SecretHash: "00ff", CreatedAt: noon}
		other := store.Upstream{ID: id.New(), AccountID: 100043, Name: "net", Kind: store.UpstreamCertificate, Value: "aa", CreatedAt: noon}
		insert := func(u store.Upstream) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { return tx.InsertUpstream(u) }
		}
		for _, u := range []store.Upstream{net, other, mta} {
			update(t, db, insert(u))
		}
		again := net
		again.ID = id.New()
		wantErr(t, db, store.ErrTaken, insert(again))
		again.AccountID, again.Name = 999999, "lost"
		if err := db.Update(t.Context(), insert(again)); err == nil {
			t.Error("an upstream of no account")
		}
		for number, want := range map[int64][]store.Upstream{100042: {mta, net}, 100043: {other}, 999999: nil, 0: {mta, net, other}} {
			got := must(t, db, func(tx *store.Tx) ([]store.Upstream, error) { return tx.ListUpstreams(number) })
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("of %d: %s", number, d)
			}
		}
		for name, want := range map[string]bool{"mta": true, "net": false, "MTA": false, "": false} {
			if has := must(t, db, func(tx *store.Tx) (bool, error) { return tx.HasUpstreamPassword(name) }); has != want {
				t.Errorf("password of %q: %v", name, has)
			}
		}
		for _, c := range []struct {
			number int64
			name   string
			had    bool
		}{{100043, "mta", false}, {100042, "mta", true}, {100042, "mta", false}, {100043, "net", true}} {
			if had := must(t, db, func(tx *store.Tx) (bool, error) { return tx.DeleteUpstream(c.number, c.name) }); had != c.had {
				t.Errorf("%s deleted from %d: %v", c.name, c.number, had)
			}
		}
		if d := cmp.Diff([]store.Upstream{net}, must(t, db, func(tx *store.Tx) ([]store.Upstream, error) { return tx.ListUpstreams(0) })); d != "" {
			t.Error(d)
		}
	})
}

// The highest version is in force; none is written twice.
func TestRuleSets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 100042)
		addAccount(t, db, 100043)
		set := func(number, version int64, body string) store.RuleSet {
			return store.RuleSet{AccountID: number, Version: version, Body: body, Author: "operator:root", CreatedAt: noon}
		}
		insert := func(s store.RuleSet) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { return tx.InsertRuleSet(s) }
		}
		find := func(number, version int64) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { _, err := tx.FindRuleSet(number, version); return err }
		}
		wantErr(t, db, store.ErrNotFound, find(100042, 0))
		if got := must(t, db, func(tx *store.Tx) (map[int64]int64, error) { return tx.ListRulesInForce() }); len(got) != 0 {
			t.Errorf("in force: %v", got)
		}
		var all []store.RuleSet
		for v := int64(1); v <= 12; v++ { // 10 and more: not by their first digit
			all = append(all, set(100042, v, "# é\r\n"))
			update(t, db, insert(all[v-1]))
		}
		other := set(100043, 1, "x")
		update(t, db, insert(other))
		wantErr(t, db, store.ErrTaken, insert(set(100042, 12, "another")))
		if err := db.Update(t.Context(), insert(set(999999, 1, ""))); err == nil {
			t.Error("rules of no account")
		}
		for _, c := range []struct {
			number, version int64
			want            store.RuleSet
		}{{100042, 0, all[11]}, {100042, 3, all[2]}, {100043, 0, other}} {
			got := must(t, db, func(tx *store.Tx) (store.RuleSet, error) { return tx.FindRuleSet(c.number, c.version) })
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%d of %d: %s", c.version, c.number, d)
			}
		}
		wantErr(t, db, store.ErrNotFound, find(100042, 13))
		wantErr(t, db, store.ErrNotFound, find(100043, 2))
		var seen []int64
		for below := int64(0); ; {
			page := must(t, db, func(tx *store.Tx) ([]store.RuleSet, error) { return tx.ListRuleSets(100042, below, 5) })
			for _, s := range page {
				seen = append(seen, s.Version)
				below = s.Version
			}
			if len(page) < 5 {
				break
			}
		}
		if d := cmp.Diff([]int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, seen); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[int64]int64{100042: 12, 100043: 1}, must(t, db, func(tx *store.Tx) (map[int64]int64, error) { return tx.ListRulesInForce() })); d != "" {
			t.Error(d)
		}
	})
}

// A person's groups, by the names that rules have.
func TestGroupNames(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 100042)
		addAccount(t, db, 100043)
		lea := addUser(t, db, 100042, "lea@example.org", "Lea", "L")
		for _, name := range []string{"night", "day", "empty"} {
			g := addGroup(t, db, 100042, name, false)
			if name != "empty" {
				must(t, db, func(tx *store.Tx) (bool, error) { return tx.InsertMembership(g.ID, lea.ID, time.Time{}) })
			}
		}
		update(t, db, func(tx *store.Tx) error {
			return tx.InsertAlias(store.Alias{Address: "l@example.org", DisplayAddress: "l@example.org", UserID: lea.ID})
		})
		for _, c := range []struct {
			number  int64
			address string
			want    []string
		}{{100042, "lea@example.org", []string{"day", "night"}}, {100042, "l@example.org", []string{"day", "night"}}, {100043, "lea@example.org", nil}, {100043, "l@example.org", nil}, {100042, "bo@example.org", nil}} {
			if d := cmp.Diff(c.want, must(t, db, func(tx *store.Tx) ([]string, error) { return tx.ListGroupNames(c.number, c.address) })); d != "" {
				t.Errorf("%s in %d: %s", c.address, c.number, d)
			}
		}
		update(t, db, func(tx *store.Tx) error { return tx.InsertDomain(store.Domain{Name: "b.test", AccountID: 100043}) })
		update(t, db, func(tx *store.Tx) error { return tx.InsertDomain(store.Domain{Name: "a.test", AccountID: 100042}) })
		if all := must(t, db, func(tx *store.Tx) ([]store.Domain, error) { return tx.ListAllDomains() }); len(all) != 2 {
			t.Errorf("%d domains of all accounts", len(all))
		}
	})
}
