// Package api is the JSON door to what the pages do: the opening pages' scripts
// come here with the cookie, the command line with a bearer token. Both pass
// the same rules and get the same texts, in the language of Accept-Language.
//
// Identifiers are lower-case hex. Keys, hashes and other bytes are base64url
// without padding. Times are RFC 3339 in UTC. Requests are application/json,
// at most 1 MiB, without unknown members; failures are application/problem+json
// (RFC 9457) with the catalogue key in "key".
package api

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/web"
)

// Config is what the API is made of.
type Config struct {
	Kit      *web.Kit
	Accounts *account.Service
	Keys     *keyserver.Service
	Now      func() time.Time
}

type api struct{ Config }

// maxRegistration bounds a registration: 500 recipients with their headers.
const maxRegistration = 4 << 20

// Register adds the API's addresses to the kit.
func Register(c Config) {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &api{c}
	k := c.Kit
	k.HandleJSON("GET /api/v1/server", a.server, web.Public, web.AnyScope())
	k.HandleJSON("POST /api/v1/visit", a.visit, web.Public)
	k.HandleJSON("POST /api/v1/session", a.signIn, web.Public, web.AnyScope())
	k.HandleJSON("POST /api/v1/session/second", a.second, web.SignedIn, web.AnyScope())
	k.HandleJSON("DELETE /api/v1/session", a.signOut, web.Public, web.AnyScope())
	k.HandleJSON("POST /api/v1/messages", a.register, web.SignedIn, web.Body(maxRegistration))
	k.HandleJSON("POST /api/v1/open/challenge", a.challenge, web.Visitor)
	k.HandleJSON("POST /api/v1/open/possession", a.possession, web.Visitor)
	k.HandleJSON("POST /api/v1/open/code", a.code, web.Visitor)
	k.HandleJSON("POST /api/v1/open/verify", a.verify, web.Visitor)
	k.HandleJSON("POST /api/v1/open/release", a.release, web.Visitor)
	k.HandleJSON("GET /api/v1/open/envelope/{slot}", a.ciphertext, web.Public)
	a.registerLarges()
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// bytesOf reads base64url of exactly n bytes; n < 0 is any number.
func bytesOf(field, s string, n int) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || (n >= 0 && len(b) != n) {
		return nil, badField(field, err)
	}
	return b, nil
}

func badField(field string, err error) error {
	return fault.New(fault.Invalid, "api.badjson").In(field, "api.badfield", fault.Args{"name": field}).Because(err)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *api) server(r *web.Request) error {
	key, err := a.Keys.SealKey(r.Context())
	if err != nil {
		return err
	}
	out := struct {
		Origin  string `json:"origin"`
		SealKey string `json:"seal_key"`
		Online  bool   `json:"online"` // envelopes of the caller's account say that the server may open them
	}{Origin: a.Kit.Origin(), SealKey: b64(key)}
	if r.Session.SignedIn() && r.Session.Account != nil {
		settings, err := policy.ReadSettings(r.Session.Account.Settings)
		if err != nil {
			return err
		}
		out.Online = !settings.NoOnline
	}
	return r.JSON(out)
}

type sessionOut struct {
	Token     string   `json:"token"`
	Scope     string   `json:"scope"`
	ExpiresAt string   `json:"expires_at"`
	User      *userOut `json:"user,omitempty"`
}

type userOut struct {
	Email   string `json:"email"`
	Name    string `json:"name"`
	Account int64  `json:"account,omitempty"`
}

// visit begins a visitor's session for a program: browsers get theirs with the
// first thing that they post.
func (a *api) visit(r *web.Request) error {
	if err := r.ReadJSON(&struct{}{}); err != nil {
		return err
	}
	s, err := a.Accounts.Visit(r.Context(), r.UserAgent(), r.Client())
	if err != nil {
		return err
	}
	return r.JSON(sessionOf(s))
}

func (a *api) signIn(r *web.Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	s, err := a.Accounts.SignIn(r.Context(), nil, in.Email, in.Password, r.Client(), r.UserAgent())
	if err != nil {
		return err
	}
	return r.JSON(sessionOf(s))
}

