package smtpd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Errors of the reader that Session.Data gets. The message is refused, and the Session's Data returns them
// as they are.
var (
	ErrBareLine = errors.New("read message: CR or LF alone") // SMTP smuggling, CVE-2023-51764 to 51766
	ErrNUL      = errors.New("read message: NUL")
	ErrTooLarge = errors.New("read message: too large")
	ErrLineEnd  = errors.New("read message: the last line has no end")
	errAborted  = errors.New("read message: aborted by the client")
)

// refusalOf is what a client is told of an error of its message; nil where the
// connection itself is at an end.
func (c *conn) refusalOf(err error) *Reply {
	switch {
	case errors.Is(err, ErrBareLine):
		return &Reply{554, "5.6.11", "CR or LF alone: mail servers would disagree where the message ends", true}
	case errors.Is(err, ErrNUL):
		return &Reply{554, "5.6.0", "NUL may not be in a message", false}
	case errors.Is(err, ErrLineEnd):
		return &Reply{554, "5.6.0", "the last line has no end", false}
	case errors.Is(err, ErrTooLarge):
		return &Reply{552, "5.3.4", "the message is larger than " + strconv.FormatInt(c.s.c.MaxSize, 10) + " octets", false}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Reply{421, "4.4.2", c.s.c.Hostname + " waited too long", true}
	}
	return nil
}

func (c *conn) doData(rest string) *Reply {
	switch {
	case rest != "":
		return &Reply{501, "5.5.4", "DATA has no parameter", false}
	case !c.mail:
		return &Reply{503, "5.5.1", "MAIL first", false}
	case c.rcpts == 0:
		return &Reply{554, "5.5.1", "no recipients", false}
	}
	c.say(&Reply{Code: 354, Text: "end with a dot on a line of its own"})
	if c.send() != nil {
		return &Reply{421, "4.4.2", "lost", true}
	}
	d := &dataReader{c: c, checker: checker{left: c.s.c.MaxSize}, ends: time.Now().Add(c.s.c.DataTotal), lineStart: true}
	r, err := c.session.Data(c.ctx, d)
	if last := (*Reply)(nil); errors.As(err, &last) && last.Close {
		return last // and nothing more is read
	}
	// What has not been read is no command.
	d.skip = true
	if _, lost := io.Copy(io.Discard, d); lost != nil {
		if err = lost; c.refusalOf(err) == nil {
			return &Reply{421, "4.4.2", "lost", true}
		}
	}
	return c.taken(r, err)
}

// taken ends a message and gives its answer.
func (c *conn) taken(r *Reply, err error) *Reply {
	c.mail, c.rcpts = false, 0
	c.session.Reset()
	if err == nil {
		return r
	}
	if refused := c.refusalOf(err); refused != nil {
		return refused
	}
	return c.failed(err)
}

// checker looks at content: no CR or LF alone, no NUL, not too much.
type checker struct {
	cr   bool // the last octet was CR
	left int64
}

// check returns the error of a block of content.
func (k *checker) check(p []byte) error {
	if k.left -= int64(len(p)); k.left < 0 {
		return ErrTooLarge
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNUL
	}
	for len(p) > 0 {
		if k.cr {
			if p[0] != '\n' {
				return ErrBareLine
			}
			k.cr, p = false, p[1:]
			continue
		}
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			i = len(p)
		}
		if bytes.IndexByte(p[:i], '\n') >= 0 {
			return ErrBareLine
		}
		if i == len(p) {
			return nil
		}
		k.cr, p = true, p[i+1:]
	}
	return nil
}

// dataReader is the content of DATA without its dots (RFC 5321, section 4.5.2).
// The first error of the content is kept; what follows is read and forgotten to
// the end, which only CRLF.CRLF is.
type dataReader struct {
	c       *conn
	checker checker
	ends    time.Time // of the time for all of it

	lineStart bool // the next octet begins a line
	cr        bool // the last octet was CR, and was given alone
	done      bool // the end has been read
	skip      bool // nothing more is wanted
	err       error
}

