package store

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Carriers of a message.
const (
	CarrierMail    = "mail"    // the outbox delivers it
	CarrierFile    = "file"    // the sender holds the file
	CarrierThrough = "through" // the gateway hands it on while the upstream waits
)

// Message is one sealed message. Card is sealed: this package cannot read it.
type Message struct {
	ID            string // of the envelope, hex
	AccountID     int64
	SenderID      string // "": the sender's user was deleted
	SenderAddress string // canonical
	SenderName    string
	Verified      bool
	Card          []byte
	MH            []byte
	HH, PH        []byte    // 32 bytes
	Seal          []byte    // 64 bytes
	PayloadSize   int64     // bytes
	Payload       string    // name of the kept ciphertext, of a blob or of a row (IsRow), "" = none
	PayloadUntil  time.Time // of its large files, too; zero when Payload is "" and there are none
	Epoch         int64     // month of the epoch key
	NotifyOpened  bool
	SealedAt      time.Time
	ExpiresAt     time.Time // zero: never
	LockedAt      time.Time // zero: not locked
	Carrier       string
	Transit       string    // trace id of its way through the gateway, "" = it did not come that way
	Policy        string    // JSON of what the sender or a rule allows, "" = nothing said
	RemindAt      time.Time // when the sender is told who has not opened it; zero: not, or done
	RecalledAt    time.Time // zero: not withdrawn
	DestroyedAt   time.Time // when the Box of all its slots was emptied; zero: it was not
	LockBox       []byte    // why it is locked, sealed; empty: not said
	Intake        string    // id of the intake that it answers, "" = none: its sender is somebody outside
	Proved        bool      // the sender of an answer, who is not of the account, proved their address by a code
}

const messageColumns = `m.id, m.account_id, m.sender_id, m.sender_address, m.sender_name, m.verified, m.card_box, m.mh, m.hh, m.ph, m.seal,
	m.payload_size, m.payload, m.payload_until, m.epoch, m.notify_opened, m.sealed_at, m.expires_at, m.locked_at, m.carrier, m.transit, m.policy,
	m.remind_at, m.recalled_at, m.destroyed_at, m.lock_box, m.intake, m.proved`

// messageScan holds what needs turning into the fields of a Message.
type messageScan struct {
	sender                               sql.NullString
	verified, notify, proved             int64
	until, sealedAt, expiresAt, lockedAt int64
	remindAt, recalledAt, destroyedAt    int64
}

func (s *messageScan) into(m *Message) []any {
	return []any{&m.ID, &m.AccountID, &s.sender, &m.SenderAddress, &m.SenderName, &s.verified, &m.Card, &m.MH, &m.HH, &m.PH, &m.Seal,
		&m.PayloadSize, &m.Payload, &s.until, &m.Epoch, &s.notify, &s.sealedAt, &s.expiresAt, &s.lockedAt, &m.Carrier, &m.Transit, &m.Policy,
		&s.remindAt, &s.recalledAt, &s.destroyedAt, &m.LockBox, &m.Intake, &s.proved}
}

func (s *messageScan) finish(m *Message) {
	m.SenderID, m.Verified, m.NotifyOpened, m.Proved = s.sender.String, s.verified == 1, s.notify == 1, s.proved == 1
	m.PayloadUntil, m.SealedAt, m.ExpiresAt, m.LockedAt = fromMs(s.until), fromMs(s.sealedAt), fromMs(s.expiresAt), fromMs(s.lockedAt)
	m.RemindAt, m.RecalledAt, m.DestroyedAt = fromMs(s.remindAt), fromMs(s.recalledAt), fromMs(s.destroyedAt)
}

// InsertMessage writes m, sealed at the transaction's time. An id that is
// already in use gives ErrTaken.
func (tx *Tx) InsertMessage(m Message) error {
	_, err := tx.exec(`INSERT INTO messages (id, account_id, sender_id, sender_address, sender_name, verified, card_box, mh, hh, ph, seal,
			payload_size, payload, payload_until, epoch, notify_opened, sealed_at, expires_at, locked_at, carrier, transit, policy, remind_at,
			intake, proved)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0, $19, $20, $21, $22, $23, $24)`,
		m.ID, m.AccountID, text(m.SenderID), m.SenderAddress, m.SenderName, flag(m.Verified), m.Card, m.MH, m.HH, m.PH, m.Seal,
		m.PayloadSize, m.Payload, ms(m.PayloadUntil), m.Epoch, flag(m.NotifyOpened), ms(tx.Now), ms(m.ExpiresAt), m.Carrier, m.Transit, m.Policy, ms(m.RemindAt),
		m.Intake, flag(m.Proved))
	return err
}

