package store

import (
	"database/sql"
	"time"
)

// Passkey is a key pair of a person's device, of which this is the public half.
type Passkey struct {
	ID           string
	UserID       string
	CredentialID string // the authenticator's, base64url
	Name         string
	Record       []byte // JSON
	CreatedAt    time.Time
	UsedAt       time.Time
}

const passkeyColumns = `id, user_id, credential_id, name, record, created_at, used_at`

func scanPasskey(scan func(...any) error) (p Passkey, err error) {
	var created, used int64
	err = scan(&p.ID, &p.UserID, &p.CredentialID, &p.Name, &p.Record, &created, &used)
	p.CreatedAt, p.UsedAt = fromMs(created), fromMs(used)
	return p, found(err)
}

// InsertPasskey writes p at the transaction's time. A credential that is known,
// whoever's it is, gives ErrTaken.
func (tx *Tx) InsertPasskey(p Passkey) error {
	_, err := tx.exec(`INSERT INTO passkeys (`+passkeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0)`,
		p.ID, p.UserID, p.CredentialID, p.Name, p.Record, ms(tx.Now))
	if err != nil {
		return err
	}
	return tx.noteSecond(p.UserID)
}

// LockPasskey returns the passkey with that credential and holds it until the
// transaction ends.
func (tx *Tx) LockPasskey(credentialID string) (Passkey, error) {
	return scanPasskey(tx.row(`SELECT `+passkeyColumns+` FROM passkeys WHERE credential_id = $1`+tx.dialect.forUpdate, credentialID).Scan)
}

// ListPasskeys returns a person's, the oldest first.
func (tx *Tx) ListPasskeys(userID string) ([]Passkey, error) {
	rows, err := tx.rows(`SELECT `+passkeyColumns+` FROM passkeys WHERE user_id = $1 ORDER BY created_at, id`, userID)
	return list(rows, err, func(r *sql.Rows) (Passkey, error) { return scanPasskey(r.Scan) })
}

// UsePasskey notes that a passkey was used now, and what its record became.
func (tx *Tx) UsePasskey(id string, record []byte) error {
	return tx.oneRow(`UPDATE passkeys SET record = $1, used_at = $2 WHERE id = $3`, record, ms(tx.Now), id)
}

// RenamePasskey gives a person's passkey another name.
func (tx *Tx) RenamePasskey(userID, id, name string) error {
	return tx.oneRow(`UPDATE passkeys SET name = $1 WHERE id = $2 AND user_id = $3`, name, id, userID)
}

// DeletePasskey removes a person's passkey and returns its name.
func (tx *Tx) DeletePasskey(userID, id string) (name string, err error) {
	err = found(tx.row(`DELETE FROM passkeys WHERE id = $1 AND user_id = $2 RETURNING name`, id, userID).Scan(&name))
	if err != nil {
		return name, err
	}
	return name, tx.noteSecond(userID)
}

// Authenticator is the app that shows a person codes.
type Authenticator struct {
	UserID      string
	SeedBox     []byte
	Step        int64 // of the last code that was taken
	CreatedAt   time.Time
	ConfirmedAt time.Time // zero: it does not count yet
	UsedAt      time.Time
}

// PutAuthenticator writes a new one that is not confirmed, at the transaction's
// time, in the place of one that was not either. One that counts gives ErrTaken.
func (tx *Tx) PutAuthenticator(userID string, seedBox []byte) error {
	n, err := tx.exec(`INSERT INTO authenticators (user_id, seed_box, step, created_at, confirmed_at, used_at) VALUES ($1, $2, 0, $3, 0, 0)
		ON CONFLICT (user_id) DO UPDATE SET seed_box = $2, step = 0, created_at = $3 WHERE authenticators.confirmed_at = 0`,
		userID, seedBox, ms(tx.Now))
	if err == nil && n == 0 {
		err = ErrTaken
	}
	return err
}

// FindAuthenticator returns a person's, also one that is not confirmed.
func (tx *Tx) FindAuthenticator(userID string) (a Authenticator, err error) {
	var created, confirmed, used int64
	err = tx.row(`SELECT user_id, seed_box, step, created_at, confirmed_at, used_at FROM authenticators WHERE user_id = $1`, userID).
		Scan(&a.UserID, &a.SeedBox, &a.Step, &created, &confirmed, &used)
	a.CreatedAt, a.ConfirmedAt, a.UsedAt = fromMs(created), fromMs(confirmed), fromMs(used)
	return a, found(err)
}

// UseStep takes the code of a step, once, and with it those before: where that
// step or a later one was taken already it gives ErrNotFound.
func (tx *Tx) UseStep(userID string, step int64) error {
	return tx.oneRow(`UPDATE authenticators SET step = $1, used_at = $2 WHERE user_id = $3 AND step < $1`, step, ms(tx.Now), userID)
}

// ConfirmAuthenticator makes a person's authenticator count.
func (tx *Tx) ConfirmAuthenticator(userID string) error {
	if err := tx.oneRow(`UPDATE authenticators SET confirmed_at = $1 WHERE user_id = $2 AND confirmed_at = 0`, ms(tx.Now), userID); err != nil {
		return err
	}
	return tx.noteSecond(userID)
}

// DeleteAuthenticator removes a person's.
func (tx *Tx) DeleteAuthenticator(userID string) error {
	if err := tx.oneRow(`DELETE FROM authenticators WHERE user_id = $1`, userID); err != nil {
		return err
	}
	return tx.noteSecond(userID)
}

// PutRecoveryCodes replaces a person's codes; without hashes there are none.
func (tx *Tx) PutRecoveryCodes(userID string, hashes []string) error {
	if _, err := tx.exec(`DELETE FROM recovery_codes WHERE user_id = $1`, userID); err != nil {
		return err
	}
	for _, h := range hashes {
		if _, err := tx.exec(`INSERT INTO recovery_codes (user_id, code_hash, used_at) VALUES ($1, $2, 0)`, userID, h); err != nil {
			return err
		}
	}
	return nil
}

// UseRecoveryCode takes a code, once: one that is unknown or was taken gives ErrNotFound.
func (tx *Tx) UseRecoveryCode(userID, hash string) error {
	return tx.oneRow(`UPDATE recovery_codes SET used_at = $1 WHERE user_id = $2 AND code_hash = $3 AND used_at = 0`, ms(tx.Now), userID, hash)
}

// CountRecoveryCodes returns how many of a person's codes are left.
func (tx *Tx) CountRecoveryCodes(userID string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at = 0`, userID).Scan(&n)
	return n, err
}

