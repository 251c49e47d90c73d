package keyserver_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// wrong is a code that is not the right one.
func wrong(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

func (h *house) sendCode(t testing.TB, v keyserver.Visitor, m sealed, i int) string {
	t.Helper()
	before := h.post.count()
	if err := h.SendCode(t.Context(), v, m.ref(i), ""); err != nil {
		t.Fatal(err)
	}
	if h.post.count() != before+1 {
		t.Fatal("no code was mailed")
	}
	h.post.mu.Lock()
	defer h.post.mu.Unlock()
	return h.post.codes[before].Code
}

// AT-44: a code is good for one browser, one slot, one use.
func TestCodeIsBound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "bob.two@x.example")
		v, other := h.visitor(t), h.visitor(t)
		for _, s := range []keyserver.Visitor{v, other} {
			h.prove(t, s, m, 0)
			h.prove(t, s, m, 1)
		}
		code := h.sendCode(t, v, m, 0)
		_, err := h.VerifyCode(t.Context(), other, m.ref(0), code)
		wantKey(t, "another browser", err, fault.Invalid, "code.none")
		_, err = h.VerifyCode(t.Context(), v, m.ref(1), code)
		wantKey(t, "another slot", err, fault.Invalid, "code.none")
		h.sendCode(t, other, m, 0)
		if last := h.post.lastCode(t).Code; last != code {
			_, err = h.VerifyCode(t.Context(), other, m.ref(0), code)
			wantKey(t, "another browser with a code of its own", err, fault.Invalid, "code.wrong")
		}
		token, err := h.VerifyCode(t.Context(), v, m.ref(0), code)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.VerifyCode(t.Context(), v, m.ref(0), code)
		wantKey(t, "again, with the old token", err, fault.Unauthenticated, "sess.h1")
		v.Session = token.Hash()
		_, err = h.VerifyCode(t.Context(), v, m.ref(0), code)
		wantKey(t, "again, with the new token", err, fault.Invalid, "code.none")

		// What was proved before goes over, and one address does not prove another.
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Error(err)
		}
		_, err = h.Release(t.Context(), v, m.slot(1))
		wantKey(t, "the other slot", err, fault.Denied, "release.address")

		// Nor does it prove again who signed in: a code that goes to another mailbox
		// would otherwise let whoever finds the browser change what proves its person.
		begun := h.clock()
		v = h.visitor(t, as(h.user(t, 0, "lea@example.net"), store.ScopeFull))
		h.wait(time.Hour)
		h.prove(t, v, m, 0)
		if token, err = h.VerifyCode(t.Context(), v, m.ref(0), h.sendCode(t, v, m, 0)); err != nil {
			t.Fatal(err)
		}
		h.update(t, func(tx *store.Tx) error {
			s, err := tx.FindSession(token.Hash())
			if !s.CreatedAt.Equal(begun) || s.Address != "bob@x.example" {
				t.Errorf("the session is of %v and not of %v: %+v", s.CreatedAt, begun, s)
			}
			return err
		})
	})
}

// AT-44: five tries, and the sixth is refused even if it is right.
func TestCodeTries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v := h.visitor(t)
		h.prove(t, v, m, 0)
		code := h.sendCode(t, v, m, 0)
		for left := 4; left > 0; left-- {
			_, err := h.VerifyCode(t.Context(), v, m.ref(0), wrong(code))
			wantKey(t, "a wrong code", err, fault.Invalid, "code.wrong")
			if f := fault.Of(err); f.Args["n"] != left || len(f.Fields) != 1 || f.Fields[0].Name != "code" {
				t.Errorf("%d tries left: %+v", left, f)
			}
		}
		for _, form := range []string{"", "12345", "1234567", "12345a", "１２３４５６"} {
			_, err := h.VerifyCode(t.Context(), v, m.ref(0), form)
			wantKey(t, "no code at all: "+form, err, fault.Invalid, "code.form") // and no try
		}
		_, err := h.VerifyCode(t.Context(), v, m.ref(0), wrong(code))
		wantKey(t, "the fifth", err, fault.TooMany, "code.toomany")
		_, err = h.VerifyCode(t.Context(), v, m.ref(0), code)
		wantKey(t, "the sixth, which is right", err, fault.TooMany, "code.toomany")
		h.wait(time.Minute)
		err = h.SendCode(t.Context(), v, m.ref(0), "")
		wantKey(t, "a new code", err, fault.TooMany, "code.toomany")
		if n := fault.Of(err).Args["n"]; n != 9 {
			t.Errorf("told to wait %v minutes", n)
		}
		h.wait(9 * time.Minute)
		if _, err := h.VerifyCode(t.Context(), v, m.ref(0), h.sendCode(t, v, m, 0)); err != nil {
			t.Errorf("ten minutes later: %v", err)
		}
	})
}

