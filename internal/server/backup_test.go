package server

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// A day's backup is made once, made up for when it was missed, and tried again an
// hour after it failed.
func TestBackupDue(t *testing.T) {
	t.Parallel()
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	for _, tt := range []struct {
		name string
		now  time.Time
		last store.Backup
		want bool
	}{
		{"never", at(27, 12, 0), store.Backup{}, true},
		{"today's is made", at(27, 12, 0), store.Backup{BegunAt: at(27, 2, 31)}, false},
		{"before the hour", at(27, 2, 29), store.Backup{BegunAt: at(26, 2, 30)}, false},
		{"the hour", at(27, 2, 30), store.Backup{BegunAt: at(26, 2, 30)}, true},
		{"missed", at(27, 23, 0), store.Backup{BegunAt: at(25, 2, 30)}, true},
		{"failed just now", at(27, 2, 50), store.Backup{BegunAt: at(27, 2, 30), Reason: "full"}, false},
		{"failed an hour ago", at(27, 3, 30), store.Backup{BegunAt: at(27, 2, 30), Reason: "full"}, true},
	} {
		if got := backupDue(tt.now, "02:30", tt.last); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
