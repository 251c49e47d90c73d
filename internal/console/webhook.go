package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
	"github.com/pli-mail/pli/internal/webhook"
)

// webhookRow is a webhook in the list of A18.
type webhookRow struct {
	account.WebhookView
	Link   web.Link
	What   string
	Status personStatus
	Failed string // why the last deliveries failed, "" where they did not
}

// eventKind is one noun with its events, as check boxes.
type eventKind struct {
	Name, Text string
	All        bool // chosen whole
	Open       bool // some are chosen
	Events     []scopeRow
	Single     bool // it has no events of its own: EventRefused
}

// webhookForm is what one says of a webhook.
type webhookForm struct {
	head
	Kinds        []eventKind
	MayAddresses bool
	URL          string // what stands in the fields at first
	About        string
	Addresses    bool
}

// webhookPage is one webhook.
type webhookPage struct {
	webhookForm
	Hook       webhookRow
	Told       string // of people's addresses
	Suspended  bool
	Rows       []deliveryRow
	Pager      web.Pager
	OnlyFailed bool
	Today      string
	Secret     string // that was just made, "" at all other times
	Made       string // its heading
}

type deliveryRow struct {
	store.Delivery
	Status  personStatus
	Why     string
	CanSend bool
}

func webhooksPath(number int64) string { return accountPath(number) + "/integrations/webhooks" }

func webhookRowOf(r *web.Request, number int64, v account.WebhookView) webhookRow {
	row := webhookRow{WebhookView: v, Link: web.Link{URL: webhooksPath(number) + "/" + v.ID, Text: v.Host}}
	if v.Description != "" {
		row.Link.Text = v.Description
	}
	var what []string
	for _, e := range v.Events {
		noun, verb, _ := strings.Cut(e, ".")
		if verb == "*" || verb == "" {
			e = nounName(r.Printer, noun)
		}
		what = append(what, e)
	}
	row.What = strings.Join(what, ", ")
	switch {
	case v.State == store.WebhookOff:
		row.Status = personStatus{"bad", r.T("wh.off")}
	case v.State == store.WebhookPaused:
		row.Status = personStatus{"warn", r.T("wh.paused")}
	default:
		row.Status = personStatus{"ok", r.T("wh.on")}
	}
	if v.Failures > 0 && v.State != store.WebhookOff {
		row.Failed = r.T("it.failing", "n", v.Failures, "reason", failureOf(r.Printer, v.LastError, v.LastStatus))
	}
	return row
}

// nounName is what a kind of events is called.
func nounName(p i18n.Printer, noun string) string { return p.T("wh.noun." + noun) }

func failureOf(p i18n.Printer, failure string, status int) string {
	if failure == "" {
		return ""
	}
	return p.T("wh.f."+failure, "n", status)
}

// eventKinds are the check boxes, those chosen that are in chosen.
func eventKinds(p i18n.Printer, chosen []string) []eventKind {
	var out []eventKind
	for _, e := range account.EventTypes(p) {
		noun, verb, _ := strings.Cut(e.Name, ".")
		if len(out) == 0 || out[len(out)-1].Name != noun {
			pattern := noun + ".*"
			if verb == "" {
				pattern = noun
			}
			out = append(out, eventKind{Name: noun, Text: nounName(p, noun), All: slices.Contains(chosen, pattern), Single: verb == ""})
		}
		k := &out[len(out)-1]
		if verb == "" {
			continue
		}
		row := scopeRow{Name: e.Name, Text: e.Text, Chosen: slices.Contains(chosen, e.Name)}
		k.Open = k.Open || row.Chosen
		k.Events = append(k.Events, row)
	}
	slices.SortStableFunc(out, func(a, b eventKind) int { return strings.Compare(norm.NFD.String(a.Text), norm.NFD.String(b.Text)) }) // Tâches before Tout
	return out
}

// chosenEvents reads the check boxes.
func chosenEvents(form url.Values) []string {
	var out []string
	for name, v := range form {
		if e, ok := strings.CutPrefix(name, "event-"); ok && v[0] != "" {
			out = append(out, e)
		}
	}
	return out
}

func (c *Console) webhookForm(r *web.Request, a account.AccountHead, title string, chosen []string) webhookForm {
	if _, typed := r.PostForm["url"]; typed {
		chosen = chosenEvents(r.PostForm)
	}
	return webhookForm{head: headOf(r, a, title, integrationsLink(r, a.ID)), Kinds: eventKinds(r.Printer, chosen), MayAddresses: a.Held.Has(store.RightAudit)}
}

