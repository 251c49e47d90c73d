// Package relay hands mail to the next hop, the smart host that the operator
// named: SMTP with verified TLS, authentication, DKIM, and a lighter mail where
// the full one is too large.
package relay

import (
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

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
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
	Addr       string // host:port
	TLS        string // StartTLS when empty
	Username   string // "" for no authentication, which needs TLS
	Password   string
	CAFile     string        // PEM of the authorities to trust; "" for the system's
	ServerName string        // in the next hop's certificate; "" for the host of Addr
	Hello      string        // our own host name
	DKIM       []DKIM        // the key used is the one aligned with From
	Timeout    time.Duration // of one step; 5 minutes (RFC 5321, section 4.5.3.2)
}

// DKIM is a signing key (RFC 6376): RSA or Ed25519.
type DKIM struct {
	Domain   string
	Selector string
	Key      crypto.Signer
}

// Relay is an outbox.Sender. It is safe for concurrent use.
type Relay struct {
	cfg  Config
	host string
	tls  *tls.Config
}

// New checks cfg; it does not connect.
func New(cfg Config) (*Relay, error) {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("configure relay: %q is not host:port", cfg.Addr)
	}
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if cfg.Hello == "" {
		cfg.Hello = "localhost"
	}
	switch cfg.TLS {
	case StartTLS, TLS:
	case None:
		if cfg.Username != "" {
			return nil, errors.New("configure relay: a password is never sent in clear: use TLS, or no user name")
		}
		if !isLoopback(host) {
			return nil, fmt.Errorf("configure relay: mail to %s would travel in clear: use TLS", host)
		}
	default:
		return nil, fmt.Errorf("configure relay: TLS is %q, not starttls, tls or none", cfg.TLS)
	}
	for _, k := range cfg.DKIM {
		s, err := k.signer()
		if err != nil {
			return nil, fmt.Errorf("configure relay: %w", err)
		}
		s.Close() // without a mail; it only had to be possible
	}
	r := &Relay{cfg: cfg, host: host, tls: &tls.Config{ServerName: cfg.ServerName, MinVersion: tls.VersionTLS12}}
	if r.tls.ServerName == "" {
		r.tls.ServerName = host
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("configure relay: %w", err)
		}
		r.tls.RootCAs = x509.NewCertPool()
		if !r.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("configure relay: %s holds no certificate", cfg.CAFile)
		}
	}
	return r, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Check connects, protects the connection and signs in, and sends nothing. It
// returns the octets that a mail may have by the next hop's own word, 0 when it
// names no limit (RFC 1870).
func (r *Relay) Check(ctx context.Context) (limit int64, err error) {
	c, err := r.connect(ctx)
	if err != nil {
		return 0, err
	}
	if n, ok := c.MaxMessageSize(); ok {
		limit = int64(n)
	}
	return limit, c.Quit()
}

// Send delivers one parcel to the next hop. Errors that the next hop's answer
// to this very letter caused are *outbox.Error; a next hop that cannot be
// reached, is not who it should be, or refuses us as a client, is trouble that
// passes once somebody has mended it.
func (r *Relay) Send(ctx context.Context, p outbox.Parcel) (outbox.Accepted, error) {
	return outbox.Accepted{}, r.send(ctx, p)
}

func (r *Relay) send(ctx context.Context, p outbox.Parcel) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()

	m := p.Mail
	size, fits, err := r.measure(c, m)
	if err != nil {
		return err
	}
	if !fits && p.Light != nil {
		m = p.Light
		if size, fits, err = r.measure(c, m); err != nil {
			return err
		}
	}
	if !fits {
		return &outbox.Error{Permanent: true, Code: 552, Key: "mail.fail.size",
			Text: "5.3.4 the mail is larger than the next mail server accepts"}
	}
	err = r.transact(c, p, m, size)
	if m == p.Mail && p.Light != nil && tooLarge(err) {
		if err := c.Reset(); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		if size, err = p.Light.Size(); err == nil {
			err = r.transact(c, p, p.Light, size)
		}
	}
	if err != nil {
		return err
	}
	c.CommandTimeout = min(c.CommandTimeout, 5*time.Second)
	c.Quit() // the mail is theirs; how the connection ends does not matter
	return nil
}

// measure returns the octets of m and whether the next hop takes that many.
func (r *Relay) measure(c *smtp.Client, m *message.Mail) (size int64, fits bool, err error) {
	if ok, _ := c.Extension("SIZE"); !ok {
		return 0, true, nil
	}
	if size, err = m.Size(); err != nil {
		return 0, false, fmt.Errorf("relay: %w", err)
	}
	size += signatureRoom
	limit, ok := c.MaxMessageSize()
	return size, !ok || limit == 0 || size <= int64(limit), nil
}

