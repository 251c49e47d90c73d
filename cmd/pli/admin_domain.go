package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
)

func (a *app) adminDomain(f *adminFlags) *cobra.Command {
	list := a.command("list [NUMBER]", "admin.domain.list", "", a.exactly("[NUMBER]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		numbers, err := o.accountNumbers(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"domain", "cli.col.domain"}, {"account", "cli.col.account"}, {"created_at", "cli.col.created"}}}
		for _, n := range numbers {
			if n == 0 {
				continue // every domain is an account's
			}
			list, err := o.Accounts.Domains(ctx, o.actor, n)
			if fault.Is(err, fault.NotFound) {
				return o.noAccount(n)
			}
			if err != nil {
				return err
			}
			for _, d := range list {
				t.add(d.Name, d.AccountID, d.CreatedAt)
			}
		}
		return o.write(t, f.format, false)
	}))
	add := a.command("add NUMBER DOMAIN", "admin.domain.add", "  pli admin domain add 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return o.addDomain(ctx, n, args[1])
		}))
	remove := a.command("remove NUMBER DOMAIN", "admin.domain.remove", "  pli admin domain remove 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			err = o.Accounts.RemoveDomain(ctx, o.actor, n, args[1])
			if fault.Is(err, fault.NotFound) {
				if _, known := o.Accounts.Account(ctx, o.actor, n); known != nil {
					return o.noAccount(n)
				}
				f := failed("cli.nodomain", "domain", args[1], "number", n)
				f.code = exitNotFound
				return f
			}
			if err != nil {
				return err
			}
			o.say("cli.domain.removed", "domain", args[1], "number", n)
			return nil
		}))
	return a.group("domain", "admin.domain", list, add, remove)
}

func (o *operator) addDomain(ctx context.Context, n int64, name string) error {
	d, already, err := o.Accounts.AddDomain(ctx, o.actor, n, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return o.noAccount(n)
	case err != nil:
		return err
	case already:
		o.say("cli.domain.already", "domain", d.Name, "number", n)
	default:
		o.say("cli.domain.added", "domain", d.Name, "number", n)
	}
	return nil
}

// addDomains gives a new account its domains. If one cannot be had, the account
// is there without it.
func (o *operator) addDomains(ctx context.Context, n int64, names []string) error {
	for _, name := range names {
		if err := o.addDomain(ctx, n, name); err != nil {
			return &hinted{err, []string{fmt.Sprintf("pli admin domain add %d %s", n, name)}}
		}
	}
	return nil
}

// areDomains is asked before anything is made.
func areDomains(names []string) error {
	for _, name := range names {
		if _, err := mailaddr.ParseDomain(name); err != nil {
			return usage("people.domain", "domain", name)
		}
	}
	return nil
}
