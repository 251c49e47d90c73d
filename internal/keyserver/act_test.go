package keyserver_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

func (h *house) act(t testing.TB, act keyserver.Act, m sealed, slot int) keyserver.Acted {
	t.Helper()
	out, err := h.Act(t.Context(), h.actor(), act, m.id(), slotOf(m, slot))
	if err != nil {
		t.Fatalf("%s: %v", act.Kind, err)
	}
	return out
}

// slotOf names slot i, or for -1 none.
func slotOf(m sealed, i int) string {
	if i < 0 {
		return ""
	}
	return m.slot(i).String()
}

func (h *house) detail(t testing.TB, m sealed) keyserver.SentDetail {
	t.Helper()
	d, err := h.SentDetail(t.Context(), h.ana.UserID, m.id())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (h *house) closed(t testing.TB, what string, m sealed, i int, kind fault.Kind, key string) {
	t.Helper()
	r, err := h.Release(t.Context(), h.reader(t, m, i), m.slot(i))
	wantKey(t, what, err, kind, key)
	if r != (keyserver.Release{}) {
		t.Errorf("%s: something was released", what)
	}
}

func (h *house) released(t testing.TB, what string, m sealed, i int) {
	t.Helper()
	r, err := h.Release(t.Context(), h.reader(t, m, i), m.slot(i))
	if err != nil || r.S != m.NewMessage.Slots[i].S {
		t.Errorf("%s: %v", what, err)
	}
}

// AT-30: each state is refused in its own way, for whom it concerns and nobody
// else; each act is recorded once, with whom it concerns.
func TestActs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example", "dan@z.example")
		h.released(t, "before", m, 0)

		const why = "Wrong figures – page 3"
		if got := h.act(t, keyserver.Act{Kind: keyserver.ActLock, Reason: why}, m, -1); got.Opened != 1 || got.Subject != subject || !got.Changed {
			t.Errorf("lock: %+v", got)
		}
		l, err := h.Landing(t.Context(), h.reader(t, m, 1), m.ref(1))
		if err != nil || l.State != keyserver.StateLocked || l.Reason != why || h.detail(t, m).Reason != why {
			t.Errorf("the reason: %+v, %v", l, err)
		}
		if got := h.act(t, keyserver.Act{Kind: keyserver.ActLock, Reason: why}, m, -1); got.Changed || len(h.audit(t, m, keyserver.ActLock)) != 1 {
			t.Errorf("a second time: %+v", got)
		}
		h.closed(t, "locked", m, 0, fault.Closed, "open.locked")
		for what, reason := range map[string]string{"long": strings.Repeat("é", 201), "control": "a\x00b"} {
			_, err := h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActLock, Reason: reason}, m.id(), "")
			wantKey(t, what, err, fault.Invalid, "err.title")
		}
		h.act(t, keyserver.Act{Kind: keyserver.ActUnlock}, m, -1)
		h.released(t, "unlocked", m, 0)

		// One recipient's own end, within the message's.
		soon := h.clock().Add(48 * time.Hour)
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd, Until: soon}, m, 1)
		_, err = h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().Add(31 * 24 * time.Hour)}, m.id(), slotOf(m, 1))
		if f := fault.Of(err); err == nil || len(f.Fields) != 1 || f.Fields[0].Key != "exp.within" {
			t.Errorf("later than the message: %v", err)
		}
		_, err = h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock()}, m.id(), "")
		if f := fault.Of(err); err == nil || len(f.Fields) != 1 || f.Fields[0].Key != "exp.past" {
			t.Errorf("in the past: %v", err)
		}
		h.wait(49 * time.Hour)
		h.closed(t, "past their own end", m, 1, fault.Closed, "open.expired")
		h.released(t, "the others", m, 0)
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd}, m, 1)
		h.released(t, "as for everybody again", m, 1)

		// Ended for one, for good.
		if got := h.act(t, keyserver.Act{Kind: keyserver.ActExpire}, m, 2); got.Recipient != "dan@z.example" || got.Opened != 0 {
			t.Errorf("expire: %+v", got)
		}
		h.closed(t, "ended", m, 2, fault.Gone, "release.gone")
		_, err = h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().Add(time.Hour)}, m.id(), slotOf(m, 2))
		wantKey(t, "another end after that", err, fault.Gone, "sent.over")
		h.released(t, "the others", m, 0)

		// Withdrawn from all.
		h.act(t, keyserver.Act{Kind: keyserver.ActRecall}, m, -1)
		for i := range 3 {
			h.closed(t, "withdrawn", m, i, fault.Closed, "open.recalled")
		}
		d := h.detail(t, m)
		if d.State != keyserver.StateRecalled || d.Destroyed.IsZero() || d.Subject != subject {
			t.Errorf("the record: %+v", d.SentRow)
		}
		for _, kind := range []string{keyserver.ActLock, keyserver.ActUnlock, keyserver.ActEnd, keyserver.ActResend} {
			_, err = h.Act(t.Context(), h.actor(), keyserver.Act{Kind: kind, Until: h.clock().Add(time.Hour)}, m.id(), slotOf(m, 0))
			wantKey(t, kind+" after that", err, fault.Gone, "sent.over")
		}
		for kind, n := range map[string]int{keyserver.ActLock: 1, keyserver.ActUnlock: 1, keyserver.ActEnd: 2, keyserver.ActExpire: 1, keyserver.ActRecall: 1} {
			rows := h.audit(t, m, kind)
			if len(rows) != n || rows[0].Actor != "user:ana@health.example" {
				t.Errorf("%s: %+v", kind, rows)
			}
			for _, r := range rows {
				if strings.Contains(fmt.Sprint(r), why) {
					t.Errorf("the reason is in the log: %+v", r)
				}
			}
		}
		h.Sweep(t.Context())
		if names := h.blobNames(t); len(names) != 0 {
			t.Errorf("kept ciphertext outlives its withdrawal: %v", names)
		}
	})
}

