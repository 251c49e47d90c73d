package account

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// Invitations that one account may send in a day, and one address be sent in a day by it.
const (
	invitesPerAccount = 500
	invitesPerAddress = 5
)

// Invite asks the person of an address to join the account, and a group of it
// ("" = none). An invitation of the same person to the same group that is still
// open is sent again instead. They are a member until a time (zero = for good).
// The answer does not tell who has an account elsewhere, nor, to who has a right
// over some groups only, who is in this one: they name a group.
func (s *Service) Invite(ctx context.Context, actor Actor, number int64, groupID, address string, until time.Time) (Pending, error) {
	to, err := mailaddr.Parse(address)
	if err != nil {
		return Pending{}, fault.New(fault.Invalid, "err.email").In("user", "err.email", nil).Because(err)
	}
	var out Pending
	err = s.actWithin(ctx, actor, inviteSend, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := past(tx, until); err != nil {
			return err
		}
		if _, err := r.newcomers(tx, groupID, until); err != nil {
			return err
		}
		u, err := tx.FindUserByAddress(to.Canonical())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		in, err := r.includes(tx, u)
		if err != nil {
			return err
		}
		if in {
			return fault.New(fault.Conflict, "un.exists").With("email", u.DisplayAddress)
		}
		if err := admit(tx, actor, a, to.Canonical()); err != nil {
			return err
		}
		i, err := tx.FindPendingInvitation(a.ID, groupID, to.Canonical())
		if errors.Is(err, store.ErrNotFound) {
			i = store.Invitation{ID: id.New(), AccountID: a.ID, GroupID: groupID, Address: to.Canonical(), DisplayAddress: to.String(), CreatedAt: tx.Now}
		} else if err != nil {
			return err
		}
		i.MemberUntil = until
		out, err = s.sendInvitation(tx, actor, a, i)
		return err
	})
	return out, err
}

// InvitationsPage is a page of open invitations by address.
type InvitationsPage struct {
	Pending []Pending
	Next    string // cursor, "" on the last page
}

// Invitations lists the open invitations to an account, or to one of its groups, to
// addresses that begin with query.
func (s *Service) Invitations(ctx context.Context, actor Actor, number int64, groupID, query, after string, limit int) (out InvitationsPage, err error) {
	err = s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, _ store.Account, r reach) error {
		if groupID != "" {
			if _, err := r.group(tx, groupID); err != nil {
				return err
			}
		}
		out, err = r.invitations(tx, groupID, clean(query), after, limited(limit))
		return err
	})
	return out, err
}

// invitations are those in reach to a group, or with "" all of them.
func (r reach) invitations(tx *store.Tx, groupID, query, after string, limit int) (out InvitationsPage, err error) {
	list := keyset.Of("invitations", r.number, groupID)
	key, err := list.Key(after)
	if err != nil {
		return out, err
	}
	id, address, _ := strings.Cut(key, " ")
	var rows []store.Invitation
	switch {
	case groupID != "":
		rows, err = tx.ListGroupInvitations(groupID, query, address, id, limit+1)
	case r.all:
		rows, err = tx.ListInvitations(r.number, query, address, id, limit+1)
	default:
		for _, g := range slices.Compact(slices.Sorted(slices.Values(r.groups))) {
			some, err := tx.ListGroupInvitations(g, query, address, id, limit+1)
			if err != nil {
				return out, err
			}
			rows = append(rows, some...)
		}
		slices.SortFunc(rows, func(a, b store.Invitation) int {
			return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.ID, b.ID))
		})
	}
	rows, out.Next = keyset.Page(list, rows, limit, func(i store.Invitation) string { return i.ID + " " + i.Address })
	for _, i := range rows {
		out.Pending = append(out.Pending, pending(tx, i))
	}
	return out, err
}

// newcomers finds the group ("" = none) that somebody new to the account, or
// invited to it, is to be in, and refuses one that they may not be put into. Who
// has a right over some groups only names one of them: rt.needgroup.
func (r reach) newcomers(tx *store.Tx, groupID string, until time.Time) (g store.Group, err error) {
	if groupID == "" {
		if !r.all {
			err = fault.New(fault.Invalid, "rt.needgroup").In("group", "rt.needgroup", nil)
		}
		return g, err
	}
	if g, err = r.group(tx, groupID); err != nil {
		return g, err
	}
	return g, r.mayFill(tx, g, until)
}

