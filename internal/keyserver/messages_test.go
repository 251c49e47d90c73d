package keyserver_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// group makes a group whose members have grants, with one member.
func (h *house) group(t testing.TB, name, member string, grants ...store.Grant) string {
	t.Helper()
	g := store.Group{ID: id.New(), AccountID: account, Name: name, NameKey: strings.ToLower(name)}
	err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertGroup(g); err != nil {
			return err
		}
		for _, x := range grants {
			if err := tx.InsertGrant(g.ID, x); err != nil {
				return err
			}
		}
		_, err := tx.InsertMembership(g.ID, member, time.Time{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.ID
}

// Whoever has the right over messages finds the account's by what is known of
// them, and reads nobody's words; whoever has it over a group, that group's
// senders' only; nobody else any (AT-58, AT-59).
func TestMessages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ada := keyserver.Actor{UserID: h.user(t, account, "ada@health.example"), Name: "user:ada@health.example"}
		wanda := keyserver.Actor{UserID: h.user(t, account, "wanda@health.example"), Name: "user:wanda@health.example"}
		eve := keyserver.Actor{UserID: h.user(t, account, "eve@health.example"), Name: "user:eve@health.example"}
		h.group(t, "Records", ada.UserID, store.Grant{Right: store.RightMessages})
		ward := h.group(t, "Ward", wanda.UserID)
		h.group(t, "Ward leads", wanda.UserID, store.Grant{Right: store.RightMessages, Scope: ward})

		first := h.seal(t, "bob@x.example", "carol@y.example")
		h.wait(time.Hour)
		second := h.seal(t, "bob@x.example")
		h.act(t, keyserver.Act{Kind: keyserver.ActLock, Reason: "Wrong figures"}, second, -1)

		find := func(a keyserver.Actor, s keyserver.MessageSearch, typed ...string) (ids []string) {
			t.Helper()
			s, err := h.Means(t.Context(), a, account, s, strings.Join(typed, ""), "")
			if err != nil {
				t.Fatal(err)
			}
			rows, _, err := h.Messages(t.Context(), a, account, s, "", 50)
			if err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
			for _, r := range rows {
				if r.Subject != "" || strings.Contains(fmt.Sprint(r), subject) {
					t.Errorf("an administrator reads a subject: %+v", r)
				}
				ids = append(ids, r.MessageID)
			}
			return ids
		}
		from := h.ana.Address
		for _, c := range []struct {
			s    keyserver.MessageSearch
			text string
			want []string
		}{
			{keyserver.MessageSearch{}, "", []string{second.id(), first.id()}},
			{keyserver.MessageSearch{Recipient: "Bob@X.example"}, "", []string{second.id(), first.id()}},
			{keyserver.MessageSearch{Recipient: "carol@y.example", Sender: from}, "", []string{first.id()}},
			{keyserver.MessageSearch{}, "carol@y.example", []string{first.id()}},
			{keyserver.MessageSearch{}, from, []string{second.id(), first.id()}},
			{keyserver.MessageSearch{}, second.ref(0), []string{second.id()}},
			{keyserver.MessageSearch{}, "nobody@x.example", nil},
			{keyserver.MessageSearch{}, subject, nil},
			{keyserver.MessageSearch{Filter: keyserver.FilterLocked}, "", []string{second.id()}},
			{keyserver.MessageSearch{Recipient: "bob@x.example", From: h.clock().Add(-time.Minute)}, "", []string{second.id()}},
		} {
			if got := find(ada, c.s, c.text); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%+v: %v, want %v", c.s, got, c.want)
			}
		}
		d, err := h.Message(t.Context(), ada, account, second.id())
		if err != nil || d.Subject != "" || d.Note != "" || d.Reason != "" || !d.Locked || d.SenderAddress != from {
			t.Errorf("%+v, %v", d, err)
		}

		// Who has it over the ward sees what the ward sent: nothing yet.
		if got := find(wanda, keyserver.MessageSearch{}); len(got) != 0 {
			t.Errorf("another's messages: %v", got)
		}
		_, err = h.Message(t.Context(), wanda, account, first.id())
		wantKey(t, "another's message", err, fault.NotFound, "e404.h1")
		for _, text := range []string{first.ref(0), "bob@x.example", from} {
			if got := find(wanda, keyserver.MessageSearch{}, text); len(got) != 0 {
				t.Errorf("found by %s: %v", text, got)
			}
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.InsertMembership(ward, h.ana.UserID, time.Time{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := find(wanda, keyserver.MessageSearch{}); len(got) != 2 {
			t.Errorf("the ward's messages: %v", got)
		}
		if many, err := h.ActOnMessages(t.Context(), wanda, keyserver.Act{Kind: keyserver.ActExpire}, account, keyserver.MessageSearch{Recipient: "carol@y.example"}, false, ""); err != nil || many.Changed != 1 {
			t.Errorf("%+v, %v", many, err)
		}
		h.closed(t, "ended by an administrator", first, 1, fault.Gone, "release.gone")
		h.released(t, "the same message of whom nobody looked for", first, 0)
		// A state is that of whom one looks for.
		for to, want := range map[string]map[keyserver.Filter]int{"carol@y.example": {keyserver.FilterExpired: 1, keyserver.FilterOpened: 0}, "bob@x.example": {keyserver.FilterExpired: 0, keyserver.FilterOpened: 1}} {
			for filter, n := range want {
				if got, err := h.CountMessages(t.Context(), wanda, account, keyserver.MessageSearch{Recipient: to, Filter: filter, MessageID: first.id()}); got != n || err != nil {
					t.Errorf("%s of %s: %d, %v", filter, to, got, err)
				}
			}
		}
		if n, err := h.CountMessages(t.Context(), wanda, account, keyserver.MessageSearch{Recipient: "carol@y.example"}); n != 1 || err != nil {
			t.Errorf("counted: %d, %v", n, err)
		}

		// An act on all messages is one that says so.
		lock := keyserver.Act{Kind: keyserver.ActLock}
		_, err = h.ActOnMessages(t.Context(), wanda, lock, account, keyserver.MessageSearch{}, false, "")
		wantKey(t, "all, unsaid", err, fault.Invalid, "api.needsall")
		_, err = h.ActOnMessages(t.Context(), eve, lock, account, keyserver.MessageSearch{}, false, "")
		wantKey(t, "all, unsaid, of others", err, fault.NotFound, "e404.h1")
		if many, err := h.ActOnMessages(t.Context(), wanda, lock, account, keyserver.MessageSearch{}, true, ""); err != nil || many.Changed != 2 {
			t.Errorf("all: %+v, %v", many, err)
		}

		for _, a := range []keyserver.Actor{eve, {}, {UserID: id.New(), Name: "user:x"}} {
			_, _, err := h.Messages(t.Context(), a, account, keyserver.MessageSearch{}, "", 50)
			wantKey(t, "without the right", err, fault.NotFound, "e404.h1")
		}
		_, _, err = h.Messages(t.Context(), ada, account+1, keyserver.MessageSearch{}, "", 50)
		wantKey(t, "another account", err, fault.NotFound, "e404.h1")
	})
}

// In an account that is about to be destroyed its administrators see what was
// sent, and nobody acts on it; in one that is suspended nobody does either.
func TestMessagesOfAClosedAccount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		person := func(name string) keyserver.Actor {
			address := name + "@health.example"
			return keyserver.Actor{UserID: h.user(t, account, address), Name: "user:" + address}
		}
		ada, mona, wanda := person("ada"), person("mona"), person("wanda")
		h.update(t, func(tx *store.Tx) error {
			g := store.Group{ID: id.New(), AccountID: account, Name: "Account Administrators", NameKey: "account administrators", Builtin: true}
			if err := tx.InsertGroup(g); err != nil {
				return err
			}
			_, err := tx.InsertMembership(g.ID, ada.UserID, time.Time{})
			return err
		})
		h.group(t, "Records", mona.UserID, store.Grant{Right: store.RightMessages})
		ward := h.group(t, "Ward", h.ana.UserID)
		h.group(t, "Ward leads", wanda.UserID, store.Grant{Right: store.RightMessages, Scope: ward})

		lock := keyserver.Act{Kind: keyserver.ActLock, Account: account}
		for _, c := range []struct {
			state string
			looks []keyserver.Actor
		}{
			{store.AccountDeleting, []keyserver.Actor{ada}},
			{store.AccountSuspended, nil},
		} {
			h.update(t, func(tx *store.Tx) error {
				if c.state == store.AccountDeleting {
					return tx.SetDeletion(account, c.state, store.Deletion{At: tx.Now.Add(7 * 24 * time.Hour), Before: store.AccountActive})
				}
				return tx.SetAccountState(account, c.state)
			})
			for _, a := range []keyserver.Actor{ada, mona, wanda} {
				may := slices.ContainsFunc(c.looks, func(x keyserver.Actor) bool { return x.UserID == a.UserID })
				rows, _, err := h.Messages(t.Context(), a, account, keyserver.MessageSearch{}, "", 50)
				_, one := h.Message(t.Context(), a, account, m.id())
				if may && (err != nil || one != nil || len(rows) != 1) {
					t.Errorf("%s: %s looks: %d rows, %v, %v", c.state, a.Name, len(rows), err, one)
				}
				if !may {
					wantKey(t, c.state+": "+a.Name+" lists", err, fault.NotFound, "e404.h1")
					wantKey(t, c.state+": "+a.Name+" looks", one, fault.NotFound, "e404.h1")
				}
				_, err = h.Act(t.Context(), a, lock, m.id(), "")
				wantKey(t, c.state+": "+a.Name+" locks", err, fault.NotFound, "e404.h1")
				if many, err := h.ActOnMany(t.Context(), a, keyserver.Act{Kind: keyserver.ActExpire, Account: account}, []string{m.id()}); err != nil || many.Refused != 1 {
					t.Errorf("%s: %s ends: %+v, %v", c.state, a.Name, many, err)
				}
			}
			for _, kind := range []string{keyserver.ActLock, keyserver.ActExpire} {
				for _, r := range h.audit(t, m, kind) {
					if r.Outcome != store.Refused {
						t.Errorf("%s: %+v", c.state, r)
					}
				}
			}
		}
		if rows := h.audit(t, m, keyserver.ActLock); len(rows) != 6 {
			t.Errorf("%d records of six refusals", len(rows))
		}
	})
}

