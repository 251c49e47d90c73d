package sealing_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/relay"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
)

const origin = "https://envelope.example.org"

// house is the whole road from the composed message to the next hop, on disk
// in dir and with what it logs in log.
type house struct {
	dir  string
	log  *logBuffer
	db   *store.DB
	box  *outbox.Outbox
	keys *keyserver.Service
	post *sealing.Postman
	seal *sealing.Service
	peer *peer
	ana  sealing.Sender
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	t  testing.TB
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Output().Write(p)
	return l.b.Write(p)
}

func newHouse(t testing.TB, set func(*sealing.Config)) *house {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &house{dir: t.TempDir(), log: &logBuffer{t: t}, peer: newPeer(t)}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, d := range []string{"db", "blobs", "spool"} {
		check(os.Mkdir(filepath.Join(h.dir, d), 0o700))
	}
	var err error
	h.db, err = store.Open(t.Context(), "sqlite:"+filepath.Join(h.dir, "db", "pli.db"))
	check(err)
	t.Cleanup(func() { h.db.Close() })
	root := masterkeytest.Root(t)
	blobs, err := blob.New(filepath.Join(h.dir, "blobs"))
	check(err)
	cat, err := i18n.Load()
	check(err)
	words, err := notice.New(cat, origin)
	check(err)
	h.box = outbox.New(outbox.Config{DB: h.db, Root: root, Blobs: blobs, Log: log, Poll: 20 * time.Millisecond})
	h.post = &sealing.Postman{Outbox: h.box, Words: words,
		From: message.Mailbox{Name: "Example envelopes", Addr: mailaddr.MustParse("envelopes@pli.example")}}
	h.keys = keyserver.New(keyserver.Config{DB: h.db, Root: root, Blobs: blobs, Origin: origin, Post: h.post.Keys(), Log: log})
	cfg := sealing.Config{DB: h.db, Keys: h.keys, Blobs: blobs, Outbox: h.box, Words: words, Post: h.post,
		Spool: filepath.Join(h.dir, "spool"), Origin: origin, Log: log}
	if set != nil {
		set(&cfg)
	}
	h.seal = sealing.New(cfg)
	check(h.db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertAccount(store.Account{ID: 100042, Name: "Example Health", Language: "en", TimeZone: "Europe/Paris",
			State: store.AccountActive})
	}))
	check(h.db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertDomain(store.Domain{Name: "example.org", AccountID: 100042})
	}))
	h.ana = sealing.Sender{UserID: h.user(t, "ana@example.org", "en"), Address: "ana@example.org", Name: "Ana Silva", Language: "en"}
	return h
}

func (h *house) user(t testing.TB, address, lang string) string {
	t.Helper()
	u := store.User{ID: id.New(), AccountID: 100042, Address: address, DisplayAddress: address, FirstName: "Ana", LastName: "Silva",
		Language: lang, TimeZone: "Europe/Paris", Theme: "auto", State: store.UserActive}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(u, store.Password{}) }); err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// request is a message to send; change what matters.
func (h *house) request(to ...string) sealing.Request {
	r := sealing.Request{Sender: h.ana, AccountID: 100042, AccountName: "Example Health", Subject: "Your results of Monday",
		Note: "We spoke on the phone.", Text: "The full text: everything is fine.\nAna\n", NoticeLang: "en", Origin: "192.0.2.9",
		ExpiresAt: h.db.Now().Add(30 * 24 * time.Hour)}
	for _, a := range to {
		r.To = append(r.To, mailaddr.MustParse(a))
	}
	return r
}

// files gives attachments one after the other, as a posted form does.
func files(list ...*sealing.File) func() (*sealing.File, error) {
	return func() (*sealing.File, error) {
		if len(list) == 0 {
			return nil, io.EOF
		}
		f := list[0]
		list = list[1:]
		return f, nil
	}
}

func file(name, typ, content string) *sealing.File {
	return &sealing.File{Name: name, Type: typ, Reader: strings.NewReader(content)}
}

// start runs the outbox until the test ends.
func (h *house) start(t testing.TB) {
	t.Helper()
	r := relayOf(t, h)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.box.Run(ctx, r, h.post.Bounced) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// relayOf is the way to the peer.
func relayOf(t testing.TB, h *house) *relay.Relay {
	t.Helper()
	r, err := relay.New(relay.Config{Addr: h.peer.addr, TLS: relay.None, Hello: "pli.example", Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// visitor is a new browser.
func (h *house) visitor(t testing.TB) keyserver.Visitor {
	t.Helper()
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s := store.Session{TokenHash: id.NewToken().Hash(), Scope: store.ScopeVisitor, Nonce: hex.EncodeToString(nonce), Client: "test",
		ExpiresAt: h.db.Now().Add(time.Hour)}
	if err := h.db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSession(s) }); err != nil {
		t.Fatal(err)
	}
	return keyserver.Visitor{Session: s.TokenHash, Origin: "192.0.2.7", Language: "en"}
}

// each calls f with every file of the house and its log.
func (h *house) each(t testing.TB, f func(name string, raw []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		f(strings.TrimPrefix(path, h.dir), raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 2 {
		t.Fatalf("only %d files to look at", n)
	}
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	f("the log", h.log.b.Bytes())
}

// left is the files of one of the house's directories.
func (h *house) left(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (h *house) waiting(t testing.TB) []outbox.Row {
	t.Helper()
	rows, err := h.box.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// peer is the next hop.
type peer struct {
	addr   string
	server *smtp.Server
	mu     sync.Mutex // guards the rest
	refuse func(to string) error
	mails  map[string][]string // by recipient
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: l.Addr().String(), mails: map[string][]string{}}
	p.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }))
	p.server.Domain = "peer.test"
	go p.server.Serve(l)
	t.Cleanup(func() { p.server.Close() })
	return p
}

// to is the mails that an address has had.
func (p *peer) to(address string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.mails[address]...)
}

type session struct {
	p    *peer
	rcpt string
}

func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.rcpt = to
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.refuse != nil {
		return s.p.refuse(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.mails[s.rcpt] = append(s.p.mails[s.rcpt], string(b))
	return err
}

// opened is a mail as a mail program shows it.
type opened struct {
	head           mail.Header
	subject        string
	text, html     string
	fileName, file string
}

func openMail(t testing.TB, raw string) opened {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	o := opened{head: m.Header}
	if o.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	var walk func(contentType, encoding, disposition string, r io.Reader)
	walk = func(contentType, encoding, disposition string, r io.Reader) {
		typ, params, err := mime.ParseMediaType(contentType)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(typ, "multipart/") {
			for parts := multipart.NewReader(r, params["boundary"]); ; {
				p, err := parts.NextRawPart()
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				walk(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p.Header.Get("Content-Disposition"), p)
			}
		}
		if encoding == "quoted-printable" {
			r = quotedprintable.NewReader(r)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, d, _ := mime.ParseMediaType(disposition); d["filename"] != "" {
			o.fileName, o.file = d["filename"], string(b)
			return
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		if typ == "text/html" {
			o.html = text
		} else {
			o.text = text
		}
	}
	walk(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), "", m.Body)
	return o
}
