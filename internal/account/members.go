package account

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
)

// maxTogether is how many addresses one form may hold, with its file.
const maxTogether = 200

// AddressesIn reads whom a file names, as AddMembers takes them.
// Faults, in the field "file": those of CheckImport about a file, people.toomany.
func AddressesIn(file io.Reader) ([]string, error) {
	list, err := roster.Addresses(file, maxTogether+1)
	if err != nil {
		return nil, asFileFault(err)
	}
	if len(list) > maxTogether {
		return nil, fault.New(fault.Invalid, "people.toomany").With("n", maxTogether).In("file", "people.toomany", fault.Args{"n": maxTogether})
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "im.empty").In("file", "im.empty", nil)
	}
	return list, nil
}

// Pending is an invitation that was neither accepted nor declined.
type Pending struct {
	ID        string
	Address   string
	GroupID   string // "" = the account only
	InvitedBy string
	Expired   bool // sending it again renews it
	CreatedAt time.Time
	ExpiresAt time.Time
	Until     time.Time // end of the membership that it gives, zero = none
}

// MembersPage is a page of a group's members by address.
type MembersPage struct {
	Group   store.Group
	Members []store.Member
	Pending []Pending // on the first page, without a search: the first of them
	More    bool      // there are more of them than those
	Next    string    // cursor, "" on the last page
	May     bool      // who asks may change who is in it
}

// Members lists the people of a group whose name or address begins with query,
// and those invited to it.
func (s *Service) Members(ctx context.Context, actor Actor, number int64, groupID, query, after string, limit int) (MembersPage, error) {
	limit = limited(limit)
	var out MembersPage
	query = clean(query)
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		out = MembersPage{}
		if out.Group, err = r.countedGroup(tx, groupID); err != nil {
			return err
		}
		if r.Over(store.RightUsers, groupID) {
			if out.May, err = r.may(tx, out.Group, r.until()); err != nil {
				return err
			}
		}
		list := keyset.Of("members", groupID)
		from, err := list.Key(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListMembers(groupID, query, from, limit+1)
		if err != nil {
			return err
		}
		out.Members, out.Next = keyset.Page(list, rows, limit, func(m store.Member) string { return m.Address })
		if !r.all { // who is no member any more is not there
			out.Members = slices.DeleteFunc(out.Members, func(m store.Member) bool { return m.Ended })
		}
		if after != "" || query != "" {
			return nil
		}
		invited, err := r.invitations(tx, groupID, "", "", limit)
		out.Pending, out.More = invited.Pending, invited.Next != ""
		return err
	})
	return out, err
}

// Member returns somebody in a group, also one whose membership has ended.
func (s *Service) Member(ctx context.Context, actor Actor, number int64, groupID, userID string) (store.Member, error) {
	var m store.Member
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, _ store.Account, r reach) error {
		g, err := r.group(tx, groupID)
		if err != nil {
			return err
		}
		if m, err = tx.FindMember(g.ID, userID); err != nil {
			return err
		}
		if in, err := r.includes(tx, m.User); err != nil || !in {
			m = store.Member{}
			return errors.Join(err, store.ErrNotFound)
		}
		return nil
	})
	return m, err
}

func pending(tx *store.Tx, i store.Invitation) Pending {
	return Pending{ID: i.ID, Address: i.DisplayAddress, GroupID: i.GroupID, InvitedBy: i.InvitedBy,
		Expired: !i.ExpiresAt.After(tx.Now), CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt, Until: i.MemberUntil}
}

// AddResult says what became of each address that was to be added.
type AddResult struct {
	Group   store.Group
	Added   []store.User
	Already []store.User      // members before; until the end that was given, if one was
	Locked  []store.User      // blocked, and not added
	Invited []Pending         // they have an invitation to this group
	Missing []string          // nobody that this account knows
	Bad     []string          // no addresses
	Meant   map[string]string // of Missing: the user whose address is much like it
}

