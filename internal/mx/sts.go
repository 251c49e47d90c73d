package mx

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Policy is a domain's wish for its mail (RFC 8461, section 3.2).
type Policy struct {
	ID   string // of the TXT record
	Mode string // enforce, testing, none
	MX   []string

	until time.Time
}

const (
	policyMost    = 64 << 10 // octets
	policiesMost  = 10_000
	retryPolicies = 5 * time.Minute // after one that could not be had
)

// policies are those that were fetched, for as long as they said (section 3.3).
type policies struct {
	mu   sync.Mutex // guards the rest
	kept map[string]*Policy
	fail map[string]time.Time
}

// policyClient fetches policies: from the host itself, with a good certificate,
// without being led elsewhere (section 3.3).
func policyClient(roots *x509.CertPool, r *Resolver) *http.Client {
	d := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				h, err := r.host(ctx, host, false)
				if err != nil {
					return nil, err
				}
				last := fmt.Errorf("%s has no address", host)
				for _, a := range h.Addrs {
					c, err := d.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
					if err == nil {
						return c, nil
					}
					last = err
				}
				return nil, last
			},
			DisableKeepAlives: true,
		},
	}
}

// policy returns a domain's policy, nil for none. One that was fetched counts
// until its time is over, whatever DNS says meanwhile (section 5.1).
func (r *Resolver) policy(ctx context.Context, domain string) *Policy {
	now := r.c.Now()
	r.sts.mu.Lock()
	kept := r.sts.kept[domain]
	failed := r.sts.fail[domain]
	r.sts.mu.Unlock()
	if kept != nil && !now.Before(kept.until) {
		kept = nil
	}
	id := r.policyID(ctx, domain)
	if id == "" || kept != nil && kept.ID == id || now.Before(failed.Add(retryPolicies)) {
		return kept
	}
	next, err := r.fetch(ctx, domain)
	r.sts.mu.Lock()
	defer r.sts.mu.Unlock()
	if r.sts.kept == nil || len(r.sts.kept) > policiesMost || len(r.sts.fail) > policiesMost {
		r.sts.kept, r.sts.fail = make(map[string]*Policy), make(map[string]time.Time)
	}
	if err != nil {
		r.sts.fail[domain] = now
		return kept
	}
	next.ID = id
	r.sts.kept[domain] = next
	return next
}

// policyID is the id of a domain's TXT record, "" where there is no policy.
func (r *Resolver) policyID(ctx context.Context, domain string) string {
	a, err := r.ask(ctx, "_mta-sts."+domain, dns.TypeTXT)
	if err != nil {
		return ""
	}
	id, records := "", 0
	for _, rr := range a.rrs {
		x, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		text := strings.Join(x.Txt, "")
		if !strings.HasPrefix(text, "v=STSv1;") {
			continue
		}
		records++
		for field := range strings.SplitSeq(text, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(field), "="); ok && strings.TrimSpace(name) == "id" {
				id = strings.TrimSpace(value)
			}
		}
	}
	if records != 1 {
		return ""
	}
	return id
}

func (r *Resolver) fetch(ctx context.Context, domain string) (*Policy, error) {
	host := "mta-sts." + domain
	if r.c.STSPort != "" {
		host = net.JoinHostPort(host, r.c.STSPort)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != "text/plain" {
		return nil, fmt.Errorf("fetch policy of %s: status %d, %s", domain, resp.StatusCode, kind)
	}
	return r.parsePolicy(io.LimitReader(resp.Body, policyMost))
}

var errPolicy = errors.New("read policy: not one of MTA-STS")

func (r *Resolver) parsePolicy(src io.Reader) (*Policy, error) {
	p := &Policy{}
	var version string
	age := int64(-1)
	lines := bufio.NewScanner(src)
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimRight(lines.Text(), "\r \t"), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "version":
			version = value
		case "mode":
			p.Mode = value
		case "mx":
			p.MX = append(p.MX, value)
		case "max_age":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 || n > 31557600 {
				return nil, errPolicy
			}
			age = n
		}
	}
	if lines.Err() != nil || version != "STSv1" || age < 0 || p.Mode != "enforce" && p.Mode != "testing" && p.Mode != "none" ||
		p.Mode != "none" && len(p.MX) == 0 {
		return nil, errPolicy
	}
	p.until = r.c.Now().Add(time.Duration(age) * time.Second)
	return p, nil
}