// What is done, and what is refused, by an API token says by which.
func TestRecordsNameTheToken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		mona := keyserver.Actor{UserID: h.user(t, account, "mona@health.example"), Name: "user:mona@health.example"}
		h.group(t, "Records", mona.UserID, store.Grant{Right: store.RightMessages})
		h.update(t, func(tx *store.Tx) error {
			var err error
			for name, scope := range map[string]string{"good": store.RightMessages, "other": store.RightAudit} {
				err = errors.Join(err, tx.InsertToken(store.APIToken{ID: name, AccountID: account, UserID: mona.UserID, Name: name,
					Scopes: []string{scope}, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}, name))
			}
			return err
		})
		good, other := mona, mona
		good.Token, other.Token = "good", "other"
		if _, err := h.Act(t.Context(), good, keyserver.Act{Kind: keyserver.ActLock, Account: account}, m.id(), ""); err != nil {
			t.Fatal(err)
		}
		if err := h.RecordExport(t.Context(), good, account); err != nil {
			t.Fatal(err)
		}
		_, err := h.Act(t.Context(), other, keyserver.Act{Kind: keyserver.ActUnlock, Account: account}, m.id(), "")
		wantKey(t, "unlock by a token over the log", err, fault.NotFound, "e404.h1")
		_, _, err = h.Messages(t.Context(), other, account, keyserver.MessageSearch{}, "", 50)
		wantKey(t, "list by a token over the log", err, fault.NotFound, "e404.h1")
		token := map[string]string{}
		err = db.View(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.ListAudit(account, "", 100)
			for _, r := range rows {
				token[r.Action] = r.Detail["token"]
			}
			return err
		})
		want := map[string]string{keyserver.ActLock: "good", "message.export": "good", keyserver.ActUnlock: "other", "message.view": "other"}
		for act, id := range want {
			if token[act] != id {
				t.Errorf("%s by %s has token %q", act, id, token[act])
			}
		}
		if err != nil || token["envelope.seal"] != "" {
			t.Errorf("%v, %v", token, err)
		}
	})
}

