package account_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// wrongOf is a code that is not the right one.
func wrongOf(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

// guess asks for codes and types wrong ones, from networks that the person never
// used, until it has done so n times or is refused for good; it returns how often it did.
func (w *world) guess(address string, n int) (tried int) {
	w.Helper()
	ctx := w.Context()
	for round := 0; tried < n; round++ {
		from := fmt.Sprintf("203.0.%d.7", round%200)
		s := w.visit()
		if err := w.SendSignInCode(ctx, s, address, from); fault.HasKey(err, "code.toomany") {
			if round > 100 {
				return tried
			}
			w.pass(time.Hour / 6)
			continue
		} else if err != nil {
			w.Fatal(err)
		}
		code := "000000"
		if l, n := last[account.CodeLetter](w.mail); n > 0 {
			code = wrongOf(l.Code)
		}
		for i := 0; i < account.CodeTries && tried < n; i++ {
			if _, err := w.SignInWithCode(ctx, s, code, from, ""); fault.HasKey(err, "code.toomany") {
				break
			}
			tried++
		}
	}
	return tried
}

// AT-51, AT-53: codes cannot be guessed at for ever, and who guesses keeps the
// person out neither of the networks that they use nor for good.
func TestWrongCodes(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org") // signed in from here
		if n := w.guess("ada@example.org", 200); n != account.WrongCodes {
			t.Errorf("%d wrong codes were listened to", n)
		}
		err := w.SendRecoverCode(ctx, w.visit(), "ada@example.org", faraway)
		w.fails(err, fault.TooMany, "code.toomany")

		// From a network of hers, at once; which is a proof, and lifts it everywhere.
		s := w.visit()
		w.ok(w.SendSignInCode(ctx, s, "ada@example.org", nearby))
		l, _ := last[account.CodeLetter](w.mail)
		get[*account.Session](w)(w.SignInWithCode(ctx, s, l.Code, nearby, ""))
		w.pass(time.Hour)
		w.ok(w.SendRecoverCode(ctx, w.visit(), "ada@example.org", faraway))

		// Somebody who was never here waits a day at most, and who does not exist is no different (AT-52).
		for _, address := range []string{"lea@example.org", "nobody@example.org"} {
			if address == "lea@example.org" {
				w.user(100042, address)
			}
			if n := w.guess(address, 200); n != account.WrongCodes {
				t.Errorf("%s: %d wrong codes were listened to", address, n)
			}
			w.fails(w.SendSignInCode(ctx, w.visit(), address, faraway), fault.TooMany, "code.toomany")
			w.pass(24 * time.Hour)
			s = w.visit()
			w.ok(w.SendSignInCode(ctx, s, address, faraway))
		}
		s = w.visit()
		w.ok(w.SendSignInCode(ctx, s, "lea@example.org", faraway))
		l, _ = last[account.CodeLetter](w.mail)
		get[*account.Session](w)(w.SignInWithCode(ctx, s, l.Code, faraway, ""))
	})
}

// The right code is refused too while guessing is stopped, or the last guess would do.
func TestStoppedCodeIsRefused(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		waiting := w.visit()
		w.guess("ada@example.org", account.WrongCodes-1)
		w.pass(time.Hour)
		w.ok(w.SendSignInCode(ctx, waiting, "ada@example.org", faraway))
		right, _ := last[account.CodeLetter](w.mail)
		w.pass(time.Minute)
		w.guess("ada@example.org", 1)
		_, err := w.SignInWithCode(ctx, waiting, right.Code, faraway, "")
		w.fails(err, fault.TooMany, "code.toomany")
	})
}

// Visitors' sessions, which cost nothing to ask for, are neither many nor long.
func TestVisits(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		from := func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }
		var first *account.Session
		for i := range account.VisitsPerNetwork {
			s := get[*account.Session](w)(w.Visit(ctx, "", from(i)))
			if first == nil {
				first = s
			}
		}
		_, err := w.Visit(ctx, "", from(9999))
		w.fails(err, fault.TooMany, "e429.p")
		get[*account.Session](w)(w.Visit(ctx, "", faraway))

		w.pass(account.VisitLimit - time.Second)
		get[*account.Session](w)(w.Session(ctx, first.Token))
		w.pass(time.Second)
		w.dead(first)
		get[*account.Session](w)(w.Visit(ctx, "", from(0)))

		w.account(100042, "ada@example.org")
		if s := w.signIn("ada@example.org", good); s.ExpiresAt.Sub(w.now) != account.SessionLimit {
			t.Errorf("a person's session ends in %v", s.ExpiresAt.Sub(w.now))
		}
	})
}

// AT-52: the answer to a wish for a code takes as long whether or not there is somebody.
func TestSendCodeTakesItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account(100042, "ada@example.org")
	account.SetPause(w.Service, 80*time.Millisecond)
	for _, address := range []string{"ada@example.org", "nobody@example.org"} {
		for name, send := range map[string]func(*account.Session) error{
			"sign in": func(s *account.Session) error { return w.SendSignInCode(w.Context(), s, address, here) },
			"recover": func(s *account.Session) error { return w.SendRecoverCode(w.Context(), s, address, here) },
		} {
			s, begun := w.visit(), time.Now()
			w.ok(send(s))
			if took := time.Since(begun); took < 80*time.Millisecond {
				t.Errorf("%s, %s: %v", name, address, took)
			}
		}
		s := w.visit()
		w.ok(w.SendSignInCode(w.Context(), s, address, here))
		w.pass(11 * time.Minute)
		begun := time.Now()
		_, err := w.SignInWithCode(w.Context(), s, "000000", here, "")
		w.fails(err, fault.Invalid, "code.old")
		if took := time.Since(begun); took < 80*time.Millisecond {
			t.Errorf("an old code, %s: %v", address, took)
		}
		w.pass(time.Hour)
	}
}

// What is searched for may be as long as an address line can be.
func TestLongSearch(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, admins := w.account(100042, "ada@example.org")
		a, long := ada.Actor(here), strings.Repeat("é%_!x", 12000)
		if p := get[account.UsersPage](w)(w.Users(ctx, a, 100042, long, "", "", 10)); len(p.Users) != 0 {
			w.Errorf("found %+v", p.Users)
		}
		get[account.GroupsPage](w)(w.Groups(ctx, a, 100042, long, "", 10))
		get[account.MembersPage](w)(w.Members(ctx, a, 100042, admins, long, "", 10))
		get[[]account.Person](w)(w.Suggest(ctx, a, 100042, long))
	})
}
