package store

import (
	"database/sql"
	"fmt"
	"time"
)

// SentFilter is what ListSent may be narrowed to.
type SentFilter int

// The filters of ListSent.
const (
	SentAll       SentFilter = iota
	SentNotOpened            // by nobody
	SentOpened               // by somebody
	SentLocked               // as a whole, or for somebody
	SentExpired
)

var sentWhere = map[SentFilter]string{
	SentAll:       ``,
	SentNotOpened: ` AND m.opened = 0`,
	SentOpened:    ` AND m.opened = 1`,
	SentLocked:    ` AND m.part_locked = 1`,
	SentExpired:   ` AND m.ended = 1`,
}

// SentQuery chooses messages of one sender. Zero fields choose nothing.
type SentQuery struct {
	SenderID    string
	Filter      SentFilter
	Now         time.Time // that SentExpired compares with
	From, Until time.Time // sealed from then on, and before then
	Address     string    // canonical, of a recipient
	Beginning   string    // of recipients' canonical addresses; not with Address
	MessageID   string
	BeforeTime  time.Time // and BeforeID: of the message after which to go on; zero begins with the newest
	BeforeID    string
	Limit       int
}

// SentCard is what a search reads of a message: when its card may match, or an
// address does, the whole message is asked for.
type SentCard struct {
	Message            // ID, AccountID, Epoch, SealedAt and Card only
	Addresses []string // as the sender wrote them
}

// MostBeginning is how many slots ListSent looks up by the beginning of their
// address. Of one that more have, CountBeginning says so, and most messages do.
const MostBeginning = 500

// ListSent returns a sender's messages, newest first. Every state, and one
// recipient, is found by an index that has the messages in this order.
func (tx *Tx) ListSent(q SentQuery) ([]Message, error) {
	query, args := tx.sent(q, messageColumns)
	rows, err := tx.rows(query, args...)
	return list(rows, err, scanMessage)
}

// ListSentCards is ListSent for a search.
func (tx *Tx) ListSentCards(q SentQuery) ([]SentCard, error) {
	query, args := tx.sent(q, `m.id, m.account_id, m.epoch, m.sealed_at, m.card_box`)
	rows, err := tx.rows(query, args...)
	cards, err := list(rows, err, func(r *sql.Rows) (c SentCard, err error) {
		var at int64
		err = r.Scan(&c.ID, &c.AccountID, &c.Epoch, &at, &c.Card)
		c.SealedAt = fromMs(at)
		return c, err
	})
	if err != nil || len(cards) == 0 {
		return nil, err
	}
	ids := make([]string, len(cards))
	byID := make(map[string]*SentCard, len(cards))
	for i := range cards {
		ids[i] = cards[i].ID
		byID[ids[i]] = &cards[i]
	}
	in, args := among(ids, 1)
	rows, err = tx.rows(`SELECT s.message_id, s.display_address FROM slots s WHERE s.message_id IN `+in, args...)
	_, err = list(rows, err, func(r *sql.Rows) (address string, err error) {
		var id string
		err = r.Scan(&id, &address)
		if c := byID[id]; c != nil {
			c.Addresses = append(c.Addresses, address)
		}
		return address, err
	})
	return cards, err
}

// ListMessages returns messages by their ids, newest first.
func (tx *Tx) ListMessages(ids ...string) ([]Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	in, args := among(ids, 1)
	rows, err := tx.rows(`SELECT `+messageColumns+` FROM messages m WHERE m.id IN `+in+` ORDER BY m.sealed_at DESC, m.id DESC`, args...)
	return list(rows, err, scanMessage)
}

