package sealing

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Postman writes the service's own mails into the outbox. It is an
// account.Post, its Keys method gives a keyserver.Post, and Bounced is what
// outbox.Run tells of a failure.
type Postman struct {
	Outbox *outbox.Outbox
	Words  *notice.Writer
	From   message.Mailbox // the service's own address, which is also the return path

	Hostname string // that reports speak for; "" for the domain of From
}

var (
	_ account.Post   = (*Postman)(nil)
	_ keyserver.Post = keyPost{}
)

// identity is how a sender appears in a mail's header.
type identity struct{ From, ReplyTo message.Mailbox }

// identity gives From and Reply-To. The domain of a sender who is not verified
// (account.Verified) never stands in From: its owner has not allowed us to send
// for it, and DMARC would rightly refuse the mail. Nor does a local part beyond
// ASCII, which not every mail server takes.
func (p *Postman) identity(lang, name string, address mailaddr.Address, org string, verified bool) identity {
	if verified && address.IsASCII() {
		return identity{From: message.Mailbox{Name: p.Words.SenderName(lang, name, org, true), Addr: address}}
	}
	return identity{
		From:    message.Mailbox{Name: p.Words.SenderName(lang, name, org, false), Addr: p.From.Addr},
		ReplyTo: message.Mailbox{Name: name, Addr: address},
	}
}

// thread is the message id of the mail that carries an envelope, by its
// reference, so that the mails with its codes stand beside it. A mail that came
// through the gateway has its own id, and refers to this one.
func (p *Postman) thread(ref string) string {
	return "envelope." + strings.ToLower(ref) + "@" + p.From.Addr.Domain()
}

func (p *Postman) enqueue(tx *store.Tx, l outbox.Letter, m notice.Mail, err error) error {
	if err != nil {
		return err
	}
	return p.Outbox.Enqueue(tx, p.finish(l, m))
}

func (p *Postman) finish(l outbox.Letter, m notice.Mail) outbox.Letter {
	l.From, l.Bounces, l.Auto = p.From, p.From.Addr, true
	l.Subject, l.Body = m.Subject, outbox.Body{Text: m.Text, HTML: m.HTML}
	return l
}

// write writes the words of a letter that carries an envelope, with its subject
// where it has none, and those for a next hop that does not take the file; where
// the account wants the link alone, these are all. subject is the message's.
func (p *Postman) write(l *outbox.Letter, langs notice.Languages, words notice.Envelope, settings policy.Settings, subject string) error {
	switch settings.Subject {
	case policy.SubjectNeutral:
		l.Subject = ""
	case policy.SubjectKeep:
		l.Subject = subject
	}
	mail, err := p.Words.Envelope(langs, words)
	if err != nil {
		return err
	}
	l.Subject, l.Body = cmp.Or(l.Subject, mail.Subject), outbox.Body{Text: mail.Text, HTML: mail.HTML}
	if l.Attach.Without, l.Attach.LinkOnly = nil, false; words.KeptUntil.IsZero() {
		// Without a kept copy the button alone opens nothing: then a mail that
		// is too large for the next hop fails, and the sender is told.
		return nil
	}
	words.File = ""
	light, err := p.Words.Envelope(langs, words)
	if err != nil {
		return err
	}
	l.Attach.Without = &outbox.Body{Text: light.Text, HTML: light.HTML}
	l.Attach.LinkOnly = !settings.Attach
	return nil
}

// dressed is how an account looks, in a mail with its picture. Without the
// picture the mail names none.
func dressed(tx *store.Tx, a store.Account) (brand.Brand, *message.Inline, error) {
	settings, err := policy.ReadSettings(a.Settings)
	if err != nil {
		return brand.Brand{}, nil, err
	}
	b := settings.Look(a.Brand, a.Name)
	if b.MailLogo() == "" {
		return b, nil, nil
	}
	picture, err := tx.MailLogo(a.ID, b.Logo.Digest)
	if err != nil {
		return b, nil, err
	}
	if picture == nil {
		b.Logo = brand.Logo{}
		return b, nil, nil
	}
	return b, &message.Inline{ContentID: b.MailLogo(), Type: brand.TypePNG, Body: picture}, nil
}