// AT-59, AT-56: an act is its sender's and their administrators'.
func TestActRights(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		eve := keyserver.Actor{UserID: h.user(t, account, "eve@health.example"), Name: "user:eve@health.example", AdminOf: []int64{account}}
		for _, kind := range []string{keyserver.ActLock, keyserver.ActUnlock, keyserver.ActExpire, keyserver.ActEnd, keyserver.ActRecall, keyserver.ActResend, keyserver.ActReaddress} {
			act := keyserver.Act{Kind: kind, Until: h.clock().Add(time.Hour), To: mailaddr.MustParse("eve@health.example")}
			_, err := h.Act(t.Context(), eve, act, m.id(), slotOf(m, 0))
			wantKey(t, kind, err, fault.NotFound, "e404.h1")
			if rows := h.audit(t, m, kind); len(rows) != 1 || rows[0].Outcome != store.Refused || rows[0].Detail["reason"] != keyserver.ReasonRights {
				t.Errorf("%s: %+v", kind, rows)
			}
			for what, ids := range map[string][2]string{"no such message": {id.New(), ""}, "no such slot": {m.id(), id.New()}} {
				_, err := h.Act(t.Context(), h.actor(), act, ids[0], ids[1])
				wantKey(t, kind+", "+what, err, fault.NotFound, "e404.h1")
			}
		}
		many, err := h.ActOnMany(t.Context(), eve, keyserver.Act{Kind: keyserver.ActExpire, Account: account}, []string{m.id(), id.New()})
		if err != nil || many.Refused != 2 || many.Changed != 0 {
			t.Errorf("many: %+v, %v", many, err)
		}
		h.released(t, "after all that", m, 0)
		// What could not be delivered is not for an administrator to send to themselves.
		ada := keyserver.Actor{UserID: h.user(t, account, "ada@health.example"), Name: "user:ada@health.example", AdminOf: []int64{account}}
		h.update(t, func(tx *store.Tx) error {
			g := store.Group{ID: id.New(), AccountID: account, Name: "Account Administrators", NameKey: "account administrators", Builtin: true}
			if err := tx.InsertGroup(g); err != nil {
				return err
			}
			_, err := tx.InsertMembership(g.ID, ada.UserID, time.Time{})
			return errors.Join(err, tx.SetDelivery(m.slot(0).String(), store.DeliveryBounced, "550"))
		})
		h.post.there = true
		for _, a := range []keyserver.Actor{ada, {Name: "operator:root", AdminOf: []int64{account}}} {
			_, err := h.Act(t.Context(), a, keyserver.Act{Kind: keyserver.ActReaddress, Account: account, To: mailaddr.MustParse("ada@health.example")}, m.id(), slotOf(m, 0))
			wantKey(t, "readdress by "+a.Name, err, fault.NotFound, "e404.h1")
			if r := h.audit(t, m, keyserver.ActReaddress)[0]; r.Actor != a.Name || r.Outcome != store.Refused || r.Detail["reason"] != keyserver.ReasonRights {
				t.Errorf("readdress by %s: %+v", a.Name, r)
			}
		}
		if h.act(t, keyserver.Act{Kind: keyserver.ActLock}, m, 0); len(h.post.resent) != 0 {
			t.Errorf("sent to %+v", h.post.resent)
		}
		if _, err := h.Act(t.Context(), ada, keyserver.Act{Kind: keyserver.ActUnlock, Account: account}, m.id(), slotOf(m, 0)); err != nil {
			t.Errorf("an administrator unlocks: %v", err)
		}
		operator := keyserver.Actor{Name: "operator:root", Origin: "terminal", AdminOf: []int64{account}}
		if got, err := h.Act(t.Context(), operator, keyserver.Act{Kind: keyserver.ActRecall, Account: account}, m.id(), ""); err != nil || got.Subject != "" || !got.Changed {
			t.Errorf("an administrator: %+v, %v", got, err)
		}
	})
}

