package outbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
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
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// Kinds of letters. The kind decides how long the outbox tries.
const (
	Envelope   = "envelope"
	Code       = "code" // worthless after some minutes, and somebody waits for it
	Invitation = "invitation"
	Notice     = "notice"
	Passing    = "passing" // a mail that passes the gateway as it came
)

// patience is how long a letter is tried.
func patience(kind string) time.Duration {
	if kind == Code {
		return 15 * time.Minute
	}
	return 4 * 24 * time.Hour
}

// Letter is one mail to one recipient: one that is written from its fields, or
// Raw, one that passes as it came.
type Letter struct {
	Kind      string
	AccountID int64  // 0: the service's own mail
	SlotID    string // of the envelope that it carries, else ""
	SenderID  string // user to tell if it cannot be delivered, "" for nobody
	Answer    *Answer
	NotBefore time.Time // of the first attempt; zero: at once

	From, ReplyTo message.Mailbox  // ReplyTo may be zero
	Bounces       mailaddr.Address // the return path; zero, the null sender, with AutoReply, Report and Raw only
	To            message.Mailbox
	Subject       string
	Body          Body
	Logo          *message.Inline // that the HTML names; nil: none
	Auto          bool            // a code or a notice: says so in its header
	AutoReply     bool            // as in message.Mail
	MessageID     string          // without angle brackets; "": made by Enqueue
	InReplyTo     string          // without angle brackets; may be ""
	Attach        *Attach
	Header        *Header         // of a mail that came through the gateway; nil: To, and the time of now
	Report        *message.Report // makes the letter a delivery report; nil: it is none
	Raw           *RawMail        // then From, Subject, Body and what follows them count for nothing
	Protected     bool            // as in Parcel

	Transit    string   // as in Parcel
	EnvelopeID string   // as in Parcel
	Notify     []string // as in Receiver
	Original   string   // as in Receiver
}

// Header is what a mail keeps of the one that came through the gateway and that
// it stands for.
type Header struct {
	To, Cc, ReplyTo       []message.Mailbox
	Date                  time.Time
	InReplyTo, References []string // without angle brackets
	Trace, Fields         []message.Field
}

// Answer is who gets a report (RFC 3464) where a letter cannot be delivered:
// the sender of a mail that came through the gateway, who need not be a user.
type Answer struct {
	To       mailaddr.Address
	Language string // en, fr, or "" for both
	Arrived  time.Time
	Header   string // as in message.Report
}

// Body is what a mail says, in both forms.
type Body struct {
	Text string
	HTML string `json:",omitempty"`
}

// Attach is the envelope that a letter carries as an HTML file. The ciphertext
// stays where the service keeps it; the file is written around it while it is sent.
type Attach struct {
	Name         string // of the file
	Lang         string
	Origin       string // of the key server
	Sender       string
	Organisation string
	Reference    string // as shown, 7KQ-42F
	ScriptFree   bool
	Part         envelope.KeyPart
	Head         []byte // every byte of the envelope before its payload
	Payload      string // name of the blob or of the payload row
	Body         []byte // the payload itself, where it is in memory; not kept in the outbox
	PayloadSize  int64
	LinkOnly     bool  // the mail does not carry the file: it says Without, which it then has
	Without      *Body // what the mail says when the file is too large for the next hop; nil: then it fails
}

// RawMail is a mail that passes as it came and has to wait. What is not small
// waits in a blob, under a key that only the letter has.
type RawMail struct {
	Short []byte // all of it, or nil
	Blob  string // the blob's name
	Key   []byte // 32 bytes, of the blob

	Size           int64
	From           mailaddr.Address // of its header, for DKIM; zero: not signed here
	UTF8, EightBit bool
}

// NewMessageID returns a message id in the service's domain, without angle brackets.
func NewMessageID(service mailaddr.Address) string {
	return strings.ToLower(rand.Text()) + "@" + service.Domain()
}

// parcel composes the mail of a letter. What every attempt must repeat exactly
// (date, message id, boundary) has been fixed.
func (o *Outbox) parcel(l *Letter, boundary string) Parcel {
	p := Parcel{From: l.Bounces, To: []Receiver{{Addr: l.To.Addr, Notify: l.Notify, Original: l.Original}},
		Protected: l.Protected, Transit: l.Transit, EnvelopeID: l.EnvelopeID}
	if l.Raw != nil {
		p.Raw = o.openRaw(l.Raw)
		return p
	}
	h := l.Header
	m := message.Mail{
		From: l.From, To: h.To, Cc: h.Cc, ReplyTo: h.ReplyTo, Subject: l.Subject,
		Date: h.Date, MessageID: l.MessageID, InReplyTo: h.InReplyTo, References: h.References, Trace: h.Trace, Fields: h.Fields,
		Auto: l.Auto, AutoReply: l.AutoReply, Text: l.Body.Text, HTML: l.Body.HTML, Report: l.Report, Boundary: boundary,
	}
	if l.Logo != nil {
		m.Inline = []message.Inline{*l.Logo}
	}
	if l.InReplyTo != "" {
		m.InReplyTo, m.References = []string{l.InReplyTo}, []string{l.InReplyTo}
	}
	if !l.ReplyTo.Addr.IsZero() {
		m.ReplyTo = []message.Mailbox{l.ReplyTo}
	}
	p.Mail = &m
	if a := l.Attach; a != nil {
		if a.Without != nil {
			light := m
			light.Text, light.HTML = a.Without.Text, a.Without.HTML
			p.Light = &light
		}
		if a.LinkOnly {
			p.Mail, p.Light = p.Light, nil
			return p
		}
		page := o.page(a)
		m.Attachments = []message.Attachment{{
			Name: a.Name, Type: "text/html", Encoding: message.SevenBit, Size: page.Size(), Write: page.WriteTo,
		}}
	}
	return p
}

