package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/id"
)

// Outcomes of an audit record.
const (
	Done    = "done"
	Refused = "refused"
)

// AuditRow is one audit record. Detail holds short facts by name, never a
// secret or content.
type AuditRow struct {
	ID        string // UUIDv7; InsertAudit makes it where there is none
	AccountID int64  // 0: of no account
	At        time.Time
	Actor     string // user:<address>, operator:<name>, recipient:<address>, system
	Action    string // noun.verb
	Target    string
	Outcome   string // Done when empty
	Detail    map[string]string
	Origin    string // network address, or "terminal"

	Pos    int64  // order of the notary, over all accounts; 0: not chained yet
	Seq    int64  // place in the account's chain
	Digest []byte // SHA-256 over this record and the Digest before it
}

// InsertAudit appends r, at the transaction's time.
func (tx *Tx) InsertAudit(r AuditRow) error {
	if r.Outcome == "" {
		r.Outcome = Done
	}
	if r.ID == "" {
		r.ID = id.Ordered()
	}
	detail, err := auditDetail(r.Detail)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO audit (id, account_id, at, actor, action, target, outcome, detail, origin)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		r.ID, number(r.AccountID), ms(tx.Now), valid(r.Actor), r.Action, valid(r.Target), r.Outcome, detail, valid(r.Origin))
	return err
}

// maxAudit is the length in bytes of one text of a record. What somebody typed or
// named is in it: a longer one could be more than a receiver of events takes,
// and keep it from all that comes after.
const maxAudit = 8 << 10

// valid is s as an export can carry it: what is no UTF-8 is replaced, what is too
// long is cut.
func valid(s string) string {
	if len(s) > maxAudit {
		s = strings.ToValidUTF8(s[:maxAudit], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func auditDetail(detail map[string]string) (string, error) {
	out := make(map[string]string, len(detail))
	for name, value := range detail {
		out[name] = valid(value)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("encode audit detail: %w", err)
	}
	return string(raw), nil
}

// ListAudit returns an account's records, newest first, that are older than
// the record before ("" from the newest). Account 0 has those of no account.
func (tx *Tx) ListAudit(accountID int64, before string, limit int) ([]AuditRow, error) {
	where, args := "account_id = $1", []any{accountID}
	if accountID == 0 {
		where, args = "account_id IS NULL", nil
	}
	return tx.listAudit(where, args, before, limit)
}

// ListAuditOf returns the records about one target, newest first.
func (tx *Tx) ListAuditOf(accountID int64, target string, limit int) ([]AuditRow, error) {
	return tx.FilterAudit(AuditFilter{AccountID: accountID, Target: target}, "", false, limit)
}

// ListAuditBy returns an account's records, 0 for those of none, by an actor or
// about a target, newest first, that are older than the record before. It reads
// the account's log: for what is asked for rarely.
func (tx *Tx) ListAuditBy(accountID int64, actor, target, before string, limit int) ([]AuditRow, error) {
	where, args := "account_id = $3", []any{actor, target, accountID}
	if accountID == 0 {
		where, args = "account_id IS NULL", args[:2]
	}
	return tx.listAudit("(actor = $1 OR target = $2) AND "+where, args, before, limit)
}

func (tx *Tx) listAudit(where string, args []any, before string, limit int) ([]AuditRow, error) {
	if before != "" {
		args = append(args, before)
		where += fmt.Sprintf(" AND id < $%d", len(args))
	}
	args = append(args, limit)
	return tx.auditRows(where+fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args...)
}

// auditRows reads the records of audit that where selects, with what comes after it.
func (tx *Tx) auditRows(where string, args ...any) ([]AuditRow, error) {
	rows, err := tx.rows(`SELECT id, account_id, at, actor, action, target, outcome, detail, origin, pos, seq, hash FROM audit WHERE `+where, args...)
	return list(rows, err, func(r *sql.Rows) (a AuditRow, err error) {
		var account sql.NullInt64
		var at int64
		var detail string
		if err = r.Scan(&a.ID, &account, &at, &a.Actor, &a.Action, &a.Target, &a.Outcome, &detail, &a.Origin, &a.Pos, &a.Seq, &a.Digest); err != nil {
			return a, err
		}
		a.AccountID, a.At = account.Int64, fromMs(at)
		if err = json.Unmarshal([]byte(detail), &a.Detail); err != nil {
			return a, fmt.Errorf("read audit detail of %s: %w", a.ID, err)
		}
		return a, nil
	})
}

// number and text are how an absent reference is stored: as NULL.
func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