// CountBeginning returns how many slots of a sender have an address that begins
// so, MostBeginning + 1 at most.
func (tx *Tx) CountBeginning(senderID, beginning string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM (SELECT 1 AS one FROM slots k WHERE k.sender_id <> '' AND k.sender_id = $1 AND `+
		begins("k.address", "$2", "$3")+` LIMIT $4) AS those`,
		senderID, beginning, below(beginning), MostBeginning+1).Scan(&n)
	return n, err
}

// MarkEnded marks messages whose end has come by now, and returns how many.
func (tx *Tx) MarkEnded(now time.Time, limit int) (int64, error) {
	return tx.exec(`UPDATE messages SET ended = 1 WHERE id IN (
			SELECT id FROM messages WHERE ended = 0 AND expires_at > 0 AND expires_at <= $1 ORDER BY expires_at LIMIT $2)
		AND ended = 0 AND expires_at > 0 AND expires_at <= $1`, ms(now), limit)
}

// sent is the statement that reads columns of what q chooses, and its arguments.
func (tx *Tx) sent(q SentQuery, columns string) (string, []any) {
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	t, id, from, where := "m.sealed_at", "m.id", "messages m", ""
	sender := arg(q.SenderID)
	switch {
	case q.Address != "":
		t, id, from = "k.sealed_at", "k.message_id", "slots k JOIN messages m ON m.id = k.message_id"
		where = "k.sender_id <> '' AND k.sender_id = " + sender + " AND k.address = " + arg(q.Address) + " AND m.sender_id = k.sender_id"
	case q.Beginning != "":
		t, id = "k.sealed_at", "k.message_id"
		from = `(SELECT DISTINCT k.message_id, k.sealed_at FROM slots k WHERE k.sender_id <> '' AND k.sender_id = ` + sender + ` AND ` +
			begins("k.address", arg(q.Beginning), arg(below(q.Beginning))) +
			`) AS k JOIN messages m ON m.id = k.message_id`
		where = "m.sender_id = " + sender
	default:
		where = "m.sender_id = " + sender
	}
	narrow := ""
	if q.MessageID != "" {
		narrow += " AND " + id + " = " + arg(q.MessageID)
	}
	if !q.BeforeTime.IsZero() {
		at := arg(ms(q.BeforeTime))
		narrow += " AND " + t + " <= " + at + " AND (" + t + " < " + at + " OR " + id + " < " + arg(q.BeforeID) + ")"
	}
	if !q.From.IsZero() {
		narrow += " AND " + t + " >= " + arg(ms(q.From))
	}
	if !q.Until.IsZero() {
		narrow += " AND " + t + " < " + arg(ms(q.Until))
	}
	order := ` ORDER BY ` + t + ` DESC, ` + id + ` DESC LIMIT ` + arg(q.Limit)
	if q.Filter != SentExpired {
		return `SELECT ` + columns + ` FROM ` + from + ` WHERE ` + where + sentWhere[q.Filter] + narrow + order, args
	}
	now := arg(ms(q.Now))
	if q.Address != "" || q.Beginning != "" {
		return `SELECT ` + columns + ` FROM ` + from + ` WHERE ` + where + narrow +
			` AND (m.ended = 1 OR m.expires_at > 0 AND m.expires_at <= ` + now + `)` + order, args
	}
	// What has ended since the last sweep is little, and found by its end; COALESCE keeps an engine from looking by sender.
	return `SELECT ` + columns + ` FROM messages m WHERE m.id IN (
			SELECT id FROM (SELECT m.id FROM messages m WHERE ` + where + sentWhere[SentExpired] + narrow + order + `) AS marked
			UNION ALL SELECT id FROM (SELECT m.id FROM messages m WHERE COALESCE(m.sender_id, '') = ` + sender + ` AND m.ended = 0
				AND m.expires_at > 0 AND m.expires_at <= ` + now + narrow + order + `) AS due)` + order, args
}

func scanMessage(r *sql.Rows) (m Message, err error) {
	var s messageScan
	err = r.Scan(s.into(&m)...)
	s.finish(&m)
	return m, err
}

// HoldMessage returns a message with its slots, and keeps both from every
// release, lock and other act until the transaction ends. Slots are taken
// first, by id, because a release takes its slot before the message.
func (tx *Tx) HoldMessage(messageID string) (Message, []Slot, error) {
	rows, err := tx.rows(`SELECT `+slotColumns+` FROM slots s WHERE s.message_id = $1 ORDER BY s.id`+tx.dialect.forUpdate, messageID)
	slots, err := list(rows, err, scanSlot)
	if err != nil {
		return Message{}, nil, err
	}
	var m Message
	var s messageScan
	err = tx.row(`SELECT `+messageColumns+` FROM messages m WHERE m.id = $1`+tx.dialect.forUpdate, messageID).Scan(s.into(&m)...)
	s.finish(&m)
	return m, slots, found(err)
}

// SaveMessage writes what acts on a message change: its end, until when its
// payload is kept, its month with the boxes that the month's key seals, its
// lock, whether a slot is locked, its reminder, its withdrawal and its
// destruction. The caller holds it.
func (tx *Tx) SaveMessage(m Message, partLocked bool) error {
	_, err := tx.exec(`UPDATE messages SET expires_at = $2, payload_until = $3, epoch = $4, card_box = $5, locked_at = $6, lock_box = $7,
			part_locked = $8, remind_at = $9, recalled_at = $10, destroyed_at = $11, ended = $12 WHERE id = $1`,
		m.ID, ms(m.ExpiresAt), ms(m.PayloadUntil), m.Epoch, bytesOf(m.Card), ms(m.LockedAt), m.LockBox,
		flag(partLocked), ms(m.RemindAt), ms(m.RecalledAt), ms(m.DestroyedAt),
		flag(!m.RecalledAt.IsZero() || !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(tx.Now)))
	return err
}

// SaveSlot writes what acts on a slot change: address, S, lock, end,
// withdrawal and delivery. The caller holds it.
func (tx *Tx) SaveSlot(s Slot) error {
	_, err := tx.exec(`UPDATE slots SET address = $2, display_address = $3, s_box = $4, locked_at = $5, lock_box = $6, expires_at = $7,
			recalled_at = $8, delivery = $9, delivery_text = $10 WHERE id = $1`,
		s.ID, s.Address, s.DisplayAddress, bytesOf(s.Box), ms(s.LockedAt), s.LockBox, ms(s.ExpiresAt), ms(s.RecalledAt), s.Delivery, s.DeliveryText)
	return err
}

// ListEnded returns the ids after one ("" begins) of messages that have ended by
// the given time, as a whole or for a recipient, and whose S are still there.
func (tx *Tx) ListEnded(by time.Time, after string, limit int) ([]string, error) {
	rows, err := tx.rows(`SELECT id FROM (
			SELECT m.id FROM messages m WHERE m.expires_at > 0 AND m.expires_at <= $1 AND m.destroyed_at = 0
			UNION SELECT s.message_id FROM slots s WHERE s.expires_at > 0 AND s.expires_at <= $1 AND LENGTH(s.s_box) > 0) AS ended
		WHERE id > $2 ORDER BY id LIMIT $3`, ms(by), after, limit)
	return list(rows, err, scanText)
}

// ListReminders returns the ids after one ("" begins) of messages whose sender is
// to be reminded by now.
func (tx *Tx) ListReminders(now time.Time, after string, limit int) ([]string, error) {
	rows, err := tx.rows(`SELECT id FROM messages WHERE remind_at > 0 AND remind_at <= $1 AND id > $2 ORDER BY id LIMIT $3`, ms(now), after, limit)
	return list(rows, err, scanText)
}

// DeleteRecords removes messages of an account, with their slots, whose content
// was destroyed before the given time, and returns how many.
func (tx *Tx) DeleteRecords(account int64, before time.Time, limit int) (int64, error) {
	const old = `SELECT id FROM messages WHERE account_id = $1 AND destroyed_at > 0 AND destroyed_at < $2 AND payload = '' ORDER BY destroyed_at, id LIMIT $3`
	if _, err := tx.exec(`DELETE FROM slots WHERE message_id IN (`+old+`)`, account, ms(before), limit); err != nil {
		return 0, err
	}
	return tx.exec(`DELETE FROM messages WHERE id IN (`+old+`)`, account, ms(before), limit)
}

func scanText(r *sql.Rows) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// bytesOf is b where it may not be NULL: an empty value is read as nil.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