// look is dressed for an account by its number; an organisation that is not told ("") has none.
func look(tx *store.Tx, number int64, organisation string) (brand.Brand, *message.Inline, error) {
	if organisation == "" {
		return brand.Brand{}, nil, nil
	}
	a, err := tx.FindAccount(number)
	if err != nil {
		return brand.Brand{}, nil, err
	}
	return dressed(tx, a)
}

func to(a mailaddr.Address) message.Mailbox { return message.Mailbox{Addr: a} }

// Code mails a code that signs in, sets a new password, adds an address, or asks to lift a second factor.
func (p *Postman) Code(tx *store.Tx, c account.CodeLetter) error {
	write := p.Words.SignInCode
	switch c.Purpose {
	case store.CodeRecover:
		write = p.Words.RecoverCode
	case store.CodeAlias:
		write = p.Words.AliasCode
	case store.CodeLift:
		write = p.Words.LiftCode
	case store.CodeKeep, store.CodeGone:
		write = p.Words.MergeCode
	}
	m, err := write(notice.In(c.Language, c.Language, nil), c.Code)
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Code, To: to(c.To)}, m, err)
}

// AnswerCode mails a code that proves an address to a person of an account, who
// asked for documents.
func (p *Postman) AnswerCode(tx *store.Tx, a store.Account, address mailaddr.Address, language, code, person string) error {
	b, logo, err := dressed(tx, a)
	if err != nil {
		return err
	}
	m, err := p.Words.AnswerCode(notice.In(language, a.Language, nil), code, person, b.Organisation(a.Name), b)
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Code, AccountID: a.ID, To: to(address), Logo: logo}, m, err)
}

// Invitation mails an invitation.
func (p *Postman) Invitation(tx *store.Tx, v account.InvitationLetter) error {
	langs, err := languages(tx, v.AccountID, v.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.Invitation(langs, notice.Invitation{
		Admin: v.Admin, Organisation: v.Organisation, Token: v.Token.Reveal(), Until: v.Until})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Invitation, AccountID: v.AccountID, To: to(v.To)}, m, err)
}

// AdminAdded mails the notice to a new administrator.
func (p *Postman) AdminAdded(tx *store.Tx, a account.AdminAddedLetter) error {
	langs, err := languages(tx, a.AccountID, a.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.AdminAdded(langs, notice.AdminAdded{Admin: a.Admin, Organisation: a.Organisation, Number: a.AccountID, Word: a.Word})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: a.AccountID, To: to(a.To)}, m, err)
}

// AccountNotice mails an account's administrator or contact what becomes of it.
func (p *Postman) AccountNotice(tx *store.Tx, a account.AccountLetter) error {
	m, err := p.Words.AccountNotice(notice.In(a.Language, a.Language, zoneOf(a.TimeZone)), notice.AccountNotice{
		What: a.What, By: a.By, Organisation: a.Organisation, Number: a.AccountID, At: a.At, Due: a.Due, Shut: a.Shut})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: a.AccountID, To: to(a.To)}, m, err)
}

// WebhookOff mails the notice of a webhook that was switched off.
func (p *Postman) WebhookOff(tx *store.Tx, o account.WebhookOffLetter) error {
	langs, err := languages(tx, o.AccountID, o.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.WebhookOff(langs, notice.WebhookOff{
		Host: o.Host, Gone: o.Why == store.WebhookGone, Organisation: o.Organisation, Number: o.AccountID})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: o.AccountID, To: to(o.To)}, m, err)
}

// Joined mails the notice to a person whom an account took in.
func (p *Postman) Joined(tx *store.Tx, j account.JoinedLetter) error {
	langs, err := languages(tx, j.AccountID, j.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.Joined(langs, notice.Joined{Admin: j.Admin, Organisation: j.Organisation, Group: j.Group, Number: j.AccountID})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: j.AccountID, To: to(j.To)}, m, err)
}

