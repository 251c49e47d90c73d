package store

import (
	"context"
	"strings"
)

// A small payload is a row of the database, not a blob: it is durable with the
// commit that names it, at the cost of no further flush.

const rowPrefix = "row-"

// RowName is the name of the payload row of a message.
func RowName(messageID string) string { return rowPrefix + messageID }

// IsRow reports whether a payload of that name is a row, and not a blob.
func IsRow(name string) bool { return strings.HasPrefix(name, rowPrefix) }

// InsertPayload keeps a payload under a name of RowName.
func (tx *Tx) InsertPayload(name string, body []byte) error {
	_, err := tx.exec(`INSERT INTO payloads (name, body) VALUES ($1, $2)`, name, body)
	return err
}

// Payload returns the payload row of that name.
func (db *DB) Payload(ctx context.Context, name string) (body []byte, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return found(tx.row(`SELECT body FROM payloads WHERE name = $1`, name).Scan(&body))
	})
	return body, err
}

func (tx *Tx) deletePayload(name string) error {
	_, err := tx.exec(`DELETE FROM payloads WHERE name = $1`, name)
	return err
}
