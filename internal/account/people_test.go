package account_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// A link that an administrator has mailed: one at a time, for a day, once; it
// reaches the mailbox and nobody else, and lets nobody past a second factor.
func TestPasswordLink(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		old := w.signIn("lea@example.org", better)
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		first, _ := last[account.PasswordLinkLetter](w.mail)
		if first.To.Canonical() != "lea@example.org" || first.Admin != "Ada Min" {
			w.Fatalf("%+v", first)
		}
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		second, n := last[account.PasswordLinkLetter](w.mail)
		if n != 2 {
			w.Fatalf("%d letters", n)
		}
		_, err := w.PasswordLink(ctx, first.Token) // an earlier one dies
		w.fails(err, fault.Gone, "link.gone")
		get[store.User](w)(w.PasswordLink(ctx, second.Token))
		if _, err := w.Session(ctx, old.Token); err != nil {
			w.Errorf("a link that nobody used ended a session: %v", err)
		}
		_, err = w.UsePasswordLink(ctx, w.visit(), second.Token, "short", "short")
		w.fails(err, fault.Invalid, "people.short")

		var wg sync.WaitGroup
		won := make(chan *account.Session, 4)
		for range 4 { // once, also at once
			v := w.visit()
			wg.Go(func() {
				if s, err := w.UsePasswordLink(ctx, v, second.Token, good, good); err == nil {
					won <- s
				} else if !fault.HasKey(err, "link.gone") {
					w.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			w.Fatalf("%d used it", len(won))
		}
		if s := <-won; !s.SignedIn() || s.Address != "lea@example.org" {
			w.Errorf("%+v", s)
		}
		w.dead(old)

		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		l, _ := last[account.PasswordLinkLetter](w.mail)
		w.pass(24*time.Hour + time.Second)
		_, err = w.UsePasswordLink(ctx, w.visit(), l.Token, better, better)
		w.fails(err, fault.Gone, "link.gone")

		// Whatever sets the password ends it, and so does blocking.
		ada = w.signIn("ada@example.org", good)
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		l, _ = last[account.PasswordLinkLetter](w.mail)
		get[store.User](w)(w.ResetPassword(ctx, ada.Actor(here), 100042, lea.ID, temp, temp))
		_, err = w.PasswordLink(ctx, l.Token)
		w.fails(err, fault.Gone, "link.gone")
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		l, _ = last[account.PasswordLinkLetter](w.mail)
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, lea.ID))
		_, err = w.UsePasswordLink(ctx, w.visit(), l.Token, better, better)
		w.fails(err, fault.Gone, "link.gone")
		_, err = w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID)
		w.fails(err, fault.Conflict, "people.blocked")

		// A second factor is asked for as ever.
		bo := w.user(100042, "bo@example.org")
		w.factor(bo)
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, bo.ID))
		l, _ = last[account.PasswordLinkLetter](w.mail)
		if s := get[*account.Session](w)(w.UsePasswordLink(ctx, w.visit(), l.Token, good, good)); s.Scope != store.ScopeSecond {
			w.Errorf("past the second factor: %+v", s)
		}
		// Nor does a delegate reach an administrator by it.
		deputies := w.group(ada, "Helpdesk", store.RightUsers)
		w.into(ada, deputies, "bo@example.org")
		_, err = w.SendPasswordLink(ctx, account.Actor{Kind: account.KindUser, UserID: bo.ID, Address: bo.Address}, 100042, ada.UserID)
		w.fails(err, fault.Denied, "rt.above")
	})
}

// factor gives somebody a second factor, as far as the rules see.
func (w *world) factor(u store.User) {
	w.Helper()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
		return tx.InsertPasskey(store.Passkey{ID: id.New(), UserID: u.ID, CredentialID: id.New(), Record: []byte("{}")})
	}))
}

func (w *world) group(by *account.Session, name string, rights ...string) store.Group {
	w.Helper()
	g := get[store.Group](w)(w.AddGroup(w.Context(), by.Actor(here), 100042, name))
	var grants []store.Grant
	for _, r := range rights {
		grants = append(grants, store.Grant{Right: r})
	}
	get[account.GroupRights](w)(w.SetGroupRights(w.Context(), by.Actor(here), 100042, g.ID, grants))
	return g
}

