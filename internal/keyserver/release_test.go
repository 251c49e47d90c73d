package keyserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// The whole road of one recipient: challenge, possession, card, code, release,
// ciphertext, opening. What the sender then sees.
func TestFromMailToMessage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "Bob@X.example", "carol@y.example")
		v := h.visitor(t)

		l, err := h.Landing(t.Context(), v, id.ShowReference(m.ref(0)))
		if err != nil || !reflect.DeepEqual(l, keyserver.Landing{Ref: m.ref(0)}) {
			t.Fatalf("before possession: %+v, %v", l, err)
		}
		h.prove(t, v, m, 0)
		l, err = h.Landing(t.Context(), v, m.ref(0))
		want := keyserver.Landing{
			Ref: m.ref(0), Possession: true, Slot: m.slot(0), Masked: "B•••@x.example", Level: policy.Medium, Note: note, State: keyserver.StateActive, Kept: true,
			Sender:   keyserver.Sender{UserID: h.ana.UserID, Address: h.ana.Address, Name: h.ana.Name, Organisation: "Example Health", Verified: true},
			SealedAt: h.clock(), ExpiresAt: m.ExpiresAt,
		}
		if err != nil || !reflect.DeepEqual(l, want) {
			t.Fatalf("card: %+v, %v", l, err)
		}
		_, err = h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "before the code", err, fault.Denied, "release.code")

		if err := h.SendCode(t.Context(), v, m.ref(0), ""); err != nil {
			t.Fatal(err)
		}
		letter := h.post.lastCode(t)
		if letter.To.String() != "Bob@x.example" || letter.Ref != m.ref(0) || len(letter.Code) != 6 || letter.Language != "fr" || letter.SenderName != h.ana.Name {
			t.Errorf("letter: %+v", letter)
		}
		token, err := h.VerifyCode(t.Context(), v, m.ref(0), " "+letter.Code[:3]+" "+letter.Code[3:]+" ")
		if err != nil {
			t.Fatal(err)
		}
		old := v
		v.Session = token.Hash()
		_, err = h.Release(t.Context(), old, m.slot(0))
		wantKey(t, "the old token", err, fault.Unauthenticated, "sess.h1") // AT-43

		r, err := h.Release(t.Context(), v, m.slot(0))
		if err != nil {
			t.Fatal(err)
		}
		if r.S != m.secret(0) || r.HH != m.HH || r.PH != m.PH || !r.Kept || r.Sender != want.Sender || r.Ref != m.ref(0) {
			t.Errorf("released: %+v", r)
		}
		f, size, err := h.Ciphertext(t.Context(), v, m.slot(0))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var file bytes.Buffer
		if n, err := file.ReadFrom(f); err != nil || n != size {
			t.Fatalf("ciphertext: %d of %d bytes, %v", n, size, err)
		}
		if got := open(t, &file, r, m.e[0]); got != m.text {
			t.Errorf("opened: %q", got)
		}

		if len(h.post.opened) != 1 || h.post.opened[0].Recipient != "Bob@x.example" {
			t.Errorf("notice: %+v", h.post.opened)
		}
		h.wait(time.Minute)
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Fatal(err)
		}
		if len(h.post.opened) != 1 {
			t.Error("a second notice")
		}
		d, err := h.SentDetail(t.Context(), h.ana.UserID, m.id())
		if err != nil {
			t.Fatal(err)
		}
		bob, carol := d.Recipients[0], d.Recipients[1]
		if bob.Openings != 1 || bob.LastOpenedAt.Sub(bob.FirstOpenedAt) != time.Minute || carol.Openings != 0 || d.Opened != 1 {
			t.Errorf("counters: %+v %+v", bob, carol)
		}
		if n := len(h.audit(t, m, "envelope.release")); n != 2 {
			t.Errorf("%d releases recorded", n)
		}
	})
}

