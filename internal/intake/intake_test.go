package intake_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/intake"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

const origin = "https://pli.example.org"

// house is a service in which Ana asks for documents. Its mails wait for ever.
type house struct {
	dir string
	db  *store.DB
	svc *intake.Service
	ana account.Actor

	mu  sync.Mutex
	now time.Time
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &house{dir: t.TempDir(), db: db, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	db.Now = func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
	root := masterkeytest.Root(t)
	blobs, err := blob.New(filepath.Join(h.dir, "blobs"))
	check(err)
	cat, err := i18n.Load()
	check(err)
	words, err := notice.New(cat, origin)
	check(err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	box := outbox.New(outbox.Config{DB: db, Root: root, Blobs: blobs, Log: log})
	post := &sealing.Postman{Outbox: box, Words: words, From: message.Mailbox{Addr: mailaddr.MustParse("envelopes@pli.example")}}
	keys := keyserver.New(keyserver.Config{DB: db, Root: root, Blobs: blobs, Origin: origin, Post: post.Keys(), Log: log})
	seal := sealing.New(sealing.Config{DB: db, Keys: keys, Blobs: blobs, Outbox: box, Words: words, Post: post,
		Spool: t.TempDir(), Origin: origin, Log: log, MaxFiles: 1 << 20})
	h.svc = intake.New(intake.Config{DB: db, Root: root, Sealing: seal, Post: post})
	check(db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertAccount(store.Account{ID: 100042, Name: "Example Health", Language: "en", TimeZone: "Europe/Paris",
			State: store.AccountActive}); err != nil {
			return err
		}
		return tx.InsertDomain(store.Domain{Name: "example.org", AccountID: 100042})
	}))
	h.ana = h.user(t, 100042, "ana@example.org")
	return h
}

func (h *house) later(d time.Duration) { h.mu.Lock(); h.now = h.now.Add(d); h.mu.Unlock() }

func (h *house) user(t *testing.T, number int64, address string) account.Actor {
	t.Helper()
	u := store.User{ID: id.New(), AccountID: number, Address: address, DisplayAddress: address, FirstName: "Ana", LastName: "Silva",
		Language: "en", TimeZone: "Europe/Paris", Theme: "auto", State: store.UserActive}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) }); err != nil {
		t.Fatal(err)
	}
	return account.Actor{Kind: account.KindUser, UserID: u.ID, Address: address, Name: "Ana Silva", Origin: "192.0.2.1"}
}

func (h *house) create(t *testing.T, set func(*intake.NewIntake)) intake.Intake {
	t.Helper()
	n := intake.NewIntake{Title: "Your identity card", Text: "Both sides", EndsAt: h.db.Now().Add(48 * time.Hour)}
	if set != nil {
		set(&n)
	}
	i, err := h.svc.Create(t.Context(), h.ana, n)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// visitor is a new browser of an outsider.
func (h *house) visitor(t *testing.T, network string) keyserver.Visitor {
	t.Helper()
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s := store.Session{TokenHash: id.NewToken().Hash(), Scope: store.ScopeVisitor, Nonce: hex.EncodeToString(nonce), Client: "test",
		ExpiresAt: h.db.Now().Add(2 * time.Hour)}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSession(s) }); err != nil {
		t.Fatal(err)
	}
	return keyserver.Visitor{Session: s.TokenHash, Origin: network, Language: "en"}
}

const secretText = "The number is 4711-0815."

