package intake

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
)

// What outsiders may ask for in an hour.
const (
	answersPerNetwork = 30
	answersPerIntake  = 60
	codesPerNetwork   = 20
	codesPerIntake    = 60
	codesPerAddress   = 5

	codeLife  = 10 * time.Minute
	codeTries = 5
)

const (
	maxName = 100 // characters
	// keptMost is how much ciphertext of answers is kept of one account.
	keptMost = 10 << 30 // bytes
)

// Card is what a link shows to whoever has it.
type Card struct {
	Intake
	Person       string // who asks
	Address      string // of who asks
	Organisation string
	Look         brand.Brand // of the account
	Domain       string      // of the address, verified; "" where it is not
	Proven       string      // canonical address that this session has proved, "" for none
}

// Look returns the card of a link; it changes nothing. session is the hash of
// the visitor's session, "" for none. Faults: e404.h1, whatever the reason, but
// an intake that takes no more answers has its card.
func (s *Service) Look(ctx context.Context, token id.Token, session string) (Card, error) {
	var out Card
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.FindIntakeByToken(token.Hash())
		if err != nil {
			return orNotFound(err)
		}
		u, acc, err := asker(tx, row)
		if err != nil {
			return err
		}
		if out.Intake, err = s.open(row, tx.Now); err != nil {
			return err
		}
		settings, err := policy.ReadSettings(acc.Settings)
		if err != nil {
			return err
		}
		out.Look = settings.Look(acc.Brand, acc.Name)
		out.Person, out.Address, out.Organisation = u.Name(), u.DisplayAddress, out.Look.Organisation(acc.Name)
		address, err := mailaddr.Parse(u.DisplayAddress)
		if err != nil {
			return err
		}
		verified, err := account.Verified(tx, acc.ID, u.ID, address)
		if err != nil {
			return err
		}
		if verified {
			_, out.Domain, _ = strings.Cut(address.String(), "@")
		}
		out.Proven, err = proven(tx, session)
		return err
	})
	return out, err
}

// asker is the user who asks: active, and still of the account that asked.
func asker(tx *store.Tx, row store.Intake) (store.User, store.Account, error) {
	u, err := tx.FindUser(row.UserID)
	if err != nil {
		return u, store.Account{}, orNotFound(err)
	}
	acc, err := tx.FindAccount(row.AccountID)
	if err != nil {
		return u, acc, orNotFound(err)
	}
	if u.AccountID != row.AccountID || u.State != store.UserActive || acc.State != store.AccountActive {
		return u, acc, fault.New(fault.NotFound, "e404.h1")
	}
	settings, err := policy.ReadSettings(acc.Settings)
	if err == nil && !settings.Requests {
		err = closedFault(Closed)
	}
	return u, acc, err
}

// proven is the address that a live session has proved by a code, "" for none.
func proven(tx *store.Tx, session string) (string, error) {
	if session == "" {
		return "", nil
	}
	sess, err := tx.FindSession(session)
	if errors.Is(err, store.ErrNotFound) || err == nil && !sess.ExpiresAt.After(tx.Now) {
		return "", nil
	}
	return sess.Address, err
}

// closedFault is what an intake that takes no answers says.
func closedFault(state string) error {
	if state == Open {
		return nil
	}
	return fault.New(fault.Closed, "intake.is"+state)
}

// now is the time that decides: a clock that is set back opens nothing again.
func now(tx *store.Tx) (time.Time, error) {
	mark, err := tx.ClockMark()
	if err == nil && mark.After(tx.Now) {
		return mark, nil
	}
	return tx.Now, err
}

// hit counts, and is a fault to be told after the commit where it was once too often.
func hit(tx *store.Tx, name string, limit int) (refused, err error) {
	ok, wait, err := tx.Hit(name, time.Hour, limit)
	if err == nil && !ok {
		refused = fault.New(fault.TooMany, "e429.p").With("n", max(1, int((wait+time.Minute-1)/time.Minute)))
	}
	return refused, err
}

// counter is what is counted in an hour; {id} in its name is the intake's.
type counter struct {
	name  string
	limit int
}

// admit checks that the link still takes answers, and counts in one counter
// after the other: what is refused by one is not counted in the next, so that
// one network cannot use up what is everybody's.
func (s *Service) admit(tx *store.Tx, token id.Token, counters ...counter) (row store.Intake, refused, err error) {
	if row, err = tx.FindIntakeByToken(token.Hash()); err != nil {
		return row, nil, orNotFound(err)
	}
	t, err := now(tx)
	if err != nil {
		return row, nil, err
	}
	if refused = closedFault(stateOf(row, t)); refused != nil {
		return row, refused, nil
	}
	for _, c := range counters {
		if refused, err = hit(tx, strings.ReplaceAll(c.name, "{id}", row.ID), c.limit); refused != nil || err != nil {
			return row, refused, err
		}
	}
	return row, nil, nil
}

