package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	senderDomain    = "sender.invalid"
	recipientDomain = "recipient.invalid"
)

// server is one of those that are compared: it takes mail at address and hands it to the sink.
type server struct {
	name    string // as in --servers
	title   string // as in the tables
	address string
	family  *family
	slow    bool                            // starts programs for each message: gets few
	mark    string                          // is in what it hands on; it has encrypted if the phrase is not
	empty   func(ctx context.Context)       // forgets what a failed run left, or nil
	stop    func(ctx context.Context) error // in order
	log     string                          // file to show when something is wrong
}

// freeAddress is one on loopback where nobody listens, below the ports that outgoing connections get.
func freeAddress() string {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// ready waits until the server greets.
func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		c, err := dial(ctx, s.address)
		if err == nil {
			c.close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w%s", s.title, err, tail(s.log))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end stops the server, in order if it can, and kills what is left of it.
func (s *server) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // also when the bench was interrupted
	defer cancel()
	err := s.stop(ctx)
	s.family.end()
	return err
}

// command runs a program to its end and returns what it wrote.
func command(ctx context.Context, input string, env []string, argv ...string) (string, error) {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stdin = strings.NewReader(input)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// tail is the end of a log, to follow an error.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var lines []string
	for in := bufio.NewScanner(f); in.Scan(); {
		if lines = append(lines, in.Text()); len(lines) > 8 {
			lines = lines[1:]
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n" + strings.Join(lines, "\n")
}
