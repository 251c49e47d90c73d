package store

import (
	"database/sql"
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
	Members   int // filled by ListGroups and FindGroup
}

const groupColumns = `g.id, g.account_id, g.name, g.name_key, g.builtin, g.created_at,
	(SELECT COUNT(*) FROM memberships m WHERE m.group_id = g.id)`

func scanGroup(scan func(...any) error) (g Group, err error) {
	var builtin, created int64
	err = scan(&g.ID, &g.AccountID, &g.Name, &g.NameKey, &builtin, &created, &g.Members)
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
	rows, err := tx.rows(`SELECT `+groupColumns+` FROM user_groups g
		WHERE g.account_id = $1 AND g.builtin = 0 AND g.name_key LIKE $2 ESCAPE '!' AND g.name_key > $3 ORDER BY g.name_key LIMIT $4`,
		account, pattern(query), after, limit)
	return list(rows, err, func(r *sql.Rows) (Group, error) { return scanGroup(r.Scan) })
}

// CountGroups counts what ListGroups lists on all its pages.
func (tx *Tx) CountGroups(account int64, query string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM user_groups g WHERE g.account_id = $1 AND g.builtin = 0 AND g.name_key LIKE $2 ESCAPE '!'`,
		account, pattern(query)).Scan(&n)
	return n, err
}

// RenameGroup gives a group another name; one in use gives ErrTaken.
func (tx *Tx) RenameGroup(groupID, name, key string) error {
	_, err := tx.exec(`UPDATE user_groups SET name = $1, name_key = $2 WHERE id = $3`, name, key, groupID)
	return err
}

// DeleteGroup removes a group with its memberships and invitations; the people remain.
func (tx *Tx) DeleteGroup(groupID string) error {
	_, err := tx.exec(`DELETE FROM user_groups WHERE id = $1`, groupID)
	return err
}

// InsertMembership adds a user to a group and reports whether they were not in it before.
func (tx *Tx) InsertMembership(groupID, userID string) (bool, error) {
	n, err := tx.exec(`INSERT INTO memberships (group_id, user_id, added_at) VALUES ($1, $2, $3)
		ON CONFLICT (group_id, user_id) DO NOTHING`, groupID, userID, ms(tx.Now))
	return n > 0, err
}

// DeleteMembership takes a user out of a group; one who is not in it gives ErrNotFound.
func (tx *Tx) DeleteMembership(groupID, userID string) error {
	n, err := tx.exec(`DELETE FROM memberships WHERE group_id = $1 AND user_id = $2`, groupID, userID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteMemberships takes a user out of every group.
func (tx *Tx) DeleteMemberships(userID string) error {
	_, err := tx.exec(`DELETE FROM memberships WHERE user_id = $1`, userID)
	return err
}

// IsMember reports whether a user is in a group.
func (tx *Tx) IsMember(groupID, userID string) (in bool, err error) {
	var n int
	err = tx.row(`SELECT COUNT(*) FROM memberships WHERE group_id = $1 AND user_id = $2`, groupID, userID).Scan(&n)
	return n > 0, err
}

// ListMembers returns the users in a group by address, those above after.
func (tx *Tx) ListMembers(groupID, after string, limit int) ([]User, error) {
	rows, err := tx.rows(`SELECT `+userColumns+` FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.group_id = $1 AND u.address > $2 ORDER BY u.address LIMIT $3`, groupID, after, limit)
	return list(rows, err, scanUserRow)
}

// ListGroupsOf returns the groups that a user is in, the built-in one first.
func (tx *Tx) ListGroupsOf(userID string) ([]Group, error) {
	rows, err := tx.rows(`SELECT `+groupColumns+` FROM memberships mine JOIN user_groups g ON g.id = mine.group_id
		WHERE mine.user_id = $1 ORDER BY g.builtin DESC, g.name_key`, userID)
	return list(rows, err, func(r *sql.Rows) (Group, error) { return scanGroup(r.Scan) })
}
