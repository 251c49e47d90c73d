package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// States of a user.
const (
	UserActive = "active"
	UserLocked = "locked"
)

// User is a person who can sign in. It holds no password: see Password.
type User struct {
	ID             string
	AccountID      int64 // 0: a recipient who enrolled and belongs to no account
	Managed        bool  // created by an administrator, who may reset the password
	Address        string
	DisplayAddress string
	FirstName      string
	LastName       string
	Language       string
	TimeZone       string // IANA name
	Theme          string // auto, light, dark
	NotifyOpened   bool
	Temporary      bool // the password opens only the page that sets another
	TemporaryUntil time.Time
	Given          bool      // an administrator typed the password
	TypedBy        string    // who typed the password, or the one that it goes back to without a proof of the mailbox since: id of a user, "" = nobody else
	ChosenAt       time.Time // when the password was set
	Second         bool      // has a second factor
	SecondRequired bool      // whatever their account says
	SecondByGroup  bool      // required by who manages some groups only
	SecondDue      time.Time // until when they may sign in without one; zero = not asked for yet
	State          string
	WelcomedAt     time.Time // when they left the new-account page
	LastSignInAt   time.Time
	CreatedAt      time.Time
}

// Name is what to call the person: their name, or their address without one.
func (u User) Name() string {
	if s := strings.TrimSpace(u.FirstName + " " + u.LastName); s != "" {
		return s
	}
	return u.DisplayAddress
}

// Password is how a user signs in with one.
type Password struct {
	Hash           string // PHC string, "" = none
	Temporary      bool
	TemporaryUntil time.Time
	Given          bool   // typed by an administrator
	TypedBy        string // see User
}

const userColumns = `u.id, u.account_id, u.managed, u.address, u.display_address, u.first_name, u.last_name, u.language,
	u.time_zone, u.theme, u.notify_opened, u.temporary, u.temporary_until, u.state, u.welcomed_at, u.last_sign_in_at, u.created_at, u.given,
	u.typed_by, u.password_at, u.second, u.second_required, u.second_due`

func scanUser(scan func(...any) error, more ...any) (u User, err error) {
	var account sql.NullInt64
	var managed, notify, temporary, until, welcomed, last, created, given, set, second, required, due int64
	into := []any{&u.ID, &account, &managed, &u.Address, &u.DisplayAddress, &u.FirstName, &u.LastName, &u.Language,
		&u.TimeZone, &u.Theme, &notify, &temporary, &until, &u.State, &welcomed, &last, &created, &given, &u.TypedBy, &set, &second, &required, &due}
	err = scan(append(into, more...)...)
	u.AccountID, u.Managed, u.NotifyOpened, u.Temporary, u.Given = account.Int64, managed != 0, notify != 0, temporary != 0, given != 0
	u.Second, u.SecondRequired, u.SecondByGroup = second != 0, required != 0, required == requiredByGroup
	u.ChosenAt, u.SecondDue = fromMs(set), fromMs(due)
	u.TemporaryUntil, u.WelcomedAt, u.LastSignInAt, u.CreatedAt = fromMs(until), fromMs(welcomed), fromMs(last), fromMs(created)
	return u, found(err)
}

func scanUserRow(r *sql.Rows) (User, error) { return scanUser(r.Scan) }

// InsertUser writes u with its password, at the transaction's time. An address
// in use anywhere on this service gives ErrTaken.
func (tx *Tx) InsertUser(u User, p Password) error {
	name, last := namesOf(u)
	_, err := tx.exec(`INSERT INTO users (id, account_id, managed, address, display_address, first_name, last_name, language,
			time_zone, theme, notify_opened, password_hash, temporary, temporary_until, state, welcomed_at, last_sign_in_at, created_at, given, typed_by, password_at,
			name_key, last_name_key, named)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $18, $21, $22, 1)`,
		u.ID, number(u.AccountID), flag(u.Managed), u.Address, u.DisplayAddress, u.FirstName, u.LastName, u.Language,
		u.TimeZone, u.Theme, flag(u.NotifyOpened), p.Hash, flag(p.Temporary), ms(p.TemporaryUntil), u.State,
		ms(u.WelcomedAt), ms(u.LastSignInAt), ms(tx.Now), flag(p.Given), p.TypedBy, name, last)
	if err == nil && u.AccountID != 0 {
		err = tx.AddUsage(u.AccountID, Usage{Users: 1}, true)
	}
	return err
}

