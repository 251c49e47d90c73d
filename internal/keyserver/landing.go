package keyserver

import (
	"context"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Landing is the card of an envelope. Without Possession all but Ref is empty.
type Landing struct {
	Ref        string // six characters
	Possession bool   // this session has proved to hold the mail
	Proven     bool   // it has also proved the address
	Listed     bool   // it has proved the address and not the mail: sender, times and state are told
	Level      string // policy.Low and so on: how strongly
	Step       string // what is asked beyond that: StepAccount and so on, "" = nothing
	Device     bool   // the address counts as proved because this browser is remembered for it
	Slot       envelope.SlotID
	Sender     Sender
	Look       brand.Brand // of the sender's account; with Possession or Listed
	Note       string
	Masked     string // the recipient's address, all but a letter hidden
	SealedAt   time.Time
	ExpiresAt  time.Time // zero: never
	State      string    // StateActive and so on
	Reason     string    // why it is locked, in the sender's words; "" where they gave none
	Kept       bool      // Ciphertext has it
	NoCopy     bool      // its sender asked that it is not passed on
	Online     bool      // Assist may open it; known also without Possession to who proved the address
	Opened     bool      // with Proven or Listed, while it can be opened: its recipient has opened it before
	LeaseUntil time.Time // with Proven: until when a device may keep it from now on, zero: not at all
	Answers    Answers   // with Proven, while it can be opened
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
			l.Look = look(o)
			l.SealedAt, l.ExpiresAt = o.Message.SealedAt, endOf(o.Message, o.Slot)
			l.Opened = l.State == StateActive && !o.Slot.FirstOpenedAt.IsZero()
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
	l.Sender, l.Masked, l.Look = sender(o), masked(o.Slot), look(o)
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
		l.Opened, l.LeaseUntil = !o.Slot.FirstOpenedAt.IsZero(), leaseEnd(o, now)
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
