package webtest

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Tables are the rows of every table of the house's database, as text and in
// order, but for when a session was last used: a test compares them before and
// after what must change nothing.
func (h *House) Tables(t testing.TB) map[string][]string {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+h.file+"?_pragma=busy_timeout(10000)")
	must(t, err)
	defer raw.Close()
	out := map[string][]string{}
	for _, row := range query(t, raw, `SELECT name FROM sqlite_master WHERE type = 'table'`) {
		name := row["name"].(string)
		rows := []string{}
		for _, values := range query(t, raw, `SELECT * FROM `+name) {
			if name == "sessions" {
				delete(values, "seen_at")
			}
			rows = append(rows, fmt.Sprint(values)) // a map prints in the order of its keys
		}
		slices.Sort(rows)
		out[name] = rows
	}
	return out
}

func query(t testing.TB, db *sql.DB, statement string) []map[string]any {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), statement)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	var out []map[string]any
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, rows.Scan(into...))
		row := map[string]any{}
		for i, c := range columns {
			row[c] = values[i]
		}
		out = append(out, row)
	}
	must(t, rows.Err())
	return out
}

// Changed says which tables differ, and in how many rows they did before and after.
func Changed(before, after map[string][]string) string {
	var out []string
	for name, rows := range after {
		if !slices.Equal(before[name], rows) {
			out = append(out, fmt.Sprintf("%s (%d rows, then %d)", name, len(before[name]), len(rows)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
