// Package webtest is a kit for tests of pages and of the API: the real services
// on a database of their own behind a real HTTP server, a browser without
// script, and envelopes to open. What would be mailed is kept for the test.
package webtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// Account is the number of the account that every house has, Admin and User the
// addresses of two of its people, Password theirs.
const (
	Account  = 100042
	Admin    = "ana@example.org"
	User     = "claire.roux@example.org"
	Password = "correct horse battery staple 42"
)

// House is a service with an account, an administrator and a user.
type House struct {
	DB       *store.DB
	Root     *masterkey.Root
	Blobs    *blob.Store
	Accounts *account.Service
	Keys     *keyserver.Service
	Kit      *web.Kit
	Origin   string
	Log      *bytes.Buffer // what the kit logged

	server *httptest.Server
	file   string // of the database

	mu    sync.Mutex
	codes []string // mailed, the newest last

	invited string // path of the invitation that was mailed last
	linked  string // and of the link that sets a password
}

// New returns a house whose kit has no addresses but its own yet.
func New(t testing.TB) *House {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pli.db")
	db, err := store.Open(t.Context(), "sqlite:"+file)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	h := On(t, db)
	h.file = file
	return h
}

// On is New on a database that is there already, and has nobody in it yet.
func On(t testing.TB, db *store.DB) *House {
	t.Helper()
	h := &House{DB: db, Log: &bytes.Buffer{}, server: httptest.NewUnstartedServer(nil)}
	h.Origin = "http://" + h.server.Listener.Addr().String()
	dir := t.TempDir()
	key := filepath.Join(dir, "root.key")
	_, err := masterkey.Create(key)
	must(t, err)
	h.Root, err = masterkey.Open(key)
	must(t, err)
	h.Blobs, err = blob.New(filepath.Join(dir, "blobs"))
	must(t, err)
	log := slog.New(slog.NewTextHandler(&locked{h: h}, nil))
	catalogue, err := i18n.Load()
	must(t, err)
	h.Accounts = account.New(account.Config{DB: h.DB, Root: h.Root, Origin: h.Origin, Post: accountPost{h}, Log: log,
		Hash: account.HashCost{Memory: 64, Passes: 1}, DNS: emptyDNS{}, Blobs: h.Blobs, Catalogue: catalogue})
	h.Keys = keyserver.New(keyserver.Config{DB: h.DB, Root: h.Root, Blobs: h.Blobs, Origin: h.Origin, Post: keyPost{h}, Log: log})
	h.Kit, err = web.New(web.Config{Accounts: h.Accounts, Catalogue: catalogue, Root: h.Root, Origin: h.Origin, Version: "test", Log: log})
	must(t, err)
	h.server.Config.Handler = h.Kit
	h.server.Start()
	t.Cleanup(h.server.Close)
	h.people(t)
	return h
}

func (h *House) people(t testing.TB) {
	ctx, op := t.Context(), account.Operator("test")
	_, err := h.Accounts.CreateAccount(ctx, op, account.NewAccount{Number: Account, Name: "Example Health", Language: "en",
		TimeZone: "Europe/Paris", ExpiryDays: 30, KeepDays: 14})
	must(t, err)
	_, err = h.Accounts.AddAdministrator(ctx, op, Account, account.NewUser{Address: Admin, FirstName: "Ana", LastName: "Silva",
		Password: Password, Confirm: Password, Own: true}, false)
	must(t, err)
	_, err = h.Accounts.AddUser(ctx, op, Account, account.NewUser{Address: User, FirstName: "Claire", LastName: "Roux",
		Password: Password, Confirm: Password, Own: true})
	must(t, err)
	_, err = h.Accounts.AddUser(ctx, op, Account, account.NewUser{Address: "paul@example.org", FirstName: "Paul", LastName: "Petit",
		Password: Password, Confirm: Password, EnforceExpiry: true})
	must(t, err)
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// Code is the code that was mailed last.
func (h *House) Code(t testing.TB) string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.codes) == 0 {
		t.Fatal("no code was mailed")
	}
	return h.codes[len(h.codes)-1]
}

// Invited is the path of the invitation that was mailed last.
func (h *House) Invited() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.invited
}

// Codes counts the codes that were mailed.
func (h *House) Codes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.codes)
}

func (h *House) mailed(code string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.codes = append(h.codes, code)
	return nil
}

