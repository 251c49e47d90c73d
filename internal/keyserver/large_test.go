package keyserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

const mib = 1 << 20

// largeHouse is a house whose account keeps what it sends.
func largeHouse(t *testing.T, db *store.DB) *house {
	h := newHouse(t, db)
	storetest.Exec(t, db, `UPDATE accounts SET settings = '{"expiry_max":0,"expiry_days":0,"keep_days":14}'`)
	return h
}

// large announces random ciphertext of a file of n bytes.
func (h *house) large(t *testing.T, n int64) (large string, ciphertext []byte) {
	t.Helper()
	ciphertext = random(int(keyserver.LargeSize(n)))
	large, err := h.NewLarge(t.Context(), h.actor(), int64(len(ciphertext)))
	if err != nil {
		t.Fatal(err)
	}
	return large, ciphertext
}

func (h *house) append(t *testing.T, large string, ciphertext []byte, from, to int) {
	t.Helper()
	got, err := h.AppendLarge(t.Context(), h.actor(), large, int64(from), bytes.NewReader(ciphertext[from:to]))
	if err != nil || got != int64(to) {
		t.Fatalf("append from %d to %d: %d, %v", from, to, got, err)
	}
}

// whole is a large file that has arrived.
func (h *house) whole(t *testing.T, n int64) (large string, ciphertext []byte) {
	t.Helper()
	large, ciphertext = h.large(t, n)
	for at := 0; at < len(ciphertext); at += 4 * mib {
		h.append(t, large, ciphertext, at, min(at+4*mib, len(ciphertext)))
	}
	return large, ciphertext
}

func (h *house) with(t *testing.T, larges ...string) sealed {
	t.Helper()
	m := h.prepare(t, "bob@x.example", "eve@x.example")
	m.Larges = larges
	return h.register(t, m)
}

// A transfer that breaks anywhere goes on where the service is; nothing is
// taken twice, out of order, too small, too large, or from somebody else.
func TestLargeTransfer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		large, c := h.large(t, 9*mib)
		try := func(at int, r io.Reader) error {
			_, err := h.AppendLarge(ctx, h.actor(), large, int64(at), r)
			return err
		}
		h.append(t, large, c, 0, 3*mib)
		for _, at := range []int{0, 1, 3*mib - 1, 3*mib + 1, 9 * mib, 1 << 40} { // a replay, a gap, the end
			err := try(at, bytes.NewReader(c[:mib]))
			wantKey(t, fmt.Sprint("offset ", at), err, fault.Conflict, "large.offset")
			if f := fault.Of(err); f.Args["offset"] != int64(3*mib) {
				t.Errorf("it says %v", f.Args)
			}
		}
		for _, n := range []int64{1, mib / 2, 2 * mib} { // the line breaks after so many bytes
			broken := io.MultiReader(bytes.NewReader(c[3*mib:3*mib+n]), iotest.ErrReader(errors.New("connection reset")))
			if err := try(3*mib, broken); err == nil {
				t.Error("a broken part was taken")
			}
		}
		wantKey(t, "nothing", try(3*mib, bytes.NewReader(nil)), fault.Invalid, "large.part")
		wantKey(t, "too small", try(3*mib, bytes.NewReader(c[:mib-1])), fault.Invalid, "large.part")
		wantKey(t, "beyond the end", try(3*mib, bytes.NewReader(append(c[3*mib:len(c):len(c)], 0))), fault.Invalid, "large.end")
		if got, size, err := h.Large(ctx, h.actor(), large); err != nil || got != 3*mib || size != int64(len(c)) {
			t.Errorf("it stands at %d of %d, %v", got, size, err)
		}
		if n := len(h.blobNames(t)); n != 1 {
			t.Errorf("%d blobs for one part", n)
		}

		// The same part twice at once: one is taken.
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = h.node().AppendLarge(context.Background(), h.actor(), large, 3*mib, bytes.NewReader(c[3*mib:5*mib]))
			})
		}
		wg.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
			} else {
				wantKey(t, "at once", err, fault.Conflict, "large.offset")
			}
		}
		if taken != 1 || len(h.blobNames(t)) != 2 {
			t.Errorf("%d taken, blobs %v", taken, h.blobNames(t))
		}

		mallory := keyserver.Actor{UserID: h.user(t, account, "mallory@health.example"), Name: "user:mallory@health.example"}
		_, err := h.AppendLarge(ctx, mallory, large, 5*mib, bytes.NewReader(c[5*mib:]))
		wantKey(t, "somebody else", err, fault.NotFound, "e404.h1")
		_, _, err = h.Large(ctx, mallory, large)
		wantKey(t, "somebody else looks", err, fault.NotFound, "e404.h1")
		wantKey(t, "somebody else drops", h.DropLarge(ctx, mallory, large), fault.NotFound, "e404.h1")

		// Not before it is whole, nor by another sender, can a message have it.
		m := h.prepare(t, "bob@x.example")
		m.Larges = []string{large}
		_, err = h.Register(ctx, m.NewMessage)
		wantKey(t, "unfinished", err, fault.Conflict, "large.gone")
		h.append(t, large, c, 5*mib, len(c))
		m.Sender.UserID = mallory.UserID
		_, err = h.Register(ctx, m.NewMessage)
		wantKey(t, "another's", err, fault.Conflict, "large.gone")
		if n := storetest.Count(t, db, "messages"); n != 0 {
			t.Errorf("%d messages", n)
		}
		h.with(t, large)
		again := h.prepare(t, "bob@x.example")
		again.Larges = []string{large}
		_, err = h.Register(ctx, again.NewMessage)
		wantKey(t, "in two messages", err, fault.Conflict, "large.gone")
		wantKey(t, "of a message", h.DropLarge(ctx, h.actor(), large), fault.Conflict, "large.sent")
	})
}

