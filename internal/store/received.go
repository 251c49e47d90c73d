package store

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// ReceivedQuery chooses slots of one address.
type ReceivedQuery struct {
	Address    string    // canonical
	Text       string    // "" = any; part of the sender's name or address, or a reference
	BeforeTime time.Time // and BeforeID: of the slot after which to go on; zero begins with the newest
	BeforeID   string
	Limit      int
}

// Received is a slot with its message, for its recipient.
type Received struct {
	Slot         Slot
	Message      Message
	Organisation string
	Settings     string // of its account, as in Account
	Brand        string // of its account, JSON of brand.Brand
	Destroyed    bool   // the key of its month is
}

// receivedWhere is Slot.Listed.
const receivedWhere = `s.address = $1 AND (s.delivery IN ('` + DeliverySent + `', '` + DeliveryPassing + `', '` + DeliveryNone + `') OR s.openings > 0)`

// ListReceived returns what was sealed to an address, newest first.
func (tx *Tx) ListReceived(q ReceivedQuery) ([]Received, error) {
	where, args := receivedWhere, []any{q.Address}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if !q.BeforeTime.IsZero() {
		at := arg(ms(q.BeforeTime))
		where += " AND s.sealed_at <= " + at + " AND (s.sealed_at < " + at + " OR s.id < " + arg(q.BeforeID) + ")"
	}
	if q.Text != "" {
		// SQLite lowers ASCII letters only: a name is also looked for as it was typed.
		lower := arg("%" + pattern(strings.ToLower(q.Text)))
		where += " AND (m.sender_address LIKE " + lower + " ESCAPE '!' OR LOWER(m.sender_name) LIKE " + lower +
			" ESCAPE '!' OR m.sender_name LIKE " + arg("%"+pattern(q.Text)) + " ESCAPE '!' OR LOWER(a.name) LIKE " + lower +
			" ESCAPE '!' OR s.ref = " + arg(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(q.Text))) + ")"
	}
	rows, err := tx.rows(`SELECT `+slotColumns+`, `+messageColumns+`, a.name, `+layers("a")+`, a.brand, COALESCE(e.destroyed_at, 0)
		FROM slots s
		JOIN messages m ON m.id = s.message_id
		JOIN accounts a ON a.id = m.account_id
		LEFT JOIN epoch_keys e ON e.account_id = m.account_id AND e.month = m.epoch
		WHERE `+where+` ORDER BY s.sealed_at DESC, s.id DESC LIMIT `+arg(q.Limit), args...)
	return list(rows, err, func(r *sql.Rows) (v Received, err error) {
		var slot slotScan
		var message messageScan
		var destroyed int64
		err = r.Scan(append(append(slot.into(&v.Slot), message.into(&v.Message)...), &v.Organisation, &v.Settings, &v.Brand, &destroyed)...)
		slot.finish(&v.Slot)
		message.finish(&v.Message)
		v.Destroyed = destroyed > 0
		return v, err
	})
}

// CountReceived counts what was sealed to an address.
func (tx *Tx) CountReceived(address string) (n int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM slots s WHERE `+receivedWhere, address).Scan(&n)
	return n, err
}