type locked struct{ h *House }

func (l *locked) Write(b []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.Log.Write(b)
}

// Logged is what was logged so far.
func (h *House) Logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Log.String()
}

// emptyDNS has no records.
type emptyDNS struct{}

func (emptyDNS) TXT(context.Context, string) ([]string, error) { return nil, nil }

type keyPost struct{ h *House }

// The id of what was forwarded is found as a code is.
func (p keyPost) Forwarded(_ *store.Tx, f keyserver.ForwardedLetter) error {
	return p.h.mailed(f.Stage)
}

func (p keyPost) Code(_ *store.Tx, c keyserver.CodeLetter) error       { return p.h.mailed(c.Code) }
func (keyPost) Opened(*store.Tx, keyserver.OpenedLetter) error         { return nil }
func (keyPost) Reminder(*store.Tx, keyserver.ReminderLetter) error     { return nil }
func (keyPost) Unread(*store.Tx, keyserver.UnreadLetter) error         { return nil }
func (keyPost) Resend(*store.Tx, keyserver.ResendLetter) (bool, error) { return true, nil }
func (keyPost) Reported(*store.Tx, keyserver.ReportLetter) error       { return nil }
func (keyPost) Wake()                                                  {}

type accountPost struct{ h *House }

func (p accountPost) Code(_ *store.Tx, l account.CodeLetter) error { return p.h.mailed(l.Code) }
func (p accountPost) Invitation(_ *store.Tx, l account.InvitationLetter) error {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.invited = "/invite/" + l.Token.Reveal()
	return nil
}
func (accountPost) AccountNotice(*store.Tx, account.AccountLetter) error           { return nil }
func (accountPost) AdminAdded(*store.Tx, account.AdminAddedLetter) error           { return nil }
func (accountPost) WebhookOff(*store.Tx, account.WebhookOffLetter) error           { return nil }
func (accountPost) Joined(*store.Tx, account.JoinedLetter) error                   { return nil }
func (accountPost) AccessRequested(*store.Tx, account.AccessRequestedLetter) error { return nil }
func (accountPost) AccessDecided(*store.Tx, account.AccessDecidedLetter) error     { return nil }
func (accountPost) PasswordChanged(*store.Tx, account.PasswordChangedLetter) error { return nil }
func (p accountPost) PasswordLink(_ *store.Tx, l account.PasswordLinkLetter) error {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.linked = "/reset/" + l.Token.Reveal()
	return nil
}
func (accountPost) FactorChanged(*store.Tx, account.FactorLetter) error { return nil }

// Envelope is one recipient's envelope, as their mail holds it.
type Envelope struct {
	Slot envelope.Slot
	Ref  string
	HH   [32]byte
	File []byte // the bare binary
}

// Mail is a message to seal: raw is RFC 5322.
type Mail struct {
	To      string
	Subject string
	Note    string
	Raw     string
	NotKept bool      // the service keeps no ciphertext
	Online  bool      // its header lets the server open it
	Expires time.Time // zero: never
	Origin  string    // of the key server; the house's when empty
	Level   string    // policy.Low and so on
	Forward *bool     // whether recipients may pass it on; nil: not said
}

