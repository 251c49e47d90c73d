package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/pli-mail/pli/internal/keylines"
)

// reading is one file being read: what it says, where, and what is wrong with it.
type reading struct {
	*Config
	lines keylines.Map
	set   map[string]bool // keys that the file has
	wrong map[string]bool // keys that have a problem already
	ps    Problems
	at    string // which table of a list is read: "oidc[0]."
}

// add records that something is wrong with key. Its placeholders are pairs of name and value.
func (r *reading) add(key, text string, pairs ...any) {
	args := map[string]any{"key": key}
	for i := 0; i+1 < len(pairs); i += 2 {
		args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	line := 0
	if rest, ok := strings.CutPrefix(key, "oidc."); ok {
		line = r.lines.Line(r.at + rest)
	} else if r.set[key] || findKey(key) == nil {
		line = r.lines.Line(key)
	}
	r.wrong[key] = true
	r.ps.List = append(r.ps.List, Problem{line, key, text, args})
}

// read fills the configuration from data. Every key is set for itself, so that
// one wrong key does not hide the next. It reports whether data is TOML at all.
func (r *reading) read(data []byte) bool {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		line, text := 0, strings.TrimPrefix(err.Error(), "toml: ")
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ = at.Position()
		}
		r.ps.List = append(r.ps.List, Problem{line, "", "config.syntax", map[string]any{"error": text}})
		return false
	}
	r.lines = keylines.Of(data)
	r.table("", tree)
	return true
}

func (r *reading) table(prefix string, table map[string]any) {
	for name, value := range table {
		full := prefix + name
		sub, isMap := value.(map[string]any)
		switch k := findKey(full); {
		case k != nil:
			r.set[full] = true
			r.value(k, value)
		case listed(full):
			r.providers(value)
		case isTable(full) && isMap:
			r.table(full+".", sub)
		case isTable(full):
			r.add(full, "config.istable")
		default:
			r.unknown(full)
		}
	}
}

// providers reads the tables [[oidc]], each by the keys that begin with oidc.
func (r *reading) providers(value any) {
	list, ok := value.([]any)
	for i, v := range list {
		table, isTable := v.(map[string]any)
		ok = ok && isTable
		r.oidc, r.at = OIDC{}, providerAt(i)
		for name, value := range table {
			if k := findKey("oidc." + name); k != nil {
				r.value(k, value)
			} else {
				r.unknown("oidc." + name)
			}
		}
		r.OIDC = append(r.OIDC, r.oidc)
	}
	r.oidc = OIDC{}
	if !ok {
		r.add("oidc", "config.oidc")
	}
}

// providerAt is where the provider with that number stands in the file.
func providerAt(i int) string { return fmt.Sprintf("oidc[%d].", i) }

func (r *reading) value(k *key, value any) {
	switch f := k.field(r.Config).(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			r.add(k.name, "config.wantstring")
			return
		}
		*f = s
	case *[]string:
		list, ok := value.([]any)
		if one, isOne := value.(string); isOne {
			list, ok = []any{one}, true
		}
		*f = nil
		for _, v := range list {
			s, isString := v.(string)
			ok = ok && isString
			*f = append(*f, s)
		}
		if !ok {
			*f = nil
			r.add(k.name, "config.wantlist")
		}
	case *int64:
		n, ok := value.(int64)
		if !ok {
			r.add(k.name, "config.wantnumber")
			return
		}
		*f = n
	}
}

func (r *reading) unknown(name string) {
	if near := nearest(name); near != "" {
		r.add(name, "config.unknownnear", "near", near)
		return
	}
	r.add(name, "config.unknown")
}

// nearest is the key that was probably meant: the same word in another table,
// or at most a third of its letters away.
func nearest(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	best, bestDistance := "", len(name)/3+1
	for _, k := range keys {
		if d := distance(name, k.name); d < bestDistance {
			best, bestDistance = k.name, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range keys {
		if k.name == last || strings.HasSuffix(k.name, "."+last) {
			return k.name
		}
	}
	return ""
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