// live is the session found, if it has not ended and is one that may prove an
// address: not one that has a password to set or a second factor to prove first.
func live(sess store.Session, err error) func(*store.Tx) (store.Session, error) {
	return func(tx *store.Tx) (store.Session, error) {
		if errors.Is(err, store.ErrNotFound) || err == nil && (!sess.ExpiresAt.After(tx.Now) || sess.Scope != store.ScopeVisitor && sess.Scope != store.ScopeFull) {
			return sess, fault.New(fault.Unauthenticated, "sess.h1")
		}
		return sess, err
	}
}

// SendCode mails a code to an address that an outsider typed, for this session
// and link. Faults: err.email, sess.h1, e404.h1, e429.p{n}, intake.is….
func (s *Service) SendCode(ctx context.Context, token id.Token, v keyserver.Visitor, address string) error {
	to, err := mailaddr.Parse(strings.TrimSpace(address))
	if err != nil {
		return fault.New(fault.Invalid, "err.email").In("email", "err.email", nil)
	}
	var refused error
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		refused = nil
		if _, err := live(tx.FindSession(v.Session))(tx); err != nil {
			return err
		}
		row, no, err := s.admit(tx, token, counter{"intake-code:" + store.Network(v.Origin), codesPerNetwork},
			counter{"intake-code:" + to.Canonical(), codesPerAddress}, counter{"intake-code:{id}", codesPerIntake})
		if refused = no; no != nil || err != nil {
			return err
		}
		u, acc, err := asker(tx, row)
		if err != nil {
			return err
		}
		code := id.NewCode()
		if err := tx.InsertCode(store.Code{
			ID: id.New(), TokenHash: v.Session, Purpose: store.CodeAnswer, Address: to.Canonical(), SlotID: row.ID,
			CodeHash: s.codeHash(v.Session, row.ID, to.Canonical(), code), ExpiresAt: tx.Now.Add(codeLife),
		}); err != nil {
			return err
		}
		return s.c.Post.AnswerCode(tx, acc, to, v.Language, code, u.Name())
	})
	if err != nil || refused != nil {
		return errors.Join(err, refused)
	}
	s.c.Post.Outbox.Wake()
	return nil
}

func (s *Service) codeHash(session, intake, address, code string) string {
	return hex.EncodeToString(s.c.Root.MAC("intake/code", []byte(session), []byte(intake), []byte(address), []byte(code)))
}

// VerifyCode takes the code that SendCode mailed. If it is right, the session
// has proved the address and goes on under the new token. Faults: sess.h1,
// e404.h1, people.nocode, code.old, code.wrong{n}.
func (s *Service) VerifyCode(ctx context.Context, token id.Token, v keyserver.Visitor, code string) (out id.Token, err error) {
	code = strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code)
	var refused error
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		out, refused = id.Token{}, nil
		sess, err := live(tx.LockSession(v.Session))(tx)
		if err != nil {
			return err
		}
		row, err := tx.FindIntakeByToken(token.Hash())
		if err != nil {
			return orNotFound(err)
		}
		c, err := tx.FindLiveCode(v.Session, store.CodeAnswer, row.ID)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil)
		}
		if err != nil {
			return err
		}
		if !c.ExpiresAt.After(tx.Now) {
			refused = fault.New(fault.Invalid, "people.nocode").In("code", "people.nocode", nil)
			return tx.EndCode(c.ID, store.CodeDead)
		}
		if subtle.ConstantTimeCompare([]byte(c.CodeHash), []byte(s.codeHash(v.Session, row.ID, c.Address, code))) != 1 {
			refused, err = wrongCode(tx, c)
			return err
		}
		if err := tx.EndCode(c.ID, store.CodeUsed); err != nil {
			return err
		}
		out, err = keyserver.Rotate(tx, sess, c.Address)
		return err
	})
	return out, errors.Join(err, refused)
}

func wrongCode(tx *store.Tx, c store.Code) (refused, err error) {
	n, err := tx.CountTry(c.ID)
	if err != nil {
		return nil, err
	}
	if n >= codeTries {
		return fault.New(fault.TooMany, "people.nocode").In("code", "people.nocode", nil), tx.EndCode(c.ID, store.CodeDead)
	}
	args := fault.Args{"n": codeTries - n}
	return fault.New(fault.Invalid, "code.wrong").With("n", codeTries-n).In("code", "code.wrong", args), nil
}

