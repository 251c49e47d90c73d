package account_test

import (
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// AT-51: 100 failures slow the attacker, then stop passwords from networks that
// the person never used; their own network and a mailed code still work.
func TestLockoutLocksNobodyOut(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		w.signIn("lea@example.org", better) // from here, which is known from now on

		attack := func(origin string) (error, bool) {
			_, err := w.SignIn(ctx, nil, "lea@example.org", "wrong", origin, "")
			return err, fault.HasKey(err, "si.locked")
		}
		for i := range 5 {
			if err, locked := attack(faraway); locked {
				t.Fatalf("try %d: %v", i+1, err)
			}
		}
		err, locked := attack("198.51.100.250:4711") // the same network
		if !locked || fault.Of(err).Args["n"] != 1 {
			t.Fatalf("sixth try: %v %v", err, fault.Of(err).Args)
		}
		_, err = w.SignIn(ctx, nil, "lea@example.org", better, faraway, "")
		w.fails(err, fault.TooMany, "si.locked") // right, and too soon
		wait := 1
		for tries := 5; tries < 100; {
			w.pass(time.Duration(wait) * time.Minute)
			if _, locked := attack(faraway); !locked {
				tries++
				continue
			}
			err, _ := attack(faraway)
			wait = fault.Of(err).Args["n"].(int)
			if wait > 15 {
				t.Fatalf("after %d tries a wait of %d minutes", tries, wait)
			}
		}
		w.pass(time.Hour)
		if _, locked := attack(faraway); !locked {
			t.Error("101 failures, and passwords are still taken")
		}
		if _, locked := attack("203.0.113.5"); !locked {
			t.Error("101 failures, and another unknown network goes on guessing")
		}
		// AT-61 is about blocking; this is no blocking: from their own network nothing is slowed.
		s := get[*account.Session](w)(w.SignIn(ctx, nil, "lea@example.org", better, nearby, ""))
		if !s.SignedIn() {
			t.Error("the known network is slowed")
		}

		// A code is never refused for wrong passwords, and lifts what they set.
		for range 6 {
			attack("2001:db8:1:2:3::4")
		}
		if _, locked := attack("2001:db8:1:2::9"); !locked {
			t.Error("a /64 is not one network")
		}
		v := w.visit()
		w.ok(w.SendSignInCode(ctx, v, "Lea@Example.org", "2001:db8:1:2::9"))
		l, _ := last[account.CodeLetter](w.mail)
		s = get[*account.Session](w)(w.SignInWithCode(ctx, v, l.Code, "2001:db8:1:2::9", "Safari"))
		if s.Address != "lea@example.org" || !s.SignedIn() {
			t.Errorf("signed in as %+v", s)
		}
		get[*account.Session](w)(w.SignIn(ctx, nil, "lea@example.org", better, "2001:db8:1:2::9", ""))
	})
}

// AT-52: who is unknown, locked, or of a suspended account is told apart neither
// by the answer nor by the time that it takes.
func TestNoEnumeration(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.account(100043, "eve@example.com")
		w.user(100042, "known@example.org")
		locked := w.user(100042, "locked@example.org")
		w.user(100043, "suspended@example.com")
		get[store.User](w)(w.BlockUser(ctx, w.root, 100042, locked.ID))
		w.ok(w.SuspendAccount(ctx, w.root, 100043))
		people := []string{"known@example.org", "unknown@example.org", "locked@example.org", "suspended@example.com", "not an address"}

		answers := func(do func(who string) error) {
			t.Helper()
			want := ""
			for _, who := range people {
				err := do(who)
				got := fmt.Sprint(err)
				if err != nil {
					got += fmt.Sprint(fault.Of(err).Kind, fault.Of(err).Args, fault.Of(err).Fields)
				}
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("%s: %q, and %s: %q", people[0], want, who, got)
				}
			}
		}
		for i := range 7 { // past the free tries
			answers(func(who string) error {
				_, err := w.SignIn(ctx, nil, who, "wrong", fmt.Sprintf("192.0.%d.1", 2), "")
				if err == nil {
					t.Fatalf("try %d let %s in", i, who)
				}
				return err
			})
		}
		sessions := map[string]*account.Session{}
		for range 7 { // past the limit of codes
			answers(func(who string) error {
				sessions[who] = w.visit()
				return w.SendSignInCode(ctx, sessions[who], who, here)
			})
		}
		for range 6 {
			answers(func(who string) error { _, err := w.SignInWithCode(ctx, sessions[who], "no", here, ""); return err })
		}
		w.pass(2 * time.Hour)
		answers(func(who string) error {
			sessions[who] = w.visit()
			return w.SendRecoverCode(ctx, sessions[who], who, here)
		})
		answers(func(who string) error { _, err := w.Recover(ctx, sessions[who], "1", better, better); return err })
		if _, n := last[account.CodeLetter](w.mail); n != 14 { // whose account is suspended is told so, once they have read theirs
			t.Errorf("%d codes were mailed: want 7 to the known address, and 7 to that of a suspended account", n)
		}
	})
}

