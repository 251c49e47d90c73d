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
	t, err := w.conn.BeginTx(context.Background(), nil)
	if err != nil {
		fail(fmt.Errorf("begin: %w", err))
		return false
	}
	for _, j := range jobs {
		if err := db.runJob(w, t, j); err != nil {
			t.Rollback()
			fail(err)
			return true
		}
	}
	if err := t.Commit(); err != nil {
		t.Rollback()
		fail(fmt.Errorf("commit: %w", err))
	}
	return true
}

// runJob returns an error only when the whole batch is lost.
func (db *DB) runJob(w *statements, t *sql.Tx, j *job) (err error) {
	tx := db.newTx(j.ctx, t)
	tx.stmts = w
	if _, err := tx.exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	done := false
	defer func() {
		if p := recover(); p != nil {
			j.err = fmt.Errorf("panic in a transaction: %v", p)
		}
		if !done {
			_, err = tx.exec("ROLLBACK TO job")
		}
		if err == nil {
			_, err = tx.exec("RELEASE job")
		}
		if err != nil {
			err = fmt.Errorf("savepoint: %w", err)
		}
	}()
	j.err = j.fn(tx)
	done = j.err == nil
	return nil
}
