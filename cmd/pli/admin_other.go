package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminRequest(f *adminFlags) *cobra.Command {
	list := a.command("list [NUMBER]", "admin.request.list", "", a.exactly("[NUMBER]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		numbers, err := o.accountNumbers(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"account", "cli.col.account"}, {"email", "cli.col.email"}, {"name", "cli.col.name"}, {"right", "cli.col.right"}, {"reason", "cli.col.reason"}, {"created_at", "cli.col.created"}}}
		for _, n := range numbers {
			list, err := o.Accounts.Requests(ctx, o.actor, n)
			if err != nil {
				return err
			}
			for _, r := range list {
				t.add(r.ID, n, r.User.DisplayAddress, r.User.Name(), r.Right, r.Reason, r.CreatedAt)
			}
		}
		return o.write(t, f.format, false)
	}))
	decide := func(verb, key string, grant bool) *cobra.Command {
		var group string
		c := a.command(verb+" ID", "admin.request."+verb, "", a.exactly("ID"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			u, err := o.Accounts.DecideRequest(ctx, o.actor, args[0], grant, group)
			if err != nil {
				return err
			}
			o.say(key, "name", u.Name())
			return nil
		}))
		if grant {
			c.Flags().StringVar(&group, "group", "", a.t("cli.request.group"))
		}
		return c
	}
	return a.group("request", "admin.request", list, decide("grant", "adm.granted", true), decide("refuse", "adm.refused", false))
}

// accountNumbers is the account that was named; else all, and 0 for what is of none.
func (o *operator) accountNumbers(ctx context.Context, args []string) ([]int64, error) {
	if len(args) > 0 {
		n, err := number(args[0])
		return []int64{n}, err
	}
	out := []int64{0}
	err := pages(0, func(after string, n int) (int, string, error) {
		p, err := o.Accounts.Accounts(ctx, o.actor, after, n)
		for _, v := range p.Accounts {
			out = append(out, v.ID)
		}
		return len(p.Accounts), p.Next, err
	})
	return out, err
}

func (a *app) adminOutbox(f *adminFlags) *cobra.Command {
	var state string
	list := a.command("list", "admin.outbox.list", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		if state != "" && state != store.OutboxWaiting && state != store.OutboxFailed && state != store.OutboxHeld {
			return usage("cli.usage.choice", "value", state, "choices", store.OutboxWaiting+", "+store.OutboxFailed+", "+store.OutboxHeld)
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"recipient", "cli.col.to"}, {"kind", "cli.col.kind"}, {"state", "cli.col.state"}, {"attempts", "cli.col.attempts"}, {"next_at", "cli.col.next"}, {"last_error", "cli.col.error"}, {"created_at", "cli.col.created"}, {"letter", "cli.col.letter"}}}
		if err := pages(0, func(after string, n int) (int, string, error) {
			rows, err := o.Outbox.List(ctx, state, after, n)
			cursor := ""
			for _, r := range rows {
				t.add(r.ID, r.Recipient, r.Kind, r.State, r.Attempts, r.NextAt, r.LastError, r.CreatedAt, r.HasLetter)
				cursor = r.ID
			}
			if len(rows) < n {
				cursor = ""
			}
			return len(rows), cursor, err
		}); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	list.Flags().StringVar(&state, "state", "", a.t("cli.outbox.state"))
	retry := a.command("retry ID", "admin.outbox.retry", "", a.exactly("ID"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		if err := o.Outbox.Retry(ctx, o.actor.String(), args[0]); err != nil {
			return err
		}
		o.say("cli.outbox.retried")
		return nil
	}))
	drop := a.command("drop ID", "admin.outbox.drop", "", a.exactly("ID"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		if err := o.Outbox.Drop(ctx, o.actor.String(), args[0]); err != nil {
			return err
		}
		o.say("cli.outbox.dropped")
		return nil
	}))
	return a.group("outbox", "admin.outbox", list, retry, drop)
}

func (a *app) adminClock(f *adminFlags) *cobra.Command {
	accept := a.command("accept", "admin.clock.accept", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		if err := o.Keys.AcceptClock(ctx, keyserver.Actor{Name: o.actor.String(), Origin: o.actor.Origin}); err != nil {
			return err
		}
		o.say("cli.clock.accepted", "date", o.p.Time(o.DB.Now()))
		return nil
	}))
	return a.group("clock", "admin.clock", accept)
}
