package keyserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// What a recipient may do with an envelope besides opening it.
const (
	Reply    = "reply"     // to its sender
	ReplyAll = "reply_all" // and to the recipients whom its message names
	Forward  = "forward"   // to others
)

// Limits of one recipient's answers to one envelope.
const (
	MaxAnswers = 20
	MaxForward = 20 // recipients of a message that is passed on
)

// AnswerAct is a recipient's act on an envelope. To are those who would get it.
type AnswerAct struct {
	Visitor Visitor
	Ref     string
	Kind    string // Reply, ReplyAll or Forward
	To      []mailaddr.Address
}

// Answers are the acts that are open to a visitor.
type Answers struct{ Reply, ReplyAll, Forward bool }

// Any reports whether one of them is.
func (a Answers) Any() bool { return a.Reply || a.ReplyAll || a.Forward }

// Original is an envelope that may be answered, as the one who answers may know it.
type Original struct {
	Ref         string
	Slot        envelope.SlotID
	MessageID   string
	Kept        bool // Ciphertext has it
	AccountID   int64
	Sender      Sender
	Look        brand.Brand // of the sender's account
	Subject     string
	Sent        string // Message-ID of the message as it came through the gateway, "" where it came another way
	SealedAt    time.Time
	ExpiresAt   time.Time // zero: never
	Permissions policy.Permissions
	Settings    policy.Settings
	From        mailaddr.Address // the recipient, whose address is proved
	UserID      string           // of the recipient who is signed in with that address, else ""
	To          []Participant    // of Reply and ReplyAll
	Left        int              // answers that may still be sent
}

// Participant is one of those who have the envelope.
type Participant struct {
	Address mailaddr.Address
	Ref     string // of the envelope that they got, "" for who sent it
}

// Addresses are those of To.
func (o *Original) Addresses() []mailaddr.Address {
	out := make([]mailaddr.Address, len(o.To))
	for i, p := range o.To {
		out[i] = p.Address
	}
	return out
}

// answerRefused is a refusal on its way out of the transaction that it undoes.
type answerRefused struct {
	row   store.AuditRow
	fault *fault.Error
}

func (r *answerRefused) Error() string { return r.fault.Error() }
func (r *answerRefused) Unwrap() error { return r.fault }

// Answerable returns the envelope that a visitor may answer now. It changes
// nothing: a page asks. Faults: as Release; answer.denied, reply.limit.
func (s *Service) Answerable(ctx context.Context, v Visitor, ref, kind string) (out Original, err error) {
	if ref, err = parseRef(ref); err != nil {
		return Original{}, err
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpeningByRef(ref, v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err != nil {
			return err
		}
		var r *refusal
		if out, r, err = s.original(tx, o, kind); err == nil && r != nil {
			err = r.fault
		}
		return err
	})
	if err != nil {
		return Original{}, unavailable(err)
	}
	return out, nil
}

// MayAnswer is Answerable at the beginning of an act: a refusal is recorded.
// Register and Answer ask again, in the transaction of the act.
func (s *Service) MayAnswer(ctx context.Context, a AnswerAct) (Original, error) {
	out, err := s.Answerable(ctx, a.Visitor, a.Ref, a.Kind)
	if err == nil || !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Closed) && !fault.Is(err, fault.Gone) && !fault.Is(err, fault.NotFound) {
		return out, err
	}
	refused := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := s.mayAnswer(tx, a)
		return err
	})
	if refused == nil { // it may since
		return Original{}, err
	}
	return Original{}, unavailable(s.recordRefusal(ctx, refused))
}

// Answer records an answer that is no envelope of its own. then writes its mails
// in the same transaction, perhaps more than once.
func (s *Service) Answer(ctx context.Context, a AnswerAct, then func(tx *store.Tx) error) error {
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.answer(tx, a, ""); err != nil {
			return err
		}
		return then(tx)
	})
	if err = s.recordRefusal(ctx, err); err != nil {
		return unavailable(err)
	}
	s.c.Post.Wake()
	return nil
}

