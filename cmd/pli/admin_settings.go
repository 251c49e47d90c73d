package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/policy"
)

func (a *app) accountSettings(f *adminFlags) *cobra.Command {
	c := a.command("settings NUMBER [NAME=VALUE…]", "admin.account.settings", "  pli admin account settings 100042 level=high forward=true",
		a.exactly("NUMBER", "[NAME=VALUE…]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			var changes []account.Setting
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return failed("cli.setting", "text", arg)
				}
				changes = append(changes, account.Setting{Name: name, Value: value})
			}
			var s policy.Settings
			if len(changes) > 0 {
				s, err = o.Accounts.SetSettings(ctx, o.actor, n, changes)
			} else {
				s, err = o.Accounts.Settings(ctx, o.actor, n)
			}
			if err != nil {
				return err
			}
			t := &table{columns: []column{{"name", "cli.col.name"}, {"value", "cli.col.value"}, {"meaning", "cli.col.meaning"}}}
			for _, name := range policy.SettingNames() {
				t.add(name, s.Get(name), o.t("cli.setting."+name))
			}
			return o.write(t, f.format, false)
		}))
	return c
}
