package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

var groupColumns = []column{{"name", "cli.col.name"}, {"members", "cli.col.members"}, {"builtin", "cli.col.builtin"}, {"id", "cli.col.id"}}

var memberColumns = []column{{"email", "cli.col.email"}, {"name", "cli.col.name"}, {"status", "cli.col.state"}, {"until", "cli.col.until"}}

var rightColumns = []column{{"right", "cli.col.right"}, {"over", "cli.col.over"}}

func (a *app) adminGroup(f *adminFlags) *cobra.Command {
	var query string
	list := a.command("list NUMBER", "admin.group.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: groupColumns}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Group], error) {
			return do(ctx, o, client.ListGroups, client.ListGroupsIn{Account: n, Query: query, After: after, Limit: size})
		}, func(g client.Group) { t.add(o.groupName(g.Name), count(g.Members), g.Builtin, g.ID) }); err != nil {
			return err
		}
		o.say("seed.showing_groups", "n", len(t.rows))
		return o.write(t, f.format, false)
	}))
	list.Flags().StringVar(&query, "query", "", a.t("cli.flag.query"))
	show := a.command("show NUMBER GROUP", "admin.group.show", "", a.exactly("NUMBER", "GROUP"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		_, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		t := &table{columns: groupColumns}
		t.add(o.groupName(g.Name), count(g.Members), g.Builtin, g.ID)
		return o.write(t, f.format, true)
	}))
	add := a.command("add NUMBER NAME", "admin.group.add", "", a.exactly("NUMBER", "NAME"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		g, err := do(ctx, o, client.AddGroup, client.GroupIn{Account: n, Name: args[1]})
		if err != nil {
			return err
		}
		o.say("g.added", "name", g.Name)
		return nil
	}))
	rename := a.command("rename NUMBER GROUP NAME", "admin.group.rename", "", a.exactly("NUMBER", "GROUP", "NAME"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if g, err = do(ctx, o, client.RenameGroup, client.GroupChange{Account: n, Group: g.ID, Name: args[2]}); err != nil {
			return err
		}
		o.say("adm.grouprenamed", "name", g.Name)
		return nil
	}))
	return a.group("group", "admin.group", list, show, add, rename, a.groupDelete(f), a.groupMembers(f), a.groupAddMember(f), a.groupRemoveMember(f), a.groupRights(f), a.groupSettings(f))
}

func (a *app) groupDelete(f *adminFlags) *cobra.Command {
	var confirm string
	c := a.command("delete NUMBER GROUP", "admin.group.delete", "", a.exactly("NUMBER", "GROUP"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, g, err := o.group(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if !g.Builtin { // which is refused, whoever confirms it
			if err := o.confirm(confirm, n, o.t("adm.groupdelq", "group", o.groupName(g.Name))); err != nil {
				return err
			}
		}
		if _, err := do(ctx, o, client.DeleteGroup, client.GroupAct{Account: n, Group: g.ID}); err != nil {
			return err
		}
		switch {
		case g.Members == 0:
			o.say("adm.groupdeleted0", "name", g.Name)
		case g.Members > store.MaxCount:
			o.say("adm.groupdeletedmany", "name", g.Name)
		default:
			o.say("adm.groupdeleted", "name", g.Name, "n", g.Members)
		}
		return nil
	}))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}

func (a *app) groupMembers(f *adminFlags) *cobra.Command {
	return a.command("members NUMBER GROUP", "admin.group.members", "  pli admin group members 100042 \"Account Administrators\"",
		a.exactly("NUMBER", "GROUP"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			t := &table{columns: memberColumns}
			if err := every(ctx, 0, func(after string, size int) (client.Page[client.Member], error) {
				return do(ctx, o, client.ListMembers, client.MembersIn{Account: n, Group: g.ID, After: after, Limit: size})
			}, func(m client.Member) {
				state := status(m.State, m.Temporary)
				if m.Ended {
					state = "ended"
				}
				t.add(m.Email, m.Name, state, m.Until.Time)
			}); err != nil {
				return err
			}
			if err := every(ctx, 0, func(after string, size int) (client.Page[client.Invitation], error) {
				return do(ctx, o, client.ListInvitations, client.InvitationsIn{Account: n, Group: g.ID, After: after, Limit: size})
			}, func(i client.Invitation) { t.add(i.Email, "", "invited", i.Until.Time) }); err != nil {
				return err
			}
			return o.write(t, f.format, false)
		}))
}

