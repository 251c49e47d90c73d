package account

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// NewUser is a user to be made by an administrator.
type NewUser struct {
	Address       string
	FirstName     string
	LastName      string
	Password      string
	Confirm       string
	EnforceExpiry bool      // the password is temporary: it ends, and opens only the page that sets another
	Own           bool      // the password is theirs, who type it themselves; else see owesMailbox
	GroupID       string    // to add them to, "" = none
	Until         time.Time // when they stop being a member of it, zero = never
	Language      string    // "" = the account's
}

// Added is a user who was made, and the group that they were added to, if any.
type Added struct {
	User  store.User
	Group store.Group
}

type preparedUser struct{ user store.User }

// prepareUser checks a form.
func (s *Service) prepareUser(ctx context.Context, number int64, n NewUser) (preparedUser, error) {
	least, err := s.PasswordLength(ctx, number)
	if err != nil {
		return preparedUser{}, err
	}
	var p problems
	address, err := mailaddr.Parse(n.Address)
	if err != nil {
		p.add("address", "err.email", nil)
	}
	u := newUser(address, Enrolment{FirstName: n.FirstName, LastName: n.LastName, Language: n.Language})
	u.Managed = true
	checkPerson(&p, u.FirstName, u.LastName)
	s.checkPassword(&p, least, n.Password, n.Confirm, n.EnforceExpiry, u.FirstName, u.LastName, u.Address)
	return preparedUser{u}, p.err()
}

// AddUser makes a user of the account, and adds them to a group, in one
// transaction. With EnforceExpiry the password is temporary; without, it is
// theirs for good and must satisfy the rules for such a one.
//
// An address that is in use, but not in this account, gives people.unavailable:
// it has to be told from one that is free, since it is refused, but not from
// whom it is, and an invitation works for both. The try is recorded.
func (s *Service) AddUser(ctx context.Context, actor Actor, number int64, n NewUser) (Added, error) {
	mayAdd := func(tx *store.Tx, r reach) (store.Group, error) {
		if err := past(tx, n.Until); err != nil {
			return store.Group{}, err
		}
		return r.newcomers(tx, n.GroupID, n.Until)
	}
	if err := s.lookWithin(ctx, actor, userAdd, number, func(tx *store.Tx, _ store.Account, r reach) error {
		_, err := mayAdd(tx, r)
		return err
	}); err != nil {
		return Added{}, err // before the hash, which costs
	}
	prepared, err := s.prepareUser(ctx, number, n)
	if err != nil {
		return Added{}, err
	}
	phc, err := s.hash(ctx, n.Password)
	if err != nil {
		return Added{}, err
	}
	unavailable := fault.New(fault.Conflict, "people.unavailable").With("email", n.Address).
		In("address", "people.unavailable", fault.Args{"email": n.Address})
	var out Added
	err = s.actWithin(ctx, actor, userAdd, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		out = Added{User: prepared.user}
		if err := admit(tx, actor, a, prepared.user.Address); err != nil {
			return err
		}
		_, domain, _ := strings.Cut(prepared.user.Address, "@")
		if theirs, err := ofAnother(tx, actor, a.ID, domain); err != nil || theirs {
			return cmp.Or(err, error(&refusal{unavailable, a.ID, prepared.user.Address}))
		}
		u := &out.User
		u.AccountID, u.TimeZone, u.CreatedAt = a.ID, a.TimeZone, tx.Now
		if n.Language == "" {
			u.Language = a.Language
		}
		if out.Group, err = mayAdd(tx, r); err != nil {
			return err
		}
		was, err := tx.FindUserByAddress(u.Address)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		in, err := r.includes(tx, was)
		if err != nil {
			return err
		}
		if in {
			args := fault.Args{"email": u.DisplayAddress}
			return fault.New(fault.Conflict, "un.exists").With("email", u.DisplayAddress).In("address", "un.exists", args)
		}
		p := store.Password{Hash: phc, Given: !n.Own}
		if p.Given {
			p.TypedBy = typist(actor)
		}
		u.Given, u.TypedBy = p.Given, p.TypedBy
		if n.EnforceExpiry {
			p.Temporary = true
			if p.TemporaryUntil, err = temporaryUntil(tx, a); err != nil {
				return err
			}
			u.Temporary, u.TemporaryUntil = true, p.TemporaryUntil
		}
		if err := tx.InsertUser(*u, p); err != nil {
			return err
		}
		if err := tx.RevokeInvitations(a.ID, u.Address); err != nil {
			return err
		}
		if err := record(tx, actor, userAdd, a.ID, u.Address); err != nil {
			return err
		}
		if n.GroupID != "" {
			_, err = s.join(tx, actor, actor.Name, memberAdd, a, out.Group, *u, n.Until)
		}
		return err
	})
	if errors.Is(err, store.ErrTaken) {
		return Added{}, s.refused(ctx, actor, userAdd, &refusal{unavailable.Because(err), number, prepared.user.Address})
	}
	return out, err
}