// FindUser returns the user with that id.
func (tx *Tx) FindUser(id string) (User, error) {
	return scanUser(tx.row(`SELECT `+userColumns+` FROM users u WHERE u.id = $1`, id).Scan)
}

// LockUser is FindUser that holds the row until the transaction ends.
func (tx *Tx) LockUser(id string) (User, error) {
	return scanUser(tx.row(`SELECT `+userColumns+` FROM users u WHERE u.id = $1`+tx.dialect.forUpdate, id).Scan)
}

// FindUserByAddress returns the user with that canonical address, of whatever account.
func (tx *Tx) FindUserByAddress(address string) (User, error) {
	return scanUser(tx.row(`SELECT `+userColumns+` FROM users u WHERE u.address = $1`, address).Scan)
}

// FindPassword returns a user's password.
func (tx *Tx) FindPassword(userID string) (p Password, err error) {
	var temporary, until, given int64
	err = tx.row(`SELECT password_hash, temporary, temporary_until, given, typed_by FROM users WHERE id = $1`, userID).Scan(&p.Hash, &temporary, &until, &given, &p.TypedBy)
	p.Temporary, p.TemporaryUntil, p.Given = temporary != 0, fromMs(until), given != 0
	return p, found(err)
}

// SetPassword replaces a user's password, at the transaction's time. A link that
// would set another ends.
func (tx *Tx) SetPassword(userID string, p Password) error {
	if _, err := tx.exec(`DELETE FROM password_links WHERE user_id = $1`, userID); err != nil {
		return err
	}
	return tx.oneRow(`UPDATE users SET password_hash = $1, temporary = $2, temporary_until = $3, given = $4, typed_by = $5, password_at = $6 WHERE id = $7`,
		p.Hash, flag(p.Temporary), ms(p.TemporaryUntil), flag(p.Given), p.TypedBy, ms(tx.Now), userID)
}

// SetPasswordHash keeps a user's password under another hash.
func (tx *Tx) SetPasswordHash(userID, hash string) error {
	return tx.oneRow(`UPDATE users SET password_hash = $1 WHERE id = $2`, hash, userID)
}

// PutPasswordLink writes the hash of a link by which a user sets a new password
// until a time, in the place of an earlier one.
func (tx *Tx) PutPasswordLink(userID, hash string, until time.Time) error {
	_, err := tx.exec(`INSERT INTO password_links (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET token_hash = $2, created_at = $3, expires_at = $4`, userID, hash, ms(tx.Now), ms(until))
	return err
}

// FindPasswordLink returns whose password a link sets; one that has ended gives ErrNotFound.
func (tx *Tx) FindPasswordLink(hash string) (u User, err error) {
	return scanUser(tx.row(`SELECT `+userColumns+` FROM password_links l JOIN users u ON u.id = l.user_id WHERE l.token_hash = $1 AND l.expires_at > $2`, hash, ms(tx.Now)).Scan)
}

// TakePasswordLink ends a link, once; one that has ended gives ErrNotFound.
func (tx *Tx) TakePasswordLink(hash string) error {
	return tx.oneRow(`DELETE FROM password_links WHERE token_hash = $1 AND expires_at > $2`, hash, ms(tx.Now))
}

const requiredByGroup = 2 // in second_required, where 1 is by who manages everybody

// SetSecondRequired says whether a user needs a second factor, whatever their
// account says, and whether who says so manages some groups only.
func (tx *Tx) SetSecondRequired(userID string, required, byGroup bool) error {
	n := flag(required)
	if required && byGroup {
		n = requiredByGroup
	}
	return tx.oneRow(`UPDATE users SET second_required = $1 WHERE id = $2`, n, userID)
}

// SetSecondDue says until when a user may sign in without a second factor; zero: they are not asked for one.
func (tx *Tx) SetSecondDue(userID string, due time.Time) error {
	return tx.oneRow(`UPDATE users SET second_due = $1 WHERE id = $2`, ms(due), userID)
}

