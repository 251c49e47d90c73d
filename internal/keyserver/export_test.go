package keyserver

import "time"

// SetPause sets how long an answer to a request without possession takes at least.
func SetPause(s *Service, d time.Duration) { s.pause = d }

// Limits that tests walk up to.
const (
	CodesPerHour   = codesPerHour
	TrickleAddress = trickleAddress
	EpochGrace     = epochGrace
)
