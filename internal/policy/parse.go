package policy

import (
	_ "embed" // for the default rules
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

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

// MaxText is the most octets of a rule set.
const MaxText = 256 << 10

const (
	maxRules    = 500
	maxKeywords = 20
)

// Parse reads a rule set. What is wrong with it is a *Problems.
func Parse(text []byte) (*Rules, error) { return (&parsing{}).rules(text) }

// Check is Parse for a rule set that somebody has written: no two of its rules have
// one name. One that is in force from before that was asked for goes on.
func Check(text []byte) error {
	_, err := (&parsing{distinct: true}).rules(text)
	return err
}

func (p *parsing) rules(text []byte) (*Rules, error) {
	if len(text) > MaxText {
		table{p: p}.add("", "policy.toolong", "n", MaxText>>10)
		return nil, p.err()
	}
	t, ok := p.tree(text)
	if !ok {
		return nil, p.err()
	}
	r := document(t)
	if err := p.err(); err != nil {
		return nil, err
	}
	return r, nil
}

func document(t table) *Rules {
	r := &Rules{
		keywords:  t.list("keywords"),
		fallback:  t.choice("default", Plain, Plain, Seal),
		encrypted: kindChoice(t, "encrypted"),
		calendar:  kindChoice(t, "calendar"),
		wishes:    wishes{keepSubject: keep(t)},
	}
	if len(r.keywords) > maxKeywords {
		t.add("keywords", "policy.many", "n", maxKeywords)
	}
	for _, k := range r.keywords {
		if len(k) < 2 || len(k) > 60 || strings.TrimSpace(k) != k || strings.ContainsFunc(k, unicode.IsControl) {
			t.add("keywords", "policy.keyword", "value", k)
		}
	}
	v, ok := t.take("rule")
	t.rest()
	if !ok {
		return r
	}
	list, ok := v.([]any)
	if len(list) > maxRules {
		t.add("rule", "policy.many", "n", maxRules)
		return r
	}
	for i, x := range list {
		m, isTable := x.(map[string]any)
		if ok = ok && isTable; ok {
			at := table{t.p, "rule[" + strconv.Itoa(i) + "].", i + 1, m}
			r.rules = append(r.rules, readRule(at))
		}
	}
	if !ok {
		t.add("rule", "policy.wantrules")
	}
	if t.p.distinct {
		t.p.compareNames(r.rules)
	}
	return r
}

// compareNames says which rules have the name of one before them, as people read
// names: neither case nor form nor the width of a gap counts.
func (p *parsing) compareNames(rules []rule) {
	first := map[string]int{}
	for i, r := range rules {
		key := cases.Fold().String(norm.NFKC.String(strings.Join(strings.Fields(r.name), " ")))
		if n, taken := first[key]; taken && key != "" {
			table{p: p, at: "rule[" + strconv.Itoa(i) + "].", rule: i + 1}.add("name", "policy.twice", "n", n)
			continue
		}
		first[key] = i + 1
	}
}

// kindChoice is what becomes of a kind of mail, "" for what the rules say.
func kindChoice(t table, key string) Action {
	const rules = "rules"
	if a := t.choice(key, Plain, Plain, Seal, rules); a != rules {
		return a
	}
	return ""
}

// keep is whether the subject stays outside, nil where that is not said.
func keep(t table) *bool {
	const none = "none"
	a := t.choice("subject", none, "neutral", "keep")
	if a == none {
		return nil
	}
	yes := a == "keep"
	return &yes
}

// levelOf is how strongly recipients prove who they are, "" where that is not said.
func levelOf(t table) string {
	const none = "none"
	l := t.choice("level", none, Low, Medium, High)
	if l == none {
		return ""
	}
	return string(l)
}

func readRule(t table) rule {
	if s, ok := t.m["name"].(string); ok && strings.TrimSpace(s) == "" {
		delete(t.m, "name") // what a name must be is said once, below
	}
	r := rule{
		name: t.text("name"), sender: addresses(t, "sender"), recipient: addresses(t, "recipient"), notRecipient: addresses(t, "not_recipient"),
		sizeOver: sizeOver(t), attachment: attachments(t), sensitivity: sensitivities(t),
		subject: t.expression("subject_matches", t.text("subject_matches")), text: t.expression("text_matches", t.text("text_matches")),
		header: headers(t), then: t.choice("then", "", Seal, Plain, TLS, Refuse), refusal: t.text("reason"),
		wishes: wishes{expires: expires(t), receipt: t.flag("receipt"), reply: t.flag("reply"), replyAll: t.flag("reply_all"), forward: t.flag("forward"),
			scriptFree: t.flag("script_free"), serverDecrypt: t.flag("server_decrypt"), offline: t.flag("offline"), keepSubject: keep(t),
			level: levelOf(t)},
	}
	switch {
	case r.name == "":
		t.add("name", "policy.noname")
	case len(r.name) > 200 || strings.ContainsFunc(r.name, unicode.IsControl):
		t.add("name", "policy.name")
	}
	switch {
	case len(r.refusal) > 200 || strings.ContainsFunc(r.refusal, func(c rune) bool { return c < ' ' || c > '~' }):
		t.add("reason", "policy.reason")
	case r.refusal != "" && r.then != Refuse && r.then != "":
		t.add("reason", "policy.noreason")
	}
	t.rest()
	return r
}

// addresses reads a list of a@b, @domain, *.domain and group:NAME.
func addresses(t table, key string) (out []who) {
	for _, s := range t.list(key) {
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
			t.add(key, "policy.address", "value", s)
			continue
		}
		out = append(out, w)
	}
	return out
}

