package client

import "net/http"

// Profile is what an account says of itself.
type Profile struct {
	Name     string `json:"name"`
	Language string `json:"language" doc:"of its people until they choose"`
	TimeZone string `json:"time_zone"`

	Technical []string `json:"technical,omitempty" doc:"addresses that the service writes to"`
	Security  []string `json:"security,omitempty"`
	Privacy   []string `json:"privacy,omitempty"`
}

// ProfileIn is its profile from now on.
type ProfileIn struct {
	Account  int64  `path:"account" doc:"account number"`
	Name     string `json:"name"`
	Language string `json:"language" doc:"en or fr: of its people until they choose; empty: as it is"`
	TimeZone string `json:"time_zone" doc:"such as Europe/Paris; empty: as it is"`

	Technical []string `json:"technical,omitempty" doc:"addresses that the service writes to; absent: none"`
	Security  []string `json:"security,omitempty"`
	Privacy   []string `json:"privacy,omitempty"`
}

// What an account says of itself. Archives and deletion are on its pages, which
// ask for a proof anew, and on the service's host.
var (
	GetProfile = Operation[Account, Profile]{Spec{ID: "getProfile", Method: http.MethodGet, Path: accountPath + "/profile", Tag: "Accounts",
		Summary: "An account's name, language, time zone and contacts", Who: SignedIn, Right: "settings"}}
	SetProfile = Operation[ProfileIn, Profile]{Spec{ID: "setProfile", Method: http.MethodPut, Path: accountPath + "/profile", Tag: "Accounts",
		Summary: "Change them, all at once", Who: SignedIn, Right: "settings"}}
)
