package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/relay/postfixtest"
)

// pieces are the blocks of configuration in a how-to, each with its first line,
// which names it.
func pieces(t *testing.T, name string) (out [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(?:toml)?\n# (.*?)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1:])
	}
	return out
}

// The how-to in French has the same configuration, so what is tried of one is
// true of the other.
func TestPostfixInFrench(t *testing.T) {
	t.Parallel()
	en, fr := pieces(t, "seal-with-postfix.md"), pieces(t, "seal-with-postfix.fr.md")
	if len(en) < 10 || len(en) != len(fr) {
		t.Fatalf("%d and %d blocks", len(en), len(fr))
	}
	for i := range en {
		if en[i][1] != fr[i][1] {
			t.Errorf("%q is not %q", fr[i][0], en[i][0])
		}
	}
}

// road is a sending Postfix, Pli, and a Postfix that delivers into mailboxes,
// configured as the how-to says.
type road struct {
	t                 *testing.T
	howto             map[string]string
	dir               string // of files that every program may read
	swaks             string
	start, edge       *postfixtest.Postfix
	startAddr         string // where swaks hands its mail in
	edgePort          int
	pliPort, httpPort int
	pliLog            *bytes.Buffer
}

func newRoad(t *testing.T, howto string) *road {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Fatal("swaks is missing: apt-get install swaks (or go test -short, which does without it)")
	}
	blocks := map[string]string{}
	for _, b := range pieces(t, howto) {
		blocks[b[0]] = b[1]
	}
	r := &road{t: t, howto: blocks, swaks: swaks, edge: postfixtest.New(t), pliLog: &bytes.Buffer{},
		edgePort: postfixtest.FreePort(t), pliPort: postfixtest.FreePort(t), httpPort: postfixtest.FreePort(t)}
	r.startAddr = fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
	r.dir = filepath.Join(r.edge.Dir, "etc")
	return r
}

// block is a piece of the how-to with the names and places of this test in it.
func (r *road) block(name string, change ...string) string {
	r.t.Helper()
	text := r.howto[name]
	if text == "" {
		r.t.Fatalf("the how-to has no block %q", name)
	}
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			r.t.Fatalf("the block %q has no %q", name, change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	return text
}

func (r *road) localhost(port int) string { return fmt.Sprintf("localhost]:%d", port) }

// mailboxes makes what the last Postfix delivers into.
func (r *road) mailboxes() string {
	dir := filepath.Join(r.edge.Dir, "mail")
	if err := os.Mkdir(dir, 0o777); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf(`virtual_mailbox_domains = example.net, example.org, insurer.example
virtual_mailbox_base = %s
virtual_mailbox_maps = inline:{ { jean@example.net = jean/ }, { ana@example.org = ana/ }, { bob@insurer.example = bob/ } }
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`, dir)
}

// pli sets a service up with the how-to's configuration, and runs it.
func (r *road) pli(toml, admin string) {
	r.t.Helper()
	dir := r.t.TempDir()
	config := filepath.Join(dir, "pli.toml")
	url := fmt.Sprintf("http://127.0.0.1:%d", r.httpPort)
	run := func(args ...string) {
		r.t.Helper()
		cmd := exec.Command("pli", args...)
		cmd.Env = append(os.Environ(), "PLI_CONFIG="+config, "LC_ALL=C")
		cmd.Dir = r.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("pli %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("setup", "--non-interactive", "--config", config, "--public-url", url, "--smarthost", "127.0.0.1:25", "--smarthost-tls", "none",
		"--from", "envelopes@example.org", "--domain", "example.org", "--account", "Example Health", "--account-number", "100001", "--admin", "ana@example.org",
		"--data-dir", filepath.Join(dir, "data"), "--database", "sqlite:"+filepath.Join(dir, "pli.db"))
	text := fmt.Sprintf("public_url = %q\nlisten = \"127.0.0.1:%d\"\ndatabase = \"sqlite:pli.db\"\n%s", url, r.httpPort, toml)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(admin) {
		run(strings.Fields(line)[1:]...)
	}
	cmd := exec.Command("pli", "serve", "--config", config)
	cmd.Stderr = r.pliLog
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || r.t.Failed() {
			r.t.Errorf("pli serve: %v\n%s", err, r.pliLog)
		}
	})
	r.wait("pli serve", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.pliPort))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func (r *road) wait(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// letter is a message that is easily changed on its way.
func letter(to, subject string) string {
	return strings.ReplaceAll(`Date: Thu, 26 Nov 2026 10:00:00 +0100
From: Ana <ana@example.org>
To: `+to+`
Subject: `+subject+`
Message-ID: <`+strings.ToLower(rand.Text())+`@example.org>
References: <first@example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Été : trailing blanks   	
.
..a line with dots
From the beginning
`+strings.Repeat("long ", 190)+`
--b
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="a.bin"
Content-Transfer-Encoding: base64

AAECAw==
--b--
`, "\n", "\r\n")
}

// send hands a message in with swaks.
func (r *road) send(to, raw string) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "message.eml")
	// Without its fix-up swaks sends the file as it is, so the dots are ours.
	data := strings.ReplaceAll("\n"+raw, "\n.", "\n..")[1:] + ".\r\n"
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(r.swaks, "--server", r.startAddr, "--from", "ana@example.org", "--to", to, "--data", "@"+file, "--no-data-fixup")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// asOwner is a command on a mailbox, which is its owner's alone.
func asOwner(name string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{"-n", name}, args...)...)
}

