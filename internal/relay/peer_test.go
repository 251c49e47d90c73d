package relay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
)

// peer is a next hop that keeps what it takes.
type peer struct {
	addr   string
	server *smtp.Server

	rcpt func(to string) error   // nil: all are welcome
	data func(mail string) error // nil: all is taken
	drop bool                    // keep nothing

	mu    sync.Mutex // guards the rest
	mails []received
	hello []string
	users []string
}

type received struct {
	from, to, text string
	opts           smtp.MailOptions
	tls            bool
}

// newPeer starts a peer on loopback; set changes its server before it listens.
func newPeer(t testing.TB, set func(*peer)) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: l.Addr().String()}
	p.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hello = append(p.hello, c.Hostname())
		_, secure := c.TLSConnectionState()
		return &session{p: p, secure: secure}, nil
	}))
	p.server.Domain = "peer.test"
	// Close does not wait for the connections, and one that logs to a test that has ended is a race.
	p.server.ErrorLog = log.New(io.Discard, "", 0)
	if set != nil {
		set(p)
	}
	go func() {
		if p.server.TLSConfig != nil && p.server.LMTP { // used here as "TLS from the first byte"
			p.server.LMTP = false
			l = tls.NewListener(l, p.server.TLSConfig)
		}
		p.server.Serve(l)
	}()
	t.Cleanup(func() { p.server.Close() })
	return p
}

func (p *peer) all() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received(nil), p.mails...)
}

type session struct {
	p      *peer
	secure bool
	m      received
}

func (s *session) Reset()        { s.m = received{} }
func (s *session) Logout() error { return nil }
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.m = received{from: from, opts: *o, tls: s.secure}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.m.to = to
	if s.p.rcpt != nil {
		return s.p.rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	if s.p.drop {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.m.text = string(b)
	if s.p.data != nil {
		if err := s.p.data(s.m.text); err != nil {
			return err
		}
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.mails = append(s.p.mails, s.m)
	return nil
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "pli" || password != "right" {
			return smtp.ErrAuthFailed
		}
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		s.p.users = append(s.p.users, user)
		return nil
	}), nil
}

// authority makes a certificate for host and the file of the authority that vouches for it.
func authority(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func newRelay(t testing.TB, cfg relay.Config) *relay.Relay {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// plain is a relay to p without TLS.
func plain(t *testing.T, p *peer) *relay.Relay {
	return newRelay(t, relay.Config{Addr: p.addr, TLS: relay.None, Hello: "pli.example"})
}

const lines = 3000 // of the attached file, 75 octets each

// parcel is a mail with an attached file and its lighter version.
func parcel(t testing.TB, to string) outbox.Parcel {
	t.Helper()
	from := mailaddr.MustParse("envelopes@pli.example")
	m := message.Mail{
		From: message.Mailbox{Name: "Ana Silva via Éxample", Addr: from}, To: []message.Mailbox{{Addr: mailaddr.MustParse(to)}},
		ReplyTo: []message.Mailbox{{Addr: mailaddr.MustParse("ana@other.example")}},
		Subject: "Ana Silva vous a envoyé une enveloppe", Date: time.Unix(1795442400, 0), MessageID: "one@pli.example",
		Text: "See the attached file.\n.\nFrom here on: é\n", HTML: "<p>See the attached file.</p>\n", Boundary: "pli_test",
	}
	light := m
	light.Text = "See the link.\n"
	m.Attachments = []message.Attachment{{Name: "securedoc.html", Type: "text/html", Encoding: message.SevenBit,
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Repeat(strings.Repeat("A", 73)+"\r\n", lines))), nil
		}}}
	return outbox.Parcel{From: from, To: []outbox.Receiver{{Addr: mailaddr.MustParse(to)}}, Mail: &m, Light: &light}
}

// refusal is err as the answer of a next hop.
func refusal(t *testing.T, err error) *outbox.Error {
	t.Helper()
	var e *outbox.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is not an answer", err)
	}
	return e
}

// refused is the refusal that Send returned.
func refused(t *testing.T) func(outbox.Accepted, error) *outbox.Error {
	return func(_ outbox.Accepted, err error) *outbox.Error { t.Helper(); return refusal(t, err) }
}

// writePair writes a certificate and its key where Postfix looks for them.
func writePair(t *testing.T, dir string, cert tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