func (c *Console) newWebhookPage(r *web.Request) (*webhookForm, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	if _, err := c.accounts.Webhooks(r.Context(), r.Actor(), a.ID); err != nil {
		return nil, err // who may not
	}
	page := c.webhookForm(r, a, r.T("it.webhook"), nil)
	page.Addresses = r.PostFormValue("addresses") != ""
	return &page, nil
}

// provedLately reports whether the session's person may make what acts by itself.
func (c *Console) provedLately(r *web.Request) (bool, error) {
	if r.Session.APIToken != nil {
		return true, nil
	}
	return c.accounts.Fresh(r.Context(), r.Session)
}

func (c *Console) newWebhook(r *web.Request) error {
	page, err := c.newWebhookPage(r)
	if err != nil {
		return err
	}
	if ok, err := c.provedLately(r); err != nil || !ok { // before they type, not after
		if err != nil {
			return err
		}
		return proveFirst(r, r.URL.Path)
	}
	return r.Render(c.pages, "webhook-new", page)
}

// makeWebhook answers with the secret, which no later page can show.
func (c *Console) makeWebhook(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	var v account.WebhookView
	var secret webhook.Secret
	err = r.Once(func() (err error) {
		v, secret, err = c.accounts.MakeWebhook(r.Context(), r.Actor(), n, account.NewWebhook{URL: r.PostFormValue("url"), Description: r.PostFormValue("description"),
			Events: chosenEvents(r.PostForm), Addresses: r.PostFormValue("addresses") != ""})
		return err
	})
	if err != nil {
		return web.Retry(r, c.pages, "webhook-new", c.newWebhookPage, err)
	}
	return c.showSecret(r, v, secret.Reveal(), "wh.made")
}

func (c *Console) showSecret(r *web.Request, v account.WebhookView, secret, heading string) error {
	page, err := c.webhookPageOf(r, v)
	if err != nil {
		return err
	}
	page.Secret, page.Made = secret, r.T(heading, "host", v.Host)
	return r.RenderStatus(http.StatusCreated, c.pages, "webhook", page)
}

func (c *Console) webhookPage(r *web.Request) (*webhookPage, error) {
	n, err := numberOf(r)
	if err != nil {
		return nil, err
	}
	v, err := c.accounts.Webhook(r.Context(), r.Actor(), n, r.PathValue("hook"))
	if err != nil {
		return nil, err
	}
	return c.webhookPageOf(r, v)
}

