package outbox_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// house is an outbox with all that it stands on.
type house struct {
	db    *store.DB
	root  *masterkey.Root
	blobs *blob.Store
	box   *outbox.Outbox
	shift atomic.Int64 // nanoseconds that the database's clock is ahead
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	h := &house{db: db}
	h.root = masterkeytest.Root(t)
	var err error
	if h.blobs, err = blob.New(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	db.Now = func() time.Time { return time.Now().Add(time.Duration(h.shift.Load())) }
	h.box = h.node(t, nil)
	return h
}

// node is one more process on the same database.
func (h *house) node(t *testing.T, set func(*outbox.Config)) *outbox.Outbox {
	c := outbox.Config{DB: h.db, Root: h.root, Blobs: h.blobs, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Poll: 20 * time.Millisecond}
	if set != nil {
		set(&c)
	}
	return outbox.New(c)
}

func (h *house) enqueue(t *testing.T, letters ...outbox.Letter) {
	t.Helper()
	err := h.db.Update(t.Context(), func(tx *store.Tx) error { return h.box.Enqueue(tx, letters...) })
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) rows(t *testing.T) []outbox.Row {
	t.Helper()
	rows, err := h.box.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// run runs box until the test ends or stop is called.
func run(t *testing.T, box *outbox.Outbox, s outbox.Sender, bounced outbox.Bounced) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := box.Run(ctx, s, bounced); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// hop is a next hop in memory.
type hop struct {
	answer func(p outbox.Parcel, n int) error // n counts from 1; nil: all is taken
	dsn    bool                               // it reports by itself
	mu     sync.Mutex
	tries  []outbox.Parcel
	taken  []string // addresses
}

func (h *hop) Send(_ context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	h.mu.Lock()
	h.tries = append(h.tries, p)
	n := len(h.tries)
	h.mu.Unlock()
	var err error
	if h.answer != nil {
		err = h.answer(p, n)
	}
	if err == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.taken = append(h.taken, p.To[0].Addr.Canonical())
	}
	return outbox.Accepted{DSN: h.dsn}, err
}

func (h *hop) count() (tries, taken int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.tries), len(h.taken)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

const secretText = "The words of the waiting letter."

func letter(kind, to string) outbox.Letter {
	service := mailaddr.MustParse("envelopes@pli.example")
	return outbox.Letter{
		Kind: kind, From: message.Mailbox{Name: "Pli", Addr: service}, Bounces: service, To: message.Mailbox{Addr: mailaddr.MustParse(to)},
		Subject: "A subject to keep", Body: outbox.Body{Text: secretText, HTML: "<p>" + secretText + "</p>"},
	}
}

// withSlot puts a message with one slot into the database and returns a letter for it.
func (h *house) withSlot(t *testing.T, to string) outbox.Letter {
	t.Helper()
	l := letter(outbox.Envelope, to)
	l.SlotID, l.AccountID, l.SenderID = id.New(), 100042, "0123456789abcdef0123456789abcdef"
	err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.FindAccount(100042); errors.Is(err, store.ErrNotFound) {
			if err := tx.InsertAccount(store.Account{ID: 100042, Name: "Example Health", Language: "en", TimeZone: "UTC", State: store.AccountActive}); err != nil {
				return err
			}
		}
		m := id.New()
		if err := tx.InsertMessage(store.Message{ID: m, AccountID: 100042, SenderAddress: "ana@x.test", SenderName: "Ana", Card: []byte{1}, MH: []byte{1},
			HH: []byte{1}, PH: []byte{1}, Seal: []byte{1}, Carrier: store.CarrierMail}); err != nil {
			return err
		}
		return tx.InsertSlot(store.Slot{ID: l.SlotID, MessageID: m, Ref: id.NewReference(), Address: to, DisplayAddress: to,
			RH: []byte{1}, Wrap: []byte{1}, Box: []byte{1}, Pop: []byte{1}, Delivery: store.DeliveryQueued})
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (h *house) slot(t *testing.T, slotID string) (s store.Slot) {
	t.Helper()
	err := h.db.View(t.Context(), func(tx *store.Tx) error {
		_, m, err := tx.FindSlotNames(slotID)
		if err != nil {
			return err
		}
		all, err := tx.ListSlots(m)
		if err == nil {
			s = all[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		l := h.withSlot(t, "bob@x.test")
		l.Auto, l.InReplyTo = true, "before@pli.example"
		l.ReplyTo = message.Mailbox{Name: "Ana", Addr: mailaddr.MustParse("ana@other.test")}
		h.enqueue(t, l)
		next := &hop{}
		run(t, h.box, next, nil)
		eventually(t, "the letter to leave", func() bool { return len(h.rows(t)) == 0 })
		if tries, taken := next.count(); tries != 1 || taken != 1 {
			t.Fatalf("%d tries, %d taken", tries, taken)
		}
		var a, b bytes.Buffer
		m := next.tries[0].Mail
		if _, err := m.WriteTo(&a); err != nil {
			t.Fatal(err)
		}
		if _, err := m.WriteTo(&b); err != nil || a.String() != b.String() {
			t.Error("two writings of one mail differ")
		}
		for _, want := range []string{"From: Pli <envelopes@pli.example>", "Reply-To: Ana <ana@other.test>", "To: bob@x.test", "Subject: A subject to keep",
			"Auto-Submitted: auto-generated", "In-Reply-To: <before@pli.example>", "References: <before@pli.example>", secretText, "@pli.example>\r\n"} {
			if !strings.Contains(a.String(), want) {
				t.Errorf("the mail lacks %q:\n%s", want, a.String())
			}
		}
		if s := h.slot(t, l.SlotID); s.Delivery != store.DeliverySent || s.DeliveredAt.IsZero() {
			t.Errorf("slot %+v", s)
		}
	})
}

// A letter exists exactly if the act that it tells of does.
func TestEnqueueRollsBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	gone := errors.New("changed my mind")
	err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		if err := h.box.Enqueue(tx, letter(outbox.Notice, "bob@x.test")); err != nil {
			return err
		}
		return gone
	})
	if !errors.Is(err, gone) || len(h.rows(t)) != 0 {
		t.Errorf("%v, %d rows", err, len(h.rows(t)))
	}
}

// AT-65: a value that would write a header of its own does not enter the queue.
func TestInjectionRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	for _, change := range []func(*outbox.Letter){
		func(l *outbox.Letter) { l.Subject = "Hello\r\nBcc: eve@evil.test" },
		func(l *outbox.Letter) { l.From.Name = "Ana\nBcc: eve@evil.test" },
		func(l *outbox.Letter) { l.ReplyTo = message.Mailbox{Name: "A\r\n", Addr: l.From.Addr} },
		func(l *outbox.Letter) { l.Subject = "nul \x00" },
		func(l *outbox.Letter) { l.InReplyTo = "x@y>\r\nBcc: eve@evil.test" },
		func(l *outbox.Letter) { l.MessageID = "x@y\r\nBcc: eve@evil.test" },
		func(l *outbox.Letter) { l.Attach = &outbox.Attach{Name: "a\r\nBcc: eve@evil.test"} },
		func(l *outbox.Letter) { l.To = message.Mailbox{} },
	} {
		l := letter(outbox.Notice, "bob@x.test")
		change(&l)
		if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return h.box.Enqueue(tx, l) }); err == nil {
			t.Errorf("accepted: %+v", l)
		}
	}
	// What only looks like one after decoding is written as text.
	l := letter(outbox.Notice, "bob@x.test")
	l.Subject = "=?utf-8?q?a=0D=0ABcc:_eve@evil.test?="
	h.enqueue(t, l)
	next := &hop{}
	run(t, h.box, next, nil)
	eventually(t, "the letter", func() bool { _, n := next.count(); return n == 1 })
	var b strings.Builder
	if _, err := next.tries[0].Mail.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), l.Subject) || strings.Contains(b.String(), "\nBcc") {
		t.Errorf("the encoded word passed as it was:\n%s", b.String())
	}
}

