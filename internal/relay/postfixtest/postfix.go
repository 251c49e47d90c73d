// Package postfixtest runs a real Postfix for a test, with a configuration, a
// queue and a log of its own. Only root can start one: anyone else needs sudo
// without a password.
package postfixtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// base is what every instance has; what the test says comes after it.
const base = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = /dev/stdout
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_transport = error:none
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
`

// Postfix is a running instance.
type Postfix struct {
	Dir string // of its own: etc, queue, data; open to the postfix user
	log lockedBuffer
}

// New makes the directory of an instance that is not running yet.
func New(t testing.TB) *Postfix {
	t.Helper()
	dir, err := os.MkdirTemp("", "pli-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root(t, "rm", "-rf", dir) })
	for _, d := range []string{"", "etc", "queue", "data"} {
		// Postfix drops its rights, so the way there must be open to it.
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &Postfix{Dir: dir}
}

// Write puts a file into the instance's etc.
func (p *Postfix) Write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(p.Dir, "etc", name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Start runs it until the test ends, with these lines of main.cf and of
// master.cf, and returns when addr answers.
func (p *Postfix) Start(t testing.TB, main, master, addr string) {
	t.Helper()
	postfix := program(t, "postfix")
	p.Write(t, "main.cf", fmt.Sprintf(base, p.Dir)+main)
	p.Write(t, "master.cf", services(t)+master)
	root(t, "chown", "postfix", filepath.Join(p.Dir, "data"))
	etc := filepath.Join(p.Dir, "etc")
	cmd := asRoot(postfix, "-c", etc, "start-fg")
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		root(t, postfix, "-c", etc, "stop")
		// A master that could not have its port does not always end by itself.
		kill := time.AfterFunc(10*time.Second, func() { root(t, "kill", "-KILL", strconv.Itoa(cmd.Process.Pid)) })
		cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Postfix does not answer at %s:\n%s", addr, p.Log())
		}
	}
}

// Log is what it has logged so far.
func (p *Postfix) Log() string { return p.log.String() }

// FreePort is a port of the loopback interface that nobody uses now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// services are those that every master.cf has, without the SMTP port and pipes,
// and out of their chroot.
func services(t testing.TB) string {
	t.Helper()
	dist, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Fatalf("%v: apt-get install postfix", err)
	}
	var b strings.Builder
	for l := range strings.SplitSeq(string(dist), "\n") {
		f := strings.Fields(l)
		if len(f) < 8 || strings.HasPrefix(l, "#") || strings.HasPrefix(l, " ") || f[0] == "smtp" && f[1] == "inet" || f[7] == "pipe" {
			continue
		}
		f[4] = "n"
		b.WriteString(strings.Join(f, " ") + "\n")
	}
	return b.String()
}

func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin"} {
		if path := filepath.Join(dir, name); exec.Command("test", "-x", path).Run() == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: apt-get install postfix (or go test -short, which does without it)", name)
	return ""
}

func asRoot(name string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{"-n", name}, args...)...)
}

func root(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := asRoot(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s (only root can run a Postfix, or who can sudo without a password)", name, err, out)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
