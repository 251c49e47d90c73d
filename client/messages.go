package client

import (
	"io"
	"net/http"
)

// RegisterIn are the service's halves of an envelope that was sealed elsewhere
// (docs/spec/envelope-v1.md). The payload stays with the sender, who has the file.
type RegisterIn struct {
	MH          string   `json:"mh" doc:"the header"`
	HH          string   `json:"hh" doc:"hash of the header, 32 bytes"`
	PH          string   `json:"ph" doc:"hash of the payload, 32 bytes"`
	PayloadSize int64    `json:"payload_size"`
	Subject     string   `json:"subject,omitempty"`
	Note        string   `json:"note,omitempty"`
	ExpiresAt   string   `json:"expires_at,omitempty" doc:"RFC 3339; the account's days from now where absent"`
	Level       string   `json:"level,omitempty" enum:"low,medium,high"`
	Passphrase  bool     `json:"passphrase,omitempty" doc:"the other half is masked by a passphrase"`
	Larges      []string `json:"larges,omitempty" doc:"ids of the large files whose keys are in it"`
	Slots       []SlotIn `json:"slots"`
}

// SlotIn is one recipient's part.
type SlotIn struct {
	Slot    string `json:"slot"`
	Address string `json:"address"`
	RH      string `json:"rh"`
	Wrap    string `json:"wrap" doc:"48 bytes"`
	S       string `json:"s" doc:"the service's half; nobody else may have it"`
	Pop     string `json:"pop" doc:"32 bytes, proves possession of the other half"`
}

// Registered is what an envelope needs to be finished.
type Registered struct {
	Message string    `json:"message"`
	Seal    string    `json:"seal"`
	Slots   []SlotRef `json:"slots"`
}

// SlotRef is the reference that people see of a slot.
type SlotRef struct {
	Slot string `json:"slot"`
	Ref  string `json:"ref"`
}

// LargeIn begins a file too large for a mail.
type LargeIn struct {
	Size int64 `json:"size" doc:"bytes of ciphertext"`
}

// LargeID names one.
type LargeID struct {
	ID string `path:"id"`
}

// Large is how far a large file has come.
type Large struct {
	ID     string `json:"id"`
	Offset int64  `json:"offset" doc:"bytes that are durable here"`
	Size   int64  `json:"size"`
}

// LargePart is one part of it.
type LargePart struct {
	ID     string    `path:"id"`
	Offset int64     `header:"Upload-Offset" required:"true"`
	Body   io.Reader `body:"application/offset+octet-stream"`
}

// LargeOffset is where the next part begins.
type LargeOffset struct {
	Offset int64 `json:"offset"`
}

// Sending, by programs that seal for themselves.
var (
	RegisterMessage = Operation[RegisterIn, Registered]{Spec{ID: "registerMessage", Method: http.MethodPost, Path: "/api/v1/messages", Tag: "Sealing",
		Summary: "Register an envelope that was sealed by the caller", Who: SignedIn, Right: ScopeSend, Fails: []int{409}, MaxBody: 4 << 20, Retry: true}}
	NewLarge = Operation[LargeIn, Large]{Spec{ID: "newLarge", Method: http.MethodPost, Path: "/api/v1/large", Tag: "Sealing",
		Summary: "Begin a large file", Note: "See docs/reference/large-files.md.", Who: SignedIn, Retry: true}}
	GetLarge = Operation[LargeID, Large]{Spec{ID: "getLarge", Method: http.MethodGet, Path: "/api/v1/large/{id}", Tag: "Sealing",
		Summary: "How far a large file has come", Who: SignedIn}}
	AppendLarge = Operation[LargePart, LargeOffset]{Spec{ID: "appendLarge", Method: http.MethodPatch, Path: "/api/v1/large/{id}", Tag: "Sealing",
		Summary: "Add the next part", Who: SignedIn, Fails: []int{409}, MaxBody: 17 << 20}}
	DropLarge = Operation[LargeID, None]{Spec{ID: "dropLarge", Method: http.MethodDelete, Path: "/api/v1/large/{id}", Tag: "Sealing",
		Summary: "Give up a large file", Who: SignedIn}}
)
