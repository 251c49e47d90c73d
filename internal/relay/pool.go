package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"bufio"

	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/mx"
)

// hop is one host to deliver to, with what must be true of the way there.
type hop struct {
	name string // for people
	addr string // host:port
	mode string // StartTLS, TLS, None, or anyTLS
	tls  *tls.Config
	dane []mx.TLSA // with anyTLS: one of them must match
	sts  bool      // with anyTLS: the certificate must be for the name
	must bool      // with anyTLS: there is TLS, though nothing may prove the name

	username, password string
}

// anyTLS is TLS where it is offered, as DNS says how far it must be trusted.
const anyTLS = "any"

// protected reports whether the host's name is proved before mail is sent.
func (h hop) protected() bool {
	return h.mode != None && (h.mode != anyTLS || len(h.dane) > 0 || h.sts)
}

// how names the proof.
func (h hop) how() string {
	switch {
	case len(h.dane) > 0:
		return "dane"
	case h.sts:
		return "mta-sts"
	}
	return "pinned"
}

// key is the same for hops that may share a connection: what was proved for one
// is proved for the other, and who signed in is the same.
func (h hop) key() string {
	if h.mode == anyTLS {
		return fmt.Sprint(h.addr, h.mode, h.name, h.sts, h.must, h.dane)
	}
	return fmt.Sprintf("%s %s %p", h.addr, h.mode, h.tls) // of the configuration, one for each
}

const (
	keptMost  = 64               // idle connections, of all hosts
	keptFor   = 20 * time.Second // hosts wait minutes, but a dead one should not cost a try
	mailsMost = 200              // on one connection
)

// pool keeps connections for the next mail.
type pool struct {
	mu     sync.Mutex // guards the rest
	idle   map[string][]*line
	n      int
	closed bool
	timer  *time.Timer
}

// take returns a kept connection to h, or nil.
func (p *pool) take(h hop) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[h.key()]
	for len(list) > 0 {
		l := list[len(list)-1]
		list = list[:len(list)-1]
		p.idle[h.key()] = list
		p.n--
		if time.Since(l.since) < keptFor {
			return l
		}
		l.close()
	}
	return nil
}

// give keeps a connection, and reports whether it did.
func (p *pool) give(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.n >= keptMost || l.used >= mailsMost {
		return false
	}
	if p.idle == nil {
		p.idle = make(map[string][]*line)
	}
	l.since = time.Now()
	p.idle[l.hop.key()] = append(p.idle[l.hop.key()], l)
	p.n++
	if p.timer == nil {
		p.timer = time.AfterFunc(keptFor, p.sweep)
	}
	return true
}

// sweep ends those that have waited for too long.
func (p *pool) sweep() {
	p.mu.Lock()
	var old []*line
	for k, list := range p.idle {
		fresh := list[:0]
		for _, l := range list {
			if time.Since(l.since) < keptFor {
				fresh = append(fresh, l)
			} else {
				old = append(old, l)
			}
		}
		if p.idle[k] = fresh; len(fresh) == 0 {
			delete(p.idle, k)
		}
	}
	p.n -= len(old)
	p.timer = nil
	if p.n > 0 && !p.closed {
		p.timer = time.AfterFunc(keptFor/2, p.sweep)
	}
	p.mu.Unlock()
	for _, l := range old {
		l.quit()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle, p.n = nil, 0
	p.mu.Unlock()
	for _, list := range idle {
		for _, l := range list {
			l.quit()
		}
	}
}

// take returns a connection to h, and whether it was kept from an earlier mail.
func (r *Relay) take(ctx context.Context, h hop) (l *line, kept bool, err error) {
	if l := r.pool.take(h); l != nil {
		return l, true, nil
	}
	l, err = r.connect(ctx, h)
	return l, false, err
}

// give takes a connection back after a mail that ended with err.
func (r *Relay) give(l *line, err error) {
	if l.bad {
		l.close()
		return
	}
	// What a refused transaction left behind must not be in the next one's way.
	if err != nil {
		if a, rerr := l.command("RSET"); rerr != nil || a.code != 250 {
			l.close()
			return
		}
	}
	l.conn.SetDeadline(time.Time{})
	if !r.pool.give(l) {
		l.quit()
	}
}

// connect returns a connection on which hello was said, under TLS as h demands it.
func (r *Relay) connect(ctx context.Context, h hop) (*line, error) {
	d := net.Dialer{Timeout: min(r.cfg.Timeout, 30*time.Second)}
	raw, err := d.DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return nil, fmt.Errorf("relay: connect to %s: %w", h.addr, err)
	}
	l := &line{hop: h, conn: raw, timeout: r.cfg.Timeout}
	l.r, l.w = bufio.NewReaderSize(raw, 4<<10), bufio.NewWriterSize(raw, blockSize)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := r.greet(ctx, l); err != nil {
		raw.Close()
		return nil, fmt.Errorf("relay: %s: %w", h.addr, errors.Join(err, context.Cause(ctx)))
	}
	return l, nil
}

func (r *Relay) greet(ctx context.Context, l *line) error {
	h := l.hop
	if h.mode == TLS {
		if err := l.startTLS(ctx); err != nil {
			return err
		}
	}
	a, err := l.read(r.cfg.Timeout)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if a.code != 220 {
		return a.trouble()
	}
	if err := l.hello(r.cfg.Hello); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	if h.mode == StartTLS || h.mode == anyTLS {
		if err := r.upgrade(ctx, l); err != nil {
			return err
		}
	}
	if h.username == "" {
		return nil
	}
	if err := l.signIn(h.username, h.password); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return nil
}

var errNoStartTLS = errors.New("the server does not offer STARTTLS; nothing is sent in clear")

// upgrade goes over to TLS (RFC 3207). What the host said before is forgotten.
func (r *Relay) upgrade(ctx context.Context, l *line) error {
	h := l.hop
	if !l.offers("STARTTLS") {
		if h.mode == anyTLS && !h.protected() && !h.must {
			return nil // as all of Internet mail does it (RFC 7435)
		}
		return errNoStartTLS
	}
	a, err := l.command("STARTTLS")
	if err != nil {
		return err
	}
	if a.code != 220 {
		return fmt.Errorf("STARTTLS: %w", a.trouble())
	}
	if l.r.Buffered() > 0 {
		return errors.New("STARTTLS: the server spoke on before the handshake")
	}
	if err := l.startTLS(ctx); err != nil {
		return err
	}
	return l.hello(r.cfg.Hello)
}

func (l *line) startTLS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	l.conn.SetDeadline(time.Time{})
	t := tls.Client(l.conn, l.hop.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	l.conn = t
	l.r.Reset(t)
	l.w.Reset(t)
	return nil
}

// measure returns the octets of m, or a few more, and whether the host takes
// that many. RFC 1870 asks for an estimate; only near the limit is it counted.
func (l *line) measure(m *message.Mail) (size int64, fits bool, err error) {
	if !l.offers("SIZE") {
		return 0, true, nil
	}
	limit := l.limit()
	if size = m.Estimate(); size > 0 && (limit == 0 || size <= limit) {
		return size, true, nil
	}
	if size, err = m.Size(); err != nil {
		return 0, false, fmt.Errorf("relay: %w", err)
	}
	size += signatureRoom
	return size, limit == 0 || size <= limit, nil
}
