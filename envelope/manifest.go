package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Manifest tells a reader how to show a sealed message without parsing MIME
// (docs/spec/envelope-v1.md, section 3). It is written once, by the sealer,
// and travels as JSON in front of the message inside the sealed content.
type Manifest struct {
	Length  int64     `json:"length"`            // bytes of the message; what follows is padding
	Subject string    `json:"subject"`           // decoded
	From    []Mailbox `json:"from"`              // as the header claims
	To      []Mailbox `json:"to,omitempty"`      //
	Cc      []Mailbox `json:"cc,omitempty"`      //
	Date    string    `json:"date,omitempty"`    // RFC 3339, empty when the header has none
	Parts   []Part    `json:"parts"`             // leaves only, in the order of the message
	Unusual []string  `json:"unusual,omitempty"` // why the message could be read in more than one way
}

// Mailbox is one address of a header, decoded.
type Mailbox struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Part is one leaf of the message: where its encoded bytes are and what they mean.
type Part struct {
	Offset   int64  `json:"offset"`            // from the first byte of the message
	Length   int64  `json:"length"`            // of the encoded bytes
	Encoding string `json:"encoding"`          // base64, quoted-printable or identity
	Type     string `json:"type"`              // media type, lower case, without parameters
	Charset  string `json:"charset,omitempty"` // of text parts, lower case, as declared
	Role     string `json:"role"`              // text, html, inline or attachment
	Name     string `json:"name,omitempty"`    // decoded file name, made safe
	ID       string `json:"id,omitempty"`      // Content-ID without angle brackets
	Size     int64  `json:"size"`              // of the decoded bytes
	SHA256   string `json:"sha256"`            // of the decoded bytes, lower-case hex
}

// Limits of a manifest; a reader holds one to them before it shows anything.
const (
	maxParts   = 1000
	maxUnusual = 64
	maxInteger = 1<<53 - 1 // what every JSON reader keeps exactly
)

// ReadManifest reads a manifest in its one canonical form (spec section 3):
// members in the order of the types above, empty optional ones left out, no
// white space, escapes only where JSON demands them. Anything that another
// reader might read otherwise, such as a duplicate or unknown name, 1e3 or
// half a surrogate pair, does not survive being written again, so one
// comparison refuses it.
func ReadManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w: not JSON of its schema", ErrFormat)
	}
	if !bytes.Equal(m.append(make([]byte, 0, len(text))), text) {
		return nil, fmt.Errorf("read manifest: %w: not in canonical form", ErrFormat)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return &m, nil
}

// Check says whether the manifest is one that readers accept.
func (m *Manifest) Check() error {
	if m.Length < 0 || m.Length > maxInteger {
		return manifestError("message length %d", m.Length)
	}
	if len(m.Parts) > maxParts {
		return manifestError("%d parts where %d are allowed", len(m.Parts), maxParts)
	}
	if len(m.Unusual) > maxUnusual {
		return manifestError("%d unusual reasons where %d are allowed", len(m.Unusual), maxUnusual)
	}
	if !utf8.ValidString(m.Subject) {
		return manifestError("subject is not UTF-8")
	}
	for _, list := range [][]Mailbox{m.From, m.To, m.Cc} {
		for _, b := range list {
			if !utf8.ValidString(b.Name) || !utf8.ValidString(b.Address) {
				return manifestError("a mailbox is not UTF-8")
			}
		}
	}
	if m.Date != "" && !isTimestamp(m.Date) {
		return manifestError("date is not RFC 3339")
	}
	for _, reason := range m.Unusual {
		if reason == "" || !utf8.ValidString(reason) {
			return manifestError("an unusual reason is empty or not UTF-8")
		}
	}
	end := int64(0)
	for i := range m.Parts {
		p := &m.Parts[i]
		if err := p.check(); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		if p.Offset < end || p.Length > m.Length-p.Offset {
			return manifestError("part %d overlaps another or overruns the message", i)
		}
		end = p.Offset + p.Length
	}
	return nil
}

