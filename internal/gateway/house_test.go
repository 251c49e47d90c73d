package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/gateway"
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
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store"
)

const origin = "https://envelope.example.org"

// house is the whole road: an upstream's connection, the gateway, a next hop.
type house struct {
	t        *testing.T
	dir      string
	log      *bytes.Buffer
	db       *store.DB
	accounts *account.Service
	keys     *keyserver.Service
	box      *outbox.Outbox
	hop      *nextHop
	addr     string // of the gateway
	server   *smtpd.Server
	root     account.Actor
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// newHouse starts everything. Account 100042 has example.org and the upstream
// "local", which is this machine; 100043 has example.com.
func newHouse(t *testing.T, db *store.DB, set func(*gateway.Config, *smtpd.Config)) *house {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &house{t: t, dir: t.TempDir(), db: db, log: &bytes.Buffer{}, root: account.Operator("test"), hop: newHop(t)}
	log := slog.New(slog.NewTextHandler(lockedWriter{&sync.Mutex{}, io.MultiWriter(h.log, t.Output())}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, d := range []string{"blobs", "spool"} {
		check(os.Mkdir(filepath.Join(h.dir, d), 0o700))
	}
	root := masterkeytest.Root(t)
	blobs, err := blob.New(filepath.Join(h.dir, "blobs"))
	check(err)
	cat, err := i18n.Load()
	check(err)
	words, err := notice.New(cat, origin)
	check(err)
	h.box = outbox.New(outbox.Config{DB: db, Root: root, Blobs: blobs, Log: log, Poll: 20 * time.Millisecond, Passed: gateway.Passed})
	post := &sealing.Postman{Outbox: h.box, Words: words, Hostname: "gw.example.org",
		From: message.Mailbox{Name: "Example envelopes", Addr: mailaddr.MustParse("envelopes@pli.example")}}
	h.accounts = account.New(account.Config{DB: db, Root: root, Post: post, Wake: h.box.Wake, Log: log, Hash: account.HashCost{Memory: 64, Passes: 1}})
	h.keys = keyserver.New(keyserver.Config{DB: db, Root: root, Blobs: blobs, Origin: origin, Post: post.Keys(), Log: log})
	seal := sealing.New(sealing.Config{DB: db, Keys: h.keys, Blobs: blobs, Outbox: h.box, Words: words, Post: post,
		Spool: filepath.Join(h.dir, "spool"), Origin: origin, Log: log})
	next, err := relay.New(relay.Config{Addr: h.hop.addr, TLS: relay.None, Hello: "gw.example.org", Timeout: 20 * time.Second})
	check(err)
	c := gateway.Config{DB: db, Accounts: h.accounts, Keys: h.keys, Sealing: seal, Outbox: h.box, Post: post, Next: next,
		Spool: filepath.Join(h.dir, "spool"), Hostname: "gw.example.org", Log: log}
	sc := smtpd.Config{Hostname: "gw.example.org", MaxSize: 64 << 20, Log: log}
	if set != nil {
		set(&c, &sc)
	}
	g := gateway.New(c)
	server := smtpd.New(sc, g)
	h.server = server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	h.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(ctx, l) })
	wg.Go(func() { g.Run(ctx) })
	wg.Go(func() { h.box.Run(ctx, next, post.Bounced) })
	t.Cleanup(func() {
		cut, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		server.Shutdown(cut)
		cancel()
		wg.Wait()
		next.Close()
	})
	for n, domain := range map[int64]string{100042: "example.org", 100043: "example.com"} {
		_, err := h.accounts.CreateAccount(t.Context(), h.root, account.NewAccount{Number: n, Name: "Example Health", Language: "en", TimeZone: "UTC", ExpiryDays: 30, KeepDays: 14})
		check(err)
		_, _, err = h.accounts.AddDomain(t.Context(), h.root, n, domain)
		check(err)
	}
	h.upstream(account.NewUpstream{Name: "local", Networks: []string{"127.0.0.1"}})
	return h
}

func (h *house) upstream(n account.NewUpstream) id.Token {
	h.t.Helper()
	secret, err := h.accounts.AddUpstream(h.t.Context(), h.root, 100042, n)
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

func (h *house) rules(text string) {
	h.t.Helper()
	if _, err := h.accounts.SetRules(h.t.Context(), h.root, 100042, text); err != nil {
		h.t.Fatal(err)
	}
}

// client is an upstream's connection.
type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func (h *house) dial() *client {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	x := &client{h.t, c, bufio.NewReader(c)}
	x.reply()
	x.say("EHLO mta.example.org")
	return x
}

func (x *client) reply() string {
	x.t.Helper()
	x.c.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		s, err := x.r.ReadString('\n')
		if err != nil {
			return "(" + err.Error() + ")"
		}
		if s[3] == ' ' {
			return strings.TrimSpace(s)
		}
	}
}

func (x *client) say(s string) string {
	x.t.Helper()
	fmt.Fprintf(x.c, "%s\r\n", s)
	return x.reply()
}

// send is one transaction, and returns the last answer.
func (x *client) send(from, raw string, to ...string) string {
	x.t.Helper()
	if r := x.say("MAIL FROM:<" + from + "> BODY=8BITMIME SMTPUTF8"); r[0] != '2' {
		return r
	}
	for _, a := range to {
		if r := x.say("RCPT TO:<" + a + ">"); r[0] != '2' {
			x.say("RSET")
			return r
		}
	}
	if r := x.say("DATA"); r[0] != '3' {
		return r
	}
	go io.WriteString(x.c, strings.ReplaceAll("\n"+raw, "\n.", "\n..")[1:]+".\r\n")
	return x.reply()
}

// send is one transaction on a connection of its own.
func (h *house) send(from, raw string, to ...string) string {
	h.t.Helper()
	x := h.dial()
	defer x.c.Close()
	return x.send(from, raw, to...)
}

func (h *house) sent(reply string) {
	h.t.Helper()
	if !strings.HasPrefix(reply, "250 ") {
		h.t.Fatalf("not taken: %s", reply)
	}
}

// nextHop is a mail server that keeps what it takes, and refuses what it is told to.
type nextHop struct {
	addr string

	mu   sync.Mutex // guards the rest
	got  []taken
	rcpt func(to string) error
	data func() error
}

type taken struct {
	from, to string
	raw      string
	opts     smtpd.MailOptions
}

func newHop(t testing.TB) *nextHop {
	t.Helper()
	n := &nextHop{}
	s := smtpd.New(smtpd.Config{Hostname: "next.test", MaxSize: 200 << 20, MaxPerNetwork: 200, Log: slog.New(slog.DiscardHandler)}, n)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	go s.Serve(context.Background(), l)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return n
}

func (n *nextHop) all() []taken {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]taken(nil), n.got...)
}

