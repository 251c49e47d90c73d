package people

import (
	"cmp"
	"net/http"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/web"
)

// invitationPage is A10. Looking at it changes nothing: mail scanners do.
type invitationPage struct {
	web.Base
	Admin, Organisation string
	Number              int64
	Groups              []string // that they will be in
	Administrators      bool     // the account's administrators among them
	Invited             string   // address
	First, Last         string   // names, as far as they are known
	Until               time.Time
	Known               bool // they have an account already
	Ended, Declined     bool
	Why                 string // it has ended, in words
	Languages           []web.Option
	Rule                string
}

// invitationOf reads the invitation in the address. One that has ended, or whose link
// a newer one has taken the place of, comes with the fault that says so, and a page
// that tells what to do.
func (p *People) invitationOf(r *web.Request) (id.Token, *invitationPage, error) {
	token, err := id.ParseToken(r.PathValue("token"))
	if err != nil {
		return token, nil, fault.New(fault.NotFound, "e404.p")
	}
	v, err := p.accounts.Invitation(r.Context(), token)
	if f := fault.Of(err); err != nil && (f.Kind == fault.Gone || f.Kind == fault.NotFound) {
		page := &invitationPage{Base: r.Base(r.T("me.invold")), Ended: true, Why: r.T("inv.unknown")}
		if f.Kind == fault.Gone {
			page.Why = r.Printer.Say(f.Key, f.Args)
		}
		return token, page, err
	}
	if err != nil {
		return token, nil, err
	}
	page := &invitationPage{
		Base:  r.Base(r.T("inv.h1", "admin", v.Admin, "org", v.Organisation)),
		Admin: v.Admin, Organisation: v.Organisation, Number: v.Number,
		Invited: v.Address, First: v.FirstName, Last: v.LastName, Until: v.Until, Known: v.Exists, Languages: r.Languages(cmp.Or(v.Language, r.Printer.Lang)),
	}
	for _, g := range v.Groups {
		page.Groups = append(page.Groups, account.GroupName(r.Printer, g))
		page.Administrators = page.Administrators || g.Builtin
	}
	page.Rule, err = p.rule(r, v.Number)
	return token, page, err
}

func (p *People) invitation(r *web.Request) error {
	_, page, err := p.invitationOf(r)
	if page != nil && page.Ended {
		return r.RenderStatus(http.StatusGone, p.pages, "invite", page)
	}
	if err != nil {
		return err
	}
	return r.Render(p.pages, "invite", page)
}

func (p *People) answerInvitation(r *web.Request) error {
	token, page, err := p.invitationOf(r)
	if page != nil && page.Ended {
		return r.RenderStatus(http.StatusGone, p.pages, "invite", page)
	}
	if err != nil {
		return err
	}
	if r.PostFormValue("do") == "decline" {
		if err := p.accounts.DeclineInvitation(r.Context(), r.Session, token); err != nil {
			return err
		}
		page.Declined = true
		return r.Render(p.pages, "invite", page)
	}
	if r.PostFormValue("do") != "accept" {
		return r.Render(p.pages, "invite", page)
	}
	e := account.Enrolment{}
	if !page.Known {
		e, err = enrolment(r), r.Required(names...)
	}
	var s *account.Session
	if err == nil {
		s, err = p.accounts.AcceptInvitation(r.Context(), r.Session, token, e)
	}
	if err != nil {
		return r.Again(p.pages, "invite", page, err)
	}
	r.Flash("ok", "me.invdone", "org", page.Organisation)
	if s.User == nil {
		return r.Redirect("/signin") // the link proves the mailbox, and signs nobody in who has a password
	}
	return arrive(r, s, "/")
}