func (a *app) groupAddMember(f *adminFlags) *cobra.Command {
	var last, file string
	c := a.command("add-member NUMBER GROUP [ADDRESS…]", "admin.group.addmember", "  pli admin group add-member 100042 \"Account Administrators\" lea.martin@example.org\n  pli admin group add-member 100042 \"Ward 3\" --file people.csv",
		a.exactly("NUMBER", "GROUP", "[ADDRESS…]"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			if len(args) == 2 && file == "" {
				return usage("cli.usage.missing", "name", "ADDRESS…")
			}
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			until, err := o.lastDay(ctx, n, last)
			if err != nil {
				return err
			}
			emails := args[2:]
			if file != "" {
				in := io.NopCloser(o.stdin)
				if file != "-" {
					if in, err = os.Open(file); err != nil {
						return notFound(err, file)
					}
				}
				defer in.Close()
				list, err := account.AddressesIn(in)
				if err != nil {
					return err
				}
				emails = append(emails, list...)
			}
			r, err := do(ctx, o, client.AddMembers, client.AddMembersIn{Account: n, Group: g.ID, Emails: emails, Until: until})
			if err != nil {
				return err
			}
			for _, address := range r.Added {
				o.say("m.added", "email", address, "group", o.groupName(g.Name))
			}
			for _, address := range r.Already {
				if last == "" {
					o.say("m.already", "email", address)
				} else {
					o.say("m.alreadyuntil", "email", address, "date", last)
				}
			}
			for _, address := range r.Invited {
				o.say("adm.pending", "email", address, "group", o.groupName(g.Name))
			}
			return o.notAdded(r, n, g)
		}))
	c.Flags().StringVar(&last, "until", "", a.t("cli.group.until"))
	c.Flags().StringVar(&file, "file", "", a.t("cli.group.file"))
	return c
}

// lastDay is the end of a membership, of its last day where the account is.
func (o *administrator) lastDay(ctx context.Context, n int64, day string) (client.Time, error) {
	if day == "" {
		return client.Time{}, nil
	}
	zone, err := o.zone(ctx, n)
	if err != nil {
		return client.Time{}, err
	}
	end, err := account.EndOfDay(zone, day)
	return client.Time{Time: end}, err
}

// zone is where an account is: a day that is named is one there.
func (o *administrator) zone(ctx context.Context, n int64) (*time.Location, error) {
	v, err := do(ctx, o, client.GetAccount, client.Account{Account: n})
	if err != nil {
		return nil, err
	}
	return account.ZoneOf(v.TimeZone), nil
}

// notAdded is the failure about those who could not be added, with the ways out,
// nil where there are none. The others are in.
func (o *administrator) notAdded(r client.AddedMembers, n int64, g client.Group) error {
	var f *failure
	var hints []string
	for _, address := range r.Blocked {
		hints = append(hints, o.t("people.blocked", "email", address))
	}
	switch {
	case len(r.Missing) > 0:
		f = failed("seed.nonexistent")
		f.code = exitNotFound
		f.hints = append(hints, o.waysIn(r, n, g)...)
	case len(r.Invalid) > 0:
		f = usage("err.email")
		f.hints = append(hints, r.Invalid...)
	case len(r.Blocked) > 0:
		f = usage("people.blocked", "email", r.Blocked[0])
		f.hints = hints[1:]
	default:
		return nil
	}
	return f
}

// waysIn are what can be done about who is nobody that the account knows.
func (o *administrator) waysIn(r client.AddedMembers, n int64, g client.Group) (hints []string) {
	create, invite := o.t("cli.group.create"), o.t("cli.group.invite")
	width := max(len([]rune(create)), len([]rune(invite)))
	pad := func(s string) string { return s + strings.Repeat(" ", width-len([]rune(s))) }
	for _, address := range r.Missing {
		hints = append(hints, o.t("cli.group.nouser", "email", address, "number", n))
		if meant := r.Meant[address]; meant != "" {
			hints = append(hints, o.t("m.meant", "email", meant))
		}
		hints = append(hints,
			fmt.Sprintf("%s  pli admin user add %d %s --group %q", pad(create), n, address, g.Name),
			fmt.Sprintf("%s  pli admin user invite %d %s --group %q", pad(invite), n, address, g.Name))
	}
	return hints
}

