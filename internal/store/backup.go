package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Snapshot is the database as it was at one moment, without the keys of
// accounts and months: a backup keeps these apart.
type Snapshot struct {
	Schema   int64  // its migration number
	AuditPos int64  // records of the audit log that had their place
	File     string // SQLite: the copy
	Name     string // PostgreSQL: what pg_dump --snapshot takes

	ctx  context.Context
	from interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	keys Keys
}

// Keys are the keys of accounts and of their months, sealed as they are.
type Keys struct {
	Accounts []KeptKey `json:"accounts"`
	Epochs   []KeptKey `json:"epochs"`
}

// KeptKey is a row of account_keys or epoch_keys.
type KeptKey struct {
	AccountID   int64  `json:"account"`
	Month       int64  `json:"month,omitempty"` // of an epoch key
	Version     int64  `json:"version"`
	Root        int64  `json:"root,omitempty"` // of an account key
	Box         []byte `json:"box"`
	CreatedAt   int64  `json:"created"`             // Unix ms
	DestroyedAt int64  `json:"destroyed,omitempty"` // Unix ms
}

// KeyTables are what a copy of the database is to be without.
var KeyTables = []string{"account_keys", "epoch_keys"}

// Snapshot lets fn read the database as it is at one moment, while others write.
// The copy of SQLite's is in dir until fn returns.
func (db *DB) Snapshot(ctx context.Context, dir string, fn func(s *Snapshot) error) error {
	if db.dialect.batched {
		return db.snapshotSQLite(ctx, dir, fn)
	}
	tx, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	defer tx.Rollback()
	s := &Snapshot{ctx: ctx, from: tx}
	if err := tx.QueryRowContext(ctx, `SELECT pg_export_snapshot()`).Scan(&s.Name); err != nil {
		return fmt.Errorf("export snapshot: %w", err)
	}
	if err := s.read(); err != nil {
		return err
	}
	return fn(s)
}

func (db *DB) snapshotSQLite(ctx context.Context, dir string, fn func(s *Snapshot) error) (err error) {
	own, err := os.MkdirTemp(dir, "copy-*")
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	defer os.RemoveAll(own)
	s := &Snapshot{ctx: ctx, File: filepath.Join(own, "pli.db")}
	if err := createSQLite(s.File); err != nil {
		return err
	}
	if _, err := db.writer.ExecContext(ctx, `VACUUM INTO $1`, s.File); err != nil { // into an empty file: it keeps its mode
		return fmt.Errorf("copy database: %w", err)
	}
	copied, err := openCopy(s.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	s.from = copied
	if err := s.read(); err != nil {
		return err
	}
	for _, table := range KeyTables {
		if _, err := copied.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return fmt.Errorf("take the keys out of the copy: %w", err)
		}
	}
	return fn(s)
}

