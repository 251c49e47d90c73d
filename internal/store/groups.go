package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Group is a named set of users of one account.
type Group struct {
	ID        string
	AccountID int64
	Name      string
	NameKey   string // case-folded NFKC, for uniqueness and order
	Builtin   bool   // Account Administrators
	CreatedAt time.Time
	Members   int       // filled by ListGroupsCounted, as CountMembers counts
	Until     time.Time // filled by ListGroupsOf: when the membership ends, zero = never
}

// Member is a user in a group.
type Member struct {
	User
	Until time.Time // when they stop being one, zero = never
	Ended bool      // they have
}

const groupColumns = `g.id, g.account_id, g.name, g.name_key, g.builtin, g.created_at`

// membersOf counts the members of the group with that id. Few readers of a group want it, and it costs more than the group.
func membersOf(id string) string {
	return `(SELECT COUNT(*) FROM (SELECT 1 FROM memberships m WHERE m.group_id = ` + id + ` LIMIT ` + countLimit + `) AS counted)`
}

func scanGroup(scan func(...any) error, more ...any) (g Group, err error) {
	var builtin, created int64
	err = scan(append([]any{&g.ID, &g.AccountID, &g.Name, &g.NameKey, &builtin, &created}, more...)...)
	g.Builtin, g.CreatedAt = builtin != 0, fromMs(created)
	return g, found(err)
}

// InsertGroup writes g at the transaction's time; a name in use in its account gives ErrTaken.
func (tx *Tx) InsertGroup(g Group) error {
	_, err := tx.exec(`INSERT INTO user_groups (id, account_id, name, name_key, builtin, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		g.ID, g.AccountID, g.Name, g.NameKey, flag(g.Builtin), ms(tx.Now))
	return err
}

// FindGroup returns a group of the account; one of another account is not found.
func (tx *Tx) FindGroup(account int64, groupID string) (Group, error) {
	return scanGroup(tx.row(`SELECT `+groupColumns+` FROM user_groups g WHERE g.account_id = $1 AND g.id = $2`, account, groupID).Scan)
}

// FindGroupByName returns the account's group with that name key.
func (tx *Tx) FindGroupByName(account int64, key string) (Group, error) {
	return scanGroup(tx.row(`SELECT `+groupColumns+` FROM user_groups g WHERE g.account_id = $1 AND g.name_key = $2`, account, key).Scan)
}

// FindBuiltinGroup returns the account's administrators.
func (tx *Tx) FindBuiltinGroup(account int64) (Group, error) {
	return scanGroup(tx.row(`SELECT `+groupColumns+` FROM user_groups g WHERE g.account_id = $1 AND g.builtin = 1`, account).Scan)
}

// ListGroups returns groups of an account by name, those above after (a
// NameKey), whose name key begins with query. The built-in one is not among
// them: it is always there and stands first.
func (tx *Tx) ListGroups(account int64, query, after string, limit int) ([]Group, error) {
	rows, err := tx.groups(groupColumns, account, query, after, limit)
	return list(rows, err, func(r *sql.Rows) (Group, error) { return scanGroup(r.Scan) })
}

// ListGroupsCounted is ListGroups with the number of their members.
func (tx *Tx) ListGroupsCounted(account int64, query, after string, limit int) ([]Group, error) {
	rows, err := tx.groups(groupColumns+", "+membersOf("g.id"), account, query, after, limit)
	return list(rows, err, func(r *sql.Rows) (Group, error) {
		var n int
		g, err := scanGroup(r.Scan, &n)
		g.Members = n
		return g, err
	})
}

func (tx *Tx) groups(columns string, account int64, query, after string, limit int) (*sql.Rows, error) {
	return tx.rows(`SELECT `+columns+` FROM user_groups g
		WHERE g.account_id = $1 AND g.builtin = 0 AND `+begins("g.name_key", "$2", "$3")+` AND g.name_key <> $4 ORDER BY g.name_key LIMIT $5`,
		account, max(query, after), below(query), after, limit)
}

// CountMembers counts the members of a group up to MaxCount+1, those whose membership has ended too.
func (tx *Tx) CountMembers(groupID string) (n int, err error) {
	err = tx.row(`SELECT `+membersOf("$1"), groupID).Scan(&n)
	return n, err
}

// CountGroups counts what ListGroups lists on all its pages, up to MaxCount+1.
func (tx *Tx) CountGroups(account int64, query string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM user_groups g WHERE g.account_id = $1 AND g.builtin = 0 AND `+begins("g.name_key", "$2", "$3")+
		` LIMIT `+countLimit+`) AS counted`, account, query, below(query)).Scan(&n)
	return n, err
}

// RenameGroup gives a group another name; one in use gives ErrTaken.
func (tx *Tx) RenameGroup(groupID, name, key string) error {
	_, err := tx.exec(`UPDATE user_groups SET name = $1, name_key = $2 WHERE id = $3`, name, key, groupID)
	return err
}

