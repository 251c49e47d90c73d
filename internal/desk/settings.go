package desk

import (
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

type settingsPage struct {
	web.Base
	account.Sending
	Days      string
	Limit     int // days that the account allows, 0 = no end
	Languages []web.Option
	Contacts  []store.Contact
}

func (d *desk) settings(r *web.Request) error {
	p, err := d.settingsPage(r)
	if err != nil {
		return err
	}
	return r.Render(d.pages, "settings", p)
}

func (d *desk) settingsPage(r *web.Request) (*settingsPage, error) {
	if err := allowed(r); err != nil {
		return nil, err
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return nil, err
	}
	p := &settingsPage{Base: r.Base(r.T("set.h1")), Limit: settings.ExpiryMax}
	if p.Sending, err = d.Accounts.Sending(r.Context(), r.Session); err != nil {
		return nil, err
	}
	if p.ExpiryDays > 0 {
		p.Days = strconv.Itoa(p.ExpiryDays)
	}
	p.Languages = append([]web.Option{{Value: "", Text: r.T("set.mine")}}, languages(r)...)
	for i := range p.Languages {
		p.Languages[i].Selected = p.Languages[i].Value == p.Language
	}
	p.Contacts, err = d.Accounts.Contacts(r.Context(), r.Session, "")
	return p, err
}

func (d *desk) saveSettings(r *web.Request) error {
	p, err := d.settingsPage(r)
	if err != nil {
		return err
	}
	in := account.Sending{Signature: r.PostFormValue("signature"), Notify: r.PostFormValue("notify") != "", Language: r.PostFormValue("language")}
	if text := strings.TrimSpace(r.PostFormValue("days")); text != "" {
		if in.ExpiryDays, err = strconv.Atoi(text); err != nil {
			in.ExpiryDays = -1 // refused there with what else is wrong
		}
	}
	if err := d.Accounts.SaveSending(r.Context(), r.Session, in); err != nil {
		return r.Again(d.pages, "settings", p, err)
	}
	r.Flash("ok", "c.saved")
	return r.Redirect("/settings")
}

func (d *desk) removeContact(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	address := r.PostFormValue("address")
	if err := d.Accounts.RemoveContact(r.Context(), r.Session, address); err != nil {
		return err
	}
	r.Flash("ok", "set.removed", "email", address)
	return r.Redirect("/settings")
}