// mails are those in a mailbox that have something in them.
func (r *road) mails(box, has string) (out []string) {
	dir := filepath.Join(r.edge.Dir, "mail", box, "new")
	list, _ := asOwner("ls", dir).Output() // before the first mail there is none
	for name := range strings.FieldsSeq(string(list)) {
		raw, err := asOwner("cat", filepath.Join(dir, name)).Output()
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(string(raw), has) {
			out = append(out, string(raw))
		}
	}
	return out
}

// mail waits for the one mail in a mailbox that has something in it.
func (r *road) mail(box, has string) string {
	r.t.Helper()
	r.wait("a mail for "+box, func() bool { return len(r.mails(box, has)) > 0 })
	got := r.mails(box, has)
	if len(got) != 1 {
		r.t.Fatalf("%d mails", len(got))
	}
	return got[0]
}

// open opens the envelope of a mail as its recipient does in a terminal, with
// the code that comes into the mailbox.
func (r *road) open(raw, box string) string {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "mail.eml")
	if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command("pli", "open", "--code-stdin", file)
	cmd.Env = append(os.Environ(), "HOME="+r.t.TempDir(), "LC_ALL=C")
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	code := sixDigits.FindString(subject(r.t, r.mail(box, "Auto-Submitted: auto-generated")))
	io.WriteString(in, code+"\n")
	in.Close()
	if err := cmd.Wait(); err != nil {
		r.t.Fatalf("pli open: %v\n%s", err, said.String())
	}
	return out.String()
}

// unfolded has each field of a header on one line.
func unfolded(raw string) string { return regexp.MustCompile(`\n[ \t]+`).ReplaceAllString(raw, " ") }

func subject(t *testing.T, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get("Subject")
}

// sealed checks a mail that was sealed: it opens to what the first Postfix
// handed over, which is what swaks sent behind Postfix's own trace.
func (r *road) sealed(sent, box string) {
	r.t.Helper()
	got := r.mail(box, "securedoc_")
	if strings.Contains(got, "a line with dots") || strings.Contains(got, "Results") || strings.Contains(got, "a.bin") {
		r.t.Error("the sealed mail tells what is in it")
	}
	id := regexp.MustCompile(`Message-ID: <(.*)>`).FindStringSubmatch(sent)[1]
	for _, want := range []string{"Message-ID: <" + id + ">", "From: Ana <ana@example.org>", "References: <first@example.net>", "by pli.example.org (Pli) with ESMTP"} {
		if !strings.Contains(unfolded(got), want) {
			r.t.Errorf("no %q in %.1500s", want, got)
		}
	}
	trace, ok := strings.CutSuffix(r.open(got, box), sent)
	if !ok {
		r.t.Fatal("what opens is not what was sent")
	}
	if !regexp.MustCompile(`^Received: from [^\r\n]*\r\n(\t[^\r\n]*\r\n)+$`).MatchString(trace) {
		r.t.Errorf("Postfix handed over more than its trace: %q", trace)
	}
}