// invitation finds one of the account; one to a group out of reach is not
// found, one that gives more than the actor has is refused.
func (r reach) invitation(tx *store.Tx, invitationID string) (store.Invitation, error) {
	i, err := tx.FindInvitation(r.number, invitationID)
	if err != nil {
		return i, err
	}
	if i.GroupID == "" && !r.all {
		return i, r.hidden(i.Address)
	}
	if i.GroupID == "" {
		return i, nil
	}
	g, err := r.group(tx, i.GroupID)
	if err != nil {
		return i, err
	}
	if err := r.mayChange(tx, g, i.MemberUntil); err != nil {
		return i, err
	}
	for _, id := range i.Also {
		g, err := tx.FindGroup(r.number, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted since
		}
		if err == nil && !r.sees(g.ID) {
			err = r.beyond(g.Name)
		}
		if err == nil {
			err = r.mayChange(tx, g, i.MemberUntil)
		}
		if err != nil {
			return i, err
		}
	}
	return i, nil
}

// ResendInvitation sends an open invitation again, with another link and another 7 days.
func (s *Service) ResendInvitation(ctx context.Context, actor Actor, number int64, invitationID string) (Pending, error) {
	var out Pending
	err := s.actWithin(ctx, actor, inviteSend, number, func(tx *store.Tx, a store.Account, r reach) error {
		i, err := r.invitation(tx, invitationID)
		if err != nil {
			return err
		}
		if i.State != store.InvitationPending {
			return notFound()
		}
		for _, groupID := range append([]string{i.GroupID}, i.Also...) {
			if _, err := r.newcomers(tx, groupID, i.MemberUntil); err != nil && !(groupID != i.GroupID && errors.Is(err, store.ErrNotFound)) {
				return err
			}
		}
		out, err = s.sendInvitation(tx, actor, a, i)
		return err
	})
	return out, err
}

// sendInvitation writes an invitation, or renews one that is written, and its letter.
func (s *Service) sendInvitation(tx *store.Tx, actor Actor, a store.Account, i store.Invitation) (Pending, error) {
	_, counter := typed(i.Address)
	name := "invite:" + accountName(a.ID)
	limits := []struct {
		name string
		n    int
		key  string
	}{{name + ":" + counter, invitesPerAddress, "inv.often"}, {name, invitesPerAccount, "e429.p"}}
	for _, l := range limits { // first all are looked at: what one refuses counts for none, also where the transaction goes on
		t, err := tx.LockThrottle(l.name)
		if err != nil {
			return Pending{}, err
		}
		if wait := t.Since.Add(24 * time.Hour).Sub(tx.Now); wait > 0 && t.Count >= l.n {
			return Pending{}, fault.Wait(l.key, wait).With("email", i.DisplayAddress)
		}
	}
	for _, l := range limits {
		if _, _, err := tx.Hit(l.name, 24*time.Hour, l.n); err != nil {
			return Pending{}, err
		}
	}
	language := cmp.Or(i.Language, actor.Language, a.Language)
	if i.Language == "" && actor.Kind == KindOperator { // who is not of the organisation
		language = a.Language
	}
	token := id.NewToken()
	i.ExpiresAt, i.InvitedBy, i.InviterID, i.TokenID = tx.Now.Add(InvitationLimit), actor.Name, actor.UserID, actor.TokenID
	if i.TokenHash == "" {
		i.TokenHash = token.Hash()
		if err := tx.InsertInvitation(i); err != nil {
			return Pending{}, err
		}
	} else {
		i.TokenHash = token.Hash()
		if err := tx.RenewInvitation(i); err != nil {
			return Pending{}, err
		}
	}
	to, err := mailaddr.Parse(i.DisplayAddress)
	if err != nil {
		return Pending{}, err
	}
	if err := s.c.Post.Invitation(tx, InvitationLetter{
		AccountID: a.ID, To: to, Language: language, Admin: actor.Name, Organisation: a.Name, Token: token, Until: i.ExpiresAt,
	}); err != nil {
		return Pending{}, err
	}
	return pending(tx, i), record(tx, actor, inviteSend, a.ID, i.Address)
}

// RevokeInvitation ends an open invitation; its link stops working.
func (s *Service) RevokeInvitation(ctx context.Context, actor Actor, number int64, invitationID string) (Pending, error) {
	var out Pending
	err := s.actWithin(ctx, actor, inviteRevoke, number, func(tx *store.Tx, a store.Account, r reach) error {
		i, err := r.invitation(tx, invitationID)
		if err != nil {
			return err
		}
		out = pending(tx, i)
		if err := tx.EndInvitation(i.ID, store.InvitationRevoked); err != nil {
			return err
		}
		return record(tx, actor, inviteRevoke, a.ID, i.Address)
	})
	return out, err
}

