package keyserver_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.prepare(t, "bob@x.example", "carol@y.example")
		var then keyserver.Registered
		m.Then = func(tx *store.Tx, r keyserver.Registered) error {
			then = r
			_, err := tx.FindMessage(r.MessageID.String())
			return err
		}
		m = h.register(t, m)
		key, err := h.SealKey(t.Context())
		if err != nil || !envelope.VerifySeal(key, m.HH, m.PH, m.Seal) {
			t.Errorf("the seal is not this service's: %v", err)
		}
		if again, err := h.node().SealKey(t.Context()); err != nil || !bytes.Equal(again, key) {
			t.Errorf("another node seals with another key: %v", err)
		}
		if fmt.Sprint(then) != fmt.Sprint(m.Registered) || len(then.Slots) != 2 || then.Slots[1].SlotID != m.slot(1) || m.ref(0) == m.ref(1) {
			t.Errorf("registered: %+v", then)
		}
		if h.post.wakes != 1 {
			t.Errorf("woken %d times", h.post.wakes)
		}
	})
}

// AT-13: an id that is known cannot be registered again, by anyone, at once or later.
func TestRegisterTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.prepare(t, "bob@x.example")
		var good, known int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				r, err := h.Register(t.Context(), m.NewMessage)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					m.Registered = r
					good++
				case fault.HasKey(err, "register.exists") && fault.Is(err, fault.Conflict):
					known++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if good != 1 || known != 7 {
			t.Errorf("%d succeeded, %d were refused", good, known)
		}
		other := h.prepare(t, "bob@x.example") // another message with the first one's slot
		other.NewMessage.Slots = m.NewMessage.Slots
		_, err := h.Register(t.Context(), other.NewMessage)
		wantKey(t, "a known slot", err, fault.Conflict, "register.exists")
		if n := len(h.audit(t, m, "envelope.seal")); n != 1 {
			t.Errorf("%d records", n)
		}
	})
}

// What an opener would refuse is not registered, nor another service's (AT-12).
func TestRegisterChecks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	for name, c := range map[string]struct {
		kind   fault.Kind
		key    string
		change func(m *keyserver.NewMessage)
	}{
		"no recipient":  {fault.Invalid, "register.recipients", func(m *keyserver.NewMessage) { m.Slots = nil }},
		"501 of them":   {fault.Invalid, "register.recipients", func(m *keyserver.NewMessage) { m.Slots = make([]keyserver.NewSlot, 501) }},
		"a wrong hh":    {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.HH[0] ^= 1 }},
		"a changed mh":  {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.MH = append([]byte(nil), m.MH[1:]...) }},
		"no mh":         {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.MH = nil }},
		"a changed rh":  {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Slots[0].RH = m.Slots[0].RH[:10] }},
		"a huge rh":     {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Slots[0].RH = make([]byte, 1<<17) }},
		"another slot":  {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Slots[0].ID[0] ^= 1 }},
		"a slot twice":  {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Slots = append(m.Slots, m.Slots[0]) }},
		"no address":    {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Slots[0].Address = mailaddr.Address{} }},
		"another size":  {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.PayloadSize++ }},
		"no last chunk": {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.PayloadSize, m.Payload = 56, "" }},
		"no carrier":    {fault.Invalid, "register.form", func(m *keyserver.NewMessage) { m.Carrier = "" }},
		"a huge note":   {fault.TooLarge, "register.size", func(m *keyserver.NewMessage) { m.Note = strings.Repeat("x", 9000) }},
		"a past end":    {fault.Invalid, "exp.past", func(m *keyserver.NewMessage) { m.ExpiresAt = h.clock() }},
		"no such blob":  {fault.Unavailable, "keyserver.unavailable", func(m *keyserver.NewMessage) { m.Payload = strings.Repeat("0", 32) }},
		"no account":    {fault.Unavailable, "keyserver.unavailable", func(m *keyserver.NewMessage) { m.AccountID = 7 }},
		"mail fails": {fault.Unavailable, "keyserver.unavailable", func(m *keyserver.NewMessage) {
			m.Then = func(*store.Tx, keyserver.Registered) error { return errBroken }
		}},
	} {
		m := h.prepare(t, "bob@x.example")
		c.change(&m.NewMessage)
		_, err := h.Register(t.Context(), m.NewMessage)
		wantKey(t, name, err, c.kind, c.key)
	}
	s, err := envelope.NewSealer(envelope.Header{ID: envelope.MessageID(random(16)), Origin: "https://other.example", SealedAt: h.clock()})
	if err != nil {
		t.Fatal(err)
	}
	foreign := h.prepare(t, "bob@x.example")
	foreign.MH, foreign.HH = s.MH(), s.HH()
	_, err = h.Register(t.Context(), foreign.NewMessage)
	wantKey(t, "another service's", err, fault.Invalid, "register.form")

	if rows, _, err := h.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{}, "", 10); err != nil || len(rows) != 0 {
		t.Errorf("registered after all: %+v, %v", rows, err)
	}
	storetest.Exec(t, h.db, `UPDATE accounts SET state = 'suspended'`)
	_, err = h.Register(t.Context(), h.prepare(t, "bob@x.example").NewMessage)
	wantKey(t, "a suspended account", err, fault.Denied, "register.suspended")
}

