package api_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/api"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

func house(t *testing.T) *webtest.House {
	t.Helper()
	h := webtest.New(t)
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	words, err := notice.New(catalogue, h.Origin)
	if err != nil {
		t.Fatal(err)
	}
	box := outbox.New(outbox.Config{DB: h.DB, Root: h.Root, Blobs: h.Blobs, Log: slog.New(slog.DiscardHandler)})
	post := &sealing.Postman{Outbox: box, Words: words, From: message.Mailbox{Name: "Pli", Addr: mailaddr.MustParse("envelopes@pli.example")}}
	seal := sealing.New(sealing.Config{DB: h.DB, Keys: h.Keys, Blobs: h.Blobs, Outbox: box, Words: words, Post: post, Spool: t.TempDir(), Origin: h.Origin, Log: slog.New(slog.DiscardHandler)})
	if err := api.Register(api.Config{Kit: h.Kit, Accounts: h.Accounts, Keys: h.Keys, Sealing: seal}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Accounts.AddDomain(t.Context(), account.Operator("test"), webtest.Account, "example.org"); err != nil {
		t.Fatal(err)
	}
	return h
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

type problem struct {
	Title, Key, Detail string
	Status             int
	Fields             []struct{ Name, Key, Detail string }
}

func refused(t *testing.T, a webtest.Answer, status int, key string) {
	t.Helper()
	var p problem
	a.JSON(t, &p)
	if a.Status != status || p.Status != status || p.Key != key || p.Detail == "" || p.Detail == key || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, key)
	}
}

// bearer is a program that has signed in.
func bearer(t *testing.T, h *webtest.House, address string) *webtest.Browser {
	t.Helper()
	b := h.Browser(t)
	var s struct {
		Token, Scope string
		ExpiresAt    time.Time `json:"expires_at"`
		User         struct {
			Email   string
			Account int64
		}
	}
	b.Do(t, "POST", "/api/v1/session", map[string]string{"email": address, "password": webtest.Password}).JSON(t, &s)
	if s.Token == "" || s.User.Email != address || s.User.Account != webtest.Account || time.Until(s.ExpiresAt) < time.Hour {
		t.Fatalf("session: %+v", s)
	}
	b.Header.Set("Authorization", "Bearer "+s.Token)
	return b
}

