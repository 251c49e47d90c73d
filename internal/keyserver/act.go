package keyserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// The kinds of acts on a message that was sent, as the audit log names them. A
// slot and its message are locked independently: what one of them locks stays locked.
const (
	ActLock      = "envelope.lock" // no further openings
	ActUnlock    = "envelope.unlock"
	ActExpire    = "envelope.expire"    // now, and for good: S is destroyed
	ActEnd       = "envelope.end"       // another end date
	ActRecall    = "envelope.recall"    // withdraw: what waits is not sent, and S is destroyed
	ActResend    = "envelope.resend"    // to one recipient, the notice again
	ActReaddress = "envelope.readdress" // to one recipient, at a corrected address, what bounced
)

// Act is what a sender, or an administrator, does to a message that was sent.
type Act struct {
	Kind    string
	Account int64            // in which it is done, by the right over its messages; 0: also as the sender, in whichever the message is of
	Reason  string           // of ActLock: shown to whoever holds the mail; at most maxReason characters
	Until   time.Time        // of ActEnd; zero: never, or for one recipient, as the message
	To      mailaddr.Address // of ActReaddress
	Only    string           // canonical address: of several messages, what went to it alone; "": to everybody
}

// Acted is what an act came to.
type Acted struct {
	Subject   string // for the sender; "" for an administrator
	Recipient string // whom it concerns, "" for everybody
	Opened    int    // recipients concerned who had opened it before
	Unsent    int    // of ActRecall and ActExpire: mails that had not left
	Reminded  bool   // of ActResend: the recipient has the mail, and was told to look for it
	Changed   bool   // false: it was so already, and nothing was recorded
}

const (
	maxReason = 200 // characters

	// destroyGrace is how long after its end an envelope can be given another
	// one. Then its S are destroyed.
	destroyGrace = 7 * 24 * time.Hour

	// Notices that one recipient gets again of one envelope.
	resendLimit  = 3
	resendWindow = 24 * time.Hour
)

// Act does one thing to a message, or to the slot of it that slotID names where
// that is not "". The sender may, and but for ActReaddress an administrator of
// the message's account; where act names an account, only an administrator of
// that one, and on its messages.
// It holds what a release holds: once it has answered, no release commits that
// it forbids. Its audit record is in the same transaction.
//
// Faults: e404.h1, also for who may not, which is audited; sent.over where the
// key has been destroyed; err.long, exp.past, exp.max{n}, exp.within{date},
// sent.closed, sent.nomail, sent.waiting, sent.noletter, sent.already,
// sent.often{n}.
func (s *Service) Act(ctx context.Context, a Actor, act Act, messageID, slotID string) (Acted, error) {
	var out Acted
	var denied bool
	err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		out, denied, err = s.act(tx, a, act, messageID, slotID)
		return err
	})
	if err == nil && denied {
		err = notFound()
	}
	if err != nil {
		return Acted{}, unavailable(err)
	}
	if act.Kind == ActResend || act.Kind == ActReaddress {
		s.c.Post.Wake()
	}
	return out, nil
}

// Named is the kind of the act that pages and programs call name; ActReaddress
// is the sender's alone, and has none.
func Named(name string) (kind string, ok bool) {
	switch kind = "envelope." + name; kind {
	case ActLock, ActUnlock, ActExpire, ActEnd, ActRecall, ActResend:
		return kind, true
	}
	return "", false
}

// mayAct asks the database whether somebody acts on a message: as its sender, if
// act names no account, or by the right over messages in the account that it
// names, or else in the message's: over all of it or over the sender's group. Who
// has no user (the operator's commands) is taken at their word. Another address is
// the sender's alone to give: whoever gives it chooses who reads the message.
func mayAct(tx *store.Tx, a Actor, act Act, m store.Message) (bool, error) {
	if live, err := tx.SessionActs(a.Session, a.UserID); !live || err != nil {
		return false, err
	}
	if act.Account == 0 && a.UserID != "" && a.UserID == m.SenderID {
		if ok, err := tx.TokenAllows(a.Token, a.UserID, m.AccountID, store.ScopeSend); ok || err != nil {
			return ok, err
		}
	}
	if act.Kind == ActReaddress || act.Account != 0 && act.Account != m.AccountID {
		return false, nil
	}
	if a.UserID == "" {
		return slices.Contains(a.AdminOf, m.AccountID), nil
	}
	if ok, err := tx.TokenAllows(a.Token, a.UserID, m.AccountID, store.RightMessages); !ok || err != nil {
		return false, err
	}
	return tx.HasRight(a.UserID, m.AccountID, store.RightMessages, m.SenderID)
}

