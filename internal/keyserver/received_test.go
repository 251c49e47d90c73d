package keyserver_test

import (
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

// person is a user with that address, made by an administrator or not.
func (h *house) person(t testing.TB, address string, managed bool) string {
	t.Helper()
	u := store.User{ID: id.New(), Address: address, DisplayAddress: address, Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive, Managed: managed}
	if managed {
		u.AccountID = account
	}
	h.update(t, func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) })
	return u.ID
}

// sent puts a message on its way, so that it is listed.
func (h *house) sent(t testing.TB, m sealed) sealed {
	t.Helper()
	h.update(t, func(tx *store.Tx) error {
		for i := range m.Registered.Slots {
			if err := tx.SetDelivery(m.slot(i).String(), store.DeliverySent, ""); err != nil {
				return err
			}
		}
		return nil
	})
	return m
}

func refs(r keyserver.Received) (out []string) {
	for _, row := range r.Rows {
		out = append(out, row.Ref)
	}
	return out
}

// What a session is told of is what was sealed to the addresses that it has
// proved, by the same rule as for opening: not to those of a user whom an
// administrator made and who only signed in (AT-28).
func TestReceived(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		bob, managed, eve := h.person(t, "bob@x.example", false), h.person(t, "meg@x.example", true), h.person(t, "eve@x.example", false)
		h.update(t, func(tx *store.Tx) error {
			if err := tx.InsertAlias(store.Alias{Address: "bobby@y.example", DisplayAddress: "bobby@y.example", UserID: bob}); err != nil {
				return err
			}
			return tx.InsertAlias(store.Alias{Address: "meg@y.example", DisplayAddress: "meg@y.example", UserID: managed})
		})
		one := h.sent(t, h.seal(t, "bob@x.example", "meg@x.example"))
		h.wait(time.Minute)
		two := h.sent(t, h.seal(t, "bobby@y.example", "meg@y.example"))
		h.wait(time.Minute)
		h.seal(t, "bob@x.example", "meg@x.example") // has not left: its sender may take it back
		list := func(v keyserver.Visitor, text string) keyserver.Received {
			t.Helper()
			r, err := h.Received(t.Context(), v, text, "", 50)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		for name, c := range map[string]struct {
			v        keyserver.Visitor
			want     []string
			unproved bool
		}{
			"signed in, with an alias": {h.visitor(t, as(bob, store.ScopeFull)), []string{two.ref(0), one.ref(0)}, false},
			"a visitor with a code":    {h.visitor(t, proven("bob@x.example")), []string{one.ref(0)}, false},
			"a visitor":                {h.visitor(t), nil, false},
			"somebody else":            {h.visitor(t, as(eve, store.ScopeFull)), nil, false},
			"made by an administrator": {h.visitor(t, as(managed, store.ScopeFull)), nil, true},
			"and proved since":         {h.visitor(t, as(managed, store.ScopeFull), proven("meg@x.example")), []string{one.ref(1)}, false},
		} {
			got := list(c.v, "")
			if !slices.Equal(refs(got), c.want) || got.Unproved != c.unproved {
				t.Errorf("%s: %v %v, want %v %v", name, refs(got), got.Unproved, c.want, c.unproved)
			}
			if n, err := h.CountReceived(t.Context(), c.v); err != nil || n != len(c.want) {
				t.Errorf("%s: counted %d, %v", name, n, err)
			}
			// The card says no more than the list, and to the same people.
			for _, m := range []sealed{one, two} {
				for i := range m.Registered.Slots {
					l, err := h.Landing(t.Context(), c.v, m.ref(i))
					if err != nil || l.Listed != slices.Contains(c.want, m.ref(i)) || l.Possession || l.Note != "" || l.Listed == (l.Sender == keyserver.Sender{}) {
						t.Errorf("%s: card of %s: %+v, %v", name, m.ref(i), l, err)
					}
				}
			}
		}
		_, err := h.Received(t.Context(), h.visitor(t, as(bob, store.ScopeSetPassword)), "", "", 50)
		wantKey(t, "who must set a password", err, fault.Denied, "si.mustchange")
		_, err = h.Received(t.Context(), keyserver.Visitor{Session: "x"}, "", "", 50)
		wantKey(t, "no session", err, fault.Unauthenticated, "sess.h1")

		v := h.visitor(t, as(bob, store.ScopeFull))
		for text, n := range map[string]int{"silva": 2, "ANA@health": 2, "example health": 2, "nobody": 0, "100%": 0, "_": 0, id.ShowReference(two.ref(0)): 1, one.ref(1): 0} {
			if got := list(v, text); len(got.Rows) != n {
				t.Errorf("%q finds %d, want %d", text, len(got.Rows), n)
			}
		}
		if _, err := h.Lock(t.Context(), h.actor(), one.id(), ""); err != nil {
			t.Fatal(err)
		}
		if r := list(v, "").Rows[1]; r.State != keyserver.StateLocked || r.To != "bob@x.example" || !r.OpenedAt.IsZero() || r.Sender.Name != "Ana Silva" {
			t.Errorf("%+v", r)
		}

		// By pages, over both addresses: each once, in order.
		for i := range 7 {
			h.wait(time.Second)
			h.sent(t, h.seal(t, []string{"bob@x.example", "bobby@y.example"}[i%2]))
		}
		all, after := refs(list(v, "")), ""
		var paged []string
		for range 10 {
			r, err := h.Received(t.Context(), v, "", after, 2)
			if err != nil {
				t.Fatal(err)
			}
			paged = append(paged, refs(r)...)
			if after = r.Next; after == "" {
				break
			}
		}
		if len(all) != 9 || fmt.Sprint(paged) != fmt.Sprint(all) {
			t.Errorf("pages %v\nwant %v", paged, all)
		}
	})
}

