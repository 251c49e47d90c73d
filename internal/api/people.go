package api

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerPeople() {
	handle(a, client.ListAccounts, a.listAccounts)
	handle(a, client.GetAccount, a.getAccount)
	handle(a, client.ListGroups, a.listGroups)
	handle(a, client.AddGroup, a.addGroup)
	handle(a, client.GetGroup, a.getGroup)
	handle(a, client.RenameGroup, a.renameGroup)
	handle(a, client.DeleteGroup, a.deleteGroup)
	handle(a, client.GetGroupRights, a.groupRights)
	handle(a, client.SetGroupRights, a.setGroupRights)
	handle(a, client.ListMembers, a.listMembers)
	handle(a, client.AddMembers, a.addMembers)
	handle(a, client.SetMemberEnd, a.setMemberEnd)
	handle(a, client.RemoveMember, a.removeMember)
	handle(a, client.ListUsers, a.listUsers)
	handle(a, client.AddUser, a.addUser)
	handle(a, client.GetUser, a.getUser)
	handle(a, client.ExportUsers, a.exportUsers)
	handle(a, client.ChangeUser, a.changeUser)
	handle(a, client.EndSessions, a.endSessions)
	handle(a, client.ListLifts, a.listLifts)
	handle(a, client.DecideLift, a.decideLift)
	handle(a, client.DeleteUser, a.deleteUser)
	handle(a, client.BlockUser, a.blockUser)
	handle(a, client.UnblockUser, a.unblockUser)
	handle(a, client.ResetPassword, a.resetPassword)
	handle(a, client.SendPasswordLink, a.sendPasswordLink)
	handle(a, client.RequireSecond, a.requireSecond)
	handle(a, client.ProposeMerge, a.proposeMerge)
	handle(a, client.CancelMerge, a.cancelMerge)
	handle(a, client.ActOnUsers, a.actOnUsers)
	handle(a, client.ActOnAllUsers, a.actOnAllUsers)
	handle(a, client.GetUserJob, a.getUserJob)
	handle(a, client.ListUserJobRows, a.listUserJobRows)
	handle(a, client.StopUserJob, a.stopUserJob)
	handle(a, client.ListInvitations, a.listInvitations)
	handle(a, client.Invite, a.invite)
	handle(a, client.ResendInvitation, a.resendInvitation)
	handle(a, client.RevokeInvitation, a.revokeInvitation)
}

// matching is the actor of a request with If-Match. The act compares, in its
// own transaction. "*" is whichever: what is not there is not found anyhow.
func matching(r *web.Request, ifMatch string) account.Actor {
	a := r.Actor()
	if ifMatch != "*" {
		a.IfMatch = strings.Trim(ifMatch, `"`)
	}
	return a
}

func quoted(revision string) string { return `"` + revision + `"` }

func accountOf(v account.AccountView) client.AccountInfo {
	return client.AccountInfo{Number: v.ID, Name: v.Name, Language: v.Language, TimeZone: v.TimeZone, State: v.State, Users: v.Users, Groups: v.Groups,
		Administrators: v.Administrators, CreatedAt: client.Time{Time: v.CreatedAt}, DeletionAt: client.Time{Time: v.Deletion.At}}
}

func (a *api) listAccounts(r *web.Request, in client.ListAccountsIn) (client.Page[client.AccountInfo], error) {
	p, err := a.Accounts.Accounts(r.Context(), r.Actor(), in.After, in.Limit)
	return pageOf(p.Accounts, p.Next, accountOf), err
}

func (a *api) getAccount(r *web.Request, in client.Account) (client.AccountInfo, error) {
	v, err := a.Accounts.Account(r.Context(), r.Actor(), in.Account)
	return accountOf(v), err
}

func groupOf(g store.Group) client.Group {
	return client.Group{ID: g.ID, Name: g.Name, Builtin: g.Builtin, Members: g.Members, CreatedAt: client.Time{Time: g.CreatedAt},
		ETag: quoted(account.GroupRevision(g))}
}

func (a *api) listGroups(r *web.Request, in client.ListGroupsIn) (client.Page[client.Group], error) {
	if in.Name != "" {
		g, err := a.Accounts.GroupNamed(r.Context(), r.Actor(), in.Account, in.Name)
		return found(a, r, in.Account, groupOf(g), err)
	}
	p, err := a.Accounts.Groups(r.Context(), r.Actor(), in.Account, in.Query, in.After, in.Limit)
	return pageOf(p.Groups, p.Next, groupOf), err
}

