package account

import (
	"context"
	"errors"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

func linkGone() *fault.Error { return fault.New(fault.Gone, "link.gone") }

// PasswordLink returns whose password a mailed link sets. One that was used, was
// replaced by another, or has ended gives link.gone.
func (s *Service) PasswordLink(ctx context.Context, token id.Token) (u store.User, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		u, err = linked(tx, token)
		return err
	})
	return u, err
}

func linked(tx *store.Tx, token id.Token) (store.User, error) {
	u, err := tx.FindPasswordLink(token.Hash())
	if errors.Is(err, store.ErrNotFound) {
		return u, linkGone()
	} else if err != nil {
		return u, err
	}
	ok, err := mayEnter(tx, u)
	if err == nil && !ok {
		err = linkGone()
	}
	return u, err
}

// UsePasswordLink sets a new password by a mailed link, once, which proves the
// mailbox; it ends the person's sessions and signs them in, in place of sess. A
// second factor is asked for as ever. Faults: link.gone, those of a new password.
func (s *Service) UsePasswordLink(ctx context.Context, sess *Session, token id.Token, password, confirm string) (*Session, error) {
	if sess == nil {
		return nil, ended()
	}
	u, err := s.PasswordLink(ctx, token)
	if err != nil {
		return nil, err
	}
	was, err := s.passwordOf(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	old := "" // whoever has forgotten a password of their own may choose it again
	if was.Temporary || was.Given {
		old = was.Hash
	}
	phc, err := s.newHash(ctx, u.AccountID, old, password, confirm, u.FirstName, u.LastName, u.Address)
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		u, err := tx.LockUser(u.ID)
		if err == nil {
			_, err = linked(tx, token) // blocked meanwhile
		}
		if errors.Is(err, store.ErrNotFound) || fault.Is(err, fault.Gone) {
			return linkGone(), nil
		} else if err != nil {
			return nil, err
		}
		if err := tx.TakePasswordLink(token.Hash()); errors.Is(err, store.ErrNotFound) {
			return linkGone(), nil // at the same moment
		} else if err != nil {
			return nil, err
		}
		out, err = s.recovered(tx, sess, u, phc, "link")
		return nil, err
	})
	return out, err
}