// Send seals a message from User and registers it.
func (h *House) Send(t testing.TB, m Mail) Envelope {
	t.Helper()
	ctx := t.Context()
	if m.Origin == "" {
		m.Origin = h.Origin
	}
	raw := strings.ReplaceAll(m.Raw, "\n", "\r\n")
	manifest, err := message.Index(strings.NewReader(raw))
	must(t, err)
	var mid envelope.MessageID
	rand.Read(mid[:])
	header := envelope.Header{ID: mid, Origin: m.Origin, SealedAt: time.Now().UTC().Truncate(time.Second)}
	if m.Online {
		header.Policy = envelope.PolicyServerMayOpen
	}
	sealer, err := envelope.NewSealer(header)
	must(t, err)
	w, err := h.Blobs.Create(ctx)
	must(t, err)
	var payload bytes.Buffer
	p, err := sealer.Seal(io.MultiWriter(w, &payload), manifest, strings.NewReader(raw))
	must(t, err)
	name, err := w.Commit()
	must(t, err)
	slot, err := sealer.NewSlot("")
	must(t, err)
	if m.Origin != h.Origin { // nobody here knows it
		return Envelope{Slot: slot, HH: sealer.HH(), File: append(envelope.Head(sealer.MH(), slot.RH, slot.Wrap, [64]byte{}, p.Size), payload.Bytes()...)}
	}
	var claire store.User
	must(t, h.DB.View(ctx, func(tx *store.Tx) (err error) { claire, err = tx.FindUserByAddress(User); return err }))
	nm := keyserver.NewMessage{
		AccountID: Account, Sender: keyserver.Sender{UserID: claire.ID, Address: User, Name: "Claire Roux", Verified: true},
		Subject: m.Subject, Note: m.Note, MH: sealer.MH(), HH: sealer.HH(), PH: p.Hash, PayloadSize: p.Size,
		Payload: name, KeepUntil: time.Now().AddDate(0, 0, 14), ExpiresAt: m.Expires, Carrier: keyserver.CarrierMail,
		Permissions: policy.Permissions{Level: m.Level, Forward: m.Forward},
		Slots:       []keyserver.NewSlot{{ID: slot.ID, Address: mailaddr.MustParse(m.To), RH: slot.RH, Wrap: slot.Wrap, S: slot.S, Pop: slot.Pop}},
		Actor:       keyserver.Actor{UserID: claire.ID, Name: "user:" + User, Origin: "test"},
	}
	if m.NotKept {
		nm.Payload, nm.KeepUntil, nm.Carrier = "", time.Time{}, keyserver.CarrierFile
	}
	reg, err := h.Keys.Register(ctx, nm)
	must(t, err)
	return Envelope{Slot: slot, Ref: reg.Slots[0].Ref, HH: sealer.HH(),
		File: append(envelope.Head(sealer.MH(), slot.RH, slot.Wrap, reg.Seal, p.Size), payload.Bytes()...)}
}

// MessageOf returns the id of an envelope's message.
func (h *House) MessageOf(t testing.TB, e Envelope) string {
	t.Helper()
	parsed, err := envelope.Parse(bytes.NewReader(e.File), 1<<30)
	must(t, err)
	return parsed.Header.ID.String()
}

// Armor is an envelope's file as text, with its key part.
func (e Envelope) Armor(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "<script type=\"application/x-pli-part\" id=\"part\">%s</script>\n", e.Slot.E.Base64())
	w := envelope.NewArmorWriter(&b)
	_, err := w.Write(e.File)
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// Browser is a browser without script: cookies, forms, no redirect followed by itself.
type Browser struct {
	h      *House
	client *http.Client
	Header http.Header // sent with every request
}

// Browser returns one without cookies.
func (h *House) Browser(t testing.TB) *Browser {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &Browser{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, http.Header{}}
}

// SignIn gives the browser the session of address.
func (b *Browser) SignIn(t testing.TB, address string) *account.Session {
	t.Helper()
	s, err := b.h.Accounts.SignIn(context.Background(), nil, address, Password, "192.0.2.1", "test")
	must(t, err)
	if s.Scope == store.ScopeFull {
		must(t, b.h.Accounts.Welcome(context.Background(), s))
	}
	u, err := url.Parse(b.h.Origin)
	must(t, err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "pli", Value: s.Token.Reveal(), Path: "/"}})
	return s
}

// Cookie returns the value of a cookie, "" without one.
func (b *Browser) Cookie(name string) string {
	u, _ := url.Parse(b.h.Origin)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Answer is what came back, its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body into v.
func (a Answer) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// Do sends a request. A body that is url.Values is a form, a string is sent as
// kind says, anything else as JSON.
func (b *Browser) Do(t testing.TB, method, path string, body any, header ...string) Answer {
	t.Helper()
	var r io.Reader
	kind := ""
	switch v := body.(type) {
	case nil:
	case url.Values:
		r, kind = strings.NewReader(v.Encode()), "application/x-www-form-urlencoded"
	case string:
		r = strings.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		must(t, err)
		r, kind = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.h.Origin+path, r)
	must(t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for k, v := range b.Header {
		req.Header[k] = v
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(req)
	must(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	return Answer{res.StatusCode, res.Header, string(raw)}
}

// Get asks for a page.
func (b *Browser) Get(t testing.TB, path string) Answer { t.Helper(); return b.Do(t, "GET", path, nil) }

// Post sends a form of name, value, name, value…
func (b *Browser) Post(t testing.TB, path string, pairs ...string) Answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.Do(t, "POST", path, form)
}
