// Package smtpd is the server's side of SMTP (RFC 5321): the dialogue, its
// limits and its time limits. What is admitted and what becomes of a message is
// decided by a Handler.
//
// It is our own because a gateway lives from the octets between DATA and the
// dot: they are scanned here in blocks, where the library reads them one by one
// (BenchmarkData has both), lines of content may have any length while commands
// may not, a CR or LF alone is refused, and a server that stops says so (421).
package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Config is what a Server needs. Zero numbers are replaced by the defaults.
type Config struct {
	Hostname string      // in the greeting
	TLS      *tls.Config // for STARTTLS; nil: it is not offered

	MaxSize        int64 // octets of a message; 25 MiB
	MaxRecipients  int   // of a message; 1000 (RFC 5321 asks for 100 at least)
	MaxConnections int   // at once; 200
	MaxPerNetwork  int   // at once from one /24 or /64; 100

	// Known reports an address that mail is expected from; nil: any. Others are
	// strangers until they have signed in or a MAIL of theirs is taken, and leave
	// places for who is known.
	Known         func(context.Context, netip.Addr) bool
	MaxStrangers  int // at once; half of MaxConnections
	StrangersEach int // at once from one /24 or /64; a fifth of MaxStrangers, 2 at least

	CommandTimeout time.Duration // for the next command; 5 minutes (RFC 5321, section 4.5.3.2.7)
	DataTimeout    time.Duration // for the next block of content; 3 minutes (section 4.5.3.2.5)
	DataTotal      time.Duration // for all of a message, so that nobody holds a place with one octet a minute; 30 minutes

	// ProxyFrom are the load balancers that must begin each connection with a
	// PROXY header; from others none is believed.
	ProxyFrom []netip.Prefix
	Log       *slog.Logger
}

// Peer is who is connected.
type Peer struct {
	Addr     netip.Addr
	Hello    string               // what it called itself
	Extended bool                 // EHLO
	TLS      *tls.ConnectionState // nil in clear
}

// Path is a return path.
type Path struct {
	Address mailaddr.Address
	Null    bool // <>, of bounces
}

// MailOptions are the parameters of MAIL.
type MailOptions struct {
	Size       int64  // as announced, 0 for nothing said
	Body       string // 7BIT, 8BITMIME, or "" for nothing said
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	Return     string // RET (RFC 3461): FULL, HDRS, or ""
	EnvelopeID string // ENVID, still encoded
}

// RcptOptions are the parameters of RCPT.
type RcptOptions struct {
	Notify   []string // NOTIFY (RFC 3461)
	Original string   // ORCPT, type;address, still encoded
}

// Reply is an answer. As an error it is what the client is told.
type Reply struct {
	Code     int
	Enhanced string // such as 5.7.1 (RFC 3463)
	Text     string // ASCII
	Close    bool   // and the connection ends
}

func (r *Reply) Error() string { return fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text) }

// ErrStranger, from Session.Mail, takes the mail as nil does, from a client that
// has yet to show that it brings any: its time and its mistakes count on.
var ErrStranger = errors.New("a stranger's mail")

// Handler begins a session for each client that has said hello, and again after
// STARTTLS. An error that is a *Reply is what the client is told; of another
// it is told nothing (451), and the log has it. That goes for every method below.
type Handler interface {
	Connect(ctx context.Context, p *Peer) (Session, error)
}

// Session is one client. Its methods are called one after the other.
type Session interface {
	AuthOffered() bool // under TLS; in clear there is no AUTH
	Auth(ctx context.Context, user, password string) error
	Mail(ctx context.Context, from Path, o MailOptions) error
	Rcpt(ctx context.Context, to mailaddr.Address, o RcptOptions) error
	// Data takes one message. body gives its octets without dot-stuffing and
	// ends with io.EOF; its other errors are to be returned as they are.
	Data(ctx context.Context, body io.Reader) (*Reply, error)
	Reset()
	Close()
}

// Server serves. It is safe for concurrent use.
type Server struct {
	c       Config
	h       Handler
	readers sync.Pool // of *bufio.Reader, which are most of a connection's memory

	mu       sync.Mutex // guards the rest
	conns    map[*conn]struct{}
	networks map[netip.Prefix]int
	strange  map[netip.Prefix]int // of networks, those of strangers
	stranger int                  // all of them
	closing  bool
	lns      map[net.Listener]struct{}
	done     sync.WaitGroup // connections

	base context.Context // of the connections; ends when Shutdown has waited long enough
	cut  context.CancelFunc
}

