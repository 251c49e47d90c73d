// Package relay hands mail to the next hop, which is a smart host, a partner's
// server, or one that DNS names: SMTP with verified TLS, authentication, DKIM, and a lighter mail where
// the full one is too large.
package relay

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/outbox"
)

// How the connection to the next hop is protected.
const (
	StartTLS = "starttls" // the default
	TLS      = "tls"      // from the first byte, usually port 465
	None     = "none"     // for a next hop on this machine
)

// Config names the next hop.
type Config struct {
	Addr       string // host:port; without Resolver
	TLS        string // StartTLS when empty
	Username   string // "" for no authentication, which needs TLS
	Password   string
	CAFile     string        // PEM of the authorities to trust; "" for the system's
	ServerName string        // in the next hop's certificate; "" for the host of Addr
	Hello      string        // our own host name
	DKIM       []DKIM        // the key used is the one aligned with From
	Keys       func() []DKIM // further keys, which may change; nil: none
	Timeout    time.Duration // of one step; 5 minutes (RFC 5321, section 4.5.3.2)

	// Resolver finds the recipients' own mail servers, instead of Addr.
	Resolver *mx.Resolver
	// ProtectedBy finds them for Protected parcels, where others go to Addr.
	ProtectedBy *mx.Resolver
	Port        string             // of the servers that DNS names; 25
	Partners    map[string]Partner // by domain: next hops of their own
}

// Partner is a next hop for one domain, always under verified TLS.
type Partner struct {
	Addr       string // host:port
	TLS        string // StartTLS or TLS; StartTLS when empty
	ServerName string // in the certificate; "" for the host of Addr
	CAFile     string
}

// DKIM is a signing key (RFC 6376): RSA or Ed25519.
type DKIM struct {
	Domain   string
	Selector string
	Key      crypto.Signer
}

// Relay is an outbox.Sender. It is safe for concurrent use.
type Relay struct {
	cfg       Config
	next      hop // the smart host
	partners  map[string]hop
	protected protections
	pool      pool
}

// New checks cfg; it does not connect.
func New(cfg Config) (*Relay, error) {
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if cfg.Hello == "" {
		cfg.Hello = "localhost"
	}
	for _, k := range cfg.DKIM {
		s, err := k.signer()
		if err != nil {
			return nil, fmt.Errorf("configure relay: %w", err)
		}
		s.Close() // without a mail; it only had to be possible
	}
	r := &Relay{cfg: cfg}
	if cfg.Resolver == nil {
		next, err := newHop(cfg.Addr, cfg.TLS, cfg.ServerName, cfg.CAFile)
		if err != nil {
			return nil, err
		}
		if cfg.TLS == None && cfg.Username != "" {
			return nil, errors.New("configure relay: a password is never sent in clear: use TLS, or no user name")
		}
		next.username, next.password = cfg.Username, cfg.Password
		r.next = *next
	}
	for domain, p := range cfg.Partners {
		h, err := newHop(p.Addr, cmp.Or(p.TLS, StartTLS), p.ServerName, p.CAFile)
		if err != nil {
			return nil, err
		}
		if h.mode == None {
			return nil, fmt.Errorf("configure relay: mail to the partner %s would travel in clear", domain)
		}
		if r.partners == nil {
			r.partners = make(map[string]hop)
		}
		r.partners[domain] = *h
	}
	return r, nil
}

// newHop reads a pinned next hop.
func newHop(addr, mode, serverName, caFile string) (*hop, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("configure relay: %q is not host:port", addr)
	}
	h := &hop{name: host, addr: addr, mode: mode, tls: &tls.Config{ServerName: cmp.Or(serverName, host), MinVersion: tls.VersionTLS12}}
	switch mode {
	case StartTLS, TLS:
	case None:
		if !isLoopback(host) {
			return nil, fmt.Errorf("configure relay: mail to %s would travel in clear: use TLS", host)
		}
	default:
		return nil, fmt.Errorf("configure relay: TLS is %q, not starttls, tls or none", mode)
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("configure relay: %w", err)
		}
		h.tls.RootCAs = x509.NewCertPool()
		if !h.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("configure relay: %s holds no certificate", caFile)
		}
	}
	return h, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Check connects to the smart host, protects the connection and signs in, and
// sends nothing. It returns the octets that a mail may have by the next hop's
// own word, 0 when it names no limit (RFC 1870).
func (r *Relay) Check(ctx context.Context) (limit int64, err error) {
	l, err := r.connect(ctx, r.next)
	if err != nil {
		return 0, err
	}
	defer l.quit()
	return l.limit(), nil
}

// Close ends the connections that are kept.
func (r *Relay) Close() { r.pool.close() }

// Send delivers one parcel to its next hop, over a connection that is kept from
// earlier mail where there is one.
func (r *Relay) Send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	hops, err := r.route(ctx, p)
	if err != nil {
		return outbox.Accepted{}, err
	}
	var last error
	for _, h := range hops {
		accepted, err := r.sendTo(ctx, h, p)
		var said *outbox.Error
		var lost *outbox.Unconfirmed
		if err == nil || errors.As(err, &lost) || errors.As(err, &said) && (said.Permanent || len(hops) == 1) || ctx.Err() != nil {
			return accepted, err
		}
		last = errors.Join(last, err) // the next host of the domain may take it
	}
	return outbox.Accepted{}, unjoined(last)
}

