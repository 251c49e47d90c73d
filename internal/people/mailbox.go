package people

import (
	"net/url"

	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// mailboxPage asks who signed in with a password that an administrator typed
// for a code, which goes to their person's mailbox and nowhere else.
type mailboxPage struct {
	web.Base
	Next string
	To   string
	Sent bool
}

// mayProveMailbox is who is asked for a code, or will be for what they want to change.
func mayProveMailbox(r *web.Request) bool {
	return mustProveMailbox(r) || r.Session.SignedIn() && r.Session.User.TypedBy != ""
}

func mustProveMailbox(r *web.Request) bool {
	return r.Session != nil && r.Session.UserID != "" && r.Session.Scope == store.ScopeMailbox
}

// elsewhere leads who is asked for no code to what they are asked for.
func elsewhere(r *web.Request) error {
	if to := unfinished(r); to != "" {
		return r.Redirect(to)
	}
	return r.Redirect("/signin?next=" + url.QueryEscape(r.Next("/")))
}

func newMailboxPage(r *web.Request) *mailboxPage {
	return &mailboxPage{Base: r.Base(r.T("proof.h1")), Next: r.Next("/"), To: r.Session.User.DisplayAddress}
}

func (p *People) mailbox(r *web.Request) error {
	if !mayProveMailbox(r) {
		return elsewhere(r)
	}
	return r.Render(p.pages, "mailbox", newMailboxPage(r))
}

func (p *People) proveMailbox(r *web.Request) error {
	if !mayProveMailbox(r) {
		return elsewhere(r)
	}
	page := newMailboxPage(r)
	if r.PostFormValue("do") != "enter" {
		if err := p.accounts.SendSignInCode(r.Context(), r.Session, r.Session.User.Address, r.Client()); err != nil {
			return r.Again(p.pages, "mailbox", page, err)
		}
		page.Sent = true
		return r.Render(p.pages, "mailbox", page)
	}
	page.Sent = true
	s, err := p.accounts.SignInWithCode(r.Context(), r.Session, r.PostFormValue("code"), r.Client(), r.UserAgent())
	if err != nil {
		return r.Again(p.pages, "mailbox", page, err)
	}
	return arrive(r, s, page.Next)
}
