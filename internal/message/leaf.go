package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"

	"github.com/pli-mail/pli/envelope"
)

// Encodings of a Part in the manifest.
const (
	identity        = "identity"
	base64Encoding  = "base64"
	quotedPrintable = "quoted-printable"
)

// leaf is a part being read.
type leaf struct {
	part      envelope.Part
	dec       decoder
	sink      *digest
	group     int  // id of the outermost multipart/alternative around it, 0 for none
	related   bool // inside multipart/related
	inline    bool // Content-Disposition: inline
	attached  bool // not to be shown as the body
	blank     bool // only white space so far
	isText    bool
	uuencoded bool
}

func newLeaf(e entity, at int64) *leaf {
	l := &leaf{blank: true, inline: e.disposition == "inline", sink: &digest{h: sha256.New()}}
	l.part = envelope.Part{Offset: at, Encoding: e.encoding, Type: e.mediaType, Charset: e.charset, Name: e.name, ID: e.id}
	l.attached = e.disposition != "" && e.disposition != "inline" || e.name != ""
	l.isText = e.mediaType == "text/plain"
	l.dec = newDecoder(e.encoding, l.sink)
	return l
}

// write takes encoded octets: a line, a line end, or a piece of a long line.
func (l *leaf) write(b []byte) {
	if len(b) == 0 {
		return
	}
	l.part.Length += int64(len(b))
	if l.blank && len(bytes.TrimSpace(b)) > 0 {
		l.blank = false
	}
	if l.isText && len(b) > 10 && string(b[:6]) == "begin " && isOctal(b[6:9]) && b[9] == ' ' {
		l.uuencoded = true
	}
	l.dec.write(b)
}

func isOctal(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '7' {
			return false
		}
	}
	return true
}

// finish completes the part and reports whether its encoding was in order.
func (l *leaf) finish() bool {
	clean := l.dec.close()
	l.part.Size = l.sink.n
	l.part.SHA256 = hex.EncodeToString(l.sink.h.Sum(nil))
	l.dec, l.sink = nil, nil
	return clean
}

// digest hashes and counts.
type digest struct {
	h hash.Hash
	n int64
}

func (d *digest) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return d.h.Write(p)
}

// ErrEncoding is for a name that is no encoding of the manifest.
var ErrEncoding = errors.New("decode part: unknown encoding")

// Decode copies src to dst, decoded by the rules of this package. encoding is
// that of the manifest's part and src its range of the message.
func Decode(dst io.Writer, src io.Reader, encoding string) error {
	if encoding != identity && encoding != base64Encoding && encoding != quotedPrintable {
		return ErrEncoding
	}
	w := &stickyWriter{w: dst}
	d := newDecoder(encoding, w)
	buf := make([]byte, 32<<10)
	for w.err == nil {
		n, err := src.Read(buf)
		d.write(buf[:n])
		if err == io.EOF {
			d.close()
			break
		}
		if err != nil {
			return err
		}
	}
	return w.err
}

// stickyWriter keeps the first error for its owner; decoders do not look.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	return len(p), s.err
}

// decoder takes encoded octets in pieces of any size. close reports whether
// the text was in order; what it decodes does not depend on that.
type decoder interface {
	write(b []byte)
	close() bool
}

func newDecoder(encoding string, w io.Writer) decoder {
	switch encoding {
	case base64Encoding:
		return &base64Decoder{w: w, clean: true}
	case quotedPrintable:
		return &qpDecoder{w: w, clean: true}
	default:
		return identityDecoder{w}
	}
}

type identityDecoder struct{ w io.Writer }

func (d identityDecoder) write(b []byte) { _, _ = d.w.Write(b) }
func (d identityDecoder) close() bool    { return true }

// base64Decoder: the rules are in the package comment.
type base64Decoder struct {
	w      io.Writer
	acc    uint32
	n      int  // digits in acc
	pads   int  // "=" seen; the first ends the data
	padded bool // the pads were checked with their group
	clean  bool
	out    []byte
}

