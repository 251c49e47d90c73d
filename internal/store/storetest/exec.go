package storetest

import (
	"database/sql"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/pli-mail/pli/internal/store"
)

var addresses sync.Map // of *store.DB

// Exec runs one statement on a database of this package's behind the store's
// back, as someone with the file or the password could.
func Exec(t testing.TB, db *store.DB, statement string) {
	t.Helper()
	raw := behind(t, db)
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Count returns how many rows a table has.
func Count(t testing.TB, db *store.DB, table string) (n int) {
	t.Helper()
	raw := behind(t, db)
	defer raw.Close()
	if err := raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatalf("count %s: %v", table, err)
	}
	return n
}

func behind(t testing.TB, db *store.DB) *sql.DB {
	t.Helper()
	address, ok := addresses.Load(db)
	if !ok {
		t.Fatal("storetest: not a database that this package opened")
	}
	driver, source := "pgx", address.(string)
	if path, ok := strings.CutPrefix(source, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	raw, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
