package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/store"
)

// stand is a service that runs under load while something is killed, and what is
// known of each of its messages.
type stand struct {
	t        *testing.T
	dir      string   // of everything that it writes
	searched []string // directories where no plain text may be
	config   string
	database string
	site     string // host:port of the pages
	trap     trap
	hop      *keeper
	load     load

	cmd  *exec.Cmd
	done chan error // of cmd
	log  tail

	inDoubt map[string]map[string]bool // recipients of letters that were in hand at a kill, with each such claim
}

// newStand sets a service up and starts it. database is "" for SQLite.
func newStand(t *testing.T, database string) *stand {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
	s := &stand{t: t, dir: t.TempDir(), database: database, inDoubt: map[string]map[string]bool{}}
	s.searched = []string{s.dir}
	s.config = filepath.Join(s.dir, "pli.toml")
	s.site = fmt.Sprintf("127.0.0.1:%d", lowPort(t))
	s.hop = newKeeper(t, &s.trap)
	s.load = load{addr: fmt.Sprintf("127.0.0.1:%d", lowPort(t)), trap: &s.trap, fail: t.Errorf, doubt: []string{"451 4.4.2"}}
	if database == "" {
		s.database = "sqlite:" + filepath.Join(s.dir, "pli.db")
	} else {
		// The answer to a commit may be lost, too.
		s.load.doubt = append(s.load.doubt, "451 4.3.0")
	}
	s.run("setup", "--non-interactive", "--config", s.config, "--public-url", "http://"+s.site, "--listen", s.site,
		"--smarthost", s.hop.addr, "--smarthost-tls", "none", "--from", "envelopes@example.org", "--domain", "example.org",
		"--account", "Example Health", "--account-number", "100001", "--admin", "ana@example.org",
		"--data-dir", filepath.Join(s.dir, "data"), "--database", s.database)
	text, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, fmt.Appendf(text, "\n[gateway]\nlisten = [%q]\n", s.load.addr), 0o600)
	}
	rules := filepath.Join(t.TempDir(), "rules.toml")
	if err == nil {
		err = os.WriteFile(rules, []byte("default = 'plain'\n[[rule]]\nname = 'Sealed'\nrecipient = ['@seal.test']\nthen = 'seal'\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.run("admin", "upstream", "add", "100001", "local", "--network", "127.0.0.1")
	s.run("admin", "rules", "set", "100001", rules)
	s.start()
	t.Cleanup(func() {
		s.load.ended.Store(true)
		if s.cmd != nil {
			s.kill()
		}
		s.load.stop()
		if t.Failed() {
			t.Logf("pli serve said at last:\n%s", s.log.last())
		}
	})
	return s
}

func (s *stand) run(args ...string) {
	s.t.Helper()
	cmd := exec.Command("pli", args...)
	cmd.Env = append(os.Environ(), "PLI_CONFIG="+s.config, "LC_ALL=C")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("pli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *stand) start() {
	s.t.Helper()
	cmd, done := exec.Command("pli", "serve", "--config", s.config), make(chan error, 1)
	cmd.Dir = s.dir
	cmd.Stderr = &s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { done <- cmd.Wait() }()
	s.cmd, s.done = cmd, done
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.load.addr); err == nil {
			c.Close()
			return
		}
		select {
		case err := <-done:
			s.cmd = nil
			s.t.Fatalf("pli serve: %v", err)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatal("pli serve does not listen")
		}
	}
}

// kill is SIGKILL.
func (s *stand) kill() {
	s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// stop ends the service as an operator does.
func (s *stand) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.cmd = nil
		if err != nil {
			s.t.Fatalf("pli serve ended with %v", err)
		}
	case <-time.After(60 * time.Second):
		s.t.Fatal("pli serve does not end")
	}
}

// more waits until n more messages have been taken: the service goes on.
func (s *stand) more(n int64) {
	s.t.Helper()
	from := s.load.taken.Load()
	for end := time.Now().Add(60 * time.Second); s.load.taken.Load() < from+n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.load.stopping.Store(true)
			s.t.Fatalf("only %d of %d messages more were taken in a minute", s.load.taken.Load()-from, n)
		}
	}
}

// data opens the database beside the service, as the operator's commands do.
func (s *stand) data(fn func(*store.DB, *outbox.Outbox)) {
	s.t.Helper()
	db, err := store.Open(s.t.Context(), s.database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	root, err := masterkey.Open(filepath.Join(s.dir, "master.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	fn(db, outbox.New(outbox.Config{DB: db, Root: root, Log: slog.New(slog.DiscardHandler)}))
}

// waiting are the letters of the outbox.
func (s *stand) waiting(box *outbox.Outbox) (out []outbox.Row) {
	s.t.Helper()
	for after := ""; ; {
		rows, err := box.List(s.t.Context(), store.OutboxWaiting, after, 500)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, rows...)
		if len(rows) < 500 {
			return out
		}
		after = rows[len(rows)-1].ID
	}
}

// note remembers which letters were in hand when the service was killed: those
// may come twice.
func (s *stand) note() {
	s.t.Helper()
	s.data(func(_ *store.DB, box *outbox.Outbox) {
		for _, r := range s.waiting(box) {
			if r.Attempts > 0 {
				if s.inDoubt[r.Recipient] == nil {
					s.inDoubt[r.Recipient] = map[string]bool{}
				}
				s.inDoubt[r.Recipient][fmt.Sprint(r.ID, r.Attempts)] = true
			}
		}
	})
}

// settle lets everything that was taken come to its end. Letters of a dead
// process, and those that failed once, would wait for minutes; they are hurried
// while nobody has one in hand.
func (s *stand) settle() {
	s.t.Helper()
	s.load.stop()
	s.stop()
	s.data(func(_ *store.DB, box *outbox.Outbox) {
		for _, r := range s.waiting(box) {
			if err := box.Retry(s.t.Context(), "operator:test", r.ID); err != nil {
				s.t.Fatal(err)
			}
		}
	})
	s.start()
	s.data(func(_ *store.DB, box *outbox.Outbox) {
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			c, err := box.Count(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			if c.Failed > 0 {
				s.t.Fatalf("%d letters failed", c.Failed)
			}
			if c.Waiting == 0 {
				return
			}
			if time.Now().After(end) {
				s.t.Fatalf("%d letters still wait: %+v", c.Waiting, s.waiting(box)[0])
			}
		}
	})
}

// tail keeps the end of a log.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if len(l.b) > 64<<10 {
		l.b = append([]byte(nil), l.b[len(l.b)-16<<10:]...)
	}
	return len(p), nil
}

func (l *tail) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b[max(0, len(l.b)-8<<10):])
}