// Its ciphertext goes to whom the key would go, at that moment, and to nobody else.
func TestLargePiece(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		large, c := h.whole(t, 20*mib)
		m := h.with(t, large)
		other := h.with(t)
		loose, _ := h.whole(t, 10)
		bob := h.reader(t, m, 0)
		var got []byte
		for at := int64(0); at < int64(len(c)); {
			r, n, err := h.LargePiece(ctx, bob, m.slot(0), large, at)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || int64(len(b)) != n || n > 16*mib {
				t.Fatalf("%d bytes of %d, %v", len(b), n, err)
			}
			got, at = append(got, b...), at+n
		}
		if !bytes.Equal(got, c) {
			t.Error("it is other ciphertext")
		}
		for _, at := range []int64{1, 4*mib - 1, 4 * mib, 4*mib + 1, int64(len(c)) - 1} {
			r, n, err := h.LargePiece(ctx, bob, m.slot(0), large, at)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, c[at:at+n]) {
				t.Errorf("from %d on: %d bytes, %v", at, len(b), err)
			}
			r.Close()
		}
		refused := func(what string, v keyserver.Visitor, slot envelope.SlotID, large string, at int64, kind fault.Kind, key string) {
			t.Helper()
			r, _, err := h.LargePiece(ctx, v, slot, large, at)
			if err == nil {
				r.Close()
			}
			wantKey(t, what, err, kind, key)
		}
		refused("a stranger", h.visitor(t), m.slot(0), large, 0, fault.NotFound, "e404.h1")
		refused("Bob for Eve's slot", bob, m.slot(1), large, 0, fault.NotFound, "e404.h1")
		refused("a reader of another message", h.reader(t, other, 0), other.slot(0), large, 0, fault.Gone, "release.notkept")
		refused("one of no message", bob, m.slot(0), loose, 0, fault.Gone, "release.notkept")
		refused("one that is not there", bob, m.slot(0), id.New(), 0, fault.Gone, "release.notkept")
		refused("before the beginning", bob, m.slot(0), large, -1, fault.Gone, "release.notkept")
		refused("behind the end", bob, m.slot(0), large, int64(len(c)), fault.Gone, "release.notkept")
		if _, err := h.Lock(ctx, h.actor(), m.id(), ""); err != nil {
			t.Fatal(err)
		}
		refused("locked", bob, m.slot(0), large, 0, fault.Closed, "open.locked")
	})
}

