package account_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
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
		want := map[int]string{2: store.RowCreate, 3: store.RowCreate, 4: "ic.badmail", 5: "ic.dup", 6: store.RowUpdate, 7: "people.unavailable", 8: "ic.nogroup", 9: store.RowSame, 10: store.RowCreate}
		rows := get[[]account.ImportRow](w)(w.ImportRows(ctx, a, 100042, v.ID, "", 0, 100))
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
		if v.State != store.JobDone || v.Done != 4 || v.Failed != 0 {
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
		rows := get[[]account.ImportRow](w)(w.ImportRows(ctx, l, 100042, v.ID, "", 0, 10))
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
		var b strings.Builder
		b.WriteString("email\n")
		for i := range 520 {
			fmt.Fprintf(&b, "n%d@example.org\n", i)
		}
		v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{Invite: true}, strings.NewReader(b.String())))
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

func TestImportAllOrNothing(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		v := get[account.ImportView](w)(w.CheckImport(ctx, w.root, 100042, account.Import{AllOr: true}, strings.NewReader("email\na@example.org\nx\n")))
		w.fails(w.StartImport(ctx, w.root, 100042, v.ID), fault.Conflict, "im.allornothing")
		w.ok(w.CancelImport(ctx, w.root, 100042, v.ID))
		for _, c := range []struct{ file, key string }{{"", "im.empty"}, {"email\n", "im.empty"}, {"name\nA\n", "im.noemail"}} {
			_, err := w.CheckImport(ctx, w.root, 100042, account.Import{}, strings.NewReader(c.file))
			w.fails(err, fault.Invalid, c.key)
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
			rows := get[[]account.ImportRow](w)(w.ImportRows(ctx, l, 100042, v.ID, "", 0, 10))
			if rows[0].Key != "ic.beyond" || rows[1].Verdict == store.RowError {
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
