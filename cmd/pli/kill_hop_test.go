package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/smtpd"
)

// trap holds the first who comes to a step, so that something can be killed
// just there.
type trap struct {
	mu          sync.Mutex // guards the rest
	step        string     // "" for none
	hit, resume chan struct{}
}

// at is called by whoever has come to a step.
func (p *trap) at(step string) {
	p.mu.Lock()
	if p.step != step {
		p.mu.Unlock()
		return
	}
	p.step = ""
	hit, resume := p.hit, p.resume
	p.mu.Unlock()
	close(hit)
	<-resume
}

// spring does harm when somebody is at the step, and lets them go on. It reports
// false when nobody came; the harm is done all the same.
func (p *trap) spring(step string, harm func()) bool {
	p.mu.Lock()
	p.step, p.hit, p.resume = step, make(chan struct{}), make(chan struct{})
	hit, resume := p.hit, p.resume
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.step = ""
		p.mu.Unlock()
		close(resume)
	}()
	came := true
	select {
	case <-hit:
	case <-time.After(30 * time.Second):
		came = false
	}
	harm()
	return came
}

// delivery is which message came to whom.
type delivery struct{ id, to string }

// arrival is one mail for one recipient: what is needed to compare it, and not
// the whole page around an envelope.
type arrival struct {
	raw   string // of a mail in clear
	armor []byte // of a sealed one
	part  *envelope.KeyPart
	cut   bool // the next hop died, perhaps before its 250 was heard
}

// keeper is the next mail server. It keeps what it took also when it is killed.
type keeper struct {
	t    *testing.T
	addr string
	trap *trap

	mu       sync.Mutex // guards the rest
	life     int
	listener net.Listener
	conns    map[net.Conn]struct{}
	sessions map[*keeping]struct{}
	got      map[delivery][]*arrival
	strays   []string // what is nobody's message
}

func newKeeper(t *testing.T, p *trap) *keeper {
	k := &keeper{t: t, addr: fmt.Sprintf("127.0.0.1:%d", lowPort(t)), trap: p,
		conns: map[net.Conn]struct{}{}, sessions: map[*keeping]struct{}{}, got: map[delivery][]*arrival{}}
	k.live()
	t.Cleanup(k.die)
	return k
}

// lowPort is a free port that the system does not give to anybody by itself, so
// that it is free again after its owner was killed.
func lowPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func (k *keeper) live() {
	k.t.Helper()
	l, err := net.Listen("tcp", k.addr)
	// A process that another test starts has the closed listener, too, until it is
	// the new program; so the port may be taken for some milliseconds.
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); l, err = net.Listen("tcp", k.addr) {
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.mu.Lock()
	k.listener = l
	k.mu.Unlock()
	server := smtpd.New(smtpd.Config{Hostname: "next.test", MaxSize: 64 << 20, MaxPerNetwork: 200, Log: slog.New(slog.DiscardHandler)}, k)
	go server.Serve(context.Background(), mortal{l, k})
}

// die is what a SIGKILL does to those at the other end: connections are reset.
func (k *keeper) die() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.life++
	if k.listener != nil {
		k.listener.Close()
	}
	for c := range k.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	clear(k.conns)
	for s := range k.sessions {
		for _, a := range s.last {
			a.cut = true
		}
	}
	clear(k.sessions)
}

// mortal knows its connections.
type mortal struct {
	net.Listener
	k *keeper
}

func (m mortal) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err == nil {
		m.k.mu.Lock()
		m.k.conns[c] = struct{}{}
		m.k.mu.Unlock()
	}
	return c, err
}

func (k *keeper) Connect(context.Context, *smtpd.Peer) (smtpd.Session, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &keeping{k: k, life: k.life}
	k.sessions[s] = struct{}{}
	return s, nil
}

// keeping is one connection.
type keeping struct {
	k    *keeper
	life int
	to   []string
	last []*arrival
}

var errDead = errors.New("killed")

func (s *keeping) AuthOffered() bool                          { return false }
func (s *keeping) Auth(context.Context, string, string) error { return nil }
func (s *keeping) Reset()                                     { s.to = nil }

func (s *keeping) Close() {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	delete(s.k.sessions, s)
}

// Mail begins the next mail, so that the answer to the last one was heard.
func (s *keeping) Mail(context.Context, smtpd.Path, smtpd.MailOptions) error {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	s.to, s.last = nil, nil
	return nil
}

func (s *keeping) Rcpt(_ context.Context, to mailaddr.Address, _ smtpd.RcptOptions) error {
	s.to = append(s.to, to.String())
	return nil
}

func (s *keeping) Data(_ context.Context, body io.Reader) (*smtpd.Reply, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	s.k.trap.at(hopHasIt)
	if err := s.take(m.Header, raw); err != nil {
		return nil, err
	}
	s.k.trap.at(hopTook)
	return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: "kept"}, nil
}

func (s *keeping) take(h mail.Header, raw []byte) error {
	armor, part, err := findEnvelope(raw)
	if err != nil {
		return err
	}
	if armor != nil && bytes.Contains(raw, []byte(secretWords)) {
		armor = nil // and it counts as one in clear
	}
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	if s.life != s.k.life {
		return errDead
	}
	id := strings.Trim(h.Get("Message-ID"), "<>")
	for _, to := range s.to {
		if !strings.HasSuffix(to, ".test") {
			s.k.strays = append(s.k.strays, to+": "+h.Get("Subject")+" ("+h.Get("Content-Type")+")")
			continue
		}
		a := &arrival{armor: armor, part: part}
		if armor == nil {
			a.raw = string(raw)
		}
		s.k.got[delivery{id, to}] = append(s.k.got[delivery{id, to}], a)
		s.last = append(s.last, a)
	}
	return nil
}

// findEnvelope takes the envelope out of the file that a mail carries; nil where
// it carries none.
func findEnvelope(raw []byte) (armor []byte, part *envelope.KeyPart, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	typ, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if typ != "multipart/mixed" {
		return nil, nil, nil
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if _, d, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition")); strings.HasPrefix(d["filename"], "securedoc_") {
			in, part, err := envelope.FindArmor(p)
			if err != nil {
				return nil, nil, err
			}
			armor, err := io.ReadAll(in)
			return armor, part, err
		}
	}
}
