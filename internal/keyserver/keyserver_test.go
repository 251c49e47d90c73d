package keyserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
)

const (
	origin  = "https://keys.example"
	account = 100042
	subject = "Quarterly figures"
	note    = "The figures that we spoke of."
)

// letters is a Post that keeps what it is given once its transaction commits
// or not: a test that needs the difference looks at the database.
type letters struct {
	mu        sync.Mutex
	codes     []keyserver.CodeLetter
	opened    []keyserver.OpenedLetter
	resent    []keyserver.ResendLetter
	remind    []keyserver.ReminderLetter
	unread    []keyserver.UnreadLetter
	there     bool                                          // whether Resend finds a letter
	write     func(*store.Tx, keyserver.ResendLetter) error // what Resend does with it, if not nil
	reports   []keyserver.ReportLetter
	forwarded []keyserver.ForwardedLetter
	wakes     int
	fail      error
	broken    map[string]bool // messages of which nobody can be told anything
}

// put keeps a letter in its list.
func put[T any](l *letters, list *[]T, letter T) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, letter)
	return l.fail
}

func (l *letters) Code(_ *store.Tx, c keyserver.CodeLetter) error { return put(l, &l.codes, c) }

func (l *letters) Opened(_ *store.Tx, o keyserver.OpenedLetter) error { return put(l, &l.opened, o) }

func (l *letters) Resend(tx *store.Tx, r keyserver.ResendLetter) (bool, error) {
	err := put(l, &l.resent, r)
	if l.write != nil {
		return true, l.write(tx, r)
	}
	return l.there, err
}

func (l *letters) Reminder(_ *store.Tx, r keyserver.ReminderLetter) error {
	return put(l, &l.remind, r)
}

func (l *letters) Unread(_ *store.Tx, u keyserver.UnreadLetter) error {
	if l.broken[u.MessageID] {
		return errors.New("it cannot be written")
	}
	return put(l, &l.unread, u)
}

func (l *letters) Reported(_ *store.Tx, r keyserver.ReportLetter) error { return put(l, &l.reports, r) }

func (l *letters) Forwarded(_ *store.Tx, f keyserver.ForwardedLetter) error {
	return put(l, &l.forwarded, f)
}

func (l *letters) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes++
}

func (l *letters) lastCode(t *testing.T) keyserver.CodeLetter {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.codes) == 0 {
		t.Fatal("no code was mailed")
	}
	return l.codes[len(l.codes)-1]
}

func (l *letters) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.codes)
}

// house is a key server with an account and a sender.
type house struct {
	*keyserver.Service
	db    *store.DB
	root  *masterkey.Root
	blobs *blob.Store
	dir   string // of the blobs
	post  *letters
	ana   keyserver.Sender
	log   *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func newHouse(t testing.TB, db *store.DB) *house {
	t.Helper()
	h := &house{db: db, post: &letters{}, log: &bytes.Buffer{}, now: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)}
	db.Now = h.clock
	h.root = masterkeytest.Root(t)
	var err error
	h.dir = t.TempDir()
	if h.blobs, err = blob.New(h.dir); err != nil {
		t.Fatal(err)
	}
	h.Service = h.node()
	h.update(t, func(tx *store.Tx) error {
		return errors.Join(tx.InsertAccount(store.Account{ID: account, Name: "Example Health", Language: "en", TimeZone: "UTC", State: store.AccountActive}),
			tx.SetAccountSettings(account, free(nil).Encode()))
	})
	user := h.user(t, account, "ana@health.example")
	h.ana = keyserver.Sender{UserID: user, Address: "ana@health.example", Name: "Ana Silva", Verified: true}
	return h
}

