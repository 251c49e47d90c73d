package account_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

func (w *world) runJobs() {
	w.Helper()
	for {
		if more := get[bool](w)(w.RunJobs(w.Context())); !more {
			return
		}
	}
}

// fileOf is a file of n people.
func fileOf(n int) io.Reader {
	var b strings.Builder
	b.WriteString("email\n")
	for i := range n {
		fmt.Fprintf(&b, "n%d@example.org\n", i)
	}
	return strings.NewReader(b.String())
}

func TestImport(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		a := ada.Actor(here)
		lea := w.user(100042, "lea@example.org")
		w.user(100043, "ceo@example.com")
		ward := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Ward 3"))
		file := strings.Join([]string{
			"email;prénom;nom;groupes;langue",
			"new1@example.org;Nora;One;Ward 3;fr",               // 2
			"new2@example.org;;;;",                              // 3
			"not an address;X;Y;;",                              // 4
			"NEW1@example.org;Again;;;",                         // 5
			"lea@example.org;Léa;Martin;ward 3;",                // 6
			"ceo@example.com;Boss;;;",                           // 7: of another account
			"new3@example.org;A;B;No such group;",               // 8
			"ada@example.org;Ada;Min;;",                         // 9: nothing to change
			"new4@example.org;=cmd();B;Account Administrators;", // 10
		}, "\r\n")
		v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{File: "people.csv", Update: true}, strings.NewReader(file)))
		if v.State != store.JobReady || v.Total != 9 || v.Separator != ";" || v.Encoding != "UTF-8" {
			t.Errorf("%+v", v)
		}
		want := map[int]string{2: store.RowCreate, 3: store.RowCreate, 4: "ic.badmail", 5: "ic.dup", 6: store.RowUpdate, 7: store.RowCreate, 8: "ic.nogroup", 9: store.RowSame, 10: store.RowCreate}
		rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, "", "", 100)).Rows
		for _, r := range rows {
			got := r.Verdict
			if got == store.RowError {
				got = r.Key
			}
			if got != want[r.Line] {
				t.Errorf("line %d: %s %v, want %s", r.Line, got, r.Args, want[r.Line])
			}
		}
		if _, err := w.UserByAddress(ctx, a, 100042, "new1@example.org"); err == nil {
			t.Error("made before the import was started")
		}
		// Another account's administrator does not know of it.
		_, err := w.Import(ctx, bo.Actor(here), 100042, v.ID)
		w.fails(err, fault.NotFound, "e404.h1")
		_, err = w.Import(ctx, bo.Actor(here), 100043, v.ID)
		w.fails(err, fault.NotFound, "e404.h1")

		w.ok(w.StartImport(ctx, a, 100042, v.ID))
		w.fails(w.StartImport(ctx, a, 100042, v.ID), fault.Conflict, "im.notready")
		w.runJobs()
		v = get[account.ImportView](w)(w.Import(ctx, a, 100042, v.ID))
		if v.State != store.JobDone || v.Done != 4 || v.Failed != 1 {
			t.Errorf("%+v", v.Job)
		}
		n := get[account.UserView](w)(w.UserByAddress(ctx, a, 100042, "new1@example.org"))
		if n.Name() != "Nora One" || n.Language != "fr" || !n.Managed || len(n.Groups) != 1 || n.Groups[0].ID != ward.ID {
			t.Errorf("%+v", n)
		}
		l := get[account.UserView](w)(w.User(ctx, a, 100042, lea.ID))
		if l.Name() != "Léa Martin" || len(l.Groups) != 1 {
			t.Errorf("%+v", l)
		}
		if n := w.audit(100042, "user.add", store.Done); n != 5 { // ada and lea by hand
			t.Errorf("%d records of users", n)
		}
		// That somebody is a user elsewhere is told by the run alone, as by adding them, and recorded.
		failed := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, store.RowFailed, "", 100)).Rows
		if len(failed) != 1 || failed[0].Line != 7 || failed[0].Key != "people.unavailable" || w.audit(100042, "user.add", store.Refused) != 1 {
			t.Errorf("%+v", failed)
		}
		_, err = w.AddUser(ctx, a, 100042, account.NewUser{Address: "ceo@example.com", FirstName: "C", LastName: "O", Password: better, Confirm: better})
		w.fails(err, fault.Conflict, "people.unavailable")
		if n := w.audit(100042, "user.add", store.Refused); n != 2 {
			t.Errorf("%d refusals", n)
		}
	})
}

