package store

import (
	"database/sql"
	"errors"
	"time"
)

// Large is a file too large for a mail, as ciphertext that comes in parts.
type Large struct {
	ID        string
	AccountID int64
	UserID    string // who sends it
	Size      int64  // bytes of the ciphertext, as announced
	Got       int64  // bytes of it that are here
	CreatedAt time.Time
	TouchedAt time.Time // when bytes came last
}

const largeColumns = `l.id, l.account_id, l.user_id, l.size, l.got, l.created_at, l.touched_at`

func scanLarge(scan func(...any) error) (l Large, err error) {
	var created, touched int64
	err = scan(&l.ID, &l.AccountID, &l.UserID, &l.Size, &l.Got, &created, &touched)
	l.CreatedAt, l.TouchedAt = fromMs(created), fromMs(touched)
	return l, found(err)
}

// InsertLarge writes l, of which nothing is here yet.
func (tx *Tx) InsertLarge(l Large) error {
	_, err := tx.exec(`INSERT INTO larges (id, account_id, user_id, size, got, created_at, touched_at) VALUES ($1, $2, $3, $4, 0, $5, $5)`,
		l.ID, l.AccountID, l.UserID, l.Size, ms(tx.Now))
	if err != nil {
		return err
	}
	return tx.AddUsage(l.AccountID, Usage{Bytes: l.Size}, true)
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
	err = tx.row(`SELECT COALESCE(SUM(l.size), 0), COALESCE(SUM(CASE WHEN l.user_id = $2
			AND NOT EXISTS (SELECT 1 FROM message_larges x WHERE x.large_id = l.id) THEN 1 ELSE 0 END), 0)
		FROM larges l WHERE l.account_id = $1`, account, userID).Scan(&bytes, &loose)
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

// AttachLarge gives a large file to a message. The caller holds the file.
func (tx *Tx) AttachLarge(id, messageID string) error {
	if _, err := tx.exec(`INSERT INTO message_larges (message_id, large_id) VALUES ($1, $2)`, messageID, id); err != nil {
		return err
	}
	_, err := tx.exec(`UPDATE larges SET touched_at = $2 WHERE id = $1`, id, ms(tx.Now))
	return err
}

// HasLarge reports whether a message has a large file.
func (tx *Tx) HasLarge(messageID, id string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM message_larges WHERE message_id = $1 AND large_id = $2`, messageID, id).Scan(&n)
	return n > 0, err
}

// InMessage reports whether a large file is of a message that was not withdrawn.
func (tx *Tx) InMessage(id string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM message_larges x JOIN messages m ON m.id = x.message_id WHERE x.large_id = $1 AND m.recalled_at = 0`, id).Scan(&n)
	return n > 0, err
}

// needsLarge is what is true of a message m at the time $1 that needs its large
// files: as long as its own ciphertext is kept, or would be if the sender did not hold it.
const needsLarge = `m.recalled_at = 0 AND m.destroyed_at = 0 AND (m.expires_at = 0 OR m.expires_at > $1) AND (m.payload <> '' OR m.payload_until > $1)`

// IsLargeNeeded reports whether a message needs a large file.
func (tx *Tx) IsLargeNeeded(id string, now time.Time) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM message_larges x JOIN messages m ON m.id = x.message_id WHERE x.large_id = $2 AND `+needsLarge, ms(now), id).Scan(&n)
	return n > 0, err
}

// ListLargesDue returns large files that nobody needs, and holds them: loose ones
// whose last byte came before the times, unfinished and whole; and those all of whose
// messages have ended, were withdrawn, or keep their ciphertext no longer. What
// messages that were taken back had stays as long as an unfinished one.
func (tx *Tx) ListLargesDue(now, unfinished, whole time.Time, limit int) ([]string, error) {
	suffix := tx.dialect.forUpdate
	if suffix != "" {
		suffix += " OF l"
	}
	rows, err := tx.rows(`SELECT l.id FROM larges l
		WHERE NOT EXISTS (SELECT 1 FROM message_larges x JOIN messages m ON m.id = x.message_id WHERE x.large_id = l.id AND `+needsLarge+`)
			AND (l.touched_at <= $3
				OR l.touched_at <= $2 AND (l.got < l.size OR EXISTS (SELECT 1 FROM message_larges x WHERE x.large_id = l.id))
				OR EXISTS (SELECT 1 FROM message_larges x JOIN messages m ON m.id = x.message_id WHERE x.large_id = l.id AND m.recalled_at = 0))
		LIMIT $4`+suffix, ms(now), ms(unfinished), ms(whole), limit)
	due, err := list(rows, err, func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
	// One that was attached while it was waited for is seen by a second look only.
	out := due[:0]
	for _, id := range due {
		needed, err := tx.IsLargeNeeded(id, now)
		if err != nil {
			return nil, err
		}
		if !needed {
			out = append(out, id)
		}
	}
	return out, err
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
	if _, err := tx.exec(`DELETE FROM message_larges WHERE large_id = $1`, id); err != nil {
		return nil, err
	}
	l, err := tx.FindLarge(id)
	if errors.Is(err, ErrNotFound) {
		return blobs, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := tx.exec(`DELETE FROM larges WHERE id = $1`, id); err != nil {
		return nil, err
	}
	return blobs, tx.AddUsage(l.AccountID, Usage{Bytes: -l.Size}, false)
}
