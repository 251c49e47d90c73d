package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

const (
	stepSeconds   = 30             // seconds that a code of an authenticator app is for (RFC 6238)
	seedSize      = 20             // bytes
	setUpLimit    = time.Hour      // a seed that no code confirmed is forgotten
	recoveryCount = 10             // recovery codes of a person
	secondTries   = 100            // wrong codes of one person from networks that they do not use,
	secondWindow  = 24 * time.Hour //   in a day
)

// Factors is what a person can prove who they are with, beside a password and a
// mailed code.
type Factors struct {
	Passkeys      []Passkey
	Authenticator *Authenticator // nil: none that counts
	RecoveryLeft  int            // recovery codes
}

// Any reports whether there is a second factor.
func (f Factors) Any() bool { return len(f.Passkeys) > 0 || f.Authenticator != nil }

// Passkey is one in the list of a person's.
type Passkey struct {
	ID, Name  string
	CreatedAt time.Time
	UsedAt    time.Time
}

// Authenticator is the app that shows a person codes.
type Authenticator struct {
	CreatedAt time.Time
	UsedAt    time.Time
}

// owner returns the person whose second factor a session may prove: the one who
// signed in, or tries to; for a visitor the one whose address they proved. The
// session's row is held until the transaction ends. Fault: sess.p.
func owner(tx *store.Tx, sess *Session) (u store.User, row store.Session, err error) {
	if sess == nil {
		return u, row, ended()
	}
	row, err = tx.FindSession(sess.Hash)
	switch {
	case err == nil && row.UserID != "":
		u, err = tx.LockUser(row.UserID)
	case err == nil && row.Address != "":
		if u, err = tx.FindUserByAddress(row.Address); err == nil {
			u, err = tx.LockUser(u.ID)
		}
	case err == nil:
		return u, row, ended()
	}
	if err == nil { // the user first, as everywhere
		row, err = tx.LockSession(sess.Hash)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !row.ExpiresAt.After(tx.Now) {
		return u, row, ended()
	} else if err != nil {
		return u, row, err
	}
	ok, err := mayProve(tx, u)
	if err == nil && !ok {
		err = ended()
	}
	return u, row, err
}

// Factors returns what the session's person can prove who they are with: of who
// signed in, or tries to, or of whom a visitor proved the address. There are
// none where there is no such person.
func (s *Service) Factors(ctx context.Context, sess *Session) (Factors, error) {
	var out Factors
	if sess == nil || sess.UserID == "" && sess.Address == "" {
		return out, nil
	}
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = Factors{}
		user := sess.UserID
		if user == "" {
			u, err := tx.FindUserByAddress(sess.Address)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
			user = u.ID
		}
		keys, err := tx.ListPasskeys(user)
		if err != nil {
			return err
		}
		for _, k := range keys {
			out.Passkeys = append(out.Passkeys, Passkey{k.ID, k.Name, k.CreatedAt, k.UsedAt})
		}
		a, err := tx.FindAuthenticator(user)
		if err == nil && !a.ConfirmedAt.IsZero() {
			out.Authenticator = &Authenticator{a.ConfirmedAt, a.UsedAt}
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		out.RecoveryLeft, err = tx.CountRecoveryCodes(user)
		return err
	})
	return out, err
}

func orEnded(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ended()
	}
	return err
}

// changeFactors does fn for the person who signed in, if their proof is recent
// enough, or who may do nothing else. Faults: sess.p, second.again, proof.again.
func (s *Service) changeFactors(ctx context.Context, sess *Session, fn func(tx *store.Tx, u store.User, row store.Session) error) error {
	if !sess.SignedIn() && !sess.setsSecond() {
		return ended()
	}
	return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, row, answer, err := provedLately(tx, sess)
		if answer != nil || err != nil {
			return answer, err
		}
		return nil, fn(tx, u, row)
	})
}

// mailFactor mails a change of what proves who a person is, to one of their addresses.
func (s *Service) mailFactor(tx *store.Tx, u store.User, l FactorLetter, address string) (err error) {
	if l.To, err = mailaddr.Parse(address); err != nil {
		return err
	}
	l.Language, l.TimeZone, l.At = u.Language, u.TimeZone, tx.Now
	return s.c.Post.FactorChanged(tx, l)
}