// What nobody needs goes in time with its parts, and what somebody needs stays.
func TestSweepLarges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		sweep := func() int {
			t.Helper()
			s, err := h.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.Larges
		}
		unfinished, c := h.large(t, 9*mib)
		h.append(t, unfinished, c, 0, 2*mib)
		loose, _ := h.whole(t, 100)
		sent, _ := h.whole(t, 100)
		m := h.with(t, sent)
		for _, name := range h.blobNames(t) { // old on the disk, as the orphan sweep looks at it
			old := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(h.dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		before := len(h.blobNames(t))
		if n := sweep(); n != 0 || len(h.blobNames(t)) != before {
			t.Errorf("%d went at once; blobs %v", n, h.blobNames(t))
		}
		h.wait(23 * time.Hour)
		h.append(t, unfinished, c, 2*mib, 4*mib) // it goes on
		h.wait(23 * time.Hour)
		if n := sweep(); n != 0 {
			t.Errorf("%d went that were under way", n)
		}
		h.wait(2 * time.Hour)
		if n := sweep(); n != 1 {
			t.Errorf("%d unfinished went", n)
		}
		_, _, err := h.Large(t.Context(), h.actor(), unfinished)
		wantKey(t, "swept", err, fault.NotFound, "e404.h1")
		h.wait(6 * 24 * time.Hour)
		if n := sweep(); n != 1 {
			t.Errorf("%d loose went", n)
		}
		_, _, err = h.Large(t.Context(), h.actor(), loose)
		wantKey(t, "swept", err, fault.NotFound, "e404.h1")
		bob := h.reader(t, m, 0)
		if r, _, err := h.LargePiece(t.Context(), bob, m.slot(0), sent, 0); err != nil {
			t.Error(err)
		} else {
			r.Close()
		}
		h.wait(8 * 24 * time.Hour) // the message's own ciphertext goes too
		sweep()
		if n := storetest.Count(t, db, "larges") + storetest.Count(t, db, "large_parts") + len(h.blobNames(t)); n != 0 {
			t.Errorf("%d rows and blobs are left", n)
		}
	})
}

