package client

import "net/http"

// AccessRequest is somebody's wish to administer an account, or for a right over it.
type AccessRequest struct {
	ID        string      `json:"id"`
	User      string      `json:"user" doc:"id"`
	Email     string      `json:"email"`
	Name      string      `json:"name"`
	Right     string      `json:"right" doc:"all: to be an administrator"`
	Reason    string      `json:"reason"`
	CreatedAt Time        `json:"created_at"`
	Groups    []UserGroup `json:"groups" doc:"that give it, and that the caller may add somebody to"`
}

// RefuseIn refuses one.
type RefuseIn struct {
	Request string `path:"request"`
	Word    string `json:"word,omitempty" doc:"to the person, in plain text of at most 300 characters: they read it in the mail and where they asked"`
}

// GrantIn grants one.
type GrantIn struct {
	Request string `path:"request"`
	Group   string `json:"group,omitempty" doc:"id of the one of its groups to add them to; absent: the first"`
	Word    string `json:"word,omitempty" doc:"to the person, in plain text of at most 300 characters: they read it in the mail and where they asked"`
}

// Decided is whose request it was.
type Decided struct {
	User  string `json:"user" doc:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Right string `json:"right" doc:"that was asked for; all: to be an administrator"`

	Group     string `json:"group,omitempty" doc:"id of the group that a grant added them to"`
	GroupName string `json:"group_name,omitempty"`
}

// Requests for access.
var (
	ListAccessRequests = Operation[AccountPage, Page[AccessRequest]]{Spec{ID: "listAccessRequests", Method: http.MethodGet, Path: accountPath + "/access-requests", Tag: "Access requests",
		Summary: "List the requests for access that wait, oldest first", Who: SignedIn, Right: "users"}}
	GrantAccess = Operation[GrantIn, Decided]{Spec{ID: "grantAccess", Method: http.MethodPost, Path: "/api/v1/access-requests/{request}/grant", Tag: "Access requests",
		Summary: "Add the person to a group that gives what they ask for", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	RefuseAccess = Operation[RefuseIn, Decided]{Spec{ID: "refuseAccess", Method: http.MethodPost, Path: "/api/v1/access-requests/{request}/refuse", Tag: "Access requests",
		Summary: "Refuse a request", Who: SignedIn, Right: "users", Retry: true}}
)
