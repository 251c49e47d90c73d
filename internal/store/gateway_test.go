package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// addMessage writes a message of account 1 that names a payload.
func addMessage(t *testing.T, db *store.DB, messageID, payload string, until time.Time) store.Message {
	t.Helper()
	m := store.Message{ID: messageID, AccountID: 1, SenderAddress: "ana@example.org", Card: []byte{1}, MH: []byte{2}, HH: []byte{3}, PH: []byte{4},
		Seal: []byte{5}, PayloadSize: 6, Payload: payload, PayloadUntil: until, Carrier: "mail", Transit: "trace", Policy: `{"wish":"seal"}`}
	update(t, db, func(tx *store.Tx) error { return tx.InsertMessage(m) })
	return m
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 1)
		one, two, three := id.New(), id.New(), id.New()
		name := store.RowName(one)
		if !store.IsRow(name) || store.IsRow(one) || store.IsRow("") {
			t.Error("what is a row")
		}
		body := bytes.Repeat([]byte{0, 1, 0xff, '\'', '\n', 0x80}, 128<<10/6)
		if _, err := db.Payload(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		update(t, db, func(tx *store.Tx) error {
			return errors.Join(tx.InsertPayload(name, body), tx.InsertPayload(store.RowName(two), []byte{}), tx.InsertPayload(store.RowName(three), []byte("x")))
		})
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error { return tx.InsertPayload(name, []byte("another")) })
		if got, err := db.Payload(t.Context(), name); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d octets, %v", len(got), err)
		}
		if got, err := db.Payload(t.Context(), store.RowName(two)); err != nil || len(got) != 0 {
			t.Errorf("empty: %d octets, %v", len(got), err)
		}

		// A transaction that does not commit leaves no payload.
		lost := store.RowName(id.New())
		wantErr(t, db, errStop, func(tx *store.Tx) error { return errors.Join(tx.InsertPayload(lost, body), errStop) })
		if _, err := db.Payload(t.Context(), lost); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("rolled back: %v", err)
		}

		// It goes with its message…
		m := addMessage(t, db, one, name, noon)
		update(t, db, func(tx *store.Tx) error {
			return tx.InsertSlot(store.Slot{ID: id.New(), MessageID: one, Ref: "7KQ42F", Address: "bob@x.test", RH: []byte{1}, Wrap: []byte{2}, Box: []byte{3}, Pop: []byte{4}, Delivery: "none"})
		})
		got := must(t, db, func(tx *store.Tx) (store.Message, error) { return tx.FindMessage(one) })
		m.SealedAt = noon
		if d := cmp.Diff(m, got); d != "" {
			t.Error(d)
		}
		update(t, db, func(tx *store.Tx) error { return tx.DeleteMessage(m) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindMessage(one); return err })
		if n := storetest.Count(t, db, "slots"); n != 0 {
			t.Errorf("%d slots are left", n)
		}
		if _, err := db.Payload(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after: %v", err)
		}

		// …or when its time has come, once.
		addMessage(t, db, three, store.RowName(three), noon.Add(time.Hour))
		addMessage(t, db, two, "0123456789abcdef", noon.Add(2*time.Hour)) // a blob
		kept := store.KeptPayload{MessageID: three, Name: store.RowName(three)}
		due := must(t, db, func(tx *store.Tx) ([]store.KeptPayload, error) { return tx.ListPayloadsDue(noon.Add(time.Hour), 9) })
		if d := cmp.Diff([]store.KeptPayload{kept}, due); d != "" {
			t.Error(d)
		}
		for i, want := range []bool{true, false} {
			if ok := must(t, db, func(tx *store.Tx) (bool, error) { return tx.DropPayload(kept) }); ok != want {
				t.Errorf("drop %d: %v", i, ok)
			}
		}
		if ok := must(t, db, func(tx *store.Tx) (bool, error) {
			return tx.DropPayload(store.KeptPayload{MessageID: two, Name: "0123456789abcdef"})
		}); !ok {
			t.Error("a blob's name is not dropped")
		}
		if n := storetest.Count(t, db, "payloads"); n != 1 { // that of two, which no message names
			t.Errorf("%d payloads are left", n)
		}
	})
}

