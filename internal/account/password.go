package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/matching"
	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/breached"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// Lengths of a password, in characters (code points after NFC).
const (
	MinTemporaryPassword = 8 // typed by an administrator: lives for days, opens one page
	MaxPassword          = 256
)

// problems gathers what is wrong with a form. The first is the fault's own text.
type problems struct{ fault *fault.Error }

func (p *problems) add(field, key string, args fault.Args) {
	if p.fault == nil {
		p.fault = fault.New(fault.Invalid, key)
		p.fault.Args = args
	}
	p.fault = p.fault.In(field, key, args)
}

func (p *problems) err() error {
	if p.fault == nil {
		return nil
	}
	return p.fault
}

// checkPassword finds what is wrong with a new password. about is what is known
// of its person: their names and address, which are the first guesses. One that
// they choose has least characters, and one that is temporary MinTemporaryPassword.
func (s *Service) checkPassword(p *problems, least int, password, confirm string, temporary bool, about ...string) {
	password = norm.NFC.String(password)
	if temporary {
		least = MinTemporaryPassword
	}
	n := utf8.RuneCountInString(password)
	switch {
	case n < least:
		p.add("password", "people.short", fault.Args{"n": least})
	case n > MaxPassword || !utf8.ValidString(password):
		p.add("password", "people.long", fault.Args{"n": MaxPassword})
	case s.isListed(password):
		p.add("password", "enrol.weak", nil)
	case isAbout(password, about) || !temporary && guessable(password, about):
		p.add("password", "people.guessable", nil)
	case norm.NFC.String(confirm) != password:
		p.add("confirm", "enrol.mismatch", nil)
	}
}

// isListed reports whether a password is in a list of stolen ones. A list that
// cannot be read lets it pass: the other rules hold, and nobody is kept from
// changing a password that is known.
func (s *Service) isListed(password string) bool {
	if breached.Common(password) {
		return true
	}
	if s.c.BreachedFile == "" {
		return false
	}
	listed, err := breached.InFile(s.c.BreachedFile, password)
	if err != nil {
		s.c.Log.Error("read the list of stolen passwords", "err", err)
	}
	return listed
}

// isAbout reports whether the password is hardly more than what is known of its person.
func isAbout(password string, about []string) bool {
	password = strings.ToLower(password)
	for _, a := range about {
		a = strings.ToLower(a)
		if a == "" {
			continue
		}
		if password == a || utf8.RuneCountInString(a) >= 4 && len(strings.ReplaceAll(password, a, "")) < 4 {
			return true
		}
	}
	return false
}

// plainer undoes the commonest signs that stand for letters. zxcvbn would try
// every combination of them, which takes seconds for a password made for that.
var plainer = strings.NewReplacer("4", "a", "@", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t")

// guessable asks zxcvbn, whose time grows with the square of the length: what
// is strong in its first 64 characters is strong.
func guessable(password string, about []string) bool {
	if r := []rune(password); len(r) > 64 {
		password = string(r[:64])
	}
	hints := []string{"pli"}
	for _, a := range about {
		hints = append(hints, strings.FieldsFunc(strings.ToLower(a), func(r rune) bool { return strings.ContainsRune("@. -_+", r) })...)
	}
	return min(zxcvbn.PasswordStrength(password, hints, matching.FilterL33tMatcher).Score,
		zxcvbn.PasswordStrength(plainer.Replace(password), hints, matching.FilterL33tMatcher).Score) < 3
}

// peppered is what is hashed: a MAC of the password under a key that is in the
// database only under the root key, so that the database alone allows no guess.
func (s *Service) peppered(ctx context.Context, password string) ([]byte, error) {
	key, err := s.pepperKey(ctx)
	if err != nil {
		return nil, err
	}
	return mac(key, []byte(norm.NFC.String(password))), nil
}

const pepperName = "password"

func (s *Service) pepperKey(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pepper != nil {
		return s.pepper, nil
	}
	var k store.ServiceKey
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		k, err = tx.FindServiceKey(pepperName)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		box, err := s.c.Root.Seal("service/"+pepperName, randomBytes(32))
		if err != nil {
			return nil, err
		}
		err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			k, err = tx.KeepServiceKey(store.ServiceKey{Name: pepperName, Version: s.c.Root.Version(), Box: box})
			return err
		})
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	s.pepper, err = s.c.Root.Open("service/"+pepperName, k.Box)
	if err != nil {
		return nil, fmt.Errorf("open the password key: %w", err)
	}
	return s.pepper, nil
}

