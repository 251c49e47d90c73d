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

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/masterkey"
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
	Forwarded(tx *store.Tx, f ForwardedLetter) error
	Wake()
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
	Name    string  // as audited: user:<address>, operator:<name>
	Origin  string  // network address, or "terminal"
	Session string  // hash of the session that acts, "" = none
	Token   string  // of the API token that acts, "" = none
	AdminOf []int64 // of who has no user: accounts that they act on
}

// record is that a did something, for the audit log.
func (a Actor) record(account int64, action, target string) store.AuditRow {
	row := store.AuditRow{AccountID: account, Actor: a.Name, Action: action, Target: target, Origin: a.Origin, Detail: map[string]string{}}
	if a.Token != "" {
		row.Detail["token"] = a.Token
	}
	return row
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

	erased func() error // called after each batch of erase, where a test says so
}

// New returns a key server.
func New(c Config) *Service { return &Service{c: c, pause: 300 * time.Millisecond, staged: staged} }

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
