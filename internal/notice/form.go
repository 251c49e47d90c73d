package notice

import (
	"fmt"
	htmltemplate "html/template"
	"strings"
	"sync"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
)

// Envelopes without a note from one organisation with one end date differ in a
// few words only, and the gateway writes them by the thousand. So such a mail is
// rendered once, with marks for those words, and filled in after that: a tenth
// of the time. A test compares both ways.

// formsMost is how many forms are kept; organisations times languages times dates.
const formsMost = 256

type forms struct {
	mu   sync.Mutex // guards kept
	kept map[string]*form
}

// form is a mail in pieces: each is followed by the value of its mark.
type form struct{ html, text []piece }

type piece struct {
	text string
	mark int // index of marks, -1 at the end
}

// The marks are such that they can stand where their values do: in an address,
// and, where a line is broken by its length, as long as what they stand for.
var (
	markE       = envelope.Secret{0xa5, 0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 0x5a, 0xa5}
	markRef     = "QZ7QZ8"
	markSender  = "QzSenderZq"
	markAddress = "qz.address.zq@sender.invalid"
	markTo      = "qz.to.zq@recipient.invalid"
	markFile    = "securedoc_10101010T101010.html"
)

const (
	valueE = iota
	valueRef
	valueShownRef
	valueSender
	valueAddress
	valueTo
	valueFile
	valueHeading // in the text, where it is broken into lines; the first language's
	valueSecond  // the second language's
	values
)

func (f *forms) envelope(w *Writer, l Languages, e Envelope) (Mail, error) {
	sender := line(e.Sender, 100)
	if sender == "" {
		sender = line(e.SenderAddress, 254)
	}
	headings := w.headings(l, sender)
	made, err := f.find(w, l, e)
	if err != nil {
		return Mail{}, err
	}
	var plain, escaped [values]string
	plain[valueE], plain[valueRef], plain[valueShownRef] = e.Part.Text(), e.Ref, id.ShowReference(e.Ref)
	plain[valueSender], plain[valueAddress] = sender, line(e.SenderAddress, 254)
	plain[valueTo], plain[valueFile] = line(e.To, 254), e.File
	for i, h := range headings {
		plain[valueHeading+i] = wrap(h)
	}
	for i, v := range plain {
		escaped[i] = strings.ReplaceAll(htmltemplate.HTMLEscapeString(v), "+", "&#43;") // as html/template does
	}
	p := w.cat.Printer(l.first(), l.Zone)
	org := line(e.Organisation, 100)
	subject := headings[0]
	if org != "" {
		subject = p.T("mail.envelope.subject", "sender", sender, "org", org)
	}
	return Mail{Subject: line(subject, 200), HTML: fill(made.html, &escaped), Text: fill(made.text, &plain)}, nil
}

func (l Languages) order() []string {
	if len(l.Order) == 0 {
		return i18n.Languages
	}
	return l.Order
}

func (l Languages) first() string { return l.order()[0] }

func (w *Writer) headings(l Languages, sender string) (out []string) {
	for _, lang := range l.order() {
		out = append(out, w.cat.Printer(lang, l.Zone).T("mail.envelope.plain", "sender", sender))
	}
	return out
}

// find returns the form for a mail like e, which it makes where there is none.
func (f *forms) find(w *Writer, l Languages, e Envelope) (*form, error) {
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		if l.Zone != nil {
			t = t.In(l.Zone)
		} else {
			t = t.UTC()
		}
		return t.Format(time.DateOnly)
	}
	kept := !e.KeptUntil.IsZero()
	key := fmt.Sprint(l.order(), l.Zone, e.Organisation, "\x00", e.Look.Encode(), day(e.ExpiresAt), day(e.KeptUntil), e.File != "",
		kept && (e.ExpiresAt.IsZero() || e.KeptUntil.Before(e.ExpiresAt)))
	f.mu.Lock()
	defer f.mu.Unlock()
	if made, ok := f.kept[key]; ok {
		return made, nil
	}
	e.Sender, e.SenderAddress, e.To, e.Ref = markSender, markAddress, markTo, markRef
	e.Part = envelope.KeyPart{E: markE}
	if e.File != "" {
		e.File = markFile
	}
	m, err := w.envelope(l, e)
	if err != nil {
		return nil, err
	}
	marks := [values]string{markE.Base64(), markRef, id.ShowReference(markRef), markSender, markAddress, markTo, markFile}
	made := &form{html: split(m.HTML, marks[:valueHeading])}
	for i, h := range w.headings(l, markSender) {
		marks[valueHeading+i] = wrap(h)
	}
	made.text = split(m.Text, marks[:])
	if len(f.kept) >= formsMost || f.kept == nil {
		f.kept = make(map[string]*form)
	}
	f.kept[key] = made
	return made, nil
}

// split cuts s at its marks. Of marks that begin at one place the longest counts.
func split(s string, marks []string) (out []piece) {
	for {
		at, which := len(s), -1
		for i, m := range marks {
			if m == "" {
				continue
			}
			if j := strings.Index(s, m); j >= 0 && (j < at || j == at && len(m) > len(marks[which])) {
				at, which = j, i
			}
		}
		out = append(out, piece{s[:at], which})
		if which < 0 {
			return out
		}
		s = s[at+len(marks[which]):]
	}
}

func fill(pieces []piece, v *[values]string) string {
	n := 0
	for _, p := range pieces {
		n += len(p.text)
		if p.mark >= 0 {
			n += len(v[p.mark])
		}
	}
	var b strings.Builder
	b.Grow(n)
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.mark >= 0 {
			b.WriteString(v[p.mark])
		}
	}
	return b.String()
}
