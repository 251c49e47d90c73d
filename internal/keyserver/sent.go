package keyserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
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
	FilterExpired   Filter = "expired"   // or withdrawn
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
	Address       string    // as the sender wrote it
	State         string    // StateActive and so on
	ExpiresAt     time.Time // their own end, zero: the message's
	Reason        string    // why it is locked for them, "" where that was not said
	CanCorrect    bool      // it bounced, and its letter can be sent to another address
	Locked        bool      // for this recipient, whatever the message's state
	Delivery      string    // queued, passing, sent, bounced, none, withdrawn
	DeliveredAt   time.Time
	DeliveryText  string // on a bounce: what the next hop said, or the catalogue key of our own reason
	FirstOpenedAt time.Time
	LastOpenedAt  time.Time
	Openings      int
}

// SentDetail is one message for its sender.
type SentDetail struct {
	SentRow
	Note      string
	Locked    bool      // as a whole
	Reason    string    // why, "" where that was not said
	RemindAt  time.Time // zero: not, or done
	Destroyed time.Time // when its content was destroyed; zero: it was not
	Until     time.Time // when it will be, after its end; zero: it was, or has no end
	Carrier   string
	Size      int64  // of the payload, bytes
	Trace     string // of its way through the gateway, "" when it came another way
	Way       []policy.Outcome
	Activity  []Event // newest first
}

// Event is something that happened to a message.
type Event struct {
	At        time.Time
	Actor     string // user:<address>, recipient:<address>, operator:<name>, visitor, system
	Action    string // envelope.seal, .release, .release_denied, .remind, .destroy, .reply, .forward, or an Act's
	Refused   bool
	Reason    string // of a refusal: ReasonLocked and so on
	Recipient string // whom it concerns, "" for the whole message
	Ref       string
	To        string // whom it was passed on to, in a list
	Origin    string
	Until     time.Time // of ActEnd; zero: no end, or another event
}

// A page of a search reads at most so many messages, so that a word that is in
// none does not read them all; what is left is on the next page.
const (
	searchBatch = 200
	searchMost  = 2000
	mostSent    = 200 // rows of a page
	mostEvents  = 200
)

// SentSearch narrows what Sent lists. Zero fields narrow nothing.
type SentSearch struct {
	Filter      Filter
	Text        string    // a reference, a recipient's address or how it begins (with its @), or part of a subject or an address
	From, Until time.Time // sealed from then on, and before then
}

// Sent lists what a user has sent, newest first, from after the row that after
// names ("" from the newest). A reference, a recipient's address and the
// beginning of one, to its @ at least, are looked up; any other text is searched
// for in subjects and addresses, which are read from the newest on. next is "" at the end; a page of such a search
// may have fewer rows than limit and a next.
func (s *Service) Sent(ctx context.Context, senderUserID string, find SentSearch, after string, limit int) (rows []SentRow, next string, err error) {
	limit = min(max(limit, 1), mostSent)
	text := strings.ToLower(strings.TrimSpace(find.Text))
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		rows, next = nil, ""
		v, err := s.newView(tx)
		if err != nil || senderUserID == "" {
			return err
		}
		q := store.SentQuery{SenderID: senderUserID, Filter: sentFilters[find.Filter], Now: v.now, From: find.From, Until: find.Until, Limit: limit + 1}
		if q.BeforeTime, q.BeforeID, err = before(sentList(senderUserID), after); err != nil {
			return err
		}
		if rows, err = v.byReference(q, text, after); err != nil || len(rows) > 0 {
			return err
		}
		if text == "" {
			rows, next, err = v.page(q, limit)
			return err
		}
		if a, err := mailaddr.Parse(text); err == nil {
			byAddress := q
			byAddress.Address = a.Canonical()
			if rows, next, err = v.page(byAddress, limit); err != nil || len(rows) > 0 {
				return err
			}
		}
		if strings.Contains(text, "@") {
			n, err := tx.CountBeginning(senderUserID, text)
			if err != nil {
				return err
			}
			if n > 0 && n <= store.MostBeginning {
				byAddress := q
				byAddress.Beginning = text
				if rows, next, err = v.page(byAddress, limit); err != nil || len(rows) > 0 {
					return err
				}
			}
		}
		rows, next, err = v.search(q, text, limit)
		return err
	})
	if err != nil {
		return nil, "", unavailable(err)
	}
	return rows, next, nil
}

// byReference finds the one message with a slot of that reference, if the
// sender's messages have it.
func (v *view) byReference(q store.SentQuery, text, after string) ([]SentRow, error) {
	ref, ok := id.ParseReference(text)
	if !ok || after != "" {
		return nil, nil
	}
	messageID, err := v.tx.FindMessageOfRef(ref)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	q.MessageID = messageID // if it is the sender's, and as they want it
	messages, err := v.tx.ListSent(q)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	found, err := v.rows(messages)
	if err != nil {
		return nil, err
	}
	return []SentRow{found[0].SentRow}, nil
}

// page reads on from where q begins, limit rows.
func (v *view) page(q store.SentQuery, limit int) (rows []SentRow, next string, err error) {
	q.Limit = limit + 1
	messages, err := v.tx.ListSent(q)
	if err != nil {
		return nil, "", err
	}
	if len(messages) > limit {
		messages = messages[:limit]
		next = cursor(sentList(q.SenderID), messages[limit-1].SealedAt, messages[limit-1].ID)
	}
	rows, err = v.sentRows(messages)
	return rows, next, err
}

func (v *view) sentRows(messages []store.Message) ([]SentRow, error) {
	found, err := v.rows(messages)
	rows := make([]SentRow, len(found))
	for i, r := range found {
		rows[i] = r.SentRow
	}
	return rows, err
}

