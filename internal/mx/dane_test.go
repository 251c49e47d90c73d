package mx_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/mx/mxtest"
)

const digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Keys count only where every answer that leads to them was signed (RFC 7672, section 2.2).
func TestTLSA(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		records  []string // of the host
		unsigned []string
		config   mx.Config
		usable   int
		mustTLS  bool
	}{
		{name: "signed", records: []string{"3 1 1 " + digest, "2 0 2 " + digest + digest, "3 0 0 30"}, usable: 3, mustTLS: true},
		{name: "none"},
		{name: "unsigned MX", records: []string{"3 1 1 " + digest}, unsigned: []string{"x.test."}},
		{name: "unsigned address", records: []string{"3 1 1 " + digest}, unsigned: []string{"a.test."}},
		{name: "unsigned TLSA", records: []string{"3 1 1 " + digest}, unsigned: []string{"_25._tcp.a.test."}},
		{name: "no DNSSEC", records: []string{"3 1 1 " + digest}, config: mx.Config{NoDNSSEC: true}},
		{name: "no DNSSEC, though trusted", records: []string{"3 1 1 " + digest}, config: mx.Config{NoDNSSEC: true, Trusted: true}},
		// PKIX-TA and PKIX-EE are not for mail (section 3.1.3). What is signed and
		// cannot be used still says that there is TLS (section 2.2).
		{name: "unusable", records: []string{"0 1 1 " + digest, "1 1 1 " + digest, "3 2 1 " + digest, "3 1 3 " + digest, "3 1 1 AAAA", "2 1 2 " + digest}, mustTLS: true},
		{name: "one of two", records: []string{"1 1 1 " + digest, "3 1 1 " + digest}, usable: 1, mustTLS: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			z := mxtest.New(t, "x.test. MX 10 a.test.", "a.test. A 192.0.2.1")
			for _, r := range c.records {
				z.Add(t, "_25._tcp.a.test. TLSA "+r)
			}
			z.Unsigned(c.unsigned...)
			h := lookup(t, resolver(t, c.config, z), "x.test").Hosts[0]
			if len(h.TLSA) != c.usable || h.MustTLS != c.mustTLS {
				t.Errorf("%d keys, must be TLS: %v", len(h.TLSA), h.MustTLS)
			}
		})
	}
}

// Whoever can make the question for keys fail must not make the mail go in clear.
func TestTLSAFails(t *testing.T) {
	t.Parallel()
	z := mxtest.New(t, "x.test. MX 10 a.test.", "a.test. A 192.0.2.1", "y.test. MX 10 a.test.", "y.test. MX 20 b.test.", "b.test. A 192.0.2.2",
		"plain.test. MX 10 c.test.", "c.test. A 192.0.2.3")
	z.Fail("_25._tcp.a.test.", "TLSA", "SERVFAIL")
	z.Fail("_25._tcp.c.test.", "TLSA", "SERVFAIL")
	z.Unsigned("c.test.")
	r := resolver(t, mx.Config{}, z)
	_, err := r.Lookup(t.Context(), "x.test")
	var e *mx.Error
	if !errors.As(err, &e) || e.Permanent || !strings.HasPrefix(e.Text, "4.7.5 ") {
		t.Errorf("%v", err)
	}
	if got := hosts(lookup(t, r, "y.test")); got != "b.test=192.0.2.2" {
		t.Errorf("got %s", got)
	}
	// Where the address is not signed, nobody asks (section 2.2.2).
	if got := hosts(lookup(t, r, "plain.test")); got != "c.test=192.0.2.3" {
		t.Errorf("got %s", got)
	}
}

