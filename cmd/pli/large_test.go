package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pli-mail/pli/envelope"
)

// shaky is the door for large files, of a server that breaks off every third request
// somewhere, and is gone for a while when it is told to.
type shaky struct {
	mu       sync.Mutex
	received []byte
	size     int64
	requests int
	sent     int64 // bytes that came in requests
	gone     bool
	flip     int64 // place of a bit that is changed on the way out, 0 = none
}

func (s *shaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.gone {
		panic(http.ErrAbortHandler)
	}
	breaks := s.requests%3 == 0
	answer := func() {
		json.NewEncoder(w).Encode(map[string]any{"id": strings.Repeat("ab", 16), "offset": len(s.received), "size": s.size})
	}
	switch {
	case r.Method == "POST":
		var in struct{ Size int64 }
		json.NewDecoder(r.Body).Decode(&in)
		s.size = in.Size
		answer()
	case r.Method == "PATCH":
		at, _ := strconv.Atoi(r.Header.Get("Upload-Offset"))
		if at != len(s.received) {
			w.WriteHeader(409)
			fmt.Fprint(w, `{"key":"large.offset","detail":"elsewhere"}`)
			return
		}
		b, _ := io.ReadAll(r.Body)
		s.sent += int64(len(b))
		if s.requests%2 == 0 || !breaks {
			s.received = append(s.received, b...)
		}
		if breaks { // before it was taken, or after: its sender cannot know
			panic(http.ErrAbortHandler)
		}
		answer()
	case strings.HasPrefix(r.URL.Path, "/api/v1/open/large/"):
		at, _ := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64)
		b := bytes.Clone(s.received[at:min(at+3<<20, int64(len(s.received)))])
		if i := s.flip - at; s.flip > 0 && i >= 0 && i < int64(len(b)) {
			b[i] ^= 1
		}
		if breaks {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b[:len(b)/2])
			panic(http.ErrAbortHandler)
		}
		w.Write(b)
	default:
		answer()
	}
}

// A transfer goes on after what breaks, in the same run and in the next, and sends
// and fetches little twice. What was altered is refused and leaves nothing.
func TestLargeTransferBreaks(t *testing.T) {
	t.Parallel()
	s := &shaky{}
	server := httptest.NewServer(s)
	defer server.Close()
	server.Config.ErrorLog = nil
	dir := t.TempDir()
	path := filepath.Join(dir, "big.bin")
	file := make([]byte, 30<<20)
	rand.Read(file)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "pli"), 0o700); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	a, err := newApp(strings.NewReader(""), io.Discard, &said, func(name string) string {
		return map[string]string{"XDG_CONFIG_HOME": dir, "HOME": dir}[name]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{origin: server.URL, token: "t", lang: "en", http: server.Client()}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	upload := func(ctx context.Context) (*transfer, error) { return a.upload(ctx, c, path, stat) }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := upload(ctx); err == nil {
		t.Error("a cancelled transfer is done")
	}
	up, err := upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := upload(t.Context()); err != nil || again.ID != up.ID || again.Key != up.Key {
		t.Errorf("the next run begins anew: %v", err)
	}
	l, _, err := up.large()
	if err != nil {
		t.Fatal(err)
	}
	l.Name = "../../été: big.bin"
	if n := l.SealedSize(); int64(len(s.received)) != n || s.sent > n*2 {
		t.Errorf("%d bytes are there of %d, %d were sent", len(s.received), n, s.sent)
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	fetch := func() error { return a.fetch(t.Context(), c, envelope.SlotID{1}, l, out) }
	s.flip = int64(len(s.received)) - 100
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "cli.large.altered") {
		t.Errorf("altered: %v", err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("altered: %v is left, %v", left, err)
	}
	s.flip = 0
	if err := fetch(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	got, err := os.ReadFile(filepath.Join(out, "_.._été_ big.bin"))
	if err != nil || !bytes.Equal(got, file) {
		list, _ := os.ReadDir(out)
		t.Errorf("%d other bytes, %v, %v", len(got), err, list)
	}
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "cli.exists") {
		t.Errorf("it replaces what is there: %v", err)
	}
	if err := os.WriteFile(path, file[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := a.sendParts(t.Context(), c, up, f, 0); err == nil || !strings.Contains(err.Error(), "cli.large.changed") {
		t.Errorf("a file that was changed is sealed under the same key: %v", err)
	}
}

func TestSafeFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"scan.dcm": "scan.dcm", "": "file", "..": "file", "../../etc/passwd": "_.._etc_passwd", ".bashrc": "bashrc", `C:\x`: "C__x", "a\u202egpj.exe": "a_gpj.exe",
		"x\x00y\n": "x_y_", strings.Repeat("é", 200) + ".pdf": strings.Repeat("é", 98) + ".pdf",
	} {
		if got := safeFile(name); got != want && (len(name) < 300 || len(got) > 200 || !strings.HasSuffix(got, ".pdf")) {
			t.Errorf("%q becomes %q, not %q", name, got, want)
		}
	}
}
