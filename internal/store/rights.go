package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
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

// Covers reports whether h is g or more, without regard to time.
func (h Holding) Covers(g Grant) bool {
	return (h.Right == RightAll || h.Right == g.Right) && (h.Scope == "" || h.Scope == g.Scope)
}

// Gives reports whether who holds h may give g until a time (zero = for good):
// nobody gives more than they hold, nor for longer.
func (h Holding) Gives(g Grant, until time.Time) bool {
	return h.Covers(g) && (h.Until.IsZero() || !until.IsZero() && !until.After(h.Until))
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
// of their own, in a group g of their account a that gives r, while the account
// is active; and its administrators until it is destroyed. $1 is the time now.
var holders = `FROM users u JOIN accounts a ON a.id = u.account_id JOIN memberships m ON m.user_id = u.id JOIN user_groups g ON g.id = m.group_id AND g.account_id = a.id
	LEFT JOIN grants r ON r.group_id = g.id WHERE u.state = 'active' AND u.temporary = 0
	AND (a.state = 'active' OR a.state = 'deleting' AND g.builtin = 1) AND ` + lasts("m", "$1")

// HasRight reports whether a user, active and with a password of their own, may
// act by a right: over the whole account, or over somebody ("" = nobody in
// particular) who is a member of the group that a grant is confined to. Nobody
// may in an account that is not active.
func (tx *Tx) HasRight(userID string, account int64, right, over string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) `+holders+` AND a.state = 'active' AND u.id = $2 AND u.account_id = $3 AND (g.builtin = 1 OR r.act = $4 AND (r.scope_group_id = ''
			OR EXISTS (SELECT 1 FROM memberships s WHERE s.group_id = r.scope_group_id AND s.user_id = $5 AND `+lasts("s", "$1")+`)))`,
		ms(tx.Now), userID, account, right, over).Scan(&n)
	return n > 0, err
}

// ListReach returns over whom a user, active and with a password of their own,
// may look by a right: ids of the groups that their grants are confined to, "" =
// the whole account. In one that is about to be destroyed its administrators look.
func (tx *Tx) ListReach(userID string, account int64, right string) ([]string, error) {
	rows, err := tx.rows(`SELECT DISTINCT COALESCE(r.scope_group_id, '') AS scope `+holders+` AND u.id = $2 AND u.account_id = $3 AND (g.builtin = 1 OR r.act = $4) ORDER BY scope`,
		ms(tx.Now), userID, account, right)
	return list(rows, err, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) })
}

// Administers reports whether a user, active and with a password of their own,
// has all rights over an account that is active, or about to be destroyed.
func (tx *Tx) Administers(userID string, account int64) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) `+holders+` AND u.id = $2 AND u.account_id = $3 AND g.builtin = 1`, ms(tx.Now), userID, account).Scan(&n)
	return n > 0, err
}

// BeyondTypist reports whether somebody may do more than whoever typed their
// password may now.
func (tx *Tx) BeyondTypist(u User) (bool, error) {
	if is, err := tx.IsOperator(u.ID); err != nil || is || u.AccountID == 0 {
		return is, err
	}
	holds, err := tx.ListHoldings(u.ID, u.AccountID)
	if err != nil || len(holds) == 0 {
		return false, err
	}
	by, err := tx.FindUser(u.TypedBy)
	if errors.Is(err, ErrNotFound) || err == nil && (by.AccountID != u.AccountID || by.State != UserActive) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	theirs, err := tx.ListHoldings(by.ID, u.AccountID)
	return slices.ContainsFunc(holds, func(h Holding) bool {
		return !slices.ContainsFunc(theirs, func(x Holding) bool { return x.Gives(h.Grant, h.Until) })
	}), err
}

// SessionActs reports whether a session is still there, and its person's, and
// proved all that acting by a right asks for. Who acts without one ("") does so
// by other proof.
func (tx *Tx) SessionActs(hash, userID string) (bool, error) {
	if hash == "" {
		return true, nil
	}
	row, err := tx.FindSession(hash)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || row.UserID != userID || row.Scope != ScopeFull || !row.ExpiresAt.After(tx.Now) {
		return false, err
	}
	u, err := tx.FindUser(userID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || !row.Unproved(u) {
		return err == nil, err
	}
	more, err := tx.BeyondTypist(u)
	return !more, err
}

// ListHeldAccounts returns the accounts in which a user has some right.
func (tx *Tx) ListHeldAccounts(userID string) ([]int64, error) {
	rows, err := tx.rows(`SELECT DISTINCT a.id `+holders+` AND u.id = $2 AND (g.builtin = 1 OR r.act IS NOT NULL) ORDER BY a.id`, ms(tx.Now), userID)
	return list(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}
