package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/server"
	"github.com/pli-mail/pli/internal/store"
)

// prepare writes a configuration with more lines, and a root key, into dir.
func prepare(t *testing.T, dir, publicURL, more string) server.Config {
	t.Helper()
	path := filepath.Join(dir, "pli.toml")
	text := fmt.Sprintf("public_url = %q\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite:pli.db\"\nmail.smarthost = \"127.0.0.1:1\"\nmail.tls = \"none\"\nmail.from = \"envelopes@example.org\"\n%s", publicURL, more)
	c, err := config.Parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := masterkey.Create(c.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	return server.Config{Config: c, Catalogue: cat, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// run runs a server until the test ends.
func run(t *testing.T, c server.Config) *server.Server {
	t.Helper()
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// The name and the level of accessibility are the operator's to say; a list of
// stolen passwords is looked at before anybody relies on it.
func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := filepath.Join(dir, "stolen.txt")
	if err := os.WriteFile(list, []byte(strings.Repeat("A", 40)+":7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	more := "accessibility = \"full\"\nname = \"Clinic Mail\"\nbreached_passwords = \"stolen.txt\"\n"
	s := run(t, prepare(t, dir, "http://localhost:18080", more))
	_, page := get(t, http.DefaultClient, "http://"+s.Addrs()[0].String()+"/signin")
	for _, want := range []string{"Clinic Mail</title>", "fully compliant"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "stolen.txt"), []byte("password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(t.Context(), prepare(t, other, "http://localhost:18080", more)); err == nil || !strings.Contains(err.Error(), "breached_passwords") {
		t.Errorf("a list of words is taken: %v", err)
	}
}

// The figures say what waits: here deliveries of webhooks.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := run(t, prepare(t, t.TempDir(), "http://localhost:18080", ""))
	figures := func() string {
		w := httptest.NewRecorder()
		s.Metrics(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	if got := figures(); !strings.Contains(got, "\npli_webhook_backlog 0\n") || !strings.Contains(got, "\npli_webhook_oldest_seconds 0\n") {
		t.Errorf("nothing waits: %s", got)
	}
	if _, err := s.Accounts.CreateAccount(t.Context(), account.Operator("test"), account.NewAccount{Number: 100042, Name: "A", Language: "en", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	if err := s.DB.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertWebhook(store.Webhook{ID: "hook", AccountID: 100042, State: store.WebhookOn, URLBox: []byte{1}, SecretBox: []byte{1}}); err != nil {
			return err
		}
		tx.Now = tx.Now.Add(-time.Hour)
		for _, event := range []string{"a", "b"} {
			if _, err := tx.InsertDelivery(store.Delivery{HookID: "hook", EventID: event}); err != nil {
				return err
			}
			tx.Now = tx.Now.Add(time.Minute)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := figures()
	_, after, _ := strings.Cut(got, "\npli_webhook_oldest_seconds ")
	text, _, _ := strings.Cut(after, "\n")
	if age, err := strconv.ParseFloat(text, 64); err != nil || age < 3600 || age > 7200 || !strings.Contains(got, "\npli_webhook_backlog 2\n") {
		t.Errorf("two wait: %s", got)
	}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://" + l.Addr().String()
	c := prepare(t, dir, origin, "")
	c.Listeners = []net.Listener{l}
	run(t, c)
	for _, path := range []string{"/healthz", "/readyz", "/", "/signin", "/admin/signin"} {
		if r, body := get(t, http.DefaultClient, origin+path); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s\n%s", path, r.Status, body)
		}
	}
	r, _ := get(t, http.DefaultClient, origin+"/open") // AT-15, AT-16: the page that opens is cut off from its opener, the entry pages are not
	if r.Header.Get("Cross-Origin-Opener-Policy") != "same-origin-allow-popups" {
		t.Errorf("/open: %v", r.Header)
	}
	if r, _ := get(t, http.DefaultClient, origin+"/r"); r.Header.Get("Cross-Origin-Opener-Policy") != "" {
		t.Errorf("/r: %v", r.Header)
	}
}

// certificateFor writes a certificate for 127.0.0.1 whose serial number is n.
func certificateFor(t *testing.T, dir string, n int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(n), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// AT-85: TLS 1.2 at least; plain HTTP is answered with a redirect to the public
// address, and only a GET; a new certificate is shown without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificateFor(t, dir, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect := plain.Addr().String()
	plain.Close()
	origin := "https://" + l.Addr().String()
	c := prepare(t, dir, origin, fmt.Sprintf("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\nhttp_redirect = %q\n", redirect))
	c.Listeners = []net.Listener{l}
	s := run(t, c)

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, _ := get(t, client, origin+"/healthz")
	if r.ProtoMajor != 2 || r.TLS.PeerCertificates[0].SerialNumber.Int64() != 1 {
		t.Errorf("HTTP/%d, certificate %v", r.ProtoMajor, r.TLS.PeerCertificates[0].SerialNumber)
	}
	if h := r.Header.Get("Strict-Transport-Security"); h == "" {
		t.Error("no HSTS")
	}
	if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	r, _ = get(t, client, "http://"+redirect+"/m/7KQ42F?lang=fr")
	if r.StatusCode != http.StatusMovedPermanently || r.Header.Get("Location") != origin+"/m/7KQ42F?lang=fr" {
		t.Errorf("%s to %s", r.Status, r.Header.Get("Location"))
	}
	posted, err := client.Post("http://"+redirect+"/signin", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	posted.Body.Close()
	if posted.StatusCode != http.StatusForbidden {
		t.Error(posted.Status)
	}

	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if r, _ := get(t, client, origin+"/healthz"); r.TLS.PeerCertificates[0].SerialNumber.Int64() != 1 {
		t.Error("a broken certificate took the place of a good one")
	}
	certificateFor(t, dir, 2)
	s.Reload()
	if r, _ := get(t, client, origin+"/healthz"); r.TLS.PeerCertificates[0].SerialNumber.Int64() != 2 {
		t.Error("the new certificate is not shown")
	}
}

// A server that cannot start says why, and holds nothing afterwards.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, spoil := range map[string]func(*server.Config){
		"already in use":    func(c *server.Config) { c.Config.Listen = []string{taken.Addr().String()} },
		"no such file":      func(c *server.Config) { c.Config.TLS.Cert, c.Config.TLS.Key = "missing.pem", "missing.pem" },
		"masterkey.missing": func(c *server.Config) { c.Config.MasterKeyFile += ".lost" },
		"create the file": func(c *server.Config) {
			c.Config.Database = "sqlite:" + filepath.Join(c.Config.DataDir, "no", "such", "dir.db")
		},
		"smart host's password": func(c *server.Config) { c.Config.Mail.Username, c.Config.Mail.PasswordFile = "pli", "missing" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := prepare(t, t.TempDir(), "http://localhost:1", "")
			spoil(&c)
			s, err := server.New(t.Context(), c)
			if err == nil {
				s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), name) {
				t.Error(err)
			}
		})
	}
}

// What ends while the server runs is gone a minute later.
func TestSweepComesRound(t *testing.T) {
	t.Parallel()
	if server.SweepPeriod > time.Minute {
		t.Errorf("a sweep every %v only", server.SweepPeriod)
	}
	c := prepare(t, t.TempDir(), "http://localhost:1", "")
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.SweepEvery(10 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	time.Sleep(50 * time.Millisecond) // the first sweep, at the start, is over
	visitor := store.Session{TokenHash: "a", Scope: store.ScopeVisitor, ExpiresAt: s.DB.Now().Add(20 * time.Millisecond)}
	if err := s.DB.Update(ctx, func(tx *store.Tx) error { return tx.InsertSession(visitor) }); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.DB.View(ctx, func(tx *store.Tx) error { _, err := tx.FindSession("a"); return err })
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the session is still there: %v", err)
		}
	}
}

// What is under way when the server stops is finished.
func TestDrain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://" + l.Addr().String()
	c := prepare(t, t.TempDir(), origin, "")
	c.Listeners = []net.Listener{l}
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	body, w := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPost, origin+"/api/v1/visit", body)
		if err != nil {
			answered <- 0
			return
		}
		req.Header.Set("Content-Type", "application/json")
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		r.Body.Close()
		answered <- r.StatusCode
	}()
	io.WriteString(w, "{")
	time.Sleep(300 * time.Millisecond) // the request is in its handler
	cancel()
	time.Sleep(100 * time.Millisecond)
	io.WriteString(w, "}")
	w.Close()
	if got := <-answered; got != http.StatusOK {
		t.Errorf("the request under way got %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}