// AT-28, I3, I4: who is not the recipient gets no key, whoever they are, and
// the refusal is recorded.
func TestReleaseRefusesOthers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example")
		h.update(t, func(tx *store.Tx) error {
			return tx.InsertAccount(store.Account{ID: 200001, Name: "Other", Language: "en", TimeZone: "UTC", State: store.AccountActive})
		})
		bob, other := h.user(t, 0, "bob@x.example"), h.user(t, 200001, "eve@other.example")
		signedIn := func(user, scope string) func(*store.Session) { return as(user, scope) }
		for _, c := range []struct {
			name       string
			v          keyserver.Visitor
			possession bool
			kind       fault.Kind
			key        string
		}{
			{"no session", keyserver.Visitor{Session: id.NewToken().Hash()}, false, fault.Unauthenticated, "sess.h1"},
			{"an ended session", h.visitor(t, proven("bob@x.example"), func(s *store.Session) { s.ExpiresAt = h.clock() }), false, fault.Unauthenticated, "sess.h1"},
			{"a stranger", h.visitor(t), false, fault.NotFound, "e404.h1"},
			{"another account's user", h.visitor(t, signedIn(other, store.ScopeFull)), false, fault.NotFound, "e404.h1"},
			{"the sender, who is an administrator", h.visitor(t, signedIn(h.ana.UserID, store.ScopeFull)), false, fault.NotFound, "e404.h1"},
			{"another account's user with the mail", h.visitor(t, signedIn(other, store.ScopeFull)), true, fault.Denied, "release.address"},
			{"another recipient with the mail", h.visitor(t, proven("carol@y.example")), true, fault.Denied, "release.address"},
			{"the mail without the address", h.visitor(t), true, fault.Denied, "release.code"},
			{"the address without the mail", h.visitor(t, proven("bob@x.example")), false, fault.Denied, "release.possession"},
			{"the recipient without their second factor", h.visitor(t, signedIn(bob, store.ScopeSecond), proven("bob@x.example")), false, fault.Denied, "second.first"},
			{"the recipient who must set a password", h.visitor(t, signedIn(bob, store.ScopeSetPassword), proven("bob@x.example")), false, fault.Denied, "si.mustchange"},
		} {
			if c.possession {
				h.prove(t, c.v, m, 0)
			}
			before := len(h.audit(t, m, "envelope.release_denied"))
			r, err := h.Release(t.Context(), c.v, m.slot(0))
			wantKey(t, c.name, err, c.kind, c.key)
			if r != (keyserver.Release{}) {
				t.Errorf("%s: something was released", c.name)
			}
			if n := len(h.audit(t, m, "envelope.release_denied")); n != before+1 {
				t.Errorf("%s: %d records, want one more than %d", c.name, n, before)
			}
			if f, _, err := h.Ciphertext(t.Context(), c.v, m.slot(0)); err == nil {
				f.Close()
				t.Errorf("%s: got the ciphertext", c.name)
			}
		}
		// The recipient signed in needs no code.
		v := h.visitor(t, signedIn(bob, store.ScopeFull))
		h.prove(t, v, m, 0)
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Errorf("signed in: %v", err)
		}
		// I10: a locked user's session opens nothing, even if it is still there.
		h.update(t, func(tx *store.Tx) error { return tx.SetUserState(bob, store.UserLocked) })
		_, err := h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "a locked user", err, fault.Unauthenticated, "sess.h1")
		if n := len(h.audit(t, m, "envelope.release")); n != 1 {
			t.Errorf("%d releases recorded", n)
		}
		_, err = h.Release(t.Context(), v, envelope.SlotID(random(16)))
		wantKey(t, "no such slot", err, fault.NotFound, "e404.h1")
	})
}