// Nothing of a waiting letter can be read in the database, E least of all (AT-84).
func TestSealedAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "pli.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	h := newHouse(t, db)
	e := envelope.Secret{9, 8, 7, 6, 5, 4, 3, 2, 1, 0xfe, 31: 1}
	l := letter(outbox.Envelope, "bob@x.test")
	l.Attach = &outbox.Attach{Name: "a.html", Origin: "https://pli.example", Part: envelope.KeyPart{E: e}, Head: []byte("head"), Payload: strings.Repeat("0", 32), PayloadSize: 1}
	h.enqueue(t, l, letter(outbox.Code, "carol@x.test"))
	needles := map[string][]byte{"text": []byte(secretText), "subject": []byte("A subject to keep"), "E": e[:],
		"E base64url": []byte(e.Base64()), "E hex": []byte(hex.EncodeToString(e[:]))}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range needles {
			if bytes.Contains(raw, n) {
				t.Errorf("%s is readable in %s", name, filepath.Base(f))
			}
		}
	}
}

func TestPermanentFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		l := h.withSlot(t, "bob@x.test")
		stranger := letter(outbox.Notice, "nobody@x.test") // has no sender to tell
		h.enqueue(t, l, stranger)
		next := &hop{answer: func(p outbox.Parcel, _ int) error {
			return &outbox.Error{Permanent: true, Code: 550, Text: "5.1.1 no\r\nsuch \x1b[31muser\u202e"}
		}}
		var mu sync.Mutex
		var told []outbox.Bounce
		run(t, h.box, next, func(tx *store.Tx, b outbox.Bounce) ([]outbox.Letter, error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, b)
			n := letter(outbox.Notice, "ana@x.test")
			n.SenderID = "somebody" // even so there is no notice about the notice
			return []outbox.Letter{n}, nil
		})
		eventually(t, "three failures", func() bool {
			n := 0
			for _, r := range h.rows(t) {
				if r.State == store.OutboxFailed {
					n++
				}
			}
			return n == 3
		})
		const reason = "550 5.1.1 no such [31muser"
		for _, r := range h.rows(t) {
			if r.HasLetter || r.Attempts != 1 || r.LastError != reason {
				t.Errorf("%+v", r)
			}
			if err := h.box.Retry(t.Context(), "operator:root", r.ID); !fault.Is(err, fault.Gone) {
				t.Errorf("retry of an emptied letter: %v", err)
			}
			if err := h.box.Drop(t.Context(), "operator:root", r.ID); err != nil {
				t.Error(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || told[0].To.Canonical() != "bob@x.test" || told[0].SlotID != l.SlotID || told[0].Reason != reason || told[0].SenderID != l.SenderID {
			t.Errorf("told %+v", told)
		}
		if s := h.slot(t, l.SlotID); s.Delivery != store.DeliveryBounced || s.DeliveryText != reason || !s.DeliveredAt.IsZero() {
			t.Errorf("slot %+v", s)
		}
	})
}