func (w *world) into(by *account.Session, g store.Group, address string) {
	w.Helper()
	get[account.AddResult](w)(w.AddMembers(w.Context(), by.Actor(here), 100042, g.ID, address, time.Time{}))
}

// A delegate who typed somebody's password, and replaced it by one of theirs,
// gets nothing by the rights that the person is given later: not in the session
// that runs, nor by signing in, nor by a factor that they left behind.
func TestTypedPasswordGetsNoRights(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.user(100042, "dora@example.org")
		w.into(ada, w.group(ada, "Helpdesk", store.RightUsers), "dora@example.org")
		dora := w.signIn("dora@example.org", better)
		lea := get[account.Added](w)(w.AddUser(ctx, dora.Actor(here), 100042, account.NewUser{Address: "lea@example.org", Password: temp, Confirm: temp, EnforceExpiry: true})).User
		s := w.signIn("lea@example.org", temp) // by dora, who is there first
		s = get[*account.Session](w)(w.SetPassword(ctx, s, good, good))
		s.Origin = here
		if !s.SignedIn() {
			w.Fatalf("%+v", s)
		}
		w.fails(w.SetUpAuthenticator(ctx, s), fault.Denied, "proof.again") // nor is a factor left behind
		w.user(100042, "lea.old@example.org")
		get[account.Merge](w)(w.ProposeMerge(ctx, ada.Actor(here), 100042, lea.ID, "lea.old@example.org"))
		w.fails(w.SendMergeCodes(ctx, s), fault.Denied, "proof.again")
		w.ok(second(w.CancelMerge(ctx, ada.Actor(here), 100042, lea.ID)))

		w.into(ada, w.admins(100042), "lea@example.org")
		_, err := w.Users(ctx, s.Actor(here), 100042, "", "", "", 5)
		w.fails(err, fault.Denied, "err.forbidden")
		now := get[*account.Session](w)(w.Session(ctx, s.Token))
		if now.Scope != store.ScopeMailbox || now.SignedIn() || len(now.AdminOf) > 0 || now.Actor(here).Kind != account.Nobody {
			w.Errorf("the session that ran: %+v", now)
		}
		_, err = w.ChangePassword(ctx, now, good, better, better)
		w.fails(err, fault.Unauthenticated, "sess.p")
		if in := w.signIn("lea@example.org", good); in.Scope != store.ScopeMailbox {
			w.Errorf("signing in again: %+v", in)
		}

		// Lea reads her mail: she is in, and dora is not. With a password of her own nobody asks again.
		hers := w.reads(w.signIn("lea@example.org", good))
		w.dead(s)
		get[account.UsersPage](w)(w.Users(ctx, hers.Actor(here), 100042, "", "", "", 5))
		if in := w.signIn("lea@example.org", good); in.Scope != store.ScopeMailbox {
			w.Errorf("what dora knows is enough again: %+v", in)
		}
		get[*account.Session](w)(w.ChangePassword(ctx, hers, good, better, better))
		if in := w.signIn("lea@example.org", better); !in.SignedIn() || len(in.AdminOf) != 1 {
			w.Errorf("with her own: %+v", in)
		}
		if u := get[account.UserView](w)(w.User(ctx, w.root, 100042, lea.ID)); u.TypedBy != "" || u.Given {
			w.Errorf("%+v", u.User)
		}
	})
}

