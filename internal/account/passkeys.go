package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

const (
	// ChallengeLimit is how long an authenticator may take to sign.
	ChallengeLimit = 10 * time.Minute

	maxPasskeys          = 20 // of one person
	challengesPerSession = 60 // in that time
)

// relyingParty is this service as authenticators know it: by the name of its
// host, which an address in numbers does not have.
func relyingParty(c Config) *webauthn.WebAuthn {
	u, err := url.Parse(c.Origin)
	if err != nil || c.Origin == "" {
		return nil
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: c.SiteName, RPOrigins: []string{c.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore, // some managers of passwords send them unasked
	})
	if err != nil {
		return nil
	}
	return w
}

// Passkeys reports whether this service can take any.
func (s *Service) Passkeys() bool { return s.webauthn != nil }

// holder is a person as the library sees them.
type holder struct {
	user    store.User
	records []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return []byte(h.user.ID) }
func (h *holder) WebAuthnName() string                       { return h.user.DisplayAddress }
func (h *holder) WebAuthnDisplayName() string                { return h.user.Name() }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.records }

func badPasskey(err error) *fault.Error {
	return fault.New(fault.Invalid, "passkey.bad").Because(err)
}

func noPasskeys() *fault.Error { return fault.New(fault.NotFound, "e404.h1") }

// PasskeyChallenge returns what the browser is to ask an authenticator, as JSON
// (the argument of navigator.credentials.create with add, else of get). The
// answer is taken once, in this session, in time.
func (s *Service) PasskeyChallenge(ctx context.Context, sess *Session, add bool) (json.RawMessage, error) {
	if sess == nil {
		return nil, ended()
	}
	if s.webauthn == nil {
		return nil, noPasskeys()
	}
	var out json.RawMessage
	ask := func(tx *store.Tx, purpose string, options any, data *webauthn.SessionData) (err error) {
		kept, err := json.Marshal(data)
		if err != nil {
			return err
		}
		if out, err = json.Marshal(options); err != nil {
			return err
		}
		return tx.InsertChallenge(store.Challenge{Challenge: data.Challenge, TokenHash: sess.Hash, Purpose: purpose, Data: kept, ExpiresAt: tx.Now.Add(ChallengeLimit)})
	}
	if add {
		err := s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
			h, err := held(tx, u)
			if err != nil {
				return err
			}
			options, data, err := s.webauthn.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.records).CredentialDescriptors()))
			if err != nil {
				return err
			}
			return ask(tx, store.ChallengeAdd, options, data)
		})
		return out, err
	}
	err := s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		if ok, wait, err := tx.Hit("passkey:"+sess.Hash, ChallengeLimit, challengesPerSession); err != nil || !ok {
			return fault.Wait("e429.p", wait), err
		}
		if _, err := tx.LockSession(sess.Hash); err != nil {
			return nil, orEnded(err)
		}
		options, data, err := s.webauthn.BeginDiscoverableLogin()
		if err != nil {
			return nil, err
		}
		return nil, ask(tx, store.ChallengeProve, options, data)
	})
	return out, err
}

// held reads a person with their passkeys.
func held(tx *store.Tx, u store.User) (*holder, error) {
	rows, err := tx.ListPasskeys(u.ID)
	if err != nil {
		return nil, err
	}
	h := &holder{user: u, records: make([]webauthn.Credential, len(rows))}
	for i, r := range rows {
		if err := json.Unmarshal(r.Record, &h.records[i]); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// AddPasskey keeps the passkey that an authenticator made, whose answer to
// PasskeyChallenge is JSON. It is proved in the session that goes on; the old
// one is dead. codes are the recovery codes that come with a person's first factor.
// Faults: sess.p, second.again, passkey.bad, passkey.many, passkey.name, passkey.namelong.
func (s *Service) AddPasskey(ctx context.Context, sess *Session, name string, answer []byte) (out *Session, codes []string, err error) {
	if name, err = passkeyName(name); err != nil {
		return nil, nil, err
	}
	if s.webauthn == nil {
		return nil, nil, noPasskeys()
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, nil, badPasskey(err)
	}
	var refused error
	err = s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, row store.Session) error {
		out, codes, refused = nil, nil, nil
		data, err := taken(tx, sess, store.ChallengeAdd, parsed.Response.CollectedClientData.Challenge)
		if errors.Is(err, store.ErrNotFound) {
			refused = badPasskey(err)
			return nil
		} else if err != nil {
			return err
		}
		h, err := held(tx, u)
		if err != nil {
			return err
		}
		if len(h.records) >= maxPasskeys {
			refused = fault.New(fault.Conflict, "passkey.many").With("n", maxPasskeys)
			return nil
		}
		record, err := s.webauthn.CreateCredential(h, data, parsed)
		if err != nil {
			refused = badPasskey(err)
			return nil
		}
		raw, err := json.Marshal(record)
		if err != nil {
			return err
		}
		out, codes, err = s.added(tx, sess, u, row, FactorPasskeyAdded, name, func() error {
			return tx.InsertPasskey(store.Passkey{ID: id.New(), UserID: u.ID, CredentialID: base64.RawURLEncoding.EncodeToString(record.ID), Name: name, Record: raw})
		})
		return err
	})
	if errors.Is(err, store.ErrTaken) {
		return nil, nil, badPasskey(err)
	}
	if err == nil {
		err = refused
	}
	return out, codes, err
}

