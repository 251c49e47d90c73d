package notice

import (
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
)

// Envelope is the mail that carries an envelope.
type Envelope struct {
	Sender        string // name
	SenderAddress string
	Organisation  string           // may be empty
	Look          brand.Brand      // of the account
	To            string           // address
	Note          string           // seen before opening; may be empty
	Ref           string           // six characters
	Part          envelope.KeyPart // the recipient's half of the key
	ExpiresAt     time.Time        // zero: never
	KeptUntil     time.Time        // end of the ciphertext kept for the button; zero: not kept
	File          string           // name of the attached file, "" where it could not be attached
	Answer        string           // Answered, AnsweredToo or PassedOn; "": it answers nothing
}

// What an envelope is to whoever gets it, where it comes of another one.
const (
	Answered    = "answered"    // it answers theirs
	AnsweredToo = "answeredtoo" // it answers one that they got too
	PassedOn    = "passedon"
)

// Envelope writes the mail that carries an envelope.
func (w *Writer) Envelope(l Languages, e Envelope) (Mail, error) {
	if e.Note == "" && e.Answer == "" && !e.Part.Masked() {
		return w.forms.envelope(w, l, e)
	}
	return w.envelope(l, e)
}

func (w *Writer) envelope(l Languages, e Envelope) (Mail, error) {
	sender, org := line(e.Sender, 100), line(e.Organisation, 100)
	if sender == "" {
		sender = line(e.SenderAddress, 254)
	}
	ref := id.ShowReference(e.Ref)
	until := e.ExpiresAt
	kept := !e.KeptUntil.IsZero()
	short := kept && (until.IsZero() || e.KeptUntil.Before(until)) // the button ends before the envelope
	if e.File == "" && short {
		until = e.KeptUntil
	}
	preheader := func(p i18n.Printer) string {
		s := p.T("mail.ref", "ref", ref)
		if !until.IsZero() {
			s += ". " + p.T("mail.until", "date", p.Date(until)) + "."
		}
		return s
	}
	return w.write(l, preheader, func(p i18n.Printer) (string, section) {
		subject := p.T("mail.envelope.subject", "sender", sender, "org", org)
		if org == "" {
			subject = p.T("mail.envelope.plain", "sender", sender)
		}
		heading := p.T("mail.envelope.plain", "sender", sender)
		if e.Answer != "" {
			heading = p.T("mail."+e.Answer, "sender", sender)
			subject = heading
		}
		address := e.Ref + "#" + e.Part.Text()
		lang, name := w.other(p)
		s := section{
			Brand:   org,
			Look:    e.Look,
			Heading: heading,
			Facts: []string{
				p.T("mail.from", "value", sender+" <"+line(e.SenderAddress, 254)+">"),
				p.T("mail.to", "value", line(e.To, 254)),
			},
			Quote:  paragraph(e.Note, 1000),
			Button: link{Text: p.T("mail.envelope.button"), URL: w.origin + "/m/" + address},
			Small:  []string{p.T("mail.never"), p.T("mail.unknown")},
			Links: []link{
				{Text: p.T("mail.check"), URL: w.origin + "/help/check"},
				{Text: name, URL: w.origin + "/m/" + e.Ref + "?lang=" + lang + "#" + e.Part.Text(), Lang: lang},
			},
		}
		if !until.IsZero() {
			s.Facts = append(s.Facts, p.T("mail.until", "date", p.Date(until)))
		}
		s.Facts = append(s.Facts, p.T("mail.ref", "ref", ref))
		if e.Part.Masked() {
			s.Before = append(s.Before, p.T("mail.envelope.passphrase"))
		}
		s.Type, s.Strong = strong(p, "mail.envelope.type", "site", w.host, "ref", ref)
		switch {
		case e.File == "":
			s.After = []string{p.T("mail.notattached")}
		case !kept:
			s.After = []string{p.T("mail.attached.only", "file", e.File)}
		case short:
			s.After = []string{p.T("mail.attached.keep", "file", e.File, "date", p.Date(e.KeptUntil))}
		default:
			s.After = []string{p.T("mail.attached", "file", e.File)}
		}
		return subject, s
	})
}

// Code is a code that opens one recipient's envelope.
type Code struct {
	Code         string
	Ref          string // six characters
	Sender       string
	Organisation string
	Look         brand.Brand // of the account
}