// Pli as smart host between two Postfixes, with certificates on all sides.
func TestPostfixSmartHost(t *testing.T) {
	t.Parallel()
	r := newRoad(t, "seal-with-postfix.md")
	edge := fmt.Sprintf("127.0.0.1:%d", r.edgePort)
	pair(t, r.dir, "ca.pem", "server.pem", "server.key")
	pair(t, r.dir, "", "client.pem", "client.key")
	file := func(name string) string { return filepath.Join(r.dir, name) }

	r.edge.Start(t, "myhostname = edge.example.org\n"+r.mailboxes()+r.block("/etc/postfix/main.cf of edge.example.org",
		"192.0.2.20", "", "= may", "= encrypt", "/etc/postfix/edge.pem", file("server.pem"), "/etc/postfix/edge.key", file("server.key")),
		edge+" inet n - n - - smtpd\n", edge)
	r.pli(r.block("/etc/pli/pli.toml", "edge.example.org:25", fmt.Sprintf("localhost:%d", r.edgePort), ":2525", fmt.Sprintf("127.0.0.1:%d", r.pliPort),
		"/etc/pli/ca.pem", file("ca.pem"), "/etc/pli/pli.example.org.pem", file("server.pem"), "/etc/pli/pli.example.org.key", file("server.key")),
		r.block("as pli, on pli.example.org"))
	r.start = postfixtest.New(t)
	hosts := "myhostname = mail.example.org\nsmtp_host_lookup = native\n"
	main := r.block("/etc/postfix/main.cf of mail.example.org", "pli.example.org]:2525", r.localhost(r.pliPort),
		"/etc/ssl/certs/ca-certificates.crt", file("ca.pem"), "/etc/postfix/client.pem", file("client.pem"), "/etc/postfix/client.key", file("client.key"))
	r.start.Start(t, hosts+main, r.startAddr+" inet n - n - - smtpd\n", r.startAddr)

	raw := letter("jean@example.net", "[secure] Results")
	r.send("jean@example.net", raw)
	r.sealed(raw, "jean")
	if !strings.Contains(r.start.Log(), "250 2.0.0 sealed, and passed on to localhost; trace ") {
		t.Error("the first Postfix was not told")
	}
	r.send("jean@example.net", letter("jean@example.net", "Not secret"))
	if got := r.mail("jean", "Subject: Not secret"); !strings.Contains(got, "X-Pli-Transit: ") || !strings.Contains(got, "a line with dots") {
		t.Errorf("it passed otherwise: %s", got)
	}
	// A sender of another domain is refused, and its Postfix is left with it.
	if out, err := exec.Command(r.swaks, "--server", r.startAddr, "--from", "eve@example.com", "--to", "jean@example.net").CombinedOutput(); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	r.wait("the refusal", func() bool {
		return strings.Contains(r.start.Log(), "550 5.7.1 no account of this mail server may send for the domain example.com")
	})
}

