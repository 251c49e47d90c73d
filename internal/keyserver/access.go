package keyserver

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Why a release, or an act on a message, was refused, as its audit record says it. The pages
// have a text for each.
const (
	ReasonSession    = "session"    // it has ended
	ReasonPassword   = "password"   // the session may only set one (security case I3)
	ReasonSecond     = "second"     // the session may only prove a second factor
	ReasonBlocked    = "blocked"    // the user is
	ReasonStranger   = "stranger"   // neither the mail nor the address was proved
	ReasonPossession = "possession" // the mail was not
	ReasonCode       = "code"       // no address was
	ReasonAddress    = "address"    // another address was
	ReasonLevel      = "level"      // the address was proved, but not as strongly as is asked (AT-29)
	ReasonLocked     = "locked"
	ReasonExpired    = "expired"
	ReasonGone       = "gone" // the key has been destroyed
	ReasonRecalled   = "recalled"
	ReasonOnline     = "online" // the account or the message forbids that the server opens it
	ReasonOften      = "often"  // the server opened it for this recipient too often
	ReasonRights     = "rights" // to act on it: neither the sender nor an administrator
	ReasonAnswer     = "answer" // the sender or the account allows no such answer
	ReasonLimit      = "limit"  // as many answers as one recipient may send have been sent
)

// refusal is why a visitor does not get what they asked: reason for the audit
// record, fault for the answer.
type refusal struct {
	reason string
	fault  *fault.Error
}

// asOf is the time that decides: that of the transaction, or the latest that
// this service ever acted at. A clock that is set back opens nothing again.
func asOf(tx *store.Tx, o store.Opening) time.Time { return later(tx.Now, o.Seen) }

// markEvery is how far the clock may run ahead of its mark before a release
// writes it: one row for all would otherwise be held by every release.
const markEvery = 10 * time.Second

func keepMark(tx *store.Tx, seen time.Time) error {
	if tx.Now.Before(seen.Add(markEvery)) {
		return nil
	}
	return tx.RaiseClockMark(tx.Now)
}

// state is the strictest of the slot's and the message's.
func state(m store.Message, slot store.Slot, destroyed bool, now time.Time) string {
	switch {
	case !m.RecalledAt.IsZero() || !slot.RecalledAt.IsZero():
		return StateRecalled
	case destroyed || len(slot.Box) == 0 || !m.DestroyedAt.IsZero():
		return StateGone
	case past(endOf(m, slot), now):
		return StateExpired
	case !m.LockedAt.IsZero() || !slot.LockedAt.IsZero():
		return StateLocked
	}
	return StateActive
}

// past reports whether an end, zero for none, has come.
func past(end, now time.Time) bool { return !end.IsZero() && !end.After(now) }

func stateOf(o store.Opening, now time.Time) string {
	return state(o.Message, o.Slot, !o.Epoch.DestroyedAt.IsZero(), now)
}

// stateFault is what a state other than active answers.
func stateFault(o store.Opening, now time.Time) *refusal {
	switch stateOf(o, now) {
	case StateLocked:
		return &refusal{ReasonLocked, fault.New(fault.Closed, "open.locked").With("sender", senderName(o.Message))}
	case StateExpired:
		return &refusal{ReasonExpired, fault.New(fault.Closed, "open.expired").With("sender", senderName(o.Message)).With("date", endOf(o.Message, o.Slot))}
	case StateRecalled:
		return &refusal{ReasonRecalled, fault.New(fault.Closed, "open.recalled")}
	case StateGone:
		return &refusal{ReasonGone, fault.New(fault.Gone, "release.gone").With("sender", senderName(o.Message))}
	}
	return nil
}

func senderName(m store.Message) string {
	if m.SenderName != "" {
		return m.SenderName
	}
	return m.SenderAddress
}