// AT-52, the time: the medians of known and unknown addresses lie close together.
func TestNoEnumerationByTime(t *testing.T) {
	each(t, func(w *world) {
		w.SetHashCost(account.HashCost{Memory: 8 * 1024, Passes: 2}) // so that the hash is most of the time
		w.account(100042, "ada@example.org")
		w.user(100042, "known@example.org")
		took := map[string][]time.Duration{}
		for i := range 40 {
			for _, who := range []string{"known@example.org", "unknown@example.org"} {
				start := time.Now()
				_, err := w.SignIn(w.Context(), nil, who, "wrong", fmt.Sprintf("10.0.%d.1", i), "")
				took[who] = append(took[who], time.Since(start))
				w.fails(err, fault.Unauthenticated, "si.bad")
			}
		}
		median := func(who string) time.Duration {
			sort.Slice(took[who], func(i, j int) bool { return took[who][i] < took[who][j] })
			return took[who][len(took[who])/2]
		}
		known, unknown := median("known@example.org"), median("unknown@example.org")
		if ratio := float64(known) / float64(unknown); ratio < 0.5 || ratio > 2 {
			t.Errorf("median %v for a known address, %v for an unknown one", known, unknown)
		}
	})
}

// AT-54: sign-ins at once are bounded in memory by the hashers, and refused
// when the queue is long; all that are answered are answered rightly.
func TestHashFlood(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		var mu sync.Mutex
		kinds := map[fault.Kind]int{}
		var all sync.WaitGroup
		for i := range 400 {
			all.Go(func() {
				_, err := w.SignIn(w.Context(), nil, "ada@example.org", "wrong", fmt.Sprintf("10.%d.%d.1", i/250, i%250), "")
				mu.Lock()
				defer mu.Unlock()
				kinds[fault.Of(err).Kind]++
			})
		}
		all.Wait()
		if kinds[fault.Unauthenticated] == 0 || kinds[fault.Unauthenticated]+kinds[fault.TooMany] != 400 {
			t.Errorf("answers by kind: %v", kinds)
		}
		// AT-51 at once: not one try more than the hard stop got through to the password.
		if kinds[fault.Unauthenticated] > 100 {
			t.Errorf("%d tries of 400 at once were made", kinds[fault.Unauthenticated])
		}
	})
}

// AT-44: another browser, the 6th guess, the 11th minute, a second use and two
// uses at once are refused.
func TestSignInCode(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		code := func(s *account.Session) string {
			w.Helper()
			w.ok(w.SendSignInCode(ctx, s, "ada@example.org", here))
			l, _ := last[account.CodeLetter](w.mail)
			if l.Purpose != store.CodeSignIn || len(l.Code) != 6 || l.To.Canonical() != "ada@example.org" {
				t.Fatalf("letter %+v", l)
			}
			return l.Code
		}
		wrong := func(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }
		in := func(s *account.Session, code string) error {
			_, err := w.SignInWithCode(ctx, s, code, here, "")
			return err
		}

		a, b := w.visit(), w.visit()
		c := code(a)
		w.fails(in(b, c), fault.Invalid, "people.nocode")
		w.fails(in(a, wrong(c)), fault.Invalid, "code.wrong")
		session := get[*account.Session](w)(w.SignInWithCode(ctx, a, c[:3]+"\u00a0"+c[3:], here, ""))
		w.dead(a)
		w.fails(in(a, c), fault.Invalid, "people.nocode")
		w.fails(in(session, c), fault.Invalid, "people.nocode")

		a = w.visit()
		c = code(a)
		for n := 4; n >= 1; n-- {
			err := in(a, "000000x"+wrong(c))
			w.fails(err, fault.Invalid, "code.wrong")
			if fault.Of(err).Args["n"] != n {
				t.Errorf("%v tries left, want %d", fault.Of(err).Args["n"], n)
			}
		}
		w.fails(in(a, ""), fault.TooMany, "people.nocode")
		w.fails(in(a, c), fault.Invalid, "people.nocode")

		a = w.visit()
		c = code(a)
		w.pass(10*time.Minute + time.Second)
		w.fails(in(a, c), fault.Invalid, "code.old")
		l, _ := last[account.CodeLetter](w.mail) // a new one has been sent
		if l.Code == c && l.Until.Before(w.now) {
			t.Error("no new code")
		}
		w.ok(in(a, l.Code))

		w.pass(time.Hour)
		a = w.visit()
		c = code(a)
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() { errs <- in(a, c) }()
		}
		ok := 0
		for range cap(errs) {
			if <-errs == nil {
				ok++
			}
		}
		if ok != 1 {
			t.Errorf("used %d times at once", ok)
		}
		// The code of one purpose is none for the other.
		a = w.visit()
		_, err := w.Recover(ctx, a, code(a), better, better)
		w.fails(err, fault.Invalid, "people.nocode")
	})
}