// tellFactor records a change of a person's factors, and mails it to them.
func (s *Service) tellFactor(tx *store.Tx, sess *Session, u store.User, what, name string) error {
	if err := s.mailFactor(tx, u, FactorLetter{What: what, Name: name, Place: sess.Origin}, u.DisplayAddress); err != nil {
		return err
	}
	actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
	return record(tx, actor, action("factor."+what), u.AccountID, u.Address, "name", name)
}

// chargeSecond counts a try to prove a second factor before it is made, and
// returns how long to wait instead of making it. What others type elsewhere
// slows neither a network that its person uses nor a recovery code, so that
// nobody is kept out for good.
func chargeSecond(tx *store.Tx, u store.User, network string, recovery bool) (wait time.Duration, err error) {
	pair, err := tx.LockThrottle("second:" + u.ID + ":" + network)
	if err != nil {
		return 0, err
	}
	if wait = pair.Until.Sub(tx.Now); wait > 0 {
		return wait, nil
	}
	_, counter := typed(u.Address)
	known, err := tx.FindThrottle(triesOf(counter, network).known)
	if err != nil {
		return 0, err
	}
	if !recovery && !known.Until.After(tx.Now) {
		if ok, wait, err := tx.Hit("second:"+u.ID, secondWindow, secondTries); err != nil || !ok {
			return wait, err
		}
	}
	slow(&pair, tx.Now)
	return 0, tx.PutThrottle(pair)
}

// ProveSecond takes a code of the person's authenticator app, or one of their
// recovery codes, and returns the session that goes on: of who tries to sign in
// it is theirs in full, another is what it was, with SecondAt now. The old one
// is dead (AT-43). Each code is taken once (AT-45).
// Faults: sess.p, second.wrong, recovery.wrong, second.locked{n}.
func (s *Service) ProveSecond(ctx context.Context, sess *Session, code string) (*Session, error) {
	var out *Session
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		u, row, err := owner(tx, sess)
		if err != nil {
			return nil, err
		}
		code := strings.Map(func(r rune) rune {
			if strings.ContainsRune("-\u2010\u2011 \u00a0\u202f\t", r) {
				return -1
			}
			return r
		}, strings.ToLower(code))
		recovery := len(code) > 8
		wait, err := chargeSecond(tx, u, store.Network(sess.Origin), recovery)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return fault.Wait("second.locked", wait), refusePerson(tx, u, "session.second", sess.Origin, "second.locked")
		}
		how, wrong := "authenticator", "second.wrong"
		if recovery {
			how, wrong = "recovery", "recovery.wrong"
			err = tx.UseRecoveryCode(u.ID, s.recoveryHash(u.ID, code))
		} else {
			err = s.useStep(tx, u, code, true)
		}
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Invalid, wrong).In("code", wrong, nil), refusedSecond(tx, sess, u, how)
		} else if err != nil {
			return nil, err
		}
		if recovery {
			if err := s.tellFactor(tx, sess, u, FactorRecoveryUsed, ""); err != nil {
				return nil, err
			}
		}
		out, err = s.proved(tx, sess, u, row, how)
		return nil, err
	})
	return out, err
}

func refusedSecond(tx *store.Tx, sess *Session, u store.User, how string) error {
	return refusePerson(tx, u, "session.second", sess.Origin, "second.wrong", "how", how)
}

// proved is the end of every proof of a second factor.
func (s *Service) proved(tx *store.Tx, sess *Session, u store.User, row store.Session, how string) (*Session, error) {
	network := store.Network(sess.Origin)
	if err := tx.DeleteThrottle("second:" + u.ID + ":" + network); err != nil {
		return nil, err
	}
	if err := tx.DeleteThrottle("second:" + u.ID); err != nil {
		return nil, err
	}
	actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
	if row.Scope == store.ScopeSecond {
		_, counter := typed(u.Address)
		return s.enter(tx, sess, u, proof{method: row.Method, second: true}, triesOf(counter, network), actor, row.Method+"+"+how, sess.Client)
	}
	if err := s.endLift(tx, u, sess.Origin, how); err != nil {
		return nil, err
	}
	if err := record(tx, actor, "session.second", u.AccountID, u.Address, "how", how); err != nil {
		return nil, err
	}
	row.SecondAt = tx.Now
	return renew(tx, row)
}

// renew puts a session with another token in the place of one in which
// something was proved (AT-43). It ends when that would have.
func renew(tx *store.Tx, row store.Session) (*Session, error) {
	old := row.TokenHash
	token, next := newSession(tx.Now, 0, row.Client)
	row.TokenHash, row.Nonce, row.CreatedAt = next.TokenHash, next.Nonce, tx.Now
	if err := tx.RotateSession(old, row); err != nil {
		return nil, err
	}
	row.SeenAt = tx.Now
	return view(tx, token, row)
}

