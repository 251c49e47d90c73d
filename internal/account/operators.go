package account

import (
	"context"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// AddOperator lets a person run the service from a browser, and reports whether
// they could before. They have a second factor already: whoever had only their
// password would set up one of their own. On the service's host only.
func (s *Service) AddOperator(ctx context.Context, actor Actor, address string) (u store.User, already bool, err error) {
	canonical, _ := typed(address)
	err = s.act(ctx, actor, operatorAdd, 0, func(tx *store.Tx, _ store.Account) error {
		if u, err = tx.FindUserByAddress(canonical); err != nil {
			return err
		}
		has, err := tx.HasSecondFactor(u.ID)
		if err != nil {
			return err
		}
		switch {
		case u.State != store.UserActive:
			return fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress)
		case !has || u.Temporary:
			return fault.New(fault.Conflict, "opr.nosecond").With("email", u.DisplayAddress)
		}
		if already, err = tx.IsOperator(u.ID); err != nil || already {
			return err
		}
		if err := tx.InsertOperator(u.ID, actor.String()); err != nil {
			return err
		}
		return record(tx, actor, operatorAdd, 0, u.Address)
	})
	if errors.Is(err, store.ErrTaken) {
		return u, true, nil
	}
	return u, already, err
}

// RemoveOperator takes that from them, at once. On the service's host only.
func (s *Service) RemoveOperator(ctx context.Context, actor Actor, address string) (u store.User, err error) {
	canonical, _ := typed(address)
	err = s.act(ctx, actor, operatorRemove, 0, func(tx *store.Tx, _ store.Account) error {
		if u, err = tx.FindUserByAddress(canonical); err != nil {
			return err
		}
		if err := tx.DeleteOperator(u.ID); err != nil {
			return err
		}
		return record(tx, actor, operatorRemove, 0, u.Address)
	})
	return u, err
}

// Operators lists who runs the service from a browser, by address.
func (s *Service) Operators(ctx context.Context, actor Actor) (out []store.Operator, err error) {
	err = s.look(ctx, actor, operatorList, 0, func(tx *store.Tx, _ store.Account) (err error) {
		out, err = tx.ListOperators(500)
		return err
	})
	return out, err
}

// MaySeeSystem refuses who may not look at the state of the service.
func (s *Service) MaySeeSystem(ctx context.Context, actor Actor) error {
	return s.look(ctx, actor, systemView, 0, func(*store.Tx, store.Account) error { return nil })
}

// Now is the time on the service's clock.
func (s *Service) Now() time.Time { return s.c.DB.Now() }
