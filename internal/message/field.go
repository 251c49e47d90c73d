package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	foldAt  = 76  // soft limit of a header line, RFC 5322 section 2.1.1
	maxLine = 998 // hard limit of any line, without CRLF
)

// fieldWriter writes header fields, folded, and keeps the first error.
type fieldWriter struct {
	b   *bytes.Buffer
	err error
}

// put writes a field whose value is ready: ASCII (or UTF-8 inside addresses),
// to be folded only at its spaces.
func (f *fieldWriter) put(name, value string) {
	if f.err != nil {
		return
	}
	if hasControl(value) {
		f.err = ErrInjection
		return
	}
	f.b.WriteString(name)
	f.b.WriteByte(':')
	col := len(name) + 1
	for i, word := range strings.Split(value, " ") {
		if len(word) > maxLine-20 {
			f.err = fmt.Errorf("write mail: header %s has a word too long for a line", name)
			return
		}
		// A line of white space alone would end the header for some readers,
		// so an empty word stays on the line where it is.
		if i > 0 && word != "" && col+1+len(word) > foldAt {
			f.b.WriteString("\r\n")
			col = 0
		}
		f.b.WriteByte(' ')
		f.b.WriteString(word)
		col += 1 + len(word)
	}
	f.b.WriteString("\r\n")
}

// text writes an unstructured field (RFC 5322 section 3.2.5), as encoded words if it is not ASCII.
func (f *fieldWriter) text(name, value string) {
	if f.err == nil && (hasControl(value) || !utf8.ValidString(value)) {
		f.err = ErrInjection
		return
	}
	f.put(name, strings.TrimSpace(encodeText(value)))
}

func (f *fieldWriter) mailboxes(name string, list []Mailbox) {
	if len(list) == 0 {
		return
	}
	items := make([]string, len(list))
	for i, m := range list {
		if m.Addr.IsZero() {
			f.err = errors.Join(f.err, fmt.Errorf("write mail: empty address in %s", name))
			return
		}
		if hasControl(m.Name) || !utf8.ValidString(m.Name) {
			f.err = ErrInjection
			return
		}
		items[i] = m.String()
	}
	f.put(name, strings.Join(items, ", "))
}

func (f *fieldWriter) ids(name string, list []string) {
	if len(list) == 0 {
		return
	}
	items := make([]string, len(list))
	for i, id := range list {
		if !isMessageID(id) {
			if hasControl(id) {
				f.err = ErrInjection
			} else if f.err == nil {
				f.err = fmt.Errorf("write mail: %s is not a message id", name)
			}
			return
		}
		items[i] = "<" + id + ">"
	}
	f.put(name, strings.Join(items, " "))
}

// String writes the mailbox as in a header (RFC 5322 section 3.4). Controls in
// the name, which Mail refuses, are dropped here.
func (m Mailbox) String() string {
	name := strings.TrimSpace(cleanText(m.Name))
	switch {
	case m.Addr.IsZero():
		return ""
	case name == "":
		return m.Addr.Wire()
	case !printable(name) || strings.Contains(name, "=?"):
		// A name that looks like an encoded word is encoded, so that it is
		// shown as it was given.
		return encodeWords(name) + " <" + m.Addr.Wire() + ">"
	case isPhrase(name):
		return name + " <" + m.Addr.Wire() + ">"
	default:
		return quoteParam(name) + " <" + m.Addr.Wire() + ">"
	}
}

// encodeText writes text as it is if it is printable ASCII and cannot be taken
// for an encoded word or outgrow a line, else as RFC 2047 encoded words.
func encodeText(s string) string {
	if printable(s) && !strings.Contains(s, "=?") {
		long := false
		for w := range strings.SplitSeq(s, " ") {
			long = long || len(w) > 200
		}
		if !long {
			return s
		}
	}
	return encodeWords(s)
}

// encodeWords writes RFC 2047 encoded words. mime.QEncoding would leave quotes
// and commas as they are, which a phrase may not have (section 5, rule 3), and
// text alone that only looks like an encoded word.
func encodeWords(s string) string {
	const lead, tail, room = "=?utf-8?q?", "?=", 75
	var b strings.Builder
	b.WriteString(lead)
	n := len(lead) + len(tail)
	for _, r := range s {
		enc := qWord(string(r))
		if n+len(enc) > room {
			b.WriteString(tail + " " + lead)
			n = len(lead) + len(tail)
		}
		b.WriteString(enc)
		n += len(enc)
	}
	b.WriteString(tail)
	return b.String()
}

func qWord(s string) string {
	if s == " " {
		return "_"
	}
	if len(s) == 1 && isAlnum(s[0]) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "=%02X", s[i])
	}
	return b.String()
}