// found is a page of the one that was looked for in an account, or of none. That
// there is no such account, or none for who asks, is said as always.
func found[T any](a *api, r *web.Request, number int64, one T, err error) (client.Page[T], error) {
	if fault.Is(err, fault.NotFound) {
		_, err = a.Accounts.Account(r.Context(), r.Actor(), number)
		return client.Page[T]{Items: []T{}}, err
	}
	return client.Page[T]{Items: []T{one}}, err
}

func (a *api) addGroup(r *web.Request, in client.GroupIn) (client.Group, error) {
	g, err := a.Accounts.AddGroup(r.Context(), r.Actor(), in.Account, in.Name)
	return groupOf(g), err
}

func (a *api) getGroup(r *web.Request, in client.GroupPath) (client.Group, error) {
	g, err := a.Accounts.Group(r.Context(), r.Actor(), in.Account, in.Group)
	return groupOf(g), err
}

func (a *api) renameGroup(r *web.Request, in client.GroupChange) (client.Group, error) {
	g, err := a.Accounts.RenameGroup(r.Context(), matching(r, in.IfMatch), in.Account, in.Group, in.Name)
	return groupOf(g), err
}

func (a *api) deleteGroup(r *web.Request, in client.GroupAct) (client.None, error) {
	_, err := a.Accounts.DeleteGroup(r.Context(), matching(r, in.IfMatch), in.Account, in.Group)
	return client.None{}, err
}

func rightsOf(g account.GroupRights) client.GroupRights {
	out := client.GroupRights{Grants: []client.GroupGrant{}, ETag: quoted(g.Revision)}
	for _, x := range g.Grants {
		out.Grants = append(out.Grants, client.GroupGrant{Right: x.Right, Over: x.Scope, OverName: x.Over, OverOther: x.Apart})
	}
	return out
}

func (a *api) groupRights(r *web.Request, in client.GroupPath) (client.GroupRights, error) {
	g, err := a.Accounts.GroupRights(r.Context(), r.Actor(), in.Account, in.Group)
	return rightsOf(g), err
}

func (a *api) setGroupRights(r *web.Request, in client.GroupRightsIn) (client.GroupRights, error) {
	var grants []store.Grant
	for _, x := range in.Grants {
		grants = append(grants, store.Grant{Right: x.Right, Scope: x.Over})
	}
	g, err := a.Accounts.SetGroupRights(r.Context(), matching(r, in.IfMatch), in.Account, in.Group, grants)
	return rightsOf(g), err
}

func memberOf(m store.Member) client.Member {
	return client.Member{User: m.ID, Email: m.DisplayAddress, Name: m.Name(), Until: client.Time{Time: m.Until}, Ended: m.Ended, State: stateOf(m.User), Temporary: m.Temporary}
}

func (a *api) listMembers(r *web.Request, in client.MembersIn) (client.Page[client.Member], error) {
	p, err := a.Accounts.Members(r.Context(), r.Actor(), in.Account, in.Group, in.Query, in.After, in.Limit)
	return pageOf(p.Members, p.Next, memberOf), err
}

// addMembers answers with what became of each address. Where the page refuses a
// form of which somebody could not be added, though the others were, a program
// reads that here.
func (a *api) addMembers(r *web.Request, in client.AddMembersIn) (client.AddedMembers, error) {
	res, err := a.Accounts.AddMembers(r.Context(), r.Actor(), in.Account, in.Group, strings.Join(in.Emails, "\n"), in.Until.Time)
	if err != nil && res.Group.ID == "" {
		return client.AddedMembers{}, err
	}
	address := func(u store.User) string { return u.DisplayAddress }
	return client.AddedMembers{
		Added: each(res.Added, address), Already: each(res.Already, address), Blocked: each(res.Locked, address),
		Invited: each(res.Invited, func(p account.Pending) string { return p.Address }), Missing: append([]string{}, res.Missing...), Invalid: append([]string{}, res.Bad...), Meant: res.Meant,
	}, nil
}

// each is what one makes of every element, never nil.
func each[From, To any](from []From, one func(From) To) []To { return pageOf(from, "", one).Items }

