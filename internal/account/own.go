package account

import (
	"context"
	"errors"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// What people do with all that the service knows of them.
const (
	userExport    action = "user.export"
	userDeleteOwn action = "user.delete_own"
)

// OwnGroups returns the names of the groups that a person is in.
func (s *Service) OwnGroups(ctx context.Context, sess *Session) (names []string, err error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		groups, err := tx.ListGroupsOf(sess.UserID)
		names = nil
		for _, g := range groups {
			names = append(names, g.Name)
		}
		return err
	})
	return names, err
}

// OwnRecords returns the audit records by and about a person, newest first. Of
// what others did it does not say from where.
func (s *Service) OwnRecords(ctx context.Context, sess *Session, after string, limit int) (AuditPage, error) {
	if !sess.SignedIn() {
		return AuditPage{}, ended()
	}
	limit = limited(limit)
	list := keyset.Of("own", sess.UserID)
	before, err := list.Key(after)
	if err != nil {
		return AuditPage{}, err
	}
	var out AuditPage
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		me := person(sess).String()
		rows, err := tx.ListAuditBy(sess.User.AccountID, me, sess.User.Address, before, limit+1)
		out.Records, out.Next = keyset.Page(list, rows, limit, func(r store.AuditRow) string { return r.ID })
		for i := range out.Records {
			if out.Records[i].Actor != me {
				out.Records[i].Origin = ""
			}
		}
		return err
	})
	return out, err
}

// Exported records that a person took out what is known of them.
func (s *Service) Exported(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		return record(tx, person(sess), userExport, sess.User.AccountID, sess.User.Address)
	})
}

// DeleteOwn deletes the person whose session it is: their row with everything
// that hangs on it, and all their sessions. Envelopes that they sent stay, with
// the name and address that stand in them; the audit records do too. They type
// their address, and their proof is recent. The last active administrator of an
// account stays. Faults: sess.p, second.again, data.typed, m.last.
func (s *Service) DeleteOwn(ctx context.Context, sess *Session, address string) error {
	if !sess.SignedIn() {
		return ended()
	}
	if canonical, _ := typed(address); canonical != sess.User.Address {
		return fault.New(fault.Invalid, "data.typed").In("email", "data.typed", nil)
	}
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		// The account's row is held first, as in every act of administration: of the
		// last two administrators at once the second sees what the first did.
		if n := sess.User.AccountID; n != 0 {
			if _, err := tx.LockAccount(n); err != nil {
				return nil, err
			}
		}
		u, _, answer, err := provedLately(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		if u.AccountID != sess.User.AccountID { // joined or left one at this moment
			return fault.New(fault.Conflict, "err.stale"), nil
		}
		return nil, s.deleteOwn(tx, sess, u)
	})
	var last *refusal
	if errors.As(err, &last) {
		return s.refused(ctx, person(sess), userDeleteOwn, err)
	}
	return err
}

// deleteOwn is DeleteOwn's act; the account's row is held.
func (s *Service) deleteOwn(tx *store.Tx, sess *Session, u store.User) error {
	if u.AccountID != 0 {
		if err := notLast(tx, u.AccountID, u); err != nil {
			return err
		}
		if err := tx.RevokeInvitations(u.AccountID, u.Address); err != nil {
			return err
		}
	}
	addresses, err := tx.ListAliases(u.ID)
	if err != nil {
		return err
	}
	for _, a := range append(addresses, store.Alias{Address: u.Address}) {
		if _, err := tx.ForgetDevices(a.Address); err != nil {
			return err
		}
	}
	if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
		return err
	}
	if err := tx.DeleteUser(u.ID); err != nil {
		return err
	}
	return record(tx, person(sess), userDeleteOwn, u.AccountID, u.Address)
}