// AT-53: codes asked for from many addresses: at most 10 letters an hour reach
// one person, and their own network keeps its share.
func TestCodeFlood(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.signIn("ada@example.org", good)
		for i := range 200 {
			err := w.SendRecoverCode(ctx, w.visit(), "ada@example.org", fmt.Sprintf("10.0.%d.1", i))
			if err != nil {
				w.fails(err, fault.TooMany, "code.toomany")
			}
		}
		_, strangers := last[account.CodeLetter](w.mail)
		for range 10 {
			if err := w.SendSignInCode(ctx, w.visit(), "ada@example.org", nearby); err != nil {
				w.fails(err, fault.TooMany, "code.toomany")
			}
		}
		if _, n := last[account.CodeLetter](w.mail); n > 10 || n == strangers {
			t.Errorf("%d letters in an hour, %d of them for strangers", n, strangers)
		}
		w.pass(61 * time.Minute)
		w.ok(w.SendSignInCode(ctx, w.visit(), "ada@example.org", faraway))
	})
}

func TestRecover(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		open := w.signIn("ada@example.org", good)
		v := w.visit()
		w.ok(w.SendRecoverCode(ctx, v, "ada@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		_, err := w.Recover(ctx, v, l.Code, "short", "short")
		w.fails(err, fault.Invalid, "people.short") // the code is not used up by that
		s := get[*account.Session](w)(w.Recover(ctx, v, l.Code, better, better))
		if !s.SignedIn() || s.Address != "ada@example.org" {
			t.Errorf("recovered %+v", s)
		}
		w.dead(open)
		w.dead(v)
		if p, n := last[account.PasswordChangedLetter](w.mail); n != 1 || p.TimeZone != "Europe/Paris" || p.Place != here {
			t.Errorf("%d letters, %+v", n, p)
		}
		_, err = w.SignIn(ctx, nil, "ada@example.org", good, here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		w.signIn("ada@example.org", better)
	})
}

// A hash made at another cost is made again at sign-in.
func TestRehash(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ada@example.org")
		hash := func() (p store.Password) {
			w.ok(w.db.View(w.Context(), func(tx *store.Tx) error {
				u, err := tx.FindUserByAddress("ada@example.org")
				if err != nil {
					return err
				}
				p, err = tx.FindPassword(u.ID)
				return err
			}))
			return p
		}
		before := hash()
		w.signIn("ada@example.org", good)
		if hash() != before {
			t.Error("made again without need")
		}
		w.SetHashCost(account.HashCost{Memory: 128, Passes: 2})
		w.signIn("ada@example.org", good)
		if hash() == before {
			t.Error("not made again")
		}
		w.signIn("ada@example.org", good)
	})
}

// A session keeps the address that was proved in it only for its own person,
// and a password that an administrator typed proves none.
func TestPasswordOfAnAdministratorProvesNoMailbox(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.user(100042, "victim@example.com") // any address can be named
		if s := w.signIn("victim@example.com", better); s.Address != "" {
			t.Errorf("proves %q", s.Address)
		}
		s := get[*account.Session](w)(w.SignIn(ctx, w.proven("other@example.com"), "victim@example.com", better, here, ""))
		if s.Address != "" {
			t.Errorf("proves %q", s.Address)
		}
		s = get[*account.Session](w)(w.SignIn(ctx, w.proven("victim@example.com"), "victim@example.com", better, here, ""))
		if s.Address != "victim@example.com" {
			t.Errorf("lost its proof: %q", s.Address)
		}
	})
}

