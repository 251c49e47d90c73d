package account

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

func accountName(number int64) string { return strconv.FormatInt(number, 10) }

// OnlyInvited is a filter of Users beside those of store: open invitations alone.
const OnlyInvited = "invited"

// UsersPage is a page of an account's users by address.
type UsersPage struct {
	Users   []UserView
	Pending []Pending // on the first page without a filter, the first of them; with OnlyInvited they are the list
	More    bool      // there are more of them than those
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
	Merge     *Merge      // nil: nobody says that they are the same person as another
	Needs     bool        // a second factor, by whatever rule
}

// Users lists users of the account whose name or address begins with query and
// that pass the filter status: "", store.OnlyActive, OnlyBlocked,
// OnlyMustChange, OnlyAdministrators, OnlyNoSecond, or OnlyInvited.
func (s *Service) Users(ctx context.Context, actor Actor, number int64, query, status, after string, limit int) (UsersPage, error) {
	limit = limited(limit)
	var out UsersPage
	query = clean(query)
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = UsersPage{}
		if status == OnlyInvited || status == "" && after == "" {
			invited, err := r.invitations(tx, "", query, after, limit)
			if err != nil {
				return err
			}
			if out.Pending = invited.Pending; status == OnlyInvited {
				out.Next = invited.Next
				return nil
			}
			out.More = invited.Next != ""
		}
		list := usersList(number, query)
		from, err := list.Key(after)
		if err != nil {
			return err
		}
		rows, last, err := r.users(tx, query, status, from, limit)
		if err != nil {
			return err
		}
		if out.Total, err = tx.CountUsers(a.ID, query, status, r.within()...); err != nil {
			return err
		}
		if last != "" {
			out.Next = list.Cursor(last)
		}
		out.Users, err = r.listed(tx, rows)
		return err
	})
	return out, err
}

// users are those in reach that a search and a filter select: by address, or
// where something is searched, by what was found; those after the key from. last
// is the key of the last of them where more follow, "" at the end.
func (r reach) users(tx *store.Tx, query, status, from string, limit int) (out []store.User, last string, err error) {
	if query == "" {
		out, err = tx.ListUsers(r.number, status, from, limit+1, r.within()...)
		if len(out) > limit {
			out = out[:limit]
			last = out[limit-1].Address
		}
		return out, last, err
	}
	var at store.Match
	if id, key, ok := strings.Cut(from, " "); ok {
		at.ID, at.Key = id, []byte(key)
	}
	found, err := tx.SearchUsers(r.number, query, status, at, limit+1, r.within()...)
	if len(found) > limit {
		found = found[:limit]
		last = found[limit-1].ID + " " + string(found[limit-1].Key)
	}
	for _, m := range found {
		out = append(out, m.User)
	}
	return out, last, err
}

// usersList is the list of an account's users: what a search finds is another, in
// another order.
func usersList(number int64, query string) keyset.List {
	if query != "" {
		return keyset.Of("users", number, "found")
	}
	return keyset.Of("users", number)
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
	exportUsers = 500
)

// ExportUsers begins to export the users that Users lists, on all pages, which is
// recorded. write writes them as a file that an import reads, in the language of
// p; for each page of them the right is asked for again.
func (s *Service) ExportUsers(ctx context.Context, actor Actor, number int64, query, status string, p i18n.Printer) (write func(io.Writer) error, err error) {
	query = clean(query)
	if err := s.actWithin(ctx, actor, userList, number, func(tx *store.Tx, a store.Account, _ reach) error {
		return record(tx, actor, userList, a.ID, accountName(a.ID), "query", query, "status", status)
	}); err != nil {
		return nil, err
	}
	from, ended := "", status == OnlyInvited
	next := func() (out []UserView, err error) {
		if ended {
			return nil, nil
		}
		err = s.lookWithin(ctx, actor, userList, number, func(tx *store.Tx, a store.Account, r reach) error {
			rows, last, err := r.users(tx, query, status, from, exportUsers)
			if err != nil {
				return err
			}
			if out, err = r.listed(tx, rows); err == nil {
				from, ended = last, last == ""
			}
			return err
		})
		return out, err
	}
	users, err := next() // what fails at once is answered as a failure, not as half a file
	if err != nil {
		return nil, err
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return func(to io.Writer) error {
		w := roster.NewWriter(to)
		// An import reads the first in either language; the others are for programs.
		w.Write(append(strings.Split(p.T("im.columns"), ","), "status", "signed_in_at", "created_at")...)
		for ; err == nil && len(users) > 0; users, err = next() {
			for _, u := range users {
				var in []string
				for _, g := range u.Groups {
					in = append(in, GroupName(p, g))
				}
				w.Write(u.DisplayAddress, u.FirstName, u.LastName, strings.Join(in, "; "), u.Language, StateWord(u.User), at(u.LastSignInAt), at(u.CreatedAt))
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if err != nil || status != "" && status != OnlyInvited {
			return errors.Join(err, w.Flush())
		}
		for after := ""; ; {
			p, err := s.Invitations(ctx, actor, number, "", query, after, exportUsers)
			if err != nil {
				return errors.Join(err, w.Flush())
			}
			for _, i := range p.Pending {
				w.Write(i.Address, "", "", "", "", "invited", "", at(i.CreatedAt))
			}
			if err := w.Flush(); err != nil || p.Next == "" {
				return err
			}
			after = p.Next
		}
	}, nil
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
	if v.Rights, err = r.effective(tx, v.ID); err != nil {
		return err
	}
	if v.Merge, _, err = r.mergeOf(tx, v.ID); err != nil {
		return err
	}
	if v.Needs, _, err = secondRule(tx, v.User); err != nil {
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
		// Who looks for an address may not know whose it is: that it is out of reach is no try at them.
		if in, err := r.includes(tx, u); err != nil || !in {
			return cmp.Or(err, store.ErrNotFound)
		}
		out.User = u
		return r.view(tx, &out)
	})
	return out, err
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

// StateWord is a user's state in the word that files and programs have for it.
func StateWord(u store.User) string {
	switch {
	case u.State == store.UserLocked:
		return "blocked"
	case u.Temporary:
		return "mustchange"
	}
	return "active"
}
