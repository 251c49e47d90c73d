package account_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// loses makes a person with an authenticator, who then signs in with a
// password and says that it is lost. The session is of scope second.
func (w *world) loses(address, password string) (s *account.Session, seed string, codes []string) {
	w.Helper()
	in := w.signIn(address, password)
	if in.Scope == store.ScopeMailbox {
		in = w.reads(in)
	}
	in.Origin = here
	_, seed, codes = w.app(in)
	w.pass(time.Minute)
	s = w.half(address, password)
	s.Origin = here
	w.asks(s)
	return s, seed, codes
}

func (w *world) asks(s *account.Session) {
	w.Helper()
	w.ok(w.SendLiftCode(w.Context(), s))
	l, _ := last[account.CodeLetter](w.mail)
	if l.Purpose != store.CodeLift || l.To.Canonical() != s.User.Address {
		w.Fatalf("the last letter is %+v", l)
	}
	w.ok(w.AskLift(w.Context(), s, l.Code))
}

// told is the last letter about factors.
func (w *world) told(what string) account.FactorLetter {
	w.Helper()
	l, _ := last[account.FactorLetter](w.mail)
	if l.What != what {
		w.Errorf("told %q, not %q", l.What, what)
	}
	return l
}

// A lost factor goes after a code from the mailbox, the word of an administrator
// and a day; before that nothing changes.
func TestLift(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		s, _, codes := w.loses("nina@example.org", better)
		w.told(account.FactorLiftAsked)
		if own := get[*account.Lift](w)(w.OwnLift(ctx, s)); own == nil || own.Approved {
			w.Fatalf("asked %+v", own)
		}
		w.ok(w.SendLiftCode(ctx, s))
		l, _ := last[account.CodeLetter](w.mail)
		w.fails(w.AskLift(ctx, s, l.Code), fault.Conflict, "lift.there")

		// The log's reader, and who has no right over her, decide nothing.
		for _, a := range []account.Actor{h.log, s.Actor(here)} {
			_, err := w.DecideLift(ctx, a, 100042, h.nina.ID, true)
			w.fails(err, fault.Denied, "err.forbidden")
		}
		_, err := w.DecideLift(ctx, w.root, 100042, h.nina.ID, true)
		w.fails(err, fault.Denied, "lift.administrators")
		if list := get[account.LiftsPage](w)(w.Lifts(ctx, h.lead, 100042, "", 50)).Lifts; len(list) != 1 || list[0].User.ID != h.nina.ID {
			w.Errorf("the leader of her ward sees %+v", list)
		}
		get[store.User](w)(w.DecideLift(ctx, h.lead, 100042, h.nina.ID, true))
		w.told(account.FactorLiftApproved)
		_, err = w.DecideLift(ctx, h.ada, 100042, h.nina.ID, true) // replayed
		w.fails(err, fault.Conflict, "lift.none")

		w.pass(account.LiftWait - time.Second)
		w.ok(w.SweepLifts(ctx))
		if half := w.half("nina@example.org", better); half.Scope != store.ScopeSecond {
			w.Errorf("a second early: %+v", half)
		}
		w.pass(time.Second)
		left := w.half("nina@example.org", better)
		w.ok(w.SweepLifts(ctx))
		w.ok(w.SweepLifts(ctx))
		w.dead(left)
		if n := w.audit(100042, "factor.lift_done", store.Done); n != 1 {
			w.Errorf("lifted %d times", n)
		}
		if l := w.told(account.FactorLifted); !l.Stop.IsZero() {
			w.Error("a link that stops what was done")
		}
		in := w.signIn("nina@example.org", better)
		if in.Scope == store.ScopeMailbox {
			in = w.reads(in)
		}
		if f := get[account.Factors](w)(w.Factors(ctx, in)); !in.SignedIn() || f.Any() || f.RecoveryLeft != 0 {
			w.Errorf("afterwards %+v, with %+v", in, f)
		}
		_, err = w.ProveSecond(ctx, in, codes[0])
		w.fails(err, fault.Invalid, "recovery.wrong")
		w.fails(w.SendLiftCode(ctx, in), fault.Conflict, "lift.nothing")
	})
}

