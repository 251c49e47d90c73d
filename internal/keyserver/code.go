package keyserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// CodeLetter is a code to be mailed to a recipient.
type CodeLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Ref          string
	Code         string
	SenderName   string
	Organisation string
	Language     string // en, fr: of the page that asked; "" where it is not known
}

// A code proves that somebody reads the slot's mailbox now. It is bound to the
// session that asked and to the slot, and is hashed at rest.
const (
	codeLife     = 10 * time.Minute
	codeTries    = 5
	codeEvery    = 30 * time.Second // one session
	codesPerHour = 10               // to one address, asked for by holders of its mail

	// Asked for without proof of possession: by one network, to one address, and in
	// all. These are counters of their own, so that a stranger cannot use up a
	// recipient's; what one network asks for beyond its own is not counted in the
	// others, so that it cannot use up everybody's.
	trickleNetwork = 20
	trickleAddress = 5
	trickleAll     = 1000
)

// SendCode mails a code to the slot's address, to no other. Without proof of
// possession typedAddress must equal it; whether it does is not to be seen in
// the answer, nor in how long it takes. Faults: home.err, err.email, sess.h1,
// si.mustchange, code.toomany{n}; with possession also open.locked,
// open.expired, release.gone.
func (s *Service) SendCode(ctx context.Context, v Visitor, ref, typedAddress string) error {
	begun := time.Now()
	ref, err := parseRef(ref)
	if err != nil {
		return err
	}
	var d delivery
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		d = delivery{}
		ask, err := s.ask(tx, v, ref, typedAddress)
		if err != nil {
			return err
		}
		d, err = s.deliver(tx, v, ask)
		return err
	})
	if d.mailed {
		s.c.Post.Wake()
	}
	if err == nil && d.refused != nil {
		err = d.refused
	}
	if !d.possession && s.pause > 0 {
		select {
		case <-time.After(s.pause - time.Since(begun)):
		case <-ctx.Done():
		}
	}
	return unavailable(err)
}

// ask is a wish for a code.
type ask struct {
	known      bool
	o          store.Opening
	slotID     string // of o, or what stands for it
	possession bool
	typed      string // canonical, "" with possession
}

func (s *Service) ask(tx *store.Tx, v Visitor, ref, typed string) (ask, error) {
	var a ask
	if _, err := openSession(tx, v); err != nil {
		return a, err
	}
	fake := s.fakeSlot(ref)
	a.slotID = fake.String()
	var err error
	if a.o, a.known, err = findRef(tx, ref, v.Session); err != nil {
		return a, err
	}
	if a.known {
		a.slotID, a.possession = a.o.Slot.ID, a.o.Possession
	}
	if a.possession {
		return a, nil
	}
	address, err := mailaddr.Parse(strings.TrimSpace(typed))
	if err != nil {
		return a, fault.New(fault.Invalid, "err.email").In("email", "err.email", nil)
	}
	a.typed = address.Canonical()
	return a, nil
}

// delivery is what became of an ask. A refusal is told after the commit, so
// that what was counted stays counted.
type delivery struct {
	possession bool
	mailed     bool
	refused    *fault.Error
}

// deliver makes a code and mails it, within the limits.
func (s *Service) deliver(tx *store.Tx, v Visitor, a ask) (delivery, error) {
	d := delivery{possession: a.possession}
	block, err := tx.FindThrottle(blockName(v, a.slotID))
	if err != nil {
		return d, err
	}
	if block.Until.After(tx.Now) {
		d.refused = fault.Wait("code.toomany", block.Until.Sub(tx.Now))
		return d, nil
	}
	allowed, wait, err := tx.Hit("code-session:"+v.Session, codeEvery, 1)
	if err != nil {
		return d, err
	}
	if !allowed {
		d.refused = fault.Wait("code.toomany", wait)
		return d, nil
	}
	mail := false
	if a.possession {
		if r := stateFault(a.o, asOf(tx, a.o)); r != nil {
			d.refused = r.fault
			return d, nil
		}
		if mail, wait, err = tx.Hit("code-address:"+a.o.Slot.Address, time.Hour, codesPerHour); err != nil {
			return d, err
		}
		if !mail {
			d.refused = fault.Wait("code.toomany", wait)
			return d, nil
		}
	} else if mail, err = trickle(tx, v, a); err != nil {
		return d, err
	}
	d.mailed, err = s.makeCode(tx, v, a, mail)
	return d, err
}

