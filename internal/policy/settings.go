package policy

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/brand"
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

// What a notification's subject says.
const (
	SubjectNeutral = "neutral" // nothing
	SubjectRules   = "rules"   // nothing, but what an account's rule keeps
	SubjectKeep    = "keep"    // the message's
)

// Who needs a second factor to sign in.
const (
	SecondNobody         = "nobody"
	SecondAdministrators = "administrators" // who holds some right
	SecondEverybody      = "everybody"
)

// MinPassword is how many characters (code points after NFC) a password has at
// least that its person chooses: it may be the only factor (NIST SP 800-63B-4).
const MinPassword = 15

// Settings are what holds for an account, or for what one of its users sends:
// all layers together.
type Settings struct {
	Level      string // the least for its envelopes
	Reply      bool   // recipients may answer
	Forward    bool   // recipients may pass it on, sealed
	Replies    string // RepliesSealed or RepliesTLS
	Online     bool   // the server may open one for a browser without script
	LeaseDays  int    // how long a reader's device may open again by itself, 0: not at all
	ExpiryDays int    // how long an envelope can be opened where its sender does not say, 0: for ever
	ExpiryMax  int    // how long one can be opened at most, 0: for ever
	Subject    string // SubjectNeutral, SubjectRules or SubjectKeep
	Attach     bool   // the mail carries the envelope; else its link only
	Compose    bool   // users send from pages, API and terminal
	Requests   bool   // users make links through which somebody outside sends to them
	Large      bool   // files too large for a mail may be sent beside it
	LargeMiB   int    // the largest of them, 0: what the service takes
	Guests     bool   // somebody outside the account's domains can be a user of it
	Enrol      bool   // recipients can make an account of their own here
	Branding   bool   // the account looks as its administrators have set
	KeepDays   int    // how long the ciphertext is kept for the mail's link, 0: only until the mail has left
	RecordDays int    // how long what is known of an ended envelope is kept, 0: for ever
	QuotaUsers int    // 0: as many as there are
	QuotaMiB   int    // of kept ciphertext, 0: any
	QuotaDay   int    // envelopes of a day, 0: any

	Second      string // who needs a second factor: SecondNobody, SecondAdministrators or SecondEverybody
	SecondGrace int    // for how many days they may sign in without, once they need it

	PasswordLength int // of one that its person chooses, in characters, at least
	TemporaryHours int // how long a temporary one works
	PasswordDays   int // how long one's own works, 0: for ever
}

// Latest is the latest end of what is sealed now: that of the last day, wherever
// the day is. Zero: it may have none.
func (s Settings) Latest(now time.Time) time.Time {
	if s.ExpiryMax == 0 {
		return time.Time{}
	}
	return now.AddDate(0, 0, s.ExpiryMax+1)
}

// AllowsEnd reports whether what is sealed now may end then; zero: never.
func (s Settings) AllowsEnd(at, now time.Time) bool {
	last := s.Latest(now)
	return last.IsZero() || !at.IsZero() && !at.After(last)
}

// End is when what is sealed now can be opened no longer: after the wished time,
// or the longest; without a wish after the usual one. Zero: never.
func (s Settings) End(now time.Time, wished time.Duration) time.Time {
	at := now.AddDate(0, 0, s.ExpiryMax)
	switch wish := now.Add(wished); {
	case wished > 0 && (s.ExpiryMax == 0 || wish.Before(at)):
		return wish
	case wished > 0:
		return at
	case s.ExpiryDays == 0:
		return time.Time{}
	}
	return now.AddDate(0, 0, s.ExpiryDays)
}

// Look is how an account looks to recipients, by what is kept of it and its name:
// the service's own look where it may have none.
func (s Settings) Look(kept, account string) brand.Brand {
	if !s.Branding {
		return brand.Brand{}
	}
	return brand.Read(kept).Of(account)
}

// Setting declares one setting.
type Setting struct {
	Name  string
	About string // under which heading it stands
	// Words are its values, the strictest first; nil: it is a number of Unit, of
	// which less is stricter, or more where More.
	Words   []string
	Unit    string // days, hours, mib, users, envelopes, characters
	Min     int    // the least number, but 0 where Open
	Max     int    // the greatest number
	More    bool
	Open    bool // 0 is no bound, and so the loosest
	Default string
	Layers  []From // that may say it

	field func(*Settings) any // *string, *bool or *int
}

// The headings, in order.
const (
	AboutOpening   = "opening"
	AboutEnding    = "ending"
	AboutSending   = "sending"
	AboutContent   = "content"
	AboutGuests    = "guests"
	AboutRetention = "retention"
	AboutQuotas    = "quotas"
	AboutSigningIn = "signing-in"
)

// mostDays is a hundred years.
const mostDays = 36500

var (
	flags     = []string{"false", "true"}
	everyone  = []From{FromSite, FromLimits, FromAccount, FromGroup}
	accounts  = []From{FromSite, FromLimits, FromAccount}
	operators = []From{FromSite, FromLimits}
)