func passkeyName(name string) (string, error) {
	var p problems
	if name = clean(name); name == "" {
		p.add("name", "passkey.name", nil)
	}
	if utf8.RuneCountInString(name) > maxName {
		p.add("name", "passkey.namelong", fault.Args{"n": maxName})
	}
	return name, p.err()
}

// taken is a challenge, which is no more.
func taken(tx *store.Tx, sess *Session, purpose, challenge string) (data webauthn.SessionData, err error) {
	raw, err := tx.TakeChallenge(sess.Hash, purpose, challenge)
	if err != nil {
		return data, err
	}
	return data, json.Unmarshal(raw, &data)
}

// RenamePasskey gives one of the person's passkeys another name.
func (s *Service) RenamePasskey(ctx context.Context, sess *Session, passkeyID, name string) error {
	if !sess.SignedIn() {
		return ended()
	}
	name, err := passkeyName(name)
	if err != nil {
		return err
	}
	return orNotFound(s.c.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.RenamePasskey(sess.UserID, passkeyID, name); err != nil {
			return err
		}
		return record(tx, person(sess), "factor.passkey_renamed", sess.User.AccountID, sess.User.Address, "name", name)
	}))
}

// RemovePasskey forgets one of the person's passkeys. Faults: sess.p, second.again, second.needed.
func (s *Service) RemovePasskey(ctx context.Context, sess *Session, passkeyID string) error {
	return s.changeFactors(ctx, sess, func(tx *store.Tx, u store.User, _ store.Session) error {
		name, err := tx.DeletePasskey(u.ID, passkeyID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := removed(tx, u); err != nil {
			return err
		}
		return s.tellFactor(tx, sess, u, FactorPasskeyRemoved, name)
	})
}

// SignInWithPasskey signs in, in place of sess, the person whose passkey an
// authenticator used, with its answer to PasskeyChallenge as JSON. It asks its
// person who they are, so that it is both factors.
// Faults: sess.p, passkey.bad.
func (s *Service) SignInWithPasskey(ctx context.Context, sess *Session, answer []byte) (*Session, error) {
	return s.withPasskey(ctx, sess, answer, func(tx *store.Tx, u store.User) (out *Session, answer, err error) {
		if ok, err := mayProve(tx, u); err != nil || !ok {
			return nil, badPasskey(nil), err
		}
		_, counter := typed(u.Address)
		actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
		out, err = s.enter(tx, sess, u, proof{method: store.MethodPasskey, second: true}, triesOf(counter, store.Network(sess.Origin)), actor, "passkey", sess.Client)
		return out, nil, err
	})
}

// ProveWithPasskey is ProveSecond with a passkey of the session's person.
// Faults: sess.p, passkey.bad, passkey.other.
func (s *Service) ProveWithPasskey(ctx context.Context, sess *Session, answer []byte) (*Session, error) {
	return s.withPasskey(ctx, sess, answer, func(tx *store.Tx, u store.User) (out *Session, answer, err error) {
		mine, row, err := owner(tx, sess)
		if err != nil {
			return nil, nil, err
		}
		if mine.ID != u.ID {
			return nil, fault.New(fault.Invalid, "passkey.other"), refusedSecond(tx, sess, mine, "passkey")
		}
		out, err = s.proved(tx, sess, u, row, "passkey")
		return out, nil, err
	})
}

// withPasskey checks an authenticator's answer and does fn for its person. The
// challenge is used up whatever comes of it (AT-46).
func (s *Service) withPasskey(ctx context.Context, sess *Session, response []byte, fn func(*store.Tx, store.User) (*Session, error, error)) (*Session, error) {
	if sess == nil {
		return nil, ended()
	}
	if s.webauthn == nil {
		return nil, noPasskeys()
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, badPasskey(err)
	}
	var out *Session
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out = nil
		data, err := taken(tx, sess, store.ChallengeProve, parsed.Response.CollectedClientData.Challenge)
		if errors.Is(err, store.ErrNotFound) {
			return badPasskey(err), nil
		} else if err != nil {
			return nil, err
		}
		row, err := tx.LockPasskey(base64.RawURLEncoding.EncodeToString(parsed.RawID))
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Invalid, "passkey.unknown"), nil
		} else if err != nil {
			return nil, err
		}
		u, err := tx.LockUser(row.UserID)
		if err != nil {
			return nil, err
		}
		h, err := held(tx, u)
		if err != nil {
			return nil, err
		}
		_, record, err := s.webauthn.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return h, nil }, data, parsed)
		if err != nil {
			return badPasskey(err), refusePerson(tx, u, "session.signin", sess.Origin, "passkey.bad")
		}
		if record.Authenticator.CloneWarning { // synchronized passkeys count nothing, and some authenticators count badly
			s.c.Log.WarnContext(ctx, "a passkey's counter did not grow: it may have been copied", "passkey", row.ID, "user", u.ID)
			record.Authenticator.CloneWarning = false
		}
		raw, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		if err := tx.UsePasskey(row.ID, raw); err != nil {
			return nil, err
		}
		out, answer, err = fn(tx, u)
		return answer, err
	})
	return out, err
}