// recordRefusal writes the audit record of what err refused, if it refused an
// answer, and returns err. Where the record cannot be written, that is the failure.
func (s *Service) recordRefusal(ctx context.Context, err error) error {
	var r *answerRefused
	if !errors.As(err, &r) {
		return err
	}
	if err := s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.InsertAudit(r.row) }); err != nil {
		return unavailable(err)
	}
	return r.fault
}

// answer decides, counts and records, holding the slot: of answers sent at once
// not one more passes than is left, and a lock that has answered stops them.
// messageID is of the message that carries the answer, "" for a mail of another kind.
// It returns the message that is answered.
func (s *Service) answer(tx *store.Tx, a AnswerAct, messageID string) (store.Message, error) {
	o, err := s.mayAnswer(tx, a)
	if err != nil {
		return store.Message{}, err
	}
	if err := tx.CountReply(o.Slot.ID); err != nil {
		return store.Message{}, err
	}
	return o.Message, tx.InsertAudit(auditAnswer(o, a, nil, messageID))
}

// mayAnswer is the one place that decides whether an answer leaves.
func (s *Service) mayAnswer(tx *store.Tx, a AnswerAct) (store.Opening, error) {
	ref, err := parseRef(a.Ref)
	if err != nil {
		return store.Opening{}, err
	}
	o, found, err := findRef(tx, ref, a.Visitor.Session)
	if err == nil && !found {
		err = notFound()
	}
	if err != nil {
		return o, err
	}
	if o, err = tx.LockOpening(o.Slot.ID, a.Visitor.Session); err != nil {
		return o, err
	}
	original, r, err := s.original(tx, o, a.Kind)
	if err != nil {
		return o, err
	}
	if r == nil && !withIn(original, a) {
		r = &refusal{ReasonAnswer, fault.New(fault.Denied, "answer.denied")}
	}
	if r != nil && !o.Possession && !addressed(o) && !known(o) {
		return o, r.fault // whoever guesses a reference writes no records for its sender to read
	}
	if r != nil {
		return o, &answerRefused{auditAnswer(o, a, r, ""), r.fault}
	}
	return o, nil
}

// withIn reports whether an answer goes to nobody but those it may go to.
func withIn(o Original, a AnswerAct) bool {
	if a.Kind == Forward {
		return len(a.To) <= MaxForward
	}
	return !slices.ContainsFunc(a.To, func(to mailaddr.Address) bool {
		return !slices.ContainsFunc(o.To, func(p Participant) bool { return p.Address.Canonical() == to.Canonical() })
	})
}

func auditAnswer(o store.Opening, a AnswerAct, r *refusal, messageID string) store.AuditRow {
	row := auditOpening(o, a.Visitor, r)
	row.Action = "envelope.reply"
	if a.Kind == Forward {
		row.Action = "envelope.forward"
		list := make([]string, len(a.To))
		for i, to := range a.To {
			list[i] = to.String()
		}
		row.Detail["to"] = strings.Join(list, ", ")
	}
	if messageID != "" {
		row.Detail["envelope"] = messageID
	}
	return row
}