// Table declares the settings, in the order in which they are shown.
var Table = []Setting{
	{Name: "level", About: AboutOpening, Words: []string{High, Medium, Low}, Default: Low, Layers: everyone, field: func(s *Settings) any { return &s.Level }},
	{Name: "online", About: AboutOpening, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Online }},
	{Name: "lease_days", About: AboutOpening, Unit: "days", Max: mostDays, Default: "0", Layers: everyone, field: func(s *Settings) any { return &s.LeaseDays }},
	{Name: "enrol", About: AboutOpening, Words: flags, Default: "true", Layers: []From{FromSite}, field: func(s *Settings) any { return &s.Enrol }},

	{Name: "expiry_days", About: AboutEnding, Unit: "days", Max: mostDays, Open: true, Default: "30", Layers: everyone, field: func(s *Settings) any { return &s.ExpiryDays }},
	{Name: "expiry_max", About: AboutEnding, Unit: "days", Max: mostDays, Open: true, Default: "30", Layers: everyone, field: func(s *Settings) any { return &s.ExpiryMax }},

	{Name: "compose", About: AboutSending, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Compose }},
	{Name: "requests", About: AboutSending, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Requests }},
	{Name: "reply", About: AboutSending, Words: flags, Default: "true", Layers: everyone, field: func(s *Settings) any { return &s.Reply }},
	{Name: "replies", About: AboutSending, Words: []string{RepliesSealed, RepliesTLS}, Default: RepliesSealed, Layers: accounts, field: func(s *Settings) any { return &s.Replies }},
	{Name: "forward", About: AboutSending, Words: flags, Default: "false", Layers: everyone, field: func(s *Settings) any { return &s.Forward }},

	{Name: "subject", About: AboutContent, Words: []string{SubjectNeutral, SubjectRules, SubjectKeep}, Default: SubjectRules, Layers: accounts, field: func(s *Settings) any { return &s.Subject }},
	{Name: "attach", About: AboutContent, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Attach }},
	{Name: "large", About: AboutContent, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Large }},
	{Name: "large_mib", About: AboutContent, Unit: "mib", Max: math.MaxInt32, Open: true, Default: "0", Layers: accounts, field: func(s *Settings) any { return &s.LargeMiB }},
	{Name: "branding", About: AboutContent, Words: flags, Default: "true", Layers: operators, field: func(s *Settings) any { return &s.Branding }},

	{Name: "guests", About: AboutGuests, Words: flags, Default: "true", Layers: accounts, field: func(s *Settings) any { return &s.Guests }},

	{Name: "keep_days", About: AboutRetention, Unit: "days", Max: mostDays, Default: "14", Layers: accounts, field: func(s *Settings) any { return &s.KeepDays }},
	{Name: "record_days", About: AboutRetention, Unit: "days", Max: mostDays, Open: true, Default: "0", Layers: accounts, field: func(s *Settings) any { return &s.RecordDays }},

	{Name: "quota_users", About: AboutQuotas, Unit: "users", Max: math.MaxInt32, Open: true, Default: "0", Layers: operators, field: func(s *Settings) any { return &s.QuotaUsers }},
	{Name: "quota_mib", About: AboutQuotas, Unit: "mib", Max: math.MaxInt32, Open: true, Default: "0", Layers: operators, field: func(s *Settings) any { return &s.QuotaMiB }},
	{Name: "quota_day", About: AboutQuotas, Unit: "envelopes", Max: math.MaxInt32, Open: true, Default: "0", Layers: operators, field: func(s *Settings) any { return &s.QuotaDay }},

	{Name: "second", About: AboutSigningIn, Words: []string{SecondEverybody, SecondAdministrators, SecondNobody}, Default: SecondNobody, Layers: accounts, field: func(s *Settings) any { return &s.Second }},
	{Name: "second_grace_days", About: AboutSigningIn, Unit: "days", Max: 90, Default: "0", Layers: accounts, field: func(s *Settings) any { return &s.SecondGrace }},
	{Name: "password_length", About: AboutSigningIn, Unit: "characters", Min: MinPassword, Max: 64, More: true, Default: strconv.Itoa(MinPassword), Layers: accounts, field: func(s *Settings) any { return &s.PasswordLength }},
	{Name: "temporary_hours", About: AboutSigningIn, Unit: "hours", Min: 1, Max: 168, Default: "168", Layers: accounts, field: func(s *Settings) any { return &s.TemporaryHours }},
	{Name: "password_days", About: AboutSigningIn, Unit: "days", Min: 1, Max: 3650, Open: true, Default: "0", Layers: accounts, field: func(s *Settings) any { return &s.PasswordDays }},
}

// capped are settings that are at most what another is.
var capped = map[string]string{"expiry_days": "expiry_max"}

// delays are settings that put off what another asks for: the layer that asks,
// and says nothing of the delay, says the default of it, or who is asked could.
var delays = map[string]string{"second_grace_days": "second"}

// FindSetting returns the setting of that name.
func FindSetting(name string) (Setting, bool) {
	i := slices.IndexFunc(Table, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return Table[i], true
}

// In reports whether a layer may say it.
func (x Setting) In(layer From) bool { return slices.Contains(x.Layers, layer) }

// looseness orders its values, the strictest first; false: it has no such value.
func (x Setting) looseness(value string) (int, bool) {
	if x.Words != nil {
		i := slices.Index(x.Words, value)
		return i, i >= 0
	}
	n, err := strconv.Atoi(value)
	switch open := n == 0 && x.Open; {
	case err != nil || n > x.Max || n < x.Min && !open || strconv.Itoa(n) != value:
		return 0, false
	case open:
		return math.MaxInt, true
	case x.More:
		return x.Max - n, true
	}
	return n, true
}

// Looser reports whether a is looser than b, both values of it.
func (x Setting) Looser(a, b string) bool {
	n, _ := x.looseness(a)
	m, _ := x.looseness(b)
	return n > m
}

func (x Setting) put(s *Settings, value string) {
	switch p := x.field(s).(type) {
	case *string:
		*p = value
	case *bool:
		*p = value == "true"
	case *int:
		*p, _ = strconv.Atoi(value)
	}
}

// Get is a setting as it is written.
func (s Settings) Get(name string) string {
	x, ok := FindSetting(name)
	if !ok {
		return ""
	}
	switch p := x.field(&s).(type) {
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	default:
		return *p.(*string)
	}
}