// encode makes a PHC string of what peppered gave.
func (s *Service) encode(secret []byte) (string, error) {
	return argon2id.CreateHash(base64.StdEncoding.EncodeToString(secret), &argon2id.Params{
		Memory: s.c.Hash.Memory, Iterations: s.c.Hash.Passes, Parallelism: 1, SaltLength: 16, KeyLength: 32,
	})
}

// hashing runs fn when one of the hashers is free: memory is bounded by their
// number, and the queue by its length (AT-54).
func (s *Service) hashing(ctx context.Context, fn func() error) error {
	if s.waiting.Add(1) > int64(64*s.c.Hashers) {
		s.waiting.Add(-1)
		return fault.New(fault.TooMany, "e429.p").With("n", 1)
	}
	err := s.hashers.Acquire(ctx, 1)
	s.waiting.Add(-1)
	if err != nil {
		return err
	}
	defer s.hashers.Release(1)
	return fn()
}

// hash makes the PHC string of a password.
func (s *Service) hash(ctx context.Context, password string) (phc string, err error) {
	secret, err := s.peppered(ctx, password)
	if err != nil {
		return "", err
	}
	err = s.hashing(ctx, func() error {
		phc, err = s.encode(secret)
		return err
	})
	return phc, err
}

// verify compares a password with a PHC string. With none ("") it takes as long
// and is false. stale says that the string was made at another cost than
// today's, and should be made again.
func (s *Service) verify(ctx context.Context, phc, password string) (match, stale bool, err error) {
	secret, err := s.peppered(ctx, password)
	if err != nil {
		return false, false, err
	}
	none := phc == ""
	err = s.hashing(ctx, func() error {
		if none {
			if phc, err = s.dummy(); err != nil {
				return err
			}
		}
		var p *argon2id.Params
		match, p, err = argon2id.CheckHash(base64.StdEncoding.EncodeToString(secret), phc)
		if err == nil {
			stale = p.Memory != s.c.Hash.Memory || p.Iterations != s.c.Hash.Passes
		}
		return err
	})
	return match && !none, stale, err
}

// SetPassword puts a person's own password in the place of the temporary one
// that they signed in with, which is dead from then on, and signs them in anew.
// The new one cannot be the temporary one.
func (s *Service) SetPassword(ctx context.Context, sess *Session, password, confirm string) (*Session, error) {
	if sess == nil || sess.User == nil || sess.Scope != store.ScopeSetPassword {
		return nil, ended()
	}
	return s.replacePassword(ctx, sess, nil, password, confirm)
}

// ChangePassword replaces a person's password by another, ends their other
// sessions and puts a new one in the place of this.
func (s *Service) ChangePassword(ctx context.Context, sess *Session, current, password, confirm string) (*Session, error) {
	if !sess.SignedIn() {
		return nil, ended()
	}
	return s.replacePassword(ctx, sess, &current, password, confirm)
}

// newHash checks a password that its owner, of an account (0: of none), chooses and hashes it. It may not be
// the one whose hash is old; "" allows any. What it is about may not be in it.
func (s *Service) newHash(ctx context.Context, number int64, old, password, confirm string, about ...string) (phc string, err error) {
	least, err := s.PasswordLength(ctx, number)
	if err != nil {
		return "", err
	}
	var p problems
	s.checkPassword(&p, least, password, confirm, false, about...)
	if p.err() != nil {
		return "", p.err()
	}
	if old != "" {
		same, _, err := s.verify(ctx, old, password)
		if err != nil {
			return "", err
		}
		if same {
			p.add("password", "people.same", nil)
			return "", p.err()
		}
	}
	return s.hash(ctx, password)
}

