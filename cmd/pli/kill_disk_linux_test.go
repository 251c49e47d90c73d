package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// room is how large a file of the service may be from now on. A write beyond it
// is cut short, and the next one fails (EFBIG), as on a full disk; but anybody may
// do that to their own processes, and undo it.
func (s *stand) room(bytes uint64) {
	s.t.Helper()
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
		s.t.Error(err)
	}
}

func TestKilledByFullDisk(t *testing.T) {
	t.Parallel()
	s := newStand(t, "")
	s.rounds(func() {
		for i := range 7 {
			var refused int64
			s.at(i, func() {
				refused = s.load.refused.Load()
				if info, err := os.Stat(filepath.Join(s.dir, "pli.db-wal")); err == nil && i%2 == 1 {
					s.room(uint64(rand.Int64N(info.Size() + 1)))
				} else {
					s.room(0)
				}
			})
			if i%2 == 1 { // the journal may still have room before its old end
				taken := s.load.taken.Load()
				s.until("anything at all", func() bool { return s.load.refused.Load() > refused+3 || s.load.taken.Load() > taken+30 })
				s.room(0)
			}
			s.until("refusals while the disk is full", func() bool { return s.load.refused.Load() > refused+10 })
			if i == 4 { // killed while nothing can be written
				s.kill()
				s.start()
				s.note()
			}
			s.room(unix.RLIM_INFINITY)
		}
	})
}
