// Package sealing turns a message into envelopes: it builds the MIME message,
// seals it, registers it with the key server and puts one mail per recipient
// into the outbox, all or nothing. The mails of the other services leave
// through its Postman.
//
// The plain text is in memory a few chunks at a time, and on disk only in the
// spool, under a key that this process alone has.
package sealing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/opener"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// Config is what a Service needs. Zero limits are replaced by the defaults.
type Config struct {
	DB     *store.DB
	Keys   *keyserver.Service
	Blobs  *blob.Store
	Outbox *outbox.Outbox
	Words  *notice.Writer
	Post   *Postman // for the senders of the mails
	Spool  string   // directory of the encrypted scratch files
	Origin string
	// Protects says how the way to a domain's mail server is proved
	// (relay.Relay.Protects), for answers that may travel over such a way; nil:
	// no way is known, and every answer is sealed.
	Protects func(ctx context.Context, domain string) (how string, err error)
	Log      *slog.Logger

	MaxFiles int64 // bytes of all files together; 25 MiB
}

// Limits of one message that no setting changes.
const (
	maxText       = 1 << 20 // bytes of the text
	maxRecipients = 100
)

// Service seals. It is safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service {
	if cfg.MaxFiles <= 0 {
		cfg.MaxFiles = 25 << 20
	}
	return &Service{cfg}
}

// MaxFiles is the limit for all files of one message, in bytes.
func (s *Service) MaxFiles() int64 { return s.cfg.MaxFiles }

// Sender is who sends.
type Sender struct {
	UserID   string
	Address  string
	Name     string // "" shows the address
	Language string // of the person, for what is written to them
}

// Request is one message to send. Time zone and time of keeping are the account's.
type Request struct {
	Sender      Sender
	AccountID   int64
	AccountName string // "": as the account is called
	To          []mailaddr.Address
	Cc          []mailaddr.Address
	Names       map[string]string // that the sender typed, by canonical address, for their contacts
	Subject     string
	Note        string // seen before opening
	Text        string
	// Files gives one file after the other, io.EOF at the end; nil for none. A
	// file is read before the next one is asked for.
	Files       func() (*File, error)
	ExpiresAt   time.Time // zero: never
	Notify      bool      // tell the sender when it is opened
	RemindAt    time.Time // when to tell the sender who has not opened it; zero: not
	Permissions policy.Permissions
	Passphrase  *envelope.Passphrase // derived in the sender's browser; nil for none
	Larges      []string             // ids of files beside the mail, whose keys are in Files
	NoticeLang  string               // of the mail: en, fr, or both; a recipient who is a user gets their own
	Origin      string               // network address, for the audit record
	Token       string               // of the API token that sends, "" = none
	// Draft, if not nil, is what the message is sent from: its files are the
	// message's, and it is kept for Hold and then goes.
	Draft *Draft
	Hold  time.Duration // that the mails wait in the outbox, so that the sending can be undone
}

// File is one attached file.
type File struct {
	Name   string
	Type   string // media type; "" for unknown
	Reader io.Reader
}

// Result is what became of a request.
type Result struct {
	MessageID envelope.MessageID
	Refs      []string // six characters, one per recipient, in the order of Request.To and .Cc without repetitions
}

// Seal sends one message. When it returns nil, the message is registered and
// its mails are in the outbox; otherwise nothing was sent and nothing is left.
func (s *Service) Seal(ctx context.Context, r Request) (Result, error) {
	j := &job{s: s, r: r, sealedAt: s.cfg.DB.Now().UTC().Truncate(time.Second)}
	if err := j.check(); err != nil {
		return Result{}, err
	}
	if err := s.cfg.DB.View(ctx, j.lookUp); err != nil {
		return Result{}, fmt.Errorf("seal message: %w", err)
	}
	plain := spool.New(s.cfg.Spool)
	defer plain.Close()
	if err := j.compose(plain); err != nil {
		return Result{}, err
	}
	if err := j.seal(ctx, plain); err != nil {
		return Result{}, err
	}
	return j.register(ctx)
}

