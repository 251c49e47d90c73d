package webhook

import (
	"net"
	"net/netip"
)

// Resolving is r with another way to look names up.
func (r Rules) Resolving(by *net.Resolver) Rules {
	r.resolver = by
	return r
}

// Reaches reports whether a connection may be made.
func (r Rules) Reaches(a netip.Addr, plain bool) bool { return r.address(a, plain) }
