package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/demo"
	"github.com/pli-mail/pli/internal/i18n"
)

func start(t *testing.T, dir string, port int) (d *demo.Demo, stop func()) {
	t.Helper()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	d, err = demo.New(t.Context(), demo.Config{Dir: dir, Port: port, Catalogue: cat, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return d, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func signIn(t *testing.T, url string, u demo.User) int {
	t.Helper()
	body, err := json.Marshal(map[string]string{"email": u.Email, "password": u.Password})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url+"/api/v1/session", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}

// banner is what the site says of the demonstration.
func banner(t *testing.T, d *demo.Demo) string {
	t.Helper()
	r, err := http.Get(d.URL + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, aside, _ := strings.Cut(string(page), `<aside class="demo"`)
	aside, _, _ = strings.Cut(aside, "</aside>")
	return aside
}

// What becomes of the data is said as it is.
func TestBanner(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{"": "Everything is deleted when you stop it.", t.TempDir(): "Everything is kept when you stop it."} {
		d, stop := start(t, dir, 0)
		if got := banner(t, d); !strings.Contains(got, want) {
			t.Errorf("%q: %s", dir, got)
		}
		stop()
	}
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	d, stop := start(t, "", 0)
	if !d.Temporary || !strings.HasPrefix(d.URL, "http://localhost:") || !strings.HasPrefix(d.MailboxURL, "http://127.0.0.1:") {
		t.Errorf("%+v", d)
	}
	for _, u := range demo.Users() {
		if got := signIn(t, d.URL, u); got != http.StatusOK {
			t.Errorf("%s: %d", u.Email, got)
		}
	}
	for _, url := range []string{d.URL + "/", d.MailboxURL + "/"} {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, r.Status)
		}
	}
	// Nobody else on the network reaches it.
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			ip, ok := a.(*net.IPNet)
			if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
				continue
			}
			if c, err := net.Dial("tcp", net.JoinHostPort(ip.IP.String(), d.URL[strings.LastIndexByte(d.URL, ':')+1:])); err == nil {
				c.Close()
				t.Errorf("it listens on %s", ip.IP)
			}
		}
	}
	stop()
	if _, err := os.Stat(d.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", d.Dir, err)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	_, stop := start(t, dir, 0)
	stop()
	d, stop := start(t, dir, 0)
	defer stop()
	if d.Temporary || !d.Kept {
		t.Errorf("%+v", d)
	}
	if got := signIn(t, d.URL, demo.Users()[0]); got != http.StatusOK {
		t.Errorf("after a restart: %d", got)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	d, stop := start(t, "", port)
	defer stop()
	if !d.PortTaken || strings.HasSuffix(d.URL, ":"+l.Addr().String()) {
		t.Errorf("%+v", d)
	}
}
