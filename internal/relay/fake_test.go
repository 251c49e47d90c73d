package relay_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/outbox"
)

// fake is a next hop that answers as a test says.
type fake struct {
	addr string
	ext  []string    // what EHLO offers
	cert *tls.Config // for STARTTLS, which is then offered
	// say gives the answer to a line of a connection, which are counted from 1;
	// "." is the end of the content. "" is the usual answer, hangUp ends the
	// connection without one, and so does an answer that begins with 421.
	say func(conn int, line string) string

	mu    sync.Mutex // guards the rest
	conns []net.Conn
	lines []string // as "1 MAIL FROM:<…>", without those of the content
	mails []string
	tls   int // handshakes
}

const hangUp = "hang up"

func newFake(t testing.TB, f *fake) *fake { return newFakeAt(t, "127.0.0.1:0", f) }

func newFakeAt(t testing.TB, addr string, f *fake) *fake {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, c)
			n := len(f.conns)
			f.mu.Unlock()
			go f.serve(c, n)
		}
	}()
	t.Cleanup(func() { l.Close(); f.hangUp() })
	return f
}

// hangUp ends every connection.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}

func (f *fake) serve(c net.Conn, n int) {
	defer func() { c.Close() }()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 fake.test\r\n")
	secure, mail, anybody := false, false, false // under TLS; MAIL was taken; a recipient was
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		f.mu.Lock()
		f.lines = append(f.lines, fmt.Sprint(n, " ", line))
		f.mu.Unlock()
		answer := f.answer(n, line, secure, anybody)
		if !send(c, answer) {
			return
		}
		switch {
		case line == "STARTTLS" && strings.HasPrefix(answer, "220"):
			s := tls.Server(c, f.cert)
			if s.Handshake() != nil {
				return
			}
			c, r, secure = s, bufio.NewReader(s), true
			f.mu.Lock()
			f.tls++
			f.mu.Unlock()
		case strings.HasPrefix(answer, "354"):
			text, ok := content(r)
			if !ok {
				return
			}
			answer, anybody = f.answer(n, ".", secure, anybody), false
			if strings.HasPrefix(answer, "250") {
				f.mu.Lock()
				f.mails = append(f.mails, text)
				f.mu.Unlock()
			}
			if !send(c, answer) {
				return
			}
		case strings.HasPrefix(line, "RCPT "):
			anybody = mail && (anybody || strings.HasPrefix(answer, "250"))
		case strings.HasPrefix(line, "MAIL "):
			mail, anybody = strings.HasPrefix(answer, "250"), false
		case line == "RSET":
			mail, anybody = false, false
		case line == "QUIT":
			return
		}
	}
}

// send reports whether the connection goes on.
func send(w io.Writer, answer string) bool {
	if answer == hangUp {
		return false
	}
	fmt.Fprint(w, answer+"\r\n")
	return !strings.HasPrefix(answer, "421")
}

// content reads a mail up to its end, and undoes the dots.
func content(r *bufio.Reader) (string, bool) {
	var b strings.Builder
	for {
		s, err := r.ReadString('\n')
		if err != nil {
			return "", false
		}
		if s == ".\r\n" {
			return b.String(), true
		}
		b.WriteString(strings.TrimPrefix(s, "."))
	}
}

func (f *fake) answer(n int, line string, secure, anybody bool) string {
	if f.say != nil {
		if s := f.say(n, line); s != "" {
			return s
		}
	}
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO":
		list := append([]string{"fake.test"}, f.ext...)
		if f.cert != nil && !secure {
			list = append(list, "STARTTLS")
		}
		return "250-" + strings.Join(list[:len(list)-1], "\r\n250-") + "\r\n250 " + list[len(list)-1]
	case "STARTTLS":
		return "220 go"
	case "DATA":
		if !anybody {
			return "554 5.5.1 no valid recipients"
		}
		return "354 go"
	case "QUIT":
		return "221 bye"
	}
	return "250 2.0.0 ok"
}

// said returns the lines so far that begin with one of the verbs, in their order.
func (f *fake) said(verbs ...string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, l := range f.lines {
		_, line, _ := strings.Cut(l, " ")
		verb, _, _ := strings.Cut(line, " ")
		if len(verbs) == 0 || slices.Contains(verbs, verb) {
			out = append(out, l)
		}
	}
	return out
}

func (f *fake) all() []string { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.mails) }

func (f *fake) connections() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.conns) }

func (f *fake) handshakes() int { f.mu.Lock(); defer f.mu.Unlock(); return f.tls }

// raw is a parcel with a mail that passes as it came.
func raw(text string, to ...string) outbox.Parcel {
	p := outbox.Parcel{From: mailaddr.MustParse("ana@from.test"), Raw: &outbox.Raw{Size: int64(len(text)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}}
	for _, a := range to {
		p.To = append(p.To, outbox.Receiver{Addr: mailaddr.MustParse(a)})
	}
	return p
}

const short = "Subject: x\r\n\r\nhello\r\n"
