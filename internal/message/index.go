// Package message reads incoming mail into a manifest and writes outgoing mail.
//
// # Reading
//
// Index makes one strict pass over a message (RFC 5322, RFC 2045-2049, 2183,
// 2231) and says where its leaves are, so that the browser never parses MIME.
// The scan of the structure is our own because the manifest needs the octet
// range of every part and no library gives it; also because libraries differ
// in what they make of ambiguous mail, and the one reading must be fixed here.
// What has no offsets is left to libraries: encoded words, character sets,
// addresses, dates.
//
// # Decoding rules
//
// A part's Size and SHA256 are those of its decoded octets, and the browser's
// decodePart must find the same. The rules work on octets, so a program can
// take the encoded range as Latin-1 text. They are the whole of it:
//
// identity: the octets of the range.
//
// base64: go through the octets in order. A-Z a-z 0-9 + / are digits. The first
// "=" ends the data; nothing after it counts. Every other octet is skipped.
// Digits make octets by sixes of bits; at the end, one digit left of a group of
// four gives nothing, two give one octet, three give two; bits left over are
// dropped without a look. So "aGk=aGk=" is "hi".
//
// quoted-printable (RFC 2045 section 6.7): take the range line by line; a line
// ends with LF, the last one with the range. Take all SP, HT, CR and LF off its
// end. If "=" is now last, take it off too: the line goes on in the next one.
// In what is left, "=" and two hex digits of either case are the octet of that
// value; everything else, other "=" and 8-bit octets too, is itself. If the
// line did not go on and had an LF, it then gets back CR LF if a CR stood just
// before the LF, else LF. (A part with a run of more than 64 KiB of blanks is
// given as identity, so that a stream can be decoded in bounded memory.)
//
// The range of a part ends before the line end that belongs to the delimiter
// line after it (RFC 2046 section 5.1.1).
package message

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/envelope"
)

// Limits of Index. Beyond them a message is not refused but read less finely.
const (
	maxHeader   = 256 << 10 // octets of one header block
	maxDepth    = 20        // multiparts inside each other
	maxEntities = 1000      // multiparts and leaves together
	maxBoundary = 998
	longLine    = 8192 // lines above are reported: many mail systems cut them
	window      = 64 << 10
)

type mode int

const (
	inHeader   mode = iota
	inLeaf          // body of a leaf; delimiters end it
	inPreamble      // before the first delimiter of a multipart
	inEpilogue      // after a closing delimiter
	inRest          // an opaque leaf to the end of the message
)

// multi is one open multipart.
type multi struct {
	boundary string
	subtype  string
	id       int // of the multipart, counted from 1
	parts    int
}

// scanner is the state of one pass. Its memory is the read window, one header
// block, and the manifest.
type scanner struct {
	m     *envelope.Manifest
	mode  mode
	pos   int64 // of the next octet
	stack []multi
	leaf  *leaf
	held  []byte // the line end before the next line, which may belong to a delimiter

	head      []byte // octets of the header block so far
	headStart int64
	fields    bool // the block has a field, so a continuation has something to continue
	entities  int
	multis    int

	header  Header // the message's own
	invites bool   // a leaf is a calendar that says what is to be done with it

	lastCR  bool // the last fragment ended with CR
	lineLen int
	leaves  []*leaf
}

// Index reads a message to its end and describes it. The only errors are those
// of r: a message that is odd is read in the canonical way and says so in
// Unusual; one that is none at all becomes a single attachment "message.eml".
// Memory does not depend on the size of the message.
func Index(r io.Reader) (*envelope.Manifest, error) {
	x := NewIndexer()
	if _, err := io.CopyBuffer(onlyWriter{x}, r, make([]byte, window)); err != nil {
		return nil, fmt.Errorf("index message: %w", err)
	}
	m, _ := x.Finish()
	return m, nil
}

// onlyWriter keeps io.CopyBuffer from asking for more than Write.
type onlyWriter struct{ io.Writer }

// Indexer is Index for a message that arrives in pieces: it is written to, and
// Finish describes what was written. What it says does not depend on where the
// pieces are cut.
type Indexer struct {
	s       scanner
	pending []byte // a line whose end has not come yet, at most window octets
	start   bool   // what comes next begins a line
}

// NewIndexer returns an Indexer that nothing has been written to.
func NewIndexer() *Indexer {
	return &Indexer{s: scanner{m: &envelope.Manifest{}, mode: inHeader, entities: 1}, start: true}
}

