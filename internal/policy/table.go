package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/pli-mail/pli/internal/keylines"
)

// parsing is a rule set being read.
type parsing struct {
	Problems
	lines keylines.Map
	steps int // of all its expressions

	distinct bool // its rules' names must differ
}

// tree reads TOML; false where it is none.
func (p *parsing) tree(text []byte) (table, bool) {
	t := table{p: p}
	if err := toml.Unmarshal(text, &t.m); err != nil {
		x := Problem{Text: "policy.syntax", Args: map[string]any{"error": strings.TrimPrefix(err.Error(), "toml: ")}}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			x.Line, _ = at.Position()
		}
		p.List = append(p.List, x)
		return t, false
	}
	p.lines = keylines.Of(text)
	return t, true
}

// table is one table of the file: the document or one rule. What is read is
// taken out of it, so what is left at the end is not known.
type table struct {
	p    *parsing
	at   string // "" or "rule[0]."
	rule int
	m    map[string]any
}

// add records that something is wrong with key. Placeholders are pairs of name and value.
func (t table) add(key, text string, pairs ...any) {
	args := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	t.p.List = append(t.p.List, Problem{t.p.lines.Line(t.at + key), t.rule, key, text, args})
}

// take gives the value of a key, and whether there is one.
func (t table) take(key string) (any, bool) {
	v, ok := t.m[key]
	delete(t.m, key)
	return v, ok
}

// text is a string without blanks around it; "" where there is none.
func (t table) text(key string) string {
	v, ok := t.take(key)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	switch {
	case !ok:
		t.add(key, "policy.wantstring")
	case strings.TrimSpace(s) == "":
		t.add(key, "policy.empty")
	}
	return strings.TrimSpace(s)
}

// list is a list of strings, or one string. An empty one is refused: somebody
// may think that it matches nothing, and another that it matches everything.
func (t table) list(key string) []string {
	v, ok := t.take(key)
	if !ok {
		return nil
	}
	values, ok := v.([]any)
	if one, isOne := v.(string); isOne {
		values, ok = []any{one}, true
	}
	out := make([]string, 0, len(values))
	for _, x := range values {
		s, isString := x.(string)
		ok = ok && isString
		out = append(out, s)
	}
	switch {
	case !ok:
		t.add(key, "policy.wantlist")
		return nil
	case len(out) == 0 && key != "keywords":
		t.add(key, "policy.empty")
	}
	return out
}

// flag is true or false; nil where there is neither.
func (t table) flag(key string) *bool {
	v, ok := t.take(key)
	if !ok {
		return nil
	}
	b, ok := v.(bool)
	if !ok {
		t.add(key, "policy.wantbool")
	}
	return &b
}

// choice is one of some words; fallback where there is none, "" meaning that
// there must be one.
func (t table) choice(key string, fallback Action, choices ...Action) Action {
	if _, ok := t.m[key]; !ok && fallback == "" {
		t.add(key, "policy.missing", "choices", words(choices))
		return ""
	}
	if _, ok := t.m[key]; !ok {
		return fallback
	}
	before := len(t.p.List)
	value := Action(t.text(key))
	if len(t.p.List) > before || slices.Contains(choices, value) {
		return value
	}
	t.add(key, "policy.choice", "value", string(value), "choices", words(choices))
	return ""
}

func words(choices []Action) string {
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

// expression reads a regular expression; nil where there is none.
func (t table) expression(key, value string) *expression {
	if value == "" {
		return nil
	}
	if t.p.steps > maxAllSteps {
		return nil // and that has been said
	}
	steps, e, err := maxSteps+1, (*expression)(nil), error(nil)
	if len(value) <= maxExpression {
		e, steps, err = compile(value)
	}
	t.p.steps += steps
	switch {
	case steps > maxSteps || t.p.steps > maxAllSteps:
		t.add(key, "policy.expensive")
		return nil
	case err != nil:
		t.add(key, "policy.expression", "value", value)
		return nil
	}
	return e
}

// rest refuses what is not known.
func (t table) rest() {
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		t.add(key, "policy.unknown")
	}
}
