package store

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AuditFilter selects audit records of one account, 0 for those of none. An
// empty field selects all.
type AuditFilter struct {
	AccountID int64
	Every     bool     // of all accounts, and of none
	Actors    []string // any of these, as records have them: user:<address>
	Action    string
	Kinds     []string // of acts, any of these: what stands before the point
	Target    string
	Outcome   string
	Origin    string
	From, To  time.Time // From <= At < To
}

// IsAll reports whether f selects every record of its account.
func (f AuditFilter) IsAll() bool {
	return !f.Every && len(f.Actors) == 0 && f.Action == "" && len(f.Kinds) == 0 && f.Target == "" && f.Outcome == "" && f.Origin == "" && f.From.IsZero() && f.To.IsZero()
}

// FilterAudit returns the records that f selects, by ID, newest first: those
// older than the record at, or where newer is set those that come after it, in
// the same order. Without at it begins at that end.
func (tx *Tx) FilterAudit(f AuditFilter, at string, newer bool, limit int) ([]AuditRow, error) {
	var out []AuditRow
	read := func(actor, more string) error {
		where, args := f.where(actor, more, at, newer, limit)
		rows, err := tx.auditRows(where, args...)
		out = append(out, rows...)
		return err
	}
	actors := f.Actors
	if len(actors) == 0 {
		actors = []string{""}
	}
	for _, actor := range actors {
		// The filters' indexes have what is chained; the last second is read beside them.
		parts := []string{" AND pos > 0", unchained}
		if f.Every || actor == "" && f.Action == "" && f.Target == "" && f.Outcome != Refused {
			parts = []string{""}
		}
		for _, more := range parts {
			if err := read(actor, more); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(out, func(a, b AuditRow) int {
		if newer {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	out = out[:min(len(out), limit)]
	if newer {
		slices.Reverse(out)
	}
	return out, nil
}

// unchained are the words of the index audit_unchained.
const unchained = " AND pos = 0"

// where is the condition of one actor, with more, and all that comes after it.
func (f AuditFilter) where(actor, more, at string, newer bool, limit int) (where string, args []any) {
	where = "account_id IS NULL"
	and := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+condition, len(args))
	}
	switch {
	case f.Every:
		where = "id > ''"
	case more == unchained:
		where, args = "COALESCE(account_id, 0) = $1", []any{f.AccountID} // so that no index of the account is taken for it
	case f.AccountID != 0:
		where, args = "account_id = $1", []any{f.AccountID}
	}
	where += more
	for _, c := range []struct{ condition, value string }{
		{"actor = $%d", actor}, {"action = $%d", f.Action}, {"target = $%d", f.Target}, {"origin = $%d", f.Origin},
	} {
		if c.value != "" {
			and(c.condition, c.value)
		}
	}
	var kinds []string
	for _, kind := range f.Kinds {
		args = append(args, kind+".", kind+"/") // what comes after the point in ASCII
		kinds = append(kinds, fmt.Sprintf("action >= $%d AND action < $%d", len(args)-1, len(args)))
	}
	if len(kinds) > 0 {
		where += " AND (" + strings.Join(kinds, " OR ") + ")"
	}
	switch f.Outcome {
	case "":
	case Refused:
		where += " AND outcome = 'refused'" // in the words of the index
	default:
		and("outcome = $%d", f.Outcome)
	}
	// An ID has the time of its making in it, which is within the transaction
	// whose beginning is At. So it bounds what is read, and At decides.
	if !f.From.IsZero() {
		and("at >= $%d", ms(f.From))
		and("id >= $%d", idAt(f.From.Add(-auditSlack)))
	}
	if !f.To.IsZero() {
		and("at < $%d", ms(f.To))
		and("id < $%d", idAt(f.To.Add(auditSlack)))
	}
	compare, order := "id < $%d", "DESC"
	if newer {
		compare, order = "id > $%d", "ASC"
	}
	if at != "" {
		and(compare, at)
	}
	args = append(args, limit)
	return fmt.Sprintf("%s ORDER BY id %s LIMIT $%d", where, order, len(args)), args
}

// auditSlack is longer than any transaction takes.
const auditSlack = time.Hour

// idAt is the lowest ID of a record made at t (UUIDv7: its first 48 bits are milliseconds).
func idAt(t time.Time) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(0, t.UnixMilli())))
	h := hex.EncodeToString(b[2:])
	return h[:8] + "-" + h[8:12] + "-"
}

