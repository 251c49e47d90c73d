package client

import "net/http"

// Webhook is where an account's events are sent to, without its secret.
type Webhook struct {
	ID           string   `json:"id"`
	URL          string   `json:"url"`
	Description  string   `json:"description"`
	Events       []string `json:"events" doc:"types, noun.* or refused"`
	Addresses    bool     `json:"addresses" doc:"people's addresses are asked for"`
	Tells        bool     `json:"tells_addresses" doc:"they are sent: who asked for them may read the audit log now"`
	State        string   `json:"state" doc:"on, paused or off"`
	Why          string   `json:"why" doc:"of off: gone (the receiver answered 410) or failing"`
	Waiting      int      `json:"waiting" doc:"deliveries"`
	Failures     int      `json:"failures" doc:"tries since the last delivery"`
	Failure      string   `json:"failure" doc:"of the last try: unreachable, certificate, no_answer or status"`
	Status       int      `json:"status" doc:"HTTP status of the last try, 0 without an answer"`
	CreatedAt    Time     `json:"created_at"`
	FailingSince Time     `json:"failing_since" doc:"of one whose deliveries fail"`
	OldUntil     Time     `json:"old_secret_until" doc:"until when the secret before signs too"`
}

// NewWebhook is what was just made.
type NewWebhook struct {
	Webhook Webhook `json:"webhook"`
	Secret  string  `json:"secret" doc:"whsec_…, to check signatures with; it cannot be read again"`
}

// WebhookIn asks for one.
type WebhookIn struct {
	Account     int64    `path:"account" doc:"account number"`
	URL         string   `json:"url" doc:"https, at a public address"`
	Description string   `json:"description,omitempty"`
	Events      []string `json:"events" doc:"types, noun.* or refused (docs/reference/webhook-events.md)"`
	Addresses   bool     `json:"addresses,omitempty" doc:"with people's addresses, if the caller may read the audit log"`
}

// WebhookChange changes what it names.
type WebhookChange struct {
	Account     int64     `path:"account" doc:"account number"`
	Webhook     string    `path:"webhook"`
	URL         *string   `json:"url,omitempty"`
	Description *string   `json:"description,omitempty"`
	Events      *[]string `json:"events,omitempty"`
	Addresses   *bool     `json:"addresses,omitempty"`
	State       string    `json:"state,omitempty" enum:"on,paused" doc:"resume or pause"`
}

// WebhookPath names one.
type WebhookPath struct {
	Account int64  `path:"account" doc:"account number"`
	Webhook string `path:"webhook"`
}

// Delivery is one event for one webhook.
type Delivery struct {
	Event   string `json:"event" doc:"ID, as in webhook-id and in the audit log"`
	Type    string `json:"type"`
	State   string `json:"state" doc:"waiting, delivered or failed"`
	Tries   int    `json:"tries"`
	Status  int    `json:"status" doc:"HTTP status of the last try, 0 without an answer"`
	Failure string `json:"failure" doc:"unreachable, certificate, no_answer, status or backlog"`
	MadeAt  Time   `json:"made_at"`
	TriedAt Time   `json:"tried_at"`
	DueAt   Time   `json:"due_at" doc:"next try, of one that waits"`
}

// DeliveriesIn is a page of a webhook's deliveries.
type DeliveriesIn struct {
	Account int64  `path:"account" doc:"account number"`
	Webhook string `path:"webhook"`
	State   string `query:"state" enum:"waiting,delivered,failed"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

// RedeliverIn says what is sent again: one event, or all that failed since a time.
type RedeliverIn struct {
	Account     int64  `path:"account" doc:"account number"`
	Webhook     string `path:"webhook"`
	Event       string `json:"event,omitempty"`
	FailedSince string `json:"failed_since,omitempty" doc:"RFC 3339"`
}

// Redelivered is how many events are sent again.
type Redelivered struct {
	Events int64 `json:"events"`
}

const webhooks = "/api/v1/accounts/{account}/webhooks"

// An account's webhooks.
var (
	ListWebhooks = Operation[Account, Page[Webhook]]{Spec{ID: "listWebhooks", Method: http.MethodGet, Path: webhooks, Tag: "Webhooks",
		Summary: "List an account's webhooks", Note: "All on one page: an account has 20 at most.", Who: SignedIn, Right: "integrations"}}
	MakeWebhook = Operation[WebhookIn, NewWebhook]{Spec{ID: "makeWebhook", Method: http.MethodPost, Path: webhooks, Tag: "Webhooks",
		Summary: "Make a webhook", Note: "The answer is the only one with the secret: no idempotency key is taken.",
		Who: SignedIn, Right: "integrations", Status: http.StatusCreated, Fails: []int{409}}}
	GetWebhook = Operation[WebhookPath, Webhook]{Spec{ID: "getWebhook", Method: http.MethodGet, Path: webhooks + "/{webhook}", Tag: "Webhooks",
		Summary: "One webhook", Who: SignedIn, Right: "integrations"}}
	ChangeWebhook = Operation[WebhookChange, Webhook]{Spec{ID: "changeWebhook", Method: http.MethodPatch, Path: webhooks + "/{webhook}", Tag: "Webhooks",
		Summary: "Change, pause or resume a webhook", Note: "Who changes where it goes, or what is sent, is the one by whose right it tells addresses from then on.",
		Who: SignedIn, Right: "integrations", Fails: []int{409}}}
	RemoveWebhook = Operation[WebhookPath, None]{Spec{ID: "removeWebhook", Method: http.MethodDelete, Path: webhooks + "/{webhook}", Tag: "Webhooks",
		Summary: "Delete a webhook, with what waits for it", Who: SignedIn, Right: "integrations"}}
	RotateWebhook = Operation[WebhookPath, NewWebhook]{Spec{ID: "rotateWebhook", Method: http.MethodPost, Path: webhooks + "/{webhook}/rotate", Tag: "Webhooks",
		Summary: "Make a new secret", Note: "For 24 hours deliveries are signed with both.", Who: SignedIn, Right: "integrations"}}
	TestWebhook = Operation[WebhookPath, Webhook]{Spec{ID: "testWebhook", Method: http.MethodPost, Path: webhooks + "/{webhook}/test", Tag: "Webhooks",
		Summary: "Send an event of the type webhook.test", Who: SignedIn, Right: "integrations", Fails: []int{409}}}
	ListDeliveries = Operation[DeliveriesIn, Page[Delivery]]{Spec{ID: "listDeliveries", Method: http.MethodGet, Path: webhooks + "/{webhook}/deliveries", Tag: "Webhooks",
		Summary: "A webhook's deliveries of the last 30 days, the newest event first", Who: SignedIn, Right: "integrations"}}
	Redeliver = Operation[RedeliverIn, Redelivered]{Spec{ID: "redeliver", Method: http.MethodPost, Path: webhooks + "/{webhook}/redeliver", Tag: "Webhooks",
		Summary: "Send one event again, or all that failed since a time", Who: SignedIn, Right: "integrations", Fails: []int{409}}}
)
