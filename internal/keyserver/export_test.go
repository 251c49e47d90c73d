package keyserver

import (
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// SetPause sets how long an answer to a request without possession takes at least.
func SetPause(s *Service, d time.Duration) { s.pause = d }

// SetStageLimits sets how many bytes may be staged at once, in all and by one
// network, and how many stages.
func SetStageLimits(s *Service, all, network store.Staged) { s.staged = stageLimits{all, network} }

// Limits that tests walk up to.
const (
	CodesPerHour   = codesPerHour
	TrickleAddress = trickleAddress
	TrickleNetwork = trickleNetwork
	EpochGrace     = epochGrace
)
