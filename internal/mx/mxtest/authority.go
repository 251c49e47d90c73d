package mxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that nobody knows yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	a.Cert, a.key = a.sign(t, template, time.Hour)
	return a
}

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Issue signs a certificate for the names; the authority's own is behind it.
func (a *Authority) Issue(t testing.TB, names ...string) tls.Certificate {
	return a.IssueFor(t, time.Hour, names...)
}

// IssueFor is Issue for a time, which may be over.
func (a *Authority) IssueFor(t testing.TB, d time.Duration, names ...string) tls.Certificate {
	t.Helper()
	c, key := a.sign(t, &x509.Certificate{DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, d)
	return tls.Certificate{Certificate: [][]byte{c.Raw, a.Cert.Raw}, PrivateKey: key, Leaf: c}
}

func (a *Authority) sign(t testing.TB, template *x509.Certificate, d time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(d)
	parent, signer := a.Cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// TLSA is what a TLSA record says of a certificate, as "3 1 1 a0…".
func TLSA(usage, selector, matching int, c *x509.Certificate) string {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return fmt.Sprint(usage, " ", selector, " ", matching, " ", hex.EncodeToString(data))
}

// Policies serves MTA-STS policies, for each domain under its own name.
type Policies struct {
	Port string

	mu      sync.Mutex // guards the rest
	handler map[string]http.HandlerFunc
	asked   int
}

// NewPolicies starts a server whose certificates the authority signs; it ends
// with the test.
func NewPolicies(t testing.TB, a *Authority) *Policies {
	t.Helper()
	p := &Policies{handler: make(map[string]http.HandlerFunc)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, p.Port, _ = net.SplitHostPort(l.Addr().String())
	s := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := a.Issue(t, h.ServerName)
			return &c, nil
		}}}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	return p
}

// Set serves a policy to who asks for a domain's.
func (p *Policies) Set(domain, policy string) {
	p.Handle(domain, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, policy)
	})
}

// Handle answers who asks for a domain's policy.
func (p *Policies) Handle(domain string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler[domain] = h
}

// Asked is how many requests there were.
func (p *Policies) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// ServeHTTP answers one request.
func (p *Policies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	p.mu.Lock()
	p.asked++
	h := p.handler[strings.TrimPrefix(host, "mta-sts.")]
	p.mu.Unlock()
	if h == nil || r.URL.Path != "/.well-known/mta-sts.txt" {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}
