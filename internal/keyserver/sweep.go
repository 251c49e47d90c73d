package keyserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Swept counts what a sweep removed.
type Swept struct {
	Payloads, Epochs, Sessions, Codes, Stages, Throttles, Blobs, Larges, Transits int

	Ended     int // messages whose S were destroyed, of all recipients or of one
	Letters   int // of bounced mails, that were kept for a correction
	Reminders int // senders told who has not opened
	Drafts    int
	Records   int // messages of which nothing is known any more
	Accounts  int // whose day of deletion came
}

const (
	sweepBatch  = 100
	clockSlack  = time.Minute        // by which the clocks of two nodes may differ
	epochGrace  = 7 * 24 * time.Hour // after the month's end, in which a message may still be extended
	codeKeep    = 24 * time.Hour     // so that a late try is told that its code was too old
	throttleOld = 24 * time.Hour     // longer than any window that is counted in
	orphanAge   = 24 * time.Hour     // longer than any message takes to be registered
	orphanEvery = time.Hour          // looking for them reads the whole directory
)

// Sweep forgets what is over: the S of envelopes whose end is a week past, kept
// ciphertext past its time, the epoch keys of past months with all that they
// opened, records that an account keeps no longer, accounts whose day of deletion has come, drafts, sessions, codes, stages, counters
// and blobs that nothing needs. It reminds senders. It is to be called every minute or so, on every
// node: each step is its own transaction, and of two nodes one does it. A step
// that fails does not stop the others. The directory of the blobs is read once an
// hour only.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	var out Swept
	now, err := s.tick(ctx)
	if err != nil {
		return out, fmt.Errorf("sweep: %w", err) // without the time, nothing is known to be over
	}
	errs := []error{s.sweepRows(ctx, &out)}
	out.Stages, err = s.SweepStages(ctx)
	errs = append(errs, err)
	errs = append(errs, s.markEnded(ctx, now))
	out.Ended, err = s.sweepEnded(ctx, now)
	errs = append(errs, err)
	out.Payloads, err = s.sweepPayloads(ctx, now)
	errs = append(errs, err)
	out.Drafts, err = s.sweepDrafts(ctx, now)
	errs = append(errs, err)
	out.Larges, err = s.sweepLarges(ctx, now)
	errs = append(errs, err)
	out.Epochs, err = s.sweepEpochs(ctx, now)
	errs = append(errs, err)
	out.Transits, err = s.sweepTransits(ctx, now)
	errs = append(errs, err)
	out.Reminders, err = s.sweepReminders(ctx, now)
	errs = append(errs, err)
	out.Records, err = s.sweepRecords(ctx, now)
	errs = append(errs, err)
	out.Accounts, err = s.eraseDue(ctx)
	errs = append(errs, err)
	if s.orphansDue() {
		out.Blobs, err = s.sweepBlobs(ctx)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return out, fmt.Errorf("sweep: %w", err)
	}
	return out, nil
}

// tick raises the mark of the clock, so that what has expired stays so, and
// returns the time that counts.
func (s *Service) tick(ctx context.Context) (now time.Time, err error) {
	var behind time.Duration
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		mark, err := tx.ClockMark()
		if err != nil {
			return err
		}
		now, behind = later(tx.Now, mark), mark.Sub(tx.Now)
		return keepMark(tx, mark)
	})
	if err == nil && behind > clockSlack {
		s.c.Log.WarnContext(ctx, "the clock is behind the latest time seen; what expired before that stays expired", "seen", now, "behind", behind)
	}
	return now, err
}

func (s *Service) sweepRows(ctx context.Context, out *Swept) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		sessions, err := tx.DeleteOldSessions()
		if err != nil {
			return err
		}
		if _, err := tx.DeleteOldRemembered(); err != nil {
			return err
		}
		if _, err := tx.DeleteOldDetours(); err != nil {
			return err
		}
		if _, err := tx.DeleteOldChallenges(); err != nil {
			return err
		}
		codes, err := tx.DeleteOldCodes(tx.Now.Add(-codeKeep))
		if err != nil {
			return err
		}
		letters, err := tx.EmptyHeld()
		if err != nil {
			return err
		}
		out.Letters = int(letters)
		if _, err := tx.DeleteOldAnswers(); err != nil {
			return err
		}
		throttles, err := tx.DeleteOldThrottles(tx.Now.Add(-throttleOld))
		out.Sessions, out.Codes, out.Throttles = int(sessions), int(codes), int(throttles)
		return err
	})
}

// SweepStages removes what was staged and not fetched in time, and returns how
// many that were. Sweep does it too.
func (s *Service) SweepStages(ctx context.Context) (n int, err error) {
	for {
		var blobs []string
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			blobs, err = tx.DeleteOldStages(sweepBatch)
			return err
		})
		if err != nil {
			return n, err
		}
		n += len(blobs)
		s.dropBlobs(ctx, blobs...) // "" where the bytes never came
		if len(blobs) < sweepBatch {
			return n, nil
		}
	}
}