// AT-30: locked, expired and destroyed envelopes answer with their own text and
// without S.
func TestReleaseInOtherStates(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example")
		bob, carol := h.reader(t, m, 0), h.reader(t, m, 1)
		refused := func(what string, v keyserver.Visitor, i int, kind fault.Kind, key string) {
			t.Helper()
			r, err := h.Release(t.Context(), v, m.slot(i))
			wantKey(t, what, err, kind, key)
			if r != (keyserver.Release{}) {
				t.Errorf("%s: something was released", what)
			}
			if l, err := h.Landing(t.Context(), v, m.ref(i)); err != nil || l.State == keyserver.StateActive {
				t.Errorf("%s: card says %q, %v", what, l.State, err)
			}
		}
		allowed := func(what string, v keyserver.Visitor, i int) {
			t.Helper()
			if _, err := h.Release(t.Context(), v, m.slot(i)); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		lock := func(do func() (keyserver.Acted, error)) {
			t.Helper()
			if _, err := do(); err != nil {
				t.Fatal(err)
			}
		}
		lock(func() (keyserver.Acted, error) { return h.Lock(t.Context(), h.actor(), m.id(), m.slot(0).String()) })
		refused("locked for one", bob, 0, fault.Closed, "open.locked")
		allowed("locked for another", carol, 1)
		lock(func() (keyserver.Acted, error) { return h.Lock(t.Context(), h.actor(), m.id(), "") })
		refused("locked for all", carol, 1, fault.Closed, "open.locked")
		lock(func() (keyserver.Acted, error) { return h.Unlock(t.Context(), h.actor(), m.id(), "") })
		refused("still locked for one", bob, 0, fault.Closed, "open.locked")
		lock(func() (keyserver.Acted, error) { return h.Unlock(t.Context(), h.actor(), m.id(), m.slot(0).String()) })
		allowed("unlocked", bob, 0)

		h.wait(30*24*time.Hour - time.Second)
		bob = h.reader(t, m, 0)
		allowed("a second before its end", bob, 0)
		h.wait(time.Second)
		refused("expired", bob, 0, fault.Closed, "open.expired")
		h.wait(60 * 24 * time.Hour)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		bob = h.visitor(t, proven("bob@x.example"))
		h.prove(t, bob, m, 0)
		refused("destroyed", bob, 0, fault.Gone, "release.gone")
	})
}

// AT-31, I6: after Lock has returned, no release commits, and none was recorded
// after it.
func TestReleaseRacingLock(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		for _, one := range []bool{false, true} {
			t.Run(fmt.Sprintf("slot=%v", one), func(t *testing.T) {
				m := h.seal(t, "bob@x.example")
				v := h.reader(t, m, 0)
				slot := ""
				if one {
					slot = m.slot(0).String()
				}
				const workers, each = 20, 50
				var released, closed atomic.Int64
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for range each {
							switch _, err := h.Release(t.Context(), v, m.slot(0)); {
							case err == nil:
								released.Add(1)
							case fault.HasKey(err, "open.locked"):
								closed.Add(1)
							default:
								t.Error(err)
							}
						}
					})
				}
				for released.Load() < workers*each/5 {
					time.Sleep(time.Millisecond)
				}
				locked, err := h.Lock(t.Context(), h.actor(), m.id(), slot)
				if err != nil {
					t.Fatal(err)
				}
				atLock := int64(len(h.audit(t, m, "envelope.release")))
				wg.Wait()
				if n := int64(len(h.audit(t, m, "envelope.release"))); n != atLock || n != released.Load() {
					t.Errorf("%d openings when Lock returned, %d at the end, %d keys handed out", atLock, n, released.Load())
				}
				if locked.Opened != 1 || released.Load()+closed.Load() != workers*each || closed.Load() == 0 {
					t.Errorf("%d released, %d refused, %+v", released.Load(), closed.Load(), locked)
				}
				last := h.audit(t, m, "envelope.lock")[0].ID
				releases := h.audit(t, m, "envelope.release")
				if int64(len(releases)) != released.Load() { // I7
					t.Errorf("%d records of %d releases", len(releases), released.Load())
				}
				for _, r := range releases {
					if r.ID > last {
						t.Errorf("release %s is recorded after the lock %s", r.ID, last)
					}
				}
				if n := len(h.audit(t, m, "envelope.release_denied")); int64(n) != closed.Load() {
					t.Errorf("%d records of %d refusals", n, closed.Load())
				}
			})
		}
	})
}

func (h *house) openings(t testing.TB, m sealed) int64 {
	t.Helper()
	d, err := h.SentDetail(t.Context(), h.ana.UserID, m.id())
	if err != nil {
		t.Fatal(err)
	}
	return int64(d.Recipients[0].Openings)
}

