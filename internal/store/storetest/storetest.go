// Package storetest opens real databases for tests: SQLite in a directory of
// the test's own, and PostgreSQL in a database of the test's own where
// PLI_TEST_POSTGRES holds the URL of a server on which databases can be created.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// Open returns a new SQLite database that ends with the test.
func Open(t testing.TB) *store.DB {
	t.Helper()
	schema, err := migratedFile()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pli.db")
	if err := os.WriteFile(path, schema, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, "sqlite:"+path)
}

// migratedFile is the content of an SQLite database that has the schema and
// nobody in it: most of a short test's time would be its own migration.
var migratedFile = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "pli-schema-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "pli.db")
	db, err := store.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Engines opens a new database on every engine, by its name, for a benchmark.
func Engines(t testing.TB) map[string]*store.DB {
	t.Helper()
	out := map[string]*store.DB{"sqlite": Open(t)}
	if server := os.Getenv("PLI_TEST_POSTGRES"); server != "" {
		out["postgres"] = open(t, newPostgres(t, server, migrated(t, server)))
	}
	return out
}

// Each runs fn on every engine, each in a parallel subtest with a new database.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, Open(t))
	})
	if server := os.Getenv("PLI_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			fn(t, open(t, newPostgres(t, server, migrated(t, server))))
		})
	}
}

func open(t testing.TB, address string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	addresses.Store(db, address)
	t.Cleanup(func() {
		addresses.Delete(db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// newPostgres creates a database from a template.
func newPostgres(t testing.TB, server, template string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("PLI_TEST_POSTGRES: %v", err)
	}
	name := "pli_test_" + id.New()
	admin(t, server, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

var migrating sync.Mutex

// migrated is the name of a database that has the schema and nobody in it, which
// the server keeps, as migratedFile is for SQLite. It orders texts as English
// does, which SQLite does not: what depends on that fails.
func migrated(t testing.TB, server string) string {
	t.Helper()
	migrating.Lock()
	defer migrating.Unlock()
	_, here, _, _ := runtime.Caller(0)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(here), "../migrations/*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations beside %s: %v", here, err)
	}
	sum := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	name := fmt.Sprintf("pli_template_%.16x", sum.Sum(nil))
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("PLI_TEST_POSTGRES: %v", err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(7055)"); err != nil { // of several packages' tests one makes it
		t.Fatal(err)
	}
	var there bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		return name
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	unfinished := "pli_test_" + id.New()
	u.Path = "/" + unfinished
	admin(t, server, "CREATE DATABASE "+unfinished+" TEMPLATE "+empty)
	db, err := store.Open(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	admin(t, server, "ALTER DATABASE "+unfinished+" RENAME TO "+name)
	return name
}

const empty = "template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'"

func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("PLI_TEST_POSTGRES: %v", err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatalf("PLI_TEST_POSTGRES: %s: %v", statement, err)
	}
}

// EmptyPostgres is the address of a database without tables that ends with the test.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("PLI_TEST_POSTGRES")
	if server == "" {
		t.Skip("PLI_TEST_POSTGRES is not set")
	}
	return newPostgres(t, server, empty)
}

// Know remembers where a database is that a test opened itself.
func Know(db *store.DB, address string) { addresses.Store(db, address) }
