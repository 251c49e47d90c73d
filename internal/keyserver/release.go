package keyserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Release is what opens one recipient's envelope together with its mail.
type Release struct {
	S         envelope.Secret
	HH, PH    [32]byte
	Ref       string
	Sender    Sender
	SealedAt  time.Time
	ExpiresAt time.Time // zero: never
	Kept      bool      // Ciphertext has it
}

// visit is how long after an opening another one still counts with it: a reader who goes back from their reply, or
// reloads, has opened the envelope once. Each is recorded.
const visit = 10 * time.Minute

// OpenedLetter tells a sender of the first opening of one recipient's envelope.
type OpenedLetter struct {
	AccountID     int64
	SenderUserID  string
	SenderAddress string
	MessageID     string
	Ref           string
	Recipient     string // address as the sender wrote it
	At            time.Time
}

// Release hands S to a visitor who has proved to hold the slot's mail and to
// have its address as strongly as the message asks, while the envelope is
// neither locked nor expired. A high level asks for a second factor each time:
// the release uses up its proof, and lets that session fetch the message's large
// files for grantFor. It is one transaction that holds the slot: what
// it checked is true when it commits, and its audit record, envelope.release or
// envelope.release_denied, is durable before anybody hears the answer. If
// anything fails, there is no S.
//
// Faults: sess.h1, si.mustchange, e404.h1, release.possession, release.code,
// release.address, release.level.code, release.level.account, release.level.second
// (each with {step}, the page to go to), open.locked, open.expired, open.recalled,
// release.gone, keyserver.unavailable.
func (s *Service) Release(ctx context.Context, v Visitor, slot envelope.SlotID) (Release, error) {
	r, _, err := s.release(ctx, v, slot, nil)
	return r, err
}

// release is Release, and with half, which is E, Assist. It returns what it decided by, too.
func (s *Service) release(ctx context.Context, v Visitor, slot envelope.SlotID, half *envelope.Secret) (out Release, o store.Opening, err error) {
	var refused *refusal
	var told bool
	err = s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		out, refused, told = Release{}, nil, false // of a run that was undone
		o, err = tx.LockOpening(slot.String(), v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err != nil {
			return err
		}
		if err := keepMark(tx, o.Seen); err != nil {
			return err
		}
		if half != nil {
			refused, err = s.checkAssisted(tx, &o, v, *half)
		} else {
			refused = checkAccess(o, asOf(tx, o))
		}
		if err != nil {
			return err
		}
		record := auditOpening(o, v, refused)
		if refused != nil {
			return tx.InsertAudit(record)
		}
		if half != nil {
			record.Action = "envelope.released_assisted"
		}
		if level(o) == policy.High {
			err := tx.UseSecond(v.Session, o.SecondAt)
			if errors.Is(err, store.ErrNotFound) { // another release used it at the same moment
				refused = levelRefusal(o, "release.level.second", SecondPage(o.Slot.Ref))
				return tx.InsertAudit(auditOpening(o, v, refused))
			} else if err != nil {
				return err
			}
			if err := tx.MarkReleased(v.Session, o.Slot.ID); err != nil {
				return err
			}
		}
		if out, err = s.unwrap(slot, o); err != nil {
			return err
		}
		out.Kept = kept(o.Message, asOf(tx, o))
		if err := tx.InsertAudit(record); err != nil {
			return err
		}
		if err := tx.CountOpening(o.Slot, visit); err != nil {
			return err
		}
		// From then on the sender may be told how this recipient opens.
		if o.Scope == store.ScopeFull && !o.UserManaged && o.UserAddress == o.Slot.Address && o.Message.SenderID != "" {
			if err := tx.MarkEnrolled(o.Message.SenderID, o.Slot.Address); err != nil {
				return err
			}
		}
		told, err = s.tellSender(tx, o)
		return err
	})
	if err != nil {
		return Release{}, o, unavailable(err)
	}
	if refused != nil {
		return Release{}, o, refused.fault
	}
	if told {
		s.c.Post.Wake()
	}
	return out, o, nil
}

func (s *Service) unwrap(slot envelope.SlotID, o store.Opening) (Release, error) {
	epoch, err := s.openEpoch(o.AccountKey, o.Epoch)
	if err != nil {
		return Release{}, err
	}
	secret, err := epoch.openSecret(slot, o.Slot.Box)
	if err != nil {
		return Release{}, err
	}
	if len(o.Message.HH) != 32 || len(o.Message.PH) != 32 {
		return Release{}, fmt.Errorf("read message %s: a hash has a wrong length", o.Message.ID)
	}
	return Release{
		S: secret, HH: [32]byte(o.Message.HH), PH: [32]byte(o.Message.PH), Ref: o.Slot.Ref, Sender: sender(o),
		SealedAt: o.Message.SealedAt, ExpiresAt: endOf(o.Message, o.Slot),
	}, nil
}

