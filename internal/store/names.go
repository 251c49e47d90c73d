package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	maxKey   = 200 // octets of a key: nobody types more
	nameStep = 500 // users whom one transaction names, when a database from before is opened
)

// fold is how names are compared: small letters without accents, one space
// between words.
func fold(s string) []byte {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	b := []byte(strings.Join(strings.Fields(s), " "))
	return b[:min(len(b), maxKey)]
}

// namesOf are the keys that a user is found by.
func namesOf(u User) (out [][]byte) {
	for _, s := range []string{u.Address, u.FirstName + " " + u.LastName, u.LastName} {
		if k := fold(s); len(k) > 0 {
			out = append(out, k)
		}
	}
	return out
}

// above is the first key that does not begin with k, which is not empty.
func above(k []byte) []byte {
	out := bytes.Clone(k)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] < 0xFF {
			out[i]++
			return out[:i+1]
		}
	}
	return bytes.Repeat([]byte{0xFF}, maxKey+1)
}

// setNames makes users be found by what they are called now; those of no
// account are not found.
func (tx *Tx) setNames(users ...User) error {
	var args []any
	for _, u := range users {
		if u.AccountID == 0 {
			continue
		}
		for _, k := range namesOf(u) {
			args = append(args, u.AccountID, k, u.ID)
		}
	}
	return tx.insertMany(`INSERT INTO user_names (account_id, key, user_id) VALUES `, 3, args, ` ON CONFLICT (account_id, key, user_id) DO NOTHING`)
}

// rename is setNames for a user who had others.
func (tx *Tx) rename(userID string) error {
	if _, err := tx.exec(`DELETE FROM user_names WHERE user_id = $1`, userID); err != nil {
		return err
	}
	u, err := tx.FindUser(userID)
	if err != nil {
		return err
	}
	return tx.setNames(u)
}

// nameUsers names the users of a database from before, a few at a time.
func (db *DB) nameUsers(ctx context.Context) error {
	for more := true; more; {
		if err := db.Update(ctx, func(tx *Tx) error {
			rows, err := tx.rows(`SELECT `+userColumns+` FROM users u WHERE u.named = 0 ORDER BY u.id LIMIT $1`, nameStep)
			users, err := list(rows, err, scanUserRow)
			if err != nil {
				return err
			}
			if more = len(users) == nameStep; len(users) == 0 {
				return nil
			}
			if err := tx.setNames(users...); err != nil {
				return err
			}
			_, err = tx.exec(`UPDATE users SET named = 1 WHERE named = 0 AND id <= $1`, users[len(users)-1].ID)
			return err
		}); err != nil {
			return fmt.Errorf("name the users: %w", err)
		}
	}
	return nil
}

// Match is a user whom a search found, and by which key: the place in the list
// of those that it finds.
type Match struct {
	User
	Key []byte
}

// SearchUsers returns users of an account whose address, first or last name
// begins with query, which is not empty, and that pass the filter only ("" =
// all): of all of them, or of the members of the groups within. They come in the
// order of what was found, those above after, each once.
func (tx *Tx) SearchUsers(account int64, query, only string, after Match, limit int, within ...string) ([]Match, error) {
	from, where, args := tx.searchFrom(account, query, only, within)
	if len(from) == 0 {
		return nil, nil
	}
	if after.ID != "" {
		args = append(args, after.Key, after.ID)
		where += fmt.Sprintf(` AND (n.key, n.user_id) > ($%d, $%d)`, len(args)-1, len(args))
	}
	args = append(args, limit)
	rows, err := tx.rows(`SELECT `+userColumns+`, n.key FROM `+from+` WHERE `+where+fmt.Sprintf(` ORDER BY n.key, n.user_id LIMIT $%d`, len(args)), args...)
	return list(rows, err, func(r *sql.Rows) (m Match, err error) {
		m.User, err = scanUser(r.Scan, &m.Key)
		return m, err
	})
}

// searchFrom is the join and the condition of a search; no join where query is nothing.
func (tx *Tx) searchFrom(account int64, query, only string, within []string) (from, where string, args []any) {
	key := fold(query)
	if len(key) == 0 {
		return "", "", nil
	}
	where, args = tx.usersWhere(account, only, within)
	args = append(args, key, above(key))
	lo, hi := fmt.Sprintf("$%d", len(args)-1), fmt.Sprintf("$%d", len(args))
	where += ` AND n.account_id = $1 AND n.key >= ` + lo + ` AND n.key < ` + hi +
		` AND NOT EXISTS (SELECT 1 FROM user_names o WHERE o.user_id = n.user_id AND o.key >= ` + lo + ` AND o.key < n.key)`
	from = "user_names n CROSS JOIN users u" // in this order: SQLite obeys
	if only == OnlyBlocked || only == OnlyMustChange {
		from = "users u CROSS JOIN user_names n" // of whom there are fewer
	}
	return from, "u.id = n.user_id AND " + where, args
}

// MaxCount is up to where lists are counted.
const MaxCount = 1000

// CountAllUsers counts an account's users.
func (tx *Tx) CountAllUsers(account int64) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM users WHERE account_id = $1`, account).Scan(&n)
	return n, err
}

// CountUsers counts the users that ListUsers or SearchUsers lists on all pages;
// MaxCount+1 says that there are more than MaxCount.
func (tx *Tx) CountUsers(account int64, query, only string, within ...string) (n int, err error) {
	where, args := tx.usersWhere(account, only, within)
	from := "users u"
	if query != "" {
		if from, where, args = tx.searchFrom(account, query, only, within); from == "" {
			return 0, nil
		}
	}
	err = tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM `+from+` WHERE `+where+fmt.Sprintf(` LIMIT %d) AS found`, MaxCount+1), args...).Scan(&n)
	return n, err
}
