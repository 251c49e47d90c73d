// Package storetest opens real databases for tests: SQLite in a directory of
// the test's own, and PostgreSQL in a database of the test's own where
// PLI_TEST_POSTGRES holds the URL of a server on which databases can be created.
package storetest

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// Open returns a new SQLite database that ends with the test.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "pli.db"))
}

// Engines opens a new database on every engine, by its name, for a benchmark.
func Engines(t testing.TB) map[string]*store.DB {
	t.Helper()
	out := map[string]*store.DB{"sqlite": Open(t)}
	if server := os.Getenv("PLI_TEST_POSTGRES"); server != "" {
		out["postgres"] = open(t, newPostgres(t, server))
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
			fn(t, open(t, newPostgres(t, server)))
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

// newPostgres creates a database: the lock of a migration is one per database,
// so tests do not wait for each other's. It orders texts as English does, which
// SQLite does not: what depends on that fails.
func newPostgres(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("PLI_TEST_POSTGRES: %v", err)
	}
	name := "pli_test_" + id.New()
	admin(t, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'")
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

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