// What the file may do is what whoever runs it may do at that moment.
func TestImportRights(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		desk := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Help desk"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}}))
		lea := w.user(100042, "lea@example.org")
		_, err := w.AddMembers(ctx, a, 100042, desk.ID, "lea@example.org", time.Time{})
		w.ok(err)
		l := account.Actor{Kind: account.KindUser, UserID: lea.ID, Address: lea.Address, Name: "Lea", Origin: here}
		v := get[account.ImportView](w)(w.CheckImport(ctx, l, 100042, account.Import{File: "x.csv"},
			strings.NewReader("email,groups\nevil@example.org,Account Administrators\nfine@example.org,Help desk\n")))
		rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, l, 100042, v.ID, "", "", 10)).Rows
		if rows[0].Key != "ic.beyond" || rows[1].Verdict != store.RowCreate {
			t.Errorf("%+v", rows)
		}
		w.ok(w.StartImport(ctx, l, 100042, v.ID))
		// She loses the right between the start and the run.
		_, _, err = w.RemoveMember(ctx, a, 100042, desk.ID, lea.ID)
		w.ok(err)
		w.runJobs()
		v = get[account.ImportView](w)(w.Import(ctx, a, 100042, v.ID))
		if v.State != store.JobStopped || v.Reason != "im.norights" || v.Done != 0 {
			t.Errorf("%+v", v.Job)
		}
		_, err = w.UserByAddress(ctx, a, 100042, "fine@example.org")
		w.fails(err, fault.NotFound, "e404.h1")
		user := w.user(100042, "plain@example.org")
		_, err = w.CheckImport(ctx, account.Actor{Kind: account.KindUser, UserID: user.ID, Origin: here}, 100042, account.Import{}, strings.NewReader("email\na@example.org\n"))
		w.fails(err, fault.Denied, "err.forbidden")
	})
}

func TestImportInvites(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{Invite: true}, fileOf(520)))
		w.ok(w.StartImport(ctx, a, 100042, v.ID))
		w.runJobs()
		v = get[account.ImportView](w)(w.Import(ctx, w.root, 100042, v.ID))
		if v.State != store.JobRunning || v.Done != 500 || v.Reason != "im.waits" {
			t.Errorf("%+v", v.Job)
		}
		w.pass(25 * time.Hour)
		w.runJobs()
		v = get[account.ImportView](w)(w.Import(ctx, w.root, 100042, v.ID))
		if v.State != store.JobDone || v.Done != 520 {
			t.Errorf("%+v", v.Job)
		}
	})
}

// Who was invited often enough is left out and holds up nobody; and while an account
// waits for its own limit, looking at it uses up nothing.
func TestImportInvitesPastOne(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		for range 5 {
			p := get[account.Pending](w)(w.Invite(ctx, a, 100042, "", "often@example.org", time.Time{}))
			get[account.Pending](w)(w.RevokeInvitation(ctx, a, 100042, p.ID))
		}
		_, err := w.Invite(ctx, a, 100042, "", "often@example.org", time.Time{})
		w.fails(err, fault.TooMany, "inv.often")
		var b strings.Builder
		b.WriteString("email\noften@example.org\n")
		for i := range 500 {
			fmt.Fprintf(&b, "n%d@example.org\n", i)
		}
		v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{Invite: true}, strings.NewReader(b.String())))
		w.ok(w.StartImport(ctx, a, 100042, v.ID))
		for range 7 { // with the tries of some hours
			w.runJobs()
			w.pass(time.Hour + time.Second)
		}
		v = get[account.ImportView](w)(w.Import(ctx, w.root, 100042, v.ID))
		rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, w.root, 100042, v.ID, store.RowFailed, "", 10)).Rows
		if v.Reason != "im.waits" || v.Done != 495 || v.Failed != 1 || len(rows) != 1 || rows[0].Key != "inv.often" || rows[0].Args["email"] != "often@example.org" {
			t.Errorf("%+v, %+v", v.Job, rows)
		}
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			c, err := tx.FindThrottle("invite:100042")
			if c.Count != 500 {
				t.Errorf("the account's counter is at %d", c.Count)
			}
			return err
		}))
		w.pass(25 * time.Hour)
		w.runJobs()
		if v = get[account.ImportView](w)(w.Import(ctx, w.root, 100042, v.ID)); v.State != store.JobDone || v.Done != 500 || v.Failed != 1 {
			t.Errorf("%+v", v.Job)
		}
	})
}

