package sealing

import (
	"errors"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
)

// Resend sends what could not be delivered once more: the same envelope, in a
// mail that is written anew, for the address may be another.
func (k keyPost) Resend(tx *store.Tx, r keyserver.ResendLetter) (bool, error) {
	l, err := k.p.Outbox.Take(tx, r.SlotID)
	if err != nil || l == nil || l.Attach == nil {
		return false, err
	}
	zone, lang := accountZone(tx, r.AccountID)
	choice := l.Attach.Lang
	if u, err := tx.FindUserByAddress(r.To.Canonical()); err == nil {
		choice = u.Language
	} else if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	langs := notice.In(choice, lang, zone)
	words := notice.Envelope{
		Sender: r.Sender.Name, SenderAddress: r.Sender.Address, Organisation: r.Sender.Organisation, To: r.To.String(), Note: r.Note,
		Ref: r.Ref, Part: l.Attach.Part, ExpiresAt: r.ExpiresAt, KeptUntil: r.KeptUntil, File: l.Attach.Name,
	}
	mail, err := k.p.Words.Envelope(langs, words)
	if err != nil {
		return false, err
	}
	l.To, l.Subject, l.Body, l.Header = to(r.To), mail.Subject, outbox.Body{Text: mail.Text, HTML: mail.HTML}, nil
	if l.Attach.Without = nil; !r.KeptUntil.IsZero() {
		words.File = ""
		light, err := k.p.Words.Envelope(langs, words)
		if err != nil {
			return false, err
		}
		l.Attach.Without = &outbox.Body{Text: light.Text, HTML: light.HTML}
	}
	return true, k.p.Outbox.Enqueue(tx, *l)
}

// recipientLanguages are those of a mail to a recipient who may be a user.
func recipientLanguages(tx *store.Tx, account int64, address mailaddr.Address) (notice.Languages, error) {
	zone, lang := accountZone(tx, account)
	choice := lang
	u, err := tx.FindUserByAddress(address.Canonical())
	switch {
	case err == nil:
		choice = u.Language
	case !errors.Is(err, store.ErrNotFound):
		return notice.Languages{}, err
	case !i18n.Known(choice):
		choice = ""
	}
	return notice.In(choice, lang, zone), nil
}

// Reminder tells a recipient to look for the mail that they have.
func (k keyPost) Reminder(tx *store.Tx, r keyserver.ReminderLetter) error {
	langs, err := recipientLanguages(tx, r.AccountID, r.To)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Reminder(langs, notice.Reminder{
		Sender: r.Sender.Name, SenderAddress: r.Sender.Address, Organisation: r.Sender.Organisation, Ref: r.Ref, SentAt: r.SealedAt, ExpiresAt: r.ExpiresAt})
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: r.AccountID, To: to(r.To), InReplyTo: k.p.thread(r.Ref)}, m, err)
}

// Forwarded answers what was forwarded to the open address. Nothing answers it:
// it has no return path, and says that a program sent it.
func (k keyPost) Forwarded(tx *store.Tx, f keyserver.ForwardedLetter) error {
	langs, err := recipientLanguages(tx, f.AccountID, f.To)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Forwarded(langs, notice.Forwarded{
		Sender: f.Sender.Name, SenderAddress: f.Sender.Address, Organisation: f.Sender.Organisation, Ref: f.Ref, SentAt: f.SealedAt, Until: f.Until, Stage: f.Stage, Part: f.Part})
	if err != nil {
		return err
	}
	l := k.p.finish(outbox.Letter{Kind: outbox.Notice, AccountID: f.AccountID, To: to(f.To), InReplyTo: k.p.thread(f.Ref), AutoReply: true}, m)
	l.Bounces = mailaddr.Address{}
	return k.p.Outbox.Enqueue(tx, l)
}

// Unread tells a sender who has not opened a message.
func (k keyPost) Unread(tx *store.Tx, u keyserver.UnreadLetter) error {
	address, langs, page, err := k.senderOf(tx, u.AccountID, u.SenderUserID, u.Sender.Address)
	if err != nil || address.Addr.IsZero() {
		return err
	}
	words := notice.Unread{Ref: u.Ref, Recipients: u.Recipients, SentAt: u.SealedAt}
	if page {
		words.MessageID = u.MessageID
	}
	m, err := k.p.Words.Unread(langs, words)
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: u.AccountID, To: address, InReplyTo: k.p.sent(u.MessageID)}, m, err)
}

// senderOf is where a message's sender is written to, and in which languages;
// nowhere when their user is gone. Who sent through the gateway need not have a
// user, and then has no page to look at.
func (k keyPost) senderOf(tx *store.Tx, account int64, userID, sender string) (to message.Mailbox, langs notice.Languages, page bool, err error) {
	address, err := mailaddr.Parse(sender)
	if err != nil {
		return to, langs, false, err
	}
	zone, lang := accountZone(tx, account)
	u, err := tx.FindUser(userID)
	switch {
	case err == nil:
		return message.Mailbox{Name: u.Name(), Addr: address}, notice.In(u.Language, u.Language, zoneOf(u.TimeZone)), true, nil
	case !errors.Is(err, store.ErrNotFound):
		return to, langs, false, err
	case userID != "":
		return to, langs, false, nil // they are gone
	}
	return message.Mailbox{Addr: address}, notice.In("", lang, zone), false, nil
}
