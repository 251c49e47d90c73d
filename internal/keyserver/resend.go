package keyserver

import (
	"errors"
	"slices"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// ResendLetter is a mail that could not be delivered, to be sent once more with
// the E that its letter still holds.
type ResendLetter struct {
	SlotID        string
	To            mailaddr.Address
	Subject, Note string // of the message
	About
}

// ReminderLetter tells a recipient to look for a mail that they have: its E is
// known to nobody else.
type ReminderLetter struct {
	To mailaddr.Address
	About
}

// UnreadLetter tells a sender who has not opened a message by the date they set.
type UnreadLetter struct {
	SenderUserID string
	Recipients   []string // addresses as the sender wrote them
	About
}

// About is what the mails say of an envelope.
type About struct {
	AccountID int64
	MessageID string
	Ref       string // six characters, of the recipient, or of the first of those who have not opened
	Sender    Sender
	SealedAt  time.Time
	ExpiresAt time.Time // for that recipient; zero: never
	KeptUntil time.Time // how long the link serves the ciphertext; zero: not at all
}

func (h *held) about(slot store.Slot) (About, error) {
	account, err := h.tx.FindAccount(h.m.AccountID)
	a := About{AccountID: h.m.AccountID, MessageID: h.m.ID, Ref: slot.Ref, SealedAt: h.m.SealedAt, ExpiresAt: endOf(h.m, slot),
		Sender: senderOf(h.m, account.Name)}
	if kept(h.m, h.now) {
		a.KeptUntil = h.m.PayloadUntil
	}
	return a, err
}

// resend sends the mail of one recipient again where it could not be delivered
// and its letter is still there, to another address if act names one. Where
// it was delivered, the service has no E any more: the recipient is told to look
// for it.
func (h *held) resend(act Act, out *Acted) error {
	if h.one == nil {
		return notFound()
	}
	if state(h.m, *h.one, false, h.now) != StateActive {
		return fault.New(fault.Closed, "sent.closed")
	}
	to, err := mailaddr.Parse(h.one.DisplayAddress)
	if err != nil {
		return err
	}
	if act.Kind == ActReaddress {
		if h.one.Delivery != store.DeliveryBounced || h.one.Openings > 0 {
			return fault.New(fault.Conflict, "sent.noletter")
		}
		if slices.ContainsFunc(h.slots, func(x store.Slot) bool { return x.ID != h.one.ID && x.Address == act.To.Canonical() }) {
			return fault.New(fault.Invalid, "err.title").In("to", "sent.already", fault.Args{"email": act.To.String()})
		}
		h.detail["from"] = h.one.DisplayAddress
		to = act.To
		h.one.Address, h.one.DisplayAddress = to.Canonical(), to.String()
	}
	about, err := h.about(*h.one)
	if err != nil {
		return err
	}
	out.Changed = true
	switch h.one.Delivery {
	case store.DeliveryNone:
		return fault.New(fault.Conflict, "sent.nomail")
	case store.DeliveryQueued, store.DeliveryPassing:
		return fault.New(fault.Conflict, "sent.waiting")
	case store.DeliveryWithdrawn:
		return fault.New(fault.Conflict, "sent.noletter")
	case store.DeliverySent:
		allowed, wait, err := h.tx.Hit("resend:"+h.one.ID, resendWindow, resendLimit)
		if err != nil {
			return err
		}
		if !allowed {
			return fault.New(fault.TooMany, "sent.often").With("n", int((wait+time.Hour-1)/time.Hour))
		}
		out.Reminded = true
		return h.s.c.Post.Reminder(h.tx, ReminderLetter{to, about})
	}
	c, err := h.s.cardOf(h.tx, h.m)
	if err != nil {
		return err
	}
	there, err := h.s.c.Post.Resend(h.tx, ResendLetter{h.one.ID, to, c.Subject, c.Note, about})
	if err == nil && !there {
		err = fault.New(fault.Gone, "sent.noletter")
	}
	h.one.Delivery, h.one.DeliveryText = store.DeliveryQueued, ""
	return err
}

// rewrap seals S, card and reasons under another epoch key.
func (h *held) rewrap(old, epoch epochKey) error {
	id, err := envelope.ParseMessageID(h.m.ID)
	if err != nil {
		return err
	}
	if len(h.m.Card) > 0 {
		plain, err := old.open(labelCard, string(id[:]), h.m.Card)
		if err != nil {
			return err
		}
		if h.m.Card, err = epoch.seal(labelCard, string(id[:]), plain); err != nil {
			return err
		}
	}
	was, is := openedEpoch{epochKey: old}, openedEpoch{epochKey: epoch}
	reason := func(name string, box *[]byte) error {
		text, err := was.openReason(name, *box)
		if err != nil {
			return err
		}
		*box, err = is.sealReason(name, text)
		return err
	}
	errs := []error{reason(h.m.ID, &h.m.LockBox)}
	for i := range h.slots {
		slot := &h.slots[i]
		errs = append(errs, reason(slot.ID, &slot.LockBox))
		if len(slot.Box) == 0 {
			continue
		}
		id, err := envelope.ParseSlotID(slot.ID)
		if err != nil {
			return err
		}
		secret, err := old.openSecret(id, slot.Box)
		if err != nil {
			return err
		}
		if slot.Box, err = epoch.sealSecret(id, secret); err != nil {
			return err
		}
		clear(secret[:])
	}
	return errors.Join(errs...)
}
