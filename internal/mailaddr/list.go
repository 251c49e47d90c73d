package mailaddr

import "strings"

// Named is an address with the name that was written before it, "" without one.
type Named struct {
	Name string
	Address
}

// ParseList reads what people paste into a "To" field, without the names.
func ParseList(s string) (list []Address, bad []string) {
	named, bad := ParseNames(s)
	for _, n := range named {
		list = append(list, n.Address)
	}
	return list, bad
}

// ParseNames reads what people paste into a "To" field: addresses divided by
// commas, semicolons or white space, each also as "Name <a@b>". It returns the
// addresses in order, each mailbox once, and the items that are none.
func ParseNames(s string) (list []Named, bad []string) {
	seen := make(map[string]bool)
	add := func(name, item string) {
		a, err := Parse(item)
		if err != nil {
			bad = append(bad, item)
			return
		}
		if c := a.Canonical(); !seen[c] {
			seen[c] = true
			list = append(list, Named{strings.Join(strings.Fields(strings.ReplaceAll(name, `"`, " ")), " "), a})
		}
	}
	for _, item := range splitItems(s) {
		open := strings.IndexByte(item, '<')
		if open < 0 {
			for _, f := range pieces(item) {
				add("", f)
			}
			continue
		}
		// Everything before an angle bracket is a display name.
		rest := item
		for {
			open = strings.IndexByte(rest, '<')
			if open < 0 {
				break
			}
			end := strings.IndexByte(rest[open:], '>')
			if end < 0 {
				bad = append(bad, strings.TrimSpace(rest))
				rest = ""
				break
			}
			add(rest[:open], strings.TrimSpace(rest[open+1:open+end]))
			rest = rest[open+end+1:]
		}
		for _, f := range pieces(rest) {
			add("", f)
		}
	}
	return list, bad
}

// splitItems cuts at commas, semicolons and line ends outside quotes and angle
// brackets. A quote or bracket that is never closed ends with its line, so that
// one slip of the keyboard does not swallow the rest of the list.
func splitItems(s string) []string {
	var items []string
	start, quoted, angle := 0, false, false
	flush := func(end int) {
		if item := strings.TrimSpace(s[start:end]); item != "" {
			items = append(items, item)
		}
		start = end + 1
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '\r':
			flush(i)
			quoted, angle = false, false
		case quoted && c == '\\':
			i++
			if i < len(s) && (s[i] == '\n' || s[i] == '\r') {
				i--
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case (c == ',' || c == ';') && !angle:
			flush(i)
		}
	}
	if start < len(s) {
		flush(len(s))
	}
	return items
}

// pieces cuts at white space, where addresses are so divided: words without an
// @ that stand together are one slip, not several.
func pieces(s string) []string {
	var out []string
	joined := false // the last piece is of words without an @
	for _, f := range fields(s) {
		word := !strings.Contains(f, "@")
		if word && joined {
			out[len(out)-1] += " " + f
		} else {
			out = append(out, f)
		}
		joined = word
	}
	return out
}

// fields is strings.Fields that keeps a quoted local part in one piece.
func fields(s string) []string {
	if !strings.Contains(s, `"`) {
		return strings.Fields(s)
	}
	var out []string
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range s {
		if !quoted && strings.ContainsRune(" \t\u00a0\u3000", r) {
			if b.Len() > 0 {
				out = append(out, b.String())
				b.Reset()
			}
			continue
		}
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		b.WriteRune(r)
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}
