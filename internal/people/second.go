package people

import (
	"net/url"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// secondPage asks for a second factor: of who is signing in, or of whom a page
// wants to know again that it is they. Who has none types their password again.
type secondPage struct {
	web.Base
	Next          string
	SigningIn     bool
	Mine          bool // they have given a password or a code, and may say that the factor is lost
	Authenticator bool
	Passkeys      bool
	Recovery      bool // asked for a recovery code, instead of the app's
	Codes         bool // there are recovery codes
	Password      bool // there is no second factor: the password is asked for
}

// secondPage is nil, without an error, for somebody of whom nothing is known.
func (p *People) secondPage(r *web.Request) (*secondPage, error) {
	s := r.Session
	if s == nil || s.UserID == "" && s.Address == "" {
		return nil, nil
	}
	f, err := p.accounts.Factors(r.Context(), s)
	if err != nil {
		return nil, err
	}
	page := &secondPage{
		Base: r.Base(r.T("second.h1")), Next: r.Next("/"), SigningIn: s.Scope == store.ScopeSecond, Mine: s.UserID != "",
		Authenticator: f.Authenticator != nil, Passkeys: len(f.Passkeys) > 0 && p.accounts.Passkeys(),
		Codes: f.RecoveryLeft > 0, Password: !f.Any() && s.SignedIn(),
	}
	page.Recovery = page.Codes && (r.FormValue("use") == "recovery" || !page.Authenticator && !page.Passkeys)
	return page, nil
}

func (p *People) second(r *web.Request) error {
	page, err := p.secondPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return r.Redirect("/signin?next=" + url.QueryEscape(r.Next("/")))
	}
	if mustSetPassword(r) {
		return r.Redirect("/password")
	}
	return r.Render(p.pages, "second", page)
}

func (p *People) proveSecond(r *web.Request) error {
	page, err := p.secondPage(r)
	if err != nil {
		return err
	}
	if page == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	if mustSetPassword(r) {
		return r.Redirect("/password")
	}
	var s *account.Session
	switch r.PostFormValue("do") {
	case "passkey":
		s, err = p.accounts.ProveWithPasskey(r.Context(), r.Session, []byte(r.PostFormValue("answer")))
	case "password":
		s, err = p.accounts.Confirm(r.Context(), r.Session, r.PostFormValue("current"))
	default:
		s, err = p.accounts.ProveSecond(r.Context(), r.Session, r.PostFormValue("code"))
	}
	if err != nil {
		return r.Again(p.pages, "second", page, err)
	}
	if page.SigningIn {
		return arrive(r, s, page.Next)
	}
	r.SetSession(s)
	return r.Redirect(page.Next)
}

// challenge gives the page's script what to ask an authenticator.
func (p *People) challenge(r *web.Request) error {
	var in struct {
		Add bool `json:"add"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	options, err := p.accounts.PasskeyChallenge(r.Context(), r.Session, in.Add)
	if err != nil {
		return err
	}
	return r.JSON(options)
}

// enterWithPasskey signs in; the form is the sign-in page's.
func (p *People) enterWithPasskey(r *web.Request) error {
	page := p.newSignInPage(r)
	s, err := p.accounts.SignInWithPasskey(r.Context(), r.Session, []byte(r.PostFormValue("answer")))
	if err != nil {
		return r.Again(p.pages, "signin", page, err)
	}
	return arrive(r, s, page.Next)
}