func (d *dataReader) Read(p []byte) (int, error) {
	for {
		if d.done {
			if d.err != nil && !d.skip {
				return 0, d.err
			}
			return 0, io.EOF
		}
		block, err := d.block(len(p))
		if err != nil {
			d.err = err
			return 0, err
		}
		if len(block) == 0 {
			continue
		}
		if d.err == nil && !d.skip {
			d.err = d.checker.check(block)
		}
		if d.err != nil || d.skip {
			d.c.r.Discard(len(block))
			if d.err != nil && !d.skip {
				return 0, d.err // the rest is for doData to skip
			}
			continue
		}
		n := copy(p, block)
		d.c.r.Discard(n)
		return n, nil
	}
}

// block returns the next octets of content, at most n, which stay in the
// reader's buffer: a run that has no line that begins with a dot. It takes off
// the dot of a line that begins with one, and sees the end.
func (d *dataReader) block(n int) ([]byte, error) {
	r := d.c.r
	if r.Buffered() == 0 {
		if err := d.fill(1); err != nil {
			return nil, err
		}
	}
	b, _ := r.Peek(r.Buffered())
	if d.cr {
		d.cr, d.lineStart = false, b[0] == '\n'
		return b[:1], nil
	}
	if d.lineStart && b[0] == '.' {
		if len(b) < 3 {
			if err := d.fill(3); err != nil {
				return nil, err
			}
			b, _ = r.Peek(r.Buffered())
		}
		d.lineStart = false
		if b[1] == '\r' && b[2] == '\n' {
			r.Discard(3)
			d.done = true
			return nil, nil
		}
		r.Discard(1)
		b = b[1:]
	}
	d.lineStart = false
	b = b[:min(n, len(b))]
	if i := bytes.Index(b, crlfDot); i >= 0 {
		d.lineStart = true
		return b[:i+2], nil
	}
	// The line end may be the last that is here; then the next octet begins a line.
	switch {
	case len(b) >= 2 && b[len(b)-2] == '\r' && b[len(b)-1] == '\n':
		d.lineStart = true
	case len(b) > 1 && b[len(b)-1] == '\r':
		b = b[:len(b)-1] // it is looked at together with what follows it
	case len(b) == 1 && b[0] == '\r':
		return d.crAlone(n)
	}
	return b, nil
}

// crAlone is a block that begins with CR, of which nothing more is here.
func (d *dataReader) crAlone(n int) ([]byte, error) {
	if err := d.fill(2); err != nil {
		return nil, err
	}
	b, _ := d.c.r.Peek(2)
	if b[1] != '\n' || n < 2 {
		d.cr = true // an error, for the checker to find; or it is read in pieces
		return b[:1], nil
	}
	d.lineStart = true
	return b, nil
}

var crlfDot = []byte("\r\n.")

