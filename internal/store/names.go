package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	return bytes.ToValidUTF8(b[:min(len(b), maxKey)], nil)
}

// namesOf are the keys that a user is found by besides their address: the whole
// name and the last name. Empty keys find nobody.
func namesOf(u User) (name, last []byte) {
	return fold(u.FirstName + " " + u.LastName), fold(u.LastName)
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

// setNames makes a user be found by what they are called now.
func (tx *Tx) setNames(u User) error {
	name, last := namesOf(u)
	_, err := tx.exec(`UPDATE users SET name_key = $1, last_name_key = $2, named = 1 WHERE id = $3`, name, last, u.ID)
	return err
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
			more = len(users) == nameStep
			for _, u := range users {
				if err := tx.setNames(u); err != nil {
					return err
				}
			}
			return nil
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

// search is what is looked for among the users of an account: those whose
// address, whole name or last name begins with it.
type search struct {
	address   string // as addresses are written
	name      []byte // folded
	fromUsers bool   // the filter leaves so few that their names are looked at, and not who has such a name
}

// searchOf is a search for query among the users that a filter leaves. It is
// empty, and finds nobody, where query is nothing.
func (tx *Tx) searchOf(account int64, query, only string, within []string) (s search, err error) {
	s = search{address: strings.ToLower(norm.NFC.String(strings.TrimSpace(query))), name: fold(query)}
	s.fromUsers = only == OnlyBlocked || only == OnlyMustChange || only == OnlyAdministrators
	for i, found := 0, 0; len(within) > 0 && !s.empty() && !s.fromUsers && i < len(keys); i++ {
		args, n := []any{account}, 0
		if err := tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM users u WHERE u.account_id = $1 AND `+s.by(i, &args)+` LIMIT `+countLimit+`) AS counted`, args...).Scan(&n); err != nil {
			return s, err
		}
		found += n
		s.fromUsers = found > MaxCount // a group's members are fewer
	}
	return s, nil
}

func (s search) empty() bool { return len(s.name) == 0 }

const (
	byName = iota
	byLastName
	byAddress
)

// keys are the columns that a search looks in, and that an index each has in order.
var keys = [3]string{byName: "u.name_key", byLastName: "u.last_name_key", byAddress: "u.address"}

func (s search) column(i int) string {
	if s.fromUsers {
		return unindexed(keys[i])
	}
	return keys[i]
}

// by is the condition under which a user is found by one of keys; args get its bounds.
func (s search) by(i int, args *[]any) string {
	var low, high any = s.name, above(s.name)
	if i == byAddress {
		low, high = s.address, s.address+string(utf8.MaxRune)
	}
	*args = append(*args, low, high)
	return fmt.Sprintf("%s >= $%d AND %s < $%d", s.column(i), len(*args)-1, s.column(i), len(*args))
}

// any is the condition under which a user is found at all.
func (s search) any(args *[]any) string {
	return "(" + s.by(byAddress, args) + " OR " + s.by(byName, args) + " OR " + s.by(byLastName, args) + ")"
}

// filtered is the condition of usersWhere, of which indexes serve what s does not look in.
func (s search) filtered(tx *Tx, account int64, only string, within []string) (string, []any) {
	if s.fromUsers {
		return tx.usersWhere(account, only, within, plain)
	}
	return tx.usersWhere(account, only, within, unindexed)
}

// once is by for who is found by none of the keys before it.
func (s search) once(i int, args *[]any) string {
	where := s.by(i, args)
	for before := range i {
		where += " AND NOT (" + s.by(before, args) + ")"
	}
	return where
}

// SearchUsers returns users of an account whose address, first or last name
// begins with query, which is not empty, and that pass the filter only ("" =
// all): of all of them, or of the members of the groups within. They come in the
// order of what was found, those above after, each once.
func (tx *Tx) SearchUsers(account int64, query, only string, after Match, limit int, within ...string) ([]Match, error) {
	s, err := tx.searchOf(account, query, only, within)
	if err != nil || s.empty() {
		return nil, err
	}
	var all []Match
	for i := range keys {
		where, args := s.filtered(tx, account, only, within)
		where += " AND " + s.once(i, &args)
		key := func(k []byte) any {
			if i == byAddress {
				return string(k)
			}
			return k
		}
		if after.ID != "" {
			args = append(args, key(after.Key), after.ID)
			where += fmt.Sprintf(` AND (%s, u.id) > ($%d, $%d)`, s.column(i), len(args)-1, len(args))
		}
		if len(all) == limit { // what comes after these is not looked for
			args = append(args, key(all[limit-1].Key))
			where += fmt.Sprintf(` AND %s <= $%d`, s.column(i), len(args))
		}
		args = append(args, limit)
		rows, err := tx.rows(`SELECT `+userColumns+`, `+keys[i]+` FROM users u WHERE `+where+fmt.Sprintf(` ORDER BY %s, u.id LIMIT $%d`, s.column(i), len(args)), args...)
		found, err := list(rows, err, func(r *sql.Rows) (m Match, err error) {
			m.User, err = scanUser(r.Scan, &m.Key)
			return m, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		slices.SortFunc(all, func(a, b Match) int { return cmp.Or(bytes.Compare(a.Key, b.Key), strings.Compare(a.ID, b.ID)) })
		all = all[:min(limit, len(all))]
	}
	return all, nil
}

// MaxCount is up to where lists are counted; one more says that there are more.
const (
	MaxCount   = 1000
	countLimit = "1001"
)

// countFound counts, each once, the users that pass where and are found: by each of keys up to MaxCount+1.
func (tx *Tx) countFound(where string, args []any, s search) (n int, err error) {
	var each []string
	for i := range keys {
		each = append(each, `SELECT id FROM (SELECT u.id FROM users u WHERE `+where+` AND `+s.by(i, &args)+` LIMIT `+countLimit+`) AS found`)
	}
	err = tx.row(`SELECT COUNT(DISTINCT id) FROM (`+strings.Join(each, " UNION ALL ")+`) AS counted`, args...).Scan(&n)
	return n, err
}

// CountUsers counts the users that ListUsers or SearchUsers lists on all pages;
// MaxCount+1 says that there are more than MaxCount.
func (tx *Tx) CountUsers(account int64, query, only string, within ...string) (n int, err error) {
	where, args := tx.usersWhere(account, only, within, plain)
	if query == "" && only == "" && len(within) == 0 {
		where += " ORDER BY u.address" // or PostgreSQL reads rows, as all would do; the index has more of them on a page
	}
	if query != "" {
		s, err := tx.searchOf(account, query, only, within)
		if err != nil || s.empty() {
			return 0, err
		}
		if where, args = s.filtered(tx, account, only, within); !s.fromUsers {
			n, err := tx.countFound(where, args, s)
			return min(n, MaxCount+1), err
		}
		where += " AND " + s.any(&args)
	}
	err = tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM users u WHERE `+where+` LIMIT `+countLimit+`) AS counted`, args...).Scan(&n)
	return n, err
}