// InvitationView is an invitation as the person who was invited sees it.
type InvitationView struct {
	Number       int64 // of the account
	Organisation string
	Admin        string // who invites
	Address      string
	Groups       []store.Group // that it gives now
	Language     string        // of the person, or else the account
	FirstName    string        // and LastName, as far as they are known
	LastName     string
	Until        time.Time
	Exists       bool // the person has a user already, and keeps their password
}

// Invitation returns the invitation of a token. Looking at it changes nothing
// (AT-49). One that has ended is Gone (inv.old, or inv.over before its time).
func (s *Service) Invitation(ctx context.Context, token id.Token) (InvitationView, error) {
	var out InvitationView
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		_, _, out, err = invited(tx, token)
		return err
	})
	return out, orNotFound(err)
}

// invited reads all that an invitation is about.
func invited(tx *store.Tx, token id.Token) (i store.Invitation, a store.Account, v InvitationView, err error) {
	if i, err = tx.FindInvitationByToken(token.Hash()); err != nil {
		return
	}
	switch {
	case !i.ExpiresAt.After(tx.Now):
		err = fault.New(fault.Gone, "inv.old").With("date", i.ExpiresAt).With("admin", i.InvitedBy)
		return
	case i.State != store.InvitationPending:
		err = fault.New(fault.Gone, "inv.over").With("admin", i.InvitedBy)
		return
	}
	if a, err = tx.FindAccount(i.AccountID); err != nil {
		return
	}
	if a.State != store.AccountActive {
		err = store.ErrNotFound
		return
	}
	u, err := tx.FindUserByAddress(i.Address)
	exists := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return
	}
	v = InvitationView{
		Number: a.ID, Organisation: a.Name, Admin: i.InvitedBy, Address: i.DisplayAddress, Language: cmp.Or(i.Language, a.Language), FirstName: i.FirstName, LastName: i.LastName, Until: i.ExpiresAt, Exists: exists,
	}
	v.Groups, err = givenBy(tx, i, u)
	return
}

// givenBy are the groups that an invitation puts somebody into now: u, who has no ID
// where they are new.
func givenBy(tx *store.Tx, i store.Invitation, u store.User) (out []store.Group, err error) {
	if i.GroupID == "" || !i.MemberUntil.IsZero() && !i.MemberUntil.After(tx.Now) {
		return nil, nil
	}
	for n, id := range append([]string{i.GroupID}, i.Also...) {
		g, err := tx.FindGroup(i.AccountID, id)
		if n > 0 && errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		may, err := stillGives(tx, i, g)
		if err != nil {
			return nil, err
		}
		if may && u.ID != "" && u.AccountID == i.AccountID {
			// Of who is here already it gives no more over them than adding them would (AT-58).
			r, err := inviterReach(tx, i)
			if err != nil {
				return nil, err
			}
			if err := r.mayPull(tx, g, u); errors.As(err, new(*refusal)) {
				may = false
			} else if err != nil {
				return nil, err
			}
		}
		if may {
			out = append(out, g)
		}
	}
	return out, nil
}

// stillGives reports whether who invites may put somebody into that group now: an
// invitation that waits gives no more than its inviter has, who may have lost it,
// and who invited before the group's members had it.
func stillGives(tx *store.Tx, i store.Invitation, g store.Group) (bool, error) {
	grants, err := grantsOf(tx, g)
	if err != nil || len(grants) == 0 {
		return err == nil, err
	}
	if operates, err := invitedByOperator(tx, i); err != nil || operates {
		return operates, err
	}
	r, err := inviterReach(tx, i)
	if err != nil || !r.Over(store.RightUsers, g.ID) {
		return false, err
	}
	return r.may(tx, g, i.MemberUntil)
}

// inviterReach is what who invites holds now: nothing, where they left the account.
func inviterReach(tx *store.Tx, i store.Invitation) (reach, error) {
	r := reach{number: i.AccountID}
	operates, err := invitedByOperator(tx, i)
	if err != nil || operates {
		r.operator = operates
		return r, err
	}
	u, err := tx.FindUser(i.InviterID)
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.AccountID != i.AccountID || u.State != store.UserActive) {
		return r, nil
	} else if err != nil {
		return r, err
	}
	r.holds, err = tx.ListHoldings(u.ID, i.AccountID)
	if err == nil && i.TokenID != "" { // what a token asked for ends with it
		_, r.holds, err = throughToken(tx, Actor{UserID: u.ID, TokenID: i.TokenID}, i.AccountID, r.holds)
	}
	return r, err
}

