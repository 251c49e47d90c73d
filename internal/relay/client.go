package relay

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/pli-mail/pli/internal/outbox"
)

// line is one connection to a host: SMTP as the client speaks it. The commands
// of a transaction are sent in one go where the host allows it (RFC 2920), and
// content is written in blocks; the library's client does neither, and content
// is where a gateway's time goes (BenchmarkSend has both).
type line struct {
	hop     hop
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	timeout time.Duration
	ext     map[string]string // keyword to parameters, upper case

	used  int       // mails
	since time.Time // of its idleness
	stale bool      // it was at its end before a mail's content was sent
	bad   bool      // nothing more can be said on it
}

const blockSize = 64 << 10

// answered is a reply.
type answered struct {
	code  int
	lines []string
}

func (a answered) text() string { return strings.Join(a.lines, "\n") }

// refusal is a reply that is none of success.
func (a answered) refusal() *outbox.Error {
	permanent := a.code >= 500 && a.code <= 599
	switch a.code {
	case 530, 534, 535, 538: // about our own sign-in, not about this mail
		permanent = false
	}
	return &outbox.Error{Permanent: permanent, Code: a.code, Text: a.text()}
}

// trouble is a refusal of us, before any mail: it says nothing of the mail.
func (a answered) trouble() error { return errors.New(a.refusal().Error()) }

const (
	maxReplyLine  = 4096 // octets; RFC 5321 has 512
	maxReplyLines = 200
)

// read reads one reply.
func (l *line) read(timeout time.Duration) (a answered, err error) {
	l.conn.SetReadDeadline(time.Now().Add(timeout))
	for {
		b, err := l.r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		s := strings.TrimRight(string(b), "\r\n")
		if len(s) < 3 || len(s) > maxReplyLine || len(a.lines) >= maxReplyLines {
			return a, errReply
		}
		code, err := strconv.Atoi(s[:3])
		if err != nil || code < 200 || code > 599 || a.code != 0 && code != a.code || len(s) > 3 && s[3] != ' ' && s[3] != '-' {
			return a, errReply
		}
		a.code = code
		text := ""
		if len(s) > 4 {
			text = s[4:]
		}
		a.lines = append(a.lines, text)
		if len(s) == 3 || s[3] == ' ' {
			return a, nil
		}
	}
}

var errReply = errors.New("the reply is not one of SMTP")

func (l *line) flush() error {
	l.conn.SetWriteDeadline(time.Now().Add(l.timeout))
	return l.w.Flush()
}

// command sends one command and reads its reply.
func (l *line) command(format string, args ...any) (answered, error) {
	fmt.Fprintf(l.w, format+"\r\n", args...)
	if err := l.flush(); err != nil {
		return answered{}, err
	}
	return l.read(l.timeout)
}

// hello greets, and learns what the host can do.
func (l *line) hello(name string) error {
	a, err := l.command("EHLO %s", name)
	if err != nil {
		return err
	}
	l.ext = make(map[string]string)
	if a.code == 250 {
		for _, s := range a.lines[1:] {
			keyword, rest, _ := strings.Cut(s, " ")
			l.ext[strings.ToUpper(keyword)] = strings.ToUpper(rest)
		}
		return nil
	}
	if a, err = l.command("HELO %s", name); err == nil && a.code != 250 {
		err = a.trouble()
	}
	return err
}

func (l *line) offers(keyword string) bool { _, ok := l.ext[keyword]; return ok }

