package account

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// Rights are what a group may be given, in the order in which pages show them.
var Rights = []string{store.RightUsers, store.RightMessages, store.RightAudit, store.RightReports, store.RightSettings, store.RightIntegrations}

// Confinable reports whether a right may be over the members of one group only:
// settings and integrations are the account's, and reports count the whole of it.
func Confinable(right string) bool {
	return slices.Contains(Rights, right) && right != store.RightReports && right != store.RightSettings && right != store.RightIntegrations
}

// Held is what an actor may do in one account.
type Held struct {
	operator bool
	holds    []store.Holding
}

// Everything reports whether it is all, over everybody: an operator's, or an
// administrator's.
func (h Held) Everything() bool { return h.operator || h.covers(store.Grant{Right: store.RightAll}) }

// Has reports whether a right is held over the whole account.
func (h Held) Has(right string) bool { return h.operator || h.covers(store.Grant{Right: right}) }

// HasSome reports whether a right is held over the whole account or some group.
func (h Held) HasSome(right string) bool {
	return h.operator || slices.ContainsFunc(h.holds, func(x store.Holding) bool { return x.Right == right || x.Right == store.RightAll })
}

// Over reports whether a right is held over the members of a group ("" = over
// the whole account).
func (h Held) Over(right, groupID string) bool {
	return h.operator || h.covers(store.Grant{Right: right, Scope: groupID})
}

// Groups are the groups over whose members a right is held where it is not over all.
func (h Held) Groups(right string) (out []string) {
	for _, x := range h.holds {
		if (x.Right == right || x.Right == store.RightAll) && x.Scope != "" && !slices.Contains(out, x.Scope) {
			out = append(out, x.Scope)
		}
	}
	return out
}

func (h Held) covers(g store.Grant) bool {
	return slices.ContainsFunc(h.holds, func(x store.Holding) bool { return x.Covers(g) })
}

// gives reports whether who holds h may give g until a time (zero = for good):
// nobody gives more than they hold, nor for longer.
func (h Held) gives(g store.Grant, until time.Time) bool {
	return h.operator || slices.ContainsFunc(h.holds, func(x store.Holding) bool { return x.Gives(g, until) })
}

// reach is on whom an actor may do an act in an account.
type reach struct {
	Held
	actor  Actor
	number int64
	all    bool     // on everybody
	groups []string // where not: these groups, and their members
}

// whole refuses who reaches only some groups.
func (r reach) whole() error {
	if !r.all {
		return &refusal{fault.New(fault.Denied, "err.forbidden"), r.number, strconv.FormatInt(r.number, 10)}
	}
	return nil
}

// within is reach as lists of users take it.
func (r reach) within() []string {
	if r.all {
		return nil
	}
	return r.groups
}

// until is how long at most the actor can make somebody a member of a group
// whose members have rights: as long as their own right to manage people lasts.
func (r reach) until() time.Time {
	var latest time.Time
	for _, h := range r.holds {
		if needOf[h.Right]&needUsers == 0 {
			continue
		}
		if h.Until.IsZero() {
			return time.Time{}
		}
		if h.Until.After(latest) {
			latest = h.Until
		}
	}
	return latest
}

// group finds a group of the account; one out of reach is not found, and the try
// recorded.
func (r reach) group(tx *store.Tx, groupID string) (store.Group, error) {
	g, err := tx.FindGroup(r.number, groupID)
	if err == nil && !r.sees(g.ID) {
		return store.Group{}, r.hidden(g.Name)
	}
	return g, err
}

// hidden is the refusal of what is there and out of reach: to who tries it, it is
// as if it were not there.
func (r reach) hidden(target string) error {
	return &refusal{notFound().Because(store.ErrNotFound), r.number, target}
}

// countedGroup is group with the number of its members.
func (r reach) countedGroup(tx *store.Tx, groupID string) (store.Group, error) {
	g, err := r.group(tx, groupID)
	if err == nil {
		err = countMembers(tx, &g)
	}
	return g, err
}

// sees reports whether the actor knows of a group of the account.
func (r reach) sees(groupID string) bool { return r.all || slices.Contains(r.groups, groupID) }

// user finds a user of the account; one of another account, or out of reach, is not
// found. A try at one out of reach is recorded.
func (r reach) user(tx *store.Tx, userID string) (store.User, error) {
	u, err := tx.FindUser(userID)
	if err != nil {
		return u, err
	}
	in, err := r.includes(tx, u)
	if err == nil && !in {
		err = store.ErrNotFound
		if u.AccountID == r.number {
			err = r.hidden(u.Address)
		}
		return store.User{}, err
	}
	return u, err
}

