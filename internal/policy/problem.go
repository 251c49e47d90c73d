package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pli-mail/pli/internal/i18n"
)

// Problem is one thing that is wrong with a rule set.
type Problem struct {
	Line int    // 0: of no line, such as a key that is missing
	Rule int    // from 1; 0: not of a rule
	Key  string // of the rule set or the rule; "" for a syntax error
	Text string // of the catalogue
	Args map[string]any
}

// Problems are all that is wrong with a rule set, in the order of its lines.
type Problems struct{ List []Problem }

// Error is for the log; Say is for people.
func (p *Problems) Error() string {
	var keys []string
	for i, x := range p.List {
		if i == 20 {
			keys = append(keys, fmt.Sprintf("and %d more", len(p.List)-i))
			break
		}
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
			s = printer.T("policy.inrule", "line", x.Line, "n", x.Rule, "key", x.Key, "text", s)
		case x.Key != "":
			s = printer.T("policy.inkey", "line", x.Line, "key", x.Key, "text", s)
		case x.Line > 0:
			s = printer.T("policy.inline", "n", x.Line, "text", s)
		}
		out = append(out, s)
	}
	return out
}

func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	slices.SortStableFunc(p.List, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key)) })
	return p
}
