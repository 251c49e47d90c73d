package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/webhook"
)

const (
	webhookView   action = "webhook.view"
	webhookMake   action = "webhook.make"
	webhookChange action = "webhook.change"
	webhookRemove action = "webhook.remove"
	webhookRotate action = "webhook.rotate"
	webhookTest   action = "webhook.test"
	webhookPause  action = "webhook.pause"
	webhookResume action = "webhook.resume"
	webhookResend action = "webhook.resend"
	webhookOff    action = "webhook.off" // by the service

	// EventRefused is the type of what was refused, whatever was tried.
	EventRefused = "refused"

	maxWebhooks     = 20 // of one account
	maxDescription  = 200
	maxEvents       = 200            // patterns of one webhook
	webhookOverlap  = 24 * time.Hour // in which the old secret signs too
	webhookBacklog  = 10_000         // deliveries of one webhook that wait
	webhookKeep     = 30 * 24 * time.Hour
	purposeURL      = "webhook url/"
	purposeSecret   = "webhook secret/"
	failureBacklog  = "backlog" // of a delivery that others took the place of
	webhookTellMost = 50        // administrators who are told that a webhook was switched off
)

// NewWebhook is a webhook to be made.
type NewWebhook struct {
	URL         string
	Description string
	Events      []string // of EventTypes, noun.*, EventRefused
	Addresses   bool     // with people's addresses; only who may read the log asks for them
}

// WebhookChange is what is to be different; nil stays as it is.
type WebhookChange struct {
	URL         *string
	Description *string
	Events      *[]string
	Addresses   *bool
	State       string // store.WebhookOn resumes, WebhookPaused pauses; "" = as it is
}

// WebhookView is a webhook as those with the right see it.
type WebhookView struct {
	ID          string
	URL         string
	Host        string // of the URL
	Description string
	Events      []string
	Addresses   bool       // asked for
	Tells       bool       // sent: its maker may see them now
	Maker       store.User // zero where that is an operator on the host, or nobody any more
	Operator    bool       // made by one
	State       string
	Why         string // of store.WebhookOff
	OldUntil    time.Time
	CreatedAt   time.Time
	ChangedAt   time.Time
	Waiting     int       // deliveries
	NextAt      time.Time // of the next try; zero: nothing waits
	Failures    int       // tries since the last delivery
	FailingAt   time.Time // of the first of them
	LastError   string
	LastStatus  int
}

// DeliveriesPage is a page of a webhook's deliveries, the newest event first.
type DeliveriesPage struct {
	Deliveries []store.Delivery
	Next       string // cursor, "" on the last page
}

// ofNoAccount are the kinds of events, and the events, that are the service's alone.
var ofNoAccount = []string{"backup", "clock", "operator", "site", "system", audit.BeginAction, "audit.accept"}

var (
	eventPattern = regexp.MustCompile(`^[a-z_]+\.([a-z_]+|\*)$`)
	variants     = regexp.MustCompile(`(_over|_right|\.no_end|\.addmember_until)$`)
)

// EventTypes are the types of events that webhooks send, in order: the acts that
// are recorded when they are done, and EventRefused.
func EventTypes(p i18n.Printer) []AuditAction {
	out := []AuditAction{{EventRefused, p.T("wh.refused.what")}}
	for _, a := range AuditActions(p) {
		noun, _, _ := strings.Cut(a.Name, ".")
		if !variants.MatchString(a.Name) && !slices.Contains(ofNoAccount, noun) && !slices.Contains(ofNoAccount, a.Name) { // another sentence of the same act
			out = append(out, a)
		}
	}
	return out
}

// listens reports whether a webhook is sent an event.
func listens(w store.Webhook, r store.AuditRow) bool {
	if r.Pos <= w.FromPos || r.At.Before(w.CreatedAt) {
		return false
	}
	if r.Action == string(webhookTest) && r.Outcome == store.Done && r.Detail["hook"] == w.ID {
		return true
	}
	patterns := w.Events
	if r.Outcome == store.Refused {
		return slices.Contains(patterns, EventRefused)
	}
	noun, _, _ := strings.Cut(r.Action, ".")
	return slices.Contains(patterns, r.Action) || slices.Contains(patterns, noun+".*")
}