func TestImportAllOrNothing(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		v := get[account.ImportView](w)(w.CheckImport(ctx, w.root, 100042, account.Import{AllOr: true}, strings.NewReader("email\na@example.org\nx\n")))
		w.fails(w.StartImport(ctx, w.root, 100042, v.ID), fault.Conflict, "im.allornothing")
		w.ok(w.CancelImport(ctx, w.root, 100042, v.ID))
		if v := get[account.ImportView](w)(w.Import(ctx, w.root, 100042, v.ID)); v.Reason != account.ImportDiscarded || w.audit(100042, "user.import_stop", store.Done) != 1 {
			t.Errorf("an import that never ran: %+v", v.Job)
		}
		// What a check does not tell, or only the end of the file would, is found before anybody is made.
		words, err := i18n.Load()
		w.ok(err)
		w.account(100043, "eve@example.net")
		ada := w.signIn("ada@example.org", good).Actor(here)
		for _, c := range []struct {
			file, key string
			n         int
		}{
			{"email\nb@example.org\neve@example.net\n", "people.unavailable", 1},
			{"email\nb@example.org\nc@example.org\nd@example.org\n", "quota.users", 2},
		} {
			if c.key == "quota.users" {
				w.ok(second(w.SetSettings(ctx, w.root, account.LimitsOf(100042), []account.Setting{{Name: "quota_users", Value: "2"}})))
			}
			v := get[account.ImportView](w)(w.CheckImport(ctx, ada, 100042, account.Import{AllOr: true}, strings.NewReader(c.file)))
			if v.Counts[store.RowError] != 0 {
				t.Fatalf("the check tells %s", c.key)
			}
			refusals := w.audit(100042, "user.add", store.Refused)
			err := w.StartImport(ctx, ada, 100042, v.ID)
			w.fails(err, fault.Conflict, "im.allornothing")
			if n := fault.Of(err).Args["n"]; n != c.n {
				t.Errorf("%s: %v rows", c.key, n)
			}
			rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, ada, 100042, v.ID, store.RowError, "", 10)).Rows
			if len(rows) != c.n || rows[0].Key != c.key || strings.Contains(rows[0].Wrong(words.Printer("en", time.UTC)), "{") {
				t.Errorf("%s: %+v", c.key, rows)
			}
			if c.key == "people.unavailable" && w.audit(100042, "user.add", store.Refused) != refusals+1 {
				t.Error("nobody knows who asked for a user of another account")
			}
			w.runJobs()
			if page := get[account.UsersPage](w)(w.Users(ctx, ada, 100042, "", "", "", 50)); len(page.Users) != 1 {
				t.Errorf("%s: %d users", c.key, len(page.Users))
			}
			w.ok(w.CancelImport(ctx, ada, 100042, v.ID))
		}
		for _, c := range []struct{ file, key string }{{"", "im.empty"}, {"email\n", "im.empty"}, {"name\nA\n", "im.noemail"}} {
			_, err := w.CheckImport(ctx, w.root, 100042, account.Import{}, strings.NewReader(c.file))
			w.fails(err, fault.Invalid, c.key)
		}
	})
}

