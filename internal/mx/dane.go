package mx

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// TLSA is a key, or a certificate, that a host says it has (RFC 6698).
type TLSA struct {
	Usage    uint8 // 2: of an authority (DANE-TA), 3: its own (DANE-EE); others are not used for mail (RFC 7672, section 3.1.3)
	Selector uint8 // 0: the certificate, 1: its public key
	Matching uint8 // 0: all of it, 1: its SHA-256, 2: its SHA-512
	Data     []byte
}

// usable keeps the records that mail servers may go by.
func usable(rrs []dns.RR) (out []TLSA) {
	for _, rr := range rrs {
		x, ok := rr.(*dns.TLSA)
		if !ok || x.Usage != 2 && x.Usage != 3 || x.Selector > 1 || x.MatchingType > 2 {
			continue
		}
		data, err := hex.DecodeString(x.Certificate)
		if err != nil || x.MatchingType == 1 && len(data) != sha256.Size || x.MatchingType == 2 && len(data) != sha512.Size {
			continue
		}
		out = append(out, TLSA{x.Usage, x.Selector, x.MatchingType, data})
	}
	return out
}

func (t TLSA) is(c *x509.Certificate) bool {
	data := c.Raw
	if t.Selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, t.Data)
}

var errDANE = errors.New("the mail server's certificate is none that DNS names (DANE)")

// VerifyDANE checks what a host showed against its records (RFC 7672, section
// 3.1): its own key counts whatever name and date are on the certificate; under
// an authority that is named, the name must be the host's or the domain's.
func VerifyDANE(cs tls.ConnectionState, records []TLSA, host, domain string) error {
	chain := cs.PeerCertificates
	if len(chain) == 0 {
		return errDANE
	}
	for _, t := range records {
		if t.Usage == 3 && t.is(chain[0]) {
			return nil
		}
		if t.Usage != 2 {
			continue
		}
		for i, c := range chain {
			if !t.is(c) {
				continue
			}
			roots, between := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(c)
			for _, x := range chain[1:max(1, i)] {
				between.AddCert(x)
			}
			for _, name := range []string{host, strings.TrimSuffix(domain, ".")} {
				if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between}); err == nil {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("%w: %s", errDANE, host)
}
