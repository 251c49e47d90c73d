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

	DeliveryWithdrawn = "withdrawn" // it never left: its sender took it back
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
	SenderID       string    // of the message, "" = not a user
	ExpiresAt      time.Time // this recipient's own end, which can only be before the message's; zero: the message's
	RecalledAt     time.Time // zero: not withdrawn
	LockBox        []byte    // why it is locked, sealed; empty: not said
	Answers        int64     // that this recipient has sent, and messages passed on
	Shown          bool      // the message names the address in To or Cc
}

// Listed reports whether the recipient's list shows it: what has not left its
// sender may still take back.
func (s *Slot) Listed() bool {
	return s.Openings > 0 || s.Delivery == DeliverySent || s.Delivery == DeliveryPassing || s.Delivery == DeliveryNone
}

const slotColumns = `s.id, s.message_id, s.ref, s.address, s.display_address, s.rh, s.wrap, s.s_box, s.pop, s.locked_at,
	s.delivery, s.delivered_at, s.delivery_text, s.first_opened_at, s.last_opened_at, s.openings,
	s.sender_id, s.expires_at, s.recalled_at, s.lock_box, s.answers, s.shown`

// slotScan holds what needs turning into the fields of a Slot.
type slotScan struct{ locked, delivered, first, last, expires, recalled, shown int64 }

func (c *slotScan) into(s *Slot) []any {
	return []any{&s.ID, &s.MessageID, &s.Ref, &s.Address, &s.DisplayAddress, &s.RH, &s.Wrap, &s.Box, &s.Pop, &c.locked,
		&s.Delivery, &c.delivered, &s.DeliveryText, &c.first, &c.last, &s.Openings,
		&s.SenderID, &c.expires, &c.recalled, &s.LockBox, &s.Answers, &c.shown}
}

func (c *slotScan) finish(s *Slot) {
	s.LockedAt, s.DeliveredAt, s.FirstOpenedAt, s.LastOpenedAt = fromMs(c.locked), fromMs(c.delivered), fromMs(c.first), fromMs(c.last)
	s.ExpiresAt, s.RecalledAt = fromMs(c.expires), fromMs(c.recalled)
	s.Shown = c.shown != 0
}

// InsertSlot writes s, not opened and not locked, of a message that is written
// in the same transaction. An id or reference that is
// already in use gives ErrTaken.
func (tx *Tx) InsertSlot(s Slot) error {
	_, err := tx.exec(`INSERT INTO slots (id, message_id, ref, address, display_address, rh, wrap, s_box, pop, locked_at,
			delivery, delivered_at, delivery_text, first_opened_at, last_opened_at, openings, sender_id, sealed_at, shown)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, '', 0, 0, 0, $11, $12, $13)`,
		s.ID, s.MessageID, s.Ref, s.Address, s.DisplayAddress, s.RH, s.Wrap, s.Box, s.Pop, s.Delivery, s.SenderID, ms(tx.Now), flag(s.Shown))
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
	return list(rows, err, scanSlot)
}

func scanSlot(r *sql.Rows) (s Slot, err error) {
	var c slotScan
	err = r.Scan(c.into(&s)...)
	c.finish(&s)
	return s, err
}

// CountOpening counts one opening of a slot at the transaction's time, together
// with the last one where that is less than visit ago. The caller holds the
// slot and its message.
func (tx *Tx) CountOpening(s Slot, visit time.Duration) error {
	if s.FirstOpenedAt.IsZero() {
		if _, err := tx.exec(`UPDATE messages SET opened = 1 WHERE id = $1 AND opened = 0`, s.MessageID); err != nil {
			return err
		}
	}
	_, err := tx.exec(`UPDATE slots SET openings = openings + CASE WHEN last_opened_at > $3 THEN 0 ELSE 1 END, last_opened_at = $2,
		first_opened_at = CASE WHEN first_opened_at = 0 THEN $2 ELSE first_opened_at END WHERE id = $1`, s.ID, ms(tx.Now), ms(tx.Now.Add(-visit)))
	return err
}

// CountReply counts one answer of a slot's recipient.
func (tx *Tx) CountReply(id string) error {
	_, err := tx.exec(`UPDATE slots SET answers = answers + 1 WHERE id = $1`, id)
	return err
}

// Opening is all that decides whether a session may open a slot, as it is in
// one instant.
type Opening struct {
	Slot         Slot
	Message      Message
	Organisation string // name of the message's account
	Settings     string // of the message's account, as in Account
	Brand        string // of the message's account, JSON of brand.Brand
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
	ReleasedAt  time.Time // when a high level's key was last released to the session
	Remembered  bool      // possession was proved in a browser that is remembered for the slot's address
}

// The session's columns come from outer joins: a slot is found whoever asks.
var openingQuery = `SELECT ` + slotColumns + `, ` + messageColumns + `, a.name, ` + layers("a") + `, a.brand,
	COALESCE(e.version, 0), e.key_box, COALESCE(e.destroyed_at, 0), k.key_box,
	COALESCE((SELECT until FROM throttles WHERE name = '` + clockMark + `'), 0),
	v.scope, COALESCE(v.address, ''), COALESCE(v.nonce, ''), COALESCE(v.expires_at, 0), COALESCE(v.method, ''), COALESCE(v.second_at, 0),
	COALESCE(u.address, ''), COALESCE(u.state, ''), COALESCE(u.managed, 1), l.user_id, p.slot_id, COALESCE(p.released_at, 0), COALESCE(r.seen_at, 0)
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
	o, err := tx.findOpening(`id = $1`+suffix, slotID, session)
	if err == nil && o.Epoch.Version == 0 {
		// The wait ended with a message that moved to another month: the key of
		// the month that was is not it. What is held now does not move any more.
		o, err = tx.findOpening(`id = $1`, slotID, session)
	}
	return o, err
}

func (tx *Tx) findOpening(where, value, session string) (Opening, error) {
	var o Opening
	var slot slotScan
	var message messageScan
	var destroyed, seen, ends, second, managed, released, remembered int64
	var scope, alias, possession sql.NullString
	dest := append(slot.into(&o.Slot), message.into(&o.Message)...)
	dest = append(dest, &o.Organisation, &o.Settings, &o.Brand, &o.Epoch.Version, &o.Epoch.Box, &destroyed, &o.AccountKey, &seen,
		&scope, &o.Proven, &o.Nonce, &ends, &o.Method, &second, &o.UserAddress, &o.UserState, &managed, &alias, &possession, &released, &remembered)
	if err := tx.row(openingQuery+where, value, session).Scan(dest...); err != nil {
		return Opening{}, found(err)
	}
	slot.finish(&o.Slot)
	message.finish(&o.Message)
	o.Epoch.AccountID, o.Epoch.Month, o.Epoch.DestroyedAt = o.Message.AccountID, o.Message.Epoch, fromMs(destroyed)
	o.Seen, o.SessionEnds, o.SecondAt, o.ReleasedAt = fromMs(seen), fromMs(ends), fromMs(second), fromMs(released)
	o.Session, o.Scope, o.UserManaged, o.Alias, o.Possession = scope.Valid, scope.String, managed != 0, alias.Valid, possession.Valid
	o.Remembered = fromMs(remembered).Add(RememberLimit).After(tx.Now)
	return o, nil
}