// An invitation of a row is to all its groups, those of everybody and its own.
func TestImportInvitesToGroups(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		all, night, day := w.group(ada, "All"), w.group(ada, "Night"), w.group(ada, "Day")
		run := func(groups string) {
			v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{Invite: true, GroupID: all.ID}, strings.NewReader("email,first_name,groups,language\nnew@example.net,Zoé,"+groups+",fr\n")))
			w.ok(w.StartImport(ctx, a, 100042, v.ID))
			w.runJobs()
		}
		run("Night; Day")
		_, once := last[account.InvitationLetter](w.mail)
		run("Night")
		letter, twice := last[account.InvitationLetter](w.mail)
		if once != 1 || twice != 1 {
			t.Errorf("%d and %d letters", once, twice)
		}
		if v := get[account.InvitationView](w)(w.Invitation(ctx, letter.Token)); v.FirstName != "Zoé" || v.Language != "fr" || letter.Language != "fr" || len(v.Groups) != 3 {
			t.Errorf("the page begins with %+v", v)
		}
		w.ok(second(w.DeleteGroup(ctx, a, 100042, day.ID)))
		get[*account.Session](w)(w.AcceptInvitation(ctx, w.visit(), letter.Token, account.Enrolment{FirstName: "X", Password: better, Confirm: better}))
		u := get[account.UserView](w)(w.UserByAddress(ctx, w.root, 100042, "new@example.net"))
		if len(u.Groups) != 2 || u.Groups[0].ID != all.ID || u.Groups[1].ID != night.ID {
			t.Errorf("in %+v", u.Groups)
		}
	})
}

// Whoever is a user already is left out without an error, also with groups that
// nobody may fill, so that a list that was taken out can be given back as all or
// nothing; and so is who became one while the file was looked at.
func TestImportLeavesOutUsers(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		for name, invite := range map[string]bool{"plain": false, "invite": true} {
			how := account.Import{AllOr: true, Invite: invite}
			v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, how, strings.NewReader("email,first_name,groups\nada@example.org,Eve,No such group\n"+name+"@example.org,,\n")))
			if rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, store.RowExists, "", 10)).Rows; len(rows) != 1 || rows[0].Key != "" || v.Counts[store.RowError] != 0 || v.Valid() != 1 {
				t.Errorf("%s: %+v, %v", name, rows, v.Counts)
			}
			w.user(100042, name+"@example.org")
			w.ok(w.StartImport(ctx, a, 100042, v.ID))
			w.runJobs()
			v = get[account.ImportView](w)(w.Import(ctx, a, 100042, v.ID))
			if v.State != store.JobDone || v.Done != 0 || v.Failed != 0 || v.Counts[store.RowExists] != 2 {
				t.Errorf("%s: %+v, %v", name, v.Job, v.Counts)
			}
		}
	})
}

