package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Session is a browser or a terminal, as one cookie or bearer token knows it.
type Session struct {
	Token     id.Token
	Hash      string // of Token: what the database knows it by
	Scope     string // store.ScopeVisitor, ScopeSecond, ScopeMailbox, ScopeSetPassword, ScopeSetSecond or ScopeFull
	Address   string // canonical, proven in this session by a code or a password of one's own; "" = none
	UserID    string // "" for a visitor
	User      *store.User
	Account   *store.Account  // of the user, nil when they belong to none
	groups    []string        // layers of the groups that the user is in
	APIToken  *store.APIToken // by which it is known instead of by a session; nil in all others
	AdminOf   []int64         // numbers of the accounts in which the user has some right
	Operator  bool            // the user runs the service, once they have proved a second factor: see OperatorLimit
	Factors   bool            // of an operator: they have a second factor
	Nonce     []byte          // 32 bytes, for proofs of possession
	Client    string          // browser or terminal
	Method    string          // what it was proved by: store.MethodCode and its like; "" = nothing
	SecondAt  time.Time       // when a second factor was last proved in it
	Origin    string          // network address; for whoever received the request to fill
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time // absolute end
}

// Settings are what holds for what the session's user does as one of their
// account, which they must have.
func (s *Session) Settings() (policy.Settings, error) {
	k, err := policy.ReadStack(s.Account.Settings)
	if err == nil {
		k.Groups, err = policy.ReadLayers(s.groups)
	}
	return k.Settings(), err
}

// SignedIn reports whether the session is a person's who may do what they have the right to.
func (s *Session) SignedIn() bool { return s != nil && s.User != nil && s.Scope == store.ScopeFull }

// SecondDue reports whether the session's person needs a second factor that they
// do not have, and may still go without one.
func (s *Session) SecondDue() bool {
	return s.SignedIn() && !s.User.Second && !s.User.SecondDue.IsZero()
}

// setsSecond reports whether the session's person may do nothing but set up a second factor.
func (s *Session) setsSecond() bool {
	return s != nil && s.User != nil && s.Scope == store.ScopeSetSecond
}

func ended() *fault.Error {
	return fault.New(fault.Unauthenticated, "sess.p").With("n", int(IdleLimit/time.Minute))
}

// visitsPerNetwork is how many visitors' sessions one network begins in an hour:
// nobody has proved anything for them, and each is a row.
const visitsPerNetwork = 600

// newSession makes a session that is not in the database yet.
func newSession(now time.Time, limit time.Duration, client string) (id.Token, store.Session) {
	token := id.NewToken()
	nonce := make([]byte, 32)
	rand.Read(nonce)
	if r := []rune(client); len(r) > 200 {
		client = string(r[:200])
	}
	return token, store.Session{
		TokenHash: token.Hash(), Scope: store.ScopeVisitor, Nonce: hex.EncodeToString(nonce), Client: client,
		CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(limit),
	}
}

// Visit begins the session of a visitor from a network address. It ends soon
// unless they prove something in it. Too many from one network give e429.p.
func (s *Service) Visit(ctx context.Context, client, origin string) (*Session, error) {
	var out *Session
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		if ok, wait, err := tx.Hit("visit:"+store.Network(origin), time.Hour, visitsPerNetwork); err != nil || !ok {
			return fault.Wait("e429.p", wait), err
		}
		token, row := newSession(tx.Now, VisitLimit, client)
		if err := tx.InsertSession(row); err != nil {
			return nil, err
		}
		out, err = view(tx, token, row)
		return nil, err
	})
	return out, err
}

// Session returns the session of a token. One that is unknown, has ended or
// whose person may no longer sign in gives Unauthenticated.
func (s *Service) Session(ctx context.Context, token id.Token) (*Session, error) {
	if token.IsZero() {
		return nil, ended()
	}
	var out *Session
	var now time.Time
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		now = tx.Now
		row, err := tx.FindSession(token.Hash())
		if err != nil {
			return err
		}
		idle := IdleLimit
		if row.UserID == "" && row.Address == "" {
			idle = VisitLimit // there is nothing in it yet to protect
		}
		if !row.ExpiresAt.After(tx.Now) || !row.SeenAt.Add(idle).After(tx.Now) {
			return ended()
		}
		out, err = view(tx, token, row)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ended()
	}
	if err != nil {
		return nil, err
	}
	if now.Sub(out.SeenAt) > time.Minute { // to the minute is enough, and saves a write per page
		err = s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.TouchSession(out.Hash) })
	}
	return out, err
}

