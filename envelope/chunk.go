package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Cobblestone-256, which is C2SP chunked-encryption with SHA-512 and
// AES-256-GCM (c2sp.org/chunked-encryption@v1; spec section 1).
const (
	saltLen       = 24
	commitmentLen = 32
	prefixLen     = saltLen + commitmentLen
	chunkLen      = 16384
	tagLen        = 16
	sealedLen     = chunkLen + tagLen
	maxChunks     = 1 << 38
)

// Labels keep the uses of one key apart (spec section 1).
const (
	labelSlot       = "pli/1 slot\x00"
	labelPayload    = "pli/1 payload\x00"
	labelSeal       = "pli/1 seal\x00"
	labelPop        = "pli/1 pop\x00"
	labelLarge      = "pli/1 large\x00"
	labelPossession = "pli/1 possession\x00"
	labelChunked    = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
)

// chunks encrypts or decrypts the chunks of one payload, in order.
type chunks struct {
	aead  cipher.AEAD
	base  [12]byte
	nonce [12]byte
	next  uint64
}

// newChunks derives a payload's keys from ck, the salt and HH, and returns the
// commitment that stands between salt and chunks.
func newChunks(ck Secret, salt []byte, hh [32]byte) (*chunks, [commitmentLen]byte, error) {
	return newChunksFor(ck, salt, labelPayload, hh[:])
}

// newChunksFor is newChunks for another use of a key, and what it is bound to.
func newChunksFor(key Secret, salt []byte, label string, bound []byte) (*chunks, [commitmentLen]byte, error) {
	var okm [32 + 12 + commitmentLen]byte
	expand(okm[:], key[:], []byte(labelChunked), salt, []byte(label), bound)
	aead, err := newGCM(okm[:32])
	if err != nil {
		return nil, [commitmentLen]byte{}, err
	}
	c := &chunks{aead: aead}
	copy(c.base[:], okm[32:44])
	return c, [commitmentLen]byte(okm[44:]), nil
}

// step returns the nonce of the next chunk: the base nonce XOR the counter.
func (c *chunks) step() ([]byte, error) {
	if c.next >= maxChunks {
		return nil, fmt.Errorf("%w: more than 2^38 chunks", ErrTooLarge)
	}
	c.nonce = c.base
	low := binary.BigEndian.Uint64(c.base[4:]) ^ c.next
	binary.BigEndian.PutUint64(c.nonce[4:], low)
	c.next++
	return c.nonce[:], nil
}

// seal encrypts buf[:n] in place and returns buf[:n+tagLen].
func (c *chunks) seal(buf []byte, n int) ([]byte, error) {
	nonce, err := c.step()
	if err != nil {
		return nil, err
	}
	return c.aead.Seal(buf[:0], nonce, buf[:n], nil), nil
}

// open decrypts sealed in place.
func (c *chunks) open(sealed []byte) ([]byte, error) {
	nonce, err := c.step()
	if err != nil {
		return nil, err
	}
	plain, err := c.aead.Open(sealed[:0], nonce, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %d", ErrAltered, c.next-1)
	}
	return plain, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// payloadSize is the size of the payload that holds n bytes of padded content.
func payloadSize(n int64) int64 {
	return prefixLen + n + (n/chunkLen+1)*tagLen
}

// PayloadSize is the size of a payload that holds n bytes with their padding.
func PayloadSize(n int64) int64 { return payloadSize(padded(n)) }

// isPayloadSize reports whether a payload can have n bytes: after the prefix
// and the full chunks there must be a last, shorter one.
func isPayloadSize(n uint64) bool {
	return n >= prefixLen+tagLen && (n-prefixLen)%sealedLen >= tagLen
}

// minPadded is the floor of padding: every short message looks the same.
const minPadded = 4096

// padded is Padmé(n) with the floor: at most 12 % more, and only
// O(log log n) bits of the length can be seen.
func padded(n int64) int64 {
	if n <= minPadded {
		return minPadded
	}
	e := bits.Len64(uint64(n)) - 1
	s := bits.Len64(uint64(e))
	mask := int64(1)<<(e-s) - 1
	return (n + mask) &^ mask
}
