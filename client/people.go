package client

import "net/http"

// AccountInfo is an account as its people see it.
type AccountInfo struct {
	Number   int64  `json:"number"`
	Name     string `json:"name"`
	Language string `json:"language"`
	TimeZone string `json:"time_zone"`
	Users    int    `json:"users,omitempty" doc:"for who has a right over the whole account"`
	Groups   int    `json:"groups,omitempty" doc:"with the built-in one"`
}

// Group is a group of an account.
type Group struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Builtin   bool   `json:"builtin,omitempty" doc:"the administrators: has all rights, and is neither renamed nor deleted"`
	Members   int    `json:"members" doc:"with those whose membership has ended"`
	CreatedAt Time   `json:"created_at"`

	ETag string `json:"-" header:"ETag"`
}

// Grant is a right of a group's members.
type Grant struct {
	Right string `json:"right" enum:"all,users,messages,audit,reports,settings,integrations" doc:"all: of the built-in group only"`
	Over  string `json:"over,omitempty" doc:"id of the group over whose members; absent: over the whole account"`
}

// GroupRights are what a group's members may do.
type GroupRights struct {
	Grants []Grant `json:"grants"`

	ETag string `json:"-" header:"ETag"`
}

// SearchIn is a page of a list, of what begins with some text.
type SearchIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" doc:"1 to 500, 50 unless said"`
}

// GroupPath names a group.
type GroupPath struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
}

// GroupAct names a group to act on.
type GroupAct struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// GroupIn names a new one.
type GroupIn struct {
	Account int64  `path:"account" doc:"account number"`
	Name    string `json:"name"`
}

// GroupChange renames one.
type GroupChange struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	Name    string `json:"name"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// GroupRightsIn are its rights from now on.
type GroupRightsIn struct {
	Account int64   `path:"account" doc:"account number"`
	Group   string  `path:"group"`
	Grants  []Grant `json:"grants"`
	IfMatch string  `header:"If-Match" doc:"ETag that it must still have"`
}

// Member is somebody in a group.
type Member struct {
	User  string `json:"user" doc:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Until Time   `json:"until" doc:"end of the membership"`
	Ended bool   `json:"ended,omitempty"`
}

// MembersIn is a page of a group's members.
type MembersIn struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" doc:"1 to 500, 50 unless said"`
}

// AddMembersIn adds people to a group.
type AddMembersIn struct {
	Account int64    `path:"account" doc:"account number"`
	Group   string   `path:"group"`
	Emails  []string `json:"emails" doc:"at most 200"`
	Until   Time     `json:"until,omitempty" doc:"end of the membership"`
}

// AddedMembers is what became of each address.
type AddedMembers struct {
	Added   []string `json:"added"`
	Already []string `json:"already" doc:"members before"`
	Blocked []string `json:"blocked" doc:"and not added"`
	Invited []string `json:"invited" doc:"they have an invitation to the group"`
	Missing []string `json:"missing" doc:"nobody that the account knows"`
	Invalid []string `json:"invalid" doc:"no addresses"`
}

// MemberPath names a member.
type MemberPath struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	User    string `path:"user"`
}

// MemberChange says until when they are one.
type MemberChange struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	User    string `path:"user"`
	Until   Time   `json:"until" doc:"empty: for good"`
}

// User is a user of an account.
type User struct {
	ID         string      `json:"id"`
	Email      string      `json:"email"`
	FirstName  string      `json:"first_name"`
	LastName   string      `json:"last_name"`
	Language   string      `json:"language"`
	State      string      `json:"state" enum:"active,blocked"`
	Temporary  bool        `json:"temporary,omitempty" doc:"the password is still to be replaced"`
	Managed    bool        `json:"managed,omitempty" doc:"made by an administrator, who can reset the password"`
	CreatedAt  Time        `json:"created_at"`
	SignedInAt Time        `json:"signed_in_at"`
	Groups     []UserGroup `json:"groups"`
	Rights     []UserRight `json:"rights,omitempty" doc:"only of a single user"`

	ETag string `json:"-" header:"ETag"`
}

// UserGroup is a group that a user is in.
type UserGroup struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Until Time   `json:"until"`
}

// UserRight is a right that a user has, and the group that gives it.
type UserRight struct {
	Right   string `json:"right"`
	Over    string `json:"over,omitempty" doc:"id of the group over whose members; absent: over the whole account"`
	Because string `json:"because" doc:"id of the group that gives it"`
	Until   Time   `json:"until"`
}

