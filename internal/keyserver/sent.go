package keyserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Filter chooses what Sent lists.
type Filter string

// The filters, as they stand in the address of the page.
const (
	FilterAll       Filter = ""
	FilterNotOpened Filter = "notopened" // by nobody
	FilterOpened    Filter = "opened"    // by somebody
	FilterLocked    Filter = "locked"    // for somebody
	FilterExpired   Filter = "expired"
)

var sentFilters = map[Filter]store.SentFilter{
	FilterAll: store.SentAll, "all": store.SentAll, FilterNotOpened: store.SentNotOpened,
	FilterOpened: store.SentOpened, FilterLocked: store.SentLocked, FilterExpired: store.SentExpired,
}

// SentRow is one message of its sender's list.
type SentRow struct {
	MessageID  string
	Subject    string // "" once the key has been destroyed
	Recipients []SentRecipient
	SealedAt   time.Time
	ExpiresAt  time.Time // zero: never
	State      string    // StateActive and so on, of the whole message
	Opened     int       // recipients who have opened it
	Bounced    int       // recipients it could not be delivered to
}

// SentRecipient is one recipient of a sent message.
type SentRecipient struct {
	SlotID        string
	Ref           string
	Address       string // as the sender wrote it
	State         string // StateActive and so on
	Locked        bool   // for this recipient, whatever the message's state
	Delivery      string // queued, passing, sent, bounced, none
	DeliveredAt   time.Time
	DeliveryText  string // on a bounce: what the next hop said, or the catalogue key of our own reason
	FirstOpenedAt time.Time
	LastOpenedAt  time.Time
	Openings      int
}

// SentDetail is one message for its sender.
type SentDetail struct {
	SentRow
	Note     string
	Locked   bool // as a whole
	Carrier  string
	Size     int64  // of the payload, bytes
	Trace    string // of its way through the gateway, "" when it came another way
	Way      []policy.Outcome
	Activity []Event // newest first
}

// Event is something that happened to a message.
type Event struct {
	At        time.Time
	Actor     string // user:<address>, recipient:<address>, operator:<name>, visitor, system
	Action    string // envelope.seal, .release, .release_denied, .lock, .unlock
	Refused   bool
	Reason    string // of a refusal: ReasonLocked and so on
	Recipient string // whom it concerns, "" for the whole message
	Ref       string
	Origin    string
}

// A page of a search reads at most so many messages, so that a word that is in
// none does not read them all; what is left is on the next page.
const (
	searchBatch = 200
	searchMost  = 2000
	mostSent    = 200 // rows of a page
	mostEvents  = 200
)

// Sent lists what a user has sent, newest first, from after the row that after
// names ("" from the newest). query narrows it to messages whose subject,
// recipient or reference contains it. next is "" at the end; a page of a search
// may have fewer rows than limit and a next.
func (s *Service) Sent(ctx context.Context, senderUserID string, f Filter, query, after string, limit int) (rows []SentRow, next string, err error) {
	limit = min(max(limit, 1), mostSent)
	at, last := parseCursor(after)
	query = strings.ToLower(strings.TrimSpace(query))
	batch := limit + 1
	if query != "" {
		batch = searchBatch
	}
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		rows, next = nil, ""
		v, err := s.newView(tx)
		if err != nil {
			return err
		}
		for read := 0; read < searchMost; {
			messages, err := tx.ListSent(senderUserID, sentFilters[f], v.now, at, last, batch)
			if err != nil {
				return err
			}
			found, err := v.rows(messages)
			if err != nil {
				return err
			}
			for i, row := range found {
				if len(rows) == limit {
					next = cursor(at, last)
					return nil
				}
				at, last = messages[i].SealedAt, messages[i].ID
				if row.contains(query) {
					rows = append(rows, row.SentRow)
				}
			}
			if len(messages) < batch {
				next = ""
				return nil
			}
			read += len(messages)
			next = cursor(at, last)
		}
		return nil
	})
	if err != nil {
		return nil, "", unavailable(err)
	}
	return rows, next, nil
}

// A cursor is the last row's time in Unix milliseconds and its message's id.
func cursor(at time.Time, messageID string) string {
	return strconv.FormatInt(at.UnixMilli(), 10) + "." + messageID
}

func parseCursor(s string) (time.Time, string) {
	at, messageID, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, ""
	}
	return time.UnixMilli(n).UTC(), messageID
}

// SentDetail returns one message to who sent it. Faults: e404.h1.
func (s *Service) SentDetail(ctx context.Context, senderUserID, messageID string) (SentDetail, error) {
	var d SentDetail
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		m, err := tx.FindMessage(messageID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (senderUserID == "" || m.SenderID != senderUserID) {
			return notFound()
		}
		if err != nil {
			return err
		}
		v, err := s.newView(tx)
		if err != nil {
			return err
		}
		rows, err := v.rows([]store.Message{m})
		if err != nil {
			return err
		}
		d = SentDetail{SentRow: rows[0].SentRow, Note: rows[0].note, Locked: !m.LockedAt.IsZero(), Carrier: m.Carrier, Size: m.PayloadSize}
		if d.Trace, d.Way, err = wayOf(tx, m); err != nil {
			return err
		}
		events, err := tx.ListAuditOf(m.AccountID, m.ID, mostEvents)
		for _, e := range events {
			d.Activity = append(d.Activity, Event{
				At: e.At, Actor: e.Actor, Action: e.Action, Refused: e.Outcome == store.Refused,
				Reason: e.Detail["reason"], Recipient: e.Detail["recipient"], Ref: e.Detail["ref"], Origin: e.Origin,
			})
		}
		return err
	})
	if err != nil {
		return SentDetail{}, unavailable(err)
	}
	return d, nil
}

