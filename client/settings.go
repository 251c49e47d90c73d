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

// Settings of accounts. What operators say for one or for all is changed on their
// pages and at a terminal: no token is an operator's.
var (
	GetSettings = Operation[Account, Settings]{Spec{ID: "getSettings", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/settings", Tag: "Settings",
		Summary: "What an account says, and what holds", Who: SignedIn, Right: "settings"}}
	ChangeSettings = Operation[SettingsIn, Settings]{Spec{ID: "changeSettings", Method: http.MethodPatch, Path: "/api/v1/accounts/{account}/settings", Tag: "Settings",
		Summary: "Change what an account says; never beyond what the site and its limits allow", Who: SignedIn, Right: "settings", Fails: []int{412}}}
	GetLimits = Operation[Account, Settings]{Spec{ID: "getLimits", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/limits", Tag: "Settings",
		Summary: "What the operators allow an account, with its quotas", Who: SignedIn, Right: "settings"}}
	GetGroupSettings = Operation[GroupPath, Settings]{Spec{ID: "getGroupSettings", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/groups/{group}/settings", Tag: "Settings",
		Summary: "What holds for what a group's members send", Who: SignedIn, Right: "settings"}}
	ChangeGroupSettings = Operation[GroupSettingsIn, Settings]{Spec{ID: "changeGroupSettings", Method: http.MethodPatch, Path: "/api/v1/accounts/{account}/groups/{group}/settings", Tag: "Settings",
		Summary: "Change what holds for what a group's members send; never beyond what the account allows", Who: SignedIn, Right: "settings", Fails: []int{412}}}
)
