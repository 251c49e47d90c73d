package server

import "time"

// SweepPeriod is how long what has ended may still be there.
const SweepPeriod = sweepPeriod

// SweepEvery makes the sweep come round sooner, before Run.
func (s *Server) SweepEvery(d time.Duration) { s.sweepEvery = d }

// Reload is what SIGHUP does.
func (s *Server) Reload() { s.reload(s.cert, true) }