// A message that expires takes its large files along; one that
// is taken back to its draft gives them back for a while.
func TestLargesOfAnEndedMessage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		large, _ := h.whole(t, 100)
		m := h.with(t, large)
		h.update(t, func(tx *store.Tx) error { // as Undo does
			row, err := tx.FindMessage(m.id())
			if err != nil {
				return err
			}
			return tx.DeleteMessage(row)
		})
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		m = h.with(t, large) // sent once more
		storetest.Exec(t, db, fmt.Sprintf(`UPDATE messages SET expires_at = %d`, h.clock().Add(time.Hour).UnixMilli()))
		h.wait(2 * time.Hour)
		_, _, err := h.LargePiece(ctx, h.reader(t, m, 0), m.slot(0), large, 0)
		wantKey(t, "expired", err, fault.Closed, "open.expired")
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// What one account and one person may have at once.
func TestLargeLimits(t *testing.T) {
	t.Parallel()
	h := largeHouse(t, storetest.Open(t))
	ctx := t.Context()
	most := keyserver.LargeSize(64 * mib)
	for _, size := range []int64{-1, 0, keyserver.LargeSize(0) - 1, most + 1, 1 << 60} {
		_, err := h.NewLarge(ctx, h.actor(), size)
		wantKey(t, fmt.Sprint(size), err, fault.TooLarge, "large.size")
	}
	for range 20 {
		if _, err := h.NewLarge(ctx, h.actor(), most); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.NewLarge(ctx, h.actor(), most)
	wantKey(t, "the account is full", err, fault.TooLarge, "large.quota")
	storetest.Exec(t, h.db, "UPDATE larges SET size = 5000")
	_, err = h.NewLarge(ctx, h.actor(), 5000)
	wantKey(t, "a person's loose ones", err, fault.TooMany, "large.loose")
	storetest.Exec(t, h.db, `UPDATE accounts SET settings = '{"expiry_max":0,"expiry_days":0,"keep_days":0}'`)
	_, err = h.NewLarge(ctx, h.actor(), 5000)
	wantKey(t, "nothing is kept", err, fault.Denied, "large.notkept")
	nobody := keyserver.Actor{UserID: h.user(t, 0, "nobody@x.example"), Name: "user:nobody@x.example"}
	_, err = h.NewLarge(ctx, nobody, 5000)
	wantKey(t, "of no account", err, fault.Denied, "desk.noaccount")
}

// At a high level one release, which takes a second factor, lets its session fetch the
// files of that message for a while; and nobody else, nothing else, and no longer.
func TestLargeHigh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		bob := h.user(t, 0, "bob@x.example")
		high := func() (sealed, string) {
			large, _ := h.whole(t, 20*mib)
			m := h.prepare(t, "bob@x.example")
			m.Permissions.Level, m.Larges, m.ExpiresAt = policy.High, []string{large}, h.clock().Add(12*time.Hour)
			return h.register(t, m), large
		}
		m, large := high()
		other, otherLarge := high()
		try := func(v keyserver.Visitor, m sealed, large string, at int64) error {
			r, _, err := h.LargePiece(ctx, v, m.slot(0), large, at)
			if err == nil {
				r.Close()
			}
			return err
		}
		fresh := func() keyserver.Visitor {
			v := h.visitor(t, as(bob, store.ScopeFull), second(h.clock()))
			h.prove(t, v, m, 0)
			h.prove(t, v, other, 0)
			return v
		}
		level := func(what string, err error) {
			t.Helper()
			wantKey(t, what, err, fault.Denied, "release.level.second")
		}
		v := fresh()
		if _, err := h.Release(ctx, v, m.slot(0)); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int64{0, 16 * mib, 5, 0} {
			if err := try(v, m, large, at); err != nil {
				t.Errorf("from %d on, after the release: %v", at, err)
			}
		}
		level("another release", func() error { _, err := h.Release(ctx, v, m.slot(0)); return err }())
		_, _, err := h.Ciphertext(ctx, v, m.slot(0))
		level("the envelope itself", err)
		level("another message's file", try(v, other, otherLarge, 0))
		wantKey(t, "another message's file by this one", try(v, m, otherLarge, 0), fault.Gone, "release.notkept")
		level("this file by another message", try(v, other, large, 0))
		old := h.visitor(t, as(bob, store.ScopeFull), second(h.clock().Add(-time.Hour)))
		h.prove(t, old, m, 0)
		level("another session of the same person", try(old, m, large, 0))
		level("its refused release", func() error { _, err := h.Release(ctx, old, m.slot(0)); return err }())
		level("after its refused release", try(old, m, large, 0))
		noMail := h.visitor(t, as(bob, store.ScopeFull))
		wantKey(t, "a session without the mail", try(noMail, m, large, 0), fault.Denied, "release.possession")

		// A lock stops it at the next piece, and so does all that ends a session or an envelope.
		if _, err := h.Lock(ctx, h.actor(), m.id(), ""); err != nil {
			t.Fatal(err)
		}
		wantKey(t, "locked", try(v, m, large, 16*mib), fault.Closed, "open.locked")
		if _, err := h.Unlock(ctx, h.actor(), m.id(), ""); err != nil {
			t.Fatal(err)
		}
		if err := try(v, m, large, 16*mib); err != nil {
			t.Errorf("unlocked: %v", err)
		}
		h.wait(4*time.Hour - time.Second)
		if err := try(v, m, large, 16*mib); err != nil {
			t.Errorf("within the time: %v", err)
		}
		h.wait(2 * time.Second)
		level("after the time", try(v, m, large, 16*mib))
		v = fresh()
		if _, err := h.Release(ctx, v, m.slot(0)); err != nil {
			t.Fatal(err)
		}
		h.update(t, func(tx *store.Tx) error { return tx.DeleteSession(v.Session) })
		wantKey(t, "signed out", try(v, m, large, 0), fault.Unauthenticated, "sess.h1")
		v = fresh()
		if _, err := h.Release(ctx, v, m.slot(0)); err != nil {
			t.Fatal(err)
		}
		storetest.Exec(t, db, "UPDATE messages SET expires_at = "+fmt.Sprint(h.clock().Add(-time.Second).UnixMilli()))
		wantKey(t, "ended", try(v, m, large, 0), fault.Closed, "open.expired")
	})
}

