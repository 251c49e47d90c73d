package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerAccounts() {
	handle(a, client.GetProfile, a.getProfile)
	handle(a, client.SetProfile, a.setProfile)
}

func (a *api) getProfile(r *web.Request, in client.Account) (client.Profile, error) {
	v, c, err := a.Accounts.AccountProfile(r.Context(), r.Actor(), in.Account)
	return client.Profile{Name: v.Name, Language: v.Language, TimeZone: v.TimeZone, Technical: c["technical"], Security: c["security"], Privacy: c["privacy"]}, err
}

func (a *api) setProfile(r *web.Request, in client.ProfileIn) (client.Profile, error) {
	_, err := a.Accounts.EditAccount(r.Context(), r.Actor(), in.Account, account.Profile{Name: in.Name, Language: in.Language, TimeZone: in.TimeZone,
		Contacts: account.Contacts{"technical": in.Technical, "security": in.Security, "privacy": in.Privacy}})
	if err != nil {
		return client.Profile{}, err
	}
	return a.getProfile(r, client.Account{Account: in.Account})
}
