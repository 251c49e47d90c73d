package store

import (
	"database/sql"
	"time"
)

// Kinds of upstreams.
const (
	UpstreamNetwork     = "network"
	UpstreamCertificate = "certificate"
	UpstreamPassword    = "password"
)

// Upstream is a mail server or service that hands mail to the gateway.
type Upstream struct {
	ID         string
	AccountID  int64
	Name       string
	Kind       string
	Value      string // network: CIDR; certificate: SHA-256 of its public key, hex
	SecretHash string // SHA-256 of the password, or of the token of a shared network, hex; "" = none
	Forwards   bool   // its mail may name foreign domains in From
	CreatedAt  time.Time
}

const upstreamColumns = `id, account_id, name, kind, value, secret_hash, forwards, created_at`

func scanUpstream(scan func(...any) error) (u Upstream, err error) {
	var forwards, created int64
	err = scan(&u.ID, &u.AccountID, &u.Name, &u.Kind, &u.Value, &u.SecretHash, &forwards, &created)
	u.Forwards, u.CreatedAt = forwards == 1, fromMs(created)
	return u, found(err)
}

// InsertUpstream writes u, at the transaction's time; a name that the account has gives ErrTaken.
func (tx *Tx) InsertUpstream(u Upstream) error {
	_, err := tx.exec(`INSERT INTO upstreams (`+upstreamColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		u.ID, u.AccountID, u.Name, u.Kind, u.Value, u.SecretHash, flag(u.Forwards), ms(tx.Now))
	return err
}

// ListUpstreams returns the upstreams of an account, or of all if number is 0, by name.
func (tx *Tx) ListUpstreams(number int64) ([]Upstream, error) {
	rows, err := tx.rows(`SELECT `+upstreamColumns+` FROM upstreams WHERE $1 = 0 OR account_id = $1 ORDER BY account_id, name`, number)
	return list(rows, err, func(r *sql.Rows) (Upstream, error) { return scanUpstream(r.Scan) })
}

// HasUpstreamPassword reports whether a user name of SMTP AUTH is in use, in any account.
func (tx *Tx) HasUpstreamPassword(name string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM upstreams WHERE name = $1 AND kind = 'password'`, name).Scan(&n)
	return n > 0, err
}

// DeleteUpstream removes an account's upstream, and reports whether it had it.
func (tx *Tx) DeleteUpstream(number int64, name string) (bool, error) {
	n, err := tx.exec(`DELETE FROM upstreams WHERE account_id = $1 AND name = $2`, number, name)
	return n > 0, err
}

// RuleSet is one version of an account's rules, as it was written.
type RuleSet struct {
	AccountID int64
	Version   int64 // from 1
	Body      string
	Author    string // as audited
	CreatedAt time.Time
}

const ruleSetColumns = `account_id, version, body, author, created_at`

func scanRuleSet(scan func(...any) error) (s RuleSet, err error) {
	var created int64
	err = scan(&s.AccountID, &s.Version, &s.Body, &s.Author, &created)
	s.CreatedAt = fromMs(created)
	return s, found(err)
}

// InsertRuleSet writes s, at the transaction's time; a version that is there gives ErrTaken.
func (tx *Tx) InsertRuleSet(s RuleSet) error {
	_, err := tx.exec(`INSERT INTO rule_sets (`+ruleSetColumns+`) VALUES ($1, $2, $3, $4, $5)`, s.AccountID, s.Version, s.Body, s.Author, ms(tx.Now))
	return err
}

// FindRuleSet returns a version of an account's rules; version 0 is the one in force.
func (tx *Tx) FindRuleSet(number, version int64) (RuleSet, error) {
	return scanRuleSet(tx.row(`SELECT `+ruleSetColumns+` FROM rule_sets
		WHERE account_id = $1 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1`, number, version).Scan)
}

// ListRuleSets returns up to limit versions of an account's rules below the
// given one, newest first; 0 begins with the newest.
func (tx *Tx) ListRuleSets(number, below int64, limit int) ([]RuleSet, error) {
	rows, err := tx.rows(`SELECT `+ruleSetColumns+` FROM rule_sets
		WHERE account_id = $1 AND ($2 = 0 OR version < $2) ORDER BY version DESC LIMIT $3`, number, below, limit)
	return list(rows, err, func(r *sql.Rows) (RuleSet, error) { return scanRuleSet(r.Scan) })
}

// ListRulesInForce returns the version of the rules in force of every account
// that has some.
func (tx *Tx) ListRulesInForce() (map[int64]int64, error) {
	type version struct{ account, version int64 }
	rows, err := tx.rows(`SELECT account_id, MAX(version) FROM rule_sets GROUP BY account_id`)
	all, err := list(rows, err, func(r *sql.Rows) (v version, err error) {
		err = r.Scan(&v.account, &v.version)
		return v, err
	})
	out := make(map[int64]int64, len(all))
	for _, v := range all {
		out[v.account] = v.version
	}
	return out, err
}

// ListAllDomains returns the domains of all accounts.
func (tx *Tx) ListAllDomains() ([]Domain, error) {
	rows, err := tx.rows(`SELECT ` + domainColumns + ` FROM domains`)
	return list(rows, err, func(r *sql.Rows) (Domain, error) { return scanDomain(r.Scan) })
}

// ListGroupNames returns the names of the groups of an account that the user of
// an address, which may be a further one of theirs, is in now.
func (tx *Tx) ListGroupNames(number int64, address string) ([]string, error) {
	rows, err := tx.rows(`SELECT g.name FROM memberships m JOIN user_groups g ON g.id = m.group_id
		WHERE m.user_id IN (SELECT u.id FROM users u WHERE u.address = $2 UNION SELECT x.user_id FROM aliases x WHERE x.address = $2) AND g.account_id = $1 AND `+lasts("m", "$3")+` ORDER BY g.name_key`, number, address, ms(tx.Now))
	return list(rows, err, func(r *sql.Rows) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	})
}