// qpText writes text in quoted-printable (RFC 2045 section 6.7) with CRLF. The
// library's writer leaves "From " and "." at the start of lines, which mbox and
// careless SMTP software change.
func qpText(w io.Writer, s string) error {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+len(s)/4+64)
	for {
		line, rest, more := strings.Cut(s, "\n")
		col := 0
		for j := 0; j < len(line); j++ {
			c := line[j]
			// Most octets stand for themselves, with room left.
			if c > ' ' && c <= '~' && c != '=' && col > 0 && col < foldAt-2 {
				out = append(out, c)
				col++
				continue
			}
			hex := c == '=' || c > '~' || c < ' ' && c != '\t' || j == len(line)-1 && (c == ' ' || c == '\t')
			width := 1
			if hex {
				width = 3
			}
			if col+width > foldAt-1 {
				out = append(out, "=\r\n"...)
				col = 0
			}
			if col == 0 && (c == '.' || c == 'F' && strings.HasPrefix(line[j:], "From ")) {
				hex = true
			}
			if hex {
				out = append(out, '=', digits[c>>4], digits[c&15])
				col += 3
			} else {
				out = append(out, c)
				col++
			}
		}
		if !more {
			break
		}
		out = append(out, '\r', '\n')
		s = rest
	}
	_, err := w.Write(out)
	return err
}

// fileNameParam writes ; filename= plainly for ASCII, else per RFC 2231, in
// continuations when it is long.
func fileNameParam(name string) string {
	if printable(name) && len(name) <= 60 {
		return "; filename=" + quoteParam(name)
	}
	const room = 60
	enc := []string{}
	cur := "utf-8''"
	for i := 0; i < len(name); i++ {
		c := name[i]
		s := string(rune(c))
		if !isAttrChar(c) {
			s = fmt.Sprintf("%%%02X", c)
		}
		if len(cur)+len(s) > room {
			enc = append(enc, cur)
			cur = ""
		}
		cur += s
	}
	enc = append(enc, cur)
	if len(enc) == 1 {
		return "; filename*=" + enc[0]
	}
	var b strings.Builder
	for i, s := range enc {
		fmt.Fprintf(&b, "; filename*%d*=%s", i, s)
	}
	return b.String()
}

func quoteParam(s string) string {
	if !strings.ContainsAny(s, `\"`) {
		return `"` + s + `"`
	}
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// lineWriter breaks base64 into lines of 76.
type lineWriter struct {
	w   io.Writer
	buf []byte
	col int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if l.col == 76 {
			l.buf = append(l.buf, '\r', '\n')
			l.col = 0
		}
		n := min(76-l.col, len(p))
		l.buf = append(l.buf, p[:n]...)
		l.col += n
		p = p[n:]
	}
	if len(l.buf) >= 16<<10 {
		return total, l.Flush()
	}
	return total, nil
}

func (l *lineWriter) Flush() error {
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// copy7bit passes ASCII text on with CRLF line ends. What is not 7bit (RFC
// 2045 section 2.7), or would end the part, is an error: it would be changed on the way.
func copy7bit(w io.Writer, r io.Reader, boundary string) error {
	br := bufio.NewReaderSize(r, 16<<10)
	bw := bufio.NewWriterSize(w, 16<<10)
	for {
		line, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return errors.New("write mail: 7-bit attachment has a line over 998 octets")
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("write mail: copy attachment: %w", err)
		}
		text := bytes.TrimSuffix(line, []byte("\n"))
		ended := len(text) < len(line)
		text = bytes.TrimSuffix(text, []byte("\r"))
		if len(text) > maxLine {
			return errors.New("write mail: 7-bit attachment has a line over 998 octets")
		}
		if bytes.HasPrefix(text, []byte("--"+boundary)) {
			return errors.New("write mail: the boundary occurs in a 7-bit attachment")
		}
		for _, c := range text {
			if c == 0 || c == '\r' || c >= 0x80 {
				return errors.New("write mail: 7-bit attachment has an octet that is not 7-bit")
			}
		}
		bw.Write(text)
		if ended {
			bw.WriteString("\r\n")
		}
		if err == io.EOF {
			return bw.Flush()
		}
	}
}

// hasControl reports controls, which may stand in no header value. Tab is one:
// nothing here needs it, and it is a way to hide text.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, unicode.IsControl)
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isPhrase reports atoms and single spaces, which need no quotes.
func isPhrase(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isAtomChar(c) && (c != ' ' || i > 0 && s[i-1] == ' ') {
			return false
		}
	}
	return true
}

func isAtomChar(c byte) bool {
	return isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isAttrChar: RFC 2231 attribute-char, a little narrower.
func isAttrChar(c byte) bool { return isAlnum(c) || c == '-' || c == '.' || c == '_' }

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isToken: RFC 2045 section 5.1.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
}
