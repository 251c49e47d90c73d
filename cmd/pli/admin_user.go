package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

var userColumns = []column{{"email", "cli.col.email"}, {"name", "cli.col.name"}, {"status", "cli.col.state"},
	{"groups", "cli.col.groups"}, {"last_sign_in_at", "cli.col.lastsignin"}, {"created_at", "cli.col.created"}}

// status is a user's state in one stable word.
func status(u store.User) string {
	switch {
	case u.State != store.UserActive:
		return "blocked"
	case u.Temporary:
		return "must-change-password"
	}
	return "active"
}

func (o *operator) addUser(t *table, u account.UserView) {
	groups := []string{}
	for _, g := range u.Groups {
		groups = append(groups, o.groupName(g))
	}
	t.add(u.DisplayAddress, u.Name(), status(u.User), groups, u.LastSignInAt, u.CreatedAt)
}

func (a *app) adminUser(f *adminFlags) *cobra.Command {
	show := a.command("show NUMBER ADDRESS", "admin.user.show", "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		_, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: userColumns}
		o.addUser(t, u)
		return o.write(t, f.format, true)
	}))
	rights := a.command("rights NUMBER ADDRESS", "admin.user.rights", "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		_, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: append(slices.Clone(rightColumns), column{"group", "cli.col.because"}, column{"until", "cli.col.until"})}
		for _, e := range u.Rights {
			t.add(e.Right, e.Scope.Name, o.groupName(e.Because), e.Until)
		}
		return o.write(t, f.format, false)
	}))
	return a.group("user", "admin.user", a.userList(f), show, rights, a.userAdd(f), a.userInvite(f), a.userImport(f), a.userBlock(f, "block"), a.userBlock(f, "unblock"), a.userReset(f), a.userLift(f), a.userDelete(f))
}

func (a *app) userList(f *adminFlags) *cobra.Command {
	var query, filter string
	var limit int
	c := a.command("list NUMBER", "admin.user.list", "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: userColumns}
		if err := pages(limit, func(after string, size int) (int, string, error) {
			p, err := o.Accounts.Users(ctx, o.actor, n, query, filter, after, size)
			for _, u := range p.Users {
				o.addUser(t, u)
			}
			for _, i := range p.Pending {
				t.add(i.Address, "", "invited", []string{}, time.Time{}, i.CreatedAt)
			}
			return len(p.Users), p.Next, err
		}); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	c.Flags().StringVar(&query, "query", "", a.t("cli.flag.query"))
	c.Flags().StringVar(&filter, "status", "", a.t("cli.user.status"))
	c.Flags().IntVar(&limit, "limit", 0, a.t("cli.flag.limit"))
	return c
}

func (a *app) userAdd(f *adminFlags) *cobra.Command {
	var (
		u         account.NewUser
		group     string
		fromStdin bool
	)
	c := a.command("add NUMBER ADDRESS", "admin.user.add", "  pli admin user add 100042 lea.martin@example.org --first-name Léa --last-name Martin",
		a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if group != "" {
				_, g, err := o.group(ctx, args[0], group)
				if err != nil {
					return err
				}
				u.GroupID = g.ID
			}
			password, made, err := o.temporary(fromStdin)
			if err != nil {
				return err
			}
			u.Address, u.Password, u.Confirm, u.EnforceExpiry = args[1], password, password, true
			added, err := o.Accounts.AddUser(ctx, o.actor, n, u)
			if err != nil {
				return userExists(err, n, args[1])
			}
			o.say("seed.user_added", "email", added.User.DisplayAddress)
			if added.Group.ID != "" {
				o.say("m.added", "email", added.User.DisplayAddress, "group", o.groupName(added.Group))
			}
			if !made {
				return nil
			}
			return o.handOver(added.User.DisplayAddress, password, added.User.TemporaryUntil, f.format)
		}))
	c.Flags().StringVar(&u.FirstName, "first-name", "", a.t("cli.user.first"))
	c.Flags().StringVar(&u.LastName, "last-name", "", a.t("cli.user.last"))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	c.Flags().StringVar(&u.Language, "language", "", a.t("cli.account.language"))
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, a.t("cli.user.passwordstdin"))
	return c
}

// userExists names the command for what the web's sentence calls a page.
func userExists(err error, n int64, address string) error {
	if !fault.HasKey(err, "un.exists") {
		return err
	}
	f := failed("cli.user.exists", "email", address, "number", n)
	f.code = exitConflict
	f.hints = []string{fmt.Sprintf("pli admin user show %d %s", n, address)}
	return f
}