// AT-44: the eleventh minute. An old code is replaced at once, and a new one
// ends the one before.
func TestCodeAge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v := h.visitor(t)
		h.prove(t, v, m, 0)
		first := h.sendCode(t, v, m, 0)
		err := h.SendCode(t.Context(), v, m.ref(0), "")
		wantKey(t, "two codes in 30 seconds", err, fault.TooMany, "code.toomany")
		h.wait(31 * time.Second)
		second := h.sendCode(t, v, m, 0)
		if first != second {
			_, err = h.VerifyCode(t.Context(), v, m.ref(0), first)
			wantKey(t, "the code before", err, fault.Invalid, "code.wrong")
		}
		h.wait(10 * time.Minute)
		_, err = h.VerifyCode(t.Context(), v, m.ref(0), second)
		wantKey(t, "an old code", err, fault.Invalid, "code.old")
		if h.post.count() != 3 {
			t.Fatalf("%d codes were mailed", h.post.count())
		}
		if _, err := h.VerifyCode(t.Context(), v, m.ref(0), h.post.lastCode(t).Code); err != nil {
			t.Errorf("the one that replaced it: %v", err)
		}
	})
}

// AT-44: of many uses at once, one succeeds.
func TestCodeUsedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		for range 5 {
			v := h.visitor(t)
			h.prove(t, v, m, 0)
			code := h.sendCode(t, v, m, 0)
			var good atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, err := h.VerifyCode(t.Context(), v, m.ref(0), code); err == nil {
						good.Add(1)
					} else if fault.Is(err, fault.Unavailable) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if good.Load() != 1 {
				t.Fatalf("%d of 8 uses succeeded", good.Load())
			}
		}
	})
}

// Wrong tries at once are counted each.
func TestCodeGuessedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v := h.visitor(t)
		h.prove(t, v, m, 0)
		code := h.sendCode(t, v, m, 0)
		var told atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := h.VerifyCode(t.Context(), v, m.ref(0), wrong(code))
				if fault.HasKey(err, "code.wrong") {
					told.Add(1)
				} else if !fault.HasKey(err, "code.toomany") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if told.Load() != 4 {
			t.Errorf("%d guesses were answered", told.Load())
		}
	})
}

// AT-53: without proof of possession a code goes to the slot's address only if
// it was typed, and the answer is the same whether it was, and whether there is
// such a reference at all.
func TestSendCodeWithoutPossession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		unknown := id.NewReference()
		answers := func(ref, typed string) (out []string) {
			v := h.visitor(t)
			say := func(err error) {
				out = append(out, fmt.Sprintf("%+v", err))
			}
			say(h.SendCode(t.Context(), v, ref, typed))
			say(h.SendCode(t.Context(), v, ref, typed))
			for range 6 {
				_, err := h.VerifyCode(t.Context(), v, ref, "000000")
				say(err)
			}
			l, err := h.Landing(t.Context(), v, ref)
			say(err)
			return append(out, strings.ReplaceAll(fmt.Sprintf("%+v", l), ref, "REF"))
		}
		want := answers(m.ref(0), "bob@x.example")
		if h.post.count() != 1 || h.post.lastCode(t).Code == "000000" {
			t.Fatalf("%d codes were mailed", h.post.count())
		}
		for name, c := range map[string][2]string{
			"another address": {m.ref(0), "eve@z.example"}, "another reference": {unknown, "bob@x.example"},
		} {
			if got := answers(c[0], c[1]); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\n%v\nwant\n%v", name, got, want)
			}
		}
		if h.post.count() != 1 {
			t.Errorf("%d codes were mailed", h.post.count())
		}
		v := h.visitor(t)
		wantKey(t, "no address", h.SendCode(t.Context(), v, m.ref(0), ""), fault.Invalid, "err.email")
		wantKey(t, "no reference", h.SendCode(t.Context(), v, "0O1I", "bob@x.example"), fault.Invalid, "home.err")

		// The code proves the address; the mail is still needed.
		if err := h.SendCode(t.Context(), v, m.ref(0), " BOB@X.example "); err != nil {
			t.Fatal(err)
		}
		token, err := h.VerifyCode(t.Context(), v, m.ref(0), h.post.lastCode(t).Code)
		if err != nil {
			t.Fatal(err)
		}
		v.Session = token.Hash()
		_, err = h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "without the mail", err, fault.Denied, "release.possession")
		h.prove(t, v, m, 0)
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Error(err)
		}
	})
}

