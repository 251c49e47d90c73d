// Package store is all the SQL of Pli, in one text for SQLite and PostgreSQL,
// one file per noun. It decides nothing: rights and rules are in the packages
// above, which read and write through one Tx, so that a check, the act and its
// audit record commit together or not at all.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema is a database that a later version of Pli has migrated.
var ErrNewerSchema = errors.New("the database was made by a newer version of Pli; start that version, or restore a backup made before the upgrade")

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	// Now is the clock that Tx.Now is read from, in UTC; tests replace it.
	Now func() time.Time

	dialect dialect
	writer  *sql.DB
	reader  *sql.DB
	pool    *pgxpool.Pool // PostgreSQL only: beneath both, which do not close it
	batches chan *job     // SQLite only: see batch.go
	readers *readers      // SQLite only: see statements.go
	stopped chan struct{}
}

// Open opens the database at url, "sqlite:PATH" or "postgres://…", and brings
// its schema up to date. It returns ErrNewerSchema for one that is ahead.
func Open(ctx context.Context, url string) (*DB, error) {
	db, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		db.closePools()
		return nil, err
	}
	if !db.dialect.batched {
		close(db.stopped)
	} else if err := db.startSQLite(ctx); err != nil {
		db.closePools()
		return nil, err
	}
	if err := db.nameUsers(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Inspect returns what Schema does of the database at url, without changing its schema.
func Inspect(ctx context.Context, url string) (current, known int64, err error) {
	db, err := connect(ctx, url)
	if err != nil {
		return 0, 0, err
	}
	defer db.closePools()
	return db.Schema(ctx)
}

func connect(ctx context.Context, url string) (*DB, error) {
	db := &DB{Now: func() time.Time { return time.Now().UTC() }, stopped: make(chan struct{})}
	var err error
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		db.dialect = sqliteDialect
		db.writer, db.reader, err = openSQLite(strings.TrimPrefix(url, "sqlite:"))
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		db.dialect = postgresDialect
		db.writer, db.pool, err = openPostgres(ctx, url)
		db.reader = db.writer
	default:
		return nil, errors.New("open database: the address must begin with sqlite: or postgres://")
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

// Close waits for the transactions under way and closes the database.
func (db *DB) Close() error {
	if db.batches != nil {
		close(db.batches)
	}
	<-db.stopped
	var err error
	if db.readers != nil {
		err = db.readers.close()
	}
	return errors.Join(err, db.closePools())
}

func (db *DB) closePools() error {
	err := db.writer.Close()
	if db.reader != db.writer {
		err = errors.Join(err, db.reader.Close())
	}
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}

// Engine is "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.name }

// Ping checks that the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.reader.PingContext(ctx) }

func (db *DB) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	var opts []goose.ProviderOption
	if db.dialect.locker != nil {
		l, err := db.dialect.locker()
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	opts = append(opts, goose.WithDisableGlobalRegistry(true))
	return goose.NewProvider(db.dialect.goose, db.writer, dir, opts...)
}

// Schema returns the database's migration number and the newest one that this program knows.
func (db *DB) Schema(ctx context.Context) (current, known int64, err error) {
	p, err := db.provider()
	if err != nil {
		return 0, 0, err
	}
	if current, err = p.GetDBVersion(ctx); err != nil {
		return 0, 0, err
	}
	for _, s := range p.ListSources() {
		known = max(known, s.Version)
	}
	return current, known, nil
}

// Known is the newest migration that this program has.
func Known() (int64, error) {
	all, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var n int64
	_, err = fmt.Sscanf(strings.TrimPrefix(all[len(all)-1], "migrations/"), "%d_", &n)
	return n, err
}

func (db *DB) migrate(ctx context.Context) error {
	current, known, err := db.Schema(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > known {
		return fmt.Errorf("%w (schema %d, this version knows %d)", ErrNewerSchema, current, known)
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	for _, s := range db.dialect.once {
		if err := db.take(ctx, s); err != nil {
			return fmt.Errorf("after the migrations: %w", err)
		}
	}
	return nil
}

// take does a step of the dialect where it is not done yet.
func (db *DB) take(ctx context.Context, s step) error {
	var there int
	if err := db.writer.QueryRowContext(ctx, s.done).Scan(&there); err != nil || there > 0 {
		return err
	}
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range s.statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Tx is one transaction. Now is its single clock reading, in UTC with millisecond precision.
type Tx struct {
	Now time.Time

	ctx     context.Context
	tx      *sql.Tx
	stmts   *statements // SQLite only
	dialect dialect
}

// Update runs fn in a transaction that commits when fn returns nil. fn may run
// more than once, and must have no effect but through tx. When Update returns
// nil, what fn wrote is durable.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if db.batches != nil {
		return db.updateBatched(ctx, fn)
	}
	for attempt := 0; ; attempt++ {
		err := db.updateOnce(ctx, fn)
		if err == nil || attempt == 9 || !db.dialect.retry(err) {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt+1) * 5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (db *DB) updateOnce(ctx context.Context, fn func(tx *Tx) error) error {
	t, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer t.Rollback() // after Commit this does nothing
	if err := fn(db.newTx(ctx, t)); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// View runs fn in a transaction that only reads, from one snapshot.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	if db.readers != nil {
		return db.viewSQLite(ctx, fn)
	}
	t, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.dialect.snapshot})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer t.Rollback()
	return fn(db.newTx(ctx, t))
}

func (db *DB) newTx(ctx context.Context, t *sql.Tx) *Tx {
	return &Tx{Now: db.Now().UTC().Truncate(time.Millisecond), ctx: ctx, tx: t, dialect: db.dialect}
}

// Context is the context that the transaction was begun with.
func (tx *Tx) Context() context.Context { return tx.ctx }

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	var r sql.Result
	stmt, err := tx.prepare(query)
	if stmt != nil {
		r, err = stmt.ExecContext(tx.ctx, args...)
	} else if err == nil {
		r, err = tx.tx.ExecContext(tx.ctx, query, args...)
	}
	if err != nil {
		return 0, tx.dialect.wrap(err)
	}
	return r.RowsAffected()
}

func (tx *Tx) row(query string, args ...any) *sql.Row {
	if stmt, _ := tx.prepare(query); stmt != nil {
		return stmt.QueryRowContext(tx.ctx, args...)
	}
	return tx.tx.QueryRowContext(tx.ctx, query, args...)
}

func (tx *Tx) rows(query string, args ...any) (*sql.Rows, error) {
	var r *sql.Rows
	stmt, err := tx.prepare(query)
	if stmt != nil {
		r, err = stmt.QueryContext(tx.ctx, args...)
	} else if err == nil {
		r, err = tx.tx.QueryContext(tx.ctx, query, args...)
	}
	return r, tx.dialect.wrap(err)
}

// prepare returns nil where the driver keeps compiled statements itself.
func (tx *Tx) prepare(query string) (*sql.Stmt, error) {
	if tx.stmts == nil {
		return nil, nil
	}
	return tx.stmts.prepare(tx.ctx, query)
}

// ErrNotFound is what a Find method returns when there is no such row, and
// ErrTaken what an Insert returns when a unique value is already in use.
var (
	ErrNotFound = errors.New("not found")
	ErrTaken    = errors.New("already taken")
)

// found turns the error of a row's Scan into ErrNotFound where there was none.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// list reads all rows with scan.
func list[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// ms and fromMs are how times are stored: Unix milliseconds, 0 for the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMs(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
