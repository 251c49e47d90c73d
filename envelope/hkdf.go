package envelope

import (
	"crypto/hmac"
	"crypto/sha512"
)

// HKDF with SHA-512 (RFC 5869) over the standard library's HMAC. crypto/hkdf
// does the same with some twenty allocations a call, which were half of all
// when a short message is sealed; a test compares the two.

// expand fills out, at most 255 hashes long, with HKDF-Expand(prk, info).
func expand(out, prk []byte, info ...[]byte) {
	h := hmac.New(sha512.New, prk)
	var t []byte
	for i := byte(1); len(out) > 0; i++ {
		h.Reset()
		h.Write(t)
		for _, part := range info {
			h.Write(part)
		}
		h.Write([]byte{i})
		t = h.Sum(t[:0])
		out = out[copy(out, t):]
	}
}

// derive fills out with HKDF(ikm, salt, info), which extracts first.
func derive(out, ikm, salt []byte, info ...[]byte) {
	h := hmac.New(sha512.New, salt)
	h.Write(ikm)
	expand(out, h.Sum(nil), info...)
}