func (r reach) includes(tx *store.Tx, u store.User) (bool, error) {
	switch {
	case u.AccountID != r.number:
		return false, nil
	case r.all:
		return true, nil
	}
	return tx.IsMemberOfAny(u.ID, r.groups...)
}

// subject is user, for an act on them: refused on who holds more than the actor.
func (r reach) subject(tx *store.Tx, userID string) (store.User, error) {
	u, err := r.user(tx, userID)
	if err != nil {
		return u, err
	}
	if err := r.below(tx, u); err != nil {
		return u, err
	}
	return u, r.unchanged(UserRevision(u))
}

// below refuses an act on a user who holds more than the actor does, by
// memberships or as an operator, whatever the user's state.
func (r reach) below(tx *store.Tx, u store.User) error {
	if r.operator {
		return nil
	}
	above := &refusal{fault.New(fault.Denied, "rt.above").With("name", u.Name()), r.number, u.Address}
	if is, err := tx.IsOperator(u.ID); err != nil || is { // who gets into their login runs the service
		return cmp.Or(err, error(above))
	}
	theirs, err := tx.ListHoldings(u.ID, r.number)
	if err != nil {
		return err
	}
	for _, h := range theirs {
		if !r.gives(h.Grant, h.Until) {
			return above
		}
	}
	return nil
}

// grantsOf is what the members of a group have.
func grantsOf(tx *store.Tx, g store.Group) ([]store.Grant, error) {
	if g.Builtin {
		return []store.Grant{{Right: store.RightAll}}, nil
	}
	return tx.ListGrants(g.ID)
}

// may reports whether the actor holds all that a group's members have, at least
// until then (zero = for good).
func (r reach) may(tx *store.Tx, g store.Group, until time.Time) (bool, error) {
	grants, err := grantsOf(tx, g)
	return !slices.ContainsFunc(grants, func(x store.Grant) bool { return !r.gives(x, until) }), err
}

// beyond is the refusal of what gives, or takes, more than the actor holds.
func (r reach) beyond(target string) error {
	return &refusal{fault.New(fault.Denied, "rt.beyond"), r.number, target}
}

// mayChange refuses to change a group, or who is in it, where its members have
// more than the actor holds, or for longer.
func (r reach) mayChange(tx *store.Tx, g store.Group, until time.Time) error {
	ok, err := r.may(tx, g, until)
	if err == nil && !ok {
		err = r.beyond(g.Name)
	}
	return err
}

// mayFill is mayChange for who puts somebody into the group. Where its members
// have rights a recent proof is asked for: else an old session could make somebody
// who needs none, as a fresh one of theirs has it (AT-43).
func (r reach) mayFill(tx *store.Tx, g store.Group, until time.Time) error {
	grants, err := grantsOf(tx, g)
	if err == nil {
		err = r.mayChange(tx, g, until)
	}
	if err != nil || len(grants) == 0 {
		return err
	}
	return recentlyProved(tx, r.actor)
}

// mayPull refuses to put a user of the account into a group whose members the
// actor has a right over, where they have it not over that user: it would be a
// way to more people.
func (r reach) mayPull(tx *store.Tx, g store.Group, u store.User) error {
	for _, h := range r.holds {
		if h.Scope != g.ID || r.covers(store.Grant{Right: h.Right}) {
			continue
		}
		var over []string
		for _, x := range r.holds {
			if x.Right == h.Right {
				over = append(over, x.Scope)
			}
		}
		in, err := tx.IsMemberOfAny(u.ID, over...)
		if err != nil {
			return err
		}
		if !in {
			return r.beyond(u.Address)
		}
	}
	return nil
}

// Holds returns what actor may do in an account. Who may do nothing there is refused.
func (s *Service) Holds(ctx context.Context, actor Actor, number int64) (Held, error) {
	var out Held
	err := s.lookWithin(ctx, actor, accountView, number, func(_ *store.Tx, _ store.Account, r reach) error {
		out = r.Held
		return nil
	})
	return out, err
}

// Effective is a right that somebody has, and why.
type Effective struct {
	Right   string      // store.RightAll for an administrator
	Scope   store.Group // over whose members; zero for the whole account
	Apart   bool        // it is over the members of a group that who asks does not see: Scope is zero
	Because store.Group // the group that gives it; zero where who asks does not see it
	Until   time.Time   // when it ends, zero = never
}