// AT-31 for each act: once it has answered, no release commits, in sessions that
// were open before too.
func TestReleaseRacingActs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		for _, c := range []struct {
			act  keyserver.Act
			slot int
		}{{keyserver.Act{Kind: keyserver.ActExpire}, -1}, {keyserver.Act{Kind: keyserver.ActExpire}, 0}, {keyserver.Act{Kind: keyserver.ActRecall}, -1}, {keyserver.Act{Kind: keyserver.ActLock, Reason: "x"}, 0}} {
			m := h.seal(t, "bob@x.example", "carol@y.example")
			v := h.reader(t, m, 0)
			var wg sync.WaitGroup
			answered := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					for range 20 {
						after := false
						select {
						case <-answered:
							after = true
						default:
						}
						if _, err := h.Release(t.Context(), v, m.slot(0)); err == nil && after {
							t.Errorf("%s: released after its answer", c.act.Kind)
						} else if err != nil && fault.Is(err, fault.Unavailable) {
							t.Errorf("%s: %v", c.act.Kind, err)
						}
					}
				})
			}
			h.act(t, c.act, m, c.slot)
			close(answered)
			wg.Wait()
		}
	})
}

// A message that gets another end moves to that month's key while it is being
// opened; the key of the month that was no longer opens it, and dies with it.
func TestEndMovesKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db) // 10 March; the message ends on 9 April
		m := h.seal(t, "bob@x.example", "carol@y.example")
		h.act(t, keyserver.Act{Kind: keyserver.ActLock, Reason: "wait"}, m, 1)
		v := h.reader(t, m, 0)
		ends := []time.Time{h.clock().AddDate(0, 2, 0), {}, h.clock().AddDate(0, 4, 0), h.clock().AddDate(0, 1, 0)}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3 {
				for _, end := range ends {
					h.act(t, keyserver.Act{Kind: keyserver.ActEnd, Until: end}, m, -1)
				}
			}
		})
		for range 4 {
			wg.Go(func() {
				for range 12 {
					if r, err := h.Release(t.Context(), v, m.slot(0)); err != nil || r.S != m.NewMessage.Slots[0].S {
						t.Errorf("while it moves: %v", err)
					}
				}
			})
		}
		wg.Wait()
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().AddDate(0, 4, 0)}, m, -1) // 10 July
		if d := h.detail(t, m); d.Subject != subject || d.Recipients[1].Reason != "wait" {
			t.Errorf("card and reason: %+v", d.SentRow)
		}
		h.now = time.Date(2026, 5, 20, 0, 0, 0, 0, time.UTC) // April's key is destroyed
		h.Sweep(t.Context())
		h.released(t, "past its first end", m, 0)
		storetest.Exec(t, db, `CREATE TABLE backup AS SELECT * FROM slots`)
		h.now = time.Date(2026, 7, 16, 0, 0, 0, 0, time.UTC)
		h.Sweep(t.Context())
		h.closed(t, "past its end", m, 0, fault.Closed, "open.expired")
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().AddDate(0, 0, 1)}, m, -1)
		h.released(t, "given another end in the week after", m, 0)
		h.wait(8*24*time.Hour + time.Minute)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Ended != 1 {
			t.Errorf("a week after: %+v, %v", swept, err)
		}
		h.closed(t, "destroyed", m, 0, fault.Gone, "release.gone")
		// AT-37: an older copy of the slot, and every mark taken away.
		h.now = time.Date(2026, 8, 9, 0, 0, 0, 0, time.UTC)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Epochs != 1 {
			t.Errorf("its month's key: %+v, %v", swept, err)
		}
		storetest.Exec(t, db, `UPDATE slots SET s_box = (SELECT b.s_box FROM backup b WHERE b.id = slots.id)`)
		storetest.Exec(t, db, `UPDATE messages SET expires_at = 0, destroyed_at = 0`)
		h.closed(t, "of a backup", m, 0, fault.Gone, "release.gone")
	})
}

