package keyserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// A large file is sealed by its sender under a key of its own, which stands in
// the message and nowhere else. The service has the ciphertext, which comes in
// parts, each durable when it is acknowledged, and goes in pieces, each to whom
// Release would release at that moment.
const (
	maxLargePart   = 16 << 20           // bytes of one part
	minLargePart   = 1 << 20            // of all parts but the last
	largePiece     = 16 << 20           // bytes of one answer
	looseLarges    = 20                 // of one user, in no message
	largeAccount   = 20                 // times the largest file, of one account
	largeUnsettled = 24 * time.Hour     // an unfinished one is kept
	largeLoose     = 7 * 24 * time.Hour // a whole one is kept that is in no message: a draft may have its key
)

// MaxLarge is the largest file that may be sent beside a mail, in bytes; 0: none.
func (s *Service) MaxLarge() int64 { return s.c.MaxLarge }

// LargestFor is MaxLarge for somebody for whom these settings hold.
func (s *Service) LargestFor(settings policy.Settings) int64 {
	switch most := int64(settings.LargeMiB) << 20; {
	case !settings.Large || settings.KeepDays == 0:
		return 0
	case most > 0:
		return min(most, s.c.MaxLarge)
	}
	return s.c.MaxLarge
}

// LargeSize is the ciphertext's size of a file of n bytes: padded, in chunks,
// with salt and commitment.
func LargeSize(n int64) int64 { return envelope.PayloadSize(n) }

// NewLarge announces a large file of size bytes of ciphertext, and returns its
// id. Faults: desk.noaccount, large.size, large.quota, large.loose.
func (s *Service) NewLarge(ctx context.Context, a Actor, size int64) (string, error) {
	if size < LargeSize(0) || size > LargeSize(s.c.MaxLarge) || s.c.MaxLarge == 0 {
		return "", fault.New(fault.TooLarge, "large.size").With("n", s.c.MaxLarge>>30)
	}
	large := id.New()
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		u, acc, err := largeSender(tx, a)
		if err != nil {
			return err
		}
		settings, err := policy.ReadSettings(acc.Settings)
		switch {
		case err != nil:
			return err
		case !settings.Large:
			return fault.New(fault.Denied, "off.large")
		case settings.KeepDays == 0: // it would go when the mails have left
			return fault.New(fault.Denied, "large.notkept")
		case settings.LargeMiB > 0 && size > LargeSize(int64(settings.LargeMiB)<<20):
			return fault.New(fault.TooLarge, "large.mib").With("n", settings.LargeMiB)
		}
		used, loose, err := tx.LargeUsage(acc.ID, u.ID)
		switch {
		case err != nil:
			return err
		case used+size > largeAccount*LargeSize(s.c.MaxLarge):
			return fault.New(fault.TooLarge, "large.quota")
		case loose >= looseLarges:
			return fault.New(fault.TooMany, "large.loose").With("n", looseLarges)
		}
		if err := tx.InsertLarge(store.Large{ID: large, AccountID: acc.ID, UserID: u.ID, Size: size}); err != nil {
			return err
		}
		if err := withinQuota(tx, acc.ID, settings); err != nil {
			return err
		}
		record := a.record(acc.ID, "large.create", large)
		record.Detail["bytes"] = fmt.Sprint(size)
		return tx.InsertAudit(record)
	})
	return large, unavailable(err)
}

// largeSender is who acts, an active user of an active account; held, so that
// two announcements at once see each other.
func largeSender(tx *store.Tx, a Actor) (u store.User, acc store.Account, err error) {
	if u, err = tx.LockUser(a.UserID); errors.Is(err, store.ErrNotFound) {
		return u, acc, fault.New(fault.Unauthenticated, "sess.h1")
	} else if err != nil {
		return u, acc, err
	}
	if u.AccountID == 0 || u.State != store.UserActive {
		return u, acc, fault.New(fault.Denied, "desk.noaccount")
	}
	if acc, err = tx.FindAccount(u.AccountID); err == nil && acc.State != store.AccountActive {
		err = fault.New(fault.Denied, "register.suspended")
	}
	return u, acc, err
}

// Large tells how far a large file of the user who acts has come: bytes that are
// here, and all of them. Fault: e404.h1.
func (s *Service) Large(ctx context.Context, a Actor, large string) (got, size int64, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		l, err := ownLarge(tx.FindLarge(large))(a)
		got, size = l.Got, l.Size
		return err
	})
	return got, size, unavailable(err)
}

// ownLarge is the large file found, if it is of the user who acts.
func ownLarge(l store.Large, err error) func(Actor) (store.Large, error) {
	return func(a Actor) (store.Large, error) {
		if errors.Is(err, store.ErrNotFound) || err == nil && l.UserID != a.UserID {
			return store.Large{}, notFound()
		}
		return l, err
	}
}

