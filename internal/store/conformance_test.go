package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// The suite: the same rows in, the same rows out, on every engine.

func update(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t *testing.T, db *store.DB, fn func(tx *store.Tx) (T, error)) T {
	t.Helper()
	var out T
	update(t, db, func(tx *store.Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	return out
}

func wantErr(t *testing.T, db *store.DB, want error, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fixed stops the database's clock at noon; the result moves it.
func fixed(db *store.DB) func(time.Duration) {
	now := noon
	db.Now = func() time.Time { return now }
	return func(d time.Duration) { now = now.Add(d) }
}

func addAccount(t *testing.T, db *store.DB, number int64) {
	t.Helper()
	update(t, db, func(tx *store.Tx) error {
		return tx.InsertAccount(store.Account{ID: number, Name: fmt.Sprint("Account ", number), Language: "en", TimeZone: "UTC", State: store.AccountActive})
	})
}

func addUser(t *testing.T, db *store.DB, number int64, address, first, last string) store.User {
	t.Helper()
	u := store.User{ID: id.New(), AccountID: number, Address: address, DisplayAddress: address, FirstName: first, LastName: last,
		Language: "fr", TimeZone: "Europe/Paris", Theme: "auto", NotifyOpened: true, State: store.UserActive}
	update(t, db, func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) })
	return u
}

func addGroup(t *testing.T, db *store.DB, number int64, name string, builtin bool) store.Group {
	t.Helper()
	g := store.Group{ID: id.New(), AccountID: number, Name: name, NameKey: name, Builtin: builtin}
	update(t, db, func(tx *store.Tx) error { return tx.InsertGroup(g) })
	return g
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.NextAccountNumber(100001) }); n != 100001 {
			t.Errorf("first number %d", n)
		}
		for _, n := range []int64{100042, 100007, 100100} {
			addAccount(t, db, n)
		}
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error { return tx.InsertAccount(store.Account{ID: 100042}) })
		a := must(t, db, func(tx *store.Tx) (store.Account, error) { return tx.LockAccount(100042) })
		want := store.Account{ID: 100042, Name: "Account 100042", Language: "en", TimeZone: "UTC", State: "active", Settings: "[{},{},{}]", CreatedAt: noon}
		if d := cmp.Diff(want, a); d != "" {
			t.Error(d)
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindAccount(1); return err })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.SetAccountState(1, "active") })
		list := must(t, db, func(tx *store.Tx) ([]store.Account, error) { return tx.ListAccounts(store.AccountFilter{}, 100007, 1) })
		if len(list) != 1 || list[0].ID != 100042 {
			t.Errorf("page after 100007: %v", list)
		}
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.NextAccountNumber(1) }); n != 100101 {
			t.Errorf("next number %d", n)
		}
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 1)
		addAccount(t, db, 2)
		emile := addUser(t, db, 1, "e.zola@example.org", "Émile", "Zola")
		addUser(t, db, 1, "ana_silva@example.org", "Ana", "Silva")
		addUser(t, db, 1, "anaxsilva@example.org", "Anax", "de la Tour")
		other := addUser(t, db, 2, "ana@example.com", "Ana", "Elsewhere")
		free := addUser(t, db, 0, "lea@example.net", "", "")
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error {
			return tx.InsertUser(store.User{ID: id.New(), Address: "lea@example.net"}, store.Password{})
		})

		got := must(t, db, func(tx *store.Tx) (store.User, error) { return tx.FindUserByAddress("e.zola@example.org") })
		emile.CreatedAt, emile.ChosenAt = noon, noon
		if d := cmp.Diff(emile, got); d != "" {
			t.Error(d)
		}
		if free.Name() != "lea@example.net" || got.Name() != "Émile Zola" {
			t.Errorf("names %q, %q", free.Name(), got.Name())
		}
		search := func(query, only string) string {
			s := ""
			if query == "" {
				for _, u := range must(t, db, func(tx *store.Tx) ([]store.User, error) { return tx.ListUsers(1, only, "", 10) }) {
					s += u.FirstName + " "
				}
				return s
			}
			// One at a time: the cursor neither repeats nor passes anybody over.
			for last := (store.Match{}); ; {
				found := must(t, db, func(tx *store.Tx) ([]store.Match, error) { return tx.SearchUsers(1, query, only, last, 1) })
				if len(found) == 0 {
					return s
				}
				last = found[0]
				s += last.FirstName + " "
			}
		}
		for _, tt := range []struct{ query, only, want string }{
			{"", "", "Ana Anax Émile "},
			{"ANA", "", "Ana Anax "},
			{"ana_", "", "Ana "}, // an underscore is no wildcard
			{"%", "", ""},
			{"émile", "", "Émile "},
			{"Émile", "", "Émile "},
			{"ÉMILE z", "", "Émile "},
			{"emile", "", "Émile "},
			{"a", "", "Ana Anax "},
			{"a", store.OnlyBlocked, ""},
			{" ", "", ""},
			{"zola", "", "Émile "},
			{"ana sil", "", "Ana "},
			{"elsewhere", "", ""}, // AT-59: another account's
			{"", store.OnlyBlocked, ""},
			{"", store.OnlyActive, "Ana Anax Émile "},
		} {
			if got := search(tt.query, tt.only); got != tt.want {
				t.Errorf("search %q %q: %q, want %q", tt.query, tt.only, got, tt.want)
			}
		}
		next := must(t, db, func(tx *store.Tx) ([]store.User, error) {
			return tx.ListUsers(1, "", "ana_silva@example.org", 1)
		})
		if len(next) != 1 || next[0].FirstName != "Anax" {
			t.Errorf("second page: %v", next)
		}

		// States, passwords, preferences.
		until := noon.Add(time.Hour)
		update(t, db, func(tx *store.Tx) error {
			return errors.Join(
				tx.SetPassword(emile.ID, store.Password{Hash: "$x", Temporary: true, TemporaryUntil: until}),
				tx.SetWelcomed(emile.ID), tx.SetSignedIn(emile.ID),
				tx.SetPreferences(store.User{ID: emile.ID, FirstName: "É", LastName: "Z", Language: "en", TimeZone: "UTC", Theme: "dark"}))
		})
		p := must(t, db, func(tx *store.Tx) (store.Password, error) { return tx.FindPassword(emile.ID) })
		if p != (store.Password{Hash: "$x", Temporary: true, TemporaryUntil: until}) {
			t.Errorf("password %+v", p)
		}
		got = must(t, db, func(tx *store.Tx) (store.User, error) { return tx.LockUser(emile.ID) })
		if !got.Temporary || got.Theme != "dark" || got.NotifyOpened || got.WelcomedAt != noon || got.LastSignInAt != noon || got.AccountID != 1 {
			t.Errorf("user %+v", got)
		}
		if s := search("zola", ""); s != "" {
			t.Errorf("found by the name before: %q", s)
		}
		if s := search("", store.OnlyMustChange); s != "É " {
			t.Errorf("must change: %q", s)
		}
		update(t, db, func(tx *store.Tx) error { return tx.SetUserState(emile.ID, store.UserLocked) })
		if s := search("", store.OnlyBlocked); s != "É " {
			t.Errorf("blocked: %q", s)
		}
		n := must(t, db, func(tx *store.Tx) (int, error) { return tx.CountUsers(1, "ana", "") })
		if n != 2 {
			t.Errorf("count %d", n)
		}
		update(t, db, func(tx *store.Tx) error {
			return errors.Join(tx.SetUserAccount(other.ID, 1), tx.SetUserAccount(other.ID, 0), tx.DeleteUser(emile.ID))
		})
		if s := search("elsewhere", "") + search("e", ""); s != "" {
			t.Errorf("found after they left: %q", s)
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.DeleteUser(emile.ID) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.SetSignedIn(emile.ID) })
	})
}

