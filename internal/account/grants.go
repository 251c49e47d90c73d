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
// settings and integrations are the account's.
func Confinable(right string) bool {
	return slices.Contains(Rights, right) && right != store.RightSettings && right != store.RightIntegrations
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

func (h Held) covers(g store.Grant) bool {
	return slices.ContainsFunc(h.holds, func(x store.Holding) bool { return wider(x, g) })
}

// wider reports whether h is g or more, without regard to time.
func wider(h store.Holding, g store.Grant) bool {
	return (h.Right == store.RightAll || h.Right == g.Right) && (h.Scope == "" || h.Scope == g.Scope)
}

// gives reports whether who holds h may give g until a time (zero = for good):
// nobody gives more than they hold, nor for longer.
func (h Held) gives(g store.Grant, until time.Time) bool {
	return h.operator || slices.ContainsFunc(h.holds, func(x store.Holding) bool {
		return wider(x, g) && (x.Until.IsZero() || !until.IsZero() && !until.After(x.Until))
	})
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

// group finds a group of the account; one out of reach is not found.
func (r reach) group(tx *store.Tx, groupID string) (store.Group, error) {
	if !r.all && !slices.Contains(r.groups, groupID) {
		return store.Group{}, store.ErrNotFound
	}
	return tx.FindGroup(r.number, groupID)
}

// user finds a user of the account; one of another account, or out of reach, is not found.
func (r reach) user(tx *store.Tx, userID string) (store.User, error) {
	u, err := tx.FindUser(userID)
	if err != nil {
		return u, err
	}
	in, err := r.includes(tx, u)
	if err == nil && !in {
		return store.User{}, store.ErrNotFound
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

// mayFill refuses to put somebody into a group, or change who is in it, where
// its members have more than the actor holds, or for longer.
func (r reach) mayFill(tx *store.Tx, g store.Group, until time.Time) error {
	ok, err := r.may(tx, g, until)
	if err == nil && !ok {
		err = r.beyond(g.Name)
	}
	return err
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
	Because store.Group // the group that gives it
	Until   time.Time   // when it ends, zero = never
}

// Effective returns the rights of a user of the account, each with its reason.
func (s *Service) Effective(ctx context.Context, actor Actor, number int64, userID string) ([]Effective, error) {
	var out []Effective
	err := s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, a store.Account, r reach) error {
		u, err := r.user(tx, userID)
		if err == nil {
			out, err = effective(tx, a.ID, u.ID)
		}
		return err
	})
	return out, err
}

// Own is Effective of the actor themself: of a person who has no right, nothing.
func (s *Service) Own(ctx context.Context, actor Actor, number int64) ([]Effective, error) {
	var out []Effective
	err := s.lookWithin(ctx, actor, accountView, number, func(tx *store.Tx, a store.Account, _ reach) (err error) {
		out, err = effective(tx, a.ID, actor.UserID)
		return err
	})
	return out, err
}

func effective(tx *store.Tx, number int64, userID string) ([]Effective, error) {
	holds, err := tx.ListHoldings(userID, number)
	if err != nil {
		return nil, err
	}
	out := make([]Effective, len(holds))
	for i, h := range holds {
		out[i] = Effective{Right: h.Right, Until: h.Until}
		if out[i].Because, err = tx.FindGroup(number, h.GroupID); err != nil {
			return nil, err
		}
		if h.Scope == "" {
			continue
		}
		if out[i].Scope, err = tx.FindGroup(number, h.Scope); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// GroupRights is what a group's members may do.
type GroupRights struct {
	Group  store.Group
	Grants []store.Grant     // one of store.RightAll for the administrators
	Scopes map[string]string // names of the groups that grants are confined to
	Held   Held              // by who asks
}

// GroupRights returns what a group's members may do.
func (s *Service) GroupRights(ctx context.Context, actor Actor, number int64, groupID string) (GroupRights, error) {
	var out GroupRights
	err := s.lookWithin(ctx, actor, groupView, number, func(tx *store.Tx, _ store.Account, r reach) (err error) {
		out = GroupRights{Held: r.Held}
		if out.Group, err = r.group(tx, groupID); err != nil {
			return err
		}
		if out.Grants, err = grantsOf(tx, out.Group); err != nil {
			return err
		}
		out.Scopes = map[string]string{}
		for _, x := range out.Grants {
			if x.Scope == "" {
				continue
			}
			over, err := tx.FindGroup(r.number, x.Scope)
			if err != nil {
				return err
			}
			out.Scopes[x.Scope] = over.Name
		}
		return nil
	})
	return out, err
}

// May reports whether who asked may change a grant: they hold it, for good.
func (g GroupRights) May(x store.Grant) bool {
	return !g.Group.Builtin && g.Held.Has(store.RightUsers) && g.Held.gives(x, time.Time{})
}

// SetGroupRights gives a group's members these rights and no others. Whatever
// that gives or takes, the actor must hold themself, for good. Each change leaves
// a record. Faults: rt.beyond, rt.builtin, rt.unknown.
func (s *Service) SetGroupRights(ctx context.Context, actor Actor, number int64, groupID string, grants []store.Grant) (GroupRights, error) {
	var out GroupRights
	err := s.actWithin(ctx, actor, groupRights, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if err := r.whole(); err != nil {
			return err
		}
		out = GroupRights{Held: r.Held}
		if out.Group, err = tx.FindGroup(a.ID, groupID); err != nil {
			return err
		}
		if out.Group.Builtin {
			return &refusal{fault.New(fault.Conflict, "rt.builtin"), a.ID, out.Group.Name}
		}
		if out.Grants, err = r.normal(tx, grants); err != nil {
			return err
		}
		was, err := tx.ListGrants(groupID)
		if err == nil {
			err = r.unchanged(RightsRevision(groupID, was))
		}
		if err != nil {
			return err
		}
		for _, x := range out.Grants {
			if slices.Contains(was, x) {
				continue
			}
			if err := r.change(tx, out.Group, x, "group.grant", tx.InsertGrant); err != nil {
				return err
			}
		}
		for _, x := range was {
			if slices.Contains(out.Grants, x) {
				continue
			}
			if err := r.change(tx, out.Group, x, "group.ungrant", tx.DeleteGrant); err != nil {
				return err
			}
		}
		return nil
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
// rt.above, m.last.
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
		if m.Ended {
			if err := r.mayPull(tx, g, m.User); err != nil {
				return err
			}
		}
		if g.Builtin && !until.IsZero() {
			if err := notLast(tx, a.ID, m.User); err != nil {
				return err
			}
		}
		if err := tx.SetMembershipEnd(g.ID, m.ID, until); err != nil {
			return err
		}
		m.Until, m.Ended = until, false
		return record(tx, actor, memberEnd, a.ID, m.Address, "group", g.Name, "until", LastDay(a, until))
	})
	return m, g, err
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
		return m, store.ErrNotFound
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

// LastDay is the last day (YYYY-MM-DD) before an end, where the account is; "" for no end.
func LastDay(a store.Account, until time.Time) string {
	if until.IsZero() {
		return ""
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return until.Add(-time.Millisecond).In(zone).Format(time.DateOnly)
}

// EndOfDay is when a membership ends whose last day is day (YYYY-MM-DD), where
// the account is; zero for "". What is no day gives rt.day, in the field "until".
func EndOfDay(a store.Account, day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	t, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "rt.day").In("until", "rt.day", nil).Because(err)
	}
	return time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, zone).UTC(), nil
}