// answer is what a browser sends.
func answer(t *testing.T, set func(*envelope.Header)) intake.Answer {
	t.Helper()
	raw := "From: jean@example.net\r\nSubject: x\r\n\r\n" + secretText + "\r\n"
	m, err := message.Index(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	head := envelope.Header{Origin: origin, SealedAt: time.Unix(1795000000, 0)}
	rand.Read(head.ID[:])
	if set != nil {
		set(&head)
	}
	sealer, err := envelope.NewSealer(head)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := sealer.Seal(&b, m, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	slot, err := sealer.NewSlot("")
	if err != nil {
		t.Fatal(err)
	}
	return intake.Answer{Name: "Jean Dupont", Email: "Jean@example.net", MH: sealer.MH(), RH: slot.RH, Wrap: slot.Wrap, S: slot.S, E: slot.E, Payload: &b}
}

func (h *house) answers(t *testing.T, i intake.Intake) []store.Answer {
	t.Helper()
	_, out, err := h.svc.Find(t.Context(), h.ana, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantKey(t *testing.T, err error, key string) {
	t.Helper()
	if !fault.HasKey(err, key) {
		t.Errorf("got %v, want %s", err, key)
	}
}

// Of many answers at once as many are taken as were asked for; of the others
// nothing is left but what the counters know.
func TestAnswersAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		i := h.create(t, nil)
		const all = 8
		var wg sync.WaitGroup
		errs := make([]error, all)
		for n := range all {
			a, v := answer(t, nil), h.visitor(t, "192.0.2.7")
			wg.Go(func() { _, errs[n] = h.svc.Answer(context.Background(), i.Token, v, a) })
		}
		wg.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
			} else if !fault.HasKey(err, "intake.isfull") {
				t.Error(err)
			}
		}
		if got := h.answers(t, i); taken != 1 || len(got) != 1 || storetest.Count(t, db, "messages") != 1 || storetest.Count(t, db, "outbox") != 1 || storetest.Count(t, db, "slots") != 1 {
			t.Errorf("%d were taken, %+v", taken, got)
		} else if a := got[0]; a.Name != "Jean Dupont" || a.Address != "jean@example.net" || a.Proved || a.Opened {
			t.Errorf("the answer is %+v", a)
		}
		after, _, err := h.svc.Find(t.Context(), h.ana, i.ID)
		if err != nil || after.State != intake.Full || after.Answers != 1 {
			t.Errorf("it is %+v, %v", after, err)
		}
		rows := must(t, db, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.ListAudit(100042, "", 50) })
		var received int
		for _, r := range rows {
			if r.Action == "intake.received" {
				received++
				if r.Actor != "outsider:jean@example.net" || r.Target != i.ID {
					t.Errorf("the record is %+v", r)
				}
			}
		}
		if received != 1 {
			t.Errorf("%d records of an answer", received)
		}
	})
}

func must[T any](t *testing.T, db *store.DB, f func(tx *store.Tx) (T, error)) (out T) {
	t.Helper()
	if err := db.View(t.Context(), func(tx *store.Tx) (err error) { out, err = f(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLinksThatTakeNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ctx := t.Context()
		try := func(i intake.Intake) error {
			_, err := h.svc.Answer(ctx, i.Token, h.visitor(t, "192.0.2.7"), answer(t, nil))
			return err
		}
		closed, deleted, ended := h.create(t, nil), h.create(t, nil), h.create(t, nil)
		if err := h.svc.Close(ctx, h.ana, closed.ID); err != nil {
			t.Fatal(err)
		}
		if err := h.svc.Close(ctx, h.ana, closed.ID); err != nil { // twice is no mistake
			t.Fatal(err)
		}
		if err := h.svc.Delete(ctx, h.ana, deleted.ID); err != nil {
			t.Fatal(err)
		}
		wantKey(t, try(closed), "intake.isclosed")
		wantKey(t, try(deleted), "e404.h1")
		wantKey(t, try(intake.Intake{Token: id.NewToken()}), "e404.h1")

		// A colleague has no part in it.
		bob := h.user(t, 100042, "bob@example.org")
		_, _, err := h.svc.Find(ctx, bob, ended.ID)
		wantKey(t, err, "e404.h1")
		wantKey(t, h.svc.Close(ctx, bob, ended.ID), "e404.h1")
		wantKey(t, h.svc.Delete(ctx, bob, ended.ID), "e404.h1")
		if all, err := h.svc.List(ctx, bob); err != nil || len(all) != 0 {
			t.Errorf("Bob sees %v, %v", all, err)
		}
		_, err = h.svc.Create(ctx, h.user(t, 0, "nobody@example.net"), intake.NewIntake{Title: "x", EndsAt: h.now.Add(time.Hour)})
		wantKey(t, err, "desk.noaccount")

		h.later(49 * time.Hour)
		wantKey(t, try(ended), "intake.isended")
		if err := db.Update(ctx, func(tx *store.Tx) error { return tx.RaiseClockMark(h.now) }); err != nil {
			t.Fatal(err)
		}
		h.later(-40 * time.Hour) // a clock that is set back
		wantKey(t, try(ended), "intake.isended")
		if n := storetest.Count(t, db, "messages"); n != 0 {
			t.Errorf("%d messages", n)
		}

		// Who asks has left, or their account is suspended: there is nobody to send to.
		left := h.create(t, nil)
		if card, err := h.svc.Look(ctx, left.Token, ""); err != nil || card.Person != "Ana Silva" || card.Organisation != "Example Health" || card.Domain != "example.org" || card.Title != "Your identity card" {
			t.Errorf("the card is %+v, %v", card, err)
		}
		if err := db.Update(ctx, func(tx *store.Tx) error { return tx.SetAccountState(100042, store.AccountSuspended) }); err != nil {
			t.Fatal(err)
		}
		wantKey(t, try(left), "e404.h1")
		_, err = h.svc.Look(ctx, left.Token, "")
		wantKey(t, err, "e404.h1")
	})
}

// What a browser may not send is refused, and leaves nothing.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	i := h.create(t, func(n *intake.NewIntake) { n.Many, n.MaxBytes = true, 1<<20 })
	for name, c := range map[string]struct {
		set  func(a *intake.Answer)
		head func(*envelope.Header)
		want string
	}{
		"no name":                {func(a *intake.Answer) { a.Name = " \u202e\r\n@ " }, nil, "err.title"},
		"a long name":            {func(a *intake.Answer) { a.Name = strings.Repeat("é", 101) }, nil, "err.title"},
		"no address":             {func(a *intake.Answer) { a.Email = "jean@example.net\r\nBcc: x@y.test" }, nil, "err.title"},
		"a head that is none":    {func(a *intake.Answer) { a.MH = []byte("x") }, nil, "register.form"},
		"no slot":                {func(a *intake.Answer) { a.RH = nil }, nil, "register.form"},
		"another key server":     {nil, func(h *envelope.Header) { h.Origin = "https://evil.example" }, "register.form"},
		"the server may open it": {nil, func(h *envelope.Header) { h.Policy = envelope.PolicyServerMayOpen }, "register.form"},
		"a payload without end":  {func(a *intake.Answer) { a.Payload = io.LimitReader(rand.Reader, 1<<40) }, nil, "intake.toobig"},
		"no payload":             {func(a *intake.Answer) { a.Payload = strings.NewReader("") }, nil, "register.form"},
		"half a chunk":           {func(a *intake.Answer) { a.Payload = strings.NewReader(strings.Repeat("x", 60)) }, nil, "register.form"},
	} {
		a := answer(t, c.head)
		if c.set != nil {
			c.set(&a)
		}
		if _, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "192.0.2.7"), a); !fault.HasKey(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if n := storetest.Count(t, h.db, "messages"); n != 0 {
		t.Errorf("%d messages", n)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "blobs", "*")); len(left) != 0 {
		t.Errorf("ciphertext is left: %v", left)
	}
	a := answer(t, nil)
	if _, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "192.0.2.7"), a); err != nil {
		t.Fatal(err)
	}
	again := answer(t, nil)
	again.MH, again.RH, again.Wrap = a.MH, a.RH, a.Wrap // the same message once more
	_, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "192.0.2.7"), again)
	wantKey(t, err, "register.exists")
}

