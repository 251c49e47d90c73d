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
	return a.settingsCommand("settings NUMBER", "admin.account.settings", "  pli admin account settings 100042 level=high forward=true lease_days=", func(given int, past *past) runs {
		return a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if past.history {
				return o.showChanges(f.format, func(t func(client.SettingChange)) error {
					return every(ctx, 0, func(after string, size int) (client.Page[client.SettingChange], error) {
						return do(ctx, o, client.ListSettingChanges, client.ListIn{Account: n, After: after, Limit: size})
					}, t)
				})
			}
			changes, err := settingsIn(args[given:])
			if err != nil {
				return err
			}
			var v client.Settings
			if past.undo != "" {
				v, err = do(ctx, o, client.UndoSetting, client.SettingUndo{Account: n, Event: past.undo})
				err = o.noneOf(ctx, err, n, failed("cli.nothing", "name", past.undo))
			} else if len(changes) > 0 {
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
	return a.settingsCommand("limits NUMBER", "admin.account.limits", "  pli admin account limits 100042 quota_users=50 large=false", func(given int, past *past) runs {
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
			return o.settings(ctx, account.LimitsOf(n), args[given:], past, f.format)
		})
		return func(cmd *cobra.Command, args []string) error {
			if len(args) > given || past.history || past.undo != "" {
				return change(cmd, args)
			}
			return look(cmd, args)
		}
	})
}

func (a *app) groupSettings(f *adminFlags) *cobra.Command {
	return a.settingsCommand("settings NUMBER GROUP", "admin.group.settings", "  pli admin group settings 100042 Doctors level=high expiry_max=7", func(given int, past *past) runs {
		return a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if past.history {
				return o.showChanges(f.format, func(t func(client.SettingChange)) error {
					return every(ctx, 0, func(after string, size int) (client.Page[client.SettingChange], error) {
						return do(ctx, o, client.ListGroupSettingChanges, client.GroupListIn{Account: n, Group: g.ID, After: after, Limit: size})
					}, t)
				})
			}
			changes, err := settingsIn(args[given:])
			if err != nil {
				return err
			}
			var v client.Settings
			if past.undo != "" {
				v, err = do(ctx, o, client.UndoGroupSetting, client.GroupSettingUndo{Account: n, Group: g.ID, Event: past.undo})
				err = o.noneOf(ctx, err, n, failed("cli.nothing", "name", past.undo))
			} else if len(changes) > 0 {
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
	return a.group("site", "admin.site", a.settingsCommand("settings", "admin.site.settings", "  pli admin site settings expiry_max=365 enrol=false", func(_ int, past *past) runs {
		return a.act(f, func(ctx context.Context, o *operator, args []string) error {
			return o.settings(ctx, account.OfSite(), args, past, f.format)
		})
	}))
}

// runs is what cobra runs.
type runs = func(*cobra.Command, []string) error

// past is what a command does with the changes of a layer.
type past struct {
	history bool
	undo    string // event
}

// settingsCommand is a command that shows one layer of settings, or changes it by
// the arguments that come after those given; or that shows what was changed, or undoes it.
func (a *app) settingsCommand(use, text, example string, run func(given int, past *past) runs) *cobra.Command {
	const rest = "[NAME=VALUE…]"
	names := strings.Fields(use)[1:]
	p := &past{}
	then := run(len(names), p)
	cmd := a.command(use+" "+rest, text, example, a.exactly(append(names, rest)...), func(cmd *cobra.Command, args []string) error {
		if p.history && p.undo != "" || (p.history || p.undo != "") && len(args) > len(names) {
			return usage("cli.settings.one")
		}
		return then(cmd, args)
	})
	cmd.Flags().BoolVar(&p.history, "history", false, a.t("cli.flag.settingshistory"))
	cmd.Flags().StringVar(&p.undo, "undo", "", a.t("cli.flag.settingsundo"))
	return cmd
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
func (o *operator) settings(ctx context.Context, at account.Place, args []string, past *past, f format) error {
	if past.history {
		return o.showChanges(f, func(add func(client.SettingChange)) error {
			return pages(0, func(after string, size int) (int, string, error) {
				p, err := o.Accounts.SettingsHistory(ctx, o.actor, at, after, size)
				for _, c := range p.Changes {
					add(client.SettingChange{Event: c.ID, At: client.Time{Time: c.At}, Actor: c.Actor, Name: c.Name, Value: c.Value, Was: c.Was, Stands: c.Stands})
				}
				return len(p.Changes), p.Next, err
			})
		})
	}
	in, err := settingsIn(args)
	if err != nil {
		return err
	}
	var changes []account.Setting
	for _, x := range in {
		changes = append(changes, account.Setting(x))
	}
	var v account.SettingsView
	if past.undo != "" {
		v, err = o.Accounts.UndoSetting(ctx, o.actor, at, past.undo)
	} else if len(changes) > 0 {
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

// showChanges writes what was changed of a layer, the newest first.
func (o speaker) showChanges(f format, list func(add func(client.SettingChange)) error) error {
	t := &table{columns: []column{{"event", "cli.col.event"}, {"at", "cli.col.at"}, {"actor", "cli.col.author"}, {"name", "cli.col.name"}, {"was", "cli.col.was"}, {"value", "cli.col.value"}, {"stands", "cli.col.stands"}}}
	if err := list(func(c client.SettingChange) {
		t.add(c.Event, c.At.Time, c.Actor, c.Name, c.Was, c.Value, c.Stands)
	}); err != nil {
		return err
	}
	return o.write(t, f, false)
}
