package account

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Admission is a picture of who may hand mail to the gateway, for which
// domains, and what the rules are. It does not change.
type Admission struct {
	upstreams []upstream
	accounts  map[int64]*admitted
	domains   map[string]int64
}

type upstream struct {
	store.Upstream
	networks []netip.Prefix
}

type admitted struct {
	account store.Account
	readRules
}

// Admission reads the picture, in one transaction. Accounts that are suspended
// are not in it.
func (s *Service) Admission(ctx context.Context) (*Admission, error) {
	a := &Admission{accounts: map[int64]*admitted{}, domains: map[string]int64{}}
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		var after int64
		for {
			list, err := tx.ListAccounts(store.AccountFilter{}, after, 500)
			if err != nil {
				return err
			}
			for _, x := range list {
				after = x.ID
				if x.State == store.AccountActive {
					a.accounts[x.ID] = &admitted{account: x}
				}
			}
			if len(list) < 500 {
				break
			}
		}
		domains, err := tx.ListAllDomains()
		if err != nil {
			return err
		}
		for _, d := range domains {
			a.domains[d.Name] = d.AccountID
		}
		upstreams, err := tx.ListUpstreams(0)
		if err != nil {
			return err
		}
		for _, u := range upstreams {
			x := upstream{Upstream: u}
			if u.Kind == store.UpstreamNetwork {
				for _, s := range strings.Fields(u.Value) {
					n, err := netip.ParsePrefix(s)
					if err != nil {
						return fmt.Errorf("read upstream %s: %w", u.Name, err)
					}
					x.networks = append(x.networks, n)
				}
			}
			a.upstreams = append(a.upstreams, x)
		}
		return s.readRules(tx, a)
	})
	if err != nil {
		return nil, fmt.Errorf("read who may send: %w", err)
	}
	return a, nil
}

// readRules gives each account its rules in force. A version does not change,
// so it is read and understood once.
func (s *Service) readRules(tx *store.Tx, a *Admission) error {
	versions, err := tx.ListRulesInForce()
	if err != nil {
		return err
	}
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	next := map[int64]readRules{0: s.rules.last[0]}
	if next[0].rules == nil {
		next[0] = readRules{rules: policy.Default()}
	}
	for number, x := range a.accounts {
		version := versions[number]
		if version == 0 {
			x.readRules = next[0]
			continue
		}
		r, ok := s.rules.last[number]
		if !ok || r.version != version {
			set, err := tx.FindRuleSet(number, version)
			if err != nil {
				return err
			}
			r = readRules{version: version}
			// Rules that a later version of Pli wrote, say: that account's mail waits,
			// and is not sent in clear.
			if r.rules, r.err = policy.Parse([]byte(set.Body)); r.err == nil {
				r.rules.Version = version
			}
		}
		next[number], x.readRules = r, r
	}
	s.rules.last = next
	return nil
}

// readRules are an account's rules, or why they cannot be read.
type readRules struct {
	version int64
	rules   *policy.Rules
	err     error
}

// rulesInForce are the rules that were read last; of account 0 the default.
type rulesInForce struct {
	mu   sync.Mutex // guards the rest
	last map[int64]readRules
}

// Upstreams is how many mail servers may send.
func (a *Admission) Upstreams() int { return len(a.upstreams) }

// Match returns the upstreams that a client is: by its address, by the SHA-256
// of the public key that it showed, or by a user name and the SHA-256 of its
// password; "" for what it did not show.
func (a *Admission) Match(addr netip.Addr, key, user, passwordHash string) (out []store.Upstream) {
	for _, u := range a.upstreams {
		if a.accounts[u.AccountID] == nil {
			continue
		}
		ok := false
		switch u.Kind {
		case store.UpstreamNetwork:
			ok = addr.IsValid() && slices.ContainsFunc(u.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
		case store.UpstreamCertificate:
			ok = key != "" && key == u.Value
		case store.UpstreamPassword:
			ok = user != "" && user == u.Name && subtle.ConstantTimeCompare([]byte(passwordHash), []byte(u.SecretHash)) == 1
		}
		if ok {
			out = append(out, u.Upstream)
		}
	}
	return out
}

// Owner returns the active account that has a domain.
func (a *Admission) Owner(domain string) (store.Account, bool) {
	return a.Account(a.domains[domain])
}

// Account returns an active account.
func (a *Admission) Account(number int64) (store.Account, bool) {
	x := a.accounts[number]
	if x == nil {
		return store.Account{}, false
	}
	return x.account, true
}

// Rules returns an account's rules, or why they cannot be read.
func (a *Admission) Rules(number int64) (*policy.Rules, error) {
	x := a.accounts[number]
	if x == nil {
		return nil, fmt.Errorf("account %d is not active", number)
	}
	if x.err != nil {
		return nil, fmt.Errorf("rules of account %d: %w", number, x.err)
	}
	return x.rules, nil
}