// checkSession refuses a session that has ended, and one whose only right is to
// prove a second factor or to set a password.
func checkSession(found bool, scope string, ends, now time.Time) *refusal {
	if !found || !ends.After(now) {
		return &refusal{ReasonSession, fault.New(fault.Unauthenticated, "sess.h1")}
	}
	if scope == store.ScopeSecond {
		return &refusal{ReasonSecond, fault.New(fault.Denied, "second.first")}
	}
	if scope != store.ScopeVisitor && scope != store.ScopeFull {
		return &refusal{ReasonPassword, fault.New(fault.Denied, "si.mustchange")}
	}
	return nil
}

// addressed reports whether the session has proved the slot's address: by a
// code, or by being signed in as somebody who proved it to have a user at all.
// A user whom an administrator made proves nothing by signing in: whoever
// administers an account can make one of any address and knows its password.
// That holds for their further addresses as well: who knows the password did not
// prove them.
func addressed(o store.Opening) bool {
	return o.Proven == o.Slot.Address || o.Scope == store.ScopeFull && !o.UserManaged && (o.UserAddress == o.Slot.Address || o.Alias)
}

// secondFor is how old the proof of a second factor may be for a high level.
const secondFor = 5 * time.Minute

// level is how strongly a message's recipients prove who they are. What cannot
// be read asks for the most.
func level(o store.Opening) string {
	p, err := policy.ReadPermissions(o.Message.Policy)
	s, err2 := policy.ReadSettings(o.Settings)
	if err != nil || err2 != nil {
		return policy.High
	}
	return p.Under(s).Level
}

// step is what a level asks of somebody who proved the address, beyond that. The
// second factor is that of the address's own user, signed in or not: one of
// anybody's would let in whoever reads the mailbox and has an account somewhere.
func step(o store.Opening, now time.Time) string {
	signedIn := o.Scope == store.ScopeFull && (o.UserAddress == o.Slot.Address || o.Alias)
	visitor := o.Scope == store.ScopeVisitor && o.UserAddress == "" && o.Proven == o.Slot.Address
	fresh := !o.SecondAt.IsZero() && o.SecondAt.Add(secondFor).After(now)
	switch {
	case level(o) != policy.High || fresh && (signedIn || visitor):
		return ""
	case signedIn:
		return StepSecond
	}
	return StepAccount
}

// stepOf is step, and whether there is a second factor to prove.
func stepOf(tx *store.Tx, o store.Opening, now time.Time) (string, error) {
	s, address := step(o, now), o.UserAddress
	switch {
	case s == StepAccount && o.UserAddress == "":
		address = o.Slot.Address
	case s != StepSecond:
		return s, nil
	}
	u, err := tx.FindUserByAddress(address)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	} else if err != nil {
		return "", err
	}
	has, err := tx.HasSecondFactor(u.ID)
	switch {
	case has:
		s = StepSecond
	case s == StepSecond:
		s = StepSetUp
	}
	return s, err
}

// known reports whether a remembered browser stands for a proof of the address.
func known(o store.Opening) bool { return o.Remembered && level(o) == policy.Low }

// checkAccess is all that stands between a visitor and S.
func checkAccess(o store.Opening, now time.Time) *refusal {
	if r := checkSession(o.Session, o.Scope, o.SessionEnds, now); r != nil {
		return r
	}
	if o.UserAddress != "" && o.UserState != store.UserActive {
		return &refusal{ReasonBlocked, fault.New(fault.Unauthenticated, "sess.h1")}
	}
	switch {
	case !o.Possession && !addressed(o):
		return &refusal{ReasonStranger, notFound()}
	case !o.Possession:
		return &refusal{ReasonPossession, fault.New(fault.Denied, "release.possession")}
	case addressed(o) || known(o):
	case o.Remembered:
		return levelRefusal(o, "release.level.code", "/e/"+o.Slot.Ref)
	case o.Proven == "" && (o.UserAddress == "" || o.UserAddress == o.Slot.Address || o.Alias):
		return &refusal{ReasonCode, fault.New(fault.Denied, "release.code")}
	default:
		return &refusal{ReasonAddress, fault.New(fault.Denied, "release.address").With("masked", masked(o.Slot))}
	}
	if r := stateFault(o, now); r != nil {
		return r
	}
	switch step(o, now) {
	case StepAccount:
		return levelRefusal(o, "release.level.account", "/e/"+o.Slot.Ref)
	case StepSecond:
		return levelRefusal(o, "release.level.second", SecondPage(o.Slot.Ref))
	}
	return nil
}

