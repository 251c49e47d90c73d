package account

import (
	"context"
	"errors"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// A domain is an account's when the operator has said so, having made sure of
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

func parseDomain(name string) (string, error) {
	domain, err := mailaddr.ParseDomain(clean(name))
	if err != nil {
		args := fault.Args{"domain": name}
		return "", fault.New(fault.Invalid, "people.domain").With("domain", name).In("domain", "people.domain", args).Because(err)
	}
	return domain, nil
}

// AddDomain gives a domain to an account, and reports whether it had it
// already. One that is another account's stays there. Operators only.
func (s *Service) AddDomain(ctx context.Context, actor Actor, number int64, name string) (d store.Domain, already bool, err error) {
	domain, err := parseDomain(name)
	if err != nil {
		return d, false, err
	}
	taken := fault.New(fault.Conflict, "people.domaintaken").With("domain", domain)
	err = s.act(ctx, actor, domainAdd, number, func(tx *store.Tx, a store.Account) error {
		old, err := tx.FindDomain(domain)
		switch {
		case err == nil && old.AccountID != a.ID:
			return taken
		case err == nil:
			d, already = old, true
			return nil
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		d, already = store.Domain{Name: domain, AccountID: a.ID, CreatedAt: tx.Now}, false
		if err := tx.InsertDomain(d); err != nil {
			return err
		}
		return record(tx, actor, domainAdd, a.ID, domain)
	})
	if errors.Is(err, store.ErrTaken) { // given to another account at the same moment
		err = taken.Because(err)
	}
	return d, already, err
}

// RemoveDomain takes a domain from its account: its people send under the
// service's address from now on. Operators only.
func (s *Service) RemoveDomain(ctx context.Context, actor Actor, number int64, name string) error {
	domain, err := parseDomain(name)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, domainRemove, number, func(tx *store.Tx, a store.Account) error {
		had, err := tx.DeleteDomain(a.ID, domain)
		if err != nil {
			return err
		}
		if !had {
			return notFound()
		}
		return record(tx, actor, domainRemove, a.ID, domain)
	})
}

// Verified decides whether a message of an account may say that this user, at
// this address, sent it: the user is of that account and has that address, and
// the address is in a domain that the account has.
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
	return err == nil && d.AccountID == number, err
}

// Verified is the function of that name, in a transaction of its own.
func (s *Service) Verified(ctx context.Context, number int64, userID string, address mailaddr.Address) (ok bool, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		ok, err = Verified(tx, number, userID, address)
		return err
	})
	return ok, err
}