func TestGroups(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 1)
		addAccount(t, db, 2)
		admins := addGroup(t, db, 1, "account administrators", true)
		night, day := addGroup(t, db, 1, "night", false), addGroup(t, db, 1, "day", false)
		foreign := addGroup(t, db, 2, "day", false)
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error {
			return tx.InsertGroup(store.Group{ID: id.New(), AccountID: 1, NameKey: "day"})
		})
		wantErr(t, db, store.ErrTaken, func(tx *store.Tx) error { return tx.RenameGroup(night.ID, "day", "day") })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindGroup(1, foreign.ID); return err }) // AT-59
		list := must(t, db, func(tx *store.Tx) ([]store.Group, error) { return tx.ListGroups(1, "", "", 10) })
		if len(list) != 2 || list[0].ID != day.ID || list[1].ID != night.ID {
			t.Errorf("groups %v", list)
		}
		ana, bo := addUser(t, db, 1, "ana@example.org", "Ana", ""), addUser(t, db, 1, "bo@example.org", "Bo", "")
		add := func(g store.Group, u store.User) bool {
			return must(t, db, func(tx *store.Tx) (bool, error) { return tx.InsertMembership(g.ID, u.ID, time.Time{}) })
		}
		if !add(admins, ana) || add(admins, ana) || !add(admins, bo) || !add(night, bo) {
			t.Error("adding reports the wrong thing")
		}
		g := must(t, db, func(tx *store.Tx) (store.Group, error) { return tx.FindBuiltinGroup(1) })
		if g.ID != admins.ID || !g.Builtin || g.CreatedAt != noon {
			t.Errorf("built-in %+v", g)
		}
		if n := must(t, db, func(tx *store.Tx) (int, error) { return tx.CountMembers(admins.ID) }); n != 2 {
			t.Errorf("%d members", n)
		}
		list = must(t, db, func(tx *store.Tx) ([]store.Group, error) { return tx.ListGroupsCounted(1, "", "", 10) })
		if len(list) != 2 || list[0].Members != 0 || list[1].ID != night.ID || list[1].Members != 1 {
			t.Errorf("counted %v", list)
		}
		members := must(t, db, func(tx *store.Tx) ([]store.Member, error) { return tx.ListMembers(admins.ID, "", "ana@example.org", 5) })
		if len(members) != 1 || members[0].ID != bo.ID {
			t.Errorf("members %v", members)
		}
		of := must(t, db, func(tx *store.Tx) ([]store.Group, error) { return tx.ListGroupsOf(bo.ID) })
		if len(of) != 2 || of[0].ID != admins.ID {
			t.Errorf("groups of bo %v", of)
		}
		is := func(u store.User, number int64) bool {
			return must(t, db, func(tx *store.Tx) (bool, error) { return tx.HasRight(u.ID, number, store.RightUsers, "") })
		}
		if !is(ana, 1) || is(ana, 2) {
			t.Error("ana should administer account 1 only")
		}
		update(t, db, func(tx *store.Tx) error { return tx.SetUserState(ana.ID, store.UserLocked) })
		update(t, db, func(tx *store.Tx) error { return tx.SetPassword(bo.ID, store.Password{Hash: "x", Temporary: true}) })
		if is(ana, 1) || is(bo, 1) {
			t.Error("who is locked, or has a temporary password, administers")
		}
		left := must(t, db, func(tx *store.Tx) ([]store.User, error) { return tx.ListAdministrators(1, 10) })
		if len(left) != 1 || left[0].ID != bo.ID {
			t.Errorf("active administrators %v", left)
		}
		update(t, db, func(tx *store.Tx) error { return tx.DeleteMembership(night.ID, bo.ID) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.DeleteMembership(night.ID, bo.ID) })
		update(t, db, func(tx *store.Tx) error { return tx.DeleteGroup(admins.ID) })
		if of := must(t, db, func(tx *store.Tx) ([]store.Group, error) { return tx.ListGroupsOf(bo.ID) }); len(of) != 0 {
			t.Errorf("membership of a deleted group: %v", of)
		}
	})
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		addAccount(t, db, 1)
		addAccount(t, db, 2)
		g := addGroup(t, db, 1, "day", false)
		in := store.Invitation{ID: id.New(), AccountID: 1, GroupID: g.ID, Address: "lea@example.org", DisplayAddress: "Lea@example.org",
			TokenHash: "t1", InvitedBy: "Ana", ExpiresAt: noon.Add(time.Hour)}
		update(t, db, func(tx *store.Tx) error { return tx.InsertInvitation(in) })
		bare := store.Invitation{ID: id.New(), AccountID: 1, Address: "lea@example.org", TokenHash: "t2", ExpiresAt: noon.Add(time.Hour)}
		update(t, db, func(tx *store.Tx) error { return tx.InsertInvitation(bare) })
		got := must(t, db, func(tx *store.Tx) (store.Invitation, error) { return tx.FindInvitationByToken("t1") })
		in.State, in.CreatedAt = store.InvitationPending, noon
		if d := cmp.Diff(in, got); d != "" {
			t.Error(d)
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindInvitation(2, in.ID); return err }) // AT-59
		find := func(group string) string {
			i, err := store.Invitation{}, error(nil)
			update(t, db, func(tx *store.Tx) error { i, err = tx.FindPendingInvitation(1, group, "lea@example.org"); return nil })
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			return i.ID
		}
		if find(g.ID) != in.ID || find("") != bare.ID {
			t.Error("the pending invitations are not found")
		}
		pass(time.Hour)
		if find(g.ID) != "" {
			t.Error("an invitation that ran out is found")
		}
		update(t, db, func(tx *store.Tx) error {
			return tx.RenewInvitation(store.Invitation{ID: in.ID, TokenHash: "t3", ExpiresAt: noon.Add(3 * time.Hour)})
		})
		if find(g.ID) != in.ID {
			t.Error("a renewed invitation is not found")
		}
		list := must(t, db, func(tx *store.Tx) ([]store.Invitation, error) { return tx.ListGroupInvitations(g.ID, "", "", "", 10) })
		if len(list) != 1 || list[0].TokenHash != "t3" {
			t.Errorf("of the group: %v", list)
		}
		if list = must(t, db, func(tx *store.Tx) ([]store.Invitation, error) { return tx.ListInvitations(1, "LEA", "", "", 10) }); len(list) != 2 {
			t.Errorf("of the account: %v", list)
		}
		update(t, db, func(tx *store.Tx) error { return tx.EndInvitation(in.ID, store.InvitationAccepted) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.EndInvitation(in.ID, store.InvitationDeclined) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error {
			return tx.RenewInvitation(store.Invitation{ID: in.ID, TokenHash: "t4", ExpiresAt: noon})
		})
		update(t, db, func(tx *store.Tx) error { return tx.RevokeInvitations(1, "lea@example.org") })
		if find("") != "" {
			t.Error("a revoked invitation is found")
		}
	})
}

