package keyserver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

func TestSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		var all []sealed
		for i := range 7 {
			m := h.prepare(t, fmt.Sprintf("r%d@x.example", i), "Zoe@y.example")
			m.Subject = fmt.Sprintf("Échéance %d", i)
			if i == 0 {
				m.ExpiresAt = h.clock().Add(time.Hour)
			}
			all = append(all, h.register(t, m))
			if i%2 == 0 {
				h.wait(time.Second) // some share a time
			}
		}
		h.wait(2 * time.Hour)
		if _, err := h.Release(t.Context(), h.reader(t, all[2], 0), all[2].slot(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Lock(t.Context(), h.actor(), all[3].id(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Lock(t.Context(), h.actor(), all[4].id(), all[4].slot(1).String()); err != nil {
			t.Fatal(err)
		}
		h.update(t, func(tx *store.Tx) error {
			return tx.SetDelivery(all[5].slot(0).String(), store.DeliveryBounced, "550 no such user")
		})

		walk := func(f keyserver.Filter, query string, limit int) (out []string) {
			t.Helper()
			after := ""
			for range 20 {
				rows, next, err := h.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{Filter: f, Text: query}, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) > limit {
					t.Fatalf("%d rows where %d were asked for", len(rows), limit)
				}
				for _, r := range rows {
					out = append(out, r.Subject[len(r.Subject)-1:])
				}
				if after = next; next == "" {
					return out
				}
			}
			t.Fatal("the list does not end")
			return nil
		}
		whole := walk(keyserver.FilterAll, "", 50)
		if len(whole) != 7 || whole[6] != "0" || !slices.Equal(whole[:1], []string{"6"}) && whole[0] != "5" {
			t.Errorf("all: %v", whole)
		}
		for _, limit := range []int{1, 2, 3, 7} {
			if got := walk(keyserver.FilterAll, "", limit); !slices.Equal(got, whole) {
				t.Errorf("by %d: %v, want %v", limit, got, whole)
			}
		}
		for _, c := range []struct {
			f     keyserver.Filter
			query string
			want  string
		}{
			{keyserver.FilterOpened, "", "[2]"}, {keyserver.FilterNotOpened, "", "[0 1 3 4 5 6]"}, {keyserver.FilterLocked, "", "[3 4]"},
			{keyserver.FilterExpired, "", "[0]"}, {keyserver.FilterAll, "échéance", "[0 1 2 3 4 5 6]"}, {keyserver.FilterAll, " éCHÉANCE 4 ", "[4]"},
			{keyserver.FilterAll, "R5@", "[5]"}, {keyserver.FilterAll, "zoe@", "[0 1 2 3 4 5 6]"}, {keyserver.FilterAll, "nothing", "[]"},
			{keyserver.FilterLocked, "4", "[4]"}, {keyserver.FilterAll, id.ShowReference(all[6].ref(1)), "[6]"},
		} {
			for _, limit := range []int{2, 50} {
				got := walk(c.f, c.query, limit)
				slices.Sort(got)
				if fmt.Sprint(got) != c.want {
					t.Errorf("%q %q: %v, want %v", c.f, c.query, got, c.want)
				}
			}
		}

		rows, _, err := h.Sent(t.Context(), h.ana.UserID, keyserver.SentSearch{Text: "échéance 5"}, "", 10)
		if err != nil || rows[0].Bounced != 1 || rows[0].Recipients[0].DeliveryText != "550 no such user" || rows[0].Recipients[1].Address != "Zoe@y.example" {
			t.Errorf("a bounce: %+v, %v", rows, err)
		}
		stranger := h.user(t, account, "eve@health.example")
		if rows, _, err := h.Sent(t.Context(), stranger, keyserver.SentSearch{}, "", 10); err != nil || len(rows) > 0 {
			t.Errorf("somebody else's: %+v, %v", rows, err)
		}
		for _, user := range []string{stranger, ""} {
			_, err = h.SentDetail(t.Context(), user, all[0].id())
			wantKey(t, "somebody else's", err, fault.NotFound, "e404.h1")
		}
		_, err = h.SentDetail(t.Context(), h.ana.UserID, id.New())
		wantKey(t, "no such message", err, fault.NotFound, "e404.h1")
	})
}

