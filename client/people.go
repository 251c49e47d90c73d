package client

import "net/http"

// AccountInfo is an account as its people see it.
type AccountInfo struct {
	Number   int64  `json:"number"`
	Name     string `json:"name"`
	Language string `json:"language"`
	TimeZone string `json:"time_zone"`
	State    string `json:"state" enum:"active,suspended,deleting,deleted"`
	Users    int    `json:"users,omitempty" doc:"for who has a right over the whole account; 1001: more than 1000"`
	Groups   int    `json:"groups,omitempty" doc:"with the built-in one; 1001: more than 1000"`

	Administrators int  `json:"administrators,omitempty"`
	CreatedAt      Time `json:"created_at"`
	DeletionAt     Time `json:"deletion_at" doc:"when it is, or was, destroyed; empty: not at all"`
}

// AccountPage is a page of something that an account has.
type AccountPage struct {
	Account int64  `path:"account" doc:"account number"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

// ListAccountsIn is a page of the accounts in which the caller has a right.
type ListAccountsIn struct {
	After string `query:"after" doc:"next of the page before"`
	Limit int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

// Group is a group of an account.
type Group struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Builtin   bool   `json:"builtin,omitempty" doc:"the administrators: has all rights, and is neither renamed nor deleted"`
	Members   int    `json:"members" doc:"with those whose membership has ended; 1001: more than 1000"`
	CreatedAt Time   `json:"created_at"`

	ETag string `json:"-" header:"ETag"`
}

// Grant is a right of a group's members.
type Grant struct {
	Right string `json:"right" enum:"all,users,messages,audit,reports,settings,integrations" doc:"all: of the built-in group only"`
	Over  string `json:"over,omitempty" doc:"id of the group over whose members; absent: over the whole account"`
}

// GroupGrant is a right that a group's members have.
type GroupGrant struct {
	Right    string `json:"right" enum:"all,users,messages,audit,reports,settings,integrations" doc:"all: of the built-in group only"`
	Over     string `json:"over,omitempty" doc:"id of the group over whose members; absent, and over_other too: over the whole account"`
	OverName string `json:"over_name,omitempty"`

	OverOther bool `json:"over_other,omitempty" doc:"over members of a group that the caller does not manage"`
}

// GroupRights are what a group's members may do.
type GroupRights struct {
	Grants []GroupGrant `json:"grants"`

	ETag string `json:"-" header:"ETag"`
}

// ListGroupsIn is a page of an account's groups, or the one of a name.
type ListGroupsIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how a name begins"`
	Name    string `query:"name" doc:"only the group of that name, the built-in one's is in English"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
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

	State     string `json:"state" enum:"active,blocked"`
	Temporary bool   `json:"temporary,omitempty" doc:"the password is still to be replaced"`
}

// MembersIn is a page of a group's members.
type MembersIn struct {
	Account int64  `path:"account" doc:"account number"`
	Group   string `path:"group"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
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
	Already []string `json:"already" doc:"members before, and until the end that was given, if one was"`
	Blocked []string `json:"blocked" doc:"and not added"`
	Invited []string `json:"invited" doc:"they have an invitation to the group"`
	Missing []string `json:"missing" doc:"nobody that the account knows"`
	Invalid []string `json:"invalid" doc:"no addresses"`

	Meant map[string]string `json:"meant,omitempty" doc:"of those missing: the user whose address is much like it"`
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
	ID        string `json:"id"`
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Language  string `json:"language"`
	State     string `json:"state" enum:"active,blocked"`
	Temporary bool   `json:"temporary,omitempty" doc:"the password is still to be replaced"`

	Second   bool `json:"second,omitempty" doc:"has a second factor"`
	Required bool `json:"second_required,omitempty" doc:"of this user, whatever the account says"`

	TemporaryUntil Time `json:"temporary_until" doc:"end of a temporary password"`

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
	Because string `json:"because,omitempty" doc:"id of the group that gives it; absent: one that the caller does not manage"`

	OverOther bool `json:"over_other,omitempty" doc:"over members of a group that the caller does not manage"`

	OverName    string `json:"over_name,omitempty"`
	BecauseName string `json:"because_name,omitempty"`
	Until       Time   `json:"until"`
}

