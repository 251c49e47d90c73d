package client

import "net/http"

// Settings are one layer of settings: the site's, an account's limits or its
// own, or a group's.
type Settings struct {
	Settings []Setting `json:"settings"`

	ETag string `json:"-" header:"ETag"`
}

// Setting is a setting as it holds in a layer.
type Setting struct {
	Name  string `json:"name"`
	Said  string `json:"said,omitempty" doc:"what the layer itself says; absent: nothing"`
	Value string `json:"value" doc:"what holds"`
	From  string `json:"from" enum:"default,site,limits,account,group" doc:"who says so"`
}

// SettingIn is a new value.
type SettingIn struct {
	Name  string `json:"name"`
	Value string `json:"value" doc:"empty: the layer says nothing of it"`
}

// SettingsIn changes some settings of an account, all or none.
type SettingsIn struct {
	Account  int64       `path:"account" doc:"account number"`
	Settings []SettingIn `json:"settings"`
	IfMatch  string      `header:"If-Match" doc:"ETag that it must still have"`
}

// GroupSettingsIn changes some settings of a group.
type GroupSettingsIn struct {
	Account  int64       `path:"account" doc:"account number"`
	Group    string      `path:"group"`
	Settings []SettingIn `json:"settings"`
	IfMatch  string      `header:"If-Match" doc:"ETag that it must still have"`
}

// SettingChange is one setting that was changed.
type SettingChange struct {
	Event  string `json:"event" doc:"of the log; undoes the change"`
	At     Time   `json:"at"`
	Actor  string `json:"actor"`
	Name   string `json:"name"`
	Value  string `json:"value" doc:"empty: nothing was said of it then"`
	Was    string `json:"was" doc:"empty: nothing was said of it before"`
	Stands bool   `json:"stands" doc:"so it is said still: it can be undone"`
}

// SettingUndo undoes a change of an account's settings.
type SettingUndo struct {
	Account int64  `path:"account" doc:"account number"`
	Event   string `path:"event"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// GroupListIn asks for a page of something of a group's.
type GroupListIn struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

// GroupSettingUndo undoes a change of a group's settings.
type GroupSettingUndo struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	Event   string `path:"event"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// Settings of accounts. What operators say for one or for all is changed on their
// pages and at a terminal: no token is an operator's.
var (
	GetSettings = Operation[Account, Settings]{Spec{ID: "getSettings", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/settings", Tag: "Settings",
		Summary: "What an account says, and what holds", Who: SignedIn, Right: "settings"}}
	ChangeSettings = Operation[SettingsIn, Settings]{Spec{ID: "changeSettings", Method: http.MethodPatch, Path: "/api/v1/accounts/{account}/settings", Tag: "Settings",
		Summary: "Change what an account says; never beyond what the site and its limits allow", Who: SignedIn, Right: "settings", Fails: []int{412}}}
	ListSettingChanges = Operation[ListIn, Page[SettingChange]]{Spec{ID: "listSettingChanges", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/settings/changes", Tag: "Settings",
		Summary: "List what was changed of an account's settings, the newest first", Who: SignedIn, Right: "settings"}}
	UndoSetting = Operation[SettingUndo, Settings]{Spec{ID: "undoSetting", Method: http.MethodPost, Path: "/api/v1/accounts/{account}/settings/changes/{event}/undo", Tag: "Settings",
		Summary: "Have the account say again what it said before a change that stands", Who: SignedIn, Right: "settings", Fails: []int{409, 412}, Retry: true}}
	GetLimits = Operation[Account, Settings]{Spec{ID: "getLimits", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/limits", Tag: "Settings",
		Summary: "What the operators allow an account, with its quotas", Who: SignedIn, Right: "settings"}}
	GetGroupSettings = Operation[GroupPath, Settings]{Spec{ID: "getGroupSettings", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/groups/{group}/settings", Tag: "Settings",
		Summary: "What holds for what a group's members send", Who: SignedIn, Right: "settings"}}
	ChangeGroupSettings = Operation[GroupSettingsIn, Settings]{Spec{ID: "changeGroupSettings", Method: http.MethodPatch, Path: "/api/v1/accounts/{account}/groups/{group}/settings", Tag: "Settings",
		Summary: "Change what holds for what a group's members send; never beyond what the account allows", Who: SignedIn, Right: "settings", Fails: []int{412}}}
	ListGroupSettingChanges = Operation[GroupListIn, Page[SettingChange]]{Spec{ID: "listGroupSettingChanges", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/groups/{group}/settings/changes", Tag: "Settings",
		Summary: "List what was changed of a group's settings, the newest first", Note: "Those under the name that the group has now.", Who: SignedIn, Right: "settings"}}
	UndoGroupSetting = Operation[GroupSettingUndo, Settings]{Spec{ID: "undoGroupSetting", Method: http.MethodPost, Path: "/api/v1/accounts/{account}/groups/{group}/settings/changes/{event}/undo", Tag: "Settings",
		Summary: "Have a group say again what it said before a change that stands", Who: SignedIn, Right: "settings", Fails: []int{409, 412}, Retry: true}}
)