// Who needs a second factor and has none sets one up when they sign in next, and
// can do nothing else before; the last administrator too, who always can.
func TestSecondRequired(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		running := w.signIn("lea@example.org", better)
		for range 2 { // the second time changes nothing
			get[store.User](w)(w.RequireSecond(ctx, ada.Actor(here), 100042, lea.ID, true))
		}
		if n := w.audit(100042, "user.require_second", store.Done); n != 1 {
			w.Errorf("%d records", n)
		}
		if _, err := w.Session(ctx, running.Token); err != nil {
			w.Errorf("a session that runs: %v", err)
		}
		s := w.signIn("lea@example.org", better)
		if s.Scope != store.ScopeSetSecond || s.SignedIn() || s.Actor(here).Kind != account.Nobody {
			w.Fatalf("%+v", s)
		}
		_, err := w.Aliases(ctx, s)
		w.fails(err, fault.Unauthenticated, "sess.p")
		_, err = w.ChangePassword(ctx, s, better, good, good)
		w.fails(err, fault.Unauthenticated, "sess.p")
		w.fails(w.SendAliasCode(ctx, s, "x@example.net"), fault.Unauthenticated, "sess.p")
		// A mailed code is no second factor.
		v := w.visit()
		w.ok(w.SendSignInCode(ctx, v, "lea@example.org", here))
		l, _ := last[account.CodeLetter](w.mail)
		if in := get[*account.Session](w)(w.SignInWithCode(ctx, v, l.Code, here, "")); in.Scope != store.ScopeSetSecond {
			w.Errorf("by a mailed code: %+v", in)
		}
		full, _, _ := w.app(s)
		if !full.SignedIn() || full.SecondAt.IsZero() {
			w.Fatalf("%+v", full)
		}
		w.dead(s)
		w.fails(w.RemoveAuthenticator(ctx, full), fault.Conflict, "second.needed")
		get[store.User](w)(w.RequireSecond(ctx, ada.Actor(here), 100042, lea.ID, false))
		w.ok(w.RemoveAuthenticator(ctx, full))
		if in := w.signIn("lea@example.org", better); !in.SignedIn() {
			w.Errorf("not required any more: %+v", in)
		}

		// The last administrator of an account is led there, and gets in.
		get[store.User](w)(w.RequireSecond(ctx, ada.Actor(here), 100042, ada.UserID, true))
		in, _, _ := w.app(w.signIn("ada@example.org", good))
		if len(in.AdminOf) != 1 {
			w.Errorf("%+v", in)
		}
		// Lists know who has none.
		p := get[account.UsersPage](w)(w.Users(ctx, w.root, 100042, "", store.OnlyNoSecond, "", 10))
		if p.Total != 1 || p.Users[0].ID != lea.ID {
			w.Errorf("without a second factor: %+v", p)
		}
	})
}

// A delegate takes back what a delegate asked, and not what somebody asked who
// manages everybody: neither after them nor before them.
func TestDelegateReleasesTheirOwn(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		team := w.group(ada, "Team")
		lea := w.user(100042, "lea@example.org")
		w.into(ada, team, "lea@example.org")
		dora := w.delegate(ada, team, "dora@example.org")
		w.user(100042, "desk@example.org")
		w.into(ada, w.group(ada, "Helpdesk", store.RightUsers), "desk@example.org")
		desk := w.signIn("desk@example.org", better)
		set := func(by account.Actor, required bool) error {
			_, err := w.RequireSecond(ctx, by, 100042, lea.ID, required)
			return err
		}
		w.ok(set(dora.Actor(here), true))
		w.ok(set(dora.Actor(here), false))
		for i, by := range []account.Actor{ada.Actor(here), desk.Actor(here), w.root} {
			for _, first := range []account.Actor{by, dora.Actor(here)} { // who asks it of them first
				w.ok(set(first, true))
				w.ok(set(by, true))
				w.ok(set(dora.Actor(here), true))
				w.fails(set(dora.Actor(here), false), fault.Denied, "fa.releaseabove")
				w.ok(set([]account.Actor{desk.Actor(here), w.root, ada.Actor(here)}[i], false)) // any of them may
			}
		}
		if n := w.audit(100042, "user.require_second", store.Refused); n != 6 {
			w.Errorf("%d records", n)
		}
	})
}

