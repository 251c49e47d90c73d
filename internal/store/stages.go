package store

import (
	"database/sql"
	"time"
)

// Stage is ciphertext that a browser without script posted, waiting for its page.
type Stage struct {
	ID        string // hash of the id in the address, hex
	TokenHash string // of the cookie that the post set
	Size      int64  // bytes
	Network   string // that posts it: Network
	ExpiresAt time.Time
}

// InsertStage writes s before its bytes have come: it is counted, and cannot be taken.
func (tx *Tx) InsertStage(s Stage) error {
	_, err := tx.exec(`INSERT INTO stages (id, token_hash, blob, size, network, expires_at) VALUES ($1, $2, '', $3, $4, $5)`,
		s.ID, s.TokenHash, s.Size, s.Network, ms(s.ExpiresAt))
	return err
}

// FillStage notes that the bytes of a stage have come, and until when they can
// be taken. One that has ended meanwhile gives ErrNotFound.
func (tx *Tx) FillStage(id, blob string, until time.Time) error {
	n, err := tx.exec(`UPDATE stages SET blob = $2, expires_at = $3 WHERE id = $1 AND expires_at > $4`, id, blob, ms(until), ms(tx.Now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteStage removes a stage whose bytes never came.
func (tx *Tx) DeleteStage(id string) error {
	_, err := tx.exec(`DELETE FROM stages WHERE id = $1 AND blob = ''`, id)
	return err
}

// TakeStage removes the stage that has this id and cookie and has not ended,
// and returns its blob. Of two takers at once one gets it, the other ErrNotFound.
func (tx *Tx) TakeStage(id, tokenHash string) (blob string, err error) {
	err = tx.row(`DELETE FROM stages WHERE id = $1 AND token_hash = $2 AND blob <> '' AND expires_at > $3 RETURNING blob`,
		id, tokenHash, ms(tx.Now)).Scan(&blob)
	return blob, found(err)
}

// FindStage returns the blob of the stage that has this id and cookie and has
// not ended, and leaves it.
func (tx *Tx) FindStage(id, tokenHash string) (blob string, err error) {
	err = tx.row(`SELECT blob FROM stages WHERE id = $1 AND token_hash = $2 AND blob <> '' AND expires_at > $3`, id, tokenHash, ms(tx.Now)).Scan(&blob)
	return blob, found(err)
}

// DeleteOldStages removes up to limit stages that have ended and returns their
// blobs, "" for one whose bytes never came.
func (tx *Tx) DeleteOldStages(limit int) ([]string, error) {
	rows, err := tx.rows(`DELETE FROM stages WHERE id IN (SELECT id FROM stages WHERE expires_at <= $1 LIMIT $2) RETURNING blob`, ms(tx.Now), limit)
	return list(rows, err, func(r *sql.Rows) (blob string, err error) {
		err = r.Scan(&blob)
		return blob, err
	})
}

// Staged is how many stages there are, and how many bytes.
type Staged struct{ Count, Bytes int64 }

// CountStages counts what is staged and has not been swept, in all and from one
// network. What has ended counts too: it is on the disk until then.
func (tx *Tx) CountStages(network string) (all, ours Staged, err error) {
	err = tx.row(`SELECT COUNT(*), COALESCE(SUM(size), 0), COALESCE(SUM(CASE WHEN network = $1 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN network = $1 THEN size ELSE 0 END), 0) FROM stages`, network).Scan(&all.Count, &all.Bytes, &ours.Count, &ours.Bytes)
	return all, ours, err
}
