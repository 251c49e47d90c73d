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
	"github.com/pli-mail/pli/internal/brand"
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

	Lives         time.Duration // how long it can be opened; 0: as the account has it
	RemindAt      time.Time     // when to tell the sender who has not opened it; zero, or after the end: not
	Receipt       *bool         // tell the sender when it is opened; nil: as they like it
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
	// none there: they are written after the commit.
	Then func(tx *store.Tx, m envelope.MessageID, letters []outbox.Letter) error
	// Undone runs in the transaction that takes back what Through registered.
	Undone func(tx *store.Tx, why string) error
}

// SealIncoming seals one message and registers it, or leaves nothing behind. With
// Through it returns a letter for each recipient; else Then has had them.
func (s *Service) SealIncoming(ctx context.Context, in Incoming) ([]outbox.Letter, error) {
	a := &arrival{in: in, sealedAt: s.cfg.DB.Now().UTC().Truncate(time.Second)}
	if err := s.cfg.DB.View(ctx, a.lookUp); err != nil {
		return nil, fmt.Errorf("seal message: %w", err)
	}
	h := envelope.Header{SealedAt: a.sealedAt, SenderHint: a.name(), NotAfter: a.ends.Truncate(time.Second)}
	h.Policy = headerPolicy(a.settings)
	if in.ServerMayOpen {
		h.Policy = envelope.PolicyServerMayOpen
	}
	plain, err := in.Plain()
	if err != nil {
		return nil, fmt.Errorf("seal message: %w", err)
	}
	defer plain.Close()
	if a.enclosure, err = s.enclose(ctx, h, in.Manifest, plain, a.to(), nil); err != nil {
		return nil, err
	}
	reg, err := s.cfg.Keys.Register(ctx, a.message())
	if err != nil {
		s.discard(ctx, a.blob)
		return nil, fmt.Errorf("seal message: %w", err)
	}
	if !in.Through {
		return nil, nil
	}
	letters, err := a.write(reg) // outside the transaction, which others wait for
	if err != nil {
		const why = "its mail could not be written"
		err = errors.Join(err, s.cfg.Keys.Withdraw(ctx, reg.MessageID.String(), why, func(tx *store.Tx) error { return in.Undone(tx, why) }))
		return nil, fmt.Errorf("seal message: %w", err)
	}
	return letters, nil
}

// arrival is an Incoming on its way to its registration.
type arrival struct {
	*enclosure
	in       Incoming
	sealedAt time.Time
	userID   string            // of the sender, "" where nobody here has the address
	notify   bool              // the sender wants to be told of openings
	known    string            // what From's address is called here, "" where nobody has it
	speak    map[string]string // language of recipients who are users, by canonical address
	ends     time.Time         // zero: never
	settings policy.Settings   // for what the sender sends
	look     brand.Brand
	logo     *message.Inline
}