func TestRequests(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 1)
		ana, lea := addUser(t, db, 1, "ana@example.org", "Ana", ""), addUser(t, db, 0, "lea@example.org", "Lea", "")
		r := store.AccessRequest{ID: id.New(), UserID: ana.ID, AccountID: 1, Reason: "I am new"}
		update(t, db, func(tx *store.Tx) error { return tx.InsertRequest(r) })
		update(t, db, func(tx *store.Tx) error { return tx.InsertRequest(store.AccessRequest{ID: id.New(), UserID: lea.ID}) })
		got := must(t, db, func(tx *store.Tx) (store.AccessRequest, error) { return tx.FindPendingRequest(ana.ID, 1) })
		r.State, r.CreatedAt = store.RequestPending, noon
		if d := cmp.Diff(r, got); d != "" {
			t.Error(d)
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindPendingRequest(ana.ID, 0); return err })
		free := must(t, db, func(tx *store.Tx) ([]store.AccessRequest, error) { return tx.ListRequests(0, 0, "", 10) })
		if len(free) != 1 || free[0].UserID != lea.ID {
			t.Errorf("the operator's: %v", free)
		}
		update(t, db, func(tx *store.Tx) error { return tx.EndRequest(r.ID, store.RequestGranted, "Welcome\n<b>in</b>") })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.EndRequest(r.ID, store.RequestRefused, "too late") })
		r.State, r.DecidedAt, r.Word = store.RequestGranted, noon, "Welcome\n<b>in</b>"
		if d := cmp.Diff(r, must(t, db, func(tx *store.Tx) (store.AccessRequest, error) { return tx.FindLastRequest(ana.ID, 1) })); d != "" {
			t.Error(d)
		}
		update(t, db, func(tx *store.Tx) error { return tx.EndRequestsOf(lea.ID, 0, store.RequestRefused) })
		if left := must(t, db, func(tx *store.Tx) ([]store.AccessRequest, error) { return tx.ListRequests(0, 0, "", 10) }); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		addAccount(t, db, 1)
		ana := addUser(t, db, 1, "ana@example.org", "Ana", "")
		visit := store.Session{TokenHash: "v", Scope: store.ScopeVisitor, Nonce: "00", Client: "Firefox", ExpiresAt: noon.Add(time.Hour)}
		update(t, db, func(tx *store.Tx) error { return tx.InsertSession(visit) })
		update(t, db, func(tx *store.Tx) error {
			return errors.Join(tx.InsertPossession("v", "s1", ""), tx.InsertPossession("v", "s1", "d"))
		})
		update(t, db, func(tx *store.Tx) error {
			return tx.InsertCode(store.Code{ID: "c", TokenHash: "v", Purpose: store.CodeSignIn, Address: "ana@example.org", CodeHash: "h", ExpiresAt: noon.Add(time.Minute)})
		})
		// AT-43: what was proved goes over, the old session and its codes end.
		next := store.Session{TokenHash: "n", UserID: ana.ID, Scope: store.ScopeFull, Address: "ana@example.org", Nonce: "01", Client: "Firefox", ExpiresAt: noon.Add(2 * time.Hour)}
		update(t, db, func(tx *store.Tx) error { return tx.RotateSession("v", next) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindSession("v"); return err })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindLiveCode("v", store.CodeSignIn, ""); return err })
		got := must(t, db, func(tx *store.Tx) (store.Session, error) { return tx.LockSession("n") })
		next.CreatedAt, next.SeenAt = noon, noon
		if d := cmp.Diff(next, got); d != "" {
			t.Error(d)
		}
		if n := storetest.Count(t, db, "possessions WHERE token_hash = 'n' AND slot_id = 's1'"); n != 1 {
			t.Error("the possession did not go over")
		}
		pass(time.Minute)
		update(t, db, func(tx *store.Tx) error { return tx.TouchSession("n") })
		second := store.Session{TokenHash: "m", UserID: ana.ID, Scope: store.ScopeFull, ExpiresAt: noon.Add(30 * time.Minute)}
		update(t, db, func(tx *store.Tx) error { return tx.InsertSession(second) })
		if list := must(t, db, func(tx *store.Tx) ([]store.Session, error) { return tx.ListSessions(ana.ID) }); len(list) != 2 {
			t.Errorf("sessions %v", list)
		}
		pass(30 * time.Minute)
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteOldSessions() }); n != 1 {
			t.Errorf("%d old sessions, want 1", n)
		}
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteUserSessions(ana.ID, "n") }); n != 0 {
			t.Errorf("%d others, want 0", n)
		}
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteAccountSessions(1) }); n != 1 {
			t.Errorf("%d sessions of the account, want 1", n)
		}
	})
}

func TestCodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		insert := func(name, slot string) {
			update(t, db, func(tx *store.Tx) error {
				return tx.InsertCode(store.Code{ID: name, TokenHash: "s", Purpose: store.CodeOpen, Address: "a@example.org", SlotID: slot, CodeHash: "h", ExpiresAt: noon.Add(time.Minute)})
			})
			pass(time.Second)
		}
		insert("first", "x")
		insert("second", "x")
		insert("other", "y")
		c := must(t, db, func(tx *store.Tx) (store.Code, error) { return tx.FindLiveCode("s", store.CodeOpen, "x") })
		if c.ID != "second" || c.State != store.CodeLive || c.CreatedAt != noon.Add(time.Second) {
			t.Errorf("live code %+v", c)
		}
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.EndCode("first", store.CodeUsed) })
		for want := 1; want <= 3; want++ {
			if n := must(t, db, func(tx *store.Tx) (int, error) { return tx.CountTry("second") }); n != want {
				t.Errorf("try %d, want %d", n, want)
			}
		}
		update(t, db, func(tx *store.Tx) error { return tx.EndCode("second", store.CodeUsed) })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { return tx.EndCode("second", store.CodeUsed) }) // AT-44: second use
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.CountTry("second"); return err })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindLiveCode("s", store.CodeOpen, "x"); return err })
		wantErr(t, db, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.FindLiveCode("t", store.CodeOpen, "y"); return err }) // AT-44: other browser
		if n := must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteOldCodes(noon.Add(2 * time.Minute)) }); n != 3 {
			t.Errorf("%d old codes", n)
		}
	})
}

