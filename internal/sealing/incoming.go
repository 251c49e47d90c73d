package sealing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/opener"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Incoming is a message that came through the gateway, to be sealed octet for
// octet. Who may send it was decided before.
type Incoming struct {
	Account  store.Account
	Sender   mailaddr.Address // of the SMTP envelope, and the return path of the mails
	From     message.Mailbox  // of the mails' header; its name may be empty
	Rewrite  bool             // From is the service's own address instead, and From becomes Reply-To
	To       []outbox.Receiver
	Manifest *envelope.Manifest
	Plain    func() (io.ReadCloser, error)

	Subject   string        // for the sender's list
	Outer     string        // subject of the mails; "": one that says nothing
	MessageID string        // of the mails, without angle brackets
	Header    outbox.Header // of the mails

	ExpiresAt     time.Time // zero: never
	RemindAt      time.Time // when to tell the sender who has not opened it; zero: not
	Receipt       *bool     // tell the sender when it is opened; nil: as they like it
	Permissions   policy.Permissions
	ServerMayOpen bool
	ScriptFree    bool

	Through bool   // the mail is handed on at once: see keyserver.CarrierThrough
	Transit string // trace id
	ENVID   string // of RFC 3461, "" for none
	Origin  string // network address of the upstream
	Answer  *outbox.Answer
	// Then runs in the registering transaction, perhaps more than once. The
	// letters are in the order of To; they are not in the outbox yet. Through has
	// none there: its one is written after the commit.
	Then func(tx *store.Tx, m envelope.MessageID, letters []outbox.Letter) error
}

// SealIncoming seals one message and registers it, or leaves nothing behind. It
// returns a letter for each recipient.
func (s *Service) SealIncoming(ctx context.Context, in Incoming) (envelope.MessageID, []outbox.Letter, error) {
	p := &passing{in: in, sealedAt: s.cfg.DB.Now().UTC().Truncate(time.Second)}
	if err := s.cfg.DB.View(ctx, p.lookUp); err != nil {
		return envelope.MessageID{}, nil, fmt.Errorf("seal message: %w", err)
	}
	h := envelope.Header{SealedAt: p.sealedAt, SenderHint: p.name(), NotAfter: in.ExpiresAt.Truncate(time.Second)}
	var err error
	if h.Policy, err = headerPolicy(in.Account); err != nil {
		return envelope.MessageID{}, nil, fmt.Errorf("seal message: %w", err)
	}
	if in.ServerMayOpen {
		h.Policy = envelope.PolicyServerMayOpen
	}
	plain, err := in.Plain()
	if err != nil {
		return envelope.MessageID{}, nil, fmt.Errorf("seal message: %w", err)
	}
	defer plain.Close()
	if p.enclosure, err = s.enclose(ctx, h, in.Manifest, plain, p.to(), nil); err != nil {
		return envelope.MessageID{}, nil, err
	}
	reg, err := s.cfg.Keys.Register(ctx, p.message())
	if err != nil {
		p.discard(ctx)
		return envelope.MessageID{}, nil, fmt.Errorf("seal message: %w", err)
	}
	if in.Through {
		// Outside the transaction, which others wait for.
		if p.letters, err = p.write(reg); err != nil {
			err = errors.Join(err, s.cfg.Keys.Withdraw(ctx, reg.MessageID.String(), "its mail could not be written"))
			return envelope.MessageID{}, nil, fmt.Errorf("seal message: %w", err)
		}
	}
	return reg.MessageID, p.letters, nil
}

// passing is an Incoming on its way to its registration.
type passing struct {
	*enclosure
	in       Incoming
	sealedAt time.Time
	userID   string            // of the sender, "" where nobody here has the address
	notify   bool              // the sender wants to be told of openings
	known    string            // what From's address is called here, "" where nobody has it
	speak    map[string]string // language of recipients who are users, by canonical address
	letters  []outbox.Letter
}

