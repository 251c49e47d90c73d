package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The armor: base64 between two lines (spec section 5).
const (
	armorBegin = "-----BEGIN PLI ENVELOPE-----"
	armorEnd   = "-----END PLI ENVELOPE-----"
	lineBytes  = 57 // make a line of 76 characters
	lineChars  = 76

	partOpen  = `<script type="application/x-pli-part" id="part">`
	partType  = "application/x-pli-part"
	partClose = "</script>"

	maxBeforeArmor = 512 << 10 // of an HTML file; its own script and style are a tenth of that
)

// armorLines is how many lines are gathered before they are written.
const armorLines = 128

type armorWriter struct {
	w     io.Writer
	line  [lineBytes]byte // bytes that do not fill a line yet
	n     int
	out   []byte
	pairs *[4096]uint16
	crlf  bool // lines end as mail has them
	begun bool
	done  bool
}

// NewArmorWriter returns a writer that armors what is written to it: the BEGIN
// line, base64 in lines of 76 characters, and on Close the END line. It keeps
// about 10 KiB. Close does not close w.
func NewArmorWriter(w io.Writer) io.WriteCloser { return newArmorWriter(w, false) }

// NewMailArmorWriter is NewArmorWriter with lines that end with CRLF.
func NewMailArmorWriter(w io.Writer) io.WriteCloser { return newArmorWriter(w, true) }

func newArmorWriter(w io.Writer, crlf bool) *armorWriter {
	return &armorWriter{w: w, crlf: crlf, pairs: &base64Pairs, out: make([]byte, 0, armorLines*(lineChars+2)+len(armorEnd)+2)}
}

func (a *armorWriter) end() string {
	if a.crlf {
		return "\r\n"
	}
	return "\n"
}

func (a *armorWriter) Write(b []byte) (int, error) {
	if a.done {
		return 0, errors.New("write armor: already closed")
	}
	if err := a.begin(); err != nil {
		return 0, err
	}
	total := len(b)
	if a.n > 0 {
		k := copy(a.line[a.n:], b)
		a.n += k
		b = b[k:]
		if a.n < lineBytes {
			return total, nil
		}
		if err := a.lines(a.line[:]); err != nil {
			return 0, err
		}
		a.n = 0
	}
	for len(b) >= lineBytes {
		k := min(len(b)/lineBytes, armorLines) * lineBytes
		if err := a.lines(b[:k]); err != nil {
			return 0, err
		}
		b = b[k:]
	}
	a.n = copy(a.line[:], b)
	return total, nil
}

// begin writes the BEGIN line once.
func (a *armorWriter) begin() error {
	if a.begun {
		return nil
	}
	a.begun = true
	_, err := io.WriteString(a.w, armorBegin+a.end())
	return wrapWrite(err)
}

// lines gathers whole lines of b and writes them when there are enough.
func (a *armorWriter) lines(b []byte) error {
	length := lineChars + len(a.end())
	if len(a.out)+len(b)/lineBytes*length > armorLines*length {
		if err := a.flush(); err != nil {
			return err
		}
	}
	for ; len(b) > 0; b = b[lineBytes:] {
		at := len(a.out)
		a.out = a.out[:at+lineChars]
		encodeLine((*[lineChars]byte)(a.out[at:]), (*[lineBytes]byte)(b), a.pairs)
		a.out = append(a.out, a.end()...)
	}
	return nil
}

func (a *armorWriter) flush() error {
	_, err := a.w.Write(a.out)
	a.out = a.out[:0]
	return wrapWrite(err)
}

func (a *armorWriter) Close() error {
	if a.done {
		return nil
	}
	a.done = true
	if err := a.begin(); err != nil {
		return err
	}
	if err := a.flush(); err != nil {
		return err
	}
	if a.n > 0 {
		a.out = append(base64.StdEncoding.AppendEncode(a.out, a.line[:a.n]), a.end()...)
	}
	a.out = append(append(a.out, armorEnd...), a.end()...)
	return a.flush()
}

func wrapWrite(err error) error {
	if err != nil {
		return fmt.Errorf("write armor: %w", err)
	}
	return nil
}

// base64Pairs gives the two characters of twelve bits. Two characters a step
// make encoding twice as fast as encoding/base64; the table is indexed by
// ciphertext only, so its cache lines betray nothing.
var base64Pairs = makeBase64Pairs()

