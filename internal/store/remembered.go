package store

import (
	"database/sql"
	"time"
)

// RememberLimit is how long a device is remembered that is not used.
const RememberLimit = 90 * 24 * time.Hour

// Remembered is a browser that is asked for no code for an address.
type Remembered struct {
	TokenHash string // of its cookie
	Address   string // canonical
	Client    string
	CreatedAt time.Time
	SeenAt    time.Time
}

// PutRemembered remembers a device for an address from now on.
func (tx *Tx) PutRemembered(r Remembered) error {
	_, err := tx.exec(`INSERT INTO remembered (token_hash, address, client, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (token_hash, address) DO UPDATE SET client = $3, seen_at = $4`, r.TokenHash, r.Address, r.Client, ms(tx.Now))
	return err
}

// MoveRemembered gives a device another token, which no device has.
func (tx *Tx) MoveRemembered(from, to string) error {
	_, err := tx.exec(`UPDATE remembered SET token_hash = $2 WHERE token_hash = $1`, from, to)
	return err
}

// TouchRemembered notes that a device which is remembered for an address was
// used now. One that is not, or was not used for too long, stays as it is.
func (tx *Tx) TouchRemembered(tokenHash, address string) error {
	_, err := tx.exec(`UPDATE remembered SET seen_at = $3 WHERE token_hash = $1 AND address = $2 AND seen_at > $4`,
		tokenHash, address, ms(tx.Now), ms(tx.Now.Add(-RememberLimit)))
	return err
}

// ListRemembered returns the devices that are remembered for some addresses,
// last used first.
func (tx *Tx) ListRemembered(addresses ...string) ([]Remembered, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	in, args := among(addresses, 2)
	rows, err := tx.rows(`SELECT token_hash, address, client, created_at, seen_at FROM remembered
		WHERE seen_at > $1 AND address IN `+in+` ORDER BY seen_at DESC, token_hash, address LIMIT 100`,
		append([]any{ms(tx.Now.Add(-RememberLimit))}, args...)...)
	return list(rows, err, func(r *sql.Rows) (d Remembered, err error) {
		var created, seen int64
		err = r.Scan(&d.TokenHash, &d.Address, &d.Client, &created, &seen)
		d.CreatedAt, d.SeenAt = fromMs(created), fromMs(seen)
		return d, err
	})
}

// ForgetDevice forgets all that one device is remembered for.
func (tx *Tx) ForgetDevice(tokenHash string) (int64, error) {
	return tx.exec(`DELETE FROM remembered WHERE token_hash = $1`, tokenHash)
}

// ForgetDevices forgets every device of an address.
func (tx *Tx) ForgetDevices(address string) (int64, error) {
	return tx.exec(`DELETE FROM remembered WHERE address = $1`, address)
}

// DeleteOldRemembered removes those that were not used for too long.
func (tx *Tx) DeleteOldRemembered() (int64, error) {
	return tx.exec(`DELETE FROM remembered WHERE seen_at <= $1`, ms(tx.Now.Add(-RememberLimit)))
}