// levelRefusal says at which page of this site the missing proof is given.
func levelRefusal(o store.Opening, key, page string) *refusal {
	return &refusal{ReasonLevel, fault.New(fault.Denied, key).With("step", page)}
}

// SecondPage is where a second factor is proved, before the message with that reference.
func SecondPage(ref string) string { return "/second?next=/e/" + ref + "/message" }

func notFound() *fault.Error { return fault.New(fault.NotFound, "e404.h1") }

func masked(s store.Slot) string {
	a, err := mailaddr.Parse(s.DisplayAddress)
	if err != nil {
		return ""
	}
	return a.Masked()
}

func sender(o store.Opening) Sender { return senderOf(o.Message, o.Organisation) }

// senderOf is who sent m; organisation is the name of the message's account.
func senderOf(m store.Message, organisation string) Sender {
	s := Sender{UserID: m.SenderID, Address: m.SenderAddress, Name: m.SenderName, Organisation: organisation, Verified: m.Verified,
		Outsider: m.Intake != "" || m.Proved, Proved: m.Proved}
	if s.Outsider {
		s.Organisation = "" // the message's account is that of who asked, or was answered
	}
	return s
}

// findRef is FindOpeningByRef where an unknown reference is no error: known
// says which.
func findRef(tx *store.Tx, ref, session string) (o store.Opening, known bool, err error) {
	o, err = tx.FindOpeningByRef(ref, session)
	if errors.Is(err, store.ErrNotFound) {
		return store.Opening{}, false, nil
	}
	return o, err == nil, err
}

// openSession returns the visitor's session, or its refusal.
func openSession(tx *store.Tx, v Visitor) (store.Session, error) {
	sess, err := tx.FindSession(v.Session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return sess, err
	}
	if r := checkSession(err == nil, sess.Scope, sess.ExpiresAt, tx.Now); r != nil {
		return sess, r.fault
	}
	return sess, nil
}

// What stands for a slot that does not exist. It is made from what was asked
// alone, so that asking twice shows no difference to a real one.

func (s *Service) fakeSlot(ref string) (slot envelope.SlotID) {
	copy(slot[:], s.c.Root.MAC("fake slot", []byte(ref)))
	return slot
}

func (s *Service) fakeChallenge(slot envelope.SlotID) Challenge {
	c := Challenge{Slot: slot}
	copy(c.Message[:], s.c.Root.MAC("fake message", slot[:]))
	copy(c.HH[:], s.c.Root.MAC("fake hh", slot[:]))
	return c
}

func (s *Service) fakePop(slot envelope.SlotID) []byte { return s.c.Root.MAC("fake pop", slot[:]) }

// Challenge returns what a proof of possession of that slot's mail is made for.
// A slot that does not exist gets one that looks like any other, always the
// same. Faults: sess.h1, si.mustchange.
func (s *Service) Challenge(ctx context.Context, v Visitor, slot envelope.SlotID) (Challenge, error) {
	return s.challenge(ctx, v, s.fakeChallenge(slot), func(tx *store.Tx) (store.Opening, error) {
		return tx.FindOpening(slot.String(), v.Session)
	})
}

// ChallengeRef is Challenge for the slot with that reference, as people type
// it. Faults: also home.err for what cannot be a reference.
func (s *Service) ChallengeRef(ctx context.Context, v Visitor, ref string) (Challenge, error) {
	ref, err := parseRef(ref)
	if err != nil {
		return Challenge{}, err
	}
	return s.challenge(ctx, v, s.fakeChallenge(s.fakeSlot(ref)), func(tx *store.Tx) (store.Opening, error) {
		return tx.FindOpeningByRef(ref, v.Session)
	})
}

