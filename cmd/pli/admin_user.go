package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

var userColumns = []column{{"email", "cli.col.email"}, {"name", "cli.col.name"}, {"status", "cli.col.state"},
	{"groups", "cli.col.groups"}, {"signed_in_at", "cli.col.lastsignin"}, {"created_at", "cli.col.created"}}

// status is a user's state in one stable word.
func status(state string, temporary bool) string {
	if state == "active" && temporary {
		return "mustchange"
	}
	return state
}

// only is a status in the API's word: the terminal has others from earlier.
func only(status string) string {
	switch status {
	case "pwchange":
		return "mustchange"
	case "administrators":
		return "admins"
	}
	return status
}

// nameOf is what a user is called, "" where they are not.
func nameOf(u client.User) string { return strings.TrimSpace(u.FirstName + " " + u.LastName) }

// called is what a sentence calls somebody.
func called(u client.User) string { return cmp.Or(nameOf(u), u.Email) }

func (o *administrator) addUser(t *table, u client.User) {
	groups := []string{}
	for _, g := range u.Groups {
		groups = append(groups, o.groupName(g.Name))
	}
	t.add(u.Email, nameOf(u), status(u.State, u.Temporary), groups, u.SignedInAt.Time, u.CreatedAt.Time)
}

func (a *app) adminUser(f *adminFlags) *cobra.Command {
	show := a.command("show NUMBER ADDRESS", "admin.user.show", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		_, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: userColumns}
		o.addUser(t, u)
		return o.write(t, f.format, true)
	}))
	rights := a.command("rights NUMBER ADDRESS", "admin.user.rights", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		_, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: append(slices.Clone(rightColumns), column{"group", "cli.col.because"}, column{"until", "cli.col.until"})}
		for _, e := range u.Rights {
			because := o.groupName(e.BecauseName)
			if e.Because == "" {
				because = o.t("rt.becauseother")
			}
			t.add(e.Right, o.overText(e.OverName, e.OverOther), because, e.Until.Time)
		}
		return o.write(t, f.format, false)
	}))
	return a.group("user", "admin.user", a.userList(f), show, rights, a.userAdd(f), a.userInvite(f), a.userImport(f), a.userBlock(f, "block"), a.userBlock(f, "unblock"), a.userReset(f), a.userLink(f), a.userSecond(f), a.userMerge(f), a.userEach(f), a.userLift(f), a.userEdit(f), a.userEndSessions(f), a.userExport(f), a.userDelete(f))
}

