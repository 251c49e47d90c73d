package store

import (
	"database/sql"
	"fmt"
	"time"
)

// Rights that the members of a group may have. RightAll is that of the built-in
// group, and no grant gives it.
const (
	RightAll          = "all"
	RightUsers        = "users"        // people, invitations, plain groups and their members
	RightMessages     = "messages"     // find, lock, end, recall; never what is in them
	RightAudit        = "audit"        // read the log, and who may do what
	RightReports      = "reports"      // numbers
	RightSettings     = "settings"     // rules, policies, branding, domains
	RightIntegrations = "integrations" // tokens, webhooks
)

// Grant is a right of a group's members.
type Grant struct {
	Right string
	Scope string // id of the group over whose members it is, "" = the whole account
}

// Holding is a grant as somebody has it: through their membership of a group.
type Holding struct {
	Grant
	GroupID string // of the group that gives it
	Until   time.Time
}

// lasts is the condition that a membership m still counts, by the parameter now
// and by the latest time that the service ever acted at: a clock that is
// set back revives nothing.
func lasts(m, now string) string {
	return fmt.Sprintf(`(%[1]s.until = 0 OR %[1]s.until > %[2]s AND %[1]s.until > COALESCE((SELECT c.until FROM throttles c WHERE c.name = '`+clockMark+`'), 0))`, m, now)
}

// ListGrants returns what a group gives its members, by right.
func (tx *Tx) ListGrants(groupID string) ([]Grant, error) {
	rows, err := tx.rows(`SELECT act, scope_group_id FROM grants WHERE group_id = $1 ORDER BY act, scope_group_id`, groupID)
	return list(rows, err, func(r *sql.Rows) (g Grant, err error) { return g, r.Scan(&g.Right, &g.Scope) })
}

// ListGrantsOver returns the grants of any group that are confined to a group's members.
func (tx *Tx) ListGrantsOver(groupID string) ([]Grant, error) {
	rows, err := tx.rows(`SELECT DISTINCT act, scope_group_id FROM grants WHERE scope_group_id <> '' AND scope_group_id = $1 ORDER BY act`, groupID)
	return list(rows, err, func(r *sql.Rows) (g Grant, err error) { return g, r.Scan(&g.Right, &g.Scope) })
}

// ListGroupsWith returns the plain groups of an account whose members have a
// right over the whole of it, by name.
func (tx *Tx) ListGroupsWith(account int64, right string, limit int) ([]Group, error) {
	rows, err := tx.rows(`SELECT `+groupColumns+` FROM user_groups g JOIN grants r ON r.group_id = g.id
		WHERE g.account_id = $1 AND r.act = $2 AND r.scope_group_id = '' ORDER BY g.name_key LIMIT $3`, account, right, limit)
	return list(rows, err, func(r *sql.Rows) (Group, error) { return scanGroup(r.Scan) })
}

// InsertGrant gives a group's members a right that they do not have.
func (tx *Tx) InsertGrant(groupID string, g Grant) error {
	_, err := tx.exec(`INSERT INTO grants (group_id, act, scope_group_id) VALUES ($1, $2, $3)`, groupID, g.Right, g.Scope)
	return err
}

// DeleteGrant takes a right from a group's members.
func (tx *Tx) DeleteGrant(groupID string, g Grant) error {
	return tx.oneRow(`DELETE FROM grants WHERE group_id = $1 AND act = $2 AND scope_group_id = $3`, groupID, g.Right, g.Scope)
}

// ListHoldings returns all rights in an account that a user's memberships give
// now, whatever the user's state.
func (tx *Tx) ListHoldings(userID string, account int64) ([]Holding, error) {
	rows, err := tx.rows(`SELECT COALESCE(r.act, '`+RightAll+`'), COALESCE(r.scope_group_id, ''), g.id, m.until
		FROM memberships m JOIN user_groups g ON g.id = m.group_id LEFT JOIN grants r ON r.group_id = g.id
		WHERE m.user_id = $1 AND g.account_id = $2 AND (g.builtin = 1 OR r.act IS NOT NULL) AND `+lasts("m", "$3")+`
		ORDER BY g.builtin DESC, r.act, g.name_key, r.scope_group_id`, userID, account, ms(tx.Now))
	return list(rows, err, func(r *sql.Rows) (h Holding, err error) {
		var until int64
		err = r.Scan(&h.Right, &h.Scope, &h.GroupID, &until)
		h.Until = fromMs(until)
		return h, err
	})
}

// holders is who has what right where: users u who are active, with a password
// of their own, in a group g of their account that gives r. $1 is the time now.
var holders = `FROM users u JOIN memberships m ON m.user_id = u.id JOIN user_groups g ON g.id = m.group_id AND g.account_id = u.account_id
	LEFT JOIN grants r ON r.group_id = g.id WHERE u.state = 'active' AND u.temporary = 0 AND ` + lasts("m", "$1")

// HasRight reports whether a user, active and with a password of their own, has
// a right over the whole account, or over somebody ("" = nobody in particular):
// a member of the group that a grant is confined to.
func (tx *Tx) HasRight(userID string, account int64, right, over string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) `+holders+` AND u.id = $2 AND u.account_id = $3 AND (g.builtin = 1 OR r.act = $4 AND (r.scope_group_id = ''
			OR EXISTS (SELECT 1 FROM memberships s WHERE s.group_id = r.scope_group_id AND s.user_id = $5 AND `+lasts("s", "$1")+`)))`,
		ms(tx.Now), userID, account, right, over).Scan(&n)
	return n > 0, err
}

// ListHeldAccounts returns the active accounts in which a user has some right.
func (tx *Tx) ListHeldAccounts(userID string) ([]int64, error) {
	rows, err := tx.rows(`SELECT DISTINCT g.account_id `+holders+` AND u.id = $2 AND (g.builtin = 1 OR r.act IS NOT NULL)
		AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = g.account_id AND a.state = 'active') ORDER BY g.account_id`, ms(tx.Now), userID)
	return list(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}