func (s *Service) challenge(ctx context.Context, v Visitor, fake Challenge, find func(*store.Tx) (store.Opening, error)) (c Challenge, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		sess, err := openSession(tx, v)
		if err != nil {
			return err
		}
		c = fake
		if c.Nonce, err = hex.DecodeString(sess.Nonce); err != nil {
			return fmt.Errorf("read nonce: %w", err)
		}
		o, err := find(tx)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Slot, err = envelope.ParseSlotID(o.Slot.ID); err == nil {
			c.Message, err = envelope.ParseMessageID(o.Message.ID)
		}
		copy(c.HH[:], o.Message.HH)
		return err
	})
	if err != nil {
		return Challenge{}, unavailable(err)
	}
	return c, nil
}

func parseRef(ref string) (string, error) {
	parsed, ok := id.ParseReference(ref)
	if !ok {
		return "", fault.New(fault.Invalid, "home.err").In("ref", "home.err", nil)
	}
	return parsed, nil
}

// Wrong proofs before one must wait. E cannot be guessed, but a passphrase that
// masks it can, by who holds the mail: so the proofs count for the session, the
// network and the slot. A stranger may know a slot by a reference that they
// guessed; what they get wrong does not count against who has proved the address.
const (
	proofLimit, proofWindow               = 10, 10 * time.Minute
	proofNetworkLimit, proofNetworkWindow = 100, time.Hour
	proofSlotLimit, proofSlotWindow       = 50, 24 * time.Hour
)

type proofCount struct {
	name   string
	limit  int
	window time.Duration
	key    string // of the text that refuses
}

// proofCounts are the counters of a proof for a slot, in the order in which
// their rows are held.
func proofCounts(v Visitor, slot envelope.SlotID, o store.Opening, known bool) []proofCount {
	name := "proof:slot:" + slot.String()
	if known && addressed(o) {
		name += ":addressed"
	}
	return []proofCount{
		{"proof:network:" + store.Network(v.Origin), proofNetworkLimit, proofNetworkWindow, "e429.p"},
		{name, proofSlotLimit, proofSlotWindow, "pp.toomany"},
		{"proof:" + v.Session, proofLimit, proofWindow, "e429.p"},
	}
}

// Prove checks that the visitor holds the mail of a slot: proof is
// envelope.Possession of the slot's pop over the session's nonce. It remembers
// that for the session and returns the slot's reference. Faults: sess.h1,
// si.mustchange, possession.failed, e429.p, pp.toomany.
func (s *Service) Prove(ctx context.Context, v Visitor, slot envelope.SlotID, proof []byte) (ref string, err error) {
	var refused *fault.Error
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		ref, refused = "", nil
		sess, err := openSession(tx, v)
		if err != nil {
			return err
		}
		nonce, err := hex.DecodeString(sess.Nonce)
		if err != nil {
			return fmt.Errorf("read nonce: %w", err)
		}
		o, err := tx.FindOpening(slot.String(), v.Session)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		known, pop := err == nil, s.fakePop(slot)
		if known {
			pop = o.Slot.Pop
		}
		counts := proofCounts(v, slot, o, known)
		if guessed, err := guessable(o); err != nil {
			return err
		} else if guessed {
			// The right one is refused too: otherwise there would be no limit.
			if refused, err = heldProof(tx, counts); err != nil || refused != nil {
				return err
			}
		}
		want := envelope.Possession([32]byte(pop), nonce)
		if !hmac.Equal(want[:], proof) || !known {
			refused, err = countProof(tx, counts)
			return err
		}
		ref = o.Slot.Ref
		if err := tx.InsertPossession(v.Session, o.Slot.ID, v.Device); err != nil || v.Device == "" {
			return err
		}
		return tx.TouchRemembered(v.Device, o.Slot.Address)
	})
	if err == nil && refused != nil {
		err = refused
	}
	if err != nil {
		return "", unavailable(err)
	}
	return ref, nil
}

// guessable reports whether what proves possession can be guessed.
func guessable(o store.Opening) (bool, error) {
	p, err := policy.ReadPermissions(o.Message.Policy)
	return p.Passphrase, err
}