func makeBase64Pairs() (pairs [4096]uint16) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range pairs {
		pairs[i] = uint16(digits[i>>6])<<8 | uint16(digits[i&63])
	}
	return pairs
}

// encodeLine writes the 76 characters of 57 bytes.
func encodeLine(dst *[lineChars]byte, src *[lineBytes]byte, pairs *[4096]uint16) {
	for i := range 9 {
		v := binary.BigEndian.Uint64(src[i*6 : i*6+8]) // six bytes, and two that come again
		binary.BigEndian.PutUint64(dst[i*8:i*8+8],
			uint64(pairs[v>>52])<<48|uint64(pairs[v>>40&4095])<<32|uint64(pairs[v>>28&4095])<<16|uint64(pairs[v>>16&4095]))
	}
	v := uint32(src[54])<<16 | uint32(src[55])<<8 | uint32(src[56])
	binary.BigEndian.PutUint32(dst[72:], uint32(pairs[v>>12])<<16|uint32(pairs[v&4095]))
}

// FindArmor finds the one envelope in r and returns a reader of its bytes, for
// Parse. r is an HTML file, armor text with anything around it, or the bare
// binary, which is known by its first bytes.
//
// part is what stands in the element with id "part", nil when there is none. It must
// stand before the armor, where the HTML writer puts it: the armor is not kept
// in memory to look behind it. A part behind the armor, a second armor and a
// missing END line are errors at the end of reading.
func FindArmor(r io.Reader) (payload io.Reader, part *KeyPart, err error) {
	head := make([]byte, 0, 16<<10)
	for empty := 0; ; empty++ {
		if len(head) == cap(head) {
			head = append(head, 0)[:len(head)]
		}
		n, err := r.Read(head[len(head):min(cap(head), len(head)+64<<10)])
		head = head[:len(head)+n]
		if n > 0 {
			empty = 0
		}
		if len(head) >= len(magic) && string(head[:len(magic)]) == magic {
			if err != nil && err != io.EOF {
				return nil, nil, fmt.Errorf("find envelope: %w", err)
			}
			return io.MultiReader(bytes.NewReader(head), r), nil, nil
		}
		from := max(0, len(head)-n-len(armorBegin))
		if i := bytes.Index(head[from:], []byte(armorBegin)); i >= 0 {
			before, after := head[:from+i], head[from+i+len(armorBegin):]
			part, partErr := findPart(before)
			if partErr != nil {
				return nil, nil, fmt.Errorf("find envelope: %w", partErr)
			}
			return newArmorReader(after, r), part, nil
		}
		switch {
		case err == io.EOF:
			return nil, nil, fmt.Errorf("find envelope: %w: there is none in this file", ErrFormat)
		case err != nil:
			return nil, nil, fmt.Errorf("find envelope: %w", err)
		case empty > 100: // a reader may return nothing without an error, but not for ever
			return nil, nil, fmt.Errorf("find envelope: %w", io.ErrNoProgress)
		case len(head) > maxBeforeArmor:
			return nil, nil, fmt.Errorf("find envelope: %w: none in the first %d bytes", ErrFormat, maxBeforeArmor)
		}
	}
}

// maxPart is the longest key part with the white space around it, in bytes.
const maxPart = 400

// findPart reads the key part from what stands before the armor.
func findPart(before []byte) (*KeyPart, error) {
	at := bytes.Index(before, []byte(partType))
	if at < 0 {
		return nil, nil
	}
	if bytes.Contains(before[at+1:], []byte(partType)) {
		return nil, fmt.Errorf("%w: two key parts", ErrFormat)
	}
	open := bytes.Index(before, []byte(partOpen))
	if open < 0 {
		if bytes.Contains(before, []byte("=3D")) {
			return nil, errQuoted
		}
		return nil, fmt.Errorf("%w: key part is not written as it should be", ErrAltered)
	}
	text, _, found := bytes.Cut(before[open+len(partOpen):], []byte(partClose))
	if !found || len(text) > maxPart {
		return nil, fmt.Errorf("%w: key part does not end", ErrAltered)
	}
	part, err := ParseKeyPart(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%w: key part is neither 43 characters of base64url nor masked", ErrAltered)
	}
	return &part, nil
}

// errQuoted is for files that a mail program saved without undoing the
// encoding they travelled in.
var errQuoted = fmt.Errorf("%w: it was saved without undoing quoted-printable; save the attachment again, or from another mail program", ErrAltered)