// What an address is taken for is decided by which messages there are: an act
// changes it neither for whoever does it again nor for whoever goes on, so that
// no act on what was sent to somebody reaches what they sent.
func TestMeaningOutlivesTheAct(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		operator := keyserver.Actor{Name: "operator:root", AdminOf: []int64{account}}
		to := []sealed{h.seal(t, h.ana.Address), h.seal(t, h.ana.Address)}
		from := h.seal(t, "bob@x.example")
		for _, m := range append(to, from) {
			h.act(t, keyserver.Act{Kind: keyserver.ActLock}, m, -1)
		}
		search := keyserver.MessageSearch{Filter: keyserver.FilterLocked}
		for i, changed := range []int{2, 0} {
			find, err := h.Means(t.Context(), operator, account, search, " "+h.ana.Address+" ", "")
			if err != nil || find.Recipient != h.ana.Address || find.Sender != "" || find.Filter != search.Filter {
				t.Fatalf("%d: taken for %+v, %v", i, find, err)
			}
			if many, err := h.ActOnMessages(t.Context(), operator, keyserver.Act{Kind: keyserver.ActUnlock}, account, find, true, ""); err != nil || many.Changed != changed {
				t.Errorf("%d: %+v, %v", i, many, err)
			}
		}
		if d := h.detail(t, from); !d.Locked {
			t.Error("what they sent was unlocked as well")
		}
		find, _ := h.Means(t.Context(), operator, account, keyserver.MessageSearch{}, h.ana.Address, "")
		_, next, err := h.Messages(t.Context(), operator, account, find, "", 1)
		if again, err2 := h.Means(t.Context(), operator, account, keyserver.MessageSearch{}, h.ana.Address, next); err != nil || err2 != nil || next == "" || again != find {
			t.Errorf("going on means %+v, %v, %v", again, err, err2)
		}
		_, err = h.Means(t.Context(), operator, account, keyserver.MessageSearch{}, "bob@x.example", next)
		wantKey(t, "a cursor of another address", err, fault.Invalid, "err.cursor")
		_, err = h.ActOnMessages(t.Context(), operator, keyserver.Act{Kind: keyserver.ActExpire}, account, keyserver.MessageSearch{Sender: h.ana.Address}, true, next)
		wantKey(t, "an act from a cursor of another search", err, fault.Invalid, "err.cursor")
	})
}

