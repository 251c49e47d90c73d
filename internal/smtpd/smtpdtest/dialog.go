// Package smtpdtest plays SMTP dialogues that are written as text.
//
// Each line of a script is one step:
//
//	C: EHLO x.test        the client sends the line, with CRLF
//	C! a\nb               the client sends the octets, with Go's escapes, and no line end
//	S: 250 2.0.0 ok       the server sends exactly this line
//	S~ 250[ -].*          or a line that matches
//	S* 250                or all the lines of one reply with this code
//	TLS                   the client goes over to TLS
//	END                   the server ends the connection
//	# …                   is for people
package smtpdtest

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RunAll plays every script that matches glob, of which there must be atLeast.
func RunAll(t *testing.T, glob string, atLeast int, dial func(t *testing.T) net.Conn) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) < atLeast {
		t.Fatalf("%s: %d scripts, want at least %d: %v", glob, len(files), atLeast, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".dialog"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			Run(t, string(raw), dial(t))
		})
	}
}

// Run plays one script on a connection, which it closes.
func Run(t *testing.T, script string, conn net.Conn) {
	t.Helper()
	defer func() { conn.Close() }()
	r := bufio.NewReader(conn)
	read := func() string {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		s, err := r.ReadString('\n')
		if err != nil {
			return "(" + err.Error() + ")" + s
		}
		return strings.TrimSuffix(s, "\r\n")
	}
	for n, line := range strings.Split(script, "\n") {
		step, rest, _ := strings.Cut(line, " ")
		fail := func(got string) { t.Helper(); t.Fatalf("line %d: %s\n  got %q", n+1, line, got) }
		switch step {
		case "", "#":
		case "C:":
			conn.Write([]byte(rest + "\r\n"))
		case "C!":
			raw, err := strconv.Unquote(`"` + rest + `"`)
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			conn.Write([]byte(raw))
		case "S:":
			if got := read(); got != rest {
				fail(got)
			}
		case "S~":
			if got := read(); !regexp.MustCompile("^(?:" + rest + ")$").MatchString(got) {
				fail(got)
			}
		case "S*":
			for {
				got := read()
				if !strings.HasPrefix(got, rest) || len(got) < 4 {
					fail(got)
				}
				if got[3] == ' ' {
					break
				}
			}
		case "TLS":
			c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			if err := c.Handshake(); err != nil {
				fail(err.Error())
			}
			conn, r = c, bufio.NewReader(c)
		case "END":
			if got := read(); !strings.HasPrefix(got, "(EOF)") && !strings.Contains(got, "reset") {
				fail(got)
			}
		default:
			t.Fatalf("line %d: no step %q", n+1, step)
		}
	}
}
