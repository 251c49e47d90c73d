package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Levels say how a recipient proves who they are: low once on each device,
// medium in each session, high every time, with a second factor. "" says
// nothing.
const (
	Low    = "low"
	Medium = "medium"
	High   = "high"
)

var levels = []string{"", Low, Medium, High}

// IsLevel reports whether s is a level.
func IsLevel(s string) bool { return s != "" && slices.Contains(levels, s) }

// Stricter is the stricter of two levels.
func Stricter(a, b string) string {
	return levels[max(slices.Index(levels, a), slices.Index(levels, b), 0)]
}

// How an answer reaches who sent the envelope.
const (
	RepliesSealed = "sealed" // as an envelope of its own
	RepliesTLS    = "tls"    // as plain mail where its domain's server is proved, else as an envelope
)

// Settings are what an account decides for its envelopes. The zero value is
// what a new account has.
type Settings struct {
	Level      string `json:"level,omitempty"`       // the least for its envelopes; "": low
	NoReply    bool   `json:"no_reply,omitempty"`    // recipients may not answer
	Forward    bool   `json:"forward,omitempty"`     // recipients may pass it on, sealed
	NoOnline   bool   `json:"no_online,omitempty"`   // the server opens nothing for a browser without script
	Replies    string `json:"replies,omitempty"`     // RepliesSealed or RepliesTLS; "": sealed
	LeaseDays  int    `json:"lease_days,omitempty"`  // how long a reader's device may open again by itself, 0: not at all
	RecordDays int    `json:"record_days,omitempty"` // how long what is known of an ended envelope is kept; 0: for ever
}

// setting is one of Settings as the command line names it.
type setting struct {
	name string
	get  func(*Settings) string
	set  func(*Settings, string) bool
}

func flagSetting(name string, of func(*Settings) *bool, not bool) setting {
	return setting{name,
		func(s *Settings) string { return strconv.FormatBool(*of(s) != not) },
		func(s *Settings, v string) bool {
			*of(s) = (v == "true") != not
			return v == "true" || v == "false"
		}}
}

func wordSetting(name string, of func(*Settings) *string, words ...string) setting {
	return setting{name,
		func(s *Settings) string {
			if *of(s) == "" {
				return words[0]
			}
			return *of(s)
		},
		func(s *Settings, v string) bool { *of(s) = v; return slices.Contains(words, v) }}
}

func daysSetting(name string, of func(*Settings) *int) setting {
	return setting{name,
		func(s *Settings) string { return strconv.Itoa(*of(s)) },
		func(s *Settings, v string) bool {
			n, err := strconv.Atoi(v)
			*of(s) = n
			return err == nil && n >= 0 && n <= 36500
		}}
}

var settings = []setting{
	wordSetting("level", func(s *Settings) *string { return &s.Level }, Low, Medium, High),
	flagSetting("reply", func(s *Settings) *bool { return &s.NoReply }, true),
	flagSetting("forward", func(s *Settings) *bool { return &s.Forward }, false),
	flagSetting("online", func(s *Settings) *bool { return &s.NoOnline }, true),
	wordSetting("replies", func(s *Settings) *string { return &s.Replies }, RepliesSealed, RepliesTLS),
	daysSetting("lease_days", func(s *Settings) *int { return &s.LeaseDays }),
	daysSetting("record_days", func(s *Settings) *int { return &s.RecordDays }),
}

// SettingNames are the settings, in the order in which they are shown.
func SettingNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

// Get is a setting as it is written.
func (s Settings) Get(name string) string {
	for _, x := range settings {
		if x.name == name {
			return x.get(&s)
		}
	}
	return ""
}

// Set changes a setting; false: there is none of that name, or not with that value.
func (s *Settings) Set(name, value string) bool {
	for _, x := range settings {
		if x.name == name {
			return x.set(s, value)
		}
	}
	return false
}

// ReadSettings reads an account's settings as Encode writes them.
func ReadSettings(text string) (s Settings, err error) {
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	return s, nil
}

// Encode writes settings as ReadSettings reads them.
func (s Settings) Encode() string { return encode(s) }

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
	if level == High || p.Passphrase || !yes(p.Offline, true) {
		lease = 0 // what asks for a proof at each opening is not opened without one
	}
	return Allowed{
		Level: level, Reply: !s.NoReply && yes(p.Reply, true), ReplyAll: !s.NoReply && yes(p.ReplyAll, yes(p.Reply, true)),
		Forward: s.Forward && yes(p.Forward, true) && !p.Passphrase, Online: !s.NoOnline && !p.Passphrase, Lease: lease,
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

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing in these types cannot be written
	}
	return string(b)
}
