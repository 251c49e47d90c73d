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
	AccountDeleting  = "deleting" // until its day comes it can be cancelled
	AccountDeleted   = "deleted"  // its keys are destroyed, and the rest is or is about to be
)

// Account is one organisation on this service.
type Account struct {
	ID        int64 // the account number
	Name      string
	NameKey   string // folded, to find it by
	Language  string
	TimeZone  string // IANA name
	State     string
	Settings  string // JSON of policy.Layer of the site, of the account's limits and of its own: for policy.ReadSettings
	Brand     string // JSON of brand.Brand, "" = the service's own look
	CreatedAt time.Time
	Contacts  string // JSON: addresses by kind, "" = none
	Deletion  Deletion
}

// Deletion is when an account is to be destroyed, or was.
type Deletion struct {
	At       time.Time // zero: not at all
	Before   string    // state to go back to when it is cancelled
	ErasedAt time.Time // when nothing but number and log was left
}

// layers is what policy.ReadStack reads.
func layers(account string) string {
	return `'[' || COALESCE((SELECT x.settings FROM site_settings x WHERE x.id = 1), '{}') || ',' || COALESCE(NULLIF(` + account + `.limits, ''), '{}') ||
		',' || COALESCE(NULLIF(` + account + `.settings, ''), '{}') || ']'`
}

var accountColumns = `accounts.id, name, name_key, language, time_zone, state, ` + layers("accounts") + `, brand, created_at, contacts, state_before, delete_at, erased_at`

func scanAccount(scan func(...any) error) (a Account, err error) {
	var created, deleteAt, erased int64
	err = scan(&a.ID, &a.Name, &a.NameKey, &a.Language, &a.TimeZone, &a.State, &a.Settings, &a.Brand, &created, &a.Contacts, &a.Deletion.Before, &deleteAt, &erased)
	a.CreatedAt, a.Deletion.At, a.Deletion.ErasedAt = fromMs(created), fromMs(deleteAt), fromMs(erased)
	return a, found(err)
}

// InsertAccount writes a, which says nothing of its settings, at the transaction's time; a number in use gives ErrTaken.
func (tx *Tx) InsertAccount(a Account) error {
	_, err := tx.exec(`INSERT INTO accounts (id, name, name_key, language, time_zone, state, settings, created_at) VALUES ($1, $2, $3, $4, $5, $6, '', $7)`,
		a.ID, a.Name, a.NameKey, a.Language, a.TimeZone, a.State, ms(tx.Now))
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
	return tx.oneRow(`UPDATE accounts SET state = $1 WHERE id = $2`, state, number)
}

// SetDeletion writes the state of an account together with its deletion.
func (tx *Tx) SetDeletion(number int64, state string, d Deletion) error {
	return tx.oneRow(`UPDATE accounts SET state = $2, state_before = $3, delete_at = $4 WHERE id = $1`, number, state, d.Before, ms(d.At))
}

// SetAccountProfile writes what an account is called, its language, time zone and contacts.
func (tx *Tx) SetAccountProfile(a Account) error {
	return tx.oneRow(`UPDATE accounts SET name = $2, name_key = $3, language = $4, time_zone = $5, contacts = $6 WHERE id = $1`,
		a.ID, a.Name, a.NameKey, a.Language, a.TimeZone, a.Contacts)
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
	if f.State == "" { // what is gone is looked for on purpose, or not at all
		query += ` AND state <> '` + AccountDeleted + `'`
	}
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

// DeleteSessionsButAdministrators ends the sessions of the users of an account who do not administer it.
func (tx *Tx) DeleteSessionsButAdministrators(number int64) (int64, error) {
	return tx.exec(`DELETE FROM sessions WHERE user_id IN (SELECT id FROM users WHERE account_id = $2)
		AND user_id NOT IN (SELECT m.user_id FROM memberships m JOIN user_groups g ON g.id = m.group_id WHERE g.account_id = $2 AND g.builtin = 1 AND `+lasts("m", "$1")+`)`, ms(tx.Now), number)
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