// An account, or the operators for it or for all, ask for a second factor: of
// who holds some right, or of everybody, and not before some days.
func TestSecondBySettings(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.user(100042, "lea@example.org")
		w.user(100042, "dora@example.org")
		w.into(ada, w.group(ada, "Helpdesk", store.RightUsers), "dora@example.org")
		set := func(actor account.Actor, at account.Place, pairs ...string) error {
			var changes []account.Setting
			for i := 0; i < len(pairs); i += 2 {
				changes = append(changes, account.Setting{Name: pairs[i], Value: pairs[i+1]})
			}
			_, err := w.SetSettings(ctx, actor, at, changes)
			return err
		}
		own, by := account.SettingsOf(100042), ada.Actor(here)
		scope := func(address, password, want string) *account.Session {
			w.Helper()
			s := w.signIn(address, password)
			if s.Scope != want {
				w.Errorf("%s: %s, want %s", address, s.Scope, want)
			}
			return s
		}
		w.ok(set(by, own, "second", "administrators"))
		scope("lea@example.org", better, store.ScopeFull)
		scope("dora@example.org", better, store.ScopeSetSecond)
		scope("ada@example.org", good, store.ScopeSetSecond)
		in, _, _ := w.app(scope("ada@example.org", good, store.ScopeSetSecond)) // the last administrator always can
		if !in.SignedIn() || len(in.AdminOf) != 1 {
			w.Fatalf("%+v", in)
		}
		w.fails(w.RemoveAuthenticator(ctx, in), fault.Conflict, "second.needed")
		in.Origin = here
		by = in.Actor(here)

		// With a delay, from the first time that they are asked.
		w.ok(set(by, own, "second", "everybody", "second_grace_days", "3"))
		s := scope("lea@example.org", better, store.ScopeFull)
		if !s.SecondDue() || !s.User.SecondDue.Equal(w.Now().Add(72*time.Hour).Truncate(time.Millisecond)) {
			w.Errorf("%v, due %v", w.Now(), s.User.SecondDue)
		}
		due := s.User.SecondDue
		w.ok(set(by, own, "second_grace_days", "90")) // puts nothing off
		if s := scope("lea@example.org", better, store.ScopeFull); !s.User.SecondDue.Equal(due) {
			w.Errorf("due %v, was %v", s.User.SecondDue, due)
		}
		w.pass(72*time.Hour + time.Second)
		scope("lea@example.org", better, store.ScopeSetSecond)

		// What operators ask for, an account neither loosens nor puts off.
		w.ok(set(w.root, account.LimitsOf(100042), "second", "administrators", "second_grace_days", "1"))
		w.ok(set(w.root, own, "second", "", "second_grace_days", ""))
		scope("lea@example.org", better, store.ScopeFull)
		w.fails(set(w.root, own, "second", "nobody"), fault.Invalid, "po.conflict.word.limits")
		w.fails(set(w.root, own, "second_grace_days", "2"), fault.Invalid, "po.conflict.days.limits")
		w.ok(set(w.root, account.LimitsOf(100042), "second", "", "second_grace_days", ""))
		w.ok(set(w.root, account.OfSite(), "second", "everybody"))
		w.fails(set(w.root, own, "second_grace_days", "90"), fault.Invalid, "po.conflict.days.site")
		w.fails(set(w.root, own, "second_grace_days", "91"), fault.Invalid, "people.setting")
		scope("lea@example.org", better, store.ScopeSetSecond)
		w.ok(set(w.root, account.OfSite(), "second", ""))
		if s := scope("lea@example.org", better, store.ScopeFull); !s.User.SecondDue.IsZero() {
			w.Errorf("nobody asks any more: due %v", s.User.SecondDue)
		}
	})
}

