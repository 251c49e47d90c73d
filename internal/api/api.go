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

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

// Config is what the API is made of.
type Config struct {
	Kit      *web.Kit
	Accounts *account.Service
	Keys     *keyserver.Service
	Sealing  *sealing.Service
	MaxFiles int64 // bytes of the files of a mail
	Version  string
	Now      func() time.Time
}

type api struct {
	Config
	operations []declared
}

// Register adds the API's addresses to the kit.
func Register(c Config) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &api{Config: c}
	handle(a, client.GetServer, a.server)
	handle(a, client.Visit, a.visit)
	handle(a, client.SignIn, a.signIn)
	handle(a, client.ProveSecond, a.second)
	handle(a, client.SignOut, a.signOut)
	handle(a, client.RegisterMessage, a.register)
	handle(a, client.NewLarge, a.newLarge)
	handle(a, client.GetLarge, a.largeState)
	handle(a, client.AppendLarge, a.appendLarge)
	handle(a, client.DropLarge, a.dropLarge)
	handle(a, client.AskChallenge, a.challenge)
	handle(a, client.ProvePossession, a.possession)
	handle(a, client.SendCode, a.code)
	handle(a, client.VerifyCode, a.verify)
	handle(a, client.Release, a.release)
	handle(a, client.TakeLease, a.takeLease)
	handle(a, client.CheckLease, a.checkLease)
	handle(a, client.GetCiphertext, a.ciphertext)
	handle(a, client.GetLargePiece, a.largePiece)
	handle(a, client.ListDomains, a.listDomains)
	handle(a, client.ClaimDomain, a.claimDomain)
	handle(a, client.GetDomain, a.getDomain)
	handle(a, client.CheckDomain, a.checkDomain)
	handle(a, client.ChangeDomain, a.changeDomain)
	handle(a, client.RemoveDomain, a.removeDomain)
	handle(a, client.MakeDKIMKey, a.makeKey)
	handle(a, client.RemoveDKIMKey, a.removeKey)
	handle(a, client.ListTokens, a.listTokens)
	handle(a, client.MakeToken, a.makeToken)
	handle(a, client.GetToken, a.getToken)
	handle(a, client.RevokeToken, a.revokeToken)
	a.registerWebhooks()
	a.registerAccounts()
	a.registerPeople()
	a.registerSent()
	a.registerSettings()
	a.registerImports()
	a.registerRequests()
	a.registerAccountMessages()
	a.registerAudit()
	a.registerRules()
	a.registerBranding()
	handle(a, client.GetReport, a.report)
	return a.document()
}