// The word of a server across a network is not believed, unless the operator says so.
func TestTrustInServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server string
		c      mx.Config
		ok     bool
	}{
		{"127.0.0.1", mx.Config{}, true}, {"[::1]:5353", mx.Config{}, true}, {"::1", mx.Config{}, true},
		{"192.0.2.1", mx.Config{}, false}, {"192.0.2.1:53", mx.Config{Trusted: true}, true}, {"ns.test", mx.Config{}, false},
		{"127.0.0.1", mx.Config{NoDNSSEC: true}, false},
	} {
		c.c.Servers = []string{c.server}
		r, err := mx.New(c.c)
		if err != nil {
			t.Fatal(err)
		}
		if got := mx.Trusted(r); got != c.ok {
			t.Errorf("%s %+v: %v", c.server, c.c, got)
		}
	}
	r, err := mx.New(mx.Config{Servers: []string{"127.0.0.1", "192.0.2.1"}})
	if err != nil || mx.Trusted(r) {
		t.Errorf("one of two is across a network: %v", err)
	}
}

func TestVerifyDANE(t *testing.T) {
	t.Parallel()
	a, other := mxtest.NewAuthority(t), mxtest.NewAuthority(t)
	good, expired := a.Issue(t, "a.test"), a.IssueFor(t, -1, "a.test")
	byDomain, elsewhere := a.Issue(t, "x.test"), a.Issue(t, "elsewhere.test")
	for _, c := range []struct {
		name string
		cert tls.Certificate
		tlsa []string
		ok   bool
	}{
		{"own key", good, []string{mxtest.TLSA(3, 1, 1, good.Leaf)}, true},
		{"own certificate", good, []string{mxtest.TLSA(3, 0, 2, good.Leaf)}, true},
		{"whole", good, []string{mxtest.TLSA(3, 1, 0, good.Leaf)}, true},
		{"own, under another name and too old", expired, []string{mxtest.TLSA(3, 1, 1, expired.Leaf)}, true}, // section 3.1.1
		{"own, another name", elsewhere, []string{mxtest.TLSA(3, 1, 1, elsewhere.Leaf)}, true},
		{"another key", good, []string{mxtest.TLSA(3, 1, 1, elsewhere.Leaf)}, false},
		{"authority as own", good, []string{mxtest.TLSA(3, 1, 1, a.Cert)}, false},
		{"key change", good, []string{mxtest.TLSA(3, 1, 1, elsewhere.Leaf), mxtest.TLSA(3, 1, 1, good.Leaf)}, true},
		{"authority", good, []string{mxtest.TLSA(2, 0, 1, a.Cert)}, true},
		{"authority's key, the domain's name", byDomain, []string{mxtest.TLSA(2, 1, 1, a.Cert)}, true}, // section 3.2.2
		{"authority, another name", elsewhere, []string{mxtest.TLSA(2, 0, 1, a.Cert)}, false},
		{"authority, too old", expired, []string{mxtest.TLSA(2, 0, 1, a.Cert)}, false},
		{"another authority", good, []string{mxtest.TLSA(2, 0, 1, other.Cert)}, false},
		// It puts the authority's certificate behind one that it did not sign.
		{"authority not of this one", tls.Certificate{Certificate: [][]byte{other.Issue(t, "a.test").Certificate[0], a.Cert.Raw}},
			[]string{mxtest.TLSA(2, 0, 1, a.Cert)}, false},
		{"no certificate", tls.Certificate{}, []string{mxtest.TLSA(3, 1, 1, good.Leaf)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			z := mxtest.New(t, "x.test. MX 10 a.test.", "a.test. A 192.0.2.1")
			for _, r := range c.tlsa {
				z.Add(t, "_25._tcp.a.test. TLSA "+r)
			}
			h := lookup(t, resolver(t, mx.Config{}, z), "x.test").Hosts[0]
			if len(h.TLSA) != len(c.tlsa) {
				t.Fatalf("%d keys", len(h.TLSA))
			}
			var cs tls.ConnectionState
			for _, der := range c.cert.Certificate {
				x, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				cs.PeerCertificates = append(cs.PeerCertificates, x)
			}
			if err := mx.VerifyDANE(cs, h.TLSA, "a.test", "x.test"); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}
