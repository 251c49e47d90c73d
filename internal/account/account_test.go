package account_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// mailbag keeps the letters instead of sending them.
type mailbag struct {
	mu      sync.Mutex
	letters []any
}

func (m *mailbag) put(l any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters = append(m.letters, l)
	return nil
}

func (m *mailbag) Code(_ *store.Tx, l account.CodeLetter) error             { return m.put(l) }
func (m *mailbag) Invitation(_ *store.Tx, l account.InvitationLetter) error { return m.put(l) }
func (m *mailbag) AdminAdded(_ *store.Tx, l account.AdminAddedLetter) error { return m.put(l) }
func (m *mailbag) AccountNotice(_ *store.Tx, l account.AccountLetter) error { return m.put(l) }
func (m *mailbag) Joined(_ *store.Tx, l account.JoinedLetter) error         { return m.put(l) }
func (m *mailbag) AccessRequested(_ *store.Tx, l account.AccessRequestedLetter) error {
	return m.put(l)
}
func (m *mailbag) AccessDecided(_ *store.Tx, l account.AccessDecidedLetter) error { return m.put(l) }
func (m *mailbag) FactorChanged(_ *store.Tx, l account.FactorLetter) error        { return m.put(l) }
func (m *mailbag) PasswordLink(_ *store.Tx, l account.PasswordLinkLetter) error   { return m.put(l) }
func (m *mailbag) WebhookOff(_ *store.Tx, l account.WebhookOffLetter) error       { return m.put(l) }
func (m *mailbag) PasswordChanged(_ *store.Tx, l account.PasswordChangedLetter) error {
	return m.put(l)
}

// last returns the newest letter of type L, and how many there are.
func last[L any](m *mailbag) (l L, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.letters {
		if v, ok := x.(L); ok {
			l, n = v, n+1
		}
	}
	return l, n
}

const (
	good    = "correct horse battery staple" // satisfies the rules
	better  = "Lightning umbrella 7 quarrels"
	temp    = "spare-key-77"
	here    = "192.0.2.10"
	nearby  = "192.0.2.99"
	faraway = "198.51.100.7"
	origin  = "https://pli.example.org"
)

// world is a service with its database, its mail and its clock.
type world struct {
	*testing.T
	*account.Service
	db   *store.DB
	mail *mailbag
	root account.Actor

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{T: t, db: db, mail: &mailbag{}, root: account.Operator("root"), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	db.Now = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}
	w.Service = account.New(account.Config{
		DB: db, Root: masterkeytest.Root(t), Origin: origin, Post: w.mail, Log: slog.New(slog.DiscardHandler), Hash: account.HashCost{Memory: 64, Passes: 1}, Hashers: 4,
		Contact: account.Contact{Name: "Help desk", Address: "help@example.net"},
		Blobs:   get[*blob.Store](w)(blob.New(t.TempDir())), Catalogue: get[*i18n.Catalogue](w)(i18n.Load()),
	})
	account.SetPause(w.Service, 0)
	return w
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(newWorld(t, db)) })
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// fails checks the kind and the key of a fault.
func (w *world) fails(err error, kind fault.Kind, key string) {
	w.Helper()
	if !fault.Is(err, kind) || !fault.HasKey(err, key) {
		w.Fatalf("got %v (kind %d), want kind %d, %s", err, fault.Of(err).Kind, kind, key)
	}
}

func get[T any](w *world) func(T, error) T {
	return func(v T, err error) T {
		w.Helper()
		w.ok(err)
		return v
	}
}

// account makes an account with an administrator who has a password of their own.
func (w *world) account(number int64, admin string) (*account.Session, string) {
	w.Helper()
	ctx := w.Context()
	get[store.Account](w)(w.CreateAccount(ctx, w.root, account.NewAccount{Number: number, Name: "Example Health", Language: "en", TimeZone: "Europe/Paris"}))
	get[account.AdministratorAdded](w)(w.AddAdministrator(ctx, w.root, number, account.NewUser{Address: admin, FirstName: "Ada", LastName: "Min", Password: good, Confirm: good, Own: true}, false))
	return w.signIn(admin, good), w.admins(number).ID
}

func (w *world) admins(number int64) store.Group {
	w.Helper()
	return get[store.Group](w)(w.GroupNamed(w.Context(), w.root, number, "Account Administrators"))
}

