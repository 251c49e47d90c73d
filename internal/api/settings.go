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
	handle(a, client.ListSettingChanges, a.listSettingChanges)
	handle(a, client.UndoSetting, a.undoSetting)
	handle(a, client.GetLimits, a.getLimits)
	handle(a, client.GetGroupSettings, a.getGroupSettings)
	handle(a, client.ChangeGroupSettings, a.changeGroupSettings)
	handle(a, client.ListGroupSettingChanges, a.listGroupSettingChanges)
	handle(a, client.UndoGroupSetting, a.undoGroupSetting)
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

func changesPage(p account.SettingsHistoryPage, err error) (client.Page[client.SettingChange], error) {
	return pageOf(p.Changes, p.Next, func(c account.SettingsChange) client.SettingChange {
		return client.SettingChange{Event: c.ID, At: client.Time{Time: c.At}, Actor: c.Actor, Name: c.Name, Value: c.Value, Was: c.Was, Stands: c.Stands}
	}), err
}

func (a *api) listSettingChanges(r *web.Request, in client.ListIn) (client.Page[client.SettingChange], error) {
	return changesPage(a.Accounts.SettingsHistory(r.Context(), r.Actor(), account.SettingsOf(in.Account), in.After, in.Limit))
}

func (a *api) listGroupSettingChanges(r *web.Request, in client.GroupListIn) (client.Page[client.SettingChange], error) {
	return changesPage(a.Accounts.SettingsHistory(r.Context(), r.Actor(), account.SettingsOfGroup(in.Account, in.Group), in.After, in.Limit))
}

func (a *api) undoSetting(r *web.Request, in client.SettingUndo) (client.Settings, error) {
	return settingsOf(a.Accounts.UndoSetting(r.Context(), matching(r, in.IfMatch), account.SettingsOf(in.Account), in.Event))
}

func (a *api) undoGroupSetting(r *web.Request, in client.GroupSettingUndo) (client.Settings, error) {
	return settingsOf(a.Accounts.UndoSetting(r.Context(), matching(r, in.IfMatch), account.SettingsOfGroup(in.Account, in.Group), in.Event))
}