// Many nodes that meet an account and a month for the first time agree on their keys.
func TestRegisterFirstOfMonthAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		all := make([]sealed, 12)
		for i := range all {
			all[i] = h.prepare(t, "bob@x.example")
		}
		var wg sync.WaitGroup
		for i := range all {
			node := h.node()
			wg.Go(func() {
				var err error
				if all[i].Registered, err = node.Register(t.Context(), all[i].NewMessage); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, m := range all {
			if r, err := h.Release(t.Context(), h.reader(t, m, 0), m.slot(0)); err != nil || r.S != m.secret(0) {
				t.Errorf("release: %v", err)
			}
		}
	})
}

// AT-22, AT-84 as far as this package goes: what the database and the blobs
// hold shows neither S nor E, subject, note or text.
func TestNothingReadableAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "pli.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, db)
	m := h.seal(t, "bob@x.example")
	v := h.visitor(t)
	h.prove(t, v, m, 0)
	code := h.sendCode(t, v, m, 0)
	token, err := h.VerifyCode(t.Context(), v, m.ref(0), code)
	if err != nil {
		t.Fatal(err)
	}
	v.Session = token.Hash()
	if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
		t.Fatal(err)
	}
	blobFile, _, err := h.blobs.Open(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var disk bytes.Buffer
	disk.ReadFrom(blobFile)
	blobFile.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		disk.Write(b)
	}
	disk.WriteString(h.log.String())
	if !bytes.Contains(disk.Bytes(), []byte("bob@x.example")) {
		t.Fatal("the search finds nothing at all")
	}
	secret, e := m.secret(0), m.e[0]
	for name, what := range map[string][]byte{
		"S": secret[:], "S in base64": []byte(secret.Base64()), "E": e[:], "E in base64": []byte(e.Base64()), "subject": []byte(subject), "note": []byte(note),
		"text": []byte("Everything went well"), "token": []byte(token.Reveal()),
	} {
		if bytes.Contains(disk.Bytes(), what) {
			t.Errorf("%s can be read", name)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		sweep := func() keyserver.Swept {
			t.Helper()
			s, err := h.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		soon := h.seal(t, "bob@x.example") // until 9 April, kept 14 days
		later := h.prepare(t, "bob@x.example")
		later.ExpiresAt = h.clock().Add(60 * 24 * time.Hour)
		later = h.register(t, later)
		never := h.prepare(t, "bob@x.example")
		never.ExpiresAt, never.KeepUntil = time.Time{}, time.Time{} // kept for its mails only
		never = h.register(t, never)
		waiting := store.OutboxRow{
			ID: "1", AccountID: account, Kind: "envelope", SlotID: never.slot(0).String(), Recipient: "bob@x.example",
			Letter: []byte("x"), NextAt: h.clock(), GiveUpAt: h.clock(), CreatedAt: h.clock(),
		}
		h.update(t, func(tx *store.Tx) error { return tx.InsertOutbox(waiting) })

		if got := sweep(); got != (keyserver.Swept{}) {
			t.Errorf("at first: %+v", got)
		}
		_, _, err := h.Ciphertext(t.Context(), h.reader(t, never, 0), never.slot(0))
		wantKey(t, "kept for its mails only", err, fault.Gone, "release.notkept")
		// It bounced, and its letter is held for a correction: then it is kept on.
		h.update(t, func(tx *store.Tx) error {
			if _, err := tx.ClaimOutbox("", 1, h.clock().Add(time.Minute)); err != nil {
				return err
			}
			ok, err := tx.HoldOutbox("1", 1, h.clock().Add(time.Hour), "550")
			if err == nil && !ok {
				t.Error("not held")
			}
			return err
		})
		if got := sweep(); got != (keyserver.Swept{}) {
			t.Errorf("while its letter is held: %+v", got)
		}
		h.wait(time.Hour)
		if got := sweep(); got.Letters != 1 || got.Payloads != 1 {
			t.Errorf("after its last mail: %+v", got)
		}
		if _, _, err := h.blobs.Open(never.Payload); err == nil {
			t.Error("the blob is still there")
		}
		h.wait(14 * 24 * time.Hour)
		v := h.reader(t, soon, 0)
		_, _, err = h.Ciphertext(t.Context(), v, soon.slot(0))
		wantKey(t, "past its keeping", err, fault.Gone, "release.notkept")
		if r, err := h.Release(t.Context(), v, soon.slot(0)); err != nil || r.Kept {
			t.Errorf("the key outlives the ciphertext: %v", err)
		}
		if got := sweep(); got.Payloads != 2 || got.Epochs != 0 || got.Sessions == 0 {
			t.Errorf("after 14 days: %+v", got)
		}
		// April is over and its messages too; then comes the grace; May's is alive.
		h.now = time.Date(2026, 5, 7, 23, 0, 0, 0, time.UTC)
		if got := sweep(); got.Epochs != 0 {
			t.Errorf("in the grace: %+v", got)
		}
		h.wait(2 * time.Hour)
		if got := sweep(); got.Epochs != 1 {
			t.Errorf("after the grace: %+v", got)
		}
		if got := sweep(); got != (keyserver.Swept{}) {
			t.Errorf("a second time: %+v", got)
		}
		d, err := h.SentDetail(t.Context(), h.ana.UserID, soon.id())
		if err != nil || d.State != keyserver.StateGone || d.Subject != "" || d.Note != "" || d.Recipients[0].State != keyserver.StateGone {
			t.Errorf("the record of it: %+v, %v", d, err)
		}
		_, err = h.Lock(t.Context(), h.actor(), soon.id(), "")
		wantKey(t, "lock what is gone", err, fault.Gone, "sent.over")
		for _, m := range []sealed{later, never} {
			if _, err := h.Release(t.Context(), h.reader(t, m, 0), m.slot(0)); err != nil {
				t.Errorf("of another month: %v", err)
			}
		}
		if rows, _, err := h.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{}, "", 10); err != nil || len(rows) != 3 {
			t.Errorf("the list: %+v, %v", rows, err)
		}
	})
}

