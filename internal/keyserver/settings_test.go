package keyserver_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// limits are what operators say for the house's account.
func (h *house) limits(t testing.TB, l policy.Layer) {
	t.Helper()
	h.update(t, func(tx *store.Tx) error { return tx.SetAccountLimits(account, l.Encode()) })
}

func (h *house) usage(t testing.TB) (u store.Usage) {
	t.Helper()
	if err := h.db.View(context.Background(), func(tx *store.Tx) (err error) { u, err = tx.Usage(account); return err }); err != nil {
		t.Fatal(err)
	}
	return u
}

func failsWith(t *testing.T, err error, kind fault.Kind, key string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.Of(err).Key != key {
		t.Errorf("%v, want %s", err, key)
	}
}

// What a sender's groups say when a message is registered is in it for good; what
// the account and its operators say counts at each act.
func TestGroupsCountWhenSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.set(t, policy.Layer{"forward": "true", "lease_days": "9"})
		group := store.Group{ID: id.New(), AccountID: account, Name: "Ward", NameKey: "ward"}
		h.update(t, func(tx *store.Tx) error {
			if err := tx.InsertGroup(group); err != nil {
				return err
			}
			if _, err := tx.InsertMembership(group.ID, h.ana.UserID, time.Time{}); err != nil {
				return err
			}
			return tx.SetGroupSettings(group.ID, policy.Layer{"level": "high", "reply": "false", "expiry_max": "7", "lease_days": "2"}.Encode())
		})
		m := h.seal(t, "bob@x.example")
		h.update(t, func(tx *store.Tx) error { return tx.DeleteMembership(group.ID, h.ana.UserID) })
		free := h.seal(t, "bob@x.example")
		read := func(m sealed) (store.Message, policy.Allowed) {
			var row store.Message
			h.update(t, func(tx *store.Tx) (err error) { row, err = tx.FindMessage(m.id()); return err })
			p, err := policy.ReadPermissions(row.Policy)
			if err != nil {
				t.Fatal(err)
			}
			return row, p.Under(policy.Effective(nil, nil, policy.Layer{"forward": "true", "lease_days": "9"}))
		}
		row, may := read(m)
		if end := row.ExpiresAt; end.IsZero() || end.After(h.clock().AddDate(0, 0, 8)) || row.Epoch == 0 {
			t.Errorf("it ends %v", end)
		}
		if want := (policy.Allowed{Level: policy.High, Forward: true, Online: true}); may != want {
			t.Errorf("%+v", may)
		}
		if row, may := read(free); may.Level != policy.Medium || !may.Reply || may.Lease != 9 || !may.Forward || !row.ExpiresAt.IsZero() && row.ExpiresAt.Before(h.clock().AddDate(0, 0, 20)) {
			t.Errorf("outside the group: %+v, ends %v", may, row.ExpiresAt)
		}
		h.limits(t, policy.Layer{"level": "high"})
		h.refused(t, "limits", h.reader(t, free, 0), free, "release.level.account", "/e/"+free.ref(0))
	})
}

func TestSendingOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		h.set(t, policy.Layer{"compose": "false"})
		_, err := h.Register(t.Context(), h.prepare(t, "bob@x.example").NewMessage)
		failsWith(t, err, fault.Denied, "off.compose")
		if err := h.reply(t, h.reader(t, m, 0), m, 0, keyserver.Reply, "ana@health.example"); err != nil {
			t.Errorf("an answer: %v", err)
		}
		through := h.prepare(t, "bob@x.example")
		through.Transit = "trace"
		if _, err := h.Register(t.Context(), through.NewMessage); err != nil {
			t.Errorf("through the gateway: %v", err)
		}
	})
}

func TestLargeFilesOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		announce := func() error {
			_, err := h.NewLarge(t.Context(), h.actor(), keyserver.LargeSize(3<<20))
			return err
		}
		h.set(t, policy.Layer{"large": "false", "keep_days": "14"})
		failsWith(t, announce(), fault.Denied, "off.large")
		h.set(t, policy.Layer{"large_mib": "2", "keep_days": "14"})
		failsWith(t, announce(), fault.TooLarge, "large.mib")
		h.set(t, policy.Layer{"large_mib": "3", "keep_days": "14"})
		h.limits(t, policy.Layer{"quota_mib": "2"})
		failsWith(t, announce(), fault.Closed, "quota.mib")
		if u := h.usage(t); u.Bytes != 0 {
			t.Errorf("%+v", u)
		}
		h.limits(t, nil)
		if err := announce(); err != nil || h.usage(t).Bytes != keyserver.LargeSize(3<<20) {
			t.Errorf("%v, %+v", err, h.usage(t))
		}
	})
}

// A quota is refused in the act, which then has not happened; of acts at once not
// one too many passes. What is forgotten makes room, and a day ends.
func TestQuotas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.set(t, policy.Layer{"keep_days": "14"})
		h.limits(t, policy.Layer{"quota_day": "5"})
		first := h.seal(t, "bob@x.example")
		size := first.PayloadSize
		if u := h.usage(t); u.Envelopes != 1 || u.Bytes != size || u.Users != 1 {
			t.Errorf("%+v", u)
		}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			m := h.prepare(t, "bob@x.example")
			wg.Go(func() { _, errs[i] = h.Register(context.Background(), m.NewMessage) })
		}
		wg.Wait()
		refused := 0
		for _, err := range errs {
			if err != nil {
				refused++
				failsWith(t, err, fault.Closed, "quota.day")
			}
		}
		if u := h.usage(t); refused != 4 || u.Envelopes != 5 || u.Bytes != 5*size {
			t.Errorf("%d refused, %+v", refused, u)
		}
		h.wait(24 * time.Hour)
		h.limits(t, policy.Layer{"quota_day": "5", "quota_mib": "1"})
		if h.seal(t, "bob@x.example"); h.usage(t).Envelopes != 1 {
			t.Errorf("the next day: %+v", h.usage(t))
		}
		// The ciphertext goes with its days, and its bytes with it.
		h.wait(15 * 24 * time.Hour)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if u := h.usage(t); u.Bytes != 0 {
			t.Errorf("after the sweep: %+v", u)
		}
	})
}