// AT-32, I19: what cannot be recorded is not released.
func TestReleaseFailsClosedWithoutAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v, stranger := h.reader(t, m, 0), h.visitor(t)
		storetest.Exec(t, db, `ALTER TABLE audit RENAME TO audit_away`)
		for name, v := range map[string]keyserver.Visitor{"a release": v, "a refusal": stranger} {
			r, err := h.Release(t.Context(), v, m.slot(0))
			wantKey(t, name, err, fault.Unavailable, "keyserver.unavailable")
			if r != (keyserver.Release{}) {
				t.Errorf("%s: something was released", name)
			}
		}
		storetest.Exec(t, db, `ALTER TABLE audit_away RENAME TO audit`)
		if n := h.openings(t, m); n != 0 {
			t.Errorf("%d openings counted", n)
		}
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// AT-32: the notice to the sender is part of the transaction too.
func TestReleaseFailsClosedWithoutPost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.seal(t, "bob@x.example")
	v := h.reader(t, m, 0)
	h.post.fail = errBroken
	r, err := h.Release(t.Context(), v, m.slot(0))
	wantKey(t, "without post", err, fault.Unavailable, "keyserver.unavailable")
	if r != (keyserver.Release{}) || h.openings(t, m) != 0 || len(h.audit(t, m, "envelope.release")) != 0 {
		t.Error("something was released or recorded")
	}
}

// AT-33: without the root key there is no S, and a clear answer; AT-37: nor
// after a month's key has been destroyed and an older copy of the slot put back.
func TestReleaseFailsClosedWithoutKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v := h.reader(t, m, 0)
		foreign := newHouse(t, storetest.Open(t)) // for its root key
		r, err := keyserver.New(keyserver.Config{DB: db, Root: foreign.root, Blobs: h.blobs, Origin: origin, Post: h.post}).Release(t.Context(), v, m.slot(0))
		wantKey(t, "another root key", err, fault.Unavailable, "keyserver.unavailable")
		if r != (keyserver.Release{}) || h.openings(t, m) != 0 {
			t.Error("something was released or counted")
		}

		storetest.Exec(t, db, `CREATE TABLE backup AS SELECT * FROM slots`)
		h.wait(90 * 24 * time.Hour)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Epochs != 1 {
			t.Fatalf("sweep: %+v, %v", swept, err)
		}
		storetest.Exec(t, db, `UPDATE slots SET s_box = (SELECT b.s_box FROM backup b WHERE b.id = slots.id)`)
		storetest.Exec(t, db, `UPDATE messages SET expires_at = 0, destroyed_at = 0`)
		v = h.reader(t, m, 0)
		r, err = h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "slots of a backup", err, fault.Gone, "release.gone")
		storetest.Exec(t, db, `UPDATE epoch_keys SET destroyed_at = 0`)
		r2, err := h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "and the mark of the destruction removed", err, fault.Unavailable, "keyserver.unavailable")
		if r != (keyserver.Release{}) || r2 != (keyserver.Release{}) {
			t.Error("something was released")
		}
	})
}

// AT-35, I20: a clock that is set back opens nothing again; nor on a new node.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		h.wait(31 * 24 * time.Hour)
		v := h.visitor(t, proven("bob@x.example"), func(s *store.Session) { s.ExpiresAt = h.clock().Add(24 * time.Hour) })
		h.prove(t, v, m, 0)
		_, err := h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "expired", err, fault.Closed, "open.expired")
		h.wait(-365 * 24 * time.Hour)
		for name, s := range map[string]*keyserver.Service{"this node": h.Service, "another node": h.node()} {
			_, err := s.Release(t.Context(), v, m.slot(0))
			wantKey(t, name, err, fault.Closed, "open.expired")
			if l, err := s.Landing(t.Context(), v, m.ref(0)); err != nil || l.State != keyserver.StateExpired {
				t.Errorf("%s: card says %q, %v", name, l.State, err)
			}
		}
		c, err := h.Clock(t.Context())
		if err != nil || c.Seen.Sub(c.Now) != 365*24*time.Hour {
			t.Errorf("clock: %+v, %v", c, err)
		}
		if _, err := h.Sweep(t.Context()); err != nil { // does not forget the mark
			t.Fatal(err)
		}
		_, err = h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "after a sweep", err, fault.Closed, "open.expired")
		// The operator, who knows which of the two clocks was wrong, may accept it.
		if err := h.AcceptClock(t.Context(), keyserver.Actor{Name: "operator:root", Origin: "terminal"}); err != nil {
			t.Fatal(err)
		}
		if _, err = h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Errorf("after acceptance: %v", err)
		}
	})
}