// Write takes the next octets of the message; it never fails.
func (x *Indexer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		if end > 0 && len(x.pending) == 0 && end <= window {
			x.take(p[:end], true)
			p = p[end:]
			continue
		}
		k := min(len(p), window-len(x.pending))
		if end > 0 {
			k = min(k, end)
		}
		x.pending = append(x.pending, p[:k]...)
		p = p[k:]
		if ends := k == end; ends || len(x.pending) == window {
			x.take(x.pending, ends)
			x.pending = x.pending[:0]
		}
	}
	return n, nil
}

// take passes on one line, or a piece of a line longer than the window.
func (x *Indexer) take(frag []byte, ends bool) {
	x.s.observe(frag, x.start)
	x.s.fragment(frag, x.start, ends)
	x.s.pos += int64(len(frag))
	x.start = ends
}

// Finish describes the message, and gives the fields of its own header; none
// where it has no header that can be read.
func (x *Indexer) Finish() (*envelope.Manifest, Header) {
	if len(x.pending) > 0 {
		x.s.observe(x.pending, x.start)
		x.s.fragment(x.pending, x.start, true)
		x.s.pos += int64(len(x.pending))
		x.pending = nil
	}
	if x.s.lastCR {
		x.s.unusual("bare-cr")
	}
	x.s.end()
	return x.s.m, x.s.header
}

// Invites reports whether a part, whatever its place and name, is an invitation or
// its answer: text/calendar with a method (RFC 6047, section 2.4), which a
// calendar file that is merely attached has not. After Finish.
func (x *Indexer) Invites() bool { return x.s.invites }

func (s *scanner) unusual(code string) {
	for _, c := range s.m.Unusual {
		if c == code {
			return
		}
	}
	s.m.Unusual = append(s.m.Unusual, code)
}

// observe reports what RFC 5322 section 2.3 forbids anywhere.
func (s *scanner) observe(frag []byte, start bool) {
	if start {
		s.lineLen = 0
	}
	if s.lineLen += len(frag); s.lineLen > longLine {
		s.unusual("long-line")
	}
	if bytes.IndexByte(frag, 0) >= 0 {
		s.unusual("nul")
	}
	if s.lastCR && frag[0] != '\n' {
		s.unusual("bare-cr")
	}
	cr := bytes.Count(frag, []byte{'\r'})
	switch n := len(frag); {
	case frag[n-1] == '\n':
		if n >= 2 && frag[n-2] == '\r' {
			cr--
		} else if n > 1 || !s.lastCR {
			s.unusual("bare-lf")
		}
		s.lastCR = false
	default:
		s.lastCR = frag[n-1] == '\r'
		if s.lastCR {
			cr--
		}
	}
	if cr > 0 {
		s.unusual("bare-cr")
	}
}

// fragment takes one line, or a piece of a line longer than the window. start:
// it begins a line; last: it ends one, or the message.
func (s *scanner) fragment(frag []byte, start, last bool) {
	if s.mode == inRest {
		s.leaf.write(frag)
		return
	}
	if start && last && len(s.stack) > 0 {
		if level, closing, ok := s.delimiter(frag); ok {
			s.cut(level, closing, len(frag))
			return
		}
	}
	switch s.mode {
	case inHeader:
		s.headerLine(frag, start)
	case inLeaf, inPreamble:
		if s.mode == inPreamble && start && hasPrefixFold(frag, "content-") {
			s.unusual("preamble-part")
		}
		s.body(frag)
	case inEpilogue:
		if len(bytes.TrimSpace(frag)) > 0 {
			s.unusual("epilogue-text")
		}
	}
}

// delimiter finds the open multipart that a line divides or closes: the line is
// exactly "--" boundary, or "--" boundary "--", and blanks. Parsers that only
// compare the start of the line read some messages otherwise; those are reported.
func (s *scanner) delimiter(line []byte) (level int, closing, ok bool) {
	if len(line) < 3 || line[0] != '-' && line[0] != ' ' && line[0] != '\t' {
		return 0, false, false
	}
	text := bytes.TrimRight(line, " \t\r\n")
	if !bytes.HasPrefix(text, []byte("--")) {
		if t := bytes.TrimLeft(text, " \t"); bytes.HasPrefix(t, []byte("--")) {
			for _, m := range s.stack {
				if string(t[2:]) == m.boundary || string(t[2:]) == m.boundary+"--" {
					s.unusual("odd-boundary")
				}
			}
		}
		return 0, false, false
	}
	text = text[2:]
	odd := false
	for i := len(s.stack) - 1; i >= 0; i-- {
		rest, found := bytes.CutPrefix(text, []byte(s.stack[i].boundary))
		switch {
		case !found:
		case len(rest) == 0:
			return i, false, true
		case string(rest) == "--":
			return i, true, true
		default:
			odd = true
		}
	}
	if odd {
		s.unusual("odd-boundary")
	}
	return 0, false, false
}

