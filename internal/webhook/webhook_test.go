package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pli-mail/pli/internal/webhook"
)

var secret = must(webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The example of the specification's reference implementation.
func TestSignature(t *testing.T) {
	got := secret.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	made := webhook.NewSecret()
	raw, ok := strings.CutPrefix(made.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(raw)
	if !ok || err != nil || len(key) != 32 {
		t.Errorf("a secret is %q", made.Reveal())
	}
	if again := must(webhook.ParseSecret(made.Reveal())); again.Reveal() != made.Reveal() {
		t.Error("a secret reads back as another")
	}
	for _, form := range []string{"%s", "%v", "%+v", "%#v", "%x"} {
		if s := fmt.Sprintf(form, made); strings.Contains(s, raw) || strings.Contains(s, fmt.Sprintf("%x", key)) {
			t.Errorf("%s prints the key", form)
		}
	}
	for _, bad := range []string{"", "whsec_", "whsec_AAAA", raw, "whsec_" + strings.Repeat("A", 88) + "=="} {
		if _, err := webhook.ParseSecret(bad); err == nil {
			t.Errorf("%q is a secret", bad)
		}
	}
}

// private is what a test's receiver is in.
var private = webhook.Rules{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Ports: []webhook.PortRange{{First: 1, Last: 65535}}}

func TestCheck(t *testing.T) {
	port := webhook.Rules{Ports: []webhook.PortRange{must(webhook.ParsePorts("8443")), must(webhook.ParsePorts("9000-9099"))}}
	for _, c := range []struct {
		url   string
		rules webhook.Rules
		want  error
		to    string // normal form, where it differs
	}{
		{"https://hooks.example.org/pli?k=1", webhook.Rules{}, nil, ""},
		{"https://Bücher.Example/x", webhook.Rules{}, nil, "https://xn--bcher-kva.example/x"},
		{"https://hooks.example.org:443/", webhook.Rules{}, nil, ""},
		{"https://93.184.215.14/", webhook.Rules{}, nil, ""},
		{"https://[2606:2800:21f:cb07::1]/", webhook.Rules{}, nil, ""},
		{"https://hooks.example.org:8443/", port, nil, ""},
		{"https://hooks.example.org:9099/", port, nil, ""},
		{"https://hooks.example.org:9100/", port, webhook.ErrPort, ""},
		{"https://hooks.example.org:22/", webhook.Rules{}, webhook.ErrPort, ""},
		{"https://hooks.example.org:99999/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org:/", webhook.Rules{}, webhook.ErrURL, ""},
		{"http://hooks.example.org/", webhook.Rules{}, webhook.ErrURL, ""},
		{"http://127.0.0.1:9/", private, nil, ""},
		{"http://localhost:9/", private, nil, ""},
		{"http://93.184.215.14:9/", private, webhook.ErrInside, ""}, // in clear to the outside
		{"ftp://hooks.example.org/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https:hooks.example.org", webhook.Rules{}, webhook.ErrURL, ""},
		{"//hooks.example.org/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https:///x", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://user@hooks.example.org/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org@127.0.0.1/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org\\@127.0.0.1/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org/#f", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org/\r\nX: y", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://hooks.example.org/" + strings.Repeat("x", 2000), webhook.Rules{}, webhook.ErrURL, ""},
		{"https://localhost/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://intranet/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://metadata.google.internal/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://169.254.169.254/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://127.0.0.1/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://2130706433/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://127.1/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://0177.0.0.1/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://0x7f000001/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://0x7f.0x0.0x0.0x1/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://127.0.0.1./", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://[::1]/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://[::ffff:127.0.0.1]/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://[::ffff:93.184.215.14]/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://[fe80::1%25eth0]/", webhook.Rules{}, webhook.ErrURL, ""},
		{"https://[64:ff9b::7f00:1]/", webhook.Rules{}, webhook.ErrInside, ""},
		{"https://[2002:7f00:1::]/", webhook.Rules{}, webhook.ErrInside, ""},
	} {
		u, err := c.rules.Check(c.url)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.url, err, c.want)
		}
		if want := c.to; err == nil && want != "" && u.String() != want {
			t.Errorf("%s is %s, want %s", c.url, u, want)
		}
	}
	for _, bad := range []string{"", "0", "x", "9-8", "65536", "1-", "-1"} {
		if _, err := webhook.ParsePorts(bad); err == nil {
			t.Errorf("%q are ports", bad)
		}
	}
}

// No address that is not public is reached, in whatever form it is written.
func TestInside(t *testing.T) {
	for _, a := range []string{"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
		"2001:db8::1", "2002:7f00:1::1", "2002:0a00:0001::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1"} {
		if (webhook.Rules{}).Reaches(netip.MustParseAddr(a), false) {
			t.Errorf("%s is reached", a)
		}
	}
	for _, a := range []string{"1.1.1.1", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4007::1"} {
		if !(webhook.Rules{}).Reaches(netip.MustParseAddr(a), false) {
			t.Errorf("%s is not reached", a)
		}
		if private.Reaches(netip.MustParseAddr(a), true) {
			t.Errorf("%s is reached in clear", a)
		}
	}
	if !private.Reaches(netip.MustParseAddr("127.0.0.1"), true) || private.Reaches(netip.MustParseAddr("10.0.0.1"), false) || private.Reaches(netip.MustParseAddr("0.0.0.0"), true) {
		t.Error("an operator's network is not what they said")
	}
}

// seen is what a receiver got.
type seen struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, body)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *seen) count() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.requests) }

