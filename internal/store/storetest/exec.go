package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	if err := Try(t, db, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Try is Exec for a statement that the database may refuse.
func Try(t testing.TB, db *store.DB, statement string) error {
	t.Helper()
	raw := behind(t, db)
	defer raw.Close()
	_, err := raw.ExecContext(t.Context(), statement)
	return err
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
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=cache_size(-300000)"
	}
	raw, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Holds reports whether the files of an SQLite database have b in them, anywhere.
func Holds(t testing.TB, db *store.DB, b []byte) bool {
	t.Helper()
	address, _ := addresses.Load(db)
	path, ok := strings.CutPrefix(fmt.Sprint(address), "sqlite:")
	if !ok {
		t.Fatal("storetest: not an SQLite database that this package opened")
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Contains(content, b) {
			return true
		}
	}
	return false
}

// Address is where a database of this package's is.
func Address(t testing.TB, db *store.DB) string {
	t.Helper()
	address, ok := addresses.Load(db)
	if !ok {
		t.Fatal("storetest: not a database that this package opened")
	}
	return address.(string)
}

// TablesWith are the tables of an SQLite database that have a column of that name.
func TablesWith(t testing.TB, db *store.DB, column string) []string {
	t.Helper()
	return names(t, db, `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = $1 ORDER BY m.name`, column)
}

// Tables are all tables of an SQLite database, but for its own and goose's.
func Tables(t testing.TB, db *store.DB) []string {
	t.Helper()
	return names(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' ORDER BY name`)
}

// Parents are the tables with whose rows those of a table of an SQLite database are deleted.
func Parents(t testing.TB, db *store.DB, table string) []string {
	t.Helper()
	return names(t, db, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1) WHERE on_delete = 'CASCADE'`, table)
}

func names(t testing.TB, db *store.DB, query string, args ...any) (out []string) {
	t.Helper()
	raw := behind(t, db)
	defer raw.Close()
	rows, err := raw.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}
