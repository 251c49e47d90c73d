package store

import (
	"database/sql"
	"errors"
	"time"
)

// Contact is somebody to whom a user has sent.
type Contact struct {
	Address        string // canonical
	DisplayAddress string
	Name           string // as the sender typed it, "" = never
	Enrolled       bool   // has opened an envelope of this user's signed in
	UsedAt         time.Time
}

// TouchContact notes that a user has sent messageID to c. A name that was not
// typed this time stays as it was.
func (tx *Tx) TouchContact(userID string, c Contact, messageID string) error {
	_, err := tx.exec(`INSERT INTO contacts (user_id, address, display_address, name, enrolled, made_by, used_at)
		VALUES ($1, $2, $3, $4, 0, $5, $6)
		ON CONFLICT (user_id, address) DO UPDATE SET display_address = $3, used_at = $6, name = CASE WHEN $4 = '' THEN contacts.name ELSE $4 END`,
		userID, c.Address, c.DisplayAddress, c.Name, messageID, ms(tx.Now))
	return err
}

// MarkEnrolled notes that a user's contact has opened signed in.
func (tx *Tx) MarkEnrolled(userID, address string) error {
	_, err := tx.exec(`UPDATE contacts SET enrolled = 1 WHERE user_id = $1 AND address = $2 AND enrolled = 0`, userID, address)
	return err
}

// ListContacts returns a user's contacts, the last used first.
func (tx *Tx) ListContacts(userID string, limit int) ([]Contact, error) {
	rows, err := tx.rows(`SELECT address, display_address, name, enrolled, used_at FROM contacts WHERE user_id = $1
		ORDER BY used_at DESC, address LIMIT $2`, userID, limit)
	return list(rows, err, func(r *sql.Rows) (c Contact, err error) {
		var enrolled, used int64
		err = r.Scan(&c.Address, &c.DisplayAddress, &c.Name, &enrolled, &used)
		c.Enrolled, c.UsedAt = enrolled == 1, fromMs(used)
		return c, err
	})
}

// HasEnrolledContact reports whether an address has opened an envelope of the
// user's signed in.
func (tx *Tx) HasEnrolledContact(userID, address string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM contacts WHERE user_id = $1 AND address = $2 AND enrolled = 1`, userID, address).Scan(&n)
	return n > 0, err
}

// DeleteContact removes one of a user's contacts.
func (tx *Tx) DeleteContact(userID, address string) error {
	n, err := tx.exec(`DELETE FROM contacts WHERE user_id = $1 AND address = $2`, userID, address)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteContactsOf removes the contacts that a user has by one message alone.
func (tx *Tx) DeleteContactsOf(userID, messageID string) error {
	_, err := tx.exec(`DELETE FROM contacts WHERE user_id = $1 AND made_by = $2`, userID, messageID)
	return err
}

// Sending are a user's preferences for what they send.
type Sending struct {
	Signature  string
	ExpiryDays int    // 0 = as the account has it
	Language   string // of the mails: en, fr, both, "" = the page's
}

// FindSending returns a user's preferences; who has saved none has the zero ones.
func (tx *Tx) FindSending(userID string) (Sending, error) {
	var s Sending
	err := tx.row(`SELECT signature, expiry_days, language FROM sending_preferences WHERE user_id = $1`, userID).Scan(&s.Signature, &s.ExpiryDays, &s.Language)
	if errors.Is(err, sql.ErrNoRows) {
		return Sending{}, nil
	}
	return s, err
}

// SetSending keeps a user's preferences.
func (tx *Tx) SetSending(userID string, s Sending) error {
	_, err := tx.exec(`INSERT INTO sending_preferences (user_id, signature, expiry_days, language) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET signature = $2, expiry_days = $3, language = $4`, userID, s.Signature, s.ExpiryDays, s.Language)
	return err
}

// SetNotifyOpened changes whether a user is told of first openings unless a
// message says otherwise.
func (tx *Tx) SetNotifyOpened(userID string, on bool) error {
	_, err := tx.exec(`UPDATE users SET notify_opened = $2 WHERE id = $1`, userID, flag(on))
	return err
}
