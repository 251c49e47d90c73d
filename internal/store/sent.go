package store

import (
	"database/sql"
	"fmt"
	"strings"
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
	SentExpired:   ` AND (m.expires_at > 0 AND m.expires_at <= %s OR m.recalled_at > 0)`,
}

// SentQuery chooses messages of one sender. Zero fields choose nothing.
type SentQuery struct {
	SenderID    string
	Filter      SentFilter
	Now         time.Time // that SentExpired compares with
	From, Until time.Time // sealed from then on, and before then
	Address     string    // canonical, of a recipient
	MessageID   string
	BeforeTime  time.Time // and BeforeID: of the message after which to go on; zero begins with the newest
	BeforeID    string
	Limit       int
}

// ListSent returns a sender's messages, newest first. Those of one recipient
// are found by an index that has them in this order.
func (tx *Tx) ListSent(q SentQuery) ([]Message, error) {
	var where strings.Builder
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	t, id, from := "m.sealed_at", "m.id", "messages m"
	if q.Address == "" {
		where.WriteString("m.sender_id = " + arg(q.SenderID))
	} else {
		t, id, from = "k.sealed_at", "k.message_id", "slots k JOIN messages m ON m.id = k.message_id"
		where.WriteString("k.sender_id <> '' AND k.sender_id = " + arg(q.SenderID) + " AND k.address = " + arg(q.Address) + " AND m.sender_id = k.sender_id")
	}
	if q.MessageID != "" {
		where.WriteString(" AND " + id + " = " + arg(q.MessageID))
	}
	if !q.BeforeTime.IsZero() {
		at := arg(ms(q.BeforeTime))
		where.WriteString(" AND " + t + " <= " + at + " AND (" + t + " < " + at + " OR " + id + " < " + arg(q.BeforeID) + ")")
	}
	if !q.From.IsZero() {
		where.WriteString(" AND " + t + " >= " + arg(ms(q.From)))
	}
	if !q.Until.IsZero() {
		where.WriteString(" AND " + t + " < " + arg(ms(q.Until)))
	}
	if q.Filter == SentExpired {
		fmt.Fprintf(&where, sentWhere[q.Filter], arg(ms(q.Now)))
	} else {
		where.WriteString(sentWhere[q.Filter])
	}
	rows, err := tx.rows(`SELECT `+messageColumns+` FROM `+from+` WHERE `+where.String()+
		` ORDER BY `+t+` DESC, `+id+` DESC LIMIT `+arg(q.Limit), args...)
	return list(rows, err, scanMessage)
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
			part_locked = $8, remind_at = $9, recalled_at = $10, destroyed_at = $11 WHERE id = $1`,
		m.ID, ms(m.ExpiresAt), ms(m.PayloadUntil), m.Epoch, bytesOf(m.Card), ms(m.LockedAt), m.LockBox,
		flag(partLocked), ms(m.RemindAt), ms(m.RecalledAt), ms(m.DestroyedAt))
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

// ListEnded returns the ids of messages that have ended by the given time, as a
// whole or for a recipient, and whose S are still there.
func (tx *Tx) ListEnded(by time.Time, limit int) ([]string, error) {
	rows, err := tx.rows(`SELECT id FROM (
			SELECT m.id FROM messages m WHERE m.expires_at > 0 AND m.expires_at <= $1 AND m.destroyed_at = 0
			UNION SELECT s.message_id FROM slots s WHERE s.expires_at > 0 AND s.expires_at <= $1 AND LENGTH(s.s_box) > 0) AS ended
		ORDER BY id LIMIT $2`, ms(by), limit)
	return list(rows, err, scanText)
}

// ListReminders returns the ids of messages whose sender is to be reminded by now.
func (tx *Tx) ListReminders(now time.Time, limit int) ([]string, error) {
	rows, err := tx.rows(`SELECT id FROM messages WHERE remind_at > 0 AND remind_at <= $1 ORDER BY remind_at, id LIMIT $2`, ms(now), limit)
	return list(rows, err, scanText)
}

// ListSettings returns the settings of the accounts that have some, by number.
func (tx *Tx) ListSettings() (map[int64]string, error) {
	out := make(map[int64]string)
	rows, err := tx.rows(`SELECT id, settings FROM accounts WHERE settings <> ''`)
	_, err = list(rows, err, func(r *sql.Rows) (n int64, err error) {
		var text string
		err = r.Scan(&n, &text)
		out[n] = text
		return n, err
	})
	return out, err
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
