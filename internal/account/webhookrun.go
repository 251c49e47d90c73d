package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/webhook"
)

const (
	webhookCursor = "webhooks" // in the table of the log's receivers, whose other names are URLs
	webhookBatch  = 200        // records of one transaction: it holds SQLite's one writer
	webhookClaim  = time.Minute
	webhookEvery  = time.Second
	webhookSlots  = 16               // hooks that a node sends to at once
	webhookShare  = 4                // of them, at most, of one account
	webhookTurn   = 20 * time.Second // then it is another hook's
	webhookLook   = 500              // hooks that are looked at for one that may have a slot

	// A receiver that is not there is asked at least so often, so that what
	// waits is not late for long once it is back.
	webhookProbe = time.Hour
	// Without a delivery for so long, and after so many tries, a hook is switched off.
	webhookDays  = 3 * 24 * time.Hour
	webhookTries = 10
	// From so many failures on, one after the other, a hook waits after each.
	webhookStrikes = 5
)

// RunWebhooks sends events to the accounts' webhooks until ctx ends, and what it
// has in hand then.
func (s *Service) RunWebhooks(ctx context.Context) {
	if s.c.Webhooks == nil {
		return
	}
	r := &webhookRunner{s: s, busy: map[int64]int{}}
	failing := false
	for {
		err := s.FanOutWebhooks(ctx)
		if err == nil {
			err = r.begin(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			s.c.Log.Error("webhooks", "error", err)
		}
		failing = err != nil
		select {
		case <-time.After(webhookEvery):
		case <-ctx.Done():
			r.wg.Wait()
			return
		}
	}
}

// SendWebhooks sends what is due now and waits until it has.
func (s *Service) SendWebhooks(ctx context.Context) error {
	r := &webhookRunner{s: s, busy: map[int64]int{}}
	err := errors.Join(s.FanOutWebhooks(ctx), r.begin(ctx))
	r.wg.Wait()
	return err
}

// FanOutWebhooks makes a delivery of each event for each webhook that listens to
// it, in the order of the notary, the cursor in the same transaction: so each is
// made once, on however many nodes this runs.
func (s *Service) FanOutWebhooks(ctx context.Context) error {
	from := func(tx *store.Tx) (store.AuditStream, error) {
		first, err := tx.FirstWebhookPos()
		if err != nil {
			return store.AuditStream{}, err
		}
		cursor, err := tx.FindAuditStream(webhookCursor)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		cursor.Pos = max(cursor.Pos, first) // what happened while nobody listened is not read
		return cursor, err
	}
	for {
		var some []store.AuditRow
		err := s.c.DB.View(ctx, func(tx *store.Tx) error {
			cursor, err := from(tx)
			if err == nil {
				some, err = tx.ListAuditPos(cursor.Pos, 1)
			}
			return err
		})
		if errors.Is(err, store.ErrNotFound) || err == nil && len(some) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		more := false
		err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
			more = false
			ours, err := tx.ClaimAuditStream(webhookCursor, 0, webhookClaim)
			if err != nil || !ours {
				return err
			}
			cursor, err := from(tx)
			if err != nil {
				return err
			}
			rows, err := tx.ListAuditPos(cursor.Pos, webhookBatch)
			if err != nil || len(rows) == 0 {
				return errors.Join(err, tx.KeepAuditStream(cursor))
			}
			if err := fanOut(tx, rows); err != nil {
				return err
			}
			cursor.Pos, more = rows[len(rows)-1].Pos, len(rows) == webhookBatch
			return tx.KeepAuditStream(cursor)
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) { // then the last webhook went meanwhile
			return fmt.Errorf("make deliveries: %w", err)
		}
		if !more {
			return nil
		}
	}
}

