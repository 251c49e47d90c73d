package notice

import (
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
)

// Reminder tells a recipient to look for the mail of an envelope.
type Reminder struct {
	Sender, SenderAddress, Organisation string
	Look                                brand.Brand // of the account
	Ref                                 string      // six characters
	SentAt                              time.Time
	ExpiresAt                           time.Time // zero: never
}

// Reminder writes the mail to a recipient who has the envelope's mail already.
// It opens nothing: what does is in that mail and nowhere else.
func (w *Writer) Reminder(l Languages, r Reminder) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref, sender := id.ShowReference(r.Ref), line(r.Sender, 100)
		from := sender
		if org := line(r.Organisation, 100); org != "" && from != "" {
			from = p.T("mail.withorg", "sender", from, "org", org)
		}
		title := p.T("mail.remind.subject", "sender", sender, "ref", ref)
		s := section{
			Brand:   line(r.Organisation, 100),
			Look:    r.Look,
			Heading: title,
			Facts:   []string{p.T("mail.from", "value", from+" <"+line(r.SenderAddress, 254)+">"), p.T("mail.ref", "ref", ref)},
			Before:  []string{p.T("mail.remind.body", "date", p.Time(r.SentAt), "ref", ref)},
			Small:   []string{p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
		if !r.ExpiresAt.IsZero() {
			s.Before = append(s.Before, p.T("mail.remind.until", "date", p.Date(r.ExpiresAt)))
		}
		return title, s
	})
}

// Forwarded answers an envelope that was forwarded to the open address.
type Forwarded struct {
	Sender, SenderAddress, Organisation string
	Look                                brand.Brand // of the account
	Ref                                 string      // six characters
	SentAt                              time.Time
	Until                               time.Time // how long the link leads to it
	Stage                               string    // where it waits
	Part                                envelope.KeyPart
}

// Forwarded writes the mail with the link that opens what was forwarded. The
// recipient need not be who forwarded it, so it says what to do then.
func (w *Writer) Forwarded(l Languages, f Forwarded) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref, sender := id.ShowReference(f.Ref), line(f.Sender, 100)
		title := p.T("forwarded.subject", "ref", ref)
		s := section{
			Brand:   line(f.Organisation, 100),
			Look:    f.Look,
			Heading: title,
			Facts:   []string{p.T("mail.from", "value", sender+" <"+line(f.SenderAddress, 254)+">"), p.T("mail.ref", "ref", ref)},
			Before:  []string{p.T("forwarded.body", "date", p.Time(f.SentAt)), p.T("forwarded.until", "date", p.Time(f.Until))},
			Button:  link{Text: p.T("mail.envelope.button"), URL: w.origin + "/s/" + f.Stage + "#e=" + f.Part.Text()},
			After:   []string{p.T("forwarded.notyou")},
			Small:   []string{p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
		if f.Part.Masked() {
			s.Before = append(s.Before, p.T("mail.envelope.passphrase"))
		}
		return title, s
	})
}

// Unread tells a sender who has not opened a message by the date they set. The
// subject is not said (AT-71).
type Unread struct {
	Ref        string   // six characters, of the first of Recipients
	Recipients []string // who have not opened it
	MessageID  string   // "" for a sender who has no page to look at
	SentAt     time.Time
}

// mostNamed is how many recipients are named in a mail.
const mostNamed = 20

// Unread writes the notice of a message that was not opened in time.
func (w *Writer) Unread(l Languages, u Unread) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref := id.ShowReference(u.Ref)
		var names []string
		for _, r := range u.Recipients[:min(len(u.Recipients), mostNamed)] {
			names = append(names, line(r, 254))
		}
		if n := len(u.Recipients) - mostNamed; n > 0 {
			names = append(names, p.T("mail.unread.more", "n", n))
		}
		title := p.T("mail.unread.subject", "ref", ref)
		s := section{
			Heading: title,
			Before:  []string{p.T("mail.unread.body", "n", len(u.Recipients), "date", p.Time(u.SentAt)), strings.Join(names, ", ")},
		}
		if u.MessageID != "" {
			s.Button = link{Text: p.T("mail.opened.button"), URL: w.origin + "/sent/" + u.MessageID}
		}
		return title, s
	})
}