func (w *world) signIn(address, password string) *account.Session {
	w.Helper()
	s := get[*account.Session](w)(w.SignIn(w.Context(), w.visit(), address, password, here, "Firefox"))
	s.Origin = here
	return s
}

// reads is the session of somebody who read the code that was mailed to them for it.
func (w *world) reads(s *account.Session) *account.Session {
	w.Helper()
	w.ok(w.SendSignInCode(w.Context(), s, s.User.Address, here))
	l, _ := last[account.CodeLetter](w.mail)
	out := get[*account.Session](w)(w.SignInWithCode(w.Context(), s, l.Code, here, "Firefox"))
	out.Origin = here
	return out
}

func (w *world) visit() *account.Session {
	w.Helper()
	s := get[*account.Session](w)(w.Visit(w.Context(), "Firefox", here))
	s.Origin = here
	return s
}

// proven is a visitor who proved an address, as the key server does it.
func (w *world) proven(address string) *account.Session {
	w.Helper()
	s := w.visit()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
		row, err := tx.FindSession(s.Hash)
		if err != nil {
			return err
		}
		if err := tx.DeleteSession(s.Hash); err != nil {
			return err
		}
		row.Address = address
		return tx.InsertSession(row)
	}))
	s = get[*account.Session](w)(w.Session(w.Context(), s.Token))
	s.Origin = here
	return s
}

// user makes a member of an account with a password of their own.
func (w *world) user(number int64, address string) store.User {
	w.Helper()
	return get[account.Added](w)(w.AddUser(w.Context(), w.root, number, account.NewUser{Address: address, FirstName: "Lea", Password: better, Confirm: better, Own: true})).User
}

func (w *world) dead(s *account.Session) {
	w.Helper()
	_, err := w.Session(context.WithoutCancel(w.Context()), s.Token)
	if !fault.Is(err, fault.Unauthenticated) {
		w.Errorf("the session is still there: %v", err)
	}
}

// audit counts the records of an account by action and outcome.
func (w *world) audit(number int64, action, outcome string) (n int) {
	w.Helper()
	w.ok(w.db.View(w.Context(), func(tx *store.Tx) error {
		n = 0
		rows, err := tx.ListAudit(number, "", 1000)
		for _, r := range rows {
			if r.Action == action && r.Outcome == outcome {
				n++
			}
		}
		return err
	}))
	return n
}

// The seed: an administrator adds a person, who is one at once; and the seed's
// error with what the same page offers.
func TestAddAdministrator(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		w.user(100042, "lea.martin@example.org")
		lea := w.signIn("lea.martin@example.org", better)
		if len(lea.AdminOf) != 0 {
			t.Fatal("an administrator before being added")
		}
		_, err := w.Accounts(ctx, lea.Actor(here), "", 50)
		w.fails(err, fault.Denied, "as.notadmin")

		r := get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, group, "Lea Martin <Lea.Martin@Example.org>", time.Time{}))
		if len(r.Added) != 1 || r.Added[0].Address != "lea.martin@example.org" {
			t.Fatalf("added %+v", r)
		}
		lea = get[*account.Session](w)(w.Session(ctx, lea.Token)) // at their next page
		if len(lea.AdminOf) != 1 || lea.AdminOf[0] != 100042 {
			t.Errorf("administers %v", lea.AdminOf)
		}
		if l, n := last[account.AdminAddedLetter](w.mail); n != 2 || l.To.Canonical() != "lea.martin@example.org" {
			t.Errorf("%d letters, the last %+v", n, l)
		}
		if p := get[account.AccountsPage](w)(w.Accounts(ctx, lea.Actor(here), "", 50)); len(p.Accounts) != 1 || p.Accounts[0].Administrators != 2 {
			t.Errorf("accounts %+v", p)
		}
		r = get[account.AddResult](w)(w.AddMembers(ctx, actor, 100042, group, "lea.martin@example.org", time.Time{}))
		if len(r.Already) != 1 || len(r.Added) != 0 {
			t.Errorf("the second time %+v", r)
		}

		// m.mixed: who exists is added, the others need a decision.
		w.user(100042, "bo@example.org")
		r, err = w.AddMembers(ctx, actor, 100042, group, "bo@example.org, lea.martn@example.org; nobody@example.com\nnonsense", time.Time{})
		w.fails(err, fault.Invalid, "seed.nonexistent")
		if f := fault.Of(err).Fields; len(f) != 1 || f[0].Name != "user" {
			t.Errorf("fields %v", f)
		}
		if len(r.Added) != 1 || len(r.Missing) != 2 || len(r.Bad) != 1 || r.Meant["lea.martn@example.org"] != "lea.martin@example.org" || r.Meant["nobody@example.com"] != "" {
			t.Errorf("mixed %+v", r)
		}
		if n := w.audit(100042, "member.add", store.Done); n != 3 { // with the first administrator
			t.Errorf("%d records of member.add", n)
		}
		_, err = w.AddMembers(ctx, actor, 100042, group, " , ", time.Time{})
		w.fails(err, fault.Invalid, "err.email")
	})
}