// trickle counts a request without possession, in the same way whatever was
// typed, and reports whether it may be mailed.
func trickle(tx *store.Tx, v Visitor, a ask) (bool, error) {
	ours, _, err := tx.Hit("code-trickle-by:"+store.Network(v.Origin), time.Hour, trickleNetwork)
	if err != nil || !ours {
		return false, err
	}
	all, _, err := tx.Hit("code-trickle", time.Hour, trickleAll)
	if err != nil {
		return false, err
	}
	one, _, err := tx.Hit("code-trickle:"+a.typed, time.Hour, trickleAddress)
	if err != nil {
		return false, err
	}
	return all && one && a.known && a.typed == a.o.Slot.Address && stateFault(a.o, asOf(tx, a.o)) == nil, nil
}

// makeCode writes the code and, if mail is set, its letter. A code that is not
// mailed is one that nobody can know; it takes tries as any other does.
func (s *Service) makeCode(tx *store.Tx, v Visitor, a ask, mail bool) (bool, error) {
	code, c := id.NewCode(), store.Code{
		ID: id.New(), TokenHash: v.Session, Purpose: store.CodeOpen, Address: a.typed, SlotID: a.slotID,
		ExpiresAt: tx.Now.Add(codeLife),
	}
	if a.possession {
		c.Address = a.o.Slot.Address
	}
	c.CodeHash = s.hashCode(c.ID, code)
	if !mail {
		c.CodeHash = s.hashCode(c.ID, id.New())
	}
	if err := tx.InsertCode(c); err != nil || !mail {
		return false, err
	}
	to, err := mailaddr.Parse(a.o.Slot.DisplayAddress)
	if err != nil {
		return false, err
	}
	return true, s.c.Post.Code(tx, CodeLetter{
		AccountID: a.o.Message.AccountID, To: to, Ref: a.o.Slot.Ref, Code: code,
		SenderName: senderName(a.o.Message), Organisation: sender(a.o).Organisation, Language: v.Language,
	})
}

func (s *Service) hashCode(codeID, code string) string {
	return hex.EncodeToString(s.c.Root.MAC("code", []byte(codeID), []byte(code)))
}

// blockName holds a session back after too many wrong codes for a slot.
func blockName(v Visitor, slotID string) string { return "code-block:" + v.Session + ":" + slotID }

// VerifyCode takes the code that SendCode mailed to this session for that
// reference. If it is right, the session has proved the slot's address: it goes
// on under the new token that is returned, with all that it had proved before,
// and the old token is dead. A code works once, for 10 minutes; after five wrong
// ones it is dead. One that is too old is replaced by a new one, which is
// mailed. Faults: home.err, sess.h1, si.mustchange, code.form, code.none,
// code.wrong{n}, code.old, code.toomany{n}.
func (s *Service) VerifyCode(ctx context.Context, v Visitor, ref, code string) (id.Token, error) {
	ref, err := parseRef(ref)
	if err != nil {
		return id.Token{}, err
	}
	code = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -\u00a0\u202f\t", r) {
			return -1
		}
		return r
	}, code)
	if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		return id.Token{}, fault.New(fault.Invalid, "code.form").In("code", "code.form", nil)
	}
	var token id.Token
	var d delivery
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		token, d, err = s.verify(tx, v, ref, code)
		return err
	})
	if d.mailed {
		s.c.Post.Wake()
	}
	if err == nil && d.refused != nil {
		err = d.refused
	}
	if err != nil {
		return id.Token{}, unavailable(err)
	}
	return token, nil
}

