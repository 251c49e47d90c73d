package keyserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pli-mail/pli/internal/store"
)

// eraseBatch is how many rows one transaction destroys: nobody else waits for long.
const (
	eraseBatch    = 500
	eraseMessages = 50 // with all their slots
)

// eraseDue destroys the accounts whose day has come, and goes on with what
// was cut off. Each batch is a transaction of its own that holds the account's
// row: whoever is killed loses none, and of two nodes one does each.
func (s *Service) eraseDue(ctx context.Context) (n int, err error) {
	var due []int64
	if err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) { due, err = tx.ListToErase(sweepBatch); return err }); err != nil {
		return 0, err
	}
	var failed []error
	for _, number := range due {
		if err := s.erase(ctx, number); err != nil {
			failed = append(failed, fmt.Errorf("account %d: %w", number, err))
			continue
		}
		n++
	}
	return n, errors.Join(failed...)
}

func (s *Service) erase(ctx context.Context, number int64) error {
	gone, err := s.beginErasing(ctx, number)
	if err != nil || !gone {
		return err
	}
	for transit := ""; ; {
		var blobs []string
		done, next := false, ""
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			a, err := tx.LockAccount(number)
			if err != nil {
				return err
			}
			if done = a.State != store.AccountDeleted || !a.Deletion.ErasedAt.IsZero(); done {
				return nil // another node was faster
			}
			var more bool
			blobs, more, err = s.eraseSome(tx, number)
			if err != nil || more {
				return err
			}
			if next, err = tx.EraseTransits(number, transit, eraseBatch); err != nil || next != "" {
				return err
			}
			done = true
			if err := tx.EndErasure(number); err != nil {
				return err
			}
			return recordErasing(tx, number, "account.erased", nil)
		})
		if err != nil {
			return err
		}
		transit = next
		s.dropBlobs(ctx, blobs...)
		if done {
			return nil
		}
		if s.erased != nil {
			if err := s.erased(); err != nil {
				return err
			}
		}
	}
}

// beginErasing destroys an account's keys, before anything else: from then on
// nothing that they sealed can be read, whatever becomes of the rest. It
// reports false when the deletion was cancelled, or is over.
func (s *Service) beginErasing(ctx context.Context, number int64) (gone bool, err error) {
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := tx.LockAccount(number)
		if err != nil {
			return err
		}
		d := a.Deletion
		if gone = a.State == store.AccountDeleted && d.ErasedAt.IsZero(); gone {
			return nil
		}
		if gone = a.State == store.AccountDeleting && !d.At.IsZero() && !d.At.After(tx.Now); !gone {
			return nil
		}
		d.Before = ""
		if err := tx.SetDeletion(number, store.AccountDeleted, d); err != nil {
			return err
		}
		users, messages, err := tx.CountOwn(number)
		if err != nil {
			return err
		}
		keys, err := tx.DestroyAccountKeys(number)
		if err != nil {
			return err
		}
		if err := tx.CloseDoors(number); err != nil {
			return err
		}
		return recordErasing(tx, number, "account.erase", map[string]string{
			"users": strconv.Itoa(users), "messages": strconv.Itoa(messages), "keys": strconv.FormatInt(keys, 10)})
	})
	return gone, err
}

func recordErasing(tx *store.Tx, number int64, action string, detail map[string]string) error {
	return tx.InsertAudit(store.AuditRow{AccountID: number, Actor: "system", Action: action, Target: strconv.FormatInt(number, 10), Detail: detail, Origin: "server"})
}

// eraseSome deletes some rows of the first table that has any, and reports whether it did.
func (s *Service) eraseSome(tx *store.Tx, number int64) (blobs []string, more bool, err error) {
	for _, step := range []struct {
		rows  func(int64, int) (int, []string, error)
		limit int
	}{{tx.EraseMessages, eraseMessages}, {tx.EraseDrafts, eraseMessages}, {tx.EraseLarges, eraseMessages}} {
		n, blobs, err := step.rows(number, step.limit)
		if err != nil || n > 0 {
			return blobs, true, err
		}
	}
	users, err := tx.ListMembersOf(number, eraseBatch/5)
	if err != nil {
		return nil, false, err
	}
	for _, u := range users {
		if err := s.eraseUser(tx, u); err != nil {
			return nil, false, err
		}
	}
	if len(users) > 0 {
		return nil, true, nil
	}
	for _, e := range store.Erasures {
		n, blobs, err := tx.Erase(e, number, eraseBatch)
		if err != nil || n > 0 {
			return blobs, true, err
		}
	}
	return nil, false, nil
}

// eraseUser deletes whom the account made. Who enrolled by themselves, or runs the
// service, loses what they had in it and stays a person of no account: what other
// accounts sealed to their address is theirs, and so is the way they open it.
func (s *Service) eraseUser(tx *store.Tx, u store.User) error {
	operates, err := tx.IsOperator(u.ID)
	if err != nil {
		return err
	}
	if !u.Managed || operates {
		return tx.Detach(u.ID)
	}
	aliases, err := tx.ListAliases(u.ID)
	if err != nil {
		return err
	}
	for _, a := range append(aliases, store.Alias{Address: u.Address}) {
		if _, err := tx.ForgetDevices(a.Address); err != nil {
			return err
		}
	}
	return tx.DeleteUser(u.ID)
}