// Only some recipients' and some senders' mail goes through Pli.
func TestPostfixSome(t *testing.T) {
	t.Parallel()
	r := newRoad(t, "seal-with-postfix.md")
	edge := fmt.Sprintf("127.0.0.1:%d", r.edgePort)
	pair(t, r.dir, "ca.pem", "server.pem", "server.key")
	r.edge.Start(t, "myhostname = edge.example.org\n"+r.mailboxes(), edge+" inet n - n - - smtpd\n", edge)
	r.pli(fmt.Sprintf("[mail]\nsmarthost = %q\ntls = \"none\"\nfrom = \"envelopes@example.org\"\n[gateway]\nlisten = [\"127.0.0.1:%d\"]\ncert = %q\nkey = %q\n",
		edge, r.pliPort, filepath.Join(r.dir, "server.pem"), filepath.Join(r.dir, "server.key")), r.block("as pli, for the content filter"))
	for _, by := range []string{"recipients", "senders"} {
		r.start = postfixtest.New(t)
		r.startAddr = fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
		main := fmt.Sprintf("myhostname = mail.example.org\nsmtp_host_lookup = native\ndefault_transport = smtp:[127.0.0.1]:%d\n", r.edgePort)
		if by == "senders" { // a next hop in default_transport would count before the sender's
			main = strings.ReplaceAll(main, "default_transport = smtp:", "relayhost = ")
		}
		main += r.block("/etc/postfix/main.cf of mail.example.org, some "+by, "pli.example.org]:2525", r.localhost(r.pliPort)) +
			fmt.Sprintf("smtp_tls_policy_maps = inline:{ { [%s = secure } }\nsmtp_tls_CAfile = %s\n", r.localhost(r.pliPort), filepath.Join(r.dir, "ca.pem"))
		r.start.Start(t, main, r.startAddr+" inet n - n - - smtpd\n", r.startAddr)
		r.send("bob@insurer.example", letter("bob@insurer.example", "Through, some "+by))
		if got := r.mail("bob", "some "+by); !strings.Contains(got, "X-Pli-Transit: ") {
			t.Errorf("some %s: it went round Pli: %s", by, got)
		}
	}
	// Who is not among the recipients does not come to Pli.
	r.start = postfixtest.New(t)
	r.startAddr = fmt.Sprintf("127.0.0.1:%d", postfixtest.FreePort(t))
	r.start.Start(t, fmt.Sprintf("myhostname = mail.example.org\nsmtp_host_lookup = native\ndefault_transport = smtp:[127.0.0.1]:%d\n", r.edgePort)+
		r.block("/etc/postfix/main.cf of mail.example.org, some recipients", "pli.example.org]:2525", r.localhost(r.pliPort)),
		r.startAddr+" inet n - n - - smtpd\n", r.startAddr)
	r.send("jean@example.net", letter("jean@example.net", "Straight"))
	if got := r.mail("jean", "Straight"); strings.Contains(got, "X-Pli-Transit: ") {
		t.Error("it went through Pli")
	}
}

// Pli as content filter of one Postfix.
func TestPostfixContentFilter(t *testing.T) {
	t.Parallel()
	r := newRoad(t, "seal-with-postfix.md")
	r.start = r.edge
	pli, back := fmt.Sprintf("127.0.0.1]:%d", r.pliPort), fmt.Sprintf("127.0.0.1:%d", r.edgePort)
	r.pli(r.block("/etc/pli/pli.toml, as content filter", "127.0.0.1:10026", back, "127.0.0.1:10025", fmt.Sprintf("127.0.0.1:%d", r.pliPort)),
		r.block("as pli, for the content filter"))
	master := r.startAddr + " inet n - n - - smtpd\n" +
		r.block("/etc/postfix/master.cf: below the lines of submission (and of smtps), which stay as they are", "127.0.0.1]:10025", pli) +
		r.block("/etc/postfix/master.cf: at its end", "127.0.0.1:10026", back)
	r.edge.Start(t, "myhostname = mail.example.org\n"+r.mailboxes()+r.block("/etc/postfix/main.cf"), master, r.startAddr)

	raw := letter("jean@example.net", "[secure] Results")
	r.send("jean@example.net", raw)
	r.sealed(raw, "jean")
	r.send("jean@example.net", letter("jean@example.net", "Not secret"))
	if got := r.mail("jean", "Subject: Not secret"); strings.Count(unfolded(got), "(Pli) with ESMTP") != 1 {
		t.Errorf("it did not pass once: %s", got)
	}
	for _, want := range []string{"postfix/pli/smtp", "postfix/from-pli/smtpd"} {
		if !strings.Contains(r.edge.Log(), want) {
			t.Errorf("no %s in the log", want)
		}
	}
}

// pair writes a certificate for localhost and its key: by an authority, whose
// certificate is written too, or by nobody.
func pair(t *testing.T, dir, caName, certName, keyName string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	key := newKey()
	parent, signer := leaf, key
	if caName != "" {
		signer = newKey()
		parent = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
		der, err := x509.CreateCertificate(rand.Reader, parent, parent, signer.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		write(caName, "CERTIFICATE", der)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	write(certName, "CERTIFICATE", der)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(keyName, "PRIVATE KEY", secret)
}