// Who holds the mail or has proved the address reports, and is told whose
// administrators hear of it. Anybody else types the address, and gets the same
// answer whatever is there.
func TestReport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.update(t, func(tx *store.Tx) error {
			g := store.Group{ID: id.New(), AccountID: account, Name: "Account Administrators", NameKey: "account administrators", Builtin: true}
			if err := tx.InsertGroup(g); err != nil {
				return err
			}
			_, err := tx.InsertMembership(g.ID, h.ana.UserID, time.Time{})
			return err
		})
		m := h.sent(t, h.seal(t, "bob@x.example", "carol@y.example"))
		report := func(v keyserver.Visitor, ref, typed, reason, text string) (string, error) {
			return h.Report(t.Context(), v, ref, typed, reason, text)
		}
		holder := h.visitor(t)
		h.prove(t, holder, m, 0)
		for name, c := range map[string]struct {
			v              keyserver.Visitor
			ref, typed     string
			org            string
			letters, audit int
			proved         bool
		}{
			"holds the mail":           {holder, m.ref(0), "", "Example Health", 1, 1, true},
			"has proved the address":   {h.visitor(t, proven("carol@y.example")), m.ref(1), "", "Example Health", 1, 1, true},
			"types the address":        {h.visitor(t), m.ref(0), "Bob@x.example", "", 1, 1, false},
			"types another":            {h.visitor(t), m.ref(0), "carol@y.example", "", 0, 0, false},
			"holds another":            {holder, m.ref(1), "bob@x.example", "", 0, 0, false},
			"no such envelope":         {h.visitor(t), id.NewReference(), "bob@x.example", "", 0, 0, false},
			"proved another's address": {h.visitor(t, proven("eve@z.example")), m.ref(1), "eve@z.example", "", 0, 0, false},
		} {
			letters, audit := len(h.post.reports), len(h.audit(t, m, "envelope.report"))
			org, err := report(c.v, c.ref, c.typed, keyserver.ReportPhish, "I never heard of her.")
			if err != nil || org != c.org {
				t.Errorf("%s: %q, %v", name, org, err)
			}
			now := h.audit(t, m, "envelope.report")
			if got := len(h.post.reports) - letters; got != c.letters || len(now)-audit != c.audit {
				t.Errorf("%s: %d letters, %d records", name, got, len(now)-audit)
			}
			if c.letters > 0 {
				l := h.post.reports[len(h.post.reports)-1]
				if l.To.Canonical() != "ana@health.example" || l.Proved != c.proved || l.Reason != keyserver.ReportPhish || l.Text != "I never heard of her." || l.Ref != c.ref {
					t.Errorf("%s: %+v", name, l)
				}
				if r := now[0]; r.Detail["reason"] != "phish" || (r.Actor == "visitor") == c.proved {
					t.Errorf("%s: %+v", name, r)
				}
			}
		}
		for _, r := range h.audit(t, m, "envelope.report") {
			for _, v := range r.Detail {
				if v == "I never heard of her." {
					t.Error("the recipient's words are in the record")
				}
			}
		}
		if d, err := h.SentDetail(t.Context(), h.ana.UserID, m.id()); err != nil || slices.ContainsFunc(d.Activity, func(e keyserver.Event) bool { return e.Action == "envelope.report" }) {
			t.Errorf("the sender sees that they were reported: %v", err)
		}

		_, err := report(holder, m.ref(0), "", "", "")
		wantKey(t, "no reason", err, fault.Invalid, "err.title")
		_, err = report(holder, m.ref(0), "", keyserver.ReportOther, strings.Repeat("x", 1001))
		wantKey(t, "long", err, fault.Invalid, "err.title")
		_, err = report(h.visitor(t), m.ref(0), "nobody", keyserver.ReportOther, "")
		wantKey(t, "no address", err, fault.Invalid, "err.email")
		_, err = report(keyserver.Visitor{Session: "x"}, m.ref(0), "", keyserver.ReportOther, "")
		wantKey(t, "no session", err, fault.Unauthenticated, "sess.h1")

		// Of one envelope three a day are told; of one network twenty an hour are taken.
		letters := len(h.post.reports)
		v := h.visitor(t)
		v.Origin = "198.51.100.7"
		for range 20 {
			if _, err := report(v, m.ref(1), "carol@y.example", keyserver.ReportNotMe, ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(h.post.reports) - letters; got != 2 { // one was before
			t.Errorf("%d letters", got)
		}
		_, err = report(v, m.ref(1), "carol@y.example", keyserver.ReportNotMe, "")
		wantKey(t, "one too many", err, fault.TooMany, "e429.p")
	})
}