// AppendLarge takes the bytes of r as those from offset at on, and returns how
// many there are now. They are durable then. A part that breaks off leaves
// nothing; one at another offset is refused with large.offset{offset}. Faults:
// also e404.h1, large.part, large.end.
func (s *Service) AppendLarge(ctx context.Context, a Actor, large string, at int64, r io.Reader) (got int64, err error) {
	check := func(l store.Large, err error) (store.Large, error) {
		l, err = ownLarge(l, err)(a)
		if err == nil && l.Got != at {
			err = fault.New(fault.Conflict, "large.offset").With("offset", l.Got)
		}
		return l, err
	}
	var l store.Large
	if err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) { l, err = check(tx.FindLarge(large)); return err }); err != nil {
		return 0, unavailable(err)
	}
	w, err := s.c.Blobs.Create(ctx)
	if err != nil {
		return 0, unavailable(err)
	}
	defer w.Abort()
	n, err := io.Copy(w, io.LimitReader(r, maxLargePart+1))
	switch {
	case err != nil:
		return 0, unavailable(err)
	case n > l.Size-at:
		return 0, fault.New(fault.Invalid, "large.end")
	case n > maxLargePart || n < minLargePart && at+n < l.Size || n == 0:
		return 0, fault.New(fault.Invalid, "large.part")
	}
	name, err := w.Commit()
	if err != nil {
		return 0, unavailable(err)
	}
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := check(tx.LockLarge(large)); err != nil {
			return err
		}
		return tx.AddLargePart(large, store.LargePart{At: at, Size: n, Blob: name})
	})
	var refused *fault.Error
	if errors.As(err, &refused) { // otherwise it may be there all the same, and the sweep finds out
		err = errors.Join(err, s.c.Blobs.Delete(name))
	}
	if err != nil {
		return 0, unavailable(err)
	}
	return at + n, nil
}

// DropLarge forgets a large file of the user who acts, unless a message has it.
// Faults: e404.h1, large.sent.
func (s *Service) DropLarge(ctx context.Context, a Actor, large string) error {
	var blobs []string
	err := s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := ownLarge(tx.LockLarge(large))(a); err != nil {
			return err
		}
		sent, err := tx.InMessage(large)
		if err != nil {
			return err
		}
		if sent {
			return fault.New(fault.Conflict, "large.sent")
		}
		blobs, err = tx.DeleteLarge(large)
		return err
	})
	if err != nil {
		return unavailable(err)
	}
	s.dropBlobs(ctx, blobs...)
	return nil
}

// attachLarges gives a message its large files, in the transaction that registers
// it: whole ones of the sender that no other message has; to a message that passes
// another one on, the id of which is answered, those that it has.
func attachLarges(tx *store.Tx, m NewMessage, answered string, message envelope.MessageID) error {
	gone := fault.New(fault.Conflict, "large.gone").In("files", "large.gone", nil)
	for _, large := range m.Larges {
		l, err := tx.LockLarge(large)
		if errors.Is(err, store.ErrNotFound) {
			return gone
		}
		if err != nil {
			return err
		}
		var may bool
		if m.Answers != nil && m.Answers.Kind == Forward {
			may, err = tx.HasLarge(answered, large)
		} else if may = l.UserID == m.Sender.UserID && l.Got == l.Size; may {
			may, err = tx.InMessage(large)
			may = !may
		}
		if err != nil {
			return err
		}
		if !may {
			return gone
		}
		if err := tx.AttachLarge(large, message.String()); err != nil {
			return err
		}
	}
	return nil
}

// LargePiece returns bytes of a large file from offset at on, at most 16 MiB, to
// whom Release would release the slot, at a high level for grantFor after it did,
// and how many; the caller must close it. Faults: as Release; release.notkept.
func (s *Service) LargePiece(ctx context.Context, v Visitor, slot envelope.SlotID, large string, at int64) (io.ReadCloser, int64, error) {
	var parts []store.LargePart
	var end int64
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		o, err := tx.FindOpening(slot.String(), v.Session)
		if errors.Is(err, store.ErrNotFound) {
			return notFound()
		}
		if err != nil {
			return err
		}
		if r := checkGranted(o, asOf(tx, o)); r != nil {
			return r.fault
		}
		l, err := tx.FindLarge(large)
		if errors.Is(err, store.ErrNotFound) {
			return notKept()
		}
		if err != nil {
			return err
		}
		has, err := tx.HasLarge(o.Message.ID, large)
		if err != nil {
			return err
		}
		if !has || at < 0 || at >= l.Size {
			return notKept()
		}
		end = min(at+largePiece, l.Size)
		parts, err = tx.ListLargeParts(large, at, end)
		return err
	})
	if err != nil {
		return nil, 0, unavailable(err)
	}
	out := &piece{blobs: s.c.Blobs, parts: parts, at: at, end: end}
	return out, end - at, nil
}

// piece reads [at, end) of the parts, one after the other.
type piece struct {
	blobs   *blob.Store
	parts   []store.LargePart
	at, end int64
	open    io.ReadSeekCloser
}

func (p *piece) Read(b []byte) (int, error) {
	for {
		if p.at >= p.end {
			return 0, io.EOF
		}
		if len(p.parts) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		part := p.parts[0]
		if p.open == nil {
			f, size, err := p.blobs.Open(part.Blob)
			if err != nil {
				return 0, fmt.Errorf("open part: %w", err)
			}
			p.open = f
			if size != part.Size || p.at < part.At {
				return 0, fmt.Errorf("part %s has %d bytes, not %d", part.Blob, size, part.Size)
			}
			if _, err := f.Seek(p.at-part.At, io.SeekStart); err != nil {
				return 0, err
			}
		}
		n, err := p.open.Read(b[:min(int64(len(b)), p.end-p.at)])
		p.at += int64(n)
		if err == io.EOF {
			p.parts, err = p.parts[1:], p.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes what is open.
func (p *piece) Close() error {
	if p.open == nil {
		return nil
	}
	err := p.open.Close()
	p.open = nil
	return err
}

// sweepLarges forgets large files that nobody needs.
func (s *Service) sweepLarges(ctx context.Context, now time.Time) (n int, err error) {
	for {
		var due, blobs []string
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			blobs = nil
			if due, err = tx.ListLargesDue(now, now.Add(-largeUnsettled), now.Add(-largeLoose), sweepBatch); err != nil {
				return err
			}
			for _, large := range due {
				some, err := tx.DeleteLarge(large)
				if err != nil {
					return err
				}
				blobs = append(blobs, some...)
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
