package store

import (
	"database/sql"
	"time"
)

// Lift is a person's wish to have their second factor, which they lost, taken away.
type Lift struct {
	ID         string
	UserID     string
	AccountID  int64  // of the user when they asked, 0 = none
	TokenHash  string // of the link that stops it
	AskedAt    time.Time
	ApprovedBy string    // name of who did, "" = nobody yet
	DueAt      time.Time // approved: when the factors go; not approved: when the wish does
}

const liftColumns = `id, user_id, account_id, token_hash, asked_at, approved_by, due_at`

func scanLift(scan func(...any) error) (l Lift, err error) {
	var account sql.NullInt64
	var asked, due int64
	err = scan(&l.ID, &l.UserID, &account, &l.TokenHash, &asked, &l.ApprovedBy, &due)
	l.AccountID, l.AskedAt, l.DueAt = account.Int64, fromMs(asked), fromMs(due)
	return l, found(err)
}

// InsertLift writes l as asked now. A person who asked already gives ErrTaken.
func (tx *Tx) InsertLift(l Lift) error {
	_, err := tx.exec(`INSERT INTO factor_lifts (`+liftColumns+`) VALUES ($1, $2, $3, $4, $5, '', $6)`,
		l.ID, l.UserID, number(l.AccountID), l.TokenHash, ms(tx.Now), ms(l.DueAt))
	return err
}

// FindLift returns a person's wish.
func (tx *Tx) FindLift(userID string) (Lift, error) {
	return scanLift(tx.row(`SELECT `+liftColumns+` FROM factor_lifts WHERE user_id = $1`, userID).Scan)
}

// FindLiftByToken returns the wish that a link stops.
func (tx *Tx) FindLiftByToken(hash string) (Lift, error) {
	return scanLift(tx.row(`SELECT `+liftColumns+` FROM factor_lifts WHERE token_hash = $1`, hash).Scan)
}

// ApproveLift writes who approved l and when it is due, if nobody did before and
// it is not over; else it gives ErrNotFound.
func (tx *Tx) ApproveLift(l Lift) error {
	return tx.oneRow(`UPDATE factor_lifts SET approved_by = $1, due_at = $2, token_hash = $3 WHERE id = $4 AND approved_by = '' AND due_at > $5`,
		l.ApprovedBy, ms(l.DueAt), l.TokenHash, l.ID, ms(tx.Now))
}

// DeleteLift ends a wish; one that is gone gives ErrNotFound.
func (tx *Tx) DeleteLift(id string) error {
	return tx.oneRow(`DELETE FROM factor_lifts WHERE id = $1`, id)
}

// ListLifts returns the wishes of an account's users, 0 for those of people in
// none, that are not over, the oldest first, after a time in milliseconds and an id.
func (tx *Tx) ListLifts(account, after int64, id string, limit int) ([]Lift, error) {
	rows, err := tx.rows(`SELECT `+liftColumns+` FROM factor_lifts WHERE `+ofAccount(account, "$1")+` AND due_at > $2 AND (asked_at, id) > ($3, $4) ORDER BY asked_at, id LIMIT $5`,
		account, ms(tx.Now), after, id, limit)
	return list(rows, err, func(r *sql.Rows) (Lift, error) { return scanLift(r.Scan) })
}

// ListDueLifts returns wishes whose time has come.
func (tx *Tx) ListDueLifts(limit int) ([]Lift, error) {
	rows, err := tx.rows(`SELECT `+liftColumns+` FROM factor_lifts WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`, ms(tx.Now), limit)
	return list(rows, err, func(r *sql.Rows) (Lift, error) { return scanLift(r.Scan) })
}

// DeleteFactors removes a person's passkeys, authenticator and recovery codes.
func (tx *Tx) DeleteFactors(userID string) error {
	for _, q := range []string{`DELETE FROM passkeys WHERE user_id = $1`, `DELETE FROM authenticators WHERE user_id = $1`, `DELETE FROM recovery_codes WHERE user_id = $1`} {
		if _, err := tx.exec(q, userID); err != nil {
			return err
		}
	}
	return tx.noteSecond(userID)
}
