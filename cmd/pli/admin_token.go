package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
)

func (a *app) adminToken(f *adminFlags) *cobra.Command {
	list := a.command("list NUMBER", "admin.token.list", "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"name", "cli.col.name"}, {"maker", "cli.col.maker"}, {"scopes", "cli.col.scopes"},
			{"created_at", "cli.col.created"}, {"expires_at", "cli.col.expires"}, {"used_at", "cli.col.used"}}}
		for after := ""; ; {
			page, err := o.Accounts.Tokens(ctx, o.actor, n, after, 500)
			if fault.Is(err, fault.NotFound) {
				return o.noAccount(n)
			}
			if err != nil {
				return err
			}
			for _, x := range page.Tokens {
				t.add(x.ID, x.Name, x.Maker.DisplayAddress, strings.Join(x.Scopes, ","), x.CreatedAt, x.ExpiresAt, x.UsedAt)
			}
			if after = page.Next; after == "" {
				return o.write(t, f.format, false)
			}
		}
	}))
	var n account.NewToken
	create := a.command("create NUMBER USER", "admin.token.create", "  pli admin token create 100042 it@example.org --name Payroll --scope users,send --days 30", a.exactly("NUMBER", "USER"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			number, u, err := o.user(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			n.UserID = u.ID
			_, secret, err := o.Accounts.MakeToken(ctx, o.actor, number, n)
			if err != nil {
				return err
			}
			fmt.Fprintln(o.stdout, secret.Reveal())
			o.say("cli.token.once")
			return nil
		}))
	create.Flags().StringVar(&n.Name, "name", "", a.t("cli.flag.tokenname"))
	create.Flags().StringSliceVar(&n.Scopes, "scope", nil, a.t("cli.flag.scope"))
	create.Flags().IntVar(&n.Days, "days", 90, a.t("cli.flag.days"))
	revoke := a.command("revoke NUMBER ID", "admin.token.revoke", "", a.exactly("NUMBER", "ID"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t, err := o.Accounts.RevokeToken(ctx, o.actor, n, args[1])
		if err != nil {
			return err
		}
		o.say("cli.token.revoked", "name", t.Name)
		return nil
	}))
	return a.group("token", "admin.token", list, create, revoke)
}
