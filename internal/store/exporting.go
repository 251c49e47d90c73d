package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Extract is a kind of rows of an account that are given out with all of it: no
// secret, no key, nothing that was sealed.
type Extract struct {
	Name    string
	Columns []string // names

	from    string
	keys    []string // expressions that order the rows, together unique
	columns []string // expressions
	kinds   []kind
}

// kind is how a column is written.
type kind int

const (
	asText   kind = iota
	asNumber      // also where it is text in JSON
	asTime        // Unix ms, 0 = never
	asFlag        // 0 or 1
)

func extract(name, from, keys string, columns ...any) Extract {
	e := Extract{Name: name, from: from, keys: strings.Split(keys, ", ")}
	for i := 0; i < len(columns); i += 3 {
		e.Columns = append(e.Columns, columns[i].(string))
		e.columns = append(e.columns, columns[i+1].(string))
		e.kinds = append(e.kinds, columns[i+2].(kind))
	}
	return e
}

// Extracts are all that is given out of an account beside its rules and its log. $1 is its number.
var Extracts = []Extract{
	extract("account", "accounts a WHERE a.id = $1", "a.id",
		"number", "a.id", asNumber, "name", "a.name", asText, "language", "a.language", asText, "time_zone", "a.time_zone", asText, "state", "a.state", asText,
		"settings", "a.settings", asText, "limits", "a.limits", asText, "brand", "a.brand", asText, "contacts", "a.contacts", asText,
		"created_at", "a.created_at", asTime, "delete_at", "a.delete_at", asTime),
	extract("users", "users u WHERE u.account_id = $1", "u.address, u.id",
		"id", "u.id", asText, "address", "u.display_address", asText, "first_name", "u.first_name", asText, "last_name", "u.last_name", asText,
		"language", "u.language", asText, "time_zone", "u.time_zone", asText, "managed", "u.managed", asFlag, "state", "u.state", asText,
		"temporary_password", "u.temporary", asFlag, "second_factor", "CASE WHEN EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id) OR EXISTS (SELECT 1 FROM authenticators t WHERE t.user_id = u.id AND t.confirmed_at > 0) THEN 1 ELSE 0 END", asFlag,
		"created_at", "u.created_at", asTime, "first_sign_in_at", "u.first_sign_in_at", asTime, "last_sign_in_at", "u.last_sign_in_at", asTime),
	extract("addresses", "aliases l JOIN users u ON u.id = l.user_id WHERE u.account_id = $1", "l.address",
		"address", "l.display_address", asText, "user", "l.user_id", asText, "proved_at", "l.proved_at", asTime),
	extract("groups", "user_groups g WHERE g.account_id = $1", "g.id",
		"id", "g.id", asText, "name", "g.name", asText, "builtin", "g.builtin", asFlag, "settings", "g.settings", asText, "created_at", "g.created_at", asTime),
	extract("memberships", "user_groups g JOIN memberships m ON m.group_id = g.id WHERE g.account_id = $1", "g.id, m.user_id",
		"group", "m.group_id", asText, "user", "m.user_id", asText, "address", "m.address", asText, "added_at", "m.added_at", asTime, "until", "m.until", asTime),
	extract("grants", "user_groups g JOIN grants r ON r.group_id = g.id WHERE g.account_id = $1", "g.id, r.act, r.scope_group_id",
		"group", "r.group_id", asText, "right", "r.act", asText, "over", "r.scope_group_id", asText),
	extract("invitations", "invitations i WHERE i.account_id = $1", "i.id",
		"id", "i.id", asText, "address", "i.display_address", asText, "group", "COALESCE(i.group_id, '')", asText, "invited_by", "i.invited_by", asText,
		"state", "i.state", asText, "created_at", "i.created_at", asTime, "expires_at", "i.expires_at", asTime, "member_until", "i.member_until", asTime),
	extract("requests", "access_requests q WHERE q.account_id = $1", "q.id",
		"id", "q.id", asText, "user", "q.user_id", asText, "right", "q.act", asText, "reason", "q.reason", asText, "state", "q.state", asText, "created_at", "q.created_at", asTime, "decided_at", "q.decided_at", asTime, "word", "q.word", asText),
	extract("domains", "domains d WHERE d.account_id = $1", "d.domain",
		"domain", "d.domain", asText, "senders_group", "d.senders_group", asText, "created_at", "d.created_at", asTime, "checked_at", "d.checked_at", asTime),
	extract("domain_claims", "domain_claims d WHERE d.account_id = $1", "d.domain",
		"domain", "d.domain", asText, "created_at", "d.created_at", asTime, "checked_at", "d.checked_at", asTime),
	extract("upstreams", "upstreams u WHERE u.account_id = $1", "u.id",
		"name", "u.name", asText, "kind", "u.kind", asText, "value", "u.value", asText, "forwards", "u.forwards", asFlag, "created_at", "u.created_at", asTime),
	extract("rules", "rule_sets r WHERE r.account_id = $1", "r.version",
		"version", "r.version", asNumber, "author", "r.author", asText, "created_at", "r.created_at", asTime, "body", "r.body", asText),
	extract("tokens", "api_tokens t WHERE t.account_id = $1", "t.id",
		"id", "t.id", asText, "user", "t.user_id", asText, "name", "t.name", asText, "scopes", "t.scopes", asText,
		"created_at", "t.created_at", asTime, "expires_at", "t.expires_at", asTime, "used_at", "t.used_at", asTime),
	extract("webhooks", "webhooks w WHERE w.account_id = $1", "w.id",
		"id", "w.id", asText, "host", "w.host", asText, "description", "w.description", asText, "events", "w.events", asText, "addresses", "w.addresses", asFlag,
		"state", "w.state", asText, "created_at", "w.created_at", asTime, "changed_at", "w.changed_at", asTime),
	extract("document_requests", "intakes i WHERE i.account_id = $1", "i.id",
		"id", "i.id", asText, "user", "i.user_id", asText, "sender_proves_address", "i.prove", asFlag, "most_answers", "i.most", asNumber, "answers", "i.answers", asNumber,
		"created_at", "i.created_at", asTime, "ends_at", "i.ends_at", asTime, "closed_at", "i.closed_at", asTime),
	extract("messages", "messages m WHERE m.account_id = $1", "m.sealed_at, m.id",
		"id", "m.id", asText, "sender", "m.sender_address", asText, "sender_name", "m.sender_name", asText, "verified", "m.verified", asFlag,
		"carrier", "m.carrier", asText, "size", "m.payload_size", asNumber, "sealed_at", "m.sealed_at", asTime, "expires_at", "m.expires_at", asTime,
		"locked_at", "m.locked_at", asTime, "withdrawn_at", "m.recalled_at", asTime, "destroyed_at", "m.destroyed_at", asTime),
	extract("recipients", "messages m JOIN slots s ON s.message_id = m.id WHERE m.account_id = $1", "m.sealed_at, m.id, s.id",
		"message", "s.message_id", asText, "reference", "s.ref", asText, "address", "s.display_address", asText, "delivery", "s.delivery", asText,
		"delivered_at", "s.delivered_at", asTime, "delivery_text", "s.delivery_text", asText, "openings", "s.openings", asNumber,
		"first_opened_at", "s.first_opened_at", asTime, "last_opened_at", "s.last_opened_at", asTime, "expires_at", "s.expires_at", asTime,
		"locked_at", "s.locked_at", asTime, "withdrawn_at", "s.recalled_at", asTime),
}

