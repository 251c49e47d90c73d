package account_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

// A small job of one account is not behind the many rows of another's, whenever
// either began; an archive keeps nobody's rows waiting; and a job that a node has
// is no other's until that node is a minute behind.
func TestJobsTakeTurns(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		large := get[account.ImportView](w)(w.CheckImport(ctx, ada.Actor(here), 100042, account.Import{}, fileOf(2500)))
		w.ok(w.StartImport(ctx, ada.Actor(here), 100042, large.ID))
		done := func() int {
			return get[account.ImportView](w)(w.Import(ctx, w.root, 100042, large.ID)).Done
		}
		turn := func() {
			w.Helper()
			w.pass(time.Second)
			if !get[bool](w)(w.RunJobs(ctx, account.JobsByRows...)) {
				w.Error("nothing waits")
			}
		}
		turn()
		if n := done(); n != 1000 {
			w.Fatalf("%d rows in one turn", n)
		}
		w.pass(time.Second)
		archive := get[account.ArchiveView](w)(w.StartArchive(ctx, w.root, 100043))
		small := get[store.Job](w)(w.StartBulk(ctx, bo.Actor(here), 100043, account.Bulk{Do: account.BulkSignOut}))
		turn() // the import's, which has waited longer
		turn()
		if v := get[account.BulkView](w)(w.Bulk(ctx, w.root, 100043, small.ID)); v.State != store.JobDone || done() != 2000 {
			w.Errorf("after its turn the small one is %s, the large one at %d", v.State, done())
		}

		// A node takes the import and dies.
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			j, err := tx.ClaimJob(tx.Now.Add(time.Minute), store.Due{Kinds: account.JobsByRows})
			if j.ID != large.ID {
				w.Errorf("claimed %s", j.ID)
			}
			return err
		}))
		w.pass(59 * time.Second)
		if get[bool](w)(w.RunJobs(ctx, account.JobsByRows...)) || done() != 2000 {
			w.Error("two nodes are at one job")
		}
		turn()
		if v := get[account.ImportView](w)(w.Import(ctx, w.root, 100042, large.ID)); v.State != store.JobDone || v.Done != 2500 {
			w.Errorf("%+v", v.Job)
		}

		if !get[bool](w)(w.RunJobs(ctx, account.KindArchive)) || !get[account.ArchiveView](w)(w.Archive(ctx, w.root, 100043, archive.ID)).Ready() {
			w.Error("no archive")
		}
	})
}

// Several jobs of one account have together as many turns as one of another.
func TestAccountsTakeTurns(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		var theirs []store.Job
		for range 3 {
			theirs = append(theirs, get[store.Job](w)(w.StartBulk(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkUnblock})))
			w.pass(time.Second)
		}
		mine := get[store.Job](w)(w.StartBulk(ctx, bo.Actor(here), 100043, account.Bulk{Do: account.BulkUnblock}))
		over := func() (n int) {
			for _, j := range theirs {
				if get[account.BulkView](w)(w.Bulk(ctx, w.root, 100042, j.ID)).State == store.JobDone {
					n++
				}
			}
			return n
		}
		for _, want := range []int{1, 1, 2, 3} {
			w.pass(time.Second)
			if !get[bool](w)(w.RunJobs(ctx, account.JobsByRows...)) || over() != want {
				w.Errorf("%d of theirs are done, not %d", over(), want)
			}
		}
		if v := get[account.BulkView](w)(w.Bulk(ctx, w.root, 100043, mine.ID)); v.State != store.JobDone {
			w.Errorf("mine is %s", v.State)
		}
	})
}

