package policy

import (
	"bytes"
	_ "embed" // for the default rules
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
)

//go:embed default.toml
var defaultText string

// Default is what an account has that never wrote rules.
func Default() *Rules {
	r, err := Parse([]byte(defaultText))
	if err != nil {
		panic(err) // a test reads it
	}
	return r
}

// DefaultText is Default as an administrator may begin with, with comments.
func DefaultText() string { return defaultText }

const (
	maxText     = 256 << 10 // octets of a rule set
	maxRules    = 500
	maxKeywords = 20
)

// document is a rule set as it is written.
type document struct {
	Keywords  []string       `toml:"keywords"`
	Default   string         `toml:"default"`
	Subject   string         `toml:"subject"`
	Encrypted string         `toml:"encrypted"`
	Calendar  string         `toml:"calendar"`
	Rules     []documentRule `toml:"rule"`
}

type documentRule struct {
	Name           string            `toml:"name"`
	Sender         []string          `toml:"sender"`
	Recipient      []string          `toml:"recipient"`
	NotRecipient   []string          `toml:"not_recipient"`
	SizeOver       string            `toml:"size_over"`
	Attachment     []string          `toml:"attachment"`
	Sensitivity    []string          `toml:"sensitivity"`
	SubjectMatches string            `toml:"subject_matches"`
	TextMatches    string            `toml:"text_matches"`
	Header         map[string]string `toml:"header"`
	Then           string            `toml:"then"`
	Reason         string            `toml:"reason"`
	Expires        string            `toml:"expires"`
	Receipt        *bool             `toml:"receipt"`
	Reply          *bool             `toml:"reply"`
	ReplyAll       *bool             `toml:"reply_all"`
	Forward        *bool             `toml:"forward"`
	ScriptFree     bool              `toml:"script_free"`
	ServerDecrypt  bool              `toml:"server_decrypt"`
	Offline        bool              `toml:"offline"`
	Subject        string            `toml:"subject"`
}

// Problem is one thing that is wrong with a rule set.
type Problem struct {
	Line int    // 0: not known
	Rule int    // from 1; 0: not of a rule
	Key  string // of the rule set
	Text string // of the catalogue
	Args map[string]any
}

// Problems are all that is wrong with a rule set.
type Problems struct{ List []Problem }

func (p *Problems) Error() string {
	var keys []string
	for _, x := range p.List {
		keys = append(keys, fmt.Sprintf("line %d rule %d %s: %s", x.Line, x.Rule, x.Key, x.Text))
	}
	return "read rules: " + strings.Join(keys, "; ")
}

// Say tells each problem in a sentence.
func (p *Problems) Say(printer i18n.Printer) (out []string) {
	for _, x := range p.List {
		s := printer.Say(x.Text, x.Args)
		switch {
		case x.Rule > 0:
			s = printer.T("policy.inrule", "n", x.Rule, "key", x.Key, "text", s)
		case x.Line > 0:
			s = printer.T("policy.inline", "n", x.Line, "text", s)
		case x.Key != "":
			s = x.Key + ": " + s
		}
		out = append(out, s)
	}
	return out
}

// Parse reads a rule set. What is wrong with it is a *Problems.
func Parse(text []byte) (*Rules, error) {
	p := &parsing{}
	if len(text) > maxText {
		p.add(0, "", "policy.toolong", "n", maxText>>10)
		return nil, &p.Problems
	}
	d := document{Default: string(Plain), Subject: "neutral", Encrypted: string(Plain), Calendar: string(Plain)}
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		p.syntax(err)
		return nil, &p.Problems
	}
	r := p.document(&d)
	if len(p.List) > 0 {
		return nil, &p.Problems
	}
	return r, nil
}

type parsing struct{ Problems }

func (p *parsing) add(rule int, key, text string, pairs ...any) {
	args := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	p.List = append(p.List, Problem{Rule: rule, Key: key, Text: text, Args: args})
}

func (p *parsing) syntax(err error) {
	var unknown *toml.StrictMissingError
	var at *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			p.List = append(p.List, Problem{Line: line, Text: "policy.unknown", Args: map[string]any{"key": strings.Join(e.Key(), ".")}})
		}
	case errors.As(err, &at):
		line, _ := at.Position()
		p.List = append(p.List, Problem{Line: line, Text: "policy.syntax", Args: map[string]any{"error": strings.TrimPrefix(at.Error(), "toml: ")}})
	default:
		p.add(0, "", "policy.syntax", "error", strings.TrimPrefix(err.Error(), "toml: "))
	}
}

func (p *parsing) document(d *document) *Rules {
	r := &Rules{
		keywords: d.Keywords, fallback: p.choice(0, "default", d.Default, Plain, Seal),
		keep:      p.subject(0, d.Subject),
		encrypted: p.choice(0, "encrypted", d.Encrypted, Plain, Seal, "rules"),
		calendar:  p.choice(0, "calendar", d.Calendar, Plain, Seal, "rules"),
	}
	for _, a := range []*Action{&r.encrypted, &r.calendar} {
		if *a == "rules" {
			*a = ""
		}
	}
	if len(d.Keywords) > maxKeywords {
		p.add(0, "keywords", "policy.many", "n", maxKeywords)
	}
	for _, k := range d.Keywords {
		if len(strings.TrimSpace(k)) < 2 || strings.TrimSpace(k) != k || strings.ContainsFunc(k, unicode.IsControl) || len(k) > 60 {
			p.add(0, "keywords", "policy.keyword", "value", k)
		}
	}
	if len(d.Rules) > maxRules {
		p.add(0, "rule", "policy.many", "n", maxRules)
		return r
	}
	for i := range d.Rules {
		r.rules = append(r.rules, p.rule(i+1, &d.Rules[i]))
	}
	return r
}

