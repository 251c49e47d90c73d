package account

import (
	"context"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

const (
	maxAliases = 20
	aliasCodes = 10 // that one person asks for in an hour, to whatever addresses
)

// Alias is a further address of a person.
type Alias struct {
	Address string
	Since   time.Time
}

// KnownDevice is a browser that opens envelopes for an address without a code.
type KnownDevice struct {
	Client  string
	Address string // of the person's
	Since   time.Time
	SeenAt  time.Time
}

// Aliases lists the person's further addresses.
func (s *Service) Aliases(ctx context.Context, sess *Session) ([]Alias, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	var out []Alias
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListAliases(sess.UserID)
		out = nil
		for _, r := range rows {
			out = append(out, Alias{r.DisplayAddress, r.ProvedAt})
		}
		return err
	})
	return out, err
}

// SendAliasCode mails a code to an address that the person wants to add. It
// answers the same whether or not the address is anybody's already. Their proof
// is recent, as what is added opens the person's envelopes. Faults: second.again,
// err.email, alias.own, alias.many{n}, code.toomany{n}.
func (s *Service) SendAliasCode(ctx context.Context, sess *Session, address string) error {
	if !sess.SignedIn() {
		return ended()
	}
	a, err := mailaddr.Parse(address)
	if err != nil {
		return fault.New(fault.Invalid, "err.email").In("email", "err.email", nil).Because(err)
	}
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		if _, _, answer, err := provedLately(tx, sess); answer != nil || err != nil {
			return answer, err
		}
		if answer, err = room(tx, sess, a.Canonical()); answer != nil || err != nil {
			return answer, err
		}
		if ok, wait, err := tx.Hit("alias-codes:"+sess.UserID, time.Hour, aliasCodes); err != nil || !ok {
			return fault.Wait("code.toomany", wait), err
		}
		return s.mailCode(tx, sess.Hash, store.CodeAlias, address, sess.Origin)
	})
}

// room is why a person can have no further address, or not this one. It says
// nothing of other people's.
func room(tx *store.Tx, sess *Session, address string) (answer, err error) {
	list, err := tx.ListAliases(sess.UserID)
	if err != nil {
		return nil, err
	}
	own := address == sess.User.Address
	for _, a := range list {
		own = own || a.Address == address
	}
	switch {
	case own:
		return fault.New(fault.Conflict, "alias.own").In("email", "alias.own", nil), nil
	case len(list) >= maxAliases:
		args := fault.Args{"n": maxAliases}
		return fault.New(fault.Conflict, "alias.many").With("n", maxAliases).In("email", "alias.many", args), nil
	}
	return nil, nil
}

// AddAlias adds the address to which SendAliasCode mailed that code for this
// session, and returns it. One that is another person's is refused, without
// saying whose: by then its mailbox is proved. Their other addresses are told.
// Faults: those of a code, second.again and alias.taken.
func (s *Service) AddAlias(ctx context.Context, sess *Session, code string) (address string, err error) {
	if !sess.SignedIn() {
		return "", ended()
	}
	taken := fault.New(fault.Conflict, "alias.taken").In("email", "alias.taken", nil)
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, _, answer, err := provedLately(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		c, answer, err := s.tryCode(tx, sess, store.CodeAlias, code, sess.Origin)
		if answer != nil || err != nil {
			return answer, err
		}
		if err := tx.EndCode(c.ID, store.CodeUsed); errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil), nil
		} else if err != nil {
			return nil, err
		}
		if answer, err = room(tx, sess, c.Address); answer != nil || err != nil {
			return answer, err
		}
		if _, err = tx.FindUserByAddress(c.Address); err == nil {
			return taken, refuseAlias(tx, sess)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if _, err = tx.FindAlias(c.Address); err == nil {
			return taken, refuseAlias(tx, sess)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		a, err := mailaddr.Parse(c.Address)
		if err != nil {
			return nil, err
		}
		address = a.String()
		if err := s.tellAddresses(tx, sess, u, FactorAliasAdded, address); err != nil {
			return nil, err
		}
		if err := tx.InsertAlias(store.Alias{Address: a.Canonical(), DisplayAddress: address, UserID: sess.UserID}); err != nil {
			return nil, err
		}
		return nil, record(tx, person(sess), "alias.add", sess.User.AccountID, sess.User.Address, "alias", address)
	})
	if errors.Is(err, store.ErrTaken) { // by somebody else at the same moment
		err = taken.Because(err)
	}
	return address, err
}

