package store

import (
	"database/sql"
	"strings"
	"time"
)

// Kinds of the figures of messages.
const (
	ReportAll    = "all"
	ReportSender = "sender"
	ReportDomain = "domain" // of recipients
)

// ReportCount is what is known of the messages that were sealed on a day, of
// all, of one sender, or for one domain of recipients.
type ReportCount struct {
	AccountID  int64
	Kind       string
	Day        int64  // 20261126, in the account's time zone; 0 where several are added up
	Name       string // sender's address, or domain; "" of all
	Messages   int64
	Recipients int64
	Opened     int64 // of Recipients
	Failed     int64 // of Recipients
}

// PeopleCount is what happened to an account's people on a day.
type PeopleCount struct {
	AccountID int64
	Day       int64
	Invited   int64
	Added     int64
	Activated int64 // signed in for the first time
}

// ReportedSlot is what figures need of a slot and its message.
type ReportedSlot struct {
	ID, MessageID string
	Address       string
	Delivery      string
	OpenedAt      time.Time // first; zero: not
	Sender        string
	Carrier       string
	SealedAt      time.Time
}

// ListReportedSlots returns the slots of messages; what is gone is not among them.
func (tx *Tx) ListReportedSlots(messageIDs ...string) ([]ReportedSlot, error) {
	if len(messageIDs) == 0 {
		return nil, nil
	}
	in, args := among(messageIDs, 1)
	rows, err := tx.rows(`SELECT s.id, s.message_id, s.address, s.delivery, s.first_opened_at, m.sender_address, m.carrier, m.sealed_at
		FROM slots s JOIN messages m ON m.id = s.message_id WHERE s.message_id IN `+in+` ORDER BY s.message_id, s.id`, args...)
	return list(rows, err, func(r *sql.Rows) (s ReportedSlot, err error) {
		var opened, sealed int64
		err = r.Scan(&s.ID, &s.MessageID, &s.Address, &s.Delivery, &opened, &s.Sender, &s.Carrier, &sealed)
		s.OpenedAt, s.SealedAt = fromMs(opened), fromMs(sealed)
		return s, err
	})
}

// FirstSignIn is when the person with an address signed in for the first time.
func (tx *Tx) FirstSignIn(address string) (time.Time, error) {
	var at int64
	err := tx.row(`SELECT first_sign_in_at FROM users WHERE address = $1`, address).Scan(&at)
	return fromMs(at), found(err)
}

// AddReportCount adds c to what is kept of its day and name.
func (tx *Tx) AddReportCount(c ReportCount) error {
	_, err := tx.exec(`INSERT INTO report_messages (account_id, kind, day, name, messages, recipients, opened, failed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (account_id, kind, day, name) DO UPDATE SET messages = report_messages.messages + EXCLUDED.messages,
			recipients = report_messages.recipients + EXCLUDED.recipients, opened = report_messages.opened + EXCLUDED.opened,
			failed = report_messages.failed + EXCLUDED.failed`,
		c.AccountID, c.Kind, c.Day, c.Name, c.Messages, c.Recipients, c.Opened, c.Failed)
	return err
}

// AddPeopleCount adds c to what is kept of its day.
func (tx *Tx) AddPeopleCount(c PeopleCount) error {
	_, err := tx.exec(`INSERT INTO report_people (account_id, day, invited, added, activated) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, day) DO UPDATE SET invited = report_people.invited + EXCLUDED.invited, added = report_people.added + EXCLUDED.added,
			activated = report_people.activated + EXCLUDED.activated`,
		c.AccountID, c.Day, c.Invited, c.Added, c.Activated)
	return err
}

// ListReportDays returns the figures of all messages of an account for the days
// from to to, both included, in order. A day without any is not among them.
func (tx *Tx) ListReportDays(account, from, to int64) ([]ReportCount, error) {
	rows, err := tx.rows(`SELECT day, messages, recipients, opened, failed FROM report_messages
		WHERE account_id = $1 AND kind = $2 AND day >= $3 AND day <= $4 ORDER BY day`, account, ReportAll, from, to)
	return list(rows, err, func(r *sql.Rows) (ReportCount, error) {
		c := ReportCount{AccountID: account, Kind: ReportAll}
		return c, r.Scan(&c.Day, &c.Messages, &c.Recipients, &c.Opened, &c.Failed)
	})
}

// ListReportNames adds up the figures of those days by sender or domain, the
// one with most recipients first.
func (tx *Tx) ListReportNames(account int64, kind string, from, to int64, limit int) ([]ReportCount, error) {
	rows, err := tx.rows(`SELECT name, CAST(SUM(messages) AS BIGINT), CAST(SUM(recipients) AS BIGINT) AS total, CAST(SUM(opened) AS BIGINT), CAST(SUM(failed) AS BIGINT)
		FROM report_messages WHERE account_id = $1 AND kind = $2 AND day >= $3 AND day <= $4
		GROUP BY name ORDER BY total DESC, name LIMIT $5`, account, kind, from, to, limit)
	return list(rows, err, func(r *sql.Rows) (ReportCount, error) {
		c := ReportCount{AccountID: account, Kind: kind}
		return c, r.Scan(&c.Name, &c.Messages, &c.Recipients, &c.Opened, &c.Failed)
	})
}

// ListPeopleDays is ListReportDays of people.
func (tx *Tx) ListPeopleDays(account, from, to int64) ([]PeopleCount, error) {
	rows, err := tx.rows(`SELECT day, invited, added, activated FROM report_people WHERE account_id = $1 AND day >= $2 AND day <= $3 ORDER BY day`, account, from, to)
	return list(rows, err, func(r *sql.Rows) (PeopleCount, error) {
		c := PeopleCount{AccountID: account}
		return c, r.Scan(&c.Day, &c.Invited, &c.Added, &c.Activated)
	})
}

// DeleteReports forgets the figures by sender and domain of days before one,
// and returns how many rows that were.
func (tx *Tx) DeleteReports(before int64) (int64, error) {
	return tx.exec(`DELETE FROM report_messages WHERE day < $1 AND kind <> $2`, before, ReportAll)
}

// DomainOf is the part of a canonical address behind its last @.
func (s ReportedSlot) DomainOf() string { return s.Address[strings.LastIndexByte(s.Address, '@')+1:] }
