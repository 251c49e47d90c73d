package store

import (
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"
)

// ScopeSend is what a token may have beside rights: to send as its maker.
const ScopeSend = "send"

// APIToken is what a program calls the API by. It may do what its maker may, and
// only what its scopes name.
type APIToken struct {
	ID        string
	AccountID int64
	UserID    string // its maker
	Name      string
	Scopes    []string
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // to the hour, zero = never
}

const tokenColumns = `id, account_id, user_id, name, scopes, created_at, expires_at, used_at`

func scanToken(scan func(...any) error) (t APIToken, err error) {
	var scopes string
	var created, expires, used int64
	err = scan(&t.ID, &t.AccountID, &t.UserID, &t.Name, &scopes, &created, &expires, &used)
	if scopes != "" {
		t.Scopes = strings.Split(scopes, ",")
	}
	t.CreatedAt, t.ExpiresAt, t.UsedAt = fromMs(created), fromMs(expires), fromMs(used)
	return t, found(err)
}

// InsertToken writes t, whose token has that hash (SHA-256, hex).
func (tx *Tx) InsertToken(t APIToken, hash string) error {
	_, err := tx.exec(`INSERT INTO api_tokens (`+tokenColumns+`, token_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)`,
		t.ID, t.AccountID, t.UserID, t.Name, strings.Join(t.Scopes, ","), ms(t.CreatedAt), ms(t.ExpiresAt), hash)
	return err
}

// FindTokenByHash returns the token with that hash, even one that has ended by time.
func (tx *Tx) FindTokenByHash(hash string) (APIToken, error) {
	return scanToken(tx.row(`SELECT `+tokenColumns+` FROM api_tokens WHERE token_hash = $1`, hash).Scan)
}

// FindToken returns a token of an account.
func (tx *Tx) FindToken(account int64, id string) (APIToken, error) {
	return scanToken(tx.row(`SELECT `+tokenColumns+` FROM api_tokens WHERE account_id = $1 AND id = $2`, account, id).Scan)
}

// LiveToken returns a token that counts at the transaction's time: it has not
// ended, and its maker and its account are active, and the maker has chosen
// their password. One that does not gives ErrNotFound.
func (tx *Tx) LiveToken(id, userID string, account int64) (APIToken, error) {
	return scanToken(tx.row(`SELECT t.id, t.account_id, t.user_id, t.name, t.scopes, t.created_at, t.expires_at, t.used_at
		FROM api_tokens t JOIN users u ON u.id = t.user_id AND u.account_id = t.account_id JOIN accounts a ON a.id = t.account_id
		WHERE t.id = $1 AND t.user_id = $2 AND t.account_id = $3 AND t.expires_at > $4
			AND t.expires_at > COALESCE((SELECT c.until FROM throttles c WHERE c.name = '`+clockMark+`'), 0)
			AND u.state = '`+UserActive+`' AND u.temporary = 0 AND a.state = '`+AccountActive+`'`, id, userID, account, ms(tx.Now)).Scan)
}

// TokenAllows reports whether a token counts now and names a scope. "" is no
// token, whose bearer is not limited by one.
func (tx *Tx) TokenAllows(id, userID string, account int64, scope string) (bool, error) {
	if id == "" {
		return true, nil
	}
	t, err := tx.LiveToken(id, userID, account)
	if err == ErrNotFound {
		return false, nil
	}
	return slices.Contains(t.Scopes, scope), err
}

// ListTokens returns tokens of an account, the newest first, from one on, which
// is not among them (belowID "" = from the first).
func (tx *Tx) ListTokens(account int64, below time.Time, belowID string, limit int) ([]APIToken, error) {
	from := ms(below)
	if belowID == "" {
		from = math.MaxInt64
	}
	rows, err := tx.rows(`SELECT `+tokenColumns+` FROM api_tokens WHERE account_id = $1 AND (created_at < $2 OR created_at = $2 AND id < $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`, account, from, belowID, limit)
	return list(rows, err, func(r *sql.Rows) (APIToken, error) { return scanToken(r.Scan) })
}

// CountTokens counts the tokens of an account.
func (tx *Tx) CountTokens(account int64) (n int, err error) {
	return n, tx.row(`SELECT COUNT(*) FROM api_tokens WHERE account_id = $1`, account).Scan(&n)
}

// TouchToken notes that a token was used now.
func (tx *Tx) TouchToken(id string) error {
	_, err := tx.exec(`UPDATE api_tokens SET used_at = $1 WHERE id = $2`, ms(tx.Now), id)
	return err
}

// DeleteToken ends a token.
func (tx *Tx) DeleteToken(id string) error {
	return tx.oneRow(`DELETE FROM api_tokens WHERE id = $1`, id)
}

// CountTokensOf counts the tokens of a user that have not ended by time.
func (tx *Tx) CountTokensOf(userID string) (n int, err error) {
	return n, tx.row(`SELECT COUNT(*) FROM api_tokens WHERE user_id = $1 AND expires_at > $2`, userID, ms(tx.Now)).Scan(&n)
}

// DeleteTokensOf ends all tokens of a user, and returns how many those were.
func (tx *Tx) DeleteTokensOf(userID string) (int64, error) {
	return tx.exec(`DELETE FROM api_tokens WHERE user_id = $1`, userID)
}

// APIAnswer is what a call with an idempotency key was answered.
type APIAnswer struct {
	Name   string // of who called what with which key
	Input  string
	Status int    // 0 while the first call runs
	Answer []byte // sealed
}

// BeginAnswer notes that a call runs, until a time, and reports whether it is
// the first of its name. It is not where another's row still counts.
func (tx *Tx) BeginAnswer(a APIAnswer, until time.Time) (bool, error) {
	if _, err := tx.exec(`DELETE FROM api_answers WHERE name = $1 AND until <= $2`, a.Name, ms(tx.Now)); err != nil {
		return false, err
	}
	n, err := tx.exec(`INSERT INTO api_answers (name, input, status, answer, until) VALUES ($1, $2, 0, $3, $4) ON CONFLICT (name) DO NOTHING`,
		a.Name, a.Input, []byte{}, ms(until))
	return n > 0, err
}

// FindAnswer returns the answer of that name.
func (tx *Tx) FindAnswer(name string) (a APIAnswer, err error) {
	err = tx.row(`SELECT name, input, status, answer FROM api_answers WHERE name = $1`, name).Scan(&a.Name, &a.Input, &a.Status, &a.Answer)
	return a, found(err)
}

// EndAnswer keeps what the call was answered.
func (tx *Tx) EndAnswer(a APIAnswer) error {
	return tx.oneRow(`UPDATE api_answers SET status = $2, answer = $3 WHERE name = $1`, a.Name, a.Status, a.Answer)
}

// DeleteAnswer forgets a call, so that the next of its name is the first again.
func (tx *Tx) DeleteAnswer(name string) error {
	_, err := tx.exec(`DELETE FROM api_answers WHERE name = $1`, name)
	return err
}

// DeleteOldAnswers removes those that no longer count.
func (tx *Tx) DeleteOldAnswers() (int64, error) {
	return tx.exec(`DELETE FROM api_answers WHERE until <= $1`, ms(tx.Now))
}
