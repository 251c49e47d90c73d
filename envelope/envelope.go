// Package envelope is the sealed-message format of Pli: it seals a message,
// reads and opens an envelope, and writes and finds the text armor.
//
// The format is docs/spec/envelope-v1.md; comments name its sections. The
// package has no clock, no files and no database: bytes come from readers,
// go to writers, and keys come from the caller.
//
// Sealing: NewSealer, Seal once, NewSlot per recipient, Sign, Head. The
// payload is written before its head can be made, because the head carries a
// signature over the payload's hash; callers keep the payload in between.
//
// Opening: FindArmor where there may be text, Parse, Open, WriteMessage. What
// WriteMessage wrote may be used only after it returned nil.
package envelope

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// What can be wrong with an envelope. Errors of this package wrap one of these,
// or the error of the reader or writer that the caller gave.
var (
	ErrFormat   = errors.New("not a well-formed envelope")
	ErrVersion  = errors.New("made by a newer or unknown version")
	ErrAltered  = errors.New("the file was altered or cut short on its way")
	ErrWrongKey = errors.New("the key does not open this envelope")
	ErrTooLarge = errors.New("too large")
)

// MessageID names one sealed message; all its envelopes share it.
type MessageID [16]byte

// String is lower-case hex, 32 characters.
func (id MessageID) String() string { return hex.EncodeToString(id[:]) }

// ParseMessageID reads the form that String gives, and no other.
func ParseMessageID(s string) (id MessageID, err error) {
	return id, parseHex(id[:], s, "message id")
}

// SlotID names one recipient's slot of one message.
type SlotID [16]byte

// String is lower-case hex, 32 characters.
func (id SlotID) String() string { return hex.EncodeToString(id[:]) }

// ParseSlotID reads the form that String gives, and no other.
func ParseSlotID(s string) (id SlotID, err error) {
	return id, parseHex(id[:], s, "slot id")
}

// parseHex fills dst from exactly 2*len(dst) lower-case hex digits: two
// spellings of one id would make two ids of it in maps and logs.
func parseHex(dst []byte, s, what string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("parse %s: %w: want %d hex digits", what, ErrFormat, hex.EncodedLen(len(dst)))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("parse %s: %w: want lower-case hex", what, ErrFormat)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// Secret is 32 secret bytes: a half key (S or E) or a content key. However it
// is printed, it prints "[secret]"; only Base64 shows it.
type Secret [32]byte

const hidden = "[secret]"

// String hides the value.
func (Secret) String() string { return hidden }

// GoString hides the value from %#v.
func (Secret) GoString() string { return hidden }

// Format hides the value from every verb; %d and %x would otherwise show it.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the value from log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses: a secret that reaches an encoder got there by mistake.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("encode secret: use Base64 where it is meant")
}

// Base64 is the value itself, base64url without padding, 43 characters.
func (s Secret) Base64() string { return base64.RawURLEncoding.EncodeToString(s[:]) }

// ParseSecret reads the form that Base64 gives, and no other. Its errors do not
// repeat the text.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	b, err := rawURL.DecodeString(text)
	if len(text) != 43 || err != nil || len(b) != len(s) {
		return Secret{}, fmt.Errorf("parse secret: %w: want 43 characters of base64url", ErrFormat)
	}
	copy(s[:], b)
	return s, nil
}

// rawURL is strict, so that 32 bytes have one spelling.
var rawURL = base64.RawURLEncoding.Strict()
