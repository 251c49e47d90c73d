package people

import (
	"net/url"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// lostPage is for who has lost their second factor, and their recovery codes: it
// takes a code from their mailbox, and then says how far their wish is.
type lostPage struct {
	web.Base
	Next string
	To   string
	Sent bool
	Lift *account.Lift // nil: they have not asked
}

// lostPage is nil, without an error, for who has passed nothing yet.
func (p *People) lostPage(r *web.Request) (*lostPage, error) {
	s := r.Session
	if s == nil || s.User == nil || s.Scope != store.ScopeSecond && s.Scope != store.ScopeFull {
		return nil, nil
	}
	page := &lostPage{Base: r.Base(r.T("lift.h1")), Next: r.Next("/"), To: s.User.DisplayAddress}
	var err error
	page.Lift, err = p.accounts.OwnLift(r.Context(), s)
	return page, err
}

func (p *People) lost(r *web.Request) error {
	page, err := p.lostPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return elsewhere(r)
	}
	return r.Render(p.pages, "lost", page)
}

func (p *People) askLift(r *web.Request) error {
	page, err := p.lostPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return elsewhere(r)
	}
	if r.PostFormValue("do") != "ask" {
		if err := p.accounts.SendLiftCode(r.Context(), r.Session); err != nil {
			return r.Again(p.pages, "lost", page, err)
		}
		page.Sent = true
		return r.Render(p.pages, "lost", page)
	}
	page.Sent = true
	if err := p.accounts.AskLift(r.Context(), r.Session, r.PostFormValue("code")); err != nil {
		return r.Again(p.pages, "lost", page, err)
	}
	return r.Redirect("/second/lost?next=" + url.QueryEscape(page.Next))
}

// stopPage is where the mailed link leads that stops such a wish: the page asks,
// as programs open links too.
type stopPage struct {
	web.Base
	To   string
	Lift *account.Lift // nil: there is none any more
}

func (p *People) stopPage(r *web.Request) (id.Token, *stopPage, error) {
	token, err := id.ParseToken(r.PathValue("token"))
	if err != nil {
		return token, nil, fault.New(fault.NotFound, "e404.p")
	}
	page := &stopPage{Base: r.Base(r.T("lift.stop.h1"))}
	page.Lift, err = p.accounts.LiftOfToken(r.Context(), token)
	if fault.HasKey(err, "lift.gone") {
		return token, page, nil
	}
	if err == nil {
		page.To = page.Lift.User.DisplayAddress
	}
	return token, page, err
}

func (p *People) askStop(r *web.Request) error {
	_, page, err := p.stopPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "stop", page)
}

func (p *People) stop(r *web.Request) error {
	token, _, err := p.stopPage(r)
	if err != nil {
		return err
	}
	if err := p.accounts.StopLift(r.Context(), token, r.Client()); err != nil && !fault.HasKey(err, "lift.gone") {
		return err
	} else if err == nil {
		r.Flash("ok", "lift.stopped")
	}
	return r.Redirect(r.URL.Path)
}
