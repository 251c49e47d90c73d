package outbox_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// told gathers what senders are told.
type told struct {
	mu  sync.Mutex
	all []outbox.Bounce
}

func (x *told) bounced(_ *store.Tx, b outbox.Bounce) ([]outbox.Letter, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, b)
	return nil, nil
}

func (x *told) of(action string) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.all {
		if b.Action == action {
			n++
		}
	}
	return n
}

// asked is a letter of somebody who sent through the gateway and asked for notify.
func (h *house) asked(t *testing.T, notify ...string) outbox.Letter {
	l := h.withSlot(t, "bob@x.test")
	l.SenderID, l.Notify = "", notify
	l.Answer = &outbox.Answer{To: mailaddr.MustParse("ana@example.org"), Arrived: time.Now()}
	return l
}

// The sender hears of what they asked for and of nothing else, each time once
// (RFC 3461, section 4.1).
func TestReports(t *testing.T) {
	t.Parallel()
	refuse := func(outbox.Parcel, int) error {
		return &outbox.Error{Permanent: true, Code: 550, Text: "5.1.1 unknown"}
	}
	later := func(outbox.Parcel, int) error { return &outbox.Error{Code: 451, Text: "4.7.1 greylisted"} }
	for name, c := range map[string]struct {
		notify                   []string
		hop                      *hop
		failed, delayed, relayed int
	}{
		"nothing said, taken":              {nil, &hop{}, 0, 0, 0},
		"nothing said, refused":            {nil, &hop{answer: refuse}, 1, 0, 0},
		"nothing said, late":               {nil, &hop{answer: later}, 1, 0, 0},
		"success, taken":                   {[]string{"SUCCESS"}, &hop{}, 0, 0, 1},
		"success, taken by who will say":   {[]string{"SUCCESS"}, &hop{dsn: true}, 0, 0, 0},
		"success, refused":                 {[]string{"SUCCESS"}, &hop{answer: refuse}, 0, 0, 0},
		"never, refused":                   {[]string{"NEVER"}, &hop{answer: refuse}, 0, 0, 0},
		"delay and failure, late":          {[]string{"DELAY", "FAILURE"}, &hop{answer: later}, 1, 1, 0},
		"delay, late":                      {[]string{"DELAY"}, &hop{answer: later}, 0, 1, 0},
		"delay, taken":                     {[]string{"DELAY"}, &hop{}, 0, 0, 0},
		"success, delay and failure, late": {[]string{"SUCCESS", "DELAY", "FAILURE"}, &hop{answer: later}, 1, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, storetest.Open(t))
			l := h.asked(t, c.notify...)
			h.enqueue(t, l)
			x := &told{}
			run(t, h.box, c.hop, x.bounced)
			// Time goes on whenever the letter waits for its next attempt.
			eventually(t, "the end", func() bool {
				rows := h.rows(t)
				if len(rows) == 0 || rows[0].State == store.OutboxFailed {
					return true
				}
				if wait := rows[0].NextAt.Sub(h.db.Now()); wait > 0 && rows[0].LastError != "" {
					h.shift.Add(int64(wait))
				}
				return false
			})
			if f, d, r := x.of(outbox.Failed), x.of(outbox.Delayed), x.of(outbox.Relayed); f != c.failed || d != c.delayed || r != c.relayed {
				t.Errorf("failed %d, delayed %d, relayed %d; want %d, %d, %d", f, d, r, c.failed, c.delayed, c.relayed)
			}
			for _, b := range x.all {
				class := map[string]byte{outbox.Failed: '5', outbox.Delayed: '4', outbox.Relayed: '2'}[b.Action]
				if b.Status[0] != class || b.To != l.To.Addr || b.Answer == nil {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}
