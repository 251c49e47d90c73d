package account

import (
	"sync"
	"time"

	"github.com/pli-mail/pli/internal/fault"
)

// maxTrials is how many accounts at once a node tries something for.
const maxTrials = 3

// trials are the accounts for which rules or settings are tried on what is past:
// each reads thousands of rows, so one account does it once at a time.
type trials struct {
	mu      sync.Mutex
	running map[int64]bool // 0: the site's settings
}

// begin takes the account's place until end; who asks must have the right to the
// trial. Fault: try.busy.
func (t *trials) begin(number int64) (end func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running[number] || len(t.running) >= maxTrials {
		return nil, fault.Wait("try.busy", time.Minute)
	}
	if t.running == nil {
		t.running = map[int64]bool{}
	}
	t.running[number] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.running, number)
	}, nil
}