// job is one message on its way from the spool to the outbox.
type job struct {
	s        *Service
	r        Request
	from     mailaddr.Address
	to       []mailaddr.Address
	direct   int // how many of to are not copies
	account  store.Account
	settings policy.Settings       // for what the sender sends
	policy   uint32                // of the envelope's header
	verified bool                  // the sender's address is in a domain of their own account
	known    map[string]store.User // recipients who are users, by canonical address
	sealedAt time.Time
	answer   *answering // nil: it answers nothing
	look     brand.Brand
	logo     *message.Inline

	notBefore time.Time // that the mails leave

	*enclosure
}

// lookUp reads the account, whether the sender is verified, and which recipients are users.
func (j *job) lookUp(tx *store.Tx) (err error) {
	if j.account, err = tx.FindAccount(j.r.AccountID); err != nil {
		return err
	}
	if j.answer != nil && j.r.Sender.UserID != "" {
		u, err := tx.FindUser(j.r.Sender.UserID)
		if err != nil {
			return err
		}
		j.answer.inside = u.AccountID == j.account.ID
	}
	if !j.outside() {
		if j.look, j.logo, err = dressed(tx, j.account); err != nil {
			return err
		}
		j.r.AccountName = j.look.Organisation(cmp.Or(j.r.AccountName, j.account.Name))
	}
	if j.settings, err = keyserver.Sending(tx, j.account, j.r.Sender.UserID); err != nil {
		return err
	}
	j.policy = headerPolicy(j.settings)
	if j.verified, err = account.Verified(tx, j.r.AccountID, j.r.Sender.UserID, j.from); err != nil {
		return err
	}
	j.known = make(map[string]store.User)
	for _, a := range j.to {
		u, err := tx.FindUserByAddress(a.Canonical())
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		j.known[a.Canonical()] = u
	}
	return nil
}

// headerPolicy is what the header says of an account's envelopes: whether the
// server may ever open one. An account that forbids it later is obeyed too.
func headerPolicy(s policy.Settings) uint32 {
	if !s.Online {
		return 0
	}
	return envelope.PolicyServerMayOpen
}

// seal makes the enclosure of the composed message.
func (j *job) seal(ctx context.Context, plain *spool.File) error {
	in, err := plain.Reader()
	if err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	manifest, err := message.Index(in)
	in.Close()
	if err != nil {
		return fmt.Errorf("seal message: index: %w", err)
	}
	h := envelope.Header{SealedAt: j.sealedAt, Policy: j.policy, SenderHint: j.r.Sender.Name, NotAfter: j.r.ExpiresAt.Truncate(time.Second)}
	if in, err = plain.Reader(); err != nil {
		return fmt.Errorf("seal message: %w", err)
	}
	defer in.Close()
	j.enclosure, err = j.s.enclose(ctx, h, manifest, in, j.to, j.r.Passphrase)
	return err
}

