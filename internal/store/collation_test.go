package store_test

import (
	"slices"
	"testing"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// Keys are in the order of their bytes, whatever order the database has (the
// tests' PostgreSQL has that of English), so that pages and beginnings are the
// same on both engines, and found by the same indexes.
func TestKeysCompareByBytes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		addAccount(t, db, 1)
		names := []string{"_", "a", "a b", "a%", "a-b", "a_b", "ab", "eau", "zoo", "é", "été", "étéa"}
		slices.Sort(names)
		local := []string{"a", "a-z", "a_z", "az", "b"}
		for _, name := range names {
			update(t, db, func(tx *store.Tx) error {
				return tx.InsertGroup(store.Group{ID: id.New(), AccountID: 1, Name: name, NameKey: name})
			})
		}
		var addresses []string
		for _, l := range local {
			u := addUser(t, db, 1, l+"@example.org", "A", "B")
			addresses = append(addresses, u.Address)
			update(t, db, func(tx *store.Tx) error {
				return tx.InsertInvitation(store.Invitation{ID: id.New(), AccountID: 1, Address: u.Address, TokenHash: u.ID, ExpiresAt: noon})
			})
		}
		slices.Sort(addresses)

		for query, want := range map[string][]string{"": names, "a": {"a", "a b", "a%", "a-b", "a_b", "ab"}, "a%": {"a%"}, "a_": {"a_b"}, "ét": {"été", "étéa"}, "x": nil} {
			var got []string
			for after := ""; ; {
				groups := must(t, db, func(tx *store.Tx) ([]store.Group, error) { return tx.ListGroups(1, query, after, 1) })
				if len(groups) == 0 || len(got) > len(names) {
					break
				}
				after = groups[0].NameKey
				got = append(got, after)
			}
			if !slices.Equal(got, want) {
				t.Errorf("groups %q: %q, want %q", query, got, want)
			}
			if n := must(t, db, func(tx *store.Tx) (int, error) { return tx.CountGroups(1, query) }); n != len(want) {
				t.Errorf("groups %q: %d, want %d", query, n, len(want))
			}
		}
		for query, want := range map[string][]string{"": addresses, "A_": {"a_z@example.org"}, "a@": {"a@example.org"}, "%": nil} {
			var got []string
			for _, i := range must(t, db, func(tx *store.Tx) ([]store.Invitation, error) { return tx.ListInvitations(1, query, "", "", 10) }) {
				got = append(got, i.Address)
			}
			if !slices.Equal(got, want) {
				t.Errorf("invitations %q: %q, want %q", query, got, want)
			}
		}
		var got []string
		for _, u := range must(t, db, func(tx *store.Tx) ([]store.User, error) { return tx.ListUsers(1, "", "a", 10) }) {
			got = append(got, u.Address)
		}
		if !slices.Equal(got, addresses) {
			t.Errorf("users: %q, want %q", got, addresses)
		}
	})
}
