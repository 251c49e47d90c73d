package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminRequest(f *adminFlags) *cobra.Command {
	list := a.command("list [NUMBER]", "admin.request.list", "", a.exactly("[NUMBER]"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		numbers, err := o.accounts(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"account", "cli.col.account"}, {"email", "cli.col.email"}, {"name", "cli.col.name"}, {"right", "cli.col.right"}, {"reason", "cli.col.reason"}, {"created_at", "cli.col.created"}}}
		for _, n := range numbers {
			if err := every(ctx, 0, func(after string, size int) (client.Page[client.AccessRequest], error) {
				return do(ctx, o, client.ListAccessRequests, client.AccountPage{Account: n, After: after, Limit: size})
			}, func(r client.AccessRequest) {
				t.add(r.ID, n, r.Email, r.Name, r.Right, r.Reason, r.CreatedAt.Time)
			}); err != nil {
				return err
			}
		}
		return o.write(t, f.format, false)
	}))
	var group, word string
	grant := a.command("grant ID", "admin.request.grant", "", a.exactly("ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		d, err := do(ctx, o, client.GrantAccess, client.GrantIn{Request: args[0], Group: group, Word: word})
		switch {
		case err != nil:
		case d.Right == store.RightAll:
			o.say("adm.granted", "name", d.Name)
		default:
			o.say("adm.grantedgroup", "name", d.Name, "group", d.GroupName)
		}
		return err
	}))
	grant.Flags().StringVar(&group, "group", "", a.t("cli.request.group"))
	refuse := a.command("refuse ID", "admin.request.refuse", "", a.exactly("ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		d, err := do(ctx, o, client.RefuseAccess, client.RefuseIn{Request: args[0], Word: word})
		if err == nil {
			o.say("adm.refused", "name", d.Name)
		}
		return err
	}))
	for _, c := range []*cobra.Command{grant, refuse} {
		c.Flags().StringVar(&word, "word", "", a.t("cli.request.word"))
	}
	return a.group("request", "admin.request", list, grant, refuse)
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
