package store

import (
	"database/sql"
	"time"
)

// ServiceKey is a key of the whole service, sealed under the root key.
type ServiceKey struct {
	Name    string
	Version int64 // of the root key that seals it
	Box     []byte
}

// KeepServiceKey writes k unless there is one of that name, and returns the one
// that there is then: of two nodes that make a key at once, one wins.
func (tx *Tx) KeepServiceKey(k ServiceKey) (ServiceKey, error) {
	if _, err := tx.exec(`INSERT INTO service_keys (name, version, key_box, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO NOTHING`, k.Name, k.Version, k.Box, ms(tx.Now)); err != nil {
		return ServiceKey{}, err
	}
	return tx.FindServiceKey(k.Name)
}

// FindServiceKey returns the key of that name.
func (tx *Tx) FindServiceKey(name string) (ServiceKey, error) {
	k := ServiceKey{Name: name}
	err := tx.row(`SELECT version, key_box FROM service_keys WHERE name = $1`, name).Scan(&k.Version, &k.Box)
	return k, found(err)
}

// AccountKey is one version of an account's key, sealed under the root key.
type AccountKey struct {
	AccountID int64
	Version   int64
	Root      int64 // version of the root key that seals it
	Box       []byte
}

// FindAccountKey returns an account's newest key.
func (tx *Tx) FindAccountKey(accountID int64) (AccountKey, error) {
	k := AccountKey{AccountID: accountID}
	err := tx.row(`SELECT version, root, key_box FROM account_keys WHERE account_id = $1 ORDER BY version DESC LIMIT 1`, accountID).
		Scan(&k.Version, &k.Root, &k.Box)
	return k, found(err)
}

// KeepAccountKey writes k unless its account has that version already, and
// returns the account's newest.
func (tx *Tx) KeepAccountKey(k AccountKey) (AccountKey, error) {
	if _, err := tx.exec(`INSERT INTO account_keys (account_id, version, root, key_box, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, version) DO NOTHING`, k.AccountID, k.Version, k.Root, k.Box, ms(tx.Now)); err != nil {
		return AccountKey{}, err
	}
	return tx.FindAccountKey(k.AccountID)
}

// FindAccountKeyVersion returns one version of an account's key.
func (tx *Tx) FindAccountKeyVersion(accountID, version int64) (AccountKey, error) {
	k := AccountKey{AccountID: accountID, Version: version}
	err := tx.row(`SELECT root, key_box FROM account_keys WHERE account_id = $1 AND version = $2`, accountID, version).Scan(&k.Root, &k.Box)
	return k, found(err)
}

// EpochKey is the key of an account's envelopes that expire in one month,
// sealed under the account's key.
type EpochKey struct {
	AccountID   int64
	Month       int64     // year*100+month, 0 = envelopes without an end
	Version     int64     // of the account key that seals it
	Box         []byte    // empty once destroyed
	DestroyedAt time.Time // zero: not destroyed
}

// FindEpochKey returns the key of a month.
func (tx *Tx) FindEpochKey(accountID, month int64) (EpochKey, error) {
	return tx.findEpochKey(accountID, month, "")
}

// LockEpochKey is FindEpochKey that holds the row until the transaction ends.
func (tx *Tx) LockEpochKey(accountID, month int64) (EpochKey, error) {
	return tx.findEpochKey(accountID, month, tx.dialect.forUpdate)
}

func (tx *Tx) findEpochKey(accountID, month int64, suffix string) (EpochKey, error) {
	k := EpochKey{AccountID: accountID, Month: month}
	var destroyed int64
	err := tx.row(`SELECT version, key_box, destroyed_at FROM epoch_keys WHERE account_id = $1 AND month = $2`+suffix, accountID, month).
		Scan(&k.Version, &k.Box, &destroyed)
	k.DestroyedAt = fromMs(destroyed)
	return k, found(err)
}

// KeepEpochKey writes k unless the month has a key already, and returns the
// month's key, held until the transaction ends.
func (tx *Tx) KeepEpochKey(k EpochKey) (EpochKey, error) {
	if _, err := tx.exec(`INSERT INTO epoch_keys (account_id, month, version, key_box, created_at, destroyed_at) VALUES ($1, $2, $3, $4, $5, 0)
		ON CONFLICT (account_id, month) DO NOTHING`, k.AccountID, k.Month, k.Version, k.Box, ms(tx.Now)); err != nil {
		return EpochKey{}, err
	}
	return tx.LockEpochKey(k.AccountID, k.Month)
}

// ListEpochsDue returns the months up to last whose key is still there, though
// no message that needs it can be opened at now.
func (tx *Tx) ListEpochsDue(last int64, now time.Time, limit int) ([]EpochKey, error) {
	rows, err := tx.rows(`SELECT e.account_id, e.month FROM epoch_keys e
		WHERE e.month > 0 AND e.month <= $1 AND e.destroyed_at = 0 AND NOT EXISTS (`+epochInUse+`)
		ORDER BY e.account_id, e.month LIMIT $3`, last, ms(now), limit)
	return list(rows, err, func(r *sql.Rows) (k EpochKey, err error) {
		err = r.Scan(&k.AccountID, &k.Month)
		return k, err
	})
}

const epochInUse = `SELECT 1 FROM messages m WHERE m.account_id = e.account_id AND m.epoch = e.month AND (m.expires_at = 0 OR m.expires_at > $2)`

// DestroyEpochKey empties a month's key and the boxes that it opened. It
// reports false when that was done before, or a message can be opened at now.
func (tx *Tx) DestroyEpochKey(k EpochKey, now time.Time) (bool, error) {
	n, err := tx.exec(`UPDATE epoch_keys AS e SET key_box = $5, destroyed_at = $3
		WHERE e.account_id = $1 AND e.month = $4 AND e.destroyed_at = 0 AND NOT EXISTS (`+epochInUse+`)`,
		k.AccountID, ms(now), ms(tx.Now), k.Month, []byte{})
	if err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.exec(`UPDATE slots SET s_box = $3, lock_box = NULL WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 AND epoch = $2)`,
		k.AccountID, k.Month, []byte{}); err != nil {
		return false, err
	}
	_, err = tx.exec(`UPDATE messages SET card_box = $3, lock_box = NULL, destroyed_at = CASE WHEN destroyed_at = 0 THEN $4 ELSE destroyed_at END
		WHERE account_id = $1 AND epoch = $2`, k.AccountID, k.Month, []byte{}, ms(tx.Now))
	return true, err
}

// clockMark is the row of throttles whose time is the latest ever acted at. Its
// beginning is in the far future: counters are swept by age.
const clockMark = "clock"

// ClockMark returns the latest time ever acted at, zero if none.
func (tx *Tx) ClockMark() (time.Time, error) {
	t, err := tx.FindThrottle(clockMark)
	return t.Until, err
}

// RaiseClockMark notes that t has been reached.
func (tx *Tx) RaiseClockMark(t time.Time) error {
	_, err := tx.exec(`INSERT INTO throttles (name, count, since, until) VALUES ('`+clockMark+`', 0, $1, $2)
		ON CONFLICT (name) DO UPDATE SET until = $2 WHERE throttles.until < $2`, int64(253402300799000), ms(t))
	return err
}

// SetClockMark puts the mark at t, also back.
func (tx *Tx) SetClockMark(t time.Time) error {
	_, err := tx.exec(`UPDATE throttles SET until = $1 WHERE name = '`+clockMark+`'`, ms(t))
	return err
}