// handOver writes a temporary password, once, for the operator to pass on.
func (o *operator) handOver(address, password string, until time.Time, f format) error {
	o.say("cli.user.temporary", "date", o.p.Time(until))
	t := &table{columns: []column{{"password", "cli.col.password"}, {"email", "cli.col.email"}, {"until", "cli.col.until"}}}
	t.add(password, address, until)
	return o.write(t, f, true)
}

func (a *app) userInvite(f *adminFlags) *cobra.Command {
	var group string
	c := a.command("invite NUMBER ADDRESS", "admin.user.invite", "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		groupID := ""
		if group != "" {
			_, g, err := o.group(ctx, args[0], group)
			if err != nil {
				return err
			}
			groupID = g.ID
		}
		p, err := o.Accounts.Invite(ctx, o.actor, n, groupID, args[1], time.Time{})
		if err != nil {
			return userExists(err, n, args[1])
		}
		o.say("m.invited", "email", p.Address)
		return nil
	}))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	return c
}

// userBlock makes "block" or "unblock".
func (a *app) userBlock(f *adminFlags, verb string) *cobra.Command {
	return a.command(verb+" NUMBER ADDRESS", "admin.user."+verb, "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		do, key := o.Accounts.BlockUser, "ud.blocked"
		if verb == "unblock" {
			do, key = o.Accounts.UnblockUser, "adm.unblocked"
		}
		if _, err := do(ctx, o.actor, n, u.ID); err != nil {
			return err
		}
		o.say(key, "name", u.Name())
		return nil
	}))
}

func (a *app) userReset(f *adminFlags) *cobra.Command {
	var fromStdin bool
	c := a.command("reset-password NUMBER ADDRESS", "admin.user.reset", "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		password, made, err := o.temporary(fromStdin)
		if err != nil {
			return err
		}
		reset, err := o.Accounts.ResetPassword(ctx, o.actor, n, u.ID, password, password)
		if err != nil {
			return err
		}
		o.say("adm.resetdone", "name", u.Name())
		if !made {
			return nil
		}
		return o.handOver(u.DisplayAddress, password, reset.TemporaryUntil, f.format)
	}))
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, a.t("cli.user.passwordstdin"))
	return c
}

// userLift decides about who lost their second factor; without an address it lists them.
func (a *app) userLift(f *adminFlags) *cobra.Command {
	var refuse bool
	c := a.command("lift-factor [ADDRESS]", "admin.user.lift", "  pli admin user lift-factor\n  pli admin user lift-factor marc@example.org", a.exactly("[ADDRESS]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		if len(args) == 0 {
			return o.lifts(ctx, f.format)
		}
		n, userID, err := o.Accounts.LiftAddress(ctx, o.actor, args[0])
		if err != nil {
			return err
		}
		u, err := o.Accounts.DecideLift(ctx, o.actor, n, userID, !refuse)
		if err != nil {
			return err
		}
		key := "lift.adm.approved"
		if refuse {
			key = "lift.adm.refused"
		}
		o.say(key, "name", u.Name())
		return nil
	}))
	c.Flags().BoolVar(&refuse, "refuse", false, a.t("cli.user.liftrefuse"))
	return c
}

func (o *operator) lifts(ctx context.Context, f format) error {
	numbers, err := o.accountNumbers(ctx, nil)
	if err != nil {
		return err
	}
	t := &table{columns: []column{{"email", "cli.col.email"}, {"account", "cli.col.account"}, {"asked_at", "cli.col.asked"}, {"approved", "cli.col.approved"}, {"due_at", "cli.col.due"}}}
	for _, n := range numbers {
		list, err := o.Accounts.Lifts(ctx, o.actor, n)
		if err != nil {
			return err
		}
		for _, l := range list {
			t.add(l.User.DisplayAddress, n, l.AskedAt, l.Approved, l.DueAt)
		}
	}
	return o.write(t, f, false)
}

func (a *app) userDelete(f *adminFlags) *cobra.Command {
	var confirm string
	c := a.command("delete NUMBER ADDRESS", "admin.user.delete", "", a.exactly("NUMBER", "ADDRESS"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if err := o.confirm(confirm, n, o.t("ud.deleteq", "name", u.Name())); err != nil {
			return err
		}
		if _, err := o.Accounts.DeleteUser(ctx, o.actor, n, u.ID); err != nil {
			return err
		}
		o.say("adm.deleted", "name", u.Name())
		return nil
	}))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}
