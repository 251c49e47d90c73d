package account_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// A job whose beginner loses the right in the middle keeps what it has done, and
// one that somebody stopped meanwhile stays stopped by them.
func TestJobStopsWhereItStands(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		dora := w.user(100042, "dora@example.org")
		w.into(ada, w.group(ada, "Helpdesk", store.RightUsers), "dora@example.org")
		by := w.signIn("dora@example.org", better).Actor(here)
		v := get[account.ImportView](w)(w.CheckImport(ctx, by, 100042, account.Import{}, fileOf(1500)))
		w.ok(w.StartImport(ctx, by, 100042, v.ID))
		some := get[func() error](w)(account.ClaimJob(ctx, w.Service))
		w.ok(some())
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, dora.ID))
		w.ok(some())
		v = get[account.ImportView](w)(w.Import(ctx, ada.Actor(here), 100042, v.ID))
		if v.State != store.JobStopped || v.Reason != "im.norights" || v.Done != 1000 || v.Position != 1001 {
			w.Errorf("the import: %+v", v.Job)
		}

		get[store.User](w)(w.UnblockUser(ctx, ada.Actor(here), 100042, dora.ID))
		by = w.signIn("dora@example.org", better).Actor(here)
		j := get[store.Job](w)(w.StartBulk(ctx, by, 100042, account.Bulk{Do: account.BulkUnblock}))
		some = get[func() error](w)(account.ClaimJob(ctx, w.Service))
		w.ok(some())
		w.ok(w.CancelJob(ctx, ada.Actor(here), j.ID))
		get[store.User](w)(w.BlockUser(ctx, ada.Actor(here), 100042, dora.ID))
		w.ok(some())
		b := get[account.BulkView](w)(w.Bulk(ctx, ada.Actor(here), 100042, j.ID))
		if b.State != store.JobStopped || b.Reason != "im.cancelled" || b.Done == 0 || b.After == "" {
			w.Errorf("the act on many: %+v, after %q", b.Job, b.After)
		}
		if n := w.audit(100042, "job.cancel", store.Done); n != 1 {
			w.Errorf("%d records", n)
		}
		w.fails(w.StopBulk(ctx, ada.Actor(here), 100042, j.ID), fault.Conflict, "job.over")
	})
}

// broken is an upload that breaks off.
type broken struct {
	io.Reader
	off func()
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		b.off()
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Of a file that was not read to its end nothing stays but that it was not; of
// those that were read and never taken in, a few. Each reading is on record.
func TestImportsThatNeverRan(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		gone, cancel := context.WithCancel(ctx)
		if _, err := w.CheckImport(gone, a, 100042, account.Import{}, broken{fileOf(20_000), cancel}); err == nil {
			w.Fatal("half a file is taken")
		}
		list := get[account.ImportsPage](w)(w.Imports(ctx, a, 100042, "", 0)).Imports
		if len(list) != 1 || list[0].State != store.JobStopped || list[0].Reason != "im.broken" {
			w.Fatalf("%+v", list)
		}
		w.ok(w.SweepJobs(ctx))
		if rows := get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, list[0].ID, "", "", 10)).Rows; len(rows) != 0 {
			w.Errorf("%d rows of it are kept", len(rows))
		}
		var ids []string
		for range 7 {
			w.pass(time.Second)
			v := get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{}, strings.NewReader("email\nx@example.org\n")))
			ids = append(ids, v.ID)
		}
		w.ok(w.StartImport(ctx, a, 100042, ids[6]))
		w.ok(w.SweepJobs(ctx))
		waiting, discarded := 0, 0
		for _, v := range get[account.ImportsPage](w)(w.Imports(ctx, a, 100042, "", 0)).Imports {
			rows := len(get[account.ImportRowsPage](w)(w.ImportRows(ctx, a, 100042, v.ID, "", "", 10)).Rows)
			switch {
			case v.State == store.JobReady && rows == 1:
				waiting++
			case v.State == store.JobStopped && v.Reason == account.ImportDiscarded && rows == 0:
				discarded++
			case v.ID != ids[6] && v.ID != list[0].ID:
				w.Errorf("%+v with %d rows", v.Job, rows)
			}
		}
		if waiting != 4 || discarded != 2 {
			w.Errorf("%d wait, %d are discarded", waiting, discarded)
		}
		w.runJobs()
		get[account.ImportView](w)(w.CheckImport(ctx, a, 100042, account.Import{}, strings.NewReader("email\nx@example.org\n")))
		if v := get[account.ImportView](w)(w.Import(ctx, a, 100042, ids[6])); v.State != store.JobDone {
			w.Errorf("%+v", v.Job)
		}
		if n := w.audit(100042, "user.import_check", store.Done); n != 9 {
			w.Errorf("%d records", n)
		}
	})
}
