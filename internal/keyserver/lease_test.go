package keyserver_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// Who gets a lease, who does not, and that each answer is recorded.
func TestLeaseRights(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		no, yes := false, true
		seal := func(p policy.Permissions) sealed { return h.sendTo(t, p, 0, "bob@x.example") }
		plain := seal(policy.Permissions{})

		_, err := h.Lease(t.Context(), h.reader(t, plain, 0), plain.slot(0))
		wantKey(t, "an account that says nothing", err, fault.Denied, "lease.denied")
		wished := seal(policy.Permissions{Offline: &yes})
		_, err = h.Lease(t.Context(), h.reader(t, wished, 0), wished.slot(0))
		wantKey(t, "a message that wishes it under an account that does not", err, fault.Denied, "lease.denied")
		if d := h.audit(t, wished, "envelope.lease_denied"); len(d) != 1 || d[0].Detail["reason"] != keyserver.ReasonLease || d[0].Outcome != store.Refused {
			t.Errorf("its record: %+v", d)
		}

		h.set(t, policy.Layer{"lease_days": "3"})
		l, err := h.Lease(t.Context(), h.reader(t, plain, 0), plain.slot(0))
		if want := h.clock().Add(72 * time.Hour).Truncate(time.Second); err != nil || !l.Until.Equal(want) {
			t.Errorf("a lease until %v, want %v: %v", l.Until, want, err)
		}
		if d := h.audit(t, plain, "envelope.lease"); len(d) != 1 || d[0].Detail["until"] != l.Until.UTC().Format(time.RFC3339) {
			t.Errorf("its record: %+v", d)
		}
		card, err := h.Landing(t.Context(), h.reader(t, plain, 0), plain.ref(0))
		if err != nil || !card.LeaseUntil.Equal(l.Until) {
			t.Errorf("the card says %v, %v", card.LeaseUntil, err)
		}

		for _, c := range []struct {
			name string
			p    policy.Permissions
		}{
			{"forbidden by the message", policy.Permissions{Offline: &no}},
			{"a passphrase", policy.Permissions{Passphrase: true}},
		} {
			m := seal(c.p)
			_, err := h.Lease(t.Context(), h.reader(t, m, 0), m.slot(0))
			wantKey(t, c.name, err, fault.Denied, "lease.denied")
		}
		high := seal(policy.Permissions{Level: policy.High})
		bob := h.user(t, 0, "bob@x.example")
		v := h.visitor(t, as(bob, store.ScopeFull), second(h.clock()))
		h.prove(t, v, high, 0)
		_, err = h.Lease(t.Context(), v, high.slot(0))
		wantKey(t, "a high level, with all its proofs", err, fault.Denied, "lease.denied")
		if _, err := h.Release(t.Context(), v, high.slot(0)); err != nil {
			t.Errorf("a refused lease used the second factor up: %v", err)
		}

		_, err = h.Lease(t.Context(), keyserver.Visitor{Session: "none"}, plain.slot(0))
		if err == nil {
			t.Error("no session: a lease")
		}
		ended := h.reader(t, plain, 0)
		h.update(t, func(tx *store.Tx) error { return tx.DeleteSession(ended.Session) })
		if _, err := h.Lease(t.Context(), ended, plain.slot(0)); err == nil {
			t.Error("a session that ended: a lease")
		}
		bare := h.visitor(t)
		h.prove(t, bare, plain, 0)
		_, err = h.Lease(t.Context(), bare, plain.slot(0))
		wantKey(t, "the mail alone", err, fault.Denied, "release.code")
		_, err = h.Lease(t.Context(), h.visitor(t, proven("bob@x.example")), plain.slot(0))
		wantKey(t, "the address alone", err, fault.Denied, "release.possession")
		two := h.sendTo(t, policy.Permissions{}, 0, "bob@x.example", "carol@y.example")
		other := h.visitor(t, proven("carol@y.example"))
		h.prove(t, other, two, 0)
		_, err = h.Lease(t.Context(), other, two.slot(0))
		wantKey(t, "the other recipient", err, fault.Denied, "release.address")

		h.act(t, keyserver.Act{Kind: keyserver.ActLock}, two, 0)
		_, err = h.Lease(t.Context(), h.reader(t, two, 0), two.slot(0))
		wantKey(t, "locked", err, fault.Closed, "open.locked")
		if l, err := h.Lease(t.Context(), h.reader(t, two, 1), two.slot(1)); err != nil || l.Until.IsZero() {
			t.Errorf("locked for the other one alone: %v", err)
		}
	})
}

// A lease never outlives its envelope, and stands no longer than a release would be given.
func TestLeaseStands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.set(t, policy.Layer{"lease_days": "3650"})
		take := func(to ...string) (sealed, keyserver.Lease) {
			m := h.sendTo(t, policy.Permissions{}, 0, "bob@x.example")
			l, err := h.Lease(t.Context(), h.reader(t, m, 0), m.slot(0))
			if err != nil {
				t.Fatal(err)
			}
			return m, l
		}
		stands := func(what, proof string, want bool) {
			t.Helper()
			if got, err := h.LeaseStands(t.Context(), proof); err != nil || got != want {
				t.Errorf("%s: stands %v, want %v: %v", what, got, want, err)
			}
		}
		m, l := take()
		if !l.Until.Equal(m.ExpiresAt.Truncate(time.Second)) {
			t.Errorf("until %v, the envelope's end is %v", l.Until, m.ExpiresAt)
		}
		stands("a lease", l.Proof, true)
		for _, forged := range []string{"", "A", l.Proof[:40], l.Proof + "AAAA", l.Proof[:30] + "AAAA" + l.Proof[34:], l.Proof[:60] + "AAAAAA" + l.Proof[66:]} {
			stands("a forged one", forged, false)
		}
		h.act(t, keyserver.Act{Kind: keyserver.ActLock}, m, 0)
		stands("locked", l.Proof, false)
		h.act(t, keyserver.Act{Kind: keyserver.ActUnlock}, m, 0)
		stands("unlocked again", l.Proof, true)
		h.set(t, nil)
		stands("the account allows none any more", l.Proof, false)
		h.set(t, policy.Layer{"lease_days": "1", "level": policy.High})
		stands("the account asks for a high level now", l.Proof, false)
		h.set(t, policy.Layer{"lease_days": "1"})

		gone, g := take()
		h.act(t, keyserver.Act{Kind: keyserver.ActRecall}, gone, -1)
		stands("withdrawn", g.Proof, false)
		over, o := take()
		h.act(t, keyserver.Act{Kind: keyserver.ActExpire}, over, -1)
		stands("ended", o.Proof, false)
		_, short := take()
		stands("before its end", short.Proof, true)
		h.wait(24 * time.Hour)
		stands("after its end", short.Proof, false)
		expired := h.sendTo(t, policy.Permissions{}, 0, "bob@x.example")
		h.wait(expired.ExpiresAt.Sub(h.clock()) + time.Second)
		if _, err := h.Lease(t.Context(), h.reader(t, expired, 0), expired.slot(0)); err == nil {
			t.Error("an envelope that ended: a lease")
		}
	})
}
