package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Domain is a mail domain whose senders write under their own address. It is
// one account's and no other's.
type Domain struct {
	Name      string // A-labels, lower case
	AccountID int64
	CreatedAt time.Time

	Proof        string // what the record that proved it holds, "" when the operator said so
	SendersGroup string // whose members may send under it; "" = whoever has an address in it
	CheckedAt    time.Time
	Checks       DomainChecks
}

// DomainChecks is what the last look at a domain's DNS found. DKIM is the worst
// of Keys, which are by selector; nil before a look told them apart.
type DomainChecks struct {
	Proof DNSCheck `json:"proof"`
	SPF   DNSCheck `json:"spf"`
	DKIM  DNSCheck `json:"dkim"`
	DMARC DNSCheck `json:"dmarc"`

	Keys map[string]DNSCheck `json:"keys"`
}

// DNSCheck is one record: CheckOK, CheckWeak, CheckMissing, CheckWrong, CheckNone or "" before the first look.
type DNSCheck struct {
	State string `json:"state,omitempty"`
	Found string `json:"found,omitempty"`
}

// States of a record in DNS.
const (
	CheckOK      = "ok"
	CheckWeak    = "weak"    // there, and could say more
	CheckMissing = "missing" // not there
	CheckWrong   = "wrong"   // something else is there
	CheckNone    = "none"    // nothing is expected
)

// DomainClaim is a domain that an account says is its own.
type DomainClaim struct {
	Name      string
	AccountID int64
	Proof     string // what the record must hold; no secret
	CreatedAt time.Time
	CheckedAt time.Time
	Found     string
}

const domainColumns = `domain, account_id, created_at, token, senders_group, checked_at, checks`

func scanDomain(scan func(...any) error) (d Domain, err error) {
	var created, checked int64
	var checks string
	if err = scan(&d.Name, &d.AccountID, &created, &d.Proof, &d.SendersGroup, &checked, &checks); err != nil {
		return d, found(err)
	}
	d.CreatedAt, d.CheckedAt = fromMs(created), fromMs(checked)
	if err = json.Unmarshal([]byte(checks), &d.Checks); err != nil {
		return d, fmt.Errorf("read checks of %s: %w", d.Name, err)
	}
	return d, nil
}

// InsertDomain writes d, at the transaction's time; a domain that an account has gives ErrTaken.
func (tx *Tx) InsertDomain(d Domain) error {
	_, err := tx.exec(`INSERT INTO domains (domain, account_id, created_at, token) VALUES ($1, $2, $3, $4)`, d.Name, d.AccountID, ms(tx.Now), d.Proof)
	return err
}

// FindDomain returns whose domain that is.
func (tx *Tx) FindDomain(name string) (Domain, error) {
	return scanDomain(tx.row(`SELECT `+domainColumns+` FROM domains WHERE domain = $1`, name).Scan)
}

// ListDomains returns an account's domains by name.
func (tx *Tx) ListDomains(number int64) ([]Domain, error) {
	rows, err := tx.rows(`SELECT `+domainColumns+` FROM domains WHERE account_id = $1 ORDER BY domain`, number)
	return list(rows, err, func(r *sql.Rows) (Domain, error) { return scanDomain(r.Scan) })
}

// ListDomainsToCheck returns those that were not looked at since a time, or
// since another where a key waits for DNS; the longest first.
func (tx *Tx) ListDomainsToCheck(since, waiting time.Time, limit int) ([]Domain, error) {
	rows, err := tx.rows(`SELECT `+domainColumns+` FROM domains WHERE checked_at < $1 OR checked_at < $2
		AND EXISTS (SELECT 1 FROM dkim_keys k WHERE k.domain = domains.domain AND k.state = $3) ORDER BY checked_at LIMIT $4`,
		ms(since), ms(waiting), KeyWaiting, limit)
	return list(rows, err, func(r *sql.Rows) (Domain, error) { return scanDomain(r.Scan) })
}

// DeleteDomain takes a domain from an account, and reports whether it had it.
func (tx *Tx) DeleteDomain(number int64, name string) (bool, error) {
	n, err := tx.exec(`DELETE FROM domains WHERE account_id = $1 AND domain = $2`, number, name)
	return n > 0, err
}

// SetDomainChecks keeps what a look at DNS found, at the transaction's time.
func (tx *Tx) SetDomainChecks(name string, c DomainChecks) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.exec(`UPDATE domains SET checks = $2, checked_at = $3 WHERE domain = $1`, name, string(raw), ms(tx.Now))
	return err
}

// SetDomainSenders says who may send under a domain.
func (tx *Tx) SetDomainSenders(name, groupID string) error {
	_, err := tx.exec(`UPDATE domains SET senders_group = $2 WHERE domain = $1`, name, groupID)
	return err
}

const claimColumns = `domain, account_id, token, created_at, checked_at, found`

func scanClaim(scan func(...any) error) (c DomainClaim, err error) {
	var created, checked int64
	err = scan(&c.Name, &c.AccountID, &c.Proof, &created, &checked, &c.Found)
	c.CreatedAt, c.CheckedAt = fromMs(created), fromMs(checked)
	return c, found(err)
}