// view reads what belongs to a row of sessions.
func view(tx *store.Tx, token id.Token, row store.Session) (*Session, error) {
	nonce, err := hex.DecodeString(row.Nonce)
	if err != nil {
		return nil, err
	}
	out := &Session{
		Token: token, Hash: row.TokenHash, Scope: row.Scope, Address: row.Address, UserID: row.UserID, Nonce: nonce, Client: row.Client,
		Method: row.Method, SecondAt: row.SecondAt,
		CreatedAt: row.CreatedAt, SeenAt: row.SeenAt, ExpiresAt: row.ExpiresAt,
	}
	if row.UserID == "" {
		return out, nil
	}
	u, err := tx.FindUser(row.UserID)
	if err != nil {
		return nil, err
	}
	if u.State != store.UserActive {
		return nil, ended()
	}
	out.User = &u
	if row.Scope == store.ScopeFull && row.Unproved(u) { // whoever has got rights since
		more, err := tx.BeyondTypist(u)
		if err != nil {
			return nil, err
		}
		if more {
			out.Scope = store.ScopeMailbox
		}
	}
	if out.Scope == store.ScopeFull {
		if out.Operator, err = tx.IsOperator(u.ID); err != nil {
			return nil, err
		}
	}
	if out.Operator {
		if out.Factors, err = tx.HasSecondFactor(u.ID); err != nil {
			return nil, err
		}
	}
	if u.AccountID == 0 {
		return out, nil
	}
	a, err := tx.FindAccount(u.AccountID)
	if err != nil {
		return nil, err
	}
	if a.State != store.AccountActive { // in one that is closed a session asks for what is still to be proved
		shut, err := closedTo(tx, u)
		if err != nil {
			return nil, err
		}
		if shut != nil && (row.Scope == store.ScopeFull || row.Scope == store.ScopeSetPassword) || a.State == store.AccountDeleted {
			return nil, ended()
		}
	}
	out.Account = &a
	if out.groups, err = tx.ListGroupLayers(a.ID, u.ID); err != nil {
		return nil, err
	}
	if out.Scope == store.ScopeFull {
		out.AdminOf, err = tx.ListHeldAccounts(u.ID)
	}
	return out, err
}

// proof is what somebody has just shown of who they are.
type proof struct {
	method  string    // store.MethodCode and its like
	mailbox bool      // that they read their mail
	second  bool      // a second factor, too
	at      time.Time // when, zero = now
}

// signIn puts a new session of u in the place of prev (which may be nil): a
// session never gains a right, another with another token does (AT-43). Who has
// a second factor, and has not proved it in prev or just now, gets a session
// that can do nothing else (AT-50). Whose account is closed gets none at the
// end, and a *closed.
func signIn(tx *store.Tx, prev *Session, u store.User, p proof, client string) (*Session, error) {
	token, row := newSession(tx.Now, SessionLimit, client)
	row.UserID, row.Scope, row.Method = u.ID, store.ScopeFull, p.method
	if !p.at.IsZero() && p.at.Before(tx.Now) {
		row.CreatedAt = p.at
	}
	old, trusted := "", false
	if prev != nil {
		was, err := tx.LockSession(prev.Hash)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && (was.UserID == "" || was.UserID == u.ID) {
			old = was.TokenHash
			p.mailbox = p.mailbox || was.Address == u.Address
			if was.UserID == u.ID {
				row.SecondAt, trusted = was.SecondAt, was.Scope == store.ScopeFull
				if trusted && was.CreatedAt.After(row.CreatedAt) {
					row.CreatedAt = was.CreatedAt // p is older than what was proved in it
				}
				if was.Method != "" && was.Method != store.MethodCode { // it proves most
					row.Method = was.Method
				}
			}
		} else if err == nil {
			if err := tx.DeleteSession(was.TokenHash); err != nil {
				return nil, err
			}
		}
	}
	// The password that an administrator typed proves no mailbox: whoever types
	// it would otherwise open what is sent to an address that they only named.
	if p.mailbox || !u.Managed {
		row.Address = u.Address
	}
	if p.mailbox {
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name()}
		if prev != nil {
			actor.Origin = prev.Origin
		}
		if err := moveAlias(tx, actor, u.Address); err != nil {
			return nil, err
		}
	}
	if p.second {
		row.SecondAt = tx.Now
	}
	ask, err := tx.HasSecondFactor(u.ID)
	if err != nil {
		return nil, err
	}
	due, err := secondDue(tx, &u, ask)
	if err != nil {
		return nil, err
	}
	aged, err := tooOld(tx, u, row.Method)
	if err != nil {
		return nil, err
	}
	owes, setsUp := false, !trusted && !due.IsZero() && !due.After(tx.Now)
	if !trusted {
		if owes, err = owesMailbox(tx, u, p, setsUp); err != nil {
			return nil, err
		}
	}
	switch {
	case ask && !trusted && row.SecondAt.IsZero():
		row.Scope, row.ExpiresAt = store.ScopeSecond, tx.Now.Add(SecondLimit)
	case owes:
		row.Scope, row.ExpiresAt = store.ScopeMailbox, tx.Now.Add(SecondLimit)
	case u.Temporary || aged && !trusted:
		row.Scope, row.ExpiresAt = store.ScopeSetPassword, tx.Now.Add(time.Hour)
	case setsUp:
		row.Scope, row.ExpiresAt = store.ScopeSetSecond, tx.Now.Add(time.Hour)
	}
	if row.Scope == store.ScopeFull || row.Scope == store.ScopeSetPassword {
		if shut, err := closedTo(tx, u); err != nil {
			return nil, err
		} else if shut != nil {
			return nil, shut
		}
	}
	if old != "" {
		err = tx.RotateSession(old, row)
	} else {
		err = tx.InsertSession(row)
	}
	if err != nil {
		return nil, err
	}
	if row.Scope == store.ScopeFull {
		if err := tx.SetSignedIn(u.ID); err != nil {
			return nil, err
		}
	}
	return view(tx, token, row)
}

