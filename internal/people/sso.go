package people

import (
	"net/url"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/web"
)

// provider is the one in the path.
func (p *People) provider(r *web.Request) (*sso.Provider, error) {
	for _, x := range p.providers {
		if x.Name == r.PathValue("provider") {
			return x, nil
		}
	}
	return nil, fault.New(fault.NotFound, "e404.p")
}

// detourPage leads to a provider. It is a page and not a redirect: a form may
// lead to this site only (form-action).
type detourPage struct {
	web.Base
	Label, To string // To is where people sign in
	URL       string
}

// leave begins a sign-in at a provider.
func (p *People) leave(r *web.Request) error {
	to, err := p.provider(r)
	if err != nil {
		return err
	}
	next := r.Next("/")
	at, err := p.accounts.BeginSSO(r.Context(), r.Session, to, next)
	if fault.HasKey(err, "sso.unreachable") {
		return p.stayed(r, to, next, err)
	} else if err != nil {
		return err
	}
	r.Self = "/signin?next=" + url.QueryEscape(next)
	return r.Render(p.pages, "detour", &detourPage{r.Base(r.T("sso.go", "label", to.Label)), to.Label, to.Host(), at})
}

// returnPage sends what a provider answered to this site's own session: coming
// from there, a browser keeps its Strict cookie back.
type returnPage struct {
	web.Base
	To                         string
	State, Code, Issuer, Error string
}

// returned is where a provider sends people back to. Nothing happens here: a
// GET changes nothing.
func (p *People) returned(r *web.Request) error {
	from, err := p.provider(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	r.Self = "/signin" // the language link must not carry the code
	return r.Render(p.pages, "return", &returnPage{r.Base(r.T("sso.back")), "/signin/from/" + from.Name,
		q.Get("state"), q.Get("code"), q.Get("iss"), q.Get("error")})
}

// arriveFrom ends a sign-in at a provider.
func (p *People) arriveFrom(r *web.Request) error {
	from, err := p.provider(r)
	if err != nil {
		return err
	}
	state, err := id.ParseToken(r.PostFormValue("state"))
	if err != nil || r.Session == nil {
		return p.stayed(r, from, "", fault.New(fault.Denied, "sso.stale"))
	}
	s, next, err := p.accounts.FinishSSO(r.Context(), r.Session, from, account.Return{State: state,
		Code: r.PostFormValue("code"), Issuer: r.PostFormValue("iss"), Error: r.PostFormValue("error")})
	switch f := fault.Of(err); {
	case err == nil && s.User == nil: // a visitor now: their address is proved
		r.SetSession(s)
		r.Flash("ok", "sso.proved", "address", s.Address, "label", from.Label)
		return r.Redirect(next)
	case err == nil && s.UserID == r.Session.UserID && s.Scope == r.Session.Scope: // they were signed in, and have proved one more
		r.SetSession(s)
		return r.Redirect(next)
	case err == nil:
		return arrive(r, s, next)
	case f.Kind == fault.Denied, f.Key == "sso.unreachable":
		return p.stayed(r, from, next, err)
	}
	return err
}

// stayed says on the page that somebody came from why their provider did not help.
func (p *People) stayed(r *web.Request, from *sso.Provider, next string, err error) error {
	if next == "" || next == "/" {
		next = "/signin"
	}
	r.Flash("bad", fault.Of(err).Key, "label", from.Label)
	return r.Redirect(next)
}