func (s *Service) replacePassword(ctx context.Context, sess *Session, current *string, password, confirm string) (*Session, error) {
	was, err := s.passwordOf(ctx, sess.UserID)
	if err != nil {
		return nil, err
	}
	if current != nil {
		if err := s.checkCurrent(ctx, sess, was.Hash, *current); err != nil {
			return nil, err
		}
	}
	u := *sess.User
	phc, err := s.newHash(ctx, u.AccountID, was.Hash, password, confirm, u.FirstName, u.LastName, u.Address)
	if err != nil {
		return nil, err
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		u, err := tx.LockUser(sess.UserID)
		if errors.Is(err, store.ErrNotFound) {
			return ended(), nil
		} else if err != nil {
			return nil, err
		}
		now, err := tx.FindPassword(u.ID)
		if err != nil {
			return nil, err
		}
		row, err := tx.LockSession(sess.Hash)
		if errors.Is(err, store.ErrNotFound) || err == nil && (row.UserID != u.ID || u.State != store.UserActive || now.Hash != was.Hash) {
			return ended(), nil // blocked, or given another password, since this session was read
		} else if err != nil {
			return nil, err
		}
		// Whoever typed the one before could replace it by this.
		if !row.Unproved(u) {
			u.TypedBy = ""
		}
		if err := tx.SetPassword(u.ID, store.Password{Hash: phc, TypedBy: u.TypedBy}); err != nil {
			return nil, err
		}
		if _, err := tx.DeleteUserSessions(u.ID, sess.Hash); err != nil {
			return nil, err
		}
		if current != nil || !u.Temporary {
			if err := s.tellPasswordChanged(tx, u, sess.Origin); err != nil {
				return nil, err
			}
		}
		if err := record(tx, person(sess), "password.set", u.AccountID, u.Address); err != nil {
			return nil, err
		}
		u.Temporary, u.Given, u.ChosenAt = false, false, tx.Now
		out, err = signIn(tx, sess, u, proof{method: store.MethodPassword}, sess.Client)
		return nil, err
	})
	return out, err
}

// checkCurrent compares what a person says is their password; guesses are
// counted, for the page may be somebody else's who found it open.
func (s *Service) checkCurrent(ctx context.Context, sess *Session, phc, current string) error {
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		ok, wait, err := tx.Hit("current:"+sess.UserID, passwordWindow, 10)
		if !ok {
			answer = fault.Wait("si.locked", wait)
		}
		if answer != nil && err == nil {
			err = refusePerson(tx, *sess.User, "session.confirm", sess.Origin, "si.locked")
		}
		return answer, err
	})
	if err != nil {
		return err
	}
	match, _, err := s.verify(ctx, phc, current)
	if err != nil {
		return err
	}
	if !match {
		var p problems
		p.add("current", "people.current", nil)
		return s.decide(ctx, func(tx *store.Tx) (answer, err error) {
			return p.err(), refusePerson(tx, *sess.User, "session.confirm", sess.Origin, "people.current")
		})
	}
	return nil
}

func (s *Service) passwordOf(ctx context.Context, userID string) (p store.Password, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		p, err = tx.FindPassword(userID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return p, ended()
	}
	return p, err
}

func (s *Service) tellPasswordChanged(tx *store.Tx, u store.User, place string) error {
	to, err := mailbox(u)
	if err != nil {
		return err
	}
	return s.c.Post.PasswordChanged(tx, PasswordChangedLetter{To: to, Language: u.Language, TimeZone: u.TimeZone, At: tx.Now, Place: place})
}