// to waits for the mails that an address gets.
func (n *nextHop) to(t testing.TB, address string, atLeast int) (out []taken) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		out = nil
		for _, m := range n.all() {
			if m.to == address {
				out = append(out, m)
			}
		}
		if len(out) >= atLeast {
			return out
		}
		if time.Now().After(end) {
			t.Fatalf("%d mails for %s, want %d", len(out), address, atLeast)
		}
	}
}

func (n *nextHop) refuse(rcpt func(string) error, data func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rcpt, n.data = rcpt, data
}

func (n *nextHop) Connect(context.Context, *smtpd.Peer) (smtpd.Session, error) {
	return &hopSession{n: n}, nil
}

type hopSession struct {
	n    *nextHop
	from smtpd.Path
	opts smtpd.MailOptions
	to   []mailaddr.Address
}

func (s *hopSession) AuthOffered() bool                          { return false }
func (s *hopSession) Auth(context.Context, string, string) error { return nil }
func (s *hopSession) Mail(_ context.Context, from smtpd.Path, o smtpd.MailOptions) error {
	s.from, s.opts = from, o
	return nil
}

func (s *hopSession) Rcpt(_ context.Context, to mailaddr.Address, _ smtpd.RcptOptions) error {
	s.n.mu.Lock()
	refuse := s.n.rcpt
	s.n.mu.Unlock()
	if refuse != nil {
		if err := refuse(to.String()); err != nil {
			return err
		}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *hopSession) Data(_ context.Context, body io.Reader) (*smtpd.Reply, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.n.data != nil {
		if err := s.n.data(); err != nil {
			return nil, err
		}
	}
	for _, to := range s.to {
		s.n.got = append(s.n.got, taken{s.from.Address.Wire(), to.String(), string(raw), s.opts})
	}
	return &smtpd.Reply{Code: 250, Enhanced: "2.0.0", Text: "queued as 4711"}, nil
}

func (s *hopSession) Reset() { s.from, s.to, s.opts = smtpd.Path{}, nil, smtpd.MailOptions{} }
func (s *hopSession) Close() {}

// file is the envelope that a mail carries, "" where it carries none.
func file(t testing.TB, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	typ, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if typ != "multipart/mixed" {
		return ""
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if err != nil {
			return ""
		}
		if _, d, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition")); strings.HasPrefix(d["filename"], "securedoc_") {
			b, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
}

// open opens the envelope of a mail as its recipient, through the key server.
func (h *house) open(raw, address string) (*envelope.Manifest, string) {
	h.t.Helper()
	check := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	html := file(h.t, raw)
	if html == "" {
		h.t.Fatalf("no envelope in %.500s", raw)
	}
	in, part, err := envelope.FindArmor(strings.NewReader(html))
	check(err)
	e, err := envelope.Parse(in, 1<<30)
	check(err)
	v, _ := h.recipient(raw, address)
	rel, err := h.keys.Release(h.t.Context(), v, e.Slot)
	check(err)
	content, err := e.Open(rel.S, part.E, &envelope.Record{HH: rel.HH, PH: rel.PH})
	check(err)
	var out strings.Builder
	check(content.WriteMessage(&out))
	return content.Manifest, out.String()
}

// recipient is a session that has proved a mail and its address, and the reference.
func (h *house) recipient(raw, address string) (keyserver.Visitor, string) {
	h.t.Helper()
	check := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	in, part, err := envelope.FindArmor(strings.NewReader(file(h.t, raw)))
	check(err)
	e, err := envelope.Parse(in, 1<<30)
	check(err)
	token := id.NewToken()
	check(h.db.Update(h.t.Context(), func(tx *store.Tx) error {
		return tx.InsertSession(store.Session{TokenHash: token.Hash(), Scope: store.ScopeVisitor, Address: mailaddr.MustParse(address).Canonical(),
			Nonce: strings.Repeat("00", 32), Client: "test", ExpiresAt: tx.Now.Add(time.Hour)})
	}))
	v := keyserver.Visitor{Session: token.Hash(), Origin: "192.0.2.7"}
	ch, err := h.keys.Challenge(h.t.Context(), v, e.Slot)
	check(err)
	proof := envelope.Possession(envelope.Pop(part.E, e.Slot, e.HH), ch.Nonce)
	ref, err := h.keys.Prove(h.t.Context(), v, e.Slot, proof[:])
	check(err)
	return v, ref
}

// transits are what the gateway recorded of a Message-ID.
func (h *house) transits(messageID string) []account.Transit {
	h.t.Helper()
	list, err := h.accounts.Transits(h.t.Context(), h.root, 0, messageID)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}