// AddMembers adds the people whose addresses are in raw, as pasted: each who is
// a user of this account, and each who belongs to no account and has opened an
// envelope of this one, who thereby joins it and is told by mail. Anybody else
// is nonexistent, whatever other accounts know; so are, for who has a right over
// some groups only, the account's other people. They are members until a time
// (zero = for good, but whose membership has an end keeps it). Nobody is put into a group whose members have more than the
// actor, and nobody who has more is put into any.
//
// Those who can be added are, also when the result comes with a fault about the
// others: seed.nonexistent, err.email or people.blocked, in the field "user". What
// rights or the account's settings refuse of one is refused of all.
func (s *Service) AddMembers(ctx context.Context, actor Actor, number int64, groupID, raw string, until time.Time) (AddResult, error) {
	addresses, bad := mailaddr.ParseList(raw)
	if len(addresses)+len(bad) == 0 {
		bad = []string{""}
	}
	if len(addresses) > maxTogether {
		return AddResult{}, fault.New(fault.Invalid, "people.toomany").With("n", maxTogether).In("user", "people.toomany", fault.Args{"n": maxTogether})
	}
	var out AddResult
	err := s.actWithin(ctx, actor, memberAdd, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		out = AddResult{Bad: bad, Meant: map[string]string{}}
		if out.Group, err = r.group(tx, groupID); err != nil {
			return err
		}
		if err := past(tx, until); err != nil {
			return err
		}
		if err := r.mayFill(tx, out.Group, until); err != nil {
			return err
		}
		for _, address := range addresses {
			if err := s.addMember(tx, r, a, &out, address, until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return AddResult{}, err
	}
	switch {
	case len(out.Missing) > 0:
		// Who may have been meant is looked for when the others are in: it reads thousands.
		if err := s.lookWithin(ctx, actor, memberAdd, number, func(tx *store.Tx, _ store.Account, r reach) error { return r.meant(tx, &out) }); err != nil {
			s.c.Log.WarnContext(ctx, "no suggestion for an unknown address", "err", err)
		}
		return out, fault.New(fault.Invalid, "seed.nonexistent").With("email", out.Missing[0]).In("user", "seed.nonexistent", nil)
	case len(out.Bad) > 0:
		return out, fault.New(fault.Invalid, "err.email").In("user", "err.email", nil)
	case len(out.Locked) > 0:
		args := fault.Args{"email": out.Locked[0].DisplayAddress}
		return out, fault.New(fault.Invalid, "people.blocked").With("email", args["email"]).In("user", "people.blocked", args)
	}
	return out, nil
}

func (s *Service) addMember(tx *store.Tx, r reach, a store.Account, out *AddResult, address mailaddr.Address, until time.Time) error {
	u, err := r.known(tx, address)
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
	if err := r.below(tx, u); err != nil {
		return err
	}
	if u.AccountID != 0 {
		if err := r.mayPull(tx, out.Group, u); err != nil {
			return err
		}
	} else {
		if err := admit(tx, r.actor, a, u.Address); err != nil {
			return err
		}
		if err := tx.SetUserAccount(u.ID, a.ID); err != nil {
			return err
		}
		u.AccountID = a.ID
		if err := record(tx, r.actor, "user.join", a.ID, u.Address); err != nil {
			return err
		}
		if !out.Group.Builtin { // join tells an administrator
			to, err := mailbox(u)
			if err != nil {
				return err
			}
			if err := s.c.Post.Joined(tx, JoinedLetter{
				AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Group: out.Group.Name, Admin: r.actor.Name,
			}); err != nil {
				return err
			}
		}
	}
	added, err := s.join(tx, r.actor, r.actor.Name, memberAdd, a, out.Group, u, until)
	switch {
	case err != nil:
		return err
	case added:
		out.Added = append(out.Added, u)
		return nil
	}
	out.Already = append(out.Already, u)
	if until.IsZero() {
		return nil
	}
	m, err := tx.FindMember(out.Group.ID, u.ID)
	if err != nil || m.Until.Equal(until) {
		return err
	}
	return r.setEnd(tx, a, out.Group, u, until)
}

// known finds a user whom the actor may know of, by address. A user of another
// account, or a stranger's, or out of reach, is not found.
func (r reach) known(tx *store.Tx, address mailaddr.Address) (store.User, error) {
	u, err := tx.FindUserByAddress(address.Canonical())
	if err != nil {
		return u, err
	}
	if in, err := r.includes(tx, u); in || err != nil {
		return u, err
	}
	if u.AccountID == 0 {
		// To be addressed is not enough: whoever can register an envelope could
		// then take in, and find out, anybody who enrolled.
		ours, err := tx.HasOpenedFrom(r.number, u.Address)
		if err != nil || ours {
			return u, err
		}
	}
	return store.User{}, store.ErrNotFound
}

// join is putInto, and tells a new administrator by whom (a name).
func (s *Service) join(tx *store.Tx, actor Actor, by string, act action, a store.Account, g store.Group, u store.User, until time.Time) (bool, error) {
	added, err := s.putInto(tx, actor, act, a, g, u, until)
	if err != nil || !added || !g.Builtin {
		return added, err
	}
	return true, s.tellAdministrator(tx, a, u, by, "")
}

// putInto puts a user of the account into a group of it until a time (zero = for
// good) and records that. It reports whether they were not in it before. Whether
// the actor may is asked before.
func (s *Service) putInto(tx *store.Tx, actor Actor, act action, a store.Account, g store.Group, u store.User, until time.Time) (bool, error) {
	added, err := tx.InsertMembership(g.ID, u.ID, until)
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
	details := []string{"group", g.Name}
	if !until.IsZero() {
		details = append(details, "until", LastDay(ZoneOf(a.TimeZone), until))
	}
	if err := record(tx, actor, act, a.ID, u.Address, details...); err != nil {
		return false, err
	}
	if !g.Builtin {
		return true, nil
	}
	return true, tx.EndRequestsOf(u.ID, a.ID, store.RequestGranted)
}

// tellAdministrator tells a new administrator by whom (a name) and, where they had
// asked, with which word.
func (s *Service) tellAdministrator(tx *store.Tx, a store.Account, u store.User, by, word string) error {
	to, err := mailbox(u)
	if err != nil {
		return err
	}
	return s.c.Post.AdminAdded(tx, AdminAddedLetter{AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Admin: by, Word: word})
}

// RemoveMember takes a user out of a group, and returns both. The last active
// administrator stays.
func (s *Service) RemoveMember(ctx context.Context, actor Actor, number int64, groupID, userID string) (store.User, store.Group, error) {
	users, g, err := s.RemoveMembers(ctx, actor, number, groupID, []string{userID})
	if err != nil {
		return store.User{}, g, err
	}
	return users[0], g, nil
}

// RemoveMembers takes users out of a group, all or none, at most 200 of them,
// and returns them and the group.
func (s *Service) RemoveMembers(ctx context.Context, actor Actor, number int64, groupID string, userIDs []string) ([]store.User, store.Group, error) {
	var out []store.User
	var g store.Group
	if len(userIDs) == 0 {
		return nil, g, fault.New(fault.Invalid, "rt.nobody")
	}
	if len(userIDs) > maxTogether {
		return nil, g, fault.New(fault.Invalid, "people.toomany").With("n", maxTogether)
	}
	err := s.actWithin(ctx, actor, memberRemove, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		out = nil
		if g, err = r.group(tx, groupID); err != nil {
			return err
		}
		for _, userID := range userIDs {
			m, err := r.member(tx, g, userID)
			if errors.Is(err, store.ErrNotFound) && !errors.As(err, new(*refusal)) && len(userIDs) > 1 {
				continue // not in it any more, as was wished
			}
			if err != nil {
				return err
			}
			if g.Builtin {
				if err := notLast(tx, a.ID, m.User); err != nil {
					return err
				}
			}
			if err := tx.DeleteMembership(g.ID, m.ID); err != nil {
				return err
			}
			if err := record(tx, actor, memberRemove, a.ID, m.Address, "group", g.Name); err != nil {
				return err
			}
			out = append(out, m.User)
		}
		return nil
	})
	if err != nil {
		return nil, g, err
	}
	return out, g, nil
}

// notLast refuses to let u stop being an administrator when nobody would be
// left. One who never chose a password does not count as left, for they may
// never come; nor does one whose membership ends. The account's row is held: two
// at once see each other.
func notLast(tx *store.Tx, number int64, u store.User) error {
	admins, err := tx.ListAdministrators(number, 1000)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(admins, func(a store.User) bool { return a.ID == u.ID }) {
		return nil
	}
	lasting, err := tx.ListLastingAdministrators(number, 1000)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(lasting, func(a store.User) bool { return a.ID != u.ID && (!a.Temporary || u.Temporary) }) {
		return &refusal{fault.New(fault.Conflict, "m.last").With("name", u.Name()), number, u.Address}
	}
	return nil
}

// meant finds, for addresses of nobody, users in reach whose address is much like
// them: the same before the @, or two slips of the keyboard away.
func (r reach) meant(tx *store.Tx, out *AddResult) error {
	if len(out.Missing) == 0 || len(out.Missing) > 20 {
		return nil
	}
	users, err := tx.ListUsers(r.number, "", "", 5000, r.within()...)
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