// permitted finds a message for an act on it: denied to who may not, which is recorded.
func permitted(tx *store.Tx, a Actor, act Act, messageID string) (m store.Message, denied bool, err error) {
	m, err = tx.FindMessage(messageID)
	if errors.Is(err, store.ErrNotFound) {
		return m, false, notFound()
	}
	if err != nil {
		return m, false, err
	}
	may, err := mayAct(tx, a, act, m)
	if err != nil || may {
		return m, false, err
	}
	row := a.record(m.AccountID, act.Kind, m.ID)
	row.Outcome, row.Detail["reason"] = store.Refused, ReasonRights
	return m, true, tx.InsertAudit(row)
}

func (s *Service) act(tx *store.Tx, a Actor, act Act, messageID, slotID string) (out Acted, denied bool, err error) {
	m, denied, err := permitted(tx, a, act, messageID)
	if denied || err != nil {
		return out, denied, err
	}
	out, err = s.actPermitted(tx, a, act, m, slotID)
	return out, false, err
}

// actPermitted is act of who may.
func (s *Service) actPermitted(tx *store.Tx, a Actor, act Act, m store.Message, slotID string) (out Acted, err error) {
	row := a.record(m.AccountID, act.Kind, m.ID)
	h, err := s.hold(tx, m.ID, slotID, act.Kind == ActRecall || act.Kind == ActExpire, act.Kind == ActResend || act.Kind == ActReaddress)
	if err != nil {
		return out, err
	}
	h.detail = row.Detail
	if err := h.do(act, &out); err != nil || !out.Changed {
		return out, err
	}
	if err := h.save(); err != nil {
		return out, err
	}
	for _, slot := range h.concerned() {
		if slot.Openings > 0 {
			out.Opened++
		}
		if slotID != "" {
			out.Recipient = slot.DisplayAddress
			row.Detail["slot"], row.Detail["ref"], row.Detail["recipient"] = slot.ID, slot.Ref, slot.DisplayAddress
		}
	}
	if act.Account == 0 && a.UserID != "" && a.UserID == m.SenderID {
		c, err := s.cardOf(tx, h.m)
		if err != nil {
			return out, err
		}
		out.Subject = c.Subject
	}
	return out, tx.InsertAudit(row)
}

// held is a message that this transaction holds, with what is changed of it.
type held struct {
	s      *Service
	tx     *store.Tx
	now    time.Time // as asOf
	m      store.Message
	slots  []store.Slot
	one    *store.Slot // of slots, whom an act concerns; nil: everybody
	unsent map[string]bool
	detail map[string]string // of the audit record
}