func refuseAlias(tx *store.Tx, sess *Session) error {
	return tx.InsertAudit(store.AuditRow{AccountID: sess.User.AccountID, Actor: person(sess).String(), Action: "alias.add", Target: sess.User.Address,
		Outcome: store.Refused, Detail: map[string]string{"reason": "alias.taken"}, Origin: sess.Origin})
}

// tellAddresses mails a change of a person's addresses to those that they have now.
func (s *Service) tellAddresses(tx *store.Tx, sess *Session, u store.User, what, address string) error {
	to, err := tx.ListAliases(u.ID)
	if err != nil {
		return err
	}
	for _, a := range append(to, store.Alias{DisplayAddress: u.DisplayAddress}) {
		if err := s.mailFactor(tx, u, FactorLetter{What: what, Name: address, Place: sess.Origin}, a.DisplayAddress); err != nil {
			return err
		}
	}
	return nil
}

// RemoveAlias takes a further address from the person, whose proof is recent,
// and tells those that are left; one that is not theirs is no error. Faults:
// second.again.
func (s *Service) RemoveAlias(ctx context.Context, sess *Session, address string) error {
	canonical, _ := typed(address)
	return s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
		err := tx.DeleteAlias(canonical, u.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.tellAddresses(tx, sess, u, FactorAliasRemoved, address); err != nil {
			return err
		}
		return record(tx, person(sess), "alias.remove", sess.User.AccountID, sess.User.Address, "alias", address)
	})
}

// moveAlias takes an address that somebody else had proved from them: whoever
// proves its mailbox now makes it their own.
func moveAlias(tx *store.Tx, actor Actor, address string) error {
	a, err := tx.FindAlias(address)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := tx.DeleteAlias(address, a.UserID); err != nil {
		return err
	}
	return record(tx, actor, "alias.move", 0, address)
}

// proved are the addresses whose mailbox the person has proved, canonical. That
// of a user whom an administrator made is one only in a session that proved it.
func proved(tx *store.Tx, sess *Session) ([]string, error) {
	rows, err := tx.ListAliases(sess.UserID)
	if err != nil {
		return nil, err
	}
	var out []string
	if !sess.User.Managed || sess.Address == sess.User.Address {
		out = append(out, sess.User.Address)
	}
	for _, a := range rows {
		if !sess.User.Managed || sess.Address == a.Address {
			out = append(out, a.Address)
		}
	}
	return out, nil
}

// KnownDevices lists the browsers that are remembered for the person's
// addresses, last used first.
func (s *Service) KnownDevices(ctx context.Context, sess *Session) ([]KnownDevice, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	var out []KnownDevice
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = nil
		addresses, err := proved(tx, sess)
		if err != nil {
			return err
		}
		rows, err := tx.ListRemembered(addresses...)
		for _, r := range rows {
			out = append(out, KnownDevice{r.Client, r.Address, r.CreatedAt, r.SeenAt})
		}
		return err
	})
	return out, err
}

// ForgetDevices makes every browser ask for a code again for the person's
// addresses, from the next release on.
func (s *Service) ForgetDevices(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		addresses, err := proved(tx, sess)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			if _, err := tx.ForgetDevices(a); err != nil {
				return err
			}
		}
		return record(tx, person(sess), "device.forget", sess.User.AccountID, sess.User.Address)
	})
}