// Tables are the tables that its rows are of.
func (e Extract) Tables() (out []string) {
	from, _, _ := strings.Cut(e.from, " WHERE ")
	for _, part := range strings.Split(from, " JOIN ") {
		table, _, _ := strings.Cut(part, " ")
		out = append(out, table)
	}
	return out
}

// ExtractRow is one row: its values in the order of the columns (string, int64,
// bool, or time.Time that is zero for never), and where the next page begins.
type ExtractRow struct {
	Values []any
	at     []any
}

// ListExtract returns the rows of an account after one of them, nil for the first.
func (tx *Tx) ListExtract(e Extract, number int64, after *ExtractRow, limit int) (out []ExtractRow, err error) {
	query := "SELECT " + strings.Join(append(append([]string{}, e.columns...), e.keys...), ", ") + " FROM " + e.from
	args := []any{number, limit}
	if after != nil {
		marks := make([]string, len(e.keys))
		for i, v := range after.at {
			args = append(args, v)
			marks[i] = "$" + strconv.Itoa(len(args))
		}
		if len(e.keys) > 2 { // the keys of the outer table alone bound what is read of its index
			query += fmt.Sprintf(" AND (%s) >= (%s)", strings.Join(e.keys[:2], ", "), strings.Join(marks[:2], ", "))
		}
		query += fmt.Sprintf(" AND (%s) > (%s)", strings.Join(e.keys, ", "), strings.Join(marks, ", "))
	}
	rows, err := tx.rows(query+" ORDER BY "+strings.Join(e.keys, ", ")+" LIMIT $2", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		values, dest := make([]any, len(e.kinds)+len(e.keys)), make([]any, len(e.kinds)+len(e.keys))
		for i := range dest {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		row := ExtractRow{Values: values[:len(e.kinds)], at: values[len(e.kinds):]}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = string(b)
			}
		}
		for i, k := range e.kinds {
			if n, ok := row.Values[i].(int64); ok && k == asTime {
				row.Values[i] = fromMs(n)
			} else if ok && k == asFlag {
				row.Values[i] = n != 0
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Export is the archive of an account that a job has made.
type Export struct {
	JobID     string
	AccountID int64
	Blob      string
	Key       []byte // sealed
	Size      int64  // bytes, in clear
	Sum       string // SHA-256 in clear, hex
	EndsAt    time.Time
}

// InsertExport writes e.
func (tx *Tx) InsertExport(e Export) error {
	_, err := tx.exec(`INSERT INTO account_exports (job_id, account_id, blob, key_box, size, sum, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.JobID, e.AccountID, e.Blob, e.Key, e.Size, e.Sum, ms(e.EndsAt))
	return err
}

// FindExport returns the archive of a job, while there is one.
func (tx *Tx) FindExport(number int64, jobID string) (e Export, err error) {
	var ends int64
	err = tx.row(`SELECT job_id, account_id, blob, key_box, size, sum, ends_at FROM account_exports WHERE account_id = $1 AND job_id = $2 AND ends_at > $3`, number, jobID, ms(tx.Now)).
		Scan(&e.JobID, &e.AccountID, &e.Blob, &e.Key, &e.Size, &e.Sum, &ends)
	e.EndsAt = fromMs(ends)
	return e, found(err)
}

// DeleteOldExports forgets archives whose time is over, and returns their blobs.
func (tx *Tx) DeleteOldExports(limit int) ([]string, error) {
	rows, err := tx.rows(`DELETE FROM account_exports WHERE job_id IN (SELECT job_id FROM account_exports WHERE ends_at <= $1 LIMIT $2) RETURNING blob`, ms(tx.Now), limit)
	return list(rows, err, scanText)
}
