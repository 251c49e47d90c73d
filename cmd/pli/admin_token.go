package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

func (a *app) adminToken(f *adminFlags) *cobra.Command {
	list := a.command("list NUMBER", "admin.token.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"name", "cli.col.name"}, {"maker", "cli.col.maker"}, {"scopes", "cli.col.scopes"},
			{"created_at", "cli.col.created"}, {"expires_at", "cli.col.expires"}, {"used_at", "cli.col.used"}}}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Token], error) {
			return do(ctx, o, client.ListTokens, client.ListIn{Account: n, After: after, Limit: size})
		}, func(x client.Token) {
			t.add(x.ID, x.Name, x.Maker, strings.Join(x.Scopes, ","), x.CreatedAt.Time, x.ExpiresAt.Time, x.UsedAt.Time)
		}); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	var in client.TokenIn
	create := a.command("create NUMBER [USER]", "admin.token.create", "  pli admin token create 100042 it@example.org --name Payroll --scope users,send --days 30", a.exactly("NUMBER", "[USER]"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) (err error) {
			if in.Account, err = number(args[0]); err != nil {
				return err
			}
			switch {
			case len(args) > 1:
				_, u, err := o.user(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				in.User = u.ID
			case o.host != nil: // a token is somebody's
				return usage("cli.usage.missing", "name", "USER")
			}
			made, err := do(ctx, o, client.MakeToken, in)
			if err != nil {
				return err
			}
			return o.showSecret(made.Token.ID, made.Secret, f.format)
		}))
	create.Flags().StringVar(&in.Name, "name", "", a.t("cli.flag.tokenname"))
	create.Flags().StringSliceVar(&in.Scopes, "scope", nil, a.t("cli.flag.scope"))
	create.Flags().IntVar(&in.Days, "days", 90, a.t("cli.flag.days"))
	revoke := a.command("revoke NUMBER ID", "admin.token.revoke", "", a.exactly("NUMBER", "ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		at := client.TokenPath{Account: n, Token: args[1]}
		t, err := do(ctx, o, client.GetToken, at)
		if err != nil {
			return err
		}
		if _, err := do(ctx, o, client.RevokeToken, at); err != nil {
			return err
		}
		o.say("cli.token.revoked", "name", t.Name)
		return nil
	}))
	return a.group("token", "admin.token", list, create, revoke)
}

// showSecret writes a secret that nothing shows again: alone on its line, for a pipe, or
// where a form is asked for with whose it is.
func (o speaker) showSecret(id, secret string, f format) error {
	o.say("cli.token.once")
	if !f.json && f.name == "" {
		fmt.Fprintln(o.stdout, secret)
		return nil
	}
	t := &table{columns: []column{{"id", "cli.col.id"}, {"secret", "cli.col.secret"}}}
	t.add(id, secret)
	return o.write(t, f, true)
}
