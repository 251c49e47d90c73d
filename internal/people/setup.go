package people

import (
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

const setUpSecond = "/second/setup"

// setupPage leads who needs a second factor, and has none, to set one up. Until
// then it is all that they see; with some time left they may go on without.
type setupPage struct {
	web.Base
	Next     string
	Must     bool
	Due      time.Time // of who may go on
	Passkeys bool      // this service takes passkeys
	Device   string    // a first name for a new one
	App      *authenticatorPage
}

// setupPage is nil, without an error, for who has nothing to set up here.
func (p *People) setupPage(r *web.Request) (*setupPage, error) {
	s := r.Session
	if s == nil || s.UserID == "" || s.Scope != store.ScopeSetSecond && !s.SecondDue() {
		return nil, nil
	}
	page := &setupPage{
		Base: r.Base(r.T("second.setup.h1")), Next: r.Next("/"), Must: s.Scope == store.ScopeSetSecond, Due: s.User.SecondDue,
		Passkeys: p.accounts.Passkeys(), Device: deviceName(r.Printer, r.UserAgent()),
	}
	app, err := p.authenticatorPage(r)
	if err == nil {
		page.App = app
	} else if !fault.HasKey(err, "totp.none") {
		return nil, err
	}
	return page, nil
}

func (p *People) setup(r *web.Request) error {
	page, err := p.setupPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return elsewhere(r)
	}
	return r.Render(p.pages, "setup", page)
}

func (p *People) setUp(r *web.Request) error {
	page, err := p.setupPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return elsewhere(r)
	}
	here := setUpSecond + "?next=" + page.Next
	switch r.PostFormValue("do") {
	case "authenticator":
		err = p.accounts.SetUpAuthenticator(r.Context(), r.Session)
		if err == nil {
			return r.Redirect(here)
		}
	case "passkey":
		s, codes, err := p.accounts.AddPasskey(r.Context(), r.Session, r.PostFormValue("name"), []byte(r.PostFormValue("answer")))
		if err == nil {
			return p.factorAdded(r, s, codes, "passkey.added")
		}
		return p.setupAgain(r, page, err)
	default:
		s, codes, err := p.accounts.ConfirmAuthenticator(r.Context(), r.Session, r.PostFormValue("code"))
		if err == nil {
			return p.factorAdded(r, s, codes, "totp.added")
		}
		return p.setupAgain(r, page, err)
	}
	return p.setupAgain(r, page, err)
}

func (p *People) setupAgain(r *web.Request, page *setupPage, err error) error {
	if asksAgain(err) || !web.Mendable(err) {
		return again(r, err, setUpSecond)
	}
	return r.Again(p.pages, "setup", page, err)
}