// digits maps an octet to its value, or to one of the two below.
var digits = makeDigits()

const (
	digitSkip  = 0x40
	digitSpace = 0x41
)

func makeDigits() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = digitSkip
	}
	for i := range alphabet {
		t[alphabet[i]] = byte(i)
	}
	for _, c := range " \t\r\n" {
		t[c] = digitSpace
	}
	return t
}

func (d *base64Decoder) write(b []byte) {
	// Whole lines of whole groups, which is nearly all mail, go the fast way;
	// its result is that of the loop below.
	if d.n == 0 && d.pads == 0 && len(b) >= 4 {
		d.out = slices.Grow(d.out[:0], base64.StdEncoding.DecodedLen(len(b)))
		if n, err := base64.StdEncoding.Decode(d.out[:cap(d.out)], b); err == nil {
			d.pads = bytes.Count(b, []byte{'='}) // at most two, and right
			d.padded = d.pads > 0
			_, _ = d.w.Write(d.out[:n])
			return
		}
	}
	d.out = d.out[:0]
	for _, c := range b {
		v := digits[c]
		switch {
		case v == digitSpace:
		case c == '=':
			d.pads++
		case v == digitSkip || d.pads > 0:
			d.clean = false
		default:
			d.acc = d.acc<<6 | uint32(v)
			if d.n++; d.n == 4 {
				d.out = append(d.out, byte(d.acc>>16), byte(d.acc>>8), byte(d.acc))
				d.acc, d.n = 0, 0
			}
		}
	}
	_, _ = d.w.Write(d.out)
}

func (d *base64Decoder) close() bool {
	switch d.n {
	case 0:
		d.clean = d.clean && (d.pads == 0 || d.padded)
	case 1:
		d.clean = false
	case 2:
		d.clean = d.clean && d.pads == 2
		_, _ = d.w.Write([]byte{byte(d.acc >> 4)})
	case 3:
		d.clean = d.clean && d.pads == 1
		_, _ = d.w.Write([]byte{byte(d.acc >> 10), byte(d.acc >> 2)})
	}
	return d.clean
}

// qpDecoder: the rules are in the package comment. pend holds what follows an
// "=" while it may still become an escape or a soft line break.
type qpDecoder struct {
	w     io.Writer
	pend  []byte
	clean bool
	out   []byte
}

const softBlanks = 64

func (d *qpDecoder) write(b []byte) {
	d.out = d.out[:0]
	for len(b) > 0 {
		if len(d.pend) == 0 {
			i := bytes.IndexByte(b, '=')
			if i < 0 {
				d.out = append(d.out, b...)
				break
			}
			d.out = append(d.out, b[:i]...)
			d.pend = append(d.pend, '=')
			b = b[i+1:]
			continue
		}
		c, prev := b[0], d.pend[len(d.pend)-1]
		switch {
		case len(d.pend) == 1 && isHex(c):
			d.pend = append(d.pend, c)
		case len(d.pend) == 2 && isHex(prev) && isHex(c):
			d.out = append(d.out, unhex(prev)<<4|unhex(c))
			d.pend = d.pend[:0]
		case c == '\n' && !isHex(prev):
			d.pend = d.pend[:0]
		case (c == ' ' || c == '\t') && (prev == '=' || prev == ' ' || prev == '\t') && len(d.pend) <= softBlanks,
			c == '\r' && (prev == '=' || prev == ' ' || prev == '\t'):
			d.pend = append(d.pend, c)
		default: // a plain "=" after all; c is looked at again
			d.clean = false
			d.out = append(d.out, d.pend...)
			d.pend = d.pend[:0]
			continue
		}
		b = b[1:]
	}
	_, _ = d.w.Write(d.out)
}

func (d *qpDecoder) close() bool {
	if n := len(d.pend); n > 0 {
		if last := d.pend[n-1]; last == '\r' || isHex(last) {
			d.clean = false
			_, _ = d.w.Write(d.pend)
		}
		d.pend = nil
	}
	return d.clean
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
