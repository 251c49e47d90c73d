package account

import (
	"cmp"
	"context"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// secondRule says whether a person needs a second factor, and for how long they
// may sign in without one from when they are first asked: operators and whom an
// administrator named not at all, others as their account's settings say. It binds at the next
// sign-in: sessions that run end by themselves, or by EndSessions; API tokens are
// keys of their own, which no second factor was ever asked for.
func secondRule(tx *store.Tx, u store.User) (required bool, grace time.Duration, err error) {
	if is, err := tx.IsOperator(u.ID); err != nil || is {
		return is, 0, err
	}
	if u.SecondRequired {
		return true, 0, nil
	}
	set, err := settingsFor(tx, u)
	if err != nil || set.Second == policy.SecondNobody {
		return false, 0, err
	}
	grace = time.Duration(set.SecondGrace) * 24 * time.Hour
	if set.Second == policy.SecondEverybody || u.AccountID == 0 {
		return set.Second == policy.SecondEverybody, grace, nil
	}
	holds, err := tx.ListHoldings(u.ID, u.AccountID)
	return len(holds) > 0, grace, err
}

// secondDue is until when somebody who signs in may do so without the second
// factor that they need: it is written down the first time. Zero: nothing is
// asked of them, as they have one or need none.
func secondDue(tx *store.Tx, u *store.User, has bool) (time.Time, error) {
	if has {
		return time.Time{}, nil // what was written stays: who loses theirs sets up another at once
	}
	required, grace, err := secondRule(tx, *u)
	if err != nil {
		return time.Time{}, err
	}
	due := u.SecondDue
	switch {
	case !required:
		due = time.Time{}
	case due.IsZero() || due.After(tx.Now.Add(grace)): // it was made shorter
		due = tx.Now.Add(grace)
	}
	if !due.Equal(u.SecondDue) {
		if err := tx.SetSecondDue(u.ID, due); err != nil {
			return due, err
		}
		u.SecondDue = due
	}
	return due, nil
}

// RequireSecond says whether a user needs a second factor, whatever their account
// says. Who has none sets it up at their next sign-in, and does nothing before.
// Nobody releases themselves, nor, who manages some groups only, from what
// somebody asked who manages everybody. Faults: fa.selfrelease, fa.releaseabove.
func (s *Service) RequireSecond(ctx context.Context, actor Actor, number int64, userID string, required bool) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userSecond, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		u, err = s.requireSecond(tx, a, r, userID, required)
		return err
	})
	return u, err
}

func (s *Service) requireSecond(tx *store.Tx, a store.Account, r reach, userID string, required bool) (store.User, error) {
	u, err := r.subject(tx, userID)
	byGroup := required && !r.all && (u.SecondByGroup || !u.SecondRequired)
	switch {
	case err != nil || u.SecondRequired == required && u.SecondByGroup == byGroup:
		return u, err
	case !required && u.ID == r.actor.UserID: // somebody else asked it of them
		return u, &refusal{fault.New(fault.Conflict, "fa.selfrelease"), a.ID, u.Address}
	case !required && !r.all && !u.SecondByGroup:
		return u, &refusal{fault.New(fault.Denied, "fa.releaseabove").With("name", u.Name()), a.ID, u.Address}
	}
	if !required { // who knows the password needs no more then
		if err := recentlyProved(tx, r.actor); err != nil {
			return u, err
		}
	}
	if err := tx.SetSecondRequired(u.ID, required, byGroup); err != nil {
		return u, err
	}
	u.SecondRequired, u.SecondByGroup = required, byGroup
	return u, record(tx, r.actor, userSecond, a.ID, u.Address, "required", map[bool]string{true: "yes", false: "no"}[required])
}

// LinkLimit is how long a mailed link sets a new password.
const LinkLimit = 24 * time.Hour

const linksPerHour = 5 // for one person

// SendPasswordLink mails a user a link by which they set a new password; one that
// was mailed before is dead. Until it is used nothing changes, and only the
// mailbox's owner ever sees it. Faults: people.blocked, code.toomany.
func (s *Service) SendPasswordLink(ctx context.Context, actor Actor, number int64, userID string) (store.User, error) {
	var u store.User
	err := s.actWithin(ctx, actor, userLink, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		u, err = s.sendPasswordLink(tx, a, r, userID)
		return err
	})
	return u, err
}

func (s *Service) sendPasswordLink(tx *store.Tx, a store.Account, r reach, userID string) (store.User, error) {
	u, err := r.subject(tx, userID)
	if err != nil {
		return u, err
	}
	if u.State != store.UserActive {
		return u, fault.New(fault.Conflict, "people.blocked").With("email", u.DisplayAddress)
	}
	if ok, wait, err := tx.Hit("password-link:"+u.ID, time.Hour, linksPerHour); err != nil || !ok {
		return u, cmp.Or(err, error(fault.Wait("code.toomany", wait)))
	}
	to, err := mailbox(u)
	if err != nil {
		return u, err
	}
	token, until := id.NewToken(), tx.Now.Add(LinkLimit)
	if err := tx.PutPasswordLink(u.ID, token.Hash(), until); err != nil {
		return u, err
	}
	l := PasswordLinkLetter{AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Admin: r.actor.Name, Token: token, Until: until}
	if err := s.c.Post.PasswordLink(tx, l); err != nil {
		return u, err
	}
	return u, record(tx, r.actor, userLink, a.ID, u.Address)
}
