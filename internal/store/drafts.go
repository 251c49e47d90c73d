package store

import (
	"database/sql"
	"time"
)

// Draft is a message that is being written. Its Box is sealed: this package
// cannot read it.
type Draft struct {
	ID        string
	UserID    string
	AccountID int64
	Version   int64 // counts the savings, from 1
	Epoch     int64
	Box       []byte
	ChangedAt time.Time
	KeptUntil time.Time
	MessageID string    // it was sent as, "" = not sent
	UndoUntil time.Time // of a sent one
}

const draftColumns = `id, user_id, account_id, version, epoch, box, changed_at, kept_until, message_id, undo_until`

func scanDraft(r interface{ Scan(...any) error }) (d Draft, err error) {
	var changed, kept, undo int64
	err = r.Scan(&d.ID, &d.UserID, &d.AccountID, &d.Version, &d.Epoch, &d.Box, &changed, &kept, &d.MessageID, &undo)
	d.ChangedAt, d.KeptUntil, d.UndoUntil = fromMs(changed), fromMs(kept), fromMs(undo)
	return d, found(err)
}

// InsertDraft writes a first version, changed at the transaction's time.
func (tx *Tx) InsertDraft(d Draft) error {
	_, err := tx.exec(`INSERT INTO drafts (`+draftColumns+`) VALUES ($1, $2, $3, 1, $4, $5, $6, $7, '', 0)`,
		d.ID, d.UserID, d.AccountID, d.Epoch, d.Box, ms(tx.Now), ms(d.KeptUntil))
	return err
}

// ReplaceDraft writes the version after d.Version. It reports false when the
// draft has another version by now, has been sent, or is gone.
func (tx *Tx) ReplaceDraft(d Draft) (bool, error) {
	n, err := tx.exec(`UPDATE drafts SET version = version + 1, account_id = $4, epoch = $5, box = $6, changed_at = $7, kept_until = $8
		WHERE id = $1 AND user_id = $2 AND version = $3 AND message_id = ''`,
		d.ID, d.UserID, d.Version, d.AccountID, d.Epoch, d.Box, ms(tx.Now), ms(d.KeptUntil))
	return n == 1, err
}

// FindDraft returns a user's draft that has not been sent.
func (tx *Tx) FindDraft(userID, id string) (Draft, error) {
	return scanDraft(tx.row(`SELECT `+draftColumns+` FROM drafts WHERE id = $1 AND user_id = $2 AND message_id = ''`, id, userID))
}

// ListDrafts returns a user's drafts, the latest change first, without those sent.
func (tx *Tx) ListDrafts(userID string, limit int) ([]Draft, error) {
	rows, err := tx.rows(`SELECT `+draftColumns+` FROM drafts WHERE user_id = $1 AND message_id = '' ORDER BY changed_at DESC, id LIMIT $2`, userID, limit)
	return list(rows, err, func(r *sql.Rows) (Draft, error) { return scanDraft(r) })
}

// CountDrafts counts a user's drafts without those sent.
func (tx *Tx) CountDrafts(userID string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM drafts WHERE user_id = $1 AND message_id = ''`, userID).Scan(&n)
	return n, err
}

// SendDraft notes what message a version of a draft was sent as, and until when
// that may be undone. It reports false as ReplaceDraft does.
func (tx *Tx) SendDraft(userID, id string, version int64, messageID string, undoUntil time.Time) (bool, error) {
	n, err := tx.exec(`UPDATE drafts SET version = version + 1, message_id = $4, undo_until = $5
		WHERE id = $1 AND user_id = $2 AND version = $3 AND message_id = ''`, id, userID, version, messageID, ms(undoUntil))
	return n == 1, err
}

// FindSentDraft returns the draft that a user's message was sent from.
func (tx *Tx) FindSentDraft(userID, messageID string) (Draft, error) {
	return scanDraft(tx.row(`SELECT `+draftColumns+` FROM drafts WHERE message_id = $1 AND user_id = $2`, messageID, userID))
}

// LockSentDraft is FindSentDraft that holds the row until the transaction ends.
func (tx *Tx) LockSentDraft(userID, messageID string) (Draft, error) {
	return scanDraft(tx.row(`SELECT `+draftColumns+` FROM drafts WHERE message_id = $1 AND user_id = $2`+tx.dialect.forUpdate, messageID, userID))
}

// UnsendDraft makes a sent draft one that has not been sent.
func (tx *Tx) UnsendDraft(id string) error {
	_, err := tx.exec(`UPDATE drafts SET message_id = '', undo_until = 0 WHERE id = $1`, id)
	return err
}

// InsertDraftFile names a blob as a draft's.
func (tx *Tx) InsertDraftFile(draftID, blob string) error {
	_, err := tx.exec(`INSERT INTO draft_files (blob, draft_id) VALUES ($1, $2)`, blob, draftID)
	return err
}

// DeleteDraftFile removes the name of a draft's blob.
func (tx *Tx) DeleteDraftFile(draftID, blob string) error {
	_, err := tx.exec(`DELETE FROM draft_files WHERE blob = $1 AND draft_id = $2`, blob, draftID)
	return err
}

// DeleteDraft removes a draft, and returns the names of its blobs.
func (tx *Tx) DeleteDraft(id string) ([]string, error) {
	rows, err := tx.rows(`DELETE FROM draft_files WHERE draft_id = $1 RETURNING blob`, id)
	blobs, err := list(rows, err, func(r *sql.Rows) (blob string, err error) {
		err = r.Scan(&blob)
		return blob, err
	})
	if err != nil {
		return nil, err
	}
	_, err = tx.exec(`DELETE FROM drafts WHERE id = $1`, id)
	return blobs, err
}

// ListDraftsDue returns drafts whose time is over, or that were sent and cannot
// be taken back any more, and holds them until the transaction ends.
func (tx *Tx) ListDraftsDue(now time.Time, limit int) ([]string, error) {
	rows, err := tx.rows(`SELECT id FROM drafts WHERE kept_until <= $1 OR message_id <> '' AND undo_until <= $1 LIMIT $2`+tx.dialect.forUpdate,
		ms(now), limit)
	return list(rows, err, func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
}