// A failure of the notice loses neither the record of the bounce for ever nor
// tells of a bounce that is not recorded: both are one transaction.
func TestBounceIsOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	h.box = h.node(t, func(c *outbox.Config) { c.Lease = 300 * time.Millisecond })
	l := h.withSlot(t, "bob@x.test")
	h.enqueue(t, l)
	var fails atomic.Int64
	next := &hop{answer: func(outbox.Parcel, int) error { return &outbox.Error{Permanent: true, Code: 550, Text: "no"} }}
	run(t, h.box, next, func(*store.Tx, outbox.Bounce) ([]outbox.Letter, error) {
		if fails.Add(1) == 1 {
			if s := h.slot(t, l.SlotID); s.Delivery != store.DeliveryQueued {
				t.Errorf("recorded before it was told: %+v", s)
			}
			return nil, errors.New("no paper")
		}
		return nil, nil
	})
	eventually(t, "the bounce", func() bool { return h.slot(t, l.SlotID).Delivery == store.DeliveryBounced })
}

func TestTemporaryFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		l := h.withSlot(t, "bob@x.test")
		h.enqueue(t, l)
		next := &hop{answer: func(_ outbox.Parcel, n int) error {
			switch {
			case n == 1:
				return &outbox.Error{Code: 451, Text: "4.7.1 greylisted"}
			case n == 2:
				return errors.New("dial tcp: connection refused by secret.internal")
			}
			return nil
		}}
		run(t, h.box, next, nil)
		eventually(t, "the first attempt", func() bool { r := h.rows(t); return len(r) == 1 && r[0].LastError != "" })
		r := h.rows(t)[0]
		if r.LastError != "451 4.7.1 greylisted" || r.Attempts != 1 || !r.HasLetter {
			t.Errorf("%+v", r)
		}
		if d := r.NextAt.Sub(db.Now()); d < 40*time.Second || d > 80*time.Second {
			t.Errorf("next in %v", d)
		}
		h.shift.Add(int64(2 * time.Minute))
		eventually(t, "the second attempt", func() bool { return h.rows(t)[0].Attempts == 2 && h.rows(t)[0].LastError != r.LastError })
		if r = h.rows(t)[0]; strings.Contains(r.LastError, "secret.internal") {
			t.Errorf("our own trouble is shown: %q", r.LastError)
		}
		if err := h.box.Retry(t.Context(), "operator:root", r.ID); err != nil { // the operator does not want to wait
			t.Fatal(err)
		}
		eventually(t, "the third attempt", func() bool { return len(h.rows(t)) == 0 })
		if s := h.slot(t, l.SlotID); s.Delivery != store.DeliverySent {
			t.Errorf("slot %+v", s)
		}
		if a, b := next.tries[0].Mail.MessageID, next.tries[2].Mail.MessageID; a != b {
			t.Errorf("message ids %s and %s", a, b)
		}
	})
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	l := h.withSlot(t, "bob@x.test")
	h.enqueue(t, l, letter(outbox.Code, "carol@x.test"))
	run(t, h.box, &hop{answer: func(outbox.Parcel, int) error { return &outbox.Error{Code: 451, Text: "later"} }}, nil)
	state := func(kind string) string {
		for _, r := range h.rows(t) {
			if r.Kind == kind {
				return r.State
			}
		}
		return ""
	}
	h.shift.Add(int64(14*time.Minute + 55*time.Second))
	eventually(t, "the code to be given up", func() bool { return state(outbox.Code) == store.OutboxFailed })
	if state(outbox.Envelope) != store.OutboxWaiting {
		t.Error("the envelope was given up with it")
	}
	h.shift.Add(int64(4 * 24 * time.Hour))
	eventually(t, "the envelope to be given up", func() bool { return state(outbox.Envelope) == store.OutboxFailed })
	if s := h.slot(t, l.SlotID); s.Delivery != store.DeliveryBounced || s.DeliveryText != "451 later" {
		t.Errorf("slot %+v", s)
	}
}

