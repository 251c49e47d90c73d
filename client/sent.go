package client

import "net/http"

// SendIn is a message that the server seals and sends, from the caller.
type SendIn struct {
	To       []string   `json:"to" doc:"addresses, at most 100 with cc"`
	Cc       []string   `json:"cc,omitempty"`
	Subject  string     `json:"subject,omitempty" doc:"at most 200 characters; in the envelope"`
	Note     string     `json:"note,omitempty" doc:"at most 500 characters; seen before opening"`
	Text     string     `json:"text,omitempty"`
	Files    []SendFile `json:"files,omitempty"`
	Expires  Time       `json:"expires_at,omitempty" doc:"the account's days from now unless said"`
	Notify   bool       `json:"notify,omitempty" doc:"tell the sender when it is opened"`
	Level    string     `json:"level,omitempty" enum:"low,medium,high"`
	Language string     `json:"language,omitempty" enum:"en,fr,both" doc:"of the notice, en unless said; a recipient who is a user gets their own"`
}

// SendFile is an attached file.
type SendFile struct {
	Name    string `json:"name"`
	Type    string `json:"type,omitempty" doc:"media type"`
	Content string `json:"content" doc:"base64, with padding"`
}

// SentRef is a message that was sent.
type SentRef struct {
	Message string   `json:"message"`
	Refs    []string `json:"refs" doc:"that people see, one per recipient"`
}

// SentMessage is a message that the caller sent.
type SentMessage struct {
	ID         string          `json:"id"`
	Subject    string          `json:"subject" doc:"empty once the key has been destroyed"`
	SealedAt   Time            `json:"sealed_at"`
	ExpiresAt  Time            `json:"expires_at"`
	State      string          `json:"state" enum:"active,locked,expired,gone,recalled"`
	Recipients []SentRecipient `json:"recipients"`
}

// SentRecipient is one of its recipients.
type SentRecipient struct {
	Slot      string `json:"slot"`
	Ref       string `json:"ref"`
	Email     string `json:"email"`
	State     string `json:"state" enum:"active,locked,expired,gone,recalled"`
	Delivery  string `json:"delivery,omitempty" enum:"queued,passing,sent,bounced,none,withdrawn"`
	Openings  int    `json:"openings"`
	FirstOpen Time   `json:"first_opened_at"`
	LastOpen  Time   `json:"last_opened_at"`
}

// ListSentIn is a page of what the caller sent.
type ListSentIn struct {
	Filter string `query:"filter" enum:"notopened,opened,locked,expired" doc:"only these"`
	Query  string `query:"q" doc:"a reference, a recipient's address, or part of a subject"`
	From   Time   `query:"from" doc:"sealed from then on"`
	Until  Time   `query:"until" doc:"sealed before then"`
	After  string `query:"after" doc:"next of the page before"`
	Limit  int    `query:"limit" max:"200" doc:"1 to 200, 50 unless said"`
}

// MessagePath names a message.
type MessagePath struct {
	Message string `path:"message"`
}

// LockIn locks one, or one recipient's.
type LockIn struct {
	Message string `path:"message"`
	Slot    string `json:"slot,omitempty" doc:"of one recipient; absent: everybody's"`
	Reason  string `json:"reason,omitempty" doc:"shown to who holds the mail; at most 200 characters"`
}

// ActIn does something to a message, or to one recipient's.
type ActIn struct {
	Message string `path:"message"`
	Slot    string `json:"slot,omitempty" doc:"of one recipient; absent: everybody's"`
}

// ResendIn sends a notice again.
type ResendIn struct {
	Message string `path:"message"`
	Slot    string `json:"slot"`
}

// Acted is what an act came to.
type Acted struct {
	Changed bool `json:"changed" doc:"false: it was so already"`
	Opened  int  `json:"opened" doc:"recipients concerned who had opened it before"`
	Unsent  int  `json:"unsent,omitempty" doc:"mails that had not left and never will"`
}

const messages = "/api/v1/messages"

// What the caller sends and has sent.
var (
	SendMessage = Operation[SendIn, SentRef]{Spec{ID: "sendMessage", Method: http.MethodPost, Path: messages + "/send", Tag: "Messages",
		Summary: "Seal a message on the server and send it", Note: "The text passes through the server, which keeps none of it; who would not have that seals at home and registers.",
		Who: SignedIn, Right: ScopeSend, Status: http.StatusCreated, Retry: true, MaxBody: 40 << 20}}
	ListSent = Operation[ListSentIn, Page[SentMessage]]{Spec{ID: "listSent", Method: http.MethodGet, Path: messages, Tag: "Messages",
		Summary: "List what the caller has sent, the newest first", Who: SignedIn, Right: ScopeSend}}
	GetSent = Operation[MessagePath, SentMessage]{Spec{ID: "getSent", Method: http.MethodGet, Path: messages + "/{message}", Tag: "Messages",
		Summary: "One message that the caller has sent", Who: SignedIn, Right: ScopeSend}}
	LockSent = Operation[LockIn, Acted]{Spec{ID: "lockSent", Method: http.MethodPost, Path: messages + "/{message}/lock", Tag: "Messages",
		Summary: "Let nobody open it for now", Who: SignedIn, Right: ScopeSend, Fails: []int{410}, Retry: true}}
	UnlockSent = Operation[ActIn, Acted]{Spec{ID: "unlockSent", Method: http.MethodPost, Path: messages + "/{message}/unlock", Tag: "Messages",
		Summary: "Let it be opened again", Who: SignedIn, Right: ScopeSend, Fails: []int{410}, Retry: true}}
	ExpireSent = Operation[ActIn, Acted]{Spec{ID: "expireSent", Method: http.MethodPost, Path: messages + "/{message}/expire", Tag: "Messages",
		Summary: "End it now; its keys are destroyed", Who: SignedIn, Right: ScopeSend, Retry: true}}
	RecallSent = Operation[ActIn, Acted]{Spec{ID: "recallSent", Method: http.MethodPost, Path: messages + "/{message}/recall", Tag: "Messages",
		Summary: "Withdraw it; what waits is not sent, and its keys are destroyed", Who: SignedIn, Right: ScopeSend, Retry: true}}
	ResendSent = Operation[ResendIn, Acted]{Spec{ID: "resendSent", Method: http.MethodPost, Path: messages + "/{message}/resend", Tag: "Messages",
		Summary: "Send one recipient the mail again", Who: SignedIn, Right: ScopeSend, Fails: []int{409, 410}, Retry: true}}
)