func (a *app) userList(f *adminFlags) *cobra.Command {
	var query, filter string
	var limit int
	c := a.command("list NUMBER", "admin.user.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: userColumns}
		if filter != "invited" {
			if err := every(ctx, limit, func(after string, size int) (client.Page[client.User], error) {
				return do(ctx, o, client.ListUsers, client.ListUsersIn{Account: n, Query: query, Status: only(filter), After: after, Limit: size})
			}, func(u client.User) { o.addUser(t, u) }); err != nil {
				return err
			}
		}
		if filter == "" || filter == "invited" {
			left := limit - len(t.rows)
			if limit > 0 && left == 0 {
				return o.write(t, f.format, false)
			}
			if err := every(ctx, max(left, 0), func(after string, size int) (client.Page[client.Invitation], error) {
				return do(ctx, o, client.ListInvitations, client.InvitationsIn{Account: n, Query: query, After: after, Limit: size})
			}, func(i client.Invitation) { t.add(i.Email, "", "invited", []string{}, time.Time{}, i.CreatedAt.Time) }); err != nil {
				return err
			}
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
		u         client.UserIn
		group     string
		fromStdin bool
	)
	c := a.command("add NUMBER ADDRESS", "admin.user.add", "  pli admin user add 100042 lea.martin@example.org --first-name Léa --last-name Martin",
		a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if group != "" {
				_, g, err := o.group(ctx, args[0], group)
				if err != nil {
					return err
				}
				u.Group = g.ID
			}
			password, made, err := o.temporary(fromStdin)
			if err != nil {
				return err
			}
			u.Account, u.Email, u.Password, u.Temporary = n, args[1], password, true
			added, err := do(ctx, o, client.AddUser, u)
			if err != nil {
				return userExists(err, n, args[1])
			}
			o.say("seed.user_added", "email", added.Email)
			for _, g := range added.Groups {
				o.say("m.added", "email", added.Email, "group", o.groupName(g.Name))
			}
			if !made {
				return nil
			}
			return o.handOver(added.Email, password, added.TemporaryUntil.Time, f.format)
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
	if !refused(err, "un.exists") {
		return err
	}
	f := failed("cli.user.exists", "email", address, "number", n)
	f.code = exitConflict
	f.hints = []string{fmt.Sprintf("pli admin user show %d %s", n, address)}
	return f
}

// handOver writes a temporary password, once, for the operator to pass on.
func (o speaker) handOver(address, password string, until time.Time, f format) error {
	o.say("cli.user.temporary", "date", o.p.Time(until))
	t := &table{columns: []column{{"password", "cli.col.password"}, {"email", "cli.col.email"}, {"until", "cli.col.until"}}}
	t.add(password, address, until)
	return o.write(t, f, true)
}

func (a *app) userInvite(f *adminFlags) *cobra.Command {
	var group string
	c := a.command("invite NUMBER ADDRESS", "admin.user.invite", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
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
		p, err := do(ctx, o, client.Invite, client.InvitationIn{Account: n, Email: args[1], Group: groupID})
		if err != nil {
			return userExists(err, n, args[1])
		}
		o.say("m.invited", "email", p.Email)
		return nil
	}))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	return c
}

// userBlock makes "block" or "unblock".
func (a *app) userBlock(f *adminFlags, verb string) *cobra.Command {
	return a.command(verb+" NUMBER ADDRESS", "admin.user."+verb, "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		op, key := client.BlockUser, "ud.blocked"
		if verb == "unblock" {
			op, key = client.UnblockUser, "adm.unblocked"
		}
		if _, err := do(ctx, o, op, client.UserAct{Account: n, User: u.ID}); err != nil {
			return err
		}
		o.say(key, "name", called(u))
		return nil
	}))
}

func (a *app) userReset(f *adminFlags) *cobra.Command {
	var fromStdin bool
	c := a.command("reset-password NUMBER ADDRESS", "admin.user.reset", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		password, made, err := o.temporary(fromStdin)
		if err != nil {
			return err
		}
		reset, err := do(ctx, o, client.ResetPassword, client.PasswordIn{Account: n, User: u.ID, Password: password})
		if err != nil {
			return err
		}
		o.say("adm.resetdone", "name", called(u))
		if !made {
			return nil
		}
		return o.handOver(u.Email, password, reset.TemporaryUntil.Time, f.format)
	}))
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, a.t("cli.user.passwordstdin"))
	return c
}

// userLift decides about who lost their second factor; without an address it lists them.
func (a *app) userLift(f *adminFlags) *cobra.Command {
	var refuse bool
	c := a.command("lift-factor [ADDRESS]", "admin.user.lift", "  pli admin user lift-factor\n  pli admin user lift-factor marc@example.org", a.exactly("[ADDRESS]"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		if len(args) == 0 {
			return o.lifts(ctx, f.format)
		}
		l, n, err := o.lift(ctx, args[0])
		if err != nil {
			return err
		}
		if _, err := do(ctx, o, client.DecideLift, client.LiftDecision{Account: n, User: l.User, Approve: !refuse}); err != nil {
			return err
		}
		key := "lift.adm.approved"
		if refuse {
			key = "lift.adm.refused"
		}
		o.say(key, "name", l.Name)
		return nil
	}))
	c.Flags().BoolVar(&refuse, "refuse", false, a.t("cli.user.liftrefuse"))
	return c
}

// eachLift calls one on the wishes of all accounts in which the caller has a right.
func (o *administrator) eachLift(ctx context.Context, one func(n int64, l client.Lift)) error {
	numbers, err := o.accounts(ctx, nil)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Lift], error) {
			return do(ctx, o, client.ListLifts, client.AccountPage{Account: n, After: after, Limit: size})
		}, func(l client.Lift) { one(n, l) }); err != nil {
			return err
		}
	}
	return nil
}

