package envelope

import (
	"crypto/hmac"
	"crypto/sha512"
)

// HKDF with SHA-512 (RFC 5869) over the standard library's HMAC. crypto/hkdf
// does the same with some twenty allocations a call, which were half of all
// when a short message is sealed; a test compares the two.

// expand fills out, at most 255 hashes long, with HKDF-Expand(prk, info).
func expand(out, prk []byte, info ...[]byte) { expandIn(make([]byte, 0, 256), out, prk, info) }

func expandIn(text, out, prk []byte, info [][]byte) {
	for i := byte(1); len(out) > 0; i++ {
		for _, part := range info {
			text = append(text, part...)
		}
		h := hmac.New(sha512.New, prk) // cheaper than Reset, which keeps a copy of its state
		h.Write(append(text, i))
		text = h.Sum(text[:0])
		out = out[copy(out, text):]
	}
}

// derive fills out with HKDF(ikm, salt, info), which extracts first.
func derive(out, ikm, salt []byte, info ...[]byte) {
	h := hmac.New(sha512.New, salt)
	h.Write(ikm)
	buf := make([]byte, 0, sha512.Size+256)
	prk := h.Sum(buf)
	expandIn(buf[sha512.Size:sha512.Size], out, prk, info)
}