// lookUp finds the sender among the account's people, and the languages of recipients.
func (a *arrival) lookUp(tx *store.Tx) error {
	a.speak = make(map[string]string)
	var err error
	if a.look, a.logo, err = dressed(tx, a.in.Account); err != nil {
		return err
	}
	u, err := tx.FindUserByAddress(a.in.Sender.Canonical())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case u.AccountID == a.in.Account.ID:
		a.userID, a.notify = u.ID, u.NotifyOpened
		if a.in.From.Addr.Canonical() == u.Address {
			a.known = u.Name()
		}
	}
	if a.settings, err = keyserver.Sending(tx, a.in.Account, a.userID); err != nil {
		return err
	}
	a.ends = a.settings.End(tx.Now, a.in.Lives)
	if remindsLate(a.in.RemindAt, a.ends) {
		a.in.RemindAt = time.Time{}
	}
	for _, to := range a.to() {
		u, err := tx.FindUserByAddress(to.Canonical())
		if err == nil {
			a.speak[to.Canonical()] = u.Language
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// name is what recipients see of the sender.
func (a *arrival) name() string {
	return cmp.Or(a.in.From.Name, a.known, a.in.From.Addr.String())
}

// organisation is the name of the account that recipients see.
func (a *arrival) organisation() string { return a.look.Organisation(a.in.Account.Name) }

func (a *arrival) message() keyserver.NewMessage {
	in := &a.in
	m := keyserver.NewMessage{
		AccountID: in.Account.ID,
		Sender: keyserver.Sender{UserID: a.userID, Address: in.From.Addr.Canonical(), Name: a.name(),
			Organisation: a.organisation(), Verified: true}, // the upstream was admitted for the address's domain
		Subject: in.Subject,
		MH:      a.sealer.MH(), HH: a.sealer.HH(), PH: a.payload.Hash, PayloadSize: a.payload.Size, Payload: a.blob, Body: a.body,
		KeepUntil: a.keep(), ExpiresAt: a.ends, NotifyOpened: a.notify, Carrier: keyserver.CarrierMail,
		RemindAt: in.RemindAt,
		Slots:    a.newSlots(a.to(), a.names), Transit: in.Transit, Permissions: in.Permissions,
		Actor: keyserver.Actor{UserID: a.userID, Name: "user:" + in.Sender.Canonical(), Origin: in.Origin},
		Then: func(tx *store.Tx, reg keyserver.Registered) error {
			if in.Through {
				return in.Then(tx, reg.MessageID, nil)
			}
			letters, err := a.write(reg)
			if err != nil {
				return err
			}
			return in.Then(tx, reg.MessageID, letters)
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
func (a *arrival) write(reg keyserver.Registered) ([]outbox.Letter, error) {
	letters, keep := make([]outbox.Letter, len(a.slots)), a.keep()
	for i := range a.slots {
		var err error
		if letters[i], err = a.letter(i, reg, keep); err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// keep is until when the ciphertext is kept for the mail's link.
func (a *arrival) keep() time.Time { return keepUntil(a.settings, a.sealedAt, a.ends) }

func (a *arrival) to() []mailaddr.Address {
	out := make([]mailaddr.Address, len(a.in.To))
	for i, r := range a.in.To {
		out[i] = r.Addr
	}
	return out
}

// names reports whether the message names addr in To or Cc; else it got a blind copy.
func (a *arrival) names(addr mailaddr.Address) bool {
	is := func(b message.Mailbox) bool { return b.Addr.Canonical() == addr.Canonical() }
	return slices.ContainsFunc(a.in.Header.To, is) || slices.ContainsFunc(a.in.Header.Cc, is)
}

// letter is the mail that carries slot i. Its header is that of the message, so
// that mail programs put it where the message would have stood.
func (a *arrival) letter(i int, reg keyserver.Registered, keep time.Time) (outbox.Letter, error) {
	in, slot, receiver, to := &a.in, a.slots[i], a.in.To[i], a.in.To[i].Addr
	langs := notice.In(a.speak[to.Canonical()], in.Account.Language, zoneOf(in.Account.TimeZone))
	words := notice.Envelope{
		Sender: a.name(), SenderAddress: in.From.Addr.String(), Organisation: a.organisation(), Look: a.look, To: to.String(),
		Ref: reg.Slots[i].Ref, Part: a.parts[i], ExpiresAt: a.ends, KeptUntil: keep, File: opener.Name(a.sealedAt),
	}
	header := in.Header
	// The mail has the id of the message; what the service writes about it answers this one.
	header.References = append(slices.Clip(header.References), a.s.cfg.Post.thread(reg.Slots[i].Ref))
	l := outbox.Letter{
		Kind: outbox.Envelope, AccountID: in.Account.ID, SlotID: slot.ID.String(), Answer: in.Answer,
		From: in.From, Bounces: in.Sender, To: message.Mailbox{Addr: to}, Subject: in.Outer, MessageID: in.MessageID, Header: &header, Logo: a.logo,
		Transit: in.Transit, Notify: receiver.Notify, Original: receiver.Original, EnvelopeID: in.ENVID,
		Attach: a.attach(i, reg, words.File, langs.Order[0], a.name(), a.organisation()),
	}
	l.Attach.ScriptFree = in.ScriptFree
	if in.Rewrite {
		own := a.s.cfg.Post.identity(in.Account.Language, a.name(), in.From.Addr, a.organisation(), false)
		l.From = own.From
		if len(in.Header.ReplyTo) == 0 {
			l.ReplyTo = own.ReplyTo
		}
	}
	return l, a.s.cfg.Post.write(&l, langs, words, a.settings, in.Subject)
}
