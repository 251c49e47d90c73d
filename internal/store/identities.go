package store

import "time"

// Identity is whom an OpenID provider knows a user as.
type Identity struct {
	Issuer  string
	Subject string // of the issuer's
	UserID  string
}

// InsertIdentity links an identity to a user, from now on. One that is linked
// already, and a second one of the same issuer, give ErrTaken.
func (tx *Tx) InsertIdentity(i Identity) error {
	_, err := tx.exec(`INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)`, i.Issuer, i.Subject, i.UserID, ms(tx.Now))
	return err
}

// FindIdentity returns the link of an identity.
func (tx *Tx) FindIdentity(issuer, subject string) (Identity, error) {
	i := Identity{Issuer: issuer, Subject: subject}
	return i, found(tx.row(`SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2`, issuer, subject).Scan(&i.UserID))
}

// HasIdentity reports whether a user has an identity of an issuer.
func (tx *Tx) HasIdentity(userID, issuer string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM identities WHERE user_id = $1 AND issuer = $2`, userID, issuer).Scan(&n)
	return n > 0, err
}

// Detour is a visitor's way to an OpenID provider and back.
type Detour struct {
	StateHash   string
	SessionHash string // that began it
	Provider    string // its name in the configuration
	Next        string // path to go on to
	ExpiresAt   time.Time
}

// InsertDetour writes d.
func (tx *Tx) InsertDetour(d Detour) error {
	_, err := tx.exec(`INSERT INTO detours (state_hash, session_hash, provider, next, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		d.StateHash, d.SessionHash, d.Provider, d.Next, ms(d.ExpiresAt))
	return err
}

// TakeDetour removes the detour that this session began to this provider and
// that has not ended, and returns it. Of two takers at once one gets it, the
// other ErrNotFound.
func (tx *Tx) TakeDetour(stateHash, sessionHash, provider string) (Detour, error) {
	d := Detour{StateHash: stateHash, SessionHash: sessionHash, Provider: provider}
	err := tx.row(`DELETE FROM detours WHERE state_hash = $1 AND session_hash = $2 AND provider = $3 AND expires_at > $4 RETURNING next`,
		stateHash, sessionHash, provider, ms(tx.Now)).Scan(&d.Next)
	return d, found(err)
}

// DeleteOldDetours removes those that have ended.
func (tx *Tx) DeleteOldDetours() (int64, error) {
	return tx.exec(`DELETE FROM detours WHERE expires_at <= $1`, ms(tx.Now))
}