// limit is the largest mail that the host takes, 0 when it names none.
func (l *line) limit() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(l.ext["SIZE"]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// signIn authenticates (RFC 4954). Its errors never carry the password.
func (l *line) signIn(user, password string) error {
	var client sasl.Client
	mechanisms := " " + l.ext["AUTH"] + " "
	switch {
	case strings.Contains(mechanisms, " PLAIN "):
		client = sasl.NewPlainClient("", user, password)
	case strings.Contains(mechanisms, " LOGIN "):
		client = sasl.NewLoginClient(user, password)
	default:
		return errors.New("it offers neither PLAIN nor LOGIN to sign in")
	}
	mechanism, initial, err := client.Start()
	if err != nil {
		return err
	}
	command := "AUTH " + mechanism
	if initial != nil {
		command += " " + base64.StdEncoding.EncodeToString(initial)
	}
	a, err := l.command("%s", command)
	for err == nil && a.code == 334 {
		var challenge, response []byte
		if challenge, err = base64.StdEncoding.DecodeString(a.text()); err != nil {
			return errReply
		}
		if response, err = client.Next(challenge); err == nil {
			a, err = l.command("%s", base64.StdEncoding.EncodeToString(response))
		}
	}
	if err == nil && a.code != 235 {
		err = a.trouble()
	}
	return err
}

// transaction is one mail on its way out.
type transaction struct {
	parcel   outbox.Parcel
	size     int64
	utf8     bool // the header needs SMTPUTF8
	eightBit bool
	write    func(io.Writer) error
}

// mailCommand is MAIL with its parameters.
func (l *line) mailCommand(t transaction) (string, error) {
	p := t.parcel
	utf8 := t.utf8 || !p.From.IsASCII()
	for _, to := range p.To {
		utf8 = utf8 || !to.Addr.IsASCII()
	}
	if utf8 && !l.offers("SMTPUTF8") {
		return "", &outbox.Error{Permanent: true, Code: 553, Key: "mail.fail.address",
			Text: "5.6.7 the next mail server does not take addresses with letters beyond ASCII (SMTPUTF8)"}
	}
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + p.From.Wire() + ">")
	if l.offers("SIZE") {
		b.WriteString(" SIZE=" + strconv.FormatInt(t.size, 10))
	}
	if t.eightBit {
		b.WriteString(" BODY=8BITMIME")
	}
	if utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if l.offers("DSN") {
		ret := p.Return
		if ret == "" {
			ret = "HDRS"
		}
		b.WriteString(" RET=" + ret)
		if p.EnvelopeID != "" {
			b.WriteString(" ENVID=" + p.EnvelopeID)
		}
	}
	return b.String(), nil
}

func (l *line) rcptCommand(to outbox.Receiver) string {
	s := "RCPT TO:<" + to.Addr.Wire() + ">"
	if l.offers("DSN") {
		if len(to.Notify) > 0 {
			s += " NOTIFY=" + strings.Join(to.Notify, ",")
		}
		if to.Original != "" {
			s += " ORCPT=" + to.Original
		}
	}
	return s
}

// transact is one mail transaction (RFC 5321, section 3.3).
func (l *line) transact(t transaction) (outbox.Accepted, error) {
	var out outbox.Accepted
	mail, err := l.mailCommand(t)
	if err != nil {
		return out, err
	}
	l.used++
	refused, data, err := l.envelope(mail, t.parcel.To)
	if err != nil {
		return out, err
	}
	if len(refused) == len(t.parcel.To) {
		if data != nil && data.code == 354 { // nobody is to get it, but the host waits for it
			l.w.WriteString(".\r\n")
			if err := l.flush(); err != nil {
				l.bad = true
			} else if _, err := l.read(l.timeout); err != nil {
				l.bad = true
			}
		}
		return out, worst(refused)
	}
	if data == nil {
		a, err := l.command("DATA")
		if err != nil {
			return out, l.broken(err)
		}
		data = &a
	}
	if data.code != 354 {
		return out, data.refusal()
	}
	l.stale = false
	g := &guard{w: l.w, c: l, start: true}
	if err := t.write(g); err != nil {
		// Without the final dot the host forgets what it has.
		l.bad = true
		return out, fmt.Errorf("relay: %w", err)
	}
	if err := g.end(); err != nil {
		l.bad = true
		return out, fmt.Errorf("relay: %w", err)
	}
	l.conn.SetWriteDeadline(time.Now().Add(l.timeout))
	if err := l.w.Flush(); err != nil {
		l.bad = true
		return out, &outbox.Unconfirmed{Cause: fmt.Errorf("relay: %w", err)} // the last block may have gone
	}
	a, err := l.read(2 * l.timeout)
	if err != nil {
		l.bad = true
		return out, &outbox.Unconfirmed{Cause: fmt.Errorf("relay: %w", err)}
	}
	if a.code/100 != 2 {
		return out, a.refusal()
	}
	return outbox.Accepted{Host: l.hop.name, Text: strings.Join(strings.Fields(a.text()), " "), Refused: refused, DSN: l.offers("DSN")}, nil
}