// Confirm takes the person's password again, where they have no second factor
// to prove, and returns the session that goes on; the old one is dead.
func (s *Service) Confirm(ctx context.Context, sess *Session, password string) (*Session, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	was, err := s.passwordOf(ctx, sess.UserID)
	if err != nil {
		return nil, err
	}
	if err := s.checkCurrent(ctx, sess, was.Hash, password); err != nil {
		return nil, err
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		u, row, err := owner(tx, sess)
		if err != nil {
			return nil, err
		}
		now, err := tx.FindPassword(u.ID)
		if err != nil {
			return nil, err
		}
		if row.Scope != store.ScopeFull || now.Hash != was.Hash {
			return ended(), nil
		}
		if row.Method == store.MethodCode {
			row.Method = store.MethodPassword
		}
		if err := record(tx, person(sess), "session.confirm", u.AccountID, u.Address); err != nil {
			return nil, err
		}
		out, err = renew(tx, row)
		return nil, err
	})
	return out, err
}

// useStep takes a code of the person's authenticator: of this step, the one
// before or the one after, and never of a step that was taken (RFC 6238, section 5.2).
// What is no such code gives store.ErrNotFound.
func (s *Service) useStep(tx *store.Tx, u store.User, code string, confirmed bool) error {
	a, err := tx.FindAuthenticator(u.ID)
	if err != nil {
		return err
	}
	if a.ConfirmedAt.IsZero() == confirmed {
		return store.ErrNotFound
	}
	seed, err := s.c.Root.Open(seedPurpose(u.ID), a.SeedBox)
	if err != nil {
		return err
	}
	now, taken := tx.Now.Unix()/stepSeconds, int64(0)
	for n := now - 1; n <= now+1; n++ {
		right, err := hotp.GenerateCode(seedText.EncodeToString(seed), uint64(n))
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(right), []byte(code)) == 1 && n > a.Step {
			taken = n
		}
	}
	if taken == 0 {
		return store.ErrNotFound
	}
	return tx.UseStep(u.ID, taken)
}

var seedText = base32.StdEncoding.WithPadding(base32.NoPadding)

func seedPurpose(userID string) string { return "authenticator/" + userID }

// SetUp is an authenticator app that is being set up.
type SetUp struct {
	URI  string // otpauth://…, for a QR code
	Seed string // base32, to type
}

// SetUpAuthenticator makes a new seed, which counts from when ConfirmAuthenticator
// has taken a code of it. Faults: sess.p, second.again, totp.there.
func (s *Service) SetUpAuthenticator(ctx context.Context, sess *Session) error {
	seed := make([]byte, seedSize)
	rand.Read(seed)
	err := s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
		box, err := s.c.Root.Seal(seedPurpose(u.ID), seed)
		if err != nil {
			return err
		}
		return tx.PutAuthenticator(u.ID, box)
	})
	if errors.Is(err, store.ErrTaken) {
		return fault.New(fault.Conflict, "totp.there").Because(err)
	}
	return err
}

// SettingUp returns the authenticator that the person is setting up. Faults:
// sess.p, totp.none.
func (s *Service) SettingUp(ctx context.Context, sess *Session) (SetUp, error) {
	if !sess.SignedIn() && !sess.setsSecond() {
		return SetUp{}, ended()
	}
	var a store.Authenticator
	var now time.Time
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		now = tx.Now
		a, err = tx.FindAuthenticator(sess.UserID)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return SetUp{}, err
	}
	if err != nil || !a.ConfirmedAt.IsZero() || now.Sub(a.CreatedAt) >= setUpLimit {
		return SetUp{}, fault.New(fault.NotFound, "totp.none")
	}
	seed, err := s.c.Root.Open(seedPurpose(sess.UserID), a.SeedBox)
	if err != nil {
		return SetUp{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: s.c.SiteName, AccountName: sess.User.DisplayAddress, Secret: seed})
	if err != nil {
		return SetUp{}, err
	}
	return SetUp{URI: key.String(), Seed: key.Secret()}, nil
}