var errStop = errors.New("stop")

// trace is a trace id of that time, as UUIDv7 has it.
func trace(at time.Time, n int) string {
	u := uuid.UUID{}
	ms := at.UnixMilli()
	for i := range 6 {
		u[i] = byte(ms >> (8 * (5 - i)))
	}
	u[6], u[8], u[15] = 0x70, 0x80, byte(n)
	return u.String()
}

func TestTransits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		addAccount(t, db, 1)
		addAccount(t, db, 2)
		add := func(at time.Time, n int, account int64, messageID string) store.Transit {
			t.Helper()
			v := store.Transit{ID: trace(at, n), AccountID: account, Upstream: "exchange", MessageID: messageID, Sender: "josé@example.org",
				Size: 1 << 40, Detail: fmt.Sprintf(`{"n":%d,"why":"é"}`, n)}
			update(t, db, func(tx *store.Tx) error { return tx.InsertTransit(v) })
			v.At = db.Now()
			return v
		}
		one := add(noon, 1, 1, "a@x.test")
		pass(time.Second)
		two := add(noon.Add(time.Second), 2, 2, "a@x.test")
		three := add(noon.Add(2*time.Second), 3, 1, "a@x.test")
		four := add(noon.Add(3*time.Second), 4, 1, "")
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error { return tx.InsertTransit(one) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindTransit(trace(noon, 9)); return err })

		update(t, db, func(tx *store.Tx) error { return tx.SetTransitDetail(one.ID, `{"came":"250"}`) })
		one.Detail = `{"came":"250"}`
		for _, want := range []store.Transit{one, two, four} {
			got := must(t, db, func(tx *store.Tx) (store.Transit, error) { return tx.FindTransit(want.ID) })
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		for _, c := range []struct {
			messageID string
			account   int64
			limit     int
			want      []store.Transit
		}{
			{"a@x.test", 0, 9, []store.Transit{three, two, one}}, {"a@x.test", 1, 9, []store.Transit{three, one}},
			{"a@x.test", 2, 9, []store.Transit{two}}, {"a@x.test", 0, 2, []store.Transit{three, two}},
			{"a@x.test", 3, 9, nil}, {"b@x.test", 0, 9, nil}, {"A@x.test", 0, 9, nil},
		} {
			got := must(t, db, func(tx *store.Tx) ([]store.Transit, error) { return tx.ListTransits(c.messageID, c.account, c.limit) })
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s of %d: %s", c.messageID, c.account, d)
			}
		}

		// Old ones are forgotten, the oldest first; what is of the very time is kept.
		forget := func(before time.Time, limit int, want int64, left int) {
			t.Helper()
			n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteOldTransits(before, limit) })
			if c := storetest.Count(t, db, "transits"); n != want || c != left {
				t.Errorf("%d forgotten, %d left, want %d and %d", n, c, want, left)
			}
		}
		forget(noon, 9, 0, 4)
		forget(noon.Add(2*time.Second), 1, 1, 3)
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindTransit(one.ID); return err })
		forget(noon.Add(2*time.Second), 9, 1, 2)
		forget(noon.Add(time.Hour), 9, 2, 0)

		// The ids that are given out are of that order.
		begun := time.Now()
		update(t, db, func(tx *store.Tx) error { return tx.InsertTransit(store.Transit{ID: id.Ordered(), AccountID: 1}) })
		forget(begun.Add(-time.Second), 9, 0, 1)
		forget(time.Now().Add(time.Second), 9, 1, 0)
		if s := trace(noon, 1); !strings.HasPrefix(s, fmt.Sprintf("%08x-", noon.UnixMilli()>>16)) {
			t.Errorf("the test's own ids are wrong: %s", s)
		}
	})
}