// AT-60: no value of this package's or the store's types that hold S or a key
// shows it, however it is printed or encoded.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.seal(t, "bob@x.example")
	v := h.reader(t, m, 0)
	r, err := h.Release(t.Context(), v, m.slot(0))
	if err != nil {
		t.Fatal(err)
	}
	values := []any{r, m.NewMessage, m.NewMessage.Slots[0], m.Registered, h.Service}
	err = h.db.View(t.Context(), func(tx *store.Tx) error {
		o, err := tx.FindOpening(m.slot(0).String(), v.Session)
		values = append(values, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := m.secret(0)
	forms := []string{string(secret[:]), fmt.Sprintf("%x", secret[:]), fmt.Sprintf("%X", secret[:]), secret.Base64(), strings.Trim(fmt.Sprint([32]byte(secret)), "[]")}
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			out := fmt.Sprintf(verb, value)
			out += fmt.Sprintf(verb, &value)
			for _, form := range forms {
				if strings.Contains(out, form) {
					t.Errorf("%T prints S with %s", value, verb)
				}
			}
		}
		if text, err := json.Marshal(value); err == nil {
			for _, form := range forms {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%T encodes S", value)
				}
			}
		}
	}
	if strings.Contains(h.log.String(), forms[1]) {
		t.Error("the log has S")
	}
}

// AT-60: S stands in a Release and in what Register is given, and nowhere else.
func TestTypesThatHoldSecrets(t *testing.T) {
	t.Parallel()
	allowed := map[reflect.Type]bool{reflect.TypeFor[keyserver.Release](): true, reflect.TypeFor[keyserver.NewSlot](): true}
	var walk func(in, typ reflect.Type, seen map[reflect.Type]bool)
	walk = func(in, typ reflect.Type, seen map[reflect.Type]bool) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			if typ != reflect.TypeFor[envelope.Secret]() {
				walk(in, typ.Elem(), seen)
				return
			}
		case reflect.Struct:
			if seen[typ] || allowed[typ] || typ.PkgPath() == "time" {
				return
			}
			seen[typ] = true
			for i := range typ.NumField() {
				walk(typ, typ.Field(i).Type, seen)
			}
			return
		}
		if typ == reflect.TypeFor[envelope.Secret]() {
			t.Errorf("%v holds a secret", in)
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[keyserver.Registered](), reflect.TypeFor[keyserver.Challenge](), reflect.TypeFor[keyserver.Landing](),
		reflect.TypeFor[keyserver.SentRow](), reflect.TypeFor[keyserver.SentDetail](), reflect.TypeFor[keyserver.CodeLetter](),
		reflect.TypeFor[keyserver.OpenedLetter](), reflect.TypeFor[keyserver.Acted](), reflect.TypeFor[keyserver.NewMessage](),
		reflect.TypeFor[store.Slot](), reflect.TypeFor[store.Message](), reflect.TypeFor[store.Opening](), reflect.TypeFor[mailaddr.Address](),
	} {
		walk(typ, typ, map[reflect.Type]bool{})
	}
}

// AT-28, I4: an administrator can make a user of any address and knows the
// password, so that signing in with it opens nothing: the mailbox must have
// answered too.
func TestManagedUserNeedsACode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@hospital.example")
		u := store.User{ID: id.New(), AccountID: account, Managed: true, Address: "bob@hospital.example", DisplayAddress: "bob@hospital.example",
			Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive}
		h.update(t, func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) })
		v := h.visitor(t, as(u.ID, store.ScopeFull))
		h.prove(t, v, m, 0)
		if l, err := h.Landing(t.Context(), v, m.ref(0)); err != nil || l.Proven {
			t.Errorf("the card says that it can be opened: %+v, %v", l, err)
		}
		r, err := h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "signed in, with the mail, without a code", err, fault.Denied, "release.code")
		if r != (keyserver.Release{}) {
			t.Error("something was released")
		}
		if f, _, err := h.Ciphertext(t.Context(), v, m.slot(0)); err == nil {
			f.Close()
			t.Error("got the ciphertext")
		}
		if err := h.SendCode(t.Context(), v, m.ref(0), ""); err != nil {
			t.Fatal(err)
		}
		token, err := h.VerifyCode(t.Context(), v, m.ref(0), h.post.lastCode(t).Code)
		if err != nil {
			t.Fatal(err)
		}
		v.Session = token.Hash()
		if r, err := h.Release(t.Context(), v, m.slot(0)); err != nil || r.S != m.secret(0) {
			t.Errorf("with a code: %v", err)
		}
	})
}