// checkEvents puts patterns in order, each once; those of a noun that is chosen
// whole are left out.
func (s *Service) checkEvents(p *problems, events []string) []string {
	out := slices.Clone(events)
	slices.Sort(out)
	out = slices.Compact(out)
	for _, e := range out {
		noun, verb, _ := strings.Cut(e, ".")
		known := e == EventRefused || eventPattern.MatchString(e) && (len(s.c.Events) == 0 || slices.ContainsFunc(s.c.Events, func(t string) bool {
			return t == e || verb == "*" && strings.HasPrefix(t, noun+".")
		}))
		if !known {
			p.add("events", "wh.noevent", fault.Args{"event": e})
			return nil
		}
	}
	out = slices.DeleteFunc(out, func(e string) bool {
		noun, verb, _ := strings.Cut(e, ".")
		return verb != "*" && verb != "" && slices.Contains(out, noun+".*")
	})
	switch {
	case len(out) == 0:
		p.add("events", "wh.noevents", nil)
	case len(out) > maxEvents:
		p.add("events", "wh.manyevents", fault.Args{"n": maxEvents})
	}
	return out
}

func (s *Service) checkTarget(p *problems, raw string) *url.URL {
	u, err := s.webhookRules().Check(strings.TrimSpace(raw))
	switch {
	case errors.Is(err, webhook.ErrPort):
		p.add("url", "wh.badport", nil)
	case errors.Is(err, webhook.ErrInside):
		p.add("url", "wh.inside", nil)
	case err != nil:
		p.add("url", "wh.badurl", nil)
	}
	return u
}

func (s *Service) webhookRules() webhook.Rules {
	if s.c.Webhooks == nil {
		return webhook.Rules{}
	}
	return s.c.Webhooks.Rules()
}

func checkDescription(p *problems, text string) string {
	text = clean(text)
	if len([]rune(text)) > maxDescription {
		p.add("description", "wh.longdescription", fault.Args{"n": maxDescription})
	}
	return text
}

// MakeWebhook makes a webhook, and returns it with its secret, which is not shown
// again. People's addresses are sent for who may read the log. Faults: wh.badurl,
// wh.badport, wh.inside, wh.noevents, wh.noevent{event}, wh.many{n}, rt.beyond, second.again.
func (s *Service) MakeWebhook(ctx context.Context, actor Actor, number int64, n NewWebhook) (WebhookView, webhook.Secret, error) {
	var p problems
	u := s.checkTarget(&p, n.URL)
	n.Events, n.Description = s.checkEvents(&p, n.Events), checkDescription(&p, n.Description)
	secret := webhook.NewSecret()
	var out WebhookView
	err := s.actWithin(ctx, actor, webhookMake, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := cmp.Or(r.whole(), p.err(), recentlyProved(tx, actor)); err != nil {
			return err
		}
		have, err := tx.ListWebhooks(a.ID)
		if err != nil {
			return err
		}
		if len(have) >= maxWebhooks {
			return fault.New(fault.Conflict, "wh.many").With("n", maxWebhooks)
		}
		w := store.Webhook{ID: id.New(), AccountID: a.ID, Description: n.Description, Events: n.Events, Addresses: n.Addresses, State: store.WebhookOn}
		if err := r.answersFor(&w); err != nil {
			return err
		}
		if err := s.aim(&w, u); err != nil {
			return err
		}
		if w.SecretBox, err = s.c.Root.Seal(purposeSecret+w.ID, []byte(secret.Reveal())); err != nil {
			return err
		}
		if w.FromPos, err = tx.NotaryPos(); err != nil {
			return err
		}
		if err := tx.InsertWebhook(w); err != nil {
			return err
		}
		if w, err = tx.FindWebhook(a.ID, w.ID); err != nil {
			return err
		}
		if out, err = s.viewWebhook(tx, w); err != nil {
			return err
		}
		return record(tx, actor, webhookMake, a.ID, w.Host, "events", strings.Join(w.Events, ","), "addresses", yesNo(w.Addresses))
	})
	return out, secret, err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// answersFor makes the actor the one by whose right a webhook tells people's
