package account

import (
	"context"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// owesMailbox is the rule that keeps administrators from reading: a password
// that one of them typed is good alone until its person has signed in once, or
// has written something; from then on whoever uses it proves the person's
// mailbox too. It asks after every way to sign in, since whoever came first may
// have left a way behind, and until the person chooses a password of their own.
//
// A password that goes back to such a one, as whoever typed it may have replaced
// it too, is enough for what a person of no rights does, but neither to act by
// rights that whoever typed it does not have, nor to set up a second factor (setsUp).
func owesMailbox(tx *store.Tx, u store.User, p proof, setsUp bool) (bool, error) {
	if p.mailbox {
		return false, nil
	}
	if u.Given {
		if !u.LastSignInAt.IsZero() {
			return true, nil
		}
		if wrote, err := tx.HasWritten(u.ID); err != nil || wrote {
			return wrote, err
		}
	}
	if u.TypedBy == "" || setsUp {
		return u.TypedBy != "", nil
	}
	return tx.BeyondTypist(u)
}

// typist is who knows a password that the actor types for somebody. An operator
// could write what they like into the database.
func typist(actor Actor) string {
	if actor.Kind == KindOperator {
		return ""
	}
	return actor.UserID
}

// fresh reports whether a session's last proof is recent enough to change what
// proves who its person is. Each proof of it gives a new session (AT-43), so that
// its age is that of the proof: an address that was proved besides does not make
// it younger. Who has a second factor must have proved that.
func fresh(tx *store.Tx, row store.Session) (bool, error) {
	if tx.Now.Sub(row.CreatedAt) >= FreshLimit {
		return false, nil
	}
	has, err := tx.HasSecondFactor(row.UserID)
	return err == nil && (!has || tx.Now.Sub(row.SecondAt) < FreshLimit), err
}

// Fresh reports whether the session may change what proves who its person is;
// if not, ProveSecond, ProveWithPasskey or Confirm make one that may.
func (s *Service) Fresh(ctx context.Context, sess *Session) (ok bool, err error) {
	if !sess.SignedIn() {
		return false, ended()
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.FindSession(sess.Hash)
		if err != nil {
			return orEnded(err)
		}
		ok, err = fresh(tx, row)
		return err
	})
	return ok, err
}

// provedLately is owner of a session that may change what proves who its person
// is; answer is why it may not.
func provedLately(tx *store.Tx, sess *Session) (u store.User, row store.Session, answer, err error) {
	if u, row, err = owner(tx, sess); err != nil {
		return u, row, nil, err
	}
	switch row.Scope {
	case store.ScopeSetSecond: // short, and they have nothing to prove yet
		return u, row, nil, nil
	case store.ScopeFull:
	default:
		return u, row, ended(), nil
	}
	if row.Unproved(u) { // it may be whoever typed the password, before its person comes
		return u, row, fault.New(fault.Denied, "proof.again"), nil
	}
	ok, err := fresh(tx, row)
	if err == nil && !ok {
		answer = fault.New(fault.Denied, "second.again")
	}
	return u, row, answer, err
}

// recentlyProved refuses a session whose last proof is not recent: for what gives
// somebody rights, or a way to use them. A token and the host have none: what they
// may do was decided where they come from.
func recentlyProved(tx *store.Tx, actor Actor) error {
	if actor.SessionHash == "" {
		return nil
	}
	row, err := tx.FindSession(actor.SessionHash)
	if err != nil {
		return orEnded(err)
	}
	ok, err := fresh(tx, row)
	if err == nil && !ok {
		err = fault.New(fault.Denied, "second.again")
	}
	return err
}

// provedNow is recentlyProved that refuses a token too: what cannot be undone, or
// takes out all that is there, asks for its person. An operator on the service's
// host has no session.
func provedNow(tx *store.Tx, actor Actor) error {
	switch {
	case actor.TokenID != "":
		return fault.New(fault.Denied, "err.forbidden")
	case actor.UserID != "" && actor.SessionHash == "":
		return fault.New(fault.Denied, "second.again")
	}
	return recentlyProved(tx, actor)
}

// tellGiven mails a person that somebody signed in as them with a password that
// an administrator knows.
func (s *Service) tellGiven(tx *store.Tx, u store.User, place string) error {
	return s.mailFactor(tx, u, FactorLetter{What: FactorGivenUsed, Place: place}, u.DisplayAddress)
}
