package client

import "net/http"

// Domain is a mail domain of an account, or one that waits for its proof.
type Domain struct {
	Domain    string      `json:"domain"`
	State     string      `json:"state" enum:"waiting,verified"`
	CreatedAt Time        `json:"created_at"`
	CheckedAt Time        `json:"checked_at" doc:"of the last look at DNS"`
	Senders   string      `json:"senders_group,omitempty" doc:"the group whose members may send under it; absent: whoever has an address in it"`
	Records   []DNSRecord `json:"records,omitempty" doc:"that it should have; only of a single domain"`
	Keys      []DKIMKey   `json:"keys,omitempty" doc:"that sign its mail; only of a single domain"`

	ETag string `json:"-" header:"ETag"`
}

// DNSRecord is a TXT record.
type DNSRecord struct {
	For   string `json:"for" enum:"proof,spf,dkim,dmarc"`
	Name  string `json:"name"`
	Value string `json:"value"`
	State string `json:"state,omitempty" enum:"ok,weak,missing,wrong,none" doc:"what the last look found; absent before the first"`
	Found string `json:"found,omitempty" doc:"what is there instead"`
}

// DKIMKey is a signing key, without its private part.
type DKIMKey struct {
	Selector string `json:"selector"`
	State    string `json:"state" enum:"waiting,active,retired"`
	Since    Time   `json:"since"`
}

// Account names an account.
type Account struct {
	Account int64 `path:"account" doc:"account number"`
}

// DomainPath names a domain of an account.
type DomainPath struct {
	Account int64  `path:"account" doc:"account number"`
	Domain  string `path:"domain"`
}

// DomainAct acts on one.
type DomainAct struct {
	Account int64  `path:"account" doc:"account number"`
	Domain  string `path:"domain"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// DomainIn names a new one.
type DomainIn struct {
	Account int64  `path:"account" doc:"account number"`
	Domain  string `json:"domain"`
}

// DomainChange says who may send.
type DomainChange struct {
	Account int64  `path:"account" doc:"account number"`
	Domain  string `path:"domain"`
	Senders string `json:"senders_group" doc:"a group's id, empty for whoever has an address in the domain"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

// DKIMKeyPath names a key.
type DKIMKeyPath struct {
	Account  int64  `path:"account" doc:"account number"`
	Domain   string `path:"domain"`
	Selector string `path:"selector"`
	IfMatch  string `header:"If-Match" doc:"ETag that the domain must still have"`
}

const domains = "/api/v1/accounts/{account}/domains"

// An account's domains.
var (
	ListDomains = Operation[Account, Page[Domain]]{Spec{ID: "listDomains", Method: http.MethodGet, Path: domains, Tag: "Domains",
		Summary: "List an account's domains, and those that wait for their proof", Who: SignedIn, Right: "settings"}}
	ClaimDomain = Operation[DomainIn, Domain]{Spec{ID: "claimDomain", Method: http.MethodPost, Path: domains, Tag: "Domains",
		Summary: "Say that a domain is the account's; it is once DNS has the record", Who: SignedIn, Right: "settings", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	GetDomain = Operation[DomainPath, Domain]{Spec{ID: "getDomain", Method: http.MethodGet, Path: domains + "/{domain}", Tag: "Domains",
		Summary: "A domain with the records that it should have", Who: SignedIn, Right: "settings"}}
	CheckDomain = Operation[DomainPath, Domain]{Spec{ID: "checkDomain", Method: http.MethodPost, Path: domains + "/{domain}/check", Tag: "Domains",
		Summary: "Look at DNS now", Who: SignedIn, Right: "settings", Fails: []int{409}, Retry: true}}
	ChangeDomain = Operation[DomainChange, Domain]{Spec{ID: "changeDomain", Method: http.MethodPatch, Path: domains + "/{domain}", Tag: "Domains",
		Summary: "Say who may send under a domain", Who: SignedIn, Right: "settings"}}
	RemoveDomain = Operation[DomainAct, None]{Spec{ID: "removeDomain", Method: http.MethodDelete, Path: domains + "/{domain}", Tag: "Domains",
		Summary: "Take a domain from the account; its keys are destroyed", Who: SignedIn, Right: "settings"}}
	MakeDKIMKey = Operation[DomainAct, Domain]{Spec{ID: "makeDkimKey", Method: http.MethodPost, Path: domains + "/{domain}/keys", Tag: "Domains",
		Summary: "Make a signing key; it signs once DNS has its record", Who: SignedIn, Right: "settings", Status: http.StatusCreated, Fails: []int{409}, Retry: true}}
	RemoveDKIMKey = Operation[DKIMKeyPath, None]{Spec{ID: "removeDkimKey", Method: http.MethodDelete, Path: domains + "/{domain}/keys/{selector}", Tag: "Domains",
		Summary: "Destroy a signing key", Who: SignedIn, Right: "settings"}}
)