// Remedy A of the seed: who enrolled to open an envelope of this account can be
// added; who enrolled for another's cannot, and the answer is the seed's.
func TestAddWhoEnrolled(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		other, theirs := w.account(100043, "eve@example.com")
		slot := w.envelope(100042, "lea@example.net")
		_, err := w.AddMembers(ctx, ada.Actor(here), 100042, group, "lea@example.net", time.Time{})
		w.fails(err, fault.Invalid, "seed.nonexistent")

		lea := get[*account.Session](w)(w.Enrol(ctx, w.proven("lea@example.net"), account.Enrolment{FirstName: "Lea", Password: better, Confirm: better, Language: "fr", TimeZone: "Europe/Paris"}))
		if !lea.SignedIn() || lea.Address != "lea@example.net" || !lea.User.WelcomedAt.IsZero() {
			t.Errorf("enrolled %+v", lea)
		}
		w.ok(w.Welcome(ctx, lea))
		w.ok(w.SavePreferences(ctx, lea, account.Preferences{FirstName: "Léa", LastName: "Martin", Language: "fr", TimeZone: "Europe/Paris", Theme: "dark"}))
		_, err = w.Enrol(ctx, w.proven("lea@example.net"), account.Enrolment{Password: better, Confirm: better})
		w.fails(err, fault.Conflict, "enrol.exists")
		_, err = w.Enrol(ctx, w.visit(), account.Enrolment{Password: better, Confirm: better})
		w.fails(err, fault.Unauthenticated, "sess.p")

		// An account that only addressed her an envelope, which costs a line of a
		// script, is told what it is told of an address that is free.
		w.envelope(100043, "lea@example.net")
		_, free := w.AddMembers(ctx, other.Actor(here), 100043, theirs, "free@example.net", time.Time{})
		w.fails(free, fault.Invalid, "seed.nonexistent")
		r, err := w.AddMembers(ctx, other.Actor(here), 100043, theirs, "lea@example.net", time.Time{})
		w.fails(err, fault.Invalid, "seed.nonexistent")
		if len(r.Added) != 0 || len(r.Meant) != 0 {
			t.Errorf("the other account learnt %+v", r)
		}
		w.opened(slot)
		get[account.AddResult](w)(w.AddMembers(ctx, ada.Actor(here), 100042, group, "lea@example.net", time.Time{}))
		lea = get[*account.Session](w)(w.Session(ctx, lea.Token))
		if len(lea.AdminOf) != 1 || lea.User.Managed || lea.User.Theme != "dark" || lea.User.FirstName != "Léa" || lea.User.WelcomedAt.IsZero() {
			t.Errorf("joined %+v", lea.User)
		}
		// Theirs is no password that an administrator resets, and no login that one destroys.
		_, err = w.ResetPassword(ctx, ada.Actor(here), 100042, lea.UserID, temp, temp)
		w.fails(err, fault.Conflict, "people.unmanaged")
		_, err = w.EditUser(ctx, ada.Actor(here), 100042, lea.UserID, "L", "M", "en")
		w.fails(err, fault.Conflict, "us.editown")
		_, _, err = w.EndSessions(ctx, ada.Actor(here), 100042, lea.UserID)
		w.fails(err, fault.Conflict, "us.signoutown")
		get[store.User](w)(w.DeleteUser(ctx, ada.Actor(here), 100042, lea.UserID))
		w.dead(lea)
		if again := w.signIn("lea@example.net", better); again.User.AccountID != 0 || len(again.AdminOf) != 0 {
			t.Errorf("after leaving %+v", again.User)
		}
	})
}

