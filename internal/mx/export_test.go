package mx

import "time"

// SetTimes replaces the times that r waits for an answer of DNS, and for a policy.
func SetTimes(r *Resolver, dns, policy time.Duration) {
	r.client.Timeout, r.policyWait = dns, policy
}

// Trusted reports whether r believes what its servers say of DNSSEC.
func Trusted(r *Resolver) bool { return r.trusted }