// ListUsersIn is a page of an account's users.
type ListUsersIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	Email   string `query:"email" doc:"only the user who has this address"`
	Status  string `query:"status" enum:"active,blocked,mustchange,admins,nosecond" doc:"only these; nosecond: active, without a second factor"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
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
	Temporary bool   `json:"temporary,omitempty" doc:"the password ends after the hours that the account's settings say (temporary_hours), and sets another"`
	Language  string `json:"language,omitempty" enum:"en,fr" doc:"the account's unless said"`
	Group     string `json:"group,omitempty" doc:"id of one to add them to"`
	Until     Time   `json:"until,omitempty" doc:"end of that membership"`
}

// UserChange says what a user is called. Only of one whom an administrator made.
type UserChange struct {
	Account   int64  `path:"account" doc:"account number"`
	User      string `path:"user"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Language  string `json:"language" enum:"en,fr"`
	IfMatch   string `header:"If-Match" doc:"ETag that it must still have"`
}

// EndedSessions is how many were.
type EndedSessions struct {
	Ended int64 `json:"ended"`
}

// ExportUsersIn says which users.
type ExportUsersIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how a name or an address begins"`
	Status  string `query:"status" enum:"active,blocked,mustchange,nosecond,admins,invited" doc:"only these"`
}

// Lift is somebody's wish to have a lost second factor taken away.
type Lift struct {
	User     string `json:"user" doc:"id"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	AskedAt  Time   `json:"asked_at"`
	Approved bool   `json:"approved"`
	DueAt    Time   `json:"due_at" doc:"when it is done, once approved"`
}

// LiftDecision approves a wish or refuses it.
type LiftDecision struct {
	Account int64  `path:"account" doc:"account number, 0 for a person of none"`
	User    string `path:"user"`
	Approve bool   `json:"approve"`
}

// PasswordIn is a temporary password.
type PasswordIn struct {
	Account  int64  `path:"account" doc:"account number"`
	User     string `path:"user"`
	Password string `json:"password" doc:"ends after the hours that the account's settings say (temporary_hours), and sets another"`
	IfMatch  string `header:"If-Match" doc:"ETag that it must still have"`
}

// SecondNeed says whether a second factor is required of a user.
type SecondNeed struct {
	Account  int64  `path:"account" doc:"account number"`
	User     string `path:"user"`
	Required bool   `json:"required"`
	IfMatch  string `header:"If-Match" doc:"ETag that it must still have"`
}

// MergeIn names another user who is the same person as one.
type MergeIn struct {
	Account int64  `path:"account" doc:"account number"`
	User    string `path:"user" doc:"who stays"`
	Email   string `json:"email" doc:"of who goes"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// Merge is that two users are to become one, when the person has confirmed it.
type Merge struct {
	Keep      string `json:"keep" doc:"id"`
	Gone      string `json:"gone" doc:"id"`
	By        string `json:"by"`
	ExpiresAt Time   `json:"expires_at"`
}

// UsersAct is an act on some users.
type UsersAct struct {
	Account int64    `path:"account" doc:"account number"`
	Do      string   `json:"do" enum:"block,unblock,group,second,link,signout" doc:"group: add to one; second: require a second factor; link: mail a link that sets a password; signout: end all sessions"`
	Group   string   `json:"group,omitempty" doc:"id, of group"`
	Users   []string `json:"users" doc:"ids, at most 500"`
}

// ActedOn is what became of one user.
type ActedOn struct {
	Email  string `json:"email"`
	Failed bool   `json:"failed,omitempty"`
	Key    string `json:"key,omitempty" doc:"of the text that says why it failed"`
}

// ActOnAllIn is an act on all users that a search selects while it runs.
type ActOnAllIn struct {
	Account int64  `path:"account" doc:"account number"`
	Do      string `json:"do" enum:"block,unblock,group,second,link,signout"`
	Group   string `json:"group,omitempty" doc:"id, of group"`
	Query   string `json:"q,omitempty" doc:"how a name or an address begins"`
	Status  string `json:"status,omitempty" enum:"active,blocked,mustchange,admins,nosecond"`
}

// UserJob is an act on many users that runs by itself.
type UserJob struct {
	ID        string `json:"id"`
	Do        string `json:"do"`
	State     string `json:"state" enum:"running,done,stopped"`
	Reason    string `json:"reason,omitempty" doc:"key of why it stopped"`
	Total     int    `json:"total" doc:"as it was counted at the beginning, up to 1,001"`
	Done      int    `json:"done"`
	Failed    int    `json:"failed"`
	CreatedAt Time   `json:"created_at"`
	EndedAt   Time   `json:"ended_at"`
}

// UserJobPath names one.
type UserJobPath struct {
	Account int64  `path:"account" doc:"account number"`
	Job     string `path:"job"`
}

// UserJobRowsIn is a page of what became of its users.
type UserJobRowsIn struct {
	Account int64  `path:"account" doc:"account number"`
	Job     string `path:"job"`
	Failed  bool   `query:"failed" doc:"only those"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
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

// InvitationsIn selects open invitations.
type InvitationsIn struct {
	Account int64  `path:"account" doc:"account number"`
	Query   string `query:"q" doc:"how an address begins"`
	Group   string `query:"group" doc:"only those to this one, by id"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
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
	userJobs    = accountPath + "/user-jobs"
)

// An account's people and groups. What gives or takes more than the caller has is refused.
var (
	ListAccounts = Operation[ListAccountsIn, Page[AccountInfo]]{Spec{ID: "listAccounts", Method: http.MethodGet, Path: "/api/v1/accounts", Tag: "Accounts",
		Summary: "List the accounts in which the caller has some right", Who: SignedIn, Right: "users"}}
	GetAccount = Operation[Account, AccountInfo]{Spec{ID: "getAccount", Method: http.MethodGet, Path: accountPath, Tag: "Accounts",
		Summary: "An account in which the caller has some right", Who: SignedIn, Right: "users"}}

	ListGroups = Operation[ListGroupsIn, Page[Group]]{Spec{ID: "listGroups", Method: http.MethodGet, Path: groups, Tag: "Groups",
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
		Summary: "Add people to a group", Note: "Who can be added is, and the answer says what became of each. Where rights, or the account's settings, refuse one of them, nobody is added.", Who: SignedIn, Right: "users", Retry: true}}
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
	ChangeUser = Operation[UserChange, User]{Spec{ID: "changeUser", Method: http.MethodPatch, Path: users + "/{user}", Tag: "Users",
		Summary: "Say what a user is called, and their language", Note: "Of one whom an administrator made; others say so themselves.", Who: SignedIn, Right: "users", Fails: []int{409}}}
	ExportUsers = Operation[ExportUsersIn, *Stream]{Spec{ID: "exportUsers", Method: http.MethodGet, Path: users + "/export", Tag: "Users",
		Summary: "All users that a search finds, as CSV", Note: "It is recorded. The columns are those that an import reads, and more.", Who: SignedIn, Right: "users"}}
	EndSessions = Operation[UserPath, EndedSessions]{Spec{ID: "endSessions", Method: http.MethodPost, Path: users + "/{user}/sessions/end", Tag: "Users",
		Summary: "Sign a user out everywhere", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	ListLifts = Operation[AccountPage, Page[Lift]]{Spec{ID: "listLifts", Method: http.MethodGet, Path: accountPath + "/lifts", Tag: "Users",
		Summary: "List who has lost their second factor and wishes it taken away", Who: SignedIn, Right: "users"}}
	DecideLift = Operation[LiftDecision, None]{Spec{ID: "decideLift", Method: http.MethodPost, Path: users + "/{user}/lift", Tag: "Users",
		Summary: "Approve such a wish, or refuse it", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	DeleteUser = Operation[UserAct, None]{Spec{ID: "deleteUser", Method: http.MethodDelete, Path: users + "/{user}", Tag: "Users",
		Summary: "Take a user out of the account", Note: "One whom an administrator made is deleted.", Who: SignedIn, Right: "users", Fails: []int{409}}}
	BlockUser = Operation[UserAct, User]{Spec{ID: "blockUser", Method: http.MethodPost, Path: users + "/{user}/block", Tag: "Users",
		Summary: "End a user's sessions and keep them from signing in", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	UnblockUser = Operation[UserAct, User]{Spec{ID: "unblockUser", Method: http.MethodPost, Path: users + "/{user}/unblock", Tag: "Users",
		Summary: "Let a user sign in again", Who: SignedIn, Right: "users", Retry: true}}
	ResetPassword = Operation[PasswordIn, User]{Spec{ID: "resetPassword", Method: http.MethodPost, Path: users + "/{user}/password", Tag: "Users",
		Summary: "Give a user a temporary password", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}

	SendPasswordLink = Operation[UserAct, None]{Spec{ID: "sendPasswordLink", Method: http.MethodPost, Path: users + "/{user}/password-link", Tag: "Users",
		Summary: "Mail a user a link by which they choose a password", Note: "It works once, for 24 hours; an earlier one stops working. Nobody else sees it.", Who: SignedIn, Right: "users", Fails: []int{409}, Retry: true}}
	RequireSecond = Operation[SecondNeed, User]{Spec{ID: "requireSecond", Method: http.MethodPut, Path: users + "/{user}/second", Tag: "Users",
		Summary: "Say whether a user needs a second factor", Note: "Who has none sets one up at their next sign-in; sessions and tokens that they have go on. Who manages some groups only takes back what such a one required, and nothing else.", Who: SignedIn, Right: "users"}}
	ProposeMerge = Operation[MergeIn, Merge]{Spec{ID: "proposeMerge", Method: http.MethodPost, Path: users + "/{user}/merge", Tag: "Users",
		Summary: "Say that another user is the same person", Note: "The person confirms it with a code from each mailbox; then the other user's groups, sent messages and address are this one's.", Who: SignedIn, Right: "users", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	CancelMerge = Operation[UserAct, None]{Spec{ID: "cancelMerge", Method: http.MethodDelete, Path: users + "/{user}/merge", Tag: "Users",
		Summary: "Take that back", Who: SignedIn, Right: "users"}}
	ActOnUsers = Operation[UsersAct, Page[ActedOn]]{Spec{ID: "actOnUsers", Method: http.MethodPost, Path: users + "/act", Tag: "Users",
		Summary: "Do something to some users", Note: "Each as if alone: what is refused for one holds up no other.", Who: SignedIn, Right: "users", Retry: true}}
	ActOnAllUsers = Operation[ActOnAllIn, UserJob]{Spec{ID: "actOnAllUsers", Method: http.MethodPost, Path: userJobs, Tag: "Users",
		Summary: "Do something to all users that match", Who: SignedIn, Right: "users", Status: http.StatusCreated, Retry: true}}
	GetUserJob = Operation[UserJobPath, UserJob]{Spec{ID: "getUserJob", Method: http.MethodGet, Path: userJobs + "/{job}", Tag: "Users",
		Summary: "How far it is", Who: SignedIn, Right: "users"}}
	ListUserJobRows = Operation[UserJobRowsIn, Page[ActedOn]]{Spec{ID: "listUserJobRows", Method: http.MethodGet, Path: userJobs + "/{job}/rows", Tag: "Users",
		Summary: "What became of each user", Who: SignedIn, Right: "users"}}
	StopUserJob = Operation[UserJobPath, None]{Spec{ID: "stopUserJob", Method: http.MethodDelete, Path: userJobs + "/{job}", Tag: "Users",
		Summary: "Stop it; what was done stays", Who: SignedIn, Right: "users", Fails: []int{409}}}

	ListInvitations = Operation[InvitationsIn, Page[Invitation]]{Spec{ID: "listInvitations", Method: http.MethodGet, Path: invitations, Tag: "Invitations",
		Summary: "List open invitations", Who: SignedIn, Right: "users"}}
	Invite = Operation[InvitationIn, Invitation]{Spec{ID: "invite", Method: http.MethodPost, Path: invitations, Tag: "Invitations",
		Summary: "Invite somebody by mail", Who: SignedIn, Right: "users", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	ResendInvitation = Operation[InvitationPath, Invitation]{Spec{ID: "resendInvitation", Method: http.MethodPost, Path: invitations + "/{invitation}/resend", Tag: "Invitations",
		Summary: "Send an open invitation again, with another link", Who: SignedIn, Right: "users", Retry: true}}
	RevokeInvitation = Operation[InvitationPath, None]{Spec{ID: "revokeInvitation", Method: http.MethodDelete, Path: invitations + "/{invitation}", Tag: "Invitations",
		Summary: "End an open invitation", Who: SignedIn, Right: "users"}}
)
