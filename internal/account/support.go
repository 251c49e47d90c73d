package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

const supportLook action = "support.look"

const (
	maxSupportWhat   = 998 // octets: no Message-ID is longer than its line (RFC 5322)
	maxSupportReason = 300 // characters
	supportMost      = 20  // messages, and letters
	supportEvents    = 50  // of one message, or of a person in one account
)

// Support is what those who run the service see of somebody's trouble: states,
// times, deliveries with what the next hop said, and who was refused why. Nothing
// in it is content, a subject, a note, a reason that a sender wrote, or a key.
type Support struct {
	Person   *SupportPerson // whom the address belongs to, or belonged to nobody: nil
	Messages []SupportMessage
	Transits []SupportTransit
	Letters  []SupportLetter  // to the address, of no message: codes, invitations
	Events   []store.AuditRow // by the person, or the recipient, in the accounts above; newest first
}

// SupportPerson is a user.
type SupportPerson struct {
	Address      string
	AccountID    int64 // 0: of none
	State        string
	Temporary    bool // the password is to be replaced
	SecondFactor bool
	CreatedAt    time.Time
	SignedInAt   time.Time // zero: never
}

// SupportMessage is an envelope.
type SupportMessage struct {
	ID          string
	AccountID   int64
	Sender      string
	SealedAt    time.Time
	ExpiresAt   time.Time // zero: never
	LockedAt    time.Time
	RecalledAt  time.Time
	DestroyedAt time.Time
	Size        int64 // of the ciphertext, bytes
	Kept        bool  // the ciphertext is here too
	Carrier     string
	Trace       string // of its way through the gateway, "" = none
	Recipients  []SupportRecipient
	Letters     []SupportLetter
	Events      []store.AuditRow // newest first
}

// SupportRecipient is one recipient's part.
type SupportRecipient struct {
	Ref, Address  string
	Delivery      string // queued, sent, bounced, …
	DeliveredAt   time.Time
	Said          string // by the next hop, on a bounce
	Openings      int64
	FirstOpenedAt time.Time
	LastOpenedAt  time.Time
	LockedAt      time.Time
	RecalledAt    time.Time
	ExpiresAt     time.Time // their own end; zero: the message's
}

// SupportLetter is a mail that waits or has failed.
type SupportLetter struct {
	ID, Kind, Recipient, State string
	Attempts                   int64
	CreatedAt, NextAt          time.Time
	Said                       string // at the last try
}

// SupportTransit is a mail's way through the gateway.
type SupportTransit struct {
	Trace, Upstream, MessageID, Sender string
	AccountID, Size                    int64
	At                                 time.Time
	Outcomes                           []SupportOutcome
}

// SupportOutcome is what became of it for one recipient, and by which rule; not by
// which words in it.
type SupportOutcome struct {
	Recipient, Action, Source, Rule, Result, Said, Envelope string
	Number                                                  int // of the rule
}