// page is the HTML file.
func (o *Outbox) page(a *Attach) opener.Page {
	return opener.Page{
		Lang: a.Lang, Origin: a.Origin, Sender: a.Sender, Organisation: a.Organisation, Reference: a.Reference, ScriptFree: a.ScriptFree,
		Part: a.Part, Head: a.Head, PayloadSize: a.PayloadSize,
		Payload: func() (io.ReadCloser, error) { return o.openPayload(a) },
	}
}

func (o *Outbox) openPayload(a *Attach) (io.ReadCloser, error) {
	body := a.Body
	if body == nil && store.IsRow(a.Payload) {
		var err error
		body, err = o.cfg.DB.Payload(context.Background(), a.Payload)
		if errors.Is(err, store.ErrNotFound) {
			err = errors.Join(err, blob.ErrNotFound) // only then is it of no use to try again
		}
		if err != nil {
			return nil, fmt.Errorf("read payload: %w", err)
		}
	}
	if body != nil {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	f, _, err := o.cfg.Blobs.Open(a.Payload)
	return f, err
}

// openRaw is a kept mail as the next hop gets it.
func (o *Outbox) openRaw(r *RawMail) *Raw {
	return &Raw{Size: r.Size, From: r.From, UTF8: r.UTF8, EightBit: r.EightBit, Open: func() (io.ReadCloser, error) {
		if r.Blob == "" {
			return io.NopCloser(bytes.NewReader(r.Short)), nil
		}
		f, _, err := o.cfg.Blobs.Open(r.Blob)
		if err != nil {
			return nil, err
		}
		plain, err := spool.Decrypt(f, r.Key, r.Size)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return struct {
			io.Reader
			io.Closer
		}{plain, f}, nil
	}}
}

// shortMail is what a letter itself may hold of a mail that passes as it came.
const shortMail = 64 << 10

// Keep makes durable a mail that passes as it came, for letters that name it
// (RawMail.Short or .Blob). A blob that no letter comes to name is swept.
func (o *Outbox) Keep(ctx context.Context, size int64, src io.Reader) (short []byte, name string, key []byte, err error) {
	if size <= shortMail {
		short, err = io.ReadAll(src)
		return short, "", nil, err
	}
	w, err := o.cfg.Blobs.Create(ctx)
	if err != nil {
		return nil, "", nil, fmt.Errorf("keep mail: %w", err)
	}
	defer w.Abort()
	key = make([]byte, spool.KeySize)
	rand.Read(key) // never fails (crypto/rand)
	if err := spool.Encrypt(w, key, src); err != nil {
		return nil, "", nil, fmt.Errorf("keep mail: %w", err)
	}
	if name, err = w.Commit(); err != nil {
		return nil, "", nil, fmt.Errorf("keep mail: %w", err)
	}
	return nil, name, key, nil
}

// check refuses a letter that could not be written (AT-65): better now, when
// its cause can still be refused, than at every attempt.
func (o *Outbox) check(l *Letter, boundary string) error {
	if l.Raw != nil {
		return nil
	}
	if err := o.parcel(l, boundary).Mail.Check(); err != nil {
		return err
	}
	if a := l.Attach; a != nil && strings.ContainsFunc(a.Name, unicode.IsControl) {
		return message.ErrInjection
	}
	return nil
}

// Parcel is a letter to be handed to a Sender at once, which never was in the outbox.
func (o *Outbox) Parcel(l Letter) (Parcel, error) {
	boundary := l.fix(o.cfg.DB.Now())
	if err := o.check(&l, boundary); err != nil {
		return Parcel{}, fmt.Errorf("compose mail: %w", err)
	}
	return o.parcel(&l, boundary), nil
}

// fix decides what every attempt must repeat exactly, and returns the boundary.
func (l *Letter) fix(now time.Time) (boundary string) {
	if l.Header == nil {
		l.Header = &Header{To: []message.Mailbox{l.To}, Date: now.UTC().Truncate(time.Second),
			Fields: []message.Field{{Name: message.TransitField, Value: "service"}}}
	}
	if l.MessageID == "" {
		from := l.Bounces
		if from.IsZero() {
			from = l.From.Addr
		}
		l.MessageID = NewMessageID(from)
	}
	return "pli_" + rand.Text()
}
