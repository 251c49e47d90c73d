package message

import (
	"io"
	"mime"
	"net/mail"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/unicode/norm"

	"github.com/pli-mail/pli/envelope"
)

const (
	maxText = 4096 // octets of a header value that are decoded for display, and of what comes of it
	maxName = 255  // octets of a file name; file systems count octets
	maxExt  = 32
)

var words = &mime.WordDecoder{CharsetReader: charset.Reader}

// envelopeFields fills the manifest from the message's own header. Of fields
// that may stand only once (RFC 5322 section 3.6) the first counts.
func (s *scanner) envelopeFields(h []field) {
	count := make(map[string]int)
	for _, f := range h {
		switch f.name {
		case "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id":
			if count[f.name]++; count[f.name] == 2 {
				s.unusual("duplicate-" + f.name)
			}
			if f.blank {
				s.unusual("space-before-colon")
			}
		}
	}
	if v, ok := first(h, "subject"); ok {
		s.m.Subject = s.decodeText(v)
	}
	s.m.From = s.mailboxes(h, "from")
	s.m.To = s.mailboxes(h, "to")
	s.m.Cc = s.mailboxes(h, "cc")
	if len(s.m.From) > 1 {
		s.unusual("several-from")
	}
	for _, m := range s.m.From {
		if strings.Contains(m.Name, "@") {
			s.unusual("address-in-name")
		}
	}
	if v, ok := first(h, "date"); ok {
		if t, err := mail.ParseDate(v); err == nil && t.Year() > 0 && t.Year() < 10000 {
			s.m.Date = t.Format(time.RFC3339)
		} else {
			s.unusual("bad-date")
		}
	}
}

// mailboxes reads an address list (RFC 5322 section 3.4). One that cannot be
// read is given whole in the place of an address, so that it is seen.
func (s *scanner) mailboxes(h []field, name string) []envelope.Mailbox {
	v, ok := first(h, name)
	if !ok || v == "" {
		return nil
	}
	if !utf8.ValidString(v) {
		s.unusual("bad-header-charset")
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	parser := mail.AddressParser{WordDecoder: words}
	list, err := parser.ParseList(v)
	if err != nil {
		if strings.HasSuffix(strings.ReplaceAll(v, " ", ""), ":;") {
			return nil // an empty group, as in "undisclosed-recipients:;"
		}
		s.unusual("bad-" + name)
		return []envelope.Mailbox{{Address: s.clean(cut(v, 320))}}
	}
	var out []envelope.Mailbox
	for _, a := range list {
		name := a.Name
		// Not standard in quotes, and common (RFC 2047 section 5 forbids it).
		if d, err := words.DecodeHeader(name); err == nil && strings.Contains(v, name) {
			name = d
		}
		out = append(out, envelope.Mailbox{Name: s.clean(cut(name, 1000)), Address: s.clean(a.Address)})
	}
	return out
}

// decodeText decodes an unstructured value (RFC 2047) for display.
func (s *scanner) decodeText(v string) string {
	if !utf8.ValidString(v) {
		s.unusual("bad-header-charset")
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	v = cut(v, maxText)
	if d, err := words.DecodeHeader(v); err == nil {
		v = cut(d, maxText) // there are letters of one octet that have three in UTF-8
	} else {
		s.unusual("unknown-charset")
	}
	return s.clean(v)
}

// clean is cleanText that reports what it had to change.
func (s *scanner) clean(v string) string {
	if strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		s.unusual("control-in-header")
	}
	if strings.ContainsFunc(v, isBidi) {
		s.unusual("bidi-in-header")
	}
	return cleanText(v)
}

// cleanText makes text safe for one line of display: no controls, no line or
// paragraph separators, nothing that reorders letters.
func cleanText(v string) string {
	v = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		case isBidi(r) || r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(v, "\ufffd"))
	return strings.TrimSpace(v)
}

// isBidi: the characters of "Trojan Source" (embeddings, overrides, isolates)
// and the plain direction marks.
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}

