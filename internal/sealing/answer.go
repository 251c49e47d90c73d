package sealing

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/spool"
	"github.com/pli-mail/pli/internal/store"
)

// Answer is what a recipient answers to an envelope, or passes on of it.
type Answer struct {
	Visitor keyserver.Visitor
	Ref     string
	Kind    string             // keyserver.Reply, ReplyAll or Forward
	To      []mailaddr.Address // of Forward; who gets the others is known
	Name    string             // of the one who answers, "" shows the address
	Notify  bool               // tell them when it is opened
	Subject string
	Text    string
	Files   func() (*File, error) // as in Request
	Larges  []string              // of Forward: ids of the original's files beside the mail, whose keys are in Files
}

// answering is what a job knows of the envelope that it answers.
type answering struct {
	act      keyserver.AnswerAct
	original keyserver.Original
	language string // of the one who answers
	inside   bool   // they are of the account
	open     []mailaddr.Address
	kept     *outbox.RawMail // the mail to those, once it is durable
}

// askWay is how long a proved way is looked for: somebody waits for the page.
const askWay = 15 * time.Second

// MaxForwarded is the limit for all files of a message that is passed on: the
// message as a file is its own files in base64, and its texts.
func (s *Service) MaxForwarded() int64 { return s.cfg.MaxFiles/2*3 + 2*maxText }

// CheckAnswer names every field of an answer that Answer would refuse, before
// its files are read: fault.Invalid with Fields, or nil.
func (s *Service) CheckAnswer(a Answer, o keyserver.Original) error {
	j := s.answerJob(a, o)
	return j.check()
}

func (s *Service) answerJob(a Answer, o keyserver.Original) *job {
	to := a.To
	if a.Kind != keyserver.Forward {
		to = o.Addresses()
	}
	j := &job{s: s, sealedAt: s.cfg.DB.Now().UTC().Truncate(time.Second), r: Request{
		Sender: Sender{UserID: o.UserID, Address: o.From.String(), Name: a.Name}, AccountID: o.AccountID, To: to,
		Subject: a.Subject, Text: a.Text, Files: a.Files, Larges: a.Larges, Notify: a.Notify && o.UserID != "",
		Permissions: o.Permissions, Origin: a.Visitor.Origin,
	}}
	j.answer = &answering{act: keyserver.AnswerAct{Visitor: a.Visitor, Ref: a.Ref, Kind: a.Kind, To: to}, original: o, language: a.Visitor.Language}
	return j
}

// Answer sends a recipient's answer: as an envelope of the account whose
// envelope is answered, or to those of its own domains as plain mail over a
// proved way where the account has chosen that. When it returns nil, all mails
// are in the outbox; otherwise nothing was sent. Faults: as keyserver's
// MayAnswer, and those of Seal.
func (s *Service) Answer(ctx context.Context, a Answer) error {
	o, err := s.cfg.Keys.MayAnswer(ctx, keyserver.AnswerAct{Visitor: a.Visitor, Ref: a.Ref, Kind: a.Kind, To: a.To})
	if err != nil {
		return err
	}
	j := s.answerJob(a, o)
	if err := j.check(); err != nil {
		return err
	}
	if err := s.cfg.DB.View(ctx, j.lookUp); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	j.expire()
	if err := j.divide(ctx); err != nil {
		return err
	}
	plain := spool.New(s.cfg.Spool)
	defer plain.Close()
	if err := j.compose(plain); err != nil {
		return err
	}
	if len(j.to) == 0 {
		return s.cfg.Keys.Answer(ctx, j.answer.act, j.enqueueOpen)
	}
	if err := j.seal(ctx, plain); err != nil {
		return err
	}
	_, err = j.register(ctx)
	return err
}

// expire ends the answer after the account's days. What is passed on does not
// outlive the envelope that it came in.
func (j *job) expire() {
	j.r.ExpiresAt = j.settings.End(j.sealedAt, 0)
	end := j.answer.original.ExpiresAt
	if j.answer.act.Kind == keyserver.Forward && !end.IsZero() && (j.r.ExpiresAt.IsZero() || end.Before(j.r.ExpiresAt)) {
		j.r.ExpiresAt = end
	}
}

// divide takes out of j.to those who get the answer as plain mail: people of a
// domain of the account whose server is proved now. An address that not every
// server takes is sealed for.
func (j *job) divide(ctx context.Context) error {
	a := j.answer
	if a.original.Settings.Replies != policy.RepliesTLS || a.act.Kind == keyserver.Forward || j.s.cfg.Protects == nil || !j.from.IsASCII() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWay)
	defer cancel()
	var sealed []mailaddr.Address
	own, err := j.ownDomains(ctx)
	if err != nil {
		return err
	}
	for _, to := range j.to {
		if !own[to.Domain()] || !to.IsASCII() {
			sealed = append(sealed, to)
			continue
		}
		if _, err := j.s.cfg.Protects(ctx, to.Domain()); err != nil {
			j.s.cfg.Log.Info("sealing: no protected way for an answer, so it is sealed", "domain", to.Domain(), "err", err)
			sealed = append(sealed, to)
			continue
		}
		a.open = append(a.open, to)
	}
	j.to = sealed
	return nil
}