// BenchmarkImport takes in people without passwords or letters, beside the floor
// of P10: their rows alone, in the same transactions' size. Rows a second.
func BenchmarkImport(b *testing.B) {
	const n = 20_000
	for engine, db := range storetest.Engines(b) {
		s := account.New(account.Config{DB: db, Root: masterkeytest.Root(b), Origin: origin, Post: &mailbag{}, Log: slog.New(slog.DiscardHandler)})
		ctx, root, number := b.Context(), account.Operator("root"), int64(100042)
		if _, err := s.CreateAccount(ctx, root, account.NewAccount{Number: number, Name: "A", Language: "en", TimeZone: "UTC"}); err != nil {
			b.Fatal(err)
		}
		round := 0
		var file strings.Builder
		next := func() {
			round++
			file.Reset()
			file.WriteString("email,first_name,last_name\n")
			for i := range n {
				fmt.Fprintf(&file, "person%d-%d@example.org,Person,Number %d\n", round, i, i)
			}
		}
		b.Run(engine+"/check", func(b *testing.B) {
			for b.Loop() {
				next()
				if _, err := s.CheckImport(ctx, root, number, account.Import{}, strings.NewReader(file.String())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run(engine+"/import", func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				next()
				v, err := s.CheckImport(ctx, root, number, account.Import{}, strings.NewReader(file.String()))
				if err == nil {
					err = s.StartImport(ctx, root, number, v.ID)
				}
				began := time.Now()
				for more := true; more && err == nil; {
					more, err = s.RunJobs(ctx)
				}
				spent += time.Since(began)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/spent.Seconds(), "rows/s")
		})
		b.Run(engine+"/floor", func(b *testing.B) {
			for b.Loop() {
				round++
				for at := 0; at < n; at += 1000 {
					users := make([]store.User, 1000)
					for i := range users {
						a := fmt.Sprintf("floor%d-%d@example.org", round, at+i)
						users[i] = store.User{ID: id.New(), AccountID: number, Address: a, DisplayAddress: a, State: store.UserActive}
					}
					if err := db.Update(ctx, func(tx *store.Tx) error {
						_, err := tx.InsertUsers(users)
						return err
					}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// A file is no way to pull people to where one has a right over them: who has a
// right over one group's members only does not choose these.
func TestImportPullsNobody(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		desk := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Help desk"))
		ward := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Ward 3"))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}, {Right: store.RightMessages, Scope: ward.ID}}))
		lea := w.user(100042, "lea@example.org")
		bo := w.user(100042, "bo@example.org")
		_, err := w.AddMembers(ctx, a, 100042, desk.ID, "lea@example.org", time.Time{})
		w.ok(err)
		l := account.Actor{Kind: account.KindUser, UserID: lea.ID, Address: lea.Address, Name: "Lea", Origin: here}
		_, err = w.AddMembers(ctx, l, 100042, ward.ID, "bo@example.org", time.Time{})
		w.fails(err, fault.Denied, "rt.beyond")
		over := func() (has bool) {
			w.ok(w.db.View(ctx, func(tx *store.Tx) (err error) {
				has, err = tx.HasRight(lea.ID, 100042, store.RightMessages, bo.ID)
				return err
			}))
			return has
		}

		for name, how := range map[string]account.Import{"by the file": {Update: true}, "by the form": {Update: true, GroupID: ward.ID}} {
			groups := "Ward 3"
			if how.GroupID != "" {
				groups = ""
			}
			v := get[account.ImportView](w)(w.CheckImport(ctx, l, 100042, how, strings.NewReader("email,groups\nbo@example.org,"+groups+"\nnew@example.org,"+groups+"\n")))
			rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, l, 100042, v.ID, "", "", 10)).Rows
			if rows[0].Key != "im.nopull" || rows[1].Verdict == store.RowError {
				w.Errorf("%s: %+v", name, rows)
			}
		}
		// She had the right when the file was looked at, and has not when it runs.
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}, {Right: store.RightMessages}}))
		v := get[account.ImportView](w)(w.CheckImport(ctx, l, 100042, account.Import{Update: true}, strings.NewReader("email,groups\nbo@example.org,Ward 3\n")))
		get[account.GroupRights](w)(w.SetGroupRights(ctx, a, 100042, desk.ID, []store.Grant{{Right: store.RightUsers}, {Right: store.RightMessages, Scope: ward.ID}}))
		w.ok(w.StartImport(ctx, l, 100042, v.ID))
		w.runJobs()
		if v = get[account.ImportView](w)(w.Import(ctx, l, 100042, v.ID)); v.State != store.JobDone || v.Failed != 1 || over() {
			w.Errorf("%+v, over him %v", v.Job, over())
		}
	})
}

// What a file does to people is what is done to them one by one: nobody who is
// locked is put into a group, an invitation of who is made a user ends, what is
// refused and what a token did is on record as such.
func TestImportAsByHand(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		ward := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Ward 3"))
		was, will := w.user(100042, "was@example.org"), w.user(100042, "will@example.org")
		get[store.User](w)(w.BlockUser(ctx, a, 100042, was.ID))
		get[account.Pending](w)(w.Invite(ctx, a, 100042, ward.ID, "new@example.org", time.Time{}))
		get[account.Pending](w)(w.Invite(ctx, a, 100042, "", "new@example.org", time.Time{}))
		letter, _ := last[account.InvitationLetter](w.mail)
		other, _ := w.account(100043, "bo@example.com")
		get[account.Pending](w)(w.Invite(ctx, other.Actor(here), 100043, "", "new@example.org", time.Time{}))
		_, token, err := w.MakeToken(ctx, a, 100042, account.NewToken{Name: "a program", Scopes: []string{store.RightUsers}, Days: 1})
		w.ok(err)
		by := get[*account.Session](w)(w.TokenSession(ctx, token)).Actor(here)

		v := get[account.ImportView](w)(w.CheckImport(ctx, by, 100042, account.Import{Update: true},
			strings.NewReader("email,groups,first_name\nwas@example.org,Ward 3,\nwill@example.org,Ward 3,\nnew@example.org,Ward 3,\nada@example.org,,Eve\n")))
		rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, "", "", 10)).Rows
		if rows[0].Key != "people.blocked" || rows[1].Verdict != store.RowUpdate || rows[3].Key != "rt.above" {
			t.Errorf("%+v", rows)
		}
		if n := w.audit(100042, "user.edit", store.Refused); n != 0 {
			t.Errorf("%d records of what nobody has done yet", n)
		}
		get[store.User](w)(w.BlockUser(ctx, a, 100042, will.ID))
		w.ok(w.StartImport(ctx, by, 100042, v.ID))
		w.runJobs()
		if v = get[account.ImportView](w)(w.Import(ctx, a, 100042, v.ID)); v.State != store.JobDone || v.Done != 1 || v.Job.Failed != 1 {
			t.Errorf("%+v", v.Job)
		}
		if m := get[account.MembersPage](w)(w.Members(ctx, a, 100042, ward.ID, "", "", 10)); len(m.Members) != 1 || len(m.Pending) != 0 {
			t.Errorf("%+v", m)
		}
		if _, err := w.Invitation(ctx, letter.Token); !fault.Is(err, fault.Gone) {
			t.Errorf("the invitation still leads somewhere: %v", err)
		}
		if p := get[account.UsersPage](w)(w.Users(ctx, w.root, 100043, "", account.OnlyInvited, "", 10)); len(p.Pending) != 1 {
			t.Errorf("another account's: %+v", p.Pending)
		}
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			list, err := tx.ListAudit(100042, "", 100)
			n := 0
			for _, r := range list {
				if r.Target == "new@example.org" && r.Detail["job"] == v.ID {
					if n++; r.Detail["token"] != by.TokenID {
						t.Errorf("%s: %v", r.Action, r.Detail)
					}
				}
			}
			if n != 2 {
				t.Errorf("%d records", n)
			}
			return err
		}))

		// Who has come to hold more meanwhile is not touched, which is on record.
		v = get[account.ImportView](w)(w.CheckImport(ctx, by, 100042, account.Import{Update: true}, strings.NewReader("email,first_name\nnew@example.org,Eve\n")))
		w.into(ada, w.admins(100042), "new@example.org")
		w.ok(w.StartImport(ctx, by, 100042, v.ID))
		w.runJobs()
		if n := w.audit(100042, "user.edit", store.Refused); n != 1 {
			t.Errorf("%d records of refusals", n)
		}
	})
}

