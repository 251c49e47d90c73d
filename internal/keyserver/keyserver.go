// Package keyserver keeps the service's half of every envelope's key. It is the
// only way by which that half leaves: Release, which checks, counts and records
// in one transaction, and without its record releases nothing.
//
// Rules are here, rows are in store. Whoever asks is a Visitor (a browser or a
// terminal, known by its session) or an Actor (a person who acts on what they
// sent, or administers).
package keyserver

import (
	"log/slog"
	"sync"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Config is what a Service needs; all of it is required but KeepTransits.
type Config struct {
	DB     *store.DB
	Root   *masterkey.Root
	Blobs  *blob.Store
	Origin string // of this key server, as envelopes name it: https://host[:port]
	Post   Post
	Log    *slog.Logger

	MaxLarge     int64         // bytes of a file that is sent beside a mail; 0: none is
	KeepTransits time.Duration // how long the gateway's records are kept; 0: for ever
}

// Post sends the mails of this package. Its methods write to the outbox inside
// tx; Wake is called after a commit that wrote one. Resend reports whether there
// still was a letter to send.
type Post interface {
	Code(tx *store.Tx, c CodeLetter) error
	Opened(tx *store.Tx, o OpenedLetter) error
	Resend(tx *store.Tx, r ResendLetter) (bool, error)
	Reminder(tx *store.Tx, r ReminderLetter) error
	Unread(tx *store.Tx, u UnreadLetter) error
	Reported(tx *store.Tx, r ReportLetter) error
	Wake()
}

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

// OpenedLetter tells a sender of the first opening of one recipient's envelope.
type OpenedLetter struct {
	AccountID     int64
	SenderUserID  string
	SenderAddress string
	MessageID     string
	Ref           string
	Recipient     string // address as the sender wrote it
	At            time.Time
}

// Visitor is who opens: one session, from one place.
type Visitor struct {
	Session  string // hash of the session's token
	Device   string // hash of the token that the browser is remembered by; "" = it is not
	Origin   string // network address, or "terminal", for the audit record
	Language string // en, fr, or "": of the code's mail
}

// Actor is who acts on a sent message.
type Actor struct {
	UserID  string
	Name    string // as audited: user:<address>, operator:<name>
	Origin  string // network address, or "terminal"
	AdminOf []int64
}

// Service is the key server. Its methods are safe for concurrent use, and for
// many nodes on one database.
type Service struct {
	c Config

	pause time.Duration // how long an answer to a request without possession takes at least

	staged stageLimits

	mu      sync.Mutex // guards sealing
	sealing *sealKey   // read or made at its first use

	blobsMu sync.Mutex // guards blobsAt
	blobsAt time.Time  // when the blobs that nothing names were last looked for
}

// New returns a key server.
func New(c Config) *Service { return &Service{c: c, pause: 300 * time.Millisecond, staged: staged} }

// NewMessage is a sealed message to be registered. The blob named Payload stays
// the caller's until Register returns nil, and is the service's from then on. A
// small payload is given as Body instead.
type NewMessage struct {
	AccountID    int64
	Sender       Sender
	Subject      string // kept encrypted, for the sender's list
	Note         string // kept encrypted, shown to whoever holds the mail
	MH           []byte
	HH, PH       [32]byte
	PayloadSize  int64     // bytes
	Payload      string    // name of the blob, "" where the sender holds the file, or with Body
	Body         []byte    // the payload itself, or nil
	KeepUntil    time.Time // how long the link serves the payload; zero: only until the mails have left
	ExpiresAt    time.Time // zero: never
	NotifyOpened bool
	RemindAt     time.Time          // when the sender is told who has not opened it; zero: not
	Carrier      string             // CarrierMail, CarrierFile or CarrierThrough
	Transit      string             // trace id of the gateway, or ""
	Permissions  policy.Permissions // what the sender or a rule allows
	Intake       string             // id of the intake that it answers, or ""
	Larges       []string           // ids of the sender's large files whose keys are in it
	Slots        []NewSlot
	Actor        Actor
	Answers      *AnswerAct // the envelope that this one answers, or passes on; nil: none
	// Then, if not nil, runs in the same transaction, perhaps more than once: it
	// enqueues the mails. Its error undoes everything.
	Then func(tx *store.Tx, r Registered) error
}

// How the envelopes travel.
const (
	CarrierMail    = store.CarrierMail    // the outbox delivers them
	CarrierFile    = store.CarrierFile    // the sender holds the files
	CarrierThrough = store.CarrierThrough // the gateway hands it on, and then says Passed or Withdraw
)

// Sender is who sent a message, as it is shown to its recipients.
type Sender struct {
	UserID       string
	Address      string // canonical
	Name         string
	Organisation string // name of the account; not an input of Register
	Verified     bool   // the address's domain is one of this service's
	Outsider     bool   // it answers an intake or an envelope: the sender is not of the account
	Proved       bool   // an outsider proved the address, by a mailed code
}

// NewSlot is one recipient's half.
type NewSlot struct {
	ID      envelope.SlotID
	Address mailaddr.Address
	RH      []byte
	Wrap    [48]byte
	S       envelope.Secret
	Pop     [32]byte
	Shown   bool // the message names the address in To or Cc
}

// Registered is what Register adds to the envelopes.
type Registered struct {
	MessageID envelope.MessageID
	Seal      [64]byte
	Slots     []RegisteredSlot // in the order given
}

// RegisteredSlot is one recipient's reference.
type RegisteredSlot struct {
	SlotID envelope.SlotID
	Ref    string // six characters, as id.NewReference makes them
}

// Challenge is what a proof of possession is made for.
type Challenge struct {
	Slot    envelope.SlotID
	Message envelope.MessageID
	HH      [32]byte
	Nonce   []byte // 32 bytes, of the session
}

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
	Note       string
	Masked     string // the recipient's address, all but a letter hidden
	SealedAt   time.Time
	ExpiresAt  time.Time // zero: never
	State      string    // StateActive and so on
	Reason     string    // why it is locked, in the sender's words; "" where they gave none
	Kept       bool      // Ciphertext has it
	NoCopy     bool      // its sender asked that it is not passed on
	Online     bool      // Assist may open it; known also without Possession to who proved the address
	Answers    Answers   // with Proven, while it can be opened
}

// What a high level asks of somebody who proved the address.
const (
	StepAccount = "account" // to sign in, or to have an account at all
	StepSetUp   = "set-up"  // to have a second factor
	StepSecond  = "second"  // to prove it now
)

// The states of a slot; the strictest of the slot's and the message's counts.
const (
	StateActive  = "active"
	StateLocked  = "locked"
	StateExpired = "expired"
	StateGone    = "gone" // the key has been destroyed

	StateRecalled = "recalled" // the sender has withdrawn it
)

// Release is what opens one recipient's envelope together with its mail.
type Release struct {
	S         envelope.Secret
	HH, PH    [32]byte
	Ref       string
	Sender    Sender
	SealedAt  time.Time
	ExpiresAt time.Time // zero: never
	Kept      bool      // Ciphertext has it
}
