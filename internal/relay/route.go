package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/mx"
	"github.com/pli-mail/pli/internal/outbox"
)

// route gives the hosts to try for a parcel, in order.
func (r *Relay) route(ctx context.Context, p outbox.Parcel) ([]hop, error) {
	domain := p.To[0].Addr.Domain()
	if h, ok := r.partners[domain]; ok {
		return []hop{h}, nil
	}
	if p.Protected {
		for _, to := range p.To[1:] {
			if to.Addr.Domain() != domain {
				return nil, fmt.Errorf("%w: several domains", outbox.ErrUnprotected)
			}
		}
		hops, err := r.lookUp(ctx, cmpResolver(r.cfg.ProtectedBy, r.cfg.Resolver), domain)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", outbox.ErrUnprotected, err)
		}
		var proved []hop
		for _, h := range hops {
			if h.protected() {
				proved = append(proved, h)
			}
		}
		if len(proved) == 0 {
			return nil, outbox.ErrUnprotected
		}
		return proved, nil
	}
	if r.cfg.Resolver == nil {
		return []hop{r.next}, nil
	}
	return r.lookUp(ctx, r.cfg.Resolver, domain)
}

func cmpResolver(a, b *mx.Resolver) *mx.Resolver {
	if a != nil {
		return a
	}
	return b
}

// lookUp asks DNS for a domain's hosts.
func (r *Relay) lookUp(ctx context.Context, resolver *mx.Resolver, domain string) ([]hop, error) {
	if resolver == nil {
		return nil, errors.New("no DNS is asked")
	}
	route, err := resolver.Lookup(ctx, domain)
	var final *mx.Error
	switch {
	case errors.As(err, &final) && final.Permanent:
		return nil, &outbox.Error{Permanent: true, Code: 550, Key: final.Key, Text: final.Text}
	case err != nil:
		return nil, fmt.Errorf("relay: find the mail servers of %s: %w", domain, err)
	}
	port := r.cfg.Port
	if port == "" {
		port = "25"
	}
	var out []hop
	hosts := route.Hosts
	if i := slices.IndexFunc(hosts, func(h mx.Host) bool { return strings.EqualFold(h.Name, r.cfg.Hello) }); i >= 0 {
		// From those that are not preferred to this one it would come back (RFC 5321, section 5.1).
		own := hosts[i].Pref
		if hosts = slices.DeleteFunc(hosts, func(h mx.Host) bool { return h.Pref >= own }); len(hosts) == 0 {
			return nil, &outbox.Error{Permanent: true, Code: 554, Key: "mail.fail.loop", Text: "5.4.6 the domain's mail server is this one"}
		}
	}
	for _, host := range hosts {
		sts := route.Enforced()
		if sts && !route.Matches(host.Name) {
			continue // RFC 8461, section 4.1
		}
		h := hop{name: host.Name, mode: anyTLS, dane: host.TLSA, sts: sts && len(host.TLSA) == 0, must: host.MustTLS}
		h.tls = &tls.Config{ServerName: host.Name, MinVersion: tls.VersionTLS12}
		switch {
		case len(host.TLSA) > 0:
			h.tls.InsecureSkipVerify = true
			h.tls.VerifyConnection = func(cs tls.ConnectionState) error { return mx.VerifyDANE(cs, host.TLSA, host.Name, domain) }
		case h.sts:
			h.tls.RootCAs = resolver.Roots()
		default:
			h.tls.InsecureSkipVerify = true // against those who listen; nothing proves the name (RFC 7435)
		}
		for _, a := range host.Addrs {
			h.addr = net.JoinHostPort(a.String(), port)
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("relay: %s has no mail server that its policy allows", domain)
	}
	return out, nil
}

// Together reports whether mail for both domains goes the same way.
func (r *Relay) Together(a, b string) bool {
	if a == b {
		return true
	}
	_, pinnedA := r.partners[a]
	_, pinnedB := r.partners[b]
	return r.cfg.Resolver == nil && !pinnedA && !pinnedB
}

// protections remembers for a while which domains could be reached safely.
type protections struct {
	mu    sync.Mutex // guards known
	known map[string]protection
}

type protection struct {
	how   string
	until time.Time
}

const (
	protectionFor  = 5 * time.Minute
	protectionMost = 10_000
)

// Protects connects to a domain's mail server and says how its name was proved:
// dane, mta-sts or pinned. Nothing is sent. Where there is no proof it returns
// outbox.ErrUnprotected.
func (r *Relay) Protects(ctx context.Context, domain string) (how string, err error) {
	r.protected.mu.Lock()
	p, ok := r.protected.known[domain]
	r.protected.mu.Unlock()
	if ok && time.Now().Before(p.until) {
		return p.how, nil
	}
	h, err := r.protectedHop(ctx, domain)
	if err != nil {
		return "", fmt.Errorf("%w: %w", outbox.ErrUnprotected, err)
	}
	r.protected.mu.Lock()
	defer r.protected.mu.Unlock()
	if r.protected.known == nil || len(r.protected.known) >= protectionMost {
		r.protected.known = make(map[string]protection)
	}
	r.protected.known[domain] = protection{h.how(), time.Now().Add(protectionFor)}
	return h.how(), nil
}

func (r *Relay) protectedHop(ctx context.Context, domain string) (hop, error) {
	hops := []hop{}
	if h, ok := r.partners[domain]; ok {
		hops = append(hops, h)
	} else {
		var err error
		if hops, err = r.lookUp(ctx, cmpResolver(r.cfg.ProtectedBy, r.cfg.Resolver), domain); err != nil {
			return hop{}, err
		}
	}
	last := errors.New("its mail servers prove nothing")
	for _, h := range hops {
		if !h.protected() {
			continue
		}
		l, _, err := r.take(ctx, h)
		if err == nil {
			r.give(l, nil)
			return h, nil
		}
		last = err
	}
	return hop{}, last
}
