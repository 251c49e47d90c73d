package store

import (
	"database/sql"
	"time"
)

// Stage is ciphertext that a browser without script posted, waiting for its page.
type Stage struct {
	ID        string // hash of the id in the address, hex
	TokenHash string // of the cookie that the post set
	Blob      string
	ExpiresAt time.Time
}

// InsertStage writes s.
func (tx *Tx) InsertStage(s Stage) error {
	_, err := tx.exec(`INSERT INTO stages (id, token_hash, blob, expires_at) VALUES ($1, $2, $3, $4)`, s.ID, s.TokenHash, s.Blob, ms(s.ExpiresAt))
	return err
}

// TakeStage removes the stage that has this id and cookie and has not ended,
// and returns its blob. Of two takers at once one gets it, the other ErrNotFound.
func (tx *Tx) TakeStage(id, tokenHash string) (blob string, err error) {
	err = tx.row(`DELETE FROM stages WHERE id = $1 AND token_hash = $2 AND expires_at > $3 RETURNING blob`, id, tokenHash, ms(tx.Now)).Scan(&blob)
	return blob, found(err)
}

// DeleteOldStages removes up to limit stages that have ended and returns their blobs.
func (tx *Tx) DeleteOldStages(limit int) ([]string, error) {
	rows, err := tx.rows(`DELETE FROM stages WHERE id IN (SELECT id FROM stages WHERE expires_at <= $1 LIMIT $2) RETURNING blob`, ms(tx.Now), limit)
	return list(rows, err, func(r *sql.Rows) (blob string, err error) {
		err = r.Scan(&blob)
		return blob, err
	})
}

// CountStages returns how many stages have not ended.
func (tx *Tx) CountStages() (n int64, err error) {
	err = tx.row(`SELECT COUNT(*) FROM stages WHERE expires_at > $1`, ms(tx.Now)).Scan(&n)
	return n, err
}
