// Package mx finds the mail servers of a domain, and how far the way there can
// be trusted: MX (RFC 5321, section 5.1), DANE (RFC 7672) and MTA-STS (RFC 8461).
// It asks DNS itself, since the system's resolver does not say what was signed.
package mx

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Config is what a Resolver needs; its zero value is the system's.
type Config struct {
	Servers []string // host or host:port; empty: those of /etc/resolv.conf
	// Trusted believes what the servers say of DNSSEC though they are not on this
	// machine: the network between must be safe.
	Trusted bool
	// NoDNSSEC believes nobody.
	NoDNSSEC bool

	// Local takes also addresses that lead no further than this machine or its
	// link. Else a stranger's name could lead mail to a server that trusts us.
	Local bool

	Roots   *x509.CertPool // that vouch for MTA-STS policies and hosts; nil: the system's
	STSPort string         // of the policies; 443
	Now     func() time.Time
}

// Resolver asks. It is safe for concurrent use.
type Resolver struct {
	c       Config
	servers []string
	trusted bool
	client  *dns.Client
	http    *http.Client
	sts     policies

	first      atomic.Int32  // the server that answered last, which is asked first
	policyWait time.Duration // for a domain's policy
}

// Error is a domain that no mail can be sent to, for now or at all.
type Error struct {
	Permanent bool
	Key       string // of the catalogue
	Text      string // with the enhanced code
	Cause     error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Text + ": " + e.Cause.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Cause }

// Route is where a domain's mail goes.
type Route struct {
	Hosts  []Host  // to be tried in this order
	Policy *Policy // of MTA-STS; nil for none
}

// Host is one mail server.
type Host struct {
	Name  string // lower case, without the last dot
	Addrs []netip.Addr
	TLSA  []TLSA // that can be used; then the host is reached under DANE or not at all
	// MustTLS is for a host with signed TLSA records, even if none can be used:
	// then it is proved by nothing, but has TLS (RFC 7672, section 2.2).
	MustTLS bool
	Pref    uint16 // of MX
}

// Enforced reports whether MTA-STS demands a proved host.
func (r *Route) Enforced() bool { return r.Policy != nil && r.Policy.Mode == "enforce" }

// Matches reports whether the policy allows a host; without one all are.
func (r *Route) Matches(host string) bool {
	return r.Policy == nil || r.Policy.Mode == "none" || slices.ContainsFunc(r.Policy.MX, func(p string) bool { return matches(p, host) })
}

// matches: RFC 8461, section 4.1. A star stands for one label.
func matches(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, parent, found := strings.Cut(host, ".")
		return found && parent == rest
	}
	return pattern == host
}

// New returns a Resolver; it asks nothing yet.
func New(c Config) (*Resolver, error) {
	r := &Resolver{c: c, client: &dns.Client{Timeout: 5 * time.Second}, policyWait: 10 * time.Second}
	if r.c.Now == nil {
		r.c.Now = time.Now
	}
	list := c.Servers
	if len(list) == 0 {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("find DNS servers: %w", err)
		}
		for _, s := range conf.Servers {
			list = append(list, net.JoinHostPort(s, conf.Port))
		}
	}
	if len(list) == 0 {
		return nil, errors.New("find DNS servers: there are none")
	}
	local := true
	for _, s := range list {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "53")
		}
		host, _, _ := net.SplitHostPort(s)
		a, err := netip.ParseAddr(host)
		local = local && err == nil && a.IsLoopback()
		r.servers = append(r.servers, s)
	}
	r.trusted = (local || c.Trusted) && !c.NoDNSSEC
	r.http = policyClient(c.Roots, r)
	return r, nil
}

// TXT returns the texts at a name, each put together from its parts (RFC 7208,
// section 3.3); a name that is not there has none.
func (r *Resolver) TXT(ctx context.Context, name string) (texts []string, err error) {
	a, err := r.ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	for _, rr := range a.rrs {
		if x, ok := rr.(*dns.TXT); ok {
			texts = append(texts, strings.Join(x.Txt, ""))
		}
	}
	return texts, nil
}

// Roots are the authorities that vouch for hosts.
func (r *Resolver) Roots() *x509.CertPool { return r.c.Roots }

// answer is what DNS said of one name and type.
type answer struct {
	rrs    []dns.RR
	secure bool // signed, by the word of a server that is trusted
	none   bool // there is no such name
}