// An organisation's limit binds a longer end, counted from now; what is within
// the end that there is needs no leave.
func TestEndLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		storetest.Exec(t, db, `UPDATE accounts SET settings = '{"expiry_max":10,"keep_days":0}'`)
		end := func(at time.Time) error {
			_, err := h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActEnd, Until: at}, m.id(), "")
			return err
		}
		for what, at := range map[string]time.Time{"longer": h.clock().AddDate(0, 0, 31), "never": {}} {
			if f := fault.Of(end(at)); len(f.Fields) != 1 || f.Fields[0].Key != "exp.max" || f.Fields[0].Args["n"] != 10 {
				t.Errorf("%s: %+v", what, f)
			}
		}
		for what, at := range map[string]time.Time{"shorter, though over the limit": h.clock().AddDate(0, 0, 20)} {
			if err := end(at); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		h.wait(15 * 24 * time.Hour)
		if err := end(h.clock().AddDate(0, 0, 10)); err != nil {
			t.Errorf("within the limit from now: %v", err)
		}
	})
}

// AT-35, and the promise that content is destroyed on time: two nodes, one of
// which is down meanwhile, and a clock that is set back.
func TestDestroyedOnTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example")
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd, Until: h.clock().Add(24 * time.Hour)}, m, 1)
		other := h.node()
		h.wait(8*24*time.Hour + time.Hour)
		if swept, err := other.Sweep(t.Context()); err != nil || swept.Ended != 1 {
			t.Fatalf("one recipient's end: %+v, %v", swept, err)
		}
		h.closed(t, "their own end and a week", m, 1, fault.Gone, "release.gone")
		h.released(t, "the other", m, 0)
		h.wait(30 * 24 * time.Hour)
		var wg sync.WaitGroup
		var mu sync.Mutex
		ended := 0
		for _, node := range []*keyserver.Service{h.Service, other, h.node()} {
			wg.Go(func() {
				swept, err := node.Sweep(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if ended += swept.Ended; err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if rows := h.audit(t, m, "envelope.destroy"); ended != 1 || len(rows) != 2 || rows[0].Actor != "system" {
			t.Errorf("%d ended, %+v", ended, rows)
		}
		v := h.reader(t, m, 0)
		h.now = h.now.AddDate(-1, 0, 0)
		_, err := h.Release(t.Context(), v, m.slot(0))
		wantKey(t, "set back a year", err, fault.Gone, "release.gone")
		if len(h.blobNames(t)) != 0 {
			t.Error("the ciphertext is still there")
		}
	})
}

// A record stays for the account's days, then it goes; the audit log stays.
func TestRecords(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m, kept := h.seal(t, "bob@x.example"), h.seal(t, "bob@x.example")
		storetest.Exec(t, db, `UPDATE accounts SET settings = '{"record_days":90,"expiry_max":0,"expiry_days":0,"keep_days":0}'`)
		h.act(t, keyserver.Act{Kind: keyserver.ActExpire}, m, -1)
		h.act(t, keyserver.Act{Kind: keyserver.ActEnd}, kept, -1)
		h.Sweep(t.Context())
		h.wait(90 * 24 * time.Hour)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Records != 0 {
			t.Errorf("in time: %+v, %v", swept, err)
		}
		h.detail(t, m)
		h.wait(time.Minute)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Records != 1 {
			t.Errorf("past it: %+v, %v", swept, err)
		}
		_, err := h.SentDetail(t.Context(), h.ana.UserID, m.id())
		wantKey(t, "its page", err, fault.NotFound, "e404.h1")
		if len(h.audit(t, m, "envelope.seal")) != 1 {
			t.Error("the audit log went with it")
		}
		h.released(t, "the other", kept, 0)
	})
}

