package account

import (
	"context"
	"errors"
	"strconv"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

func accountName(number int64) string { return strconv.FormatInt(number, 10) }

// OnlyInvited is a filter of Users beside those of store: open invitations alone.
const OnlyInvited = "invited"

// UsersPage is a page of an account's users by address.
type UsersPage struct {
	Users   []UserView
	Pending []Pending // on the first page, without a filter or with OnlyInvited: at most 100
	Next    string    // cursor, "" on the last page
	Total   int       // users on all pages
}

// UserView is a user as their administrators see them.
type UserView struct {
	store.User
	Groups    []store.Group
	LastAdmin bool // the account would be left without an administrator; told by User alone
}

// userOf finds a user of the account; one of another account is not found.
func userOf(tx *store.Tx, number int64, userID string) (store.User, error) {
	u, err := tx.FindUser(userID)
	if err == nil && u.AccountID != number {
		err = store.ErrNotFound
	}
	return u, err
}

// Users lists users of the account whose name or address begins with query and
// that pass the filter status: "", store.OnlyActive, OnlyBlocked,
// OnlyMustChange, OnlyAdministrators, or OnlyInvited.
func (s *Service) Users(ctx context.Context, actor Actor, number int64, query, status, after string, limit int) (UsersPage, error) {
	limit = limited(limit)
	var out UsersPage
	query = clean(query)
	err := s.look(ctx, actor, userView, number, func(tx *store.Tx, a store.Account) error {
		out = UsersPage{}
		from, err := position(after)
		if err != nil {
			return err
		}
		if after == "" && (status == "" || status == OnlyInvited) {
			rows, err := tx.ListInvitations(a.ID, query, 100)
			if err != nil {
				return err
			}
			out.Pending = pendings(tx, rows)
		}
		if status == OnlyInvited {
			return nil
		}
		rows, err := tx.ListUsers(a.ID, query, status, from, limit+1)
		if err != nil {
			return err
		}
		if out.Total, err = tx.CountUsers(a.ID, query, status); err != nil {
			return err
		}
		rows, out.Next = page(rows, limit, func(u store.User) string { return u.Address })
		for _, u := range rows {
			groups, err := tx.ListGroupsOf(u.ID)
			if err != nil {
				return err
			}
			out.Users = append(out.Users, UserView{User: u, Groups: groups})
		}
		return nil
	})
	return out, err
}

// User returns one user of the account.
func (s *Service) User(ctx context.Context, actor Actor, number int64, userID string) (UserView, error) {
	var out UserView
	err := s.look(ctx, actor, userView, number, func(tx *store.Tx, a store.Account) (err error) {
		if out.User, err = userOf(tx, a.ID, userID); err != nil {
			return err
		}
		if out.Groups, err = tx.ListGroupsOf(userID); err != nil {
			return err
		}
		err = notLast(tx, a.ID, out.User)
		if out.LastAdmin = fault.HasKey(err, "m.last"); out.LastAdmin {
			return nil // that they cannot be removed is no reason to not show them
		}
		return err
	})
	return out, err
}

// UserByAddress returns the user of the account with that address.
func (s *Service) UserByAddress(ctx context.Context, actor Actor, number int64, address string) (UserView, error) {
	var out UserView
	canonical, _ := typed(address)
	err := s.look(ctx, actor, userView, number, func(tx *store.Tx, a store.Account) (err error) {
		if out.User, err = tx.FindUserByAddress(canonical); err != nil {
			return err
		}
		if out.User.AccountID != a.ID {
			out.User = store.User{}
			return store.ErrNotFound
		}
		out.Groups, err = tx.ListGroupsOf(out.User.ID)
		return err
	})
	return out, err
}

// NewUser is a user to be made by an administrator.
type NewUser struct {
	Address       string
	FirstName     string
	LastName      string
	Password      string
	Confirm       string
	EnforceExpiry bool   // the password is temporary: it ends in 7 days and sets another
	GroupID       string // to add them to, "" = none
	Language      string // "" = the account's
}

// Added is a user who was made, and the group that they were added to, if any.
type Added struct {
	User  store.User
	Group store.Group
}

type preparedUser struct{ user store.User }

// prepareUser checks a form.
func (s *Service) prepareUser(n NewUser) (preparedUser, error) {
	var p problems
	address, err := mailaddr.Parse(n.Address)
	if err != nil {
		p.add("address", "err.email", nil)
	}
	u := newUser(address, Enrolment{FirstName: n.FirstName, LastName: n.LastName, Language: n.Language})
	u.Managed = true
	checkPerson(&p, u.FirstName, u.LastName)
	s.checkPassword(&p, n.Password, n.Confirm, n.EnforceExpiry, u.FirstName, u.LastName, u.Address)
	return preparedUser{u}, p.err()
}

// AddUser makes a user of the account, and adds them to a group, in one
// transaction. With EnforceExpiry the password is temporary; without, it is
// theirs for good and must satisfy the rules for such a one.
//
// An address that is in use, but not in this account, gives people.unavailable:
// it has to be told from one that is free, since it is refused, but not from
// whom it is, and an invitation works for both.
func (s *Service) AddUser(ctx context.Context, actor Actor, number int64, n NewUser) (Added, error) {
	if err := s.look(ctx, actor, userAdd, number, func(*store.Tx, store.Account) error { return nil }); err != nil {
		return Added{}, err // before the hash, which costs
	}
	prepared, err := s.prepareUser(n)
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
	err = s.act(ctx, actor, userAdd, number, func(tx *store.Tx, a store.Account) (err error) {
		out = Added{User: prepared.user}
		u := &out.User
		u.AccountID, u.TimeZone, u.CreatedAt = a.ID, a.TimeZone, tx.Now
		if n.Language == "" {
			u.Language = a.Language
		}
		if n.GroupID != "" {
			if out.Group, err = tx.FindGroup(a.ID, n.GroupID); err != nil {
				return err
			}
		}
		if was, err := tx.FindUserByAddress(u.Address); err == nil && was.AccountID == a.ID {
			args := fault.Args{"email": u.DisplayAddress}
			return fault.New(fault.Conflict, "un.exists").With("email", u.DisplayAddress).In("address", "un.exists", args)
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		p := store.Password{Hash: phc}
		if n.EnforceExpiry {
			p.Temporary, p.TemporaryUntil = true, tx.Now.Add(TemporaryLimit)
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
			_, err = s.join(tx, actor, memberAdd, a, out.Group, *u)
		}
		return err
	})
	if errors.Is(err, store.ErrTaken) {
		return Added{}, unavailable.Because(err)
	}
	return out, err
}

// BlockUser ends a user's sessions and keeps them from signing in. The last
// active administrator cannot be blocked. Only the operator blocks one who
// enrolled on their own: that login is not the account's, which can remove them
// from itself (DeleteUser).
func (s *Service) BlockUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.act(ctx, actor, userBlock, number, func(tx *store.Tx, a store.Account) (err error) {
		if u, err = userOf(tx, a.ID, userID); err != nil {
			return err
		}
		if err := notLast(tx, a.ID, u); err != nil {
			return err
		}
		if !u.Managed && actor.Kind != KindOperator {
			return &refusal{fault.New(fault.Conflict, "people.blockown").With("name", u.Name()), a.ID, u.Address}
		}
		if err := tx.SetUserState(u.ID, store.UserLocked); err != nil {
			return err
		}
		u.State = store.UserLocked
		if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
			return err
		}
		return record(tx, actor, userBlock, a.ID, u.Address)
	})
	return u, err
}

