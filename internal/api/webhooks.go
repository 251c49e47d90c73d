package api

import (
	"time"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerWebhooks() {
	handle(a, client.ListWebhooks, a.listWebhooks)
	handle(a, client.MakeWebhook, a.makeWebhook)
	handle(a, client.GetWebhook, a.getWebhook)
	handle(a, client.ChangeWebhook, a.changeWebhook)
	handle(a, client.RemoveWebhook, a.removeWebhook)
	handle(a, client.RotateWebhook, a.rotateWebhook)
	handle(a, client.TestWebhook, a.testWebhook)
	handle(a, client.ListDeliveries, a.listDeliveries)
	handle(a, client.Redeliver, a.redeliver)
}

func webhookOf(v account.WebhookView) client.Webhook {
	return client.Webhook{ID: v.ID, URL: v.URL, Description: v.Description, Events: append([]string{}, v.Events...), Addresses: v.Addresses, Tells: v.Tells,
		State: v.State, Why: v.Why, Waiting: v.Waiting, Failures: v.Failures, Failure: v.LastError, Status: v.LastStatus,
		CreatedAt: client.Time{Time: v.CreatedAt}, FailingSince: client.Time{Time: v.FailingAt}, OldUntil: client.Time{Time: v.OldUntil}}
}

func (a *api) listWebhooks(r *web.Request, in client.Account) (client.Page[client.Webhook], error) {
	list, err := a.Accounts.Webhooks(r.Context(), r.Actor(), in.Account)
	return pageOf(list, "", webhookOf), err
}

func (a *api) makeWebhook(r *web.Request, in client.WebhookIn) (client.NewWebhook, error) {
	v, secret, err := a.Accounts.MakeWebhook(r.Context(), r.Actor(), in.Account, account.NewWebhook{URL: in.URL, Description: in.Description, Events: in.Events, Addresses: in.Addresses})
	return client.NewWebhook{Webhook: webhookOf(v), Secret: secret.Reveal()}, err
}

func (a *api) getWebhook(r *web.Request, in client.WebhookPath) (client.Webhook, error) {
	v, err := a.Accounts.Webhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	return webhookOf(v), err
}

// changeWebhook changes, pauses or resumes, or both at once; one that is so already stays.
func (a *api) changeWebhook(r *web.Request, in client.WebhookChange) (client.Webhook, error) {
	v, err := a.Accounts.Webhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	switch {
	case err != nil:
	case in.URL != nil || in.Description != nil || in.Events != nil || in.Addresses != nil:
		v, err = a.Accounts.ChangeWebhook(r.Context(), r.Actor(), in.Account, in.Webhook,
			account.WebhookChange{URL: in.URL, Description: in.Description, Events: in.Events, Addresses: in.Addresses, State: in.State})
	case in.State == "" || in.State == v.State:
	case in.State == store.WebhookPaused:
		v, err = a.Accounts.PauseWebhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	default:
		v, err = a.Accounts.ResumeWebhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	}
	return webhookOf(v), err
}

func (a *api) removeWebhook(r *web.Request, in client.WebhookPath) (client.None, error) {
	_, err := a.Accounts.RemoveWebhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	return client.None{}, err
}

func (a *api) rotateWebhook(r *web.Request, in client.WebhookPath) (client.NewWebhook, error) {
	v, secret, err := a.Accounts.RotateWebhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	return client.NewWebhook{Webhook: webhookOf(v), Secret: secret.Reveal()}, err
}

func (a *api) testWebhook(r *web.Request, in client.WebhookPath) (client.Webhook, error) {
	v, err := a.Accounts.TestWebhook(r.Context(), r.Actor(), in.Account, in.Webhook)
	return webhookOf(v), err
}

func (a *api) listDeliveries(r *web.Request, in client.DeliveriesIn) (client.Page[client.Delivery], error) {
	p, err := a.Accounts.Deliveries(r.Context(), r.Actor(), in.Account, in.Webhook, in.State, in.After, in.Limit)
	return pageOf(p.Deliveries, p.Next, func(d store.Delivery) client.Delivery {
		out := client.Delivery{Event: d.EventID, Type: d.Action, State: d.State, Tries: d.Tries, Status: d.Status, Failure: d.Failure,
			MadeAt: client.Time{Time: d.MadeAt}, TriedAt: client.Time{Time: d.TriedAt}}
		if d.Outcome == store.Refused {
			out.Type = account.EventRefused
		}
		if d.State == store.DeliveryWaiting {
			out.DueAt = client.Time{Time: d.DueAt}
		}
		return out
	}), err
}

func (a *api) redeliver(r *web.Request, in client.RedeliverIn) (client.Redelivered, error) {
	if in.Event != "" {
		_, err := a.Accounts.Redeliver(r.Context(), r.Actor(), in.Account, in.Webhook, in.Event)
		return client.Redelivered{Events: 1}, err
	}
	if _, err := a.Accounts.Webhook(r.Context(), r.Actor(), in.Account, in.Webhook); err != nil { // who may not is told first
		return client.Redelivered{}, err
	}
	since, err := time.Parse(time.RFC3339, in.FailedSince)
	if err != nil {
		return client.Redelivered{}, badField("failed_since", nil)
	}
	_, n, err := a.Accounts.RedeliverFailed(r.Context(), r.Actor(), in.Account, in.Webhook, since)
	return client.Redelivered{Events: n}, err
}
