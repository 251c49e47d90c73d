package account

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/store"
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

// BeginTrial takes an account's place as a trial does, until end.
func BeginTrial(s *Service, number int64) (end func(), err error) { return s.trials.begin(number) }

// ClaimJob takes a job that waits, as a node does, and returns what deals with its next rows.
func ClaimJob(ctx context.Context, s *Service) (some func() error, err error) {
	err = s.c.DB.Update(ctx, func(tx *store.Tx) error {
		j, err := tx.ClaimJob(tx.Now.Add(jobClaim), store.Due{})
		step := s.importSome
		if j.Kind == KindBulk {
			step = s.bulkSome
		}
		some = func() error { return step(ctx, j) }
		return err
	})
	return some, err
}

// Retry gives back a job that could not come on.
func Retry(ctx context.Context, s *Service, j store.Job) error { return s.retry(ctx, j) }