// A mail whose last answer was lost at each attempt may be there, and its sender is
// not told that nobody could be reached.
func TestGivesUpUnconfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	l := h.withSlot(t, "bob@x.test")
	h.enqueue(t, l)
	run(t, h.box, &hop{answer: func(outbox.Parcel, int) error {
		return fmt.Errorf("relay: %w", &outbox.Unconfirmed{Cause: io.ErrUnexpectedEOF})
	}}, nil)
	h.shift.Add(int64(4 * 24 * time.Hour))
	eventually(t, "it to be given up", func() bool { return h.slot(t, l.SlotID).Delivery == store.DeliveryBounced })
	if s := h.slot(t, l.SlotID); s.DeliveryText != "mail.fail.unconfirmed" {
		t.Errorf("slot %+v", s)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempt := int64(1); attempt < 100; attempt++ {
		for range 50 {
			if d := outbox.Backoff(outbox.Envelope, attempt); d < 45*time.Second || d > 5*time.Hour {
				t.Fatalf("attempt %d: %v", attempt, d)
			}
			if d := outbox.Backoff(outbox.Code, attempt); d < 3*time.Second || d > 80*time.Second {
				t.Fatalf("attempt %d: %v for a code", attempt, d)
			}
		}
	}
	if outbox.Patience(outbox.Envelope) != 96*time.Hour || outbox.Patience(outbox.Code) != 15*time.Minute {
		t.Error("patience changed")
	}
}

func TestUnreadableLetterWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	h.enqueue(t, letter(outbox.Notice, "bob@x.test"))
	other := newHouse(t, storetest.Open(t)) // another installation's key
	wrong := h.node(t, func(c *outbox.Config) { c.Root = other.root })
	stop := run(t, wrong, &hop{}, nil)
	eventually(t, "an attempt", func() bool { return h.rows(t)[0].LastError != "" })
	stop()
	if r := h.rows(t)[0]; r.State != store.OutboxWaiting || !r.HasLetter {
		t.Fatalf("%+v", r)
	}
	next := &hop{}
	run(t, h.box, next, nil)
	if err := h.box.Retry(t.Context(), "operator:root", h.rows(t)[0].ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the letter", func() bool { _, n := next.count(); return n == 1 })
}

func TestOperators(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		l := h.withSlot(t, "bob@x.test")
		h.enqueue(t, l, letter(outbox.Notice, "carol@x.test"))
		c, err := h.box.Count(t.Context())
		if err != nil || c.Waiting != 2 || c.Failed != 0 || c.Oldest.IsZero() {
			t.Errorf("%+v, %v", c, err)
		}
		first, err := h.box.List(t.Context(), store.OutboxWaiting, "", 1)
		if err != nil || len(first) != 1 || first[0].Recipient != "bob@x.test" {
			t.Fatalf("%+v, %v", first, err)
		}
		second, err := h.box.List(t.Context(), "", first[0].ID, 10)
		if err != nil || len(second) != 1 || second[0].Recipient != "carol@x.test" {
			t.Fatalf("%+v, %v", second, err)
		}
		if err := h.box.Retry(t.Context(), "operator:root", first[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := h.box.Drop(t.Context(), "operator:root", first[0].ID); err != nil {
			t.Fatal(err)
		}
		if s := h.slot(t, l.SlotID); s.Delivery != store.DeliveryBounced || s.DeliveryText != "mail.fail.removed" {
			t.Errorf("slot %+v", s)
		}
		for _, err := range []error{h.box.Drop(t.Context(), "operator:root", first[0].ID), h.box.Retry(t.Context(), "operator:root", first[0].ID)} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%v", err)
			}
		}
		// What an operator did is recorded with it, and nothing that was not done.
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.ListAudit(first[0].AccountID, "", 10)
			if err != nil || len(rows) != 3 {
				t.Fatalf("%d records, %v", len(rows), err)
			}
			if r := rows[1]; r.Action != "envelope.bounce" || r.Detail["slot"] != l.SlotID {
				t.Errorf("%+v", r)
			}
			rows = append(rows[:1], rows[2:]...)
			for i, action := range []string{"outbox.drop", "outbox.retry"} { // the newest first
				if r := rows[i]; r.Action != action || r.Actor != "operator:root" || r.Target != "bob@x.test" || r.Outcome != store.Done ||
					r.Detail["slot"] != l.SlotID || r.Detail["letter"] != first[0].ID {
					t.Errorf("%+v", r)
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
