package client

import "net/http"

// AccountMessage is a message of an account, for its administrators: never what it says.
type AccountMessage struct {
	ID         string          `json:"id"`
	Sender     string          `json:"sender" doc:"address"`
	SenderName string          `json:"sender_name"`
	SealedAt   Time            `json:"sealed_at"`
	ExpiresAt  Time            `json:"expires_at"`
	State      string          `json:"state" enum:"active,locked,expired,gone,recalled"`
	Recipients []SentRecipient `json:"recipients"`
}

// AccountMessagesIn is a page of an account's messages, the newest first.
type AccountMessagesIn struct {
	Account   int64  `path:"account" doc:"account number"`
	Filter    string `query:"filter" enum:"notopened,opened,locked,expired" doc:"only these"`
	Query     string `query:"q" doc:"a reference, or an address: of the recipient, or where nothing was sent to it of the sender"`
	Sender    string `query:"sender" doc:"address"`
	Recipient string `query:"recipient" doc:"address"`
	From      Time   `query:"from" doc:"sealed from then on"`
	Until     Time   `query:"until" doc:"sealed before then"`
	After     string `query:"after" doc:"next of the page before"`
	Limit     int    `query:"limit" max:"200" doc:"1 to 200, 50 unless said"`
}

// AccountMessagePath names one.
type AccountMessagePath struct {
	Account int64  `path:"account" doc:"account number"`
	Message string `path:"message"`
}

// MessageAct does something to a message of an account.
type MessageAct struct {
	Account int64  `path:"account" doc:"account number"`
	Message string `path:"message"`
	Do      string `json:"do" enum:"lock,unlock,expire,recall,end,resend" doc:"expire: now; end: at another time; recall: also what waits is not sent; resend: the mail to one recipient"`
	Slot    string `json:"slot,omitempty" doc:"of one recipient; absent: everybody's"`
	Reason  string `json:"reason,omitempty" doc:"of lock: shown to who holds the mail; at most 200 characters"`
	Until   Time   `json:"until,omitempty" doc:"of end; absent: never, or for one recipient as the message"`
}

// MessagesAct does something to all messages that a search finds, 1,000 at a time.
// A search that nothing narrows is refused unless All says that it is meant.
type MessagesAct struct {
	Account   int64  `path:"account" doc:"account number"`
	Do        string `json:"do" enum:"lock,unlock,expire"`
	Filter    string `json:"filter,omitempty" enum:"notopened,opened,locked,expired"`
	Query     string `json:"q,omitempty" doc:"a reference, or an address, as the list takes it; sender and recipient leave no doubt"`
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty" doc:"an address: only what went to it is acted on, and no other recipient's"`
	From      Time   `json:"from,omitempty"`
	Until     Time   `json:"until,omitempty"`
	All       bool   `json:"all,omitempty" doc:"must be true where nothing narrows the search: all messages of the account"`
	After     string `json:"after,omitempty" doc:"next of the answer before"`
}

// MessagesActed is what an act on many came to.
type MessagesActed struct {
	Changed   int    `json:"changed" doc:"messages"`
	Same      int    `json:"same" doc:"that were so already"`
	Refused   int    `json:"refused" doc:"that it could not be done to"`
	Opened    int    `json:"opened" doc:"recipients, of those changed, who had opened it before"`
	Sender    string `json:"sender,omitempty" doc:"of the messages that it was done to, where that narrowed them: also if q meant it"`
	Recipient string `json:"recipient,omitempty" doc:"likewise"`
	Broken    bool   `json:"broken,omitempty" doc:"it broke off: what is counted is done, and next is where to go on"`
	Next      string `json:"next,omitempty" doc:"where to go on, as after, with the same search; absent at the end"`
}

const accountMessages = accountPath + "/messages"

// An account's messages, without what they say.
var (
	ListAccountMessages = Operation[AccountMessagesIn, Page[AccountMessage]]{Spec{ID: "listAccountMessages", Method: http.MethodGet, Path: accountMessages, Tag: "Account messages",
		Summary: "List an account's messages, the newest first", Who: SignedIn, Right: "messages"}}
	GetAccountMessage = Operation[AccountMessagePath, AccountMessage]{Spec{ID: "getAccountMessage", Method: http.MethodGet, Path: accountMessages + "/{message}", Tag: "Account messages",
		Summary: "One message", Who: SignedIn, Right: "messages"}}
	ActOnAccountMessage = Operation[MessageAct, Acted]{Spec{ID: "actOnAccountMessage", Method: http.MethodPost, Path: accountMessages + "/{message}/act", Tag: "Account messages",
		Summary: "Lock, unlock, end, withdraw or send again", Who: SignedIn, Right: "messages", Fails: []int{409, 410}, Retry: true}}
	ActOnAccountMessages = Operation[MessagesAct, MessagesActed]{Spec{ID: "actOnAccountMessages", Method: http.MethodPost, Path: accountMessages + "/act", Tag: "Account messages",
		Summary: "Lock, unlock or end all that a search finds, 1,000 in one call", Who: SignedIn, Right: "messages", Retry: true}}
)
