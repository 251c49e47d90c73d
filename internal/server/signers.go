package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/relay"
)

// signersKept is how long the picture of the domains' keys is kept: a new key
// signs, and a removed one no longer does, after that.
const signersKept = 10 * time.Second

// signers are the DKIM keys that administrators made. Where the database does
// not answer, the last picture is used: mail is signed rather than not.
type signers struct {
	accounts *account.Service
	log      *slog.Logger

	mu   sync.Mutex
	list []relay.DKIM
	read time.Time
}

func (s *signers) keys() []relay.DKIM {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.read) < signersKept {
		return s.list
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	keys, err := s.accounts.SigningKeys(ctx)
	s.read = time.Now()
	if err != nil {
		s.log.Error("read the domains' DKIM keys", "error", err)
		return s.list
	}
	s.list = make([]relay.DKIM, 0, len(keys))
	for _, k := range keys {
		s.list = append(s.list, relay.DKIM{Domain: k.Domain, Selector: k.Selector, Key: k.Key})
	}
	return s.list
}
