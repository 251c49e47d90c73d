package client

import "net/http"

// Upstream is a mail server that hands mail to the gateway for an account.
type Upstream struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Value     string `json:"value" doc:"networks, or the hash of a certificate's public key"`
	Forwards  bool   `json:"forwards,omitempty" doc:"its mail may name foreign domains in From"`
	CreatedAt Time   `json:"created_at"`
}

// An account's upstreams. Operators add and remove them, on the service's host.
var (
	ListUpstreams = Operation[Account, Page[Upstream]]{Spec{ID: "listUpstreams", Method: http.MethodGet, Path: accountPath + "/upstreams", Tag: "Upstreams",
		Summary: "List the mail servers that hand mail over for an account", Who: SignedIn, Right: "settings"}}
)