func (a *app) groupRights(f *adminFlags) *cobra.Command {
	var none bool
	c := a.command("rights NUMBER GROUP [RIGHT[=GROUP]…]", "admin.group.rights", "  pli admin group rights 100042 Helpdesk users=Ward messages=Ward\n  pli admin group rights 100042 Auditors audit reports",
		func(c *cobra.Command, args []string) error {
			return a.exactly("NUMBER", "GROUP")(c, args[:min(len(args), 2)])
		}, a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if len(args) > 2 || none {
				grants := []client.Grant{}
				for _, arg := range args[2:] {
					right, scope, confined := strings.Cut(arg, "=")
					x := client.Grant{Right: right}
					if confined {
						_, over, err := o.group(ctx, args[0], scope)
						if err != nil {
							return err
						}
						x.Over = over.ID
					}
					grants = append(grants, x)
				}
				if _, err := do(ctx, o, client.SetGroupRights, client.GroupRightsIn{Account: n, Group: g.ID, Grants: grants}); err != nil {
					return err
				}
			}
			rights, err := do(ctx, o, client.GetGroupRights, client.GroupPath{Account: n, Group: g.ID})
			if err != nil {
				return err
			}
			t := &table{columns: rightColumns}
			for _, x := range rights.Grants {
				t.add(x.Right, o.overText(x.OverName, x.OverOther))
			}
			return o.write(t, f.format, false)
		}))
	c.Flags().BoolVar(&none, "none", false, a.t("cli.group.none"))
	return c
}

func (a *app) groupRemoveMember(f *adminFlags) *cobra.Command {
	return a.command("remove-member NUMBER GROUP ADDRESS", "admin.group.removemember", "", a.exactly("NUMBER", "GROUP", "ADDRESS"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, g, err := o.group(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			_, u, err := o.user(ctx, args[0], args[2])
			if err != nil {
				return err
			}
			if _, err := do(ctx, o, client.RemoveMember, client.MemberPath{Account: n, Group: g.ID, User: u.ID}); missing(err) {
				f := failed("cli.notmember", "email", u.Email, "group", o.groupName(g.Name))
				f.code = exitNotFound
				return f
			} else if err != nil {
				return err
			}
			o.say("adm.removed", "name", called(u), "group", o.groupName(g.Name))
			return nil
		}))
}

func (a *app) adminInvitation(f *adminFlags) *cobra.Command {
	list := a.command("list NUMBER", "admin.invitation.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"email", "cli.col.email"}, {"invited_by", "cli.col.addedby"}, {"created_at", "cli.col.created"}, {"expires_at", "cli.col.expires"}, {"id", "cli.col.id"}}}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Invitation], error) {
			return do(ctx, o, client.ListInvitations, client.InvitationsIn{Account: n, After: after, Limit: size})
		}, func(i client.Invitation) { t.add(i.Email, i.InvitedBy, i.CreatedAt.Time, i.ExpiresAt.Time, i.ID) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	on := func(verb string, run func(ctx context.Context, o *administrator, at client.InvitationPath, email string) error) *cobra.Command {
		return a.command(verb+" NUMBER ADDRESS", "admin.invitation."+verb, "", a.exactly("NUMBER", "ADDRESS"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			p, err := do(ctx, o, client.ListInvitations, client.InvitationsIn{Account: n, Query: args[1]})
			if err != nil {
				return err
			}
			for _, i := range p.Items {
				if strings.EqualFold(i.Email, args[1]) {
					return run(ctx, o, client.InvitationPath{Account: n, Invitation: i.ID}, i.Email)
				}
			}
			f := failed("cli.invitation.none", "email", args[1])
			f.code = exitNotFound
			return f
		}))
	}
	resend := on("resend", func(ctx context.Context, o *administrator, at client.InvitationPath, email string) error {
		_, err := do(ctx, o, client.ResendInvitation, at)
		if err == nil {
			o.say("m.invited", "email", email)
		}
		return err
	})
	revoke := on("revoke", func(ctx context.Context, o *administrator, at client.InvitationPath, email string) error {
		_, err := do(ctx, o, client.RevokeInvitation, at)
		if err == nil {
			o.say("cli.invitation.revoked", "email", email)
		}
		return err
	})
	return a.group("invitation", "admin.invitation", list, resend, revoke)
}
