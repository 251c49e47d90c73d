package store

import (
	"database/sql"
	"time"
)

// Deliveries of a slot's mail.
const (
	DeliveryNone    = "none" // the sender holds the file
	DeliveryQueued  = "queued"
	DeliveryPassing = "passing" // handed to the next hop; its answer has not been recorded
	DeliverySent    = "sent"
	DeliveryBounced = "bounced"
)

// Slot is one recipient's part of a message. Box is S, sealed: this package
// cannot read it.
type Slot struct {
	ID             string // of the envelope, hex
	MessageID      string
	Ref            string // six characters
	Address        string // canonical
	DisplayAddress string
	RH             []byte
	Wrap           []byte // 48 bytes
	Box            []byte // empty once shredded
	Pop            []byte // 32 bytes
	LockedAt       time.Time
	Delivery       string
	DeliveredAt    time.Time
	DeliveryText   string // what the next hop said, on a bounce
	FirstOpenedAt  time.Time
	LastOpenedAt   time.Time
	Openings       int64
}

const slotColumns = `s.id, s.message_id, s.ref, s.address, s.display_address, s.rh, s.wrap, s.s_box, s.pop, s.locked_at,
	s.delivery, s.delivered_at, s.delivery_text, s.first_opened_at, s.last_opened_at, s.openings`

// slotScan holds what needs turning into the fields of a Slot.
type slotScan struct{ locked, delivered, first, last int64 }

func (c *slotScan) into(s *Slot) []any {
	return []any{&s.ID, &s.MessageID, &s.Ref, &s.Address, &s.DisplayAddress, &s.RH, &s.Wrap, &s.Box, &s.Pop, &c.locked,
		&s.Delivery, &c.delivered, &s.DeliveryText, &c.first, &c.last, &s.Openings}
}

func (c *slotScan) finish(s *Slot) {
	s.LockedAt, s.DeliveredAt, s.FirstOpenedAt, s.LastOpenedAt = fromMs(c.locked), fromMs(c.delivered), fromMs(c.first), fromMs(c.last)
}

// InsertSlot writes s, not opened and not locked. An id or reference that is
// already in use gives ErrTaken.
func (tx *Tx) InsertSlot(s Slot) error {
	_, err := tx.exec(`INSERT INTO slots (id, message_id, ref, address, display_address, rh, wrap, s_box, pop, locked_at,
			delivery, delivered_at, delivery_text, first_opened_at, last_opened_at, openings)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, '', 0, 0, 0)`,
		s.ID, s.MessageID, s.Ref, s.Address, s.DisplayAddress, s.RH, s.Wrap, s.Box, s.Pop, s.Delivery)
	return err
}

// HasSlot reports whether a slot id is in use.
func (tx *Tx) HasSlot(id string) (bool, error) {
	var n int
	err := tx.row(`SELECT COUNT(*) FROM slots WHERE id = $1`, id).Scan(&n)
	return n > 0, err
}

// FindMessageOfRef returns the id of the message that a reference belongs to.
func (tx *Tx) FindMessageOfRef(ref string) (messageID string, err error) {
	err = tx.row(`SELECT message_id FROM slots WHERE ref = $1`, ref).Scan(&messageID)
	return messageID, found(err)
}

// ListSlots returns the slots of some messages, by message and address.
func (tx *Tx) ListSlots(messageIDs ...string) ([]Slot, error) {
	if len(messageIDs) == 0 {
		return nil, nil
	}
	in, args := among(messageIDs, 1)
	rows, err := tx.rows(`SELECT `+slotColumns+` FROM slots s WHERE s.message_id IN `+in+` ORDER BY s.message_id, s.address, s.id`, args...)
	return list(rows, err, func(r *sql.Rows) (s Slot, err error) {
		var c slotScan
		err = r.Scan(c.into(&s)...)
		c.finish(&s)
		return s, err
	})
}