// InsertClaim writes c, at the transaction's time; an account's second of a name gives ErrTaken.
func (tx *Tx) InsertClaim(c DomainClaim) error {
	_, err := tx.exec(`INSERT INTO domain_claims (`+claimColumns+`) VALUES ($1, $2, $3, $4, 0, '')`, c.Name, c.AccountID, c.Proof, ms(tx.Now))
	return err
}

// FindClaim returns an account's claim of a name.
func (tx *Tx) FindClaim(number int64, name string) (DomainClaim, error) {
	return scanClaim(tx.row(`SELECT `+claimColumns+` FROM domain_claims WHERE account_id = $1 AND domain = $2`, number, name).Scan)
}

// ListClaims returns an account's claims by name.
func (tx *Tx) ListClaims(number int64) ([]DomainClaim, error) {
	rows, err := tx.rows(`SELECT `+claimColumns+` FROM domain_claims WHERE account_id = $1 ORDER BY domain`, number)
	return list(rows, err, func(r *sql.Rows) (DomainClaim, error) { return scanClaim(r.Scan) })
}

// ListClaimsToCheck returns those that were not looked at since a time, the longest first.
func (tx *Tx) ListClaimsToCheck(since time.Time, limit int) ([]DomainClaim, error) {
	rows, err := tx.rows(`SELECT `+claimColumns+` FROM domain_claims WHERE checked_at < $1 ORDER BY checked_at LIMIT $2`, ms(since), limit)
	return list(rows, err, func(r *sql.Rows) (DomainClaim, error) { return scanClaim(r.Scan) })
}

// SetClaimFound keeps what was there instead of the record, at the transaction's time.
func (tx *Tx) SetClaimFound(number int64, name, what string) error {
	_, err := tx.exec(`UPDATE domain_claims SET found = $3, checked_at = $4 WHERE account_id = $1 AND domain = $2`, number, name, what, ms(tx.Now))
	return err
}

// DeleteClaim removes an account's claim, and reports whether there was one.
func (tx *Tx) DeleteClaim(number int64, name string) (bool, error) {
	n, err := tx.exec(`DELETE FROM domain_claims WHERE account_id = $1 AND domain = $2`, number, name)
	return n > 0, err
}

// DeleteOldClaims removes those made before a time, and counts them.
func (tx *Tx) DeleteOldClaims(before time.Time) (int64, error) {
	return tx.exec(`DELETE FROM domain_claims WHERE created_at < $1`, ms(before))
}

// DKIMKey signs a domain's mail.
type DKIMKey struct {
	Domain, Selector string
	Box              []byte // PKCS #8, sealed
	Record           string // what DNS must say at SELECTOR._domainkey.DOMAIN
	State            string
	CreatedAt        time.Time
	ChangedAt        time.Time
}

// States of a DKIM key.
const (
	KeyWaiting = "waiting" // DNS does not show it yet
	KeyActive  = "active"
	KeyRetired = "retired" // signs no more; mail under way is still checked against its record
)

const dkimColumns = `domain, selector, key_box, record, state, created_at, changed_at`

func scanDKIM(scan func(...any) error) (k DKIMKey, err error) {
	var created, changed int64
	err = scan(&k.Domain, &k.Selector, &k.Box, &k.Record, &k.State, &created, &changed)
	k.CreatedAt, k.ChangedAt = fromMs(created), fromMs(changed)
	return k, found(err)
}

// InsertDKIMKey writes k, at the transaction's time.
func (tx *Tx) InsertDKIMKey(k DKIMKey) error {
	_, err := tx.exec(`INSERT INTO dkim_keys (`+dkimColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $6)`, k.Domain, k.Selector, k.Box, k.Record, k.State, ms(tx.Now))
	return err
}

// ListDKIMKeys returns a domain's keys, the newest first.
func (tx *Tx) ListDKIMKeys(domain string) ([]DKIMKey, error) {
	rows, err := tx.rows(`SELECT `+dkimColumns+` FROM dkim_keys WHERE domain = $1 ORDER BY created_at DESC, selector DESC`, domain)
	return list(rows, err, func(r *sql.Rows) (DKIMKey, error) { return scanDKIM(r.Scan) })
}

// ListActiveDKIMKeys returns the keys that sign now, of all domains.
func (tx *Tx) ListActiveDKIMKeys() ([]DKIMKey, error) {
	rows, err := tx.rows(`SELECT `+dkimColumns+` FROM dkim_keys WHERE state = $1`, KeyActive)
	return list(rows, err, func(r *sql.Rows) (DKIMKey, error) { return scanDKIM(r.Scan) })
}

// SetDKIMState moves a key on, at the transaction's time.
func (tx *Tx) SetDKIMState(domain, selector, state string) error {
	_, err := tx.exec(`UPDATE dkim_keys SET state = $3, changed_at = $4 WHERE domain = $1 AND selector = $2`, domain, selector, state, ms(tx.Now))
	return err
}

// DeleteDKIMKey removes a key.
func (tx *Tx) DeleteDKIMKey(domain, selector string) error {
	_, err := tx.exec(`DELETE FROM dkim_keys WHERE domain = $1 AND selector = $2`, domain, selector)
	return err
}

// DeleteRetiredDKIMKeys removes those that signed nothing since a time, and counts them.
func (tx *Tx) DeleteRetiredDKIMKeys(before time.Time) (int64, error) {
	return tx.exec(`DELETE FROM dkim_keys WHERE state = $1 AND changed_at < $2`, KeyRetired, ms(before))
}