// node is one more process on the same database.
func (h *house) node() *keyserver.Service {
	s := keyserver.New(keyserver.Config{
		DB: h.db, Root: h.root, Blobs: h.blobs, Origin: origin, Post: h.post, MaxLarge: 64 << 20,
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	keyserver.SetPause(s, 0)
	return s
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) update(t testing.TB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := h.db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) blobNames(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (h *house) user(t testing.TB, account int64, address string) string {
	t.Helper()
	u := store.User{
		ID: id.New(), AccountID: account, Address: address, DisplayAddress: address, Language: "en", TimeZone: "UTC",
		Theme: "auto", State: store.UserActive,
	}
	h.update(t, func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) })
	return u.ID
}

func (h *house) actor() keyserver.Actor {
	return keyserver.Actor{UserID: h.ana.UserID, Name: "user:" + h.ana.Address, Origin: "192.0.2.9"}
}

// visitor is a new session; mod changes it before it is written.
func (h *house) visitor(t testing.TB, mod ...func(*store.Session)) keyserver.Visitor {
	t.Helper()
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s := store.Session{
		TokenHash: id.NewToken().Hash(), Scope: store.ScopeVisitor, Nonce: hex.EncodeToString(nonce), Client: "test",
		ExpiresAt: h.clock().Add(12 * time.Hour),
	}
	for _, m := range mod {
		m(&s)
	}
	h.update(t, func(tx *store.Tx) error { return tx.InsertSession(s) })
	return keyserver.Visitor{Session: s.TokenHash, Origin: "192.0.2.7", Language: "fr"}
}

func as(userID, scope string) func(*store.Session) {
	return func(s *store.Session) { s.UserID, s.Scope = userID, scope }
}

func proven(address string) func(*store.Session) {
	return func(s *store.Session) { s.Address = address }
}

// sealed is a message with the halves that its mails carry.
type sealed struct {
	keyserver.NewMessage
	keyserver.Registered
	e    []envelope.Secret
	text string
}

func (m sealed) id() string                     { return m.MessageID.String() }
func (m sealed) slot(i int) envelope.SlotID     { return m.NewMessage.Slots[i].ID }
func (m sealed) ref(i int) string               { return m.Registered.Slots[i].Ref }
func (m sealed) secret(i int) envelope.Secret   { return m.NewMessage.Slots[i].S }
func (m sealed) address(i int) mailaddr.Address { return m.NewMessage.Slots[i].Address }

// prepare seals a message without registering it.
func (h *house) prepare(t testing.TB, to ...string) sealed {
	t.Helper()
	s, err := envelope.NewSealer(envelope.Header{ID: envelope.MessageID(random(16)), Origin: origin, SealedAt: h.clock()})
	if err != nil {
		t.Fatal(err)
	}
	m := sealed{text: "From: ana@health.example\r\n\r\nEverything went well.\r\n"}
	sum := sha256.Sum256([]byte(m.text))
	manifest := &envelope.Manifest{
		Length: int64(len(m.text)), Subject: subject, Date: "2026-03-10T09:00:00Z",
		From:  []envelope.Mailbox{{Address: "ana@health.example"}},
		Parts: []envelope.Part{{Length: int64(len(m.text)), Encoding: "identity", Type: "text/plain", Charset: "utf-8", Role: "text", Size: int64(len(m.text)), SHA256: hex.EncodeToString(sum[:])}},
	}
	w, err := h.blobs.Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Seal(w, manifest, strings.NewReader(m.text))
	if err != nil {
		t.Fatal(err)
	}
	name, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	m.NewMessage = keyserver.NewMessage{
		AccountID: account, Sender: h.ana, Subject: subject, Note: note, MH: s.MH(), HH: s.HH(), PH: p.Hash,
		PayloadSize: p.Size, Payload: name, KeepUntil: h.clock().Add(14 * 24 * time.Hour), ExpiresAt: h.clock().Add(30 * 24 * time.Hour),
		NotifyOpened: true, Carrier: keyserver.CarrierMail, Actor: h.actor(),
	}
	for _, address := range to {
		a := mailaddr.MustParse(address)
		slot, err := s.NewSlot(a.ASCIIMasked())
		if err != nil {
			t.Fatal(err)
		}
		m.NewMessage.Slots = append(m.NewMessage.Slots, keyserver.NewSlot{ID: slot.ID, Address: a, RH: slot.RH, Wrap: slot.Wrap, S: slot.S, Pop: slot.Pop})
		m.e = append(m.e, slot.E)
	}
	return m
}

func (h *house) register(t testing.TB, m sealed) sealed {
	t.Helper()
	var err error
	if m.Registered, err = h.Register(context.Background(), m.NewMessage); err != nil {
		t.Fatal(err)
	}
	return m
}

func (h *house) seal(t testing.TB, to ...string) sealed {
	t.Helper()
	return h.register(t, h.prepare(t, to...))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// prove proves possession as the page's script does.
func (h *house) prove(t testing.TB, v keyserver.Visitor, m sealed, i int) {
	t.Helper()
	c, err := h.Challenge(context.Background(), v, m.slot(i))
	if err != nil {
		t.Fatal(err)
	}
	proof := envelope.Possession(envelope.Pop(m.e[i], c.Slot, c.HH), c.Nonce)
	ref, err := h.Prove(context.Background(), v, c.Slot, proof[:])
	if err != nil || ref != m.ref(i) {
		t.Fatalf("prove: %q, %v", ref, err)
	}
}

// reader is a session that may open slot i.
func (h *house) reader(t testing.TB, m sealed, i int) keyserver.Visitor {
	t.Helper()
	v := h.visitor(t, proven(m.address(i).Canonical()))
	h.prove(t, v, m, i)
	return v
}

func (h *house) audit(t testing.TB, m sealed, action string) []store.AuditRow {
	t.Helper()
	var out []store.AuditRow
	err := h.db.View(context.Background(), func(tx *store.Tx) error {
		rows, err := tx.ListAuditOf(account, m.id(), 5000)
		for _, r := range rows {
			if r.Action == action {
				out = append(out, r)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantKey(t testing.TB, what string, err error, kind fault.Kind, key string) {
	t.Helper()
	if !fault.HasKey(err, key) || !fault.Is(err, kind) {
		t.Errorf("%s: %v, want %s of kind %d", what, err, key, kind)
	}
}

// read opens the envelope as the page does, to its last byte.
func open(t testing.TB, file io.Reader, r keyserver.Release, e envelope.Secret) string {
	t.Helper()
	env, err := envelope.Parse(file, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	c, err := env.Open(r.S, e, &envelope.Record{HH: r.HH, PH: r.PH})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := c.WriteMessage(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

var errBroken = errors.New("broken on purpose")