func attachments(t table) (out []string) {
	for _, s := range t.list("attachment") {
		if strings.TrimSpace(s) == "" || strings.Count(s, "/") > 1 {
			t.add("attachment", "policy.pattern", "value", s)
		}
		out = append(out, strings.ToLower(s))
	}
	return out
}

func sensitivities(t table) (out []string) {
	known := []Action{"personal", "private", "company-confidential"}
	for _, s := range t.list("sensitivity") {
		v := sensitivity(s)
		if !slices.Contains(known, Action(v)) {
			t.add("sensitivity", "policy.choice", "value", s, "choices", words(known))
		}
		out = append(out, v)
	}
	return out
}

// headers reads expressions for fields; an empty one is for any value.
func headers(t table) (out []headerMatch) {
	v, ok := t.take("header")
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		t.add("header", "policy.wantfields")
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		value, isString := m[name].(string)
		isField := name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }) // RFC 5322, section 2.2
		if !isString || !isField {
			t.add("header."+name, "policy.wantfields")
			continue
		}
		if value == "" {
			value = "^"
		}
		if e := t.expression("header."+name, value); e != nil {
			out = append(out, headerMatch{strings.ToLower(name), e})
		}
	}
	return out
}

// sizeOver reads "5 MB": decimal units, as mail programs have them.
func sizeOver(t table) int64 {
	s := t.text("size_over")
	if s == "" {
		return 0
	}
	n, unit, ok := numberOf(s)
	factor, known := map[string]int64{"": 1, "b": 1, "kb": 1000, "mb": 1_000_000, "gb": 1_000_000_000}[strings.ToLower(unit)]
	if !ok || !known || n < 1 {
		t.add("size_over", "policy.size", "value", s)
	}
	return n * factor
}

func expires(t table) time.Duration {
	s := t.text("expires")
	if s == "" {
		return 0
	}
	n, unit, ok := numberOf(s)
	factor, known := map[string]time.Duration{"hour": time.Hour, "hours": time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour}[strings.ToLower(unit)]
	if !ok || !known || n < 1 || time.Duration(n) > longest/factor {
		t.add("expires", "policy.expires", "value", s)
		return 0
	}
	return time.Duration(n) * factor
}
