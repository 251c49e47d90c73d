package account

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// A domain is an account's when DNS says so, or the operator, having made sure of
// it. Any administrator can make users at any address; only the senders of an
// account's own domains write under theirs and are shown as verified.

// Domains lists the domains of an account by name.
func (s *Service) Domains(ctx context.Context, actor Actor, number int64) ([]store.Domain, error) {
	var out []store.Domain
	err := s.look(ctx, actor, domainList, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.ListDomains(a.ID)
		return err
	})
	return out, err
}

// Claims lists the domains that an account has yet to prove, by name.
func (s *Service) Claims(ctx context.Context, actor Actor, number int64) ([]store.DomainClaim, error) {
	var out []store.DomainClaim
	err := s.look(ctx, actor, domainList, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.ListClaims(a.ID)
		return err
	})
	return out, err
}

// DomainView is a domain, or a claim of one, with its keys.
type DomainView struct {
	store.Domain
	Claimed bool        // not proved yet
	Found   string      // of a claim: what is there instead of the record
	Keys    []DomainKey // the newest first
	Expects DNSExpected
}

// Domain returns one domain of an account, or its claim.
func (s *Service) Domain(ctx context.Context, actor Actor, number int64, name string) (DomainView, error) {
	domain := canonicalDomain(name)
	var out DomainView
	err := s.look(ctx, actor, domainList, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = s.domainOf(tx, a.ID, domain)
		return err
	})
	return out, err
}

// Revision is UserRevision of a domain: whether it is proved, who may send under it, its keys.
func (v DomainView) Revision() string {
	parts := []any{v.Name, v.Claimed, v.Proof, v.SendersGroup}
	for _, k := range v.Keys {
		parts = append(parts, k.Selector, k.State)
	}
	return revision(parts...)
}

// seenDomain is domainOf for who acts on it, as they last saw it.
func (s *Service) seenDomain(tx *store.Tx, actor Actor, number int64, domain string) (DomainView, error) {
	d, err := s.domainOf(tx, number, domain)
	if err != nil {
		return d, err
	}
	return d, actor.unchanged(d.Revision())
}

// DomainKey is a DKIM key without its private part.
type DomainKey struct {
	Selector  string
	Record    string // what DNS must say at SELECTOR._domainkey.DOMAIN
	State     string
	ChangedAt time.Time
}

func (s *Service) domainOf(tx *store.Tx, number int64, domain string) (out DomainView, err error) {
	out.Domain, err = tx.FindDomain(domain)
	if errors.Is(err, store.ErrNotFound) || err == nil && out.AccountID != number {
		c, err := tx.FindClaim(number, domain)
		if err != nil {
			return out, orNotFound(err)
		}
		out = DomainView{Claimed: true, Found: c.Found, Domain: store.Domain{Name: c.Name, AccountID: number, Proof: c.Proof, CreatedAt: c.CreatedAt, CheckedAt: c.CheckedAt}}
	} else if err != nil {
		return out, err
	} else {
		keys, err := tx.ListDKIMKeys(domain)
		if err != nil {
			return out, err
		}
		for _, k := range keys {
			out.Keys = append(out.Keys, DomainKey{k.Selector, k.Record, k.State, k.ChangedAt})
		}
	}
	out.Expects = s.expected(out)
	return out, nil
}

func parseDomain(name string) (string, error) {
	domain, err := mailaddr.ParseDomain(clean(name))
	if err != nil {
		args := fault.Args{"domain": name}
		return "", fault.New(fault.Invalid, "people.domain").With("domain", name).In("domain", "people.domain", args).Because(err)
	}
	return domain, nil
}

// canonicalDomain is how a domain is kept, "" for what is none: which nobody has,
// so that who may ask at all is decided first.
func canonicalDomain(name string) string {
	d, _ := parseDomain(name)
	return d
}

func domainTaken(domain string) *fault.Error {
	return fault.New(fault.Conflict, "people.domaintaken").With("domain", domain).In("domain", "people.domaintaken", fault.Args{"domain": domain})
}

// AddDomain gives a domain to an account without asking DNS, and reports whether it had it
// already. One that is another account's stays there. Operators only. Faults: people.domain,
// people.domaintaken, dom.full.
func (s *Service) AddDomain(ctx context.Context, actor Actor, number int64, name string) (d store.Domain, already bool, err error) {
	domain, err := parseDomain(name)
	if err != nil {
		return d, false, err
	}
	err = s.act(ctx, actor, domainAdd, number, func(tx *store.Tx, a store.Account) (err error) {
		d, already, err = addDomain(tx, actor, a, domain)
		return err
	})
	if errors.Is(err, store.ErrTaken) { // given to another account at the same moment
		err = domainTaken(domain).Because(err)
	}
	return d, already, err
}

