package account

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// How many codes one address is sent in an hour at most, whoever asks: those
// asked for from networks that its person never signed in from, and those from
// one that they did. Together 10 (AT-53): a stranger cannot use up the second.
const (
	codesForStrangers = 6
	codesForKnown     = 4
	codesPerNetwork   = 60
)

// How many wrong codes for one address are taken in a day, whoever types them,
// without one proof between. Beyond, only networks that its person signed in
// from before are listened to (AT-51); each code allows five tries, and codes
// that are asked for all day long would make that many.
const (
	wrongCodes  = 50
	wrongWindow = 24 * time.Hour
)

// codeStop returns how long codes for a person are refused to one network, and
// holds their count until the transaction ends.
func codeStop(tx *store.Tx, t tries) (wait time.Duration, err error) {
	known, err := tx.FindThrottle(t.known)
	if err != nil || known.Until.After(tx.Now) {
		return 0, err
	}
	wrong, err := tx.LockThrottle(t.codes)
	if err != nil || wrong.Count < wrongCodes {
		return 0, err
	}
	return max(0, wrong.Since.Add(wrongWindow).Sub(tx.Now)), nil
}

// countWrongCode counts; the window begins with its first.
func countWrongCode(tx *store.Tx, t tries) error {
	_, _, err := tx.Hit(t.codes, wrongWindow, wrongCodes)
	return err
}

// SendSignInCode mails a code that signs the person of an address in, in this
// session. It answers the same whether or not there is such a person.
func (s *Service) SendSignInCode(ctx context.Context, sess *Session, address, origin string) error {
	return s.sendCode(ctx, sess, store.CodeSignIn, address, origin)
}

// SendRecoverCode mails a code with which the person of an address chooses a new
// password, in this session. It answers the same whether or not there is one.
func (s *Service) SendRecoverCode(ctx context.Context, sess *Session, address, origin string) error {
	return s.sendCode(ctx, sess, store.CodeRecover, address, origin)
}

func (s *Service) sendCode(ctx context.Context, sess *Session, purpose, address, origin string) error {
	if sess == nil {
		return ended()
	}
	defer s.settle(ctx, time.Now())
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		if _, err := tx.LockSession(sess.Hash); errors.Is(err, store.ErrNotFound) {
			return ended(), nil
		} else if err != nil {
			return nil, err
		}
		return s.mailCode(tx, sess.Hash, purpose, address, origin)
	})
}

// settle waits until an answer that began then has taken its time: a mail to
// write takes longer than none, which would tell who has a user (AT-52).
func (s *Service) settle(ctx context.Context, begun time.Time) {
	if s.pause <= 0 {
		return
	}
	select {
	case <-time.After(s.pause - time.Since(begun)):
	case <-ctx.Done():
	}
}

func (s *Service) mailCode(tx *store.Tx, session, purpose, address, origin string) (answer, err error) {
	canonical, counter := typed(address)
	net := store.Network(origin)
	if wait, err := codeStop(tx, triesOf(counter, net)); err != nil || wait > 0 {
		return fault.Wait("code.toomany", wait), err
	}
	if ok, wait, err := tx.Hit("codes:"+net, time.Hour, codesPerNetwork); err != nil || !ok {
		return fault.Wait("code.toomany", wait), err
	}
	known, err := tx.FindThrottle(triesOf(counter, net).known)
	if err != nil {
		return nil, err
	}
	name, limit := "code:"+counter, codesForStrangers
	if known.Until.After(tx.Now) {
		name, limit = "code:"+counter+":known", codesForKnown
	}
	if ok, wait, err := tx.Hit(name, time.Hour, limit); err != nil || !ok {
		return fault.Wait("code.toomany", wait), err
	}
	code := id.NewCode()
	until := tx.Now.Add(CodeLimit)
	if err := tx.InsertCode(store.Code{
		ID: id.New(), TokenHash: session, Purpose: purpose, Address: canonical,
		CodeHash: s.codeHash(session, purpose, canonical, code), ExpiresAt: until,
	}); err != nil {
		return nil, err
	}
	to, lang, err := reader(tx, session, purpose, canonical)
	if err != nil || to.IsZero() {
		return nil, err
	}
	return nil, s.c.Post.Code(tx, CodeLetter{To: to, Language: lang, Code: code, Purpose: purpose, Until: until})
}