func (c *Console) webhookPageOf(r *web.Request, v account.WebhookView) (*webhookPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	form := c.webhookForm(r, a, v.Host, v.Events)
	form.Path = webhooksPath(a.ID) + "/" + v.ID
	form.URL, form.About, form.Addresses = v.URL, v.Description, v.Addresses
	page := &webhookPage{webhookForm: form, Hook: webhookRowOf(r, a.ID, v), Suspended: a.State != store.AccountActive, Today: time.Now().In(r.Printer.Zone).Format(time.DateOnly)}
	if _, typed := r.PostForm["url"]; typed {
		page.Addresses = r.PostFormValue("addresses") != ""
	}
	name := r.T("wh.addresses.gone")
	if v.Operator {
		name = r.T("wh.addresses.operator")
	} else if v.Maker.ID != "" {
		name = nameOf(v.Maker)
	}
	switch {
	case v.Tells:
		page.Told = r.T("wh.addresses.on", "name", name)
	case v.Addresses:
		page.Told = r.T("wh.addresses.lost", "name", name)
	default:
		page.Told = r.T("wh.addresses.off")
	}
	q := r.URL.Query()
	state := ""
	if page.OnlyFailed = q.Get("status") == store.DeliveryFailed; page.OnlyFailed {
		state = store.DeliveryFailed
	}
	list, err := c.accounts.Deliveries(r.Context(), r.Actor(), a.ID, v.ID, state, q.Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page.Pager = pager(r, list.Next)
	for _, d := range list.Deliveries {
		row := deliveryRow{Delivery: d, Why: failureOf(r.Printer, d.Failure, d.Status), CanSend: v.State != store.WebhookOff && (d.State != store.DeliveryWaiting || d.Tries > 0)}
		switch {
		case d.State == store.Delivered:
			row.Status, row.Why = personStatus{"ok", r.T("wh.st.delivered")}, ""
		case d.State == store.DeliveryFailed:
			row.Status = personStatus{"bad", r.T("wh.st.failed")}
			if d.Failure == "" {
				row.Why = r.T("wh.f.off")
			}
		case d.Tries > 0:
			row.Status = personStatus{"warn", r.T("wh.st.retry")}
		default:
			row.Status = personStatus{"", r.T("wh.st.waiting")}
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

func (c *Console) webhook(r *web.Request) error {
	page, err := c.webhookPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "webhook", page)
}

func (c *Console) changeWebhook(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	to, about, events, addresses := r.PostFormValue("url"), r.PostFormValue("description"), chosenEvents(r.PostForm), r.PostFormValue("addresses") != ""
	v, err := c.accounts.ChangeWebhook(r.Context(), r.Actor(), n, r.PathValue("hook"), account.WebhookChange{URL: &to, Description: &about, Events: &events, Addresses: &addresses})
	if err != nil {
		return web.Retry(r, c.pages, "webhook", c.webhookPage, err)
	}
	r.Flash("ok", "wh.saved")
	return r.Redirect(webhooksPath(n) + "/" + v.ID)
}

// onWebhook does an act of one button, and goes back to the webhook's page.
func (c *Console) onWebhook(r *web.Request, said string, act func(number int64, hook string) error) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := act(n, r.PathValue("hook")); err != nil {
		return web.Retry(r, c.pages, "webhook", c.webhookPage, err)
	}
	r.Flash("ok", said)
	return r.Redirect(webhooksPath(n) + "/" + r.PathValue("hook"))
}

func (c *Console) testWebhook(r *web.Request) error {
	return c.onWebhook(r, "wh.tested", func(n int64, hook string) error {
		_, err := c.accounts.TestWebhook(r.Context(), r.Actor(), n, hook)
		return err
	})
}

func (c *Console) pauseWebhook(r *web.Request) error {
	return c.onWebhook(r, "wh.didpause", func(n int64, hook string) error {
		_, err := c.accounts.PauseWebhook(r.Context(), r.Actor(), n, hook)
		return err
	})
}

func (c *Console) resumeWebhook(r *web.Request) error {
	return c.onWebhook(r, "wh.didresume", func(n int64, hook string) error {
		_, err := c.accounts.ResumeWebhook(r.Context(), r.Actor(), n, hook)
		return err
	})
}

// redeliver sends one event again, or all that failed since a day.
func (c *Console) redeliver(r *web.Request) error {
	if event := r.PostFormValue("event"); event != "" {
		return c.onWebhook(r, "wh.didagain", func(n int64, hook string) error {
			_, err := c.accounts.Redeliver(r.Context(), r.Actor(), n, hook, event)
			return err
		})
	}
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	since, err := time.ParseInLocation(time.DateOnly, r.PostFormValue("since"), r.Printer.Zone)
	if err != nil {
		return web.Retry(r, c.pages, "webhook", c.webhookPage, fault.New(fault.Invalid, "wh.badsince").In("since", "wh.badsince", nil))
	}
	_, again, err := c.accounts.RedeliverFailed(r.Context(), r.Actor(), n, r.PathValue("hook"), since)
	if err != nil {
		return web.Retry(r, c.pages, "webhook", c.webhookPage, err)
	}
	r.Flash("ok", "wh.didall", "n", int(again))
	return r.Redirect(webhooksPath(n) + "/" + r.PathValue("hook"))
}

// confirmWebhook asks before a secret is replaced, or a webhook deleted.
func (c *Console) confirmWebhook(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	v, err := c.accounts.Webhook(r.Context(), r.Actor(), a.ID, r.PathValue("hook"))
	if err != nil {
		return err
	}
	here := webhooksPath(a.ID) + "/" + v.ID
	act, question, what := r.T("wh.delete"), r.T("wh.deleteq", "host", v.Host), r.T("wh.deletewhat", "n", v.Waiting)
	if strings.HasSuffix(r.URL.Path, "/rotate") {
		if ok, err := c.provedLately(r); err != nil || !ok {
			if err != nil {
				return err
			}
			return proveFirst(r, r.URL.Path)
		}
		act, question, what = r.T("wh.rotate"), r.T("wh.rotateq", "host", v.Host), r.T("wh.rotatewhat")
	}
	page := confirm(r, a, act, question, here, integrationsLink(r, a.ID), web.Link{URL: here, Text: v.Host})
	page.Lines, page.Keep, page.Button = []string{what}, r.T("c.cancel"), act
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) rotateWebhook(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	var v account.WebhookView
	var secret webhook.Secret
	err = r.Once(func() (err error) {
		v, secret, err = c.accounts.RotateWebhook(r.Context(), r.Actor(), n, r.PathValue("hook"))
		return err
	})
	if fault.HasKey(err, "second.again") {
		return proveFirst(r, r.URL.Path)
	}
	if err != nil {
		return err
	}
	return c.showSecret(r, v, secret.Reveal(), "wh.rotated")
}

func (c *Console) removeWebhook(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	v, err := c.accounts.RemoveWebhook(r.Context(), r.Actor(), n, r.PathValue("hook"))
	if err != nil {
		return err
	}
	r.Flash("ok", "wh.deleted", "host", v.Host)
	return r.Redirect(accountPath(n) + "/integrations")
}