// search reads cards on from where q begins until limit of them contain text,
// and searchMost at most.
func (v *view) search(q store.SentQuery, text string, limit int) (rows []SentRow, next string, err error) {
	q.Limit = searchBatch
	var ids []string
	more := true
read:
	for read := 0; more && read < searchMost; read += searchBatch {
		cards, err := v.tx.ListSentCards(q)
		if err != nil {
			return nil, "", err
		}
		more = len(cards) == searchBatch
		for _, c := range cards {
			if len(ids) == limit {
				more = true
				break read
			}
			q.BeforeTime, q.BeforeID = c.SealedAt, c.ID
			ok, err := v.contains(c, text)
			if err != nil {
				return nil, "", err
			}
			if ok {
				ids = append(ids, c.ID)
			}
		}
	}
	if more {
		next = cursor(sentList(q.SenderID), q.BeforeTime, q.BeforeID)
	}
	messages, err := v.tx.ListMessages(ids...)
	if err != nil {
		return nil, "", err
	}
	rows, err = v.sentRows(messages)
	return rows, next, err
}

func (v *view) contains(c store.SentCard, text string) (bool, error) {
	for _, address := range c.Addresses {
		if strings.Contains(strings.ToLower(address), text) {
			return true, nil
		}
	}
	epoch, err := v.epoch(c.AccountID, c.Epoch)
	if err != nil || epoch.destroyed || len(c.Card) == 0 {
		return false, err
	}
	opened, err := epoch.openCard(c.Message)
	return strings.Contains(strings.ToLower(opened.Subject), text), err
}

// cursor is the place after a row of that time and id in a list of the newest first.
func cursor(l keyset.List, at time.Time, rowID string) string {
	return l.Cursor(keyset.Numbered(at.UnixMilli(), rowID))
}

// before reads such a cursor; of the beginning the time is zero.
func before(l keyset.List, after string) (at time.Time, rowID string, err error) {
	ms, rowID, err := l.Numbered(after)
	if ms > 0 {
		at = time.UnixMilli(ms).UTC()
	}
	return at, rowID, err
}

func sentList(userID string) keyset.List { return keyset.Of("sent", userID) }

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
		d, err = v.detail(m)
		return err
	})
	if err != nil {
		return SentDetail{}, unavailable(err)
	}
	return d, nil
}

// detail is all that a page shows of one message.
func (v *view) detail(m store.Message) (d SentDetail, err error) {
	rows, err := v.rows([]store.Message{m})
	if err != nil {
		return d, err
	}
	d = SentDetail{SentRow: rows[0].SentRow, Note: rows[0].note, Locked: !m.LockedAt.IsZero(), Carrier: m.Carrier, Size: m.PayloadSize,
		Reason: rows[0].reason, RemindAt: m.RemindAt, Destroyed: m.DestroyedAt}
	if m.DestroyedAt.IsZero() && !m.ExpiresAt.IsZero() {
		d.Until = m.ExpiresAt.Add(destroyGrace)
	}
	for i := range d.Recipients {
		if err := v.correctable(&d.Recipients[i]); err != nil {
			return d, err
		}
	}
	if d.Trace, d.Way, err = wayOf(v.tx, m); err != nil {
		return d, err
	}
	events, err := v.tx.ListAuditOf(m.AccountID, m.ID, mostEvents)
	for _, e := range events {
		if e.Action == "envelope.report" {
			continue // it may be about the sender
		}
		until, _ := time.Parse(time.RFC3339, e.Detail["until"])
		d.Activity = append(d.Activity, Event{
			Until: until,
			At:    e.At, Actor: e.Actor, Action: e.Action, Refused: e.Outcome == store.Refused,
			Reason: e.Detail["reason"], Recipient: e.Detail["recipient"], Ref: e.Detail["ref"], To: e.Detail["to"], Origin: e.Origin,
		})
	}
	return d, err
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

	blind bool // for who may not see what people wrote: no card and no reason is opened
}

type openedEpoch struct {
	epochKey
	destroyed bool
}

type viewRow struct {
	SentRow
	note, reason string
}

// correctable finds out whether the letter of what bounced is still there.
func (v *view) correctable(r *SentRecipient) error {
	if r.Delivery != store.DeliveryBounced || r.State != StateActive || r.Openings > 0 {
		return nil
	}
	row, err := v.tx.FindLetterState(r.SlotID)
	r.CanCorrect = row == store.OutboxHeld
	return err
}

func (s *Service) newView(tx *store.Tx) (*view, error) {
	mark, err := tx.ClockMark()
	return &view{s: s, tx: tx, now: later(tx.Now, mark), keys: make(map[[2]int64]openedEpoch)}, err
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
			ExpiresAt: slot.ExpiresAt,
			Locked:    !slot.LockedAt.IsZero(), Delivery: slot.Delivery, DeliveredAt: slot.DeliveredAt, DeliveryText: slot.DeliveryText,
			FirstOpenedAt: slot.FirstOpenedAt, LastOpenedAt: slot.LastOpenedAt, Openings: int(slot.Openings),
		})
		if slot.Openings > 0 {
			r.Opened++
		}
		if slot.Delivery == store.DeliveryBounced {
			r.Bounced++
		}
	}
	if epoch.destroyed || len(m.Card) == 0 || v.blind {
		return r, nil
	}
	c, err := epoch.openCard(m)
	if err != nil {
		return r, err
	}
	r.Subject, r.note = c.Subject, c.Note
	if r.reason, err = epoch.openReason(m.ID, m.LockBox); err != nil {
		return r, err
	}
	for i, slot := range slots {
		if r.Recipients[i].Reason, err = epoch.openReason(slot.ID, slot.LockBox); err != nil {
			return r, err
		}
	}
	return r, nil
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
