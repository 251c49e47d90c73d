package people

import (
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/web"
)

// linkPage is where the link leads that an administrator had mailed to a person:
// looking changes nothing, as programs open links too.
type linkPage struct {
	web.Base
	Who  string // "" = the link is dead
	Rule string
}

func (p *People) linkPage(r *web.Request) (id.Token, *linkPage, error) {
	token, err := id.ParseToken(r.PathValue("token"))
	if err != nil {
		return token, nil, fault.New(fault.NotFound, "e404.p")
	}
	page := &linkPage{Base: r.Base(r.T("rec.h1"))}
	u, err := p.accounts.PasswordLink(r.Context(), token)
	if fault.HasKey(err, "link.gone") {
		return token, page, nil
	}
	if err != nil {
		return token, nil, err
	}
	page.Who = u.DisplayAddress
	page.Rule, err = p.rule(r, u.AccountID)
	return token, page, err
}

func (p *People) link(r *web.Request) error {
	_, page, err := p.linkPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "link", page)
}

func (p *People) useLink(r *web.Request) error {
	token, page, err := p.linkPage(r)
	if err != nil {
		return err
	}
	if page.Who == "" {
		return r.Again(p.pages, "link", page, fault.New(fault.Gone, "link.gone"))
	}
	s, err := p.accounts.UsePasswordLink(r.Context(), r.Session, token, r.PostFormValue("password"), r.PostFormValue("confirm"))
	if err != nil {
		if fault.HasKey(err, "link.gone") {
			page.Who = ""
		}
		return r.Again(p.pages, "link", page, err)
	}
	r.Flash("ok", "rec.done")
	return arrive(r, s, "/")
}