// unjoined gives the answer among several errors, so that it is passed on.
func unjoined(err error) error {
	var said *outbox.Error
	if errors.As(err, &said) {
		return said
	}
	return err
}

// sendTo tries one host. A kept connection that turns out to be at its end
// before the mail began is replaced.
func (r *Relay) sendTo(ctx context.Context, h hop, p outbox.Parcel) (outbox.Accepted, error) {
	for {
		l, kept, err := r.take(ctx, h)
		if err != nil && p.Protected {
			err = fmt.Errorf("%w: %w", outbox.ErrUnprotected, err)
		}
		if err != nil {
			return outbox.Accepted{}, err
		}
		accepted, err := r.deliver(ctx, l, p)
		if kept && l.stale {
			l.close()
			continue
		}
		r.give(l, err)
		return accepted, err
	}
}

// deliver gives the parcel to the host, the lighter mail where the full one is too large.
func (r *Relay) deliver(ctx context.Context, l *line, p outbox.Parcel) (outbox.Accepted, error) {
	// A time limit in the past would be overwritten by the next step's.
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	if p.Raw != nil {
		return r.transactRaw(l, p)
	}
	m := p.Mail
	size, fits, err := l.measure(m)
	if err != nil {
		return outbox.Accepted{}, err
	}
	if !fits && p.Light != nil {
		m = p.Light
		if size, fits, err = l.measure(m); err != nil {
			return outbox.Accepted{}, err
		}
	}
	if !fits {
		return outbox.Accepted{}, &outbox.Error{Permanent: true, Code: 552, Key: "mail.fail.size",
			Text: "5.3.4 the mail is larger than the next mail server accepts"}
	}
	accepted, err := r.transactMail(l, p, m, size)
	if m == p.Mail && p.Light != nil && tooLarge(err) {
		if size, _, err = l.measure(p.Light); err == nil {
			accepted, err = r.transactMail(l, p, p.Light, size)
		}
	}
	return accepted, err
}

// transactMail is one transaction with a mail that was written here.
func (r *Relay) transactMail(l *line, p outbox.Parcel, m *message.Mail, size int64) (outbox.Accepted, error) {
	offered := l.offers("SMTPUTF8")
	if !offered && slices.ContainsFunc(m.ReplyTo, func(b message.Mailbox) bool { return !b.Addr.IsASCII() }) {
		plain := *m // an answer to the wrong address is better than no mail
		plain.ReplyTo = nil
		m = &plain
	}
	signature, err := r.sign(m.From.Addr, m.WriteTo)
	if err != nil {
		return outbox.Accepted{}, fmt.Errorf("relay: sign mail: %w", err)
	}
	return l.transact(transaction{
		parcel: p, size: size, utf8: m.NeedsUTF8(),
		write: func(w io.Writer) error {
			if _, err := io.WriteString(w, signature); err != nil {
				return err
			}
			_, err := m.WriteTo(w)
			return err
		},
	})
}

// transactRaw is one transaction with a mail that passes as it came.
func (r *Relay) transactRaw(l *line, p outbox.Parcel) (outbox.Accepted, error) {
	raw := p.Raw
	if limit := l.limit(); limit > 0 && raw.Size > limit {
		return outbox.Accepted{}, &outbox.Error{Permanent: true, Code: 552, Key: "mail.fail.size",
			Text: "5.3.4 the mail is larger than the next mail server accepts"}
	}
	if raw.EightBit && !l.offers("8BITMIME") {
		return outbox.Accepted{}, &outbox.Error{Permanent: true, Code: 554, Key: "mail.fail.eightbit",
			Text: "5.6.3 the next mail server does not take mail with octets beyond ASCII (8BITMIME)"}
	}
	write := func(w io.Writer) (int64, error) {
		src, err := raw.Open()
		if err != nil {
			return 0, err
		}
		defer src.Close()
		return io.Copy(w, src)
	}
	signature, err := r.signRaw(raw, write)
	if err != nil {
		return outbox.Accepted{}, fmt.Errorf("relay: sign mail: %w", err)
	}
	return l.transact(transaction{
		parcel: p, size: raw.Size + int64(len(signature)), utf8: raw.UTF8, eightBit: raw.EightBit,
		write: func(w io.Writer) error {
			if _, err := io.WriteString(w, signature); err != nil {
				return err
			}
			_, err := write(w)
			return err
		},
	})
}

// tooLarge reports whether a mail without the attached file may succeed: the
// next hop named the size, or the content, but not a full mailbox.
func tooLarge(err error) bool {
	var e *outbox.Error
	if !errors.As(err, &e) || !e.Permanent {
		return false
	}
	if strings.HasPrefix(e.Text, "5.3.4 ") || strings.HasPrefix(e.Text, "5.2.3 ") {
		return true
	}
	return e.Code == 552 && !strings.HasPrefix(e.Text, "5.2.2 ")
}

// Signs reports whether mail from address a can be signed so that
// DMARC finds it aligned.
func (r *Relay) Signs(a mailaddr.Address) bool { return r.key(a.Domain()) != nil }

var _ outbox.Sender = (*Relay)(nil)