// AT-53: strangers, however many, cause few mails an hour, and do not use up
// what the recipient may ask for.
func TestCodeLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		for range 50 {
			if err := h.SendCode(t.Context(), h.visitor(t), m.ref(0), "bob@x.example"); err != nil {
				t.Fatal(err)
			}
		}
		if n := h.post.count(); n != keyserver.TrickleAddress {
			t.Errorf("strangers caused %d mails", n)
		}
		for i := range keyserver.CodesPerHour + 1 {
			v := h.visitor(t)
			h.prove(t, v, m, 0)
			err := h.SendCode(t.Context(), v, m.ref(0), "")
			if i < keyserver.CodesPerHour && err != nil {
				t.Fatal(err)
			}
			if i == keyserver.CodesPerHour {
				wantKey(t, "one more than an hour's", err, fault.TooMany, "code.toomany")
			}
		}
		if n := h.post.count(); n != keyserver.TrickleAddress+keyserver.CodesPerHour {
			t.Errorf("%d mails in all", n)
		}
		h.wait(time.Hour)
		v := h.visitor(t)
		h.prove(t, v, m, 0)
		h.sendCode(t, v, m, 0)
	})
}

// AT-53: one client cannot use up, for everybody, the way without possession.
func TestTrickleOfOneNetwork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		ask := func(origin, address string) {
			t.Helper()
			v := h.visitor(t)
			v.Origin = origin
			if err := h.SendCode(t.Context(), v, m.ref(0), address); err != nil {
				t.Fatal(err)
			}
		}
		for i := range keyserver.TrickleNetwork + 10 {
			ask(fmt.Sprintf("2001:db8::%d", i+1), fmt.Sprintf("someone%d@x.example", i))
		}
		ask("2001:db8::ffff", "bob@x.example") // the same answer, and no mail
		if n := h.post.count(); n != 0 {
			t.Errorf("%d mails", n)
		}
		var all store.Throttle
		if err := h.db.View(t.Context(), func(tx *store.Tx) (err error) { all, err = tx.FindThrottle("code-trickle"); return err }); err != nil {
			t.Fatal(err)
		}
		if all.Count != keyserver.TrickleNetwork {
			t.Errorf("one network counts %d of everybody's", all.Count)
		}
		ask("198.51.100.7", "bob@x.example")
		if n := h.post.count(); n != 1 {
			t.Errorf("%d mails from another network", n)
		}
	})
}

// AT-43, AT-53: a visitor's session, short while it has proved nothing, is a
// whole one from the code on; what a person signed in for is not prolonged.
func TestCodeProlongsAVisitor(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		bob := h.user(t, 0, "bob@x.example")
		short := func(s *store.Session) { s.ExpiresAt = h.clock().Add(time.Hour) }
		for name, c := range map[string]struct {
			v    keyserver.Visitor
			want time.Duration
		}{
			"a visitor": {h.visitor(t, short), store.SessionLimit},
			"a person":  {h.visitor(t, short, as(bob, store.ScopeFull)), time.Hour},
		} {
			h.prove(t, c.v, m, 0)
			h.sendCode(t, c.v, m, 0)
			token, err := h.VerifyCode(t.Context(), c.v, m.ref(0), h.post.lastCode(t).Code)
			if err != nil {
				t.Fatal(err)
			}
			var row store.Session
			if err := h.db.View(t.Context(), func(tx *store.Tx) (err error) { row, err = tx.FindSession(token.Hash()); return err }); err != nil {
				t.Fatal(err)
			}
			if got := row.ExpiresAt.Sub(h.clock()); got != c.want {
				t.Errorf("%s: ends in %v, want %v", name, got, c.want)
			}
		}
	})
}

// AT-52: the answer to a request without possession takes as long whatever it finds.
func TestSendCodeTakesItsTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	keyserver.SetPause(h.Service, 80*time.Millisecond)
	m := h.seal(t, "bob@x.example")
	for _, c := range [][2]string{{m.ref(0), "bob@x.example"}, {m.ref(0), "eve@x.example"}, {id.NewReference(), "bob@x.example"}} {
		v, begun := h.visitor(t), time.Now()
		if err := h.SendCode(t.Context(), v, c[0], c[1]); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 80*time.Millisecond {
			t.Errorf("%v: %v", c, took)
		}
	}
}

