package store

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
)

// States of a row of the outbox.
const (
	OutboxWaiting = "waiting"
	OutboxFailed  = "failed" // given up; the letter has been emptied
	OutboxHeld    = "held"   // given up, and kept until next_at, for its sender to correct the address
)

// OutboxRow is a mail that waits to be sent. Letter is sealed: this package
// cannot read it.
type OutboxRow struct {
	ID        string
	AccountID int64 // 0: the service's own mail
	Kind      string
	SlotID    string // "" unless the mail carries an envelope
	SenderID  string // user to tell when it fails, "" = nobody
	Recipient string // canonical address
	Letter    []byte
	Blob      string // that the letter reads, besides a message's payload; "" = none
	State     string
	Attempts  int64 // claims so far; the number of a claim is what fences it
	NextAt    time.Time
	GiveUpAt  time.Time
	LastError string
	CreatedAt time.Time
}

const outboxColumns = `id, account_id, kind, slot_id, sender_id, rcpt, letter_box, state, attempts, next_at, give_up_at, last_error, created_at, blob`

func scanOutbox(r interface{ Scan(...any) error }) (OutboxRow, error) {
	var o OutboxRow
	var account sql.NullInt64
	var next, giveUp, created int64
	err := r.Scan(&o.ID, &account, &o.Kind, &o.SlotID, &o.SenderID, &o.Recipient, &o.Letter, &o.State,
		&o.Attempts, &next, &giveUp, &o.LastError, &created, &o.Blob)
	o.AccountID = account.Int64
	o.NextAt, o.GiveUpAt, o.CreatedAt = fromMs(next), fromMs(giveUp), fromMs(created)
	return o, found(err)
}