// ofAnother reports whether a domain is one that another account has
// proved to be its own: nobody makes a user of it whose mailbox did not agree.
func ofAnother(tx *store.Tx, actor Actor, number int64, domain string) (bool, error) {
	if actor.Kind == KindOperator {
		return false, nil
	}
	d, err := tx.FindDomain(domain)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && d.AccountID != number, err
}

// BlockUser ends a user's sessions and API tokens and keeps them from signing in. The last
// active administrator cannot be blocked, nor who acts. Only the operator blocks one who
// enrolled on their own: that login is not the account's, which can remove them
// from itself (DeleteUser).
func (s *Service) BlockUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userBlock, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		u, _, err = r.block(tx, a, userID)
		return err
	})
	return u, err
}

// block reports whether they were not blocked before.
func (r reach) block(tx *store.Tx, a store.Account, userID string) (u store.User, changed bool, err error) {
	if u, err = r.subject(tx, userID); err != nil {
		return u, false, err
	}
	if u.ID == r.actor.UserID {
		return u, false, &refusal{fault.New(fault.Conflict, "bulk.self"), a.ID, u.Address}
	}
	if err := notLast(tx, a.ID, u); err != nil {
		return u, false, err
	}
	if err := r.owns(u, "people.blockown"); err != nil || u.State == store.UserLocked {
		return u, false, err
	}
	if err := tx.SetUserState(u.ID, store.UserLocked); err != nil {
		return u, false, err
	}
	u.State = store.UserLocked
	if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
		return u, false, err
	}
	if _, err := endTokens(tx, r.actor, u); err != nil {
		return u, false, err
	}
	return u, true, record(tx, r.actor, userBlock, a.ID, u.Address)
}

// owns refuses, by a text, what only operators do with a login that its person
// made themself.
func (r reach) owns(u store.User, key string) error {
	if u.Managed || r.actor.Kind == KindOperator {
		return nil
	}
	return &refusal{fault.New(fault.Conflict, key).With("name", u.Name()), r.number, u.Address}
}

// EditUser changes what a user is called, and their language unless it is "". Only of a user whom
// an administrator made: others say themselves what they are called.
func (s *Service) EditUser(ctx context.Context, actor Actor, number int64, userID, first, last, lang string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userEdit, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		if !u.Managed {
			return &refusal{fault.New(fault.Conflict, "us.editown").With("name", u.Name()), a.ID, u.Address}
		}
		was := u
		u.FirstName, u.LastName, u.Language = clean(first), clean(last), lang
		var p problems
		if lang == "" {
			u.Language = was.Language
		}
		checkPlace(&p, lang, "")
		checkPerson(&p, u.FirstName, u.LastName)
		if p.err() != nil || u == was {
			return p.err()
		}
		if err := tx.SetPreferences(u); err != nil {
			return err
		}
		return record(tx, actor, userEdit, a.ID, u.Address)
	})
	return u, err
}

// EndSessions signs a user out everywhere, but for the session that asks for it.
// Faults: us.signoutown, for who is not the account's to sign out.
func (s *Service) EndSessions(ctx context.Context, actor Actor, number int64, userID string) (u store.User, n int64, err error) {
	err = s.actWithin(ctx, actor, userSignOut, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		u, n, err = r.signOut(tx, a, userID)
		return err
	})
	return u, n, err
}

func (r reach) signOut(tx *store.Tx, a store.Account, userID string) (u store.User, n int64, err error) {
	if u, err = r.subject(tx, userID); err != nil {
		return u, 0, err
	}
	if !u.Managed && r.actor.Kind != KindOperator && u.ID != r.actor.UserID {
		return u, 0, &refusal{fault.New(fault.Conflict, "us.signoutown").With("name", u.Name()), a.ID, u.Address}
	}
	keep := ""
	if u.ID == r.actor.UserID {
		keep = r.actor.SessionHash
	}
	if n, err = tx.DeleteUserSessions(u.ID, keep); err != nil {
		return u, n, err
	}
	return u, n, record(tx, r.actor, userSignOut, a.ID, u.Address)
}