// DeleteGroup removes a group with its memberships, grants and invitations, and
// the grants that are confined to it; the people remain.
func (tx *Tx) DeleteGroup(groupID string) error {
	if _, err := tx.exec(`DELETE FROM grants WHERE scope_group_id = $1`, groupID); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM user_groups WHERE id = $1`, groupID)
	return err
}

// InsertMembership adds a user to a group until a time (zero = for good) and
// reports whether they were not in it before; a membership that has ended is
// begun anew.
func (tx *Tx) InsertMembership(groupID, userID string, until time.Time) (bool, error) {
	n, err := tx.exec(`INSERT INTO memberships (group_id, user_id, address, added_at, until)
		SELECT $1, u.id, u.address, $3, $4 FROM users u WHERE u.id = $2
		ON CONFLICT (group_id, user_id) DO UPDATE SET added_at = excluded.added_at, until = excluded.until WHERE NOT `+lasts("memberships", "$3"),
		groupID, userID, ms(tx.Now), ms(until))
	return n > 0, err
}

// SetMembershipEnd changes until when a user is in a group (zero = for good).
func (tx *Tx) SetMembershipEnd(groupID, userID string, until time.Time) error {
	return tx.oneRow(`UPDATE memberships SET until = $1 WHERE group_id = $2 AND user_id = $3`, ms(until), groupID, userID)
}

// DeleteMembership takes a user out of a group; one who is not in it gives ErrNotFound.
func (tx *Tx) DeleteMembership(groupID, userID string) error {
	return tx.oneRow(`DELETE FROM memberships WHERE group_id = $1 AND user_id = $2`, groupID, userID)
}

// IsMember reports whether a user is in a group now.
func (tx *Tx) IsMember(groupID, userID string) (bool, error) {
	m, err := tx.FindMember(groupID, userID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !m.Ended, err
}

func scanMember(scan func(...any) error) (m Member, err error) {
	var until, ended int64
	m.User, err = scanUser(scan, &until, &ended)
	m.Until, m.Ended = fromMs(until), ended != 0
	return m, err
}

// FindMember returns a user in a group, also one whose membership has ended.
func (tx *Tx) FindMember(groupID, userID string) (Member, error) {
	return scanMember(tx.row(`SELECT `+userColumns+`, m.until, CASE WHEN `+lasts("m", "$3")+` THEN 0 ELSE 1 END
		FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.group_id = $1 AND m.user_id = $2`, groupID, userID, ms(tx.Now)).Scan)
}

// ListMembers returns the users in a group by address, those above after, whose
// address, first or last name begins with query.
func (tx *Tx) ListMembers(groupID, query, after string, limit int) ([]Member, error) {
	args := []any{groupID, after, limit, ms(tx.Now)}
	where := ""
	if query != "" {
		var account int64
		if err := found(tx.row(`SELECT account_id FROM user_groups WHERE id = $1`, groupID).Scan(&account)); err != nil {
			return nil, err
		}
		s, err := tx.searchOf(account, query, "", []string{groupID})
		if err != nil || s.empty() {
			return nil, err
		}
		if s.fromUsers {
			where = " AND " + s.any(&args)
		} else {
			args = append(args, account)
			where = fmt.Sprintf(` AND m.user_id IN (SELECT u.id FROM users u WHERE u.account_id = $%d AND `, len(args)) + s.any(&args) + ")"
		}
	}
	rows, err := tx.rows(`SELECT `+userColumns+`, m.until, CASE WHEN `+lasts("m", "$4")+` THEN 0 ELSE 1 END
		FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.group_id = $1 AND m.address > $2`+where+` ORDER BY m.address LIMIT $3`, args...)
	return list(rows, err, func(r *sql.Rows) (Member, error) { return scanMember(r.Scan) })
}

// ListGroupsOf returns the groups that a user is in now, the built-in one first.
func (tx *Tx) ListGroupsOf(userID string) ([]Group, error) {
	rows, err := tx.rows(`SELECT `+groupColumns+`, mine.until FROM memberships mine JOIN user_groups g ON g.id = mine.group_id
		WHERE mine.user_id = $1 AND `+lasts("mine", "$2")+` ORDER BY g.builtin DESC, g.name_key`, userID, ms(tx.Now))
	return list(rows, err, func(r *sql.Rows) (Group, error) {
		var until int64
		g, err := scanGroup(r.Scan, &until)
		g.Until = fromMs(until)
		return g, err
	})
}

// ListGroupsOfAll returns the groups that several users are in now, by user, the
// built-in one first.
func (tx *Tx) ListGroupsOfAll(users []string) (map[string][]Group, error) {
	out := make(map[string][]Group, len(users))
	if len(users) == 0 {
		return out, nil
	}
	n := 16
	for n < len(users) {
		n *= 2 // few texts: a statement is compiled once
	}
	args := make([]any, n)
	for i := range args {
		args[i] = users[min(i, len(users)-1)]
	}
	now := fmt.Sprintf("$%d", n+1)
	rows, err := tx.rows(`SELECT m.user_id, g.id, g.account_id, g.name, g.name_key, g.builtin, m.until FROM memberships m JOIN user_groups g ON g.id = m.group_id
		WHERE m.user_id IN (`+strings.Trim(values(1, n, numbered), "()")+`) AND `+lasts("m", now)+` ORDER BY g.builtin DESC, g.name_key`, append(args, ms(tx.Now))...)
	_, err = list(rows, err, func(r *sql.Rows) (struct{}, error) {
		var user string
		var g Group
		var builtin, until int64
		err := r.Scan(&user, &g.ID, &g.AccountID, &g.Name, &g.NameKey, &builtin, &until)
		g.Builtin, g.Until = builtin != 0, fromMs(until)
		out[user] = append(out[user], g)
		return struct{}{}, err
	})
	return out, err
}

// IsMemberOfAny reports whether a user is in one of these groups now.
func (tx *Tx) IsMemberOfAny(userID string, groups ...string) (bool, error) {
	for _, g := range groups {
		if in, err := tx.IsMember(g, userID); in || err != nil {
			return in, err
		}
	}
	return false, nil
}
