package notice

import (
	"time"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/i18n"
)

// AnswerCode writes the mail with a code that proves an address to somebody who
// asked for documents.
func (w *Writer) AnswerCode(l Languages, code, person, org string, look brand.Brand) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		return p.T("intake.mail.subject", "code", code), section{
			Brand:   line(org, 100),
			Look:    look,
			Heading: p.T("intake.mail.heading", "person", line(person, 100), "org", line(org, 100)),
			Code:    code,
			Before:  []string{p.T("intake.mail.body", "code", code)},
			Small:   []string{p.T("mail.code.ignore"), p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
	})
}

// AnswerNote says in a user's mail and card that an envelope answers what they
// asked for on a day.
func (w *Writer) AnswerNote(lang string, zone *time.Location, asked time.Time) string {
	p := w.cat.Printer(lang, zone)
	return p.T("intake.note", "date", p.Date(asked))
}