func (s *Service) verify(tx *store.Tx, v Visitor, ref, code string) (token id.Token, d delivery, err error) {
	// Held, so that a session that is ended meanwhile does not live on in a new row.
	sess, err := tx.LockSession(v.Session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return token, d, err
	}
	if r := checkSession(err == nil, sess.Scope, sess.ExpiresAt, tx.Now); r != nil {
		return token, d, r.fault
	}
	fake := s.fakeSlot(ref)
	a := ask{slotID: fake.String()}
	if a.o, a.known, err = findRef(tx, ref, v.Session); err != nil {
		return token, d, err
	}
	if a.known {
		a.slotID, a.possession = a.o.Slot.ID, a.o.Possession
	}
	c, err := tx.FindLiveCode(v.Session, store.CodeOpen, a.slotID)
	if errors.Is(err, store.ErrNotFound) {
		d.refused, err = noCode(tx, v, a)
		return token, d, err
	}
	if err != nil {
		return token, d, err
	}
	if !c.ExpiresAt.After(tx.Now) {
		a.typed = c.Address
		d, err = s.deliver(tx, v, a)
		if d.refused == nil {
			d.refused = fault.New(fault.Invalid, "code.old").In("code", "code.old", nil)
		}
		return token, d, err
	}
	right := hmac.Equal([]byte(c.CodeHash), []byte(s.hashCode(c.ID, code)))
	if !right || !a.known || c.Address != a.o.Slot.Address {
		d.refused, err = countTry(tx, v, c)
		return token, d, err
	}
	if err := tx.EndCode(c.ID, store.CodeUsed); err != nil {
		return token, d, err
	}
	token, err = Rotate(tx, sess, c.Address)
	return token, d, err
}

// noCode is the answer where no code is live: blocked, used, or never asked for.
func noCode(tx *store.Tx, v Visitor, a ask) (*fault.Error, error) {
	block, err := tx.FindThrottle(blockName(v, a.slotID))
	if err != nil {
		return nil, err
	}
	if block.Until.After(tx.Now) {
		return fault.Wait("code.toomany", block.Until.Sub(tx.Now)), nil
	}
	return fault.New(fault.Invalid, "code.none").In("code", "code.none", nil), nil
}

func countTry(tx *store.Tx, v Visitor, c store.Code) (*fault.Error, error) {
	n, err := tx.CountTry(c.ID)
	if err != nil {
		return nil, err
	}
	if left := codeTries - n; left > 0 {
		args := fault.Args{"n": left}
		return fault.New(fault.Invalid, "code.wrong").With("n", left).In("code", "code.wrong", args), nil
	}
	if err := tx.EndCode(c.ID, store.CodeDead); err != nil {
		return nil, err
	}
	err = tx.PutThrottle(store.Throttle{Name: blockName(v, c.SlotID), Count: n, Since: tx.Now, Until: c.ExpiresAt})
	return fault.Wait("code.toomany", c.ExpiresAt.Sub(tx.Now)), err
}

// Rotate gives a session that has proved an address by a code a new token (AT-43).
// The old token is dead; what it had proved before goes over, but for the second
// factor of another person.
func Rotate(tx *store.Tx, sess store.Session, address string) (id.Token, error) {
	token, nonce := id.NewToken(), make([]byte, 32)
	rand.Read(nonce) // never fails (crypto/rand)
	old := sess.TokenHash
	if sess.UserID == "" && sess.Address == "" { // it was short for having proved nothing
		sess.ExpiresAt = tx.Now.Add(store.SessionLimit)
	}
	if sess.UserID == "" && sess.Address != address { // somebody else, as far as we know
		sess.SecondAt = time.Time{}
	}
	if sess.Method == "" {
		sess.Method = store.MethodCode
	}
	sess.TokenHash, sess.Nonce, sess.Address = token.Hash(), hex.EncodeToString(nonce), address
	return token, tx.RotateSession(old, sess)
}