// tooOld reports whether somebody signs in with a password that they set longer
// ago than their account lets one work.
func tooOld(tx *store.Tx, u store.User, method string) (bool, error) {
	if method != store.MethodPassword {
		return false, nil
	}
	set, err := settingsFor(tx, u)
	return set.PasswordDays > 0 && !u.ChosenAt.AddDate(0, 0, set.PasswordDays).After(tx.Now), err
}

// SignOut ends the session.
func (s *Service) SignOut(ctx context.Context, sess *Session) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSession(sess.Hash); err != nil || sess.User == nil {
			return err
		}
		return record(tx, person(sess), "session.signout", sess.User.AccountID, sess.User.Address)
	})
}

// SignOutOthers ends the person's other sessions and returns how many there were.
func (s *Service) SignOutOthers(ctx context.Context, sess *Session) (int, error) {
	if !sess.SignedIn() {
		return 0, ended()
	}
	var n int64
	err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if n, err = tx.DeleteUserSessions(sess.UserID, sess.Hash); err != nil {
			return err
		}
		return record(tx, person(sess), "session.signout_others", sess.User.AccountID, sess.User.Address)
	})
	return int(n), err
}

// SignOutDevice ends another session of the person, by its Device.ID. One that
// has ended already is no error.
func (s *Service) SignOutDevice(ctx context.Context, sess *Session, device string) error {
	if !sess.SignedIn() {
		return ended()
	}
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListSessions(sess.UserID)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if deviceID(r) != device || r.TokenHash == sess.Hash {
				continue
			}
			if err := tx.DeleteSession(r.TokenHash); err != nil {
				return err
			}
			return record(tx, person(sess), "session.signout_device", sess.User.AccountID, sess.User.Address)
		}
		return nil
	})
}

// deviceID names a session to its person, who does not need its whole hash.
func deviceID(r store.Session) string { return r.TokenHash[:16] }

// Device is one session in the list of a person's devices.
type Device struct {
	ID        string
	Client    string
	CreatedAt time.Time
	SeenAt    time.Time
	Current   bool
}

// Sessions lists the person's devices, last seen first.
func (s *Service) Sessions(ctx context.Context, sess *Session) ([]Device, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	var out []Device
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListSessions(sess.UserID)
		out = nil
		for _, r := range rows {
			if r.Scope == store.ScopeFull && r.SeenAt.Add(IdleLimit).After(tx.Now) || r.TokenHash == sess.Hash {
				out = append(out, Device{deviceID(r), r.Client, r.CreatedAt, r.SeenAt, r.TokenHash == sess.Hash})
			}
		}
		return err
	})
	return out, err
}

// person is whoever's session it is, for the records of what they do with
// their own things, before they may do more too.
func person(sess *Session) Actor {
	if sess.User == nil {
		return Actor{Origin: sess.Origin}
	}
	return Actor{Kind: KindUser, UserID: sess.User.ID, Address: sess.User.Address, Name: sess.User.Name(), Origin: sess.Origin, SessionHash: sess.Hash}
}
