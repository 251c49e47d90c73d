package webhook

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Rules say what may be reached. The zero value lets https to public addresses
// on port 443 pass, and nothing else.
type Rules struct {
	Ports   []PortRange    // beside 443
	Private []netip.Prefix // of the operator's own network, also over http
	Roots   *x509.CertPool // nil: the system's

	resolver *net.Resolver
}

// PortRange is from First to Last, both among them.
type PortRange struct{ First, Last uint16 }

// ParsePorts reads 8443 or 8000-8999.
func ParsePorts(s string) (PortRange, error) {
	a, b, two := strings.Cut(s, "-")
	first, err := strconv.ParseUint(a, 10, 16)
	last := first
	if err == nil && two {
		last, err = strconv.ParseUint(b, 10, 16)
	}
	if err != nil || first == 0 || last < first {
		return PortRange{}, errors.New("neither a port nor a range of them")
	}
	return PortRange{uint16(first), uint16(last)}, nil
}

// What Check refuses.
var (
	ErrURL    = errors.New("not the https address of a receiver")
	ErrPort   = errors.New("a port that is not allowed")
	ErrInside = errors.New("an address that is not public")
)

const maxURL = 2000

// Check reads the address of a receiver, in its normal form. It looks no name
// up: what a name means is asked when a connection is made, each time.
func (r Rules) Check(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Host == "" || u.Opaque != "" || u.User != nil || strings.Contains(raw, "#") ||
		u.Scheme != "https" && !(u.Scheme == "http" && len(r.Private) > 0) {
		return nil, ErrURL // the cause would repeat what may hold a key
	}
	host, port := u.Hostname(), u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return nil, ErrURL
	}
	number := uint64(443)
	if u.Scheme == "http" {
		number = 80
	}
	if port != "" {
		if number, err = strconv.ParseUint(port, 10, 16); err != nil {
			return nil, ErrURL
		}
	}
	if !r.port(uint16(number)) {
		return nil, ErrPort
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" || ip.Is4In6() {
			return nil, ErrURL
		}
		if !r.address(ip, u.Scheme == "http") {
			return nil, ErrInside
		}
		return u, nil
	}
	domain, err := mailaddr.ParseDomain(host) // no number, in whatever form
	if err != nil {
		return nil, ErrURL
	}
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if strings.HasPrefix(last, "0x") {
		return nil, ErrURL // what some resolvers take for a number
	}
	if last == "localhost" || last == "local" || last == "internal" || last == domain {
		if len(r.Private) == 0 {
			return nil, ErrInside
		}
	}
	u.Host = domain
	if port != "" {
		u.Host = net.JoinHostPort(domain, port)
	}
	return u, nil
}

func (r Rules) port(n uint16) bool {
	return n == 443 || slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.First <= n && n <= p.Last })
}

// reserved are the networks that are not public though netip does not say so:
// RFC 6890 and what was added to its registries, and all ways to write an IPv4
// address as one of IPv6.
var reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// global is all that was given out of IPv6: NAT64 (64:ff9b::/96, 64:ff9b:1::/48),
// what is local to a link or a site, and what has an IPv4 address at its end are outside.
var global = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// address reports whether a connection to ip may be made. What is not encrypted
// stays inside.
func (r Rules) address(ip netip.Addr, plain bool) bool {
	within := func(p netip.Prefix) bool { return p.Contains(ip) }
	if ip = ip.Unmap(); ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return false
	}
	if slices.ContainsFunc(r.Private, within) {
		return true
	}
	return !plain && !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !slices.ContainsFunc(reserved, within) && (ip.Is4() || global.Contains(ip))
}

// control is asked by the dialer with the address that it is about to connect to.
func (r Rules) control(plain bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" || !r.port(to.Port()) || !r.address(to.Addr(), plain) {
			return ErrInside
		}
		return nil
	}
}
