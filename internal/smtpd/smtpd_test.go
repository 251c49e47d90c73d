package smtpd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/smtpd/smtpdtest"
)

// box is a handler that keeps what it is given.
type box struct {
	mu    sync.Mutex
	mails []string
	peers []smtpd.Peer
	drop  bool
}

func (b *box) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.mails...)
}

func (b *box) Connect(_ context.Context, p *smtpd.Peer) (smtpd.Session, error) {
	if p.Hello == "stranger.test" {
		return nil, &smtpd.Reply{Code: 550, Enhanced: "5.7.1", Text: "not you"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers = append(b.peers, *p)
	return &session{b}, nil
}

type session struct{ b *box }

func (s *session) AuthOffered() bool { return true }
func (s *session) Auth(_ context.Context, user, password string) error {
	if user != "user" || password != "right" {
		return &smtpd.Reply{Code: 535, Enhanced: "5.7.8", Text: "authentication failed"}
	}
	return nil
}

func (s *session) Mail(_ context.Context, from smtpd.Path, _ smtpd.MailOptions) error {
	if !from.Null && from.Address.Local() == "broken" {
		return errors.New("the database is at /secret/path")
	}
	return nil
}

func (s *session) Rcpt(_ context.Context, to mailaddr.Address, _ smtpd.RcptOptions) error {
	if to.Local() == "refused" {
		return &smtpd.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"}
	}
	return nil
}

func (s *session) Data(_ context.Context, body io.Reader) (*smtpd.Reply, error) {
	if s.b.drop {
		n, err := io.Copy(io.Discard, body)
		return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: strconv.FormatInt(n, 10)}, err
	}
	first := make([]byte, 1)
	n, err := io.ReadFull(body, first)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n > 0 && first[0] == 'u' {
		return nil, &smtpd.Reply{Code: 550, Enhanced: "5.6.0", Text: "not wanted"}
	}
	rest, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	mail := string(first[:n]) + string(rest)
	if mail == "close\r\n" {
		return nil, &smtpd.Reply{Code: 421, Enhanced: "4.3.2", Text: "enough", Close: true}
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, mail)
	return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: strconv.Itoa(len(mail)) + " octets"}, nil
}

func (s *session) Reset() {}
func (s *session) Close() {}