// FindAudit returns one record of an account, 0 for none.
func (tx *Tx) FindAudit(accountID int64, id string) (AuditRow, error) {
	return one(tx.auditRows("id = $1 AND COALESCE(account_id, 0) = $2", id, accountID))
}

func one(rows []AuditRow, err error) (AuditRow, error) {
	if err != nil || len(rows) == 0 {
		if err == nil {
			err = ErrNotFound
		}
		return AuditRow{}, err
	}
	return rows[0], nil
}

// ListUnchained returns committed records that no chain has yet.
func (tx *Tx) ListUnchained(limit int) ([]AuditRow, error) {
	return tx.auditRows("pos = 0 ORDER BY id LIMIT $1", limit)
}

// CountUnchained counts them, up to limit, and says when the oldest was made.
func (tx *Tx) CountUnchained(limit int) (n int, oldest time.Time, err error) {
	rows, err := tx.ListUnchained(limit)
	if len(rows) > 0 {
		oldest = rows[0].At
	}
	return len(rows), oldest, err
}

// ListChain returns an account's records in the order of their chain, after the place seq.
func (tx *Tx) ListChain(accountID, seq int64, limit int) ([]AuditRow, error) {
	return tx.auditRows("COALESCE(account_id, 0) = $1 AND seq > $2 AND pos > 0 ORDER BY seq LIMIT $3", accountID, seq, limit)
}

// LastOfChain is the record with the highest place in an account's chain.
func (tx *Tx) LastOfChain(accountID int64) (AuditRow, error) {
	return one(tx.auditRows("COALESCE(account_id, 0) = $1 AND pos > 0 ORDER BY seq DESC LIMIT 1", accountID))
}

// FindFirstOfNone returns the first record of no account with this action and target, in
// the order of the chain.
func (tx *Tx) FindFirstOfNone(action, target string) (AuditRow, error) {
	const of = "account_id IS NULL AND action = $1 AND target = $2"
	r, err := one(tx.auditRows(of+" AND pos > 0 ORDER BY seq LIMIT 1", action, target))
	if errors.Is(err, ErrNotFound) {
		r, err = one(tx.auditRows(of+unchained+" ORDER BY id LIMIT 1", action, target))
	}
	return r, err
}

// HasUnchained reports whether an account, 0 for none, has records that no chain has yet.
func (tx *Tx) HasUnchained(accountID int64) (bool, error) {
	rows, err := tx.auditRows("COALESCE(account_id, 0) = $1"+unchained+" LIMIT 1", accountID)
	return len(rows) > 0, err
}

// ListAuditPos returns the records of all accounts in the order of the notary.
func (tx *Tx) ListAuditPos(pos int64, limit int) ([]AuditRow, error) {
	return tx.auditRows("pos > 0 AND pos > $1 ORDER BY pos LIMIT $2", pos, limit) // pos > 0: in the words of the index
}

// LockNotary makes this transaction the one that may chain, and returns the
// position of the last record that was.
func (tx *Tx) LockNotary() (pos int64, err error) {
	err = tx.row(`SELECT pos FROM audit_notary WHERE id = 1` + tx.dialect.forUpdate).Scan(&pos)
	return pos, found(err)
}

// NotaryPos returns what LockNotary does, and locks nothing.
func (tx *Tx) NotaryPos() (pos int64, err error) {
	err = tx.row(`SELECT pos FROM audit_notary WHERE id = 1`).Scan(&pos)
	return pos, found(err)
}

