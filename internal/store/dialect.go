package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is all that differs between the two engines.
type dialect struct {
	name      string
	goose     goose.Dialect
	batched   bool               // one writer: gather commits (batch.go)
	mark      func(n int) string // the nth parameter of a statement with many
	forUpdate string             // appended to a SELECT that must lock its rows
	skip      string             // the same, passing over rows that others hold
	snapshot  sql.IsolationLevel // of View
	taken     func(error) bool   // a unique value is in use
	retry     func(error) bool   // the same transaction may succeed now
	locker    func() (lock.SessionLocker, error)
	once      []step // after the migrations: what keeps the audit log as it is, and columns that compare by bytes
}

// step is what an engine needs and no migration can say, as their text is the
// same for both.
type step struct {
	done       string // 0 where the statements are to be run
	statements []string
}

// begins is the condition that a column that is compared by its bytes begins with
// from, below being the end of that: a range, so that the column's index has it.
func begins(column, from, below string) string {
	return column + " >= " + from + " AND " + column + " < " + below
}

// below is what every text that begins with s comes before.
func below(s string) string { return s + "\U0010FFFF" }

func (d dialect) wrap(err error) error {
	if err != nil && d.taken(err) {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return err
}

var sqliteDialect = dialect{
	name: "sqlite", goose: goose.DialectSQLite3, batched: true, mark: bare,
	taken: func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
	},
	retry: func(error) bool { return false }, // there is one writer, and it waits 10 s for another process
	// The database refuses to change or delete an audit record: the notary may give
	// it its place, once. It keeps slips out; whoever owns the database can drop it
	// again, and is found by the chain.
	once: []step{{`SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_kept'`, []string{
		`CREATE TRIGGER IF NOT EXISTS audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
		`CREATE TRIGGER IF NOT EXISTS audit_fixed BEFORE UPDATE OF id, account_id, at, actor, action, target, outcome, detail, origin ON audit
			BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
		`CREATE TRIGGER IF NOT EXISTS audit_placed BEFORE UPDATE ON audit WHEN OLD.pos <> 0
			BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
	}}},
}

// The database of PostgreSQL may order texts as a language does. Columns that are
// paged by, or searched by their beginning, compare by bytes as in SQLite, so that
// their indexes serve for both. Not so names, of which this would lower ASCII only.
const bytewise = `(VALUES ('users', 'address'), ('memberships', 'address'), ('invitations', 'address'), ('slots', 'address'),
	('aliases', 'address'), ('remembered', 'address'), ('contacts', 'address'), ('user_groups', 'name_key')) AS wanted (relation, name)
	JOIN pg_attribute a ON a.attrelid = wanted.relation::regclass AND a.attname = wanted.name
	JOIN pg_collation c ON c.oid = a.attcollation AND c.collname <> 'C'`

var postgresDialect = dialect{
	name: "postgres", goose: goose.DialectPostgres, mark: numbered,
	forUpdate: " FOR UPDATE", skip: " FOR UPDATE SKIP LOCKED",
	snapshot: sql.LevelRepeatableRead,
	taken:    func(err error) bool { return pgCode(err) == "23505" },
	retry:    func(err error) bool { c := pgCode(err); return c == "40001" || c == "40P01" },
	locker:   func() (lock.SessionLocker, error) { return lock.NewPostgresSessionLocker() },
	once: []step{{`SELECT COUNT(*) FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgname = 'audit_kept'`, []string{
		`SELECT pg_advisory_xact_lock(7230517)`, // of two nodes that start at once, one makes them
		`CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$`,
		`CREATE OR REPLACE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_append_only()`,
		`CREATE OR REPLACE TRIGGER audit_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()`,
		`CREATE OR REPLACE TRIGGER audit_fixed BEFORE UPDATE OF id, account_id, at, actor, action, target, outcome, detail, origin ON audit
			FOR EACH ROW EXECUTE FUNCTION audit_append_only()`,
		`CREATE OR REPLACE TRIGGER audit_placed BEFORE UPDATE ON audit FOR EACH ROW WHEN (OLD.pos <> 0) EXECUTE FUNCTION audit_append_only()`,
	}}, {`SELECT CASE COUNT(*) WHEN 0 THEN 1 ELSE 0 END FROM ` + bytewise, []string{
		`SELECT pg_advisory_xact_lock(7230518)`,
		`DO $$ DECLARE t record; BEGIN
			FOR t IN SELECT relation, string_agg(format('ALTER COLUMN %I TYPE TEXT COLLATE "C"', name), ', ') AS changes FROM ` + bytewise + ` GROUP BY relation LOOP
				EXECUTE format('ALTER TABLE %I %s', t.relation, t.changes);
			END LOOP;
		END $$`,
	}}},
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Pragmas are in the DSN so that every connection of a pool has them.
// secure_delete overwrites what is deleted: a forgotten letter or key is not
// left in a free page.
func sqliteDSN(path string, write bool) string {
	q := url.Values{}
	for _, p := range []string{"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "wal_autocheckpoint(8000)"} {
		q.Add("_pragma", p)
	}
	if write {
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "temp_store(MEMORY)") // what undoes a statement, or one of several transactions, was written to a file and mostly thrown away
		q.Add("_pragma", "cache_size(-32768)") // KiB: a large transaction spilled its pages into the log, to write them again
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// createSQLite makes the file, if there is none, for its owner alone. SQLite
// would ask the umask, and gives its journal files the mode of this one. A file
// that is there is not opened: closing it would let go of the locks that this
// process holds on it.
func createSQLite(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the file: %w", err)
	}
	return f.Close()
}

func openSQLite(path string) (writer, reader *sql.DB, err error) {
	if err := createSQLite(path); err != nil {
		return nil, nil, err
	}
	if writer, err = sql.Open("sqlite", sqliteDSN(path, true)); err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(2)            // the one of the batches, and one to ask for the schema
	if err = writer.Ping(); err != nil { // the file and its WAL exist before a reader comes
		writer.Close()
		return nil, nil, err
	}
	if reader, err = sql.Open("sqlite", sqliteDSN(path, false)); err != nil {
		writer.Close()
		return nil, nil, err
	}
	reader.SetMaxOpenConns(readersMost() + 1) // those of the views, and one for Ping
	return writer, reader, nil
}

// readersMost is how many views of SQLite may run at once.
func readersMost() int { return max(4, 2*runtime.NumCPU()) }

func openPostgres(ctx context.Context, url string) (*sql.DB, *pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	db.SetMaxIdleConns(0) // the pool beneath keeps them
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		pool.Close()
		return nil, nil, err
	}
	return db, pool, nil
}