func TestSession(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.Header.Set("Accept-Language", "fr")
	a := b.Do(t, "POST", "/api/v1/session", map[string]string{"email": webtest.User, "password": "wrong"})
	refused(t, a, 401, "si.bad")
	if !strings.Contains(a.Body, "L'adresse ou le mot de passe") {
		t.Errorf("not in French: %s", a.Body)
	}
	if b.Cookie("pli") != "" {
		t.Error("a program got a cookie")
	}
	ana := bearer(t, h, webtest.Admin)
	if a := ana.Do(t, "DELETE", "/api/v1/session", nil); a.Status != 200 {
		t.Fatalf("sign out: %d %s", a.Status, a.Body)
	}
	refused(t, ana.Do(t, "DELETE", "/api/v1/session", nil), 401, "sess.h1")
	refused(t, ana.Do(t, "POST", "/api/v1/open/release", map[string]string{"slot": strings.Repeat("0", 32)}), 401, "sess.h1")
	// AT-50: a password alone opens nothing for who has a second factor.
	seed, recovery := h.Authenticator(t, webtest.Admin)
	half := h.Browser(t)
	var s struct{ Token, Scope string }
	for _, code := range []string{webtest.AppCode(t, seed, 1), recovery[0]} {
		half.Header.Del("Authorization")
		half.Do(t, "POST", "/api/v1/session", map[string]string{"email": webtest.Admin, "password": webtest.Password}).JSON(t, &s)
		if s.Scope != "second" {
			t.Fatalf("%+v", s)
		}
		half.Header.Set("Authorization", "Bearer "+s.Token)
		refused(t, half.Do(t, "POST", "/api/v1/messages", struct{}{}), 403, "second.first")
		refused(t, half.Do(t, "POST", "/api/v1/open/release", map[string]string{"slot": strings.Repeat("0", 32)}), 403, "second.first")
		refused(t, half.Do(t, "POST", "/api/v1/session/second", map[string]string{"code": "12345"}), 422, "second.wrong")
		half.Do(t, "POST", "/api/v1/session/second", map[string]string{"code": code}).JSON(t, &s)
		if s.Scope != "full" {
			t.Fatalf("%+v", s)
		}
		refused(t, half.Do(t, "POST", "/api/v1/session/second", map[string]string{"code": code}), 401, "sess.h1") // the token of before
	}
	// AT-42: a temporary password opens nothing here but its end.
	paul := h.Browser(t)
	paul.SignIn(t, "paul@example.org")
	refused(t, paul.Do(t, "POST", "/api/v1/messages", struct{}{}), 403, "si.mustchange")
	refused(t, paul.Do(t, "POST", "/api/v1/open/release", map[string]string{"slot": strings.Repeat("0", 32)}), 403, "si.mustchange")
	if a := paul.Do(t, "DELETE", "/api/v1/session", nil); a.Status != 200 || !strings.Contains(a.Header.Get("Clear-Site-Data"), "storage") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

const raw = "From: claire.roux@example.org\r\nSubject: From the terminal\r\n\r\nAll is well.\r\n"

// sealAtHome makes an envelope for jean@example.net, and what registers it.
func sealAtHome(t *testing.T, origin string) (in map[string]any, mid envelope.MessageID, hh [32]byte, p envelope.Payload, slot envelope.Slot) {
	t.Helper()
	manifest, err := message.Index(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	rand.Read(mid[:])
	sealer, err := envelope.NewSealer(envelope.Header{ID: mid, Origin: origin, SealedAt: time.Now().Truncate(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = sealer.Seal(io.Discard, manifest, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if slot, err = sealer.NewSlot(""); err != nil {
		t.Fatal(err)
	}
	hh = sealer.HH()
	in = map[string]any{"mh": b64(sealer.MH()), "hh": b64(hh[:]), "ph": b64(p.Hash[:]), "payload_size": p.Size, "subject": "From the terminal", "note": "",
		"slots": []map[string]string{{"slot": slot.ID.String(), "address": "jean@example.net", "rh": b64(slot.RH), "wrap": b64(slot.Wrap[:]),
			"s": slot.S.Base64(), "pop": b64(slot.Pop[:])}}}
	return in, mid, hh, p, slot
}

// A user whom another account has made at an address of this account's domain
// is not verified, sealing at home either (AT-59).
func TestOtherAccountsDomain(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	if _, err := h.Accounts.CreateAccount(ctx, op, account.NewAccount{Number: 100043, Name: "Other", Language: "en", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Accounts.AddUser(ctx, op, 100043, account.NewUser{Address: "ceo@example.org", Password: webtest.Password, Confirm: webtest.Password}); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{webtest.User: true, "ceo@example.org": false} {
		b := h.Browser(t)
		var session struct{ Token string }
		b.Do(t, "POST", "/api/v1/session", map[string]string{"email": address, "password": webtest.Password}).JSON(t, &session)
		b.Header.Set("Authorization", "Bearer "+session.Token)
		in, mid, _, _, _ := sealAtHome(t, h.Origin)
		if a := b.Do(t, "POST", "/api/v1/messages", in); a.Status != 200 {
			t.Fatal(a.Body)
		}
		err := h.DB.View(ctx, func(tx *store.Tx) error {
			m, err := tx.FindMessage(mid.String())
			if m.Verified != want || m.SenderAddress != address {
				t.Errorf("%s: verified %v", m.SenderAddress, m.Verified)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The road of the command line: seal at home, register, prove, code, release.
func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	h := house(t)
	claire := bearer(t, h, webtest.User)
	var server struct {
		Origin  string
		SealKey string `json:"seal_key"`
	}
	h.Browser(t).Get(t, "/api/v1/server").JSON(t, &server)
	key, _ := base64.RawURLEncoding.DecodeString(server.SealKey)
	in, mid, hh, p, slot := sealAtHome(t, server.Origin)
	refused(t, h.Browser(t).Do(t, "POST", "/api/v1/messages", in), 401, "sess.h1")
	var out struct {
		Message, Seal string
		Slots         []struct{ Slot, Ref string }
	}
	a := claire.Do(t, "POST", "/api/v1/messages", in)
	a.JSON(t, &out)
	seal, _ := base64.RawURLEncoding.DecodeString(out.Seal)
	if a.Status != 200 || out.Message != mid.String() || len(out.Slots) != 1 || len(seal) != 64 ||
		!envelope.VerifySeal(ed25519.PublicKey(key), hh, p.Hash, [64]byte(seal)) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	refused(t, claire.Do(t, "POST", "/api/v1/messages", in), 409, "register.exists") // AT-13

	jean := h.Browser(t)
	var visit struct{ Token string }
	jean.Do(t, "POST", "/api/v1/visit", struct{}{}).JSON(t, &visit)
	jean.Header.Set("Authorization", "Bearer "+visit.Token)
	var c struct{ Nonce string }
	jean.Do(t, "POST", "/api/v1/open/challenge", map[string]string{"slot": slot.ID.String()}).JSON(t, &c)
	nonce, _ := base64.RawURLEncoding.DecodeString(c.Nonce)
	proof := envelope.Possession(slot.Pop, nonce)
	if a := jean.Do(t, "POST", "/api/v1/open/possession", map[string]string{"slot": slot.ID.String(), "proof": b64(proof[:])}); a.Status != 200 {
		t.Fatal(a.Body)
	}
	one := map[string]string{"slot": slot.ID.String()}
	refused(t, jean.Do(t, "POST", "/api/v1/open/release", one), 403, "release.code")
	a = jean.Do(t, "POST", "/api/v1/open/code", map[string]string{"ref": out.Slots[0].Ref})
	if a.Status != 200 || !strings.Contains(a.Body, "j•••@example.net") {
		t.Fatal(a.Body)
	}
	var verified struct{ Token string }
	jean.Do(t, "POST", "/api/v1/open/verify", map[string]string{"ref": out.Slots[0].Ref, "code": h.Code(t)}).JSON(t, &verified)
	refused(t, jean.Do(t, "POST", "/api/v1/open/release", one), 401, "sess.h1") // AT-43: the old token is dead
	jean.Header.Set("Authorization", "Bearer "+verified.Token)
	var rel struct {
		S, HH, PH string
		Sender    struct {
			Name, Organisation string
			Verified           bool
		}
		Kept bool
	}
	jean.Do(t, "POST", "/api/v1/open/release", one).JSON(t, &rel)
	if rel.S != slot.S.Base64() || rel.HH != b64(hh[:]) || rel.PH != b64(p.Hash[:]) || rel.Sender.Name != "Claire Roux" || !rel.Sender.Verified || rel.Kept {
		t.Errorf("release: %+v", rel)
	}
	refused(t, jean.Get(t, "/api/v1/open/envelope/"+slot.ID.String()), 410, "release.notkept")
}

// What cannot be read is refused by name, and no answer or log repeats a key.
func TestMalformed(t *testing.T) {
	t.Parallel()
	h := house(t)
	claire := bearer(t, h, webtest.User)
	secret := b64(bytes.Repeat([]byte{0xA5}, 31))
	slot := map[string]string{"slot": strings.Repeat("a", 32), "address": "jean@example.net", "rh": "", "wrap": b64(make([]byte, 48)),
		"s": b64(make([]byte, 32)), "pop": b64(make([]byte, 32))}
	with := func(name, value string) map[string]any {
		s := map[string]string{}
		for k, v := range slot {
			s[k] = v
		}
		if name != "" {
			s[name] = value
		}
		return map[string]any{"mh": "", "hh": b64(make([]byte, 32)), "ph": b64(make([]byte, 32)), "payload_size": 1, "subject": "", "note": "", "slots": []any{s}}
	}
	for name, value := range map[string]string{"slot": "xyz", "rh": "!", "wrap": "AA", "pop": "AA", "s": secret, "address": "nobody"} {
		a := claire.Do(t, "POST", "/api/v1/messages", with(name, value))
		var p problem
		a.JSON(t, &p)
		if a.Status != 422 || len(p.Fields) != 1 || p.Fields[0].Name != name {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if strings.Contains(a.Body+h.Logged(), secret) {
			t.Errorf("%s: a key is repeated", name)
		}
	}
	// An end that the account does not allow is refused: the envelope's header has promised it.
	late := with("", "")
	late["expires_at"] = time.Now().AddDate(0, 0, 32).Format(time.RFC3339)
	var p problem
	if a := claire.Do(t, "POST", "/api/v1/messages", late); a.Status != 422 {
		t.Errorf("a late end: %d %s", a.Status, a.Body)
	} else if a.JSON(t, &p); len(p.Fields) != 1 || p.Fields[0].Name != "expires_at" {
		t.Errorf("a late end: %s", a.Body)
	}
	b := h.Browser(t)
	for path, body := range map[string]any{
		"/api/v1/open/challenge":  map[string]string{"slot": "0"},
		"/api/v1/open/possession": map[string]string{"slot": strings.Repeat("0", 32), "proof": "x"},
		"/api/v1/open/code":       map[string]string{"ref": "O0"},
		"/api/v1/open/verify":     map[string]string{"ref": "O0", "code": "1"},
		"/api/v1/open/release":    map[string]string{"slot": strings.Repeat("G", 32)},
	} {
		if a := b.Do(t, "POST", path, body); a.Status != 422 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		if a := b.Do(t, "POST", path, `{}`, "Content-Type", "text/plain"); a.Status != 415 {
			t.Errorf("%s as text: %d", path, a.Status)
		}
	}
	refused(t, b.Get(t, "/api/v1/open/envelope/nonsense"), 404, "e404.p")
	refused(t, b.Get(t, "/api/v1/nothing"), 404, "e404.p")
}

// An act on all messages is asked for by that name: {"do":"lock"} alone is a
// filter that was forgotten.
func TestActOnAll(t *testing.T) {
	t.Parallel()
	h := house(t)
	admin := bearer(t, h, webtest.Admin)
	made(t, admin, "/api/v1/messages/send", map[string]any{"to": []string{"jean@example.net"}, "text": "x"})
	act := func(in map[string]any) webtest.Answer {
		in["do"] = "lock"
		return admin.Do(t, "POST", at("messages/act"), in)
	}
	refused(t, act(map[string]any{}), 422, "api.needsall")
	refused(t, act(map[string]any{"q": " ", "all": false}), 422, "api.needsall")
	var done struct{ Changed int }
	for _, step := range []struct {
		in   map[string]any
		want int
	}{{map[string]any{"sender": "nobody@example.org"}, 0}, {map[string]any{"all": true}, 1}} {
		a := act(step.in)
		if a.JSON(t, &done); a.Status != 200 || done.Changed != step.want {
			t.Errorf("%v: %d %s", step.in, a.Status, a.Body)
		}
	}
}

// A program is refused in the language that it asks for; without one in its person's.
func TestLanguageOfRefusals(t *testing.T) {
	t.Parallel()
	h := house(t)
	for _, b := range []*webtest.Browser{bearer(t, h, webtest.Admin), tokenOf(t, h, "users")} {
		for lang, want := range map[string]string{"fr": "Page introuvable", "en": "Page not found", "de": "Page not found"} {
			var p struct{ Title string }
			b.Do(t, "GET", at("users/nobody"), nil, "Accept-Language", lang).JSON(t, &p)
			if p.Title != want {
				t.Errorf("%s: %q", lang, p.Title)
			}
		}
	}
}

// A program's author reads in a refusal what was wrong with the call.
func TestRefusalsSayWhat(t *testing.T) {
	t.Parallel()
	h := house(t)
	admin := tokenOf(t, h, "users")
	for path, key := range map[string]string{"users?no-such=1": "api.noparameter", "users?limit=0": "api.range", "users?limit=501": "api.range",
		"users?limit=x": "api.badparameter", "users?status=zork": "api.badparameter", "users?after=!": "err.cursor"} {
		refused(t, admin.Do(t, "GET", at(path), nil), 422, key)
	}
	if a := admin.Do(t, "GET", at("users?limit=500"), nil); a.Status != 200 {
		t.Errorf("limit=500: %d %s", a.Status, a.Body)
	}
	for body, key := range map[string]string{`{}`: "api.missing", `{"name":"x","nmae":"y"}`: "api.nomember", `{"name":7}`: "api.badfield"} {
		var p problem
		a := admin.Do(t, "POST", at("groups"), body, "Content-Type", "application/json")
		if a.JSON(t, &p); a.Status != 422 || len(p.Fields) != 1 || p.Fields[0].Key != key {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	a := admin.Do(t, "PUT", at("users"), nil)
	refused(t, a, 405, "api.method")
	if !strings.Contains(a.Body, "GET") || a.Header.Get("Allow") == "" {
		t.Errorf("405 says %s, and allows %q", a.Body, a.Header.Get("Allow"))
	}
	forged := h.Browser(t).Do(t, "GET", at("users"), nil, "Authorization", "Bearer pli_"+strings.Repeat("A", 43))
	refused(t, forged, 401, "api.badtoken")
	if got := forged.Header.Get("WWW-Authenticate"); got != `Bearer realm="Pli", error="invalid_token"` {
		t.Errorf("a bad token is challenged with %q", got)
	}
	nobody := h.Browser(t).Do(t, "GET", at("users"), nil)
	refused(t, nobody, 401, "sess.h1")
	if got := nobody.Header.Get("WWW-Authenticate"); got != `Bearer realm="Pli"` {
		t.Errorf("nobody is challenged with %q", got)
	}
}
