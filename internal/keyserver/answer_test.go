package keyserver_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// send seals a message with those permissions; blind says how many of the last
// recipients got a blind copy.
func (h *house) sendTo(t testing.TB, p policy.Permissions, blind int, to ...string) sealed {
	t.Helper()
	m := h.prepare(t, to...)
	m.NewMessage.Permissions = p
	for i := range m.NewMessage.Slots {
		m.NewMessage.Slots[i].Shown = i < len(to)-blind
	}
	return h.register(t, m)
}

func (h *house) set(t testing.TB, s policy.Layer) {
	t.Helper()
	h.update(t, func(tx *store.Tx) error { return tx.SetAccountSettings(account, free(s).Encode()) })
}

// free is a layer that, where it says nothing, lets envelopes live for ever and
// keeps nothing of them.
func free(l policy.Layer) policy.Layer {
	out := policy.Layer{"expiry_days": "0", "expiry_max": "0", "keep_days": "0"}
	maps.Copy(out, l)
	return out
}

// reply registers an envelope that answers m.
func (h *house) reply(t testing.TB, v keyserver.Visitor, m sealed, i int, kind string, to ...string) error {
	t.Helper()
	answer := h.prepare(t, to...)
	act := &keyserver.AnswerAct{Visitor: v, Ref: m.ref(i), Kind: kind}
	for _, a := range to {
		act.To = append(act.To, mailaddr.MustParse(a))
	}
	answer.NewMessage.Answers = act
	answer.NewMessage.Sender = keyserver.Sender{Address: m.address(i).Canonical(), Proved: true}
	_, err := h.Register(context.Background(), answer.NewMessage)
	return err
}

