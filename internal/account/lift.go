package account

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// How a lost second factor is lifted: its person asks, with a password or code
// and their mailbox; somebody else approves; then there is time to stop it.
const (
	LiftAskLimit = 7 * 24 * time.Hour // that a wish waits for somebody to approve it
	LiftWait     = 24 * time.Hour     // from then on
)

const (
	userLift       action = "user.lift_factor"
	userLiftRefuse action = "user.lift_refuse"

	// Of the person themself, and of time.
	liftAsk    action = "factor.lift_ask"
	liftCancel action = "factor.lift_cancel"
	liftExpire action = "factor.lift_expire"
	liftDone   action = "factor.lift_done"
)

// Lift is somebody's wish to have a lost second factor taken away.
type Lift struct {
	User     store.User
	AskedAt  time.Time
	Approved bool
	DueAt    time.Time // approved: when the factors go; not approved: when the wish does
}

// liftToken is the token of the link that stops a wish, the same in each letter.
func (s *Service) liftToken(liftID string) (id.Token, error) {
	return id.ParseToken(base64.RawURLEncoding.EncodeToString(s.c.Root.MAC("account/lift", []byte(liftID))[:32]))
}

// loser is owner of a session whose person may say that they lost their second
// factor: it has passed the first. Faults: sess.p, lift.nothing.
func loser(tx *store.Tx, sess *Session) (u store.User, answer, err error) {
	u, row, err := owner(tx, sess)
	if err != nil {
		return u, nil, err
	}
	if row.UserID == "" || row.Scope != store.ScopeSecond && row.Scope != store.ScopeFull {
		return u, ended(), nil
	}
	has, err := tx.HasSecondFactor(u.ID)
	if err == nil && !has {
		answer = fault.New(fault.Conflict, "lift.nothing")
	}
	return u, answer, err
}

// OwnLift returns the wish of the session's person, nil where there is none.
func (s *Service) OwnLift(ctx context.Context, sess *Session) (out *Lift, err error) {
	if sess == nil || sess.UserID == "" {
		return nil, ended()
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		out, err = liftOf(tx, sess.UserID)
		return err
	})
	return out, err
}

func liftOf(tx *store.Tx, userID string) (*Lift, error) {
	l, err := tx.FindLift(userID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	u, err := tx.FindUser(userID)
	return &Lift{u, l.AskedAt, l.ApprovedBy != "", l.DueAt}, err
}

// SendLiftCode mails the person the code that AskLift takes. Faults: sess.p,
// lift.nothing, code.toomany{n}.
func (s *Service) SendLiftCode(ctx context.Context, sess *Session) error {
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, answer, err := loser(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		return s.mailCode(tx, sess.Hash, store.CodeLift, u.Address, sess.Origin)
	})
}

// AskLift takes that code, and writes the wish. The person is told at all their
// addresses, with a link that stops it. Faults: those of a code, sess.p,
// lift.nothing, lift.there.
func (s *Service) AskLift(ctx context.Context, sess *Session, code string) error {
	there := fault.New(fault.Conflict, "lift.there")
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, answer, err := loser(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		if _, err := tx.FindLift(u.ID); err == nil {
			return there, nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		c, answer, err := s.tryCode(tx, sess, store.CodeLift, code, sess.Origin)
		if answer != nil || err != nil {
			return answer, err
		}
		if err := tx.EndCode(c.ID, store.CodeUsed); errors.Is(err, store.ErrNotFound) || err == nil && c.Address != u.Address {
			return fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil), nil
		} else if err != nil {
			return nil, err
		}
		l := store.Lift{ID: id.New(), UserID: u.ID, AccountID: u.AccountID, DueAt: tx.Now.Add(LiftAskLimit)}
		token, err := s.liftToken(l.ID)
		if err != nil {
			return nil, err
		}
		l.TokenHash = token.Hash()
		if err := tx.InsertLift(l); err != nil {
			return nil, err
		}
		if err := s.tellLift(tx, u, FactorLiftAsked, sess.Origin, token); err != nil {
			return nil, err
		}
		return nil, record(tx, person(sess), liftAsk, u.AccountID, u.Address)
	})
	if errors.Is(err, store.ErrTaken) {
		return there.Because(err)
	}
	return err
}

