package notice

import (
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
)

// SignInCode writes the mail with a code that signs in.
func (w *Writer) SignInCode(l Languages, code string) (Mail, error) {
	return w.personCode(l, code, "mail.signin.subject", "mail.signin.body")
}

// RecoverCode writes the mail with a code that sets a new password.
func (w *Writer) RecoverCode(l Languages, code string) (Mail, error) {
	return w.personCode(l, code, "mail.reset.subject", "mail.reset.body")
}

// AliasCode writes the mail with a code that adds its address to somebody's account.
func (w *Writer) AliasCode(l Languages, code string) (Mail, error) {
	return w.personCode(l, code, "mail.alias.subject", "mail.alias.body")
}

// LiftCode writes the mail with the code of somebody who lost their second factor.
func (w *Writer) LiftCode(l Languages, code string) (Mail, error) {
	return w.personCode(l, code, "mail.lift.subject", "mail.lift.body")
}

// MergeCode writes the mail with the code that makes two users of one person one.
func (w *Writer) MergeCode(l Languages, code string) (Mail, error) {
	return w.personCode(l, code, "mail.merge.subject", "mail.merge.body")
}

func (w *Writer) personCode(l Languages, code, subject, body string) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		title := p.T(subject, "code", code)
		return title, section{
			Heading: p.T("mail.code.person", "site", w.host),
			Code:    code,
			Before:  []string{p.T(body, "code", code, "site", w.host)},
			Small:   []string{p.T("mail.code.ignore"), p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
	})
}

// Invitation asks a person to join an account.
type Invitation struct {
	Admin        string
	Organisation string
	Token        string // of the link
	Until        time.Time
}

// Invitation writes the mail that invites.
func (w *Writer) Invitation(l Languages, v Invitation) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		admin, org := line(v.Admin, 100), line(v.Organisation, 100)
		lang, name := w.other(p)
		at := w.origin + "/invite/" + v.Token
		s := section{
			Brand:   org,
			Heading: p.T("mail.invite.heading", "admin", admin, "org", org),
			Before:  []string{p.T("mail.invite.body", "date", p.Date(v.Until))},
			Button:  link{Text: p.T("mail.invite.button"), URL: at},
			Small:   []string{p.T("mail.never"), p.T("mail.invite.unknown")},
			Links: []link{
				{Text: p.T("mail.check"), URL: w.origin + "/help/check"},
				{Text: name, URL: at + "?lang=" + lang, Lang: lang},
			},
		}
		return p.T("mail.invite.subject", "admin", admin, "org", org, "site", w.host), s
	})
}

// AdminAdded tells a person that they administer an account now.
type AdminAdded struct {
	Admin        string // who added them
	Organisation string
	Number       int64
	Word         string // of theirs, where the person had asked
}

// AdminAdded writes the notice to a new administrator.
func (w *Writer) AdminAdded(l Languages, a AdminAdded) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		admin, org, number := line(a.Admin, 100), line(a.Organisation, 100), strconv.FormatInt(a.Number, 10)
		title := p.T("mail.adminadded.subject", "number", number)
		return title, section{
			Brand:   org,
			Heading: title,
			Before:  []string{p.T("mail.adminadded.body", "admin", admin, "org", org, "number", number)},
			Author:  p.T("mail.word", "admin", admin),
			Word:    paragraph(a.Word, 1000),
			Button:  link{Text: p.T("mail.adminadded.button"), URL: w.origin + "/admin"},
			Small:   []string{p.T("mail.never"), p.T("mail.adminadded.unexpected")},
		}
	})
}

// AccountNotice tells what becomes of an account.
type AccountNotice struct {
	What         string // deletion, kept
	By           string // who did it, "" = who runs the service
	Organisation string
	Number       int64
	At           time.Time
	Due          time.Time // when a deletion destroys it
	Shut         bool      // until then nobody of it can sign in
}

// AccountNotice writes the notice to an administrator or a contact of an account.
func (w *Writer) AccountNotice(l Languages, a AccountNotice) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		number := strconv.FormatInt(a.Number, 10)
		by := line(a.By, 100)
		if by == "" {
			by = p.T("mail.account.operator", "site", w.host)
		}
		org, due := line(a.Organisation, 100), p.Time(a.Due)
		title := p.T("mail.account."+a.What+".subject", "org", org, "number", number)
		s := section{
			Brand:   org,
			Heading: title,
			Before:  []string{p.T("mail.account."+a.What+".body", "by", by, "org", org, "number", number, "date", due, "at", p.Time(a.At))},
			Button:  link{Text: p.T("mail.account." + a.What + ".button"), URL: w.origin + "/admin/accounts/" + number},
			Small:   []string{p.T("mail.never")},
		}
		if a.Shut {
			s.Before = append(s.Before, p.T("mail.account.deletion.shut", "date", due))
		} else if a.What == "deletion" {
			s.Before = append(s.Before, p.T("mail.account.deletion.until", "date", due), p.T("mail.account.deletion.cancel"))
		}
		return title, s
	})
}