func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// serve starts a server and returns its address.
func serve(t testing.TB, c smtpd.Config, h smtpd.Handler) (*smtpd.Server, string) {
	t.Helper()
	c.Hostname = "mx.test"
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := smtpd.New(c, h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var small = smtpd.Config{MaxSize: 100_000, MaxRecipients: 5}

// The client's words, and the server's (security.md AT-63, AT-64).
func TestDialogs(t *testing.T) {
	t.Parallel()
	c := small
	c.TLS = certificate(t)
	b := &box{}
	_, addr := serve(t, c, b)
	smtpdtest.RunAll(t, "testdata/*.dialog", 40, func(t *testing.T) net.Conn { return dial(t, addr) })
	t.Cleanup(func() {
		for _, m := range b.all() {
			if strings.Contains(m, "smuggled") || strings.Contains(m, "evil") {
				t.Errorf("smuggled: %q", m)
			}
		}
	})
}

// What arrives is what was sent, however it is cut into pieces on the way.
func TestContent(t *testing.T) {
	t.Parallel()
	b := &box{}
	_, addr := serve(t, smtpd.Config{MaxSize: 1 << 20}, b)
	var want []string
	for _, m := range []string{"", "\r\n", ".\r\n", "..\r\n", ".\r\n.\r\n..x\r\n", "a\r\n\r\n.b\r\n", strings.Repeat("x", 32<<10-1) + "\r\n.y\r\n", strings.Repeat("x", 32<<10-2) + "\r\n.\r\n",
		strings.Repeat("ab\r\n.", 20_000) + "\r\n", "é\xff\r\n"} {
		for _, piece := range []int{1 << 20, 1000, 7, 1} {
			if len(m)/piece > 20_000 {
				continue
			}
			want = append(want, m)
			c := dial(t, addr)
			go send(c, m, piece)
			if answer, err := io.ReadAll(c); err != nil || !bytes.Contains(answer, []byte("octets")) {
				t.Fatalf("%.20q in pieces of %d: %q, %v", m, piece, answer, err)
			}
		}
	}
	got := b.all()
	if len(got) != len(want) {
		t.Fatalf("%d mails, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("mail %d differs: %d octets, want %d", i, len(got[i]), len(want[i]))
		}
	}
}

func send(c net.Conn, mail string, piece int) {
	c.Write([]byte("EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n"))
	time.Sleep(2 * time.Millisecond) // so that the content does not come with the commands
	stuffed := strings.ReplaceAll("\n"+mail, "\n.", "\n..")[1:] + ".\r\n"
	for len(stuffed) > 0 {
		n := min(piece, len(stuffed))
		c.Write([]byte(stuffed[:n]))
		stuffed = stuffed[n:]
	}
	c.Write([]byte("QUIT\r\n"))
}

// A session may read its message as it likes.
func TestReadsByOctet(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	_, addr := serve(t, smtpd.Config{}, handler(func(r io.Reader) (*smtpd.Reply, error) {
		b, err := io.ReadAll(iotest.OneByteReader(r))
		got <- string(b)
		return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: "octets"}, err
	}))
	c := dial(t, addr)
	const mail = "a\r\n.\r\n..b\r\n\r\n.\r\n"
	go send(c, mail, 5)
	if s := <-got; s != mail {
		t.Errorf("%q", s)
	}
}

type handler func(io.Reader) (*smtpd.Reply, error)

func (h handler) Connect(context.Context, *smtpd.Peer) (smtpd.Session, error) {
	return funcSession{&session{&box{}}, h}, nil
}

type funcSession struct {
	*session
	h handler
}

func (f funcSession) Data(_ context.Context, r io.Reader) (*smtpd.Reply, error) { return f.h(r) }

// A server that stops says so to whoever waits, lets a message end, and takes nothing more.
func TestDrain(t *testing.T) {
	t.Parallel()
	begun, end := make(chan bool), make(chan bool)
	s, addr := serve(t, smtpd.Config{}, handler(func(r io.Reader) (*smtpd.Reply, error) {
		close(begun)
		<-end
		_, err := io.Copy(io.Discard, r)
		return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: "taken"}, err
	}))
	idle, busy := dial(t, addr), dial(t, addr)
	smtp := func(c net.Conn, say string) { c.Write([]byte(say)) }
	smtp(busy, "EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n")
	<-begun
	down := make(chan bool)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		close(down)
	}()
	if b, err := io.ReadAll(idle); err != nil || !strings.HasSuffix(string(b), "421 4.3.2 mx.test is going down, try again later\r\n") {
		t.Errorf("idle: %q, %v", b, err)
	}
	close(end)
	smtp(busy, "hi\r\n.\r\n")
	if b, err := io.ReadAll(busy); err != nil || !strings.Contains(string(b), "250 2.0.0 taken\r\n421 4.3.2 ") {
		t.Errorf("busy: %q, %v", b, err)
	}
	<-down
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still takes connections")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, smtpd.Config{MaxConnections: 3, MaxPerNetwork: 2, CommandTimeout: 300 * time.Millisecond, DataTimeout: 300 * time.Millisecond}, &box{})
	for range 2 {
		dial(t, addr).Read(make([]byte, 100))
	}
	if b, _ := io.ReadAll(dial(t, addr)); !strings.HasPrefix(string(b), "421 4.7.0 ") {
		t.Errorf("%q", b)
	}
	time.Sleep(500 * time.Millisecond) // the two have been sent away
	c := dial(t, addr)
	c.Write([]byte("EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nnever"))
	if b, _ := io.ReadAll(c); !strings.HasSuffix(string(b), "421 4.4.2 mx.test waited too long\r\n") {
		t.Errorf("%q", b)
	}
}