// Code writes the mail with a code for an envelope.
func (w *Writer) Code(l Languages, c Code) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref := id.ShowReference(c.Ref)
		from := line(c.Sender, 100)
		if org := line(c.Organisation, 100); org != "" && from != "" {
			from = p.T("mail.withorg", "sender", from, "org", org)
		}
		s := section{
			Look:    c.Look,
			Heading: p.T("mail.code.heading", "ref", ref),
			Code:    c.Code,
			Before:  []string{p.T("mail.code.body", "code", c.Code)},
			Small:   []string{p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
		if from != "" {
			s.Facts = []string{p.T("mail.from", "value", from), p.T("mail.ref", "ref", ref)}
		}
		return p.T("mail.code.subject", "code", c.Code, "ref", ref), s
	})
}

// Report writes the words of a delivery report, for people, to a sender who need
// not have a page to look at.
func (w *Writer) Report(l Languages, b Bounce) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		recipient, date := line(b.Recipient, 254), p.Date(b.SentAt)
		kind := "mail.report." + b.Action
		s := section{Heading: p.T(kind+".subject", "recipient", recipient)}
		if b.Ref != "" {
			s.Before = []string{p.T(kind+".envelope", "ref", id.ShowReference(b.Ref), "recipient", recipient, "date", date)}
		} else {
			s.Before = []string{p.T(kind+".plain", "recipient", recipient, "date", date)}
		}
		if reason := line(p.T(b.Reason), 500); b.Reason != "" && reason != "" {
			s.Before = append(s.Before, p.T("mail.bounce.reason", "reason", reason))
		}
		s.Before = append(s.Before, p.T(kind+".next"))
		return s.Heading, s
	})
}

// SystemName is who reports are from.
func (w *Writer) SystemName(lang string) string { return w.cat.Printer(lang, nil).T("mail.system") }

// Opened tells a sender that a recipient opened an envelope. The subject of the
// message is not said: it never leaves the envelope (AT-71).
type Opened struct {
	Ref       string // six characters
	Recipient string
	MessageID string // "" for a sender who has no page to look at
	At        time.Time
}

// Opened writes the notice of a first opening.
func (w *Writer) Opened(l Languages, o Opened) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref, recipient := id.ShowReference(o.Ref), line(o.Recipient, 254)
		s := section{
			Heading: p.T("mail.opened.heading", "ref", ref),
			Before:  []string{p.T("mail.opened.by", "recipient", recipient, "ref", ref, "date", p.Time(o.At))},
		}
		if o.MessageID != "" {
			s.Button = link{Text: p.T("mail.opened.button"), URL: w.origin + "/sent/" + o.MessageID}
		}
		return p.T("mail.opened.subject", "subject", ref, "recipient", recipient), s
	})
}

// Bounce tells a sender that a mail could not be delivered. It says nothing
// that was sealed, and not the subject (AT-71).
type Bounce struct {
	Ref       string // six characters; "" where the mail was not an envelope
	Subject   string // of the mail, where it was not an envelope
	MessageID string // of the message, "" where the mail was not an envelope
	Recipient string
	SentAt    time.Time
	Reason    string // the next hop's words, or the catalogue key of our own
	Action    string // of a report: failed, delayed, relayed
}

// Bounce writes the notice of a mail that could not be delivered.
func (w *Writer) Bounce(l Languages, b Bounce) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		recipient := line(b.Recipient, 254)
		s := section{Heading: p.T("mail.bounce.subject", "recipient", recipient)}
		date := p.Date(b.SentAt)
		if b.Ref != "" {
			s.Before = []string{p.T("mail.bounce.body", "ref", id.ShowReference(b.Ref), "recipient", recipient, "date", date)}
			s.Button = link{Text: p.T("mail.opened.button"), URL: w.origin + "/sent/" + b.MessageID}
		} else {
			s.Before = []string{p.T("mail.bounce.other", "subject", line(b.Subject, 200), "recipient", recipient, "date", date)}
		}
		if reason := line(p.T(b.Reason), 500); reason != "" {
			s.Before = append(s.Before, p.T("mail.bounce.reason", "reason", reason))
		}
		s.Before = append(s.Before, p.T("mail.bounce.next"))
		return p.T("mail.bounce.subject", "recipient", recipient), s
	})
}
