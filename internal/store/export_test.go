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
