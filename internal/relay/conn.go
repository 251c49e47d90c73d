package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// timed gives every write its own deadline: go-smtp sets one for commands, and
// none while a mail is being written.
type timed struct {
	net.Conn
	limit time.Duration
}

func (t *timed) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(t.limit)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

var errNoStartTLS = errors.New("the server does not offer STARTTLS; nothing is sent in clear")

// startTLS greets in clear and goes over to TLS (RFC 3207). The library's own
// way greets as "localhost", which some smart hosts refuse. What it returns
// gives a new greeting first, because an SMTP client reads one.
func startTLS(ctx context.Context, conn net.Conn, cfg *tls.Config, hello string, limit time.Duration) (net.Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	// Before TLS anyone may be at the other end: what it can make us read has a limit.
	buffer := bufio.NewReader(io.LimitReader(conn, 64<<10))
	answers := textproto.NewReader(buffer)
	if _, _, err := answers.ReadResponse(220); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "EHLO %s\r\n", hello); err != nil {
		return nil, err
	}
	_, offers, err := answers.ReadResponse(250)
	if err != nil {
		return nil, fmt.Errorf("EHLO: %w", err)
	}
	offered := false
	for line := range strings.SplitSeq(offers, "\n") {
		offered = offered || strings.EqualFold(strings.TrimSpace(line), "STARTTLS")
	}
	if !offered {
		return nil, errNoStartTLS
	}
	if _, err := io.WriteString(conn, "STARTTLS\r\n"); err != nil {
		return nil, err
	}
	if _, _, err := answers.ReadResponse(220); err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	if buffer.Buffered() > 0 {
		return nil, errors.New("STARTTLS: the server spoke on before the handshake")
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	t, err := handshake(ctx, conn, cfg, limit)
	if err != nil {
		return nil, err
	}
	return &greeted{t, strings.NewReader("220 TLS\r\n")}, nil
}

// greeted is a connection that begins with a line of its own.
type greeted struct {
	net.Conn
	line *strings.Reader
}

func (g *greeted) Read(p []byte) (int, error) {
	if g.line.Len() > 0 {
		return g.line.Read(p)
	}
	return g.Conn.Read(p)
}

var errBareLine = errors.New("write mail: CR or LF alone")

// lineGuard refuses CR and LF that do not stand together: two servers may read
// them as two different mails (SMTP smuggling, CVE-2023-51764 to 51766).
type lineGuard struct {
	w  io.Writer
	cr bool // the last octet was CR
}

func (g *lineGuard) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if g.cr && rest[0] != '\n' {
			return 0, errBareLine
		}
		if g.cr {
			g.cr, rest = false, rest[1:]
			continue
		}
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			break
		}
		if rest[i] == '\n' {
			return 0, errBareLine
		}
		g.cr, rest = true, rest[i+1:]
	}
	return g.w.Write(p)
}
