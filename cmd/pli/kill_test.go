package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pli-mail/pli/internal/id"
)

// Under load something is killed at each step of a message. Whatever it is: what
// was taken comes, once, or again with the same Message-ID where an answer was
// lost; it comes in clear to nobody who must get it sealed; what came opens,
// octet for octet; and plain text is never on the disk.

// rounds lets a story happen under load and judges it: once, or for as many
// minutes as PLI_KILL_MINUTES says.
func (s *stand) rounds(story func()) {
	s.t.Helper()
	minutes, _ := strconv.ParseFloat(os.Getenv("PLI_KILL_MINUTES"), 64)
	end := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
	for {
		s.load.start()
		story()
		s.more(40)
		s.settle()
		s.verdict()
		if s.t.Failed() || time.Now().After(end) {
			return
		}
	}
}

// at does harm at the i-th step, after some messages went through.
func (s *stand) at(i int, harm func()) {
	s.t.Helper()
	s.more(20)
	step := steps[i%len(steps)]
	came := s.trap.spring(step, func() {
		if step == afterDot { // anywhere from the last block to the next hop's door
			time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
		}
		harm()
	})
	if !came {
		s.t.Errorf("nobody came to the step %q", step)
	}
}

func TestKilledPli(t *testing.T) {
	t.Parallel()
	s := newStand(t, "")
	s.rounds(func() {
		for i := range steps {
			s.at(i, func() {
				s.kill()
				s.search()
			})
			s.start()
			s.note()
		}
	})
}

func TestKilledNextHop(t *testing.T) {
	t.Parallel()
	s := newStand(t, "")
	s.rounds(func() {
		for i := range steps {
			s.at(i, s.hop.die)
			if i%3 == 0 { // for a while nobody is there
				refused := s.load.refused.Load()
				s.until("a refusal while there is no next hop", func() bool { return s.load.refused.Load() > refused+5 })
			}
			s.hop.live()
		}
	})
}

func (s *stand) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// TestKilledConnections ends all connections with the database, again and again.
func TestKilledConnections(t *testing.T) {
	server := os.Getenv("PLI_TEST_POSTGRES")
	if server == "" {
		t.Skip("PLI_TEST_POSTGRES is not set")
	}
	t.Parallel()
	name := "pli_test_" + id.New()
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	s := newStand(t, u.String())
	s.rounds(func() {
		for i := range steps {
			s.at(i, func() {
				for range 5 {
					execute(t, server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
					time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
				}
			})
		}
	})
}

func execute(t *testing.T, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err == nil {
		_, err = c.Exec(ctx, statement)
		err = errors.Join(err, c.Close(ctx))
	}
	if err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// TestKilledDatabase kills a whole PostgreSQL, which is the test's own.
func TestKilledDatabase(t *testing.T) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if len(found) == 0 {
		t.Skip("there is no PostgreSQL in /usr/lib/postgresql")
	}
	t.Parallel()
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "pli-kill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var as []string
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		as = []string{"setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"}
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v: %s", err, out)
		}
	}
	port := lowPort(t)
	run := func(program string, args ...string) {
		args = append(append(append([]string{}, as...), filepath.Join(bin, program), "-D", filepath.Join(dir, "data")), args...)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if err := cmd.Run(); err != nil { // its output is none: the server would keep a pipe open
			t.Errorf("%s: %v", program, err)
		}
	}
	start := func() {
		run("pg_ctl", "-w", "-l", filepath.Join(dir, "log"), "-o", fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%d -c unix_socket_directories= -c fsync=off", port), "start")
	}
	stop := func() { run("pg_ctl", "-w", "-m", "immediate", "stop") }
	run("initdb", "-A", "trust", "-U", "pli", "--no-sync")
	start()
	t.Cleanup(stop)
	s := newStand(t, fmt.Sprintf("postgres://pli@127.0.0.1:%d/postgres?sslmode=disable", port))
	s.searched = append(s.searched, dir)
	s.rounds(func() {
		for i := range steps {
			s.at(i, func() {
				stop()
				s.search()
				start()
			})
		}
	})
}
