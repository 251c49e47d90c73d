package store

import (
	"database/sql"
	"time"
)

// Alias is a further address that a user has proved.
type Alias struct {
	Address        string // canonical
	DisplayAddress string
	UserID         string
	ProvedAt       time.Time
}

const aliasColumns = `address, display_address, user_id, proved_at`

func scanAlias(scan func(...any) error) (a Alias, err error) {
	var proved int64
	err = scan(&a.Address, &a.DisplayAddress, &a.UserID, &proved)
	a.ProvedAt = fromMs(proved)
	return a, found(err)
}

// InsertAlias writes a, proved now. An address that is an alias gives ErrTaken.
func (tx *Tx) InsertAlias(a Alias) error {
	_, err := tx.exec(`INSERT INTO aliases (`+aliasColumns+`) VALUES ($1, $2, $3, $4)`, a.Address, a.DisplayAddress, a.UserID, ms(tx.Now))
	return err
}

// FindAlias returns the alias of that address, whosever it is.
func (tx *Tx) FindAlias(address string) (Alias, error) {
	return scanAlias(tx.row(`SELECT `+aliasColumns+` FROM aliases WHERE address = $1`, address).Scan)
}

// ListAliases returns the further addresses of a user, in their order.
func (tx *Tx) ListAliases(userID string) ([]Alias, error) {
	rows, err := tx.rows(`SELECT `+aliasColumns+` FROM aliases WHERE user_id = $1 ORDER BY address`, userID)
	return list(rows, err, func(r *sql.Rows) (Alias, error) { return scanAlias(r.Scan) })
}

// DeleteAlias takes an address from a user; one that is not theirs gives ErrNotFound.
func (tx *Tx) DeleteAlias(address, userID string) error {
	n, err := tx.exec(`DELETE FROM aliases WHERE address = $1 AND user_id = $2`, address, userID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}
