package client

import "net/http"

// ChallengeIn names an envelope by its slot, or by the reference that people see.
type ChallengeIn struct {
	Slot string `json:"slot,omitempty"`
	Ref  string `json:"ref,omitempty"`
}

// Challenge is what to prove possession with. An unknown envelope gets an
// answer like any other.
type Challenge struct {
	Slot    string `json:"slot"`
	Message string `json:"message"`
	HH      string `json:"hh"`
	Nonce   string `json:"nonce"`
}

// PossessionIn is the HMAC over the nonce (envelope-v1.md).
type PossessionIn struct {
	Slot  string `json:"slot"`
	Proof string `json:"proof" doc:"32 bytes"`
}

// Proved says where it goes on.
type Proved struct {
	Ref  string `json:"ref"`
	Next string `json:"next" doc:"page of this server"`
}

// CodeIn asks for a mailed code. Who has not proved to hold the envelope names the address.
type CodeIn struct {
	Ref   string `json:"ref"`
	Email string `json:"email,omitempty"`
}

// CodeSent says where the code went, masked.
type CodeSent struct {
	Masked string `json:"masked"`
}

// VerifyIn is the code.
type VerifyIn struct {
	Ref  string `json:"ref"`
	Code string `json:"code"`
}

// Verified is the session that goes on. A browser has it as its cookie.
type Verified struct {
	Token string `json:"token,omitempty"`
}

// SlotName names a slot.
type SlotName struct {
	Slot string `json:"slot"`
}

// Released is the service's half of the key, with what to compare the envelope with.
type Released struct {
	S         string `json:"s"`
	HH        string `json:"hh"`
	PH        string `json:"ph"`
	Ref       string `json:"ref"`
	Sender    Sender `json:"sender"`
	SealedAt  Time   `json:"sealed_at"`
	ExpiresAt Time   `json:"expires_at"`
	Kept      bool   `json:"kept" doc:"the ciphertext is kept here too"`
}

// Sender is who sealed it.
type Sender struct {
	Name         string `json:"name"`
	Address      string `json:"address"`
	Organisation string `json:"organisation"`
	Verified     bool   `json:"verified" doc:"the domain is one of this service's"`
}

// Lease is how long a device may keep an envelope.
type Lease struct {
	Until Time   `json:"until"`
	Proof string `json:"proof" doc:"to ask with whether it still stands"`
}

// LeaseProof names a lease.
type LeaseProof struct {
	Proof string `json:"proof" required:"true"`
}

// LeaseStands says whether a lease still holds.
type LeaseStands struct {
	Stands bool `json:"stands" doc:"false: delete what was kept"`
}

// SlotPath names a slot in the path.
type SlotPath struct {
	Slot string `path:"slot"`
}

// LargePieceIn names a piece of a large file.
type LargePieceIn struct {
	Slot string `path:"slot"`
	ID   string `path:"id"`
	At   int64  `query:"at" required:"true" doc:"byte to begin at"`
}

// closed are the refusals of a locked, expired or withdrawn envelope.
var closed = []int{403, 404, 410}

// Opening an envelope.
var (
	AskChallenge = Operation[ChallengeIn, Challenge]{Spec{ID: "challenge", Method: http.MethodPost, Path: "/api/v1/open/challenge", Tag: "Opening",
		Summary: "Get a nonce to prove with that one holds an envelope", Who: Visitor}}
	ProvePossession = Operation[PossessionIn, Proved]{Spec{ID: "provePossession", Method: http.MethodPost, Path: "/api/v1/open/possession", Tag: "Opening",
		Summary: "Prove that one holds an envelope", Who: Visitor, Fails: closed}}
	SendCode = Operation[CodeIn, CodeSent]{Spec{ID: "sendCode", Method: http.MethodPost, Path: "/api/v1/open/code", Tag: "Opening",
		Summary: "Mail a code to the envelope's address", Who: Visitor, Fails: closed}}
	VerifyCode = Operation[VerifyIn, Verified]{Spec{ID: "verifyCode", Method: http.MethodPost, Path: "/api/v1/open/verify", Tag: "Opening",
		Summary: "Prove the address with the code", Who: Visitor, Fails: closed}}
	Release = Operation[SlotName, Released]{Spec{ID: "release", Method: http.MethodPost, Path: "/api/v1/open/release", Tag: "Opening",
		Summary: "Get the service's half of the key", Note: "Recorded as an opening. Nothing else gives it.", Who: Visitor, Fails: closed}}
	TakeLease = Operation[SlotName, Lease]{Spec{ID: "takeLease", Method: http.MethodPost, Path: "/api/v1/open/lease", Tag: "Opening",
		Summary: "Let this device keep an envelope for a while", Note: "Recorded. It gives no key: whoever has opened the envelope asks before they keep it. " +
			"Refused where the account or the message does not allow it, at the level *high*, and with a passphrase.", Who: Visitor, Fails: closed}}
	CheckLease = Operation[LeaseProof, LeaseStands]{Spec{ID: "checkLease", Method: http.MethodPost, Path: "/api/v1/open/lease/check", Tag: "Opening",
		Summary: "Ask whether a lease still stands", Note: "Needs no session. A device that is told no deletes what it keeps.", Who: Anyone}}
	GetCiphertext = Operation[SlotPath, *Stream]{Spec{ID: "getCiphertext", Method: http.MethodGet, Path: "/api/v1/open/envelope/{slot}", Tag: "Opening",
		Summary: "Get the kept ciphertext", Who: Anyone, Fails: closed}}
	GetLargePiece = Operation[LargePieceIn, *Stream]{Spec{ID: "getLargePiece", Method: http.MethodGet, Path: "/api/v1/open/large/{slot}/{id}", Tag: "Opening",
		Summary: "Get a piece of a large file's ciphertext", Who: Anyone, Fails: closed}}
)
