package keyserver_test

import (
	"sync"
	"sync/atomic"
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

// sealAt seals a message of a level.
func (h *house) sealAt(t testing.TB, level string, to ...string) sealed {
	t.Helper()
	m := h.prepare(t, to...)
	m.Permissions.Level = level
	return h.register(t, m)
}

// second is a session of somebody who proved a second factor at that time.
func second(at time.Time) func(*store.Session) { return func(s *store.Session) { s.SecondAt = at } }

// refused asks for the key and the ciphertext, and wants neither, and a record.
func (h *house) refused(t testing.TB, what string, v keyserver.Visitor, m sealed, key, page string) {
	t.Helper()
	before := len(h.audit(t, m, "envelope.release_denied"))
	r, err := h.Release(t.Context(), v, m.slot(0))
	wantKey(t, what, err, fault.Denied, key)
	if r != (keyserver.Release{}) {
		t.Errorf("%s: something was released", what)
	}
	if got := fault.Of(err).Args["step"]; page != "" && got != page {
		t.Errorf("%s: leads to %v, want %s", what, got, page)
	}
	rows := h.audit(t, m, "envelope.release_denied")
	if len(rows) != before+1 {
		t.Errorf("%s: %d records, want one more than %d", what, len(rows), before)
	} else if reason := rows[0].Detail["reason"]; page != "" && reason != keyserver.ReasonLevel {
		t.Errorf("%s: recorded as %s", what, reason)
	}
	if f, _, err := h.Ciphertext(t.Context(), v, m.slot(0)); err == nil {
		f.Close()
		t.Errorf("%s: got the ciphertext", what)
	}
}

// AT-29: a high level asks for the address's own user and a fresh second factor,
// once for each release; a medium one for neither.
func TestHigh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m, medium := h.sealAt(t, policy.High, "bob@x.example"), h.sealAt(t, "", "bob@x.example")
		bob, eve := h.user(t, 0, "bob@x.example"), h.user(t, 0, "eve@evil.example")
		h.update(t, func(tx *store.Tx) error { // the card says "set-up" to whoever has none
			return tx.InsertPasskey(store.Passkey{ID: id.New(), UserID: bob, CredentialID: "c", Record: []byte("{}")})
		})
		card, step := "/e/"+m.ref(0), "/second?next=/e/"+m.ref(0)+"/message"
		for _, c := range []struct {
			name, key, page string
			v               keyserver.Visitor
		}{
			{"a code alone", "release.level.account", card, h.visitor(t, proven("bob@x.example"))},
			{"a code and somebody else's second factor", "release.level.account", card,
				h.visitor(t, as(eve, store.ScopeFull), proven("bob@x.example"), second(h.clock()))},
			{"signed in without one", "release.level.second", step, h.visitor(t, as(bob, store.ScopeFull))},
			{"with an old one", "release.level.second", step, h.visitor(t, as(bob, store.ScopeFull), second(h.clock().Add(-5*time.Minute)))},
		} {
			h.prove(t, c.v, m, 0)
			h.prove(t, c.v, medium, 0)
			h.refused(t, c.name, c.v, m, c.key, c.page)
			if _, err := h.Release(t.Context(), c.v, medium.slot(0)); err != nil {
				t.Errorf("%s, of a medium level: %v", c.name, err)
			}
		}
		v := h.visitor(t, as(bob, store.ScopeFull), second(h.clock().Add(-4*time.Minute)))
		h.prove(t, v, m, 0)
		if l, err := h.Landing(t.Context(), v, m.ref(0)); err != nil || l.Level != policy.High || l.Step != "" || !l.Proven {
			t.Errorf("the card: %+v, %v", l, err)
		}
		visitor := h.visitor(t, proven("bob@x.example"), second(h.clock())) // who has proved both without signing in
		h.prove(t, visitor, m, 0)
		if _, err := h.Release(t.Context(), visitor, m.slot(0)); err != nil {
			t.Errorf("a visitor with bob's second factor: %v", err)
		}
		if l, err := h.Landing(t.Context(), visitor, m.ref(0)); err != nil || l.Step != keyserver.StepSecond {
			t.Errorf("their card afterwards: %+v, %v", l, err)
		}
		other := h.visitor(t, as(eve, store.ScopeFull), proven("bob@x.example"))
		h.prove(t, other, m, 0)
		if l, err := h.Landing(t.Context(), other, m.ref(0)); err != nil || l.Step != keyserver.StepAccount {
			t.Errorf("the card of another user: %+v, %v", l, err)
		}
		f, _, err := h.Ciphertext(t.Context(), v, m.slot(0)) // uses nothing up
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Fatal(err)
		}
		h.refused(t, "the same proof again", v, m, "release.level.second", step)
		if l, err := h.Landing(t.Context(), v, m.ref(0)); err != nil || l.Step != keyserver.StepSecond {
			t.Errorf("the card afterwards: %+v, %v", l, err)
		}
	})
}