func fanOut(tx *store.Tx, rows []store.AuditRow) error {
	var accounts []int64
	for _, r := range rows {
		if r.AccountID != 0 {
			accounts = append(accounts, r.AccountID)
		}
	}
	slices.Sort(accounts)
	hooks, err := tx.ListWebhooks(slices.Compact(accounts)...)
	if err != nil {
		return err
	}
	slices.SortFunc(hooks, func(a, b store.Webhook) int { return strings.Compare(a.ID, b.ID) }) // locked in one order
	for _, w := range hooks {
		var mine []store.AuditRow
		for _, r := range rows {
			if r.AccountID == w.AccountID && listens(w, r) {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if w, err = tx.LockWebhook(w.ID); errors.Is(err, store.ErrNotFound) {
			continue // meanwhile
		} else if err != nil {
			return err
		}
		off := w.State == store.WebhookOff // then they are kept as given up: whoever resumes it can have them sent
		if off {
			failed, err := tx.CountFailed(w.ID, webhookBacklog)
			if err != nil {
				return err
			}
			mine = mine[:min(len(mine), webhookBacklog-failed)]
		}
		for _, r := range mine {
			if _, err := tx.InsertDelivery(store.Delivery{HookID: w.ID, EventID: r.ID, Pos: r.Pos, Action: r.Action, Outcome: r.Outcome}); err != nil {
				return err
			}
		}
		if off {
			if err := tx.DropAllDeliveries(w.ID); err != nil {
				return err
			}
			continue
		}
		waiting, err := tx.CountWaiting(w.ID)
		if err == nil && waiting > webhookBacklog {
			_, err = tx.DropDeliveries(w.ID, waiting-webhookBacklog, failureBacklog)
		}
		if err == nil {
			err = tx.WakeWebhook(w.ID, tx.Now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// webhookRunner sends to several hooks at once, to each in order. A slow receiver
// holds a slot for its turn; of one account's, some slots only.
type webhookRunner struct {
	s  *Service
	wg sync.WaitGroup

	mu    sync.Mutex // guards what follows
	busy  map[int64]int
	total int
}

// begin takes up what is due, as far as there are slots.
func (r *webhookRunner) begin(ctx context.Context) error {
	if r.s.c.Webhooks == nil {
		return nil
	}
	var due []store.Webhook
	if err := r.s.c.DB.View(ctx, func(tx *store.Tx) (err error) { due, err = tx.ListDueWebhooks(webhookLook); return err }); err != nil {
		return err
	}
	for _, w := range due {
		if !r.take(w.AccountID) {
			continue
		}
		var lease time.Time
		ours := false
		err := r.s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			lease = tx.Now.Add(webhookClaim)
			ours, err = tx.ClaimWebhook(w.ID, lease)
			return err
		})
		if err != nil || !ours {
			r.give(w.AccountID)
			if err != nil {
				return err
			}
			continue
		}
		r.wg.Go(func() {
			defer r.give(w.AccountID)
			if err := r.s.serveWebhook(ctx, w.ID, lease); err != nil && ctx.Err() == nil {
				r.s.c.Log.Error("webhook", "hook", w.ID, "error", err)
			}
		})
	}
	return nil
}

func (r *webhookRunner) take(account int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= webhookSlots || r.busy[account] >= webhookShare {
		return false
	}
	r.total++
	r.busy[account]++
	return true
}

func (r *webhookRunner) give(account int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.busy[account]--; r.busy[account] == 0 {
		delete(r.busy, account)
	}
}

// serveWebhook sends what is due of one hook, in order, for as long as its turn
// and its lease last. A node that dies between sending and recording leaves the
// delivery waiting: it is sent again when the lease is over.
func (s *Service) serveWebhook(ctx context.Context, hook string, lease time.Time) error {
	end := time.Now().Add(webhookTurn)
	for {
		var d store.Delivery
		var m webhook.Message
		err := s.c.DB.View(ctx, func(tx *store.Tx) (err error) { d, m, err = s.nextMessage(tx, hook); return err })
		nothing := errors.Is(err, store.ErrNotFound)
		if err != nil && !nothing && ctx.Err() == nil {
			return errors.Join(err, s.leaveWebhook(ctx, hook, lease, webhookClaim)) // ours to mend
		}
		if nothing || ctx.Err() != nil || time.Now().After(end) {
			return s.leaveWebhook(ctx, hook, lease, 0)
		}
		result := s.c.Webhooks.Send(ctx, m)
		if ctx.Err() != nil && result.Failure != "" { // broken off from here
			return s.leaveWebhook(ctx, hook, lease, 0)
		}
		if lease, err = s.recordDelivery(ctx, hook, lease, d, result); err != nil || lease.IsZero() {
			return err
		}
	}
}

// nextMessage is the next delivery of a hook as it goes out now, ErrNotFound
// where none is due.
func (s *Service) nextMessage(tx *store.Tx, hook string) (d store.Delivery, m webhook.Message, err error) {
	if d, err = tx.NextDelivery(hook); err != nil {
		return d, m, err
	}
	w, err := tx.WebhookByID(hook)
	if err != nil {
		return d, m, err
	}
	a, err := tx.FindAccount(w.AccountID)
	if err != nil {
		return d, m, err
	}
	if w.State != store.WebhookOn || a.State != store.AccountActive || w.WaitUntil.After(tx.Now) {
		return d, m, store.ErrNotFound
	}
	event, err := tx.FindAudit(a.ID, d.EventID)
	if err != nil {
		return d, m, err
	}
	named, err := tells(tx, w)
	if err != nil {
		return d, m, err
	}
	m.ID, m.At = d.EventID, tx.Now
	if m.Body, err = eventBody(tx, event, named); err != nil {
		return d, m, err
	}
	raw, err := s.c.Root.Open(purposeURL+hook, w.URLBox)
	if err != nil {
		return d, m, fmt.Errorf("open the address of a webhook: %w", err)
	}
	m.URL = string(raw)
	boxes := [][]byte{w.SecretBox}
	if w.OldUntil.After(tx.Now) {
		boxes = append(boxes, w.OldBox)
	}
	for _, box := range boxes {
		raw, err := s.c.Root.Open(purposeSecret+hook, box)
		if err != nil {
			return d, m, fmt.Errorf("open the secret of a webhook: %w", err)
		}
		secret, err := webhook.ParseSecret(string(raw))
		if err != nil {
			return d, m, err
		}
		m.Secrets = append(m.Secrets, secret)
	}
	return d, m, nil
}

// recordDelivery writes what came of a try and renews the lease; zero: the hook's
// turn is over.
func (s *Service) recordDelivery(ctx context.Context, hook string, lease time.Time, tried store.Delivery, result webhook.Result) (next time.Time, err error) {
	told := false
	err = s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		next, told = time.Time{}, false
		w, err := tx.LockWebhook(hook)
		if errors.Is(err, store.ErrNotFound) {
			return nil // removed meanwhile
		} else if err != nil {
			return err
		}
		d, err := tx.FindDelivery(hook, tried.EventID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		d.Tries, d.TriedAt, d.Status, d.Failure = d.Tries+1, tx.Now, result.Code, result.Failure
		w.LastStatus, w.LastError = result.Code, result.Failure
		off := ""
		if result.Failure == "" {
			d.State = store.Delivered
			w.Failures, w.FailingAt, w.WaitUntil = 0, time.Time{}, time.Time{}
		} else {
			off = postpone(&w, &d, result, tx.Now)
		}
		if err := tx.SetWebhookDelivery(d); err != nil {
			return err
		}
		if w.LeaseUntil.Equal(lease) { // another node has it otherwise, and goes on
			if next = tx.Now.Add(webhookClaim); w.WaitUntil.After(tx.Now) || off != "" {
				next = time.Time{}
			}
			w.LeaseUntil = next
		}
		if off != "" && w.State != store.WebhookOff {
			w.State, w.Why = store.WebhookOff, off
			told = true
			if err := s.switchOff(tx, w); err != nil {
				return err
			}
		}
		if next.IsZero() {
			return reschedule(tx, &w)
		}
		return tx.SetWebhookProgress(w)
	})
	if told && err == nil {
		s.wake()
	}
	return next, err
}

// postpone says when a try that failed is made again, and returns why the hook is
// to be switched off, "" if it is not. A receiver that cannot be reached keeps the
// order: nothing goes before what failed, and it is asked every hour at least. One
// that answers, and refuses this event, gets the others meanwhile.
func postpone(w *store.Webhook, d *store.Delivery, r webhook.Result, now time.Time) (off string) {
	if w.Failures++; w.FailingAt.IsZero() {
		w.FailingAt = now
	}
	wait, again := webhook.Wait(min(w.Failures, 4))
	if !again || wait > webhookProbe {
		wait = webhookProbe
	}
	switch {
	case r.Gone():
		d.State = store.DeliveryFailed
		return store.WebhookGone
	case w.Failures >= webhookTries && now.Sub(w.FailingAt) >= webhookDays:
		d.State = store.DeliveryFailed
		return store.WebhookFailing
	case r.Failure != webhook.Status || slices.Contains([]int{429, 502, 503, 504}, r.Code):
		d.DueAt, w.WaitUntil = now.Add(wait), now.Add(wait)
		return ""
	}
	if w.Failures >= webhookStrikes {
		wait, _ := webhook.Wait(min(w.Failures-webhookStrikes+1, 3))
		w.WaitUntil = now.Add(wait)
	}
	own, again := webhook.Wait(d.Tries)
	if d.DueAt = now.Add(own); !again {
		d.State = store.DeliveryFailed
	}
	return ""
}

// switchOff gives up what waits for a webhook, records it and tells the administrators.
func (s *Service) switchOff(tx *store.Tx, w store.Webhook) error {
	if err := tx.SetWebhook(w); err != nil {
		return err
	}
	if err := tx.DropAllDeliveries(w.ID); err != nil {
		return err
	}
	if err := record(tx, Actor{Kind: KindSystem, Origin: "server"}, webhookOff, w.AccountID, w.Host, "why", w.Why); err != nil {
		return err
	}
	a, err := tx.FindAccount(w.AccountID)
	if err != nil {
		return err
	}
	admins, err := tx.ListAdministrators(w.AccountID, webhookTellMost)
	if err != nil {
		return err
	}
	for _, u := range admins {
		to, err := mailbox(u)
		if err != nil {
			return err
		}
		if err := s.c.Post.WebhookOff(tx, WebhookOffLetter{AccountID: a.ID, To: to, Language: u.Language, Organisation: a.Name, Host: w.Host, Why: w.Why}); err != nil {
			return err
		}
	}
	return nil
}

// leaveWebhook gives a hook back, to be taken up again after a while.
func (s *Service) leaveWebhook(ctx context.Context, hook string, lease time.Time, after time.Duration) error {
	return s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		w, err := tx.LockWebhook(hook)
		if errors.Is(err, store.ErrNotFound) || err == nil && !w.LeaseUntil.Equal(lease) {
			return nil
		} else if err != nil {
			return err
		}
		w.LeaseUntil = time.Time{}
		if at := tx.Now.Add(after); after > 0 && at.After(w.WaitUntil) {
			w.WaitUntil = at
		}
		return reschedule(tx, &w)
	})
}

// SweepWebhooks forgets deliveries after 30 days, also those that still wait.
func (s *Service) SweepWebhooks(ctx context.Context) error {
	for {
		var n int64
		if err := s.c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DeleteOldDeliveries(tx.Now.Add(-webhookKeep), 1000)
			return err
		}); err != nil || n < 1000 {
			return err
		}
	}
}