// sweepPayloads forgets the row's name for a blob first: a blob that is left
// over is found by sweepBlobs, a name that leads nowhere is a fault.
func (s *Service) sweepPayloads(ctx context.Context, now time.Time) (n int, err error) {
	for {
		var due, dropped []store.KeptPayload
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			dropped = nil
			if due, err = tx.ListPayloadsDue(now, sweepBatch); err != nil {
				return err
			}
			for _, p := range due {
				ours, err := tx.DropPayload(p)
				if err != nil {
					return err
				}
				if ours {
					dropped = append(dropped, p)
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		for _, p := range dropped {
			n++
			if !store.IsRow(p.Name) { // else it is gone with the name
				s.dropBlobs(ctx, p.Name)
			}
		}
		if len(due) < sweepBatch {
			return n, nil
		}
	}
}

// markEnded marks what has ended by the clock alone, which Sent lists.
func (s *Service) markEnded(ctx context.Context, now time.Time) error {
	for {
		var n int64
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) { n, err = tx.MarkEnded(now, sweepBatch); return err })
		if err != nil || n < sweepBatch {
			return err
		}
	}
}

// sweepEnded destroys the S of what ended so long ago that it cannot be given
// another end any more.
func (s *Service) sweepEnded(ctx context.Context, now time.Time) (n int, err error) {
	by := now.Add(-destroyGrace)
	return s.sweepMessages(ctx, func(tx *store.Tx, after string) ([]string, error) { return tx.ListEnded(by, after, sweepBatch) }, func(tx *store.Tx, messageID string) (bool, error) {
		h, err := s.hold(tx, messageID, "", false, false)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		var due []store.Slot
		for _, slot := range h.slots {
			if len(slot.Box) > 0 && past(endOf(h.m, slot), by) {
				due = append(due, slot)
			}
		}
		if len(due) == 0 {
			return false, nil
		}
		h.destroy(due)
		if err := h.save(); err != nil {
			return false, err
		}
		return true, tx.InsertAudit(store.AuditRow{AccountID: h.m.AccountID, Actor: "system", Action: "envelope.destroy", Target: h.m.ID,
			Detail: map[string]string{"recipients": fmt.Sprint(len(due))}, Origin: "server"})
	})
}

// sweepReminders tells senders who has not opened a message by the date that
// they set, once: the date goes in the same transaction.
func (s *Service) sweepReminders(ctx context.Context, now time.Time) (n int, err error) {
	told := 0
	n, err = s.sweepMessages(ctx, func(tx *store.Tx, after string) ([]string, error) { return tx.ListReminders(now, after, sweepBatch) }, func(tx *store.Tx, messageID string) (bool, error) {
		h, err := s.hold(tx, messageID, "", false, false)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		if err != nil || h.m.RemindAt.IsZero() || h.m.RemindAt.After(now) {
			return false, err // another node was here, or its sender
		}
		h.m.RemindAt = time.Time{}
		if err := h.save(); err != nil {
			return false, err
		}
		u := UnreadLetter{SenderUserID: h.m.SenderID}
		for _, slot := range h.slots {
			if slot.Openings > 0 || state(h.m, slot, false, h.now) != StateActive || senderGone(h.m, slot) {
				continue
			}
			if len(u.Recipients) == 0 {
				if u.About, err = h.about(slot); err != nil {
					return false, err
				}
			}
			u.Recipients = append(u.Recipients, slot.DisplayAddress)
		}
		if len(u.Recipients) == 0 {
			return true, nil
		}
		told++
		if err := s.c.Post.Unread(tx, u); err != nil {
			return false, err
		}
		return true, tx.InsertAudit(store.AuditRow{AccountID: h.m.AccountID, Actor: "system", Action: "envelope.remind", Target: h.m.ID,
			Detail: map[string]string{"recipients": fmt.Sprint(len(u.Recipients))}, Origin: "server"})
	})
	if told > 0 {
		s.c.Post.Wake()
	}
	return n, err
}

// sweepMessages does something to each message that is due, in a transaction of
// its own, and returns to how many it was done. One that fails holds up none of
// those behind it: due gives the next ids after one.
func (s *Service) sweepMessages(ctx context.Context, due func(tx *store.Tx, after string) ([]string, error), do func(*store.Tx, string) (bool, error)) (n int, err error) {
	var failed []error
	for last := ""; ; {
		var ids []string
		if err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) { ids, err = due(tx, last); return err }); err != nil {
			return n, errors.Join(append(failed, err)...)
		}
		for _, messageID := range ids {
			var done bool
			if err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) { done, err = do(tx, messageID); return err }); err != nil {
				failed = append(failed, fmt.Errorf("message %s: %w", messageID, err))
			} else if done {
				n++
			}
		}
		if len(ids) < sweepBatch || ctx.Err() != nil {
			return n, errors.Join(failed...)
		}
		last = ids[len(ids)-1]
	}
}

