package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// How guessing is slowed. Nobody is kept out for good: a mailed code and a new
// password are never refused for wrong passwords, and they lift what those set.
const (
	freeTries      = 4                   // wrong passwords of one person from one network, before a wait
	longestWait    = 15 * time.Minute    // the wait doubles from one minute up to this
	passwordWindow = time.Hour           // see Hit in replacePassword
	forgetTries    = 24 * time.Hour      // a count that rested so long begins again
	hardStop       = 100                 // wrong passwords of one person from anywhere (NIST SP 800-63B-4)
	networkWindow  = 10 * time.Minute    // tries of all persons from one network:
	networkTries   = 100                 //   an office behind one address signs in
	knownFor       = 90 * 24 * time.Hour // since a person last signed in from a network
)

// tries are the names of the counters for one person and one network. A person
// is known by a hash of the address that was typed, so that one who does not
// exist is counted like one who does (AT-52).
type tries struct{ pair, everywhere, network, known, codes string }

func triesOf(counter, network string) tries {
	return tries{
		pair:       "password:" + counter + ":" + network,
		everywhere: "password:" + counter,
		network:    "signin:" + network,
		known:      "known:" + counter + ":" + network,
		codes:      "wrongcodes:" + counter,
	}
}

// charge counts a try before it is made, so that tries at the same time are all
// counted, and returns how long to wait instead of making it.
//
// A network that the person signed in from before is exempt from what others
// did elsewhere: an attacker slows only the network that they use (AT-51).
func charge(tx *store.Tx, t tries) (wait time.Duration, err error) {
	known, err := tx.FindThrottle(t.known)
	if err != nil {
		return 0, err
	}
	pair, err := tx.LockThrottle(t.pair)
	if err != nil {
		return 0, err
	}
	if wait = pair.Until.Sub(tx.Now); wait > 0 {
		return wait, nil
	}
	all, err := tx.LockThrottle(t.everywhere)
	if err != nil {
		return 0, err
	}
	if !known.Until.After(tx.Now) {
		if all.Count >= hardStop {
			return longestWait, nil
		}
		if ok, wait, err := tx.Hit(t.network, networkWindow, networkTries); err != nil || !ok {
			return wait, err
		}
	}
	slow(&pair, tx.Now)
	if err := tx.PutThrottle(pair); err != nil {
		return 0, err
	}
	all.Count, all.Since, all.Until = all.Count+1, tx.Now, tx.Now.Add(knownFor) // kept until a proof lifts it
	return 0, tx.PutThrottle(all)
}

// slow counts one more try, and sets how long the next one waits.
func slow(t *store.Throttle, now time.Time) {
	if now.Sub(t.Since) > forgetTries {
		t.Count = 0
	}
	t.Count, t.Since = t.Count+1, now
	if over := t.Count - freeTries; over > 0 {
		t.Until = now.Add(min(time.Minute<<min(over-1, 10), longestWait))
	}
}

// lift forgets a person's wrong passwords and codes after a proof of who they are.
func lift(tx *store.Tx, t tries) error {
	for _, name := range []string{t.codes, t.pair, t.everywhere} {
		if err := tx.DeleteThrottle(name); err != nil {
			return err
		}
	}
	return nil
}

// know notes that a person uses this network, which is exempt from what others
// do elsewhere: not before all is proved that they are asked for.
func know(tx *store.Tx, t tries) error {
	return tx.PutThrottle(store.Throttle{Name: t.known, Count: 1, Since: tx.Now, Until: tx.Now.Add(knownFor)})
}

func badPassword() *fault.Error { return fault.New(fault.Unauthenticated, "si.bad") }