// cut keeps at most n octets, whole characters.
func cut(v string, n int) string {
	if len(v) <= n {
		return v
	}
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

// safeName makes a declared file name one that can be shown and saved: no path,
// no controls, nothing that hides the extension. "" means that nothing is left.
func (s *scanner) safeName(v string) string {
	v = cut(v, maxText)
	if !utf8.ValidString(v) {
		s.unusual("bad-header-charset")
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	// Not standard inside a parameter, and common (RFC 2047 section 5 forbids it).
	if d, err := words.DecodeHeader(v); err == nil {
		v = d
	}
	if strings.ContainsFunc(v, unicode.IsControl) {
		s.unusual("control-in-name")
	}
	if strings.ContainsFunc(v, isBidi) {
		s.unusual("bidi-in-name")
	}
	if strings.ContainsAny(v, `/\`) {
		s.unusual("path-in-name")
	}
	return SafeName(v)
}

// SafeName makes a file name safe to show and to save on any system: the last
// element of a path, without controls, bidirectional or other invisible
// characters, runs of blanks, trailing dots, characters that Windows refuses,
// or names of devices; at most 255 octets, cut before the extension. It is ""
// if nothing is left.
func SafeName(v string) string {
	v = norm.NFC.String(strings.ToValidUTF8(v, "\ufffd"))
	v = strings.TrimRight(v, "/\\ ")
	v = v[strings.LastIndexAny(v, `/\`)+1:]
	v = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Z, r):
			return ' '
		case unicode.IsControl(r) || strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, v)
	v = strings.Join(strings.Fields(v), " ")
	v = strings.TrimRight(v, ". ")
	if strings.HasPrefix(v, ".") { // hidden on Unix
		v = "_" + v
	}
	if strings.Trim(v, "._ ") == "" {
		return ""
	}
	stem, _, _ := strings.Cut(v, ".")
	if isDevice(strings.TrimSpace(stem)) {
		v = "_" + v
	}
	if len(v) > maxName {
		ext := path.Ext(v)
		if len(ext) > maxExt {
			ext = ""
		}
		v = strings.TrimRight(cut(v[:len(v)-len(ext)], maxName-len(ext)), ". ") + ext
	}
	return v
}

// isDevice: the names that Windows opens as devices, with any extension.
func isDevice(stem string) bool {
	stem = strings.ToUpper(stem)
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if rest, ok := strings.CutPrefix(stem, "COM"); ok || strings.HasPrefix(stem, "LPT") {
		if !ok {
			rest = stem[3:]
		}
		return utf8.RuneCountInString(rest) == 1 && strings.ContainsAny(rest, "0123456789¹²³")
	}
	return false
}

// decodeCharset turns octets of a declared character set into UTF-8, or leaves
// them if the set is not known.
func decodeCharset(label, v string) string {
	label = strings.ToLower(label)
	if label == "" || label == "utf-8" || label == "us-ascii" || utf8.ValidString(v) && isASCIIText(v) {
		return v
	}
	r, err := charset.Reader(label, strings.NewReader(v))
	if err != nil {
		return v
	}
	b, err := io.ReadAll(io.LimitReader(r, 4*maxText))
	if err != nil {
		return v
	}
	return string(b)
}

func isASCIIText(v string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] >= 0x80 || v[i] == 0x1b {
			return false
		}
	}
	return true
}

// charsetNames: what mail calls some sets, and what the Encoding standard does.
var charsetNames = map[string]string{
	"cp932": "shift_jis", "cp936": "gbk", "cp949": "euc-kr", "cp950": "big5", "cp1252": "windows-1252", "iso-8859-1-windows-3.1-latin-1": "windows-1252",
}

// maxPrescan is how far a page may name its own character set (HTML, section 13.2.3.2).
const maxPrescan = 1024

var metaTag = regexp.MustCompile(`(?i)<meta[^>]*?[\s"';]charset\s*=\s*["']?\s*([a-z0-9][\w:.+-]{1,39})`)

// metaCharset finds the character set that a page names, "" if it is none that
// a browser would take from there.
func metaCharset(head []byte) string {
	found := metaTag.FindSubmatch(head)
	if found == nil {
		return ""
	}
	v := strings.ToLower(string(found[1]))
	if !isToken(v) || !browserCharset(v) || strings.HasPrefix(v, "utf-16") {
		return ""
	}
	return v
}

// browserCharset reports whether TextDecoder knows a label (WHATWG Encoding).
// It does not know UTF-7, which once smuggled markup past filters.
func browserCharset(label string) bool {
	e, err := htmlindex.Get(label)
	if err != nil {
		return false
	}
	name, err := htmlindex.Name(e)
	return err == nil && name != "replacement"
}
