package store

import (
	"database/sql"
	"math"
	"strings"
	"time"
)

// States of a webhook.
const (
	WebhookOn     = "on"
	WebhookPaused = "paused" // its events wait
	WebhookOff    = "off"    // its events are kept as given up
)

// Why a webhook is off.
const (
	WebhookGone    = "gone"    // its receiver said that it wants no more
	WebhookFailing = "failing" // nothing reached it for days
)

// Webhook is where an account's events are sent to.
type Webhook struct {
	ID          string
	AccountID   int64
	MakerID     string // user who said last where it goes and what it is sent, "" an operator on the host
	Operator    bool   // they did so as an operator
	Description string
	Host        string
	URLBox      []byte // sealed
	Events      []string
	Addresses   bool
	State       string
	Why         string
	SecretBox   []byte // sealed
	OldBox      []byte // sealed, empty where there is none
	OldUntil    time.Time
	FromPos     int64
	CreatedAt   time.Time
	ChangedAt   time.Time

	NextAt     time.Time // of the next try; zero: nothing waits
	WaitUntil  time.Time
	LeaseUntil time.Time
	Failures   int // tries since the last delivery
	FailingAt  time.Time
	LastError  string
	LastStatus int
}

// States of a delivery.
const (
	DeliveryWaiting = "waiting"
	Delivered       = "delivered"
	DeliveryFailed  = "failed"
)

// Delivery is one event for one webhook.
type Delivery struct {
	HookID  string
	EventID string // of the audit log
	Pos     int64
	Action  string
	Outcome string
	State   string
	MadeAt  time.Time
	DueAt   time.Time
	Tries   int
	TriedAt time.Time
	Status  int // HTTP, of the last try; 0 = no answer
	Failure string
}

const webhookColumns = `id, account_id, maker_id, operator, description, host, url_box, events, addresses, state, why, secret_box, old_box, old_until,
	from_pos, created_at, changed_at, next_at, wait_until, lease_until, failures, failing_at, last_error, last_status`

func scanWebhook(scan func(...any) error) (w Webhook, err error) {
	var operator, addresses, oldUntil, created, changed, next, wait, lease, failing int64
	var events string
	err = scan(&w.ID, &w.AccountID, &w.MakerID, &operator, &w.Description, &w.Host, &w.URLBox, &events, &addresses, &w.State, &w.Why, &w.SecretBox, &w.OldBox, &oldUntil,
		&w.FromPos, &created, &changed, &next, &wait, &lease, &w.Failures, &failing, &w.LastError, &w.LastStatus)
	w.Operator, w.Addresses = operator != 0, addresses != 0
	if events != "" {
		w.Events = strings.Split(events, ",")
	}
	w.OldUntil, w.CreatedAt, w.ChangedAt = fromMs(oldUntil), fromMs(created), fromMs(changed)
	w.NextAt, w.WaitUntil, w.LeaseUntil, w.FailingAt = fromMs(next), fromMs(wait), fromMs(lease), fromMs(failing)
	return w, found(err)
}

// InsertWebhook writes w, at the transaction's time.
func (tx *Tx) InsertWebhook(w Webhook) error {
	_, err := tx.exec(`INSERT INTO webhooks (`+webhookColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', $11, $12, 0, $13, $14, $14, 0, 0, 0, 0, 0, '', 0)`,
		w.ID, w.AccountID, w.MakerID, flag(w.Operator), w.Description, w.Host, w.URLBox, strings.Join(w.Events, ","), flag(w.Addresses), w.State, w.SecretBox, []byte{},
		w.FromPos, ms(tx.Now))
	return err
}

// FindWebhook returns a webhook of an account.
func (tx *Tx) FindWebhook(account int64, id string) (Webhook, error) {
	return scanWebhook(tx.row(`SELECT `+webhookColumns+` FROM webhooks WHERE account_id = $1 AND id = $2`, account, id).Scan)
}

// WebhookByID returns a webhook, of any account.
func (tx *Tx) WebhookByID(id string) (Webhook, error) {
	return scanWebhook(tx.row(`SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`, id).Scan)
}