// What cannot be swept is reported, and holds up nothing of what comes after it: no
// message, no account, no file.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		gone := h.seal(t, "bob@x.example")
		storetest.Exec(t, db, `UPDATE accounts SET settings = '{"record_days":90,"expiry_max":0,"expiry_days":0,"keep_days":0}'`)
		h.act(t, keyserver.Act{Kind: keyserver.ActExpire}, gone, -1)
		h.wait(100 * 24 * time.Hour)
		h.post.broken = map[string]bool{}
		for i := range 9 {
			p := h.prepare(t, "bob@x.example")
			p.RemindAt = h.clock().Add(time.Hour)
			if m := h.register(t, p); i != 4 {
				h.post.broken[m.id()] = true
			}
		}
		for n := range 8 { // in whatever order they come
			h.update(t, func(tx *store.Tx) error {
				return tx.InsertAccount(store.Account{ID: account + 1000 + int64(n), Name: "Broken", Language: "en", TimeZone: "UTC", State: store.AccountActive})
			})
		}
		storetest.Exec(t, db, `UPDATE accounts SET settings = 'no settings' WHERE name = 'Broken'`)
		h.wait(2 * time.Hour)
		swept, err := h.Sweep(t.Context())
		if swept.Reminders != 1 || len(h.post.unread) != 1 || swept.Records != 1 {
			t.Errorf("%+v, %v", swept, err)
		}
		for id := range h.post.broken {
			if err == nil || !strings.Contains(err.Error(), id) {
				t.Errorf("it does not name %s: %v", id, err)
			}
		}
	})
}

// The sender is reminded once, of those who have not opened it, by whichever of
// several nodes comes first.
func TestReminder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		p := h.prepare(t, "bob@x.example", "carol@y.example", "dan@z.example")
		p.RemindAt = h.clock().Add(24 * time.Hour)
		m := h.register(t, p)
		p = h.prepare(t, "bob@x.example")
		p.RemindAt = h.clock().Add(24 * time.Hour)
		all := h.register(t, p)
		h.released(t, "", m, 0)
		h.released(t, "", all, 0)
		h.act(t, keyserver.Act{Kind: keyserver.ActRecall}, m, 2)
		h.wait(23 * time.Hour)
		if swept, err := h.Sweep(t.Context()); err != nil || swept.Reminders != 0 || len(h.post.unread) != 0 {
			t.Fatalf("too early: %+v, %v", swept, err)
		}
		h.wait(2 * time.Hour)
		var wg sync.WaitGroup
		for range 4 {
			node := h.node()
			wg.Go(func() {
				if _, err := node.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.Sweep(t.Context())
		if rows := h.audit(t, m, "envelope.remind"); len(rows) != 1 || len(h.audit(t, all, "envelope.remind")) != 0 {
			t.Errorf("recorded: %+v", rows)
		}
		u := h.post.unread[0]
		if u.MessageID != m.id() || fmt.Sprint(u.Recipients) != "[carol@y.example]" || u.Ref != m.ref(1) || u.SenderUserID != h.ana.UserID || u.Sender.Address != h.ana.Address {
			t.Errorf("told: %+v", u)
		}
	})
}

// Who has deleted their account is told nothing more of what they sent, by
// whatever way; who sent through the gateway and never had a user is.
func TestNoticesOfGoneSenders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		var sent []sealed
		for _, how := range []struct {
			transit string
			user    bool
		}{{"", true}, {"trace1", true}, {"trace2", false}} {
			p := h.prepare(t, "bob@x.example", "carol@y.example")
			p.Transit, p.RemindAt = how.transit, h.clock().Add(24*time.Hour)
			if !how.user {
				p.Sender.UserID = ""
			}
			sent = append(sent, h.register(t, p))
		}
		h.update(t, func(tx *store.Tx) error { return tx.DeleteUser(h.ana.UserID) })
		for _, m := range sent {
			h.released(t, "", m, 0)
		}
		h.wait(25 * time.Hour)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, o := range h.post.opened {
			if o.MessageID != sent[2].id() {
				t.Errorf("told of an opening: %+v", o)
			}
		}
		for _, u := range h.post.unread {
			if u.MessageID != sent[2].id() {
				t.Errorf("reminded: %+v", u)
			}
		}
		if len(h.post.opened) != 1 || len(h.post.unread) != 1 {
			t.Errorf("who never had a user: %d, %d notices", len(h.post.opened), len(h.post.unread))
		}
	})
}