// fill waits until n octets are here.
func (d *dataReader) fill(n int) error {
	limit := time.Now().Add(d.c.s.c.DataTimeout)
	if d.ends.Before(limit) {
		limit = d.ends
	}
	d.c.raw.SetReadDeadline(limit)
	_, err := d.c.r.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// doBdat takes a chunk (RFC 3030). The session reads the message while its
// chunks come, in a goroutine of its own: the pipe between holds nothing.
func (c *conn) doBdat(rest string) *Reply {
	count, last, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(count, 10, 62)
	isLast := strings.EqualFold(last, "LAST")
	if err != nil || last != "" && !isLast {
		return &Reply{501, "5.5.4", "BDAT octets [LAST]; what follows cannot be found", true}
	}
	size := int64(n)
	if !c.mail || c.rcpts == 0 && c.body == nil {
		if r := c.skipChunk(size); r != nil {
			return r
		}
		if !c.mail {
			return &Reply{503, "5.5.1", "MAIL first", false}
		}
		return &Reply{554, "5.5.1", "no recipients", false}
	}
	if c.body == nil {
		c.body = newBody(c)
	}
	b := c.body
	if r := b.chunk(size); r != nil {
		return r
	}
	if b.refused != nil {
		c.body = nil
		return c.taken(b.refused, nil)
	}
	if !isLast {
		return &Reply{250, "2.0.0", strconv.FormatInt(size, 10) + " octets", false}
	}
	return c.endBody(io.EOF)
}

// skipChunk reads a chunk that nobody wants: it is no command.
func (c *conn) skipChunk(size int64) *Reply {
	c.raw.SetReadDeadline(time.Now().Add(c.s.c.DataTimeout))
	if size > 2*c.s.c.MaxSize {
		return &Reply{552, "5.3.4", "the chunk is too large", true}
	}
	if _, err := io.CopyN(io.Discard, c.r, size); err != nil {
		return &Reply{421, "4.4.2", "lost", true}
	}
	return nil
}

// endBody ends the message of BDAT, by io.EOF or before its end, and returns
// the answer; nil where there is none.
func (c *conn) endBody(err error) *Reply {
	b := c.body
	if b == nil {
		return nil
	}
	c.body = nil
	if err == io.EOF && (b.checker.cr || !b.lineEnd) {
		err = ErrLineEnd
	}
	b.w.CloseWithError(err)
	done := <-b.answer
	return c.taken(done.reply, done.err)
}

// answer is what Session.Data returned.
type answer struct {
	reply *Reply
	err   error
}

// body is the message of BDAT, on its way to the session.
type body struct {
	c       *conn
	w       *io.PipeWriter
	answer  chan answer
	checker checker
	lineEnd bool // the content so far ends a line
	ends    time.Time
	refused *Reply // before its end
	buf     []byte
}

func newBody(c *conn) *body {
	r, w := io.Pipe()
	b := &body{c: c, w: w, answer: make(chan answer, 1), checker: checker{left: c.s.c.MaxSize}, lineEnd: true,
		ends: time.Now().Add(c.s.c.DataTotal), buf: make([]byte, readSize)}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				c.s.c.Log.Error("smtpd: panic", "panic", p, "peer", c.peer.Addr)
				r.CloseWithError(errAborted)
				b.answer <- answer{&Reply{451, "4.3.0", "this does not work now, try again later", false}, nil}
			}
		}()
		reply, err := c.session.Data(c.ctx, r)
		r.CloseWithError(errAborted)
		b.answer <- answer{reply, err}
	}()
	return b
}

// chunk passes on the octets of one chunk. What it returns ends the connection.
func (b *body) chunk(size int64) *Reply {
	for size > 0 {
		limit := time.Now().Add(b.c.s.c.DataTimeout)
		if b.ends.Before(limit) {
			limit = b.ends
		}
		b.c.raw.SetReadDeadline(limit)
		n, err := b.c.r.Read(b.buf[:min(size, int64(len(b.buf)))])
		p := b.buf[:n]
		size -= int64(n)
		if n > 0 && b.refused == nil {
			if cerr := b.checker.check(p); cerr != nil {
				b.refuse(cerr)
			} else if _, werr := b.w.Write(p); werr != nil {
				b.refuse(nil) // the session wanted no more
			}
			b.lineEnd = p[n-1] == '\n'
		}
		if err != nil {
			if b.refused == nil {
				b.refuse(io.ErrUnexpectedEOF)
			}
			b.c.body = nil
			return &Reply{421, "4.4.2", "lost", true}
		}
	}
	return nil
}

// refuse ends the message before its last chunk: by err, or by the session's own
// answer where that is nil. Its other chunks are read and forgotten.
func (b *body) refuse(err error) {
	if err != nil {
		b.w.CloseWithError(err)
	}
	done := <-b.answer
	if err == nil {
		err = done.err
	}
	switch r := b.c.refusalOf(err); {
	case r != nil:
		b.refused = r
	case err != nil:
		b.refused = b.c.failed(err)
	default:
		b.refused = &Reply{451, "4.3.0", "the message was not read to its end", false}
	}
}