// The least length of a password is the account's, or the site's for who is of
// none, whatever way it is chosen; a temporary one works as long as they say, and
// one that is too old opens one page.
func TestPasswordBySettings(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		lea := w.user(100042, "lea@example.org")
		set := func(at account.Place, name, value string) {
			w.Helper()
			get[account.SettingsView](w)(w.SetSettings(ctx, w.root, at, []account.Setting{{Name: name, Value: value}}))
		}
		const long = "seven plates rusting by the quiet ford, twice and once"
		set(account.OfSite(), "password_length", "40")
		_, err := w.SetSettings(ctx, w.root, account.SettingsOf(100042), []account.Setting{{Name: "password_length", Value: "39"}})
		w.fails(err, fault.Invalid, "po.conflict.least.site")
		set(account.SettingsOf(100042), "password_length", "50")
		short := long[:45]
		refused := func(way string, err error) {
			w.Helper()
			if !fault.HasKey(err, "people.short") || fault.Of(err).Args["n"] != 50 {
				w.Errorf("%s: %v", way, err)
			}
		}
		s := w.signIn("lea@example.org", better) // what was chosen before works on
		_, err = w.ChangePassword(ctx, s, better, short, short)
		refused("change", err)
		_, err = w.AddUser(ctx, ada.Actor(here), 100042, account.NewUser{Address: "new@example.org", Password: short, Confirm: short})
		refused("an administrator's", err)
		_, err = w.AddAdministrator(ctx, w.root, 100042, account.NewUser{Address: "new@example.org", Password: short, Confirm: short}, false)
		refused("the command line's", err)
		get[store.User](w)(w.SendPasswordLink(ctx, ada.Actor(here), 100042, lea.ID))
		l, _ := last[account.PasswordLinkLetter](w.mail)
		_, err = w.UsePasswordLink(ctx, w.visit(), l.Token, short, short)
		refused("link", err)
		v := w.visit()
		w.ok(w.SendRecoverCode(ctx, v, "lea@example.org", here))
		c, _ := last[account.CodeLetter](w.mail)
		_, err = w.Recover(ctx, v, c.Code, short, short)
		refused("recover", err)
		_, err = w.Enrol(ctx, w.proven("out@example.net"), account.Enrolment{FirstName: "O", LastName: "Out", Password: long[:39], Confirm: long[:39]})
		if !fault.HasKey(err, "people.short") || fault.Of(err).Args["n"] != 40 {
			w.Errorf("sign-up: %v", err)
		}
		get[*account.Session](w)(w.Enrol(ctx, w.proven("out@example.net"), account.Enrolment{FirstName: "O", LastName: "Out", Password: short, Confirm: short}))
		get[*account.Session](w)(w.Recover(ctx, v, c.Code, long, long))

		set(account.LimitsOf(100042), "temporary_hours", "2")
		until := func(u store.User) {
			w.Helper()
			if d := u.TemporaryUntil.Sub(w.Now()); d > 2*time.Hour || d < 2*time.Hour-time.Minute {
				w.Errorf("a temporary password works for %v", d)
			}
		}
		until(get[store.User](w)(w.ResetPassword(ctx, ada.Actor(here), 100042, lea.ID, temp, temp)))
		until(get[account.Added](w)(w.AddUser(ctx, ada.Actor(here), 100042, account.NewUser{Address: "new@example.org", Password: temp, Confirm: temp, EnforceExpiry: true})).User)
		s = w.signIn("new@example.org", temp)
		_, err = w.SetPassword(ctx, s, short, short)
		refused("instead of a temporary one", err)
		w.pass(2*time.Hour + time.Second)
		_, err = w.SignIn(ctx, nil, "new@example.org", temp, here, "")
		w.fails(err, fault.Unauthenticated, "people.tempexpired")

		set(account.SettingsOf(100042), "password_days", "30")
		if s := w.signIn("ada@example.org", good); !s.SignedIn() {
			w.Errorf("too early: %+v", s)
		}
		w.pass(30 * 24 * time.Hour)
		s = w.signIn("ada@example.org", good)
		if s.Scope != store.ScopeSetPassword || s.SignedIn() || s.Actor(here).Kind != account.Nobody {
			w.Fatalf("an old password: %+v", s)
		}
		_, err = w.SetPassword(ctx, s, good, good)
		w.fails(err, fault.Invalid, "people.short")
		if s = get[*account.Session](w)(w.SetPassword(ctx, s, long, long)); !s.SignedIn() {
			w.Errorf("%+v", s)
		}
		if s := w.signIn("ada@example.org", long); !s.SignedIn() {
			w.Errorf("%+v", s)
		}
	})
}