// cut acts on a delimiter line of n octets.
func (s *scanner) cut(level int, closing bool, n int) {
	s.held = nil // it belongs to the delimiter
	if s.mode == inHeader {
		s.unusual("no-blank-line")
		s.endHeader(s.pos)
	}
	switch s.mode {
	case inLeaf:
		s.finishLeaf()
	case inPreamble:
		if level == len(s.stack)-1 && !closing {
			s.leaf = nil
		} else {
			s.finishPreamble()
		}
	}
	for len(s.stack)-1 > level {
		s.unusual("unclosed-boundary")
		s.stack = s.stack[:len(s.stack)-1]
	}
	if closing {
		s.stack = s.stack[:level]
		s.mode = inEpilogue
		return
	}
	s.stack[level].parts++
	s.entities++
	if s.entities >= maxEntities {
		s.unusual("too-many-parts")
		s.stack = nil
		s.openLeaf(opaque("remaining-parts.bin"), s.pos+int64(n))
		s.mode = inRest
		return
	}
	s.startHeader(s.pos + int64(n))
}

func (s *scanner) startHeader(at int64) {
	s.mode, s.head, s.headStart, s.fields = inHeader, s.head[:0], at, false
}

// headerLine takes a line of a header block (RFC 5322 section 2.2). What is
// neither field nor continuation ends the block as a blank line would, so that
// it is shown rather than lost.
func (s *scanner) headerLine(frag []byte, start bool) {
	if start {
		line := bytes.TrimRight(frag, "\r\n")
		switch {
		case string(frag) == "\r\n" || string(frag) == "\n":
			if s.top() && !s.fields {
				s.notMessage(frag)
				return
			}
			s.endHeader(s.pos + int64(len(frag)))
			return
		case s.fields && (frag[0] == ' ' || frag[0] == '\t'):
			if len(bytes.TrimSpace(line)) == 0 {
				s.unusual("blank-continuation")
			}
		case isField(line):
			s.fields = true
		case len(s.head) == 0 && s.top() && (hasPrefixFold(line, "from ") || hasPrefixFold(line, ">from ")):
			s.unusual("mbox-line") // of a mailbox file; kept in head so that nothing is lost
		case s.top() && !s.fields:
			s.notMessage(frag)
			return
		default:
			s.unusual("bad-header-line")
			s.endHeader(s.pos)
			s.fragment(frag, start, false)
			return
		}
	}
	if len(s.head)+len(frag) > maxHeader {
		s.unusual("header-too-large")
		if s.top() {
			s.notMessage(frag)
			return
		}
		s.openOpaque()
		s.body(frag)
		return
	}
	s.head = append(s.head, frag...)
}

// top reports whether the current header block is the message's own.
func (s *scanner) top() bool { return s.entities == 1 }

// notMessage takes everything, also what was read already, as one attachment.
func (s *scanner) notMessage(frag []byte) {
	s.unusual("not-a-message")
	s.openLeaf(opaque("message.eml"), 0)
	s.leaf.write(s.head)
	s.leaf.write(frag)
	s.mode = inRest
}

// openOpaque makes the entity whose header is in s.head a leaf, header
// included: such a file opens in mail programs.
func (s *scanner) openOpaque() {
	e := opaque("")
	e.mediaType = "message/rfc822"
	s.openLeaf(e, s.headStart)
	s.body(s.head)
	s.mode = inLeaf
}

// endHeader reads the finished block and opens what it describes; the body
// starts at the given offset.
func (s *scanner) endHeader(bodyAt int64) {
	h := parseHeader(s.head)
	if s.top() {
		s.header = newHeader(h)
		s.envelopeFields(h)
	}
	digest := len(s.stack) > 0 && s.stack[len(s.stack)-1].subtype == "digest"
	e := s.readEntity(h, digest)
	if !e.multipart {
		s.openLeaf(e, bodyAt)
		s.mode = inLeaf
		return
	}
	if len(s.stack) >= maxDepth {
		s.unusual("too-deep")
		// The blank line after the block was read but is not in head.
		blank := bodyAt - s.headStart - int64(len(s.head))
		s.openOpaque()
		if blank > 0 {
			s.body([]byte("\r\n")[2-blank:])
		}
		return
	}
	s.multis++
	s.stack = append(s.stack, multi{boundary: e.boundary, subtype: e.subtype, id: s.multis})
	// Until a delimiter comes, the text before it may turn out to be all there is.
	s.openLeaf(entity{mediaType: "text/plain", encoding: identity}, bodyAt)
	s.mode = inPreamble
}

