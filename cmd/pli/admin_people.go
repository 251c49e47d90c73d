package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

// userLink has a link mailed to a user by which they choose a password.
func (a *app) userLink(f *adminFlags) *cobra.Command {
	return a.command("send-link NUMBER ADDRESS", "admin.user.link", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if _, err := do(ctx, o, client.SendPasswordLink, client.UserAct{Account: n, User: u.ID}); err != nil {
			return err
		}
		o.say("reset.link.done", "name", cmp.Or(nameOf(u), u.Email))
		return nil
	}))
}

// userSecond says whether a user needs a second factor.
func (a *app) userSecond(f *adminFlags) *cobra.Command {
	var off bool
	c := a.command("require-second NUMBER ADDRESS", "admin.user.second", "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if _, err := do(ctx, o, client.RequireSecond, client.SecondNeed{Account: n, User: u.ID, Required: !off}); err != nil {
			return err
		}
		key := "fa.required"
		if off {
			key = "fa.released"
		}
		o.say(key, "name", cmp.Or(nameOf(u), u.Email))
		return nil
	}))
	c.Flags().BoolVar(&off, "off", false, a.t("cli.user.secondoff"))
	return c
}

// userMerge says that two users are one person, or takes that back.
func (a *app) userMerge(f *adminFlags) *cobra.Command {
	var cancel bool
	c := a.command("merge NUMBER ADDRESS OTHER", "admin.user.merge", "  pli admin user merge 100042 lea.martin@example.org lea@old.example.org", a.exactly("NUMBER", "ADDRESS", "OTHER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, u, err := o.user(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if cancel {
			if _, err := do(ctx, o, client.CancelMerge, client.UserAct{Account: n, User: u.ID}); err != nil {
				return err
			}
			o.say("merge.cancelled")
			return nil
		}
		if _, err := do(ctx, o, client.ProposeMerge, client.MergeIn{Account: n, User: u.ID, Email: args[2]}); err != nil {
			return err
		}
		o.say("merge.asked", "name", cmp.Or(nameOf(u), u.Email), "email", args[2])
		return nil
	}))
	c.Flags().BoolVar(&cancel, "cancel", false, a.t("cli.user.mergecancel"))
	return c
}

// userEach does something to all users that match, and lists those on whom it
// could not be done.
func (a *app) userEach(f *adminFlags) *cobra.Command {
	var in client.ActOnAllIn
	var filter, group, confirm string
	c := a.command("each NUMBER ACT", "admin.user.each", "  pli admin user each 100042 second --status administrators --confirm 100042", a.exactly("NUMBER", "ACT"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		in.Account, in.Status = n, only(filter)
		if in.Do = args[1]; group != "" {
			_, g, err := o.group(ctx, args[0], group)
			if err != nil {
				return err
			}
			in.Group = g.ID
		}
		if err := o.confirmed(confirm, n, o.t("bulk.sure", "act", o.t("bulk.act."+in.Do))); err != nil {
			return err
		}
		j, err := do(ctx, o, client.ActOnAllUsers, in)
		if err != nil {
			return err
		}
		return o.runUserJob(ctx, client.UserJobPath{Account: n, Job: j.ID}, f.format)
	}))
	c.Flags().StringVar(&in.Query, "query", "", a.t("cli.flag.query"))
	c.Flags().StringVar(&filter, "status", "", a.t("cli.user.status"))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}

// runUserJob watches such a job, and on this host goes on with it beside the server
// that may do so.
func (o *administrator) runUserJob(ctx context.Context, at client.UserJobPath, f format) error {
	return o.watch(ctx, at.Job, func() (bool, error) {
		v, err := do(ctx, o, client.GetUserJob, at)
		switch {
		case err != nil:
			return true, err
		case v.State == "stopped":
			return true, failed(v.Reason)
		case v.State == "done":
			o.say("bulk.result", "act", o.t("bulk.act."+v.Do), "ok", v.Done, "bad", v.Failed)
			return true, o.leftOut(ctx, at, f)
		}
		return false, nil
	})
}

// leftOut lists those on whom it could not be done.
func (o *administrator) leftOut(ctx context.Context, at client.UserJobPath, f format) error {
	t := &table{columns: []column{{"email", "cli.col.email"}, {"key", "cli.col.reason"}}}
	if err := every(ctx, 0, func(after string, n int) (client.Page[client.ActedOn], error) {
		return do(ctx, o, client.ListUserJobRows, client.UserJobRowsIn{Account: at.Account, Job: at.Job, Failed: true, After: after, Limit: n})
	}, func(row client.ActedOn) { t.add(row.Email, row.Key) }); err != nil || len(t.rows) == 0 {
		return err
	}
	return o.write(t, f, false)
}