// The notice again: a letter that bounced goes once more, also to a corrected
// address, which alone can open it then; of one that arrived there is no E.
func TestResend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bbo@x.example", "carol@y.example")
		deliver := func(i int, state string) {
			h.update(t, func(tx *store.Tx) error { return tx.SetDelivery(m.slot(i).String(), state, "550") })
		}
		try := func(act keyserver.Act, i int) error {
			_, err := h.Act(t.Context(), h.actor(), act, m.id(), slotOf(m, i))
			return err
		}
		resend, bob := keyserver.Act{Kind: keyserver.ActResend}, keyserver.Act{Kind: keyserver.ActReaddress, To: mailaddr.MustParse("Bob@x.example")}
		wantKey(t, "it waits", try(resend, 0), fault.Conflict, "sent.waiting")
		wantKey(t, "correct what waits", try(bob, 0), fault.Conflict, "sent.noletter")
		deliver(0, store.DeliveryBounced)
		deliver(1, store.DeliverySent)
		wantKey(t, "no letter is left", try(bob, 0), fault.Gone, "sent.noletter")
		if d := h.detail(t, m); d.Recipients[0].Address != "bbo@x.example" || d.Recipients[0].Delivery != store.DeliveryBounced {
			t.Fatalf("something was changed: %+v", d.Recipients[0])
		}
		h.post.there = true
		if f := fault.Of(try(keyserver.Act{Kind: keyserver.ActReaddress, To: mailaddr.MustParse("CAROL@y.example")}, 0)); len(f.Fields) != 1 || f.Fields[0].Key != "sent.already" {
			t.Errorf("to another recipient of it: %+v", f)
		}
		h.post.resent = nil
		got := h.act(t, bob, m, 0)
		if got.Recipient != "Bob@x.example" || len(h.post.resent) != 1 || h.post.resent[0].To.String() != "Bob@x.example" || h.post.resent[0].Note != note {
			t.Errorf("corrected: %+v, %+v", got, h.post.resent)
		}
		if r := h.audit(t, m, keyserver.ActReaddress); len(r) != 1 || r[0].Detail["from"] != "bbo@x.example" || r[0].Detail["recipient"] != "Bob@x.example" {
			t.Errorf("recorded: %+v", r)
		}
		old := h.visitor(t, proven("bbo@x.example"))
		h.prove(t, old, m, 0)
		_, err := h.Release(t.Context(), old, m.slot(0))
		wantKey(t, "the wrong address", err, fault.Denied, "release.address")
		right := h.visitor(t, proven("bob@x.example"))
		h.prove(t, right, m, 0)
		if _, err := h.Release(t.Context(), right, m.slot(0)); err != nil {
			t.Errorf("the right address: %v", err)
		}

		for range 3 {
			if got := h.act(t, resend, m, 1); !got.Reminded {
				t.Errorf("a reminder: %+v", got)
			}
		}
		wantKey(t, "too often", try(resend, 1), fault.TooMany, "sent.often")
		if len(h.post.remind) != 3 || h.post.remind[0].Ref != m.ref(1) || h.post.remind[0].Sender.Organisation != "Example Health" {
			t.Errorf("reminders: %+v", h.post.remind)
		}
		h.act(t, keyserver.Act{Kind: keyserver.ActLock}, m, -1)
		wantKey(t, "while it is locked", try(resend, 1), fault.Closed, "sent.closed")
	})
}

