package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
)

// Permissions are what a message allows its recipients, and asks of them, as it
// is kept with it.
type Permissions struct {
	Reply    *bool  `json:"reply,omitempty"`
	ReplyAll *bool  `json:"reply_all,omitempty"`
	Forward  *bool  `json:"forward,omitempty"`
	Offline  *bool  `json:"offline,omitempty"`
	Server   bool   `json:"server_decrypt,omitempty"`
	Scripts  bool   `json:"script_free,omitempty"`
	Level    string `json:"level,omitempty"`
	// Passphrase: opening takes one that nobody here knows.
	Passphrase bool `json:"passphrase,omitempty"`
	Lease      *int `json:"lease_days,omitempty"` // days, at most
}

// ReadPermissions reads a message's permissions as Encode writes them; "" says
// nothing.
func ReadPermissions(text string) (p Permissions, err error) {
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Permissions{}, fmt.Errorf("read permissions: %w", err)
	}
	return p, nil
}

// Encode writes permissions as ReadPermissions reads them; what says nothing is "".
func (p Permissions) Encode() string {
	if p == (Permissions{}) {
		return ""
	}
	return encode(p)
}

// Within are p for a message of somebody who is in groups that say these: a group
// may only tighten.
func (p Permissions) Within(groups ...Layer) Permissions {
	no := false
	for _, g := range groups {
		if level := g["level"]; Stricter(cmp.Or(p.Level, Medium), level) == level && level != "" {
			p.Level = level
		}
		if g["reply"] == "false" {
			p.Reply, p.ReplyAll = &no, &no
		}
		if g["forward"] == "false" {
			p.Forward = &no
		}
		if days, err := strconv.Atoi(g["lease_days"]); err == nil && (p.Lease == nil || days < *p.Lease) {
			p.Lease = &days
		}
	}
	return p
}

// Under are the permissions of a message of an account: an account may only
// tighten what the message says, and where that says nothing, decides. What a
// passphrase protects the server does not open, nor is it passed on: it would
// come through the server, and be sealed without one.
func (p Permissions) Under(s Settings) Allowed {
	yes := func(b *bool, otherwise bool) bool {
		if b == nil {
			return otherwise
		}
		return *b
	}
	level := p.Level
	if level == "" {
		level = Medium
	}
	level = Stricter(level, s.Level)
	lease := s.LeaseDays
	if p.Lease != nil {
		lease = min(lease, *p.Lease)
	}
	if level == High || p.Passphrase || !yes(p.Offline, true) {
		lease = 0 // what asks for a proof at each opening is not opened without one
	}
	return Allowed{
		Level: level, Reply: s.Reply && yes(p.Reply, true), ReplyAll: s.Reply && yes(p.ReplyAll, yes(p.Reply, true)),
		Forward: s.Forward && yes(p.Forward, true) && !p.Passphrase, Online: s.Online && !p.Passphrase, Lease: lease,
	}
}

// Allowed is what holds for one message in the end.
type Allowed struct {
	Level    string // Low, Medium or High
	Reply    bool
	ReplyAll bool
	Forward  bool
	Online   bool // the server may open it for a browser that cannot
	Lease    int  // days for which a device may open it again by itself, 0: none
}