// tellLift mails all a person's addresses what became of their wish; stop is
// zero where there is nothing left to stop.
func (s *Service) tellLift(tx *store.Tx, u store.User, what, place string, stop id.Token) error {
	list, err := tx.ListAliases(u.ID)
	if err != nil {
		return err
	}
	for _, a := range append(list, store.Alias{DisplayAddress: u.DisplayAddress}) {
		if err := s.mailFactor(tx, u, FactorLetter{What: what, Place: place, Stop: stop}, a.DisplayAddress); err != nil {
			return err
		}
	}
	return nil
}

// endLift ends the wish of a person who proves their second factor after all,
// or who stops it.
func (s *Service) endLift(tx *store.Tx, u store.User, origin, how string) error {
	l, err := tx.FindLift(u.ID)
	if err == nil {
		err = tx.DeleteLift(l.ID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := s.tellLift(tx, u, FactorLiftCancelled, origin, id.Token{}); err != nil {
		return err
	}
	actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: origin}
	return record(tx, actor, liftCancel, u.AccountID, u.Address, "how", how)
}

func liftGone() *fault.Error { return fault.New(fault.Gone, "lift.gone") }

// LiftOfToken returns the wish that a mailed link is about. Looking changes
// nothing (AT-49). Faults: lift.gone.
func (s *Service) LiftOfToken(ctx context.Context, token id.Token) (out *Lift, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		l, err := tx.FindLiftByToken(token.Hash())
		if err != nil {
			return err
		}
		out, err = liftOf(tx, l.UserID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, liftGone()
	}
	return out, err
}

// StopLift ends the wish that a mailed link is about. Faults: lift.gone.
func (s *Service) StopLift(ctx context.Context, token id.Token, origin string) error {
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		l, err := tx.FindLiftByToken(token.Hash())
		if err != nil {
			return nil, err
		}
		u, err := tx.LockUser(l.UserID)
		if err != nil {
			return nil, err
		}
		if l, err = tx.FindLiftByToken(token.Hash()); err != nil { // it waited for whoever lifts
			return nil, err
		}
		return nil, s.endLift(tx, u, origin, "link")
	})
	if errors.Is(err, store.ErrNotFound) {
		return liftGone()
	}
	return err
}

// LiftsPage is a page of wishes, oldest first.
type LiftsPage struct {
	Lifts []Lift
	Next  string // cursor, "" on the last page
}

// Lifts lists the wishes of users of the account in reach. Those of number 0 are of
// people in no account.
func (s *Service) Lifts(ctx context.Context, actor Actor, number int64, after string, limit int) (out LiftsPage, err error) {
	limit = limited(limit)
	err = s.lookWithin(ctx, actor, userLift, number, func(tx *store.Tx, a store.Account, r reach) error {
		out = LiftsPage{}
		list := keyset.Of("lifts", number)
		from, id, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListLifts(a.ID, from, id, limit+1)
		if err != nil {
			return err
		}
		rows, out.Next = keyset.Page(list, rows, limit, func(l store.Lift) string { return keyset.Numbered(l.AskedAt.UnixMilli(), l.ID) })
		for _, l := range rows {
			u, err := tx.FindUser(l.UserID)
			if err != nil {
				return err
			}
			if in, err := r.includes(tx, u); err != nil {
				return err
			} else if in {
				out.Lifts = append(out.Lifts, Lift{u, l.AskedAt, l.ApprovedBy != "", l.DueAt})
			}
		}
		return nil
	})
	return out, err
}

// LiftOf returns the wish of a user of the account, nil where there is none.
func (s *Service) LiftOf(ctx context.Context, actor Actor, number int64, userID string) (out *Lift, err error) {
	err = s.lookWithin(ctx, actor, userLift, number, func(tx *store.Tx, _ store.Account, r reach) error {
		u, err := r.user(tx, userID)
		if err != nil {
			return err
		}
		if out, err = liftOf(tx, u.ID); err == nil && out != nil && !out.DueAt.After(tx.Now) {
			out = nil // it is over, and not swept away yet
		}
		return err
	})
	return out, err
}