// UnblockUser lets a user sign in again.
func (s *Service) UnblockUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.act(ctx, actor, userUnblock, number, func(tx *store.Tx, a store.Account) (err error) {
		if u, err = userOf(tx, a.ID, userID); err != nil {
			return err
		}
		if err := tx.SetUserState(u.ID, store.UserActive); err != nil {
			return err
		}
		u.State = store.UserActive
		return record(tx, actor, userUnblock, a.ID, u.Address)
	})
	return u, err
}

// ResetPassword gives a user a temporary password, which the administrator
// types, and ends their sessions. Only for a user whom an administrator made:
// others have a password that nobody but they ever set. Nobody resets their own.
func (s *Service) ResetPassword(ctx context.Context, actor Actor, number int64, userID, password, confirm string) (store.User, error) {
	var u store.User
	if err := s.look(ctx, actor, userReset, number, func(tx *store.Tx, a store.Account) (err error) {
		u, err = resettable(tx, actor, a.ID, userID)
		return err
	}); err != nil {
		return store.User{}, err
	}
	var p problems
	s.checkPassword(&p, password, confirm, true, u.FirstName, u.LastName, u.Address)
	if p.err() != nil {
		return u, p.err()
	}
	phc, err := s.hash(ctx, password)
	if err != nil {
		return u, err
	}
	err = s.act(ctx, actor, userReset, number, func(tx *store.Tx, a store.Account) (err error) {
		if u, err = resettable(tx, actor, a.ID, userID); err != nil {
			return err
		}
		until := tx.Now.Add(TemporaryLimit)
		if err := tx.SetPassword(u.ID, store.Password{Hash: phc, Temporary: true, TemporaryUntil: until}); err != nil {
			return err
		}
		u.Temporary, u.TemporaryUntil = true, until
		if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
			return err
		}
		if err := s.tellPasswordChanged(tx, u, actor.Origin); err != nil {
			return err
		}
		return record(tx, actor, userReset, a.ID, u.Address)
	})
	return u, err
}

