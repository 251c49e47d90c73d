// Package desk is the sender's pages: write an envelope, take it back, see what
// became of it, lock and unlock it; drafts, contacts and preferences; and the
// pages of a recipient who answers one.
package desk

import (
	"embed"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

//go:embed pages/*.html shared/*.html
var files embed.FS

// Config is what the desk is made of.
type Config struct {
	Kit      *web.Kit
	Accounts *account.Service
	Keys     *keyserver.Service
	Sealing  *sealing.Service
	Now      func() time.Time
	Undo     time.Duration // in which a sending can be undone; 0: mails leave at once
}

type desk struct {
	Config
	pages *web.Pages
}

// Register adds the sender's pages to the kit.
func Register(c Config) error {
	pages, err := c.Kit.Parse(files)
	if err != nil {
		return err
	}
	d := &desk{c, pages}
	// Files somewhat over the limit still arrive whole, to be refused by name.
	body := web.Body(c.Sealing.MaxFiles() + c.Sealing.MaxFiles()/4 + 4<<20)
	c.Kit.Handle("GET /compose", d.compose, web.SignedIn)
	c.Kit.Handle("POST /compose", d.send, web.SignedIn, body)
	c.Kit.Handle("POST /compose/draft", d.save, web.SignedIn, body)
	c.Kit.Handle("GET /compose/people", d.people, web.SignedIn)
	c.Kit.Handle("POST /compose/how", d.howJSON, web.SignedIn)
	c.Kit.Handle("GET /compose/review", d.review, web.SignedIn)
	c.Kit.Handle("POST /compose/review", d.sendReviewed, web.SignedIn)
	c.Kit.Handle("GET /drafts", d.drafts, web.SignedIn)
	c.Kit.Handle("GET /drafts/{id}/delete", d.discard, web.SignedIn)
	c.Kit.Handle("POST /drafts/{id}/delete", d.deleteDraft, web.SignedIn)
	c.Kit.Handle("POST /sent/{id}/undo", d.undo, web.SignedIn)
	c.Kit.Handle("GET /settings", d.settings, web.SignedIn)
	c.Kit.Handle("POST /settings", d.saveSettings, web.SignedIn)
	c.Kit.Handle("POST /settings/contacts/remove", d.removeContact, web.SignedIn)
	c.Kit.Handle("GET /sent", d.sent, web.SignedIn)
	c.Kit.Handle("GET /sent/{id}", d.detail, web.SignedIn)
	c.Kit.Handle("POST /sent/many", d.many, web.SignedIn)
	c.Kit.Handle("GET /sent/{id}/expiry", d.expiry, web.SignedIn)
	c.Kit.Handle("POST /sent/{id}/expiry", d.setExpiry, web.SignedIn)
	for name, a := range acts {
		if a.button != "" {
			c.Kit.Handle("GET /sent/{id}/"+name, d.ask(name), web.SignedIn)
		}
		c.Kit.Handle("POST /sent/{id}/"+name, d.do(name), web.SignedIn)
	}
	// Who answers need not have signed in: what they have proved is the key server's to say.
	answers := web.Body(c.Sealing.MaxForwarded() + c.Sealing.MaxFiles()/4 + 4<<20)
	c.Kit.Handle("GET /e/{ref}/reply", d.reply, web.Public)
	c.Kit.Handle("POST /e/{ref}/reply", d.sendReply, web.Public, answers)
	c.Kit.Handle("GET /e/{ref}/forward", d.forward, web.Public)
	c.Kit.Handle("POST /e/{ref}/forward", d.sendForward, web.Public, answers)
	return nil
}

// allowed refuses those who belong to no account: they can open and nothing more.
func allowed(r *web.Request) error {
	if r.Session.Account == nil {
		return fault.New(fault.Denied, "desk.noaccount")
	}
	return nil
}

func actor(r *web.Request) keyserver.Actor {
	return keyserver.Actor{UserID: r.Session.UserID, Session: r.Session.Hash, Name: r.Actor().String(), Origin: r.Client()}
}