// LockWebhook returns a webhook, of any account, and holds its row until the transaction ends.
func (tx *Tx) LockWebhook(id string) (Webhook, error) {
	return scanWebhook(tx.row(`SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`+tx.dialect.forUpdate, id).Scan)
}

// ListWebhooks returns the webhooks of accounts, in the order in which they were made.
func (tx *Tx) ListWebhooks(accounts ...int64) ([]Webhook, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	n := 4
	for n < len(accounts) {
		n *= 2 // few texts: a statement is compiled once
	}
	args := make([]any, n)
	for i := range args {
		args[i] = accounts[min(i, len(accounts)-1)]
	}
	rows, err := tx.rows(`SELECT `+webhookColumns+` FROM webhooks WHERE account_id IN (`+strings.Trim(values(1, n, numbered), "()")+`) ORDER BY account_id, created_at, id`, args...)
	return list(rows, err, func(r *sql.Rows) (Webhook, error) { return scanWebhook(r.Scan) })
}

// SetWebhook writes what people say of a webhook, and its state, at the transaction's time.
func (tx *Tx) SetWebhook(w Webhook) error {
	return tx.oneRow(`UPDATE webhooks SET maker_id = $2, operator = $3, description = $4, host = $5, url_box = $6, events = $7, addresses = $8, state = $9, why = $10,
			secret_box = $11, old_box = $12, old_until = $13, changed_at = $14 WHERE id = $1`,
		w.ID, w.MakerID, flag(w.Operator), w.Description, w.Host, w.URLBox, strings.Join(w.Events, ","), flag(w.Addresses), w.State, w.Why,
		w.SecretBox, append([]byte{}, w.OldBox...), ms(w.OldUntil), ms(tx.Now)) // never NULL
}

// SetWebhookProgress writes what came of its tries, and when the next is.
func (tx *Tx) SetWebhookProgress(w Webhook) error {
	return tx.oneRow(`UPDATE webhooks SET next_at = $2, wait_until = $3, lease_until = $4, failures = $5, failing_at = $6, last_error = $7, last_status = $8 WHERE id = $1`,
		w.ID, ms(w.NextAt), ms(w.WaitUntil), ms(w.LeaseUntil), w.Failures, ms(w.FailingAt), w.LastError, w.LastStatus)
}

// DeleteWebhook removes a webhook with its deliveries.
func (tx *Tx) DeleteWebhook(id string) error {
	return tx.oneRow(`DELETE FROM webhooks WHERE id = $1`, id)
}

// FirstWebhookPos is the notary's position from which on there are webhooks.
func (tx *Tx) FirstWebhookPos() (int64, error) {
	var pos sql.NullInt64
	err := tx.row(`SELECT MIN(from_pos) FROM webhooks`).Scan(&pos)
	if err == nil && !pos.Valid {
		err = ErrNotFound
	}
	return pos.Int64, err
}

// ListDueWebhooks returns the webhooks that have something to send now and that
// no node sends to, those that wait longest first.
func (tx *Tx) ListDueWebhooks(limit int) ([]Webhook, error) {
	rows, err := tx.rows(`SELECT `+prefixed("w", webhookColumns)+` FROM webhooks w JOIN accounts a ON a.id = w.account_id
		WHERE w.next_at > 0 AND w.next_at <= $1 AND w.state = 'on' AND w.lease_until <= $1 AND a.state = 'active' ORDER BY w.next_at LIMIT $2`, ms(tx.Now), limit)
	return list(rows, err, func(r *sql.Rows) (Webhook, error) { return scanWebhook(r.Scan) })
}

func prefixed(table, columns string) string {
	names := strings.Split(columns, ",")
	for i, n := range names {
		names[i] = table + "." + strings.TrimSpace(n)
	}
	return strings.Join(names, ", ")
}