// SetSlotLock locks a slot of a message at the given time, or unlocks it with
// the zero time. A message that has no such slot gives ErrNotFound.
func (tx *Tx) SetSlotLock(id, messageID string, at time.Time) error {
	n, err := tx.exec(`UPDATE slots SET locked_at = $3 WHERE id = $1 AND message_id = $2`, id, messageID, ms(at))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// CountOpening counts one opening of a slot at the transaction's time.
func (tx *Tx) CountOpening(id string) error {
	_, err := tx.exec(`UPDATE slots SET openings = openings + 1, last_opened_at = $2,
		first_opened_at = CASE WHEN first_opened_at = 0 THEN $2 ELSE first_opened_at END WHERE id = $1`, id, ms(tx.Now))
	return err
}

// Opening is all that decides whether a session may open a slot, as it is in
// one instant.
type Opening struct {
	Slot         Slot
	Message      Message
	Organisation string // name of the message's account
	Settings     string // of the message's account, JSON of policy.Settings
	Epoch        EpochKey
	AccountKey   []byte    // sealed, of Epoch.Version
	Seen         time.Time // high-water mark of the clock

	Session     bool // there is one; below is its row
	Scope       string
	Proven      string // canonical address, "" = none
	Nonce       string // hex
	SessionEnds time.Time
	Method      string    // what the session was proved by
	SecondAt    time.Time // when a second factor was last proved in it
	UserAddress string    // canonical, "" = a visitor
	UserState   string
	UserManaged bool // an administrator typed their first password
	Alias       bool // the slot's address is a further one that the user proved
	Possession  bool
	Remembered  bool // possession was proved in a browser that is remembered for the slot's address
}

// The session's columns come from outer joins: a slot is found whoever asks.
const openingQuery = `SELECT ` + slotColumns + `, ` + messageColumns + `, a.name, a.settings,
	COALESCE(e.version, 0), e.key_box, COALESCE(e.destroyed_at, 0), k.key_box,
	COALESCE((SELECT until FROM throttles WHERE name = '` + clockMark + `'), 0),
	v.scope, COALESCE(v.address, ''), COALESCE(v.nonce, ''), COALESCE(v.expires_at, 0), COALESCE(v.method, ''), COALESCE(v.second_at, 0),
	COALESCE(u.address, ''), COALESCE(u.state, ''), COALESCE(u.managed, 1), l.user_id, p.slot_id, COALESCE(r.seen_at, 0)
	FROM slots s
	JOIN messages m ON m.id = s.message_id
	JOIN accounts a ON a.id = m.account_id
	LEFT JOIN epoch_keys e ON e.account_id = m.account_id AND e.month = m.epoch
	LEFT JOIN account_keys k ON k.account_id = m.account_id AND k.version = e.version
	LEFT JOIN sessions v ON v.token_hash = $2
	LEFT JOIN users u ON u.id = v.user_id
	LEFT JOIN aliases l ON l.address = s.address AND l.user_id = v.user_id
	LEFT JOIN possessions p ON p.token_hash = $2 AND p.slot_id = s.id
	LEFT JOIN remembered r ON r.token_hash = p.device AND r.address = s.address
	WHERE s.`

// FindOpening returns the slot with that id as the session sees it.
func (tx *Tx) FindOpening(slotID, session string) (Opening, error) {
	return tx.findOpening(`id = $1`, slotID, session)
}

// FindOpeningByRef returns the slot with that reference as the session sees it.
func (tx *Tx) FindOpeningByRef(ref, session string) (Opening, error) {
	return tx.findOpening(`ref = $1`, ref, session)
}

// LockOpening is FindOpening that holds the slot and its message until the
// transaction ends: a lock that commits meanwhile is waited for and seen.
func (tx *Tx) LockOpening(slotID, session string) (Opening, error) {
	suffix := tx.dialect.forUpdate
	if suffix != "" {
		suffix += " OF s, m" // the others are read, and may be on the outer side of a join
	}
	return tx.findOpening(`id = $1`+suffix, slotID, session)
}

func (tx *Tx) findOpening(where, value, session string) (Opening, error) {
	var o Opening
	var slot slotScan
	var message messageScan
	var destroyed, seen, ends, second, managed, remembered int64
	var scope, alias, possession sql.NullString
	dest := append(slot.into(&o.Slot), message.into(&o.Message)...)
	dest = append(dest, &o.Organisation, &o.Settings, &o.Epoch.Version, &o.Epoch.Box, &destroyed, &o.AccountKey, &seen,
		&scope, &o.Proven, &o.Nonce, &ends, &o.Method, &second, &o.UserAddress, &o.UserState, &managed, &alias, &possession, &remembered)
	if err := tx.row(openingQuery+where, value, session).Scan(dest...); err != nil {
		return Opening{}, found(err)
	}
	slot.finish(&o.Slot)
	message.finish(&o.Message)
	o.Epoch.AccountID, o.Epoch.Month, o.Epoch.DestroyedAt = o.Message.AccountID, o.Message.Epoch, fromMs(destroyed)
	o.Seen, o.SessionEnds, o.SecondAt = fromMs(seen), fromMs(ends), fromMs(second)
	o.Session, o.Scope, o.UserManaged, o.Alias, o.Possession = scope.Valid, scope.String, managed != 0, alias.Valid, possession.Valid
	o.Remembered = fromMs(remembered).Add(RememberLimit).After(tx.Now)
	return o, nil
}
