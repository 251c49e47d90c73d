package store_test

import (
	"slices"
	"testing"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// Whoever makes a table that names an account says here what becomes of its rows
// when the account is deleted, and whether they are given out before.
func TestEveryTableOfAnAccountIsErasedAndExported(t *testing.T) {
	t.Parallel()
	handled := map[string]bool{
		"messages": true, "drafts": true, "larges": true, "users": true, "transits": true, // by steps of their own
		"audit": true, "audit_heads": true, // an account that is deleted leaves its log
		"account_keys": true, "epoch_keys": true, // emptied: that they were there, and when they went
	}
	for _, e := range store.Erasures {
		handled[e.Table] = true
	}
	given := map[string]bool{"audit": true}
	for _, e := range store.Extracts {
		for _, table := range e.Tables() {
			given[table] = true
		}
	}
	// Sealed, for the service's own use, or made of what is given out.
	for _, table := range []string{"account_keys", "epoch_keys", "audit_heads", "outbox", "drafts", "larges", "transits", "jobs", "account_exports", "factor_lifts",
		"report_messages", "report_people", "account_usage", "merges", "logos"} {
		given[table] = true
	}
	for _, table := range storetest.TablesWith(t, storetest.Open(t), "account_id") {
		if !handled[table] {
			t.Errorf("%s is not erased with its account: see Erasures", table)
		}
		if !given[table] {
			t.Errorf("%s is not in an account's export: see Extracts", table)
		}
	}
	for _, table := range []string{"passkeys", "authenticators", "recovery_codes", "sessions", "identities", "remembered", "codes", "service_keys"} {
		if slices.ContainsFunc(store.Extracts, func(e store.Extract) bool { return slices.Contains(e.Tables(), table) }) {
			t.Errorf("%s is exported", table)
		}
	}
}

// Whoever makes a table says here what becomes of its rows when an account is
// deleted, also where it does not name the account.
func TestEveryTableIsErasedOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	gone := map[string]bool{"messages": true, "drafts": true, "larges": true, "users": true, "transits": true} // by steps of their own
	for _, e := range store.Erasures {
		gone[e.Table] = true
	}
	stays := map[string]string{
		"accounts": "its number is never given again", "account_keys": "emptied", "epoch_keys": "emptied",
		"audit": "the log stays", "audit_heads": "the log stays", "audit_notary": "the service's", "audit_streams": "the service's",
		"service_keys": "the service's", "nodes": "the service's", "leases": "the service's", "backups": "the service's", "site_texts": "the service's", "site_settings": "the service's",
		"payloads": "with their message, by DeleteMessage", "remembered": "by eraseUser, for the addresses of those who are deleted",
		"stages": "a day at most", "api_answers": "a day at most, sealed", "codes": "minutes", "detours": "minutes", "throttles": "minutes to days, by hash",
	}
	tables := storetest.Tables(t, db)
	if len(tables) < 50 {
		t.Fatalf("only %d tables were found", len(tables))
	}
	var erased func(table string) bool
	erased = func(table string) bool {
		return gone[table] || slices.ContainsFunc(storetest.Parents(t, db, table), erased)
	}
	for _, table := range tables {
		if yes, why := erased(table), stays[table]; !yes && why == "" {
			t.Errorf("%s outlives its account: see Erasures", table)
		} else if yes && why != "" {
			t.Errorf("%s is erased, and it is said that it stays: %s", table, why)
		}
	}
}

// Who enrolled by themselves outlives the account, with what is theirs and nothing of the account's.
func TestEveryTableOfAUserIsDetachedOrTheirs(t *testing.T) {
	t.Parallel()
	theirs := []string{"aliases", "passkeys", "authenticators", "recovery_codes", "identities", "password_links", "operators"}
	before := []string{"drafts", "larges", "factor_lifts"} // by themselves, or with the user's change of account
	for _, table := range storetest.TablesWith(t, storetest.Open(t), "user_id") {
		if !slices.Contains(slices.Concat(store.Detached, theirs, before), table) {
			t.Errorf("%s: is it what a user had in the account? See Detached", table)
		}
	}
}

// A blob that no column of the list names is taken from the disk, and is in no backup.
func TestEveryColumnOfBlobs(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, column := range []string{"blob", "payload"} {
		tables := storetest.TablesWith(t, db, column)
		if len(tables) == 0 {
			t.Errorf("no table has a column %s", column)
		}
		for _, table := range tables {
			if !slices.ContainsFunc(store.BlobColumns, func(c store.BlobColumn) bool { return c.Table == table && c.Column == column }) {
				t.Errorf("%s.%s names blobs: see BlobColumns", table, column)
			}
		}
	}
}

// Each kind of rows can be read on both engines, also from its middle.
func TestExtracts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fill(t, db)
		err := db.View(t.Context(), func(tx *store.Tx) error {
			for _, e := range store.Extracts {
				all, err := tx.ListExtract(e, 100042, nil, 100)
				if err != nil {
					t.Errorf("%s: %v", e.Name, err)
					continue
				}
				n := 0
				for after := (*store.ExtractRow)(nil); ; n++ {
					rows, err := tx.ListExtract(e, 100042, after, 1)
					if err != nil {
						t.Fatalf("%s: %v", e.Name, err)
					}
					if len(rows) == 0 {
						break
					}
					after = &rows[0]
				}
				if n != len(all) {
					t.Errorf("%s: %d rows one by one, %d at once", e.Name, n, len(all))
				}
				if other, err := tx.ListExtract(e, 100043, nil, 100); err != nil || len(other) != 0 {
					t.Errorf("%s of another account: %d, %v", e.Name, len(other), err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func fill(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertAccount(store.Account{ID: 100042, Name: "A", State: store.AccountActive, TimeZone: "UTC"}); err != nil {
			return err
		}
		g := store.Group{ID: "g1", AccountID: 100042, Name: "Ward", NameKey: "ward"}
		if err := tx.InsertGroup(g); err != nil {
			return err
		}
		for _, name := range []string{"ana", "bo", "Cid"} {
			u := store.User{ID: "u-" + name, AccountID: 100042, Address: name + "@example.org", DisplayAddress: name + "@example.org", State: store.UserActive}
			if err := tx.InsertUser(u, store.Password{}); err != nil {
				return err
			}
			if err := tx.InsertMemberships([][3]string{{g.ID, u.ID, u.Address}}); err != nil {
				return err
			}
		}
		for _, right := range []string{store.RightUsers, store.RightAudit} {
			if err := tx.InsertGrant(g.ID, store.Grant{Right: right}); err != nil {
				return err
			}
		}
		for v := int64(1); v < 4; v++ {
			if err := tx.InsertRuleSet(store.RuleSet{AccountID: 100042, Version: v, Body: "default = \"seal\"", Author: "x"}); err != nil {
				return err
			}
		}
		for _, id := range []string{"m1", "m2", "m3"} {
			m := store.Message{ID: id, AccountID: 100042, SenderAddress: "ana@example.org", Carrier: "mail", Card: []byte{1}, MH: []byte{1}, HH: []byte{1}, PH: []byte{1}, Seal: []byte{1}}
			if err := tx.InsertMessage(m); err != nil {
				return err
			}
			for _, n := range []string{"a", "b"} {
				s := store.Slot{ID: id + n, MessageID: id, Ref: id + n, Address: "x@example.net", DisplayAddress: "x@example.net", RH: []byte{1}, Wrap: []byte{1}, Box: []byte{1}, Pop: []byte{1}}
				if err := tx.InsertSlot(s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
