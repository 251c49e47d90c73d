package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// A domain is one account's at most.
func TestDomains(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 100042)
		addAccount(t, db, 100043)
		insert := func(name string, number int64) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { return tx.InsertDomain(store.Domain{Name: name, AccountID: number}) }
		}
		update(t, db, insert("xn--caf-dma.example", 100042))
		update(t, db, insert("example.org", 100042))
		update(t, db, insert("example.net", 100043))
		wantErr(t, db, store.ErrTaken, insert("example.org", 100043))
		wantErr(t, db, store.ErrTaken, insert("example.org", 100042))
		if err := db.Update(t.Context(), insert("example.com", 999999)); err == nil {
			t.Error("a domain of no account")
		}
		org := store.Domain{Name: "example.org", AccountID: 100042, CreatedAt: noon}
		got := must(t, db, func(tx *store.Tx) ([]store.Domain, error) { return tx.ListDomains(100042) })
		if d := cmp.Diff([]store.Domain{org, {Name: "xn--caf-dma.example", AccountID: 100042, CreatedAt: noon}}, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(org, must(t, db, func(tx *store.Tx) (store.Domain, error) { return tx.FindDomain("example.org") })); d != "" {
			t.Error(d)
		}
		for _, c := range []struct {
			number int64
			had    bool
		}{{100043, false}, {100042, true}, {100042, false}} {
			if had := must(t, db, func(tx *store.Tx) (bool, error) { return tx.DeleteDomain(c.number, "example.org") }); had != c.had {
				t.Errorf("deleted from %d: %v", c.number, had)
			}
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindDomain("example.org"); return err })
		update(t, db, insert("example.org", 100043))
	})
}