func message(url string) webhook.Message {
	return webhook.Message{URL: url, ID: "0190a1b2", At: time.Unix(1_764_000_000, 0), Body: []byte(`{"type":"envelope.seal"}`), Secrets: []webhook.Secret{secret, webhook.NewSecret()}}
}

// What a receiver gets is what the specification says, over TLS.
func TestSend(t *testing.T) {
	t.Parallel()
	var got seen
	server := httptest.NewTLSServer(&got)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	rules := private
	rules.Roots = roots
	m := message(server.URL + "/pli?key=1")
	if r := webhook.NewClient(rules).Send(t.Context(), m); r != (webhook.Result{Code: 204}) {
		t.Fatalf("got %+v", r)
	}
	req := got.requests[0]
	if req.Method != "POST" || req.URL.RequestURI() != "/pli?key=1" || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("webhook-id") != m.ID ||
		req.Header.Get("webhook-timestamp") != "1764000000" || !bytes.Equal(got.bodies[0], m.Body) {
		t.Errorf("got %+v with %s", req, got.bodies[0])
	}
	signatures := strings.Fields(req.Header.Get("webhook-signature"))
	key, _ := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp"), got.bodies[0])
	if len(signatures) != 2 || signatures[0] != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || signatures[1] == signatures[0] {
		t.Errorf("signatures %q", signatures)
	}
	if r := webhook.NewClient(private).Send(t.Context(), m); r != (webhook.Result{Failure: webhook.Certificate}) {
		t.Errorf("without its certificate: %+v", r)
	}
}

// A receiver's answer decides by its status alone; it leads nowhere else, and
// neither its length nor its slowness costs anything.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var elsewhere seen
	other := httptest.NewServer(&elsewhere)
	defer other.Close()
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/307":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/302":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case "/410":
			w.WriteHeader(http.StatusGone)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut":
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		case "/endless":
			for range 1 << 12 {
				n, err := w.Write(make([]byte, 1<<14))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		case "/head":
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}
	}))
	defer server.Close()
	c := webhook.NewClient(private)
	for path, want := range map[string]webhook.Result{
		"/": {Code: 200}, "/307": {Failure: webhook.Status, Code: 307}, "/302": {Failure: webhook.Status, Code: 302}, "/410": {Failure: webhook.Status, Code: 410},
		"/500": {Failure: webhook.Status, Code: 500}, "/cut": {Failure: webhook.NoAnswer}, "/endless": {Code: 200}, "/head": {Failure: webhook.NoAnswer},
	} {
		if got := c.Send(t.Context(), message(server.URL+path)); got != want || got.Gone() != (path == "/410") {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if elsewhere.count() != 0 {
		t.Error("a redirect was followed")
	}
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("an endless answer was read: %d bytes", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	hold := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer slow.Close()
	defer close(hold)
	if got := c.Send(ctx, message(slow.URL)); got != (webhook.Result{Failure: webhook.NoAnswer}) {
		t.Errorf("a slow one: %+v", got)
	}
}

// names answers with one list of addresses after the other.
func names(t *testing.T, answers ...[]string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := 0
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		defer mu.Unlock()
		a := new(dns.Msg)
		a.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			for _, ip := range answers[min(asked, len(answers)-1)] {
				a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(ip)})
			}
			asked++
		}
		w.WriteMsg(a)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// A name that is public when it is asked the first time, and this machine the
