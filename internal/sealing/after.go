package sealing

import (
	"cmp"
	"errors"

	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Resend sends what could not be delivered once more: the same envelope, in a
// mail that is written anew, for the address may be another.
func (k keyPost) Resend(tx *store.Tx, r keyserver.ResendLetter) (bool, error) {
	l, err := k.p.Outbox.Take(tx, r.SlotID)
	if err != nil || l == nil || l.Attach == nil {
		return false, err
	}
	a, err := tx.FindAccount(r.AccountID)
	if err != nil {
		return false, err
	}
	settings, err := policy.ReadSettings(a.Settings)
	if err != nil {
		return false, err
	}
	choice, err := languageOf(tx, r.To)
	if err != nil {
		return false, err
	}
	langs := notice.In(cmp.Or(choice, l.Attach.Lang), a.Language, zoneOf(a.TimeZone))
	b, logo, err := look(tx, r.AccountID, r.Sender.Organisation)
	if err != nil {
		return false, err
	}
	words := notice.Envelope{
		Sender: r.Sender.Name, SenderAddress: r.Sender.Address, Organisation: r.Sender.Organisation, Look: b, To: r.To.String(), Note: r.Note,
		Ref: r.Ref, Part: l.Attach.Part, ExpiresAt: r.ExpiresAt, KeptUntil: r.KeptUntil, File: l.Attach.Name,
	}
	l.To, l.Subject, l.Header, l.Logo = to(r.To), "", nil, logo
	if err := k.p.write(l, langs, words, settings, r.Subject); err != nil {
		return false, err
	}
	return true, k.p.Outbox.Enqueue(tx, *l)
}

// recipientLanguages are those of a mail to a recipient who may be a user: their
// own, else the account's.
func recipientLanguages(tx *store.Tx, account int64, address mailaddr.Address) (notice.Languages, error) {
	choice, err := languageOf(tx, address)
	if err != nil {
		return notice.Languages{}, err
	}
	langs, err := languages(tx, account, choice)
	if err != nil {
		return notice.Languages{}, err
	}
	langs.Order = langs.Order[:1]
	return langs, nil
}

// Reminder tells a recipient to look for the mail that they have.
func (k keyPost) Reminder(tx *store.Tx, r keyserver.ReminderLetter) error {
	langs, err := recipientLanguages(tx, r.AccountID, r.To)
	if err != nil {
		return err
	}
	b, logo, err := look(tx, r.AccountID, r.Sender.Organisation)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Reminder(langs, notice.Reminder{
		Sender: r.Sender.Name, SenderAddress: r.Sender.Address, Organisation: r.Sender.Organisation, Look: b, Ref: r.Ref, SentAt: r.SealedAt, ExpiresAt: r.ExpiresAt})
	return k.p.enqueue(tx, outbox.Letter{Kind: outbox.Notice, AccountID: r.AccountID, To: to(r.To), InReplyTo: k.p.thread(r.Ref), Logo: logo}, m, err)
}

// Forwarded answers what was forwarded to the open address. Nothing answers it:
// it has no return path, and says that a program sent it.
func (k keyPost) Forwarded(tx *store.Tx, f keyserver.ForwardedLetter) error {
	langs, err := recipientLanguages(tx, f.AccountID, f.To)
	if err != nil {
		return err
	}
	b, logo, err := look(tx, f.AccountID, f.Sender.Organisation)
	if err != nil {
		return err
	}
	m, err := k.p.Words.Forwarded(langs, notice.Forwarded{
		Sender: f.Sender.Name, SenderAddress: f.Sender.Address, Organisation: f.Sender.Organisation, Look: b, Ref: f.Ref, SentAt: f.SealedAt, Until: f.Until, Stage: f.Stage, Part: f.Part})
	if err != nil {
		return err
	}
	l := k.p.finish(outbox.Letter{Kind: outbox.Notice, AccountID: f.AccountID, To: to(f.To), InReplyTo: k.p.thread(f.Ref), AutoReply: true, Logo: logo}, m)
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
	u, err := tx.FindUser(userID)
	switch {
	case err == nil:
		return message.Mailbox{Name: u.Name(), Addr: address}, notice.In(u.Language, u.Language, zoneOf(u.TimeZone)), true, nil
	case !errors.Is(err, store.ErrNotFound):
		return to, langs, false, err
	case userID != "":
		return to, langs, false, nil // they are gone
	}
	langs, err = languages(tx, account, "")
	return message.Mailbox{Addr: address}, langs, false, err
}
