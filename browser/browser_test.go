// Package browser holds no code: its test starts the demo and lets Debian's
// Chromium live through the stories in stories/, each on a demo of its own.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/relay/postfixtest"
)

func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the stories need Chromium and take minutes")
	}
	for tool, how := range map[string]string{"node": "apt-get install nodejs", "chromium-headless-shell": "apt-get install chromium-headless-shell", "swaks": "apt-get install swaks", "firefox-esr": "apt-get install firefox-esr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: %s", tool, how)
		}
	}
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		t.Fatal("the browser driver is missing: cd browser && npm ci --ignore-scripts")
	}
	stories, err := filepath.Glob("stories/*.mjs")
	if err != nil || len(stories) < 5 {
		t.Fatalf("%d stories found (%v): is the test in the right place?", len(stories), err)
	}
	pli := filepath.Join(t.TempDir(), "pli")
	if out, err := exec.Command("go", "build", "-o", pli, "../cmd/pli").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, story := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(story), ".mjs"), func(t *testing.T) {
			t.Parallel() // a story waits for a third of its time
			tell(t, pli, story)
		})
	}
}

// tell starts a demo, runs the story against it, and stops it.
func tell(t *testing.T, pli, story string) {
	dir := filepath.Join(t.TempDir(), "demo")
	undo := "0" // mails leave at once, but where undoing is the story
	if filepath.Base(story) == "compose.mjs" {
		undo = "6"
	}
	demo := exec.Command(pli, "demo", "--port", "0", "--json", "--verbose", "--dir", dir, "--undo", undo)
	logFile := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	demo.Stderr = log
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := firstLine(stdout)
	if err != nil {
		demo.Process.Kill()
		demo.Wait()
		t.Fatalf("the demo did not start: %v\n%s", err, tail(t, logFile))
	}
	locales, err := filepath.Glob("../internal/i18n/locales/*.json")
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(locales)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, "node", story)
	run.WaitDelay = time.Second
	run.Env = append(os.Environ(), "PLI_POSTFIX="+postfix(t, story, line),
		"PLI_DEMO="+line, "PLI_DEMO_DIR="+dir, "PLI_DEMO_LOG="+logFile, "PLI_SCRATCH="+t.TempDir(), "PLI_LOCALES="+string(list), "PLI_BIN="+pli)
	out, err := run.CombinedOutput()
	demo.Process.Signal(syscall.SIGTERM)
	stopped := demo.Wait()
	if err != nil {
		t.Fatalf("%v\n%s\n--- the demo's log ---\n%s", err, out, tail(t, logFile))
	}
	if stopped != nil {
		t.Errorf("the demo did not stop cleanly: %v\n%s", stopped, tail(t, logFile))
	}
	if s := string(out); s != "" {
		t.Log("\n" + s)
	}
}

// postfix is the address of a mail server that sends through the demo's gateway,
// for the story that needs one.
func postfix(t *testing.T, story, line string) string {
	if filepath.Base(story) != "gateway.mjs" {
		return ""
	}
	var demo struct{ Gateway string }
	if err := json.Unmarshal([]byte(line), &demo); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(demo.Gateway, ":")
	addr := fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
	postfixtest.New(t).Start(t, fmt.Sprintf("myhostname = mail.example.org\nrelayhost = [%s]:%s\nsmtp_tls_security_level = none\n", host, port),
		addr+" inet n - n - - smtpd\n", addr)
	return addr
}

func firstLine(r io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	c := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		c <- result{strings.TrimSpace(line), err}
	}()
	select {
	case got := <-c:
		return got.line, got.err
	case <-time.After(30 * time.Second):
		return "", fmt.Errorf("no line within 30 s")
	}
}

func tail(t *testing.T, file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	if len(raw) > 8000 {
		return "…" + string(raw[len(raw)-8000:])
	}
	return string(raw)
}