// Answer is what an outsider sends, sealed in their browser.
type Answer struct {
	Name, Email string // as typed
	MH, RH      []byte
	Wrap        [48]byte
	S, E        envelope.Secret
	Payload     io.Reader
}

// Answer registers what an outsider sends, if the link takes it: that it is
// open, has answers left, and that the address is proved where this was asked
// for, is checked once more in the transaction that registers it. What is inside
// cannot be checked: the service does not see it. It returns the reference of
// the envelope. Faults: Invalid with Fields name, email; e404.h1, e429.p{n},
// intake.is…, intake.toobig, intake.prove, intake.quota, and Register's.
func (s *Service) Answer(ctx context.Context, token id.Token, v keyserver.Visitor, a Answer) (ref string, err error) {
	bad := fault.New(fault.Invalid, "err.title")
	name := strings.Join(strings.Fields(strings.ReplaceAll(printable(a.Name, false), "@", " ")), " ")
	if name == "" || len([]rune(name)) > maxName {
		bad = bad.In("name", "intake.noname", fault.Args{"n": maxName})
	}
	from, err := mailaddr.Parse(strings.TrimSpace(a.Email))
	if err != nil {
		bad = bad.In("email", "err.email", nil)
	}
	if len(bad.Fields) > 0 {
		return "", bad
	}
	var row store.Intake
	var refused error
	out := sealing.Outside{Name: name, Address: from, MH: a.MH, RH: a.RH, Wrap: a.Wrap, S: a.S, E: a.E, Payload: a.Payload, Origin: v.Origin}
	// Counted before the bytes are read, and looked at once more when they are here.
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		row, refused, err = s.admit(tx, token, counter{"intake-answer:" + store.Network(v.Origin), answersPerNetwork},
			counter{"intake-answer:{id}", answersPerIntake})
		if refused != nil || err != nil {
			return err
		}
		if out.To, out.Account, err = asker(tx, row); err != nil {
			return err
		}
		address, err := proven(tx, v.Session)
		out.Proved = address == from.Canonical()
		return err
	})
	if err != nil || refused != nil {
		return "", errors.Join(err, refused)
	}
	if row.Prove && !out.Proved {
		return "", fault.New(fault.Denied, "intake.prove")
	}
	out.Intake, out.MaxPayload, out.Note = row.ID, MaxPayload(row.MaxBytes), s.note(out.To, row)
	out.Then = func(tx *store.Tx, reg keyserver.Registered) error { return s.accept(tx, token, v, out, reg) }
	return s.c.Sealing.RegisterOutside(ctx, out)
}

// note is what the user's mail and card say above the envelope.
func (s *Service) note(u store.User, row store.Intake) string {
	zone, err := time.LoadLocation(u.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return s.c.Post.Words.AnswerNote(u.Language, zone, row.CreatedAt)
}

// accept decides and counts in the registering transaction.
func (s *Service) accept(tx *store.Tx, token id.Token, v keyserver.Visitor, out sealing.Outside, reg keyserver.Registered) error {
	row, err := tx.LockIntake(token.Hash())
	if err != nil {
		return orNotFound(err)
	}
	t, err := now(tx)
	if err != nil {
		return err
	}
	if err := closedFault(stateOf(row, t)); err != nil {
		return err
	}
	if _, _, err := asker(tx, row); err != nil {
		return err
	}
	if row.Prove {
		if address, err := proven(tx, v.Session); err != nil {
			return err
		} else if address != out.Address.Canonical() {
			return fault.New(fault.Denied, "intake.prove")
		}
	}
	if n, err := tx.AnswersKept(row.AccountID); err != nil {
		return err
	} else if n > keptMost {
		return fault.New(fault.TooLarge, "intake.quota")
	}
	if err := tx.CountAnswer(row.ID); err != nil {
		return err
	}
	return tx.InsertAudit(store.AuditRow{
		AccountID: row.AccountID, Actor: "outsider:" + out.Address.Canonical(), Action: "intake.received", Target: row.ID, Origin: v.Origin,
		Detail: map[string]string{"ref": id.ShowReference(reg.Slots[0].Ref), "message": reg.MessageID.String()},
	})
}

// MaxPayload is the largest payload that an answer can have whose files have
// max bytes together: in base64, with the text, padded and in chunks.
func MaxPayload(max int64) int64 { return (max*78/57 + 2<<20) * 114 / 100 }