func addDomain(tx *store.Tx, actor Actor, a store.Account, domain string) (d store.Domain, already bool, err error) {
	d, err = tx.FindDomain(domain)
	switch {
	case err == nil && d.AccountID != a.ID:
		return d, false, domainTaken(domain)
	case err == nil:
		return d, true, nil
	case !errors.Is(err, store.ErrNotFound):
		return d, false, err
	}
	if err := roomForDomain(tx, a.ID); err != nil {
		return d, false, err
	}
	d = store.Domain{Name: domain, AccountID: a.ID, CreatedAt: tx.Now}
	if err := tx.InsertDomain(d); err != nil {
		return d, false, err
	}
	if _, err := tx.DeleteClaim(a.ID, domain); err != nil {
		return d, false, err
	}
	return d, false, record(tx, actor, domainAdd, a.ID, domain)
}

// ClaimDomain says that a domain is the account's; it is once DNS has the record
// (DNSExpected.Proof). Whether it is another account's is not told before that
// record is there: who owns the domain learns it, and nobody else.
func (s *Service) ClaimDomain(ctx context.Context, actor Actor, number int64, name string) (DomainView, error) {
	domain, err := parseDomain(name)
	if err != nil {
		return DomainView{}, err
	}
	token := newToken()
	var out DomainView
	err = s.act(ctx, actor, domainClaim, number, func(tx *store.Tx, a store.Account) error {
		out, err = s.domainOf(tx, a.ID, domain)
		if err == nil {
			return fault.New(fault.Conflict, "dom.already").With("domain", domain).In("domain", "dom.already", fault.Args{"domain": domain})
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		claims, err := tx.ListClaims(a.ID)
		if err != nil {
			return err
		}
		if len(claims) >= maxClaims {
			return fault.New(fault.Conflict, "dom.many").With("n", maxClaims)
		}
		if err := roomForDomain(tx, a.ID); err != nil {
			return err
		}
		if err := tx.InsertClaim(store.DomainClaim{Name: domain, AccountID: a.ID, Proof: token}); err != nil {
			return err
		}
		if out, err = s.domainOf(tx, a.ID, domain); err != nil {
			return err
		}
		return record(tx, actor, domainClaim, a.ID, domain)
	})
	return out, err
}

const (
	maxClaims  = 100 // of an account: what it makes the service ask DNS for
	maxDomains = 500 // that an account has: they are listed whole
)

// roomForDomain refuses one more domain to an account that has as many as it may.
func roomForDomain(tx *store.Tx, number int64) error {
	have, err := tx.ListDomains(number)
	if err == nil && len(have) >= maxDomains {
		err = fault.New(fault.Conflict, "dom.full").With("n", maxDomains).In("domain", "dom.full", fault.Args{"n": maxDomains})
	}
	return err
}

// newToken is 100 bits that people can read out.
func newToken() string { return strings.ToLower(rand.Text()[:20]) }

// RemoveDomain takes a domain, or a claim, from its account: its people send under the
// service's address from now on, and its keys are destroyed.
func (s *Service) RemoveDomain(ctx context.Context, actor Actor, number int64, name string) error {
	domain := canonicalDomain(name)
	return s.act(ctx, actor, domainRemove, number, func(tx *store.Tx, a store.Account) error {
		if _, err := s.seenDomain(tx, actor, a.ID, domain); err != nil {
			return err
		}
		if _, err := tx.DeleteDomain(a.ID, domain); err != nil {
			return err
		}
		if _, err := tx.DeleteClaim(a.ID, domain); err != nil {
			return err
		}
		return record(tx, actor, domainRemove, a.ID, domain)
	})
}

// SetDomainSenders says whose mail may go out under a domain: of the members of
// a group, or with "" of everybody of the account who has an address in it.
func (s *Service) SetDomainSenders(ctx context.Context, actor Actor, number int64, name, groupID string) error {
	domain := canonicalDomain(name)
	return s.act(ctx, actor, domainSenders, number, func(tx *store.Tx, a store.Account) error {
		d, err := s.seenDomain(tx, actor, a.ID, domain)
		if err != nil {
			return err
		}
		if d.Claimed {
			return notFound()
		}
		name := ""
		if groupID != "" {
			g, err := tx.FindGroup(a.ID, groupID)
			if err != nil {
				return orNotFound(err)
			}
			name = g.Name
		}
		if err := tx.SetDomainSenders(domain, groupID); err != nil {
			return err
		}
		return record(tx, actor, domainSenders, a.ID, domain, "group", name)
	})
}

// Verified decides whether a message of an account may say that this user, at
// this address, sent it: the user is of that account and has that address, the
// address is in a domain that the account has, and the domain lets them.
func Verified(tx *store.Tx, number int64, userID string, address mailaddr.Address) (bool, error) {
	u, err := tx.FindUser(userID)
	if err == nil && (number == 0 || u.AccountID != number || u.Address != address.Canonical()) {
		return false, nil
	}
	var d store.Domain
	if err == nil {
		d, err = tx.FindDomain(address.Domain())
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || d.AccountID != number || d.SendersGroup == "" {
		return err == nil && d.AccountID == number, err
	}
	return tx.IsMember(d.SendersGroup, userID)
}

// Verified is the function of that name, in a transaction of its own.
func (s *Service) Verified(ctx context.Context, number int64, userID string, address mailaddr.Address) (ok bool, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		ok, err = Verified(tx, number, userID, address)
		return err
	})
	return ok, err
}
