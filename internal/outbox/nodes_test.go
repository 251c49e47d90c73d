package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// hopFunc is a next hop as a function.
type hopFunc func(ctx context.Context, p outbox.Parcel) error

func (f hopFunc) Send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	return outbox.Accepted{}, f(ctx, p)
}

// Many nodes on one database send each letter once.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		const n = 150
		var letters []outbox.Letter
		for i := range n {
			letters = append(letters, letter(outbox.Notice, fmt.Sprintf("user%d@x.test", i)))
		}
		var mu sync.Mutex
		sent := map[string]int{}
		next := hopFunc(func(_ context.Context, p outbox.Parcel) error {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			sent[p.To[0].Addr.Canonical()]++
			return nil
		})
		for range 4 {
			run(t, h.node(t, nil), next, nil)
		}
		h.enqueue(t, letters...)
		eventually(t, "the queue to empty", func() bool { return len(h.rows(t)) == 0 })
		mu.Lock()
		defer mu.Unlock()
		for to, times := range sent {
			if times != 1 {
				t.Errorf("%s had %d mails", to, times)
			}
		}
		if len(sent) != n {
			t.Errorf("%d had a mail", len(sent))
		}
	})
}

// A long send keeps its claim; a dead node's claim ends.
func TestLease(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		lease := func(c *outbox.Config) { c.Lease = 3 * time.Second }
		h.enqueue(t, letter(outbox.Notice, "slow@x.test"))
		var sends, atOnce atomic.Int64
		slow := hopFunc(func(ctx context.Context, p outbox.Parcel) error {
			sends.Add(1)
			if atOnce.Add(1) > 1 {
				t.Error("two nodes send one letter at once")
			}
			defer atOnce.Add(-1)
			select {
			case <-time.After(7 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		run(t, h.node(t, lease), slow, nil)
		run(t, h.node(t, lease), slow, nil)
		eventually(t, "the slow letter", func() bool { return len(h.rows(t)) == 0 })
		if n := sends.Load(); n != 1 {
			t.Errorf("sent %d times", n)
		}
		// A node that claims and dies.
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := h.box.Enqueue(tx, letter(outbox.Notice, "orphan@x.test")); err != nil {
				return err
			}
			rows, err := tx.ClaimOutbox("", 10, tx.Now.Add(300*time.Millisecond))
			if err == nil && len(rows) != 1 {
				err = fmt.Errorf("%d rows claimed", len(rows))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the orphan", func() bool { return len(h.rows(t)) == 0 })
	})
}

// A node that was away too long finds its claim gone, stops sending, and
// changes nothing of what the next one does.
func TestClaimLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.enqueue(t, letter(outbox.Notice, "bob@x.test"))
		begun, cancelled := make(chan struct{}), make(chan struct{})
		stop := run(t, h.node(t, func(c *outbox.Config) { c.Lease = 3 * time.Second }),
			hopFunc(func(ctx context.Context, _ outbox.Parcel) error {
				close(begun)
				<-ctx.Done()
				close(cancelled)
				return &outbox.Error{Permanent: true, Text: "cut off"}
			}), nil)
		<-begun
		storetest.Exec(t, db, `UPDATE outbox SET attempts = attempts + 1, next_at = next_at + 1000000`) // another node's claim
		<-cancelled
		stop()
		r := h.rows(t)
		if len(r) != 1 || r[0].State != store.OutboxWaiting || r[0].LastError != "" || r[0].Attempts != 2 {
			t.Errorf("%+v", r)
		}
	})
}

// A code does not wait behind a large mailing.
func TestCodesOvertake(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	for i := range 40 {
		h.enqueue(t, letter(outbox.Notice, fmt.Sprintf("user%d@x.test", i)))
	}
	release := make(chan struct{})
	var codes, others atomic.Int64
	box := h.node(t, func(c *outbox.Config) { c.Workers = 4 })
	run(t, box, hopFunc(func(_ context.Context, p outbox.Parcel) error {
		if p.To[0].Addr.Local() == "waiting" {
			codes.Add(1)
			return nil
		}
		others.Add(1)
		<-release
		return nil
	}), nil)
	eventually(t, "all workers to be busy", func() bool { return others.Load() == 4 })
	h.enqueue(t, letter(outbox.Code, "waiting@x.test"))
	begun := time.Now()
	box.Wake()
	eventually(t, "the code", func() bool { return codes.Load() == 1 })
	if d := time.Since(begun); d > 3*time.Second {
		t.Errorf("the code took %v", d)
	}
	if n := others.Load(); n != 4 {
		t.Errorf("%d letters at the same time", n)
	}
	close(release)
	eventually(t, "the rest", func() bool { return len(h.rows(t)) == 0 })
}

// Letters leave at once when their writer says so, not at the next look.
func TestWake(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	box := h.node(t, func(c *outbox.Config) { c.Poll = time.Hour })
	next := &hop{}
	run(t, box, next, nil)
	time.Sleep(50 * time.Millisecond)
	h.enqueue(t, letter(outbox.Code, "bob@x.test"))
	box.Wake()
	eventually(t, "the letter", func() bool { _, n := next.count(); return n == 1 })
}

// Told to end, an outbox finishes what it has in hand, but not for ever.
func TestGrace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	h.enqueue(t, letter(outbox.Notice, "quick@x.test"), letter(outbox.Notice, "stuck@x.test"))
	var begun sync.WaitGroup
	begun.Add(2)
	box := h.node(t, func(c *outbox.Config) { c.Grace = 3 * time.Second })
	stop := run(t, box, hopFunc(func(ctx context.Context, p outbox.Parcel) error {
		begun.Done()
		if p.To[0].Addr.Local() == "quick" {
			time.Sleep(200 * time.Millisecond)
			return ctx.Err()
		}
		<-ctx.Done()
		return errors.New("cut off")
	}), nil)
	begun.Wait()
	from := time.Now()
	stop()
	if d := time.Since(from); d < 2900*time.Millisecond || d > 20*time.Second {
		t.Errorf("took %v to end", d)
	}
	r := h.rows(t)
	if len(r) != 1 || r[0].Recipient != "stuck@x.test" || r[0].State != store.OutboxWaiting || r[0].LastError == "" {
		t.Errorf("%+v", r)
	}
}