// reader is who is sent a code for an address, and their language: its user, if
// there is one who may sign in; for an alias the address as it was typed.
func reader(tx *store.Tx, session, purpose, address string) (to mailaddr.Address, lang string, err error) {
	if purpose == store.CodeAlias {
		sess, err := tx.FindSession(session)
		if err != nil {
			return to, "", err
		}
		u, err := tx.FindUser(sess.UserID)
		if err != nil {
			return to, "", err
		}
		to, err = mailaddr.Parse(address)
		return to, u.Language, err
	}
	u, err := tx.FindUserByAddress(address)
	if errors.Is(err, store.ErrNotFound) {
		return to, "", nil
	} else if err != nil {
		return to, "", err
	}
	if ok, err := mayProve(tx, u); err != nil || !ok {
		return to, "", err
	}
	to, err = mailbox(u)
	return to, u.Language, err
}

func (s *Service) codeHash(session, purpose, address, code string) string {
	return hex.EncodeToString(s.c.Root.MAC("account/code", []byte(session), []byte(purpose), []byte(address), []byte(code)))
}

// tryCode compares what was typed with the session's live code. Its answer, if
// any, is the refusal; a right code is not used up yet.
func (s *Service) tryCode(tx *store.Tx, sess *Session, purpose, code, origin string) (c store.Code, answer, err error) {
	c, err = tx.FindLiveCode(sess.Hash, purpose, "")
	if errors.Is(err, store.ErrNotFound) {
		return c, fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil), nil
	} else if err != nil {
		return c, nil, err
	}
	_, counter := typed(c.Address)
	t := triesOf(counter, store.Network(origin))
	if wait, err := codeStop(tx, t); err != nil {
		return c, nil, err
	} else if wait > 0 {
		f := fault.Wait("code.toomany", wait)
		return c, f, refuseCode(tx, sess, c, origin, f)
	}
	if !c.ExpiresAt.After(tx.Now) {
		if answer, err = s.mailCode(tx, sess.Hash, purpose, c.Address, origin); answer == nil {
			answer = fault.New(fault.Invalid, "code.old").In("code", "code.old", nil)
		}
		return c, answer, err
	}
	code = strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code)
	want := s.codeHash(sess.Hash, purpose, c.Address, code)
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.CodeHash)) == 1 {
		return c, nil, nil
	}
	if err := countWrongCode(tx, t); err != nil {
		return c, nil, err
	}
	n, err := tx.CountTry(c.ID)
	if err != nil {
		return c, nil, err
	}
	if n >= CodeTries {
		dead := fault.New(fault.TooMany, "people.nocode").In("code", "people.nocode", nil)
		if err := refuseCode(tx, sess, c, origin, dead); err != nil {
			return c, nil, err
		}
		return c, dead, tx.EndCode(c.ID, store.CodeDead)
	}
	args := fault.Args{"n": CodeTries - n}
	wrong := fault.New(fault.Invalid, "code.wrong").With("n", CodeTries-n).In("code", "code.wrong", args)
	return c, wrong, refuseCode(tx, sess, c, origin, wrong)
}