// KeepNotary writes the position that LockNotary returns next.
func (tx *Tx) KeepNotary(pos int64) error {
	_, err := tx.exec(`UPDATE audit_notary SET pos = $1 WHERE id = 1`, pos)
	return err
}

// ChainAudit gives r its place. It reports false where it had one.
func (tx *Tx) ChainAudit(r AuditRow) (bool, error) {
	n, err := tx.exec(`UPDATE audit SET pos = $1, seq = $2, hash = $3 WHERE id = $4 AND pos = 0`, r.Pos, r.Seq, r.Digest, r.ID)
	return n == 1, err
}

// AuditHead is the end of an account's chain as the notary left it, and what
// its last full check found.
type AuditHead struct {
	AccountID int64
	Seq       int64
	Digest    []byte // of its last record
	At        time.Time
	Signature []byte

	CheckpointSeq int64 // the last place that an event of its own vouches for
	CheckpointAt  time.Time

	CheckedAt  time.Time // zero: not yet
	CheckedSeq int64
	BrokenSeq  int64 // 0: it verifies
	BrokenID   string
	BrokenWhy  string
}

const headColumns = `account_id, seq, hash, at, signature, checkpoint_seq, checkpoint_at, checked_at, checked_seq, broken_seq, broken_id, broken_why`

func scanHead(scan func(...any) error) (h AuditHead, err error) {
	var at, checkpoint, checked int64
	err = scan(&h.AccountID, &h.Seq, &h.Digest, &at, &h.Signature, &h.CheckpointSeq, &checkpoint, &checked, &h.CheckedSeq, &h.BrokenSeq, &h.BrokenID, &h.BrokenWhy)
	h.At, h.CheckpointAt, h.CheckedAt = fromMs(at), fromMs(checkpoint), fromMs(checked)
	return h, found(err)
}

// FindAuditHead returns the head of an account's chain, 0 for the events of none.
func (tx *Tx) FindAuditHead(accountID int64) (AuditHead, error) {
	return scanHead(tx.row(`SELECT `+headColumns+` FROM audit_heads WHERE account_id = $1`, accountID).Scan)
}

// ListAuditHeads returns the heads of the accounts above a number.
func (tx *Tx) ListAuditHeads(after int64, limit int) ([]AuditHead, error) {
	rows, err := tx.rows(`SELECT `+headColumns+` FROM audit_heads WHERE account_id > $1 ORDER BY account_id LIMIT $2`, after, limit)
	return list(rows, err, func(r *sql.Rows) (AuditHead, error) { return scanHead(r.Scan) })
}