// openCopy opens one file, without a journal beside it, overwriting what is deleted.
func openCopy(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=secure_delete(1)&_pragma=journal_mode(DELETE)&_pragma=foreign_keys(0)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (s *Snapshot) read() (err error) {
	if err := s.from.QueryRowContext(s.ctx, `SELECT MAX(version_id) FROM goose_db_version`).Scan(&s.Schema); err != nil {
		return fmt.Errorf("read the copy's schema: %w", err)
	}
	if err := s.from.QueryRowContext(s.ctx, `SELECT pos FROM audit_notary WHERE id = 1`).Scan(&s.AuditPos); err != nil {
		return fmt.Errorf("read the copy's audit log: %w", err)
	}
	rows, err := s.from.QueryContext(s.ctx, `SELECT account_id, version, root, key_box, created_at FROM account_keys ORDER BY account_id, version`)
	s.keys.Accounts, err = list(rows, err, func(r *sql.Rows) (k KeptKey, err error) {
		return k, r.Scan(&k.AccountID, &k.Version, &k.Root, &k.Box, &k.CreatedAt)
	})
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	rows, err = s.from.QueryContext(s.ctx, `SELECT account_id, month, version, key_box, created_at, destroyed_at FROM epoch_keys ORDER BY account_id, month`)
	s.keys.Epochs, err = list(rows, err, func(r *sql.Rows) (k KeptKey, err error) {
		return k, r.Scan(&k.AccountID, &k.Month, &k.Version, &k.Box, &k.CreatedAt, &k.DestroyedAt)
	})
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// Keys are those that the database had at that moment.
func (s *Snapshot) Keys() Keys { return s.keys }

// Blobs calls fn with the name of each blob that a backup keeps, perhaps twice.
func (s *Snapshot) Blobs(fn func(name string) error) error {
	for _, c := range BlobColumns {
		if c.passing {
			continue
		}
		q := "SELECT " + c.Column + " FROM " + c.Table + " WHERE " + c.Column + " <> ''"
		rows, err := s.from.QueryContext(s.ctx, q)
		names, err := list(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, name := range names {
			if IsRow(name) {
				continue
			}
			if err := fn(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrNotEmpty is a database that something is in already.
var ErrNotEmpty = errors.New("the database is not empty")

// IsEmpty returns ErrNotEmpty unless the database at url has no table of Pli's.
func IsEmpty(ctx context.Context, url string) error {
	db, err := connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.closePools()
	var n int
	if err := db.writer.QueryRowContext(ctx, `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()`).Scan(&n); err != nil {
		return fmt.Errorf("look into the database: %w", err)
	}
	if n > 0 {
		return ErrNotEmpty
	}
	return nil
}

// PutKeys writes keys into a restored copy of the database that has none, and
// empties what those opened that have been destroyed since the copy was made.
// The schema may be an older one: what it uses has been there from the first.
func PutKeys(ctx context.Context, url string, keys Keys) error {
	db, err := connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.closePools()
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	put := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	for _, k := range keys.Accounts { // the copy may be older than the account
		k.Box = append([]byte{}, k.Box...) // of one that is destroyed: empty, not NULL
		put(`INSERT INTO account_keys (account_id, version, root, key_box, created_at)
			SELECT id, CAST($2 AS BIGINT), CAST($3 AS BIGINT), $4, CAST($5 AS BIGINT) FROM accounts WHERE id = $1`, k.AccountID, k.Version, k.Root, k.Box, k.CreatedAt)
	}
	for _, k := range keys.Epochs {
		k.Box = append([]byte{}, k.Box...)
		put(`INSERT INTO epoch_keys (account_id, month, version, key_box, created_at, destroyed_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			k.AccountID, k.Month, k.Version, k.Box, k.CreatedAt, k.DestroyedAt)
		if k.DestroyedAt == 0 {
			continue
		}
		put(`UPDATE slots SET s_box = $3 WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 AND epoch = $2)`, k.AccountID, k.Month, []byte{})
		put(`UPDATE messages SET card_box = $3, destroyed_at = CASE WHEN destroyed_at = 0 THEN $4 ELSE destroyed_at END WHERE account_id = $1 AND epoch = $2`,
			k.AccountID, k.Month, []byte{}, k.DestroyedAt)
	}
	if err != nil {
		return fmt.Errorf("put the keys back: %w", err)
	}
	return tx.Commit()
}

// Backup is one that was tried.
type Backup struct {
	ID               string
	BegunAt, EndedAt time.Time
	Host, Place      string
	Size, Added      int64  // bytes
	Reason           string // why it failed, "" = it did not
}

// InsertBackup writes b, ended at the transaction's time, and forgets old ones.
func (tx *Tx) InsertBackup(b Backup) error {
	if _, err := tx.exec(`INSERT INTO backups (id, begun_at, ended_at, host, place, size, added, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		b.ID, ms(b.BegunAt), ms(tx.Now), b.Host, b.Place, b.Size, b.Added, b.Reason); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM backups WHERE id NOT IN (SELECT id FROM backups ORDER BY ended_at DESC LIMIT 100)`)
	return err
}

// ListBackups returns those that were tried, the newest first.
func (tx *Tx) ListBackups(limit int) ([]Backup, error) {
	return tx.listBackups(`SELECT id, begun_at, ended_at, host, place, size, added, reason FROM backups ORDER BY ended_at DESC, id DESC LIMIT $1`, limit)
}

// FindGoodBackup returns the last one that did not fail.
func (tx *Tx) FindGoodBackup() (Backup, error) {
	all, err := tx.listBackups(`SELECT id, begun_at, ended_at, host, place, size, added, reason FROM backups WHERE reason = '' ORDER BY ended_at DESC, id DESC LIMIT $1`, 1)
	if err != nil || len(all) == 0 {
		if err == nil {
			err = ErrNotFound
		}
		return Backup{}, err
	}
	return all[0], nil
}

func (tx *Tx) listBackups(query string, limit int) ([]Backup, error) {
	rows, err := tx.rows(query, limit)
	return list(rows, err, func(r *sql.Rows) (b Backup, err error) {
		var begun, ended int64
		err = r.Scan(&b.ID, &begun, &ended, &b.Host, &b.Place, &b.Size, &b.Added, &b.Reason)
		b.BegunAt, b.EndedAt = fromMs(begun), fromMs(ended)
		return b, err
	})
}
