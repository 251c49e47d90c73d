// Package notice writes the service's mails: plain text first and complete,
// then the same as HTML without remote image, pixel or script, with links to one
// host. An account's look (package brand) stands at its top and at its end.
package notice

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/i18n"
)

//go:embed pages
var pages embed.FS

var (
	htmlPage = htmltemplate.Must(htmltemplate.New("mail.html").Funcs(htmltemplate.FuncMap{"mso": mso}).ParseFS(pages, "pages/mail.html"))
	textPage = texttemplate.Must(texttemplate.New("mail.txt").Funcs(texttemplate.FuncMap{"wrap": wrap, "quote": quote}).ParseFS(pages, "pages/mail.txt"))
)

// mso is for Outlook's Word engine, which ignores the font of its tables.
// html/template drops comments, and this is one.
func mso() htmltemplate.HTML {
	return `<!--[if mso]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml><style>table,td,p,a{font-family:Arial,sans-serif !important}</style><![endif]-->`
}

// Mail is what a mail says.
type Mail struct{ Subject, Text, HTML string }

// Writer writes mails. It is safe for concurrent use.
type Writer struct {
	cat    *i18n.Catalogue
	origin string
	host   string
	forms  forms
}

// New returns a writer for the service at origin, https://host[:port].
func New(cat *i18n.Catalogue, origin string) (*Writer, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" {
		return nil, fmt.Errorf("write mails: %q is not an origin", origin)
	}
	return &Writer{cat: cat, origin: origin, host: u.Host}, nil
}

// Languages says in which languages a mail is written, the first one first.
// The time zone is that of dates; nil means UTC.
type Languages struct {
	Order []string // of "en" and "fr"; empty: both, English first
	Zone  *time.Location
}

// In returns the languages of a mail: the one given, or both, own first, for
// "both" and "".
func In(choice, own string, zone *time.Location) Languages {
	switch {
	case i18n.Known(choice):
		return Languages{[]string{choice}, zone}
	case own == "fr":
		return Languages{[]string{"fr", "en"}, zone}
	default:
		return Languages{[]string{"en", "fr"}, zone}
	}
}

// section is one mail in one language. Empty parts are left out.
type section struct {
	Lang    string
	Brand   string   // the organisation, above the heading
	Heading string   //
	Facts   []string // lines under the heading: from, to, until
	Quote   string   // what a person wrote
	Code    string   // six digits, large
	Before  []string // paragraphs before the button
	Author  string   // line before Word: whose it is, so that nobody takes it for ours
	Word    string   // what whoever did it adds, after Before
	Button  link
	Type    string            // after the button: how to come without it, in text
	Strong  htmltemplate.HTML // the same with emphasis
	After   []string          // paragraphs after the button
	Small   []string
	Links   []link

	Look    brand.Brand // of the account; write fills the rest from it
	LogoAlt string
	Intro   string // its words, under Brand
	Contact string // where its people get help
	Footer  string
}

// link's Label is its text as it stands before the address in plain text; write fills it.
type link struct{ Text, URL, Lang, Label string }

// page is one mail in all its languages.
type page struct {
	Lang, Title, Preheader string
	Sections               []section

	Accent, OnAccent         string // colours of edge and button
	DarkAccent, DarkOnAccent string // the same where the mail is shown dark
	Edged                    bool   // the edge has the account's colour there too
	Logo                     htmltemplate.URL
	LogoWidth, LogoHeight    int
}

// dress gives a mail the look of an account: the same colour, light or dark,
// because the text on it can be read either way.
func (p *page) dress(b brand.Brand) {
	p.Accent, p.OnAccent, p.DarkAccent, p.DarkOnAccent = "#1a4f9c", "#ffffff", "#8ab6ff", "#07203f"
	if c, ok := b.Accent(); ok {
		p.Accent, p.OnAccent = c.String(), c.Text().String()
		p.DarkAccent, p.DarkOnAccent, p.Edged = p.Accent, p.OnAccent, true
	}
	if id := b.MailLogo(); id != "" {
		p.Logo, p.LogoWidth, p.LogoHeight = htmltemplate.URL("cid:"+id), b.Logo.Width, b.Logo.Height
	}
}

