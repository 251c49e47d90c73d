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
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Challenge is what a proof of possession is made for.
type Challenge struct {
	Slot    envelope.SlotID
	Message envelope.MessageID
	HH      [32]byte
	Nonce   []byte // 32 bytes, of the session
}

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
