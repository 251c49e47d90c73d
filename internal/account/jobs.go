package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

const (
	jobView   action = "job.view"
	jobCancel action = "job.cancel"
	jobStop   action = "job.stop" // by the service
)

// JobsPage is a page of jobs, the newest first.
type JobsPage struct {
	Jobs []store.Job
	Next string // cursor, "" on the last page
}

// Jobs lists the jobs of the last 30 days: of all accounts for an operator, of
// their own for an administrator.
func (s *Service) Jobs(ctx context.Context, actor Actor, after string, limit int) (out JobsPage, err error) {
	limit = limited(limit)
	number, err := s.home(ctx, actor)
	if err != nil {
		return out, err
	}
	err = s.look(ctx, actor, jobView, number, func(tx *store.Tx, a store.Account) error {
		list := keyset.Of("jobs", number)
		ms, lastID, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListAllJobs(a.ID, time.UnixMilli(ms), lastID, limit+1)
		out.Jobs, out.Next = keyset.Page(list, rows, limit, jobKey)
		return err
	})
	return out, err
}

// jobKey is where a job stands in a list of the newest first.
func jobKey(j store.Job) string { return keyset.Numbered(j.CreatedAt.UnixMilli(), j.ID) }

// rowsOf reads a page of a job's rows, by line; of one verdict, or with "" of all.
func rowsOf(tx *store.Tx, jobID, verdict, after string, limit int) (rows []store.JobRow, next string, err error) {
	list := keyset.Of("rows", jobID)
	line, _, err := list.Numbered(after)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 {
		limit = 50
	}
	if rows, err = tx.ListJobRows(jobID, verdict, int(line), limit+1); err != nil {
		return nil, "", err
	}
	rows, next = keyset.Page(list, rows, limit, func(row store.JobRow) string { return keyset.Numbered(int64(row.Line), "") })
	return rows, next, nil
}

// Job returns one of Jobs.
func (s *Service) Job(ctx context.Context, actor Actor, id string) (j store.Job, err error) {
	number, err := s.home(ctx, actor)
	if err != nil {
		return j, err
	}
	err = s.look(ctx, actor, jobView, number, func(tx *store.Tx, a store.Account) (err error) {
		j, err = findJob(tx, a.ID, id)
		return err
	})
	return j, err
}

// CancelJob stops a job where it stands; what it has done stays. Faults: job.over.
func (s *Service) CancelJob(ctx context.Context, actor Actor, id string) error {
	j, err := s.Job(ctx, actor, id)
	if err != nil {
		return err
	}
	switch j.Kind {
	case KindImport:
		return s.CancelImport(ctx, actor, j.AccountID, id)
	case KindBulk:
		return s.StopBulk(ctx, actor, j.AccountID, id)
	}
	return s.act(ctx, actor, jobCancel, j.AccountID, func(tx *store.Tx, a store.Account) error {
		j, err := tx.LockJob(a.ID, id)
		if err != nil {
			return err
		}
		if j.State == store.JobDone || j.State == store.JobStopped {
			return fault.New(fault.Conflict, "job.over")
		}
		j.State, j.Reason = store.JobStopped, "job.cancelled"
		if err := tx.SetJob(j, time.Time{}); err != nil {
			return err
		}
		return record(tx, actor, jobCancel, a.ID, j.ID, "kind", j.Kind, "done", fmt.Sprint(j.Done))
	})
}

// stop ends a job where it stands, for a reason, also when whoever asks has gone.
// One that is over stays as it is. Of a file that was not read to its end SweepJobs removes the rows.
func (s *Service) stop(ctx context.Context, j store.Job, reason string) error {
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		now, err := tx.LockJob(j.AccountID, j.ID)
		if err != nil || now.State == store.JobDone || now.State == store.JobStopped {
			return err
		}
		return end(tx, now, reason)
	})
}

// end stops a job for a reason. Where it ran, nobody asked for that, and it is on record.
func end(tx *store.Tx, j store.Job, reason string) error {
	ran := j.State == store.JobRunning
	j.State, j.Reason = store.JobStopped, reason
	if err := tx.SetJob(j, time.Time{}); err != nil || !ran {
		return err
	}
	return record(tx, Actor{Kind: KindSystem, Origin: "server"}, jobStop, j.AccountID, j.ID, "kind", j.Kind, "done", fmt.Sprint(j.Done), "why", reason)
}

// home is the account of who acts, 0 of an operator.
func (s *Service) home(ctx context.Context, actor Actor) (n int64, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error { n, err = homeOf(tx, actor); return err })
	return n, err
}

func findJob(tx *store.Tx, number int64, id string) (store.Job, error) {
	if number != 0 {
		return tx.FindJob(number, id)
	}
	j, err := tx.FindAnyJob(id)
	if errors.Is(err, store.ErrNotFound) {
		return j, notFound()
	}
	return j, err
}
