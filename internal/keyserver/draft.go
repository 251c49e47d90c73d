package keyserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// SealDraft seals what a draft holds under the account's key of the month in
// which the draft ends, and goes with that key. box is nonce (12 bytes) ||
// ciphertext and tag: a draft is sealed at each saving, so its key seals more
// than one text.
func (s *Service) SealDraft(tx *store.Tx, account int64, draftID string, until time.Time, plain []byte) (epoch int64, box []byte, err error) {
	key, err := s.ensureEpoch(tx, account, month(until))
	if err != nil {
		return 0, nil, err
	}
	aead, err := key.one(labelDraft, draftID)
	if err != nil {
		return 0, nil, err
	}
	box = make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(box) // never fails (crypto/rand)
	return key.month, aead.Seal(box, box, plain, nil), nil
}

// OpenDraft opens what SealDraft sealed. One whose key has been destroyed is
// not found (e404.h1).
func (s *Service) OpenDraft(tx *store.Tx, d store.Draft) ([]byte, error) {
	key, err := s.findEpoch(tx, d.AccountID, d.Epoch)
	if err != nil {
		return nil, err
	}
	if key.destroyed {
		return nil, notFound()
	}
	aead, err := key.one(labelDraft, d.ID)
	if err != nil {
		return nil, err
	}
	n := aead.NonceSize()
	if len(d.Box) < n {
		return nil, fmt.Errorf("open draft %s: %w", d.ID, errKey)
	}
	plain, err := aead.Open(nil, d.Box[:n], d.Box[n:], nil)
	if err != nil {
		return nil, fmt.Errorf("open draft %s: %w", d.ID, errKey)
	}
	return plain, nil
}

// Undo takes back a message whose mails still wait for their first attempt, as
// if it had never been sent, and gives its draft back to its sender. It is one
// transaction that removes the letters: each is either removed here or claimed
// by the outbox, and if one is claimed already, nothing happens. It returns the
// draft's id. Faults: e404.h1 for a message that is not a's; undo.late.
func (s *Service) Undo(ctx context.Context, a Actor, messageID string) (draftID string, err error) {
	var blob string
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		draftID, blob = "", ""
		m, err := tx.FindMessage(messageID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (a.UserID == "" || m.SenderID != a.UserID) {
			return notFound()
		}
		if err != nil {
			return err
		}
		late := fault.New(fault.Closed, "undo.late")
		d, err := tx.LockSentDraft(a.UserID, m.ID)
		if errors.Is(err, store.ErrNotFound) {
			return late
		}
		if err != nil {
			return err
		}
		slots, err := tx.ListSlots(m.ID)
		if err != nil {
			return err
		}
		if n, err := tx.RecallOutbox(m.ID); err != nil {
			return err
		} else if n != int64(len(slots)) {
			return late // what was removed comes back with this
		}
		if err := tx.DeleteMessage(m); err != nil {
			return err
		}
		if err := tx.DeleteContactsOf(a.UserID, m.ID); err != nil {
			return err
		}
		if err := tx.UnsendDraft(d.ID); err != nil {
			return err
		}
		draftID = d.ID
		if !store.IsRow(m.Payload) {
			blob = m.Payload
		}
		return tx.InsertAudit(a.record(m.AccountID, "envelope.undo", m.ID))
	})
	if err != nil {
		return "", unavailable(err)
	}
	s.dropBlobs(ctx, blob)
	return draftID, nil
}

// sweepDrafts deletes the drafts whose time is over, and those that were sent
// and cannot be taken back any more. The rows go first, as in sweepPayloads.
func (s *Service) sweepDrafts(ctx context.Context, now time.Time) (n int, err error) {
	for {
		var due, blobs []string
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			blobs = nil
			if due, err = tx.ListDraftsDue(now, sweepBatch); err != nil {
				return err
			}
			for _, id := range due {
				names, err := tx.DeleteDraft(id)
				if err != nil {
					return err
				}
				blobs = append(blobs, names...)
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(due)
		s.dropBlobs(ctx, blobs...)
		if len(due) < sweepBatch {
			return n, nil
		}
	}
}
