package store

import "database/sql"

// ListMessagesFor returns the newest messages to an address, and those of a user,
// "" for nobody, of all accounts: for what is asked for rarely.
func (tx *Tx) ListMessagesFor(address, senderID string, limit int) ([]Message, error) {
	rows, err := tx.rows(`SELECT `+messageColumns+` FROM messages m WHERE m.id IN
		(SELECT message_id FROM (SELECT message_id FROM slots WHERE address = $1 ORDER BY sealed_at DESC LIMIT $2) AS received)
		ORDER BY m.sealed_at DESC, m.id DESC`, address, limit)
	out, err := list(rows, err, scanMessage)
	if err != nil || senderID == "" {
		return out, err
	}
	rows, err = tx.rows(`SELECT `+messageColumns+` FROM messages m WHERE m.sender_id = $1 ORDER BY m.sealed_at DESC, m.id DESC LIMIT $2`, senderID, limit)
	sent, err := list(rows, err, scanMessage)
	return append(out, sent...), err
}

// ListLettersFor returns the letters of a message, and those to an address that are
// none of a message: codes, invitations.
func (tx *Tx) ListLettersFor(messageID, address string, limit int) ([]OutboxRow, error) {
	rows, err := tx.rows(`SELECT `+outboxColumns+` FROM outbox
		WHERE slot_id IN (SELECT id FROM slots WHERE message_id = $1) OR (COALESCE(slot_id, '') = '' AND rcpt = $2) ORDER BY created_at DESC, id DESC LIMIT $3`, messageID, address, limit)
	return list(rows, err, func(r *sql.Rows) (OutboxRow, error) { return scanOutbox(r) })
}