// heldProof refuses where too many were wrong already, and holds the counters so
// that of many at once none is over the limit.
func heldProof(tx *store.Tx, counts []proofCount) (*fault.Error, error) {
	for _, c := range counts {
		t, err := tx.LockThrottle(c.name)
		if err != nil {
			return nil, err
		}
		if wait := t.Since.Add(c.window).Sub(tx.Now); t.Count >= c.limit && wait > 0 {
			return fault.Wait(c.key, wait), nil
		}
	}
	return nil, nil
}

// countProof counts a wrong proof. A slot that does not exist is counted like any other.
func countProof(tx *store.Tx, counts []proofCount) (*fault.Error, error) {
	refused := fault.New(fault.Denied, "possession.failed")
	for _, c := range counts {
		allowed, wait, err := tx.Hit(c.name, c.window, c.limit)
		if err != nil {
			return nil, err
		}
		if !allowed {
			refused = fault.Wait(c.key, wait)
		}
	}
	return refused, nil
}

// Landing returns the card of the envelope with that reference. Before the
// session has proved possession it says nothing, not even whether there is one,
// but to who has proved the address what the list of received envelopes says.
// Faults: home.err, sess.h1, si.mustchange.
func (s *Service) Landing(ctx context.Context, v Visitor, ref string) (Landing, error) {
	ref, err := parseRef(ref)
	if err != nil {
		return Landing{}, err
	}
	var l Landing
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		l = Landing{Ref: ref}
		if _, err := openSession(tx, v); err != nil {
			return err
		}
		o, known, err := findRef(tx, ref, v.Session)
		if err != nil || !known {
			return err
		}
		if o.Possession {
			return s.describe(tx, o, &l)
		}
		if addressed(o) && o.Slot.Listed() {
			l.Listed, l.Sender, l.Masked, l.State = true, sender(o), masked(o.Slot), stateOf(o, asOf(tx, o))
			l.SealedAt, l.ExpiresAt = o.Message.SealedAt, endOf(o.Message, o.Slot)
		}
		if addressed(o) && stateOf(o, asOf(tx, o)) == StateActive {
			l.Online, err = online(o) // whoever has the address may know that there is one
		}
		return err
	})
	if err != nil {
		return Landing{}, unavailable(err)
	}
	return l, nil
}

func (s *Service) describe(tx *store.Tx, o store.Opening, l *Landing) (err error) {
	now := asOf(tx, o)
	if l.Slot, err = envelope.ParseSlotID(o.Slot.ID); err != nil {
		return err
	}
	l.Possession, l.Device, l.Level = true, known(o) && !addressed(o), level(o)
	l.Proven = addressed(o) || l.Device
	if l.Proven {
		if l.Step, err = stepOf(tx, o, now); err != nil {
			return err
		}
	}
	l.Sender, l.Masked = sender(o), masked(o.Slot)
	l.SealedAt, l.ExpiresAt = o.Message.SealedAt, endOf(o.Message, o.Slot)
	l.State, l.Kept = stateOf(o, now), kept(o.Message, now)
	if l.State == StateGone || l.State == StateRecalled {
		return nil
	}
	if l.Online, err = online(o); err != nil {
		return err
	}
	p, err := policy.ReadPermissions(o.Message.Policy)
	if err != nil {
		return err
	}
	l.NoCopy = p.Forward != nil && !*p.Forward
	if l.Proven && l.State == StateActive {
		if l.Answers, err = answersTo(tx, o); err != nil {
			return err
		}
	}
	key, err := s.openEpoch(o.AccountKey, o.Epoch)
	if err != nil {
		return err
	}
	c, err := key.openCard(o.Message)
	if err != nil {
		return err
	}
	l.Note = c.Note
	epoch := openedEpoch{epochKey: key}
	if l.Reason, err = epoch.openReason(o.Slot.ID, o.Slot.LockBox); err == nil && l.Reason == "" {
		l.Reason, err = epoch.openReason(o.Message.ID, o.Message.LockBox)
	}
	return err
}

func kept(m store.Message, now time.Time) bool {
	return m.Payload != "" && m.PayloadUntil.After(now)
}