// hold takes a message. Letters come before slots, and slots before their
// message, as they do where a mail is sent and where S is released.
func (s *Service) hold(tx *store.Tx, messageID, slotID string, dropLetters, takeLetter bool) (*held, error) {
	mark, err := tx.ClockMark()
	if err != nil {
		return nil, err
	}
	h := &held{s: s, tx: tx, now: later(tx.Now, mark), detail: map[string]string{}}
	var ids []string
	if dropLetters {
		slots, err := tx.ListSlots(messageID)
		if err != nil {
			return nil, err
		}
		for _, slot := range slots {
			if slotID == "" || slot.ID == slotID {
				ids = append(ids, slot.ID)
			}
		}
		if h.unsent, err = tx.DeleteLetters(ids); err != nil {
			return nil, err
		}
	}
	if takeLetter {
		if _, err := tx.FindLetter(slotID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	if h.m, h.slots, err = tx.HoldMessage(messageID); errors.Is(err, store.ErrNotFound) {
		return nil, notFound()
	} else if err != nil {
		return nil, err
	}
	// A letter that was written anew while the first look waited for the old one
	// was not to be seen then. From here on none is.
	late, err := tx.DeleteLetters(ids)
	if err != nil {
		return nil, err
	}
	for id, waited := range late {
		h.unsent[id] = h.unsent[id] || waited
	}
	if slotID == "" {
		return h, nil
	}
	i := slices.IndexFunc(h.slots, func(x store.Slot) bool { return x.ID == slotID })
	if i < 0 {
		return nil, notFound()
	}
	h.one = &h.slots[i]
	return h, nil
}

func (h *held) concerned() []store.Slot {
	if h.one != nil {
		return []store.Slot{*h.one}
	}
	return h.slots
}

// each runs fn for the slots that the act concerns.
func (h *held) each(fn func(*store.Slot)) {
	for i := range h.slots {
		if h.one == nil || h.one == &h.slots[i] {
			fn(&h.slots[i])
		}
	}
}

// gone reports whether nobody whom the act concerns can ever open it again.
func (h *held) gone() bool {
	return !slices.ContainsFunc(h.concerned(), func(x store.Slot) bool { return len(x.Box) > 0 })
}

func (h *held) save() error {
	partLocked := !h.m.LockedAt.IsZero()
	for _, slot := range h.slots {
		partLocked = partLocked || !slot.LockedAt.IsZero()
		if err := h.tx.SaveSlot(slot); err != nil {
			return err
		}
	}
	return h.tx.SaveMessage(h.m, partLocked)
}

func finished() *fault.Error { return fault.New(fault.Gone, "sent.over") }

func (h *held) do(act Act, out *Acted) error {
	if act.Kind != ActRecall && act.Kind != ActExpire && h.gone() {
		return finished()
	}
	switch act.Kind {
	case ActLock:
		return h.lock(act.Reason, out)
	case ActUnlock:
		h.unlock(out)
		return nil
	case ActExpire, ActRecall:
		return h.finish(act.Kind == ActRecall, out)
	case ActEnd:
		return h.setEnd(act.Until, out)
	case ActResend, ActReaddress:
		return h.resend(act, out)
	}
	return fmt.Errorf("there is no act %q", act.Kind)
}

func (h *held) lock(reason string, out *Acted) error {
	if utf8.RuneCountInString(reason) > maxReason {
		return fault.New(fault.Invalid, "err.title").In("reason", "err.long", fault.Args{"field": "sent.reason", "n": maxReason})
	}
	if !utf8.ValidString(reason) || containsControl(reason) {
		return fault.New(fault.Invalid, "err.title").In("reason", "mail.seal.character", fault.Args{"field": "sent.reason"})
	}
	at, box, name := &h.m.LockedAt, &h.m.LockBox, h.m.ID
	if h.one != nil {
		at, box, name = &h.one.LockedAt, &h.one.LockBox, h.one.ID
	}
	epoch, err := h.s.findEpoch(h.tx, h.m.AccountID, h.m.Epoch)
	if err != nil {
		return err
	}
	was, err := epoch.openReason(name, *box)
	if err != nil {
		return err
	}
	if !at.IsZero() && was == reason {
		return nil
	}
	*at, out.Changed = h.tx.Now, true
	*box, err = epoch.sealReason(name, reason)
	return err
}

func (h *held) unlock(out *Acted) {
	at, box := &h.m.LockedAt, &h.m.LockBox
	if h.one != nil {
		at, box = &h.one.LockedAt, &h.one.LockBox
	}
	out.Changed = !at.IsZero()
	*at, *box = time.Time{}, nil
}

// finish makes an end now, and destroys what could still open it.
func (h *held) finish(recall bool, out *Acted) error {
	live := !h.gone()
	if !live && !(recall && h.one == nil && h.m.RecalledAt.IsZero() || recall && h.one != nil && h.one.RecalledAt.IsZero()) {
		return nil
	}
	out.Changed = true
	switch {
	case recall && h.one != nil:
		h.one.RecalledAt = h.tx.Now
	case recall:
		h.m.RecalledAt = h.tx.Now
	case h.one != nil:
		if end := endOf(h.m, *h.one); end.IsZero() || end.After(h.now) {
			h.one.ExpiresAt = h.now
		}
	case h.m.ExpiresAt.IsZero() || h.m.ExpiresAt.After(h.now):
		h.m.ExpiresAt = h.now
	}
	h.each(func(x *store.Slot) {
		if h.unsent[x.ID] {
			x.Delivery, x.DeliveryText = store.DeliveryWithdrawn, ""
			out.Unsent++
		}
	})
	h.destroy(h.concerned())
	return nil
}

// destroy empties the S of some slots, which are then no longer locked; with the last of a message's, its kept
// ciphertext is due too, and its record begins to age.
func (h *held) destroy(slots []store.Slot) {
	for i := range h.slots {
		if slices.ContainsFunc(slots, func(x store.Slot) bool { return x.ID == h.slots[i].ID }) {
			h.slots[i].Box, h.slots[i].LockBox, h.slots[i].LockedAt = []byte{}, nil, time.Time{}
		}
	}
	if slices.ContainsFunc(h.slots, func(x store.Slot) bool { return len(x.Box) > 0 }) {
		return
	}
	if h.m.DestroyedAt.IsZero() {
		h.m.DestroyedAt = h.now
	}
	h.m.RemindAt, h.m.LockBox, h.m.LockedAt = time.Time{}, nil, time.Time{}
	if h.m.PayloadUntil.After(h.now) {
		h.m.PayloadUntil = h.now
	}
}

// setEnd gives the message, or one recipient, another end. A message that moves
// to another month moves to its key, so that it is destroyed with that month.
func (h *held) setEnd(until time.Time, out *Acted) error {
	if !h.m.RecalledAt.IsZero() || h.one != nil && !h.one.RecalledAt.IsZero() {
		return finished()
	}
	if !until.IsZero() && !until.After(h.now) {
		return fault.New(fault.Invalid, "err.title").In("until", "exp.past", nil)
	}
	if h.one != nil {
		if !until.IsZero() && !h.m.ExpiresAt.IsZero() && until.After(h.m.ExpiresAt) {
			return fault.New(fault.Invalid, "err.title").In("until", "exp.within", fault.Args{"date": h.m.ExpiresAt})
		}
		out.Changed = !h.one.ExpiresAt.Equal(until)
		h.one.ExpiresAt = until
		h.noteEnd(until)
		return nil
	}
	account, err := h.tx.FindAccount(h.m.AccountID)
	if err != nil {
		return err
	}
	settings, err := Sending(h.tx, account, h.m.SenderID)
	if err != nil {
		return err
	}
	// What is within the end that there is needs no leave; a longer one is
	// bound as that of a new message.
	longer := !h.m.ExpiresAt.IsZero() && (until.IsZero() || until.After(h.m.ExpiresAt))
	if longer && !settings.AllowsEnd(until, h.now) {
		return fault.New(fault.Invalid, "err.title").In("until", "exp.max", fault.Args{"n": settings.ExpiryMax})
	}
	if out.Changed = !h.m.ExpiresAt.Equal(until); !out.Changed {
		return nil
	}
	h.m.ExpiresAt = until
	h.noteEnd(until)
	if !h.m.PayloadUntil.IsZero() {
		h.m.PayloadUntil = h.m.SealedAt.AddDate(0, 0, settings.KeepDays)
		if !until.IsZero() && until.Before(h.m.PayloadUntil) {
			h.m.PayloadUntil = until
		}
	}
	return h.moveTo(month(until))
}

func (h *held) noteEnd(until time.Time) {
	h.detail["until"] = ""
	if !until.IsZero() {
		h.detail["until"] = until.UTC().Format(time.RFC3339)
	}
}

// moveTo seals what the message's epoch key seals under the key of another month.
func (h *held) moveTo(month int64) error {
	if month == h.m.Epoch {
		return nil
	}
	old, err := h.s.findEpoch(h.tx, h.m.AccountID, h.m.Epoch)
	if err != nil {
		return err
	}
	if old.destroyed {
		return finished()
	}
	epoch, err := h.s.ensureEpoch(h.tx, h.m.AccountID, month)
	if err != nil {
		return err
	}
	if err := h.rewrap(old.epochKey, epoch); err != nil {
		return err
	}
	h.m.Epoch = month
	return nil
}

func containsControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// endOf is when a slot can no longer be opened: its own end or its message's,
// whichever is earlier; zero: never.
func endOf(m store.Message, slot store.Slot) time.Time {
	if m.ExpiresAt.IsZero() || !slot.ExpiresAt.IsZero() && slot.ExpiresAt.Before(m.ExpiresAt) {
		return slot.ExpiresAt
	}
	return m.ExpiresAt
}

const labelReason = "pli/1 lock"

// sealReason gives salt (16 bytes) || ciphertext and tag, nil for "". The salt
// makes the key one that seals this alone; name is the message's or slot's id.
func (e openedEpoch) sealReason(name, reason string) ([]byte, error) {
	if reason == "" || e.destroyed {
		return nil, nil
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails (crypto/rand)
	box, err := e.seal(labelReason, name+string(salt), []byte(reason))
	return append(salt, box...), err
}

func (e openedEpoch) openReason(name string, box []byte) (string, error) {
	if len(box) < 16 || e.destroyed {
		return "", nil
	}
	plain, err := e.open(labelReason, name+string(box[:16]), box[16:])
	return string(plain), err
}
