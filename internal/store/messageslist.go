package store

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// MessageQuery chooses messages of one account. Zero fields choose nothing.
type MessageQuery struct {
	AccountID   int64
	Within      []string // ids of groups: only what their members sent; nil: of everybody
	Filter      SentFilter
	Now         time.Time // that SentExpired compares with
	From, Until time.Time // sealed from then on, and before then
	Sender      string    // canonical
	Recipient   string    // canonical
	MessageID   string
	BeforeTime  time.Time // and BeforeID: of the message after which to go on; zero begins with the newest
	BeforeID    string
	Limit       int
}

// ListAccountMessages returns an account's messages, newest first.
func (tx *Tx) ListAccountMessages(q MessageQuery) ([]Message, error) {
	rest, args := q.rest(tx)
	rows, err := tx.rows(`SELECT `+messageColumns+rest, args...)
	return list(rows, err, func(r *sql.Rows) (Message, error) { return scanMessage(r) })
}

// CountAccountMessages counts what ListAccountMessages returns.
func (tx *Tx) CountAccountMessages(q MessageQuery) (n int, err error) {
	rest, args := q.rest(tx)
	err = tx.row(`SELECT COUNT(*) FROM (SELECT 1`+rest+`) AS counted`, args...).Scan(&n)
	return n, err
}

// rest is what comes after the columns of a query, with its arguments.
func (q MessageQuery) rest(tx *Tx) (string, []any) {
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	from, where := "messages m", "m.account_id = "+arg(q.AccountID)
	to := ""
	if q.Recipient != "" {
		to = arg(q.Recipient)
		from = "messages m JOIN (SELECT DISTINCT message_id FROM slots WHERE address = " + to + ") AS k ON k.message_id = m.id"
	}
	if q.Sender != "" {
		where += " AND m.sender_address = " + arg(q.Sender)
	}
	if q.MessageID != "" {
		where += " AND m.id = " + arg(q.MessageID)
	}
	if q.Within != nil {
		groups := make([]string, len(q.Within))
		for i, g := range q.Within {
			groups[i] = arg(g)
		}
		where += " AND EXISTS (SELECT 1 FROM memberships s WHERE s.user_id = m.sender_id AND s.group_id IN (" + strings.Join(groups, ", ") + ") AND " + lasts("s", arg(ms(tx.Now))) + ")"
	}
	if to != "" && q.Filter != SentAll { // what of it went to them, whatever became of the others'
		of := map[SentFilter]string{SentNotOpened: "s.openings = 0", SentOpened: "s.openings > 0", SentLocked: "(s.locked_at > 0 OR m.locked_at > 0)"}[q.Filter]
		if q.Filter == SentExpired {
			of = fmt.Sprintf(`(s.recalled_at > 0 OR m.recalled_at > 0 OR length(s.s_box) = 0 OR s.expires_at > 0 AND s.expires_at <= %[1]s
				OR s.expires_at = 0 AND (m.ended = 1 OR m.expires_at > 0 AND m.expires_at <= %[1]s))`, arg(ms(q.Now)))
		}
		where += " AND EXISTS (SELECT 1 FROM slots s WHERE s.message_id = m.id AND s.address = " + to + " AND " + of + ")"
	} else if q.Filter == SentExpired {
		where += " AND (m.ended = 1 OR m.expires_at > 0 AND m.expires_at <= " + arg(ms(q.Now)) + ")"
	} else {
		where += sentWhere[q.Filter]
	}
	if !q.BeforeTime.IsZero() {
		at := arg(ms(q.BeforeTime))
		where += " AND m.sealed_at <= " + at + " AND (m.sealed_at < " + at + " OR m.id < " + arg(q.BeforeID) + ")"
	}
	if !q.From.IsZero() {
		where += " AND m.sealed_at >= " + arg(ms(q.From))
	}
	if !q.Until.IsZero() {
		where += " AND m.sealed_at < " + arg(ms(q.Until))
	}
	rest := ` FROM ` + from + ` WHERE ` + where + ` ORDER BY m.sealed_at DESC, m.id DESC LIMIT ` + arg(q.Limit)
	return rest, args
}