// addresses: who says where it goes and what it is sent could otherwise read by
// it what only others may.
func (r reach) answersFor(w *store.Webhook) error {
	if err := r.mayTell(*w); err != nil {
		return err
	}
	w.MakerID, w.Operator = r.actor.UserID, r.actor.Kind == KindOperator
	return nil
}

// mayTell refuses who has no right of their own to what a webhook tells.
func (r reach) mayTell(w store.Webhook) error {
	if w.Addresses && !r.Has(store.RightAudit) {
		return &refusal{fault.New(fault.Denied, "wh.beyond").In("addresses", "wh.beyond", nil), w.AccountID, w.Host}
	}
	return nil
}

// tells reports whether a webhook sends people's addresses at this moment.
func tells(tx *store.Tx, w store.Webhook) (bool, error) {
	switch {
	case !w.Addresses:
		return false, nil
	case w.Operator && w.MakerID == "":
		return true, nil
	case w.Operator:
		u, err := tx.FindUser(w.MakerID)
		if errors.Is(err, store.ErrNotFound) || err == nil && u.State != store.UserActive {
			return false, nil
		} else if err != nil {
			return false, err
		}
		return tx.IsOperator(w.MakerID)
	}
	return tx.HasRight(w.MakerID, w.AccountID, store.RightAudit, "")
}

func (s *Service) aim(w *store.Webhook, u *url.URL) (err error) {
	w.Host = u.Host
	w.URLBox, err = s.c.Root.Seal(purposeURL+w.ID, []byte(u.String()))
	return err
}

func (s *Service) viewWebhook(tx *store.Tx, w store.Webhook) (v WebhookView, err error) {
	v = WebhookView{ID: w.ID, Host: w.Host, Description: w.Description, Events: w.Events, Addresses: w.Addresses, Operator: w.Operator, State: w.State, Why: w.Why,
		CreatedAt: w.CreatedAt, ChangedAt: w.ChangedAt, NextAt: w.NextAt, Failures: w.Failures, FailingAt: w.FailingAt, LastError: w.LastError, LastStatus: w.LastStatus}
	if w.OldUntil.After(tx.Now) {
		v.OldUntil = w.OldUntil
	}
	raw, err := s.c.Root.Open(purposeURL+w.ID, w.URLBox)
	if err != nil {
		return v, fmt.Errorf("open the address of a webhook: %w", err)
	}
	v.URL = string(raw)
	if w.MakerID != "" {
		if v.Maker, err = tx.FindUser(w.MakerID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return v, err
		}
	}
	if v.Tells, err = tells(tx, w); err != nil {
		return v, err
	}
	v.Waiting, err = tx.CountWaiting(w.ID)
	return v, err
}