// A code is not readable in the database.
func TestCodeIsHashed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.seal(t, "bob@x.example")
	v := h.visitor(t)
	h.prove(t, v, m, 0)
	code := h.sendCode(t, v, m, 0)
	err := h.db.View(t.Context(), func(tx *store.Tx) error {
		c, err := tx.FindLiveCode(v.Session, store.CodeOpen, m.slot(0).String())
		if strings.Contains(fmt.Sprintf("%+v", c), code) {
			t.Errorf("the row shows the code: %+v", c)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A slot that does not exist gets a challenge like any other, always the same,
// and no proof satisfies it.
func TestChallengeUnknown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		v := h.visitor(t)
		slot, ref := envelope.SlotID(random(16)), id.NewReference()
		a, err := h.Challenge(t.Context(), v, slot)
		b, err2 := h.node().Challenge(t.Context(), v, slot)
		if err != nil || err2 != nil || fmt.Sprint(a) != fmt.Sprint(b) || a.Slot != slot || a.HH == ([32]byte{}) || a.Message == (envelope.MessageID{}) || len(a.Nonce) != 32 {
			t.Errorf("unknown slot: %+v, %v; %+v, %v", a, err, b, err2)
		}
		c, err := h.ChallengeRef(t.Context(), v, ref)
		d, err2 := h.Challenge(t.Context(), v, c.Slot)
		if err != nil || err2 != nil || fmt.Sprint(c) != fmt.Sprint(d) {
			t.Errorf("unknown reference: %+v, %v; its slot: %+v, %v", c, err, d, err2)
		}
		e, err := h.ChallengeRef(t.Context(), v, id.ShowReference(m.ref(0)))
		if err != nil || e.Slot != m.slot(0) || e.HH != m.HH || e.Message != m.MessageID {
			t.Errorf("known reference: %+v, %v", e, err)
		}
		other, err := h.Challenge(t.Context(), h.visitor(t), m.slot(0))
		if err != nil || string(other.Nonce) == string(e.Nonce) {
			t.Errorf("two sessions share a nonce: %v", err)
		}
		_, err = h.Challenge(t.Context(), keyserver.Visitor{Session: "x"}, slot)
		wantKey(t, "no session", err, fault.Unauthenticated, "sess.h1")
	})
}

func TestProve(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example")
		v := h.visitor(t)
		c, err := h.Challenge(t.Context(), v, m.slot(0))
		if err != nil {
			t.Fatal(err)
		}
		right := envelope.Possession(envelope.Pop(m.e[0], c.Slot, c.HH), c.Nonce)
		neighbour := envelope.Possession(envelope.Pop(m.e[1], m.slot(1), c.HH), c.Nonce)
		elsewhere := envelope.Possession(envelope.Pop(m.e[0], c.Slot, c.HH), random(32))
		for name, proof := range map[string][]byte{
			"none": nil, "short": right[:31], "long": append(right[:], 0), "random": random(32), "another recipient's": neighbour[:], "another session's": elsewhere[:],
		} {
			_, err := h.Prove(t.Context(), v, c.Slot, proof)
			wantKey(t, name, err, fault.Denied, "possession.failed")
		}
		_, err = h.Prove(t.Context(), v, envelope.SlotID(random(16)), right[:])
		wantKey(t, "no such slot", err, fault.Denied, "possession.failed")
		if l, err := h.Landing(t.Context(), v, m.ref(0)); err != nil || l.Possession {
			t.Errorf("possession without proof: %v", err)
		}
		for range 2 { // again changes nothing
			if ref, err := h.Prove(t.Context(), v, c.Slot, right[:]); err != nil || ref != m.ref(0) {
				t.Errorf("right: %q, %v", ref, err)
			}
		}
		for range 4 {
			h.Prove(t.Context(), v, c.Slot, nil)
		}
		_, err = h.Prove(t.Context(), v, c.Slot, nil)
		wantKey(t, "after ten wrong ones", err, fault.TooMany, "e429.p")
	})
}

