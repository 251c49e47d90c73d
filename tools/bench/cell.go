package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cell is one server's figures for one size and concurrency.
type cell struct {
	Server      string  `json:"server"`
	Size        int     `json:"size"`        // asked for
	Message     int     `json:"message"`     // octets of the message, in fact
	Concurrency int     `json:"concurrency"` // asked for; there are never more connections than messages
	Messages    int     `json:"messages"`
	PerSecond   float64 `json:"messages_per_second"` // delivered / (newest at the sink - first connect)
	P50         float64 `json:"p50_ms"`              // MAIL to the final reply
	P99         float64 `json:"p99_ms"`
	CPU         float64 `json:"cpu_ms_per_message"`
	Memory      int64   `json:"peak_memory"`
	Out         float64 `json:"octets_out_per_message"`
	Busy        float64 `json:"machine_busy"` // 0 to 1, of all cores
	Own         float64 `json:"cores_used"`   // by the server
	Ours        float64 `json:"cores_client"` // by client and next hop
	Refused     int     `json:"refused,omitempty"`
	Lost        int     `json:"lost,omitempty"`
	Twice       int     `json:"twice,omitempty"`
	Problem     string  `json:"problem,omitempty"`
}

// failed says whether the figures are to be believed.
func (c cell) failed() bool { return c.Refused+c.Lost+c.Twice > 0 || c.Problem != "" }

// measure finds how many messages take about the time wanted, as Go's own benchmarks do: it runs with few, then with
// more, and the last run counts. So all but the slowest are measured warm.
func (b *bench) measure(ctx context.Context, s *server, m mail, size, conns int) cell {
	n, most := conns, 200_000
	if s.slow {
		n, most = min(conns, 4), 2_000
	}
	for {
		c := b.once(ctx, s, m, n, conns)
		c.Size, c.Concurrency = size, conns
		took := float64(n) / max(c.PerSecond, 1e-9)
		if c.failed() || ctx.Err() != nil || n >= most || took >= 0.6*b.seconds {
			return c
		}
		want := 1.1 * float64(n) * b.seconds / took
		n = min(most, max(n+1, int(min(want, float64(8*n)))))
	}
}

// once is one run: n messages over conns connections.
func (b *bench) once(ctx context.Context, s *server, m mail, n, conns int) cell {
	arrived := b.sink.expect(n, false)
	peak := s.family.watchMemory(ctx)
	cpu, ours := s.family.cpu(), ourTime()
	busy0, idle0 := machineTime()
	out := load{to: s.address, mail: m, run: arrived.number, count: n, conns: conns}.send(ctx)
	arrived.wait(ctx, n-out.accepted)
	cpu, ours = s.family.cpu()-cpu, ourTime()-ours
	busy, idle := machineTime()
	busy, idle = busy-busy0, idle-idle0

	arrived.mu.Lock()
	defer arrived.mu.Unlock()
	c := cell{
		Server: s.name, Message: m.size, Messages: n, Memory: peak(), Refused: out.refused, Twice: arrived.twice,
		Lost: max(0, arrived.left-(n-out.accepted)), Busy: float64(busy) / float64(max(1, busy+idle)),
	}
	if out.problem != nil {
		c.Problem = out.problem.Error()
	}
	if delivered := n - arrived.left; delivered > 0 {
		took := arrived.last.Sub(out.began)
		c.PerSecond = float64(delivered) / took.Seconds()
		c.CPU = cpu.Seconds() * 1e3 / float64(delivered)
		c.Own, c.Ours = cpu.Seconds()/took.Seconds(), ours.Seconds()/took.Seconds()
		c.Out = float64(arrived.octets) / float64(delivered)
	}
	slices.Sort(out.latencies)
	c.P50, c.P99 = quantile(out.latencies, 0.50), quantile(out.latencies, 0.99)
	if c.failed() && s.empty != nil {
		s.empty(ctx)
	}
	return c
}

// wait returns when all messages but those that were not accepted are here, or none has come for a minute.
func (a *arrivals) wait(ctx context.Context, without int) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		left, last := a.progress()
		if last.Before(began) {
			last = began
		}
		if left <= without || time.Since(last) > time.Minute {
			return
		}
		select {
		case <-a.all:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// prove sends one message and looks at what comes out: a relay must hand on what it was given, and who encrypts must not.
func (b *bench) prove(ctx context.Context, s *server) error {
	arrived := b.sink.expect(1, true)
	out := load{to: s.address, mail: newMail(4 << 10), run: arrived.number, count: 1, conns: 1}.send(ctx)
	if out.problem != nil {
		return fmt.Errorf("try %s: %w%s", s.title, out.problem, tail(s.log))
	}
	arrived.wait(ctx, 0)
	arrived.mu.Lock()
	defer arrived.mu.Unlock()
	switch {
	case arrived.left > 0:
		return fmt.Errorf("try %s: the message did not arrive%s", s.title, tail(s.log))
	case s.mark == "" && !bytes.Contains(arrived.kept, []byte(phrase)):
		return fmt.Errorf("try %s: the message arrived without its text", s.title)
	case s.mark != "" && (bytes.Contains(arrived.kept, []byte(phrase)) || !bytes.Contains(arrived.kept, []byte(s.mark))):
		return fmt.Errorf("try %s: the message arrived, but not encrypted", s.title)
	}
	return nil
}

// quantile of sorted times, in milliseconds: the smallest that is not less than q of all.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q * float64(len(sorted)))
	if float64(i) == q*float64(len(sorted)) && i > 0 {
		i--
	}
	return sorted[min(i, len(sorted)-1)].Seconds() * 1e3
}

// ourTime is the processor time of this process, which is client and next hop.
func ourTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// machineTime is what all cores together have spent working, and idle (waiting for a disk is idle too).
func machineTime() (busy, idle time.Duration) {
	raw, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(raw), "\n")
	for i, s := range strings.Fields(line) {
		n, _ := strconv.ParseInt(s, 10, 64)
		switch {
		case i == 4 || i == 5:
			idle += time.Duration(n) * 10 * time.Millisecond
		case i >= 1 && i <= 8:
			busy += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return busy, idle
}
