package mx

import (
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
	// The lookup goes on without it, so it must not use up the lookup's time.
	wait, cancel := context.WithTimeout(ctx, r.policyWait)
	defer cancel()
	next, err := r.fetch(wait, domain)
	if err != nil && ctx.Err() != nil {
		return kept // who asked went away; that says nothing of the domain
	}
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
	texts, err := r.TXT(ctx, "_mta-sts."+domain)
	if err != nil {
		return ""
	}
	id, records := "", 0
	for _, text := range texts {
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
	text, err := io.ReadAll(io.LimitReader(resp.Body, policyMost+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > policyMost: // what is behind the cut could be a server's name
		return nil, errPolicy
	}
	return r.parsePolicy(string(text))
}

var errPolicy = errors.New("read policy: not one of MTA-STS")

func (r *Resolver) parsePolicy(text string) (*Policy, error) {
	p := &Policy{}
	first := make(map[string]string) // of a key that stands twice the first counts
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if _, twice := first[name]; ok && !twice {
			first[name] = value
		}
		if ok && name == "mx" {
			p.MX = append(p.MX, value)
		}
	}
	p.Mode = first["mode"]
	age, err := strconv.ParseInt(first["max_age"], 10, 64)
	if err != nil || age < 0 || age > 31557600 || first["version"] != "STSv1" ||
		p.Mode != "enforce" && p.Mode != "testing" && p.Mode != "none" || p.Mode != "none" && len(p.MX) == 0 {
		return nil, errPolicy
	}
	p.until = r.c.Now().Add(time.Duration(age) * time.Second)
	return p, nil
}
