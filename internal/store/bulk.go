package store

import (
	"database/sql"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/id"
)

const chunk = 64 // rows of one INSERT: a round trip serves many, and what SQLite keeps to undo a statement is kept once for all

// numbered and bare mark a parameter. SQLite looks for the name of each among all that have one.
func numbered(n int) string { return "$" + strconv.Itoa(n) }
func bare(int) string       { return "?" }

// values is "($1, $2), ($3, $4)" for n rows of cols columns.
func values(n, cols int, mark func(int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		for c := range cols {
			b.WriteString(map[bool]string{true: "(", false: ", "}[c == 0])
			b.WriteString(mark(i*cols + c + 1))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// inChunks calls fn with the text of a statement and its arguments, for at most
// a chunk of rows: whole chunks by one text, the rest row by row by another. Neither begin nor end has parameters.
func (tx *Tx) inChunks(begin string, cols int, args []any, end string, fn func(query string, args []any) error) error {
	many, one := "", begin+values(1, cols, tx.dialect.mark)+end
	for len(args) > 0 {
		query, n := one, cols
		if len(args) >= chunk*cols {
			if many == "" {
				many = begin + values(chunk, cols, tx.dialect.mark) + end
			}
			query, n = many, chunk*cols
		}
		if err := fn(query, args[:n]); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func (tx *Tx) insertMany(begin string, cols int, args []any, end string) error {
	return tx.inChunks(begin, cols, args, end, func(query string, args []any) error {
		_, err := tx.exec(query, args...)
		return err
	})
}

// InsertUsers writes users without a password, at the transaction's time, and
// returns the addresses of those that were written: one in use anywhere on this
// service is left out.
func (tx *Tx) InsertUsers(users []User) (map[string]bool, error) {
	args := make([]any, 0, 21*len(users))
	for _, u := range users {
		name, last := namesOf(u)
		args = append(args, u.ID, number(u.AccountID), flag(u.Managed), u.Address, u.DisplayAddress, u.FirstName, u.LastName, u.Language,
			u.TimeZone, u.Theme, flag(u.NotifyOpened), "", 0, 0, u.State, ms(u.WelcomedAt), ms(u.LastSignInAt), ms(tx.Now),
			name, last, 1)
	}
	done := make(map[string]bool, len(users))
	err := tx.inChunks(`INSERT INTO users (id, account_id, managed, address, display_address, first_name, last_name, language,
		time_zone, theme, notify_opened, password_hash, temporary, temporary_until, state, welcomed_at, last_sign_in_at, created_at,
		name_key, last_name_key, named) VALUES `, 21, args, ` ON CONFLICT (address) DO NOTHING RETURNING address`, func(query string, args []any) error {
		rows, err := tx.rows(query, args...)
		list, err := list(rows, err, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) })
		for _, a := range list {
			done[a] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	added := make(map[int64]int64)
	for _, u := range users {
		if done[u.Address] && u.AccountID != 0 {
			added[u.AccountID]++
		}
	}
	for account, n := range added {
		if err := tx.AddUsage(account, Usage{Users: n}, true); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// InsertMemberships puts users into groups for good, each given as group, user
// and the user's address; who is in one already stays as they are.
func (tx *Tx) InsertMemberships(list [][3]string) error {
	args := make([]any, 0, 4*len(list))
	for _, m := range list {
		args = append(args, m[0], m[1], m[2], ms(tx.Now))
	}
	return tx.insertMany(`INSERT INTO memberships (group_id, user_id, address, added_at) VALUES `, 4, args, ` ON CONFLICT (group_id, user_id) DO NOTHING`)
}

// InsertAudits appends records that have the same account, actor, action and
// origin, about several targets.
func (tx *Tx) InsertAudits(r AuditRow, targets []string) error {
	if r.Outcome == "" {
		r.Outcome = Done
	}
	detail, err := auditDetail(r.Detail)
	if err != nil {
		return err
	}
	args := make([]any, 0, 9*len(targets))
	for _, t := range targets {
		args = append(args, id.Ordered(), number(r.AccountID), ms(tx.Now), valid(r.Actor), r.Action, valid(t), r.Outcome, detail, valid(r.Origin))
	}
	return tx.insertMany(`INSERT INTO audit (id, account_id, at, actor, action, target, outcome, detail, origin) VALUES `, 9, args, "")
}

// FindUsersByAddress returns the users who have some canonical addresses, of whatever account, by address.
func (tx *Tx) FindUsersByAddress(addresses []string) (map[string]User, error) {
	out := make(map[string]User, len(addresses))
	args := make([]any, len(addresses))
	for i, a := range addresses {
		args[i] = a
	}
	err := tx.inChunks(`SELECT `+userColumns+` FROM users u WHERE u.address IN (VALUES `, 1, args, `)`, func(query string, args []any) error {
		rows, err := tx.rows(query, args...)
		list, err := list(rows, err, scanUserRow)
		for _, u := range list {
			out[u.Address] = u
		}
		return err
	})
	return out, err
}
