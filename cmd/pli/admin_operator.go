package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) adminOperator(f *adminFlags) *cobra.Command {
	list := a.command("list", "admin.operator.list", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		all, err := o.Accounts.Operators(ctx, o.actor)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"email", "cli.col.email"}, {"name", "cli.col.name"}, {"added_by", "cli.col.addedby"}, {"added_at", "cli.col.created"}}}
		for _, x := range all {
			t.add(x.DisplayAddress, x.Name(), x.AddedBy, x.AddedAt)
		}
		return o.write(t, f.format, false)
	}))
	add := a.command("add ADDRESS", "admin.operator.add", "  pli admin operator add ana@example.org", a.exactly("ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		u, already, err := o.Accounts.AddOperator(ctx, o.actor, args[0])
		if err != nil {
			return err
		}
		key := "cli.operator.added"
		if already {
			key = "cli.operator.already"
		}
		o.say(key, "email", u.DisplayAddress)
		return nil
	}))
	remove := a.command("remove ADDRESS", "admin.operator.remove", "", a.exactly("ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		u, err := o.Accounts.RemoveOperator(ctx, o.actor, args[0])
		if err == nil {
			o.say("cli.operator.removed", "email", u.DisplayAddress)
		}
		return err
	}))
	return a.group("operator", "admin.operator", list, add, remove)
}
