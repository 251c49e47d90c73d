package keyserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// leave asks for the deletion of the house's account, and waits until its day.
func (h *house) leave(t *testing.T) {
	t.Helper()
	h.update(t, func(tx *store.Tx) error {
		return tx.SetDeletion(account, store.AccountDeleting, store.Deletion{At: tx.Now.Add(7 * 24 * time.Hour), Before: store.AccountActive})
	})
	h.wait(7*24*time.Hour + time.Second)
}

// furnish gives the account something of everything, and a neighbour who stays.
func (h *house) furnish(t *testing.T) (m sealed, neighbour string) {
	t.Helper()
	for i := range 3 {
		h.seal(t, fmt.Sprintf("to%d@example.net", i), "lou@example.net")
	}
	m = h.seal(t, "lou@example.net")
	neighbour = h.user(t, 0, "free@example.net")
	h.update(t, func(tx *store.Tx) error {
		if err := tx.InsertAccount(store.Account{ID: 100043, Name: "Other", State: store.AccountActive}); err != nil {
			return err
		}
		for i := range 250 {
			u := store.User{ID: id.New(), AccountID: account, Managed: i > 0, Address: fmt.Sprintf("u%d@health.example", i), DisplayAddress: "x", State: store.UserLocked}
			if err := tx.InsertUser(u, store.Password{}); err != nil {
				return err
			}
			if err := tx.SetSecondRequired(u.ID, true, false); err != nil {
				return err
			}
			if err := tx.TouchContact(u.ID, store.Contact{Address: "c@example.net", DisplayAddress: "c@example.net"}, ""); err != nil {
				return err
			}
		}
		if err := tx.InsertDomain(store.Domain{Name: "health.example", AccountID: account}); err != nil {
			return err
		}
		if err := tx.InsertRuleSet(store.RuleSet{AccountID: account, Version: 1, Body: "x", Author: "x"}); err != nil {
			return err
		}
		for i := range 3 {
			if err := tx.InsertTransit(store.Transit{ID: fmt.Sprintf("t%d", i), AccountID: int64(account + i%2), Detail: "{}"}); err != nil {
				return err
			}
		}
		return tx.InsertGroup(store.Group{ID: "g", AccountID: account, Name: "Ward", NameKey: "ward"})
	})
	return m, neighbour
}

// left are the tables that still have rows of the account, but for its number, its keys' tombs and its log.
func (h *house) left(t *testing.T) (out []string) {
	t.Helper()
	tables := []string{"users", "messages", "drafts", "larges", "transits"}
	for _, e := range store.Erasures {
		if e.Table != "job_rows" && e.Table != "webhook_deliveries" { // which name none, and go with their job and webhook
			tables = append(tables, e.Table)
		}
	}
	for _, table := range tables {
		if n := storetest.Count(t, h.db, table+fmt.Sprintf(" WHERE account_id = %d", account)); n > 0 {
			out = append(out, fmt.Sprintf("%s: %d", table, n))
		}
	}
	if n := storetest.Count(t, h.db, "slots"); n > 0 {
		out = append(out, fmt.Sprintf("slots: %d", n))
	}
	return out
}

func (h *house) state(t *testing.T) (a store.Account) {
	t.Helper()
	h.update(t, func(tx *store.Tx) (err error) { a, err = tx.FindAccount(account); return err })
	return a
}

