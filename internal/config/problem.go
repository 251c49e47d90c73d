package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pli-mail/pli/internal/i18n"
)

// Problem is one thing that is wrong with the file.
type Problem struct {
	Line int            // 0: of no line, such as a key that is missing
	Key  string         // of the file; empty for a syntax error
	Text string         // catalogue key
	Args map[string]any // its placeholders
}

// Problems is everything that is wrong with a file, in the order of its lines.
type Problems struct {
	File string
	List []Problem
}

func (ps *Problems) err() error {
	if len(ps.List) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.List, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) { // what is missing comes last
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return ps
}

// Say is the problems as sentences of p's language, with the file and the line.
func (ps *Problems) Say(p i18n.Printer) []string {
	var out []string
	for _, x := range ps.List {
		at := ps.File
		if x.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, x.Line)
		}
		out = append(out, at+": "+p.Say(x.Text, x.Args))
	}
	return out
}

// Error is for the log; Say is for people.
func (ps *Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "check configuration %s:", ps.File)
	for i, x := range ps.List {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " line %d %s %s", x.Line, x.Key, x.Text)
	}
	return b.String()
}
