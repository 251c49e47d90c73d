package keyserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// NewMessage is a sealed message to be registered. The blob named Payload stays
// the caller's until Register returns nil, and is the service's from then on. A
// small payload is given as Body instead.
type NewMessage struct {
	AccountID    int64
	Sender       Sender
	Subject      string // kept encrypted, for the sender's list
	Note         string // kept encrypted, shown to whoever holds the mail
	MH           []byte
	HH, PH       [32]byte
	PayloadSize  int64     // bytes
	Payload      string    // name of the blob, "" where the sender holds the file, or with Body
	Body         []byte    // the payload itself, or nil
	KeepUntil    time.Time // how long the link serves the payload; zero: only until the mails have left
	ExpiresAt    time.Time // zero: never
	NotifyOpened bool
	RemindAt     time.Time          // when the sender is told who has not opened it; zero: not
	Carrier      string             // CarrierMail, CarrierFile or CarrierThrough
	Transit      string             // trace id of the gateway, or ""
	Permissions  policy.Permissions // what the sender or a rule allows
	Intake       string             // id of the intake that it answers, or ""
	Larges       []string           // ids of the sender's large files whose keys are in it, or of those of a message that is passed on
	Slots        []NewSlot
	Actor        Actor
	Answers      *AnswerAct // the envelope that this one answers, or passes on; nil: none
	// Then, if not nil, runs in the same transaction, perhaps more than once: it
	// enqueues the mails. Its error undoes everything.
	Then func(tx *store.Tx, r Registered) error
}

// How the envelopes travel.
const (
	CarrierMail    = store.CarrierMail    // the outbox delivers them
	CarrierFile    = store.CarrierFile    // the sender holds the files
	CarrierThrough = store.CarrierThrough // the gateway hands it on, and then says Passed or Withdraw
)

// NewSlot is one recipient's half.
type NewSlot struct {
	ID      envelope.SlotID
	Address mailaddr.Address
	RH      []byte
	Wrap    [48]byte
	S       envelope.Secret
	Pop     [32]byte
	Shown   bool // the message names the address in To or Cc
}

// Registered is what Register adds to the envelopes.
type Registered struct {
	MessageID envelope.MessageID
	Seal      [64]byte
	Slots     []RegisteredSlot // in the order given
}

// RegisteredSlot is one recipient's reference.
type RegisteredSlot struct {
	SlotID envelope.SlotID
	Ref    string // six characters, as id.NewReference makes them
}

// Limits of one message.
const (
	MaxRecipients = 500
	maxPayload    = 1 << 40 // bytes; what one request may carry is limited by its door
	maxCard       = 8 << 10 // bytes of subject, and of note
)

// card is what messages.card_box holds, as JSON.
type card struct {
	Subject string `json:"subject"`
	Note    string `json:"note"`
}

// Register makes a sealed message known: from then on its recipients can open
// it. It signs the seal, keeps every S under the account's key, gives each slot
// its reference, writes the audit record envelope.seal and runs m.Then, in one
// transaction; after it, it wakes the outbox. Faults: register.form, register.recipients, register.size,
// register.exists (the message id is known already), register.suspended, exp.past;
// with Answers those of MayAnswer.
func (s *Service) Register(ctx context.Context, m NewMessage) (Registered, error) {
	private, err := s.signer(ctx)
	if err != nil {
		return Registered{}, err
	}
	out := Registered{Seal: envelope.Sign(private, m.HH, m.PH)}
	if out.MessageID, err = s.check(m, out.Seal); err != nil {
		return Registered{}, err
	}
	if err := s.checkPayload(m); err != nil {
		return Registered{}, err
	}
	// References are drawn without a look at those in use: of a million slots
	// every thousandth draw hits one, and the next try draws anew.
	for range 5 {
		err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
			out.Slots = nil
			return s.register(tx, m, &out)
		})
		if !errors.Is(err, store.ErrTaken) {
			break
		}
		if known := s.checkIDs(ctx, m, out.MessageID); known != nil {
			err = known
			break
		}
	}
	if err = s.recordRefusal(ctx, err); err != nil {
		return Registered{}, unavailable(err)
	}
	if m.Carrier == CarrierMail {
		s.c.Post.Wake()
	}
	return out, nil
}

