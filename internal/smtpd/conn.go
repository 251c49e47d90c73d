package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	readSize     = 32 << 10
	maxCommand   = 2048            // octets of a command line; RFC 5321 asks for 512, and 1024 more for parameters
	maxMistakes  = 10              // wrong commands, after which a client is sent away
	maxIdle      = 50              // commands without mail between two mails
	strangerTime = 2 * time.Minute // for a first MAIL that is taken
)

// conn is one connection.
type conn struct {
	s    *Server
	ctx  context.Context
	raw  net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	peer Peer

	session  Session
	authed   bool
	mail     bool // MAIL was taken
	rcpts    int
	body     *body // of BDAT, while chunks come
	mistakes int
	idle     int       // commands since the last MAIL that brought nothing
	known    bool      // a MAIL was taken of one who may send
	begun    time.Time // the connection
	strange  bool      // counted as a stranger's; under the server's lock

	mu      sync.Mutex // guards the rest
	waiting bool       // for a command
	stopped bool       // told to end
}

func (c *conn) close() {
	c.endBody(errAborted) // who waits for its next chunk
	if c.session != nil {
		c.session.Close()
	}
	c.raw.Close() // says so under TLS (RFC 8446, section 6.1)
}

// interrupt makes a connection that waits for a command end; one that does not
// looks for itself before it waits again.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.waiting {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// wait sets the time limit for the next command; false: the server is going down.
func (c *conn) wait(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = on
	if on && c.stopped {
		return false
	}
	if on {
		until := time.Now().Add(c.s.c.CommandTimeout)
		if !c.known && c.begun.Add(strangerTime).Before(until) {
			until = c.begun.Add(strangerTime)
		}
		c.raw.SetReadDeadline(until)
	}
	return true
}

// say writes an answer. It is sent when nothing more has been read (RFC 2920).
func (c *conn) say(r *Reply) {
	b := c.w.AvailableBuffer()
	b = strconv.AppendInt(b, int64(r.Code), 10)
	b = append(b, ' ')
	if r.Enhanced != "" {
		b = append(append(b, r.Enhanced...), ' ')
	}
	for i := 0; i < len(r.Text) && i < 480; i++ {
		if ch := r.Text[i]; ch >= ' ' && ch <= '~' {
			b = append(b, ch)
		} else {
			b = append(b, '?')
		}
	}
	c.w.Write(append(b, '\r', '\n'))
}

// flush sends what was said, unless the next command is here already.
func (c *conn) flush() error {
	if c.r.Buffered() > 0 {
		return nil
	}
	return c.send()
}

func (c *conn) send() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	c.raw.SetWriteDeadline(time.Now().Add(c.s.c.CommandTimeout))
	return c.w.Flush()
}

var errLongLine = errors.New("command line too long")

// run is the dialogue.
func (c *conn) run() {
	c.say(&Reply{Code: 220, Text: c.s.c.Hostname + " ESMTP Pli"})
	for {
		if c.flush() != nil {
			return
		}
		line, err := c.command()
		if err != nil {
			c.end(err)
			return
		}
		r := c.do(line)
		if r != nil {
			c.say(r)
			c.count(r, line)
			if !r.Close && c.mistakes > maxMistakes {
				r = &Reply{421, "4.7.0", "too many errors", true}
				c.say(r)
			}
		}
		if r != nil && r.Close {
			c.send()
			return
		}
	}
}

// count counts what a client does that brings no mail.
func (c *conn) count(r *Reply, line string) {
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimRight(line, "\r\n")), " ")
	switch {
	case r.Code == 250 && verb == "MAIL" && c.known:
	case r.Code >= 500 && r.Code <= 504, r.Code >= 500 && verb == "MAIL":
		c.mistakes++
	case verb == "NOOP" || verb == "RSET" || verb == "VRFY" || verb == "EHLO" || verb == "HELO" || verb == "MAIL":
		if c.idle++; c.idle > maxIdle {
			c.mistakes = maxMistakes + 1
		}
	}
}