// register commits the message, its slots and its letters in one transaction.
func (j *job) register(ctx context.Context) (Result, error) {
	keep := keepUntil(j.settings, j.sealedAt, j.r.ExpiresAt)
	j.notBefore = j.s.cfg.DB.Now().Add(j.r.Hold)
	from := j.identity()
	m := keyserver.NewMessage{
		AccountID: j.r.AccountID,
		Sender: keyserver.Sender{UserID: j.r.Sender.UserID, Address: j.from.Canonical(), Name: j.name(),
			Organisation: j.r.AccountName, Verified: j.verified},
		Subject: j.r.Subject, Note: j.r.Note,
		MH: j.sealer.MH(), HH: j.sealer.HH(), PH: j.payload.Hash, PayloadSize: j.payload.Size, Payload: j.blob, Body: j.body,
		KeepUntil: keep, ExpiresAt: j.r.ExpiresAt, NotifyOpened: j.r.Notify, Carrier: keyserver.CarrierMail,
		RemindAt:    j.r.RemindAt,
		Permissions: j.permissions(), Larges: j.r.Larges,
		Actor: keyserver.Actor{UserID: j.r.Sender.UserID, Name: "user:" + j.from.Canonical(), Origin: j.r.Origin, Token: j.r.Token},
		Then: func(tx *store.Tx, reg keyserver.Registered) error {
			if err := j.enqueueOpen(tx); err != nil {
				return err
			}
			for i := range j.slots {
				l, err := j.letter(i, reg, from, keep)
				if err != nil {
					return err
				}
				if j.r.Hold > 0 {
					l.NotBefore = j.notBefore
				}
				if err := j.s.cfg.Outbox.Enqueue(tx, l); err != nil {
					return err
				}
			}
			if err := j.sentFrom(tx, reg.MessageID.String()); err != nil {
				return err
			}
			return j.remember(tx, reg.MessageID.String())
		},
	}
	m.Slots = j.newSlots(j.to, nil)
	if a := j.answer; a != nil {
		m.Answers, m.Sender.Proved, m.Actor.Name = &a.act, j.outside(), "recipient:"+j.from.Canonical()
	}
	reg, err := j.s.cfg.Keys.Register(ctx, m)
	if err != nil {
		j.s.discard(ctx, j.blob)
		return Result{}, fmt.Errorf("seal message: %w", err)
	}
	out := Result{MessageID: reg.MessageID}
	for _, slot := range reg.Slots {
		out.Refs = append(out.Refs, slot.Ref)
	}
	return out, nil
}

// permissions are the request's, which say too whether opening takes a passphrase.
func (j *job) permissions() policy.Permissions {
	p := j.r.Permissions
	p.Passphrase = j.r.Passphrase != nil
	return p
}

// remember makes contacts of the recipients, or notes that they were used.
func (j *job) remember(tx *store.Tx, messageID string) error {
	if j.r.Sender.UserID == "" {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(j.to), func(a, b mailaddr.Address) int { return strings.Compare(a.Canonical(), b.Canonical()) })
	for _, a := range sorted { // in one order, so that two sendings do not wait for each other
		c := store.Contact{Address: a.Canonical(), DisplayAddress: a.String(), Name: personName(j.r.Names[a.Canonical()])}
		if err := tx.TouchContact(j.r.Sender.UserID, c, messageID); err != nil {
			return err
		}
	}
	return nil
}

// identity is how the sender appears in the header of the mails.
func (j *job) identity() identity {
	return j.s.cfg.Post.identity(j.account.Language, j.name(), j.from, j.look.Organisation(j.account.Name), j.verified)
}

// name is what recipients see of the sender.
func (j *job) name() string {
	return cmp.Or(j.r.Sender.Name, j.from.String())
}

// letter is the mail that carries slot i.
func (j *job) letter(i int, reg keyserver.Registered, from identity, keep time.Time) (outbox.Letter, error) {
	slot, to, ref := j.slots[i], j.to[i], reg.Slots[i].Ref
	choice := j.r.NoticeLang
	if u, ok := j.known[to.Canonical()]; ok {
		choice = u.Language
	}
	langs := notice.In(choice, j.account.Language, zoneOf(j.account.TimeZone))
	words := notice.Envelope{
		Sender: j.name(), SenderAddress: j.from.String(), Organisation: j.r.AccountName, Look: j.look,
		To: to.String(), Note: j.r.Note, Ref: ref, Part: j.parts[i], ExpiresAt: j.r.ExpiresAt, KeptUntil: keep,
		File: opener.Name(j.sealedAt), Answer: j.answerTo(to),
	}
	l := outbox.Letter{
		Kind: outbox.Envelope, AccountID: j.r.AccountID, SlotID: slot.ID.String(), SenderID: j.r.Sender.UserID,
		From: from.From, ReplyTo: from.ReplyTo, Bounces: j.s.cfg.Post.From.Addr, To: message.Mailbox{Addr: to},
		MessageID: j.s.cfg.Post.thread(ref), InReplyTo: j.inReplyTo(to), Answer: j.reports(), Logo: j.logo,
		Attach: j.attach(i, reg, words.File, langs.Order[0], j.name(), j.r.AccountName),
	}
	return l, j.s.cfg.Post.write(&l, langs, words, j.settings, j.r.Subject)
}
