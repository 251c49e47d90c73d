package relay_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/relay"
	"github.com/pli-mail/pli/internal/relay/postfixtest"
)

// program finds one of Postfix's programs, which are not in everybody's PATH.
func program(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install postfix (or go test -short, which does without it)", name)
	}
	return path
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func listens(addr string) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
}

// Postfix's own sink is a next hop that we did not write.
func TestSMTPSink(t *testing.T) {
	t.Parallel()
	path := program(t, "smtp-sink")
	dir := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
	args := []string{"-d", "mail.", addr, "10"}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "root"}, args...) // the directory is ours
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "smtp-sink", listens(addr))
	r := newRelay(t, relay.Config{Addr: addr, TLS: relay.None, Hello: "pli.example"})
	c := parcel(t, "bob@x.test")
	if _, err := r.Send(t.Context(), c); err != nil {
		t.Fatal(err, out.String())
	}
	var want strings.Builder
	if _, err := c.Mail.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dumped mail", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "mail.*"))
		for _, f := range files {
			raw, _ := os.ReadFile(f)
			if strings.Contains(string(raw), strings.ReplaceAll(want.String(), "\r\n", "\n")) {
				return true
			}
		}
		return false
	})
}

// A real Postfix takes the mail under TLS with a password-free trust in its
// certificate, queues it, and hands it to a peer of ours: what arrives there
// still has its signature, and the file its octets (AT-72).
func TestPostfix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short")
	}
	peer := newPeer(t, nil)
	_, next, _ := net.SplitHostPort(peer.addr)
	postfix := postfixtest.New(t)
	cert, ca := authority(t, "gw.test")
	writePair(t, postfix.Dir, cert)
	addr := fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
	postfix.Start(t, fmt.Sprintf(`myhostname = gw.test
relayhost = [127.0.0.1]:%[2]s
smtpd_forbid_bare_newline = reject
strict_rfc821_envelopes = yes
smtpd_helo_required = yes
message_size_limit = 1048576
smtp_tls_security_level = none
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = %[1]s/etc/cert.pem
smtpd_tls_key_file = %[1]s/etc/key.pem
`, postfix.Dir, next), addr+" inet n - n - - smtpd\n", addr)

	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, relay.Config{Addr: addr, CAFile: ca, ServerName: "gw.test", Hello: "pli.example",
		DKIM: []relay.DKIM{{Domain: "pli.example", Selector: "s1", Key: key}}})
	if _, err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := parcel(t, "bob@x.test")
	if _, err := r.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Postfix to hand the mail on", func() bool { return len(peer.all()) == 1 })
	got := peer.all()[0]
	checkDKIM(t, got.text, "s1._domainkey.pli.example", key)
	if got.from != "envelopes@pli.example" || got.to != "bob@x.test" {
		t.Errorf("from %s to %s", got.from, got.to)
	}
	var want strings.Builder
	if _, err := c.Mail.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(got.text, want.String()) {
		t.Error("the mail changed on its way")
	}

	// Over its size limit: without the file.
	big := parcel(t, "carol@x.test")
	one := big.Mail.Attachments[0]
	for range 5 {
		big.Mail.Attachments = append(big.Mail.Attachments, one)
	}
	if _, err := r.Send(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lighter mail", func() bool { return len(peer.all()) == 2 })
	if got := peer.all()[1]; strings.Contains(got.text, "securedoc") || got.to != "carol@x.test" {
		t.Error("the mail came with its file")
	}
}
