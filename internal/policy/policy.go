// Package policy decides about mail in flight by an account's rules: whether it
// is sealed, how, and why. It is pure: no database, and no clock
// but to stop a search; what it must know of a message are its Facts.
//
// The precedence is fixed: the sender's choice (a keyword in the subject) >
// a header field > the kind of mail > the account's rules, in order > its default.
package policy

import (
	"io"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"strings"
)

// Action is what becomes of a message.
type Action string

// The actions.
const (
	Plain  Action = "plain"  // it passes as it came
	Seal   Action = "seal"   // it becomes an envelope
	TLS    Action = "tls"    // it passes as it came if the way is proved and encrypted, else it is sealed
	Refuse Action = "refuse" // it is not taken
)

// Rules are an account's rules, read by Parse.
type Rules struct {
	Version   int64 // of the rule set; 0: the default
	keywords  []string
	fallback  Action
	encrypted Action // "" = as any other mail
	calendar  Action // the same
	rules     []rule
	wishes    wishes // of the account
}

// rule is one rule: what is empty matches everything.
type rule struct {
	name         string
	sender       []who
	recipient    []who
	notRecipient []who
	sizeOver     int64
	attachment   []string
	sensitivity  []string
	subject      *expression
	text         *expression
	header       []headerMatch
	then         Action
	refusal      string
	wishes       wishes
}

// Named is a group that a rule names.
type Named struct {
	Rule  int // from 1
	Key   string
	Group string
}

// GroupKey is what two names of one group have in common: rules name it as somebody
// typed it, in whatever case, form of accents and width.
func GroupKey(name string) string {
	return cases.Fold().String(norm.NFKC.String(strings.Join(strings.Fields(name), " ")))
}

// Groups are the groups that rules name: one that there is not matches nobody.
func (r *Rules) Groups() (out []Named) {
	for i, x := range r.rules {
		for _, list := range []struct {
			key  string
			list []who
		}{{"sender", x.sender}, {"recipient", x.recipient}, {"not_recipient", x.notRecipient}} {
			for _, w := range list.list {
				if w.group != "" {
					out = append(out, Named{i + 1, list.key, w.group})
				}
			}
		}
	}
	return out
}

type headerMatch struct {
	name  string // lower case
	value *expression
}

// who is one entry of a list of addresses.
type who struct {
	written string
	address string // canonical, or ""
	domain  string // "" or a domain
	below   bool   // the domains below it, not itself
	group   string
}

// Options are how a message is sealed. The zero value says nothing.
type Options struct {
	Expires       time.Duration // from now; 0: as the account has it
	Receipt       *bool         // tell the sender when it is opened
	Remind        time.Duration // after which the sender is told who has not opened it, 0: not
	Reply         *bool
	ReplyAll      *bool
	Forward       *bool
	ScriptFree    bool  // the file comes without script
	ServerDecrypt bool  // the server may open it for a recipient whose browser cannot
	Offline       *bool // the reader's device may keep it for the account's lease_days; nil: as the account has it
	KeepSubject   bool
	Level         string // Low, Medium or High; "": nothing said

	keywords []string
}

// Permissions is what is kept with a message.
func (o Options) Permissions() Permissions {
	return Permissions{Reply: o.Reply, ReplyAll: o.ReplyAll, Forward: o.Forward, Offline: o.Offline, Server: o.ServerDecrypt, Scripts: o.ScriptFree, Level: o.Level}
}

// Subject is a message's subject without the account's keywords.
func (o Options) Subject(subject string) string { return withoutKeywords(subject, o.keywords) }

// Strictest joins the options of two recipients of one envelope.
func (o Options) Strictest(p Options) Options {
	both := func(a, b *bool) *bool {
		if a == nil || b != nil && !*b {
			return b
		}
		return a
	}
	o.Reply, o.ReplyAll, o.Forward, o.Offline = both(o.Reply, p.Reply), both(o.ReplyAll, p.ReplyAll), both(o.Forward, p.Forward), both(o.Offline, p.Offline)
	if p.Expires > 0 && (o.Expires == 0 || p.Expires < o.Expires) {
		o.Expires = p.Expires
	}
	if p.Remind > 0 && (o.Remind == 0 || p.Remind < o.Remind) {
		o.Remind = p.Remind
	}
	if o.Receipt == nil || p.Receipt != nil && *p.Receipt {
		o.Receipt = p.Receipt
	}
	o.Level = Stricter(o.Level, p.Level)
	o.ScriptFree = o.ScriptFree || p.ScriptFree
	o.ServerDecrypt, o.KeepSubject = o.ServerDecrypt && p.ServerDecrypt, o.KeepSubject && p.KeepSubject
	return o
}

// Facts are what is known of one message.
type Facts struct {
	Sender     mailaddr.Address
	NullSender bool // it has no return path: a bounce, or an answer by a program
	Subject    string
	Header     message.Header
	Size       int64 // octets
	Parts      []envelope.Part
	Invites    bool // as message.Indexer.Invites has it
	// Groups gives the names of an address's groups; it is asked where a rule names one.
	Groups func(mailaddr.Address) ([]string, error)
	// Text writes the message's text as UTF-8, at most limit octets; it is asked
	// where a rule looks into it. An error of dst ends it.
	Text func(dst io.Writer, limit int64) error
}

// Decision is what becomes of a message for one recipient.
type Decision struct {
	Action  Action
	Options Options
	Why     Why
	Refusal string // what the sender is told where a rule refuses
}

// Ways of Why.
const (
	WayNone = "none" // no protected way
	WayDANE = "dane"
	WaySTS  = "mta-sts"
	WayPin  = "pinned"
)

// Sources of a decision.
const (
	SourceKeyword = "keyword"
	SourceHeader  = "header"
	SourceKind    = "kind"
	SourceRule    = "rule"
	SourceDefault = "default"
	SourceNull    = "null"
)

// Why says what decided, as the row of a transit keeps it.
type Why struct {
	Source  string   `json:"source"`
	What    string   `json:"what,omitempty"`    // the keyword, the field, the kind
	Rule    string   `json:"rule,omitempty"`    // its name
	Number  int      `json:"number,omitempty"`  // of the rule, from 1
	Matched []string `json:"matched,omitempty"` // the conditions that matched: size, attachment:PATTERN, …
	Way     string   `json:"way,omitempty"`     // for TLS
	Ignored []string `json:"ignored,omitempty"` // fields that could not be read
	Version int64    `json:"version,omitempty"` // of the rule set
}