// ConfirmAuthenticator takes the first code of the authenticator that the
// person is setting up: from now on it counts, and is proved in the session that
// goes on; the old one is dead. codes are the recovery codes that come with a
// person's first factor. Faults: sess.p, second.again, second.wrong, second.locked{n}.
func (s *Service) ConfirmAuthenticator(ctx context.Context, sess *Session, code string) (out *Session, codes []string, err error) {
	var refused error
	err = s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, row store.Session) (err error) {
		out, codes, refused = nil, nil, nil
		wait, err := chargeSecond(tx, u, store.Network(sess.Origin), false)
		if err != nil {
			return err
		}
		if wait > 0 {
			refused = fault.Wait("second.locked", wait)
			return nil
		}
		err = s.useStep(tx, u, strings.ReplaceAll(strings.TrimSpace(code), " ", ""), false)
		if errors.Is(err, store.ErrNotFound) {
			refused = fault.New(fault.Invalid, "second.wrong").In("code", "second.wrong", nil)
			return nil
		} else if err != nil {
			return err
		}
		if err := tx.DeleteThrottle("second:" + u.ID + ":" + store.Network(sess.Origin)); err != nil {
			return err
		}
		out, codes, err = s.added(tx, sess, u, row, FactorAuthenticatorAdded, "", func() error { return tx.ConfirmAuthenticator(u.ID) })
		return err
	})
	if err == nil {
		err = refused
	}
	return out, codes, err
}

// added is the end of adding a factor, which add does.
func (s *Service) added(tx *store.Tx, sess *Session, u store.User, row store.Session, what, name string, add func() error) (out *Session, codes []string, err error) {
	had, err := tx.HasSecondFactor(u.ID)
	if err != nil {
		return nil, nil, err
	}
	if err := add(); err != nil {
		return nil, nil, err
	}
	if err := s.tellFactor(tx, sess, u, what, name); err != nil {
		return nil, nil, err
	}
	if !had {
		if codes, err = s.putRecoveryCodes(tx, u); err != nil {
			return nil, nil, err
		}
	}
	if row.Scope == store.ScopeSetSecond { // now they are in
		_, counter := typed(u.Address)
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
		out, err = s.enter(tx, sess, u, proof{method: row.Method, second: true}, triesOf(counter, store.Network(sess.Origin)), actor, row.Method+"+"+what, sess.Client)
		return out, codes, err
	}
	row.SecondAt = tx.Now
	out, err = renew(tx, row)
	return out, codes, err
}

// RemoveAuthenticator forgets the person's authenticator. Faults: sess.p, second.again, second.needed.
func (s *Service) RemoveAuthenticator(ctx context.Context, sess *Session) error {
	return s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
		if err := tx.DeleteAuthenticator(u.ID); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := removed(tx, u); err != nil {
			return err
		}
		return s.tellFactor(tx, sess, u, FactorAuthenticatorRemoved, "")
	})
}

// NewRecoveryCodes replaces the person's recovery codes, used or not. Faults:
// sess.p, second.again, recovery.none without a second factor.
func (s *Service) NewRecoveryCodes(ctx context.Context, sess *Session) (codes []string, err error) {
	err = s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
		has, err := tx.HasSecondFactor(u.ID)
		if err != nil {
			return err
		}
		if !has {
			return fault.New(fault.Conflict, "recovery.none")
		}
		if codes, err = s.putRecoveryCodes(tx, u); err != nil {
			return err
		}
		return s.tellFactor(tx, sess, u, FactorRecoveryMade, "")
	})
	return codes, err
}

// putRecoveryCodes makes new ones. They are shown once: the database has their
// hashes, which say nothing without the root key.
func (s *Service) putRecoveryCodes(tx *store.Tx, u store.User) ([]string, error) {
	codes, hashes := make([]string, recoveryCount), make([]string, recoveryCount)
	for i := range codes {
		codes[i] = id.NewRecoveryCode()
		hashes[i] = s.recoveryHash(u.ID, strings.ReplaceAll(codes[i], "-", ""))
	}
	return codes, tx.PutRecoveryCodes(u.ID, hashes)
}

// removed is the end of removing a factor: with the last one go the recovery
// codes that stand for it. Who needs one keeps the last. Fault: second.needed.
func removed(tx *store.Tx, u store.User) error {
	has, err := tx.HasSecondFactor(u.ID)
	if err != nil || has {
		return err
	}
	if required, _, err := secondRule(tx, u); err != nil || required {
		return cmp.Or(err, error(fault.New(fault.Conflict, "second.needed")))
	}
	return tx.PutRecoveryCodes(u.ID, nil)
}

func (s *Service) recoveryHash(userID, code string) string {
	return hex.EncodeToString(s.c.Root.MAC("account/recovery", []byte(userID), []byte(code)))
}