// An act is done for one account, by one right and a session that lives: all of
// it is looked at in the act itself, and what is refused is recorded as that act.
func TestActsByWhoMay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		ada := keyserver.Actor{UserID: h.user(t, account, "ada@health.example"), Name: "user:ada@health.example"}
		typist := h.user(t, account, "eve@health.example")
		h.group(t, "Records", ada.UserID, store.Grant{Right: store.RightMessages})
		session := func(hash, address string, until time.Duration) {
			h.update(t, func(tx *store.Tx) error {
				return tx.InsertSession(store.Session{TokenHash: hash, UserID: ada.UserID, Scope: store.ScopeFull, Address: address, Nonce: "00", ExpiresAt: tx.Now.Add(until)})
			})
		}
		by := func(hash string) keyserver.Actor {
			a := ada
			a.Session = hash
			return a
		}
		session("live", "", time.Hour)
		session("proved", "ada@health.example", time.Hour)
		session("old", "", time.Minute)
		h.wait(2 * time.Minute)
		lock := keyserver.Act{Kind: keyserver.ActLock, Account: account}
		elsewhere, own := lock, lock
		elsewhere.Account, own.Account = account+1, 0
		refused := func(what string, a keyserver.Actor, act keyserver.Act) {
			t.Helper()
			before := len(h.audit(t, m, act.Kind))
			_, err := h.Act(t.Context(), a, act, m.id(), "")
			wantKey(t, what, err, fault.NotFound, "e404.h1")
			if many, err := h.ActOnMany(t.Context(), a, act, []string{m.id()}); err != nil || many.Refused != 1 || many.Changed+many.Same+len(many.Left) > 0 {
				t.Errorf("%s, many: %+v, %v", what, many, err)
			}
			rows := h.audit(t, m, act.Kind)
			if len(rows) != before+2 || rows[0].Outcome != store.Refused {
				t.Errorf("%s: %+v", what, rows)
			}
		}
		refused("another account's", by("live"), elsewhere)
		refused("an operator's of another account", keyserver.Actor{Name: "operator:root", AdminOf: []int64{account + 1}}, elsewhere)
		refused("its sender, by a right", h.actor(), lock)
		refused("a session that has ended", by("old"), lock)
		refused("no session", by("none"), lock)
		stranger := h.actor()
		stranger.Session = "live"
		refused("another's session", stranger, own)
		if _, err := h.Act(t.Context(), by("live"), lock, m.id(), ""); err != nil {
			t.Error(err)
		}
		h.update(t, func(tx *store.Tx) error { return tx.SetPassword(ada.UserID, store.Password{TypedBy: typist}) })
		unlock := keyserver.Act{Kind: keyserver.ActUnlock, Account: account}
		refused("whoever typed the password", by("live"), unlock)
		_, err := h.ActOnMessages(t.Context(), by("live"), unlock, account, keyserver.MessageSearch{}, true, "")
		wantKey(t, "all, by whoever typed the password", err, fault.NotFound, "e404.h1")
		wantKey(t, "the list", h.RecordExport(t.Context(), by("live"), account), fault.NotFound, "e404.h1")
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.ListAudit(account, "", 2)
			for i, act := range []string{"message.export", keyserver.ActUnlock} {
				if len(rows) != 2 || rows[i].Action != act || rows[i].Outcome != store.Refused {
					t.Errorf("not a refused %s: %+v", act, rows)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if done, err := h.Act(t.Context(), by("proved"), unlock, m.id(), ""); err != nil || !done.Changed || done.Subject != "" {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// An act on many that breaks off says what it did and where to go on; what was
// beyond one request is not forgotten either.
func TestActBreaksOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		operator := keyserver.Actor{Name: "operator:root", AdminOf: []int64{account}}
		var ids []string
		for range 60 {
			ids = append(ids, h.seal(t, "bob@x.example").id())
			h.wait(time.Millisecond)
		}
		reason := func(messageID string, box []byte) { // one that nothing reads breaks the act off
			h.update(t, func(tx *store.Tx) error {
				m, _, err := tx.HoldMessage(messageID)
				m.LockBox = box
				return errors.Join(err, tx.SaveMessage(m, false))
			})
		}
		all := func(kind, after string) (keyserver.Many, error) {
			return h.ActOnMessages(t.Context(), operator, keyserver.Act{Kind: kind}, account, keyserver.MessageSearch{}, true, after)
		}
		garbage := make([]byte, 64)
		reason(ids[59], garbage)
		if many, err := all(keyserver.ActLock, ""); err == nil {
			t.Errorf("broken off at once: %+v", many)
		}
		reason(ids[59], nil)
		reason(ids[0], garbage)
		many, err := all(keyserver.ActLock, "")
		if err != nil || many.Changed != 50 || many.Broken == nil || many.Next == "" {
			t.Fatalf("%+v, %v", many, err)
		}
		reason(ids[0], nil)
		if many, err = all(keyserver.ActLock, many.Next); err != nil || many.Changed != 10 || many.Same != 0 || many.Next != "" || many.Broken != nil {
			t.Errorf("the rest: %+v, %v", many, err)
		}
		if _, err := all(keyserver.ActUnlock, ""); err != nil {
			t.Fatal(err)
		}
		lock := keyserver.Act{Kind: keyserver.ActLock, Account: account}
		last := slices.Max(ids)
		reason(last, garbage)
		if many, err = h.ActOnMany(t.Context(), operator, lock, ids); err != nil || many.Changed != 50 || many.Broken == nil || len(many.Left) != 10 || !slices.Contains(many.Left, last) {
			t.Errorf("by their ids: %+v, %v", many, err)
		}
		reason(last, nil)
		for len(ids) < 1100 {
			ids = append(ids, id.New())
		}
		if many, err = h.ActOnMany(t.Context(), operator, lock, ids); err != nil || many.Changed+many.Same+many.Refused != 1000 || len(many.Left) != 100 {
			t.Errorf("more than a thousand: %+v, %v", many, err)
		}
	})
}
