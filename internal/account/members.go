package account

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// maxTogether is how many addresses one form may hold.
const maxTogether = 200

// Pending is an invitation that was neither accepted nor declined.
type Pending struct {
	ID        string
	Address   string
	GroupID   string // "" = the account only
	InvitedBy string
	Expired   bool // sending it again renews it
	CreatedAt time.Time
	ExpiresAt time.Time
}

// MembersPage is a page of a group's members by address.
type MembersPage struct {
	Group   store.Group
	Members []store.User
	Pending []Pending // on the first page: at most 100
	Next    string    // cursor, "" on the last page
}

// Members lists the people of a group, and those invited to it.
func (s *Service) Members(ctx context.Context, actor Actor, number int64, groupID, after string, limit int) (MembersPage, error) {
	limit = limited(limit)
	var out MembersPage
	err := s.look(ctx, actor, groupView, number, func(tx *store.Tx, a store.Account) (err error) {
		out = MembersPage{}
		if out.Group, err = tx.FindGroup(a.ID, groupID); err != nil {
			return err
		}
		from, err := position(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListMembers(groupID, from, limit+1)
		if err != nil {
			return err
		}
		out.Members, out.Next = page(rows, limit, func(u store.User) string { return u.Address })
		if after != "" {
			return nil
		}
		invited, err := tx.ListGroupInvitations(groupID, 100)
		out.Pending = pendings(tx, invited)
		return err
	})
	return out, err
}

func pendings(tx *store.Tx, rows []store.Invitation) []Pending {
	var out []Pending
	for _, i := range rows {
		out = append(out, pending(tx, i))
	}
	return out
}

func pending(tx *store.Tx, i store.Invitation) Pending {
	return Pending{ID: i.ID, Address: i.DisplayAddress, GroupID: i.GroupID, InvitedBy: i.InvitedBy,
		Expired: !i.ExpiresAt.After(tx.Now), CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
}

// AddResult says what became of each address that was to be added.
type AddResult struct {
	Group   store.Group
	Added   []store.User
	Already []store.User      // members before
	Locked  []store.User      // blocked, and not added
	Invited []Pending         // they have an invitation to this group
	Missing []string          // nobody that this account knows
	Bad     []string          // no addresses
	Meant   map[string]string // of Missing: the user whose address is much like it
}

// AddMembers adds the people whose addresses are in raw, as pasted: each who is
// a user of this account, and each who belongs to no account and has opened an
// envelope of this one, who thereby joins it and is told by mail. Anybody else
// is nonexistent, whatever other accounts know.
//
// Those who can be added are, also when the result comes with a fault about the
// others: seed.nonexistent, err.email or people.blocked, in the field "user".
func (s *Service) AddMembers(ctx context.Context, actor Actor, number int64, groupID, raw string) (AddResult, error) {
	addresses, bad := mailaddr.ParseList(raw)
	if len(addresses)+len(bad) == 0 {
		bad = []string{""}
	}
	if len(addresses) > maxTogether {
		return AddResult{}, fault.New(fault.Invalid, "people.toomany").With("n", maxTogether).In("user", "people.toomany", fault.Args{"n": maxTogether})
	}
	var out AddResult
	err := s.act(ctx, actor, memberAdd, number, func(tx *store.Tx, a store.Account) (err error) {
		out = AddResult{Bad: bad, Meant: map[string]string{}}
		if out.Group, err = tx.FindGroup(a.ID, groupID); err != nil {
			return err
		}
		for _, address := range addresses {
			if err := s.addMember(tx, actor, a, &out, address); err != nil {
				return err
			}
		}
		return meant(tx, a.ID, &out)
	})
	if err != nil {
		return AddResult{}, err
	}
	switch {
	case len(out.Missing) > 0:
		return out, fault.New(fault.Invalid, "seed.nonexistent").With("email", out.Missing[0]).In("user", "seed.nonexistent", nil)
	case len(out.Bad) > 0:
		return out, fault.New(fault.Invalid, "err.email").In("user", "err.email", nil)
	case len(out.Locked) > 0:
		args := fault.Args{"email": out.Locked[0].DisplayAddress}
		return out, fault.New(fault.Invalid, "people.blocked").With("email", args["email"]).In("user", "people.blocked", args)
	}
	return out, nil
}

func (s *Service) addMember(tx *store.Tx, actor Actor, a store.Account, out *AddResult, address mailaddr.Address) error {
	u, err := known(tx, a.ID, address)
	if errors.Is(err, store.ErrNotFound) {
		i, err := tx.FindPendingInvitation(a.ID, out.Group.ID, address.Canonical())
		switch {
		case err == nil:
			out.Invited = append(out.Invited, pending(tx, i))
		case errors.Is(err, store.ErrNotFound):
			out.Missing = append(out.Missing, address.String())
		default:
			return err
		}
		return nil
	} else if err != nil {
		return err
	}
	if u.State != store.UserActive {
		out.Locked = append(out.Locked, u)
		return nil
	}
	if u.AccountID == 0 {
		if err := tx.SetUserAccount(u.ID, a.ID); err != nil {
			return err
		}
		u.AccountID = a.ID
		if err := record(tx, actor, "user.join", a.ID, u.Address); err != nil {
			return err
		}
		if !out.Group.Builtin { // join tells an administrator
			to, err := mailbox(u)
			if err != nil {
				return err
			}
			if err := s.c.Post.Joined(tx, JoinedLetter{
				AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Group: out.Group.Name, Admin: actor.Name,
			}); err != nil {
				return err
			}
		}
	}
	added, err := s.join(tx, actor, memberAdd, a, out.Group, u)
	if added {
		out.Added = append(out.Added, u)
	} else {
		out.Already = append(out.Already, u)
	}
	return err
}

// known finds a user whom the account may know of, by address. A user of
// another account, or a stranger's, is not found.
func known(tx *store.Tx, number int64, address mailaddr.Address) (store.User, error) {
	u, err := tx.FindUserByAddress(address.Canonical())
	if err != nil || u.AccountID == number {
		return u, err
	}
	if u.AccountID == 0 {
		// To be addressed is not enough: whoever can register an envelope could
		// then take in, and find out, anybody who enrolled.
		ours, err := tx.HasOpenedFrom(number, u.Address)
		if err != nil || ours {
			return u, err
		}
	}
	return store.User{}, store.ErrNotFound
}

// join puts a user of the account into a group of it, records that, and tells
// a new administrator. It reports whether they were not in it before.
func (s *Service) join(tx *store.Tx, actor Actor, act action, a store.Account, g store.Group, u store.User) (bool, error) {
	added, err := tx.InsertMembership(g.ID, u.ID)
	if err != nil || !added {
		return false, err
	}
	if i, err := tx.FindPendingInvitation(a.ID, g.ID, u.Address); err == nil && act != inviteAccept {
		if err := tx.EndInvitation(i.ID, store.InvitationRevoked); err != nil {
			return false, err
		}
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err := record(tx, actor, act, a.ID, u.Address, "group", g.Name); err != nil {
		return false, err
	}
	if !g.Builtin {
		return true, nil
	}
	if err := tx.EndRequestsOf(u.ID, a.ID, store.RequestGranted); err != nil {
		return false, err
	}
	to, err := mailbox(u)
	if err != nil {
		return false, err
	}
	return true, s.c.Post.AdminAdded(tx, AdminAddedLetter{AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Admin: actor.Name})
}

// RemoveMember takes a user out of a group, and returns both. The last active
// administrator stays.
func (s *Service) RemoveMember(ctx context.Context, actor Actor, number int64, groupID, userID string) (store.User, store.Group, error) {
	var u store.User
	var g store.Group
	err := s.act(ctx, actor, memberRemove, number, func(tx *store.Tx, a store.Account) (err error) {
		if g, err = tx.FindGroup(a.ID, groupID); err != nil {
			return err
		}
		if u, err = userOf(tx, a.ID, userID); err != nil {
			return err
		}
		if g.Builtin {
			if err := notLast(tx, a.ID, u); err != nil {
				return err
			}
		}
		if err := tx.DeleteMembership(g.ID, u.ID); err != nil {
			return err
		}
		return record(tx, actor, memberRemove, a.ID, u.Address, "group", g.Name)
	})
	return u, g, err
}

// notLast refuses to let u stop being an administrator when nobody would be
// left. One who never chose a password does not count as left, for they may
// never come. The account's row is held: two at once see each other.
func notLast(tx *store.Tx, number int64, u store.User) error {
	admins, err := tx.ListAdministrators(number, 1000)
	if err != nil {
		return err
	}
	among, left := false, false
	for _, a := range admins {
		among = among || a.ID == u.ID
		left = left || a.ID != u.ID && (!a.Temporary || u.Temporary)
	}
	if among && !left {
		return &refusal{fault.New(fault.Conflict, "m.last").With("name", u.Name()), number, u.Address}
	}
	return nil
}

// meant finds, for addresses of nobody, users of the account that are much like
// them: the same before the @, or two slips of the keyboard away.
func meant(tx *store.Tx, number int64, out *AddResult) error {
	if len(out.Missing) == 0 || len(out.Missing) > 20 {
		return nil
	}
	users, err := tx.ListUsers(number, "", "", "", 5000)
	if err != nil {
		return err
	}
	for _, m := range out.Missing {
		address, err := mailaddr.Parse(m)
		if err != nil {
			continue
		}
		typed, best := address.Canonical(), 3
		for _, u := range users {
			d := distance(typed, u.Address, best)
			local, _, _ := strings.Cut(u.Address, "@")
			if mine, _, _ := strings.Cut(typed, "@"); mine == local {
				d = min(d, 2)
			}
			if d < best {
				best, out.Meant[m] = d, u.DisplayAddress
			}
		}
	}
	return nil
}

// distance is the number of insertions, deletions and changes of a byte that
// make b of a; limit when it is limit or more.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal, least := row[0], i
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
			least = min(least, cost)
		}
		if least >= limit {
			return limit
		}
	}
	return min(row[len(b)], limit)
}
