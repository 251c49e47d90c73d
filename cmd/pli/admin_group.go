package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

var groupColumns = []column{{"name", "cli.col.name"}, {"members", "cli.col.members"}, {"builtin", "cli.col.builtin"}, {"id", "cli.col.id"}}

var memberColumns = []column{{"email", "cli.col.email"}, {"name", "cli.col.name"}, {"status", "cli.col.state"}, {"until", "cli.col.until"}}

var rightColumns = []column{{"right", "cli.col.right"}, {"over", "cli.col.over"}}

func (a *app) adminGroup(f *adminFlags) *cobra.Command {
	var query string
	list := a.command("list NUMBER", "admin.group.list", "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: groupColumns}
		if err := pages(0, func(after string, size int) (int, string, error) {
			p, err := o.Accounts.Groups(ctx, o.actor, n, query, after, size)
			for _, g := range p.Groups {
				t.add(o.groupName(g), g.Members, g.Builtin, g.ID)
			}
			return len(p.Groups), p.Next, err
		}); err != nil {
			return err
		}
		o.say("seed.showing_groups", "n", len(t.rows))
		return o.write(t, f.format, false)
	}))
	list.Flags().StringVar(&query, "query", "", a.t("cli.flag.query"))
	show := a.command("show NUMBER GROUP", "admin.group.show", "", a.exactly("NUMBER", "GROUP"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		_, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: groupColumns}
		t.add(o.groupName(g), g.Members, g.Builtin, g.ID)
		return o.write(t, f.format, true)
	}))
	add := a.command("add NUMBER NAME", "admin.group.add", "", a.exactly("NUMBER", "NAME"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		g, err := o.Accounts.AddGroup(ctx, o.actor, n, args[1])
		if err != nil {
			return err
		}
		o.say("g.added", "name", g.Name)
		return nil
	}))
	rename := a.command("rename NUMBER GROUP NAME", "admin.group.rename", "", a.exactly("NUMBER", "GROUP", "NAME"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if g, err = o.Accounts.RenameGroup(ctx, o.actor, n, g.ID, args[2]); err != nil {
			return err
		}
		o.say("adm.grouprenamed", "name", g.Name)
		return nil
	}))
	return a.group("group", "admin.group", list, show, add, rename, a.groupDelete(f), a.groupMembers(f), a.groupAddMember(f), a.groupRemoveMember(f), a.groupRights(f))
}

func (a *app) groupDelete(f *adminFlags) *cobra.Command {
	var confirm string
	c := a.command("delete NUMBER GROUP", "admin.group.delete", "", a.exactly("NUMBER", "GROUP"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if err := o.confirm(confirm, n, o.t("adm.groupdelq", "group", o.groupName(g))); err != nil {
			return err
		}
		if g, err = o.Accounts.DeleteGroup(ctx, o.actor, n, g.ID); err != nil {
			return err
		}
		if g.Members == 0 {
			o.say("adm.groupdeleted0", "name", g.Name)
		} else {
			o.say("adm.groupdeleted", "name", g.Name, "n", g.Members)
		}
		return nil
	}))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}

func (a *app) groupMembers(f *adminFlags) *cobra.Command {
	return a.command("members NUMBER GROUP", "admin.group.members", "  pli admin group members 100042 \"Account Administrators\"",
		a.exactly("NUMBER", "GROUP"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			t := &table{columns: memberColumns}
			if err := pages(0, func(after string, size int) (int, string, error) {
				p, err := o.Accounts.Members(ctx, o.actor, n, g.ID, "", after, size)
				for _, m := range p.Members {
					state := status(m.User)
					if m.Ended {
						state = "ended"
					}
					t.add(m.DisplayAddress, m.Name(), state, m.Until)
				}
				for _, i := range p.Pending {
					t.add(i.Address, "", "invited", i.Until)
				}
				return len(p.Members), p.Next, err
			}); err != nil {
				return err
			}
			return o.write(t, f.format, false)
		}))
}

