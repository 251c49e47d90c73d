package keyserver_test

import (
	"fmt"
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

		find := func(a keyserver.Actor, s keyserver.MessageSearch) (ids []string) {
			t.Helper()
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
			want []string
		}{
			{keyserver.MessageSearch{}, []string{second.id(), first.id()}},
			{keyserver.MessageSearch{Recipient: "Bob@X.example"}, []string{second.id(), first.id()}},
			{keyserver.MessageSearch{Recipient: "carol@y.example", Sender: from}, []string{first.id()}},
			{keyserver.MessageSearch{Text: "carol@y.example"}, []string{first.id()}},
			{keyserver.MessageSearch{Text: from}, []string{second.id(), first.id()}},
			{keyserver.MessageSearch{Text: second.ref(0)}, []string{second.id()}},
			{keyserver.MessageSearch{Text: "nobody@x.example"}, nil},
			{keyserver.MessageSearch{Text: subject}, nil},
			{keyserver.MessageSearch{Filter: keyserver.FilterLocked}, []string{second.id()}},
			{keyserver.MessageSearch{Recipient: "bob@x.example", From: h.clock().Add(-time.Minute)}, []string{second.id()}},
		} {
			if got := find(ada, c.s); fmt.Sprint(got) != fmt.Sprint(c.want) {
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
			if got := find(wanda, keyserver.MessageSearch{Text: text}); len(got) != 0 {
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
		if many, err := h.ActOnMessages(t.Context(), wanda, keyserver.Act{Kind: keyserver.ActExpire}, account, keyserver.MessageSearch{Recipient: "carol@y.example"}, ""); err != nil || many.Changed != 1 {
			t.Errorf("%+v, %v", many, err)
		}
		h.closed(t, "ended by an administrator", first, 1, fault.Gone, "release.gone")

		for _, a := range []keyserver.Actor{eve, {}, {UserID: id.New(), Name: "user:x"}} {
			_, _, err := h.Messages(t.Context(), a, account, keyserver.MessageSearch{}, "", 50)
			wantKey(t, "without the right", err, fault.NotFound, "e404.h1")
		}
		_, _, err = h.Messages(t.Context(), ada, account+1, keyserver.MessageSearch{}, "", 50)
		wantKey(t, "another account", err, fault.NotFound, "e404.h1")
	})
}
