package outbox

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/opener"
)

// Kinds of letters. The kind decides how long the outbox tries.
const (
	Envelope   = "envelope"
	Code       = "code" // worthless after some minutes, and somebody waits for it
	Invitation = "invitation"
	Notice     = "notice"
)

// patience is how long a letter is tried.
func patience(kind string) time.Duration {
	if kind == Code {
		return 15 * time.Minute
	}
	return 4 * 24 * time.Hour
}

// Letter is one mail to one recipient.
type Letter struct {
	Kind      string
	AccountID int64  // 0: the service's own mail
	SlotID    string // of the envelope that it carries, else ""
	SenderID  string // user to tell if it cannot be delivered, "" for nobody

	From, ReplyTo message.Mailbox  // ReplyTo may be zero
	Bounces       mailaddr.Address // the return path, of this service
	To            message.Mailbox
	Subject       string
	Body          Body
	Auto          bool   // a code or a notice: says so in its header
	MessageID     string // without angle brackets; "": made by Enqueue
	InReplyTo     string // without angle brackets; may be ""
	Attach        *Attach
}

// Body is what a mail says, in both forms.
type Body struct {
	Text string
	HTML string `json:",omitempty"`
}

// Attach is the envelope that a letter carries as an HTML file. The ciphertext
// stays in the blob store; the file is written around it while it is sent.
type Attach struct {
	Name         string // of the file
	Lang         string
	Origin       string // of the key server
	Sender       string
	Organisation string
	Reference    string // as shown, 7KQ-42F
	E            envelope.Secret
	Head         []byte // every byte of the envelope before its payload
	Payload      string // name of the blob
	PayloadSize  int64
	Without      *Body // what the mail says when the file is too large for the next hop; nil: then it fails
}

// sealed is a letter as it rests in the database, under the root key. Secrets
// refuse to be encoded by accident, so they are spelled out here.
type sealed struct {
	FromName, From, ReplyToName, ReplyTo string
	Bounces, ToName, To                  string
	Subject                              string
	Body                                 Body
	Auto                                 bool
	MessageID, InReplyTo                 string
	Date                                 time.Time
	Boundary                             string
	Attach                               *sealedAttach `json:",omitempty"`
}

type sealedAttach struct {
	Name, Lang, Origin, Sender, Organisation, Reference string
	E                                                   string // base64url
	Head                                                []byte
	Payload                                             string
	PayloadSize                                         int64
	Without                                             *Body `json:",omitempty"`
}

// encode gives what is to be sealed. What every attempt must repeat exactly
// (date, message id, boundary) is fixed here, once.
func (l *Letter) encode(now time.Time) *sealed {
	s := &sealed{
		FromName: l.From.Name, From: l.From.Addr.Wire(), ReplyToName: l.ReplyTo.Name, ReplyTo: l.ReplyTo.Addr.Wire(),
		Bounces: l.Bounces.Wire(), ToName: l.To.Name, To: l.To.Addr.Wire(),
		Subject: l.Subject, Body: l.Body, Auto: l.Auto, MessageID: l.MessageID, InReplyTo: l.InReplyTo,
		Date: now.UTC().Truncate(time.Second), Boundary: "pli_" + rand.Text(),
	}
	if s.MessageID == "" {
		s.MessageID = NewMessageID(l.Bounces)
	}
	if a := l.Attach; a != nil {
		s.Attach = &sealedAttach{
			Name: a.Name, Lang: a.Lang, Origin: a.Origin, Sender: a.Sender, Organisation: a.Organisation, Reference: a.Reference,
			E: a.E.Base64(), Head: a.Head, Payload: a.Payload, PayloadSize: a.PayloadSize, Without: a.Without,
		}
	}
	return s
}

// NewMessageID returns a message id in the service's domain, without angle brackets.
func NewMessageID(service mailaddr.Address) string {
	return strings.ToLower(rand.Text()) + "@" + service.Domain()
}

// decode reads what was sealed.
func decode(plain []byte) (*sealed, error) {
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, fmt.Errorf("read letter: %w", err)
	}
	return &s, nil
}

// parcel composes the mail.
func (s *sealed) parcel(blobs *blob.Store) (Parcel, error) {
	var firstErr error
	box := func(name, addr string) message.Mailbox {
		if addr == "" {
			return message.Mailbox{}
		}
		a, err := mailaddr.Parse(addr)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("read letter: %w", err)
		}
		return message.Mailbox{Name: name, Addr: a}
	}
	from, to, bounces := box(s.FromName, s.From), box(s.ToName, s.To), box("", s.Bounces)
	m := message.Mail{
		From: from, To: []message.Mailbox{to}, Subject: s.Subject,
		Date: s.Date, MessageID: s.MessageID, InReplyTo: s.InReplyTo, Auto: s.Auto,
		Text: s.Body.Text, HTML: s.Body.HTML, Boundary: s.Boundary,
	}
	if s.InReplyTo != "" {
		m.References = []string{s.InReplyTo}
	}
	if s.ReplyTo != "" {
		m.ReplyTo = []message.Mailbox{box(s.ReplyToName, s.ReplyTo)}
	}
	p := Parcel{From: bounces.Addr, To: []Receiver{{Addr: to.Addr}}, Mail: &m}
	if a := s.Attach; a != nil {
		e, err := envelope.ParseSecret(a.E)
		if err != nil {
			return Parcel{}, fmt.Errorf("read letter: %w", err)
		}
		if a.Without != nil {
			light := m
			light.Text, light.HTML = a.Without.Text, a.Without.HTML
			p.Light = &light
		}
		m.Attachments = []message.Attachment{{
			Name: a.Name, Type: "text/html", Encoding: message.SevenBit,
			Open: func() (io.ReadCloser, error) { return openPage(a, e, blobs), nil },
		}}
	}
	return p, firstErr
}

// check refuses a letter that could not be written (AT-65): better now, when
// its cause can still be refused, than at every attempt.
func (s *sealed) check() error {
	p, err := s.parcel(nil)
	if err != nil {
		return err
	}
	bare := *p.Mail
	bare.Attachments = nil
	if _, err := bare.WriteTo(io.Discard); err != nil {
		return err
	}
	if a := s.Attach; a != nil && strings.ContainsFunc(a.Name, unicode.IsControl) {
		return message.ErrInjection
	}
	return nil
}

// openPage gives the HTML file as a reader; it is written as it is read.
func openPage(a *sealedAttach, e envelope.Secret, blobs *blob.Store) io.ReadCloser {
	r, w := io.Pipe()
	page := opener.Page{
		Lang: a.Lang, Origin: a.Origin, Sender: a.Sender, Organisation: a.Organisation, Reference: a.Reference,
		E: e, Head: a.Head, PayloadSize: a.PayloadSize,
		Payload: func() (io.ReadCloser, error) {
			f, _, err := blobs.Open(a.Payload)
			return f, err
		},
	}
	go func() {
		_, err := page.WriteTo(w)
		w.CloseWithError(err)
	}()
	return r
}