// A job that cannot come on is tried again after longer and longer pauses, and in the
// end stopped for a reason that pages show and the log keeps; a try that goes well
// forgets those before it, an interrupted one is none, and another's job is not who
// watches their own one's trouble.
func TestJobGivesUp(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		v := get[account.ImportView](w)(w.CheckImport(ctx, ada.Actor(here), 100042, account.Import{}, fileOf(1500)))
		var row store.JobRow // in the second batch
		set := func(data string) {
			w.Helper()
			w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
				if row.Line == 0 {
					rows, err := tx.ListJobRows(v.ID, "", 1200, 1)
					if err != nil {
						return err
					}
					row = rows[0]
				}
				return tx.SetJobRow(v.ID, store.JobRow{Line: row.Line, Verdict: row.Verdict, Data: data})
			}))
		}
		job := func() (j store.Job) {
			w.Helper()
			w.ok(w.db.View(ctx, func(tx *store.Tx) (err error) { j, err = tx.FindJob(100042, v.ID); return err }))
			return j
		}
		set("{")
		w.ok(w.StartImport(ctx, ada.Actor(here), 100042, v.ID))
		if !get[bool](w)(w.RunJobs(ctx, account.JobsByRows...)) || job().Done != 1000 || job().Attempts != 0 {
			w.Fatalf("%+v", job())
		}
		for n := 1; n < 10; n++ {
			if _, err := w.RunJobs(ctx, account.JobsByRows...); err == nil {
				w.Fatalf("try %d went well", n)
			}
			if j := job(); j.State != store.JobRunning || j.Reason != "job.again" || j.Attempts != n {
				w.Fatalf("after try %d: %+v", n, j)
			}
			pause := time.Duration(n*n) * time.Minute
			w.pass(pause - time.Second)
			if get[bool](w)(w.RunJobs(ctx, account.JobsByRows...)) {
				w.Fatalf("tried again before %v", pause)
			}
			w.pass(2 * time.Second)
		}
		small := get[store.Job](w)(w.StartBulk(ctx, bo.Actor(here), 100043, account.Bulk{Do: account.BulkSignOut}))
		if !get[bool](w)(w.RunJob(ctx, small.ID)) || get[bool](w)(w.RunJob(ctx, small.ID)) || job().Attempts != 9 {
			w.Errorf("who runs their own runs another's: %+v", job())
		}
		gone, cancel := context.WithCancel(ctx)
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.ClaimJob(tx.Now.Add(time.Minute), store.Due{})
			return err
		}))
		cancel()
		w.ok(account.Retry(gone, w.Service, job()))
		if j := job(); j.Attempts != 9 {
			w.Errorf("interrupted: %+v", j)
		}
		if _, err := w.RunJobs(ctx); err == nil {
			w.Error("the last try went well")
		}
		if j := job(); j.State != store.JobStopped || j.Reason != "job.failed" || j.Done != 1000 {
			w.Errorf("in the end: %+v", j)
		}
		if n := w.audit(100042, "job.stop", store.Done); n != 1 {
			w.Errorf("%d records", n)
		}
		if get[bool](w)(w.RunJobs(ctx)) {
			w.Error("it goes on")
		}

		// Mended after some tries, it is as one that never failed.
		ada = w.signIn("ada@example.org", good)
		v = get[account.ImportView](w)(w.CheckImport(ctx, ada.Actor(here), 100042, account.Import{}, strings.NewReader("email\nlate@example.org\n")))
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			rows, err := tx.ListJobRows(v.ID, "", 0, 1)
			if err != nil {
				return err
			}
			row = rows[0]
			return nil
		}))
		set("{")
		w.ok(w.StartImport(ctx, ada.Actor(here), 100042, v.ID))
		if _, err := w.RunJobs(ctx); err == nil {
			w.Error("went well")
		}
		set(row.Data)
		w.pass(2 * time.Minute)
		w.runJobs()
		if j := job(); j.State != store.JobDone || j.Reason != "" || j.Attempts != 0 || j.Done != 1 {
			w.Errorf("%+v", j)
		}

		// Nodes that die of it say nothing, and are counted.
		j := get[store.Job](w)(w.StartBulk(ctx, ada.Actor(here), 100042, account.Bulk{Do: account.BulkUnblock}))
		v.ID = j.ID
		for range 10 {
			get[func() error](w)(account.ClaimJob(ctx, w.Service))
			w.pass(61 * time.Second)
		}
		if !get[bool](w)(w.RunJobs(ctx)) || job().State != store.JobStopped || job().Reason != "job.failed" {
			w.Errorf("%+v", job())
		}
	})
}

// A group that is gone is no right that is gone.
func TestJobSaysWhyItStopped(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		ward := get[store.Group](w)(w.AddGroup(ctx, a, 100042, "Ward"))
		j := get[store.Job](w)(w.StartBulk(ctx, a, 100042, account.Bulk{Do: account.BulkGroup, GroupID: ward.ID}))
		v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{GroupID: ward.ID}, strings.NewReader("email\nx@example.org\n")))
		w.ok(w.StartImport(ctx, a, 100042, v.ID))
		get[store.Group](w)(w.DeleteGroup(ctx, a, 100042, ward.ID))
		w.runJobs()
		if b := get[account.BulkView](w)(w.Bulk(ctx, a, 100042, j.ID)); b.State != store.JobStopped || b.Reason != "bulk.nogroup" {
			w.Errorf("%+v", b.Job)
		}
		rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, store.RowFailed, "", 9)).Rows
		if v = get[account.ImportView](w)(w.Import(ctx, a, 100042, v.ID)); v.State != store.JobDone || len(rows) != 1 || rows[0].Key != "im.nogroup" {
			w.Errorf("%+v, %+v", v.Job, rows)
		}
	})
}
