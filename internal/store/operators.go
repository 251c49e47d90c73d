package store

import (
	"database/sql"
	"time"
)

// Operator is a person who runs the service from a browser.
type Operator struct {
	User
	AddedBy string // as in the audit log
	AddedAt time.Time
}

// InsertOperator makes a user an operator, at the transaction's time. One who is already gives ErrTaken.
func (tx *Tx) InsertOperator(userID, by string) error {
	_, err := tx.exec(`INSERT INTO operators (user_id, added_by, added_at) VALUES ($1, $2, $3)`, userID, by, ms(tx.Now))
	return err
}

// DeleteOperator makes somebody an operator no longer; one who is none gives ErrNotFound.
func (tx *Tx) DeleteOperator(userID string) error {
	return tx.oneRow(`DELETE FROM operators WHERE user_id = $1`, userID)
}

// IsOperator reports whether a user is an operator, whatever their state.
func (tx *Tx) IsOperator(userID string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM operators WHERE user_id = $1`, userID).Scan(&n)
	return n > 0, err
}

// ListOperators returns the operators by address.
func (tx *Tx) ListOperators(limit int) ([]Operator, error) {
	rows, err := tx.rows(`SELECT `+userColumns+`, o.added_by, o.added_at FROM operators o JOIN users u ON u.id = o.user_id ORDER BY u.address LIMIT $1`, limit)
	return list(rows, err, func(r *sql.Rows) (o Operator, err error) {
		var added int64
		o.User, err = scanUser(r.Scan, &o.AddedBy, &added)
		o.AddedAt = fromMs(added)
		return o, err
	})
}
