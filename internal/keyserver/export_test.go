package keyserver

import (
	"context"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// SetPause sets how long an answer to a request without possession takes at least.
func SetPause(s *Service, d time.Duration) { s.pause = d }

// SetStageLimits sets how many bytes may be staged at once, in all, by one
// network and by what is forwarded, and how many stages.
func SetStageLimits(s *Service, all, network store.Staged) {
	s.staged = stageLimits{all, network, network}
}

// AfterErasing has fn called after each batch in which rows of an account are destroyed.
func AfterErasing(s *Service, fn func() error) { s.erased = fn }

// Lock is Act with ActLock and no reason.
func (s *Service) Lock(ctx context.Context, a Actor, messageID, slotID string) (Acted, error) {
	return s.Act(ctx, a, Act{Kind: ActLock}, messageID, slotID)
}

// Unlock is Act with ActUnlock.
func (s *Service) Unlock(ctx context.Context, a Actor, messageID, slotID string) (Acted, error) {
	return s.Act(ctx, a, Act{Kind: ActUnlock}, messageID, slotID)
}

// Limits that tests walk up to.
const (
	CodesPerHour   = codesPerHour
	TrickleAddress = trickleAddress
	TrickleNetwork = trickleNetwork
	EpochGrace     = epochGrace
)