// One proof of a second factor is good for one of several releases at once.
func TestHighAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		bob := h.user(t, 0, "bob@x.example")
		v := h.visitor(t, as(bob, store.ScopeFull), second(h.clock()))
		list := make([]sealed, 4)
		for i := range list {
			list[i] = h.sealAt(t, policy.High, "bob@x.example")
			h.prove(t, v, list[i], 0)
		}
		var released atomic.Int32
		var wg sync.WaitGroup
		for _, m := range list {
			wg.Go(func() {
				if _, err := h.Release(t.Context(), v, m.slot(0)); err == nil {
					released.Add(1)
				} else if !fault.HasKey(err, "release.level.second") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := released.Load(); n != 1 {
			t.Errorf("one proof released %d keys", n)
		}
	})
}

// An account's own level binds what is out; what cannot be read asks for the most.
func TestAccountsLevel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.sealAt(t, policy.Low, "bob@x.example")
		v := h.reader(t, m, 0)
		for _, settings := range []string{policy.Layer{"level": policy.High}.Encode(), "{"} {
			h.update(t, func(tx *store.Tx) error { return tx.SetAccountSettings(account, settings) })
			h.refused(t, settings, v, m, "release.level.account", "/e/"+m.ref(0))
		}
		h.update(t, func(tx *store.Tx) error { return tx.SetAccountSettings(account, "") })
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Error(err)
		}
	})
}

// Whoever used a browser before, and kept the token by which it was known, does
// not have it remembered for those who come after.
func TestRememberedAnew(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.sealAt(t, policy.Low, "eve@evil.example", "bob@x.example")
		was, is := id.NewToken(), id.NewToken()
		in := func(i int, device string, mod ...func(*store.Session)) keyserver.Visitor {
			v := h.visitor(t, mod...)
			v.Device = device
			h.prove(t, v, m, i)
			return v
		}
		if err := h.Remember(t.Context(), in(0, "", proven("eve@evil.example")), m.ref(0), was, ""); err != nil {
			t.Fatal(err)
		}
		if err := h.Remember(t.Context(), in(1, was.Hash(), proven("bob@x.example")), m.ref(1), is, ""); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			_, err := h.Release(t.Context(), in(i, was.Hash()), m.slot(i))
			wantKey(t, "with the old token", err, fault.Denied, "release.code")
			if _, err := h.Release(t.Context(), in(i, is.Hash()), m.slot(i)); err != nil {
				t.Errorf("with the new one: %v", err)
			}
		}
	})
}

