package keyserver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

// What is forwarded to the open address waits for a day, and its recipient is
// written to once in ten minutes, however often it comes (security.md 1.5).
const (
	forwardedLife   = 24 * time.Hour
	forwardedWindow = 10 * time.Minute

	forwardedNetwork = "forwarded" // that these stages are counted under: the mail servers of many share a network
)

// ForwardedLetter tells a recipient that an envelope of theirs was forwarded to
// the open address, with the link that opens it. Its E is in this letter only.
type ForwardedLetter struct {
	To    mailaddr.Address // of the slot: whoever forwarded it is not asked
	Stage string           // id for the page's address
	Part  envelope.KeyPart
	Until time.Time // the stage's end
	About
}

// Forward keeps the envelope that a mail to the open address brought, for a day,
// and writes to the address of its slot, and to no other. r gives its bytes,
// unarmored, of at most limit bytes of payload; part is what the file has of
// the key. The head must be the slot's, and E too where no passphrase masks it.
// E is kept in the letter alone, which is sealed. One read of the stage takes
// nothing away, as programs that look at links must not (AT-49).
//
// It returns the slot's reference; told is false where the recipient was written
// to in the last ten minutes. Faults: stage.form, stage.size, e404.h1, e429.p.
func (s *Service) Forward(ctx context.Context, origin string, r io.Reader, part envelope.KeyPart, limit int64) (ref string, told bool, err error) {
	stage := id.New()
	row := store.Stage{ID: stageID(stage), Network: forwardedNetwork} // without a token: no cookie has the empty hash
	var slot string
	name, err := s.writeStage(ctx, r, limit, row, func(e *envelope.Envelope) error {
		slot = e.Slot.String()
		return s.checkForwarded(ctx, e, part)
	})
	if err != nil {
		return "", false, unavailable(err)
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		told = false
		o, err := tx.LockOpening(slot, "")
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		} else if err != nil {
			return err
		}
		ref = o.Slot.Ref
		if told, _, err = tx.Hit("forwarded:"+slot, forwardedWindow, 1); err != nil || !told {
			return err
		}
		l := ForwardedLetter{Stage: stage, Part: part, Until: tx.Now.Add(forwardedLife), About: About{
			AccountID: o.Message.AccountID, MessageID: o.Message.ID, Ref: ref, Sender: sender(o), SealedAt: o.Message.SealedAt, ExpiresAt: endOf(o.Message, o.Slot)}}
		if l.To, err = mailaddr.Parse(o.Slot.DisplayAddress); err != nil {
			return err
		}
		if err := tx.FillStage(row.ID, name, l.Until); err != nil {
			return err
		}
		if err := s.c.Post.Forwarded(tx, l); err != nil {
			return err
		}
		record := auditOpening(o, Visitor{Origin: origin}, nil)
		record.Action, record.Actor = "envelope.assisted_upload", "visitor" // who forwards proves nothing
		return tx.InsertAudit(record)
	})
	if err != nil || !told {
		return ref, false, unavailable(errors.Join(err, s.dropStage(ctx, row), s.c.Blobs.Delete(name)))
	}
	s.c.Post.Wake()
	return ref, true, nil
}

// checkForwarded refuses what is not an envelope of this service, as its head
// says, and what its half of the key does not belong to.
func (s *Service) checkForwarded(ctx context.Context, e *envelope.Envelope, part envelope.KeyPart) error {
	return s.c.DB.View(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpening(e.Slot.String(), "")
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		} else if err != nil {
			return err
		}
		pop := envelope.Pop(part.E, e.Slot, e.HH)
		if !bytes.Equal(o.Message.HH, e.HH[:]) || o.Message.PayloadSize != e.PayloadSize || !part.Masked() && !hmac.Equal(pop[:], o.Slot.Pop) {
			return notFound()
		}
		return nil
	})
}

// ReadForwarded returns what was forwarded and its size in bytes, to whoever
// has the link's id, until it ends. It is ciphertext; what opens it asks for the
// usual proofs. The caller must close it. Faults: e404.h1.
func (s *Service) ReadForwarded(ctx context.Context, stage string) (io.ReadCloser, int64, error) {
	return s.readStage(ctx, stage, "")
}