// One network and one link have their limits; what one network asks for beyond
// its own is not counted for everybody.
func TestLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	i := h.create(t, func(n *intake.NewIntake) { n.Many = true })
	for n := range 40 {
		_, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "192.0.2.7"), answer(t, nil))
		if n < 30 && err != nil || n >= 30 && !fault.HasKey(err, "e429.p") {
			t.Fatalf("answer %d: %v", n, err)
		}
	}
	if _, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "198.51.100.1"), answer(t, nil)); err != nil {
		t.Error(err)
	}
	v := h.visitor(t, "192.0.2.7")
	for n := range 6 {
		if err := h.svc.SendCode(t.Context(), i.Token, v, "victim@example.net"); n < 5 && err != nil || n == 5 && !fault.HasKey(err, "e429.p") {
			t.Fatalf("code %d: %v", n, err)
		}
	}
}

// Where an address is to be proved, only a session that has proved this very
// address may answer with it.
func TestProve(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ctx := t.Context()
		i := h.create(t, func(n *intake.NewIntake) { n.Prove, n.Many = true, true })
		v := h.visitor(t, "192.0.2.7")
		_, err := h.svc.Answer(ctx, i.Token, v, answer(t, nil))
		wantKey(t, err, "intake.prove")
		_, err = h.svc.VerifyCode(ctx, i.Token, v, "123456")
		wantKey(t, err, "people.nocode")
		if err := h.svc.SendCode(ctx, i.Token, v, "jean@example.net"); err != nil {
			t.Fatal(err)
		}
		code := h.code(t, v, i, "jean@example.net")
		other := h.visitor(t, "192.0.2.7")
		_, err = h.svc.VerifyCode(ctx, i.Token, other, code)
		wantKey(t, err, "people.nocode") // a code is its session's
		wrong := "000000"
		if code == wrong {
			wrong = "000001"
		}
		_, err = h.svc.VerifyCode(ctx, i.Token, v, wrong)
		wantKey(t, err, "code.wrong")
		token, err := h.svc.VerifyCode(ctx, i.Token, v, code[:3]+" "+code[3:])
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.svc.Answer(ctx, i.Token, v, answer(t, nil))
		wantKey(t, err, "intake.prove") // the old session has ended
		v.Session = token.Hash()
		if card, err := h.svc.Look(ctx, i.Token, v.Session); err != nil || card.Proven != "jean@example.net" {
			t.Errorf("the card is %+v, %v", card, err)
		}
		a := answer(t, nil)
		a.Email = "rosa@example.net"
		_, err = h.svc.Answer(ctx, i.Token, v, a)
		wantKey(t, err, "intake.prove")
		if _, err := h.svc.Answer(ctx, i.Token, v, answer(t, nil)); err != nil {
			t.Fatal(err)
		}
		if got := h.answers(t, i); len(got) != 1 || !got[0].Proved {
			t.Errorf("the answers are %+v", got)
		}

		// Another address takes no second factor over, and a session that may not do anything yet proves nothing.
		storetest.Exec(t, db, "UPDATE sessions SET second_at = 1 WHERE token_hash = '"+v.Session+"'")
		if err := h.svc.SendCode(ctx, i.Token, v, "eve@example.net"); err != nil {
			t.Fatal(err)
		}
		code = h.code(t, v, i, "eve@example.net")
		if token, err = h.svc.VerifyCode(ctx, i.Token, v, code); err != nil {
			t.Fatal(err)
		}
		if s := must(t, db, func(tx *store.Tx) (store.Session, error) { return tx.FindSession(token.Hash()) }); s.Address != "eve@example.net" || !s.SecondAt.IsZero() {
			t.Errorf("the session is %+v", s)
		}
		for _, scope := range []string{store.ScopeSecond, store.ScopeSetPassword} {
			w := h.visitor(t, "198.51.100.8")
			storetest.Exec(t, db, "UPDATE sessions SET scope = '"+scope+"' WHERE token_hash = '"+w.Session+"'")
			wantKey(t, h.svc.SendCode(ctx, i.Token, w, "x@example.net"), "sess.h1")
			_, err = h.svc.VerifyCode(ctx, i.Token, w, "123456")
			wantKey(t, err, "sess.h1")
		}

		// Five wrong codes end one, and an old one is none.
		w := h.visitor(t, "198.51.100.9")
		if err := h.svc.SendCode(ctx, i.Token, w, "rosa@example.net"); err != nil {
			t.Fatal(err)
		}
		code = h.code(t, w, i, "rosa@example.net")
		for range 5 {
			_, err = h.svc.VerifyCode(ctx, i.Token, w, "00000")
		}
		wantKey(t, err, "people.nocode")
		_, err = h.svc.VerifyCode(ctx, i.Token, w, code)
		wantKey(t, err, "people.nocode")
		if err := h.svc.SendCode(ctx, i.Token, w, "rosa@example.net"); err != nil {
			t.Fatal(err)
		}
		code = h.code(t, w, i, "rosa@example.net")
		h.later(11 * time.Minute)
		_, err = h.svc.VerifyCode(ctx, i.Token, w, code)
		wantKey(t, err, "people.nocode")
	})
}