// HasSecondFactor reports whether a person has a passkey or an authenticator that counts.
func (tx *Tx) HasSecondFactor(userID string) (bool, error) {
	var n int
	err := tx.row(`SELECT (SELECT COUNT(*) FROM passkeys WHERE user_id = $1)
		+ (SELECT COUNT(*) FROM authenticators WHERE user_id = $1 AND confirmed_at > 0)`, userID).Scan(&n)
	return n > 0, err
}

// Purposes of a challenge.
const (
	ChallengeAdd   = "add"   // a new passkey
	ChallengeProve = "prove" // who somebody is
)

// Challenge is what an authenticator is asked to sign.
type Challenge struct {
	Challenge string // base64url
	TokenHash string // of the session that asked
	Purpose   string
	Data      []byte // JSON
	ExpiresAt time.Time
}

// InsertChallenge writes c.
func (tx *Tx) InsertChallenge(c Challenge) error {
	_, err := tx.exec(`INSERT INTO challenges (challenge, token_hash, purpose, data, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		c.Challenge, c.TokenHash, c.Purpose, c.Data, ms(c.ExpiresAt))
	return err
}

// TakeChallenge removes a session's challenge and returns its data. One of
// another session or purpose, too old, or taken before, gives ErrNotFound.
func (tx *Tx) TakeChallenge(hash, purpose, challenge string) (data []byte, err error) {
	err = found(tx.row(`DELETE FROM challenges WHERE challenge = $1 AND token_hash = $2 AND purpose = $3 AND expires_at > $4 RETURNING data`,
		challenge, hash, purpose, ms(tx.Now)).Scan(&data))
	return data, err
}

// DeleteOldChallenges removes those past their end.
func (tx *Tx) DeleteOldChallenges() (int64, error) {
	return tx.exec(`DELETE FROM challenges WHERE expires_at <= $1`, ms(tx.Now))
}
