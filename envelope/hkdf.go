package envelope

import "crypto/sha512"

// HKDF with SHA-512 (RFC 5869) for the short inputs of this format. It is
// crypto/hkdf without its twenty allocations a call, which were half of all
// when a short message is sealed; a test compares the two.

const (
	hashLen  = sha512.Size
	blockLen = sha512.BlockSize
)

// mac is HMAC-SHA-512 of text, which must be at most 256 bytes; key at most blockLen.
func mac(key, text []byte) [hashLen]byte {
	var inner [blockLen + 256]byte
	var outer [blockLen + hashLen]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range blockLen {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := copy(inner[blockLen:], text)
	if n < len(text) || len(key) > blockLen {
		panic("envelope: input too long for mac") // all callers have fixed sizes
	}
	sum := sha512.Sum512(inner[:blockLen+n])
	copy(outer[blockLen:], sum[:])
	return sha512.Sum512(outer[:])
}

// expand fills out, at most two hashes long, with HKDF-Expand(prk, info).
func expand(out, prk []byte, info ...[]byte) {
	var buf [256]byte
	text := buf[:0]
	for i := byte(1); len(out) > 0; i++ {
		for _, part := range info {
			text = append(text, part...)
		}
		text = append(text, i)
		t := mac(prk, text)
		out = out[copy(out, t[:]):]
		text = append(text[:0], t[:]...)
	}
}

// derive fills out with HKDF(ikm, salt, info), which extracts first.
func derive(out, ikm, salt []byte, info ...[]byte) {
	prk := mac(salt, ikm)
	expand(out, prk[:], info...)
}
