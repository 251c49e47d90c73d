package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// LargeType is the media type of the attachment that says what opens a file beside
// the mail, and MaxLargeText its largest size in bytes.
const (
	LargeType    = "application/vnd.pli.large+json"
	MaxLargeText = 8 << 10
)

// Large is what opens a file that is too large for a mail and lies sealed beside it
// (docs/reference/large-files.md).
type Large struct {
	ID   [16]byte
	Key  Secret
	Size int64  // bytes of the file
	Name string // of the file, as its sender has it: not a safe path
	Type string // media type, or ""
}

type largeJSON struct {
	V    int    `json:"v"`
	ID   string `json:"id"`
	Key  string `json:"key"`
	Size int64  `json:"size"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// Text is the descriptor, as the attachment has it. It holds the key.
func (l Large) Text() []byte {
	text, err := json.Marshal(largeJSON{1, hex.EncodeToString(l.ID[:]), l.Key.Base64(), l.Size, l.Name, l.Type})
	if err != nil {
		panic(err) // strings and numbers
	}
	return text
}

// ReadLarge reads a descriptor. Error: ErrFormat.
func ReadLarge(text []byte) (Large, error) {
	var j largeJSON
	if len(text) > MaxLargeText || json.Unmarshal(text, &j) != nil || j.V != 1 || j.Size < 0 || j.Size > 1<<50 {
		return Large{}, fmt.Errorf("%w: descriptor of a large file", ErrFormat)
	}
	l := Large{Size: j.Size, Name: j.Name, Type: j.Type}
	var err error
	if err = parseHex(l.ID[:], j.ID, "large file's id"); err == nil {
		l.Key, err = ParseSecret(j.Key)
	}
	if err != nil {
		return Large{}, fmt.Errorf("%w: descriptor of a large file", ErrFormat)
	}
	return l, nil
}

// SealedSize is the size of the ciphertext, in bytes.
func (l Large) SealedSize() int64 { return PayloadSize(l.Size) }

func (l Large) chunks(salt []byte) (*chunks, [commitmentLen]byte, error) {
	return newChunksFor(l.Key, salt, labelLarge, l.ID[:])
}

// LargeSalt is what a sealing needs besides: random bytes, the same for every part.
type LargeSalt [saltLen]byte

// Seal reads the ciphertext of the file in r from offset at on. The same bytes
// under the same key and salt give the same ciphertext. A file that has become
// shorter gives io.ErrUnexpectedEOF.
func (l Large) Seal(r io.ReaderAt, salt LargeSalt, at int64) (io.Reader, error) {
	c, commitment, err := l.chunks(salt[:])
	if err != nil {
		return nil, err
	}
	s := &largeSealer{file: r, size: l.Size, total: padded(l.Size), chunks: c}
	prefix := append(salt[:], commitment[:]...)
	if at < prefixLen {
		s.out = prefix[at:]
		return s, nil
	}
	c.next = uint64((at - prefixLen) / sealedLen)
	s.skip = int((at - prefixLen) % sealedLen)
	return s, nil
}

type largeSealer struct {
	file        io.ReaderAt
	size, total int64 // of the file, and with its padding
	chunks      *chunks
	skip        int    // bytes of the first chunk that are not wanted
	out         []byte // not read yet
	buf         [sealedLen]byte
}

func (s *largeSealer) Read(b []byte) (int, error) {
	if len(s.out) == 0 {
		at := int64(s.chunks.next) * chunkLen
		if at > s.total {
			return 0, io.EOF
		}
		n := int(min(chunkLen, s.total-at))
		real := int(max(0, min(int64(n), s.size-at)))
		if k, err := s.file.ReadAt(s.buf[:real], at); k < real {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		clear(s.buf[real:n])
		sealed, err := s.chunks.seal(s.buf[:], n)
		if err != nil {
			return 0, err
		}
		s.out, s.skip = sealed[s.skip:], 0
	}
	n := copy(b, s.out)
	s.out = s.out[n:]
	return n, nil
}

// LargeOpener takes the ciphertext in order, and writes the file.
type LargeOpener struct {
	large  Large
	w      io.Writer
	chunks *chunks
	total  int64 // of the file with its padding
	held   []byte
	err    error
}

// LargePrefix is how many bytes of the ciphertext come before the first chunk.
const LargePrefix = prefixLen

// Open opens to w. prefix is the ciphertext's first LargePrefix bytes, and done how
// many bytes of the file w has already. From returns the offset at which the
// ciphertext is to go on, and how much of done counts: what was written behind
// it is written again. Error: ErrWrongKey.
func (l Large) Open(prefix []byte, w io.Writer, done int64) (o *LargeOpener, from, kept int64, err error) {
	if len(prefix) != prefixLen {
		return nil, 0, 0, fmt.Errorf("%w: the prefix has %d bytes", ErrFormat, len(prefix))
	}
	c, commitment, err := l.chunks(prefix[:saltLen])
	if err != nil {
		return nil, 0, 0, err
	}
	if !bytes.Equal(commitment[:], prefix[saltLen:]) {
		return nil, 0, 0, ErrWrongKey
	}
	c.next = uint64(max(0, min(done, l.Size)) / chunkLen)
	o = &LargeOpener{large: l, w: w, chunks: c, total: padded(l.Size), held: make([]byte, 0, sealedLen)}
	return o, prefixLen + int64(c.next)*sealedLen, int64(c.next) * chunkLen, nil
}

// Write takes the next bytes of the ciphertext. Errors: ErrAltered, and w's.
func (o *LargeOpener) Write(b []byte) (n int, err error) {
	for n < len(b) && o.err == nil {
		k := min(sealedLen-len(o.held), len(b)-n)
		o.held = append(o.held, b[n:n+k]...)
		n += k
		if len(o.held) == sealedLen {
			o.err = o.chunk()
		}
	}
	return n, o.err
}

func (o *LargeOpener) chunk() error {
	at := int64(o.chunks.next) * chunkLen
	if want := max(0, min(chunkLen, o.total-at)) + tagLen; at > o.total || int64(len(o.held)) != want {
		return fmt.Errorf("%w: a large file's length", ErrAltered)
	}
	plain, err := o.chunks.open(o.held)
	if err != nil {
		return err
	}
	mine := max(0, min(int64(len(plain)), o.large.Size-at))
	for _, b := range plain[mine:] {
		if b != 0 {
			return fmt.Errorf("%w: a large file's padding", ErrAltered)
		}
	}
	o.held = o.held[:0]
	if mine == 0 {
		return nil
	}
	_, err = o.w.Write(plain[:mine])
	return err
}

// Close says whether all of it has come. Errors: as Write.
func (o *LargeOpener) Close() error {
	if o.err == nil {
		o.err = o.chunk() // the last one is shorter than the others, perhaps empty
	}
	if o.err == nil && int64(o.chunks.next) != o.total/chunkLen+1 {
		o.err = fmt.Errorf("%w: a large file ends too early", ErrAltered)
	}
	return o.err
}