// InsertOutbox adds a waiting row.
func (tx *Tx) InsertOutbox(o OutboxRow) error {
	_, err := tx.exec(`INSERT INTO outbox (`+outboxColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, '', $11, $12)`,
		o.ID, number(o.AccountID), o.Kind, o.SlotID, o.SenderID, o.Recipient, o.Letter,
		OutboxWaiting, ms(o.NextAt), ms(o.GiveUpAt), ms(o.CreatedAt), o.Blob)
	return err
}

// ClaimOutbox takes up to limit due rows, of the given kind or of any if it is
// "", and keeps them from every other claim until the given time. Those
// that fell due first are taken first; they come oldest first.
func (tx *Tx) ClaimOutbox(kind string, limit int, until time.Time) ([]OutboxRow, error) {
	// The subquery is materialised: PostgreSQL could otherwise run it more than
	// once and claim more rows than the limit says.
	rows, err := tx.rows(`WITH due AS MATERIALIZED (
			SELECT id FROM outbox WHERE state = 'waiting' AND next_at <= $1 AND ($2 = '' OR kind = $2)
			ORDER BY next_at, id LIMIT $3`+tx.dialect.skip+`)
		UPDATE outbox SET next_at = $4, attempts = attempts + 1 WHERE id IN (SELECT id FROM due)
		RETURNING `+outboxColumns, ms(tx.Now), kind, limit, ms(until))
	claimed, err := list(rows, err, func(r *sql.Rows) (OutboxRow, error) { return scanOutbox(r) })
	slices.SortFunc(claimed, func(a, b OutboxRow) int { return strings.Compare(a.ID, b.ID) })
	return claimed, err
}

// RenewOutbox prolongs claim number attempts of a row. It reports false when
// the claim is no longer the row's latest: then somebody else sends it.
func (tx *Tx) RenewOutbox(id string, attempts int64, until time.Time) (bool, error) {
	n, err := tx.exec(`UPDATE outbox SET next_at = $3 WHERE id = $1 AND attempts = $2 AND state = 'waiting'`, id, attempts, ms(until))
	return n == 1, err
}

// FinishOutbox deletes a row that was sent under claim number attempts; false
// means that the claim was lost meanwhile.
func (tx *Tx) FinishOutbox(id string, attempts int64) (bool, error) {
	n, err := tx.exec(`DELETE FROM outbox WHERE id = $1 AND attempts = $2`, id, attempts)
	return n == 1, err
}

// PostponeOutbox ends claim number attempts with another try at next.
func (tx *Tx) PostponeOutbox(id string, attempts int64, next time.Time, reason string) (bool, error) {
	n, err := tx.exec(`UPDATE outbox SET next_at = $3, last_error = $4 WHERE id = $1 AND attempts = $2 AND state = 'waiting'`,
		id, attempts, ms(next), reason)
	return n == 1, err
}

// FailOutbox ends claim number attempts for good: the letter is emptied.
func (tx *Tx) FailOutbox(id string, attempts int64, reason string) (bool, error) {
	n, err := tx.exec(`UPDATE outbox SET state = 'failed', letter_box = $3, last_error = $4 WHERE id = $1 AND attempts = $2 AND state = 'waiting'`,
		id, attempts, []byte{}, reason)
	return n == 1, err
}

// HoldOutbox ends claim number attempts for good, but keeps the letter until
// the given time.
func (tx *Tx) HoldOutbox(id string, attempts int64, until time.Time, reason string) (bool, error) {
	n, err := tx.exec(`UPDATE outbox SET state = 'held', next_at = $3, last_error = $4 WHERE id = $1 AND attempts = $2 AND state = 'waiting'`,
		id, attempts, ms(until), reason)
	return n == 1, err
}

// EmptyHeld empties the letters that were held until now, and returns how many.
func (tx *Tx) EmptyHeld() (int64, error) {
	return tx.exec(`UPDATE outbox SET state = 'failed', letter_box = $2 WHERE state = 'held' AND next_at <= $1`, ms(tx.Now), []byte{})
}

// FindLetter returns the row of a slot's mail that is held, locked against
// other writers.
func (tx *Tx) FindLetter(slotID string) (OutboxRow, error) {
	return scanOutbox(tx.row(`SELECT `+outboxColumns+` FROM outbox WHERE slot_id = $1 AND state = 'held'
		ORDER BY id DESC LIMIT 1`+tx.dialect.forUpdate, slotID))
}

// FindLetterState returns the state of a slot's newest mail, "" where there is none.
func (tx *Tx) FindLetterState(slotID string) (state string, err error) {
	err = tx.row(`SELECT state FROM outbox WHERE slot_id = $1 ORDER BY id DESC LIMIT 1`, slotID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return state, err
}

// DeleteLetters removes the mails of some slots that wait or are held, and
// reports of which slots one waited. A claim on it is lost.
func (tx *Tx) DeleteLetters(slotIDs []string) (waited map[string]bool, err error) {
	waited = make(map[string]bool)
	if len(slotIDs) == 0 {
		return waited, nil
	}
	in, args := among(slotIDs, 1)
	rows, err := tx.rows(`DELETE FROM outbox WHERE slot_id IN `+in+` AND (state = 'waiting' OR state = 'held') RETURNING slot_id, state`, args...)
	_, err = list(rows, err, func(r *sql.Rows) (slot string, err error) {
		var state string
		err = r.Scan(&slot, &state)
		waited[slot] = waited[slot] || state == OutboxWaiting
		return slot, err
	})
	return waited, err
}

// NextOutbox returns when the earliest waiting row falls due; zero when none waits.
func (tx *Tx) NextOutbox() (time.Time, error) {
	var next sql.NullInt64
	err := tx.row(`SELECT MIN(next_at) FROM outbox WHERE state = 'waiting'`).Scan(&next)
	if !next.Valid {
		return time.Time{}, err
	}
	return time.UnixMilli(next.Int64).UTC(), err
}

// ListOutbox returns up to limit rows after the given id, oldest first, of the
// given state or of any if it is "".
func (tx *Tx) ListOutbox(state, after string, limit int) ([]OutboxRow, error) {
	rows, err := tx.rows(`SELECT `+outboxColumns+` FROM outbox
		WHERE id > $1 AND ($2 = '' OR state = $2) ORDER BY id LIMIT $3`, after, state, limit)
	return list(rows, err, func(r *sql.Rows) (OutboxRow, error) { return scanOutbox(r) })
}

// FindOutbox returns one row, locked against other writers.
func (tx *Tx) FindOutbox(id string) (OutboxRow, error) {
	return scanOutbox(tx.row(`SELECT `+outboxColumns+` FROM outbox WHERE id = $1`+tx.dialect.forUpdate, id))
}

// HurryOutbox makes a waiting row due now, with a new end of patience.
func (tx *Tx) HurryOutbox(id string, giveUp time.Time) error {
	_, err := tx.exec(`UPDATE outbox SET next_at = $2, give_up_at = $3 WHERE id = $1 AND state = 'waiting'`, id, ms(tx.Now), ms(giveUp))
	return err
}

// DeleteOutbox removes a row, whatever its state. A claim on it is lost.
func (tx *Tx) DeleteOutbox(id string) error {
	n, err := tx.exec(`DELETE FROM outbox WHERE id = $1`, id)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// RecallOutbox removes the letters that carry a message's envelopes and that no
// claim has ever touched, and returns how many those were.
func (tx *Tx) RecallOutbox(messageID string) (int64, error) {
	return tx.exec(`DELETE FROM outbox WHERE slot_id IN (SELECT id FROM slots WHERE message_id = $1) AND state = 'waiting' AND attempts = 0`, messageID)
}

// CountOutbox returns how many rows wait and how many have failed, and when
// the oldest waiting one came; zero when none waits.
func (tx *Tx) CountOutbox() (waiting, failed int64, oldest time.Time, err error) {
	var at sql.NullInt64
	err = tx.row(`SELECT COALESCE(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN state <> 'waiting' THEN 1 ELSE 0 END), 0),
			MIN(CASE WHEN state = 'waiting' THEN created_at END) FROM outbox`).Scan(&waiting, &failed, &at)
	return waiting, failed, fromMs(at.Int64), err
}

// SetDelivery records what became of a slot's mail. text is what the next hop
// said, on a bounce.
func (tx *Tx) SetDelivery(slotID, delivery, text string) error {
	var at time.Time
	if delivery == DeliverySent {
		at = tx.Now
	}
	_, err := tx.exec(`UPDATE slots SET delivery = $2, delivered_at = $3, delivery_text = $4 WHERE id = $1`, slotID, delivery, ms(at), text)
	return err
}

// FindSlotNames returns a slot's reference and its message's id.
func (tx *Tx) FindSlotNames(slotID string) (ref, messageID string, err error) {
	err = tx.row(`SELECT ref, message_id FROM slots WHERE id = $1`, slotID).Scan(&ref, &messageID)
	return ref, messageID, found(err)
}