// A device that is remembered for an address opens a low envelope of that
// address without a code, and nothing else; until it is forgotten or unused.
func TestRemembered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		first := h.sealAt(t, policy.Low, "bob@x.example", "carol@y.example")
		device := id.NewToken()

		v := h.visitor(t)
		h.prove(t, v, first, 0)
		wantKey(t, "remembered before the code", h.Remember(t.Context(), v, first.ref(0), device, "Firefox"), fault.Denied, "release.level.code")
		token, err := h.VerifyCode(t.Context(), v, first.ref(0), h.sendCode(t, v, first, 0))
		if err != nil {
			t.Fatal(err)
		}
		v.Session = token.Hash()
		if err := h.Remember(t.Context(), v, first.ref(0), device, "Firefox"); err != nil {
			t.Fatal(err)
		}
		medium := h.sealAt(t, policy.Medium, "bob@x.example")
		h.prove(t, v, medium, 0)
		wantKey(t, "by a medium envelope", h.Remember(t.Context(), v, medium.ref(0), device, ""), fault.Denied, "release.level.code")
		wantKey(t, "an unknown reference", h.Remember(t.Context(), v, "ZZZZZZ", device, ""), fault.NotFound, "e404.h1")

		second := h.sealAt(t, policy.Low, "bob@x.example", "carol@y.example")
		back := func(m sealed, i int, device string) keyserver.Visitor {
			v := h.visitor(t)
			v.Device = device
			h.prove(t, v, m, i)
			return v
		}
		v = back(second, 0, device.Hash())
		if l, err := h.Landing(t.Context(), v, second.ref(0)); err != nil || !l.Proven || !l.Device || l.Level != policy.Low {
			t.Errorf("the card: %+v, %v", l, err)
		}
		if _, err := h.Release(t.Context(), v, second.slot(0)); err != nil {
			t.Errorf("on the remembered device: %v", err)
		}
		h.refused(t, "on another device", back(second, 0, id.NewToken().Hash()), second, "release.code", "")
		h.refused(t, "on none", back(second, 0, ""), second, "release.code", "")
		h.refused(t, "a medium envelope", back(medium, 0, device.Hash()), medium, "release.level.code", "/e/"+medium.ref(0))
		v = back(second, 1, device.Hash())
		if _, err := h.Release(t.Context(), v, second.slot(1)); !fault.HasKey(err, "release.code") {
			t.Errorf("an envelope for somebody else: %v", err)
		}

		// It goes on while it is used, and ends when it is not.
		h.wait(60 * 24 * time.Hour)
		third := h.sealAt(t, policy.Low, "bob@x.example")
		back(third, 0, device.Hash())
		h.wait(60 * 24 * time.Hour)
		third = h.sealAt(t, policy.Low, "bob@x.example")
		v = back(third, 0, device.Hash())
		if _, err := h.Release(t.Context(), v, third.slot(0)); err != nil {
			t.Errorf("used within 90 days: %v", err)
		}
		if err := h.Forget(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		h.refused(t, "forgotten in this very session", v, third, "release.code", "")

		if err := h.db.Update(t.Context(), func(tx *store.Tx) error {
			return tx.PutRemembered(store.Remembered{TokenHash: device.Hash(), Address: "bob@x.example"})
		}); err != nil {
			t.Fatal(err)
		}
		h.wait(store.RememberLimit)
		last := h.sealAt(t, policy.Low, "bob@x.example")
		h.refused(t, "not used for 90 days", back(last, 0, device.Hash()), last, "release.code", "")
	})
}

// A further address that a person proved opens when they are signed in. An
// administrator who made the user knows the password, and opens nothing by it.
func TestAlias(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.sealAt(t, "", "old@x.example")
		bob, eve := h.user(t, 0, "bob@x.example"), h.user(t, 0, "eve@evil.example")
		a := mailaddr.MustParse("old@x.example")
		alias := func(user string) {
			h.update(t, func(tx *store.Tx) error {
				return tx.InsertAlias(store.Alias{Address: a.Canonical(), DisplayAddress: a.String(), UserID: user})
			})
		}
		v := h.visitor(t, as(bob, store.ScopeFull))
		h.prove(t, v, m, 0)
		h.refused(t, "before it is theirs", v, m, "release.address", "")
		alias(bob)
		if _, err := h.Release(t.Context(), v, m.slot(0)); err != nil {
			t.Errorf("their alias: %v", err)
		}
		other := h.visitor(t, as(eve, store.ScopeFull))
		h.prove(t, other, m, 0)
		h.refused(t, "somebody else's alias", other, m, "release.address", "")
		must := h.visitor(t, as(bob, store.ScopeSetPassword)) // it may not even prove that it holds the mail
		h.refused(t, "with a temporary password", must, m, "si.mustchange", "")

		made := store.User{ID: id.New(), AccountID: account, Managed: true, Address: "dan@hospital.example", DisplayAddress: "dan@hospital.example",
			Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive}
		h.update(t, func(tx *store.Tx) error {
			if err := tx.DeleteAlias(a.Canonical(), bob); err != nil {
				return err
			}
			return tx.InsertUser(made, store.Password{})
		})
		h.refused(t, "an alias no longer", v, m, "release.address", "")
		alias(made.ID)
		v = h.visitor(t, as(made.ID, store.ScopeFull))
		h.prove(t, v, m, 0)
		h.refused(t, "a user whom an administrator made", v, m, "release.code", "")
	})
}