// second, is not reached the second time; one that is both is reached where it
// is public. 127.0.0.2 stands for the Internet.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var public, inside seen
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	one := &http.Server{Handler: &public}
	go one.Serve(l)
	defer one.Close()
	own, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Skip(err)
	}
	two := &http.Server{Handler: &inside}
	go two.Serve(own)
	defer two.Close()
	rules := webhook.Rules{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Ports: []webhook.PortRange{{First: 1, Last: 65535}}}
	m := message(fmt.Sprintf("http://hooks.example.org:%d/", port))

	by := names(t, []string{"127.0.0.2"}, []string{"127.0.0.1"})
	for i, want := range []webhook.Result{{Code: 204}, {Failure: webhook.Unreachable}} {
		// Another client, so that no connection is kept.
		if got := webhook.NewClient(rules.Resolving(by)).Send(t.Context(), m); got != want {
			t.Errorf("try %d: %+v, want %+v", i, got, want)
		}
	}
	if got := webhook.NewClient(rules.Resolving(names(t, []string{"127.0.0.1", "127.0.0.2"}))).Send(t.Context(), m); got != (webhook.Result{Code: 204}) {
		t.Errorf("both at once: %+v", got)
	}
	if public.count() != 2 || inside.count() != 0 {
		t.Errorf("outside got %d, inside %d", public.count(), inside.count())
	}
	// What is there, what is not and what may not be reached answer alike.
	closed := message("http://127.0.0.2:1/")
	absent := message("http://none.example.org:1/")
	hidden := message(fmt.Sprintf("http://127.0.0.1:%d/", port))
	for name, m := range map[string]webhook.Message{"closed": closed, "absent": absent, "hidden": hidden} {
		if got := webhook.NewClient(rules.Resolving(names(t, nil))).Send(t.Context(), m); got != (webhook.Result{Failure: webhook.Unreachable}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNoProxy(t *testing.T) {
	var proxy, got seen
	asked := httptest.NewServer(&proxy)
	defer asked.Close()
	t.Setenv("HTTP_PROXY", asked.URL)
	t.Setenv("HTTPS_PROXY", asked.URL)
	t.Setenv("ALL_PROXY", asked.URL)
	server := httptest.NewServer(&got)
	defer server.Close()
	if r := webhook.NewClient(private).Send(t.Context(), message(server.URL)); r.Failure != "" || proxy.count() != 0 || got.count() != 1 {
		t.Errorf("%+v; the proxy was asked %d times", r, proxy.count())
	}
}

func TestWait(t *testing.T) {
	var least, most time.Duration
	tries := 0
	for {
		lo, hi := time.Duration(1<<62), time.Duration(0)
		again := false
		for range 200 {
			w, ok := webhook.Wait(tries + 1)
			again = ok
			lo, hi = min(lo, w), max(hi, w)
		}
		if !again {
			break
		}
		if lo == hi || hi > lo*5/4 {
			t.Errorf("try %d waits from %s to %s", tries+1, lo, hi)
		}
		least, most, tries = least+lo, most+hi, tries+1
	}
	if tries != 9 || least < 60*time.Hour || most > 90*time.Hour {
		t.Errorf("%d waits of %s to %s", tries, least, most)
	}
}
