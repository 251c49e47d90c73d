package api

import (
	"io"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerBranding() {
	handle(a, client.GetBranding, a.getBranding)
	handle(a, client.ChangeBranding, a.changeBranding)
	handle(a, client.SetLogo, a.setLogo)
	handle(a, client.RemoveLogo, a.removeLogo)
	handle(a, client.ResetBranding, a.resetBranding)
}

func brandingOf(v account.BrandView) client.Branding {
	return client.Branding{Name: v.Name, Color: v.Color, IntroEN: v.IntroEN, IntroFR: v.IntroFR, Contact: v.Contact, Footer: v.Footer,
		Logo: v.LogoPath(), Type: v.Logo.Type, InMails: v.MailLogo() != "", ETag: quoted(v.Revision)}
}

func (a *api) getBranding(r *web.Request, in client.Account) (client.Branding, error) {
	v, err := a.Accounts.Branding(r.Context(), r.Actor(), in.Account)
	return brandingOf(v), err
}

func (a *api) changeBranding(r *web.Request, in client.BrandingChange) (client.Branding, error) {
	var changes []account.Setting
	for _, x := range []struct {
		name  string
		value *string
	}{{"name", in.Name}, {"color", in.Color}, {"intro_en", in.IntroEN}, {"intro_fr", in.IntroFR}, {"contact", in.Contact}, {"footer", in.Footer}} {
		if x.value != nil {
			changes = append(changes, account.Setting{Name: x.name, Value: *x.value})
		}
	}
	v, err := a.Accounts.SetBranding(r.Context(), matching(r, in.IfMatch), in.Account, changes)
	return brandingOf(v), err
}

func (a *api) setLogo(r *web.Request, in client.LogoIn) (client.Branding, error) {
	file, err := io.ReadAll(in.File)
	if err != nil {
		return client.Branding{}, err
	}
	v, err := a.Accounts.SetLogo(r.Context(), matching(r, in.IfMatch), in.Account, file)
	return brandingOf(v), err
}

func (a *api) removeLogo(r *web.Request, in client.BrandingAct) (client.Branding, error) {
	v, err := a.Accounts.RemoveLogo(r.Context(), matching(r, in.IfMatch), in.Account)
	return brandingOf(v), err
}

func (a *api) resetBranding(r *web.Request, in client.BrandingAct) (client.Branding, error) {
	v, err := a.Accounts.ResetBranding(r.Context(), matching(r, in.IfMatch), in.Account)
	return brandingOf(v), err
}
