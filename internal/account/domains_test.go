package account_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// A domain is one account's, whoever has users at its addresses: those of
// another account are not verified (AT-59).
func TestDomains(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		lea, ceo := w.user(100042, "Lea@Example.org"), w.user(100043, "ceo@example.org")
		verified := func(number int64, u store.User, address string) bool {
			w.Helper()
			return get[bool](w)(w.Verified(ctx, number, u.ID, mailaddr.MustParse(address)))
		}
		if verified(100042, lea, "lea@example.org") {
			t.Error("verified in a domain that nobody has")
		}
		add := func(number int64, name string) (store.Domain, bool) {
			w.Helper()
			d, already, err := w.AddDomain(ctx, w.root, number, name)
			w.ok(err)
			return d, already
		}
		if d, already := add(100042, " EXAMPLE.org"); already || d.Name != "example.org" || d.AccountID != 100042 || d.CreatedAt.IsZero() {
			t.Errorf("%+v %v", d, already)
		}
		if _, already := add(100042, "example.org"); !already {
			t.Error("added twice")
		}
		if d, _ := add(100042, "Café.example"); d.Name != "xn--caf-dma.example" {
			t.Errorf("%+v", d)
		}
		_, _, err := w.AddDomain(ctx, w.root, 100043, "example.org")
		w.fails(err, fault.Conflict, "people.domaintaken")
		for _, bad := range []string{"", "not a domain", "ana@example.org", "*.example.org", "example.org."} {
			_, _, err := w.AddDomain(ctx, w.root, 100042, bad)
			w.fails(err, fault.Invalid, "people.domain")
		}

		for _, c := range []struct {
			number  int64
			user    store.User
			address string
			want    bool
		}{
			{100042, lea, "lea@example.org", true},
			{100042, lea, "LEA@EXAMPLE.ORG", true},
			{100042, lea, "ana@example.org", false},          // not theirs
			{100042, lea, "lea@sub.example.org", false},      // another domain
			{100042, ceo, "ceo@example.org", false},          // not of the account
			{100043, ceo, "ceo@example.org", false},          // not the account's domain
			{0, store.User{}, "ceo@example.org", false},      // nobody
			{100042, store.User{}, "lea@example.org", false}, // nobody of the account
		} {
			if got := verified(c.number, c.user, c.address); got != c.want {
				t.Errorf("%s of %s for %d: %v", c.address, c.user.Address, c.number, got)
			}
		}

		var names []string
		for _, d := range get[[]store.Domain](w)(w.Domains(ctx, ada.Actor(here), 100042)) {
			names = append(names, d.Name)
		}
		if !slices.Equal(names, []string{"example.org", "xn--caf-dma.example"}) {
			t.Error(names)
		}
		_, err = w.Domains(ctx, ada.Actor(here), 100043)
		w.fails(err, fault.NotFound, "e404.h1")
		w.fails(w.RemoveDomain(ctx, w.root, 100043, "example.org"), fault.NotFound, "e404.h1")
		_, _, err = w.AddDomain(ctx, w.root, 999999, "example.net")
		w.fails(err, fault.NotFound, "e404.h1")
		_, _, err = w.AddDomain(ctx, ada.Actor(here), 100042, "example.net")
		w.fails(err, fault.Denied, "err.forbidden")
		w.ok(w.RemoveDomain(ctx, w.root, 100042, "Example.ORG"))
		if verified(100042, lea, "lea@example.org") {
			t.Error("verified in a domain that was removed")
		}
		add(100043, "example.org")
		if !verified(100043, ceo, "ceo@example.org") {
			t.Error("the account that has the domain now")
		}
		for action, want := range map[string]int{"domain.add": 2, "domain.remove": 1} {
			if n := w.audit(100042, action, store.Done); n != want {
				t.Errorf("%d records of %s, want %d", n, action, want)
			}
		}
		if w.audit(100042, "domain.add", store.Refused) != 1 {
			t.Error("no record of the refusal")
		}
	})
}

// Of two accounts that are given a domain at the same moment one has it.
func TestDomainAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		done := make(chan error, 2)
		for _, n := range []int64{100042, 100043} {
			go func() {
				_, _, err := w.AddDomain(w.Context(), account.Operator("root"), n, "example.net")
				done <- err
			}()
		}
		a, b := <-done, <-done
		if a != nil {
			a, b = b, a
		}
		w.ok(a)
		w.fails(b, fault.Conflict, "people.domaintaken")
	})
}

// What an account's pages list whole has a bound.
func TestBoundsOfAnAccount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			for i := range 500 {
				if err := tx.InsertDomain(store.Domain{Name: fmt.Sprintf("d%d.example.net", i), AccountID: 100042}); err != nil {
					return err
				}
			}
			for i := range 200 {
				u := store.Upstream{ID: id.New(), AccountID: 100042, Name: fmt.Sprint("relay", i), Kind: "network", Value: fmt.Sprintf("192.0.2.%d", i)}
				if err := tx.InsertUpstream(u); err != nil {
					return err
				}
			}
			return nil
		}))
		_, _, err := w.AddDomain(ctx, w.root, 100042, "more.example")
		w.fails(err, fault.Conflict, "dom.full")
		_, err = w.ClaimDomain(ctx, ada.Actor(here), 100042, "more.example")
		w.fails(err, fault.Conflict, "dom.full")
		_, err = w.AddUpstream(ctx, w.root, 100042, account.NewUpstream{Name: "more", Password: true})
		w.fails(err, fault.Conflict, "people.upstreamsmany")
		_, _, err = w.AddDomain(ctx, w.root, 100043, "more.example")
		w.ok(err)
		_, err = w.AddUpstream(ctx, w.root, 100043, account.NewUpstream{Name: "more", Password: true})
		w.ok(err)
	})
}