// auditOpening is the record of a release, or of its refusal. Its target is the
// message, so that the sender sees it.
func auditOpening(o store.Opening, v Visitor, r *refusal) store.AuditRow {
	row := store.AuditRow{
		AccountID: o.Message.AccountID, Actor: "recipient:" + o.Slot.Address, Action: "envelope.release",
		Target: o.Message.ID, Origin: v.Origin,
		Detail: map[string]string{"slot": o.Slot.ID, "ref": o.Slot.Ref, "recipient": o.Slot.DisplayAddress},
	}
	if r == nil {
		return row
	}
	row.Action, row.Outcome = "envelope.release_denied", store.Refused
	row.Detail["reason"] = r.reason
	if !addressed(o) && !known(o) {
		// Not the recipient: whoever this session proved to be, if anyone.
		row.Actor = "visitor"
		if o.UserAddress != "" {
			row.Actor = "user:" + o.UserAddress
		} else if o.Proven != "" {
			row.Actor = "recipient:" + o.Proven
		}
	}
	return row
}

// tellSender enqueues the notice of the first opening, if the sender wants it.
func (s *Service) tellSender(tx *store.Tx, o store.Opening) (bool, error) {
	m := o.Message
	if !m.NotifyOpened || senderGone(m, o.Slot) || !o.Slot.FirstOpenedAt.IsZero() {
		return false, nil
	}
	return true, s.c.Post.Opened(tx, OpenedLetter{
		AccountID: m.AccountID, SenderUserID: m.SenderID, SenderAddress: m.SenderAddress, MessageID: m.ID,
		Ref: o.Slot.Ref, Recipient: o.Slot.DisplayAddress, At: tx.Now,
	})
}

// senderGone reports whether who sent a message was a user and is none any more:
// its slots keep the name. Who sent through the gateway need not have been one.
func senderGone(m store.Message, one store.Slot) bool { return m.SenderID == "" && one.SenderID != "" }

// Ciphertext returns the whole envelope of a slot, head and kept payload, and
// its size in bytes, to whom Release would release. The caller must close it.
// Faults: as Release; release.notkept.
func (s *Service) Ciphertext(ctx context.Context, v Visitor, slot envelope.SlotID) (io.ReadCloser, int64, error) {
	var o store.Opening
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		o, err = tx.FindOpening(slot.String(), v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err != nil {
			return err
		}
		now := asOf(tx, o)
		if r := checkAccess(o, now); r != nil {
			return r.fault
		}
		if !kept(o.Message, now) {
			return notKept()
		}
		return nil
	})
	if err != nil {
		return nil, 0, unavailable(err)
	}
	return s.envelopeOf(ctx, o)
}

// envelopeOf is the kept envelope of a slot, to whom it may be given.
func (s *Service) envelopeOf(ctx context.Context, o store.Opening) (io.ReadCloser, int64, error) {
	m := o.Message
	if len(o.Slot.Wrap) != 48 || len(m.Seal) != 64 {
		return nil, 0, unavailable(fmt.Errorf("read slot %s: its wrap or seal has a wrong length", o.Slot.ID))
	}
	head := envelope.Head(m.MH, o.Slot.RH, [48]byte(o.Slot.Wrap), [64]byte(m.Seal), m.PayloadSize)
	f, size, err := s.openPayload(ctx, m.Payload)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, store.ErrNotFound) {
		return nil, 0, notKept().Because(err)
	}
	if err == nil && size != m.PayloadSize {
		f.Close()
		err = fmt.Errorf("payload of %s has %d bytes, not %d", m.ID, size, m.PayloadSize)
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	return body{io.MultiReader(bytes.NewReader(head), f), f}, int64(len(head)) + size, nil
}

func (s *Service) openPayload(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if !store.IsRow(name) {
		return s.c.Blobs.Open(name)
	}
	b, err := s.c.DB.Payload(ctx, name)
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), err
}

func notKept() *fault.Error { return fault.New(fault.Gone, "release.notkept") }

// body reads from one place and closes another.
type body struct {
	io.Reader
	io.Closer
}
