// Package mailaddr holds e-mail addresses as values: one strict reading, one
// form to compare and store, and the masked forms that logs and envelopes show.
//
// An Address is an addr-spec (RFC 5321 section 4.1.2, RFC 6531 section 3.3):
// local part "@" domain. Display names, routes, groups, comments and address
// literals are not addresses here; ParseList takes display names off first.
package mailaddr

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of RFC 5321 section 4.5.3.1 and of RFC 3696 erratum 1690, in octets.
const (
	maxLocal   = 64
	maxAddress = 254
)

// Errors of Parse. They never carry the address: an error ends in a log.
var (
	ErrSyntax = errors.New("parse address: not an address of the form name@domain")
	ErrLong   = errors.New("parse address: too long")
	ErrDomain = errors.New("parse address: not a valid domain")
)

// Address is a parsed address. The zero value is no address. Two addresses
// are == when they are spelled alike; whether they are the same mailbox for
// Pli is decided by Canonical (or Same) alone.
type Address struct {
	local  string // NFC, case as given, without quotes
	domain string // A-labels, lower case
}

// profile maps nothing away: Parse refuses a domain that mapping changes by
// more than letter case, so that what is stored is what was typed.
var profile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.ValidateLabels(true),
	idna.VerifyDNSLength(true),
	idna.CheckHyphens(false), // r3---sn.example is in use; xn-- labels are checked below
)

// Parse reads one addr-spec. It refuses display names, angle brackets, routes,
// comments, address literals, controls, spaces outside a quoted local part,
// bidirectional controls, invalid UTF-8, and more than 64 octets of local part
// or 254 in all.
func Parse(s string) (Address, error) {
	if len(s) > 4*maxAddress {
		return Address{}, ErrLong
	}
	if !utf8.ValidString(s) {
		return Address{}, ErrSyntax
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return Address{}, ErrSyntax
	}
	local, err := parseLocal(s[:at])
	if err != nil {
		return Address{}, err
	}
	domain, err := ParseDomain(s[at+1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{local: local, domain: domain}
	if len(quoteLocal(local)) > maxLocal || len(a.Wire()) > maxAddress {
		return Address{}, ErrLong
	}
	return a, nil
}

// MustParse is Parse for tests and fixed tables; it panics on an error.
func MustParse(s string) Address {
	a, err := Parse(s)
	if err != nil {
		panic(fmt.Sprintf("mailaddr: %q: %v", s, err))
	}
	return a
}

// parseLocal reads Dot-string or Quoted-string (RFC 5321 section 4.1.2) and
// returns the text that it stands for, so that "a"@x.test and a@x.test are one.
func parseLocal(s string) (string, error) {
	if s[0] != '"' {
		s = norm.NFC.String(s)
		if !isDotAtom(s) {
			return "", ErrSyntax
		}
		return s, nil
	}
	if len(s) < 3 || s[len(s)-1] != '"' {
		return "", ErrSyntax
	}
	var b strings.Builder
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		switch {
		case r < ' ' || r == 0x7f || !graphic(r) && r != ' ':
			return "", ErrSyntax
		case escaped:
			if r > 0x7e {
				return "", ErrSyntax // quoted-pair is ASCII only
			}
			escaped = false
			b.WriteRune(r)
		case r == '\\':
			escaped = true
		case r == '"':
			return "", ErrSyntax
		default:
			b.WriteRune(r)
		}
	}
	if escaped || b.Len() == 0 {
		return "", ErrSyntax
	}
	return norm.NFC.String(b.String()), nil
}

// graphic reports whether r may stand in an address: letters, marks, numbers,
// punctuation, symbols; no spaces, controls, or format characters, which
// include the bidirectional and zero-width ones.
func graphic(r rune) bool {
	return r != utf8.RuneError && unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r < 0x80 {
			if !isAtext(byte(r)) && r != '.' {
				return false
			}
		} else if !graphic(r) {
			return false
		}
	}
	return true
}

func isAtext(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// quoteLocal writes a local part as it stands in SMTP and in headers.
func quoteLocal(s string) string {
	if isDotAtom(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// ParseDomain reads a host or domain name and returns its A-labels in lower
// case. It refuses address literals, a trailing dot, a last label of digits
// only, and any name that IDNA mapping changes by more than letter case.
func ParseDomain(s string) (string, error) {
	if s == "" || len(s) > 4*maxAddress || !utf8.ValidString(s) || s[len(s)-1] == '.' {
		return "", ErrDomain
	}
	typed := strings.ToLower(norm.NFC.String(s))
	a, err := profile.ToASCII(typed)
	if err != nil || a == "" || len(a) > 253 {
		return "", ErrDomain
	}
	a = strings.ToLower(a)
	u, err := profile.ToUnicode(a)
	if err != nil || u != typed && a != typed {
		return "", ErrDomain
	}
	for i := 0; i < len(a); i++ {
		c := a[i]
		if c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "", ErrDomain
		}
	}
	for label := range strings.SplitSeq(a, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", ErrDomain
		}
	}
	last := a[strings.LastIndexByte(a, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", ErrDomain
	}
	return a, nil
}

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// String is the display form: local part as given, domain in Unicode.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return quoteLocal(a.local) + "@" + a.displayDomain()
}

// Wire is the form for SMTP commands and headers: local part as given (its
// case may matter to its owner), domain in A-labels. It is ASCII unless IsASCII is false.
func (a Address) Wire() string {
	if a.IsZero() {
		return ""
	}
	return quoteLocal(a.local) + "@" + a.domain
}

// Canonical is the only form that is compared and stored: local part in NFC
// with ASCII letters in lower case, domain in A-labels.
func (a Address) Canonical() string {
	if a.IsZero() {
		return ""
	}
	return quoteLocal(lowerASCII(a.local)) + "@" + a.domain
}

// Same reports whether two addresses are one mailbox for Pli.
func (a Address) Same(b Address) bool { return a.Canonical() == b.Canonical() }

// Local is the local part as given, without quotes.
func (a Address) Local() string { return a.local }

// Domain is the domain in A-labels, lower case.
func (a Address) Domain() string { return a.domain }

// IsASCII reports whether Wire is ASCII; if not, SMTPUTF8 (RFC 6531) is needed.
func (a Address) IsASCII() bool { return isASCII(a.local) }

// Masked hides all but one letter for pages: "b•••@example.net".
func (a Address) Masked() string {
	if a.IsZero() {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(a.local)
	return string(r) + "•••@" + a.displayDomain()
}

// ASCIIMasked hides all but one letter for logs and envelopes: "b***@x.test".
// A first letter outside printable ASCII is hidden too.
func (a Address) ASCIIMasked() string {
	if a.IsZero() {
		return ""
	}
	if c := a.local[0]; c > ' ' && c < 0x7f {
		return string(c) + "***@" + a.domain
	}
	return "***@" + a.domain
}

func (a Address) displayDomain() string {
	u, err := profile.ToUnicode(a.domain)
	if err != nil {
		return a.domain
	}
	return u
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
