package account

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/store"
)

// detourLimit is how long somebody may take to sign in at a provider.
const detourLimit = 15 * time.Minute

// nonceOf and verifierOf are made from the state, so that none of the three is kept.
func (s *Service) nonceOf(state id.Token) string {
	return base64.RawURLEncoding.EncodeToString(s.c.Root.MAC("sso nonce", []byte(state.Reveal())))
}

func (s *Service) verifierOf(state id.Token) string {
	return base64.RawURLEncoding.EncodeToString(s.c.Root.MAC("sso verifier", []byte(state.Reveal())))
}

// BeginSSO is where a person signs in at a provider, who then goes on at next.
// Only this session can come back from there, once. Faults: sess.p,
// sso.unreachable.
func (s *Service) BeginSSO(ctx context.Context, sess *Session, p *sso.Provider, next string) (url string, err error) {
	if sess == nil {
		return "", ended()
	}
	state := id.NewToken()
	if url, err = p.Authorize(ctx, state.Reveal(), s.nonceOf(state), s.verifierOf(state)); err != nil {
		return "", err
	}
	return url, s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		if _, err := tx.LockSession(sess.Hash); errors.Is(err, store.ErrNotFound) {
			return ended(), nil
		} else if err != nil {
			return nil, err
		}
		return nil, tx.InsertDetour(store.Detour{StateHash: state.Hash(), SessionHash: sess.Hash, Provider: p.Name, Next: next,
			ExpiresAt: tx.Now.Add(detourLimit)})
	})
}

// Return is what somebody brings back from a provider.
type Return struct {
	State  id.Token
	Code   string
	Issuer string // RFC 9207; "" where the provider does not say it
	Error  string // instead of a code
}

// FinishSSO ends what BeginSSO began: whom the provider vouches for signs in if
// they have a user, and else has proved their address as a visitor. next is
// where to go on, also with an error, "" where that is not known. Faults:
// sess.p, sso.stale, and with {label} sso.failed, sso.unverified, sso.domain,
// sso.other, sso.unreachable.
func (s *Service) FinishSSO(ctx context.Context, sess *Session, p *sso.Provider, r Return) (out *Session, next string, err error) {
	if sess == nil {
		return nil, "", ended()
	}
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		d, err := tx.TakeDetour(r.State.Hash(), sess.Hash, p.Name)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Denied, "sso.stale"), nil
		}
		next = d.Next
		return nil, err
	})
	if err != nil {
		return nil, "", err
	}
	failed := fault.New(fault.Denied, "sso.failed").With("label", p.Label)
	var who sso.Identity
	switch {
	case r.Issuer != "" && r.Issuer != p.Issuer: // one provider's answer, brought as another's (RFC 9207)
		err = failed.Because(errors.New("the answer names another issuer"))
	case r.Error != "" || r.Code == "":
		err = failed.Because(errors.New("the provider answered without a code"))
	default:
		who, err = p.Identify(ctx, r.Code, s.nonceOf(r.State), s.verifierOf(r.State))
	}
	if err != nil {
		s.c.Log.WarnContext(ctx, "sign-in at a provider failed", "provider", p.Name, "err", fault.Of(err).Unwrap())
		return nil, next, errors.Join(err, s.c.DB.Update(ctx, func(tx *store.Tx) error { return refusedSSO(tx, sess, p, fault.Of(err).Key) }))
	}
	err = s.decide(ctx, func(tx *store.Tx) (answer, err error) {
		out, answer, err = s.vouched(tx, sess, p, who)
		if err == nil && answer != nil {
			err = refusedSSO(tx, sess, p, fault.Of(answer).Key)
		}
		return answer, err
	})
	if errors.Is(err, store.ErrTaken) { // linked at the same moment
		err = fault.New(fault.Denied, "sso.other").With("label", p.Label).Because(err)
	}
	return out, next, err
}

func refusedSSO(tx *store.Tx, sess *Session, p *sso.Provider, reason string) error {
	return refuse(tx, store.AuditRow{Actor: "nobody", Action: "session.signin", Target: p.Name, Origin: sess.Origin}, reason, "how", "oidc")
}

// vouched gives the visitor what the provider's word is worth.
func (s *Service) vouched(tx *store.Tx, sess *Session, p *sso.Provider, who sso.Identity) (out *Session, answer, err error) {
	row, err := tx.LockSession(sess.Hash)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ended(), nil
	} else if err != nil {
		return nil, nil, err
	}
	u, linked, err := userOfIdentity(tx, who)
	if err != nil {
		return nil, nil, err
	}
	if u.ID == "" {
		out, err = proveVisitor(tx, row, who.Address.Canonical())
		return out, nil, err
	}
	if ok, err := mayProve(tx, u); err != nil || !ok {
		return nil, fault.New(fault.Denied, "sso.failed").With("label", p.Label), err
	}
	actor := Actor{Kind: KindUser, UserID: u.ID, Address: u.Address, Name: u.Name(), Origin: sess.Origin}
	if !linked {
		// A second identity of one issuer for one address: it was given to somebody else there.
		if has, err := tx.HasIdentity(u.ID, who.Issuer); err != nil || has {
			return nil, fault.New(fault.Denied, "sso.other").With("label", p.Label), err
		}
		if err := tx.InsertIdentity(store.Identity{Issuer: who.Issuer, Subject: who.Subject, UserID: u.ID}); err != nil {
			return nil, nil, err
		}
		if err := record(tx, actor, "identity.link", u.AccountID, u.Address, "issuer", who.Issuer); err != nil {
			return nil, nil, err
		}
	}
	_, counter := typed(u.Address)
	// A provider that remembers the browser asks nothing of whoever sits there.
	shown := proof{method: store.MethodOIDC, mailbox: who.Address.Canonical() == u.Address, at: who.At}
	if shown.at.IsZero() {
		shown.at = tx.Now.Add(-FreshLimit)
	}
	out, err = s.enter(tx, sess, u, shown, triesOf(counter, store.Network(sess.Origin)), actor, "oidc", sess.Client)
	return out, nil, err
}

// userOfIdentity is the user that an identity is linked to, or else that of the
// address, held until the transaction ends; none has no ID.
func userOfIdentity(tx *store.Tx, who sso.Identity) (u store.User, linked bool, err error) {
	link, err := tx.FindIdentity(who.Issuer, who.Subject)
	switch {
	case err == nil:
		u, err = tx.LockUser(link.UserID)
		return u, true, err
	case !errors.Is(err, store.ErrNotFound):
		return u, false, err
	}
	if u, err = tx.FindUserByAddress(who.Address.Canonical()); err == nil {
		u, err = tx.LockUser(u.ID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, false, nil
	}
	return u, false, err
}

// proveVisitor gives a session, which has proved an address, a new token (AT-43).
func proveVisitor(tx *store.Tx, row store.Session, address string) (*Session, error) {
	old := row.TokenHash
	token, fresh := newSession(tx.Now, SessionLimit, row.Client)
	if row.UserID == "" && row.Address == "" { // it was short for having proved nothing
		row.ExpiresAt = fresh.ExpiresAt
	}
	if row.UserID == "" && row.Address != address { // somebody else, as far as we know
		row.SecondAt = time.Time{}
	}
	row.TokenHash, row.Nonce, row.Address, row.Method = fresh.TokenHash, fresh.Nonce, address, store.MethodOIDC
	if err := tx.RotateSession(old, row); err != nil {
		return nil, err
	}
	return view(tx, token, row)
}