// actorOf is who acts on the key server.
func actorOf(r *web.Request) keyserver.Actor {
	a := r.Actor()
	return keyserver.Actor{UserID: a.UserID, Session: a.SessionHash, Name: a.String(), Origin: a.Origin, Token: a.TokenID}
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

// badParameter refuses a parameter or a header.
func badParameter(name, key string, err error) error {
	return refusedParameter(name, key, fault.Args{"name": name}).Because(err)
}

func refusedParameter(name, key string, args fault.Args) *fault.Error {
	f := fault.New(fault.Invalid, key).In(name, key, args)
	f.Args = args
	return f
}

func (a *api) server(r *web.Request, _ client.None) (out client.Server, err error) {
	key, err := a.Keys.SealKey(r.Context())
	if err != nil {
		return out, err
	}
	out = client.Server{Origin: a.Kit.Origin(), SealKey: b64(key), Attachments: a.MaxFiles, Large: a.Keys.MaxLarge()}
	if r.Session.SignedIn() && r.Session.Account != nil {
		settings, err := r.Session.Settings()
		if err != nil {
			return out, err
		}
		out.Online = settings.Online
		out.Large = a.Keys.LargestFor(settings)
	}
	return out, nil
}

// visit begins a visitor's session for a program: browsers get theirs with the
// first thing that they post.
func (a *api) visit(r *web.Request, _ client.None) (client.Session, error) {
	s, err := a.Accounts.Visit(r.Context(), r.UserAgent(), r.Client())
	if err != nil {
		return client.Session{}, err
	}
	return sessionOf(s), nil
}

func (a *api) signIn(r *web.Request, in client.SignInIn) (client.Session, error) {
	s, err := a.Accounts.SignIn(r.Context(), nil, in.Email, in.Password, r.Client(), r.UserAgent())
	if err != nil {
		return client.Session{}, err
	}
	return sessionOf(s), nil
}

// second takes a code of an authenticator app or a recovery code, of who is
// signing in (scope "second") or proves it again. The session goes on under
// another token.
func (a *api) second(r *web.Request, in client.SecondIn) (client.Session, error) {
	s, err := a.Accounts.ProveSecond(r.Context(), r.Session, in.Code)
	if err != nil {
		return client.Session{}, err
	}
	if r.Header.Get("Authorization") == "" {
		r.SetSession(s)
	}
	return sessionOf(s), nil
}

func sessionOf(s *account.Session) client.Session {
	out := client.Session{Token: s.Token.Reveal(), Scope: s.Scope, ExpiresAt: client.Time{Time: s.ExpiresAt}}
	if s.User != nil {
		out.User = &client.SessionUser{Email: s.User.DisplayAddress, Name: s.User.Name(), Account: s.User.AccountID}
	}
	return out
}

func (a *api) signOut(r *web.Request, _ client.None) (client.None, error) {
	if r.Session == nil {
		return client.None{}, fault.New(fault.Unauthenticated, "sess.h1")
	}
	if err := a.Accounts.SignOut(r.Context(), r.Session); err != nil {
		return client.None{}, err
	}
	if r.Header.Get("Authorization") == "" {
		r.EndSession()
	}
	return client.None{}, nil
}

// register takes the service's halves of an envelope that was sealed elsewhere.
func (a *api) register(r *web.Request, in client.RegisterIn) (out client.Registered, err error) {
	u, acc := r.User(), r.Session.Account
	if acc == nil {
		return out, fault.New(fault.Denied, "api.noaccount")
	}
	sender, err := mailaddr.Parse(u.DisplayAddress)
	if err != nil {
		return out, err
	}
	settings, err := r.Session.Settings()
	if err != nil {
		return out, err
	}
	verified, err := a.Accounts.Verified(r.Context(), acc.ID, u.ID, sender)
	if err != nil {
		return out, err
	}
	m := keyserver.NewMessage{
		AccountID: acc.ID, Subject: in.Subject, Note: in.Note, PayloadSize: in.PayloadSize,
		Sender:    keyserver.Sender{UserID: u.ID, Address: sender.Canonical(), Name: u.Name(), Verified: verified},
		KeepUntil: a.Now().AddDate(0, 0, settings.KeepDays), Larges: in.Larges,
		NotifyOpened: u.NotifyOpened, Carrier: keyserver.CarrierFile, Permissions: policy.Permissions{Level: in.Level, Passphrase: in.Passphrase},
		Actor: actorOf(r),
	}
	if err := a.fill(&m, in); err != nil {
		return out, err
	}
	if m.ExpiresAt, err = a.expiry(in.ExpiresAt, settings); err != nil {
		return out, err
	}
	reg, err := a.Keys.Register(r.Context(), m)
	if err != nil {
		return out, err
	}
	out = client.Registered{Message: reg.MessageID.String(), Seal: b64(reg.Seal[:]), Slots: []client.SlotRef{}}
	for _, s := range reg.Slots {
		out.Slots = append(out.Slots, client.SlotRef{Slot: s.SlotID.String(), Ref: s.Ref})
	}
	return out, nil
}

// expiry reads an end, "" for none that is wished.
func (a *api) expiry(s string, settings policy.Settings) (time.Time, error) {
	if s == "" {
		return a.ends(time.Time{}, settings)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, badField("expires_at", err)
	}
	return a.ends(t, settings)
}

// ends is the wished end, if it may be; without a wish the usual one, zero for never.
func (a *api) ends(wished time.Time, settings policy.Settings) (time.Time, error) {
	if wished.IsZero() {
		return settings.End(a.Now(), 0), nil
	}
	if !settings.AllowsEnd(wished, a.Now()) {
		n := settings.ExpiryMax
		return wished, fault.New(fault.Invalid, "exp.max").With("n", n).In("expires_at", "exp.max", fault.Args{"n": n})
	}
	return wished, nil
}

func (a *api) fill(m *keyserver.NewMessage, from client.RegisterIn) error {
	var err error
	if m.MH, err = bytesOf("mh", from.MH, -1); err != nil {
		return err
	}
	for _, f := range []struct {
		name, value string
		into        *[32]byte
	}{{"hh", from.HH, &m.HH}, {"ph", from.PH, &m.PH}} {
		b, err := bytesOf(f.name, f.value, 32)
		if err != nil {
			return err
		}
		*f.into = [32]byte(b)
	}
	for i, in := range from.Slots {
		s, err := readSlot(in)
		if err != nil {
			return fault.Of(err).Because(fmt.Errorf("slot %d: %w", i, err))
		}
		m.Slots = append(m.Slots, s)
	}
	return nil
}

func readSlot(in client.SlotIn) (s keyserver.NewSlot, err error) {
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
