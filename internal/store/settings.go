package store

import (
	"database/sql"
	"time"
)

// SiteSettings returns the site's layer, JSON of policy.Layer.
func (tx *Tx) SiteSettings() (text string, err error) {
	err = tx.row(`SELECT COALESCE((SELECT settings FROM site_settings WHERE id = 1), '')`).Scan(&text)
	return text, err
}

// LockSite is SiteSettings that makes others who change them wait.
func (tx *Tx) LockSite() (string, error) {
	if _, err := tx.exec(`INSERT INTO site_settings (id, settings) VALUES (1, '{}') ON CONFLICT (id) DO UPDATE SET settings = site_settings.settings`); err != nil {
		return "", err
	}
	return tx.SiteSettings()
}

// SetSiteSettings replaces the site's layer, which the transaction holds.
func (tx *Tx) SetSiteSettings(settings string) error {
	if settings == "" {
		settings = "{}"
	}
	return tx.oneRow(`UPDATE site_settings SET settings = $1 WHERE id = 1`, settings)
}

// SetAccountSettings replaces an account's own layer.
func (tx *Tx) SetAccountSettings(number int64, settings string) error {
	return tx.oneRow(`UPDATE accounts SET settings = $1 WHERE id = $2`, settings, number)
}

// SetAccountLimits replaces what operators say for an account.
func (tx *Tx) SetAccountLimits(number int64, settings string) error {
	return tx.oneRow(`UPDATE accounts SET limits = $1 WHERE id = $2`, settings, number)
}

// GroupSettings returns a group's layer.
func (tx *Tx) GroupSettings(groupID string) (text string, err error) {
	err = tx.row(`SELECT settings FROM user_groups WHERE id = $1`, groupID).Scan(&text)
	return text, found(err)
}

// SetGroupSettings replaces a group's layer.
func (tx *Tx) SetGroupSettings(groupID, settings string) error {
	return tx.oneRow(`UPDATE user_groups SET settings = $1 WHERE id = $2`, settings, groupID)
}

// ListGroupLayers returns the layers of the account's groups that a user is in
// now, of those that say something.
func (tx *Tx) ListGroupLayers(account int64, userID string) ([]string, error) {
	if userID == "" {
		return nil, nil
	}
	rows, err := tx.rows(`SELECT g.settings FROM memberships m JOIN user_groups g ON g.id = m.group_id
		WHERE m.user_id = $2 AND g.account_id = $1 AND g.settings <> '' AND `+lasts("m", "$3"), account, userID, ms(tx.Now))
	return list(rows, err, scanText)
}

// ListSettings returns the layers of all accounts, by number, as in Account.
func (tx *Tx) ListSettings() (map[int64]string, error) {
	out := make(map[int64]string)
	rows, err := tx.rows(`SELECT id, ` + layers("accounts") + ` FROM accounts`)
	_, err = list(rows, err, func(r *sql.Rows) (n int64, err error) {
		var text string
		err = r.Scan(&n, &text)
		out[n] = text
		return n, err
	})
	return out, err
}

// PastKind is what was sealed with the same permissions and for as long.
type PastKind struct {
	Policy string // JSON of policy.Permissions
	Days   int    // from sealing to the end, -1 = without one
	N      int
}

// CountPast counts what an account sealed in [from, to), by what it allows and
// how long it lives; of a group, what its members did.
func (tx *Tx) CountPast(account int64, groupID string, from, to time.Time) ([]PastKind, error) {
	rows, err := tx.rows(`SELECT policy, CASE WHEN expires_at = 0 THEN -1 ELSE (expires_at - sealed_at) / 86400000 END AS days, COUNT(*)
		FROM messages WHERE account_id = $1 AND sealed_at >= $2 AND sealed_at < $3
			AND ($4 = '' OR sender_id IN (SELECT x.user_id FROM memberships x WHERE x.group_id = $4)) GROUP BY policy, days`, account, ms(from), ms(to), groupID)
	return list(rows, err, func(r *sql.Rows) (k PastKind, err error) { return k, r.Scan(&k.Policy, &k.Days, &k.N) })
}