// useCode ends a right code and returns its person, held until the transaction ends.
func useCode(tx *store.Tx, c store.Code) (u store.User, answer, err error) {
	gone := fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil)
	if err := tx.EndCode(c.ID, store.CodeUsed); errors.Is(err, store.ErrNotFound) {
		return u, gone, nil // used at the same moment
	} else if err != nil {
		return u, nil, err
	}
	u, err = tx.FindUserByAddress(c.Address)
	if err == nil {
		u, err = tx.LockUser(u.ID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return u, gone, nil
	} else if err != nil {
		return u, nil, err
	}
	if ok, err := mayProve(tx, u); err != nil || !ok {
		return u, gone, err
	}
	return u, nil, nil
}

// SignInWithCode signs a person in with the code that SendSignInCode mailed for
// this session, and lifts what wrong passwords set.
func (s *Service) SignInWithCode(ctx context.Context, sess *Session, code, origin, client string) (*Session, error) {
	if sess == nil {
		return nil, ended()
	}
	var out *Session
	begun := time.Now()
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		c, answer, err := s.tryCode(tx, sess, store.CodeSignIn, code, origin)
		if answer != nil || err != nil {
			return answer, err
		}
		u, answer, err := useCode(tx, c)
		if answer != nil || err != nil {
			return answer, err
		}
		_, counter := typed(c.Address)
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Origin: origin}
		out, err = s.enter(tx, sess, u, proof{method: store.MethodCode, mailbox: true}, triesOf(counter, store.Network(origin)), actor, "code", client)
		return nil, err
	})
	if fault.HasKey(err, "code.old") { // another was mailed, to whoever is there
		s.settle(ctx, begun)
	}
	return out, err
}

// Recover sets a new password with the code that SendRecoverCode mailed for this
// session, ends the person's sessions and API tokens, and signs them in.
func (s *Service) Recover(ctx context.Context, sess *Session, code, password, confirm string) (*Session, error) {
	if sess == nil {
		return nil, ended()
	}
	var c store.Code
	begun := time.Now()
	if err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		c, answer, err = s.tryCode(tx, sess, store.CodeRecover, code, sess.Origin)
		return answer, err
	}); err != nil {
		if fault.HasKey(err, "code.old") {
			s.settle(ctx, begun)
		}
		return nil, err
	}
	var was store.Password
	var about []string
	var number int64
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		u, err := tx.FindUserByAddress(c.Address)
		if err != nil {
			return err
		}
		number, about = u.AccountID, []string{u.FirstName, u.LastName, u.Address}
		was, err = tx.FindPassword(u.ID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil)
	} else if err != nil {
		return nil, err
	}
	old := "" // whoever has forgotten a password of their own may choose it again
	if was.Temporary || was.Given {
		old = was.Hash
	}
	phc, err := s.newHash(ctx, number, old, password, confirm, about...)
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		u, answer, err := useCode(tx, c)
		if answer != nil || err != nil {
			return answer, err
		}
		out, err = s.recovered(tx, sess, u, phc, "recover")
		return nil, err
	})
	return out, err
}

// recovered gives a person, who has just proved their mailbox, a new password,
// ends their sessions and signs them in, in place of sess.
func (s *Service) recovered(tx *store.Tx, sess *Session, u store.User, phc, how string) (*Session, error) {
	if err := tx.SetPassword(u.ID, store.Password{Hash: phc}); err != nil {
		return nil, err
	}
	if _, err := tx.DeleteUserSessions(u.ID, sess.Hash); err != nil {
		return nil, err
	}
	if _, err := endTokens(tx, Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Origin: sess.Origin}, u); err != nil {
		return nil, err
	}
	if err := s.tellPasswordChanged(tx, u, sess.Origin); err != nil {
		return nil, err
	}
	u.Temporary, u.Given, u.TypedBy, u.ChosenAt = false, false, "", tx.Now
	actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Origin: sess.Origin}
	if err := record(tx, actor, "password.recover", u.AccountID, u.Address); err != nil {
		return nil, err
	}
	_, counter := typed(u.Address)
	return s.enter(tx, sess, u, proof{method: store.MethodCode, mailbox: true}, triesOf(counter, store.Network(sess.Origin)), actor, how, sess.Client)
}
