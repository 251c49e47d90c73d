package backup

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pli-mail/pli/internal/masterkey"
)

// A sealed file is magic || length of the box (u16) || box || chunks. The box has
// a key of the file's own, under the root key; each chunk is AES-256-GCM over at
// most 1 MiB, its nonce 0 (3 bytes) || number (u64) || 1 in the last (STREAM).
const (
	magic     = "PLIBACK1"
	chunkSize = 1 << 20
	keySize   = 32
)

var errSealed = errors.New("not a file of this backup, or altered")

type sealer struct {
	to   io.Writer
	aead cipher.AEAD
	buf  []byte
	n    uint64
}

// seal returns a writer whose bytes reach to encrypted. It must be closed.
func seal(to io.Writer, root *masterkey.Root, purpose string) (io.WriteCloser, error) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails (crypto/rand)
	box, err := root.Seal(purpose, key)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint16([]byte(magic), uint16(len(box)))
	_, err = to.Write(append(head, box...))
	return &sealer{to: to, aead: aead, buf: make([]byte, 0, chunkSize+aead.Overhead())}, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:11], n)
	if last {
		b[11] = 1
	}
	return b
}

func (s *sealer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(s.buf) == chunkSize { // more comes, so it is not the last
			if err := s.chunk(false); err != nil {
				return n, err
			}
		}
		k := min(len(p), chunkSize-len(s.buf))
		s.buf = append(s.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

func (s *sealer) chunk(last bool) error {
	_, err := s.to.Write(s.aead.Seal(s.buf[:0], nonce(s.n, last), s.buf, nil))
	s.buf, s.n = s.buf[:0], s.n+1
	return err
}

func (s *sealer) Close() error { return s.chunk(true) }

type unsealer struct {
	from  *bufio.Reader
	aead  cipher.AEAD
	chunk []byte
	rest  []byte // of the chunk, to be read
	n     uint64
	last  bool
}

// unseal reads what seal wrote; nothing of a chunk that was altered is given out.
func unseal(from io.Reader, root *masterkey.Root, purpose string) (io.Reader, error) {
	r := bufio.NewReaderSize(from, 64<<10)
	head := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(magic)]) != magic {
		return nil, errSealed
	}
	box := make([]byte, binary.BigEndian.Uint16(head[len(magic):]))
	if _, err := io.ReadFull(r, box); err != nil {
		return nil, errSealed
	}
	key, err := root.Open(purpose, box)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSealed, err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &unsealer{from: r, aead: aead, chunk: make([]byte, chunkSize+aead.Overhead())}, nil
}

func (u *unsealer) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.last {
			return 0, io.EOF
		}
		n, err := io.ReadFull(u.from, u.chunk)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, errSealed // it ends before its last chunk
		}
		_, more := u.from.Peek(1)
		u.last = more != nil
		if u.rest, err = u.aead.Open(u.chunk[:0], nonce(u.n, u.last), u.chunk[:n], nil); err != nil {
			return 0, errSealed
		}
		u.n++
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}
