package server

import (
	"context"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// beatPeriod is how often a node says that it is there.
const beatPeriod = 30 * time.Second

// nodeGone is after how long without a word a node counts as gone.
const nodeGone = 4 * beatPeriod

// beat writes this node's row until ctx ends, and takes it out then.
func (s *Server) beat(ctx context.Context) {
	n := store.Node{ID: id.New(), Host: hostname(), Version: s.conf.Version, StartedAt: s.DB.Now()}
	for ctx.Err() == nil {
		var err error
		if n.DiskFree, err = diskFree(s.conf.Config.DataDir); err != nil {
			n.DiskFree = -1
		}
		if err := s.Accounts.Beat(ctx, n); err != nil && ctx.Err() == nil {
			s.conf.Log.Warn("say that this node is there", "error", err)
		}
		select {
		case <-time.After(beatPeriod):
		case <-ctx.Done():
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Accounts.EndBeat(end, n.ID); err != nil {
		s.conf.Log.Debug("say that this node stops", "error", err)
	}
}