// end says why a connection ends, where anybody may still listen.
func (c *conn) end(err error) {
	switch {
	case errors.Is(err, errLongLine):
		c.say(&Reply{500, "5.5.6", "command line too long", true})
	case errors.Is(err, os.ErrDeadlineExceeded) && c.s.isClosing():
		c.say(c.s.goingDown())
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.say(&Reply{421, "4.4.2", c.s.c.Hostname + " waited too long", true})
	default:
		return
	}
	c.send()
}

// command reads a line, with its end. A CR or NUL inside, and an LF without
// CR, are for do to refuse.
func (c *conn) command() (string, error) {
	if !c.wait(true) {
		return "", os.ErrDeadlineExceeded
	}
	defer c.wait(false)
	var long []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(long)+len(part) > maxCommand {
			return "", errLongLine
		}
		if err == nil && long == nil {
			return string(part), nil
		}
		long = append(long, part...)
		if err == nil {
			return string(long), nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

// do obeys one command line and returns the answer; nil: it has been given.
func (c *conn) do(line string) *Reply {
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n\x00") {
		// Two servers could take such a line for two, or for another.
		return &Reply{500, "5.5.2", "a line ends with CR LF, and has neither alone", true}
	}
	verb, rest, _ := strings.Cut(text, " ")
	verb, rest = strings.ToUpper(verb), strings.TrimSpace(rest)
	if c.body != nil && verb != "BDAT" && verb != "RSET" && verb != "QUIT" && verb != "NOOP" {
		return &Reply{503, "5.5.1", "BDAT, RSET or QUIT is expected now", false}
	}
	switch verb {
	case "EHLO", "HELO":
		return c.hello(rest, verb == "EHLO")
	case "STARTTLS":
		return c.startTLS(rest)
	case "AUTH":
		return c.auth(rest)
	case "MAIL":
		return c.doMail(rest)
	case "RCPT":
		return c.doRcpt(rest)
	case "DATA":
		return c.doData(rest)
	case "BDAT":
		return c.doBdat(rest)
	case "RSET":
		c.reset()
		return &Reply{250, "2.0.0", "ok", false}
	case "NOOP":
		return &Reply{250, "2.0.0", "ok", false}
	case "VRFY":
		return &Reply{252, "2.5.0", "send to it and see", false}
	case "EXPN", "HELP":
		return &Reply{502, "5.5.1", "not here", false}
	case "QUIT":
		return &Reply{221, "2.0.0", "bye", true}
	}
	return &Reply{500, "5.5.2", "unknown command", false}
}

// reset forgets the message (RFC 5321, section 4.1.1.5).
func (c *conn) reset() {
	c.endBody(errAborted)
	c.mail, c.rcpts = false, 0
	if c.session != nil {
		c.session.Reset()
	}
}

func (c *conn) hello(name string, extended bool) *Reply {
	if name == "" || strings.ContainsAny(name, " \t") || len(name) > 255 {
		return &Reply{501, "5.5.4", "say who you are", false}
	}
	c.reset()
	c.peer.Hello, c.peer.Extended = name, extended
	if c.session == nil {
		session, err := c.s.h.Connect(c.ctx, &c.peer)
		if err != nil {
			return c.failed(err)
		}
		c.session = session
	}
	if !extended {
		return &Reply{Code: 250, Text: c.s.c.Hostname}
	}
	lines := []string{c.s.c.Hostname, "PIPELINING", "SIZE " + strconv.FormatInt(c.s.c.MaxSize, 10), "8BITMIME", "SMTPUTF8", "CHUNKING",
		"DSN", "ENHANCEDSTATUSCODES"}
	if c.s.c.TLS != nil && c.peer.TLS == nil {
		lines = append(lines, "STARTTLS")
	}
	if c.peer.TLS != nil && c.session.AuthOffered() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	for _, l := range lines[:len(lines)-1] {
		c.w.WriteString("250-" + l + "\r\n")
	}
	return &Reply{Code: 250, Text: lines[len(lines)-1]}
}

// failed is the answer to an error of the handler.
func (c *conn) failed(err error) *Reply {
	var r *Reply
	if errors.As(err, &r) {
		return r
	}
	c.s.c.Log.Error("smtpd: handler", "peer", c.peer.Addr, "err", err)
	return &Reply{451, "4.3.0", "this does not work now, try again later", false}
}

// startTLS goes over to TLS (RFC 3207). What was said before is forgotten, and
// what came behind the command in clear is not heard (CVE-2011-0411).
func (c *conn) startTLS(rest string) *Reply {
	switch {
	case rest != "":
		return &Reply{501, "5.5.4", "STARTTLS has no parameter", false}
	case c.s.c.TLS == nil:
		return &Reply{502, "5.5.1", "not here", false}
	case c.peer.TLS != nil:
		return &Reply{503, "5.5.1", "TLS is on", false}
	case c.session == nil:
		return &Reply{503, "5.5.1", "EHLO first", false}
	case c.r.Buffered() > 0:
		return &Reply{501, "5.5.4", "nothing may follow STARTTLS before the handshake", true}
	}
	c.say(&Reply{220, "2.0.0", "go ahead", false})
	if c.send() != nil {
		return &Reply{Code: 421, Enhanced: "4.4.2", Text: "lost", Close: true}
	}
	t := tls.Server(c.raw, c.s.c.TLS)
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	c.raw.SetDeadline(time.Time{})
	if err := t.HandshakeContext(ctx); err != nil {
		c.s.c.Log.Info("smtpd: TLS handshake", "peer", c.peer.Addr, "err", err)
		c.w.Reset(io.Discard) // nobody is there who would understand
		return &Reply{421, "4.7.0", "TLS failed", true}
	}
	c.reset()
	c.session.Close()
	state := t.ConnectionState()
	c.mu.Lock()
	c.raw = t
	c.mu.Unlock()
	c.session, c.authed = nil, false
	c.peer.TLS, c.peer.Hello = &state, ""
	c.r.Reset(t)
	c.w.Reset(t)
	return nil
}

// auth signs in (RFC 4954) with PLAIN or LOGIN, under TLS only.
func (c *conn) auth(rest string) *Reply {
	mechanism, initial, _ := strings.Cut(rest, " ")
	switch {
	case c.session == nil:
		return &Reply{503, "5.5.1", "EHLO first", false}
	case c.peer.TLS == nil:
		return &Reply{538, "5.7.11", "a password is taken under TLS only", false}
	case c.authed:
		return &Reply{503, "5.5.1", "signed in already", false}
	case c.mail:
		return &Reply{503, "5.5.1", "not within a message", false}
	case !c.session.AuthOffered():
		return &Reply{502, "5.5.1", "not here", false}
	}
	var user, password string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		b, r := c.secret("", initial)
		if r != nil {
			return r
		}
		parts := bytes.Split(b, []byte{0})
		if len(parts) != 3 || len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
			return &Reply{501, "5.5.2", "not an answer of PLAIN", false}
		}
		user, password = string(parts[1]), string(parts[2])
	case "LOGIN":
		b, r := c.secret("VXNlcm5hbWU6", initial)
		if r != nil {
			return r
		}
		user = string(b)
		if b, r = c.secret("UGFzc3dvcmQ6", ""); r != nil {
			return r
		}
		password = string(b)
	default:
		return &Reply{504, "5.5.4", "PLAIN or LOGIN", false}
	}
	if err := c.session.Auth(c.ctx, user, password); err != nil {
		c.mistakes += 3 // guesses are few on one connection
		return c.failed(err)
	}
	c.authed = true
	c.s.admit(c)
	return &Reply{235, "2.7.0", "signed in", false}
}
