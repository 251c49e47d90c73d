package server

import (
	"net/http"
	"time"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/outbox"
)

// SweepPeriod is how long what has ended may still be there.
const SweepPeriod = sweepPeriod

// SweepEvery makes the sweep come round sooner, before Run.
func (s *Server) SweepEvery(d time.Duration) { s.sweepEvery = d }

// Reload is what SIGHUP does.
func (s *Server) Reload() { s.reload(s.cert, true) }

// NewExits are the ways out of a configuration.
func NewExits(c *config.Config) (outbox.Sender, error) { return newExits(c, nil) }

// Metrics answers with the figures.
func (s *Server) Metrics(w http.ResponseWriter, r *http.Request) { s.metrics(w, r) }