func resettable(tx *store.Tx, actor Actor, number int64, userID string) (store.User, error) {
	u, err := userOf(tx, number, userID)
	switch {
	case err != nil:
		return u, err
	case !u.Managed:
		return u, &refusal{fault.New(fault.Conflict, "people.unmanaged").With("name", u.Name()), number, u.Address}
	case u.ID == actor.UserID:
		return u, &refusal{fault.New(fault.Conflict, "people.selfreset"), number, u.Address}
	}
	return u, nil
}

// DeleteUser takes a user out of the account and ends their sessions. One whom
// an administrator made is deleted. One who enrolled on their own leaves the
// account and its groups, and keeps the login that was theirs before: it is not
// the account's to destroy. The last active administrator stays.
func (s *Service) DeleteUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.act(ctx, actor, userDelete, number, func(tx *store.Tx, a store.Account) (err error) {
		if u, err = userOf(tx, a.ID, userID); err != nil {
			return err
		}
		if err := notLast(tx, a.ID, u); err != nil {
			return err
		}
		if err := tx.RevokeInvitations(a.ID, u.Address); err != nil {
			return err
		}
		if err := remove(tx, u); err != nil {
			return err
		}
		return record(tx, actor, userDelete, a.ID, u.Address)
	})
	return u, err
}

func remove(tx *store.Tx, u store.User) error {
	if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
		return err
	}
	if u.Managed {
		return tx.DeleteUser(u.ID)
	}
	if err := tx.DeleteMemberships(u.ID); err != nil {
		return err
	}
	if err := tx.EndRequestsOf(u.ID, u.AccountID, store.RequestRefused); err != nil {
		return err // nobody could decide it: they are no user of the account any more
	}
	if err := tx.SetUserState(u.ID, store.UserActive); err != nil {
		return err // nobody would be there to unblock them
	}
	return tx.SetUserAccount(u.ID, 0)
}

// Person is a suggestion while an address is typed.
type Person struct {
	ID      string
	Name    string
	Address string
	State   string
	Groups  []string // ids of the groups that they are in
}

// Suggest returns up to ten users of the account whose name or address begins with prefix.
func (s *Service) Suggest(ctx context.Context, actor Actor, number int64, prefix string) ([]Person, error) {
	var out []Person
	prefix = clean(prefix)
	err := s.look(ctx, actor, userView, number, func(tx *store.Tx, a store.Account) error {
		out = nil
		if prefix == "" {
			return nil
		}
		rows, err := tx.ListUsers(a.ID, prefix, "", "", 10)
		if err != nil {
			return err
		}
		for _, u := range rows {
			groups, err := tx.ListGroupsOf(u.ID)
			if err != nil {
				return err
			}
			p := Person{ID: u.ID, Name: u.Name(), Address: u.DisplayAddress, State: u.State}
			for _, g := range groups {
				p.Groups = append(p.Groups, g.ID)
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}
