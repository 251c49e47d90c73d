package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
)

var accountColumns = []column{{"number", "cli.col.number"}, {"name", "cli.col.name"}, {"state", "cli.col.state"},
	{"users", "cli.col.users"}, {"groups", "cli.col.groups"}, {"administrators", "cli.col.administrators"}, {"created_at", "cli.col.created"}, {"deletion_at", "cli.col.deletion"}}

func addAccount(t *table, v client.AccountInfo) {
	t.add(v.Number, v.Name, v.State, count(v.Users), count(v.Groups), v.Administrators, v.CreatedAt.Time, v.DeletionAt.Time)
}

func (a *app) adminAccount(f *adminFlags) *cobra.Command {
	list := a.command("list", "admin.account.list", "", a.exactly(), a.administer(f, func(ctx context.Context, o *administrator, _ []string) error {
		t := &table{columns: accountColumns}
		if err := every(ctx, 0, func(after string, n int) (client.Page[client.AccountInfo], error) {
			return do(ctx, o, client.ListAccounts, client.ListAccountsIn{After: after, Limit: n})
		}, func(v client.AccountInfo) { addAccount(t, v) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	show := a.command("show NUMBER", "admin.account.show", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		return o.showAccount(ctx, n, f.format)
	}))
	return a.group("account", "admin.account", list, show, a.accountCreate(f), a.accountState(f, "suspend"), a.accountState(f, "resume"), a.accountUpdate(f), a.accountDelete(f), a.accountKeep(f), a.accountExport(f), a.accountAddAdministrator(f), a.accountSettings(f), a.accountLimits(f))
}

func (o *administrator) showAccount(ctx context.Context, n int64, f format) error {
	v, err := do(ctx, o, client.GetAccount, client.Account{Account: n})
	if err != nil {
		return err
	}
	t := &table{columns: accountColumns}
	addAccount(t, v)
	return o.write(t, f, true)
}

func (a *app) accountCreate(f *adminFlags) *cobra.Command {
	var n account.NewAccount
	c := a.command("create NAME", "admin.account.create", "  pli admin account create \"Example Health\" --number 100042 --domain example.org",
		a.exactly("NAME"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n.Name = args[0]
			made, err := o.Accounts.CreateAccount(ctx, o.actor, n)
			if err != nil {
				return err
			}
			o.say("cli.account.created", "number", made.ID, "name", made.Name)
			for _, d := range n.Domains {
				o.say("cli.domain.added", "domain", d, "number", made.ID)
			}
			adm, err := o.administrator()
			if err != nil {
				return err
			}
			return adm.showAccount(ctx, made.ID, f.format)
		}))
	c.Flags().Int64Var(&n.Number, "number", 0, a.t("cli.account.number"))
	c.Flags().StringArrayVar(&n.Domains, "domain", nil, a.t("cli.account.domain"))
	c.Flags().StringVar(&n.Language, "language", a.p.Lang, a.t("cli.account.language"))
	c.Flags().StringVar(&n.TimeZone, "time-zone", "UTC", a.t("cli.account.timezone"))
	c.Flags().IntVar(&n.ExpiryDays, "expiry-days", 30, a.t("cli.account.expiry"))
	c.Flags().IntVar(&n.KeepDays, "keep-days", 14, a.t("cli.account.keep"))
	return c
}

// accountState makes "suspend" or "resume".
func (a *app) accountState(f *adminFlags, verb string) *cobra.Command {
	return a.command(verb+" NUMBER", "admin.account."+verb, "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		do, said := o.Accounts.SuspendAccount, "cli.account.suspended"
		if verb == "resume" {
			do, said = o.Accounts.ResumeAccount, "cli.account.resumed"
		}
		if err := do(ctx, o.actor, n); err != nil {
			return err
		}
		o.say(said, "number", n)
		return nil
	}))
}

func (a *app) accountAddAdministrator(f *adminFlags) *cobra.Command {
	var (
		u         account.NewUser
		invite    bool
		fromStdin bool
	)
	c := a.command("add-administrator NUMBER ADDRESS", "admin.account.addadmin", "  pli admin account add-administrator 100042 ana@example.org",
		a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			u.Address = args[1]
			if fromStdin {
				if u.Password, err = o.readPassword("cli.askpassword", true); err != nil {
					return err
				}
				u.Confirm, u.EnforceExpiry = u.Password, true
			}
			done, err := o.Accounts.AddAdministrator(ctx, o.actor, n, u, invite)
			if err != nil {
				return err
			}
			group := o.t("seed.admins")
			switch {
			case done.Invited:
				o.say("m.invited", "email", args[1])
				return nil
			case done.Already:
				o.say("m.already", "email", done.User.DisplayAddress)
				return nil
			case done.Created:
				o.say("seed.user_added", "email", done.User.DisplayAddress)
			}
			o.say("m.added", "email", done.User.DisplayAddress, "group", group)
			if done.TemporaryPassword == "" {
				return nil
			}
			return o.handOver(done.User.DisplayAddress, done.TemporaryPassword, done.User.TemporaryUntil, f.format)
		}))
	c.Flags().StringVar(&u.FirstName, "first-name", "", a.t("cli.user.first"))
	c.Flags().StringVar(&u.LastName, "last-name", "", a.t("cli.user.last"))
	c.Flags().BoolVar(&invite, "invite", false, a.t("cli.account.invite"))
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, a.t("cli.user.passwordstdin"))
	return c
}