// Strangers have a share of the places, and each of their networks a share of that:
// whoever is expected finds one, and is none any longer once a MAIL is taken.
func TestStrangersLeavePlaces(t *testing.T) {
	t.Parallel()
	known := netip.MustParseAddr("192.0.2.7")
	s, addr := serve(t, smtpd.Config{MaxConnections: 6, MaxStrangers: 4, StrangersEach: 2, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Known: func(_ context.Context, a netip.Addr) bool { return a == known }}, &box{})
	from := func(a string) (net.Conn, string) {
		c := dial(t, addr)
		fmt.Fprintf(c, "PROXY TCP4 %s 127.0.0.1 1234 25\r\n", a)
		b := make([]byte, 200)
		n, _ := c.Read(b)
		return c, string(b[:n])
	}
	for _, tt := range []struct{ from, want string }{
		{"198.51.100.1", "220 "}, {"198.51.100.2", "220 "}, {"198.51.100.3", "421 4.7.0 "}, // of one network, two
		{"203.0.113.1", "220 "}, {"203.0.113.1", "220 "}, {"233.252.0.1", "421 4.7.0 "}, // of all, four
		{"192.0.2.7", "220 "},
	} {
		if _, said := from(tt.from); !strings.HasPrefix(said, tt.want) {
			t.Fatalf("%s is told %q", tt.from, said)
		}
	}
	if all, strangers := s.Open(); all != 5 || strangers != 4 {
		t.Errorf("%d open, %d strangers'", all, strangers)
	}
	c, _ := from("192.0.2.7")
	c.Close()
	_, addr = serve(t, smtpd.Config{MaxStrangers: 1, Known: func(context.Context, netip.Addr) bool { return false }}, &box{})
	one := dial(t, addr)
	smtpdtest.Run(t, "S~ 220 .*\nC: EHLO x.test\nS* 250\nC: MAIL FROM:<a@x.test>\nS~ 250 .*\n", one)
	smtpdtest.Run(t, "S~ 220 .*\nC: QUIT\nS~ 221 .*\n", dial(t, addr))
}

// Who waits to be looked up has a place like everybody else, and is told when the
// server stops.
func TestLookedUpInTheirPlaces(t *testing.T) {
	t.Parallel()
	looking, found := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, smtpd.Config{MaxConnections: 2, Known: func(context.Context, netip.Addr) bool {
		looking <- struct{}{}
		<-found
		return true
	}}, &box{})
	one, two := dial(t, addr), dial(t, addr)
	<-looking
	<-looking
	if b, _ := io.ReadAll(dial(t, addr)); !strings.HasPrefix(string(b), "421 4.7.0 ") {
		t.Errorf("the third is told %q", b)
	}
	stopped := make(chan struct{})
	go func() { s.Shutdown(context.Background()); close(stopped) }()
	close(found)
	for _, c := range []net.Conn{one, two} {
		if b, _ := io.ReadAll(c); !strings.Contains(string(b), "\r\n421 4.3.2 ") {
			t.Errorf("who is there is told %q", b)
		}
	}
	<-stopped
}

// Who goes away in the middle of BDAT leaves nobody waiting, and who only talks
// is sent away.
func TestLostChunks(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 4)
	_, addr := serve(t, smtpd.Config{}, handler(func(r io.Reader) (*smtpd.Reply, error) {
		_, err := io.Copy(io.Discard, r)
		ended <- err
		return nil, err
	}))
	const begin = "EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 4\r\nhi\r\n"
	for _, last := range []string{"QUIT\r\n", "BDAT 100\r\nhalf", "", strings.Repeat("x\r\n", 20)} {
		c := dial(t, addr)
		c.Write([]byte(begin + last))
		if last == "QUIT\r\n" {
			io.ReadAll(c)
		}
		c.Close()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%q: half a message was whole", last)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: the session still waits", last)
		}
	}
	c := dial(t, addr)
	c.Write([]byte("EHLO x.test\r\n" + strings.Repeat("NOOP\r\n", 100)))
	if b, _ := io.ReadAll(c); !strings.HasSuffix(string(b), "421 4.7.0 too many errors\r\n") {
		t.Errorf("%q", b)
	}
}

// A balancer must say for whom it connects, and nobody else is believed.
func TestProxy(t *testing.T) {
	t.Parallel()
	b := &box{}
	_, addr := serve(t, smtpd.Config{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, b)
	c := dial(t, addr)
	c.Write([]byte("PROXY TCP4 192.0.2.7 127.0.0.1 1234 25\r\n"))
	smtpdtest.Run(t, "S~ 220 .*\nC: EHLO x.test\nS* 250\nC: QUIT\nS~ 221 .*\n", c)
	if b.peers[0].Addr != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("peer %v", b.peers[0].Addr)
	}
	c = dial(t, addr)
	c.Write([]byte("EHLO x.test\r\n"))
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("without a header: %q", got)
	}
	_, addr = serve(t, smtpd.Config{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, b)
	smtpdtest.Run(t, "S~ 220 .*\nC: PROXY TCP4 192.0.2.7 127.0.0.1 1234 25\nS: 500 5.5.2 unknown command\n", dial(t, addr))
}
