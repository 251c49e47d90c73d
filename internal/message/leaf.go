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
	raw       *digest // of the encoded octets of a quoted-printable part
	group     int     // id of the outermost multipart/alternative around it, 0 for none
	related   bool    // inside multipart/related
	mixed     bool    // a part of a multipart/mixed
	inline    bool    // Content-Disposition: inline
	attached  bool    // not to be shown as the body
	blank     bool    // only white space so far
	isText    bool
	uuencoded bool
}

func newLeaf(e entity, at int64) *leaf {
	l := &leaf{blank: true, inline: e.disposition == "inline", sink: &digest{h: sha256.New()}}
	l.part = envelope.Part{Offset: at, Encoding: e.encoding, Type: e.mediaType, Charset: e.charset, Name: e.name, ID: e.id}
	l.attached = e.disposition != "" && e.disposition != "inline" || e.name != ""
	l.isText = e.mediaType == "text/plain"
	if e.mediaType == "text/html" && e.charset == "" && !l.attached {
		l.sink.head = make([]byte, 0, maxPrescan)
	}
	l.dec = newDecoder(e.encoding, l.sink)
	if qp, ok := l.dec.(*qpDecoder); ok {
		qp.limit = maxBlanks
		l.raw = &digest{h: sha256.New()}
	}
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
	if l.raw != nil {
		_, _ = l.raw.Write(b)
	}
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
	if qp, ok := l.dec.(*qpDecoder); ok && qp.over {
		// No decoder of bounded memory can read it; it is given as it is.
		l.part.Encoding, l.sink = identity, l.raw
	}
	if l.sink.head != nil {
		l.part.Charset = metaCharset(l.sink.head)
	}
	l.part.Size = l.sink.n
	l.part.SHA256 = hex.EncodeToString(l.sink.h.Sum(nil))
	l.dec, l.sink, l.raw = nil, nil, nil
	return clean
}

// digest hashes and counts.
type digest struct {
	h    hash.Hash
	n    int64
	head []byte // what it began with, as far as there is room
}

func (d *digest) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	d.head = append(d.head, p[:min(len(p), cap(d.head)-len(d.head))]...)
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
	in     []byte // digits that are not decoded yet, while n and pads are 0
	out    []byte
}

// base64Batch is how much is decoded at once.
const base64Batch = 4 << 10

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
	if d.n > 0 || d.pads > 0 {
		d.slow(b)
		return
	}
	// Lines of whole groups, which is nearly all mail, are gathered.
	if d.in = append(d.in, bytes.TrimRight(b, "\r\n")...); len(d.in) >= base64Batch {
		d.flush()
	}
}

// flush decodes what was gathered at once, if it is in order; the result is that
// of slow.
func (d *base64Decoder) flush() {
	in := d.in
	d.in = d.in[:0]
	d.out = slices.Grow(d.out[:0], base64.StdEncoding.DecodedLen(len(in)))
	n, err := base64.StdEncoding.Decode(d.out[:cap(d.out)], in)
	if err != nil {
		d.slow(in)
		return
	}
	d.pads = bytes.Count(in[max(0, len(in)-2):], []byte{'='}) // at most two, and right
	d.padded = d.pads > 0
	_, _ = d.w.Write(d.out[:n])
}

func (d *base64Decoder) slow(b []byte) {
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
	d.flush()
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

// qpDecoder: the rules are in the package comment. What follows an "=" and
// what may be the blank end of a line wait until it is known what they are.
type qpDecoder struct {
	w      io.Writer
	equals int    // 1 after "=", 2 after "=" and one hex digit
	digit  byte   // that digit
	blanks []byte // SP, HT and CR, maybe the end of a line
	limit  int    // of blanks, 0 for none
	over   bool   // the limit was passed; what was decoded is of no use
	clean  bool
	out    []byte
}

// maxBlanks bounds a run of blanks, so that a line of them takes no memory.
const maxBlanks = 64 << 10

func (d *qpDecoder) write(b []byte) {
	if d.over {
		return
	}
	d.out = d.out[:0]
	for _, c := range b {
		switch c {
		case '\n':
			d.lineEnd()
			continue
		case ' ', '\t', '\r':
			if d.equals == 2 {
				d.literal()
			}
			if d.limit > 0 && len(d.blanks) >= d.limit {
				d.over = true
				return
			}
			d.blanks = append(d.blanks, c)
			continue
		}
		if d.equals > 0 && len(d.blanks) == 0 && isHex(c) {
			if d.equals == 2 {
				d.out = append(d.out, unhex(d.digit)<<4|unhex(c))
				d.equals = 0
			} else {
				d.equals, d.digit = 2, c
			}
			continue
		}
		if d.equals > 0 {
			d.literal()
		}
		d.out = append(d.out, d.blanks...)
		d.blanks = d.blanks[:0]
		if c == '=' {
			d.equals = 1
		} else {
			d.out = append(d.out, c)
		}
	}
	_, _ = d.w.Write(d.out)
}

// literal lets a pending "=" stand for itself.
func (d *qpDecoder) literal() {
	d.clean = false
	d.out = append(d.out, '=')
	if d.equals == 2 {
		d.out = append(d.out, d.digit)
	}
	d.equals = 0
}

func (d *qpDecoder) lineEnd() {
	if d.equals == 1 { // a soft line break
		d.equals, d.blanks = 0, d.blanks[:0]
		return
	}
	if d.equals == 2 {
		d.literal()
	}
	if n := len(d.blanks); n > 0 && d.blanks[n-1] == '\r' {
		d.out = append(d.out, '\r')
	}
	d.out = append(d.out, '\n')
	d.blanks = d.blanks[:0]
}

func (d *qpDecoder) close() bool {
	if d.equals == 2 {
		d.out = d.out[:0]
		d.literal()
		_, _ = d.w.Write(d.out)
	}
	d.blanks = nil
	return d.clean && !d.over
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
