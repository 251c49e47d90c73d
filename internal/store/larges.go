package store

import (
	"database/sql"
	"time"
)

// Large is a file too large for a mail, as ciphertext that comes in parts.
type Large struct {
	ID        string
	AccountID int64
	UserID    string // who sends it
	Size      int64  // bytes of the ciphertext, as announced
	Got       int64  // bytes of it that are here
	MessageID string // that has its key, "" = none yet
	CreatedAt time.Time
	TouchedAt time.Time // when bytes came last
}

const largeColumns = `l.id, l.account_id, l.user_id, l.size, l.got, l.message_id, l.created_at, l.touched_at`

func scanLarge(scan func(...any) error) (l Large, err error) {
	var created, touched int64
	err = scan(&l.ID, &l.AccountID, &l.UserID, &l.Size, &l.Got, &l.MessageID, &created, &touched)
	l.CreatedAt, l.TouchedAt = fromMs(created), fromMs(touched)
	return l, found(err)
}

// InsertLarge writes l, of which nothing is here yet.
func (tx *Tx) InsertLarge(l Large) error {
	_, err := tx.exec(`INSERT INTO larges (id, account_id, user_id, size, got, message_id, created_at, touched_at) VALUES ($1, $2, $3, $4, 0, '', $5, $5)`,
		l.ID, l.AccountID, l.UserID, l.Size, ms(tx.Now))
	return err
}

// FindLarge returns the large file with that id.
func (tx *Tx) FindLarge(id string) (Large, error) {
	return scanLarge(tx.row(`SELECT `+largeColumns+` FROM larges l WHERE l.id = $1`, id).Scan)
}

// LockLarge is FindLarge that holds the row until the transaction ends.
func (tx *Tx) LockLarge(id string) (Large, error) {
	return scanLarge(tx.row(`SELECT `+largeColumns+` FROM larges l WHERE l.id = $1`+tx.dialect.forUpdate, id).Scan)
}

// LargeUsage is what an account has announced in all, in bytes, and how many
// files of one user are in no message.
func (tx *Tx) LargeUsage(account int64, userID string) (bytes int64, loose int, err error) {
	err = tx.row(`SELECT COALESCE(SUM(size), 0), COALESCE(SUM(CASE WHEN user_id = $2 AND message_id = '' THEN 1 ELSE 0 END), 0)
		FROM larges WHERE account_id = $1`, account, userID).Scan(&bytes, &loose)
	return bytes, loose, err
}

// LargePart is a piece of a large file.
type LargePart struct {
	At, Size int64
	Blob     string
}

// AddLargePart appends p to the large file, which the transaction holds.
func (tx *Tx) AddLargePart(id string, p LargePart) error {
	if _, err := tx.exec(`INSERT INTO large_parts (large_id, at, size, blob) VALUES ($1, $2, $3, $4)`, id, p.At, p.Size, p.Blob); err != nil {
		return err
	}
	_, err := tx.exec(`UPDATE larges SET got = $2, touched_at = $3 WHERE id = $1`, id, p.At+p.Size, ms(tx.Now))
	return err
}

// ListLargeParts returns the parts of a large file that have bytes in [from, to), in order.
func (tx *Tx) ListLargeParts(id string, from, to int64) ([]LargePart, error) {
	rows, err := tx.rows(`SELECT at, size, blob FROM large_parts WHERE large_id = $1 AND at + size > $2 AND at < $3 ORDER BY at`, id, from, to)
	return list(rows, err, func(r *sql.Rows) (p LargePart, err error) {
		err = r.Scan(&p.At, &p.Size, &p.Blob)
		return p, err
	})
}

// AttachLarge gives a large file to a message, if it is whole, the user's, and
// in no message but one that is gone or was withdrawn. Otherwise it gives ErrNotFound.
func (tx *Tx) AttachLarge(id, userID, messageID string) error {
	n, err := tx.exec(`UPDATE larges SET message_id = $3 WHERE id = $1 AND user_id = $2 AND got = size AND size > 0
		AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = larges.message_id AND m.recalled_at = 0)`, id, userID, messageID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ListLargesDue returns large files that nobody needs: loose ones whose last
// byte came before the times, unfinished and whole; and those of a message that
// has ended, was withdrawn, or whose ciphertext is not kept any more. What a
// message that was taken back had stays as long as a loose one.
func (tx *Tx) ListLargesDue(now, unfinished, whole time.Time, limit int) ([]string, error) {
	suffix := tx.dialect.forUpdate
	if suffix != "" {
		suffix += " OF l" // one that is being attached is waited for, and looked at again
	}
	rows, err := tx.rows(`SELECT l.id FROM larges l LEFT JOIN messages m ON m.id = l.message_id
		WHERE (m.id IS NULL AND (l.got < l.size AND l.touched_at <= $2 OR l.touched_at <= $3))
			OR (m.recalled_at > 0 AND l.touched_at <= $2)
			OR (m.id IS NOT NULL AND m.recalled_at = 0 AND (m.payload = '' OR m.destroyed_at > 0 OR m.expires_at > 0 AND m.expires_at <= $1))
		LIMIT $4`+suffix, ms(now), ms(unfinished), ms(whole), limit)
	return list(rows, err, func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
}

// DeleteLarge removes a large file and returns the blobs of its parts.
func (tx *Tx) DeleteLarge(id string) ([]string, error) {
	parts, err := tx.ListLargeParts(id, 0, 1<<62)
	if err != nil {
		return nil, err
	}
	blobs := make([]string, len(parts))
	for i, p := range parts {
		blobs[i] = p.Blob
	}
	if _, err := tx.exec(`DELETE FROM large_parts WHERE large_id = $1`, id); err != nil {
		return nil, err
	}
	_, err = tx.exec(`DELETE FROM larges WHERE id = $1`, id)
	return blobs, err
}
