// Package account knows the people: who they are, how they prove it, which
// groups they are in, and what that lets them do. Every act of administration
// is here, whatever door it comes through; each is checked by can (rights.go)
// and recorded in the transaction that does it.
package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/sync/semaphore"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/webhook"
)

// How long things last.
const (
	IdleLimit       = 30 * time.Minute   // a session that is not used ends
	SessionLimit    = store.SessionLimit // a session ends
	SecondLimit     = 15 * time.Minute   // one that asks for the second factor ends
	FreshLimit      = 10 * time.Minute   // a proof is recent enough to change what proves
	VisitLimit      = 2 * time.Hour      // a session in which nothing was proved ends
	CodeLimit       = 10 * time.Minute
	CodeTries       = 5
	InvitationLimit = 7 * 24 * time.Hour
)

// Config is what a Service needs; Wake, BreachedFile and Contact may be empty.
type Config struct {
	DB   *store.DB
	Root *masterkey.Root // wraps the key that passwords are hashed with, and hashes codes

	Origin   string // the public address, to which passkeys are bound; "" or one without a name: there are none
	SiteName string // as authenticators show it; "Pli" when empty

	Post Post
	Wake func() // called after a commit that may have written letters
	Log  *slog.Logger

	Hash         HashCost
	Hashers      int     // password hashes computed at once; each takes Hash.Memory. 0: one per processor
	BreachedFile string  // sorted lines of SHA-1 in hex, ":count" after it allowed
	Contact      Contact // who can help where an account has nobody

	Blobs     *blob.Store     // where archives of accounts lie, encrypted; nil: none is made
	Catalogue *i18n.Catalogue // the words in them

	DNS DNS    // what domains are proved by; nil: nothing is looked at
	SPF string // mechanism that lets the service's servers send, "" when not known

	Webhooks *webhook.Client // nil: nothing is sent
	Events   []string        // types of events that webhooks may listen to; none: any that looks like one
}

// HashCost is the cost of a password hash (argon2id). The zero value is 64 MiB, 3 passes.
type HashCost struct {
	Memory uint32 // KiB
	Passes uint32
}

// Contact is a person or a desk to turn to.
type Contact struct{ Name, Address string }

// Post writes the letters of this package to the outbox, inside tx.
type Post interface {
	Code(tx *store.Tx, l CodeLetter) error
	Invitation(tx *store.Tx, l InvitationLetter) error
	AdminAdded(tx *store.Tx, l AdminAddedLetter) error
	AccountNotice(tx *store.Tx, l AccountLetter) error
	Joined(tx *store.Tx, l JoinedLetter) error
	AccessRequested(tx *store.Tx, l AccessRequestedLetter) error
	AccessDecided(tx *store.Tx, l AccessDecidedLetter) error
	PasswordChanged(tx *store.Tx, l PasswordChangedLetter) error
	FactorChanged(tx *store.Tx, l FactorLetter) error
	PasswordLink(tx *store.Tx, l PasswordLinkLetter) error
	WebhookOff(tx *store.Tx, l WebhookOffLetter) error
}

// CodeLetter carries a code that signs in, sets a new password, or adds an address.
type CodeLetter struct {
	To       mailaddr.Address
	Language string
	Code     string
	Purpose  string // store.CodeSignIn, CodeRecover, CodeAlias, CodeLift, CodeKeep or CodeGone
	Until    time.Time
}

// InvitationLetter invites a person into an account. The link ends in /invite/{token}.
type InvitationLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Admin        string
	Organisation string
	Token        id.Token
	Until        time.Time
}

// AdminAddedLetter tells a person that they administer an account now.
type AdminAddedLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Organisation string
	Admin        string // who added them
	Word         string // of theirs, where the person had asked
}

// AccountLetter tells administrators and contacts of an account what becomes of it.
type AccountLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	TimeZone     string
	Organisation string
	What         string // NoticeDeletion or NoticeKept
	By           string // who did it
	At           time.Time
	Due          time.Time // of a deletion
	Shut         bool      // nobody can sign in until then: it was suspended before
}

// What an AccountLetter tells.
const (
	NoticeDeletion = "deletion"
	NoticeKept     = "kept" // the deletion was cancelled
)

// JoinedLetter tells a person, who had a user of their own, that an account took them in.
type JoinedLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Organisation string
	Group        string
	Admin        string // who added them
}

// AccessRequestedLetter tells an administrator that somebody asks to become one, or for a right.
type AccessRequestedLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Organisation string
	Person       string
	Address      string
	Right        string // store.RightAll: to administer
	Reason       string
}

// AccessDecidedLetter tells a person what became of their request. Who becomes an
// administrator has an AdminAddedLetter instead.
type AccessDecidedLetter struct {
	AccountID    int64 // 0: of no account
	To           mailaddr.Address
	Language     string
	Organisation string
	Admin        string // who decided
	Right        string
	Group        string // that they have been put into, "" where it was refused
	Word         string // of who decided
}

