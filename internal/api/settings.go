package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerSettings() {
	handle(a, client.GetSettings, a.getSettings)
	handle(a, client.ChangeSettings, a.changeSettings)
	handle(a, client.GetLimits, a.getLimits)
	handle(a, client.GetGroupSettings, a.getGroupSettings)
	handle(a, client.ChangeGroupSettings, a.changeGroupSettings)
}

func settingsOf(v account.SettingsView, err error) (client.Settings, error) {
	out := client.Settings{Settings: []client.Setting{}, ETag: quoted(v.Revision())}
	for _, x := range policy.Table {
		if x.In(v.Layer) {
			found := v.Stack.Find(x.Name)
			out.Settings = append(out.Settings, client.Setting{Name: x.Name, Said: v.Said()[x.Name], Value: found.Value, From: string(found.From)})
		}
	}
	return out, err
}

func changesOf(in []client.SettingIn) []account.Setting {
	out := make([]account.Setting, len(in))
	for i, s := range in {
		out[i] = account.Setting{Name: s.Name, Value: s.Value}
	}
	return out
}

func (a *api) getSettings(r *web.Request, in client.Account) (client.Settings, error) {
	return settingsOf(a.Accounts.Settings(r.Context(), r.Actor(), account.SettingsOf(in.Account)))
}

func (a *api) changeSettings(r *web.Request, in client.SettingsIn) (client.Settings, error) {
	return settingsOf(a.Accounts.SetSettings(r.Context(), matching(r, in.IfMatch), account.SettingsOf(in.Account), changesOf(in.Settings)))
}

func (a *api) getLimits(r *web.Request, in client.Account) (client.Settings, error) {
	return settingsOf(a.Accounts.Settings(r.Context(), r.Actor(), account.LimitsOf(in.Account)))
}

func (a *api) getGroupSettings(r *web.Request, in client.GroupPath) (client.Settings, error) {
	return settingsOf(a.Accounts.Settings(r.Context(), r.Actor(), account.SettingsOfGroup(in.Account, in.Group)))
}

func (a *api) changeGroupSettings(r *web.Request, in client.GroupSettingsIn) (client.Settings, error) {
	return settingsOf(a.Accounts.SetSettings(r.Context(), matching(r, in.IfMatch), account.SettingsOfGroup(in.Account, in.Group), changesOf(in.Settings)))
}
