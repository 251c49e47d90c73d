package client

import "net/http"

// Server is what a program must know of a server before it speaks to it.
type Server struct {
	Origin  string `json:"origin" doc:"as envelopes carry it"`
	SealKey string `json:"seal_key" doc:"Ed25519 public key of the service's seals"`
	Online  bool   `json:"online" doc:"envelopes of the caller's account say that the server may open them"`

	Attachments int64 `json:"attachments" doc:"bytes of the files of a mail"`
	Large       int64 `json:"large" doc:"bytes of a file beside a mail; 0: none is taken"`
}

// Session is what a person or a visitor is known by. Keep the token like a password.
type Session struct {
	Token     string       `json:"token"`
	Scope     string       `json:"scope" enum:"visitor,second,mailbox,set-password,set-second,full" doc:"second: a second factor is still to be proved; mailbox: an administrator set the password, and a mailed code is still to be typed, in the browser; set-password: a temporary password is still to be replaced, in the browser; set-second: a second factor is required, and to be set up in the browser"`
	ExpiresAt Time         `json:"expires_at"`
	User      *SessionUser `json:"user,omitempty"`
}

// SessionUser is whose session it is.
type SessionUser struct {
	Email   string `json:"email"`
	Name    string `json:"name"`
	Account int64  `json:"account,omitempty" doc:"account number, absent for a person of none"`
}

// SignInIn is an address and its password.
type SignInIn struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// SecondIn is a code of an authenticator app, or a recovery code.
type SecondIn struct {
	Code string `json:"code"`
}

// The session's operations.
var (
	GetServer = Operation[None, Server]{Spec{ID: "getServer", Method: http.MethodGet, Path: "/api/v1/server", Tag: "Session",
		Summary: "What the server is", Who: Anyone, Right: AnyScope}}
	Visit = Operation[None, Session]{Spec{ID: "visit", Method: http.MethodPost, Path: "/api/v1/visit", Tag: "Session",
		Summary: "Begin a visitor's session, for opening an envelope", Who: Anyone}}
	SignIn = Operation[SignInIn, Session]{Spec{ID: "signIn", Method: http.MethodPost, Path: "/api/v1/session", Tag: "Session",
		Summary: "Sign in with a password", Who: Anyone}}
	ProveSecond = Operation[SecondIn, Session]{Spec{ID: "proveSecond", Method: http.MethodPost, Path: "/api/v1/session/second", Tag: "Session",
		Summary: "Prove the second factor; the session goes on under another token", Who: SignedIn}}
	SignOut = Operation[None, None]{Spec{ID: "signOut", Method: http.MethodDelete, Path: "/api/v1/session", Tag: "Session",
		Summary: "End the session", Who: Anyone}}
)
