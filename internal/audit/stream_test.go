package audit_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// collector keeps the messages that a receiver took.
type collector struct {
	mu   sync.Mutex
	got  []string
	fail int // so many connections are broken before all was read
}

func (c *collector) take(m string) { c.mu.Lock(); c.got = append(c.got, m); c.mu.Unlock() }
func (c *collector) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// receive reads octet-counted messages (RFC 6587, section 3.4.1), and is strict about them.
func (c *collector) receive(t *testing.T, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		breaks := c.fail > 0
		if breaks {
			c.fail--
		}
		c.mu.Unlock()
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			for n := 0; ; n++ {
				size, err := r.ReadString(' ')
				if err == io.EOF && size == "" {
					return
				}
				length, bad := strconv.Atoi(strings.TrimSuffix(size, " "))
				if err != nil || bad != nil || size[0] == '0' {
					t.Errorf("a frame begins with %q: %v", size, err)
					return
				}
				m := make([]byte, length)
				if _, err := io.ReadFull(r, m); err != nil {
					t.Error(err)
					return
				}
				c.take(string(m))
				if breaks && n == 2 {
					if tcp, ok := conn.(*net.TCPConn); ok {
						tcp.SetLinger(0) // a reset
					}
					return
				}
			}
		}()
	}
}

var rfc5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) pli - ([!-~]{1,32}) - (.*)$`)

func (s *stand) stream(url, format string, more func(*audit.StreamConfig)) *audit.Stream {
	s.Helper()
	c := audit.StreamConfig{DB: s.db, Log: slog.New(slog.DiscardHandler), URL: url, Format: format, Host: "pli.example.org", Version: "1|0",
		Say: func(r store.AuditRow) string { return "a=b " + r.Target }, Every: time.Millisecond}
	if more != nil {
		more(&c)
	}
	out, err := audit.NewStream(c)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// Events come in the order of the notary, framed as the RFCs say, over TLS too,
// from two nodes once; a receiver that breaks off gets them again.
func TestSyslog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		s.add(account, 250)
		s.add(0, 5)
		s.chain()
		web := httptest.NewTLSServer(nil) // for its certificate
		defer web.Close()
		ca := filepath.Join(t.TempDir(), "ca.pem")
		os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600)
		for _, scheme := range []string{"tcp", "tcp+tls"} {
			plain, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			l, c := plain, &collector{}
			if scheme == "tcp+tls" {
				l = tls.NewListener(plain, &tls.Config{Certificates: web.TLS.Certificates})
			} else {
				c.fail = 2
			}
			go c.receive(t, l)
			ctx, stop := context.WithCancel(t.Context())
			var nodes sync.WaitGroup
			for range 2 {
				stream := s.stream(scheme+"://"+plain.Addr().String(), "json", func(c *audit.StreamConfig) { c.CAFile = ca })
				nodes.Go(func() { stream.Run(ctx) })
			}
			waiting := func() int64 {
				_, n, err := s.stream(scheme+"://"+plain.Addr().String(), "json", nil).State(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			for i := 0; waiting() > 0; i++ {
				if i > 2000 {
					t.Fatal("they do not come")
				}
				time.Sleep(5 * time.Millisecond)
			}
			stop()
			nodes.Wait()
			last, places := map[int64]int64{}, 0
			for _, m := range c.all() {
				parts := rfc5424.FindStringSubmatch(m)
				if parts == nil || parts[1] != "110" || parts[3] != "pli.example.org" || !slices.Contains([]string{"group.add", "audit.begin"}, parts[4]) {
					t.Fatalf("not RFC 5424: %q", m)
				}
				var e struct {
					Account, Seq int64
					Hash         string
				}
				if err := json.Unmarshal([]byte(parts[5]), &e); err != nil || len(e.Hash) != 64 {
					t.Fatalf("%q: %v", m, err)
				}
				switch {
				case e.Seq == last[e.Account]+1:
					last[e.Account], places = e.Seq, places+1
				case e.Seq > last[e.Account]:
					t.Fatalf("%d of %d comes after %d", e.Seq, e.Account, last[e.Account])
				case scheme == "tcp+tls":
					t.Errorf("%d of %d comes again", e.Seq, e.Account)
				}
			}
			if places != 256 {
				t.Errorf("%s: %d events", scheme, places)
			}
		}
	})
}

// A datagram each; a refusal is a warning; CEF escapes what it must.
func TestSyslogUDP(t *testing.T) {
	t.Parallel()
	s := newStand(t, storetest.Open(t))
	if err := s.db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertAudit(store.AuditRow{AccountID: account, Actor: "user:a|b=c@example.org", Action: "group.add", Target: "x=y\\z\nw", Outcome: store.Refused, Origin: "192.0.2.1"})
	}); err != nil {
		t.Fatal(err)
	}
	s.chain()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n, err := s.stream("udp://"+l.LocalAddr().String(), "cef", nil).Once(t.Context()); n != 2 || err != nil { // and that the chain began
		t.Fatal(n, err)
	}
	b := make([]byte, 65536)
	l.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := l.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	m := string(b[:n])
	for _, want := range []string{"<108>1 ", ` - CEF:0|Pli|Pli|1\|0|group.add|group.add|6|rt=`, ` suser=user:a|b\=c@example.org src=192.0.2.1 outcome=failure msg=a\=b x\=y\\z\nw cs1Label=target cs1=x\=y\\z\nw `} {
		if !strings.Contains(m, want) {
			t.Errorf("%q has no %q", m, want)
		}
	}
}

// Nobody keeps events from a receiver by one that is too long for it.
func TestLongEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newStand(t, db)
		detail := map[string]string{}
		for i := range 10 {
			detail[fmt.Sprint("d", i)] = strings.Repeat("\"\x01é", 1<<20)
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := tx.InsertAudits(store.AuditRow{AccountID: account, Actor: "user:a@example.org", Action: "user.add", Detail: detail}, []string{strings.Repeat("\"\x01é", 1<<20)}); err != nil {
				return err
			}
			return tx.InsertAudit(store.AuditRow{AccountID: account, Actor: "user:a@example.org", Action: "group.add", Target: strings.Repeat("é", 1<<20), Detail: detail, Origin: "192.0.2.1"})
		}); err != nil {
			t.Fatal(err)
		}
		s.add(account, 1)
		s.chain()
		for _, format := range []string{"json", "cef"} {
			l, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if n, err := s.stream("udp://"+l.LocalAddr().String(), format, nil).Once(t.Context()); n != 4 || err != nil { // and that the chain began
				t.Fatalf("%s: %d sent, %v", format, n, err)
			}
		}
		rows := []store.AuditRow{}
		if err := db.View(t.Context(), func(tx *store.Tx) (err error) { rows, err = tx.ListChain(account, 0, 10); return err }); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if len(r.Target) > 9<<10 || !utf8.ValidString(r.Target) || len(r.Detail["d3"]) > 9<<10 || !utf8.ValidString(r.Detail["d3"]) {
				t.Errorf("a record of %d and %d bytes", len(r.Target), len(r.Detail["d3"]))
			}
		}
	})
}

// HTTP: lines with a token; what is not taken is sent again, and said; nothing
// is sent to where the receiver points.
func TestHTTPReceiver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const account = 0 // whose beginning no other event tells
		s := newStand(t, db)
		s.add(account, 3)
		s.chain()
		c := &collector{}
		answers := []int{500, 302, 401, 204}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status := answers[0]
			answers = answers[1:]
			if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Method != "POST" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			body, _ := io.ReadAll(r.Body)
			if status == 204 {
				c.take(string(body))
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		defer server.Close()
		stream := s.stream(server.URL, "json", func(c *audit.StreamConfig) { c.Token = "secret" })
		for range 3 {
			if n, err := stream.Once(t.Context()); n != 0 || err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%d %v", n, err)
			}
		}
		state, waiting, err := stream.State(t.Context())
		if err != nil || waiting != 3 || state.FailingSince.IsZero() || !strings.Contains(state.LastError, "401") {
			t.Errorf("%+v %d %v", state, waiting, err)
		}
		if n, err := stream.Once(t.Context()); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if state, waiting, _ := stream.State(t.Context()); waiting != 0 || !state.FailingSince.IsZero() || state.LastError != "" {
			t.Errorf("%+v %d", state, waiting)
		}
		if n, err := stream.Once(t.Context()); n != 0 || err != nil || len(answers) != 0 {
			t.Error(n, err)
		}
		if got := strings.Join(c.all(), ""); strings.Count(got, "\n") != 3 || !strings.Contains(got, fmt.Sprintf(`"account":%d,"seq":3`, account)) {
			t.Error(got)
		}
	})
}

// A record that is as large as it can be, and names that a header cannot have.
func TestOddEvents(t *testing.T) {
	t.Parallel()
	say := func(store.AuditRow) string { return "" }
	r := store.AuditRow{At: time.UnixMilli(0), Action: "=cmd", Actor: "@x", Target: "+1", Origin: "-", Detail: map[string]string{"a\nb": "<&>\u2028"}}
	if line := string(audit.JSON(r, say)); strings.Contains(line, "\n") || !strings.Contains(line, `"<&>`) {
		t.Error(line)
	}
	var b strings.Builder
	w, err := audit.NewWriter(&b, "csv", "", say)
	if err != nil || w.Write([]store.AuditRow{r}) != nil || w.End(audit.Checkpoint{}) != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `,'@x,'=cmd,'+1,,'-,`) || strings.Contains(b.String(), "checkpoint") {
		t.Errorf("%q", b.String())
	}
	if _, err := audit.NewWriter(&b, "xml", "", say); err == nil {
		t.Error("xml")
	}
}
