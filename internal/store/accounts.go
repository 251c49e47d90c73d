package store

import (
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// States of an account.
const (
	AccountActive    = "active"
	AccountSuspended = "suspended"
)

// Account is one organisation on this service.
type Account struct {
	ID         int64 // the account number
	Name       string
	NameKey    string // folded, to find it by
	Language   string
	TimeZone   string // IANA name
	State      string
	ExpiryDays int    // how long an envelope can be opened by default, 0 = for ever
	KeepDays   int    // how long the ciphertext is kept for the link, 0 = never
	Settings   string // JSON of policy.Settings, "" = as a new account has them
	CreatedAt  time.Time
}

const accountColumns = `id, name, name_key, language, time_zone, state, expiry_days, keep_days, settings, created_at`

func scanAccount(scan func(...any) error) (a Account, err error) {
	var created int64
	err = scan(&a.ID, &a.Name, &a.NameKey, &a.Language, &a.TimeZone, &a.State, &a.ExpiryDays, &a.KeepDays, &a.Settings, &created)
	a.CreatedAt = fromMs(created)
	return a, found(err)
}

// InsertAccount writes a, at the transaction's time; a number in use gives ErrTaken.
func (tx *Tx) InsertAccount(a Account) error {
	_, err := tx.exec(`INSERT INTO accounts (`+accountColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		a.ID, a.Name, a.NameKey, a.Language, a.TimeZone, a.State, a.ExpiryDays, a.KeepDays, a.Settings, ms(tx.Now))
	return err
}

// NextAccountNumber returns one more than the greatest in use, at least first.
func (tx *Tx) NextAccountNumber(first int64) (int64, error) {
	var n int64
	err := tx.row(`SELECT COALESCE(MAX(id), 0) + 1 FROM accounts`).Scan(&n)
	return max(n, first), err
}

// FindAccount returns the account with that number.
func (tx *Tx) FindAccount(number int64) (Account, error) {
	return scanAccount(tx.row(`SELECT `+accountColumns+` FROM accounts WHERE id = $1`, number).Scan)
}

// LockAccount is FindAccount that holds the row until the transaction ends:
// acts that must see each other's result (who is the last administrator?) take
// it first.
func (tx *Tx) LockAccount(number int64) (Account, error) {
	return scanAccount(tx.row(`SELECT `+accountColumns+` FROM accounts WHERE id = $1`+tx.dialect.forUpdate, number).Scan)
}

// SetAccountState makes an account active or suspended.
func (tx *Tx) SetAccountState(number int64, state string) error {
	n, err := tx.exec(`UPDATE accounts SET state = $1 WHERE id = $2`, state, number)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// SetAccountSettings replaces an account's settings.
func (tx *Tx) SetAccountSettings(number int64, settings string) error {
	n, err := tx.exec(`UPDATE accounts SET settings = $1 WHERE id = $2`, settings, number)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// AccountFilter selects accounts. What is empty selects all.
type AccountFilter struct {
	State string
	// Of these, one is enough.
	NamePrefix string // of the folded name
	Number     int64
	Domain     string // one of its domains
}

// ListAccounts returns the accounts that f selects by number, those above after.
func (tx *Tx) ListAccounts(f AccountFilter, after int64, limit int) ([]Account, error) {
	query, args := `SELECT `+accountColumns+` FROM accounts WHERE id > $1`, []any{after, limit}
	put := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if f.State != "" {
		query += ` AND state = ` + put(f.State)
	}
	if f.NamePrefix != "" || f.Number != 0 || f.Domain != "" {
		query += ` AND (name_key LIKE ` + put(pattern(f.NamePrefix)) + ` ESCAPE '!' OR id = ` + put(f.Number) +
			` OR id IN (SELECT account_id FROM domains WHERE domain = ` + put(f.Domain) + `))`
	}
	rows, err := tx.rows(query+` ORDER BY id LIMIT $2`, args...)
	return list(rows, err, func(r *sql.Rows) (Account, error) { return scanAccount(r.Scan) })
}

// DeleteAccountSessions ends the sessions of all users of an account.
func (tx *Tx) DeleteAccountSessions(number int64) (int64, error) {
	return tx.exec(`DELETE FROM sessions WHERE user_id IN (SELECT id FROM users WHERE account_id = $1)`, number)
}

// maxPattern is in bytes: nothing that is searched is longer, and SQLite refuses
// patterns of 50 000.
const maxPattern = 4 << 10

// pattern makes a LIKE pattern (with ESCAPE '!') of what begins with s.
func pattern(s string) string {
	if len(s) > maxPattern {
		s = strings.ToValidUTF8(s[:maxPattern], "")
	}
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}
