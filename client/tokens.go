package client

import "net/http"

// Token is an API token, without what it is.
type Token struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Maker     string   `json:"maker" doc:"address of who made it: it never does more than they may at that moment"`
	Scopes    []string `json:"scopes" doc:"rights (users, messages, audit, reports, settings, integrations) and send"`
	CreatedAt Time     `json:"created_at"`
	ExpiresAt Time     `json:"expires_at"`
	UsedAt    Time     `json:"used_at" doc:"to the hour"`
}

// NewToken is what was just made.
type NewToken struct {
	Token  Token  `json:"token"`
	Secret string `json:"secret" doc:"pli_…, for Authorization: Bearer; it cannot be read again"`
}

// TokenIn asks for one.
type TokenIn struct {
	Account int64    `path:"account" doc:"account number"`
	Name    string   `json:"name"`
	Scopes  []string `json:"scopes" doc:"none that the caller does not have"`
	Days    int      `json:"days" doc:"1 to 365"`
	User    string   `json:"user,omitempty" doc:"id of whose it is to be, absent: the caller's; another's only at the command line of the service's host"`
}

// TokenPath names one.
type TokenPath struct {
	Account int64  `path:"account" doc:"account number"`
	Token   string `path:"token"`
}

// ListIn is a page of a list of an account.
type ListIn struct {
	Account int64  `path:"account" doc:"account number"`
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" max:"500" doc:"1 to 500, 50 unless said"`
}

const tokens = "/api/v1/accounts/{account}/tokens"

// An account's API tokens.
var (
	ListTokens = Operation[ListIn, Page[Token]]{Spec{ID: "listTokens", Method: http.MethodGet, Path: tokens, Tag: "Tokens",
		Summary: "List an account's API tokens, the newest first", Who: SignedIn, Right: "integrations"}}
	MakeToken = Operation[TokenIn, NewToken]{Spec{ID: "makeToken", Method: http.MethodPost, Path: tokens, Tag: "Tokens",
		Summary: "Make an API token for oneself", Note: "Made by a token, it has no scope that this does not have, and does not outlive it. The answer is the only one with the secret: no idempotency key is taken.",
		Who: SignedIn, Right: "integrations", Status: http.StatusCreated, Fails: []int{409}}}
	GetToken = Operation[TokenPath, Token]{Spec{ID: "getToken", Method: http.MethodGet, Path: tokens + "/{token}", Tag: "Tokens",
		Summary: "One API token", Who: SignedIn, Right: "integrations"}}
	RevokeToken = Operation[TokenPath, None]{Spec{ID: "revokeToken", Method: http.MethodDelete, Path: tokens + "/{token}", Tag: "Tokens",
		Summary: "End an API token, at once", Who: SignedIn, Right: "integrations"}}
)
