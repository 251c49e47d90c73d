package keyserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

// ForMany reports whether acts of a kind can be done to many messages at once.
func ForMany(kind string) bool { return kind == ActLock || kind == ActUnlock || kind == ActExpire }

// Many is what an act on many messages came to.
type Many struct {
	Changed, Same int      // messages that it changed, and that were so already
	Refused       int      // that it could not be done to
	Opened        int      // recipients, of those changed, who had opened it before
	Next          string   // of a search: where to go on, as it takes it; "" at the end
	Left          []string // of ids: those that it did not come to
	Broken        error    // why it broke off, after what is counted here; nil: it did not
}

func (m *Many) add(n Many) {
	m.Changed, m.Same, m.Refused, m.Opened = m.Changed+n.Changed, m.Same+n.Same, m.Refused+n.Refused, m.Opened+n.Opened
}

// brokenOff is what an act came to that err ended: only the error, if it had not begun.
func (s *Service) brokenOff(m Many, err error) (Many, error) {
	if m.Changed+m.Same+m.Refused == 0 {
		return Many{}, err
	}
	s.c.Log.Error("keyserver: an act on many messages broke off", "done", m.Changed+m.Same+m.Refused, "err", err)
	m.Broken = err
	return m, nil
}

const (
	actBatch = 50   // messages of one transaction
	actMost  = 1000 // messages of one request
)

// ActOnMany does one thing to the messages with these ids, up to actMost of them,
// in batches: each batch is one transaction. Only ActLock, ActUnlock and
// ActExpire can be done so.
func (s *Service) ActOnMany(ctx context.Context, a Actor, act Act, ids []string) (out Many, err error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	out.Left = slices.Compact(ids)
	for most := actMost; len(out.Left) > 0 && most > 0; most -= actBatch {
		batch := out.Left[:min(len(out.Left), actBatch)]
		n, err := s.actOnBatch(ctx, a, act, batch)
		if err != nil {
			return s.brokenOff(out, err)
		}
		out.add(n)
		out.Left = out.Left[len(batch):]
	}
	return out, nil
}

// actOnAll is ActOnMany for what read finds, from after on, batch by batch.
func (s *Service) actOnAll(ctx context.Context, a Actor, act Act, after string, read func(after string) (ids []string, next string, err error)) (out Many, err error) {
	out.Next = after
	for most := actMost; most > 0; most -= actBatch {
		ids, next, err := read(out.Next)
		if err != nil {
			return s.brokenOff(out, err)
		}
		n, err := s.actOnBatch(ctx, a, act, ids)
		if err != nil {
			return s.brokenOff(out, err)
		}
		out.add(n)
		if out.Next = next; next == "" {
			break
		}
	}
	return out, nil
}

// actOnBatch acts on messages in one transaction, in the order of their ids: two
// requests take what they hold in one order. What it is refused for one leaves
// nothing of that one: ActExpire alone has deleted letters by then, of a message
// that is gone.
func (s *Service) actOnBatch(ctx context.Context, a Actor, act Act, ids []string) (n Many, err error) {
	if !ForMany(act.Kind) {
		return n, fmt.Errorf("act on many: not %s", act.Kind)
	}
	slices.Sort(ids)
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		n = Many{}
		for _, messageID := range ids {
			done, denied, err := s.actOnly(tx, a, act, messageID)
			var f *fault.Error
			switch {
			case denied || errors.As(err, &f):
				n.Refused++
			case err != nil:
				return err
			case done.Changed:
				n.Changed++
				n.Opened += done.Opened
			default:
				n.Same++
			}
		}
		return nil
	})
	return n, unavailable(err)
}

// actOnly is act on a message, or on what of it went to the address that the act names.
func (s *Service) actOnly(tx *store.Tx, a Actor, act Act, messageID string) (out Acted, denied bool, err error) {
	if act.Only == "" {
		return s.act(tx, a, act, messageID, "")
	}
	m, denied, err := permitted(tx, a, act, messageID) // before it tells who is no recipient
	if denied || err != nil {
		return out, denied, err
	}
	slots, err := tx.ListSlots(m.ID)
	if err != nil {
		return out, false, err
	}
	other := func(slot store.Slot) bool { return slot.Address != act.Only }
	shared := slices.ContainsFunc(slots, other)
	if !shared { // it is theirs as a whole
		if out, err = s.actPermitted(tx, a, act, m, ""); err != nil || act.Kind != ActUnlock {
			return out, false, err
		}
	} else if act.Kind == ActUnlock && !m.LockedAt.IsZero() {
		return out, false, fault.New(fault.Conflict, "sent.closed") // it is locked for the others too, and for them it stays so
	}
	for _, slot := range slices.DeleteFunc(slots, other) {
		one, err := s.actPermitted(tx, a, act, m, slot.ID)
		if err != nil {
			return out, false, err
		}
		out.Changed, out.Opened = out.Changed || one.Changed, out.Opened+one.Opened
	}
	return out, false, nil
}

// ActOnSent does one thing to the messages that Sent finds, from after on, up to
// actMost of them, the newest first.
func (s *Service) ActOnSent(ctx context.Context, a Actor, act Act, find SentSearch, after string) (Many, error) {
	return s.actOnAll(ctx, a, act, after, func(after string) (ids []string, next string, err error) {
		rows, next, err := s.Sent(ctx, a.UserID, find, after, actBatch)
		for _, r := range rows {
			ids = append(ids, r.MessageID)
		}
		return ids, next, err
	})
}