// transact is one mail transaction.
func (r *Relay) transact(c *smtp.Client, p outbox.Parcel, m *message.Mail, size int64) error {
	offered, _ := c.Extension("SMTPUTF8")
	if !offered && slices.ContainsFunc(m.ReplyTo, func(b message.Mailbox) bool { return !b.Addr.IsASCII() }) {
		plain := *m // an answer to the wrong address is better than no mail
		plain.ReplyTo = nil
		m = &plain
	}
	utf8 := m.NeedsUTF8() || !p.To[0].Addr.IsASCII() || !p.From.IsASCII()
	if utf8 && !offered {
		return &outbox.Error{Permanent: true, Code: 553, Key: "mail.fail.address",
			Text: "5.6.7 the next mail server does not take addresses with letters beyond ASCII (SMTPUTF8)"}
	}
	signature, err := r.sign(m)
	if err != nil {
		return fmt.Errorf("relay: sign mail: %w", err)
	}
	if err := c.Mail(p.From.Wire(), &smtp.MailOptions{Size: size, UTF8: utf8, Return: smtp.DSNReturnHeaders}); err != nil {
		return answer(err)
	}
	if err := c.Rcpt(p.To[0].Addr.Wire(), nil); err != nil {
		return answer(err)
	}
	d, err := c.Data()
	if err != nil {
		return answer(err)
	}
	w := &lineGuard{w: d}
	if _, err := io.WriteString(w, signature); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	// After an error in the middle the connection is dropped without the final
	// dot, so that the next hop forgets what it has.
	if _, err := m.WriteTo(w); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := d.Close(); err != nil {
		return answer(err)
	}
	return nil
}

// answer tells what the next hop said of this letter from a connection that broke.
func answer(err error) error {
	var e *smtp.SMTPError
	if !errors.As(err, &e) {
		return fmt.Errorf("relay: %w", err)
	}
	text := e.Message
	if e.EnhancedCode[0] > 0 {
		text = fmt.Sprintf("%d.%d.%d %s", e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], text)
	}
	permanent := e.Code >= 500 && e.Code <= 599
	switch e.Code {
	case 530, 534, 535, 538: // about our own sign-in, not about this letter
		permanent = false
	}
	return &outbox.Error{Permanent: permanent, Code: e.Code, Text: text}
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

// connect returns a client that has said hello under TLS and signed in.
func (r *Relay) connect(ctx context.Context) (*smtp.Client, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("relay: connect to %s: %w", r.cfg.Addr, err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	c.CommandTimeout, c.SubmissionTimeout = r.cfg.Timeout, 2*r.cfg.Timeout
	if err := c.Hello(r.cfg.Hello); err != nil {
		c.Close()
		return nil, fmt.Errorf("relay: hello to %s: %w", r.cfg.Addr, err)
	}
	if r.cfg.Username == "" {
		return c, nil
	}
	var auth sasl.Client
	switch {
	case c.SupportsAuth(sasl.Plain):
		auth = sasl.NewPlainClient("", r.cfg.Username, r.cfg.Password)
	case c.SupportsAuth(sasl.Login):
		auth = sasl.NewLoginClient(r.cfg.Username, r.cfg.Password)
	default:
		c.Close()
		return nil, fmt.Errorf("relay: %s offers neither PLAIN nor LOGIN to sign in", r.cfg.Addr)
	}
	if err := c.Auth(auth); err != nil {
		c.Close()
		return nil, fmt.Errorf("relay: sign in to %s: %w", r.cfg.Addr, err)
	}
	return c, nil
}

func (r *Relay) dial(ctx context.Context) (*smtp.Client, error) {
	d := net.Dialer{Timeout: min(r.cfg.Timeout, 30*time.Second)}
	raw, err := d.DialContext(ctx, "tcp", r.cfg.Addr)
	if err != nil {
		return nil, err
	}
	conn := net.Conn(&timed{raw, r.cfg.Timeout})
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	switch r.cfg.TLS {
	case StartTLS:
		if conn, err = startTLS(ctx, conn, r.tls, r.cfg.Hello, r.cfg.Timeout); err != nil {
			raw.Close()
			return nil, err
		}
	case TLS:
		if conn, err = handshake(ctx, conn, r.tls, r.cfg.Timeout); err != nil {
			raw.Close()
			return nil, err
		}
	}
	return smtp.NewClient(conn), nil
}

// Signs reports whether mail from address a can be signed so that
// DMARC finds it aligned.
func (r *Relay) Signs(a mailaddr.Address) bool { return r.key(a.Domain()) != nil }

var _ outbox.Sender = (*Relay)(nil)
