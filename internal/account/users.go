package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Total   int       // users on all pages; store.MaxCount+1 where there are more than store.MaxCount
}

// UserView is a user as their administrators see them.
type UserView struct {
	store.User
	Groups []store.Group

	// Of one user, not in lists:
	LastAdmin bool        // the account would be left without an administrator
	May       bool        // who asks may act on them
	Rights    []Effective // what they may do
}

// Users lists users of the account whose name or address begins with query and
// that pass the filter status: "", store.OnlyActive, OnlyBlocked,
// OnlyMustChange, OnlyAdministrators, or OnlyInvited.
func (s *Service) Users(ctx context.Context, actor Actor, number int64, query, status, after string, limit int) (UsersPage, error) {
	limit = limited(limit)
	var out UsersPage
	query = clean(query)
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = UsersPage{}
		if after == "" && (status == "" || status == OnlyInvited) {
			var err error
			if out.Pending, err = r.pending(tx, query, 100); err != nil {
				return err
			}
		}
		if status == OnlyInvited {
			return nil
		}
		rows, next, err := r.users(tx, query, status, after, limit)
		if err != nil {
			return err
		}
		if out.Total, err = tx.CountUsers(a.ID, query, status, r.within()...); err != nil {
			return err
		}
		out.Next = next
		out.Users, err = r.listed(tx, rows)
		return err
	})
	return out, err
}

// users are those in reach that a search and a filter select: by address, or
// where something is searched, by what was found. next is the cursor of the next
// page, "" on the last.
func (r reach) users(tx *store.Tx, query, status, after string, limit int) (out []store.User, next string, err error) {
	from, err := position(after)
	if err != nil {
		return nil, "", err
	}
	if query == "" {
		out, err = tx.ListUsers(r.number, status, from, limit+1, r.within()...)
		out, next = page(out, limit, func(u store.User) string { return u.Address })
		return out, next, err
	}
	var last store.Match
	if id, key, ok := strings.Cut(from, " "); ok {
		last.ID, last.Key = id, []byte(key)
	}
	found, err := tx.SearchUsers(r.number, query, status, last, limit+1, r.within()...)
	found, next = page(found, limit, func(m store.Match) string { return m.ID + " " + string(m.Key) })
	for _, m := range found {
		out = append(out, m.User)
	}
	return out, next, err
}

// listed are users as lists have them.
func (r reach) listed(tx *store.Tx, rows []store.User) (out []UserView, err error) {
	ids := make([]string, len(rows))
	for i, u := range rows {
		ids[i] = u.ID
	}
	groups, err := tx.ListGroupsOfAll(ids)
	for _, u := range rows {
		in := groups[u.ID]
		if !r.all {
			in = slices.DeleteFunc(in, func(g store.Group) bool { return !slices.Contains(r.groups, g.ID) })
		}
		out = append(out, UserView{User: u, Groups: in})
	}
	return out, err
}

// Limits of ExportUsers: users that one transaction reads, and open invitations.
const (
	exportUsers   = 500
	exportPending = 10_000
)

// ExportUsers begins to export the users that Users lists, on all pages, which is
// recorded. next returns the next ones, none at the end; each time the right is
// asked for again.
func (s *Service) ExportUsers(ctx context.Context, actor Actor, number int64, query, status string) (next func(context.Context) ([]UserView, error), pending []Pending, err error) {
	query = clean(query)
	err = s.actWithin(ctx, actor, userList, number, func(tx *store.Tx, a store.Account, r reach) error {
		if pending = nil; status == "" || status == OnlyInvited {
			if pending, err = r.pending(tx, query, exportPending); err != nil {
				return err
			}
		}
		return record(tx, actor, userList, a.ID, accountName(a.ID), "query", query, "status", status)
	})
	if err != nil {
		return nil, nil, err
	}
	after, ended := "", status == OnlyInvited
	return func(ctx context.Context) (out []UserView, err error) {
		if ended {
			return nil, nil
		}
		err = s.lookWithin(ctx, actor, userList, number, func(tx *store.Tx, a store.Account, r reach) error {
			rows, next, err := r.users(tx, query, status, after, exportUsers)
			if err != nil {
				return err
			}
			if out, err = r.listed(tx, rows); err == nil {
				after, ended = next, next == ""
			}
			return err
		})
		return out, err
	}, pending, nil
}

// pending lists the open invitations in reach to addresses that begin with
// query, at most limit to the account or to each group.
func (r reach) pending(tx *store.Tx, query string, limit int) ([]Pending, error) {
	if r.all {
		rows, err := tx.ListInvitations(r.number, query, limit)
		return pendings(tx, rows), err
	}
	var out []Pending
	for _, g := range slices.Compact(slices.Sorted(slices.Values(r.groups))) {
		rows, err := tx.ListGroupInvitations(g, limit)
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(i store.Invitation) bool { return !strings.HasPrefix(i.Address, strings.ToLower(query)) })
		out = append(out, pendings(tx, rows)...)
	}
	return out, nil
}

