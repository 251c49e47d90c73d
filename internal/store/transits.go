package store

import (
	"database/sql"
	"fmt"
	"time"
)

// Transit is one message's way through the gateway.
type Transit struct {
	ID        string // the trace id, ordered by time
	AccountID int64
	Upstream  string // its name
	MessageID string // Message-ID of the header, without angle brackets, "" = none
	Sender    string // of the SMTP envelope, canonical, "" = the null sender
	Size      int64  // octets
	Detail    string // JSON: per recipient what was decided, why, and what came of it
	Sketch    []byte // sealed: what other rules can be tried on; nil = from before that was kept
	At        time.Time
}

const transitColumns = `id, account_id, upstream, message_id, sender, size, detail, sketch_box, at`

func scanTransit(scan func(...any) error) (t Transit, err error) {
	var at int64
	err = scan(&t.ID, &t.AccountID, &t.Upstream, &t.MessageID, &t.Sender, &t.Size, &t.Detail, &t.Sketch, &at)
	t.At = fromMs(at)
	return t, found(err)
}

// InsertTransit writes t, at the transaction's time.
func (tx *Tx) InsertTransit(t Transit) error {
	_, err := tx.exec(`INSERT INTO transits (`+transitColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.ID, t.AccountID, t.Upstream, t.MessageID, t.Sender, t.Size, t.Detail, t.Sketch, ms(tx.Now))
	return err
}

// SetTransitDetail says anew what came of a transit.
func (tx *Tx) SetTransitDetail(id, detail string) error {
	_, err := tx.exec(`UPDATE transits SET detail = $2 WHERE id = $1`, id, detail)
	return err
}

// FindTransit returns the transit with that trace id.
func (tx *Tx) FindTransit(id string) (Transit, error) {
	return scanTransit(tx.row(`SELECT `+transitColumns+` FROM transits WHERE id = $1`, id).Scan)
}

// LockTransit returns the transit with that trace id, and keeps others from
// changing it until the transaction ends.
func (tx *Tx) LockTransit(id string) (Transit, error) {
	return scanTransit(tx.row(`SELECT `+transitColumns+` FROM transits WHERE id = $1`+tx.dialect.forUpdate, id).Scan)
}

// ListTransits returns the transits of a Message-ID, newest first, of one
// account or, if number is 0, of all.
func (tx *Tx) ListTransits(messageID string, number int64, limit int) ([]Transit, error) {
	rows, err := tx.rows(`SELECT `+transitColumns+` FROM transits
		WHERE message_id = $1 AND ($2 = 0 OR account_id = $2) ORDER BY id DESC LIMIT $3`, messageID, number, limit)
	return list(rows, err, func(r *sql.Rows) (Transit, error) { return scanTransit(r.Scan) })
}

// ListTransitsSince returns up to limit transits of an account that came at or
// after t, newest first, below the id before ("" begins with the newest).
func (tx *Tx) ListTransitsSince(number int64, t time.Time, before string, limit int) ([]Transit, error) {
	rows, err := tx.rows(`SELECT `+transitColumns+` FROM transits
		WHERE account_id = $1 AND id >= $2 AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4`, number, firstID(t), before, limit)
	return list(rows, err, func(r *sql.Rows) (Transit, error) { return scanTransit(r.Scan) })
}

// firstID is below every id of t or later: they are in the order of time (RFC
// 9562, section 5.7).
func firstID(t time.Time) string {
	ms := t.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-000000000000", ms>>16, ms&0xffff)
}

// DeleteOldTransits forgets up to limit transits from before t, and returns how many.
func (tx *Tx) DeleteOldTransits(t time.Time, limit int) (int64, error) {
	return tx.exec(`DELETE FROM transits WHERE id IN (SELECT id FROM transits WHERE id < $1 ORDER BY id LIMIT $2)`, firstID(t), limit)
}