// A month whose message was extended keeps its key.
func TestSweepKeepsExtended(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		storetest.Exec(t, db, fmt.Sprintf(`UPDATE messages SET expires_at = %d`, h.clock().Add(365*24*time.Hour).UnixMilli()))
		h.wait(200 * 24 * time.Hour)
		if got, err := h.Sweep(t.Context()); err != nil || got.Epochs != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := h.Release(t.Context(), h.reader(t, m, 0), m.slot(0)); err != nil {
			t.Error(err)
		}
	})
}

// Several nodes sweep at once: each thing is forgotten once, and nothing fails.
func TestSweepOnManyNodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		for range 20 {
			h.seal(t, "bob@x.example")
		}
		h.wait(100 * 24 * time.Hour)
		var sum keyserver.Swept
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 6 {
			node := h.node()
			wg.Go(func() {
				s, err := node.Sweep(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				sum.Payloads += s.Payloads
				sum.Epochs += s.Epochs
			})
		}
		wg.Wait()
		if sum.Payloads != 20 || sum.Epochs != 1 {
			t.Errorf("%+v", sum)
		}
	})
}

// A blob that no row names goes after a day; one that a row names stays.
func TestSweepOrphans(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m, orphan := h.seal(t, "bob@x.example"), h.prepare(t, "bob@x.example")
	yesterday := time.Now().Add(-25 * time.Hour)
	for _, name := range h.blobNames(t) {
		if err := os.Chtimes(filepath.Join(h.dir, name), yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}
	young := h.prepare(t, "bob@x.example")
	if got, err := h.Sweep(t.Context()); err != nil || got.Blobs != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, want := range map[string]bool{m.Payload: true, young.Payload: true, orphan.Payload: false} {
		f, _, err := h.blobs.Open(name)
		if err == nil {
			f.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