// WebhookBacklog is the state of all accounts' webhooks, for whoever runs the service.
func (s *Service) WebhookBacklog(ctx context.Context) (b store.WebhookBacklog, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error { b, err = tx.WebhookBacklog(); return err })
	return b, err
}

// Event is what a webhook is sent, as docs/reference/webhook-events.md says.
type Event struct {
	Type      string    `json:"type"`
	Timestamp string    `json:"timestamp"` // RFC 3339, UTC
	Data      EventData `json:"data"`
}

// EventData is what happened. It has no content, no subject, and addresses of
// people only where the webhook tells them.
type EventData struct {
	ID        string            `json:"id"`
	Account   int64             `json:"account"`
	Seq       int64             `json:"seq"` // place in the account's log
	Action    string            `json:"action"`
	Outcome   string            `json:"outcome"`
	Actor     EventParty        `json:"actor"`
	Target    EventParty        `json:"target"`
	Reference string            `json:"reference,omitempty"`
	Slot      string            `json:"slot,omitempty"`
	Recipient string            `json:"recipient,omitempty"` // address
	Detail    map[string]string `json:"detail"`
}

// EventParty is somebody or something.
type EventParty struct {
	Kind    string `json:"kind,omitempty"`
	User    string `json:"user,omitempty"` // ID, of a user of the account
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"` // or ID
}