// noteSecond keeps whether a user has a second factor, for lists, after a change of their factors.
func (tx *Tx) noteSecond(userID string) error {
	_, err := tx.exec(`UPDATE users SET second = CASE WHEN EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = users.id)
		OR EXISTS (SELECT 1 FROM authenticators a WHERE a.user_id = users.id AND a.confirmed_at > 0) THEN 1 ELSE 0 END WHERE id = $1`, userID)
	return err
}

// SetUserState makes a user active or locked.
func (tx *Tx) SetUserState(userID, state string) error {
	return tx.oneRow(`UPDATE users SET state = $1 WHERE id = $2`, state, userID)
}

// SetUserAccount puts a user into an account, or into none with 0. What the one
// that they leave asked of them ends.
func (tx *Tx) SetUserAccount(userID string, account int64) error {
	u, err := tx.FindUser(userID)
	if err != nil || u.AccountID == account {
		return err
	}
	if u.AccountID != 0 {
		if err := tx.AddUsage(u.AccountID, Usage{Users: -1}, true); err != nil {
			return err
		}
	}
	if account != 0 {
		if err := tx.AddUsage(account, Usage{Users: 1}, true); err != nil {
			return err
		}
	}
	return tx.oneRow(`UPDATE users SET account_id = $1, second_required = 0 WHERE id = $2`, number(account), userID)
}

// SetPreferences writes what a person chooses for themselves, and nothing else of u.
func (tx *Tx) SetPreferences(u User) error {
	name, last := namesOf(u)
	return tx.oneRow(`UPDATE users SET first_name = $1, last_name = $2, language = $3, time_zone = $4, theme = $5, notify_opened = $6,
		name_key = $7, last_name_key = $8 WHERE id = $9`, u.FirstName, u.LastName, u.Language, u.TimeZone, u.Theme, flag(u.NotifyOpened), name, last, u.ID)
}

// SetWelcomed notes, once, that a person left the new-account page.
func (tx *Tx) SetWelcomed(userID string) error {
	_, err := tx.exec(`UPDATE users SET welcomed_at = $1 WHERE id = $2 AND welcomed_at = 0`, ms(tx.Now), userID)
	return err
}

// SetSignedIn notes that a person signed in now, and whether that was the first time.
func (tx *Tx) SetSignedIn(userID string) error {
	return tx.oneRow(`UPDATE users SET last_sign_in_at = $1, first_sign_in_at = CASE WHEN first_sign_in_at = 0 THEN $1 ELSE first_sign_in_at END
		WHERE id = $2`, ms(tx.Now), userID)
}

// DeleteUser removes a user with their memberships, requests and sessions.
func (tx *Tx) DeleteUser(userID string) error {
	u, err := tx.FindUser(userID)
	if err == nil && u.AccountID != 0 {
		err = tx.AddUsage(u.AccountID, Usage{Users: -1}, true)
	}
	if err != nil {
		return err
	}
	return tx.oneRow(`DELETE FROM users WHERE id = $1`, userID)
}

// oneRow is exec that must change a row.
func (tx *Tx) oneRow(query string, args ...any) error {
	n, err := tx.exec(query, args...)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// HasOpenedFrom reports whether whoever reads the canonical address's mail has
// opened some envelope of an account.
func (tx *Tx) HasOpenedFrom(account int64, address string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM slots s JOIN messages m ON m.id = s.message_id
		WHERE s.address = $1 AND s.first_opened_at > 0 AND m.account_id = $2 LIMIT 1) AS one`, address, account).Scan(&n)
	return n > 0, err
}

// HasWritten reports whether something of the user's is there to read: a draft,
// or a message that was sent, also by a mail server, under their address.
func (tx *Tx) HasWritten(userID string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM (SELECT id FROM messages WHERE sender_id = $1
		UNION ALL SELECT id FROM drafts WHERE user_id = $1 LIMIT 1) AS one`, userID).Scan(&n)
	return n > 0, err
}

// Filters of ListUsers.
const (
	OnlyActive         = "active"
	OnlyBlocked        = "blocked"
	OnlyMustChange     = "pwchange"
	OnlyAdministrators = "administrators"
	OnlyNoSecond       = "nosecond" // active, without a second factor
)

