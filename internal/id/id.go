// Package id makes what must not be guessed, and what must only be unique, as
// distinct types so that one is never taken for the other.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"strings"

	"github.com/google/uuid"
)

// Token is a secret of 32 random bytes that a browser or a terminal holds. It
// prints as "[secret]"; Reveal is for the cookie or the mail, Hash for the database.
type Token struct{ s string }

// NewToken returns a new token.
func NewToken() Token {
	b := make([]byte, 32)
	rand.Read(b)
	return Token{base64.RawURLEncoding.EncodeToString(b)}
}

// ParseToken reads what Reveal gave.
func ParseToken(s string) (Token, error) {
	if b, err := base64.RawURLEncoding.Strict().DecodeString(s); err != nil || len(b) != 32 {
		return Token{}, errors.New("not a token")
	}
	return Token{s}, nil
}

// apiPrefix is what an API token begins with: whoever finds one, by eye or by a
// scanner of leaked secrets, knows what it is.
const apiPrefix = "pli_"

// NewAPIToken returns a new token for programs, pli_….
func NewAPIToken() Token { return Token{apiPrefix + NewToken().s} }

// ParseAPIToken reads what Reveal gave of one. No other token is one.
func ParseAPIToken(s string) (Token, error) {
	rest, ok := strings.CutPrefix(s, apiPrefix)
	if _, err := ParseToken(rest); !ok || err != nil {
		return Token{}, errors.New("not an API token")
	}
	return Token{s}, nil
}

// Reveal returns the token itself.
func (t Token) Reveal() string { return t.s }

// Hash returns the SHA-256 of the token, in hex: what is stored.
func (t Token) Hash() string {
	h := sha256.Sum256([]byte(t.s))
	return hex.EncodeToString(h[:])
}

// IsZero reports whether t holds nothing.
func (t Token) IsZero() bool { return t.s == "" }

func (t Token) String() string       { return "[secret]" }
func (t Token) GoString() string     { return "[secret]" }
func (t Token) LogValue() slog.Value { return slog.StringValue("[secret]") }

// New returns 16 random bytes in hex.
func New() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Ordered returns a UUIDv7 (RFC 9562): unique, sortable by time, and guessable.
func Ordered() string { return uuid.Must(uuid.NewV7()).String() }

// Without 0 and O, 1 and I, which people confuse.
const letters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// NewReference returns six letters and digits, the short name of one
// recipient's envelope. It is not a secret: 30 bits can be searched.
func NewReference() string {
	b := make([]byte, 6)
	rand.Read(b)
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return string(b)
}

// ParseReference reads a reference as people type it, whatever its case, spaces and dashes.
func ParseReference(s string) (string, bool) {
	s = strings.ToUpper(strings.NewReplacer("-", "", " ", "", "\u00a0", "", "\u2011", "").Replace(s))
	if len(s) != 6 || strings.Trim(s, letters) != "" {
		return "", false
	}
	return s, true
}

// ShowReference writes a reference for people: 7KQ-42F.
func ShowReference(ref string) string {
	if len(ref) != 6 {
		return ref
	}
	return ref[:3] + "-" + ref[3:]
}

// NewCode returns six random digits.
func NewCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	s := n.String()
	return strings.Repeat("0", 6-len(s)) + s
}

// NewPassword returns a temporary password of 100 bits that can be read aloud:
// five groups of four letters and digits.
func NewPassword() string { return groups(5) }

// NewRecoveryCode returns 80 bits as four such groups.
func NewRecoveryCode() string { return groups(4) }

func groups(n int) string {
	b := make([]byte, 4*n)
	rand.Read(b)
	var s strings.Builder
	for i := range b {
		if i > 0 && i%4 == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(strings.ToLower(letters)[b[i]&31])
	}
	return s.String()
}
