package store

import (
	"database/sql"
	"time"
)

// States of a request for access.
const (
	RequestPending = "pending"
	RequestGranted = "granted"
	RequestRefused = "refused"
)

// AccessRequest is a person's wish to administer an account, or for one right over it.
type AccessRequest struct {
	ID        string
	UserID    string
	AccountID int64 // 0: for the operator
	Reason    string
	State     string
	CreatedAt time.Time
	Right     string // "" = to administer
	DecidedAt time.Time
	Word      string // of whoever decided, "" = none
}

const requestColumns = `id, user_id, account_id, reason, state, created_at, act, decided_at, word`

func scanRequest(scan func(...any) error) (r AccessRequest, err error) {
	var account sql.NullInt64
	var created, decided int64
	err = scan(&r.ID, &r.UserID, &account, &r.Reason, &r.State, &created, &r.Right, &decided, &r.Word)
	r.AccountID, r.CreatedAt, r.DecidedAt = account.Int64, fromMs(created), fromMs(decided)
	return r, found(err)
}

// InsertRequest writes r as pending, at the transaction's time.
func (tx *Tx) InsertRequest(r AccessRequest) error {
	_, err := tx.exec(`INSERT INTO access_requests (`+requestColumns+`) VALUES ($1, $2, $3, $4, 'pending', $5, $6, 0, '')`,
		r.ID, r.UserID, number(r.AccountID), r.Reason, ms(tx.Now), r.Right)
	return err
}

// FindRequest returns the request with that id.
func (tx *Tx) FindRequest(requestID string) (AccessRequest, error) {
	return scanRequest(tx.row(`SELECT `+requestColumns+` FROM access_requests WHERE id = $1`, requestID).Scan)
}

// FindPendingRequest returns a user's open request to an account (0: to the operator).
func (tx *Tx) FindPendingRequest(userID string, account int64) (AccessRequest, error) {
	return scanRequest(tx.row(`SELECT `+requestColumns+` FROM access_requests
		WHERE user_id = $1 AND COALESCE(account_id, 0) = $2 AND state = 'pending' ORDER BY created_at, id LIMIT 1`, userID, account).Scan)
}

// FindLastRequest returns a user's newest request to an account (0: to the operator).
func (tx *Tx) FindLastRequest(userID string, account int64) (AccessRequest, error) {
	return scanRequest(tx.row(`SELECT `+requestColumns+` FROM access_requests
		WHERE user_id = $1 AND COALESCE(account_id, 0) = $2 ORDER BY created_at DESC, id DESC LIMIT 1`, userID, account).Scan)
}

// EndRequest decides a pending request, with a word of whoever does. One that is
// decided gives ErrNotFound, so that of two decisions at once only one succeeds.
func (tx *Tx) EndRequest(requestID, state, word string) error {
	n, err := tx.exec(`UPDATE access_requests SET state = $1, decided_at = $3, word = $4 WHERE id = $2 AND state = 'pending'`, state, requestID, ms(tx.Now), word)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// EndRequestsOf decides all pending requests of a user to an account.
func (tx *Tx) EndRequestsOf(userID string, account int64, state string) error {
	_, err := tx.exec(`UPDATE access_requests SET state = $1, decided_at = $4 WHERE user_id = $2 AND COALESCE(account_id, 0) = $3 AND state = 'pending'`,
		state, userID, account, ms(tx.Now))
	return err
}

// ListRequests returns the pending requests to an account (0: to the operator), oldest
// first, those after a time in milliseconds and an id (0 and "": from the first).
func (tx *Tx) ListRequests(account, after int64, id string, limit int) ([]AccessRequest, error) {
	rows, err := tx.rows(`SELECT `+requestColumns+` FROM access_requests
		WHERE `+ofAccount(account, "$1")+` AND state = 'pending' AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4`, account, after, id, limit)
	return list(rows, err, func(r *sql.Rows) (AccessRequest, error) { return scanRequest(r.Scan) })
}

// ofAccount is the condition that a row is an account's, or with 0 nobody's, by
// which an index of account_id serves.
func ofAccount(account int64, parameter string) string {
	if account == 0 {
		return "account_id IS NULL AND " + parameter + " = 0"
	}
	return "account_id = " + parameter
}
