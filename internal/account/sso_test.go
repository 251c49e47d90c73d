package account_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/sso/ssotest"
	"github.com/pli-mail/pli/internal/store"
)

// An organisation's word, on both engines: it links a user by its subject, a
// blocked one does not come in by it, and an answer is taken once.
func TestSSO(t *testing.T) {
	each(t, func(w *world) {
		ctx, idp := w.Context(), ssotest.New(w)
		ada, _ := w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		p := sso.New(sso.Config{Name: "work", Label: "Work", Issuer: idp.URL, ClientID: ssotest.Client, Secret: ssotest.Secret,
			Domains: []string{"example.org"}, Redirect: "https://pli.example/signin/from/work"})
		begin := func(s *account.Session, email, subject string) account.Return {
			code, state := idp.Arrive(w, get[string](w)(w.BeginSSO(ctx, s, p, "/e/ABCDEF")), email, subject)
			token, err := id.ParseToken(state)
			w.ok(err)
			return account.Return{State: token, Code: code}
		}
		finish := func(email, subject string) (*account.Session, error) {
			v := w.visit()
			v.Origin = faraway
			s, next, err := w.FinishSSO(ctx, v, p, begin(v, email, subject))
			if next != "/e/ABCDEF" {
				w.Errorf("goes on at %q", next)
			}
			if err == nil {
				w.dead(v) // AT-43
			}
			return s, err
		}

		s := get[*account.Session](w)(finish("Lea@example.org", "1"))
		if s.User == nil || s.User.Address != "lea@example.org" || s.Address != "lea@example.org" || s.Method != store.MethodOIDC || s.Scope != store.ScopeFull {
			w.Errorf("signed in as %+v", s)
		}
		if n := w.audit(100042, "identity.link", store.Done); n != 1 {
			w.Errorf("%d links recorded", n)
		}
		_, err := finish("lea@example.org", "2")
		w.fails(err, fault.Denied, "sso.other")
		if n := w.audit(0, "session.signin", store.Refused); n != 1 {
			w.Errorf("%d refusals recorded", n)
		}
		s = get[*account.Session](w)(finish("renamed@example.org", "1"))
		if s.User == nil || s.User.Address != "lea@example.org" || s.Address != "" {
			w.Errorf("by the subject: %+v", s)
		}
		v := get[*account.Session](w)(finish("guest@example.org", "3"))
		if v.User != nil || v.Address != "guest@example.org" || v.ExpiresAt.Sub(w.db.Now()) != store.SessionLimit {
			w.Errorf("a visitor: %+v", v)
		}
		// An address that a person proves besides says nothing of who sits there.
		in := w.signIn("lea@example.org", better)
		w.pass(account.FreshLimit)
		in = get[*account.Session](w)(w.Session(ctx, in.Token))
		in.Origin = faraway
		also, _, err := w.FinishSSO(ctx, in, p, begin(in, "guest@example.org", "3"))
		w.ok(err)
		if also.UserID != in.UserID || also.Address != "guest@example.org" || get[bool](w)(w.Fresh(ctx, also)) {
			w.Errorf("somebody else's address proves who may change factors: %+v", also)
		}
		// Nor does a provider that asks nobody anything, or does not say when it did.
		if silent := get[*account.Session](w)(finish("lea@example.org", "1")); !silent.SignedIn() || get[bool](w)(w.Fresh(ctx, silent)) {
			w.Errorf("a silent sign-in proves: %+v", silent)
		}
		for _, c := range []struct {
			ago   time.Duration
			fresh bool
		}{{0, true}, {account.FreshLimit - time.Second, true}, {account.FreshLimit, false}, {-time.Hour, true}} {
			idp.Claims = func(m map[string]any) { m["auth_time"] = w.db.Now().Add(-c.ago).Unix() }
			s := get[*account.Session](w)(finish("lea@example.org", "1"))
			if get[bool](w)(w.Fresh(ctx, s)) != c.fresh || s.CreatedAt.After(w.db.Now()) {
				w.Errorf("proved %s ago: fresh is %t", c.ago, !c.fresh)
			}
		}
		idp.Claims = nil
		// A silent one on top of a proof takes nothing away.
		in = w.signIn("lea@example.org", better)
		in.Origin = faraway
		if also, _, err := w.FinishSSO(ctx, in, p, begin(in, "lea@example.org", "1")); err != nil || !get[bool](w)(w.Fresh(ctx, also)) {
			w.Errorf("a proof forgotten: %v %+v", err, also)
		}
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, s.UserID))
		_, err = finish("lea@example.org", "1")
		w.fails(err, fault.Denied, "sso.failed")

		late := w.visit()
		r := begin(late, "guest@example.org", "3")
		w.pass(15 * time.Minute)
		_, _, err = w.FinishSSO(ctx, late, p, r)
		w.fails(err, fault.Denied, "sso.stale")

		once := w.visit()
		r = begin(once, "guest@example.org", "3")
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, _, err := w.FinishSSO(ctx, once, p, r); err == nil {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if n := taken.Load(); n != 1 {
			w.Errorf("one answer was taken %d times", n)
		}
	})
}