// The list of imports is read to its end while some begin and others are forgotten;
// a place in another account's is none in it.
func TestImportsPage(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		a := ada.Actor(here)
		job := func(number int64, id, kind string) {
			w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
				return tx.InsertJob(store.Job{ID: id, AccountID: number, Kind: kind, State: store.JobDone, Params: "{}"})
			}))
		}
		for i := range 25 { // some at the same millisecond
			job(100042, fmt.Sprintf("m%02d", i), account.KindImport)
			job(100042, fmt.Sprintf("x%02d", i), account.KindBulk)
			job(100043, fmt.Sprintf("o%02d", i), account.KindImport)
		}
		seen, after, n := map[string]int{}, "", 0
		for {
			p := get[account.ImportsPage](w)(w.Imports(ctx, a, 100042, after, 10))
			for _, v := range p.Imports {
				seen[v.ID]++
			}
			n++
			if after = p.Next; after == "" {
				break
			}
			_, err := w.Imports(ctx, bo.Actor(here), 100043, after, 10)
			w.fails(err, fault.Invalid, "err.cursor")
			last := p.Imports[9].ID
			storetest.Exec(t, w.db, "DELETE FROM jobs WHERE id = '"+last+"'") // the place itself goes
			w.pass(time.Second)
			job(100042, fmt.Sprintf("new%d", n), account.KindImport)
		}
		for i := range 25 {
			if id := fmt.Sprintf("m%02d", i); seen[id] != 1 {
				w.Errorf("%s was listed %d times", id, seen[id])
			}
		}
		if n != 3 || len(seen) != 25 {
			w.Errorf("%d pages, %d imports", n, len(seen))
		}
		_, err := w.Imports(ctx, a, 100042, "x", 10)
		w.fails(err, fault.Invalid, "err.cursor")
	})
}