// Own returns the rights of the actor themself, each with its reason: of a person who has none, nothing.
func (s *Service) Own(ctx context.Context, actor Actor, number int64) ([]Effective, error) {
	var out []Effective
	err := s.lookWithin(ctx, actor, accountView, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		r.all = true // of themself
		out, err = r.effective(tx, actor.UserID)
		return err
	})
	return out, err
}

// effective names no group that the actor does not see.
func (r reach) effective(tx *store.Tx, userID string) ([]Effective, error) {
	holds, err := tx.ListHoldings(userID, r.number)
	if err != nil {
		return nil, err
	}
	out := make([]Effective, len(holds))
	for i, h := range holds {
		out[i] = Effective{Right: h.Right, Until: h.Until}
		if r.sees(h.GroupID) {
			if out[i].Because, err = tx.FindGroup(r.number, h.GroupID); err != nil {
				return nil, err
			}
		}
		switch {
		case h.Scope == "":
		case !r.sees(h.Scope):
			out[i].Apart = true
		default:
			if out[i].Scope, err = tx.FindGroup(r.number, h.Scope); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// GroupGrant is a right of a group's members.
type GroupGrant struct {
	store.Grant
	Over  string // name of the group that it is confined to
	Apart bool   // it is over the members of a group that who asks does not see: Scope is ""
}

// GroupRights is what a group's members may do.
type GroupRights struct {
	Group    store.Group
	Grants   []GroupGrant // one of store.RightAll for the administrators
	Revision string       // as UserRevision
	Held     Held         // by who asks
}

// GroupRights returns what a group's members may do.
func (s *Service) GroupRights(ctx context.Context, actor Actor, number int64, groupID string) (GroupRights, error) {
	var out GroupRights
	err := s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, _ store.Account, r reach) error {
		g, err := r.group(tx, groupID)
		if err != nil {
			return err
		}
		grants, err := grantsOf(tx, g)
		if err != nil {
			return err
		}
		out, err = r.rightsOf(tx, g, grants)
		return err
	})
	return out, err
}

// rightsOf names no group that the actor does not see.
func (r reach) rightsOf(tx *store.Tx, g store.Group, grants []store.Grant) (GroupRights, error) {
	out := GroupRights{Group: g, Revision: rightsRevision(g.ID, grants), Held: r.Held}
	for _, x := range grants {
		seen := GroupGrant{Grant: x}
		switch {
		case x.Scope == "":
		case !r.sees(x.Scope):
			seen.Scope, seen.Apart = "", true
		default:
			over, err := tx.FindGroup(r.number, x.Scope)
			if err != nil {
				return out, err
			}
			seen.Over = over.Name
		}
		out.Grants = append(out.Grants, seen)
	}
	return out, nil
}

// May reports whether who asked may change a grant: they hold it, for good.
func (g GroupRights) May(x store.Grant) bool {
	return !g.Group.Builtin && g.Held.Has(store.RightUsers) && g.Held.gives(x, time.Time{})
}

// SetGroupRights gives a group's members these rights and no others. Whatever
// that gives or takes, the actor must hold themself, for good. Each change leaves
// a record. Faults: rt.beyond, rt.builtin, rt.unknown, second.again.
func (s *Service) SetGroupRights(ctx context.Context, actor Actor, number int64, groupID string, wanted []store.Grant) (GroupRights, error) {
	var out GroupRights
	err := s.actWithin(ctx, actor, groupRights, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := cmp.Or(r.whole(), recentlyProved(tx, actor)); err != nil {
			return err
		}
		g, err := tx.FindGroup(a.ID, groupID)
		if err != nil {
			return err
		}
		if g.Builtin {
			return &refusal{fault.New(fault.Conflict, "rt.builtin"), a.ID, g.Name}
		}
		grants, err := r.normal(tx, wanted)
		if err != nil {
			return err
		}
		was, err := tx.ListGrants(groupID)
		if err == nil {
			err = r.unchanged(rightsRevision(groupID, was))
		}
		if err != nil {
			return err
		}
		for _, x := range grants {
			if slices.Contains(was, x) {
				continue
			}
			if err := r.change(tx, g, x, "group.grant", tx.InsertGrant); err != nil {
				return err
			}
		}
		for _, x := range was {
			if slices.Contains(grants, x) {
				continue
			}
			if err := r.change(tx, g, x, "group.ungrant", tx.DeleteGrant); err != nil {
				return err
			}
		}
		out, err = r.rightsOf(tx, g, grants)
		return err
	})
	return out, err
}

