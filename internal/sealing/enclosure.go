package sealing

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// enclosure is a sealed message with its slots, before it is registered. It
// holds the halves of the keys, so it must not outlive the sealing.
type enclosure struct {
	s       *Service
	sealer  *envelope.Sealer
	payload envelope.Payload
	blob    string // name of the payload's blob, "" where it is in body
	body    []byte
	slots   []envelope.Slot
	parts   []envelope.KeyPart // of the slots, as the mails carry them
}

// enclose seals a message and makes one slot per recipient, each with its half
// masked where there is a passphrase. It fills the header's id and origin.
func (s *Service) enclose(ctx context.Context, h envelope.Header, m *envelope.Manifest, plain io.Reader, to []mailaddr.Address, pass *envelope.Passphrase) (*enclosure, error) {
	h.Origin = s.cfg.Origin
	rand.Read(h.ID[:])
	e := &enclosure{s: s}
	var err error
	if e.sealer, err = envelope.NewSealer(h); err != nil {
		return nil, fmt.Errorf("seal message: %w", err)
	}
	w := &payloadWriter{ctx: ctx, blobs: s.cfg.Blobs}
	defer w.abort()
	w.short.Grow(int(min(m.Length+m.Length/8+8<<10, shortPayload)))
	if e.payload, err = e.sealer.Seal(w, m, plain); err != nil {
		return nil, fmt.Errorf("seal message: %w", err)
	}
	for _, a := range to {
		slot, err := e.sealer.NewSlot(a.ASCIIMasked())
		if err != nil {
			return nil, fmt.Errorf("seal message: %w", err)
		}
		part := envelope.KeyPart{E: slot.E}
		if pass != nil {
			part = pass.Mask(slot.ID, slot.E)
		}
		e.slots, e.parts = append(e.slots, slot), append(e.parts, part)
	}
	if e.blob, e.body, err = w.commit(); err != nil {
		return nil, fmt.Errorf("seal message: %w", err)
	}
	return e, nil
}

// newSlots is what the key server keeps of the slots. shown says whom the message
// itself names; nil: all of them.
func (e *enclosure) newSlots(to []mailaddr.Address, shown func(mailaddr.Address) bool) []keyserver.NewSlot {
	out := make([]keyserver.NewSlot, len(e.slots))
	for i, slot := range e.slots {
		out[i] = keyserver.NewSlot{ID: slot.ID, Address: to[i], RH: slot.RH, Wrap: slot.Wrap, S: slot.S, Pop: slot.Pop,
			Shown: shown == nil || shown(to[i])}
	}
	return out
}

// attach is the file of slot i.
func (e *enclosure) attach(i int, reg keyserver.Registered, file, lang, sender, organisation string) *outbox.Attach {
	slot := e.slots[i]
	a := &outbox.Attach{
		Name: file, Lang: lang, Origin: e.s.cfg.Origin, Sender: sender, Organisation: organisation,
		Reference: id.ShowReference(reg.Slots[i].Ref), Part: e.parts[i],
		Head:    envelope.Head(e.sealer.MH(), slot.RH, slot.Wrap, reg.Seal, e.payload.Size),
		Payload: e.blob, Body: e.body, PayloadSize: e.payload.Size,
	}
	if e.body != nil {
		a.Payload = store.RowName(reg.MessageID.String())
	}
	return a
}

// discard removes a blob that was written for what then failed; "" is none. When
// the database cannot say whether a row names it (a lost answer to a commit), it
// stays until the sweep can.
func (s *Service) discard(ctx context.Context, name string) {
	if name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		used, err := tx.HasBlob(name)
		if err != nil || used {
			return err
		}
		return s.cfg.Blobs.Delete(name)
	})
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "sealing: remove the ciphertext of what failed", "blob", name, "err", err)
	}
}

// shortPayload is the size up to which a payload is registered as a row of the
// database, and is in memory until then.
const shortPayload = 128 << 10

// payloadWriter keeps a short payload in memory, and writes a longer one as a blob.
type payloadWriter struct {
	ctx   context.Context
	blobs *blob.Store
	short bytes.Buffer
	long  *blob.Writer
}

func (w *payloadWriter) Write(p []byte) (int, error) {
	if w.long == nil && w.short.Len()+len(p) <= shortPayload {
		return w.short.Write(p)
	}
	if w.long == nil {
		var err error
		if w.long, err = w.blobs.Create(w.ctx); err != nil {
			return 0, err
		}
		if _, err := w.long.Write(w.short.Bytes()); err != nil {
			return 0, err
		}
		w.short = bytes.Buffer{}
	}
	return w.long.Write(p)
}

// commit gives the durable blob's name, or the payload itself.
func (w *payloadWriter) commit() (name string, body []byte, err error) {
	if w.long == nil {
		return "", w.short.Bytes(), nil
	}
	name, err = w.long.Commit()
	return name, nil, err
}

func (w *payloadWriter) abort() {
	if w.long != nil {
		w.long.Abort()
	}
}

// keepUntil is how long the link serves the payload: the account's days, and
// not beyond the message's end. Zero: not at all.
func keepUntil(s policy.Settings, sealedAt, expires time.Time) time.Time {
	if s.KeepDays <= 0 {
		return time.Time{}
	}
	keep := sealedAt.AddDate(0, 0, s.KeepDays)
	if !expires.IsZero() && expires.Before(keep) {
		return expires
	}
	return keep
}