// plain and unindexed name a column in a condition: one that an index may serve, and one that none may, as another
// condition leaves fewer rows. Neither engine can be told so, nor sees it by itself.
func plain(column string) string     { return column }
func unindexed(column string) string { return "COALESCE(" + column + ", " + column + ")" }

// usersWhere is the condition of ListUsers, and its arguments; the first is the account.
func (tx *Tx) usersWhere(account int64, only string, within []string, column func(string) string) (string, []any) {
	args := []any{account}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	where := "u.account_id = $1"
	switch only {
	case OnlyActive:
		where += " AND " + column("u.state") + " = 'active' AND u.temporary = 0"
	case OnlyBlocked:
		where += " AND " + column("u.state") + " = 'locked'"
	case OnlyMustChange:
		where += " AND " + column("u.state") + " = 'active' AND u.temporary = 1"
	case OnlyNoSecond:
		where += " AND " + column("u.second") + " = 0 AND " + column("u.state") + " = 'active'"
	case OnlyAdministrators:
		where += " AND " + column("u.id") + ` IN (SELECT m.user_id FROM user_groups g JOIN memberships m ON m.group_id = g.id
			WHERE g.account_id = $1 AND g.builtin = 1 AND ` + lasts("m", arg(ms(tx.Now))) + `)`
	}
	if len(within) > 0 {
		where += " AND " + column("u.id") + ` IN (SELECT w.user_id FROM memberships w WHERE ` + lasts("w", arg(ms(tx.Now))) + ` AND w.group_id IN (` + arg(within[0])
		for _, g := range within[1:] {
			where += ", " + arg(g)
		}
		where += "))"
	}
	return where, args
}

// ListUsers returns users of an account by address, those above after, that pass
// the filter only ("" = all): of all of them, or of the members of the groups within.
func (tx *Tx) ListUsers(account int64, only, after string, limit int, within ...string) ([]User, error) {
	where, args := tx.usersWhere(account, only, nil, plain)
	n := len(args)
	if len(within) == 0 {
		rows, err := tx.rows(`SELECT `+userColumns+` FROM users u WHERE `+where+
			fmt.Sprintf(` AND u.address > $%d ORDER BY u.address LIMIT $%d`, n+1, n+2), append(args, after, limit)...)
		return list(rows, err, scanUserRow)
	}
	var all []User
	for _, g := range within { // of each group by its own index: an account may have a million others
		rows, err := tx.rows(`SELECT `+userColumns+` FROM memberships w CROSS JOIN users u WHERE u.id = w.user_id AND `+where+
			fmt.Sprintf(` AND w.group_id = $%d AND %s AND w.address > $%d ORDER BY w.address LIMIT $%d`, n+1, lasts("w", fmt.Sprintf("$%d", n+2)), n+3, n+4),
			append(slices.Clone(args), g, ms(tx.Now), after, limit)...)
		users, err := list(rows, err, scanUserRow)
		if err != nil {
			return nil, err
		}
		all = append(all, users...)
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Address, b.Address) })
	all = slices.CompactFunc(all, func(a, b User) bool { return a.ID == b.ID })
	return all[:min(limit, len(all))], nil
}

// In this order, which SQLite obeys, as administrators are few.
const administrators = `SELECT ` + userColumns + ` FROM user_groups g CROSS JOIN memberships m CROSS JOIN users u
	WHERE g.account_id = $1 AND g.builtin = 1 AND m.group_id = g.id AND u.id = m.user_id AND u.account_id = $1 AND u.state = 'active'`

// ListAdministrators returns an account's active administrators by address.
func (tx *Tx) ListAdministrators(account int64, limit int) ([]User, error) {
	rows, err := tx.rows(administrators+` AND `+lasts("m", "$2")+` ORDER BY m.address LIMIT $3`, account, ms(tx.Now), limit)
	return list(rows, err, scanUserRow)
}

// ListLastingAdministrators returns those of them whose membership has no end.
func (tx *Tx) ListLastingAdministrators(account int64, limit int) ([]User, error) {
	rows, err := tx.rows(administrators+` AND m.until = 0 ORDER BY m.address LIMIT $2`, account, limit)
	return list(rows, err, scanUserRow)
}