// AccessRequested mails the notice of a request to an administrator.
func (p *Postman) AccessRequested(tx *store.Tx, a account.AccessRequestedLetter) error {
	langs, err := languages(tx, a.AccountID, a.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.AccessRequested(langs, notice.AccessRequested{
		Person: a.Person, Address: a.Address, Right: a.Right, Reason: a.Reason, Organisation: a.Organisation, Number: a.AccountID})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: a.AccountID, To: to(a.To)}, m, err)
}

// AccessDecided mails a person what became of their request.
func (p *Postman) AccessDecided(tx *store.Tx, d account.AccessDecidedLetter) error {
	langs, err := languages(tx, d.AccountID, d.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.AccessDecided(langs, notice.AccessDecided{Admin: d.Admin, Organisation: d.Organisation, Number: d.AccountID, Right: d.Right, Group: d.Group, Word: d.Word})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: d.AccountID, To: to(d.To)}, m, err)
}

// PasswordChanged mails the notice of a changed password.
func (p *Postman) PasswordChanged(tx *store.Tx, c account.PasswordChangedLetter) error {
	m, err := p.Words.PasswordChanged(notice.In(c.Language, c.Language, zoneOf(c.TimeZone)), c.At, c.Place)
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, To: to(c.To)}, m, err)
}

// PasswordLink mails the link by which a person sets a new password.
func (p *Postman) PasswordLink(tx *store.Tx, l account.PasswordLinkLetter) error {
	langs, err := languages(tx, l.AccountID, l.Language)
	if err != nil {
		return err
	}
	m, err := p.Words.PasswordLink(langs, notice.PasswordLink{Admin: l.Admin, Organisation: l.Organisation, Token: l.Token.Reveal(), Until: l.Until})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: l.AccountID, To: to(l.To)}, m, err)
}

// FactorChanged mails the notice that the ways to prove who one is changed.
func (p *Postman) FactorChanged(tx *store.Tx, f account.FactorLetter) error {
	m, err := p.Words.FactorChanged(notice.In(f.Language, f.Language, zoneOf(f.TimeZone)), notice.FactorChanged{What: f.What, Name: f.Name, At: f.At, Place: f.Place, Stop: f.Stop.Reveal()})
	return p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, To: to(f.To)}, m, err)
}

