package outbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
)

// sealed is a letter as it rests in the database, under the root key. Secrets
// and addresses refuse to be encoded by accident, so they are spelled out here.
type sealed struct {
	From, ReplyTo, To keptBox
	Bounces           string
	Subject           string          `json:",omitempty"`
	Body              Body            `json:",omitzero"`
	Logo              *message.Inline `json:",omitempty"`
	Auto              bool            `json:",omitempty"`
	AutoReply         bool            `json:",omitempty"`
	MessageID         string          `json:",omitempty"`
	InReplyTo         string          `json:",omitempty"`
	Boundary          string          `json:",omitempty"`
	Header            *keptHeader     `json:",omitempty"`
	Attach            *sealedAttach   `json:",omitempty"`
	Answer            *keptAnswer     `json:",omitempty"`
	Raw               *keptRaw        `json:",omitempty"`
	Report            *message.Report `json:",omitempty"`
	Protected         bool            `json:",omitempty"`
	Transit           string          `json:",omitempty"`
	EnvelopeID        string          `json:",omitempty"`
	Notify            []string        `json:",omitempty"`
	Original          string          `json:",omitempty"`
}

type keptBox struct {
	Name string `json:",omitempty"`
	Addr string `json:",omitempty"`
}

type keptHeader struct {
	To, Cc, ReplyTo       []keptBox
	Date                  time.Time
	InReplyTo, References []string
	Trace, Fields         []message.Field
}

type keptAnswer struct {
	To, Language string
	Arrived      time.Time
	Header       string
}

type keptRaw struct {
	Short          []byte `json:",omitempty"`
	Blob           string `json:",omitempty"`
	Key            []byte `json:",omitempty"`
	Size           int64
	From           string
	UTF8, EightBit bool
}

type sealedAttach struct {
	Name, Lang, Origin, Sender, Organisation, Reference string
	ScriptFree                                          bool
	E                                                   string // text of the key part
	Head                                                []byte
	Payload                                             string
	PayloadSize                                         int64
	LinkOnly                                            bool  `json:",omitempty"`
	Without                                             *Body `json:",omitempty"`
}

func keepBox(m message.Mailbox) keptBox { return keptBox{m.Name, m.Addr.Wire()} }

func keepBoxes(list []message.Mailbox) (out []keptBox) {
	for _, m := range list {
		out = append(out, keepBox(m))
	}
	return out
}

// encode gives what is to be sealed of a letter that fix has completed.
func (l *Letter) encode(boundary string) ([]byte, error) {
	h := l.Header
	s := &sealed{
		From: keepBox(l.From), ReplyTo: keepBox(l.ReplyTo), To: keepBox(l.To), Bounces: l.Bounces.Wire(),
		Subject: l.Subject, Body: l.Body, Logo: l.Logo, Auto: l.Auto, AutoReply: l.AutoReply, MessageID: l.MessageID, InReplyTo: l.InReplyTo, Boundary: boundary,
		Header: &keptHeader{keepBoxes(h.To), keepBoxes(h.Cc), keepBoxes(h.ReplyTo), h.Date, h.InReplyTo, h.References, h.Trace, h.Fields},
		Report: l.Report, Protected: l.Protected, Transit: l.Transit, EnvelopeID: l.EnvelopeID, Notify: l.Notify, Original: l.Original,
	}
	if a := l.Attach; a != nil {
		s.Attach = &sealedAttach{
			Name: a.Name, Lang: a.Lang, Origin: a.Origin, Sender: a.Sender, Organisation: a.Organisation, Reference: a.Reference,
			ScriptFree: a.ScriptFree, E: a.Part.Text(), Head: a.Head, Payload: a.Payload, PayloadSize: a.PayloadSize, LinkOnly: a.LinkOnly, Without: a.Without,
		}
	}
	if a := l.Answer; a != nil {
		s.Answer = &keptAnswer{a.To.Wire(), a.Language, a.Arrived, a.Header}
	}
	if r := l.Raw; r != nil {
		s.Raw = &keptRaw{r.Short, r.Blob, r.Key, r.Size, r.From.Wire(), r.UTF8, r.EightBit}
	}
	return json.Marshal(s)
}

// decode reads what encode gave.
func decode(plain []byte) (l *Letter, boundary string, err error) {
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, "", fmt.Errorf("read letter: %w", err)
	}
	var r reader
	l = &Letter{
		From: r.box(s.From), ReplyTo: r.box(s.ReplyTo), To: r.box(s.To), Bounces: r.address(s.Bounces),
		Subject: s.Subject, Body: s.Body, Logo: s.Logo, Auto: s.Auto, AutoReply: s.AutoReply, MessageID: s.MessageID, InReplyTo: s.InReplyTo,
		Report: s.Report, Protected: s.Protected, Transit: s.Transit, EnvelopeID: s.EnvelopeID, Notify: s.Notify, Original: s.Original,
	}
	if h := s.Header; h != nil {
		l.Header = &Header{r.boxes(h.To), r.boxes(h.Cc), r.boxes(h.ReplyTo), h.Date, h.InReplyTo, h.References, h.Trace, h.Fields}
	}
	if a := s.Attach; a != nil {
		l.Attach = &Attach{
			Name: a.Name, Lang: a.Lang, Origin: a.Origin, Sender: a.Sender, Organisation: a.Organisation, Reference: a.Reference,
			ScriptFree: a.ScriptFree, Head: a.Head, Payload: a.Payload, PayloadSize: a.PayloadSize, LinkOnly: a.LinkOnly, Without: a.Without,
		}
		l.Attach.Part, err = envelope.ParseKeyPart(a.E)
		r.keep(err)
	}
	if a := s.Answer; a != nil {
		l.Answer = &Answer{r.address(a.To), a.Language, a.Arrived, a.Header}
	}
	if w := s.Raw; w != nil {
		l.Raw = &RawMail{w.Short, w.Blob, w.Key, w.Size, r.address(w.From), w.UTF8, w.EightBit}
	}
	if r.err != nil {
		return nil, "", fmt.Errorf("read letter: %w", r.err)
	}
	if l.Header == nil {
		l.Header = &Header{To: []message.Mailbox{l.To}}
	}
	return l, s.Boundary, nil
}

// reader reads addresses and keeps the first error.
type reader struct{ err error }

func (r *reader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) address(s string) mailaddr.Address {
	if s == "" {
		return mailaddr.Address{}
	}
	a, err := mailaddr.Parse(s)
	r.keep(err)
	return a
}

func (r *reader) box(k keptBox) message.Mailbox {
	return message.Mailbox{Name: k.Name, Addr: r.address(k.Addr)}
}

func (r *reader) boxes(list []keptBox) (out []message.Mailbox) {
	for _, k := range list {
		out = append(out, r.box(k))
	}
	return out
}