// ListAccountsWithoutChain returns the accounts above a number that have no chain: each has
// one from its first record on, which is that of its creation.
func (tx *Tx) ListAccountsWithoutChain(after int64, limit int) ([]int64, error) {
	rows, err := tx.rows(`SELECT a.id FROM accounts a WHERE a.id > $1 AND NOT EXISTS (SELECT 1 FROM audit_heads h WHERE h.account_id = a.id) ORDER BY a.id LIMIT $2`, after, limit)
	return list(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}

// ListBrokenAudit returns heads of chains that do not verify.
func (tx *Tx) ListBrokenAudit(limit int) ([]AuditHead, error) {
	rows, err := tx.rows(`SELECT `+headColumns+` FROM audit_heads WHERE broken_seq > 0 ORDER BY account_id LIMIT $1`, limit)
	return list(rows, err, func(r *sql.Rows) (AuditHead, error) { return scanHead(r.Scan) })
}

// KeepAuditHead writes where a chain ends.
func (tx *Tx) KeepAuditHead(h AuditHead) error {
	_, err := tx.exec(`INSERT INTO audit_heads (`+headColumns+`, checking_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)
		ON CONFLICT (account_id) DO UPDATE SET seq = EXCLUDED.seq, hash = EXCLUDED.hash, at = EXCLUDED.at, signature = EXCLUDED.signature,
			checkpoint_seq = EXCLUDED.checkpoint_seq, checkpoint_at = EXCLUDED.checkpoint_at`,
		h.AccountID, h.Seq, h.Digest, ms(h.At), h.Signature, h.CheckpointSeq, ms(h.CheckpointAt), ms(h.CheckedAt), h.CheckedSeq, h.BrokenSeq, h.BrokenID, h.BrokenWhy)
	return err
}

// KeepAuditCheck writes what a full check found. A chain that once did not
// verify stays so from its first wrong place on.
func (tx *Tx) KeepAuditCheck(h AuditHead) error {
	_, err := tx.exec(`UPDATE audit_heads SET checked_at = $2, checked_seq = $3, checking_at = 0 WHERE account_id = $1`,
		h.AccountID, ms(h.CheckedAt), h.CheckedSeq)
	if err != nil || h.BrokenSeq == 0 {
		return err
	}
	_, err = tx.exec(`UPDATE audit_heads SET broken_seq = $2, broken_id = $3, broken_why = $4
		WHERE account_id = $1 AND (broken_seq = 0 OR broken_seq > $2)`, h.AccountID, h.BrokenSeq, h.BrokenID, h.BrokenWhy)
	return err
}

// FindAuditCheckDue returns ErrNotFound where ClaimAuditCheck would.
func (tx *Tx) FindAuditCheckDue(due time.Time, claim time.Duration) error {
	_, err := tx.auditCheckDue(due, claim, "")
	return err
}

func (tx *Tx) auditCheckDue(due time.Time, claim time.Duration, lock string) (accountID int64, err error) {
	err = tx.row(`SELECT account_id FROM audit_heads WHERE checked_at < $1 AND checking_at < $2 ORDER BY checked_at LIMIT 1`+lock,
		ms(due), ms(tx.Now.Add(-claim))).Scan(&accountID)
	return accountID, found(err)
}

// ClaimAuditCheck returns an account whose chain was last checked before due,
// for this caller alone until the claim is over.
func (tx *Tx) ClaimAuditCheck(due time.Time, claim time.Duration) (accountID int64, err error) {
	accountID, err = tx.auditCheckDue(due, claim, tx.dialect.skip)
	if err != nil {
		return 0, err
	}
	_, err = tx.exec(`UPDATE audit_heads SET checking_at = $2 WHERE account_id = $1`, accountID, ms(tx.Now))
	return accountID, err
}

// AuditStream is a receiver of the events, and how far it has them.
type AuditStream struct {
	Name         string
	Pos          int64
	FailingSince time.Time // zero: it took the last ones
	LastError    string
}

// FindAuditStream returns a receiver by name.
func (tx *Tx) FindAuditStream(name string) (AuditStream, error) {
	s := AuditStream{Name: name}
	var since int64
	err := tx.row(`SELECT pos, failing_since, last_error FROM audit_streams WHERE name = $1`, name).Scan(&s.Pos, &since, &s.LastError)
	s.FailingSince = fromMs(since)
	return s, found(err)
}

// ClaimAuditStream makes this caller the one that sends to a receiver until
// then, and reports false while another is. A new receiver begins at pos.
func (tx *Tx) ClaimAuditStream(name string, pos int64, claim time.Duration) (bool, error) {
	if _, err := tx.exec(`INSERT INTO audit_streams (name, pos, until_at, failing_since, last_error) VALUES ($1, $2, 0, 0, '')
		ON CONFLICT (name) DO NOTHING`, name, pos); err != nil {
		return false, err
	}
	n, err := tx.exec(`UPDATE audit_streams SET until_at = $2 WHERE name = $1 AND until_at <= $3`, name, ms(tx.Now.Add(claim)), ms(tx.Now))
	return n == 1, err
}

// KeepAuditStream writes how far a receiver is, and gives the claim on it back.
func (tx *Tx) KeepAuditStream(s AuditStream) error {
	_, err := tx.exec(`UPDATE audit_streams SET pos = $2, failing_since = $3, last_error = $4, until_at = 0 WHERE name = $1`,
		s.Name, s.Pos, ms(s.FailingSince), s.LastError)
	return err
}