// AT-44: of many uses of one code at once, one succeeds.
func TestCodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		update(t, db, func(tx *store.Tx) error {
			return tx.InsertCode(store.Code{ID: "c", TokenHash: "s", Purpose: store.CodeOpen, Address: "a@example.org", CodeHash: "h", ExpiresAt: noon})
		})
		results := make(chan error, 16)
		for range cap(results) {
			go func() {
				results <- db.Update(context.Background(), func(tx *store.Tx) error {
					c, err := tx.FindLiveCode("s", store.CodeOpen, "")
					if err != nil {
						return err
					}
					return tx.EndCode(c.ID, store.CodeUsed)
				})
			}()
		}
		done := 0
		for range cap(results) {
			switch err := <-results; {
			case err == nil:
				done++
			case !errors.Is(err, store.ErrNotFound):
				t.Error(err)
			}
		}
		if done != 1 {
			t.Errorf("used %d times", done)
		}
	})
}

func TestThrottles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		hit := func(name string) (ok bool, wait time.Duration) {
			update(t, db, func(tx *store.Tx) (err error) { ok, wait, err = tx.Hit(name, time.Minute, 2); return err })
			return ok, wait
		}
		for i := range 2 {
			if ok, _ := hit("a"); !ok {
				t.Errorf("hit %d refused", i+1)
			}
			pass(10 * time.Second)
		}
		if ok, wait := hit("a"); ok || wait != 40*time.Second {
			t.Errorf("third hit: %v, %v", ok, wait)
		}
		if ok, _ := hit("b"); !ok {
			t.Error("another name is refused")
		}
		pass(40 * time.Second)
		if ok, _ := hit("a"); !ok {
			t.Error("refused in the next window")
		}
		put := store.Throttle{Name: "x", Count: 7, Since: noon, Until: noon.Add(time.Hour)}
		update(t, db, func(tx *store.Tx) error {
			return errors.Join(tx.PutThrottle(store.Throttle{Name: "x"}), tx.PutThrottle(put))
		})
		if got := must(t, db, func(tx *store.Tx) (store.Throttle, error) { return tx.LockThrottle("x") }); got != put {
			t.Errorf("got %+v", got)
		}
		if got := must(t, db, func(tx *store.Tx) (store.Throttle, error) { return tx.FindThrottle("none") }); got != (store.Throttle{Name: "none"}) {
			t.Errorf("got %+v", got)
		}
		must(t, db, func(tx *store.Tx) (store.Throttle, error) { return tx.LockThrottle("new") })
		pass(30 * time.Minute)
		must(t, db, func(tx *store.Tx) (int64, error) { return tx.DeleteOldThrottles(noon.Add(30 * time.Minute)) })
		if got := must(t, db, func(tx *store.Tx) (store.Throttle, error) { return tx.FindThrottle("x") }); got != put {
			t.Errorf("one that still holds is gone: %+v", got)
		}
		if got := must(t, db, func(tx *store.Tx) (store.Throttle, error) { return tx.FindThrottle("b") }); got.Count != 0 {
			t.Errorf("an old one is left: %+v", got)
		}
		update(t, db, func(tx *store.Tx) error { return tx.DeleteThrottle("x") })
	})
}

