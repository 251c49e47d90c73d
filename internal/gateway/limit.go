package gateway

import (
	"sync"
	"time"
)

// limits counts the messages of each upstream by the minute, on this node.
type limits struct {
	perMinute int

	mu     sync.Mutex // guards the rest
	minute int64
	counts map[string]int
}

// allow counts one message of an upstream, and reports whether it may come.
func (l *limits) allow(upstream string, now time.Time) bool {
	if l.perMinute <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := now.Unix() / 60; m != l.minute || l.counts == nil {
		l.minute, l.counts = m, make(map[string]int)
	}
	l.counts[upstream]++
	return l.counts[upstream] <= l.perMinute
}