// LookUp tells an operator what happened to an envelope (by reference or message
// id), to a person (by address), or to a mail of the gateway (by trace id or
// Message-ID). A reason is demanded, and each look is recorded in the log of every
// account that it shows something of, where its administrators read it.
func (s *Service) LookUp(ctx context.Context, actor Actor, what, reason string) (out Support, err error) {
	what, reason = strings.Trim(strings.TrimSpace(what), "<>"), strings.TrimSpace(reason)
	var p problems
	if what == "" {
		p.add("q", "err.required", fault.Args{"field": "sp.what"})
	} else if len(what) > maxSupportWhat {
		p.add("q", "err.long", fault.Args{"field": "sp.what", "n": maxSupportWhat})
	}
	if reason == "" {
		p.add("reason", "err.required", fault.Args{"field": "sp.reason"})
	} else if utf8.RuneCountInString(reason) > maxSupportReason {
		p.add("reason", "err.long", fault.Args{"field": "sp.reason", "n": maxSupportReason})
	}
	err = s.act(ctx, actor, supportLook, 0, func(tx *store.Tx, _ store.Account) error {
		if err := p.err(); err != nil {
			return err
		}
		target := what
		if a, err := mailaddr.Parse(what); err == nil {
			target = a.Canonical()
			out, err = supportPerson(tx, target)
			if err != nil {
				return err
			}
		} else if out, err = supportOf(tx, what); err != nil {
			return err
		}
		for _, n := range out.accounts() {
			if err := record(tx, actor, supportLook, n, target, "reason", reason); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// accounts are those of which something is shown, 0 where it is none.
func (v Support) accounts() []int64 {
	var out []int64
	if v.Person != nil {
		out = append(out, v.Person.AccountID)
	}
	for _, m := range v.Messages {
		out = append(out, m.AccountID)
	}
	for _, t := range v.Transits {
		out = append(out, t.AccountID)
	}
	if len(out) == 0 {
		out = []int64{0}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func supportOf(tx *store.Tx, what string) (out Support, err error) {
	trace := what
	m, err := findEnvelope(tx, what)
	switch {
	case err == nil:
		trace = m.Transit
		view, err := supportMessage(tx, m, true)
		if err != nil {
			return out, err
		}
		out.Messages = []SupportMessage{view}
	case !errors.Is(err, store.ErrNotFound):
		return out, err
	}
	rows, err := tx.ListTransits(what, 0, transitsMost)
	if err != nil {
		return out, err
	}
	if len(rows) == 0 && trace != "" {
		t, err := tx.FindTransit(trace)
		if err == nil {
			rows = []store.Transit{t}
		} else if !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
	}
	list, err := withOutcomes(tx, rows)
	for _, t := range list {
		view := SupportTransit{Trace: t.ID, Upstream: t.Upstream, MessageID: t.MessageID, Sender: t.Sender, AccountID: t.AccountID, Size: t.Size, At: t.At}
		for _, o := range t.Outcomes {
			view.Outcomes = append(view.Outcomes, supportOutcome(o))
		}
		out.Transits = append(out.Transits, view)
	}
	return out, err
}

func supportOutcome(o policy.Outcome) SupportOutcome {
	return SupportOutcome{Recipient: o.Recipient, Action: string(o.Action), Source: o.Why.Source, Rule: o.Why.Rule, Number: o.Why.Number,
		Result: o.Result, Said: o.Said, Envelope: o.Envelope}
}

func supportPerson(tx *store.Tx, address string) (out Support, err error) {
	userID := ""
	u, err := tx.FindUserByAddress(address)
	switch {
	case err == nil:
		userID = u.ID
		second, err := tx.HasSecondFactor(u.ID)
		if err != nil {
			return out, err
		}
		out.Person = &SupportPerson{Address: u.DisplayAddress, AccountID: u.AccountID, State: u.State, Temporary: u.Temporary, SecondFactor: second,
			CreatedAt: u.CreatedAt, SignedInAt: u.LastSignInAt}
	case !errors.Is(err, store.ErrNotFound):
		return out, err
	}
	messages, err := tx.ListMessagesFor(address, userID, supportMost)
	if err != nil {
		return out, err
	}
	for _, m := range messages {
		if slices.ContainsFunc(out.Messages, func(v SupportMessage) bool { return v.ID == m.ID }) {
			continue // to oneself
		}
		view, err := supportMessage(tx, m, false)
		if err != nil {
			return out, err
		}
		if m.SenderID != userID || userID == "" { // who else got it is not about them
			view.Recipients = slices.DeleteFunc(view.Recipients, func(r SupportRecipient) bool {
				a, err := mailaddr.Parse(r.Address)
				return err != nil || a.Canonical() != address
			})
		}
		out.Messages = append(out.Messages, view)
	}
	letters, err := tx.ListLettersFor("", address, supportMost)
	if err != nil {
		return out, err
	}
	out.Letters = supportLetters(letters)
	for _, n := range out.accounts() {
		events, err := tx.FilterAudit(store.AuditFilter{AccountID: n, Actors: []string{"user:" + address, "recipient:" + address}}, "", false, supportEvents)
		if err != nil {
			return out, err
		}
		out.Events = append(out.Events, events...)
	}
	slices.SortFunc(out.Events, func(a, b store.AuditRow) int { return b.At.Compare(a.At) })
	return out, nil
}

func supportMessage(tx *store.Tx, m store.Message, whole bool) (v SupportMessage, err error) {
	v = SupportMessage{ID: m.ID, AccountID: m.AccountID, Sender: m.SenderAddress, SealedAt: m.SealedAt, ExpiresAt: m.ExpiresAt, LockedAt: m.LockedAt,
		RecalledAt: m.RecalledAt, DestroyedAt: m.DestroyedAt, Size: m.PayloadSize, Kept: m.Payload != "", Carrier: m.Carrier, Trace: m.Transit}
	slots, err := tx.ListSlots(m.ID)
	if err != nil {
		return v, err
	}
	for _, x := range slots {
		v.Recipients = append(v.Recipients, SupportRecipient{Ref: x.Ref, Address: x.DisplayAddress, Delivery: x.Delivery, DeliveredAt: x.DeliveredAt, Said: x.DeliveryText,
			Openings: x.Openings, FirstOpenedAt: x.FirstOpenedAt, LastOpenedAt: x.LastOpenedAt, LockedAt: x.LockedAt, RecalledAt: x.RecalledAt, ExpiresAt: x.ExpiresAt})
	}
	if !whole {
		return v, nil
	}
	letters, err := tx.ListLettersFor(m.ID, "", supportMost)
	if err != nil {
		return v, err
	}
	v.Letters = supportLetters(letters)
	v.Events, err = tx.ListAuditOf(m.AccountID, m.ID, supportEvents)
	return v, err
}

func supportLetters(rows []store.OutboxRow) (out []SupportLetter) {
	for _, o := range rows {
		out = append(out, SupportLetter{ID: o.ID, Kind: o.Kind, Recipient: o.Recipient, State: o.State, Attempts: o.Attempts, CreatedAt: o.CreatedAt, NextAt: o.NextAt, Said: o.LastError})
	}
	return out
}