// invitedByOperator reports whether an invitation is of somebody who runs the
// service, and still does: they may give whatever an account has.
func invitedByOperator(tx *store.Tx, i store.Invitation) (bool, error) {
	if i.TokenID != "" { // which is nobody's as an operator
		return false, nil
	}
	if i.InviterID == "" {
		return true, nil
	}
	u, err := tx.FindUser(i.InviterID)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.State != store.UserActive {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return tx.IsOperator(u.ID)
}

// AcceptInvitation makes the person who was invited a user of the account and
// a member of the group, if who invited them may still give that: the link reached
// their mailbox, and proves it. A new
// person chooses a password and is signed in. One who is a user already keeps
// theirs, and is signed in only if they were: a link in a mail opens no account
// that exists. sess is the browser's session; the result takes its place.
func (s *Service) AcceptInvitation(ctx context.Context, sess *Session, token id.Token, e Enrolment) (*Session, error) {
	if sess == nil {
		return nil, ended()
	}
	view, err := s.Invitation(ctx, token)
	if fault.Is(err, fault.Gone) || fault.Is(err, fault.NotFound) {
		return nil, s.refuseInvitation(ctx, sess, token, err)
	}
	if err != nil {
		return nil, err
	}
	phc := ""
	address, err := mailaddr.Parse(view.Address)
	if err != nil {
		return nil, err
	}
	fresh := newUser(address, e)
	if !view.Exists {
		if err := s.checkEnrolment(ctx, view.Number, fresh, e); err != nil {
			return nil, err
		}
		if phc, err = s.hash(ctx, e.Password); err != nil {
			return nil, err
		}
	}
	out := sess
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = sess
		if _, err := tx.LockAccount(view.Number); err != nil {
			return nil, orNotFound(err)
		}
		i, a, v, err := invited(tx, token)
		if err != nil {
			return nil, orNotFound(err)
		}
		if err := tx.EndInvitation(i.ID, store.InvitationAccepted); err != nil {
			return nil, orNotFound(err) // at the same moment
		}
		u, err := tx.FindUserByAddress(i.Address)
		exists := err == nil
		if !exists || u.AccountID == 0 {
			by := Actor{}
			if operates, err := invitedByOperator(tx, i); err != nil {
				return nil, err
			} else if operates {
				by.Kind = KindOperator
			}
			if err := admit(tx, by, a, i.Address); err != nil {
				return nil, err
			}
		}
		switch {
		case errors.Is(err, store.ErrNotFound) && phc != "":
			u = fresh
			u.AccountID, u.TimeZone = a.ID, a.TimeZone
			err = tx.InsertUser(u, store.Password{Hash: phc})
		case errors.Is(err, store.ErrNotFound):
			return nil, notFound() // they were deleted meanwhile
		case err == nil && u.State != store.UserActive:
			return nil, notFound()
		case err == nil && u.AccountID == 0:
			err = tx.SetUserAccount(u.ID, a.ID)
		case err == nil && u.AccountID != a.ID:
			return nil, fault.New(fault.Conflict, "people.otheraccount")
		}
		if err != nil {
			return nil, err
		}
		u.AccountID = a.ID
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
		if len(v.Groups) == 0 {
			if err := record(tx, actor, inviteAccept, a.ID, u.Address); err != nil {
				return nil, err
			}
		}
		for _, g := range v.Groups {
			if _, err := s.join(tx, actor, i.InvitedBy, inviteAccept, a, g, u, i.MemberUntil); err != nil {
				return nil, err
			}
		}
		if !exists || sess.UserID == u.ID && sess.Scope == store.ScopeFull {
			p := proof{method: store.MethodCode, mailbox: !exists}
			if exists { // accepting proves nothing more
				p.at = sess.CreatedAt
			}
			out, err = signIn(tx, sess, u, p, sess.Client)
		}
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// refuseInvitation records that somebody came with an invitation that has ended,
// in its account, or with a token of none, in no account; and returns why.
func (s *Service) refuseInvitation(ctx context.Context, sess *Session, token id.Token, why error) error {
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		i, err := tx.FindInvitationByToken(token.Hash())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		return why, refuse(tx, store.AuditRow{AccountID: i.AccountID, Actor: "nobody", Action: string(inviteAccept), Target: i.Address, Origin: sess.Origin}, fault.Of(why).Key)
	})
}

// DeclineInvitation ends an invitation at the wish of who was invited.
func (s *Service) DeclineInvitation(ctx context.Context, sess *Session, token id.Token) error {
	return orNotFound(s.c.DB.Update(ctx, func(tx *store.Tx) error {
		i, a, _, err := invited(tx, token)
		if err != nil {
			return err
		}
		if err := tx.EndInvitation(i.ID, store.InvitationDeclined); err != nil {
			return err
		}
		actor := Actor{Kind: KindUser, Address: i.Address}
		if sess != nil {
			actor.Origin = sess.Origin
		}
		return record(tx, actor, inviteDecline, a.ID, i.Address)
	}))
}