func (a *app) groupAddMember(f *adminFlags) *cobra.Command {
	var last string
	c := a.command("add-member NUMBER GROUP ADDRESS…", "admin.group.addmember", "  pli admin group add-member 100042 \"Account Administrators\" lea.martin@example.org",
		a.exactly("NUMBER", "GROUP", "ADDRESS…"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			until, err := o.lastDay(ctx, n, last)
			if err != nil {
				return err
			}
			r, err := o.Accounts.AddMembers(ctx, o.actor, n, g.ID, strings.Join(args[2:], "\n"), until)
			o.sayAdded(r, g)
			for _, u := range r.Already {
				if last == "" {
					break
				}
				if _, _, err := o.Accounts.SetMembershipEnd(ctx, o.actor, n, g.ID, u.ID, until); err != nil {
					return err
				}
			}
			if err == nil {
				return nil
			}
			return &hinted{err, o.addHints(r, n, g, err)}
		}))
	c.Flags().StringVar(&last, "until", "", a.t("cli.group.until"))
	return c
}

// lastDay is the end of a membership, of its last day where the account is.
func (o *operator) lastDay(ctx context.Context, n int64, day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	v, err := o.Accounts.Account(ctx, o.actor, n)
	if err != nil {
		return time.Time{}, err
	}
	return account.EndOfDay(v.Account, day)
}

func (a *app) groupRights(f *adminFlags) *cobra.Command {
	var none bool
	c := a.command("rights NUMBER GROUP [RIGHT[=GROUP]…]", "admin.group.rights", "  pli admin group rights 100042 Helpdesk users=Ward messages=Ward\n  pli admin group rights 100042 Auditors audit reports",
		func(c *cobra.Command, args []string) error {
			return a.exactly("NUMBER", "GROUP")(c, args[:min(len(args), 2)])
		}, a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if len(args) > 2 || none {
				var grants []store.Grant
				for _, arg := range args[2:] {
					right, scope, confined := strings.Cut(arg, "=")
					x := store.Grant{Right: right}
					if confined {
						_, over, err := o.group(ctx, args[0], scope)
						if err != nil {
							return err
						}
						x.Scope = over.ID
					}
					grants = append(grants, x)
				}
				if _, err := o.Accounts.SetGroupRights(ctx, o.actor, n, g.ID, grants); err != nil {
					return err
				}
			}
			rights, err := o.Accounts.GroupRights(ctx, o.actor, n, g.ID)
			if err != nil {
				return err
			}
			t := &table{columns: rightColumns}
			for _, x := range rights.Grants {
				t.add(x.Right, rights.Scopes[x.Scope])
			}
			return o.write(t, f.format, false)
		}))
	c.Flags().BoolVar(&none, "none", false, a.t("cli.group.none"))
	return c
}

// sayAdded tells what became of the addresses that need no decision.
func (o *operator) sayAdded(r account.AddResult, g store.Group) {
	for _, u := range r.Added {
		o.say("m.added", "email", u.DisplayAddress, "group", o.groupName(g))
	}
	for _, u := range r.Already {
		o.say("m.already", "email", u.DisplayAddress)
	}
	for _, i := range r.Invited {
		o.say("adm.pending", "email", i.Address, "group", o.groupName(g))
	}
}

// addHints are the ways out for those who could not be added.
func (o *operator) addHints(r account.AddResult, n int64, g store.Group, err error) (hints []string) {
	for _, u := range r.Locked {
		hints = append(hints, o.t("people.blocked", "email", u.DisplayAddress))
	}
	if !fault.HasKey(err, "seed.nonexistent") {
		return append(hints, r.Bad...)
	}
	name := g.Name
	create, invite := o.t("cli.group.create"), o.t("cli.group.invite")
	width := max(len([]rune(create)), len([]rune(invite)))
	pad := func(s string) string { return s + strings.Repeat(" ", width-len([]rune(s))) }
	for _, address := range r.Missing {
		hints = append(hints, o.t("cli.group.nouser", "email", address, "number", n))
		if meant := r.Meant[address]; meant != "" {
			hints = append(hints, o.t("m.meant", "email", meant))
		}
		hints = append(hints,
			fmt.Sprintf("%s  pli admin user add %d %s --group %q", pad(create), n, address, name),
			fmt.Sprintf("%s  pli admin user invite %d %s --group %q", pad(invite), n, address, name))
	}
	return hints
}

func (a *app) groupRemoveMember(f *adminFlags) *cobra.Command {
	return a.command("remove-member NUMBER GROUP ADDRESS", "admin.group.removemember", "", a.exactly("NUMBER", "GROUP", "ADDRESS"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			_, u, err := o.user(ctx, args[0], args[2])
			if err != nil {
				return err
			}
			if _, _, err := o.Accounts.RemoveMember(ctx, o.actor, n, g.ID, u.ID); err != nil {
				return err
			}
			o.say("adm.removed", "name", u.Name(), "group", o.groupName(g))
			return nil
		}))
}