// WebhookOff tells an administrator that nothing is sent to a webhook any more.
type WebhookOff struct {
	Host         string
	Gone         bool // its receiver said that it wants no more
	Organisation string
	Number       int64
}

// WebhookOff writes the notice of a webhook that was switched off.
func (w *Writer) WebhookOff(l Languages, o WebhookOff) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		host, org, number := line(o.Host, 100), line(o.Organisation, 100), strconv.FormatInt(o.Number, 10)
		why := p.T("mail.webhookoff.failing", "host", host)
		if o.Gone {
			why = p.T("mail.webhookoff.gone", "host", host)
		}
		title := p.T("mail.webhookoff.subject", "host", host)
		return title, section{
			Brand:   org,
			Heading: title,
			Before:  []string{why, p.T("mail.webhookoff.body", "org", org, "number", number)},
			Button:  link{Text: p.T("mail.webhookoff.button"), URL: w.origin + "/admin/accounts/" + number + "/integrations"},
			Small:   []string{p.T("mail.never")},
		}
	})
}

// Joined tells a person that an account took them in.
type Joined struct {
	Admin        string // who added them
	Organisation string
	Group        string
	Number       int64
}

// Joined writes the notice to a person whom an account took in.
func (w *Writer) Joined(l Languages, j Joined) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		admin, org, group, number := line(j.Admin, 100), line(j.Organisation, 100), line(j.Group, 100), strconv.FormatInt(j.Number, 10)
		title := p.T("mail.joined.subject", "group", group, "org", org)
		return title, section{
			Brand:   org,
			Heading: title,
			Before:  []string{p.T("mail.joined.body", "admin", admin, "group", group, "org", org, "number", number)},
			Small:   []string{p.T("mail.never"), p.T("mail.joined.unexpected")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
	})
}

// AccessRequested tells an administrator that somebody asks to become one, or for a right.
type AccessRequested struct {
	Person       string
	Address      string
	Right        string // all: to administer
	Reason       string // in their words
	Organisation string
	Number       int64
}

// AccessRequested writes the notice of a request.
func (w *Writer) AccessRequested(l Languages, a AccessRequested) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		person, number := line(a.Person, 100), strconv.FormatInt(a.Number, 10)
		title := p.T("mail.access.subject", "person", person, "number", number)
		if a.Right != "all" {
			title = p.T("mail.access.right", "person", person, "number", number, "right", p.T("rt."+a.Right))
		}
		return title, section{
			Brand:   line(a.Organisation, 100),
			Heading: title,
			Facts:   []string{p.T("mail.from", "value", person+" <"+line(a.Address, 254)+">")},
			Quote:   paragraph(a.Reason, 1000),
			Before:  []string{p.T("mail.access.body")},
			Button:  link{Text: p.T("mail.access.button"), URL: w.origin + "/admin/accounts/" + number + "/requests"},
		}
	})
}

// AccessDecided tells a person what became of their request.
type AccessDecided struct {
	Admin        string // who decided
	Organisation string
	Number       int64  // of the account, 0: of none, and the operators decided
	Right        string // all: to administer
	Group        string // that they have been put into, "" where it was refused
	Word         string // of who decided
}

// AccessDecided writes what became of a request.
func (w *Writer) AccessDecided(l Languages, d AccessDecided) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		admin, org, group, number := line(d.Admin, 100), line(d.Organisation, 100), line(d.Group, 100), strconv.FormatInt(d.Number, 10)
		right := p.T("rt." + d.Right)
		s := section{Brand: org, Small: []string{p.T("mail.never")}, Author: p.T("mail.word", "admin", admin), Word: paragraph(d.Word, 1000)}
		switch {
		case d.Group != "":
			s.Heading = p.T("mail.granted.subject", "number", number)
			s.Before = []string{p.T("mail.granted.body", "admin", admin, "right", right, "group", group, "org", org, "number", number)}
			s.Button = link{Text: p.T("mail.adminadded.button"), URL: w.origin + "/admin"}
		case d.Number == 0:
			s.Heading = p.T("mail.refused.site", "site", w.host)
			s.Before = []string{p.T("mail.refused.sitebody", "right", right, "site", w.host)}
			s.Author = p.T("mail.word.site", "site", w.host)
		default:
			s.Heading = p.T("mail.refused.subject", "number", number)
			s.Before = []string{p.T("mail.refused.body", "admin", admin, "right", right, "org", org, "number", number)}
			if s.Word == "" {
				s.Before[0] += " " + p.T("mail.refused.ask")
			}
		}
		return s.Heading, s
	})
}

