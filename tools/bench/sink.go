package main

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sink is the next hop of every server: it takes everything and answers at once. A recipient's address
// (mRUN.NUMBER@…) says which message of which run it is, so that servers may rewrite everything else.
type sink struct {
	listener net.Listener
	mu       sync.Mutex
	run      *arrivals
}

// arrivals is what came out of a server in one run.
type arrivals struct {
	number  int
	keep    bool // the first message's octets, to look at
	mu      sync.Mutex
	seen    []bool
	left    int
	octets  int64
	last    time.Time // of the newest message
	kept    []byte
	all     chan struct{} // closed when none is left
	twice   int
	strange int // messages that are of no run: notices, bounces
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", freeAddress())
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, run: &arrivals{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) address() string { return s.listener.Addr().String() }

// expect begins a run of n messages; what comes late from the run before is no longer counted.
func (s *sink) expect(n int, keep bool) *arrivals {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = &arrivals{number: s.run.number + 1, keep: keep, seen: make([]bool, n), left: n, all: make(chan struct{})}
	return s.run
}

func (s *sink) current() *arrivals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// taken counts one recipient's message.
func (a *arrivals) taken(rcpt string, octets int, kept []byte) {
	now := time.Now()
	local, _, _ := strings.Cut(strings.TrimPrefix(rcpt, "m"), "@")
	run, number, _ := strings.Cut(local, ".")
	r, err := strconv.Atoi(run)
	n, err2 := strconv.Atoi(number)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil || err2 != nil || r != a.number || n < 0 || n >= len(a.seen):
		a.strange++
	case a.seen[n]:
		a.twice++
	default:
		a.seen[n] = true
		a.octets += int64(octets)
		a.last = now
		a.kept = kept
		if a.left--; a.left == 0 {
			close(a.all)
		}
	}
}

// progress says how many messages have not come, and when the newest came.
func (a *arrivals) progress() (left int, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left, a.last
}

// serve speaks as much SMTP as the servers need. It parses nothing but the recipient and the final dot, so that it
// takes little of the processor from those that are measured.
func (s *sink) serve(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	say := func(text string) {
		out.WriteString(text)
		if in.Buffered() == 0 { // else it is answered together with what was pipelined
			out.Flush()
		}
	}
	say("220 sink ESMTP\r\n")
	var rcpts []string
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(string(line[:min(len(line), 4)])); verb {
		case "EHLO":
			say("250-sink\r\n250-PIPELINING\r\n250-SIZE 209715200\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
		case "RCPT":
			_, rest, _ := strings.Cut(string(line), "<")
			rcpt, _, _ := strings.Cut(rest, ">")
			rcpts = append(rcpts, rcpt)
			say("250 2.1.5 ok\r\n")
		case "DATA":
			say("354 go on\r\n")
			out.Flush()
			run := s.current()
			octets, kept, ok := content(in, run.keep)
			if !ok {
				return
			}
			for _, r := range rcpts {
				run.taken(r, octets, kept)
			}
			rcpts = rcpts[:0]
			say("250 2.0.0 taken\r\n")
		case "QUIT":
			say("221 2.0.0 bye\r\n")
			out.Flush()
			return
		default:
			if verb == "RSET" || verb == "MAIL" {
				rcpts = rcpts[:0]
			}
			say("250 2.0.0 ok\r\n")
		}
	}
}

// content reads up to the final dot.
func content(in *bufio.Reader, keep bool) (octets int, kept []byte, ok bool) {
	start := true // of a line
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return 0, nil, false
		}
		if start && bytes.Equal(line, []byte(".\r\n")) {
			return octets, kept, true
		}
		start = err == nil
		octets += len(line)
		if keep {
			kept = append(kept, line...)
		}
	}
}