// DeleteMessage removes a message with its slots and the payload row that it
// names, as if it had never been sealed.
func (tx *Tx) DeleteMessage(m Message) error {
	if IsRow(m.Payload) {
		if err := tx.deletePayload(m.Payload); err != nil {
			return err
		}
	}
	if _, err := tx.exec(`DELETE FROM slots WHERE message_id = $1`, m.ID); err != nil {
		return err
	}
	n, err := tx.exec(`DELETE FROM messages WHERE id = $1`, m.ID)
	if err != nil || n == 0 {
		return err
	}
	return tx.addUsage(m.AccountID, Usage{Bytes: -m.keptBytes(), Envelopes: -1}, usageDay(m.SealedAt), false)
}

// keptBytes is how much of the message's ciphertext is kept.
func (m Message) keptBytes() int64 {
	if m.Payload == "" {
		return 0
	}
	return m.PayloadSize
}

// FindMessage returns one message.
func (tx *Tx) FindMessage(id string) (Message, error) {
	var m Message
	var s messageScan
	err := tx.row(`SELECT `+messageColumns+` FROM messages m WHERE m.id = $1`, id).Scan(s.into(&m)...)
	s.finish(&m)
	return m, found(err)
}

// KeptPayload is the ciphertext of one message.
type KeptPayload struct{ MessageID, Name string }

// ListPayloadsDue returns kept ciphertext whose time has passed, of messages
// none of whose mails waits to be sent, or is being handed on.
func (tx *Tx) ListPayloadsDue(now time.Time, limit int) ([]KeptPayload, error) {
	rows, err := tx.rows(`SELECT m.id, m.payload FROM messages m
		WHERE m.payload_until > 0 AND m.payload_until <= $1 AND m.payload <> ''
			AND NOT EXISTS (SELECT 1 FROM slots s JOIN outbox o ON o.slot_id = s.id WHERE s.message_id = m.id
				AND (o.state = 'waiting' OR o.state = 'held' AND m.destroyed_at = 0 AND (m.expires_at = 0 OR m.expires_at > $1)))
			AND NOT (m.sealed_at > $3 AND EXISTS (SELECT 1 FROM slots s WHERE s.message_id = m.id AND s.delivery = 'passing'))
		ORDER BY m.payload_until LIMIT $2`, ms(now), limit, ms(now.Add(-time.Hour)))
	return list(rows, err, func(r *sql.Rows) (p KeptPayload, err error) {
		err = r.Scan(&p.MessageID, &p.Name)
		return p, err
	})
}

// DropPayload forgets where a message's ciphertext is kept. It reports false
// when another node has done so already. A payload that is a row goes with it.
func (tx *Tx) DropPayload(p KeptPayload) (bool, error) {
	n, err := tx.exec(`UPDATE messages SET payload = '', payload_until = 0 WHERE id = $1 AND payload = $2`, p.MessageID, p.Name)
	if err == nil && n == 1 && IsRow(p.Name) {
		err = tx.deletePayload(p.Name)
	}
	if err == nil && n == 1 {
		m, err := tx.FindMessage(p.MessageID)
		if err != nil {
			return true, err
		}
		return true, tx.AddUsage(m.AccountID, Usage{Bytes: -m.PayloadSize}, false)
	}
	return n == 1, err
}

// BlobColumn is a column that names blobs, ” for none.
type BlobColumn struct {
	Table, Column string
	passing       bool // not in backups: made again by who asks for it
}

// BlobColumns are all of them: a blob that none names is removed from the disk.
var BlobColumns = []BlobColumn{
	{Table: "messages", Column: "payload"},
	{Table: "stages", Column: "blob"},
	{Table: "outbox", Column: "blob"},
	{Table: "draft_files", Column: "blob"},
	{Table: "large_parts", Column: "blob"},
	{Table: "account_exports", Column: "blob", passing: true},
}

// HasBlob reports whether something names this blob.
func (tx *Tx) HasBlob(name string) (bool, error) {
	counts := make([]string, len(BlobColumns))
	for i, c := range BlobColumns {
		counts[i] = "(SELECT COUNT(*) FROM " + c.Table + " WHERE " + c.Column + " = $1)"
	}
	var n int
	err := tx.row("SELECT "+strings.Join(counts, " + "), name).Scan(&n)
	return n > 0, err
}

// among writes "($from, $from+1, …)" for an IN over the values.
func among(values []string, from int) (string, []any) {
	var b strings.Builder
	args := make([]any, len(values))
	for i, v := range values {
		sep := byte(',')
		if i == 0 {
			sep = '('
		}
		b.WriteByte(sep)
		fmt.Fprintf(&b, "$%d", from+i)
		args[i] = v
	}
	b.WriteByte(')')
	return b.String(), args
}