// Hits at once are all counted.
func TestHitsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		results := make(chan bool, 40)
		for range cap(results) {
			go func() {
				var ok bool
				err := db.Update(context.Background(), func(tx *store.Tx) (err error) { ok, _, err = tx.Hit("a", time.Hour, 10); return err })
				results <- ok && err == nil
			}()
		}
		n := 0
		for range cap(results) {
			if <-results {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d of 40 allowed, want 10", n)
		}
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fixed(db)
		addAccount(t, db, 1)
		for i := range 5 {
			update(t, db, func(tx *store.Tx) error {
				return tx.InsertAudit(store.AuditRow{AccountID: 1, Actor: "system", Action: "test.act", Target: fmt.Sprint(i % 2), Detail: map[string]string{"n": fmt.Sprint(i)}, Origin: "terminal"})
			})
		}
		update(t, db, func(tx *store.Tx) error {
			return tx.InsertAudit(store.AuditRow{Actor: "system", Action: "test.none", Outcome: store.Refused})
		})
		var all []store.AuditRow
		for before := ""; ; {
			rows := must(t, db, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.ListAudit(1, before, 2) })
			if len(rows) == 0 {
				break
			}
			all = append(all, rows...)
			before = rows[len(rows)-1].ID
		}
		if len(all) != 5 {
			t.Fatalf("%d records", len(all))
		}
		for i, r := range all {
			want := store.AuditRow{ID: r.ID, AccountID: 1, At: noon, Actor: "system", Action: "test.act", Target: fmt.Sprint((4 - i) % 2), Outcome: store.Done,
				Detail: map[string]string{"n": fmt.Sprint(4 - i)}, Origin: "terminal"}
			if d := cmp.Diff(want, r); d != "" {
				t.Error(d)
			}
		}
		none := must(t, db, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.ListAudit(0, "", 10) })
		if len(none) != 1 || none[0].Outcome != store.Refused || len(none[0].Detail) != 0 {
			t.Errorf("of no account: %v", none)
		}
		of := must(t, db, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.ListAuditOf(1, "1", 10) })
		if len(of) != 2 {
			t.Errorf("of one target: %v", of)
		}
	})
}

