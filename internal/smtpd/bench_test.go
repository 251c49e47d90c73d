package smtpd_test

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/pli-mail/pli/internal/smtpd"
)

// BenchmarkData is one message over loopback, to this server and to the
// library's, which reads content octet by octet.
func BenchmarkData(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"20KiB", 20 << 10}, {"1MiB", 1 << 20}, {"25MiB", 25 << 20}} {
		content := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), size.n/78)
		b.Run(size.name+"/smtpd", func(b *testing.B) {
			_, addr := serve(b, smtpd.Config{MaxSize: 1 << 30}, &box{drop: true})
			deliver(b, addr, content)
		})
		b.Run(size.name+"/library", func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return discard{}, nil }))
			s.ErrorLog = log.New(io.Discard, "", 0)
			go s.Serve(l)
			b.Cleanup(func() { s.Close() })
			deliver(b, l.Addr().String(), content)
		})
	}
}

type discard struct{}

func (discard) Reset()                               {}
func (discard) Logout() error                        { return nil }
func (discard) Mail(string, *smtp.MailOptions) error { return nil }
func (discard) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discard) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

func deliver(b *testing.B, addr string, content []byte) {
	c := dial(b, addr)
	r := bufio.NewReader(c)
	say := func(s string, want byte) {
		io.WriteString(c, s)
		for {
			line, err := r.ReadString('\n')
			if err != nil || line[0] != want {
				b.Fatalf("%q after %q: %v", line, s, err)
			}
			if line[3] == ' ' {
				return
			}
		}
	}
	say("", '2')
	say("EHLO x.test\r\n", '2')
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		say("MAIL FROM:<a@x.test>\r\n", '2')
		say("RCPT TO:<b@y.test>\r\n", '2')
		say("DATA\r\n", '3')
		c.Write(content)
		say(".\r\n", '2')
	}
}