// wayOf is what the gateway decided for the recipients of an envelope, as long
// as that is kept.
func wayOf(tx *store.Tx, m store.Message) (trace string, way []policy.Outcome, err error) {
	if m.Transit == "" {
		return "", nil, nil
	}
	t, err := tx.FindTransit(m.Transit)
	if errors.Is(err, store.ErrNotFound) {
		return m.Transit, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	all, err := policy.DecodeOutcomes(t.Detail)
	for _, o := range all {
		if o.Envelope == m.ID {
			way = append(way, o)
		}
	}
	return t.ID, way, err
}

// view turns messages into rows; a page needs few epoch keys, so it keeps them.
type view struct {
	s    *Service
	tx   *store.Tx
	now  time.Time
	keys map[[2]int64]openedEpoch
}

type openedEpoch struct {
	epochKey
	destroyed bool
}

type viewRow struct {
	SentRow
	note string
}

func (r viewRow) contains(query string) bool {
	if query == "" || strings.Contains(strings.ToLower(r.Subject), query) {
		return true
	}
	ref, isRef := id.ParseReference(query)
	for _, p := range r.Recipients {
		if strings.Contains(strings.ToLower(p.Address), query) || isRef && p.Ref == ref {
			return true
		}
	}
	return false
}

func (s *Service) newView(tx *store.Tx) (*view, error) {
	mark, err := tx.ClockMark()
	return &view{s, tx, later(tx.Now, mark), make(map[[2]int64]openedEpoch)}, err
}

func (v *view) rows(messages []store.Message) ([]viewRow, error) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	slots, err := v.tx.ListSlots(ids...)
	if err != nil {
		return nil, err
	}
	byMessage := make(map[string][]store.Slot, len(messages))
	for _, slot := range slots {
		byMessage[slot.MessageID] = append(byMessage[slot.MessageID], slot)
	}
	out := make([]viewRow, len(messages))
	for i, m := range messages {
		if out[i], err = v.row(m, byMessage[m.ID]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (v *view) row(m store.Message, slots []store.Slot) (viewRow, error) {
	epoch, err := v.epoch(m.AccountID, m.Epoch)
	if err != nil {
		return viewRow{}, err
	}
	r := viewRow{SentRow: SentRow{
		MessageID: m.ID, SealedAt: m.SealedAt, ExpiresAt: m.ExpiresAt,
		State: state(m, store.Slot{Box: []byte{0}}, epoch.destroyed, v.now),
	}}
	for _, slot := range slots {
		r.Recipients = append(r.Recipients, SentRecipient{
			SlotID: slot.ID, Ref: slot.Ref, Address: slot.DisplayAddress, State: state(m, slot, epoch.destroyed, v.now),
			Locked: !slot.LockedAt.IsZero(), Delivery: slot.Delivery, DeliveredAt: slot.DeliveredAt, DeliveryText: slot.DeliveryText,
			FirstOpenedAt: slot.FirstOpenedAt, LastOpenedAt: slot.LastOpenedAt, Openings: int(slot.Openings),
		})
		if slot.Openings > 0 {
			r.Opened++
		}
		if slot.Delivery == store.DeliveryBounced {
			r.Bounced++
		}
	}
	if epoch.destroyed || len(m.Card) == 0 {
		return r, nil
	}
	c, err := epoch.openCard(m)
	r.Subject, r.note = c.Subject, c.Note
	return r, err
}

func (v *view) epoch(account, month int64) (openedEpoch, error) {
	name := [2]int64{account, month}
	if e, ok := v.keys[name]; ok {
		return e, nil
	}
	e, err := v.s.findEpoch(v.tx, account, month)
	if err != nil {
		return openedEpoch{}, fmt.Errorf("epoch %d of account %d: %w", month, account, err)
	}
	v.keys[name] = e
	return e, nil
}

// cardOf opens one message's card; it is empty once the key has been destroyed.
func (s *Service) cardOf(tx *store.Tx, m store.Message) (card, error) {
	epoch, err := s.findEpoch(tx, m.AccountID, m.Epoch)
	if err != nil || epoch.destroyed || len(m.Card) == 0 {
		return card{}, err
	}
	return epoch.openCard(m)
}

func (s *Service) findEpoch(tx *store.Tx, account, month int64) (openedEpoch, error) {
	k, err := tx.FindEpochKey(account, month)
	if err != nil || !k.DestroyedAt.IsZero() {
		return openedEpoch{destroyed: true}, err
	}
	outer, err := tx.FindAccountKeyVersion(account, k.Version)
	if err != nil {
		return openedEpoch{}, err
	}
	key, err := s.openEpoch(outer.Box, k)
	return openedEpoch{key, false}, err
}