// Webhooks lists an account's webhooks in the order in which they were made.
func (s *Service) Webhooks(ctx context.Context, actor Actor, number int64) ([]WebhookView, error) {
	var out []WebhookView
	err := s.look(ctx, actor, webhookView, number, func(tx *store.Tx, a store.Account) error {
		out = nil
		rows, err := tx.ListWebhooks(a.ID)
		if err != nil {
			return err
		}
		for _, w := range rows {
			v, err := s.viewWebhook(tx, w)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

// Webhook returns one webhook of an account.
func (s *Service) Webhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, error) {
	var out WebhookView
	err := s.look(ctx, actor, webhookView, number, func(tx *store.Tx, a store.Account) error {
		w, err := tx.FindWebhook(a.ID, webhookID)
		if err == nil {
			out, err = s.viewWebhook(tx, w)
		}
		return err
	})
	return out, err
}

// onWebhook does fn to a webhook of an account, and records it with details.
func (s *Service) onWebhook(ctx context.Context, actor Actor, act action, number int64, webhookID string,
	fn func(tx *store.Tx, r reach, w *store.Webhook) (details []string, err error)) (WebhookView, error) {
	var out WebhookView
	err := s.actWithin(ctx, actor, act, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		w, err := tx.LockWebhook(webhookID)
		if err == nil && w.AccountID != a.ID {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		details, err := fn(tx, r, &w)
		if err != nil {
			return err
		}
		if out, err = s.viewWebhook(tx, w); err != nil {
			return err
		}
		return record(tx, actor, act, a.ID, w.Host, details...)
	})
	return out, err
}

// ChangeWebhook changes a webhook. Whoever changes where it goes, or what is sent,
// is the one by whose right it tells addresses from now on. Faults: as MakeWebhook's.
func (s *Service) ChangeWebhook(ctx context.Context, actor Actor, number int64, webhookID string, c WebhookChange) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookChange, number, webhookID, func(tx *store.Tx, r reach, w *store.Webhook) ([]string, error) {
		var p problems
		var u *url.URL
		if c.URL != nil {
			u = s.checkTarget(&p, *c.URL)
		}
		was := *w
		if c.Events != nil {
			w.Events = s.checkEvents(&p, *c.Events)
		}
		if c.Description != nil {
			w.Description = checkDescription(&p, *c.Description)
		}
		if p.err() != nil {
			return nil, p.err()
		}
		moved := false
		if u != nil {
			raw, err := s.c.Root.Open(purposeURL+w.ID, w.URLBox)
			if err != nil {
				return nil, err
			}
			if moved = string(raw) != u.String(); moved {
				if err := s.aim(w, u); err != nil {
					return nil, err
				}
			}
		}
		if c.Addresses != nil {
			w.Addresses = *c.Addresses
		}
		if moved || w.Addresses && !was.Addresses || !slices.Equal(w.Events, was.Events) {
			if err := cmp.Or(recentlyProved(tx, r.actor), r.answersFor(w)); err != nil {
				return nil, err
			}
		}
		if err := tx.SetWebhook(*w); err != nil {
			return nil, err
		}
		details := []string{"events", strings.Join(w.Events, ","), "addresses", yesNo(w.Addresses)}
		switch c.State {
		case "", w.State:
			return details, nil
		case store.WebhookPaused:
			err := pause(tx, w)
			return append(details, "state", w.State), err
		case store.WebhookOn:
			err := resume(tx, w)
			return append(details, "state", w.State), err
		}
		return nil, fmt.Errorf("change a webhook: no state %q", c.State)
	})
}

// RemoveWebhook removes a webhook, with what waits for it.
func (s *Service) RemoveWebhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookRemove, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) {
		return nil, tx.DeleteWebhook(w.ID)
	})
}

// RotateWebhook gives a webhook another secret and returns it, once. For a day
// what is sent is signed with both. The secret of one that tells addresses only who
// may read them has: what is signed with it the receiver believes. Faults: wh.beyond, second.again.
func (s *Service) RotateWebhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, webhook.Secret, error) {
	secret := webhook.NewSecret()
	v, err := s.onWebhook(ctx, actor, webhookRotate, number, webhookID, func(tx *store.Tx, r reach, w *store.Webhook) (_ []string, err error) {
		if err := cmp.Or(recentlyProved(tx, actor), r.mayTell(*w)); err != nil {
			return nil, err
		}
		w.OldBox, w.OldUntil = w.SecretBox, tx.Now.Add(webhookOverlap)
		if w.SecretBox, err = s.c.Root.Seal(purposeSecret+w.ID, []byte(secret.Reveal())); err != nil {
			return nil, err
		}
		return nil, tx.SetWebhook(*w)
	})
	return v, secret, err
}

// PauseWebhook has a webhook's events wait. One that is off stays so.
func (s *Service) PauseWebhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookPause, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) { return nil, pause(tx, w) })
}

func pause(tx *store.Tx, w *store.Webhook) error {
	if w.State != store.WebhookOn {
		return fault.New(fault.Conflict, "wh.noton")
	}
	w.State = store.WebhookPaused
	return tx.SetWebhook(*w)
}

// ResumeWebhook has what waits for a webhook sent, and what happens from now on.
func (s *Service) ResumeWebhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookResume, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) { return nil, resume(tx, w) })
}

func resume(tx *store.Tx, w *store.Webhook) error {
	if w.State == store.WebhookOn {
		return fault.New(fault.Conflict, "wh.ison")
	}
	w.State, w.Why = store.WebhookOn, ""
	if err := tx.SetWebhook(*w); err != nil {
		return err
	}
	w.Failures, w.FailingAt, w.WaitUntil = 0, time.Time{}, time.Time{}
	return reschedule(tx, w)
}