// On its day an account is destroyed: keys first, then all the rest, however often
// that breaks off; its number and its log stay, and whoever asks for one of its
// envelopes hears that it is no longer there.
func TestEraseAccount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		h := newHouse(t, db)
		m, neighbour := h.furnish(t)
		reader := h.reader(t, m, 0)
		h.update(t, func(tx *store.Tx) error {
			return tx.SetDeletion(account, store.AccountDeleting, store.Deletion{At: tx.Now.Add(7 * 24 * time.Hour), Before: store.AccountActive})
		})
		h.wait(6 * time.Hour)
		if swept, err := h.Sweep(ctx); err != nil || swept.Accounts != 0 {
			t.Fatalf("before its day: %+v, %v", swept, err)
		}
		if _, err := h.Release(ctx, reader, m.slot(0)); err != nil {
			t.Fatalf("before its day an envelope does not open: %v", err)
		}
		h.wait(7 * 24 * time.Hour)

		killed := errors.New("killed")
		for batches := 0; ; batches++ {
			keyserver.AfterErasing(h.Service, func() error { return killed })
			_, err := h.Sweep(ctx)
			if batches == 0 {
				if a := h.state(t); a.State != store.AccountDeleted || !a.Deletion.ErasedAt.IsZero() {
					t.Fatalf("after the first batch: %+v", a)
				}
				if n := storetest.Count(t, db, fmt.Sprintf("epoch_keys WHERE account_id = %d AND (destroyed_at = 0 OR LENGTH(key_box) > 0)", account)); n > 0 {
					t.Errorf("%d epoch keys are left", n)
				}
				if n := storetest.Count(t, db, fmt.Sprintf("account_keys WHERE account_id = %d AND LENGTH(key_box) > 0", account)); n > 0 {
					t.Errorf("%d account keys are left", n)
				}
			}
			if err == nil {
				break
			}
			if !errors.Is(err, killed) || batches > 100 {
				t.Fatalf("batch %d: %v", batches, err)
			}
			h.Service = h.node() // another process goes on
		}
		if left := h.left(t); len(left) > 0 {
			t.Errorf("left: %s", strings.Join(left, ", "))
		}
		if names := h.blobNames(t); len(names) > 0 {
			t.Errorf("%d blobs are left", len(names))
		}
		a := h.state(t)
		if a.Name != "" || a.Deletion.ErasedAt.IsZero() {
			t.Errorf("%+v", a)
		}
		h.update(t, func(tx *store.Tx) error {
			if _, err := tx.FindUser(neighbour); err != nil {
				t.Errorf("a stranger to the account: %v", err)
			}
			u, err := tx.FindUserByAddress("u0@health.example") // enrolled by themselves
			if err != nil || u.AccountID != 0 || u.State != store.UserActive || u.SecondRequired {
				t.Errorf("who enrolled: %+v, %v", u, err)
			}
			if _, err := tx.FindUserByAddress("u1@health.example"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("whom an administrator made: %v", err)
			}
			if n, err := tx.NextAccountNumber(1); err != nil || n != 100044 {
				t.Errorf("the next number is %d, %v", n, err)
			}
			if err := tx.InsertDomain(store.Domain{Name: "health.example", AccountID: 100043}); err != nil {
				t.Errorf("the domain is not free: %v", err)
			}
			log, err := tx.ListAudit(account, "", 50)
			seen := map[string]int{}
			for _, r := range log {
				seen[r.Action]++
			}
			if seen["account.erase"] != 1 || seen["account.erased"] != 1 || seen["envelope.seal"] == 0 {
				t.Errorf("the log has %v", seen)
			}
			return err
		})
		if n := storetest.Count(t, db, "transits"); n != 1 {
			t.Errorf("%d transits, want the neighbour's", n)
		}
		if _, err := h.Release(ctx, reader, m.slot(0)); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Gone) {
			t.Errorf("a release: %v", err)
		}
		if swept, err := h.Sweep(ctx); err != nil || swept.Accounts != 0 {
			t.Errorf("once more: %+v, %v", swept, err)
		}
	})
}

// As soon as the keys are gone nothing opens, though every row is still there.
func TestErasedKeysOpenNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "lou@example.net")
		reader := h.reader(t, m, 0)
		h.update(t, func(tx *store.Tx) error { _, err := tx.DestroyAccountKeys(account); return err })
		_, err := h.Release(t.Context(), reader, m.slot(0))
		if !fault.Is(err, fault.Gone) {
			t.Errorf("a release: %v", err)
		}
		l, err := h.Landing(t.Context(), reader, m.ref(0))
		if err != nil || l.State != keyserver.StateGone || l.Note != "" {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// Of several nodes none is in another's way, and cancelling wins until the day.
func TestEraseAccountAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.furnish(t)
		h.leave(t)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			node := h.node()
			wg.Go(func() { _, errs[i] = node.Sweep(context.Background()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if left := h.left(t); len(left) > 0 || h.state(t).Deletion.ErasedAt.IsZero() {
			t.Errorf("left: %v", left)
		}
		if n := storetest.Count(t, db, "audit WHERE action IN ('account.erase', 'account.erased')"); n != 2 {
			t.Errorf("%d records", n)
		}
	})
}