// New returns a Server.
func New(c Config, h Handler) *Server {
	if c.MaxSize <= 0 {
		c.MaxSize = 25 << 20
	}
	for _, d := range []struct {
		n   *int
		def int
	}{{&c.MaxRecipients, 1000}, {&c.MaxConnections, 200}, {&c.MaxPerNetwork, 100}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	if c.MaxStrangers <= 0 {
		c.MaxStrangers = max(1, c.MaxConnections/2)
	}
	if c.StrangersEach <= 0 {
		c.StrangersEach = max(2, c.MaxStrangers/5)
	}
	for _, d := range []struct {
		n   *time.Duration
		def time.Duration
	}{{&c.CommandTimeout, 5 * time.Minute}, {&c.DataTimeout, 3 * time.Minute}, {&c.DataTotal, 30 * time.Minute}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	base, cut := context.WithCancel(context.Background())
	return &Server{c: c, h: h, base: base, cut: cut, conns: map[*conn]struct{}{}, networks: map[netip.Prefix]int{}, strange: map[netip.Prefix]int{}, lns: map[net.Listener]struct{}{}}
}

// Serve answers on l until Shutdown; then it returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if len(s.c.ProxyFrom) > 0 {
		l = &proxyproto.Listener{Listener: l, ReadHeaderTimeout: 10 * time.Second, ConnPolicy: s.proxied}
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.lns[l] = struct{}{}
	s.mu.Unlock()
	for pause := 5 * time.Millisecond; ; {
		c, err := l.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			go s.serve(s.base, c)
			continue
		}
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		if closing {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		// Such as too many open files: it passes.
		s.c.Log.Error("smtpd: accept", "err", err)
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}

// proxied demands a PROXY header from the balancers, and believes none of others.
func (s *Server) proxied(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	a := addrOf(o.Upstream)
	for _, p := range s.c.ProxyFrom {
		if p.Contains(a) {
			return proxyproto.REQUIRE, nil
		}
	}
	return proxyproto.SKIP, nil
}

func addrOf(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

// network is what MaxPerNetwork counts by.
func network(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// enter counts a connection, and says why it may not be. It is counted before it is
// looked at: so many at most wait for the database.
func (s *Server) enter(c *conn) *Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := network(c.peer.Addr)
	switch {
	case s.closing:
		return s.goingDown()
	case len(s.conns) >= s.c.MaxConnections, s.networks[n] >= s.c.MaxPerNetwork:
		return s.tooMany()
	}
	s.conns[c] = struct{}{}
	s.networks[n]++
	s.done.Add(1)
	return nil
}

// look counts a connection that has entered as a stranger's where it is one, and
// says why it may not be.
func (s *Server) look(c *conn) *Reply {
	if s.c.Known == nil || s.c.Known(c.ctx, c.peer.Addr) { // without the lock: it may ask the database
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := network(c.peer.Addr)
	if s.stranger >= s.c.MaxStrangers || s.strange[n] >= s.c.StrangersEach {
		return s.tooMany()
	}
	c.strange = true
	s.stranger++
	s.strange[n]++
	return nil
}

// admitted makes a stranger one who is known; s.mu is held.
func (s *Server) admitted(c *conn) {
	if !c.strange {
		return
	}
	c.strange = false
	s.stranger--
	n := network(c.peer.Addr)
	if s.strange[n]--; s.strange[n] <= 0 {
		delete(s.strange, n)
	}
}

// admit is admitted for a connection that has shown who it is.
func (s *Server) admit(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted(c)
}

// Open returns how many connections there are, and how many of them are strangers'.
func (s *Server) Open() (all, strangers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.stranger
}

// Most and MostStrangers are what Open returns at most.
func (s *Server) Most() int          { return s.c.MaxConnections }
func (s *Server) MostStrangers() int { return s.c.MaxStrangers }

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.admitted(c)
	n := network(c.peer.Addr)
	if s.networks[n]--; s.networks[n] <= 0 {
		delete(s.networks, n)
	}
	s.done.Done()
}

func (s *Server) tooMany() *Reply {
	return &Reply{421, "4.7.0", s.c.Hostname + " too many connections, try again later", true}
}

func (s *Server) goingDown() *Reply {
	return &Reply{421, "4.3.2", s.c.Hostname + " is going down, try again later", true}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// serve is one connection from its first octet to its last.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	if p, ok := raw.(*proxyproto.Conn); ok && p.ProxyHeader() == nil && s.mustProxy(raw) {
		return // the balancer did not say for whom
	}
	r, ok := s.readers.Get().(*bufio.Reader)
	if !ok {
		r = bufio.NewReaderSize(nil, readSize)
	}
	r.Reset(raw)
	defer func() {
		r.Reset(nil)
		s.readers.Put(r)
	}()
	c := &conn{s: s, ctx: ctx, raw: raw, begun: time.Now(), peer: Peer{Addr: addrOf(raw.RemoteAddr())}, r: r, w: bufio.NewWriterSize(raw, 1<<10)}
	refused := s.enter(c)
	if refused == nil {
		defer s.leave(c)
		refused = s.look(c)
	}
	if refused != nil {
		raw.SetDeadline(time.Now().Add(10 * time.Second))
		c.say(refused)
		c.w.Flush()
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.c.Log.Error("smtpd: panic", "panic", p, "peer", c.peer.Addr)
		}
		c.close()
	}()
	c.run()
}

// mustProxy reports whether the connection is a balancer's. LocalAddr and
// RemoteAddr are those of the header once there is one, so this is asked only
// where there is none.
func (s *Server) mustProxy(raw net.Conn) bool {
	a := addrOf(raw.RemoteAddr())
	for _, p := range s.c.ProxyFrom {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Shutdown takes no more connections. Those that wait for a command are told
// 421 at once, the others after their message; when ctx ends, what is left is cut.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	for l := range s.lns {
		l.Close()
	}
	for c := range s.conns {
		c.interrupt()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.done.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.cut() // sessions too
		s.mu.Lock()
		for c := range s.conns {
			c.mu.Lock()
			c.raw.Close()
			c.mu.Unlock()
		}
		s.mu.Unlock()
		<-done
	}
}