func TestSentDetail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example", "carol@y.example")
		if _, err := h.Release(t.Context(), h.reader(t, m, 0), m.slot(0)); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Minute)
		if _, err := h.Lock(t.Context(), h.actor(), m.id(), m.slot(0).String()); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Minute)
		if _, err := h.Release(t.Context(), h.reader(t, m, 0), m.slot(0)); err == nil {
			t.Fatal("a locked slot was released")
		}
		d, err := h.SentDetail(t.Context(), h.ana.UserID, m.id())
		if err != nil {
			t.Fatal(err)
		}
		if d.Subject != subject || d.Note != note || d.Locked || d.State != keyserver.StateActive || d.Size != m.PayloadSize || d.Carrier != keyserver.CarrierMail {
			t.Errorf("detail: %+v", d)
		}
		bob := d.Recipients[0]
		if bob.State != keyserver.StateLocked || !bob.Locked || bob.Openings != 1 || bob.Delivery != store.DeliveryQueued || d.Recipients[1].State != keyserver.StateActive {
			t.Errorf("recipients: %+v", d.Recipients)
		}
		var got []string
		for _, e := range d.Activity {
			got = append(got, fmt.Sprintf("%s %s %s %v %s", e.Action, e.Actor, e.Recipient, e.Refused, e.Reason))
		}
		want := []string{
			"envelope.release_denied recipient:bob@x.example bob@x.example true locked",
			"envelope.lock user:ana@health.example bob@x.example false ",
			"envelope.release recipient:bob@x.example bob@x.example false ",
			"envelope.seal user:ana@health.example  false ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("activity: %q", got)
		}
	})
}

// AT-56, AT-59: who may lock, and what others learn.
func TestLockRights(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		m := h.seal(t, "bob@x.example")
		other := h.seal(t, "bob@x.example")
		colleague := h.user(t, account, "eve@health.example")
		for name, a := range map[string]keyserver.Actor{
			"nobody":                        {Name: "system"},
			"a colleague":                   {UserID: colleague, Name: "user:eve@health.example"},
			"another account's":             {UserID: colleague, Name: "user:eve@health.example", AdminOf: []int64{200001}},
			"no longer an administrator":    {UserID: colleague, Name: "user:eve@health.example", AdminOf: []int64{account}},
			"an operator of other accounts": {Name: "operator:root", AdminOf: []int64{200001}},
		} {
			before := len(h.audit(t, m, "envelope.lock"))
			_, err := h.Lock(t.Context(), a, m.id(), "")
			wantKey(t, name, err, fault.NotFound, "e404.h1")
			rows := h.audit(t, m, "envelope.lock")
			if len(rows) != before+1 || rows[0].Outcome != store.Refused || rows[0].Actor != a.Name {
				t.Errorf("%s: %+v", name, rows)
			}
		}
		h.openings(t, m)
		if d, _ := h.SentDetail(t.Context(), h.ana.UserID, m.id()); d.Locked {
			t.Fatal("locked by somebody who may not")
		}
		l, err := h.Lock(t.Context(), h.actor(), m.id(), "")
		if err != nil || l != (keyserver.Acted{Subject: subject, Changed: true}) {
			t.Errorf("the sender: %+v, %v", l, err)
		}
		l, err = h.Act(t.Context(), keyserver.Actor{Name: "operator:root", Origin: "terminal", AdminOf: []int64{account}}, keyserver.Act{Kind: keyserver.ActUnlock, Account: account}, m.id(), m.slot(0).String())
		if err != nil || l != (keyserver.Acted{}) {
			t.Errorf("the operator: %+v, %v", l, err)
		}
		for name, ids := range map[string][2]string{
			"no such message": {id.New(), ""}, "no such slot": {m.id(), id.New()}, "another message's slot": {m.id(), other.slot(0).String()},
		} {
			_, err = h.Lock(t.Context(), h.actor(), ids[0], ids[1])
			wantKey(t, name, err, fault.NotFound, "e404.h1")
		}
		if d, _ := h.SentDetail(t.Context(), h.ana.UserID, other.id()); d.Recipients[0].Locked {
			t.Error("another message's slot was locked")
		}
	})
}