// Bounced writes the notice of a mail that could not be delivered, to its
// sender if they are still a user here; for a mail that came through the
// gateway it writes a report to whoever sent it, of whatever happened.
func (p *Postman) Bounced(tx *store.Tx, b outbox.Bounce) ([]outbox.Letter, error) {
	if b.Answer != nil {
		l, err := p.report(tx, b)
		return []outbox.Letter{l}, err
	}
	u, err := tx.FindUser(b.SenderID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	address, err := mailaddr.Parse(u.DisplayAddress)
	if err != nil {
		return nil, err
	}
	words := notice.Bounce{Recipient: b.To.String(), SentAt: b.SentAt, Reason: b.Reason, Subject: b.Subject}
	l := outbox.Letter{Kind: outbox.Notice, AccountID: b.AccountID, To: message.Mailbox{Name: u.Name(), Addr: address}}
	if b.SlotID != "" {
		if words.Ref, words.MessageID, err = tx.FindSlotNames(b.SlotID); err != nil {
			return nil, err
		}
		words.Subject = ""
		l.InReplyTo = p.sent(words.MessageID)
	}
	m, err := p.Words.Bounce(notice.In(u.Language, u.Language, zoneOf(u.TimeZone)), words)
	if err != nil {
		return nil, err
	}
	return []outbox.Letter{p.finish(l, m)}, nil
}

// report is a delivery status notification (RFC 3464). Like all of them it has
// no return path, so that there is no report about a report (RFC 5321, section
// 6.1). It says nothing that was sealed, and not the subject (AT-71).
func (p *Postman) report(tx *store.Tx, b outbox.Bounce) (outbox.Letter, error) {
	langs, err := languages(tx, b.AccountID, b.Answer.Language)
	if err != nil {
		return outbox.Letter{}, err
	}
	words := notice.Bounce{Recipient: b.To.String(), SentAt: b.SentAt, Reason: b.Reason, Action: b.Action}
	if b.SlotID != "" {
		if words.Ref, words.MessageID, err = tx.FindSlotNames(b.SlotID); err != nil {
			return outbox.Letter{}, err
		}
	}
	m, err := p.Words.Report(langs, words)
	if err != nil {
		return outbox.Letter{}, err
	}
	l := p.finish(outbox.Letter{Kind: outbox.Notice, AccountID: b.AccountID, To: to(b.Answer.To)}, m)
	l.Bounces, l.Body.HTML = mailaddr.Address{}, ""
	l.From.Name = p.Words.SystemName(langs.Order[0])
	l.Report = &message.Report{
		Reporting: cmp.Or(p.Hostname, p.From.Addr.Domain()), EnvelopeID: b.EnvelopeID, Arrived: b.Answer.Arrived, Header: b.Answer.Header,
		Recipients: []message.Delivery{{Final: b.To.Wire(), Original: b.Original, Action: b.Action, Status: b.Status, Said: b.Said}},
	}
	return l, nil
}

// sent is the message id under which a sender's notices about one message are gathered.
func (p *Postman) sent(messageID string) string {
	return "sent." + messageID + "@" + p.From.Addr.Domain()
}

// Keys is the Postman as a keyserver.Post.
func (p *Postman) Keys() keyserver.Post { return keyPost{p} }

type keyPost struct{ p *Postman }

// Code mails a code that opens an envelope.
func (k keyPost) Code(tx *store.Tx, c keyserver.CodeLetter) error {
	choice := c.Language
	if choice == "" {
		var err error
		if choice, err = languageOf(tx, c.To); err != nil {
			return err
		}
	}
	langs, err := languages(tx, c.AccountID, choice)
	if err != nil {
		return err
	}
	b, logo, err := look(tx, c.AccountID, c.Organisation)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Code(langs, notice.Code{Code: c.Code, Ref: c.Ref, Sender: c.SenderName, Organisation: c.Organisation, Look: b})
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Code, AccountID: c.AccountID, To: to(c.To), InReplyTo: k.p.thread(c.Ref), Logo: logo}, m, err)
}

// Opened mails the notice of a first opening.
func (k keyPost) Opened(tx *store.Tx, o keyserver.OpenedLetter) error {
	to, langs, page, err := k.senderOf(tx, o.AccountID, o.SenderUserID, o.SenderAddress)
	if err != nil || to.Addr.IsZero() {
		return err
	}
	words := notice.Opened{Ref: o.Ref, Recipient: o.Recipient, At: o.At}
	if page {
		words.MessageID = o.MessageID
	}
	m, err := k.p.Words.Opened(langs, words)
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: o.AccountID, To: to, InReplyTo: k.p.sent(o.MessageID)}, m, err)
}

// Reported mails what a recipient reports to an administrator.
func (k keyPost) Reported(tx *store.Tx, r keyserver.ReportLetter) error {
	langs, err := languages(tx, r.AccountID, r.Language)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Reported(langs, notice.Reported{
		Ref: r.Ref, Reason: r.Reason, Text: r.Text, Recipient: r.Recipient, Sender: r.Sender.Address,
		Organisation: r.Sender.Organisation, Number: r.AccountID, Proved: r.Proved})
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: r.AccountID, To: to(r.To)}, m, err)
}

// Wake makes the outbox look at once.
func (k keyPost) Wake() { k.p.Outbox.Wake() }

// zoneOf reads an IANA name; what cannot be read is UTC.
func zoneOf(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return z
}

// languages are those of a mail to somebody who chose one, or "": then both, the
// account's first. Its zone is the account's; where there is none, UTC.
func languages(tx *store.Tx, number int64, choice string) (notice.Languages, error) {
	a, err := tx.FindAccount(number)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return notice.Languages{}, err
	}
	return notice.In(choice, a.Language, zoneOf(a.TimeZone)), nil
}

// languageOf is that of whoever has an address here, "" where nobody does.
func languageOf(tx *store.Tx, address mailaddr.Address) (string, error) {
	u, err := tx.FindUserByAddress(address.Canonical())
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return u.Language, err
}