func (a *api) setMemberEnd(r *web.Request, in client.MemberChange) (client.Member, error) {
	m, _, err := a.Accounts.SetMembershipEnd(r.Context(), r.Actor(), in.Account, in.Group, in.User, in.Until.Time)
	return memberOf(m), err
}

func (a *api) removeMember(r *web.Request, in client.MemberPath) (client.None, error) {
	_, _, err := a.Accounts.RemoveMember(r.Context(), r.Actor(), in.Account, in.Group, in.User)
	return client.None{}, err
}

func stateOf(u store.User) string {
	if u.State == store.UserLocked {
		return "blocked"
	}
	return "active"
}

func userOf(v account.UserView) client.User {
	out := client.User{ID: v.ID, Email: v.DisplayAddress, FirstName: v.FirstName, LastName: v.LastName, Language: v.Language, State: stateOf(v.User),
		Temporary: v.Temporary, TemporaryUntil: client.Time{Time: v.TemporaryUntil}, Second: v.Second, Required: v.SecondRequired, Managed: v.Managed, CreatedAt: client.Time{Time: v.CreatedAt}, SignedInAt: client.Time{Time: v.LastSignInAt}, Groups: []client.UserGroup{},
		ETag: quoted(account.UserRevision(v.User))}
	for _, g := range v.Groups {
		out.Groups = append(out.Groups, client.UserGroup{ID: g.ID, Name: g.Name, Until: client.Time{Time: g.Until}})
	}
	for _, x := range v.Rights {
		out.Rights = append(out.Rights, client.UserRight{Right: x.Right, Over: x.Scope.ID, Because: x.Because.ID, OverOther: x.Apart, OverName: x.Scope.Name, BecauseName: x.Because.Name, Until: client.Time{Time: x.Until}})
	}
	return out
}

var statuses = map[string]string{"": "", "active": store.OnlyActive, "blocked": store.OnlyBlocked, "mustchange": store.OnlyMustChange, "admins": store.OnlyAdministrators, "nosecond": store.OnlyNoSecond}

func (a *api) listUsers(r *web.Request, in client.ListUsersIn) (client.Page[client.User], error) {
	if in.Email != "" {
		v, err := a.Accounts.UserByAddress(r.Context(), r.Actor(), in.Account, in.Email)
		return found(a, r, in.Account, userOf(v), err)
	}
	p, err := a.Accounts.Users(r.Context(), r.Actor(), in.Account, in.Query, statuses[in.Status], in.After, in.Limit)
	return pageOf(p.Users, p.Next, userOf), err
}

func (a *api) addUser(r *web.Request, in client.UserIn) (client.User, error) {
	added, err := a.Accounts.AddUser(r.Context(), r.Actor(), in.Account, account.NewUser{Address: in.Email, FirstName: in.FirstName, LastName: in.LastName,
		Password: in.Password, Confirm: in.Password, EnforceExpiry: in.Temporary, GroupID: in.Group, Until: in.Until.Time, Language: in.Language})
	v := account.UserView{User: added.User}
	if added.Group.ID != "" {
		added.Group.Until = in.Until.Time
		v.Groups = []store.Group{added.Group}
	}
	return userOf(v), err
}

func (a *api) getUser(r *web.Request, in client.UserPath) (client.User, error) {
	v, err := a.Accounts.User(r.Context(), r.Actor(), in.Account, in.User)
	return userOf(v), err
}

func (a *api) deleteUser(r *web.Request, in client.UserAct) (client.None, error) {
	_, err := a.Accounts.DeleteUser(r.Context(), matching(r, in.IfMatch), in.Account, in.User)
	return client.None{}, err
}

func (a *api) blockUser(r *web.Request, in client.UserAct) (client.User, error) {
	if _, err := a.Accounts.BlockUser(r.Context(), matching(r, in.IfMatch), in.Account, in.User); err != nil {
		return client.User{}, err
	}
	return a.getUser(r, client.UserPath{Account: in.Account, User: in.User})
}

func (a *api) unblockUser(r *web.Request, in client.UserAct) (client.User, error) {
	if _, err := a.Accounts.UnblockUser(r.Context(), matching(r, in.IfMatch), in.Account, in.User); err != nil {
		return client.User{}, err
	}
	return a.getUser(r, client.UserPath{Account: in.Account, User: in.User})
}