// body passes octets to the leaf, but holds back each line end until the next
// line is known not to be a delimiter.
func (s *scanner) body(frag []byte) {
	if len(s.held) == 1 && s.held[0] == '\r' && len(frag) > 0 && frag[0] == '\n' {
		s.held = append(s.held, '\n') // CR and LF came in two fragments
		frag = frag[1:]
		if len(frag) == 0 {
			return
		}
	}
	s.leaf.write(s.held)
	s.held = s.held[:0]
	text := frag
	if bytes.HasSuffix(text, []byte("\n")) {
		text = text[:len(text)-1]
	}
	text = bytes.TrimSuffix(text, []byte("\r"))
	s.leaf.write(text)
	s.held = append(s.held, frag[len(text):]...)
}

// end closes what is open at the end of the message.
func (s *scanner) end() {
	if s.mode == inHeader {
		if s.top() && !s.fields {
			s.notMessage(nil)
		} else {
			s.endHeader(s.pos)
		}
	}
	if s.leaf != nil {
		s.leaf.write(s.held) // no delimiter came to claim it
	}
	switch s.mode {
	case inLeaf, inRest:
		s.finishLeaf()
	case inPreamble:
		s.finishPreamble()
	}
	if len(s.stack) > 0 {
		s.unusual("unclosed-boundary")
	}
	s.m.Length = s.pos
	s.assign()
}

func (s *scanner) openLeaf(e entity, at int64) {
	s.held = s.held[:0]
	s.leaf = newLeaf(e, at)
	s.invites = s.invites || e.mediaType == "text/calendar" && e.method
	for _, m := range s.stack {
		if m.subtype == "alternative" && s.leaf.group == 0 {
			s.leaf.group = m.id
		}
		if m.subtype == "related" {
			s.leaf.related = true
		}
		s.leaf.mixed = m.subtype == "mixed" // the innermost
	}
}

func (s *scanner) finishLeaf() {
	l := s.leaf
	s.leaf = nil
	if encoding := l.part.Encoding; !l.finish() {
		s.unusual("bad-" + encoding)
	}
	if l.uuencoded {
		s.unusual("uuencode")
	}
	s.leaves = append(s.leaves, l)
}

// finishPreamble keeps the text of a multipart in which no part began.
func (s *scanner) finishPreamble() {
	s.unusual("no-parts")
	if s.leaf.blank {
		s.leaf = nil
		return
	}
	s.finishLeaf()
}

// assign gives the roles, which depend on all leaves, and the missing names.
func (s *scanner) assign() {
	var first *leaf
	bodies := make(map[*leaf]bool)
	shown := make(map[string]bool) // types
	for _, l := range s.leaves {
		kind := l.part.Type
		if l.attached || kind != "text/plain" && kind != "text/html" {
			continue
		}
		if first == nil {
			first = l
		}
		// Another body counts as the other form of the first, or as what goes on
		// in the same form after a file (as some programs write) or as a footer.
		// Anything else, such as a plain footer under a page, is shown as attached.
		other, more := first.group != 0 && !shown[kind], l.mixed && (first.group != 0 || kind == first.part.Type)
		if l == first || first.group == l.group && (other || more) {
			bodies[l], shown[kind] = true, true
		}
	}
	s.m.Parts = make([]envelope.Part, 0, len(s.leaves))
	for i, l := range s.leaves {
		p := l.part
		switch {
		case bodies[l] && p.Type == "text/plain":
			p.Role = "text"
		case bodies[l]:
			p.Role = "html"
		case shown["text/html"] && p.ID != "" && strings.HasPrefix(p.Type, "image/") && (l.related || l.inline):
			p.Role = "inline" // only HTML can refer to it; without HTML it would be lost
		default:
			p.Role = "attachment"
		}
		if p.Name == "" && (p.Role == "attachment" || p.Role == "inline") {
			p.Name = defaultName(p.Type, i+1)
		}
		s.m.Parts = append(s.m.Parts, p)
	}
}

// defaultName names the n-th part by its type; the extension is one of ours.
func defaultName(mediaType string, n int) string {
	ext := map[string]string{
		"text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "text/csv": ".csv",
		"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp",
		"application/pdf": ".pdf", "application/pgp-signature": ".asc", "message/rfc822": ".eml",
	}[mediaType]
	if ext == "" {
		ext = ".bin"
	}
	if ext == ".eml" {
		return "message-" + strconv.Itoa(n) + ext
	}
	return "attachment-" + strconv.Itoa(n) + ext
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}