// ask asks each server in turn. An error passes; that there is nothing is an answer.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	m.SetEdns0(1232, true)
	m.AuthenticatedData = true
	var last error
	// A server that is down costs a wait, so it is not asked at each question.
	first := int(r.first.Load())
	for i := range r.servers {
		at := (first + i) % len(r.servers)
		server := r.servers[at]
		in, _, err := r.client.ExchangeContext(ctx, m, server)
		if err == nil && in.Truncated {
			in, _, err = (&dns.Client{Net: "tcp", Timeout: r.client.Timeout}).ExchangeContext(ctx, m, server)
		}
		if err != nil {
			last = err
			continue
		}
		switch in.Rcode {
		case dns.RcodeSuccess, dns.RcodeNameError:
			r.first.Store(int32(at))
			a := answer{secure: r.trusted && in.AuthenticatedData, none: in.Rcode == dns.RcodeNameError}
			for _, rr := range in.Answer {
				if rr.Header().Rrtype == kind {
					a.rrs = append(a.rrs, rr)
				}
			}
			return a, nil
		}
		last = fmt.Errorf("%s answers %s", server, dns.RcodeToString[in.Rcode])
	}
	return answer{}, fmt.Errorf("ask for %s of %s: %w", dns.TypeToString[kind], name, last)
}

// Lookup finds the hosts of a domain. Errors that are final are *Error.
func (r *Resolver) Lookup(ctx context.Context, domain string) (*Route, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	list, secure, err := r.exchangers(ctx, domain)
	if err != nil {
		return nil, err
	}
	out := &Route{Policy: r.policy(ctx, domain)}
	var last error
	for _, x := range list {
		h, err := r.host(ctx, x.name, secure)
		if err != nil {
			last = err
			continue
		}
		h.Pref = x.pref
		if len(h.Addrs) > 0 {
			out.Hosts = append(out.Hosts, h)
		}
	}
	switch {
	case len(out.Hosts) > 0:
		return out, nil
	case last != nil:
		return nil, last
	}
	return nil, &Error{Permanent: true, Key: "mail.fail.nohost", Text: "5.4.4 the domain's mail servers have no address"}
}

// exchanger is the name of a mail server.
type exchanger struct {
	name string
	pref uint16
}

// exchangers returns a domain's mail servers in the order of preference, those
// of one preference shuffled (RFC 5321, section 5.1).
func (r *Resolver) exchangers(ctx context.Context, domain string) (out []exchanger, secure bool, err error) {
	a, err := r.ask(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, false, err
	}
	if a.none {
		return nil, false, &Error{Permanent: true, Key: "mail.fail.nodomain", Text: "5.1.2 there is no such domain"}
	}
	list := make([]*dns.MX, 0, len(a.rrs))
	for _, rr := range a.rrs {
		if x, ok := rr.(*dns.MX); ok {
			list = append(list, x)
		}
	}
	if len(list) == 1 && list[0].Mx == "." {
		return nil, false, &Error{Permanent: true, Key: "mail.fail.nomail", Text: "5.1.10 the domain takes no mail"} // RFC 7505
	}
	if len(list) == 0 {
		return []exchanger{{name: strings.ToLower(domain)}}, a.secure, nil
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(x, y *dns.MX) int { return cmp.Compare(x.Preference, y.Preference) })
	for _, x := range list {
		if name := strings.ToLower(strings.TrimSuffix(x.Mx, ".")); name != "" {
			out = append(out, exchanger{name, x.Preference})
		}
	}
	return out, a.secure, nil
}

// leads reports an address of another machine.
func leads(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsUnspecified() && !a.IsLinkLocalUnicast() && !a.IsMulticast()
}

// host finds a mail server's addresses, and its keys where every answer that
// leads to it was signed (RFC 7672, section 2.2).
func (r *Resolver) host(ctx context.Context, name string, secure bool) (Host, error) {
	h := Host{Name: name}
	signed := true
	var last error
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := r.ask(ctx, name, kind)
		if err != nil {
			last = err
			continue
		}
		if len(a.rrs) > 0 {
			signed = signed && a.secure
		}
		for _, rr := range a.rrs {
			var ip net.IP
			switch x := rr.(type) {
			case *dns.A:
				ip = x.A
			case *dns.AAAA:
				ip = x.AAAA
			}
			if addr, ok := netip.AddrFromSlice(ip); ok && (r.c.Local || leads(addr.Unmap())) {
				h.Addrs = append(h.Addrs, addr.Unmap())
			}
		}
	}
	if len(h.Addrs) == 0 {
		return h, last
	}
	if !secure || !signed {
		return h, nil
	}
	a, err := r.ask(ctx, "_25._tcp."+name, dns.TypeTLSA)
	if err != nil {
		// Whoever can make this question fail must not make the mail go in clear.
		return Host{}, &Error{Key: "mail.fail.dns", Text: "4.7.5 the mail server's keys cannot be asked for", Cause: err}
	}
	if a.secure {
		h.TLSA, h.MustTLS = usable(a.rrs), len(a.rrs) > 0
	}
	return h, nil
}
