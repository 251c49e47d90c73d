// Package masterkey holds the root key, under which every other key and every
// *_box column of the database is sealed. Who has the database and not this
// file reads none of them; who loses the file and its recovery key has lost
// every message.
package masterkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const (
	keySize   = 32
	nonceSize = 12
	leadSize  = 4 + nonceSize // version and nonce before the ciphertext of a box
)

// Errors of Root.Open.
var (
	ErrBox     = errors.New("open box: not sealed for this purpose, or altered")
	ErrVersion = errors.New("open box: sealed with a version of the root key that is not in the key file")
)

// Root is an open root key with all its versions. It prints as "[secret]". Its
// methods are safe for concurrent use.
type Root struct {
	current uint32
	keys    map[uint32][keySize]byte
}

// Version is the version that Seal uses.
func (r *Root) Version() int64 { return int64(r.current) }

// Seal encrypts plaintext with AES-256-GCM under a key for purpose alone.
// The box is version (u32) || nonce (12 bytes) || ciphertext and tag, and opens
// only for the same purpose.
func (r *Root) Seal(purpose string, plaintext []byte) ([]byte, error) {
	aead, err := r.aead(r.current, purpose)
	if err != nil {
		return nil, err
	}
	box := make([]byte, leadSize, leadSize+len(plaintext)+aead.Overhead())
	binary.BigEndian.PutUint32(box, r.current)
	rand.Read(box[4:]) // never fails (crypto/rand)
	return aead.Seal(box, box[4:leadSize], plaintext, []byte(purpose)), nil
}

// Open decrypts a box that Seal made for the same purpose, with any version of
// the key that is still in the file.
func (r *Root) Open(purpose string, box []byte) ([]byte, error) {
	if len(box) < leadSize {
		return nil, ErrBox
	}
	aead, err := r.aead(binary.BigEndian.Uint32(box), purpose)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, box[4:leadSize], box[leadSize:], []byte(purpose))
	if err != nil {
		return nil, ErrBox
	}
	return plaintext, nil
}

func (r *Root) aead(version uint32, purpose string) (cipher.AEAD, error) {
	key, err := r.derive(version, "pli/1 root seal\x00"+purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	clear(key)
	return cipher.NewGCM(block)
}

func (r *Root) derive(version uint32, info string) ([]byte, error) {
	root, ok := r.keys[version]
	if !ok {
		return nil, ErrVersion
	}
	key, err := hkdf.Key(sha512.New, root[:], nil, info, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

// MAC is HMAC-SHA-256 over the items of data, each with its length before it,
// under a key for purpose alone: 32 bytes.
func (r *Root) MAC(purpose string, data ...[]byte) []byte {
	key, err := r.derive(r.current, "pli/1 root mac\x00"+purpose)
	if err != nil {
		panic("masterkey: the current version is not in the key: " + err.Error()) // decode has checked it
	}
	h := hmac.New(sha256.New, key)
	for _, d := range data {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(d)))
		h.Write(n[:])
		h.Write(d)
	}
	return h.Sum(nil)
}

const hidden = "[secret]"

// Format hides the keys from every verb.
func (Root) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the keys from log/slog.
func (Root) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses: the key file is the only place where the keys are written.
func (Root) MarshalText() ([]byte, error) {
	return nil, errors.New("encode root key: it is written to its file only")
}