// Whoever has the link, or the factor, stops it; a link stops one wish.
func TestLiftStopped(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		for _, a := range []*account.Actor{&h.ada, &h.desk, &h.lead} {
			a.SessionHash = "" // days pass
		}
		s, seed, _ := w.loses("nina@example.org", better)
		first := w.told(account.FactorLiftAsked).Stop
		get[store.User](w)(w.DecideLift(ctx, h.ada, 100042, h.nina.ID, true))
		if w.told(account.FactorLiftApproved).Stop != first {
			w.Error("the link of the first letter stops nothing any more")
		}
		if v := get[*account.Lift](w)(w.LiftOfToken(ctx, first)); v.User.ID != h.nina.ID || get[*account.Lift](w)(w.OwnLift(ctx, s)) == nil {
			w.Errorf("looking at it: %+v", v) // AT-49
		}
		w.fails(w.StopLift(ctx, id.NewToken(), faraway), fault.Gone, "lift.gone")
		w.ok(w.StopLift(ctx, first, faraway))
		w.told(account.FactorLiftCancelled)
		w.fails(w.StopLift(ctx, first, faraway), fault.Gone, "lift.gone")
		w.pass(account.LiftWait)
		w.ok(w.SweepLifts(ctx))
		s = w.half("nina@example.org", better)
		s.Origin = here
		if !get[account.Factors](w)(w.Factors(ctx, s)).Any() {
			w.Fatal("lifted though stopped")
		}

		// Again, approved, and then the phone is found.
		w.asks(s)
		w.fails(w.StopLift(ctx, first, faraway), fault.Gone, "lift.gone")
		get[store.User](w)(w.DecideLift(ctx, h.desk, 100042, h.nina.ID, true))
		get[*account.Session](w)(w.ProveSecond(ctx, s, w.code(seed)))
		w.told(account.FactorLiftCancelled)
		w.pass(account.LiftWait)
		w.ok(w.SweepLifts(ctx))
		if n := w.audit(100042, "factor.lift_done", store.Done); n != 0 {
			w.Error("lifted though its person has it")
		}

		// An administrator's refusal stops it too, also after an approval.
		s = w.half("nina@example.org", better)
		s.Origin = here
		w.asks(s)
		get[store.User](w)(w.DecideLift(ctx, h.lead, 100042, h.nina.ID, true))
		get[store.User](w)(w.DecideLift(ctx, h.ada, 100042, h.nina.ID, false))
		w.told(account.FactorLiftRefused)

		// One that nobody approves is over after a week, and approved no more.
		w.asks(s)
		w.pass(account.LiftAskLimit)
		_, err := w.DecideLift(ctx, h.ada, 100042, h.nina.ID, true)
		w.fails(err, fault.Conflict, "lift.none")
		w.ok(w.SweepLifts(ctx))
		w.told(account.FactorLiftExpired)

		// Nor is the factor of somebody taken who was blocked meanwhile.
		s = w.half("nina@example.org", better)
		s.Origin = here
		w.asks(s)
		get[store.User](w)(w.DecideLift(ctx, h.ada, 100042, h.nina.ID, true))
		get[store.User](w)(w.BlockUser(ctx, h.ada, 100042, h.nina.ID))
		w.pass(account.LiftWait)
		w.ok(w.SweepLifts(ctx))
		if n := w.audit(100042, "factor.lift_done", store.Done); n != 0 {
			w.Error("lifted though blocked")
		}
	})
}

// Nobody approves their own, nor that of who holds more; nobody else asks.
func TestLiftOfAdministrator(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		in := w.signIn("ada@example.org", good)
		in.Origin = here
		ada, _, _ := w.app(in)
		ada.Origin = here
		w.asks(ada)
		_, err := w.DecideLift(ctx, ada.Actor(here), 100042, ada.UserID, true)
		w.fails(err, fault.Denied, "lift.self")
		_, err = w.DecideLift(ctx, h.desk, 100042, ada.UserID, true)
		w.fails(err, fault.Denied, "rt.above")
		_, err = w.DecideLift(ctx, h.desk, 100042, ada.UserID, false)
		w.fails(err, fault.Denied, "rt.above")
		_, err = w.DecideLift(ctx, h.lead, 100042, ada.UserID, true)
		w.fails(err, fault.NotFound, "e404.h1")
		if n := w.audit(100042, "user.lift_factor", store.Refused); n != 3 {
			w.Errorf("%d refusals recorded", n)
		}
		get[store.User](w)(w.DecideLift(ctx, w.root, 100042, ada.UserID, true)) // she is the only one

		// Who only proved the address, or only reads the mailbox code of another, asks nothing.
		v := w.proven("ada@example.org")
		w.fails(w.SendLiftCode(ctx, v), fault.Unauthenticated, "sess.p")
		w.fails(w.AskLift(ctx, v, "000000"), fault.Unauthenticated, "sess.p")
		nina, _, _ := w.loses("nina@example.org", better)
		w.ok(w.SendSignInCode(ctx, nina, "nina@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		otto := w.signIn("otto@example.org", better)
		otto.Origin = here
		w.app(otto)
		half := w.half("otto@example.org", better)
		half.Origin = here
		w.fails(w.AskLift(ctx, half, l.Code), fault.Invalid, "people.nocode") // another purpose, another session

		// Of no account: the operator, from the terminal; nobody of an account.
		zoe := w.enrolled(100042, "zoe@example.net")
		zoe.Origin = here
		zoe, _, _ = w.app(zoe)
		zoe.Origin = here
		w.asks(zoe)
		for _, n := range []int64{0, 100042} {
			_, err = w.DecideLift(ctx, h.desk, n, zoe.UserID, true)
			w.fails(err, fault.NotFound, "e404.h1")
		}
		get[store.User](w)(w.DecideLift(ctx, w.root, 0, zoe.UserID, true))
		w.pass(account.LiftWait)
		w.ok(w.SweepLifts(ctx))
		w.dead(zoe)
	})
}