// Many at once, in batches, with what came of each.
func TestActOnSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		var all []sealed
		for i := range 60 {
			m := h.prepare(t, "bob@x.example")
			m.Subject = fmt.Sprint("Lot ", i%2)
			all = append(all, h.register(t, m))
			h.wait(time.Millisecond)
		}
		h.released(t, "", all[0], 0)
		h.act(t, keyserver.Act{Kind: keyserver.ActLock}, all[2], -1)
		h.act(t, keyserver.Act{Kind: keyserver.ActExpire}, all[4], -1)
		got, err := h.ActOnSent(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActLock}, keyserver.SentSearch{Text: "lot 0"}, "")
		if err != nil || got.Changed != 28 || got.Same != 1 || got.Refused != 1 || got.Opened != 1 || got.Next != "" || got.Broken != nil {
			t.Errorf("got %+v, %v", got, err)
		}
		rows, _, err := h.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{Filter: keyserver.FilterLocked}, "", 100)
		if err != nil || len(rows) != 29 {
			t.Errorf("%d are locked, %v", len(rows), err)
		}
		if _, err := h.ActOnMany(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActRecall}, []string{all[0].id()}); err == nil {
			t.Error("many were withdrawn")
		}
	})
}

// By days and by a whole address, with the other conditions.
func TestSentSearch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		var at []time.Time
		for i := range 6 {
			m := h.prepare(t, fmt.Sprintf("r%d@x.example", i%3), "zoe@y.example")
			m.Subject = fmt.Sprint(i)
			at = append(at, h.clock())
			h.register(t, m)
			h.wait(24 * time.Hour)
		}
		for _, c := range []struct {
			find keyserver.SentSearch
			want string
		}{
			{keyserver.SentSearch{From: at[2]}, "5432"}, {keyserver.SentSearch{Until: at[2]}, "10"}, {keyserver.SentSearch{From: at[1], Until: at[4]}, "321"},
			{keyserver.SentSearch{Text: " R1@X.example "}, "41"}, {keyserver.SentSearch{Text: "zoe@y.example", From: at[3]}, "543"},
			{keyserver.SentSearch{Text: "r1@x.example", Filter: keyserver.FilterOpened}, ""}, {keyserver.SentSearch{Text: "oe@y.exampl"}, "543210"},
		} {
			for _, limit := range []int{1, 2, 50} {
				got, after := "", ""
				for range 10 {
					rows, next, err := h.Sent(t.Context(), h.ana.UserID, c.find, after, limit)
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range rows {
						got += r.Subject
					}
					if after = next; next == "" {
						break
					}
				}
				if got != c.want {
					t.Errorf("%+v by %d: %q, want %q", c.find, limit, got, c.want)
				}
			}
		}
	})
}

// What is withdrawn while its mail is sent again does not leave: the withdrawal
// waits for the new letter, and removes it too.
func TestRecallRacingResend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		row := store.OutboxRow{ID: id.New(), AccountID: account, Kind: "envelope", SlotID: m.slot(0).String(), Recipient: "bob@x.example", Letter: []byte{1},
			NextAt: h.clock(), GiveUpAt: h.clock().Add(time.Hour), CreatedAt: h.clock()}
		h.update(t, func(tx *store.Tx) error {
			_, err := tx.DeleteLetters([]string{row.SlotID})
			if err = errors.Join(err, tx.InsertOutbox(row), tx.SetDelivery(row.SlotID, store.DeliveryBounced, "550")); err != nil {
				return err
			}
			_, err = tx.HoldOutbox(row.ID, 0, h.clock().Add(time.Hour), "550")
			return err
		})
		writing := make(chan struct{}, 10)
		h.post.write = func(tx *store.Tx, _ keyserver.ResendLetter) error {
			if err := tx.DeleteOutbox(row.ID); err != nil {
				return err
			}
			writing <- struct{}{}
			time.Sleep(100 * time.Millisecond) // the withdrawal comes to where it waits
			again := row
			again.ID = id.New()
			return tx.InsertOutbox(again)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := h.Act(t.Context(), h.actor(), keyserver.Act{Kind: keyserver.ActResend}, m.id(), slotOf(m, 0)); err != nil {
				t.Error(err)
			}
		})
		<-writing
		got := h.act(t, keyserver.Act{Kind: keyserver.ActRecall}, m, -1)
		wg.Wait()
		h.update(t, func(tx *store.Tx) error {
			state, err := tx.FindLetterState(row.SlotID)
			if state != "" || got.Unsent != 1 {
				t.Errorf("its letter is %q, and %d are said not to leave", state, got.Unsent)
			}
			return err
		})
		if d := h.detail(t, m); d.Recipients[0].Delivery != store.DeliveryWithdrawn {
			t.Errorf("its mail is %s", d.Recipients[0].Delivery)
		}
	})
}
