package message

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Transfer encodings of an Attachment.
const (
	Base64   = "base64" // the default
	SevenBit = "7bit"   // ASCII text with lines of at most 998 octets, such as the envelope file
)

// ErrInjection is the error for a value that would write a header of its own:
// CR, LF, NUL or another control inside a header value (RFC 5322 section 2.2).
var ErrInjection = errors.New("write mail: control character in a header value")

// TransitField marks mail that comes from here, so that a mail service that gives
// its mail to the gateway and gets it back can tell it from new mail.
const TransitField = "X-Pli-Transit"

// Mailbox is an address with the name shown before it. The zero value is none.
type Mailbox struct {
	Name string
	Addr mailaddr.Address
}

// Field is one further header field. Value is ASCII or is written as encoded words.
type Field struct {
	Name, Value string
}

// Attachment is one attached file. Open is called once for every WriteTo.
type Attachment struct {
	Name     string // file name; may be empty
	Type     string // media type without parameters; empty: application/octet-stream
	Encoding string // Base64 (also when empty) or SevenBit
	Size     int64  // octets of the file if known, of a SevenBit one with CRLF line ends, so that Mail.Size need not read it; else 0
	Open     func() (io.ReadCloser, error)
	// Write, in the place of Open, writes a SevenBit file that is known to be one,
	// with CRLF line ends and without the mail's boundary. Size may then be an
	// upper bound.
	Write func(io.Writer) (int64, error)
}

// Inline is a small picture that the HTML names by cid:ContentID.
type Inline struct {
	ContentID string // without angle brackets
	Type      string // media type without parameters
	Body      []byte
}

// Mail is an outgoing message: a mail composed on the web before it is sealed,
// or a notice around an envelope. It is written as a stream; attachments are
// never held in memory. With Boundary, Date and MessageID set every WriteTo
// writes the same octets, so that one pass can sign (DKIM) and the next send.
type Mail struct {
	From       Mailbox // required
	Sender     Mailbox // only if it is not From
	ReplyTo    []Mailbox
	To, Cc     []Mailbox
	Subject    string
	Date       time.Time // zero: now
	MessageID  string    // without angle brackets; empty: random, in From's domain
	InReplyTo  []string  // without angle brackets
	References []string  // without angle brackets
	Trace      []Field   // Received and the like, before all others
	Fields     []Field   // further header fields, after the ones above
	Auto       bool      // sent by a program: Auto-Submitted (RFC 3834) and X-Auto-Response-Suppress
	AutoReply  bool      // and because a mail came: auto-replied

	Text, HTML  string   // UTF-8; either may be empty, both make multipart/alternative
	Inline      []Inline // pictures of the HTML, with it in a multipart/related
	Attachments []Attachment
	Report      *Report // makes it a delivery report around Text; nil: it is none

	Boundary string // [A-Za-z0-9_]{1,60}; empty: random
}

// WriteTo writes the message with CRLF line ends and returns the octets written.
// It refuses (ErrInjection) controls in any header value.
func (m *Mail) WriteTo(w io.Writer) (int64, error) {
	c := &countWriter{w: w}
	err := m.write(c, false)
	return c.n, err
}

// Check refuses a mail whose header cannot be written, as WriteTo would.
func (m *Mail) Check() error {
	var h bytes.Buffer
	return m.header(&h)
}

// Size is the number of octets WriteTo writes. Attachments whose Size is not
// given are read through once to find it; nothing is held.
func (m *Mail) Size() (int64, error) {
	c := &countWriter{w: io.Discard}
	err := m.write(c, true)
	return c.n, err
}

// Estimate is a number of octets that WriteTo does not write more than, without
// writing: quoted-printable may triple a text, and seldom adds a half. It is 0
// where the size of a file is not known.
func (m *Mail) Estimate() int64 {
	n := int64(16<<10 + 3*len(m.Text) + 3*len(m.HTML))
	for _, x := range m.Inline {
		n += int64(len(x.Body))*3/2 + 1<<10
	}
	for _, a := range m.Attachments {
		if a.Size == 0 {
			return 0
		}
		size := a.Size
		if a.Encoding != SevenBit {
			size = size/3*4 + size/19
		}
		n += size + 2<<10
	}
	return n
}

// NeedsUTF8 reports whether a header address needs SMTPUTF8 (RFC 6531).
func (m *Mail) NeedsUTF8() bool {
	for _, l := range [][]Mailbox{{m.From, m.Sender}, m.ReplyTo, m.To, m.Cc} {
		for _, b := range l {
			if !b.Addr.IsASCII() {
				return true
			}
		}
	}
	return false
}

