// Package people is the pages on which a person proves who they are, makes an
// account of their own, and looks after it.
package people

import (
	"embed"
	"net/url"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

//go:embed pages/*.html shared/*.html
var files embed.FS

// People answers the addresses of signing in, enrolment and the profile.
type People struct {
	pages     *web.Pages
	accounts  *account.Service
	keys      *keyserver.Service
	providers []*sso.Provider
}

// New registers the pages on kit. People may also sign in at the providers.
func New(kit *web.Kit, accounts *account.Service, keys *keyserver.Service, providers ...*sso.Provider) error {
	pages, err := kit.Parse(files)
	if err != nil {
		return err
	}
	p := &People{pages, accounts, keys, providers}

	kit.Handle("GET /signin", p.signIn, web.Public, web.AnyScope())
	kit.Handle("POST /signin", p.enter, web.Visitor, web.AnyScope())
	kit.Handle("GET /admin/signin", p.signIn, web.Public, web.AnyScope())
	kit.Handle("POST /admin/signin", p.enter, web.Visitor, web.AnyScope())
	kit.Handle("POST /signin/passkey", p.enterWithPasskey, web.Public, web.AnyScope())
	kit.HandleJSON("POST /passkey/challenge", p.challenge, web.Visitor, web.AnyScope())
	kit.Handle("POST /signin/with/{provider}", p.leave, web.Visitor)
	kit.Handle("GET /signin/from/{provider}", p.returned, web.Public)
	kit.Handle("POST /signin/from/{provider}", p.arriveFrom, web.Public)
	kit.Handle("GET /signin/code", p.code, web.Public, web.AnyScope())
	kit.Handle("POST /signin/code", p.enterCode, web.Public, web.AnyScope())
	kit.Handle("GET /second", p.second, web.Public, web.AnyScope())
	kit.Handle("POST /second", p.proveSecond, web.Public, web.AnyScope())
	kit.Handle("GET /second/lost", p.lost, web.Public, web.AnyScope())
	kit.Handle("POST /second/lost", p.askLift, web.Public, web.AnyScope())
	kit.Handle("GET /lost/{token}", p.askStop, web.Public, web.AnyScope())
	kit.Handle("POST /lost/{token}", p.stop, web.Public, web.AnyScope())
	kit.Handle("GET /second/setup", p.setup, web.Public, web.AnyScope())
	kit.Handle("POST /second/setup", p.setUp, web.Public, web.AnyScope())
	kit.Handle("GET /reset/{token}", p.link, web.Public, web.AnyScope())
	kit.Handle("POST /reset/{token}", p.useLink, web.Visitor, web.AnyScope())
	kit.Handle("GET /mailbox", p.mailbox, web.Public, web.AnyScope())
	kit.Handle("POST /mailbox", p.proveMailbox, web.Public, web.AnyScope())
	kit.Handle("POST /signout", p.signOut, web.Public, web.AnyScope())
	kit.Handle("GET /recover", p.recover, web.Public, web.AnyScope())
	kit.Handle("POST /recover", p.recoverCode, web.Public, web.AnyScope())
	kit.Handle("GET /password", p.password, web.SignedIn, web.AnyScope())
	kit.Handle("POST /password", p.setPassword, web.SignedIn, web.AnyScope())

	kit.Handle("GET /enrol", p.enrol, web.Public)
	kit.Handle("POST /enrol", p.enrolled, web.Public)
	kit.Handle("GET /welcome", p.welcome, web.SignedIn, web.AnyScope())
	kit.Handle("POST /welcome", p.welcomed, web.SignedIn, web.AnyScope())
	kit.Handle("GET /profile", p.profile, web.SignedIn)
	kit.Handle("POST /profile", p.saveProfile, web.SignedIn)
	kit.Handle("GET "+furtherAddresses, p.addresses, web.SignedIn)
	kit.Handle("POST "+furtherAddresses, p.changeAddresses, web.SignedIn)
	kit.Handle("GET "+security, p.security, web.SignedIn)
	kit.Handle("POST "+security, p.changeSecurity, web.SignedIn)
	kit.Handle("POST "+security+"/passkeys", p.addPasskey, web.SignedIn)
	kit.Handle("GET "+security+"/passkeys/{id}", p.passkey, web.SignedIn)
	kit.Handle("POST "+security+"/passkeys/{id}", p.changePasskey, web.SignedIn)
	kit.Handle("GET "+security+"/authenticator", p.authenticator, web.SignedIn)
	kit.Handle("POST "+security+"/authenticator", p.confirmAuthenticator, web.SignedIn)

	kit.Handle("GET "+data, p.data, web.SignedIn)
	kit.Handle("POST "+data, p.changeData, web.SignedIn)

	kit.Handle("GET /invite/{token}", p.invitation, web.Public)
	kit.Handle("POST /invite/{token}", p.answerInvitation, web.Visitor)
	return nil
}

// arrive makes s the visitor's session and leads to where they wanted to go,
// over the pages that ask for the second factor and for a mailed code, the one that sets a password
// and the new-account page if they are due.
func arrive(r *web.Request, s *account.Session, next string) error {
	r.SetSession(s)
	if s.User.Theme != "" {
		r.SetTheme(s.User.Theme)
	}
	switch {
	case s.Scope == store.ScopeSecond:
		return r.Redirect("/second?next=" + url.QueryEscape(next))
	case s.Scope == store.ScopeMailbox:
		return r.Redirect("/mailbox?next=" + url.QueryEscape(next))
	case s.Scope == store.ScopeSetPassword:
		return r.Redirect("/password?next=" + url.QueryEscape(next))
	case s.Scope == store.ScopeSetSecond || s.SecondDue():
		return r.Redirect("/second/setup?next=" + url.QueryEscape(next))
	case s.User.WelcomedAt.IsZero():
		return r.Redirect("/welcome?next=" + url.QueryEscape(next))
	}
	return r.Redirect(home(s.User, next))
}

// home is where to go on: a sender who asked for nothing else sees what became
// of their envelopes.
func home(u *store.User, next string) string {
	if next == "/" && u.AccountID != 0 {
		return "/sent"
	}
	return next
}

// mendable turns a refusal to sign in into something wrong with the form, so
// that the form comes back with the address that was typed.
func mendable(err error) error {
	f := fault.Of(err)
	if f.Kind != fault.Unauthenticated {
		return err
	}
	again := *f
	again.Kind = fault.Invalid
	return &again
}

// mustSetPassword reports whether the visitor has a temporary password to replace first.
func mustSetPassword(r *web.Request) bool {
	return r.Session != nil && r.Session.UserID != "" && r.Session.Scope == store.ScopeSetPassword
}

// unfinished is the one page that is open to those who have not wholly signed
// in, to which pages lead them that anyone may see; "" for others.
func unfinished(r *web.Request) string {
	switch {
	case mustSetPassword(r):
		return "/password"
	case r.Session != nil && r.Session.UserID != "" && r.Session.Scope == store.ScopeSecond:
		return "/second"
	case mustProveMailbox(r):
		return "/mailbox"
	case r.Session != nil && r.Session.UserID != "" && r.Session.Scope == store.ScopeSetSecond:
		return "/second/setup"
	}
	return ""
}
