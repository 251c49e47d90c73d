package store

import (
	"context"
	"database/sql"
)

// Raw runs a statement outside of every rule, for tests that damage a database.
func (db *DB) Raw(ctx context.Context, query string, args ...any) error {
	_, err := db.writer.ExecContext(ctx, query, args...)
	return err
}

// Readers returns n reading connections held at once.
func (db *DB) Readers(ctx context.Context, n int) ([]*sql.Conn, error) {
	var out []*sql.Conn
	for range n {
		c, err := db.reader.Conn(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
	return out, nil
}

// AuditPlan is how SQLite reads one part of a filtered log: chained, or what is not yet.
func (db *DB) AuditPlan(ctx context.Context, f AuditFilter, actor string, fresh bool, at string, newer bool) (plan string, err error) {
	more := " AND pos > 0"
	if fresh {
		more = unchained
	}
	where, args := f.where(actor, more, at, newer, 50)
	var a, b, c int
	err = db.reader.QueryRowContext(ctx, "EXPLAIN QUERY PLAN SELECT id, detail FROM audit WHERE "+where, args...).Scan(&a, &b, &c, &plan)
	return plan, err
}