// ClaimWebhook makes this caller the one that sends to a webhook until then, and
// reports false where another is.
func (tx *Tx) ClaimWebhook(id string, until time.Time) (bool, error) {
	n, err := tx.exec(`UPDATE webhooks SET lease_until = $2 WHERE id = $1 AND lease_until <= $3 AND next_at > 0 AND next_at <= $3 AND state = 'on'`, id, ms(until), ms(tx.Now))
	return n == 1, err
}

// WakeWebhook has a webhook looked at at a time, unless it is before anyway.
func (tx *Tx) WakeWebhook(id string, at time.Time) error {
	_, err := tx.exec(`UPDATE webhooks SET next_at = CASE WHEN wait_until > $2 THEN wait_until ELSE $2 END
		WHERE id = $1 AND (next_at = 0 OR next_at > CASE WHEN wait_until > $2 THEN wait_until ELSE $2 END)`, id, ms(at))
	return err
}

const deliveryColumns = `hook_id, event_id, pos, action, outcome, state, made_at, due_at, tries, tried_at, status, failure`

func scanDelivery(scan func(...any) error) (d Delivery, err error) {
	var made, due, tried int64
	err = scan(&d.HookID, &d.EventID, &d.Pos, &d.Action, &d.Outcome, &d.State, &made, &due, &d.Tries, &tried, &d.Status, &d.Failure)
	d.MadeAt, d.DueAt, d.TriedAt = fromMs(made), fromMs(due), fromMs(tried)
	return d, found(err)
}

func scanDeliveryRow(r *sql.Rows) (Delivery, error) { return scanDelivery(r.Scan) }

// InsertDelivery writes d, to be tried at once, and reports false where the
// webhook has that event.
func (tx *Tx) InsertDelivery(d Delivery) (bool, error) {
	n, err := tx.exec(`INSERT INTO webhook_deliveries (`+deliveryColumns+`) VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $6, 0, 0, 0, '')
		ON CONFLICT (hook_id, event_id) DO NOTHING`, d.HookID, d.EventID, d.Pos, d.Action, d.Outcome, ms(tx.Now))
	return n == 1, err
}

// FindDelivery returns the delivery of an event to a webhook.
func (tx *Tx) FindDelivery(hook, event string) (Delivery, error) {
	return scanDelivery(tx.row(`SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE hook_id = $1 AND event_id = $2`, hook, event).Scan)
}

// NextDelivery returns a webhook's first delivery that is due, in the order of the events.
func (tx *Tx) NextDelivery(hook string) (Delivery, error) {
	return scanDelivery(tx.row(`SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE hook_id = $1 AND state = 'waiting' AND due_at <= $2 ORDER BY pos, event_id LIMIT 1`,
		hook, ms(tx.Now)).Scan)
}

// NextDue is when a webhook's first delivery is due; zero: none waits.
func (tx *Tx) NextDue(hook string) (time.Time, error) {
	var at sql.NullInt64
	err := tx.row(`SELECT MIN(due_at) FROM webhook_deliveries WHERE hook_id = $1 AND state = 'waiting'`, hook).Scan(&at)
	return fromMs(at.Int64), err
}

// SetWebhookDelivery writes what came of a try.
func (tx *Tx) SetWebhookDelivery(d Delivery) error {
	return tx.oneRow(`UPDATE webhook_deliveries SET state = $3, due_at = $4, tries = $5, tried_at = $6, status = $7, failure = $8 WHERE hook_id = $1 AND event_id = $2`,
		d.HookID, d.EventID, d.State, ms(d.DueAt), d.Tries, ms(d.TriedAt), d.Status, d.Failure)
}

// CountWaiting counts a webhook's deliveries that wait.
func (tx *Tx) CountWaiting(hook string) (n int, err error) {
	return n, tx.row(`SELECT COUNT(*) FROM webhook_deliveries WHERE hook_id = $1 AND state = 'waiting'`, hook).Scan(&n)
}

// CountFailed counts a webhook's deliveries that were given up, up to limit.
func (tx *Tx) CountFailed(hook string, limit int) (n int, err error) {
	return n, tx.row(`SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries WHERE hook_id = $1 AND state = 'failed' LIMIT $2) AS counted`, hook, limit).Scan(&n)
}