// A message that is passed on takes its files along, and only its own: they stay until
// the last message that has them has ended, and whom one of them is closed to gets nothing by the other.
func TestLargePassedOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		storetest.Exec(t, db, `UPDATE accounts SET settings = '{"expiry_max":0,"expiry_days":0,"keep_days":14,"forward":true}'`)
		large, c := h.whole(t, 5*mib)
		loose, _ := h.whole(t, 10)
		elsewhere, _ := h.whole(t, 10)
		h.with(t, elsewhere)
		m := h.prepare(t, "bob@x.example")
		m.Larges, m.Permissions.Forward, m.ExpiresAt = []string{large}, new(true), h.clock().Add(48*time.Hour)
		first := h.register(t, m)
		bob := h.reader(t, first, 0)
		pass := func(kind string, larges ...string) (sealed, error) {
			n := h.prepare(t, "carol@y.example")
			n.Sender, n.Larges = keyserver.Sender{Address: "bob@x.example"}, larges
			n.Answers = &keyserver.AnswerAct{Visitor: bob, Ref: first.ref(0), Kind: kind}
			var err error
			n.Registered, err = h.Register(ctx, n.NewMessage)
			return n, err
		}
		for what, id := range map[string]string{"the sender's loose one": loose, "another message's": elsewhere, "none": id.New()} {
			_, err := pass(keyserver.Forward, id)
			wantKey(t, what, err, fault.Conflict, "large.gone")
		}
		_, err := pass(keyserver.Reply, large)
		wantKey(t, "with a reply", err, fault.Conflict, "large.gone")
		second, err := pass(keyserver.Forward, large)
		if err != nil {
			t.Fatal(err)
		}
		carol := h.reader(t, second, 0)
		fetch := func(v keyserver.Visitor, m sealed) error {
			r, _, err := h.LargePiece(ctx, v, m.slot(0), large, 0)
			if err != nil {
				return err
			}
			defer r.Close()
			b, err := io.ReadAll(r)
			if !bytes.Equal(b, c) {
				t.Errorf("%d other bytes", len(b))
			}
			return err
		}
		if err := errors.Join(fetch(bob, first), fetch(carol, second)); err != nil {
			t.Error(err)
		}
		wantKey(t, "Carol by the first message", fetch(carol, first), fault.NotFound, "e404.h1")
		wantKey(t, "dropped", h.DropLarge(ctx, h.actor(), large), fault.Conflict, "large.sent")

		// The first ends: its reader gets nothing more, the other's does.
		if _, err := h.Lock(ctx, h.actor(), first.id(), ""); err != nil {
			t.Fatal(err)
		}
		wantKey(t, "Bob, locked", fetch(bob, first), fault.Closed, "open.locked")
		storetest.Exec(t, db, fmt.Sprintf(`UPDATE messages SET expires_at = %d WHERE id = '%s'`, h.clock().Add(time.Hour).UnixMilli(), first.id()))
		h.wait(2 * time.Hour)
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if err := fetch(h.reader(t, second, 0), second); err != nil {
			t.Errorf("after the first ended: %v", err)
		}
		storetest.Exec(t, db, fmt.Sprintf(`UPDATE messages SET expires_at = %d WHERE id = '%s'`, h.clock().Add(time.Hour).UnixMilli(), second.id()))
		h.wait(2 * time.Hour)
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 1 {
			t.Errorf("the last has ended: %+v, %v", s, err)
		}
	})
}

// Where the sender holds the envelope's file, its large files are kept as long as the
// ciphertext of a mail would be.
func TestLargeOfAFile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := largeHouse(t, db)
		ctx := t.Context()
		large, _ := h.whole(t, 100)
		m := h.prepare(t, "bob@x.example")
		m.Carrier, m.Payload, m.Body, m.Larges, m.KeepUntil = keyserver.CarrierFile, "", nil, []string{large}, h.clock().AddDate(0, 0, 14)
		sent := h.register(t, m)
		h.wait(13 * 24 * time.Hour)
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		r, _, err := h.LargePiece(ctx, h.reader(t, sent, 0), sent.slot(0), large, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		h.wait(25 * time.Hour)
		if s, err := h.Sweep(ctx); err != nil || s.Larges != 1 {
			t.Errorf("after 14 days: %+v, %v", s, err)
		}
	})
}