// groupsOf lists the groups in reach that a user is in.
func (r reach) groupsOf(tx *store.Tx, userID string) ([]store.Group, error) {
	groups, err := tx.ListGroupsOf(userID)
	if !r.all {
		groups = slices.DeleteFunc(groups, func(g store.Group) bool { return !slices.Contains(r.groups, g.ID) })
	}
	return groups, err
}

// User returns one user of the account.
func (s *Service) User(ctx context.Context, actor Actor, number int64, userID string) (UserView, error) {
	var out UserView
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		if out.User, err = r.user(tx, userID); err == nil {
			err = r.view(tx, &out)
		}
		return err
	})
	return out, err
}

// view fills what is told of a user.
func (r reach) view(tx *store.Tx, v *UserView) (err error) {
	if v.Groups, err = r.groupsOf(tx, v.ID); err != nil {
		return err
	}
	if v.Rights, err = effective(tx, r.number, v.ID); err != nil {
		return err
	}
	manages := r.Has(store.RightUsers)
	for _, g := range v.Groups {
		manages = manages || r.Over(store.RightUsers, g.ID)
	}
	// That they hold more, or cannot be removed, is no reason to not show them.
	var no *refusal
	if err := r.below(tx, v.User); err == nil {
		v.May = manages
	} else if !errors.As(err, &no) {
		return err
	}
	if err = notLast(tx, r.number, v.User); fault.HasKey(err, "m.last") {
		v.LastAdmin, err = true, nil
	}
	return err
}

// UserByAddress returns the user of the account with that address.
func (s *Service) UserByAddress(ctx context.Context, actor Actor, number int64, address string) (UserView, error) {
	var out UserView
	canonical, _ := typed(address)
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, _ store.Account, r reach) error {
		u, err := tx.FindUserByAddress(canonical)
		if err != nil {
			return err
		}
		if out.User, err = r.user(tx, u.ID); err != nil {
			return err
		}
		return r.view(tx, &out)
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
	EnforceExpiry bool      // the password is temporary: it ends in 7 days and sets another
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
	err = s.actWithin(ctx, actor, userAdd, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		out = Added{User: prepared.user}
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
		u.Given = p.Given
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
			_, err = s.join(tx, actor, memberAdd, a, out.Group, *u, n.Until)
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
	err := s.actWithin(ctx, actor, userBlock, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
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

// EditUser changes what a user is called, and their language. Only of a user whom
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
		u.FirstName, u.LastName, u.Language = clean(first), clean(last), language(lang)
		var p problems
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
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		if !u.Managed && actor.Kind != KindOperator && u.ID != actor.UserID {
			return &refusal{fault.New(fault.Conflict, "us.signoutown").With("name", u.Name()), a.ID, u.Address}
		}
		keep := ""
		if u.ID == actor.UserID {
			keep = actor.SessionHash
		}
		if n, err = tx.DeleteUserSessions(u.ID, keep); err != nil {
			return err
		}
		return record(tx, actor, userSignOut, a.ID, u.Address)
	})
	return u, n, err
}

// UnblockUser lets a user sign in again.
func (s *Service) UnblockUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userUnblock, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
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
	if err := s.lookWithin(ctx, actor, userReset, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		u, err = r.resettable(tx, userID)
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
	err = s.actWithin(ctx, actor, userReset, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.resettable(tx, userID); err != nil {
			return err
		}
		until := tx.Now.Add(TemporaryLimit)
		if err := tx.SetPassword(u.ID, store.Password{Hash: phc, Temporary: true, TemporaryUntil: until, Given: true}); err != nil {
			return err
		}
		u.Temporary, u.TemporaryUntil, u.Given = true, until, true
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
	return u, nil
}

// DeleteUser takes a user out of the account and ends their sessions. One whom
// an administrator made is deleted. One who enrolled on their own leaves the
// account and its groups, and keeps the login that was theirs before: it is not
// the account's to destroy. The last active administrator stays.
func (s *Service) DeleteUser(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userDelete, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
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
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = nil
		if prefix == "" {
			return nil
		}
		rows, _, err := r.users(tx, prefix, "", "", 10)
		if err != nil {
			return err
		}
		found, err := r.listed(tx, rows)
		for _, u := range found {
			p := Person{ID: u.ID, Name: u.Name(), Address: u.DisplayAddress, State: u.State}
			for _, g := range u.Groups {
				p.Groups = append(p.Groups, g.ID)
			}
			out = append(out, p)
		}
		return err
	})
	return out, err
}