// Reported tells an administrator what a recipient says of an envelope.
type Reported struct {
	Ref          string // six characters
	Reason       string // notme, unknown, phish, other
	Text         string // of the recipient, may be empty
	Recipient    string // address
	Sender       string // address
	Organisation string
	Number       int64
	Proved       bool // who reports holds the mail or has proved the address
}

// Reported writes the notice of a report.
func (w *Writer) Reported(l Languages, r Reported) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		ref := id.ShowReference(r.Ref)
		title := p.T("mail.report.title", "ref", ref)
		s := section{
			Brand:   line(r.Organisation, 100),
			Heading: title,
			Facts: []string{
				p.T("mail.from", "value", line(r.Sender, 254)), p.T("mail.to", "value", line(r.Recipient, 254)),
				p.T("mail.ref", "ref", ref),
			},
			Quote:  paragraph(r.Text, 1000),
			Before: []string{p.T("mail.report." + r.Reason), p.T("mail.report.then")},
			Button: link{Text: p.T("mail.report.button"), URL: w.origin + "/admin/accounts/" + strconv.FormatInt(r.Number, 10) + "/audit"},
		}
		if !r.Proved {
			s.Before = append(s.Before, p.T("mail.report.unproved"))
		}
		return title, s
	})
}

// PasswordChanged writes the notice that a password was changed, at that time
// and from that place.
func (w *Writer) PasswordChanged(l Languages, at time.Time, place string) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		link, title := w.origin+"/recover", p.T("mail.pwchanged.subject")
		return title, section{
			Heading: title,
			Before:  []string{p.T("mail.pwchanged.body", "date", p.Time(at), "place", line(place, 100), "link", link)},
		}
	})
}

// PasswordLink asks a person to set a new password by a link.
type PasswordLink struct {
	Admin        string
	Organisation string
	Token        string // of the link
	Until        time.Time
}

// PasswordLink writes the mail with the link. Opening it changes nothing, as
// programs that look at mail open links too.
func (w *Writer) PasswordLink(l Languages, v PasswordLink) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		title := p.T("mail.link.subject")
		return title, section{
			Brand:   line(v.Organisation, 100),
			Heading: title,
			Before:  []string{p.T("mail.link.body", "admin", line(v.Admin, 100), "org", line(v.Organisation, 100), "date", p.Time(v.Until))},
			Button:  link{Text: p.T("mail.link.button"), URL: w.origin + "/reset/" + v.Token},
			Small:   []string{p.T("mail.link.ignore"), p.T("mail.never")},
			Links:   []link{{Text: p.T("mail.check"), URL: w.origin + "/help/check"}},
		}
	})
}

// FactorChanged tells a person that the ways to prove who they are changed.
type FactorChanged struct {
	What  string // passkey_added and its like: the end of the texts' keys
	Name  string // of a passkey, or the address
	At    time.Time
	Place string // "" = it is not said
	Stop  string // token of the link that stops it, "" = none
}

// FactorChanged writes the notice of such a change.
func (w *Writer) FactorChanged(l Languages, f FactorChanged) (Mail, error) {
	return w.write(l, nil, func(p i18n.Printer) (string, section) {
		title := p.T("mail.factor." + f.What)
		body := p.T("mail.factor.body", "date", p.Time(f.At), "place", line(f.Place, 100))
		if f.Place == "" {
			body = p.T("mail.factor.on", "date", p.Time(f.At))
		}
		switch {
		case strings.HasPrefix(f.What, "alias_"):
			body = p.T("mail.factor.address", "address", line(f.Name, 254)) + " " + body
		case f.Name != "":
			body = p.T("mail.factor.name", "name", line(f.Name, 64)) + " " + body
		}
		s := section{
			Heading: title,
			Before:  []string{body},
			Button:  link{Text: p.T("mail.factor.button"), URL: w.origin + "/profile/security"},
			Small:   []string{p.T("mail.factor.unexpected", "link", w.origin+"/recover"), p.T("mail.never")},
		}
		if strings.HasPrefix(f.What, "lift_") {
			s.Before = append(s.Before, p.T("mail.factor."+f.What+".body"))
		}
		if f.Stop != "" {
			s.Button = link{Text: p.T("mail.lift.stop"), URL: w.origin + "/lost/" + f.Stop}
		}
		return title, s
	})
}