// DropDeliveries gives up a webhook's oldest deliveries that wait, n of them, for a reason.
func (tx *Tx) DropDeliveries(hook string, n int, failure string) (int64, error) {
	return tx.exec(`UPDATE webhook_deliveries SET state = 'failed', failure = $2 WHERE hook_id = $1 AND state = 'waiting' AND event_id IN
		(SELECT event_id FROM webhook_deliveries WHERE hook_id = $1 AND state = 'waiting' ORDER BY pos, event_id LIMIT $3)`, hook, failure, n)
}

// DropAllDeliveries gives up all of a webhook's deliveries that wait.
func (tx *Tx) DropAllDeliveries(hook string) error {
	_, err := tx.exec(`UPDATE webhook_deliveries SET state = 'failed' WHERE hook_id = $1 AND state = 'waiting'`, hook)
	return err
}

// RetryDeliveries has a webhook's failed deliveries that were made since a time
// tried again, the oldest first, at most limit, and returns how many those are.
func (tx *Tx) RetryDeliveries(hook string, since time.Time, limit int) (int64, error) {
	return tx.exec(`UPDATE webhook_deliveries SET state = 'waiting', tries = 0, due_at = $2 WHERE hook_id = $1 AND event_id IN
		(SELECT event_id FROM webhook_deliveries WHERE hook_id = $1 AND state = 'failed' AND made_at >= $3 ORDER BY pos, event_id LIMIT $4)`, hook, ms(tx.Now), ms(since), limit)
}

// ListDeliveries returns a webhook's deliveries, the newest event first: those in
// a state ("" = any) that come before a position (event "" = from the newest).
func (tx *Tx) ListDeliveries(hook, state string, pos int64, event string, limit int) ([]Delivery, error) {
	if event == "" {
		pos = math.MaxInt64
	}
	rows, err := tx.rows(`SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE hook_id = $1 AND ($2 = '' OR state = $2) AND (pos < $3 OR pos = $3 AND event_id < $4)
		ORDER BY pos DESC, event_id DESC LIMIT $5`, hook, state, pos, event, limit)
	return list(rows, err, scanDeliveryRow)
}

// DeleteOldDeliveries removes deliveries that were made before a time, at most limit.
func (tx *Tx) DeleteOldDeliveries(before time.Time, limit int) (int64, error) {
	return tx.exec(`DELETE FROM webhook_deliveries WHERE (hook_id, event_id) IN (SELECT hook_id, event_id FROM webhook_deliveries WHERE made_at < $1 ORDER BY made_at LIMIT $2)`,
		ms(before), limit)
}

// WebhookBacklog is the state of all webhooks.
type WebhookBacklog struct {
	Hooks, Failing, Off int
	Waiting             int       // deliveries
	Since               time.Time // when the oldest of them was made; zero: none waits
	Oldest              time.Time // when the first delivery of an active account's hook that is on was due and is not done; zero: none waits
}

// WebhookBacklog returns the state of all webhooks.
func (tx *Tx) WebhookBacklog() (b WebhookBacklog, err error) {
	var oldest sql.NullInt64
	err = tx.row(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN w.state <> 'off' AND w.failing_at > 0 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN w.state = 'off' THEN 1 ELSE 0 END), 0),
		MIN(CASE WHEN w.state = 'on' AND w.next_at > 0 AND a.state = 'active' THEN w.next_at END) FROM webhooks w JOIN accounts a ON a.id = w.account_id`).Scan(&b.Hooks, &b.Failing, &b.Off, &oldest)
	b.Oldest = fromMs(oldest.Int64)
	if err == nil {
		err = tx.row(`SELECT COUNT(*), MIN(made_at) FROM webhook_deliveries WHERE state = 'waiting'`).Scan(&b.Waiting, &oldest)
		b.Since = fromMs(oldest.Int64)
	}
	return b, err
}