// code makes the session's live code one that the test knows.
func (h *house) code(t *testing.T, v keyserver.Visitor, i intake.Intake, address string) string {
	t.Helper()
	const known = "471108"
	storetest.Exec(t, h.db, "UPDATE codes SET code_hash = '"+h.svc.CodeHash(v.Session, i.ID, address, known)+
		"' WHERE state = 'live' AND token_hash = '"+v.Session+"'")
	return known
}

// Neither what is sent nor its halves nor the link nor what was asked for is on
// the disk in clear.
func TestNothingReadableAtRest(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(file, "pli.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := newHouse(t, db)
	i := h.create(t, nil)
	a := answer(t, nil)
	if _, err := h.svc.Answer(t.Context(), i.Token, h.visitor(t, "192.0.2.7"), a); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, dir := range []string{file, h.dir} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			n++
			for what, secret := range map[string]string{"text": secretText, "title": "identity card", "instructions": "Both sides", "token": i.Token.Reveal(),
				"S": string(a.S[:]), "E": string(a.E[:]), "E as text": a.E.Base64(), "S as text": a.S.Base64()} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("%s holds the %s", path, what)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Error("no file was looked at")
	}
}

// Where an account takes no requests, none is made, and what is out takes nothing.
func TestRequestsOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		i := h.create(t, nil)
		if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.SetAccountSettings(100042, `{"requests":"false"}`) }); err != nil {
			t.Fatal(err)
		}
		_, err := h.svc.Create(t.Context(), h.ana, intake.NewIntake{Title: "Another", EndsAt: h.db.Now().Add(time.Hour)})
		if !fault.Is(err, fault.Denied) || fault.Of(err).Key != "off.requests" {
			t.Error(err)
		}
		if _, err := h.svc.Look(t.Context(), i.Token, ""); !fault.Is(err, fault.Closed) {
			t.Error(err)
		}
	})
}
