package keyserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// Locked is what Lock and Unlock changed.
type Locked struct {
	Subject   string // for the sender; "" for an administrator
	Recipient string // whom it concerns, "" for everybody
	Opened    int    // recipients concerned who had opened it before
}

// Lock stops further openings of a message, or of one of its slots where slotID
// is not "". The sender may, and an administrator of the message's account.
// After it has returned, no release commits: it waits for the row that a release
// holds. Faults: e404.h1, also for who may not, which is audited.
func (s *Service) Lock(ctx context.Context, a Actor, messageID, slotID string) (Locked, error) {
	return s.setLock(ctx, a, messageID, slotID, "envelope.lock")
}

// Unlock undoes Lock. A slot and its message are locked independently: what one
// of them locks stays locked. Faults: as Lock.
func (s *Service) Unlock(ctx context.Context, a Actor, messageID, slotID string) (Locked, error) {
	return s.setLock(ctx, a, messageID, slotID, "envelope.unlock")
}

func (s *Service) setLock(ctx context.Context, a Actor, messageID, slotID, action string) (Locked, error) {
	var out Locked
	var denied bool
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		out, denied = Locked{}, false
		m, err := tx.FindMessage(messageID)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err != nil {
			return err
		}
		row := store.AuditRow{
			AccountID: m.AccountID, Actor: a.Name, Action: action, Target: m.ID, Origin: a.Origin, Detail: map[string]string{},
		}
		may, err := mayLock(tx, a, m)
		if err != nil {
			return err
		}
		if !may {
			denied, row.Outcome, row.Detail["reason"] = true, store.Refused, ReasonRights
			return tx.InsertAudit(row)
		}
		if out, err = s.lockRows(tx, m, slotID, action == "envelope.lock", row.Detail); err != nil {
			return err
		}
		if a.UserID != "" && a.UserID == m.SenderID {
			c, err := s.cardOf(tx, m)
			if err != nil {
				return err
			}
			out.Subject = c.Subject
		}
		return tx.InsertAudit(row)
	})
	if err == nil && denied {
		err = notFound()
	}
	if err != nil {
		return Locked{}, unavailable(err)
	}
	return out, nil
}

// mayLock asks the database again whether an administrator still is one. Who
// has no user (the operator's commands) is taken at their word.
func mayLock(tx *store.Tx, a Actor, m store.Message) (bool, error) {
	if a.UserID != "" && a.UserID == m.SenderID {
		return true, nil
	}
	if !slices.Contains(a.AdminOf, m.AccountID) || a.UserID == "" {
		return slices.Contains(a.AdminOf, m.AccountID), nil
	}
	return tx.IsAdministrator(a.UserID, m.AccountID)
}

// lockRows changes the message's row or the slot's, never both: a release holds
// both, and two orders of taking them would wait for each other.
func (s *Service) lockRows(tx *store.Tx, m store.Message, slotID string, lock bool, detail map[string]string) (Locked, error) {
	var out Locked
	var at time.Time
	if lock {
		at = tx.Now
	}
	if slotID == "" {
		if err := tx.SetMessageLock(m.ID, at); err != nil {
			return out, err
		}
	} else if err := tx.SetSlotLock(slotID, m.ID, at); errors.Is(err, store.ErrNotFound) {
		return out, notFound()
	} else if err != nil {
		return out, err
	}
	slots, err := tx.ListSlots(m.ID) // after the change: what was released before is counted
	if err != nil {
		return out, err
	}
	for _, slot := range slots {
		if slotID != "" && slot.ID != slotID {
			continue
		}
		if slot.Openings > 0 {
			out.Opened++
		}
		if slotID != "" {
			out.Recipient = slot.DisplayAddress
			detail["slot"], detail["ref"], detail["recipient"] = slot.ID, slot.Ref, slot.DisplayAddress
		}
	}
	return out, nil
}