func TestGrants(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pass := fixed(db)
		addAccount(t, db, 1)
		ward, leads := addGroup(t, db, 1, "ward", false), addGroup(t, db, 1, "leads", false)
		lea, otto := addUser(t, db, 1, "lea@example.org", "Lea", ""), addUser(t, db, 1, "otto@example.org", "Otto", "")
		over, all := store.Grant{Right: store.RightMessages, Scope: ward.ID}, store.Grant{Right: store.RightAudit}
		update(t, db, func(tx *store.Tx) error {
			_, err := tx.InsertMembership(leads.ID, lea.ID, noon.Add(time.Hour))
			return errors.Join(err, tx.InsertGrant(leads.ID, over), tx.InsertGrant(leads.ID, all))
		})
		has := func(right, of string) bool {
			return must(t, db, func(tx *store.Tx) (bool, error) { return tx.HasRight(lea.ID, 1, right, of) })
		}
		if !has(store.RightAudit, "") || !has(store.RightAudit, otto.ID) || has(store.RightMessages, "") || has(store.RightMessages, otto.ID) || has(store.RightUsers, "") {
			t.Error("rights before otto is in the ward")
		}
		update(t, db, func(tx *store.Tx) error { _, err := tx.InsertMembership(ward.ID, otto.ID, time.Time{}); return err })
		if !has(store.RightMessages, otto.ID) || has(store.RightMessages, lea.ID) {
			t.Error("rights over who is in the ward")
		}
		want := []store.Holding{{Grant: all, GroupID: leads.ID, Until: noon.Add(time.Hour)}, {Grant: over, GroupID: leads.ID, Until: noon.Add(time.Hour)}}
		holds := must(t, db, func(tx *store.Tx) ([]store.Holding, error) { return tx.ListHoldings(lea.ID, 1) })
		if d := cmp.Diff(want, holds); d != "" {
			t.Error(d)
		}
		if n := must(t, db, func(tx *store.Tx) ([]int64, error) { return tx.ListHeldAccounts(lea.ID) }); len(n) != 1 || n[0] != 1 {
			t.Errorf("held accounts %v", n)
		}
		pass(time.Hour)
		if has(store.RightAudit, "") {
			t.Error("a right after its end")
		}
		update(t, db, func(tx *store.Tx) error { return tx.RaiseClockMark(tx.Now) })
		pass(-time.Minute)
		if has(store.RightAudit, "") {
			t.Error("a right after its end, with the clock set back")
		}
		update(t, db, func(tx *store.Tx) error { return tx.DeleteGroup(ward.ID) })
		if g := must(t, db, func(tx *store.Tx) ([]store.Grant, error) { return tx.ListGrants(leads.ID) }); len(g) != 1 || g[0] != all {
			t.Errorf("grants after the group that one was confined to: %v", g)
		}
	})
}
