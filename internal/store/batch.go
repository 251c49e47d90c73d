package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SQLite has one writer, and a durable commit costs a disk flush. So whatever
// waits is gathered into one transaction: one flush serves them all. Nobody
// hears "done" before the flush. (10 to 20 times the commits per second at 64
// writers.)
//
// Where one function fails, all that were gathered are undone and run once more,
// now each in its own savepoint, so that the failure undoes only its own writes.
// Savepoints from the start would copy every page twice, and failures are rare.

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

// startSQLite takes the writer's connection, which runBatches keeps.
func (db *DB) startSQLite(ctx context.Context) error {
	w, err := newStatements(ctx, db.writer)
	if err != nil {
		return err
	}
	db.readers = newReaders(db.reader, readersMost())
	db.batches = make(chan *job)
	go db.runBatches(w)
	return nil
}

func (db *DB) viewSQLite(ctx context.Context, fn func(*Tx) error) error {
	r, err := db.readers.take(ctx)
	if err != nil {
		return err
	}
	// A transaction whose context ends takes its connection with it. This one's
	// statements are interrupted, and it is rolled back below.
	t, err := r.conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		db.readers.drop(r)
		return fmt.Errorf("begin: %w", err)
	}
	defer db.readers.give(r)
	defer t.Rollback()
	tx := db.newTx(ctx, t)
	tx.stmts = r
	return fn(tx)
}

// runBatches owns the writer until Close.
func (db *DB) runBatches(w *statements) {
	defer close(db.stopped)
	defer func() { w.close() }()
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
		if !db.runBatch(w, jobs) {
			if next, err := newStatements(context.Background(), db.writer); err == nil {
				w.close()
				w = next
			}
		}
	}
}

// runBatch reports false when its connection could not begin.
func (db *DB) runBatch(w *statements, jobs []*job) (began bool) {
	defer func() {
		for _, j := range jobs {
			close(j.done)
		}
	}()
	failed, err := db.runTogether(w, jobs)
	if err == nil && failed {
		if len(jobs) == 1 {
			return true // and it has its error
		}
		for _, j := range jobs {
			j.err = nil
		}
		err = db.runApart(w, jobs)
	}
	if err == nil {
		return true
	}
	for _, j := range jobs {
		if j.err == nil {
			j.err = err
		}
	}
	return !errors.Is(err, errBegin)
}

var errBegin = errors.New("begin")

// runTogether runs the jobs until one fails, and then undoes all. An error is
// the whole batch's.
func (db *DB) runTogether(w *statements, jobs []*job) (failed bool, err error) {
	t, err := w.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errBegin, err)
	}
	for _, j := range jobs {
		tx := db.newTx(j.ctx, t)
		tx.stmts = w
		if j.err = call(j.fn, tx); j.err != nil {
			return true, t.Rollback()
		}
	}
	if err := t.Commit(); err != nil {
		t.Rollback()
		return false, fmt.Errorf("commit: %w", err)
	}
	return false, nil
}

// runApart runs each job in its own savepoint.
func (db *DB) runApart(w *statements, jobs []*job) error {
	t, err := w.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errBegin, err)
	}
	for _, j := range jobs {
		if err := db.runJob(w, t, j); err != nil {
			t.Rollback()
			return err
		}
	}
	if err := t.Commit(); err != nil {
		t.Rollback()
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// runJob returns an error only when the whole batch is lost.
func (db *DB) runJob(w *statements, t *sql.Tx, j *job) error {
	tx := db.newTx(j.ctx, t)
	tx.stmts = w
	if _, err := tx.exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	j.err = call(j.fn, tx)
	if j.err != nil {
		if _, err := tx.exec("ROLLBACK TO job"); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
	}
	if _, err := tx.exec("RELEASE job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	return nil
}

// call turns a panic into an error: it must not take the writer with it.
func call(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return fn(tx)
}
