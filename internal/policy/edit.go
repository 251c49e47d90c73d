package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/pli-mail/pli/internal/keylines"
	"github.com/pli-mail/pli/internal/mailaddr"
)

// ErrByHand says that a rule set is not written in a way that can be changed rule
// by rule: it must be edited as text.
var ErrByHand = errors.New("these rules must be edited as text")

// NewRule is a rule as a form asks for it. What is empty asks for nothing.
type NewRule struct {
	Name          string
	SubjectBegins string
	Recipients    []string // addresses, domains with or without @, *.domain
	Group         string   // of the sender
	Attachment    []string // patterns
	SizeMB        int
	HeaderName    string
	HeaderValue   string // expression, "" for any value
	Text          string // expression
	Then          Action
	Reason        string
}

// Add writes a rule into a rule set: before all others, or behind them.
func Add(text string, n NewRule, first bool) (string, error) {
	block := n.write()
	s, err := sectionsOf(text)
	if err != nil {
		return "", err
	}
	lines := s.lines
	switch {
	case first && len(s.rules) > 0:
		at := s.rules[0].from
		lines = slices.Insert(slices.Clone(lines), at, append(block, "")...)
	default:
		for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
			lines = lines[:len(lines)-1]
		}
		lines = append(append(slices.Clone(lines), ""), block...)
	}
	return join(lines), nil
}

// ForAll reports whether n is for all mail: that is what the end of the rules says.
func (n NewRule) ForAll() bool {
	return n.Group == "" && len(n.Recipients) == 0 && n.SizeMB == 0 && len(n.Attachment) == 0 && n.SubjectBegins == "" && n.Text == "" && n.HeaderName == ""
}

// Recipient reports whether text is an address, or a domain with or without what a
// list of addresses has before it.
func Recipient(text string) bool {
	if strings.Contains(strings.TrimPrefix(text, "@"), "@") {
		_, err := mailaddr.Parse(text)
		return err == nil
	}
	domain := strings.TrimPrefix(strings.TrimPrefix(text, "@"), "*.")
	_, err := mailaddr.ParseDomain(domain)
	return err == nil && strings.Contains(domain, ".")
}

func (n NewRule) write() (out []string) {
	key := func(name, value string) { out = append(out, name+" = "+value) }
	out = append(out, "[[rule]]")
	key("name", quote(n.Name))
	if n.Group != "" {
		key("sender", "["+quote("group:"+n.Group)+"]")
	}
	if len(n.Recipients) > 0 {
		list := make([]string, len(n.Recipients))
		for i, r := range n.Recipients {
			if !strings.ContainsAny(r, "@:") && !strings.HasPrefix(r, "*.") {
				r = "@" + r
			}
			list[i] = quote(r)
		}
		key("recipient", "["+strings.Join(list, ", ")+"]")
	}
	if n.SizeMB > 0 {
		key("size_over", quote(strconv.Itoa(n.SizeMB)+" MB"))
	}
	if len(n.Attachment) > 0 {
		list := make([]string, len(n.Attachment))
		for i, a := range n.Attachment {
			list[i] = quote(a)
		}
		key("attachment", "["+strings.Join(list, ", ")+"]")
	}
	if n.SubjectBegins != "" {
		key("subject_matches", quote(BeginsWith(n.SubjectBegins)))
	}
	if n.Text != "" {
		key("text_matches", quote(n.Text))
	}
	if n.HeaderName != "" {
		key("header", "{ "+quote(n.HeaderName)+" = "+quote(n.HeaderValue)+" }")
	}
	key("then", quote(string(n.Then)))
	if n.Reason != "" {
		key("reason", quote(n.Reason))
	}
	return out
}

// quote writes a string of TOML: as it is where it can be, so that an expression
// stays readable.
func quote(s string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if !strings.ContainsFunc(s, control) && !strings.Contains(s, "'") && strings.ContainsAny(s, `\"`) {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case control(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Move puts rule n, from 1, one place up (-1) or down (1).
func Move(text string, n, by int) (string, error) {
	s, err := sectionsOf(text)
	if err != nil {
		return "", err
	}
	i, j := min(n-1, n-1+by), max(n-1, n-1+by)
	if i < 0 || j >= len(s.rules) || i == j {
		return text, nil
	}
	a, b := s.rules[i], s.rules[j]
	lines := slices.Concat(s.lines[:a.from], s.lines[b.from:b.to], s.lines[a.to:b.from], s.lines[a.from:a.to], s.lines[b.to:])
	return s.sure(join(lines), func(list []any) []any {
		list[i], list[j] = list[j], list[i]
		return list
	})
}

// Remove takes rule n, from 1, out, with the comments in it and right above it.
func Remove(text string, n int) (string, error) {
	s, err := sectionsOf(text)
	if err != nil {
		return "", err
	}
	if n < 1 || n > len(s.rules) {
		return text, nil
	}
	a := s.rules[n-1]
	before, after := s.lines[:a.from], s.lines[a.to:]
	for len(after) > 0 && strings.TrimSpace(after[0]) == "" && (len(before) == 0 || strings.TrimSpace(before[len(before)-1]) == "") {
		after = after[1:]
	}
	return s.sure(join(slices.Concat(before, after)), func(list []any) []any { return slices.Delete(list, n-1, n) })
}

// sections are the lines of a rule set, and which of them each rule has.
type sections struct {
	lines []string
	rules []section
	tree  map[string]any
}

// section is from the comments right above a rule to its last line; to is the next.
type section struct{ from, to int }

func sectionsOf(text string) (sections, error) {
	s := sections{lines: lines(text)}
	if err := toml.Unmarshal([]byte(text), &s.tree); err != nil {
		return s, ErrByHand
	}
	list, _ := s.tree["rule"].([]any)
	at := keylines.Of([]byte(join(s.lines)))
	for i := range list {
		line, ok := at["rule["+strconv.Itoa(i)+"]"]
		if !ok || line < 1 || line > len(s.lines) { // written as rule = [ … ]
			return s, ErrByHand
		}
		from := line - 1
		for from > 0 && isComment(s.lines[from-1]) {
			from--
		}
		s.rules = append(s.rules, section{from: from})
	}
	for i := range s.rules {
		to := len(s.lines)
		if i+1 < len(s.rules) {
			to = s.rules[i+1].from
		}
		for to > 0 && (isComment(s.lines[to-1]) || strings.TrimSpace(s.lines[to-1]) == "") {
			to--
		}
		s.rules[i].to = to
	}
	return s, nil
}

func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }

func join(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// sure reads what was written anew, and refuses it unless it is the rule set that
// was meant: a text over several lines may hold what looks like a comment.
func (s sections) sure(text string, meant func([]any) []any) (string, error) {
	var got map[string]any
	if err := toml.Unmarshal([]byte(text), &got); err != nil {
		return "", ErrByHand
	}
	list, _ := s.tree["rule"].([]any)
	if list = meant(slices.Clone(list)); len(list) == 0 {
		delete(s.tree, "rule")
	} else {
		s.tree["rule"] = list
	}
	if !reflect.DeepEqual(got, s.tree) {
		return "", ErrByHand
	}
	return text, nil
}
