package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) sendPasswordLink(r *web.Request, in client.UserAct) (client.None, error) {
	_, err := a.Accounts.SendPasswordLink(r.Context(), matching(r, in.IfMatch), in.Account, in.User)
	return client.None{}, err
}

func (a *api) requireSecond(r *web.Request, in client.SecondNeed) (client.User, error) {
	if _, err := a.Accounts.RequireSecond(r.Context(), matching(r, in.IfMatch), in.Account, in.User, in.Required); err != nil {
		return client.User{}, err
	}
	return a.getUser(r, client.UserPath{Account: in.Account, User: in.User})
}

func (a *api) proposeMerge(r *web.Request, in client.MergeIn) (client.Merge, error) {
	m, err := a.Accounts.ProposeMerge(r.Context(), matching(r, in.IfMatch), in.Account, in.User, in.Email)
	return client.Merge{Keep: m.Keep.ID, Gone: m.Gone.ID, By: m.By, ExpiresAt: client.Time{Time: m.Until}}, err
}

func (a *api) cancelMerge(r *web.Request, in client.UserAct) (client.None, error) {
	_, err := a.Accounts.CancelMerge(r.Context(), matching(r, in.IfMatch), in.Account, in.User)
	return client.None{}, err
}

func actedOn(row account.BulkRow) client.ActedOn {
	return client.ActedOn{Email: row.Address, Failed: row.Failed, Key: row.Key}
}

func (a *api) actOnUsers(r *web.Request, in client.UsersAct) (client.Page[client.ActedOn], error) {
	rows, err := a.Accounts.ActOnUsers(r.Context(), r.Actor(), in.Account, account.Bulk{Do: in.Do, GroupID: in.Group}, in.Users)
	return pageOf(rows, "", actedOn), err
}

func userJobOf(j store.Job, do string) client.UserJob {
	return client.UserJob{ID: j.ID, Do: do, State: j.State, Reason: j.Reason, Total: j.Total, Done: j.Done, Failed: j.Failed, CreatedAt: client.Time{Time: j.CreatedAt}, EndedAt: client.Time{Time: j.EndedAt}}
}

func (a *api) actOnAllUsers(r *web.Request, in client.ActOnAllIn) (client.UserJob, error) {
	j, err := a.Accounts.StartBulk(r.Context(), r.Actor(), in.Account, account.Bulk{Do: in.Do, GroupID: in.Group, Query: in.Query, Status: statuses[in.Status]})
	return userJobOf(j, in.Do), err
}

func (a *api) getUserJob(r *web.Request, in client.UserJobPath) (client.UserJob, error) {
	v, err := a.Accounts.Bulk(r.Context(), r.Actor(), in.Account, in.Job)
	return userJobOf(v.Job, v.Do), err
}

func (a *api) listUserJobRows(r *web.Request, in client.UserJobRowsIn) (client.Page[client.ActedOn], error) {
	p, err := a.Accounts.BulkRows(r.Context(), r.Actor(), in.Account, in.Job, in.Failed, in.After, in.Limit)
	return pageOf(p.Rows, p.Next, actedOn), err
}

func (a *api) stopUserJob(r *web.Request, in client.UserJobPath) (client.None, error) {
	return client.None{}, a.Accounts.StopBulk(r.Context(), r.Actor(), in.Account, in.Job)
}
