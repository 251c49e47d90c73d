package store

import (
	"database/sql"
	"time"
)

// Scopes of a session.
const (
	ScopeVisitor     = "visitor"
	ScopeSecond      = "second"       // a password or a code was right, the second factor is still asked
	ScopeMailbox     = "mailbox"      // an administrator typed the password: a code mailed to its person is still asked
	ScopeSetPassword = "set-password" // only that
	ScopeSetSecond   = "set-second"   // only that: a second factor is required, and there is none
	ScopeFull        = "full"
)

// What a session was proved by.
const (
	MethodCode     = "code" // mailed
	MethodPassword = "password"
	MethodPasskey  = "passkey"
	MethodOIDC     = "oidc" // by an organisation's provider
)

// SessionLimit is how long a session lasts at most that has proved an address.
const SessionLimit = 12 * time.Hour

// Session is a browser or a terminal: a visitor's, or a signed-in person's.
type Session struct {
	TokenHash string // SHA-256 of the token, hex
	UserID    string // "" for a visitor
	Scope     string
	Address   string // canonical address proven in this session, "" = none
	Nonce     string // hex, 32 bytes
	Client    string
	Method    string    // code, password, passkey, oidc: what it was proved by; "" = nothing
	SecondAt  time.Time // when a second factor was last proved in it
	CreatedAt time.Time // when it began: when its person last proved who they are
	SeenAt    time.Time
	ExpiresAt time.Time // absolute end
}

// Unproved reports whether a session may be that of whoever typed its person's
// password, or the one that it goes back to: it has not proved the mailbox.
func (s Session) Unproved(u User) bool { return u.TypedBy != "" && s.Address != u.Address }

const sessionColumns = `token_hash, user_id, scope, address, nonce, client, created_at, seen_at, expires_at, method, second_at`

func scanSession(scan func(...any) error) (s Session, err error) {
	var user sql.NullString
	var created, seen, expires, second int64
	err = scan(&s.TokenHash, &user, &s.Scope, &s.Address, &s.Nonce, &s.Client, &created, &seen, &expires, &s.Method, &second)
	s.UserID, s.CreatedAt, s.SeenAt, s.ExpiresAt, s.SecondAt = user.String, fromMs(created), fromMs(seen), fromMs(expires), fromMs(second)
	return s, found(err)
}

// InsertSession writes s; SeenAt is the transaction's time, and CreatedAt where s
// has none.
func (tx *Tx) InsertSession(s Session) error {
	created := s.CreatedAt
	if created.IsZero() {
		created = tx.Now
	}
	_, err := tx.exec(`INSERT INTO sessions (`+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		s.TokenHash, text(s.UserID), s.Scope, s.Address, s.Nonce, s.Client, ms(created), ms(tx.Now), ms(s.ExpiresAt), s.Method, ms(s.SecondAt))
	return err
}

// FindSession returns the session with that token hash, even one that has ended by time.
func (tx *Tx) FindSession(hash string) (Session, error) {
	return scanSession(tx.row(`SELECT `+sessionColumns+` FROM sessions WHERE token_hash = $1`, hash).Scan)
}

// LockSession is FindSession that holds the row until the transaction ends.
func (tx *Tx) LockSession(hash string) (Session, error) {
	return scanSession(tx.row(`SELECT `+sessionColumns+` FROM sessions WHERE token_hash = $1`+tx.dialect.forUpdate, hash).Scan)
}

// TouchSession notes that the session was used now.
func (tx *Tx) TouchSession(hash string) error {
	_, err := tx.exec(`UPDATE sessions SET seen_at = $1 WHERE token_hash = $2`, ms(tx.Now), hash)
	return err
}

// RotateSession puts next in the place of the session old, which ends: its
// possessions go over, its codes die. An old that is gone gives next none.
func (tx *Tx) RotateSession(old string, next Session) error {
	if err := tx.InsertSession(next); err != nil {
		return err
	}
	if _, err := tx.exec(`UPDATE possessions SET token_hash = $1 WHERE token_hash = $2`, next.TokenHash, old); err != nil {
		return err
	}
	return tx.DeleteSession(old)
}

// DeleteSession ends one session; one that is gone already is no error.
func (tx *Tx) DeleteSession(hash string) error {
	if _, err := tx.exec(`DELETE FROM codes WHERE token_hash = $1`, hash); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM sessions WHERE token_hash = $1`, hash)
	return err
}

// DeleteUserSessions ends the sessions of a user but the one with hash keep
// ("" keeps none) and returns how many there were.
func (tx *Tx) DeleteUserSessions(userID, keep string) (int64, error) {
	return tx.exec(`DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2`, userID, keep)
}

// ListSessions returns the sessions of a user, last seen first.
func (tx *Tx) ListSessions(userID string) ([]Session, error) {
	rows, err := tx.rows(`SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 AND expires_at > $2
		ORDER BY seen_at DESC, token_hash LIMIT 100`, userID, ms(tx.Now))
	return list(rows, err, func(r *sql.Rows) (Session, error) { return scanSession(r.Scan) })
}

// DeleteOldSessions removes those past their absolute end.
func (tx *Tx) DeleteOldSessions() (int64, error) {
	return tx.exec(`DELETE FROM sessions WHERE expires_at <= $1`, ms(tx.Now))
}

// InsertPossession notes that the session proved to hold the mail of a slot, in
// a browser with that device cookie (its token's hash, "" = none); a second
// proof changes nothing but the device.
func (tx *Tx) InsertPossession(hash, slotID, device string) error {
	_, err := tx.exec(`INSERT INTO possessions (token_hash, slot_id, proved_at, device) VALUES ($1, $2, $3, $4)
		ON CONFLICT (token_hash, slot_id) DO UPDATE SET device = $4`, hash, slotID, ms(tx.Now), device)
	return err
}

// UseSecond uses up the second factor that a session proved at that time. One
// that was used at the same moment gives ErrNotFound.
func (tx *Tx) UseSecond(hash string, at time.Time) error {
	n, err := tx.exec(`UPDATE sessions SET second_at = 0 WHERE token_hash = $1 AND second_at = $2`, hash, ms(at))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// MarkReleased notes that the session, which proved possession of the slot's
// mail, was given its key at the transaction's time.
func (tx *Tx) MarkReleased(hash, slotID string) error {
	_, err := tx.exec(`UPDATE possessions SET released_at = $3 WHERE token_hash = $1 AND slot_id = $2`, hash, slotID, ms(tx.Now))
	return err
}