// WebhookOffLetter tells an administrator that the service sends nothing to a
// webhook any more.
type WebhookOffLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Organisation string
	Host         string // of its URL
	Why          string // store.WebhookGone or WebhookFailing
}

// PasswordChangedLetter tells a person that their password was changed.
type PasswordChangedLetter struct {
	To       mailaddr.Address
	Language string
	TimeZone string
	At       time.Time
	Place    string // network address
}

// PasswordLinkLetter carries a link, which ends in /reset/{token}, by which a
// person sets a new password.
type PasswordLinkLetter struct {
	AccountID    int64
	To           mailaddr.Address
	Language     string
	Organisation string
	Admin        string // who had it mailed
	Token        id.Token
	Until        time.Time
}

// FactorLetter tells a person that the ways to prove who they are changed.
type FactorLetter struct {
	To       mailaddr.Address
	Language string
	TimeZone string
	What     string // FactorPasskeyAdded and its like
	Name     string // of a passkey, or the address
	At       time.Time
	Place    string   // network address, "" = it is not said
	Stop     id.Token // of the link that stops a wish (/lost/{token}), zero = none
}

// What a FactorLetter tells.
const (
	FactorPasskeyAdded         = "passkey_added"
	FactorPasskeyRemoved       = "passkey_removed"
	FactorAuthenticatorAdded   = "authenticator_added"
	FactorAuthenticatorRemoved = "authenticator_removed"
	FactorRecoveryMade         = "recovery_made"
	FactorRecoveryUsed         = "recovery_used"
	FactorAliasAdded           = "alias_added"
	FactorAliasRemoved         = "alias_removed"
	FactorMergeAsked           = "alias_merge" // of two users who are one person
	FactorMerged               = "alias_merged"
	FactorLiftAsked            = "lift_asked" // of a lost second factor
	FactorLiftApproved         = "lift_approved"
	FactorLiftRefused          = "lift_refused"
	FactorLiftCancelled        = "lift_cancelled"
	FactorLiftExpired          = "lift_expired"
	FactorLifted               = "lift_done"
	FactorGivenUsed            = "given_used" // a sign-in with a password that an administrator typed
)

// Service does the work. Its methods are safe for concurrent use, and for many
// nodes on one database.
type Service struct {
	c       Config
	hashers *semaphore.Weighted
	waiting atomic.Int64 // for a hasher

	pause time.Duration // how long an answer to a wish for a code takes at least

	pictures sync.Mutex // of logos one is read at a time: it may take 50 MB
	rules    rulesInForce
	trials   trials
	legal    legal
	webauthn *webauthn.WebAuthn // nil: no passkeys

	mu     sync.Mutex // guards pepper
	pepper []byte     // read or made at its first use
	dummy  func() (string, error)
}

// New returns a Service.
func New(c Config) *Service {
	if c.Hash == (HashCost{}) {
		c.Hash = HashCost{Memory: 64 * 1024, Passes: 3}
	}
	if c.SiteName == "" {
		c.SiteName = "Pli"
	}
	if c.Hashers == 0 {
		c.Hashers = runtime.NumCPU()
	}
	s := &Service{c: c, hashers: semaphore.NewWeighted(int64(c.Hashers)), pause: 300 * time.Millisecond}
	s.webauthn = relyingParty(c)
	// Compared with whatever an unknown person types, so that it takes as long
	// as for a known one (AT-52).
	s.dummy = sync.OnceValues(func() (string, error) { return s.encode(make([]byte, 32)) })
	return s
}

func (s *Service) wake() {
	if s.c.Wake != nil {
		s.c.Wake()
	}
}

// decide runs fn in a transaction that commits even when its answer is a
// refusal, so that what it counted and recorded stays. So does it when somebody
// has proved who they are to an account that is closed, of which this leaves a record.
func (s *Service) decide(ctx context.Context, fn func(tx *store.Tx) (answer, err error)) error {
	var answer error
	err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		answer, err = fn(tx)
		var shut *closed
		if errors.As(err, &shut) {
			answer = shut.fault
			err = refusePerson(tx, shut.user, "session.signin", shut.origin, shut.fault.Key, "how", shut.how)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.wake()
	return answer
}

func notFound() *fault.Error { return fault.New(fault.NotFound, "e404.h1") }

// orNotFound turns a row that is not there into the fault that says so.
func orNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound().Because(err)
	}
	return err
}

// typed is an address as somebody typed it: its canonical form, which for what
// is no address is that text in lower case, and a name for its counters, from
// which the address cannot be read.
func typed(address string) (canonical, counter string) {
	address = strings.TrimSpace(address)
	canonical = strings.ToLower(address)
	if a, err := mailaddr.Parse(address); err == nil {
		canonical = a.Canonical()
	}
	h := sha256.Sum256([]byte(canonical))
	return canonical, hex.EncodeToString(h[:16])
}

// limited bounds what a caller asks for.
func limited(limit int) int {
	if limit < 1 || limit > 500 {
		return 50
	}
	return limit
}

func mailbox(u store.User) (mailaddr.Address, error) { return mailaddr.Parse(u.DisplayAddress) }