// ownDomains are those of the account, whose control it has proved.
func (j *job) ownDomains(ctx context.Context) (map[string]bool, error) {
	own := make(map[string]bool)
	err := j.s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListDomains(j.r.AccountID)
		for _, d := range list {
			own[d.Name] = true
		}
		return err
	})
	return own, err
}

// composeAnswer makes m an answer, and keeps it as plain mail for those who get
// it so, durable and encrypted. files holds the attachments.
func (j *job) composeAnswer(m *message.Mail, files *spool.File) error {
	a := j.answer
	if a == nil {
		return nil
	}
	m.To, m.Cc = nil, nil
	for _, to := range a.act.To {
		m.To = append(m.To, message.Mailbox{Addr: to})
	}
	if a.act.Kind != keyserver.Forward {
		m.InReplyTo = []string{j.inReplyTo(mailaddr.Address{})}
		m.References = m.InReplyTo
	}
	if len(a.open) == 0 {
		return nil
	}
	in, err := files.Reader()
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	defer in.Close()
	open := *m
	from := j.identity()
	open.From, open.MessageID = from.From, outbox.NewMessageID(j.s.cfg.Post.From.Addr)
	if !from.ReplyTo.Addr.IsZero() {
		open.ReplyTo = []message.Mailbox{from.ReplyTo}
	}
	open.Fields = []message.Field{{Name: message.TransitField, Value: "service"}}
	if !strings.HasSuffix(open.Text, "\r\n") {
		open.Text += "\r\n"
	}
	open.Attachments = slices.Clone(m.Attachments)
	readFrom(open.Attachments, in)
	scratch := spool.New(j.s.cfg.Spool)
	defer scratch.Close()
	if _, err := open.WriteTo(scratch); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := scratch.Finish(); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return j.keepOpen(scratch, open.From.Addr)
}

func (j *job) keepOpen(plain *spool.File, from mailaddr.Address) error {
	in, err := plain.Reader()
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	defer in.Close()
	k := &outbox.RawMail{Size: plain.Size(), From: from}
	if k.Short, k.Blob, k.Key, err = j.s.cfg.Outbox.Keep(context.Background(), k.Size, io.Reader(in)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	j.answer.kept = k
	return nil
}

// enqueueOpen writes the letters of those who get plain mail. They leave over a
// proved way or not at all: if it is gone for good, the one who answered is told,
// and the letter is emptied.
func (j *job) enqueueOpen(tx *store.Tx) error {
	if j.answer == nil {
		return nil
	}
	for _, to := range j.answer.open {
		l := outbox.Letter{Kind: outbox.Passing, AccountID: j.r.AccountID, Answer: j.reportTo(), Bounces: j.s.cfg.Post.From.Addr,
			To: message.Mailbox{Addr: to}, Raw: j.answer.kept, Protected: true, Notify: []string{"FAILURE", "DELAY"}}
		if err := j.s.cfg.Outbox.Enqueue(tx, l); err != nil {
			return err
		}
	}
	return nil
}

// reportTo is the one who answers: they have proved the address, so that a report
// to it strikes nobody else.
func (j *job) reportTo() *outbox.Answer {
	return &outbox.Answer{To: j.from, Language: j.answer.language, Arrived: j.sealedAt}
}

// reports is who hears that an answer's envelope could not be delivered, where
// that is nobody with a user here.
func (j *job) reports() *outbox.Answer {
	if j.answer == nil || j.r.Sender.UserID != "" {
		return nil
	}
	return j.reportTo()
}

// outside reports whether somebody answers who is not of the account.
func (j *job) outside() bool { return j.answer != nil && !j.answer.inside }

// inReplyTo is the mail that to has of what is answered: the sender of a message
// that came through the gateway the message itself, another sender the notices
// about it, a recipient the mail with their envelope.
func (j *job) inReplyTo(to mailaddr.Address) string {
	if j.answer == nil || j.answer.act.Kind == keyserver.Forward {
		return ""
	}
	o := j.answer.original
	if o.Sent != "" {
		return o.Sent
	}
	for _, p := range o.To {
		if p.Ref != "" && p.Address.Canonical() == to.Canonical() {
			return j.s.cfg.Post.thread(p.Ref)
		}
	}
	return j.s.cfg.Post.sent(o.MessageID)
}

// answerTo is what the answer is to one who gets it.
func (j *job) answerTo(to mailaddr.Address) string {
	switch {
	case j.answer == nil:
		return ""
	case j.answer.act.Kind == keyserver.Forward:
		return notice.PassedOn
	case j.answer.original.Sender.Address == to.Canonical():
		return notice.Answered
	}
	return notice.AnsweredToo
}

// maxFiles is the limit for all files of the message.
func (j *job) maxFiles() int64 {
	if j.answer != nil && j.answer.act.Kind == keyserver.Forward {
		return j.s.MaxForwarded()
	}
	return j.s.cfg.MaxFiles
}
