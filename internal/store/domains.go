package store

import (
	"database/sql"
	"time"
)

// Domain is a mail domain whose senders write under their own address. It is
// one account's and no other's.
type Domain struct {
	Name      string // A-labels, lower case
	AccountID int64
	CreatedAt time.Time
}

const domainColumns = `domain, account_id, created_at`

func scanDomain(scan func(...any) error) (d Domain, err error) {
	var created int64
	err = scan(&d.Name, &d.AccountID, &created)
	d.CreatedAt = fromMs(created)
	return d, found(err)
}

// InsertDomain writes d, at the transaction's time; a domain that an account has gives ErrTaken.
func (tx *Tx) InsertDomain(d Domain) error {
	_, err := tx.exec(`INSERT INTO domains (`+domainColumns+`) VALUES ($1, $2, $3)`, d.Name, d.AccountID, ms(tx.Now))
	return err
}

// FindDomain returns whose domain that is.
func (tx *Tx) FindDomain(name string) (Domain, error) {
	return scanDomain(tx.row(`SELECT `+domainColumns+` FROM domains WHERE domain = $1`, name).Scan)
}

// ListDomains returns an account's domains by name.
func (tx *Tx) ListDomains(number int64) ([]Domain, error) {
	rows, err := tx.rows(`SELECT `+domainColumns+` FROM domains WHERE account_id = $1 ORDER BY domain`, number)
	return list(rows, err, func(r *sql.Rows) (Domain, error) { return scanDomain(r.Scan) })
}

// DeleteDomain takes a domain from an account, and reports whether it had it.
func (tx *Tx) DeleteDomain(number int64, name string) (bool, error) {
	n, err := tx.exec(`DELETE FROM domains WHERE account_id = $1 AND domain = $2`, number, name)
	return n > 0, err
}
