package people

import "github.com/pli-mail/pli/internal/web"

// rule says how long a password of somebody of an account (0: of none) is at
// least. Who has not proved anything is told what holds for people of none.
func (p *People) rule(r *web.Request, number int64) (string, error) {
	n, err := p.accounts.PasswordLength(r.Context(), number)
	return r.T("enrol.pwhint", "n", n), err
}

// recoverPage is R9: it asks for an address, and then for the code and the new password.
type recoverPage struct {
	web.Base
	Sent string // the address as it was typed; "" before a code was asked for
	Rule string
}

func (p *People) recover(r *web.Request) error {
	return r.Render(p.pages, "recover", &recoverPage{Base: r.Base(r.T("rec.h1"))})
}

func (p *People) recoverCode(r *web.Request) error {
	rule, err := p.rule(r, 0)
	if err != nil {
		return err
	}
	page := &recoverPage{Base: r.Base(r.T("rec.h1")), Rule: rule}
	if r.PostFormValue("do") != "enter" {
		address, err := addressOf(r)
		if err == nil {
			err = r.Visit()
		}
		if err == nil {
			err = p.accounts.SendRecoverCode(r.Context(), r.Session, address, r.Client())
		}
		if err != nil {
			return r.Again(p.pages, "recover", page, err)
		}
		page.Sent = address
		return r.Render(p.pages, "recover", page)
	}
	page.Sent = r.PostFormValue("email")
	s, err := p.accounts.Recover(r.Context(), r.Session, r.PostFormValue("code"), r.PostFormValue("password"), r.PostFormValue("confirm"))
	if err != nil {
		return r.Again(p.pages, "recover", page, err)
	}
	r.Flash("ok", "rec.done")
	return arrive(r, s, "/")
}

// passwordPage is the only page that a temporary password opens. Others change
// their password here too, saying the current one.
type passwordPage struct {
	web.Base
	Must bool
	Aged bool // it is not temporary, but too old
	Next string
	Rule string
}

func (p *People) passwordPage(r *web.Request) (*passwordPage, error) {
	u := r.User()
	rule, err := p.rule(r, u.AccountID)
	must := mustSetPassword(r)
	return &passwordPage{r.Base(r.T("rec.h1")), must, must && !u.Temporary, r.Next("/"), rule}, err
}

func (p *People) password(r *web.Request) error {
	if to := unfinished(r); to != "" && to != "/password" {
		return r.Redirect(to)
	}
	page, err := p.passwordPage(r)
	if err != nil {
		return err
	}
	return r.Render(p.pages, "password", page)
}

func (p *People) setPassword(r *web.Request) error {
	if to := unfinished(r); to != "" && to != "/password" {
		return r.Redirect(to)
	}
	page, err := p.passwordPage(r)
	if err != nil {
		return err
	}
	if !page.Must {
		return p.changePassword(r, "password", page, page.Next)
	}
	s, err := p.accounts.SetPassword(r.Context(), r.Session, r.PostFormValue("password"), r.PostFormValue("confirm"))
	if err != nil {
		return r.Again(p.pages, "password", page, err)
	}
	return arrive(r, s, page.Next)
}

func (p *People) changePassword(r *web.Request, name string, page web.Page, next string) error {
	s, err := p.accounts.ChangePassword(r.Context(), r.Session, r.PostFormValue("current"), r.PostFormValue("password"), r.PostFormValue("confirm"))
	if err != nil {
		return r.Again(p.pages, name, page, err)
	}
	r.Flash("ok", "me.pwchanged")
	return arrive(r, s, next)
}