// reschedule writes w's progress with the time of its next try.
func reschedule(tx *store.Tx, w *store.Webhook) error {
	due, err := tx.NextDue(w.ID)
	if err != nil {
		return err
	}
	if w.NextAt = due; !due.IsZero() && w.WaitUntil.After(due) {
		w.NextAt = w.WaitUntil
	}
	return tx.SetWebhookProgress(*w)
}

// TestWebhook sends an event of the type webhook.test to one webhook, whatever
// it listens to. It is an event of the log like others, with that hook's ID.
func (s *Service) TestWebhook(ctx context.Context, actor Actor, number int64, webhookID string) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookTest, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) {
		if w.State != store.WebhookOn {
			return nil, fault.New(fault.Conflict, "wh.noton")
		}
		ok, wait, err := tx.Hit("webhook.test:"+w.ID, time.Minute, 10)
		if err == nil && !ok {
			err = fault.Wait("e429.p", wait)
		}
		return []string{"hook", w.ID}, err
	})
}

// Deliveries lists a webhook's deliveries, those in a state or, with "", all.
func (s *Service) Deliveries(ctx context.Context, actor Actor, number int64, webhookID, state, after string, limit int) (DeliveriesPage, error) {
	limit = limited(limit)
	var out DeliveriesPage
	err := s.look(ctx, actor, webhookView, number, func(tx *store.Tx, a store.Account) error {
		out = DeliveriesPage{}
		if _, err := tx.FindWebhook(a.ID, webhookID); err != nil {
			return err
		}
		list := keyset.Of("deliveries", webhookID)
		pos, event, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListDeliveries(webhookID, state, pos, event, limit+1)
		out.Deliveries, out.Next = keyset.Page(list, rows, limit, func(d store.Delivery) string { return keyset.Numbered(d.Pos, d.EventID) })
		return err
	})
	return out, err
}

// Redeliver sends one event to a webhook again, whatever came of it before.
// Fault: wh.waits for one that is to be sent anyway.
func (s *Service) Redeliver(ctx context.Context, actor Actor, number int64, webhookID, eventID string) (WebhookView, error) {
	return s.onWebhook(ctx, actor, webhookResend, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) {
		d, err := tx.FindDelivery(w.ID, eventID)
		if err != nil {
			return nil, err
		}
		if w.State == store.WebhookOff {
			return nil, fault.New(fault.Conflict, "wh.noton")
		}
		if d.State == store.DeliveryWaiting && !d.DueAt.After(tx.Now) {
			return nil, fault.New(fault.Conflict, "wh.waits")
		}
		if d.State != store.DeliveryWaiting {
			d.Tries = 0
		}
		d.State, d.DueAt = store.DeliveryWaiting, tx.Now
		if err := tx.SetWebhookDelivery(d); err != nil {
			return nil, err
		}
		w.WaitUntil = time.Time{} // somebody has seen to the receiver
		return []string{"n", "1"}, reschedule(tx, w)
	})
}

// RedeliverFailed sends again what was made for a webhook since a time and
// failed, in the order of the events, and returns how many those are.
func (s *Service) RedeliverFailed(ctx context.Context, actor Actor, number int64, webhookID string, since time.Time) (v WebhookView, n int64, err error) {
	v, err = s.onWebhook(ctx, actor, webhookResend, number, webhookID, func(tx *store.Tx, _ reach, w *store.Webhook) ([]string, error) {
		if w.State == store.WebhookOff {
			return nil, fault.New(fault.Conflict, "wh.noton")
		}
		waiting, err := tx.CountWaiting(w.ID)
		if err != nil {
			return nil, err
		}
		if n, err = tx.RetryDeliveries(w.ID, since, max(0, webhookBacklog-waiting)); err != nil {
			return nil, err
		}
		w.WaitUntil = time.Time{}
		return []string{"n", fmt.Sprint(n)}, reschedule(tx, w)
	})
	return v, n, err
}
