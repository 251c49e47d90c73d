package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) listDomains(r *web.Request, in client.Account) (out client.Page[client.Domain], err error) {
	claims, err := a.Accounts.Claims(r.Context(), r.Actor(), in.Account)
	if err != nil {
		return out, err
	}
	domains, err := a.Accounts.Domains(r.Context(), r.Actor(), in.Account)
	if err != nil {
		return out, err
	}
	out.Items = []client.Domain{}
	for _, c := range claims {
		out.Items = append(out.Items, client.Domain{Domain: c.Name, State: "waiting", CreatedAt: client.Time{Time: c.CreatedAt}, CheckedAt: client.Time{Time: c.CheckedAt}})
	}
	for _, d := range domains {
		out.Items = append(out.Items, domainOf(account.DomainView{Domain: d}))
	}
	return out, nil
}

// domainOf is a domain as it is told, with records if they are known.
func domainOf(d account.DomainView) client.Domain {
	out := client.Domain{Domain: d.Name, State: "verified", CreatedAt: client.Time{Time: d.CreatedAt}, CheckedAt: client.Time{Time: d.CheckedAt}, Senders: d.SendersGroup, ETag: quoted(d.Revision())}
	add := func(what string, r account.DNSRecord, c store.DNSCheck) {
		if r.Name != "" {
			out.Records = append(out.Records, client.DNSRecord{For: what, Name: r.Name, Value: r.Value, State: c.State, Found: c.Found})
		}
	}
	add("proof", d.Expects.Proof, d.Checks.Proof)
	if d.Claimed {
		out.State = "waiting"
		return out
	}
	add("spf", d.Expects.SPF, d.Checks.SPF)
	for _, r := range d.Expects.DKIM {
		add("dkim", r, d.KeyCheck(r))
	}
	add("dmarc", d.Expects.DMARC, d.Checks.DMARC)
	for _, k := range d.Keys {
		out.Keys = append(out.Keys, client.DKIMKey{Selector: k.Selector, State: k.State, Since: client.Time{Time: k.ChangedAt}})
	}
	return out
}

func (a *api) claimDomain(r *web.Request, in client.DomainIn) (client.Domain, error) {
	d, err := a.Accounts.ClaimDomain(r.Context(), r.Actor(), in.Account, in.Domain)
	return domainOf(d), err
}

func (a *api) getDomain(r *web.Request, in client.DomainPath) (client.Domain, error) {
	d, err := a.Accounts.Domain(r.Context(), r.Actor(), in.Account, in.Domain)
	return domainOf(d), err
}

func (a *api) checkDomain(r *web.Request, in client.DomainPath) (client.Domain, error) {
	d, err := a.Accounts.CheckDomain(r.Context(), r.Actor(), in.Account, in.Domain)
	return domainOf(d), err
}

func (a *api) changeDomain(r *web.Request, in client.DomainChange) (client.Domain, error) {
	if err := a.Accounts.SetDomainSenders(r.Context(), matching(r, in.IfMatch), in.Account, in.Domain, in.Senders); err != nil {
		return client.Domain{}, err
	}
	return a.getDomain(r, client.DomainPath{Account: in.Account, Domain: in.Domain})
}

func (a *api) removeDomain(r *web.Request, in client.DomainAct) (client.None, error) {
	return client.None{}, a.Accounts.RemoveDomain(r.Context(), matching(r, in.IfMatch), in.Account, in.Domain)
}

func (a *api) makeKey(r *web.Request, in client.DomainAct) (client.Domain, error) {
	d, err := a.Accounts.MakeDKIMKey(r.Context(), matching(r, in.IfMatch), in.Account, in.Domain)
	return domainOf(d), err
}

func (a *api) removeKey(r *web.Request, in client.DKIMKeyPath) (client.None, error) {
	return client.None{}, a.Accounts.RemoveDKIMKey(r.Context(), matching(r, in.IfMatch), in.Account, in.Domain, in.Selector)
}
