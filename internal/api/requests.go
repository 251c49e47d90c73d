package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerRequests() {
	handle(a, client.ListAccessRequests, a.listRequests)
	handle(a, client.GrantAccess, func(r *web.Request, in client.GrantIn) (client.Decided, error) {
		d, err := a.Accounts.DecideRequest(r.Context(), r.Actor(), in.Request, true, in.Group, in.Word)
		return decided(d), err
	})
	handle(a, client.RefuseAccess, func(r *web.Request, in client.RefuseIn) (client.Decided, error) {
		d, err := a.Accounts.DecideRequest(r.Context(), r.Actor(), in.Request, false, "", in.Word)
		return decided(d), err
	})
	handle(a, client.ListUpstreams, a.listUpstreams)
}

func decided(d account.Decision) client.Decided {
	return client.Decided{User: d.User.ID, Email: d.DisplayAddress, Name: d.Name(), Right: d.Right, Group: d.Group.ID, GroupName: d.Group.Name}
}

func (a *api) listRequests(r *web.Request, in client.AccountPage) (client.Page[client.AccessRequest], error) {
	p, err := a.Accounts.Requests(r.Context(), r.Actor(), in.Account, in.After, in.Limit)
	return pageOf(p.Requests, p.Next, func(q account.Request) client.AccessRequest {
		return client.AccessRequest{ID: q.ID, User: q.User.ID, Email: q.User.DisplayAddress, Name: q.User.Name(), Right: q.Right, Reason: q.Reason, CreatedAt: client.Time{Time: q.CreatedAt},
			Groups: each(q.Groups, func(g account.Giving) client.UserGroup { return client.UserGroup{ID: g.ID, Name: g.Name} })}
	}), err
}

func (a *api) listUpstreams(r *web.Request, in client.Account) (client.Page[client.Upstream], error) {
	list, err := a.Accounts.Upstreams(r.Context(), r.Actor(), in.Account)
	return pageOf(list, "", func(u account.Upstream) client.Upstream {
		return client.Upstream{Name: u.Name, Kind: u.Kind, Value: u.Value, Forwards: u.Forwards, CreatedAt: client.Time{Time: u.CreatedAt}}
	}), err
}