// normal checks grants, and leaves out what is there twice or within a wider one.
func (r reach) normal(tx *store.Tx, grants []store.Grant) ([]store.Grant, error) {
	var out []store.Grant
	for _, right := range Rights {
		for _, g := range grants {
			if g.Right != right || slices.Contains(out, g) || g.Scope != "" && slices.Contains(grants, store.Grant{Right: right}) {
				continue
			}
			if g.Scope != "" {
				if !Confinable(right) {
					return nil, fault.New(fault.Invalid, "rt.whole")
				}
				if _, err := tx.FindGroup(r.number, g.Scope); err != nil {
					return nil, err
				}
			}
			out = append(out, g)
		}
	}
	for _, g := range grants {
		if !slices.Contains(Rights, g.Right) {
			return nil, fault.New(fault.Invalid, "rt.unknown").With("right", g.Right)
		}
	}
	return out, nil
}

func (r reach) change(tx *store.Tx, g store.Group, x store.Grant, what action, do func(string, store.Grant) error) error {
	if !r.gives(x, time.Time{}) {
		return r.beyond(g.Name)
	}
	if err := do(g.ID, x); err != nil {
		return err
	}
	details := []string{"right", x.Right}
	if x.Scope != "" {
		scope, err := tx.FindGroup(r.number, x.Scope)
		if err != nil {
			return err
		}
		details = append(details, "scope", scope.Name)
	}
	return record(tx, r.actor, what, r.number, g.Name, details...)
}

// SetMembershipEnd changes until when a user is in a group (zero = for good).
// The last administrator without an end stays one. Faults: rt.past, rt.beyond,
// rt.above, m.last, second.again.
func (s *Service) SetMembershipEnd(ctx context.Context, actor Actor, number int64, groupID, userID string, until time.Time) (store.Member, store.Group, error) {
	var m store.Member
	var g store.Group
	err := s.actWithin(ctx, actor, memberEnd, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if g, err = r.group(tx, groupID); err != nil {
			return err
		}
		if m, err = r.member(tx, g, userID); err != nil {
			return err
		}
		if err := past(tx, until); err != nil {
			return err
		}
		if err := r.mayFill(tx, g, until); err != nil {
			return err
		}
		if m.Ended && m.State != store.UserActive {
			return fault.New(fault.Conflict, "people.blocked").With("email", m.DisplayAddress)
		}
		if m.Ended {
			if err := r.mayPull(tx, g, m.User); err != nil {
				return err
			}
		}
		m.Until, m.Ended = until, false
		return r.setEnd(tx, a, g, m.User, until)
	})
	return m, g, err
}

// setEnd gives a membership another end. Whether the actor may fill the group so is asked before.
func (r reach) setEnd(tx *store.Tx, a store.Account, g store.Group, u store.User, until time.Time) error {
	if g.Builtin && !until.IsZero() {
		if err := notLast(tx, a.ID, u); err != nil {
			return err
		}
	}
	if err := tx.SetMembershipEnd(g.ID, u.ID, until); err != nil {
		return err
	}
	return record(tx, r.actor, memberEnd, a.ID, u.Address, "group", g.Name, "until", LastDay(ZoneOf(a.TimeZone), until))
}

// member finds somebody in a group for an act on them: refused on who holds
// more than the actor. One whose membership has ended is the group's still.
func (r reach) member(tx *store.Tx, g store.Group, userID string) (store.Member, error) {
	m, err := tx.FindMember(g.ID, userID)
	if err != nil {
		return m, err
	}
	in, err := r.includes(tx, m.User)
	if err != nil {
		return m, err
	}
	if !in {
		return m, r.hidden(m.Address)
	}
	return m, r.below(tx, m.User)
}

// past refuses an end that is over.
func past(tx *store.Tx, until time.Time) error {
	if !until.IsZero() && !until.After(tx.Now) {
		return fault.New(fault.Invalid, "rt.past").In("until", "rt.past", nil)
	}
	return nil
}

// LastDay is the last day (YYYY-MM-DD) before an end, in an account's zone; "" for no end.
func LastDay(zone *time.Location, until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return until.Add(-time.Millisecond).In(zone).Format(time.DateOnly)
}

// EndOfDay is when a membership ends whose last day is day (YYYY-MM-DD), in the
// account's zone; zero for "". What is no day gives rt.day, in the field "until".
func EndOfDay(zone *time.Location, day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "rt.day").In("until", "rt.day", nil).Because(err)
	}
	return time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, zone).UTC(), nil
}
