package store

import "time"

// Purposes of a mailed code.
const (
	CodeOpen    = "open"
	CodeSignIn  = "sign-in"
	CodeRecover = "recover"
	CodeAlias   = "alias"
	CodeLift    = "lift"   // of a lost second factor
	CodeKeep    = "keep"   // of two users who become one: to the one who stays,
	CodeGone    = "gone"   //   and to the other
	CodeAnswer  = "answer" // to prove an address before answering an intake, which SlotID names
)

// States of a code.
const (
	CodeLive = "live"
	CodeUsed = "used"
	CodeDead = "dead"
)

// Code is one mailed code, bound to the session that asked.
type Code struct {
	ID        string
	TokenHash string // of the session that asked
	Purpose   string
	Address   string // canonical
	SlotID    string // of CodeOpen; of CodeAnswer the id of the intake; else ""
	CodeHash  string
	Tries     int // wrong ones so far
	State     string
	CreatedAt time.Time
	ExpiresAt time.Time
}

const codeColumns = `id, token_hash, purpose, address, slot_id, code_hash, tries, state, created_at, expires_at`

// InsertCode writes c as live, at the transaction's time, and ends the
// session's earlier codes of the same purpose and slot.
func (tx *Tx) InsertCode(c Code) error {
	if _, err := tx.exec(`UPDATE codes SET state = 'dead' WHERE token_hash = $1 AND purpose = $2 AND slot_id = $3 AND state = 'live'`,
		c.TokenHash, c.Purpose, c.SlotID); err != nil {
		return err
	}
	_, err := tx.exec(`INSERT INTO codes (`+codeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0, 'live', $7, $8)`,
		c.ID, c.TokenHash, c.Purpose, c.Address, c.SlotID, c.CodeHash, ms(tx.Now), ms(c.ExpiresAt))
	return err
}

// FindLiveCode returns, and locks until the transaction ends, the session's
// code for a purpose and slot that is neither used nor dead. It may be past its
// ExpiresAt: the caller tells the person which it is.
func (tx *Tx) FindLiveCode(hash, purpose, slotID string) (Code, error) {
	var c Code
	var created, expires int64
	err := tx.row(`SELECT `+codeColumns+` FROM codes WHERE token_hash = $1 AND purpose = $2 AND slot_id = $3 AND state = 'live'
		ORDER BY created_at DESC, id LIMIT 1`+tx.dialect.forUpdate, hash, purpose, slotID).
		Scan(&c.ID, &c.TokenHash, &c.Purpose, &c.Address, &c.SlotID, &c.CodeHash, &c.Tries, &c.State, &created, &expires)
	c.CreatedAt, c.ExpiresAt = fromMs(created), fromMs(expires)
	return c, found(err)
}

// CountTry adds a wrong try to a live code and returns how many there are now.
func (tx *Tx) CountTry(codeID string) (int, error) {
	var n int
	err := tx.row(`UPDATE codes SET tries = tries + 1 WHERE id = $1 AND state = 'live' RETURNING tries`, codeID).Scan(&n)
	return n, found(err)
}

// EndCode makes a live code used or dead. One that is no longer live gives
// ErrNotFound, so that of two uses at once only one succeeds.
func (tx *Tx) EndCode(codeID, state string) error {
	n, err := tx.exec(`UPDATE codes SET state = $1 WHERE id = $2 AND state = 'live'`, state, codeID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteOldCodes removes those that ended by time before t.
func (tx *Tx) DeleteOldCodes(t time.Time) (int64, error) {
	return tx.exec(`DELETE FROM codes WHERE expires_at < $1`, ms(t))
}
