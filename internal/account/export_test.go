package account

import (
	"maps"
	"slices"
	"time"
)

// SetPause sets how long an answer to a wish for a code takes at least.
func SetPause(s *Service, d time.Duration) { s.pause = d }

// Limits that tests walk up to.
const (
	VisitsPerNetwork = visitsPerNetwork
	WrongCodes       = wrongCodes
)

// SetHashCost changes the cost of the hashes to come.
func (s *Service) SetHashCost(c HashCost) { s.c.Hash = c }

// Acts are the acts that a right is needed for.
func Acts() []string {
	var out []string
	for _, a := range slices.Sorted(maps.Keys(actions)) {
		out = append(out, string(a))
	}
	return out
}

// SetDNS sets what domains are proved by, and the mechanism of the service's servers.
func SetDNS(s *Service, dns DNS, spf string) { s.c.DNS, s.c.SPF = dns, spf }