// check demands that every slot's head parses as an opener will parse it.
func (s *Service) check(m NewMessage, seal [64]byte) (message envelope.MessageID, err error) {
	malformed := func(format string, args ...any) (envelope.MessageID, error) {
		return message, fault.New(fault.Invalid, "register.form").Because(fmt.Errorf(format, args...))
	}
	if n := len(m.Slots); n < 1 || n > MaxRecipients {
		return message, fault.New(fault.Invalid, "register.recipients").With("n", MaxRecipients)
	}
	if len(m.Subject) > maxCard || len(m.Note) > maxCard || m.PayloadSize > maxPayload {
		return message, fault.New(fault.TooLarge, "register.size")
	}
	if m.Carrier != CarrierMail && m.Carrier != CarrierFile && m.Carrier != CarrierThrough {
		return malformed("carrier %q", m.Carrier)
	}
	seen := make(map[envelope.SlotID]bool, len(m.Slots))
	for _, slot := range m.Slots {
		head := envelope.Head(m.MH, slot.RH, slot.Wrap, seal, m.PayloadSize)
		e, err := envelope.Parse(bytes.NewReader(head), maxPayload)
		switch {
		case err != nil:
			return malformed("%w", err)
		case e.HH != m.HH:
			return malformed("hh is not the hash of mh")
		case e.Header.Origin != s.c.Origin:
			return malformed("the header names the key server %s, and this is %s", e.Header.Origin, s.c.Origin)
		case e.Slot != slot.ID:
			return malformed("the recipient header names another slot")
		case seen[slot.ID]:
			return malformed("slot %s twice", slot.ID)
		case slot.Address.IsZero():
			return malformed("slot %s has no address", slot.ID)
		}
		seen[slot.ID] = true
		message = e.Header.ID
	}
	return message, nil
}

func (s *Service) checkPayload(m NewMessage) error {
	size := int64(len(m.Body))
	switch {
	case m.Payload != "":
		f, n, err := s.c.Blobs.Open(m.Payload)
		if err != nil {
			return unavailable(fmt.Errorf("open payload: %w", err))
		}
		f.Close()
		size = n
	case m.Body == nil:
		return nil
	}
	if size != m.PayloadSize {
		return fault.New(fault.Invalid, "register.form").Because(fmt.Errorf("the payload has %d bytes, not %d", size, m.PayloadSize))
	}
	return nil
}

func (s *Service) register(tx *store.Tx, m NewMessage, out *Registered) error {
	mark, err := tx.ClockMark()
	if err != nil {
		return err
	}
	now := later(tx.Now, mark)
	if ok, err := tx.TokenAllows(m.Actor.Token, m.Actor.UserID, m.AccountID, store.ScopeSend); err != nil {
		return err
	} else if !ok {
		return fault.New(fault.Denied, "tok.nosend")
	}
	if !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now) {
		return fault.New(fault.Invalid, "exp.past").In("expires_at", "exp.past", nil)
	}
	var answered store.Message
	if m.Answers != nil {
		if answered, err = s.answer(tx, *m.Answers, out.MessageID.String()); err != nil {
			return err
		}
	}
	account, err := tx.FindAccount(m.AccountID)
	if err != nil {
		return err
	}
	if account.State != store.AccountActive {
		return fault.New(fault.Denied, "register.suspended")
	}
	settings, groups, err := layersOf(tx, account, m.Sender.UserID)
	if err != nil {
		return err
	}
	if !settings.Compose && m.Transit == "" && m.Answers == nil && m.Intake == "" {
		return fault.New(fault.Denied, "off.compose")
	}
	m.Permissions = m.Permissions.Within(groups...)
	m.ExpiresAt = within(settings, m.ExpiresAt, now)
	row := store.Message{
		ID: out.MessageID.String(), AccountID: m.AccountID, SenderID: m.Sender.UserID, SenderAddress: m.Sender.Address,
		SenderName: m.Sender.Name, Verified: m.Sender.Verified, MH: m.MH, HH: m.HH[:], PH: m.PH[:], Seal: out.Seal[:],
		PayloadSize: m.PayloadSize, Payload: m.Payload, Epoch: month(m.ExpiresAt), NotifyOpened: m.NotifyOpened,
		ExpiresAt: m.ExpiresAt, Carrier: m.Carrier, Transit: m.Transit, Policy: m.Permissions.Encode(), RemindAt: m.RemindAt,
		Intake: m.Intake, Proved: m.Sender.Proved,
	}
	if m.Body != nil {
		row.Payload = store.RowName(row.ID)
	}
	if row.Payload != "" || len(m.Larges) > 0 {
		row.PayloadUntil = keepUntil(m, tx.Now)
	}
	epoch, err := s.ensureEpoch(tx, m.AccountID, row.Epoch)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(card{m.Subject, m.Note})
	if err != nil {
		return err
	}
	if row.Card, err = epoch.seal(labelCard, string(out.MessageID[:]), plain); err != nil {
		return err
	}
	if err := tx.InsertMessage(row); err != nil {
		return err
	}
	used := store.Usage{Envelopes: 1}
	if row.Payload != "" {
		used.Bytes = row.PayloadSize
	}
	if err := tx.AddUsage(m.AccountID, used, settings.QuotaDay > 0 || settings.QuotaMiB > 0); err != nil {
		return err
	}
	if err := withinQuota(tx, m.AccountID, settings); err != nil {
		return err
	}
	if m.Body != nil {
		if err := tx.InsertPayload(row.Payload, m.Body); err != nil {
			return err
		}
	}
	if err := s.registerSlots(tx, m, epoch, out); err != nil {
		return err
	}
	if err := attachLarges(tx, m, answered.ID, out.MessageID); err != nil {
		return err
	}
	record := m.Actor.record(m.AccountID, "envelope.seal", row.ID)
	record.Detail["recipients"], record.Detail["carrier"] = fmt.Sprint(len(m.Slots)), m.Carrier
	if err := tx.InsertAudit(record); err != nil || m.Then == nil {
		return err
	}
	return m.Then(tx, *out)
}