// second takes a code of an authenticator app or a recovery code, of who is
// signing in (scope "second") or proves it again. The session goes on under
// another token.
func (a *api) second(r *web.Request) error {
	var in struct {
		Code string `json:"code"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	s, err := a.Accounts.ProveSecond(r.Context(), r.Session, in.Code)
	if err != nil {
		return err
	}
	if r.Header.Get("Authorization") == "" {
		r.SetSession(s)
	}
	return r.JSON(sessionOf(s))
}

func sessionOf(s *account.Session) sessionOut {
	out := sessionOut{Token: s.Token.Reveal(), Scope: s.Scope, ExpiresAt: stamp(s.ExpiresAt)}
	if s.User != nil {
		out.User = &userOut{s.User.DisplayAddress, s.User.Name(), s.User.AccountID}
	}
	return out
}

func (a *api) signOut(r *web.Request) error {
	if r.Session == nil {
		return fault.New(fault.Unauthenticated, "sess.h1")
	}
	if err := a.Accounts.SignOut(r.Context(), r.Session); err != nil {
		return err
	}
	if r.Header.Get("Authorization") == "" {
		r.EndSession()
	}
	return r.JSON(struct{}{})
}

type slotIn struct {
	Slot    string `json:"slot"`
	Address string `json:"address"`
	RH      string `json:"rh"`
	Wrap    string `json:"wrap"`
	S       string `json:"s"`
	Pop     string `json:"pop"`
}

// register takes the service's halves of an envelope that was sealed elsewhere.
// The payload stays with the sender, who has the file.
func (a *api) register(r *web.Request) error {
	var in struct {
		MH          string   `json:"mh"`
		HH          string   `json:"hh"`
		PH          string   `json:"ph"`
		PayloadSize int64    `json:"payload_size"`
		Subject     string   `json:"subject"`
		Note        string   `json:"note"`
		ExpiresAt   string   `json:"expires_at"`
		Level       string   `json:"level"`
		Passphrase  bool     `json:"passphrase"` // the sender masked the other half with one
		Slots       []slotIn `json:"slots"`
	}
	if err := r.ReadJSON(&in); err != nil {
		return err
	}
	if in.Level != "" && !policy.IsLevel(in.Level) {
		return badField("level", nil)
	}
	u, acc := r.User(), r.Session.Account
	if acc == nil {
		return fault.New(fault.Denied, "api.noaccount")
	}
	sender, err := mailaddr.Parse(u.DisplayAddress)
	if err != nil {
		return err
	}
	verified, err := a.Accounts.Verified(r.Context(), acc.ID, u.ID, sender)
	if err != nil {
		return err
	}
	m := keyserver.NewMessage{
		AccountID: acc.ID, Subject: in.Subject, Note: in.Note, PayloadSize: in.PayloadSize,
		Sender:       keyserver.Sender{UserID: u.ID, Address: sender.Canonical(), Name: u.Name(), Verified: verified},
		NotifyOpened: u.NotifyOpened, Carrier: keyserver.CarrierFile, Permissions: policy.Permissions{Level: in.Level, Passphrase: in.Passphrase},
		Actor: keyserver.Actor{UserID: u.ID, Name: r.Actor().String(), Origin: r.Client(), AdminOf: r.Session.AdminOf},
	}
	if err := a.fill(&m, in.MH, in.HH, in.PH, in.Slots); err != nil {
		return err
	}
	if m.ExpiresAt, err = a.expiry(in.ExpiresAt, acc.ExpiryDays); err != nil {
		return err
	}
	reg, err := a.Keys.Register(r.Context(), m)
	if err != nil {
		return err
	}
	type slotOut struct {
		Slot string `json:"slot"`
		Ref  string `json:"ref"`
	}
	out := struct {
		Message string    `json:"message"`
		Seal    string    `json:"seal"`
		Slots   []slotOut `json:"slots"`
	}{reg.MessageID.String(), b64(reg.Seal[:]), []slotOut{}}
	for _, s := range reg.Slots {
		out.Slots = append(out.Slots, slotOut{s.SlotID.String(), s.Ref})
	}
	return r.JSON(out)
}

// expiry reads a time; without one the account's days count from now, 0 for no end.
func (a *api) expiry(s string, days int) (time.Time, error) {
	if s == "" && days == 0 {
		return time.Time{}, nil
	}
	if s == "" {
		return a.Now().AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, badField("expires_at", err)
	}
	return t, nil
}

func (a *api) fill(m *keyserver.NewMessage, mh, hh, ph string, slots []slotIn) error {
	var err error
	if m.MH, err = bytesOf("mh", mh, -1); err != nil {
		return err
	}
	for _, f := range []struct {
		name, value string
		into        *[32]byte
	}{{"hh", hh, &m.HH}, {"ph", ph, &m.PH}} {
		b, err := bytesOf(f.name, f.value, 32)
		if err != nil {
			return err
		}
		*f.into = [32]byte(b)
	}
	for i, in := range slots {
		s, err := in.read()
		if err != nil {
			return fault.Of(err).Because(fmt.Errorf("slot %d: %w", i, err))
		}
		m.Slots = append(m.Slots, s)
	}
	return nil
}

func (in slotIn) read() (s keyserver.NewSlot, err error) {
	if s.ID, err = envelope.ParseSlotID(in.Slot); err != nil {
		return s, badField("slot", err)
	}
	if s.Address, err = mailaddr.Parse(in.Address); err != nil {
		return s, fault.New(fault.Invalid, "new.badrecipient").With("email", in.Address).
			In("address", "new.badrecipient", fault.Args{"email": in.Address}).Because(err)
	}
	if s.RH, err = bytesOf("rh", in.RH, -1); err != nil {
		return s, err
	}
	wrap, err := bytesOf("wrap", in.Wrap, 48)
	if err != nil {
		return s, err
	}
	s.Wrap = [48]byte(wrap)
	if s.S, err = envelope.ParseSecret(in.S); err != nil {
		return s, badField("s", nil) // the cause could hold what was meant to be a key
	}
	pop, err := bytesOf("pop", in.Pop, 32)
	if err != nil {
		return s, err
	}
	s.Pop = [32]byte(pop)
	return s, nil
}