// envelope writes a message of the account with one recipient, and returns their slot.
func (w *world) envelope(number int64, address string) (slot string) {
	w.Helper()
	slot = id.New()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
		m := store.Message{ID: id.New(), AccountID: number, SenderAddress: "ada@example.org", SealedAt: tx.Now, Carrier: "mail",
			Card: []byte{}, MH: []byte{}, HH: []byte{}, PH: []byte{}, Seal: []byte{}}
		if err := tx.InsertMessage(m); err != nil {
			return err
		}
		return tx.InsertSlot(store.Slot{ID: slot, MessageID: m.ID, Ref: id.NewReference(), Address: address, DisplayAddress: address,
			RH: []byte{}, Wrap: []byte{}, Box: []byte{}, Pop: []byte{}, Delivery: "queued"})
	}))
	return slot
}

// opened counts an opening, as the key server does.
func (w *world) opened(slot string) {
	w.Helper()
	w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error { return tx.CountOpening(store.Slot{ID: slot}, 0) }))
}

// Remedy B of the seed, and AT-42: the temporary password opens one page, is not
// kept, dies with the permanent one, and ends unused after 7 days.
func TestTemporaryPassword(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, group := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		n := account.NewUser{Address: "lea@example.org", FirstName: "Lea", LastName: "Martin", Password: temp, Confirm: temp, EnforceExpiry: true, GroupID: group}
		added := get[account.Added](w)(w.AddUser(ctx, actor, 100042, n))
		if !added.User.Temporary || !added.Group.Builtin {
			t.Errorf("added %+v", added)
		}
		_, err := w.AddUser(ctx, actor, 100042, n)
		w.fails(err, fault.Conflict, "un.exists")

		lea := w.signIn("lea@example.org", temp)
		if lea.Scope != store.ScopeSetPassword || lea.SignedIn() || len(lea.AdminOf) != 0 || lea.Address != "" {
			t.Fatalf("signed in with %+v", lea)
		}
		// I3: the scope can do nothing else.
		_, err = w.Groups(ctx, lea.Actor(here), 100042, "", "", 50)
		w.fails(err, fault.Denied, "err.forbidden")
		forged := account.Actor{Kind: account.KindUser, UserID: lea.UserID, Address: "lea@example.org", Origin: here}
		_, err = w.Groups(ctx, forged, 100042, "", "", 50)
		w.fails(err, fault.Denied, "err.forbidden")
		_, err = w.ChangePassword(ctx, lea, temp, better, better)
		w.fails(err, fault.Unauthenticated, "sess.p")
		w.fails(w.SavePreferences(ctx, lea, account.Preferences{Language: "en", TimeZone: "UTC", Theme: "auto"}), fault.Unauthenticated, "sess.p")
		w.fails(w.RequestAccess(ctx, lea, 100042, store.RightAll, ""), fault.Unauthenticated, "sess.p")

		for _, tt := range []struct{ password, confirm, key string }{
			{temp, temp, "people.short"},
			{better, better + "x", "enrol.mismatch"},
		} {
			_, err = w.SetPassword(ctx, lea, tt.password, tt.confirm)
			w.fails(err, fault.Invalid, tt.key)
		}
		full := get[*account.Session](w)(w.SetPassword(ctx, lea, better, better))
		if full.Scope != store.ScopeFull || len(full.AdminOf) != 1 {
			t.Errorf("after setting it %+v", full)
		}
		w.dead(lea)
		_, err = w.SignIn(ctx, nil, "lea@example.org", temp, here, "")
		w.fails(err, fault.Unauthenticated, "si.bad")
		w.signIn("lea@example.org", better)

		// Reset: signed out everywhere; a long temporary one cannot be kept.
		long := "one long temporary quartz password"
		get[store.User](w)(w.ResetPassword(ctx, actor, 100042, full.UserID, long, long))
		w.dead(full)
		if _, n := last[account.PasswordChangedLetter](w.mail); n != 1 {
			t.Errorf("%d letters about the reset", n)
		}
		lea = w.reads(w.signIn("lea@example.org", long))
		_, err = w.SetPassword(ctx, lea, long, long)
		w.fails(err, fault.Invalid, "people.same")
		w.pass(7*24*time.Hour + time.Second)
		_, err = w.SignIn(ctx, nil, "lea@example.org", long, here, "")
		w.fails(err, fault.Unauthenticated, "people.tempexpired")
		_, err = w.ResetPassword(ctx, w.signIn("ada@example.org", good).Actor(here), 100042, ada.UserID, temp, temp)
		w.fails(err, fault.Conflict, "people.selfreset")
	})
}