// DecideLift approves a user's wish, from when LiftWait runs, or refuses it,
// also one that was approved. Nobody decides about who holds more than they do,
// nor approves their own. The operator approves only where no administrator of
// the account is there to do so. Faults: lift.none, lift.self,
// lift.administrators, rt.above{name}, second.again.
func (s *Service) DecideLift(ctx context.Context, actor Actor, number int64, userID string, approve bool) (store.User, error) {
	act := userLiftRefuse
	if approve {
		act = userLift
	}
	var u store.User
	err := s.actWithin(ctx, actor, act, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		if u, err = tx.LockUser(u.ID); err != nil {
			return err
		}
		none := fault.New(fault.Conflict, "lift.none").With("name", u.Name())
		l, err := tx.FindLift(u.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (l.AccountID != a.ID || !l.DueAt.After(tx.Now)) {
			return none
		} else if err != nil {
			return err
		}
		if !approve {
			if err := tx.DeleteLift(l.ID); err != nil {
				return err
			}
			if err := s.tellLift(tx, u, FactorLiftRefused, "", id.Token{}); err != nil {
				return err
			}
			return record(tx, actor, act, a.ID, u.Address)
		}
		if u.ID == actor.UserID {
			return &refusal{fault.New(fault.Denied, "lift.self"), a.ID, u.Address}
		}
		if err := recentlyProved(tx, actor); err != nil {
			return err
		}
		if r.operator && a.ID != 0 {
			admins, err := tx.ListAdministrators(a.ID, 2)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(admins, func(x store.User) bool { return x.ID != u.ID }) {
				return &refusal{fault.New(fault.Denied, "lift.administrators"), a.ID, u.Address}
			}
		}
		token, err := s.liftToken(l.ID)
		if err != nil {
			return err
		}
		l.ApprovedBy, l.DueAt, l.TokenHash = actor.String(), tx.Now.Add(LiftWait), token.Hash() // another where the root key is
		if err := tx.ApproveLift(l); errors.Is(err, store.ErrNotFound) {
			return none
		} else if err != nil {
			return err
		}
		if err := s.tellLift(tx, u, FactorLiftApproved, "", token); err != nil {
			return err
		}
		return record(tx, actor, act, a.ID, u.Address)
	})
	return u, err
}

// SweepLifts does what is due: an approved wish takes the person's factors and
// recovery codes away and ends all their sessions; one that nobody approved is
// over. So is one whose person was blocked meanwhile, or left the account.
func (s *Service) SweepLifts(ctx context.Context) error {
	var due []store.Lift
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		due, err = tx.ListDueLifts(100)
		return err
	})
	for _, l := range due {
		if err == nil {
			err = s.liftDue(ctx, l)
		}
	}
	return err
}

func (s *Service) liftDue(ctx context.Context, l store.Lift) error {
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, err := tx.LockUser(l.UserID)
		if err != nil {
			return nil, err
		}
		if err := tx.DeleteLift(l.ID); err != nil {
			return nil, err // stopped, or another node did it
		}
		ok, err := mayEnter(tx, u)
		if err != nil {
			return nil, err
		}
		what, act := FactorLiftExpired, liftExpire
		if l.ApprovedBy != "" && ok && u.AccountID == l.AccountID {
			what, act = FactorLifted, liftDone
			if err := tx.DeleteFactors(u.ID); err != nil {
				return nil, err
			}
			if _, err := tx.DeleteUserSessions(u.ID, ""); err != nil {
				return nil, err
			}
			if _, err := endTokens(tx, Actor{Kind: KindSystem}, u); err != nil {
				return nil, err
			}
		}
		if err := s.tellLift(tx, u, what, "", id.Token{}); err != nil {
			return nil, err
		}
		return nil, record(tx, Actor{Kind: KindSystem}, act, u.AccountID, u.Address)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