// SignIn signs a person in with a password, in place of prev, their visitor's
// session (nil for none). Who is unknown or locked gets the same answer as who types a
// wrong password, after the same time. Whose account is closed is told so, by
// any way to sign in, but only once all is proved that they are asked for.
//
// A temporary password gives a session of scope set-password. One that was not
// used in time is refused, and says so, since whoever types it knows it.
func (s *Service) SignIn(ctx context.Context, prev *Session, address, password, origin, client string) (*Session, error) {
	canonical, counter := typed(address)
	t := triesOf(counter, store.Network(origin))
	var u store.User
	var was store.Password
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, was = store.User{}, store.Password{}
		wait, err := charge(tx, t)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return fault.Wait("si.locked", wait), refuseAddress(tx, canonical, "session.signin", origin, "si.locked")
		}
		u, err = tx.FindUserByAddress(canonical)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		was, err = tx.FindPassword(u.ID)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	match, stale, err := s.verify(ctx, was.Hash, password)
	if err != nil {
		return nil, err
	}
	again := ""
	if match && stale {
		if again, err = s.hash(ctx, password); err != nil {
			return nil, err
		}
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: origin}
		if !match {
			return badPassword(), refusePerson(tx, u, "session.signin", origin, "si.bad")
		}
		u, err := tx.LockUser(actor.UserID)
		if errors.Is(err, store.ErrNotFound) {
			return badPassword(), nil
		} else if err != nil {
			return nil, err
		}
		now, err := tx.FindPassword(u.ID)
		if err != nil {
			return nil, err
		}
		ok, err := mayProve(tx, u)
		if err != nil {
			return nil, err
		}
		if !ok || now.Hash != was.Hash {
			return badPassword(), refusePerson(tx, u, "session.signin", origin, "si.bad")
		}
		if u.Temporary && !u.TemporaryUntil.After(tx.Now) {
			return fault.New(fault.Unauthenticated, "people.tempexpired"), refusePerson(tx, u, "session.signin", origin, "people.tempexpired")
		}
		if again != "" {
			if err := tx.SetPasswordHash(u.ID, again); err != nil {
				return nil, err
			}
		}
		out, err = s.enter(tx, prev, u, proof{method: store.MethodPassword}, t, actor, "password", client)
		return nil, err
	})
	return out, err
}

// mayEnter reports whether a person may sign in.
func mayEnter(tx *store.Tx, u store.User) (bool, error) {
	if ok, err := mayProve(tx, u); err != nil || !ok {
		return false, err
	}
	shut, err := closedTo(tx, u)
	return shut == nil, err
}

// mayProve reports whether a person may try to: who may not is answered as if
// there were nobody. An account that is closed they hear of at the end.
func mayProve(tx *store.Tx, u store.User) (bool, error) {
	if u.State != store.UserActive {
		return false, nil
	}
	if u.AccountID == 0 {
		return true, nil
	}
	a, err := tx.FindAccount(u.AccountID)
	return a.State != store.AccountDeleted, err
}

// closed is the answer to a person who has proved who they are, in an account
// that lets nobody in.
type closed struct {
	user        store.User
	origin, how string
	fault       *fault.Error
}

func (c *closed) Error() string { return c.fault.Error() }
func (c *closed) Unwrap() error { return c.fault }

// closedTo is why a person's account does not let them in, nil when it does. One
// that is being deleted lets its administrators in, who can cancel that, unless it
// was suspended before.
func closedTo(tx *store.Tx, u store.User) (*closed, error) {
	if u.AccountID == 0 {
		return nil, nil
	}
	a, err := tx.FindAccount(u.AccountID)
	if err != nil || a.State == store.AccountActive {
		return nil, err
	}
	key := "si.suspended"
	if a.State == store.AccountDeleting && a.Deletion.Before == store.AccountActive {
		if admin, err := tx.Administers(u.ID, a.ID); err != nil || admin {
			return nil, err
		}
		key = "si.deleting"
	}
	return &closed{user: u, fault: fault.New(fault.Unauthenticated, key).With("org", a.Name)}, nil
}

// enter is the end of every way to sign in. What it makes may be a session that
// only asks for the second factor, or for a code mailed to its person, who is
// told of each sign-in with a password that an administrator typed.
func (s *Service) enter(tx *store.Tx, prev *Session, u store.User, p proof, t tries, actor Actor, how, client string) (*Session, error) {
	if err := lift(tx, t); err != nil {
		return nil, err
	}
	if u.Temporary || u.TypedBy != "" && p.mailbox { // one page, in one place; and whoever came in before its person did
		keep := ""
		if prev != nil {
			keep = prev.Hash // what was proved in it counts
		}
		if _, err := tx.DeleteUserSessions(u.ID, keep); err != nil {
			return nil, err
		}
	}
	if p.second { // it is not lost
		if err := s.endLift(tx, u, actor.Origin, how); err != nil {
			return nil, err
		}
	}
	out, err := signIn(tx, prev, u, p, client)
	var shut *closed
	if errors.As(err, &shut) {
		shut.origin, shut.how = actor.Origin, how
	}
	if err != nil {
		return nil, err
	}
	switch out.Scope {
	case store.ScopeSecond:
		return out, record(tx, actor, "session.first", u.AccountID, u.Address, "how", how)
	case store.ScopeMailbox:
		return out, record(tx, actor, "session.unproved", u.AccountID, u.Address, "how", how)
	case store.ScopeSetSecond:
		return out, record(tx, actor, "session.second_missing", u.AccountID, u.Address, "how", how)
	}
	if u.Given {
		if err := s.tellGiven(tx, u, actor.Origin); err != nil {
			return nil, err
		}
	}
	if err := know(tx, t); err != nil {
		return nil, err
	}
	return out, record(tx, actor, "session.signin", u.AccountID, u.Address, "how", how)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