// original is what o is to somebody who wants to answer it, or why they may not.
func (s *Service) original(tx *store.Tx, o store.Opening, kind string) (Original, *refusal, error) {
	if r := checkAccess(o, asOf(tx, o)); r != nil {
		return Original{}, r, nil
	}
	account, err := tx.FindAccount(o.Message.AccountID)
	if err != nil {
		return Original{}, nil, err
	}
	out := Original{Ref: o.Slot.Ref, MessageID: o.Message.ID, AccountID: o.Message.AccountID, Sender: sender(o), Look: look(o),
		SealedAt: o.Message.SealedAt, ExpiresAt: endOf(o.Message, o.Slot), Left: MaxAnswers - int(o.Slot.Answers)}
	out.Kept = kept(o.Message, asOf(tx, o))
	if out.Slot, err = envelope.ParseSlotID(o.Slot.ID); err != nil {
		return Original{}, nil, err
	}
	if out.Permissions, err = policy.ReadPermissions(o.Message.Policy); err != nil {
		return Original{}, nil, err
	}
	if out.Settings, err = policy.ReadSettings(o.Settings); err != nil {
		return Original{}, nil, err
	}
	participants, err := others(tx, o)
	if err != nil {
		return Original{}, nil, err
	}
	may := allowedOf(out.Permissions.Under(out.Settings), len(participants))
	if account.State != store.AccountActive || !map[string]bool{Reply: may.Reply, ReplyAll: may.ReplyAll, Forward: may.Forward}[kind] {
		return Original{}, &refusal{ReasonAnswer, fault.New(fault.Denied, "answer.denied")}, nil
	}
	if out.Left <= 0 {
		return Original{}, &refusal{ReasonLimit, fault.New(fault.Closed, "reply.limit").With("n", MaxAnswers)}, nil
	}
	if kind != Forward {
		from, err := mailaddr.Parse(o.Message.SenderAddress)
		if err != nil {
			return Original{}, nil, fmt.Errorf("read message %s: sender: %w", o.Message.ID, err)
		}
		out.To = []Participant{{Address: from}}
	}
	if kind == ReplyAll {
		out.To = append(out.To, participants...)
	}
	if out.From, err = mailaddr.Parse(o.Slot.DisplayAddress); err != nil {
		return Original{}, nil, fmt.Errorf("read slot %s: address: %w", o.Slot.ID, err)
	}
	if o.Scope == store.ScopeFull && (o.UserAddress == o.Slot.Address || o.Alias) {
		u, err := tx.FindUserByAddress(o.UserAddress)
		if err != nil {
			return Original{}, nil, err
		}
		out.UserID = u.ID
	}
	if o.Message.Transit != "" {
		t, err := tx.FindTransit(o.Message.Transit)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Original{}, nil, err
		}
		out.Sent = t.MessageID
	}
	c, err := s.cardOf(tx, o.Message)
	out.Subject = c.Subject
	return out, nil, err
}

// allowedOf is what is left of a message's permissions where it has that many
// recipients besides, whom it names.
func allowedOf(a policy.Allowed, others int) Answers {
	return Answers{Reply: a.Reply, ReplyAll: a.ReplyAll && others > 0, Forward: a.Forward}
}

// others are the recipients whom the message names in To or Cc, but for the one
// who asks. A blind copy stays blind: who got one is in nobody's list.
func others(tx *store.Tx, o store.Opening) ([]Participant, error) {
	slots, err := tx.ListSlots(o.Message.ID)
	if err != nil {
		return nil, err
	}
	var out []Participant
	for _, slot := range slots {
		if !slot.Shown || slot.Address == o.Slot.Address || slot.Address == o.Message.SenderAddress {
			continue
		}
		a, err := mailaddr.Parse(slot.DisplayAddress)
		if err != nil {
			return nil, fmt.Errorf("read slot %s: address: %w", slot.ID, err)
		}
		out = append(out, Participant{a, slot.Ref})
	}
	return out, nil
}

// answersTo is what a visitor who may open o now may do with it besides.
func answersTo(tx *store.Tx, o store.Opening) (Answers, error) {
	p, err := policy.ReadPermissions(o.Message.Policy)
	if err != nil {
		return Answers{}, err
	}
	settings, err := policy.ReadSettings(o.Settings)
	if err != nil {
		return Answers{}, err
	}
	may := allowedOf(p.Under(settings), 1)
	if may.ReplyAll {
		list, err := others(tx, o)
		if err != nil {
			return Answers{}, err
		}
		may.ReplyAll = len(list) > 0
	}
	return may, nil
}