// Of several at once one asks, one approves, and it is done once or stopped.
func TestLiftAtOnce(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		in := w.signIn("nina@example.org", better)
		in.Origin = here
		w.app(in)
		s := w.half("nina@example.org", better)
		s.Origin = here
		w.ok(w.SendLiftCode(ctx, s))
		l, _ := last[account.CodeLetter](w.mail)
		race := func(do func() error) int32 {
			var done atomic.Int32
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if do() == nil {
						done.Add(1)
					}
				})
			}
			wg.Wait()
			return done.Load()
		}
		if n := race(func() error { return w.AskLift(ctx, s, l.Code) }); n != 1 {
			w.Errorf("asked %d times", n)
		}
		stop := w.told(account.FactorLiftAsked).Stop
		if n := race(func() error { _, err := w.DecideLift(ctx, h.ada, 100042, h.nina.ID, true); return err }); n != 1 {
			w.Errorf("approved %d times", n)
		}
		w.pass(account.LiftWait)
		stopped := make(chan error)
		go func() { stopped <- w.StopLift(ctx, stop, here) }()
		race(func() error { return w.SweepLifts(ctx) })
		was := <-stopped == nil
		done := w.audit(100042, "factor.lift_done", store.Done)
		if was == (done == 1) || done > 1 {
			w.Errorf("stopped: %t, done %d times", was, done)
		}
	})
}

// Requests for access and wishes to be rid of a factor come in pages; a delegate's
// have their people's alone.
func TestRequestsAndLiftsInPages(t *testing.T) {
	each(t, func(w *world) {
		h, ctx := newWard(w), w.Context()
		want := map[string]bool{}
		for i := range 5 {
			address := fmt.Sprintf("p%d@example.org", i)
			w.user(100042, address)
			w.ok(w.RequestAccess(ctx, w.signIn(address, better), 100042, store.RightAudit, ""))
			w.loses(address, better)
			want[address] = true
		}
		var asked, lost []string
		for after := ""; ; {
			p := get[account.RequestsPage](w)(w.Requests(ctx, h.ada, 100042, after, 2))
			for _, q := range p.Requests {
				asked = append(asked, q.User.Address)
			}
			if after = p.Next; after == "" {
				break
			}
		}
		for after := ""; ; {
			p := get[account.LiftsPage](w)(w.Lifts(ctx, h.ada, 100042, after, 2))
			for _, l := range p.Lifts {
				lost = append(lost, l.User.Address)
			}
			if after = p.Next; after == "" {
				break
			}
		}
		for name, got := range map[string][]string{"requests": asked, "lifts": lost} {
			if len(got) != len(want) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(want) {
				t.Errorf("%s in pages: %v", name, got)
			}
		}
		get[account.AddResult](w)(w.AddMembers(ctx, h.ada, 100042, h.ward.ID, "p3@example.org", time.Time{}))
		if p := get[account.LiftsPage](w)(w.Lifts(ctx, h.lead, 100042, "", 50)); len(p.Lifts) != 1 || p.Lifts[0].User.Address != "p3@example.org" {
			t.Errorf("a delegate sees %+v", p.Lifts)
		}
		three := get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "p3@example.org"))
		one := get[account.UserView](w)(w.UserByAddress(ctx, h.ada, 100042, "p1@example.org"))
		if l := get[*account.Lift](w)(w.LiftOf(ctx, h.lead, 100042, three.ID)); l == nil || l.User.ID != three.ID {
			t.Errorf("of one: %+v", l)
		}
		w.fails(second(w.LiftOf(ctx, h.lead, 100042, one.ID)), fault.NotFound, "e404.h1")
		if l := get[*account.Lift](w)(w.LiftOf(ctx, h.ada, 100042, h.otto.ID)); l != nil {
			t.Errorf("of who wishes nothing: %+v", l)
		}
	})
}
