package people

import (
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

// enrolPage is R7. Without an address that this session proved it explains how to prove one.
type enrolPage struct {
	web.Base
	Proven    string
	Next      string
	Languages []web.Option
	Rule      string
}

func (p *People) enrolPage(r *web.Request) (page *enrolPage, err error) {
	page = &enrolPage{Base: r.Base(r.T("enrol.h1")), Next: r.Next("/"), Languages: r.Languages(r.Printer.Lang)}
	if r.Session != nil {
		page.Proven = r.Session.Address
	}
	if page.Proven == "" {
		page.Title = r.T("me.enrolno")
	}
	page.Rule, err = p.rule(r, 0)
	return page, err
}

func (p *People) enrol(r *web.Request) error {
	if r.Session.SignedIn() {
		return r.Redirect(r.Next("/"))
	}
	if site, err := p.accounts.SiteSettings(r.Context()); err != nil {
		return err
	} else if !site.Enrol {
		return fault.New(fault.Denied, "off.enrol")
	}
	page, err := p.enrolPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "enrol", page)
}

func (p *People) enrolled(r *web.Request) error {
	page, err := p.enrolPage(r)
	if err != nil {
		return err
	}
	if page.Proven == "" {
		return r.Render(p.pages, "enrol", page)
	}
	err = r.Required(names...)
	var s *account.Session
	if err == nil {
		s, err = p.accounts.Enrol(r.Context(), r.Session, enrolment(r))
	}
	if err != nil {
		return r.Again(p.pages, "enrol", page, err)
	}
	r.Flash("ok", "enrol.done")
	return arrive(r, s, page.Next)
}

// names are the fields that a person who makes an account may not leave empty.
var names = []string{"first_name", "seed.first_name", "last_name", "seed.last_name"}

// enrolment is what a new person typed of themselves. Their address is not in it.
func enrolment(r *web.Request) account.Enrolment {
	return account.Enrolment{
		FirstName: r.PostFormValue("first_name"), LastName: r.PostFormValue("last_name"),
		Password: r.PostFormValue("password"), Confirm: r.PostFormValue("confirm"), Language: r.PostFormValue("language"),
	}
}
