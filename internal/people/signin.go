package people

import (
	"net/url"
	"strings"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/web"
)

// signInPage is R8 and A1.
type signInPage struct {
	web.Base
	Admin     bool
	Next      string
	Passkeys  bool
	Providers []*sso.Provider
}

func (p *People) newSignInPage(r *web.Request) *signInPage {
	if strings.HasPrefix(r.URL.Path, "/admin/") {
		return &signInPage{r.Base(r.T("as.h1")), true, r.Next("/admin/accounts"), p.accounts.Passkeys(), p.providers}
	}
	return &signInPage{r.Base(r.T("si.h1")), false, r.Next("/"), p.accounts.Passkeys(), p.providers}
}

func (p *People) signIn(r *web.Request) error {
	page := p.newSignInPage(r)
	switch to := unfinished(r); {
	case to != "" && to != "/password":
		return r.Redirect(to + "?next=" + url.QueryEscape(page.Next))
	case to != "":
		return r.Redirect(to)
	case r.Session.SignedIn():
		return r.Redirect(page.Next)
	}
	return r.Render(p.pages, "signin", page)
}

func (p *People) enter(r *web.Request) error {
	s, err := p.accounts.SignIn(r.Context(), r.Session, r.PostFormValue("email"), r.PostFormValue("password"), r.Client(), r.UserAgent())
	page := p.newSignInPage(r)
	if err != nil {
		return r.Again(p.pages, "signin", page, mendable(err))
	}
	return arrive(r, s, page.Next)
}

// codePage asks for an address, and then for the code that was mailed to it.
type codePage struct {
	web.Base
	Next string
	Sent string // the address as it was typed; "" before a code was asked for
}

func newCodePage(r *web.Request) *codePage {
	return &codePage{Base: r.Base(r.T("me.codetitle")), Next: r.Next("/")}
}

func (p *People) code(r *web.Request) error {
	return r.Render(p.pages, "code", newCodePage(r))
}

// enterCode sends a code, or takes one. That a code was sent is said to
// everybody, whether or not there is such a person (AT-52).
func (p *People) enterCode(r *web.Request) error {
	page := newCodePage(r)
	if r.PostFormValue("do") != "enter" {
		address, err := addressOf(r)
		if err == nil {
			err = r.Visit()
		}
		if err == nil {
			err = p.accounts.SendSignInCode(r.Context(), r.Session, address, r.Client())
		}
		if err != nil {
			return r.Again(p.pages, "code", page, err)
		}
		page.Sent = address
		return r.Render(p.pages, "code", page)
	}
	page.Sent = r.PostFormValue("email")
	s, err := p.accounts.SignInWithCode(r.Context(), r.Session, r.PostFormValue("code"), r.Client(), r.UserAgent())
	if err != nil {
		return r.Again(p.pages, "code", page, err)
	}
	return arrive(r, s, page.Next)
}

// addressOf is the address in the form, if it is one: that says nothing about
// whether anybody has it.
func addressOf(r *web.Request) (string, error) {
	address := strings.TrimSpace(r.PostFormValue("email"))
	if _, err := mailaddr.Parse(address); err != nil {
		return "", fault.New(fault.Invalid, "err.email").In("email", "err.email", nil).Because(err)
	}
	return address, nil
}

func (p *People) signOut(r *web.Request) error {
	if r.Session != nil {
		if err := p.accounts.SignOut(r.Context(), r.Session); err != nil {
			return err
		}
	}
	r.EndSession()
	r.Flash("ok", "me.signedout")
	return r.Redirect("/signin")
}
