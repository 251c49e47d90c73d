package outbox

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
)

// Parcel is one mail ready for the next hop: one that was written here (Mail),
// or one that passes as it came (Raw). It writes the same octets however often
// it is written.
type Parcel struct {
	From mailaddr.Address // of the SMTP envelope; zero: the null sender
	To   []Receiver       // at least one; several only with Raw
	Mail *message.Mail
	// Light is Mail without the attached envelope, for a next hop that takes no
	// mail of that size; may be nil.
	Light *message.Mail
	Raw   *Raw

	Transit    string // trace id of a mail that came through the gateway; "" for the service's own
	EnvelopeID string // ENVID of RFC 3461, "" for none; for a next hop that takes it
	Return     string // RET: FULL, HDRS, or "" for HDRS
	// Protected is for mail that may only travel where the next hop's name was
	// proved (mx: DANE, MTA-STS, or a pinned next hop). Where that cannot be
	// had, Send returns ErrUnprotected and nothing was sent.
	Protected bool
}

// Receiver is one recipient with what RFC 3461 lets the sender ask about it.
type Receiver struct {
	Addr     mailaddr.Address
	Notify   []string // NEVER, or of SUCCESS, FAILURE, DELAY; nil for none said
	Original string   // ORCPT, type;address in its encoded form, "" for none
}

// Wants reports whether the sender is to hear of such an event: SUCCESS, FAILURE
// or DELAY. Who said nothing hears of failures (RFC 3461, section 4.1).
func Wants(notify []string, event string) bool {
	if notify == nil {
		return event == "FAILURE"
	}
	return slices.Contains(notify, event)
}

// Raw is a mail that passes as it came. Its lines end with CRLF, the last one too.
type Raw struct {
	Size     int64            // octets
	From     mailaddr.Address // of the header, for the choice of the DKIM key; zero: it is not signed here
	UTF8     bool             // needs SMTPUTF8 (RFC 6531): its header has octets beyond ASCII
	EightBit bool             // needs 8BITMIME (RFC 6152)
	Open     func() (io.ReadCloser, error)
}

// Accepted is the next hop's word for a mail that it took.
type Accepted struct {
	Host    string // that took it, as the operator or DNS names it
	Text    string // its reply, such as "2.0.0 Ok: queued as 4bX…"
	Refused []Refusal
	DSN     bool // it answers for what RFC 3461 lets senders ask
}

// Refusal is one of several recipients whom the next hop did not take, while
// it took the mail for others.
type Refusal struct {
	Addr mailaddr.Address
	Err  *Error
}

// ErrUnprotected is Send's answer to a Protected parcel for which there is no
// protected way.
var ErrUnprotected = errors.New("no authenticated and encrypted way to this recipient")

// Unconfirmed is a mail of which nobody knows whether the next hop took it: its
// end was sent, and no answer came (RFC 5321, section 4.5.3.2.6, and RFC 1047).
type Unconfirmed struct{ Cause error }

func (u *Unconfirmed) Error() string {
	return fmt.Sprintf("the answer to the mail was lost: %v", u.Cause)
}
func (u *Unconfirmed) Unwrap() error { return u.Cause }
