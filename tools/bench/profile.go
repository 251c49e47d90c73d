package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// profile looks where Pli's processor time goes while mails of this size pass at this concurrency, and returns the
// fifteen functions that have most of it. Pli has no door for profiles, so perf looks from outside.
func (b *bench) profile(ctx context.Context, s *server, m mail, count, conns int) (string, error) {
	if _, err := exec.LookPath("perf"); err != nil {
		return "", fmt.Errorf("perf is missing: apt-get install linux-perf")
	}
	file := filepath.Join(b.dir, "perf.data")
	// SIGINT ends a recording in order; a killed one cannot be read.
	record := exec.Command("perf", "record", "--quiet", "-F", "499", "-g", "-o", file, "-p", strconv.Itoa(s.family.first),
		"--", "sleep", strconv.FormatFloat(b.seconds, 'f', 1, 64))
	if err := record.Start(); err != nil {
		return "", fmt.Errorf("start perf: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- record.Wait() }()
	for recording := true; recording; {
		b.once(ctx, s, m, count, conns)
		select {
		case err := <-ended:
			if err != nil {
				return "", fmt.Errorf("record with perf: %w", err)
			}
			recording = false
		case <-ctx.Done():
			record.Process.Kill()
			<-ended
			return "", ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	out, err := command(ctx, "", nil, "perf", "report", "--stdio", "--no-children", "-g", "none", "--sort", "symbol", "-i", file)
	if err != nil {
		return "", err
	}
	var top []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(strings.TrimSpace(line), " -") // what is not known about a symbol is a dash
		if line != "" && line[0] >= '0' && line[0] <= '9' && len(top) < 15 {
			top = append(top, line)
		}
	}
	return strings.Join(top, "\n"), nil
}