// AT-28, AT-83: who may not open may not answer either; and who may open answers
// only as far as the message and, at that moment, the account allow it. What is
// refused leaves no envelope, and a record with its reason.
func TestAnswerRights(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	const sender = "ana@health.example"
	type situation struct {
		who     func(h *house, m sealed) keyserver.Visitor
		message policy.Permissions
		account policy.Layer
		after   policy.Layer // once it has been sent
		kind    string
		to      []string
		change  func(h *house, m sealed)
		kindOf  fault.Kind
		key     string // "" = it may
		reason  string // in the record; "" = no record
		page    bool   // the page is shown all the same: only the form can say to whom
	}
	reader := func(h *house, m sealed) keyserver.Visitor { return h.reader(t, m, 0) }
	for name, c := range map[string]situation{
		"a recipient":                      {who: reader},
		"to all":                           {who: reader, kind: keyserver.ReplyAll, to: []string{sender, "carol@y.example"}},
		"passed on":                        {who: reader, kind: keyserver.Forward, to: []string{"dan@z.example"}, account: policy.Layer{"forward": "true"}, after: policy.Layer{"forward": "true"}},
		"a stranger":                       {who: func(h *house, m sealed) keyserver.Visitor { return h.visitor(t) }, kindOf: fault.NotFound, key: "e404.h1"},
		"no session":                       {who: func(h *house, m sealed) keyserver.Visitor { return keyserver.Visitor{} }, kindOf: fault.Unauthenticated, key: "sess.h1"},
		"another recipient's address only": {who: func(h *house, m sealed) keyserver.Visitor { return h.visitor(t, proven("carol@y.example")) }, kindOf: fault.NotFound, key: "e404.h1"},
		"the address without the mail": {who: func(h *house, m sealed) keyserver.Visitor { return h.visitor(t, proven("bob@x.example")) },
			kindOf: fault.Denied, key: "release.possession", reason: keyserver.ReasonPossession},
		"the mail without the address": {who: func(h *house, m sealed) keyserver.Visitor { v := h.visitor(t); h.prove(t, v, m, 0); return v },
			kindOf: fault.Denied, key: "release.code", reason: keyserver.ReasonCode},
		"the mail and another address": {who: func(h *house, m sealed) keyserver.Visitor {
			v := h.visitor(t, proven("carol@y.example"))
			h.prove(t, v, m, 0)
			return v
		}, kindOf: fault.Denied, key: "release.address", reason: keyserver.ReasonAddress},
		"locked": {who: reader, change: func(h *house, m sealed) {
			if _, err := h.Lock(t.Context(), h.actor(), m.id(), ""); err != nil {
				t.Error(err)
			}
		}, kindOf: fault.Closed, key: "open.locked", reason: keyserver.ReasonLocked},
		"locked for one": {who: reader, change: func(h *house, m sealed) {
			if _, err := h.Lock(t.Context(), h.actor(), m.id(), m.slot(0).String()); err != nil {
				t.Error(err)
			}
		}, kindOf: fault.Closed, key: "open.locked", reason: keyserver.ReasonLocked},
		"expired": {who: func(h *house, m sealed) keyserver.Visitor {
			v := h.visitor(t, proven("bob@x.example"), func(s *store.Session) { s.ExpiresAt = h.clock().Add(60 * 24 * time.Hour) })
			h.prove(t, v, m, 0)
			return v
		}, change: func(h *house, m sealed) { h.wait(31 * 24 * time.Hour) }, kindOf: fault.Closed, key: "open.expired", reason: keyserver.ReasonExpired},
		"forbidden by the message":         {who: reader, message: policy.Permissions{Reply: &no}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"forbidden by the account":         {who: reader, account: policy.Layer{"reply": "false"}, after: policy.Layer{"reply": "false"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"the account became stricter":      {who: reader, message: policy.Permissions{Reply: &yes}, after: policy.Layer{"reply": "false"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"not to all":                       {who: reader, message: policy.Permissions{ReplyAll: &no}, kind: keyserver.ReplyAll, to: []string{sender, "carol@y.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"passed on, the account silent":    {who: reader, message: policy.Permissions{Forward: &yes}, kind: keyserver.Forward, to: []string{"dan@z.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"passed on against the message":    {who: reader, message: policy.Permissions{Forward: &no}, after: policy.Layer{"forward": "true"}, kind: keyserver.Forward, to: []string{"dan@z.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"passed on without its passphrase": {who: reader, message: policy.Permissions{Forward: &yes, Passphrase: true}, after: policy.Layer{"forward": "true"}, kind: keyserver.Forward, to: []string{"dan@z.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"a reply to somebody else":         {who: reader, to: []string{"dan@z.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer, page: true},
		"a reply to another recipient":     {who: reader, to: []string{sender, "carol@y.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer, page: true},
		"to all, and to a blind copy":      {who: reader, kind: keyserver.ReplyAll, to: []string{sender, "carol@y.example", "blind@b.example"}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer, page: true},
		"no such kind":                     {who: reader, kind: "bounce", kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"a suspended account": {who: reader, change: func(h *house, m sealed) {
			h.update(t, func(tx *store.Tx) error { return tx.SetAccountState(account, store.AccountSuspended) })
		}, kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer},
		"passed on to more than allowed": {who: reader, after: policy.Layer{"forward": "true"}, kind: keyserver.Forward, to: many(keyserver.MaxForward + 1), kindOf: fault.Denied, key: "answer.denied", reason: keyserver.ReasonAnswer, page: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, storetest.Open(t))
			h.set(t, c.account)
			m := h.sendTo(t, c.message, 1, "bob@x.example", "carol@y.example", "blind@b.example")
			v := c.who(h, m)
			h.set(t, c.after)
			if c.change != nil {
				c.change(h, m)
			}
			kind, to := c.kind, c.to
			if kind == "" {
				kind = keyserver.Reply
			}
			if to == nil {
				to = []string{sender}
			}
			sealed := storetest.Count(t, h.db, "messages")
			_, err := h.Answerable(t.Context(), v, m.ref(0), kind)
			if c.key != "" && !c.page {
				wantKey(t, "the page", err, c.kindOf, c.key)
			} else if err != nil {
				t.Errorf("the page: %v", err)
			}
			action := "envelope.reply"
			if kind == keyserver.Forward {
				action = "envelope.forward"
			}
			if n := len(h.audit(t, m, action)); n != 0 {
				t.Errorf("looking at the page left %d records", n)
			}
			err = h.reply(t, v, m, 0, kind, to...)
			records := h.audit(t, m, action)
			if c.key == "" {
				if err != nil || len(records) != 1 || records[0].Outcome == store.Refused || records[0].Detail["envelope"] == "" || storetest.Count(t, h.db, "messages") != sealed+1 {
					t.Fatalf("%v, %+v", err, records)
				}
				return
			}
			wantKey(t, "the answer", err, c.kindOf, c.key)
			if storetest.Count(t, h.db, "messages") != sealed {
				t.Error("the answer was sealed")
			}
			if c.reason == "" && len(records) != 0 || c.reason != "" && (len(records) != 1 || records[0].Outcome != store.Refused || records[0].Detail["reason"] != c.reason) {
				t.Errorf("records: %+v, want the reason %q", records, c.reason)
			}
			ran := false
			act := keyserver.AnswerAct{Visitor: v, Ref: m.ref(0), Kind: kind}
			for _, a := range to {
				act.To = append(act.To, mailaddr.MustParse(a))
			}
			err = h.Answer(t.Context(), act, func(*store.Tx) error { ran = true; return nil })
			wantKey(t, "as plain mail", err, c.kindOf, c.key)
			if ran {
				t.Error("its mails were written")
			}
		})
	}
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("p%d@z.example", i))
	}
	return out
}

// Who got a blind copy is in nobody's list, and sees To and Cc as the others do.
func TestAnswerBlindCopy(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.sendTo(t, policy.Permissions{}, 1, "bob@x.example", "carol@y.example", "blind@b.example")
	for i, want := range [][]string{{"ana@health.example", "carol@y.example"}, {"ana@health.example", "bob@x.example"}, {"ana@health.example", "bob@x.example", "carol@y.example"}} {
		o, err := h.Answerable(t.Context(), h.reader(t, m, i), m.ref(i), keyserver.ReplyAll)
		var got []string
		for _, a := range o.Addresses() {
			got = append(got, a.String())
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d: %v, %v, want %v", i, got, err, want)
		}
	}
	alone := h.sendTo(t, policy.Permissions{}, 1, "bob@x.example", "blind@b.example")
	v := h.reader(t, alone, 0)
	_, err := h.Answerable(t.Context(), v, alone.ref(0), keyserver.ReplyAll)
	wantKey(t, "to all where nobody else is named", err, fault.Denied, "answer.denied")
	if l, err := h.Landing(t.Context(), v, alone.ref(0)); err != nil || l.Answers != (keyserver.Answers{Reply: true}) {
		t.Errorf("the page offers %+v, %v", l.Answers, err)
	}
}

// Of answers that are sent at once no more pass than one recipient may send.
func TestAnswerLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.sendTo(t, policy.Permissions{}, 0, "bob@x.example", "carol@y.example")
		v := h.reader(t, m, 0)
		act := keyserver.AnswerAct{Visitor: v, Ref: m.ref(0), Kind: keyserver.Reply, To: []mailaddr.Address{mailaddr.MustParse("ana@health.example")}}
		var mu sync.Mutex
		passed, refused := 0, 0
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for range 6 {
					err := h.Answer(context.Background(), act, func(*store.Tx) error { return nil })
					mu.Lock()
					switch {
					case err == nil:
						passed++
					case fault.HasKey(err, "reply.limit"):
						refused++
					default:
						t.Error(err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if passed != keyserver.MaxAnswers || refused != 30-keyserver.MaxAnswers {
			t.Errorf("%d passed, %d were refused", passed, refused)
		}
		if n := len(h.audit(t, m, "envelope.reply")); n != 30 {
			t.Errorf("%d records", n)
		}
		if err := h.reply(t, v, m, 0, keyserver.Reply, "ana@health.example"); !fault.HasKey(err, "reply.limit") {
			t.Errorf("one more as an envelope: %v", err)
		}
		if err := h.reply(t, h.reader(t, m, 1), m, 1, keyserver.Reply, "ana@health.example"); err != nil {
			t.Errorf("another recipient: %v", err)
		}
	})
}

// An answer that cannot be written is not counted, and not recorded as sent.
func TestAnswerUndone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.sendTo(t, policy.Permissions{}, 0, "bob@x.example")
	v := h.reader(t, m, 0)
	act := keyserver.AnswerAct{Visitor: v, Ref: m.ref(0), Kind: keyserver.Reply, To: []mailaddr.Address{mailaddr.MustParse("ana@health.example")}}
	if err := h.Answer(t.Context(), act, func(*store.Tx) error { return errBroken }); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	o, err := h.Answerable(t.Context(), v, m.ref(0), keyserver.Reply)
	if err != nil || o.Left != keyserver.MaxAnswers || len(h.audit(t, m, "envelope.reply")) != 0 {
		t.Errorf("%d left, %v", o.Left, err)
	}
}

// AT-29: at a high level an answer asks for what an opening asks for. It does not use
// the second factor up: nothing leaves by it.
func TestAnswerHigh(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.sealAt(t, policy.High, "bob@x.example")
	bob := h.user(t, 0, "bob@x.example")
	h.update(t, func(tx *store.Tx) error {
		return tx.InsertPasskey(store.Passkey{ID: id.New(), UserID: bob, CredentialID: "c", Record: []byte("{}")})
	})
	for name, c := range map[string]struct {
		session []func(*store.Session)
		key     string
	}{
		"a code alone":       {[]func(*store.Session){proven("bob@x.example")}, "release.level.account"},
		"an old second one":  {[]func(*store.Session){as(bob, store.ScopeFull), second(h.clock().Add(-6 * time.Minute))}, "release.level.second"},
		"a fresh second one": {[]func(*store.Session){as(bob, store.ScopeFull), second(h.clock())}, ""},
	} {
		v := h.visitor(t, c.session...)
		h.prove(t, v, m, 0)
		for range 2 {
			err := h.reply(t, v, m, 0, keyserver.Reply, "ana@health.example")
			if c.key == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if c.key != "" {
				wantKey(t, name, err, fault.Denied, c.key)
			}
		}
	}
	v := h.visitor(t, as(bob, store.ScopeFull), second(h.clock()))
	h.prove(t, v, m, 0)
	if o, err := h.Answerable(t.Context(), v, m.ref(0), keyserver.Reply); err != nil || o.UserID != bob {
		t.Errorf("%+v, %v", o, err)
	}
}