// write renders one section per language. subject is that of the first.
func (w *Writer) write(l Languages, preheader func(i18n.Printer) string, each func(i18n.Printer) (subject string, s section)) (Mail, error) {
	order := l.order()
	var m Mail
	var p page
	for i, lang := range order {
		printer := w.cat.Printer(lang, l.Zone)
		subject, s := each(printer)
		s.Lang = printer.Lang
		s.Intro, s.Footer = line(s.Look.Intro(printer.Lang), 200), line(s.Look.Footer, 200)
		if c := line(s.Look.Contact, 120); c != "" {
			s.Contact = printer.T("b.help", "contact", c)
		}
		s.LogoAlt = printer.T("b.logoalt", "name", line(s.Look.Name, 100))
		if s.Look.Set() && s.Brand == "" {
			s.Brand = line(s.Look.Name, 100)
		}
		s.Button.Label = printer.T("mail.label", "value", s.Button.Text)
		for j := range s.Links {
			s.Links[j].Label = printer.T("mail.label", "value", s.Links[j].Text)
		}
		if i == 0 {
			m.Subject = line(subject, 200)
			p.Lang, p.Title = s.Lang, m.Subject
			p.dress(s.Look)
			if preheader != nil {
				p.Preheader = preheader(printer)
			}
		}
		p.Sections = append(p.Sections, s)
	}
	var html, text bytes.Buffer
	if err := htmlPage.Execute(&html, p); err != nil {
		return Mail{}, fmt.Errorf("write mail: %w", err)
	}
	if err := textPage.Execute(&text, p); err != nil {
		return Mail{}, fmt.Errorf("write mail: %w", err)
	}
	m.HTML, m.Text = html.String(), strings.TrimSpace(text.String())+"\n"
	return m, nil
}

// line neutralises a value that people type, for one line of at most n runes:
// no controls, no invisible or direction-changing characters, which could make
// a name look like another (AT-65). U+E000 and U+E001 stand for emphasis in strong.
func line(s string, n int) string {
	s = strings.Join(strings.FieldsFunc(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			if r == '\u00a0' || r == '\u202f' {
				return '\u00a0'
			}
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")), func(r rune) bool { return r == ' ' }), " ")
	if r := []rune(s); len(r) > n {
		s = string(r[:n-1]) + "…"
	}
	return s
}

// paragraph is line for text of several lines.
func paragraph(s string, n int) string {
	var out []string
	for l := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		out = append(out, line(l, n))
	}
	s = strings.TrimSpace(strings.Join(out, "\n"))
	if r := []rune(s); len(r) > n {
		s = string(r[:n-1]) + "…"
	}
	return s
}

// strong fills the two placeholders of a text with emphasised values.
func strong(p i18n.Printer, key, name1, value1, name2, value2 string) (text string, html htmltemplate.HTML) {
	const mark1, mark2 = "\ue000", "\ue001"
	marked := htmltemplate.HTMLEscapeString(p.T(key, name1, mark1, name2, mark2))
	emphasis := func(s string) string { return "<strong>" + htmltemplate.HTMLEscapeString(s) + "</strong>" }
	return p.T(key, name1, value1, name2, value2),
		htmltemplate.HTML(strings.NewReplacer(mark1, emphasis(value1), mark2, emphasis(value2)).Replace(marked))
}

// wrap breaks a paragraph into lines of at most 72 characters, at ordinary spaces only.
func wrap(s string) string {
	var b strings.Builder
	for i, l := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		col := 0
		for j, word := range strings.Split(l, " ") {
			n := len([]rune(word))
			switch {
			case j == 0:
			case col+1+n > 72:
				b.WriteByte('\n')
				col = 0
			default:
				b.WriteByte(' ')
				col++
			}
			b.WriteString(word)
			col += n
		}
	}
	return b.String()
}

// quote indents what a person wrote.
func quote(s string) string {
	lines := strings.Split(wrap(s), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}

// other is the language that p is not, named in itself.
func (w *Writer) other(p i18n.Printer) (lang, name string) {
	lang = "fr"
	if p.Lang == "fr" {
		lang = "en"
	}
	return lang, p.T("mail.language")
}

// SenderName is the name that stands in From: "Ana Silva (Example Health)"
// where the address is the sender's own, else "Ana Silva via Example Health".
func (w *Writer) SenderName(lang, sender, org string, own bool) string {
	sender, org = line(sender, 100), line(org, 100)
	switch {
	case org == "":
		return sender
	case own:
		return w.cat.Printer(lang, nil).T("mail.withorg", "sender", sender, "org", org)
	default:
		return w.cat.Printer(lang, nil).T("mail.via", "sender", sender, "org", org)
	}
}