// UnblockUser lets a user sign in again. Whom only an operator can have blocked,
// only one unblocks.
func (s *Service) UnblockUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userUnblock, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		u, _, err = r.unblock(tx, a, userID)
		return err
	})
	return u, err
}

// unblock reports whether they were blocked before.
func (r reach) unblock(tx *store.Tx, a store.Account, userID string) (u store.User, changed bool, err error) {
	if u, err = r.subject(tx, userID); err != nil || u.State == store.UserActive {
		return u, false, err
	}
	if err := r.owns(u, "people.unblockown"); err != nil {
		return u, false, err
	}
	holds, err := tx.ListHoldings(u.ID, a.ID)
	if err == nil && len(holds) > 0 { // as for mayFill: they have them again
		err = recentlyProved(tx, r.actor)
	}
	if err != nil {
		return u, false, err
	}
	if err := tx.SetUserState(u.ID, store.UserActive); err != nil {
		return u, false, err
	}
	u.State = store.UserActive
	return u, true, record(tx, r.actor, userUnblock, a.ID, u.Address)
}

// ResetPassword gives a user a temporary password, which the administrator
// types, and ends their sessions and API tokens. Only for a user whom an administrator made:
// others have a password that nobody but they ever set. Nobody resets their own.
// Faults: people.unmanaged, people.selfreset, rt.above, second.again, for who has rights.
func (s *Service) ResetPassword(ctx context.Context, actor Actor, number int64, userID, password, confirm string) (store.User, error) {
	var u store.User
	if err := s.lookWithin(ctx, actor, userReset, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		u, err = r.resettable(tx, userID)
		return err
	}); err != nil {
		return store.User{}, err
	}
	var p problems
	s.checkPassword(&p, MinTemporaryPassword, password, confirm, true, u.FirstName, u.LastName, u.Address)
	if p.err() != nil {
		return u, p.err()
	}
	phc, err := s.hash(ctx, password)
	if err != nil {
		return u, err
	}
	err = s.actWithin(ctx, actor, userReset, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.resettable(tx, userID); err != nil {
			return err
		}
		until, err := temporaryUntil(tx, a)
		if err != nil {
			return err
		}
		if err := tx.SetPassword(u.ID, store.Password{Hash: phc, Temporary: true, TemporaryUntil: until, Given: true, TypedBy: typist(actor)}); err != nil {
			return err
		}
		u.Temporary, u.TemporaryUntil, u.Given, u.TypedBy = true, until, true, typist(actor)
		if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
			return err
		}
		if err := s.tellPasswordChanged(tx, u, actor.Origin); err != nil {
			return err
		}
		if _, err := endTokens(tx, actor, u); err != nil {
			return err
		}
		return record(tx, actor, userReset, a.ID, u.Address)
	})
	return u, err
}

func (r reach) resettable(tx *store.Tx, userID string) (store.User, error) {
	u, err := r.subject(tx, userID)
	switch {
	case err != nil:
		return u, err
	case !u.Managed:
		return u, &refusal{fault.New(fault.Conflict, "people.unmanaged").With("name", u.Name()), r.number, u.Address}
	case u.ID == r.actor.UserID:
		return u, &refusal{fault.New(fault.Conflict, "people.selfreset"), r.number, u.Address}
	}
	holds, err := tx.ListHoldings(u.ID, r.number)
	if err != nil || len(holds) == 0 {
		return u, err
	}
	return u, recentlyProved(tx, r.actor) // as for mayFill: who knows the password may sign in with their rights
}

// DeleteUser takes a user out of the account and ends their sessions. One whom
// an administrator made is deleted. One who enrolled on their own leaves the
// account and its groups, without anything that they had in it, and keeps the
// login that was theirs before: it is not the account's to destroy; nor, where an
// operator has blocked it, to open. The last active administrator stays.
func (s *Service) DeleteUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userDelete, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		if err := notLast(tx, a.ID, u); err != nil {
			return err
		}
		if u.State == store.UserLocked {
			if err := r.owns(u, "people.unblockown"); err != nil {
				return err
			}
		}
		if err := tx.RevokeInvitations(a.ID, u.Address); err != nil {
			return err
		}
		if err := remove(tx, actor, u); err != nil {
			return err
		}
		return record(tx, actor, userDelete, a.ID, u.Address)
	})
	return u, err
}

func remove(tx *store.Tx, actor Actor, u store.User) error {
	if u.Managed {
		if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
			return err
		}
		return tx.DeleteUser(u.ID)
	}
	if _, err := endTokens(tx, actor, u); err != nil {
		return err
	}
	return tx.Detach(u.ID)
}
