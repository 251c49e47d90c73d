package message

import (
	"strconv"
	"strings"
)

// params is a structured value: "main; name=value; ..." (RFC 2045 section 5.1).
type params struct {
	main string // lower case, without comments
	list []param
}

type param struct {
	name, value string // name in lower case
}

const maxParams = 200

// params parses a structured value. It reads on where RFC 2045 would stop and
// reports what programs are known to read in several ways.
func (s *scanner) params(v, fieldName string) params {
	c := &cursor{s: v}
	var p params
	c.blanks()
	start := c.i
	for c.i < len(v) && strings.IndexByte("; \t(", v[c.i]) < 0 {
		c.i++
	}
	p.main = strings.ToLower(v[start:c.i])
	c.blanks()
	if c.i < len(v) && v[c.i] != ';' {
		c.bad = true
		c.until(';')
	}
	seen := make(map[string]bool)
	for c.i < len(v) && len(p.list) < maxParams {
		c.i++ // the semicolon
		c.blanks()
		start := c.i
		for c.i < len(v) && strings.IndexByte("=; \t(", v[c.i]) < 0 {
			c.i++
		}
		name := strings.ToLower(v[start:c.i])
		c.blanks()
		if c.i >= len(v) || v[c.i] != '=' {
			if name != "" {
				c.bad = true
			}
			c.until(';')
			continue
		}
		c.i++
		c.blanks()
		value := c.value()
		if seen[name] {
			s.unusual("duplicate-parameter")
			continue
		}
		seen[name] = true
		p.list = append(p.list, param{name, value})
	}
	if c.bad {
		s.unusual("bad-parameter")
	}
	if c.comment {
		s.unusual("comment-in-" + fieldName)
	}
	return p
}

// cursor walks a structured value.
type cursor struct {
	s       string
	i       int
	bad     bool
	comment bool
}

// blanks skips white space and comments (RFC 5322 section 3.2.2).
func (c *cursor) blanks() {
	depth := 0
	for ; c.i < len(c.s); c.i++ {
		switch b := c.s[c.i]; {
		case b == '(':
			depth++
			c.comment = true
		case depth > 0 && b == ')':
			depth--
		case depth > 0 && b == '\\':
			c.i++
		case depth > 0 || b == ' ' || b == '\t':
		default:
			return
		}
	}
	c.i = min(c.i, len(c.s))
	if depth > 0 {
		c.bad = true
	}
}

func (c *cursor) until(b byte) {
	if i := strings.IndexByte(c.s[c.i:], b); i >= 0 {
		c.i += i
	} else {
		c.i = len(c.s)
	}
}

// value reads a token or a quoted string, up to the next semicolon.
func (c *cursor) value() string {
	if c.i < len(c.s) && c.s[c.i] == '"' {
		var b strings.Builder
		closed := false
		for c.i++; c.i < len(c.s) && !closed; c.i++ {
			switch ch := c.s[c.i]; {
			case ch == '"':
				closed = true
			case ch == '\\' && c.i+1 < len(c.s):
				c.i++
				b.WriteByte(c.s[c.i])
			default:
				b.WriteByte(ch)
			}
		}
		c.blanks()
		if !closed || c.i < len(c.s) && c.s[c.i] != ';' {
			c.bad = true
			c.until(';')
		}
		return b.String()
	}
	start := c.i
	for c.i < len(c.s) && strings.IndexByte("; \t(", c.s[c.i]) < 0 {
		c.i++
	}
	end := c.i
	c.blanks()
	if c.i < len(c.s) && c.s[c.i] != ';' { // a name with spaces and without quotes
		c.bad = true
		c.until(';')
		end = c.i
	}
	return strings.TrimSpace(c.s[start:end])
}

// get returns a parameter, the extended form (RFC 2231) only if there is no
// plain one, and which of the forms there are.
func (p params) get(name string) (v string, plain, ext bool) {
	x, ext := p.extended(name)
	for _, q := range p.list {
		if q.name == name {
			return q.value, true, ext
		}
	}
	return x, false, ext
}

// all returns the values of a name in the order of trust: extended, then plain.
func (p params) all(name string) []string {
	var out []string
	if x, ok := p.extended(name); ok {
		out = append(out, x)
	}
	for _, q := range p.list {
		if q.name == name {
			out = append(out, q.value)
		}
	}
	return out
}

// extended reads name* or name*0, name*1*, ... (RFC 2231 sections 3 and 4).
func (p params) extended(name string) (string, bool) {
	pieces := make(map[string]string)
	for _, q := range p.list {
		if rest, ok := strings.CutPrefix(q.name, name+"*"); ok {
			pieces[rest] = q.value
		}
	}
	if len(pieces) == 0 {
		return "", false
	}
	if v, ok := pieces[""]; ok {
		charset, rest := splitExtended(v)
		return decodeCharset(charset, unescape(rest)), true
	}
	var b strings.Builder
	charset := ""
	for i := 0; ; i++ {
		key := strconv.Itoa(i)
		v, encoded := pieces[key+"*"]
		if !encoded {
			var ok bool
			if v, ok = pieces[key]; !ok {
				break
			}
		}
		if encoded && i == 0 {
			charset, v = splitExtended(v)
		}
		if encoded {
			v = unescape(v)
		}
		b.WriteString(v)
	}
	if b.Len() == 0 {
		return "", false
	}
	return decodeCharset(charset, b.String()), true
}

// splitExtended takes charset'language' off.
func splitExtended(v string) (charset, rest string) {
	parts := strings.SplitN(v, "'", 3)
	if len(parts) < 3 {
		return "", v
	}
	return parts[0], parts[2]
}

// unescape undoes %XX; what is no escape stays.
func unescape(v string) string {
	if !strings.Contains(v, "%") {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) && isHex(v[i+1]) && isHex(v[i+2]) {
			b.WriteByte(unhex(v[i+1])<<4 | unhex(v[i+2]))
			i += 2
			continue
		}
		b.WriteByte(v[i])
	}
	return b.String()
}
