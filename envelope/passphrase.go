package envelope

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Numbers of a passphrase (docs/spec/envelope-v1.md, section 6).
const (
	PassphraseRounds = 600_000 // of PBKDF2
	MaxHint          = 120     // bytes
)

// KeyPart is what a recipient's mail carries of the key: E, or E masked by a
// passphrase that sender and recipient agreed on by another way.
type KeyPart struct {
	E    Secret // masked where Salt is there
	Salt []byte // 16 bytes; nil: E is E
	Hint string // of the sender, to the passphrase; may be empty
}

// Masked reports whether it takes a passphrase to have E.
func (p KeyPart) Masked() bool { return p.Salt != nil }

// maskedPrefix begins the text of a masked part: version 1 of the mask.
const maskedPrefix = "p1."

// Text is the part as link and file carry it: 43 characters of base64url, or
// p1.SALT.MASKED[.HINT]. An empty hint is left out with its dot, since programs
// that find links in text leave out a dot at their end.
func (p KeyPart) Text() string {
	if !p.Masked() {
		return p.E.Base64()
	}
	text := maskedPrefix + rawURL.EncodeToString(p.Salt) + "." + p.E.Base64()
	if p.Hint != "" {
		text += "." + rawURL.EncodeToString([]byte(p.Hint))
	}
	return text
}

// ParseKeyPart reads the form that Text gives, and no other. Its errors do not
// repeat the text.
func ParseKeyPart(text string) (KeyPart, error) {
	rest, masked := strings.CutPrefix(text, maskedPrefix)
	if !masked {
		e, err := ParseSecret(text)
		return KeyPart{E: e}, err
	}
	malformed := fmt.Errorf("parse key part: %w: want p1.SALT.MASKED[.HINT]", ErrFormat)
	fields := strings.Split(rest, ".")
	if len(fields) < 2 || len(fields) > 3 || len(fields[0]) != 22 {
		return KeyPart{}, malformed
	}
	var p KeyPart
	var err error
	if p.Salt, err = rawURL.DecodeString(fields[0]); err != nil || len(p.Salt) != 16 {
		return KeyPart{}, malformed
	}
	if p.E, err = ParseSecret(fields[1]); err != nil {
		return KeyPart{}, malformed
	}
	if len(fields) == 3 {
		hint, err := rawURL.DecodeString(fields[2])
		if err != nil || len(hint) == 0 || strings.ContainsAny(fields[2], "\r\n") || !IsHint(string(hint)) {
			return KeyPart{}, malformed
		}
		p.Hint = string(hint)
	}
	return p, nil
}

// IsHint reports whether a hint can stand in a part: at most MaxHint bytes of
// UTF-8 without control characters.
func IsHint(s string) bool {
	return len(s) <= MaxHint && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Passphrase is what a sealer derives from a passphrase, once for a message: it
// masks every slot's E. It is not the passphrase, and opens as much as it.
type Passphrase struct {
	Key  Secret
	Salt [16]byte
	Hint string
}

// NewPassphrase derives what masks, under a fresh salt. It takes a good part of a second.
func NewPassphrase(text, hint string) (Passphrase, error) {
	p := Passphrase{Hint: hint}
	if !IsHint(hint) {
		return p, fmt.Errorf("passphrase: %w: the hint is too long or cannot be shown", ErrFormat)
	}
	rand.Read(p.Salt[:]) // never fails (crypto/rand)
	p.Key = passphraseKey(text, p.Salt[:])
	return p, nil
}

func passphraseKey(text string, salt []byte) Secret {
	k, err := pbkdf2.Key(sha256.New, norm.NFC.String(text), salt, PassphraseRounds, 32)
	if err != nil {
		panic("derive passphrase: " + err.Error()) // only for lengths that are not these
	}
	return Secret(k)
}

// Mask is the part of a slot with that E.
func (p Passphrase) Mask(slot SlotID, e Secret) KeyPart {
	return KeyPart{E: xorMask(p.Key, slot, e), Salt: p.Salt[:], Hint: p.Hint}
}

// Unmask gives E if that is the passphrase, and another 32 bytes if it is not:
// which of them shows the proof of possession, or the opening. It takes a good
// part of a second where the part is masked.
func (p KeyPart) Unmask(text string, slot SlotID) Secret {
	if !p.Masked() {
		return p.E
	}
	return xorMask(passphraseKey(text, p.Salt), slot, p.E)
}

func xorMask(k Secret, slot SlotID, e Secret) (out Secret) {
	derive(out[:], k[:], slot[:], []byte("pli/1 passphrase"))
	for i := range out {
		out[i] ^= e[i]
	}
	return out
}