// lookUp finds the sender among the account's people, and the languages of recipients.
func (p *passing) lookUp(tx *store.Tx) error {
	p.speak = make(map[string]string)
	u, err := tx.FindUserByAddress(p.in.Sender.Canonical())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case u.AccountID == p.in.Account.ID:
		p.userID, p.notify = u.ID, u.NotifyOpened
		if p.in.From.Addr.Canonical() == u.Address {
			p.known = u.Name()
		}
	}
	for _, a := range p.to() {
		u, err := tx.FindUserByAddress(a.Canonical())
		if err == nil {
			p.speak[a.Canonical()] = u.Language
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// name is what recipients see of the sender.
func (p *passing) name() string {
	return cmp.Or(p.in.From.Name, p.known, p.in.From.Addr.String())
}

func (p *passing) message() keyserver.NewMessage {
	in := &p.in
	m := keyserver.NewMessage{
		AccountID: in.Account.ID,
		Sender: keyserver.Sender{UserID: p.userID, Address: in.From.Addr.Canonical(), Name: p.name(),
			Organisation: in.Account.Name, Verified: true}, // the upstream was admitted for the address's domain
		Subject: in.Subject,
		MH:      p.sealer.MH(), HH: p.sealer.HH(), PH: p.payload.Hash, PayloadSize: p.payload.Size, Payload: p.blob, Body: p.body,
		KeepUntil: p.keep(), ExpiresAt: in.ExpiresAt, NotifyOpened: p.notify, Carrier: keyserver.CarrierMail,
		RemindAt: in.RemindAt,
		Slots:    p.newSlots(p.to(), p.names), Transit: in.Transit, Permissions: in.Permissions,
		Actor: keyserver.Actor{UserID: p.userID, Name: "user:" + in.Sender.Canonical(), Origin: in.Origin},
		Then: func(tx *store.Tx, reg keyserver.Registered) error {
			p.letters = nil
			if !in.Through {
				var err error
				if p.letters, err = p.write(reg); err != nil {
					return err
				}
			}
			return in.Then(tx, reg.MessageID, p.letters)
		},
	}
	if in.Receipt != nil {
		m.NotifyOpened = *in.Receipt
	}
	if in.Through {
		m.Carrier = keyserver.CarrierThrough
	}
	return m
}

// write gives the letters of what was registered.
func (p *passing) write(reg keyserver.Registered) ([]outbox.Letter, error) {
	letters, keep := make([]outbox.Letter, len(p.slots)), p.keep()
	for i := range p.slots {
		var err error
		if letters[i], err = p.letter(i, reg, keep); err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// keep is until when the ciphertext is kept for the mail's link.
func (p *passing) keep() time.Time { return keepUntil(p.in.Account, p.sealedAt, p.in.ExpiresAt) }

func (p *passing) to() []mailaddr.Address {
	out := make([]mailaddr.Address, len(p.in.To))
	for i, r := range p.in.To {
		out[i] = r.Addr
	}
	return out
}

// names reports whether the message names a in To or Cc; else a got a blind copy.
func (p *passing) names(a mailaddr.Address) bool {
	is := func(b message.Mailbox) bool { return b.Addr.Canonical() == a.Canonical() }
	return slices.ContainsFunc(p.in.Header.To, is) || slices.ContainsFunc(p.in.Header.Cc, is)
}

// letter is the mail that carries slot i. Its header is that of the message, so
// that mail programs put it where the message would have stood.
func (p *passing) letter(i int, reg keyserver.Registered, keep time.Time) (outbox.Letter, error) {
	in, slot, receiver, to := &p.in, p.slots[i], p.in.To[i], p.in.To[i].Addr
	langs := notice.In(p.speak[to.Canonical()], in.Account.Language, zoneOf(in.Account.TimeZone))
	words := notice.Envelope{
		Sender: p.name(), SenderAddress: in.From.Addr.String(), Organisation: in.Account.Name, To: to.String(),
		Ref: reg.Slots[i].Ref, Part: p.parts[i], ExpiresAt: in.ExpiresAt, KeptUntil: keep, File: opener.Name(p.sealedAt),
	}
	header := in.Header
	l := outbox.Letter{
		Kind: outbox.Envelope, AccountID: in.Account.ID, SlotID: slot.ID.String(), Answer: in.Answer,
		From: in.From, Bounces: in.Sender, To: message.Mailbox{Addr: to}, Subject: in.Outer, MessageID: in.MessageID, Header: &header,
		Transit: in.Transit, Notify: receiver.Notify, Original: receiver.Original, EnvelopeID: in.ENVID,
		Attach: p.attach(i, reg, words.File, langs.Order[0], p.name(), in.Account.Name),
	}
	l.Attach.ScriptFree = in.ScriptFree
	if in.Rewrite {
		own := p.s.cfg.Post.identity(in.Account.Language, p.name(), in.From.Addr, in.Account.Name, false)
		l.From = own.From
		if len(in.Header.ReplyTo) == 0 {
			l.ReplyTo = own.ReplyTo
		}
	}
	return l, p.s.write(&l, langs, words)
}