// AT-43: a session never gains a right; another token does.
func TestSessionRotates(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		before := w.visit()
		ada := get[*account.Session](w)(w.SignIn(ctx, before, "ada@example.org", good, here, "Firefox"))
		if ada.Hash == before.Hash || string(ada.Nonce) == string(before.Nonce) {
			t.Error("the session did not change")
		}
		w.dead(before)
		second := w.signIn("ada@example.org", good)
		if d := get[[]account.Device](w)(w.Sessions(ctx, ada)); len(d) != 3 {
			t.Errorf("devices %+v", d)
		}
		ada.Origin = here
		changed := get[*account.Session](w)(w.ChangePassword(ctx, ada, good, better, better))
		w.dead(ada)
		w.dead(second)
		_, err := w.ChangePassword(ctx, changed, good, good, good)
		w.fails(err, fault.Invalid, "people.current")
		third := w.signIn("ada@example.org", better)
		if n := get[int](w)(w.SignOutOthers(ctx, changed)); n != 1 {
			t.Errorf("%d others", n)
		}
		w.dead(third)
		w.ok(w.SignOut(ctx, changed))
		w.dead(changed)
	})
}

func TestSessionEnds(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		idle, busy, visitor := w.signIn("ada@example.org", good), w.signIn("ada@example.org", good), w.visit()
		for range 25 {
			w.pass(29 * time.Minute)
			if w.now.Sub(busy.CreatedAt) < account.SessionLimit {
				get[*account.Session](w)(w.Session(ctx, busy.Token))
			}
		}
		w.dead(idle)
		w.dead(busy)
		w.dead(visitor)
	})
}

// AT-41: the rules for a password.
func TestPasswordRules(t *testing.T) {
	each(t, func(w *world) {
		for _, tt := range []struct{ name, password, key string }{
			{"14 characters", "Xq7#vL2!mB9$wZ", "people.short"},
			{"257 characters", strings.Repeat("correct horse ", 19)[:257], "people.long"},
			{"listed", "passwordpassword", "enrol.weak"},
			{"listed with digits", "1password123456789", "enrol.weak"},
			{"the address", "lea.martin@example.net", "people.guessable"},
			{"hardly more than the address", "lea.martin@example.net1", "people.guessable"},
			{"one letter", strings.Repeat("a", 40), "people.guessable"},
			{"keyboard", "qwertyuiop[]asdfghjkl", "people.guessable"},
			{"signs for letters", "p4$$w0rd c0mput3r", "people.guessable"},
			{"64 characters", strings.Repeat("correct horse battery staple! ", 3)[:64], ""},
			{"256 characters", strings.Repeat("seven unrelated quarrels, ", 10)[:256], ""},
			{"emoji and spaces", "🦊 jumps over 7 naïve œufs", ""},
		} {
			_, err := w.Enrol(w.Context(), w.proven("lea.martin@example.net"), account.Enrolment{Password: tt.password, Confirm: tt.password})
			if tt.key != "" {
				if !fault.HasKey(err, tt.key) {
					t.Errorf("%s: got %v, want %s", tt.name, err, tt.key)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			// Never truncated: a twin that differs in its last character is another password.
			_, err = w.SignIn(w.Context(), nil, "lea.martin@example.net", tt.password[:len(tt.password)-1]+"~", here, "")
			w.fails(err, fault.Unauthenticated, "si.bad")
			w.signIn("lea.martin@example.net", tt.password)
			w.ok(w.db.Update(w.Context(), func(tx *store.Tx) error {
				u, err := tx.FindUserByAddress("lea.martin@example.net")
				if err != nil {
					return err
				}
				return tx.DeleteUser(u.ID)
			}))
		}
	})
}
