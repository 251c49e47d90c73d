package keyserver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// Received is what was sealed to a session's addresses.
type Received struct {
	Rows []ReceivedRow
	Next string // cursor, "" at the end
	// Unproved is set for a user whom an administrator made and who has not
	// proved their address in this session: they see nothing.
	Unproved bool
}

// ReceivedRow is one envelope for its recipient. What is sealed is not in it.
type ReceivedRow struct {
	Ref       string
	Sender    Sender
	To        string // address as the sender wrote it
	SealedAt  time.Time
	ExpiresAt time.Time // zero: never
	OpenedAt  time.Time // at first; zero: not
	State     string    // StateActive and so on
}

// proved are the addresses, canonical, for which a session stands by itself,
// whatever the slot: by the rule of addressed.
func proved(tx *store.Tx, sess store.Session) (list []string, unproved bool, err error) {
	if sess.Address != "" {
		list = append(list, sess.Address)
	}
	if sess.Scope != store.ScopeFull || sess.UserID == "" {
		return list, false, nil
	}
	u, err := tx.FindUser(sess.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return list, false, nil
	}
	if err != nil || u.Managed {
		return list, err == nil && !slices.Contains(list, u.Address), err
	}
	aliases, err := tx.ListAliases(u.ID)
	if !slices.Contains(list, u.Address) {
		list = append(list, u.Address)
	}
	for _, a := range aliases {
		if !slices.Contains(list, a.Address) {
			list = append(list, a.Address)
		}
	}
	return list, false, err
}

// Received lists the envelopes that were sealed to the addresses that the
// session has proved, newest first, from after the row that after names ("" from
// the newest), of which text is a reference or part of who sent it ("" for all).
// Opening one takes its mail as well. Faults: sess.h1, si.mustchange.
func (s *Service) Received(ctx context.Context, v Visitor, text, after string, limit int) (Received, error) {
	limit = min(max(limit, 1), mostSent)
	var out Received
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		out = Received{}
		sess, err := openSession(tx, v)
		if err != nil {
			return err
		}
		mark, err := tx.ClockMark()
		if err != nil {
			return err
		}
		addresses, unproved, err := proved(tx, sess)
		if err != nil {
			return err
		}
		out.Unproved = unproved
		q := store.ReceivedQuery{Text: strings.TrimSpace(text), Limit: limit + 1}
		list := keyset.Of("received", sess.UserID)
		if q.BeforeTime, q.BeforeID, err = before(list, after); err != nil {
			return err
		}
		var found []store.Received
		for _, q.Address = range addresses { // each by its index; a person has few
			more, err := tx.ListReceived(q)
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		slices.SortFunc(found, func(a, b store.Received) int {
			return cmp.Or(b.Message.SealedAt.Compare(a.Message.SealedAt), strings.Compare(b.Slot.ID, a.Slot.ID))
		})
		if len(found) > limit {
			found = found[:limit]
			last := found[limit-1]
			out.Next = cursor(list, last.Message.SealedAt, last.Slot.ID)
		}
		for _, r := range found {
			out.Rows = append(out.Rows, receivedRow(r, later(tx.Now, mark)))
		}
		return nil
	})
	if err != nil {
		return Received{}, unavailable(err)
	}
	return out, nil
}

// CountReceived is how many envelopes were sealed to the addresses that the
// session has proved. Faults: sess.h1, si.mustchange.
func (s *Service) CountReceived(ctx context.Context, v Visitor) (n int, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		n = 0
		sess, err := openSession(tx, v)
		if err != nil {
			return err
		}
		addresses, _, err := proved(tx, sess)
		for _, a := range addresses {
			more, err := tx.CountReceived(a)
			if err != nil {
				return err
			}
			n += more
		}
		return err
	})
	return n, unavailable(err)
}

func receivedRow(r store.Received, now time.Time) ReceivedRow {
	return ReceivedRow{
		Ref: r.Slot.Ref, To: r.Slot.DisplayAddress, SealedAt: r.Message.SealedAt, ExpiresAt: endOf(r.Message, r.Slot),
		Sender:   sender(store.Opening{Message: r.Message, Organisation: r.Organisation, Settings: r.Settings, Brand: r.Brand}),
		OpenedAt: r.Slot.FirstOpenedAt, State: state(r.Message, r.Slot, r.Destroyed, now),
	}
}