func (p *Part) check() error {
	if p.Offset < 0 || p.Length < 0 || p.Size < 0 || p.Offset > maxInteger || p.Length > maxInteger {
		return manifestError("a number is out of range")
	}
	switch p.Encoding {
	case "identity":
		if p.Size != p.Length {
			return manifestError("an identity part has another size decoded")
		}
	case "base64", "quoted-printable":
		if p.Size > p.Length {
			return manifestError("decoding makes the part larger")
		}
	default:
		return manifestError("unknown encoding")
	}
	switch p.Role {
	case "text", "html", "inline", "attachment":
	default:
		return manifestError("unknown role")
	}
	kind, sub, ok := strings.Cut(p.Type, "/")
	if !ok || !isToken(kind) || !isToken(sub) {
		return manifestError("media type must be two lower-case tokens")
	}
	if p.Charset != "" && !isToken(p.Charset) {
		return manifestError("charset must be a lower-case token")
	}
	if !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, isUnsafeInName) {
		return manifestError("name has a slash, a control character, or is not UTF-8")
	}
	if !utf8.ValidString(p.ID) {
		return manifestError("content id is not UTF-8")
	}
	var digest [32]byte
	if parseHex(digest[:], p.SHA256, "digest") != nil {
		return manifestError("sha256 must be 64 lower-case hex digits")
	}
	return nil
}

// isUnsafeInName keeps a name one path element that prints as itself.
func isUnsafeInName(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }

// isToken reports whether s is an RFC 2045 token of at most 127 characters
// without upper-case letters.
func isToken(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c >= 'A' && c <= 'Z' || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return true
}

// isTimestamp reports whether s has the form 2006-01-02T15:04:05Z or with an
// offset such as +01:00. The form is checked, not the calendar: a message may
// carry the 31st of February, and readers must agree on what they refuse.
func isTimestamp(s string) bool {
	const form = "dddd-dd-ddTdd:dd:dd"
	match := func(s, form string) bool {
		if len(s) != len(form) {
			return false
		}
		for i := range len(form) {
			if digit := s[i] >= '0' && s[i] <= '9'; form[i] == 'd' && !digit || form[i] != 'd' && s[i] != form[i] {
				return false
			}
		}
		return true
	}
	if len(s) < len(form) || !match(s[:len(form)], form) {
		return false
	}
	zone := s[len(form):]
	return zone == "Z" || match(zone, "+dd:dd") || match(zone, "-dd:dd")
}

func manifestError(format string, args ...any) error {
	return fmt.Errorf("check manifest: %w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// append writes the canonical form. It is written by hand because
// encoding/json escapes U+2028 and HTML characters, which ECMAScript's
// JSON.stringify, the other common writer, does not.
func (m *Manifest) append(b []byte) []byte {
	b = append(b, `{"length":`...)
	b = strconv.AppendInt(b, m.Length, 10)
	b = appendMember(b, `,"subject":`, m.Subject)
	b = appendMailboxes(append(b, `,"from":`...), m.From)
	if len(m.To) > 0 {
		b = appendMailboxes(append(b, `,"to":`...), m.To)
	}
	if len(m.Cc) > 0 {
		b = appendMailboxes(append(b, `,"cc":`...), m.Cc)
	}
	b = appendOptional(b, `,"date":`, m.Date)
	b = append(b, `,"parts":[`...)
	for i := range m.Parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.Parts[i].append(b)
	}
	b = append(b, ']')
	for i, reason := range m.Unusual {
		if i == 0 {
			b = append(b, `,"unusual":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, reason)
	}
	if len(m.Unusual) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

func (p *Part) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"offset":`...), p.Offset, 10)
	b = strconv.AppendInt(append(b, `,"length":`...), p.Length, 10)
	b = appendMember(b, `,"encoding":`, p.Encoding)
	b = appendMember(b, `,"type":`, p.Type)
	b = appendOptional(b, `,"charset":`, p.Charset)
	b = appendMember(b, `,"role":`, p.Role)
	b = appendOptional(b, `,"name":`, p.Name)
	b = appendOptional(b, `,"id":`, p.ID)
	b = strconv.AppendInt(append(b, `,"size":`...), p.Size, 10)
	b = appendMember(b, `,"sha256":`, p.SHA256)
	return append(b, '}')
}

func appendMailboxes(b []byte, list []Mailbox) []byte {
	b = append(b, '[')
	for i, box := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if box.Name != "" {
			b = append(appendMember(b, `{"name":`, box.Name), ',')
		} else {
			b = append(b, '{')
		}
		b = append(appendMember(b, `"address":`, box.Address), '}')
	}
	return append(b, ']')
}

func appendOptional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendMember(b, name, value)
}

func appendMember(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

// appendString writes s as ECMAScript's JSON.stringify does.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
