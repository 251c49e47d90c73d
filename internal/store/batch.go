package store

import (
	"context"
	"database/sql"
	"fmt"
)

// SQLite has one writer, and a durable commit costs a disk flush. So whatever
// waits is gathered into one transaction, each function in its own savepoint:
// one flush serves them all, and one function's failure undoes only its own
// writes. Nobody hears "done" before the flush. (performance.md: 10 to 20 times
// the commits per second at 64 writers.)

const batchSize = 128

type job struct {
	ctx  context.Context
	fn   func(*Tx) error
	err  error
	done chan struct{}
}

func (db *DB) updateBatched(ctx context.Context, fn func(*Tx) error) error {
	// A statement that is interrupted inside a transaction makes SQLite undo the
	// whole transaction, the neighbours' work too. So the wait can be cancelled,
	// and the work cannot.
	j := &job{ctx: context.WithoutCancel(ctx), fn: fn, done: make(chan struct{})}
	select {
	case db.batches <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-j.done
	return j.err
}

// runBatches owns the writer until Close.
func (db *DB) runBatches() {
	defer close(db.stopped)
	for first := range db.batches {
		jobs := []*job{first}
	gather:
		for len(jobs) < batchSize {
			select {
			case j, ok := <-db.batches:
				if !ok {
					break gather
				}
				jobs = append(jobs, j)
			default:
				break gather
			}
		}
		db.runBatch(jobs)
	}
}

func (db *DB) runBatch(jobs []*job) {
	fail := func(err error) {
		for _, j := range jobs {
			if j.err == nil {
				j.err = err
			}
		}
	}
	defer func() {
		for _, j := range jobs {
			close(j.done)
		}
	}()
	t, err := db.writer.BeginTx(context.Background(), nil)
	if err != nil {
		fail(fmt.Errorf("begin: %w", err))
		return
	}
	for _, j := range jobs {
		if err := db.runJob(t, j); err != nil {
			t.Rollback()
			fail(err)
			return
		}
	}
	if err := t.Commit(); err != nil {
		t.Rollback()
		fail(fmt.Errorf("commit: %w", err))
	}
}

// runJob returns an error only when the whole batch is lost.
func (db *DB) runJob(t *sql.Tx, j *job) (err error) {
	if _, err := t.Exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	end := "RELEASE job"
	defer func() {
		if p := recover(); p != nil {
			j.err = fmt.Errorf("panic in a transaction: %v", p)
			end = "ROLLBACK TO job; RELEASE job"
		}
		if _, e := t.Exec(end); e != nil {
			err = fmt.Errorf("savepoint: %w", e)
		}
	}()
	if j.err = j.fn(db.newTx(j.ctx, t)); j.err != nil {
		end = "ROLLBACK TO job; RELEASE job"
	}
	return nil
}
