package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/policy"
)

func (a *app) accountSettings(f *adminFlags) *cobra.Command {
	return a.settingsCommand("settings NUMBER", "admin.account.settings", "  pli admin account settings 100042 level=high forward=true lease_days=", func(given int) runs {
		return a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			changes, err := settingsIn(args[given:])
			if err != nil {
				return err
			}
			var v client.Settings
			if len(changes) > 0 {
				v, err = do(ctx, o, client.ChangeSettings, client.SettingsIn{Account: n, Settings: changes})
			} else {
				v, err = do(ctx, o, client.GetSettings, client.Account{Account: n})
			}
			if err != nil {
				return err
			}
			return o.showSettings(v.Settings, f.format)
		})
	})
}

// accountLimits are what operators allow an account: its people see them, and the
// host alone changes them.
func (a *app) accountLimits(f *adminFlags) *cobra.Command {
	return a.settingsCommand("limits NUMBER", "admin.account.limits", "  pli admin account limits 100042 quota_users=50 large=false", func(given int) runs {
		look := a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			v, err := do(ctx, o, client.GetLimits, client.Account{Account: n})
			if err != nil {
				return err
			}
			return o.showSettings(v.Settings, f.format)
		})
		change := a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return o.settings(ctx, account.LimitsOf(n), args[given:], f.format)
		})
		return func(cmd *cobra.Command, args []string) error {
			if len(args) > given {
				return change(cmd, args)
			}
			return look(cmd, args)
		}
	})
}

func (a *app) groupSettings(f *adminFlags) *cobra.Command {
	return a.settingsCommand("settings NUMBER GROUP", "admin.group.settings", "  pli admin group settings 100042 Doctors level=high expiry_max=7", func(given int) runs {
		return a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			changes, err := settingsIn(args[given:])
			if err != nil {
				return err
			}
			var v client.Settings
			if len(changes) > 0 {
				v, err = do(ctx, o, client.ChangeGroupSettings, client.GroupSettingsIn{Account: n, Group: g.ID, Settings: changes})
			} else {
				v, err = do(ctx, o, client.GetGroupSettings, client.GroupPath{Account: n, Group: g.ID})
			}
			if err != nil {
				return err
			}
			return o.showSettings(v.Settings, f.format)
		})
	})
}

func (a *app) adminSite(f *adminFlags) *cobra.Command {
	return a.group("site", "admin.site", a.settingsCommand("settings", "admin.site.settings", "  pli admin site settings expiry_max=365 enrol=false", func(int) runs {
		return a.act(f, func(ctx context.Context, o *operator, args []string) error {
			return o.settings(ctx, account.OfSite(), args, f.format)
		})
	}))
}

// runs is what cobra runs.
type runs = func(*cobra.Command, []string) error

// settingsCommand is a command that shows one layer of settings, or changes it by
// the arguments that come after those given.
func (a *app) settingsCommand(use, text, example string, run func(given int) runs) *cobra.Command {
	const rest = "[NAME=VALUE…]"
	names := strings.Fields(use)[1:]
	return a.command(use+" "+rest, text, example, a.exactly(append(names, rest)...), run(len(names)))
}

// settingsIn reads NAME=VALUE.
func settingsIn(args []string) (changes []client.SettingIn, err error) {
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, failed("cli.setting", "text", arg)
		}
		changes = append(changes, client.SettingIn{Name: name, Value: value})
	}
	return changes, nil
}

// settings shows or changes a layer that is the operators'.
func (o *operator) settings(ctx context.Context, at account.Place, args []string, f format) error {
	in, err := settingsIn(args)
	if err != nil {
		return err
	}
	var changes []account.Setting
	for _, x := range in {
		changes = append(changes, account.Setting(x))
	}
	var v account.SettingsView
	if len(changes) > 0 {
		v, err = o.Accounts.SetSettings(ctx, o.actor, at, changes)
	} else {
		v, err = o.Accounts.Settings(ctx, o.actor, at)
	}
	if err != nil {
		return err
	}
	var list []client.Setting
	for _, x := range policy.Table {
		if x.In(at.Layer) {
			found := v.Stack.Find(x.Name)
			list = append(list, client.Setting{Name: x.Name, Value: found.Value, From: string(found.From)})
		}
	}
	return o.showSettings(list, f)
}

func (o speaker) showSettings(list []client.Setting, f format) error {
	t := &table{columns: []column{{"name", "cli.col.name"}, {"value", "cli.col.value"}, {"from", "cli.col.from"}, {"meaning", "cli.col.meaning"}}}
	for _, x := range list {
		t.add(x.Name, x.Value, x.From, o.t("cli.setting."+x.Name))
	}
	return o.write(t, f, false)
}
