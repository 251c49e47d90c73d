package account

import "time"

// SetPause sets how long an answer to a wish for a code takes at least.
func SetPause(s *Service, d time.Duration) { s.pause = d }

// Limits that tests walk up to.
const (
	VisitsPerNetwork = visitsPerNetwork
	WrongCodes       = wrongCodes
)

// SetHashCost changes the cost of the hashes to come.
func (s *Service) SetHashCost(c HashCost) { s.c.Hash = c }