// sweepRecords forgets messages whose content was destroyed longer ago than
// their account keeps the record. The audit log stays.
func (s *Service) sweepRecords(ctx context.Context, now time.Time) (n int, err error) {
	var all map[int64]string
	if err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.ListSettings(); return err }); err != nil {
		return 0, err
	}
	var failed []error
	for account, text := range all {
		k, err := s.sweepRecordsOf(ctx, account, text, now)
		n += k
		if err != nil {
			failed = append(failed, fmt.Errorf("account %d: %w", account, err))
		}
	}
	return n, errors.Join(failed...)
}

func (s *Service) sweepRecordsOf(ctx context.Context, account int64, text string, now time.Time) (n int, err error) {
	settings, err := policy.ReadSettings(text)
	if err != nil || settings.RecordDays <= 0 {
		return 0, err
	}
	for {
		var k int64
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			k, err = tx.DeleteRecords(account, now.AddDate(0, 0, -settings.RecordDays), sweepBatch)
			return err
		})
		n += int(k)
		if err != nil || k < sweepBatch {
			return n, err
		}
	}
}

// sweepTransits forgets the gateway's records that are too old.
func (s *Service) sweepTransits(ctx context.Context, now time.Time) (n int, err error) {
	if s.c.KeepTransits <= 0 {
		return 0, nil
	}
	for {
		var k int64
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			k, err = tx.DeleteOldTransits(now.Add(-s.c.KeepTransits), sweepBatch)
			return err
		})
		n += int(k)
		if err != nil || k < sweepBatch {
			return n, err
		}
	}
}

func (s *Service) sweepEpochs(ctx context.Context, now time.Time) (n int, err error) {
	// The last month that ended before the grace began.
	first := now.Add(-epochGrace).UTC()
	last := month(time.Date(first.Year(), first.Month(), 0, 0, 0, 0, 0, time.UTC))
	for {
		var due []store.EpochKey
		done := 0
		err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			done = 0
			if due, err = tx.ListEpochsDue(last, now, sweepBatch); err != nil {
				return err
			}
			for _, k := range due {
				ours, err := tx.DestroyEpochKey(k, now)
				if err != nil {
					return err
				}
				if !ours {
					continue
				}
				done++
				err = tx.InsertAudit(store.AuditRow{
					AccountID: k.AccountID, Actor: "system", Action: "key.destroy", Target: fmt.Sprintf("epoch:%d", k.Month), Origin: "server",
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += done
		if len(due) < sweepBatch || done == 0 {
			return n, nil
		}
	}
}

// orphansDue reports, by the machine's clock as sweepBlobs goes by it, whether
// to look for orphans now.
func (s *Service) orphansDue() bool {
	s.blobsMu.Lock()
	defer s.blobsMu.Unlock()
	if now := time.Now(); s.blobsAt.IsZero() || now.Sub(s.blobsAt) >= orphanEvery {
		s.blobsAt = now
		return true
	}
	return false
}

// dropBlobs removes what the rows have forgotten, "" being none. What does not go
// is left to sweepBlobs: what was done is done.
func (s *Service) dropBlobs(ctx context.Context, names ...string) {
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := s.c.Blobs.Delete(name); err != nil {
			s.c.Log.WarnContext(ctx, "a blob that nothing needs stays until it is swept", "blob", name, "error", err)
		}
	}
}

// sweepBlobs removes what no row names: a sealing that was cut off, or a node
// that stopped between a row and its blob. A file's age is the disk's clock's.
func (s *Service) sweepBlobs(ctx context.Context) (n int, err error) {
	var stuck []error
	err = s.c.Blobs.Older(ctx, time.Now().Add(-orphanAge), func(name string) error {
		var named bool
		err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
			named, err = tx.HasBlob(name)
			return err
		})
		if err != nil || named {
			return err
		}
		if err := s.c.Blobs.Delete(name); err != nil {
			stuck = append(stuck, err)
			return nil
		}
		n++
		return nil
	})
	return n, errors.Join(append(stuck, err)...)
}

// Clock is the latest time that this service ever acted at, and the machine's.
type Clock struct {
	Seen time.Time // zero: never
	Now  time.Time
}

// Clock tells whether the machine's clock has been set back: then Seen is
// later than Now, and what expired before Seen stays expired.
func (s *Service) Clock(ctx context.Context) (Clock, error) {
	var c Clock
	err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) {
		c.Now = tx.Now
		c.Seen, err = tx.ClockMark()
		return err
	})
	return c, unavailable(err)
}

// AcceptClock takes the machine's clock for true, for an operator who has seen
// it run ahead and put it right. It can open what had expired meanwhile, and is audited.
func (s *Service) AcceptClock(ctx context.Context, a Actor) error {
	return unavailable(s.c.DB.Update(ctx, func(tx *store.Tx) error {
		mark, err := tx.ClockMark()
		if err != nil {
			return err
		}
		if err := tx.SetClockMark(tx.Now); err != nil {
			return err
		}
		return tx.InsertAudit(store.AuditRow{
			Actor: a.Name, Action: "clock.accept", Target: "clock", Origin: a.Origin,
			Detail: map[string]string{"seen": mark.Format(time.RFC3339)},
		})
	}))
}