func (a *api) resetPassword(r *web.Request, in client.PasswordIn) (client.User, error) {
	if _, err := a.Accounts.ResetPassword(r.Context(), matching(r, in.IfMatch), in.Account, in.User, in.Password, in.Password); err != nil {
		return client.User{}, err
	}
	return a.getUser(r, client.UserPath{Account: in.Account, User: in.User})
}

func (a *api) changeUser(r *web.Request, in client.UserChange) (client.User, error) {
	if _, err := a.Accounts.EditUser(r.Context(), matching(r, in.IfMatch), in.Account, in.User, in.FirstName, in.LastName, in.Language); err != nil {
		return client.User{}, err
	}
	return a.getUser(r, client.UserPath{Account: in.Account, User: in.User})
}

func (a *api) endSessions(r *web.Request, in client.UserPath) (client.EndedSessions, error) {
	_, n, err := a.Accounts.EndSessions(r.Context(), r.Actor(), in.Account, in.User)
	return client.EndedSessions{Ended: n}, err
}

func (a *api) listLifts(r *web.Request, in client.AccountPage) (client.Page[client.Lift], error) {
	p, err := a.Accounts.Lifts(r.Context(), r.Actor(), in.Account, in.After, in.Limit)
	return pageOf(p.Lifts, p.Next, func(l account.Lift) client.Lift {
		return client.Lift{User: l.User.ID, Email: l.User.DisplayAddress, Name: l.User.Name(), AskedAt: client.Time{Time: l.AskedAt}, Approved: l.Approved, DueAt: client.Time{Time: l.DueAt}}
	}), err
}

func (a *api) decideLift(r *web.Request, in client.LiftDecision) (client.None, error) {
	_, err := a.Accounts.DecideLift(r.Context(), r.Actor(), in.Account, in.User, in.Approve)
	return client.None{}, err
}

// exportUsers gives the file in English whatever the reader's language, as programs
// read it. Status is as listUsers takes it.
func (a *api) exportUsers(r *web.Request, in client.ExportUsersIn) (*client.Stream, error) {
	status := statuses[in.Status]
	if in.Status == account.OnlyInvited {
		status = account.OnlyInvited
	}
	write, err := a.Accounts.ExportUsers(r.Context(), r.Actor(), in.Account, in.Query, status, a.Kit.Catalogue().Printer("en", time.UTC))
	if err != nil {
		return nil, err
	}
	return piped(fmt.Sprintf("pli-users-%d.csv", in.Account), write), nil
}

// piped is a file that write writes while it is read. What panics there, outside
// the request's own goroutine, breaks off the file alone.
func piped(name string, write func(io.Writer) error) *client.Stream {
	out, in := io.Pipe()
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("writing %s panicked: %v\n%s", name, p, debug.Stack())
			}
			in.CloseWithError(err)
		}()
		err = write(in)
	}()
	return &client.Stream{ReadCloser: out, Size: -1, Name: name}
}

func invitationOf(p account.Pending) client.Invitation {
	return client.Invitation{ID: p.ID, Email: p.Address, Group: p.GroupID, InvitedBy: p.InvitedBy, CreatedAt: client.Time{Time: p.CreatedAt},
		ExpiresAt: client.Time{Time: p.ExpiresAt}, Until: client.Time{Time: p.Until}}
}

func (a *api) listInvitations(r *web.Request, in client.InvitationsIn) (client.Page[client.Invitation], error) {
	p, err := a.Accounts.Invitations(r.Context(), r.Actor(), in.Account, in.Group, in.Query, in.After, in.Limit)
	return pageOf(p.Pending, p.Next, invitationOf), err
}

func (a *api) invite(r *web.Request, in client.InvitationIn) (client.Invitation, error) {
	p, err := a.Accounts.Invite(r.Context(), r.Actor(), in.Account, in.Group, in.Email, in.Until.Time)
	return invitationOf(p), err
}

func (a *api) resendInvitation(r *web.Request, in client.InvitationPath) (client.Invitation, error) {
	p, err := a.Accounts.ResendInvitation(r.Context(), r.Actor(), in.Account, in.Invitation)
	return invitationOf(p), err
}

func (a *api) revokeInvitation(r *web.Request, in client.InvitationPath) (client.None, error) {
	_, err := a.Accounts.RevokeInvitation(r.Context(), r.Actor(), in.Account, in.Invitation)
	return client.None{}, err
}
