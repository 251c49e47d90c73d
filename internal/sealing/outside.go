package sealing

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/opener"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Outside is a message that was sealed in the browser of somebody who has no
// user here, to one user. The service gets both halves of the slot's key, and
// never the message: S stays, and E leaves with the mail and is forgotten.
type Outside struct {
	Account store.Account
	Name    string           // of the sender, as typed
	Address mailaddr.Address // of the sender, as typed
	Proved  bool             // the sender proved the address, by a code
	To      store.User
	Note    string // of the mail, and of the card

	MH, RH []byte
	Wrap   [48]byte
	S, E   envelope.Secret
	// Payload is read to its end, which must come within MaxPayload bytes.
	Payload    io.Reader
	MaxPayload int64

	Intake string // id of what it answers
	Origin string // network address of the sender
	// Then runs in the registering transaction, perhaps more than once, before
	// the letter is written.
	Then func(tx *store.Tx, reg keyserver.Registered) error
}

// RegisterOutside registers one message that was sealed outside, and puts its
// mail into the outbox; or leaves nothing behind. It returns the reference.
// Faults: intake.toobig, and those of keyserver's Register.
func (s *Service) RegisterOutside(ctx context.Context, o Outside) (ref string, err error) {
	from, err := mailaddr.Parse(o.To.DisplayAddress)
	if err != nil {
		return "", fmt.Errorf("register answer: recipient: %w", err)
	}
	c := &carried{s: s, o: o, to: from, sealedAt: s.cfg.DB.Now().UTC().Truncate(time.Second)}
	if c.settings, err = policy.ReadSettings(o.Account.Settings); err != nil {
		return "", fmt.Errorf("register answer: %w", err)
	}
	c.expires = c.settings.End(c.sealedAt, 0)
	if err := c.receive(ctx); err != nil {
		return "", err
	}
	if c.head, err = envelope.Parse(bytes.NewReader(envelope.Head(o.MH, o.RH, o.Wrap, [64]byte{}, c.payload.Size)), o.MaxPayload); err == nil && c.head.Header.Policy != 0 {
		err = errors.New("it lets the server open it")
	}
	if err != nil {
		s.discard(ctx, c.blob)
		return "", fault.New(fault.Invalid, "register.form").Because(err)
	}
	reg, err := s.cfg.Keys.Register(ctx, c.message())
	if err != nil {
		s.discard(ctx, c.blob)
		return "", fmt.Errorf("register answer: %w", err)
	}
	return reg.Slots[0].Ref, nil
}

// carried is an Outside on its way to its registration.
type carried struct {
	s        *Service
	o        Outside
	settings policy.Settings
	to       mailaddr.Address
	head     *envelope.Envelope
	payload  envelope.Payload
	blob     string // name of the payload's blob, "" where it is in body
	body     []byte
	sealedAt time.Time
	expires  time.Time
}

// receive keeps the payload, and hashes it.
func (c *carried) receive(ctx context.Context) error {
	w := &payloadWriter{ctx: ctx, blobs: c.s.cfg.Blobs}
	defer w.abort()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, hash), io.LimitReader(c.o.Payload, c.o.MaxPayload+1))
	if err != nil {
		return fmt.Errorf("register answer: read payload: %w", err)
	}
	if n > c.o.MaxPayload {
		return fault.New(fault.TooLarge, "intake.toobig")
	}
	c.payload.Size = n
	hash.Sum(c.payload.Hash[:0])
	if c.blob, c.body, err = w.commit(); err != nil {
		return fmt.Errorf("register answer: %w", err)
	}
	return nil
}

func (c *carried) message() keyserver.NewMessage {
	o := &c.o
	return keyserver.NewMessage{
		AccountID: o.Account.ID,
		Sender:    keyserver.Sender{Address: o.Address.Canonical(), Name: c.name(), Proved: o.Proved},
		Note:      o.Note,
		MH:        o.MH, HH: c.head.HH, PH: c.payload.Hash, PayloadSize: c.payload.Size, Payload: c.blob, Body: c.body,
		KeepUntil: keepUntil(c.settings, c.sealedAt, c.expires), ExpiresAt: c.expires, Carrier: keyserver.CarrierMail, Intake: o.Intake,
		Slots: []keyserver.NewSlot{{ID: c.head.Slot, Address: c.to, RH: o.RH, Wrap: o.Wrap, S: o.S,
			Pop: envelope.Pop(o.E, c.head.Slot, c.head.HH)}},
		Actor: keyserver.Actor{Name: "outsider:" + o.Address.Canonical(), Origin: o.Origin},
		Then: func(tx *store.Tx, reg keyserver.Registered) error {
			if err := o.Then(tx, reg); err != nil {
				return err
			}
			l, err := c.letter(reg)
			if err != nil {
				return err
			}
			return c.s.cfg.Outbox.Enqueue(tx, l)
		},
	}
}

// name is what the user sees of the sender.
func (c *carried) name() string {
	return cmp.Or(c.o.Name, c.o.Address.String())
}

// letter is the mail that carries the envelope.
func (c *carried) letter(reg keyserver.Registered) (outbox.Letter, error) {
	o, keep, ref := &c.o, keepUntil(c.settings, c.sealedAt, c.expires), reg.Slots[0].Ref
	langs := notice.In(o.To.Language, o.Account.Language, zoneOf(o.To.TimeZone))
	words := notice.Envelope{
		Sender: c.name(), SenderAddress: o.Address.String(), To: c.to.String(), Note: o.Note, Ref: ref, Part: envelope.KeyPart{E: o.E},
		ExpiresAt: c.expires, KeptUntil: keep, File: opener.Name(c.sealedAt),
	}
	from := c.s.cfg.Post.identity(o.Account.Language, c.name(), o.Address, o.Account.Name, false)
	l := outbox.Letter{
		Kind: outbox.Envelope, AccountID: o.Account.ID, SlotID: c.head.Slot.String(),
		From: from.From, ReplyTo: from.ReplyTo, Bounces: c.s.cfg.Post.From.Addr, To: message.Mailbox{Addr: c.to},
		MessageID: c.s.cfg.Post.thread(ref),
		Attach: &outbox.Attach{
			Name: words.File, Lang: langs.Order[0], Origin: c.s.cfg.Origin, Sender: c.name(), Reference: id.ShowReference(ref),
			Part:    envelope.KeyPart{E: o.E},
			Head:    envelope.Head(o.MH, o.RH, o.Wrap, reg.Seal, c.payload.Size),
			Payload: c.blob, Body: c.body, PayloadSize: c.payload.Size,
		},
	}
	if c.body != nil {
		l.Attach.Payload = store.RowName(reg.MessageID.String())
	}
	return l, c.s.cfg.Post.write(&l, langs, words, c.settings, "")
}