// ListUsersIn is a page of an account's users.
type ListUsersIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	Status  string `query:"status" enum:"active,blocked,mustchange,admins" doc:"only these"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" doc:"1 to 500, 50 unless said"`
}

// UserPath names a user.
type UserPath struct {
	Account int64  `path:"account" doc:"account number"`
	User    string `path:"user"`
}

// UserAct names a user to act on.
type UserAct struct {
	Account int64  `path:"account" doc:"account number"`
	User    string `path:"user"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// UserIn makes one.
type UserIn struct {
	Account   int64  `path:"account" doc:"account number"`
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Password  string `json:"password"`
	Temporary bool   `json:"temporary,omitempty" doc:"the password ends in 7 days, and sets another"`
	Language  string `json:"language,omitempty" enum:"en,fr" doc:"the account's unless said"`
	Group     string `json:"group,omitempty" doc:"id of one to add them to"`
	Until     Time   `json:"until,omitempty" doc:"end of that membership"`
}

// PasswordIn is a temporary password.
type PasswordIn struct {
	Account  int64  `path:"account" doc:"account number"`
	User     string `path:"user"`
	Password string `json:"password" doc:"ends in 7 days, and sets another"`
	IfMatch  string `header:"If-Match" doc:"ETag that it must still have"`
}

// Invitation is one that was neither accepted nor declined.
type Invitation struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	Group     string `json:"group,omitempty"`
	InvitedBy string `json:"invited_by"`
	CreatedAt Time   `json:"created_at"`
	ExpiresAt Time   `json:"expires_at"`
	Until     Time   `json:"until" doc:"end of the membership that it gives"`
}

// InvitationIn invites somebody.
type InvitationIn struct {
	Account int64  `path:"account" doc:"account number"`
	Email   string `json:"email"`
	Group   string `json:"group,omitempty"`
	Until   Time   `json:"until,omitempty"`
}

// InvitationPath names one.
type InvitationPath struct {
	Account    int64  `path:"account" doc:"account number"`
	Invitation string `path:"invitation"`
}

const (
	accountPath = "/api/v1/accounts/{account}"
	groups      = accountPath + "/groups"
	users       = accountPath + "/users"
	invitations = accountPath + "/invitations"
)

// An account's people and groups. What gives or takes more than the caller has is refused.
var (
	GetAccount = Operation[Account, AccountInfo]{Spec{ID: "getAccount", Method: http.MethodGet, Path: accountPath, Tag: "Accounts",
		Summary: "An account in which the caller has some right", Who: SignedIn, Right: "users"}}

	ListGroups = Operation[SearchIn, Page[Group]]{Spec{ID: "listGroups", Method: http.MethodGet, Path: groups, Tag: "Groups",
		Summary: "List groups by name, the built-in one first", Who: SignedIn, Right: "users"}}
	AddGroup = Operation[GroupIn, Group]{Spec{ID: "addGroup", Method: http.MethodPost, Path: groups, Tag: "Groups",
		Summary: "Make a group", Who: SignedIn, Right: "users", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	GetGroup = Operation[GroupPath, Group]{Spec{ID: "getGroup", Method: http.MethodGet, Path: groups + "/{group}", Tag: "Groups",
		Summary: "One group", Who: SignedIn, Right: "users"}}
	RenameGroup = Operation[GroupChange, Group]{Spec{ID: "renameGroup", Method: http.MethodPatch, Path: groups + "/{group}", Tag: "Groups",
		Summary: "Rename a group", Who: SignedIn, Right: "users", Fails: []int{409}}}
	DeleteGroup = Operation[GroupAct, None]{Spec{ID: "deleteGroup", Method: http.MethodDelete, Path: groups + "/{group}", Tag: "Groups",
		Summary: "Delete a group; its members remain users", Who: SignedIn, Right: "users", Fails: []int{409}}}
	GetGroupRights = Operation[GroupPath, GroupRights]{Spec{ID: "getGroupRights", Method: http.MethodGet, Path: groups + "/{group}/rights", Tag: "Groups",
		Summary: "What a group's members may do", Who: SignedIn, Right: "users"}}
	SetGroupRights = Operation[GroupRightsIn, GroupRights]{Spec{ID: "setGroupRights", Method: http.MethodPut, Path: groups + "/{group}/rights", Tag: "Groups",
		Summary: "Give a group's members these rights and no others", Who: SignedIn, Right: "users", Fails: []int{409}}}

	ListMembers = Operation[MembersIn, Page[Member]]{Spec{ID: "listMembers", Method: http.MethodGet, Path: groups + "/{group}/members", Tag: "Members",
		Summary: "List a group's members by address", Who: SignedIn, Right: "users"}}
	AddMembers = Operation[AddMembersIn, AddedMembers]{Spec{ID: "addMembers", Method: http.MethodPost, Path: groups + "/{group}/members", Tag: "Members",
		Summary: "Add people to a group", Note: "Who can be added is, and the answer says what became of each.", Who: SignedIn, Right: "users", Retry: true}}
	SetMemberEnd = Operation[MemberChange, Member]{Spec{ID: "setMemberEnd", Method: http.MethodPatch, Path: groups + "/{group}/members/{user}", Tag: "Members",
		Summary: "Say until when somebody is a member", Who: SignedIn, Right: "users", Fails: []int{409}}}
	RemoveMember = Operation[MemberPath, None]{Spec{ID: "removeMember", Method: http.MethodDelete, Path: groups + "/{group}/members/{user}", Tag: "Members",
		Summary: "Take somebody out of a group", Who: SignedIn, Right: "users", Fails: []int{409}}}

	ListUsers = Operation[ListUsersIn, Page[User]]{Spec{ID: "listUsers", Method: http.MethodGet, Path: users, Tag: "Users",
		Summary: "List users by address", Who: SignedIn, Right: "users"}}
	AddUser = Operation[UserIn, User]{Spec{ID: "addUser", Method: http.MethodPost, Path: users, Tag: "Users",
		Summary: "Make a user", Who: SignedIn, Right: "users", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	GetUser = Operation[UserPath, User]{Spec{ID: "getUser", Method: http.MethodGet, Path: users + "/{user}", Tag: "Users",
		Summary: "One user, with what they may do and why", Who: SignedIn, Right: "users"}}
	DeleteUser = Operation[UserAct, None]{Spec{ID: "deleteUser", Method: http.MethodDelete, Path: users + "/{user}", Tag: "Users",
		Summary: "Take a user out of the account", Note: "One whom an administrator made is deleted.", Who: SignedIn, Right: "users", Fails: []int{409}}}
	BlockUser = Operation[UserAct, User]{Spec{ID: "blockUser", Method: http.MethodPost, Path: users + "/{user}/block", Tag: "Users",
		Summary: "End a user's sessions and keep them from signing in", Who: SignedIn, Right: "users", Fails: []int{409}}}
	UnblockUser = Operation[UserAct, User]{Spec{ID: "unblockUser", Method: http.MethodPost, Path: users + "/{user}/unblock", Tag: "Users",
		Summary: "Let a user sign in again", Who: SignedIn, Right: "users"}}
	ResetPassword = Operation[PasswordIn, User]{Spec{ID: "resetPassword", Method: http.MethodPost, Path: users + "/{user}/password", Tag: "Users",
		Summary: "Give a user a temporary password", Who: SignedIn, Right: "users", Fails: []int{409}}}

	ListInvitations = Operation[Account, Page[Invitation]]{Spec{ID: "listInvitations", Method: http.MethodGet, Path: invitations, Tag: "Invitations",
		Summary: "List open invitations, at most 100", Who: SignedIn, Right: "users"}}
	Invite = Operation[InvitationIn, Invitation]{Spec{ID: "invite", Method: http.MethodPost, Path: invitations, Tag: "Invitations",
		Summary: "Invite somebody by mail", Who: SignedIn, Right: "users", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	ResendInvitation = Operation[InvitationPath, Invitation]{Spec{ID: "resendInvitation", Method: http.MethodPost, Path: invitations + "/{invitation}/resend", Tag: "Invitations",
		Summary: "Send an open invitation again, with another link", Who: SignedIn, Right: "users"}}
	RevokeInvitation = Operation[InvitationPath, None]{Spec{ID: "revokeInvitation", Method: http.MethodDelete, Path: invitations + "/{invitation}", Tag: "Invitations",
		Summary: "End an open invitation", Who: SignedIn, Right: "users"}}
)