// AT-49: looking at an invitation, as a link scanner does, changes nothing; the
// person's own click works afterwards, once.
func TestInvitation(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		p := get[account.Pending](w)(w.Invite(ctx, actor, 100042, group, "Lea@Example.net", time.Time{}))
		l, _ := last[account.InvitationLetter](w.mail)
		r, err := w.AddMembers(ctx, actor, 100042, group, "lea@example.net", time.Time{})
		w.ok(err)
		if len(r.Invited) != 1 || r.Invited[0].ID != p.ID {
			t.Errorf("adding who is invited: %+v", r)
		}
		if m := get[account.MembersPage](w)(w.Members(ctx, actor, 100042, group, "", "", 50)); len(m.Pending) != 1 || m.Pending[0].Address != "Lea@example.net" {
			t.Errorf("members %+v", m)
		}
		for range 3 {
			v := get[account.InvitationView](w)(w.Invitation(ctx, l.Token))
			if v.Exists || len(v.Groups) != 1 || !v.Groups[0].Builtin || v.Organisation != "Example Health" || v.Admin != "Ada Min" {
				t.Errorf("view %+v", v)
			}
		}
		_, err = w.AcceptInvitation(ctx, w.visit(), l.Token, account.Enrolment{Password: "short", Confirm: "short"})
		w.fails(err, fault.Invalid, "people.short")
		s := get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), l.Token, account.Enrolment{FirstName: "Lea", Password: better, Confirm: better, Language: "fr"}))
		if !s.SignedIn() || len(s.AdminOf) != 1 || s.Address != "lea@example.net" || s.User.Managed || s.User.Language != "fr" {
			t.Errorf("accepted %+v %+v", s, s.User)
		}
		_, err = w.AcceptInvitation(ctx, w.visit(), l.Token, account.Enrolment{Password: better, Confirm: better})
		w.fails(err, fault.Gone, "inv.over")
		_, err = w.Invitation(ctx, id.NewToken())
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.Invite(ctx, actor, 100042, group, "lea@example.net", time.Time{})
		w.fails(err, fault.Conflict, "un.exists")

		// Sent again, the first link is dead; revoked, both are; and it ends.
		get[account.Pending](w)(w.Invite(ctx, actor, 100042, "", "bo@example.net", time.Time{}))
		first, _ := last[account.InvitationLetter](w.mail)
		p = get[account.Pending](w)(w.Invite(ctx, actor, 100042, "", "bo@example.net", time.Time{}))
		second, _ := last[account.InvitationLetter](w.mail)
		_, err = w.Invitation(ctx, first.Token)
		w.fails(err, fault.NotFound, "e404.h1")
		w.pass(account.InvitationLimit)
		_, err = w.Invitation(ctx, second.Token)
		w.fails(err, fault.Gone, "inv.old")
		actor = w.signIn("ada@example.org", good).Actor(here)
		get[account.Pending](w)(w.ResendInvitation(ctx, actor, 100042, p.ID))
		third, _ := last[account.InvitationLetter](w.mail)
		w.ok(w.DeclineInvitation(ctx, w.visit(), third.Token))
		_, err = w.RevokeInvitation(ctx, actor, 100042, p.ID)
		w.fails(err, fault.NotFound, "e404.h1")

		// A person who has a login keeps it: the link joins, and signs nobody in.
		get[*account.Session](w)(w.Enrol(ctx, w.proven("zoe@example.net"), account.Enrolment{Password: good, Confirm: good}))
		get[account.Pending](w)(w.Invite(ctx, actor, 100042, group, "zoe@example.net", time.Time{}))
		l, _ = last[account.InvitationLetter](w.mail)
		v := w.visit()
		if got := get[*account.Session](w)(w.AcceptInvitation(ctx, v, l.Token, account.Enrolment{})); got.Hash != v.Hash || got.User != nil {
			t.Errorf("the link signed in %+v", got)
		}
		if zoe := w.signIn("zoe@example.net", good); len(zoe.AdminOf) != 1 {
			t.Error("joined, and no administrator")
		}
		// One of another account is told so, after the mailbox is proved.
		w.account(100043, "eve@example.com")
		get[account.Pending](w)(w.Invite(ctx, w.root, 100043, "", "zoe@example.net", time.Time{}))
		l, _ = last[account.InvitationLetter](w.mail)
		_, err = w.AcceptInvitation(ctx, v, l.Token, account.Enrolment{})
		w.fails(err, fault.Conflict, "people.otheraccount")
	})
}