// envelope sends MAIL and RCPT, with DATA behind them where the host takes them
// in one go; then data is its reply.
func (l *line) envelope(mail string, to []outbox.Receiver) (refused []outbox.Refusal, data *answered, err error) {
	pipelined := l.offers("PIPELINING")
	l.stale = true
	send := func(s string) error {
		l.w.WriteString(s)
		l.w.WriteString("\r\n")
		if pipelined {
			return nil
		}
		return l.flush()
	}
	if err := send(mail); err != nil {
		return nil, nil, l.broken(err)
	}
	if pipelined {
		for _, r := range to {
			send(l.rcptCommand(r))
		}
		send("DATA")
		if err := l.flush(); err != nil {
			return nil, nil, l.broken(err)
		}
	}
	a, err := l.read(l.timeout)
	if err != nil {
		return nil, nil, l.broken(err)
	}
	if a.code/100 != 2 {
		if a.code == 421 {
			l.bad = true
			return nil, nil, a.refusal()
		}
		l.stale = false
		if pipelined { // the others are refused too
			if err := l.skip(len(to) + 1); err != nil {
				l.bad = true
			}
		}
		return nil, nil, a.refusal()
	}
	for _, r := range to {
		if !pipelined {
			if err := send(l.rcptCommand(r)); err != nil {
				return nil, nil, l.broken(err)
			}
		}
		if a, err = l.read(l.timeout); err != nil {
			return nil, nil, l.broken(err)
		}
		if a.code == 421 { // the host goes away, and with it whoever it took
			l.bad = true
			return nil, nil, a.refusal()
		}
		if a.code/100 != 2 {
			refused = append(refused, outbox.Refusal{Addr: r.Addr, Err: a.refusal()})
		}
	}
	l.stale = false
	if !pipelined {
		if len(refused) == len(to) {
			if _, err := l.command("RSET"); err != nil {
				l.bad = true
			}
		}
		return refused, nil, nil
	}
	if a, err = l.read(l.timeout); err != nil {
		return nil, nil, l.broken(err)
	}
	return refused, &a, nil
}

// skip reads replies that are of no interest.
func (l *line) skip(n int) error {
	for range n {
		a, err := l.read(l.timeout)
		if err != nil {
			return err
		}
		if a.code == 354 {
			l.w.WriteString(".\r\n")
			if err := l.flush(); err != nil {
				return err
			}
			if _, err := l.read(l.timeout); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *line) broken(err error) error {
	l.bad = true
	return fmt.Errorf("relay: %s: %w", l.hop.name, err)
}

// worst is the answer where nobody was taken: try again if that may help one.
func worst(refused []outbox.Refusal) *outbox.Error {
	for _, r := range refused {
		if !r.Err.Permanent {
			return r.Err
		}
	}
	return refused[0].Err
}

// quit ends the connection as the host expects it.
func (l *line) quit() {
	if !l.bad {
		l.timeout = min(l.timeout, 5*time.Second)
		l.w.WriteString("QUIT\r\n")
		if l.flush() == nil {
			l.read(l.timeout)
		}
	}
	l.close()
}

func (l *line) close() { l.conn.Close() }

var errBareLine = errors.New("write mail: CR or LF alone")

// guard writes content: it doubles the dots at the beginning of lines (RFC
// 5321, section 4.5.2), and refuses CR and LF that do not stand together: two
// servers may read them as two different mails (CVE-2023-51764 to 51766).
type guard struct {
	w     *bufio.Writer
	c     *line
	cr    bool // the last octet was CR
	start bool // the next octet begins a line
}

func (g *guard) Write(p []byte) (int, error) {
	total := len(p)
	g.c.conn.SetWriteDeadline(time.Now().Add(g.c.timeout))
	for len(p) > 0 {
		if g.cr {
			if p[0] != '\n' {
				return 0, errBareLine
			}
			g.cr, g.start = false, true
			if err := g.w.WriteByte('\n'); err != nil {
				return 0, err
			}
			p = p[1:]
			continue
		}
		if g.start && p[0] == '.' {
			if err := g.w.WriteByte('.'); err != nil {
				return 0, err
			}
		}
		g.start = false
		n, err := g.run(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

// run writes octets up to the next line that begins with a dot, or to the end,
// and returns how many.
func (g *guard) run(p []byte) (int, error) {
	for at := 0; ; {
		i := bytes.IndexByte(p[at:], '\n')
		end := len(p)
		if i >= 0 {
			end = at + i
		}
		if j := bytes.IndexByte(p[at:end], '\r'); j >= 0 && at+j != end-1 {
			return 0, errBareLine
		}
		switch {
		case i < 0:
			g.cr = end > at && p[end-1] == '\r'
			_, err := g.w.Write(p)
			return len(p), err
		case end == at || p[end-1] != '\r':
			return 0, errBareLine
		}
		at = end + 1
		if at == len(p) || p[at] == '.' {
			g.start = true
			_, err := g.w.Write(p[:at])
			return at, err
		}
	}
}

// end writes the end of the content. Content whose last line has no end gets one.
func (g *guard) end() error {
	switch {
	case g.cr:
		return errBareLine
	case !g.start:
		if _, err := g.w.WriteString("\r\n"); err != nil {
			return err
		}
	}
	_, err := g.w.WriteString(".\r\n")
	return err
}