func (p *parsing) rule(n int, d *documentRule) rule {
	r := rule{
		name: strings.TrimSpace(d.Name), sender: p.addresses(n, "sender", d.Sender), recipient: p.addresses(n, "recipient", d.Recipient),
		notRecipient: p.addresses(n, "not_recipient", d.NotRecipient),
		subject:      p.expression(n, "subject_matches", d.SubjectMatches), text: p.expression(n, "text_matches", d.TextMatches),
		then: p.choice(n, "then", d.Then, Seal, Plain, TLS, Refuse), refusal: strings.TrimSpace(d.Reason),
		options: Options{Receipt: d.Receipt, Reply: d.Reply, ReplyAll: d.ReplyAll, Forward: d.Forward,
			ScriptFree: d.ScriptFree, ServerDecrypt: d.ServerDecrypt, Offline: d.Offline, KeepSubject: p.subject(n, d.Subject)},
	}
	if r.name == "" || len(r.name) > 200 || strings.ContainsFunc(r.name, unicode.IsControl) {
		p.add(n, "name", "policy.name")
	}
	for _, a := range d.Attachment {
		a = strings.ToLower(a)
		if _, err := path.Match(a, ""); err != nil || a == "" {
			p.add(n, "attachment", "policy.pattern", "value", a)
		}
		r.attachment = append(r.attachment, a)
	}
	for _, s := range d.Sensitivity {
		s = strings.ToLower(strings.TrimSpace(s))
		if !slices.Contains([]string{"personal", "private", "company-confidential"}, s) { // RFC 4021, section 2.1.55
			p.add(n, "sensitivity", "policy.choice", "value", s, "choices", "personal, private, company-confidential")
		}
		r.sensitivity = append(r.sensitivity, s)
	}
	for name, value := range d.Header {
		r.header = append(r.header, headerMatch{strings.ToLower(name), p.expression(n, "header."+name, value)})
	}
	slices.SortFunc(r.header, func(a, b headerMatch) int { return strings.Compare(a.name, b.name) })
	if d.SizeOver != "" {
		var ok bool
		if r.sizeOver, ok = size(d.SizeOver); !ok {
			p.add(n, "size_over", "policy.size", "value", d.SizeOver)
		}
	}
	if d.Expires != "" {
		days, ok := strings.CutSuffix(strings.TrimSpace(d.Expires), "days")
		count, err := strconv.Atoi(strings.TrimSpace(days))
		if !ok || err != nil || count < 1 || count > 36500 {
			p.add(n, "expires", "policy.expires", "value", d.Expires)
		}
		r.options.Expires = time.Duration(count) * 24 * time.Hour
	}
	if r.refusal != "" && (len(r.refusal) > 200 || strings.ContainsFunc(r.refusal, func(c rune) bool { return c < ' ' || c > '~' })) {
		p.add(n, "reason", "policy.reason")
	}
	return r
}

func (p *parsing) choice(rule int, key, value string, choices ...Action) Action {
	if slices.Contains(choices, Action(value)) {
		return Action(value)
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	p.add(rule, key, "policy.choice", "value", value, "choices", strings.Join(names, ", "))
	return ""
}

func (p *parsing) subject(rule int, value string) (keep bool) {
	if value != "" && value != "keep" && value != "neutral" {
		p.add(rule, "subject", "policy.choice", "value", value, "choices", "keep, neutral")
	}
	return value == "keep"
}

func (p *parsing) expression(rule int, key, value string) *regexp.Regexp {
	if value == "" {
		return nil
	}
	e, err := regexp.Compile(value)
	if err != nil || len(value) > 2000 {
		p.add(rule, key, "policy.expression", "value", value)
		return nil
	}
	return e
}

// addresses reads a list of a@b, @domain, *.domain and group:NAME.
func (p *parsing) addresses(rule int, key string, list []string) (out []who) {
	for _, s := range list {
		w := who{written: s}
		var err error
		switch name, isGroup := strings.CutPrefix(s, "group:"); {
		case isGroup:
			if w.group = strings.TrimSpace(name); w.group == "" {
				err = mailaddr.ErrSyntax
			}
		case strings.HasPrefix(s, "@"):
			w.domain, err = mailaddr.ParseDomain(s[1:])
		case strings.HasPrefix(s, "*."):
			w.below = true
			w.domain, err = mailaddr.ParseDomain(s[2:])
		default:
			var a mailaddr.Address
			a, err = mailaddr.Parse(s)
			w.address = a.Canonical()
		}
		if err != nil {
			p.add(rule, key, "policy.address", "value", s)
			continue
		}
		out = append(out, w)
	}
	return out
}

// size reads "5 MB": decimal units, as mail programs have them.
func size(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	unit := int64(1)
	for _, u := range []struct {
		name string
		n    int64
	}{{"kB", 1000}, {"KB", 1000}, {"MB", 1_000_000}, {"GB", 1_000_000_000}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return n * unit, err == nil && n > 0
}
