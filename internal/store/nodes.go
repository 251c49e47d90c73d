package store

import (
	"database/sql"
	"time"
)

// Node is one program that serves on this database.
type Node struct {
	ID, Host, Version string
	Skew              time.Duration // of its clock against the database's
	DiskFree          int64         // bytes, -1: not known
	StartedAt, SeenAt time.Time
}

// KeepNode says that n is there, and forgets those that were not for a week.
func (tx *Tx) KeepNode(n Node) error {
	if _, err := tx.exec(`INSERT INTO nodes (id, host, version, skew, disk_free, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET skew = EXCLUDED.skew, disk_free = EXCLUDED.disk_free, seen_at = EXCLUDED.seen_at`,
		n.ID, n.Host, n.Version, n.Skew.Milliseconds(), n.DiskFree, ms(n.StartedAt), ms(tx.Now)); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM nodes WHERE seen_at < $1`, ms(tx.Now.AddDate(0, 0, -7)))
	return err
}

// DeleteNode forgets one that stops.
func (tx *Tx) DeleteNode(id string) error {
	_, err := tx.exec(`DELETE FROM nodes WHERE id = $1`, id)
	return err
}

// ListNodes returns those of the last week, the oldest run first.
func (tx *Tx) ListNodes() ([]Node, error) {
	rows, err := tx.rows(`SELECT id, host, version, skew, disk_free, started_at, seen_at FROM nodes ORDER BY started_at, id LIMIT 200`)
	return list(rows, err, func(r *sql.Rows) (n Node, err error) {
		var skew, started, seen int64
		err = r.Scan(&n.ID, &n.Host, &n.Version, &skew, &n.DiskFree, &started, &seen)
		n.Skew, n.StartedAt, n.SeenAt = time.Duration(skew)*time.Millisecond, fromMs(started), fromMs(seen)
		return n, err
	})
}

// Clock is the time as the database's host has it; SQLite's is this one.
func (tx *Tx) Clock() (time.Time, error) {
	if tx.dialect.batched {
		return tx.Now, nil
	}
	var t int64
	err := tx.row(`SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`).Scan(&t)
	return fromMs(t), err
}

// Size is how many bytes the database takes.
func (tx *Tx) Size() (n int64, err error) {
	query := `SELECT pg_database_size(current_database())`
	if tx.dialect.batched {
		query = `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	}
	return n, tx.row(query).Scan(&n)
}

// Lease is what one node does for all, until a time.
type Lease struct {
	Name, Holder string
	Until        time.Time
}

// TakeLease makes holder the one, or keeps it so, and reports false while another is.
func (tx *Tx) TakeLease(l Lease) (bool, error) {
	n, err := tx.exec(`INSERT INTO leases (name, holder, until_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, until_at = EXCLUDED.until_at WHERE leases.holder = EXCLUDED.holder OR leases.until_at <= $4`,
		l.Name, l.Holder, ms(l.Until), ms(tx.Now))
	return n == 1, err
}

// EndLease gives it back.
func (tx *Tx) EndLease(name, holder string) error {
	_, err := tx.exec(`UPDATE leases SET until_at = 0 WHERE name = $1 AND holder = $2`, name, holder)
	return err
}

// ListLeases returns those that are held now.
func (tx *Tx) ListLeases() ([]Lease, error) {
	rows, err := tx.rows(`SELECT name, holder, until_at FROM leases WHERE until_at > $1 ORDER BY name`, ms(tx.Now))
	return list(rows, err, func(r *sql.Rows) (l Lease, err error) {
		var until int64
		err = r.Scan(&l.Name, &l.Holder, &until)
		l.Until = fromMs(until)
		return l, err
	})
}