// layersOf is Sending, with what the groups say.
func layersOf(tx *store.Tx, a store.Account, userID string) (policy.Settings, []policy.Layer, error) {
	k, err := policy.ReadStack(a.Settings)
	if err != nil {
		return policy.Settings{}, nil, err
	}
	texts, err := tx.ListGroupLayers(a.ID, userID)
	if err != nil {
		return policy.Settings{}, nil, err
	}
	k.Groups, err = policy.ReadLayers(texts)
	return k.Settings(), k.Groups, err
}

// Sending is what holds for what a user of an account sends, in their groups as
// they are now; "" = whoever is no user of it.
func Sending(tx *store.Tx, a store.Account, userID string) (policy.Settings, error) {
	s, _, err := layersOf(tx, a, userID)
	return s, err
}

// within is an end that is not later than the settings have it. Whoever sealed
// has looked at them; they may have been changed since.
func within(s policy.Settings, end, now time.Time) time.Time {
	if s.AllowsEnd(end, now) {
		return end
	}
	return s.Latest(now)
}

// withinQuota refuses what took an account over one of its quotas, once it is
// counted, and so undoes it. Faults: quota.day, quota.mib.
func withinQuota(tx *store.Tx, account int64, s policy.Settings) error {
	if s.QuotaDay == 0 && s.QuotaMiB == 0 {
		return nil
	}
	u, err := tx.Usage(account)
	switch {
	case err != nil:
		return err
	case s.QuotaDay > 0 && u.Envelopes > int64(s.QuotaDay):
		return fault.New(fault.Closed, "quota.day").With("n", s.QuotaDay)
	case s.QuotaMiB > 0 && u.Bytes > int64(s.QuotaMiB)<<20:
		return fault.New(fault.Closed, "quota.mib").With("n", s.QuotaMiB)
	}
	return nil
}

// checkIDs names the fault where an id of m is in use: a message registered
// twice could mean one key used twice.
func (s *Service) checkIDs(ctx context.Context, m NewMessage, message envelope.MessageID) error {
	return s.c.DB.View(ctx, func(tx *store.Tx) error {
		known := fault.New(fault.Conflict, "register.exists")
		switch _, err := tx.FindMessage(message.String()); {
		case err == nil:
			return known
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		for _, slot := range m.Slots {
			if taken, err := tx.HasSlot(slot.ID.String()); err != nil {
				return err
			} else if taken {
				return known
			}
		}
		return nil
	})
}

func (s *Service) registerSlots(tx *store.Tx, m NewMessage, epoch epochKey, out *Registered) error {
	delivery := map[string]string{
		CarrierMail: store.DeliveryQueued, CarrierFile: store.DeliveryNone, CarrierThrough: store.DeliveryPassing,
	}[m.Carrier]
	for _, slot := range m.Slots {
		ref := id.NewReference()
		box, err := epoch.sealSecret(slot.ID, slot.S)
		if err != nil {
			return err
		}
		err = tx.InsertSlot(store.Slot{
			ID: slot.ID.String(), MessageID: out.MessageID.String(), Ref: ref,
			Address: slot.Address.Canonical(), DisplayAddress: slot.Address.String(),
			RH: slot.RH, Wrap: slices.Clone(slot.Wrap[:]), Box: box, Pop: slices.Clone(slot.Pop[:]), Delivery: delivery,
			SenderID: m.Sender.UserID, Shown: slot.Shown,
		})
		if err != nil {
			return err
		}
		out.Slots = append(out.Slots, RegisteredSlot{slot.ID, ref})
	}
	return nil
}

// keepUntil ends the keeping at the latest with the message. What is kept for
// its mails only is due at once, and goes when the last of them has left.
func keepUntil(m NewMessage, now time.Time) time.Time {
	until := m.KeepUntil
	if until.Before(now) {
		until = now
	}
	if !m.ExpiresAt.IsZero() && m.ExpiresAt.Before(until) {
		until = m.ExpiresAt
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// unavailable is what a part that fails becomes: no key, and the cause in the
// log. A fault stays itself.
func unavailable(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Unavailable, "keyserver.unavailable").Because(err)
}