// lift finds the wish of whoever has that address, and their account.
func (o *administrator) lift(ctx context.Context, address string) (found client.Lift, number int64, err error) {
	if err := o.eachLift(ctx, func(n int64, l client.Lift) {
		if strings.EqualFold(l.Email, address) {
			found, number = l, n
		}
	}); err != nil {
		return found, 0, err
	}
	if found.User == "" {
		f := failed("lift.none")
		f.code = exitNotFound
		return found, 0, f
	}
	return found, number, nil
}

func (o *administrator) lifts(ctx context.Context, f format) error {
	t := &table{columns: []column{{"email", "cli.col.email"}, {"account", "cli.col.account"}, {"asked_at", "cli.col.asked"}, {"approved", "cli.col.approved"}, {"due_at", "cli.col.due"}}}
	if err := o.eachLift(ctx, func(n int64, l client.Lift) { t.add(l.Email, n, l.AskedAt.Time, l.Approved, l.DueAt.Time) }); err != nil {
		return err
	}
	return o.write(t, f, false)
}

func (a *app) userEdit(f *adminFlags) *cobra.Command {
	var first, last, language string
	c := a.command("edit NUMBER ADDRESS", "admin.user.edit", "  pli admin user edit 100042 lea.martin@example.org --last-name Durand --language fr", a.exactly("NUMBER", "ADDRESS"), nil)
	c.RunE = a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		in := client.UserChange{Account: n, User: u.ID, FirstName: u.FirstName, LastName: u.LastName, Language: u.Language}
		for _, x := range []struct {
			flag, value string
			into        *string
		}{{"first-name", first, &in.FirstName}, {"last-name", last, &in.LastName}, {"language", language, &in.Language}} {
			if c.Flags().Changed(x.flag) {
				*x.into = x.value
			}
		}
		if u, err = do(ctx, o, client.ChangeUser, in); err != nil {
			return err
		}
		t := &table{columns: userColumns}
		o.addUser(t, u)
		return o.write(t, f.format, true)
	})
	c.Flags().StringVar(&first, "first-name", "", a.t("cli.user.first"))
	c.Flags().StringVar(&last, "last-name", "", a.t("cli.user.last"))
	c.Flags().StringVar(&language, "language", "", a.t("cli.account.language"))
	return c
}

func (a *app) userEndSessions(f *adminFlags) *cobra.Command {
	return a.command("end-sessions NUMBER ADDRESS", "admin.user.endsessions", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		ended, err := do(ctx, o, client.EndSessions, client.UserPath{Account: n, User: u.ID})
		if err != nil {
			return err
		}
		o.say("cli.user.sessionsended", "n", ended.Ended, "email", u.Email)
		return nil
	}))
}

func (a *app) userExport(f *adminFlags) *cobra.Command {
	var in client.ExportUsersIn
	var filter string
	c := a.command("export NUMBER", "admin.user.export", "  pli admin user export 100042 --status blocked > people.csv", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) (err error) {
		if in.Account, err = number(args[0]); err != nil {
			return err
		}
		in.Status = only(filter)
		return o.save(do(ctx, o, client.ExportUsers, in))
	}))
	c.Flags().StringVar(&in.Query, "query", "", a.t("cli.flag.query"))
	c.Flags().StringVar(&filter, "status", "", a.t("cli.user.status"))
	return c
}

func (a *app) userDelete(f *adminFlags) *cobra.Command {
	var confirm string
	c := a.command("delete NUMBER ADDRESS", "admin.user.delete", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if err := o.confirm(confirm, n, o.t("ud.deleteq", "name", called(u))); err != nil {
			return err
		}
		if _, err := do(ctx, o, client.DeleteUser, client.UserAct{Account: n, User: u.ID}); err != nil {
			return err
		}
		o.say("adm.deleted", "name", called(u))
		return nil
	}))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}
