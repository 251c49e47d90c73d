package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
)

func (a *app) adminWebhook(f *adminFlags) *cobra.Command {
	list := a.command("list NUMBER", "admin.webhook.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		p, err := do(ctx, o, client.ListWebhooks, client.Account{Account: n})
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"url", "cli.col.url"}, {"events", "cli.col.events"}, {"addresses", "cli.col.addresses"}, {"state", "cli.col.state"},
			{"waiting", "cli.col.waiting"}, {"failing_since", "cli.col.failing"}}}
		for _, w := range p.Items {
			t.add(w.ID, w.URL, strings.Join(w.Events, ","), w.Tells, w.State, w.Waiting, w.FailingSince.Time)
		}
		return o.write(t, f.format, false)
	}))

	var made client.WebhookIn
	create := a.command("create NUMBER", "admin.webhook.create", "  pli admin webhook create 100042 --url https://hooks.example.org/pli --event 'envelope.*,user.add'", a.exactly("NUMBER"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			made.Account = n
			v, err := do(ctx, o, client.MakeWebhook, made)
			if err != nil {
				return err
			}
			o.say("cli.webhook.id", "id", v.Webhook.ID, "host", hostOf(v.Webhook))
			return o.showSecret(v.Webhook.ID, v.Secret, f.format)
		}))
	create.Flags().StringVar(&made.URL, "url", "", a.t("cli.flag.wh.url"))
	create.Flags().StringVar(&made.Description, "description", "", a.t("cli.flag.wh.description"))
	create.Flags().StringSliceVar(&made.Events, "event", nil, a.t("cli.flag.wh.event"))
	create.Flags().BoolVar(&made.Addresses, "addresses", false, a.t("cli.flag.wh.addresses"))

	var address, description string
	var events []string
	var addresses bool
	change := a.command("change NUMBER ID", "admin.webhook.change", "  pli admin webhook change 100042 ID --addresses=false", a.exactly("NUMBER", "ID"), nil)
	change.RunE = a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		c := client.WebhookChange{Account: n, Webhook: args[1]}
		if change.Flags().Changed("url") {
			c.URL = &address
		}
		if change.Flags().Changed("description") {
			c.Description = &description
		}
		if change.Flags().Changed("event") {
			c.Events = &events
		}
		if change.Flags().Changed("addresses") {
			c.Addresses = &addresses
		}
		v, err := do(ctx, o, client.ChangeWebhook, c)
		if err != nil {
			return err
		}
		o.say("cli.webhook.done", "host", hostOf(v))
		return nil
	})
	change.Flags().StringVar(&address, "url", "", a.t("cli.flag.wh.url"))
	change.Flags().StringVar(&description, "description", "", a.t("cli.flag.wh.description"))
	change.Flags().StringSliceVar(&events, "event", nil, a.t("cli.flag.wh.event"))
	change.Flags().BoolVar(&addresses, "addresses", false, a.t("cli.flag.wh.addresses"))

	rotate := a.command("rotate NUMBER ID", "admin.webhook.rotate", "", a.exactly("NUMBER", "ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		v, err := do(ctx, o, client.RotateWebhook, client.WebhookPath{Account: n, Webhook: args[1]})
		if err != nil {
			return err
		}
		return o.showSecret(args[1], v.Secret, f.format)
	}))
	group := []*cobra.Command{list, create, change, rotate}
	for name, act := range map[string]func(context.Context, *administrator, client.WebhookPath) (client.Webhook, error){
		"delete": func(ctx context.Context, o *administrator, at client.WebhookPath) (client.Webhook, error) {
			v, err := do(ctx, o, client.GetWebhook, at)
			if err == nil {
				_, err = do(ctx, o, client.RemoveWebhook, at)
			}
			return v, err
		},
		"test": func(ctx context.Context, o *administrator, at client.WebhookPath) (client.Webhook, error) {
			return do(ctx, o, client.TestWebhook, at)
		},
		"pause": func(ctx context.Context, o *administrator, at client.WebhookPath) (client.Webhook, error) {
			return do(ctx, o, client.ChangeWebhook, client.WebhookChange{Account: at.Account, Webhook: at.Webhook, State: "paused"})
		},
		"resume": func(ctx context.Context, o *administrator, at client.WebhookPath) (client.Webhook, error) {
			return do(ctx, o, client.ChangeWebhook, client.WebhookChange{Account: at.Account, Webhook: at.Webhook, State: "on"})
		},
	} {
		group = append(group, a.command(name+" NUMBER ID", "admin.webhook."+name, "", a.exactly("NUMBER", "ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			v, err := act(ctx, o, client.WebhookPath{Account: n, Webhook: args[1]})
			if err != nil {
				return err
			}
			o.say("cli.webhook.done", "host", hostOf(v))
			return nil
		})))
	}
	return a.group("webhook", "admin.webhook", append(group, a.webhookDeliveries(f), a.webhookRedeliver(f), a.webhookEvents(f))...)
}

func (a *app) webhookDeliveries(f *adminFlags) *cobra.Command {
	var state string
	c := a.command("deliveries NUMBER ID", "admin.webhook.deliveries", "", a.exactly("NUMBER", "ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"event", "cli.col.event"}, {"type", "cli.col.type"}, {"state", "cli.col.state"}, {"tries", "cli.col.tries"},
			{"status", "cli.col.http"}, {"failure", "cli.col.failure"}, {"due_at", "cli.col.due"}}}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Delivery], error) {
			return do(ctx, o, client.ListDeliveries, client.DeliveriesIn{Account: n, Webhook: args[1], State: state, After: after, Limit: size})
		}, func(d client.Delivery) { t.add(d.Event, d.Type, d.State, d.Tries, d.Status, d.Failure, d.DueAt.Time) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	c.Flags().StringVar(&state, "state", "", a.t("cli.flag.wh.state"))
	return c
}

func (a *app) webhookRedeliver(f *adminFlags) *cobra.Command {
	var since string
	c := a.command("redeliver NUMBER ID [EVENT]", "admin.webhook.redeliver", "  pli admin webhook redeliver 100042 ID --failed-since 2026-11-20", a.exactly("NUMBER", "ID", "[EVENT]"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			in := client.RedeliverIn{Account: n, Webhook: args[1]}
			switch {
			case len(args) == 3 && since == "":
				in.Event = args[2]
			case len(args) == 2 && since != "":
				at, bad := time.Parse(time.RFC3339, since)
				if bad != nil {
					if at, bad = time.ParseInLocation(time.DateOnly, since, time.Local); bad != nil {
						return fault.New(fault.Invalid, "wh.badsince")
					}
				}
				in.FailedSince = at.Format(time.RFC3339)
			default:
				return fault.New(fault.Invalid, "cli.webhook.which")
			}
			again, err := do(ctx, o, client.Redeliver, in)
			if err != nil {
				return err
			}
			o.say("cli.webhook.resent", "n", again.Events)
			return nil
		}))
	c.Flags().StringVar(&since, "failed-since", "", a.t("cli.flag.wh.since"))
	return c
}

// webhookEvents is the program's own list: it asks nobody.
func (a *app) webhookEvents(f *adminFlags) *cobra.Command {
	return a.command("events", "admin.webhook.events", "", a.exactly(), func(*cobra.Command, []string) error {
		t := &table{columns: []column{{"type", "cli.col.type"}, {"means", "cli.col.means"}}}
		for _, e := range account.EventTypes(a.p) {
			t.add(e.Name, e.Text)
		}
		return a.write(t, f.format, false)
	})
}

// hostOf is where a webhook's events go.
func hostOf(w client.Webhook) string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return w.URL
	}
	return u.Hostname()
}