// A passphrase can be guessed by who holds the mail, so that after too many wrong
// ones the right one is refused as well: from other sessions and other networks
// too. What a stranger does, who only guessed a reference, keeps nobody out who
// has proved the address; and where there is no passphrase the right proof counts.
func TestProveGuesses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.prepare(t, "bob@x.example")
		m.Permissions.Passphrase = true
		m = h.register(t, m)
		plain := h.seal(t, "bob@x.example")
		nobody := envelope.SlotID(random(16))
		try := func(v keyserver.Visitor, m sealed) error {
			c, err := h.Challenge(t.Context(), v, m.slot(0))
			if err != nil {
				t.Fatal(err)
			}
			proof := envelope.Possession(envelope.Pop(m.e[0], c.Slot, c.HH), c.Nonce)
			_, err = h.Prove(t.Context(), v, c.Slot, proof[:])
			return err
		}
		guess := func(v keyserver.Visitor, slot envelope.SlotID) error {
			_, err := h.Prove(t.Context(), v, slot, random(32))
			return err
		}
		from := func(n int, mod ...func(*store.Session)) keyserver.Visitor {
			v := h.visitor(t, mod...)
			v.Origin = fmt.Sprintf("198.51.%d.7", n)
			return v
		}
		if err := try(from(0), m); err != nil {
			t.Fatalf("the right one at first: %v", err)
		}
		v := from(1)
		for range 10 {
			wantKey(t, "wrong", guess(v, m.slot(0)), fault.Denied, "possession.failed")
		}
		wantKey(t, "the right one of a session that guessed", try(v, m), fault.TooMany, "e429.p")
		for n := 2; n < 6; n++ { // fresh sessions from fresh networks
			v, w := from(n), from(n+100)
			for range 10 {
				guess(v, m.slot(0))
				guess(w, nobody)
			}
		}
		wantKey(t, "the right one of a stranger", try(from(6), m), fault.TooMany, "pp.toomany")
		wantKey(t, "a wrong one, of this envelope", guess(from(7), m.slot(0)), fault.TooMany, "pp.toomany")
		for range 11 { // more than fifty by now
			guess(from(8), nobody)
		}
		wantKey(t, "of none at all", guess(from(10), nobody), fault.TooMany, "pp.toomany")
		bob := from(11, proven("bob@x.example"))
		if err := try(bob, m); err != nil {
			t.Errorf("who has proved the address is locked out by strangers: %v", err)
		}
		for n := 12; n < 17; n++ { // who reads their mail guesses too
			v := from(n, proven("bob@x.example"))
			for range 10 {
				guess(v, m.slot(0))
			}
		}
		wantKey(t, "the right one, after a thief of the mailbox", try(from(18, proven("bob@x.example")), m), fault.TooMany, "pp.toomany")
		h.wait(25 * time.Hour)
		if err := try(from(19, func(s *store.Session) { s.ExpiresAt = h.clock().Add(time.Hour) }), m); err != nil {
			t.Errorf("a day later: %v", err)
		}

		v = from(20, func(s *store.Session) { s.ExpiresAt = h.clock().Add(time.Hour) })
		for range 60 {
			guess(v, plain.slot(0))
		}
		if err := try(v, plain); err != nil {
			t.Errorf("without a passphrase: %v", err)
		}
		one := from(21, func(s *store.Session) { s.ExpiresAt = h.clock().Add(time.Hour) })
		other := h.register(t, func() sealed { m := h.prepare(t, "carol@y.example"); m.Permissions.Passphrase = true; return m }())
		for range 101 { // one network, many sessions, many envelopes
			v := h.visitor(t, func(s *store.Session) { s.ExpiresAt = h.clock().Add(time.Hour) })
			v.Origin = one.Origin
			guess(v, envelope.SlotID(random(16)))
		}
		wantKey(t, "the right one from a network that guesses", try(one, other), fault.TooMany, "e429.p")
	})
}

// Nor does the server's own opening tell a right guess from a wrong one, which
// are not counted there.
func TestAssistGuesses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.prepare(t, "bob@x.example")
		m.Permissions.Passphrase = true
		m = h.register(t, m)
		for _, v := range []keyserver.Visitor{h.visitor(t), h.visitor(t, proven("bob@x.example"))} {
			_, _, right := h.Assist(t.Context(), v, m.ref(0), m.e[0])
			_, _, wrong := h.Assist(t.Context(), v, m.ref(0), envelope.Secret(random(32)))
			if right == nil || wrong == nil || fault.Of(right).Key != fault.Of(wrong).Key {
				t.Errorf("the right half gives %v, a wrong one %v", right, wrong)
			}
		}
		_, _, err := h.Assist(t.Context(), h.reader(t, m, 0), m.ref(0), m.e[0])
		wantKey(t, "after the proof", err, fault.Denied, "online.refused")
	})
}