// told are the particulars of a record that are sent: numbers, names of things,
// and words of this program. Others may be what somebody typed.
var told = []string{"recipients", "carrier", "group", "until", "right", "scope", "granted", "n", "times", "proved", "level", "bytes", "message", "why", "events", "addresses", "hook", "token"}

// eventBody is a record of the log as a webhook is sent it; named is whether with
// people's addresses.
func eventBody(tx *store.Tx, r store.AuditRow, named bool) ([]byte, error) {
	e := Event{Type: r.Action, Timestamp: r.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Data: EventData{ID: r.ID, Account: r.AccountID, Seq: r.Seq, Action: r.Action, Outcome: r.Outcome,
		Slot: r.Detail["slot"], Detail: map[string]string{}}}
	if r.Outcome == store.Refused {
		e.Type = EventRefused
	}
	e.Data.Reference = strings.ReplaceAll(r.Detail["ref"], "-", "")
	for _, name := range told {
		if v := r.Detail[name]; v != "" && (named || !strings.Contains(v, "@")) {
			e.Data.Detail[name] = v
		}
	}
	if named {
		e.Data.Recipient = r.Detail["recipient"]
	}
	kind, name, _ := strings.Cut(r.Actor, ":")
	var err error
	if e.Data.Actor, err = party(tx, r.AccountID, name, named); err != nil {
		return nil, err
	}
	e.Data.Actor.Kind = kind
	if kind == "operator" { // their login is nobody's here
		e.Data.Actor = EventParty{Kind: kind}
	}
	if e.Data.Target, err = party(tx, r.AccountID, r.Target, named); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// party is whoever an address is of, or whatever a name is of.
func party(tx *store.Tx, account int64, name string, named bool) (p EventParty, err error) {
	if !strings.Contains(name, "@") {
		return EventParty{Name: name}, nil
	}
	if named {
		p.Address = name
	}
	a, err := mailaddr.Parse(name)
	if err != nil {
		return p, nil
	}
	u, err := tx.FindUserByAddress(a.Canonical())
	if errors.Is(err, store.ErrNotFound) {
		return p, nil
	}
	if u.AccountID == account {
		p.User = u.ID
	}
	return p, err
}