func (m *Mail) write(w *countWriter, sizeOnly bool) error {
	boundary := m.Boundary
	if boundary == "" {
		var b [15]byte
		rand.Read(b[:])
		boundary = "pli_" + hex.EncodeToString(b[:])
	}
	if len(boundary) > 60 || strings.Trim(boundary, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return errors.New("write mail: boundary is not made of 1 to 60 letters, digits and _")
	}
	if strings.Contains(m.Text, boundary) || strings.Contains(m.HTML, boundary) {
		return errors.New("write mail: the boundary occurs in the text")
	}
	var h bytes.Buffer
	if err := m.header(&h); err != nil {
		return err
	}
	if m.Report != nil {
		return m.Report.write(w, &h, boundary, m.Text)
	}
	body := bodyPart{text: m.Text, html: m.HTML, inline: m.Inline, boundary: boundary + "_a"}
	if len(m.Attachments) == 0 {
		body.header(&h)
		h.WriteString("\r\n")
		if _, err := w.Write(h.Bytes()); err != nil {
			return err
		}
		return body.write(w)
	}
	fmt.Fprintf(&h, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%s\r\n", boundary, boundary)
	body.header(&h)
	h.WriteString("\r\n")
	if _, err := w.Write(h.Bytes()); err != nil {
		return err
	}
	if err := body.write(w); err != nil {
		return err
	}
	for i := range m.Attachments {
		if err := m.Attachments[i].write(w, boundary, sizeOnly); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\r\n--%s--\r\n", boundary)
	return err
}

func (m *Mail) header(h *bytes.Buffer) error {
	if m.From.Addr.IsZero() {
		return errors.New("write mail: no From address")
	}
	date, id := m.Date, m.MessageID
	if date.IsZero() {
		date = time.Now()
	}
	if id == "" {
		id = rand.Text() + "@" + m.From.Addr.Domain()
	}
	f := fieldWriter{b: h}
	for _, x := range m.Trace {
		f.put(x.Name, x.Value)
	}
	f.put("Date", date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	f.mailboxes("From", []Mailbox{m.From})
	if !m.Sender.Addr.IsZero() {
		f.mailboxes("Sender", []Mailbox{m.Sender})
	}
	f.mailboxes("Reply-To", m.ReplyTo)
	f.mailboxes("To", m.To)
	f.mailboxes("Cc", m.Cc)
	f.text("Subject", m.Subject)
	f.ids("Message-ID", []string{id})
	f.ids("In-Reply-To", m.InReplyTo)
	f.ids("References", m.References)
	if m.Auto || m.AutoReply || m.Report != nil {
		kind := "auto-generated"
		if m.AutoReply || m.Report != nil {
			kind = "auto-replied"
		}
		f.put("Auto-Submitted", kind)
		f.put("X-Auto-Response-Suppress", "All")
	}
	for _, x := range m.Fields {
		if !isFieldName(x.Name) {
			return fmt.Errorf("write mail: header name %q is not valid", x.Name)
		}
		f.text(x.Name, x.Value)
	}
	f.put("MIME-Version", "1.0")
	return f.err
}

// bodyPart writes the text, the HTML, or both.
type bodyPart struct {
	text, html, boundary string
	inline               []Inline
}

func (p bodyPart) header(h *bytes.Buffer) {
	switch {
	case p.text != "" && p.html != "":
		fmt.Fprintf(h, "Content-Type: multipart/alternative; boundary=%q\r\n", p.boundary)
	case p.html != "":
		p.htmlHeader(h)
	default:
		textHeader(h, "plain", p.text)
	}
}

func (p bodyPart) write(w io.Writer) error {
	switch {
	case p.html == "":
		return writeText(w, p.text)
	case p.text == "":
		return p.writeHTML(w)
	}
	for _, x := range []struct{ kind, text string }{{"plain", p.text}, {"html", p.html}} {
		var h bytes.Buffer
		fmt.Fprintf(&h, "\r\n--%s\r\n", p.boundary)
		if x.kind == "plain" {
			h.Next(2) // the blank line of the header is the line end before the delimiter
		}
		if x.kind == "html" {
			p.htmlHeader(&h)
		} else {
			textHeader(&h, x.kind, x.text)
		}
		h.WriteString("\r\n")
		if _, err := w.Write(h.Bytes()); err != nil {
			return err
		}
		if x.kind == "html" {
			if err := p.writeHTML(w); err != nil {
				return err
			}
		} else if err := writeText(w, x.text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\r\n--%s--\r\n", p.boundary)
	return err
}

func (p bodyPart) htmlHeader(h *bytes.Buffer) {
	if len(p.inline) == 0 {
		textHeader(h, "html", p.html)
		return
	}
	fmt.Fprintf(h, "Content-Type: multipart/related; type=\"text/html\"; boundary=%q\r\n", p.boundary+"_r")
}

// writeHTML writes the HTML, with its pictures behind it (RFC 2387).
func (p bodyPart) writeHTML(w io.Writer) error {
	if len(p.inline) == 0 {
		return writeText(w, p.html)
	}
	boundary := p.boundary + "_r"
	var h bytes.Buffer
	fmt.Fprintf(&h, "--%s\r\n", boundary)
	textHeader(&h, "html", p.html)
	h.WriteString("\r\n")
	if _, err := w.Write(h.Bytes()); err != nil {
		return err
	}
	if err := writeText(w, p.html); err != nil {
		return err
	}
	for _, x := range p.inline {
		major, minor, ok := strings.Cut(x.Type, "/")
		if !ok || !isToken(major) || !isToken(minor) || strings.ContainsAny(x.ContentID, "<> ") {
			return errors.New("write mail: an inline picture has no media type or no id")
		}
		h.Reset()
		fmt.Fprintf(&h, "\r\n--%s\r\n", boundary)
		f := fieldWriter{b: &h}
		f.put("Content-Type", x.Type)
		f.put("Content-Disposition", "inline")
		f.put("Content-ID", "<"+x.ContentID+">")
		f.put("Content-Transfer-Encoding", Base64)
		if f.err != nil {
			return f.err
		}
		h.WriteString("\r\n")
		if _, err := w.Write(h.Bytes()); err != nil {
			return err
		}
		lw := &lineWriter{w: w}
		b64 := base64.NewEncoder(base64.StdEncoding, lw)
		b64.Write(x.Body)
		if err := errors.Join(b64.Close(), lw.Flush()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\r\n--%s--\r\n", boundary)
	return err
}

func textHeader(h *bytes.Buffer, kind, s string) {
	enc := "quoted-printable"
	if isPlain7bit(s) {
		enc = "7bit"
	}
	fmt.Fprintf(h, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n", kind, enc)
}

// isPlain7bit: printable ASCII with short lines needs no encoding. Lines that
// mbox or SMTP software likes to change are left to quoted-printable.
func isPlain7bit(s string) bool {
	for more := true; more; {
		var line string
		line, s, more = strings.Cut(s, "\n")
		line = strings.TrimSuffix(line, "\r")
		if len(line) > 76 || strings.HasPrefix(line, "From ") || strings.HasPrefix(line, ".") ||
			strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
			return false
		}
		for i := 0; i < len(line); i++ {
			if line[i] != '\t' && (line[i] < ' ' || line[i] > '~') {
				return false
			}
		}
	}
	return true
}

// writeText writes UTF-8 text in the encoding that textHeader announced.
func writeText(w io.Writer, s string) error {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\r\n", "\n")
	if isPlain7bit(s) {
		_, err := io.WriteString(w, strings.ReplaceAll(s, "\n", "\r\n"))
		return err
	}
	return qpText(w, s)
}

func (a *Attachment) write(w *countWriter, boundary string, sizeOnly bool) error {
	typ := a.Type
	if typ == "" {
		typ = "application/octet-stream"
	}
	enc := a.Encoding
	if enc == "" {
		enc = Base64
	}
	if enc != Base64 && enc != SevenBit {
		return fmt.Errorf("write mail: attachment encoding %q is not known", enc)
	}
	if major, minor, ok := strings.Cut(typ, "/"); !ok || !isToken(major) || !isToken(minor) {
		return fmt.Errorf("write mail: attachment type %q is not a media type", typ)
	}
	if hasControl(a.Name) {
		return ErrInjection
	}
	var h bytes.Buffer
	fmt.Fprintf(&h, "\r\n--%s\r\n", boundary)
	f := fieldWriter{b: &h}
	ct, cd := typ, "attachment"
	if strings.HasPrefix(typ, "text/") && enc == SevenBit {
		ct += "; charset=us-ascii"
	}
	if a.Name != "" {
		// The RFC 2047 form inside quotes is no standard, but is what programs
		// without RFC 2231 read; both say the same name.
		ct += "; name=" + quoteParam(encodeText(a.Name))
		cd += fileNameParam(a.Name)
	}
	f.put("Content-Type", ct)
	f.put("Content-Disposition", cd)
	f.put("Content-Transfer-Encoding", enc)
	if f.err != nil {
		return f.err
	}
	h.WriteString("\r\n")
	if _, err := w.Write(h.Bytes()); err != nil {
		return err
	}
	if sizeOnly && enc == SevenBit && a.Size > 0 {
		w.n += a.Size
		return nil
	}
	if sizeOnly && a.Size > 0 {
		chars := (a.Size + 2) / 3 * 4
		w.n += chars + (chars-1)/76*2
		return nil
	}
	if a.Write != nil {
		if _, err := a.Write(w); err != nil {
			return fmt.Errorf("write mail: write attachment: %w", err)
		}
		return nil
	}
	r, err := a.Open()
	if err != nil {
		return fmt.Errorf("write mail: open attachment: %w", err)
	}
	defer r.Close()
	if enc == SevenBit {
		start := w.n
		if err := copy7bit(w, r, boundary); err != nil {
			return err
		}
		if a.Size > 0 && w.n-start != a.Size {
			return fmt.Errorf("write mail: copy attachment: it has %d octets, not the announced %d", w.n-start, a.Size)
		}
		return nil
	}
	lw := &lineWriter{w: w}
	b64 := base64.NewEncoder(base64.StdEncoding, lw)
	n, err := io.Copy(b64, r)
	if err == nil {
		err = b64.Close()
	}
	if err == nil {
		err = lw.Flush()
	}
	if err == nil && a.Size > 0 && n != a.Size {
		err = fmt.Errorf("it has %d octets, not the announced %d", n, a.Size)
	}
	if err != nil {
		return fmt.Errorf("write mail: copy attachment: %w", err)
	}
	return nil
}

// countWriter counts what it passes on.
type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
