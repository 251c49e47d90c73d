// Package sso asks an organisation's OpenID provider who somebody is (OpenID
// Connect Core 1.0, authorization code flow, with PKCE, RFC 7636). It keeps
// nothing: state and who is whose are account's.
package sso

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
)

// Config is one provider, as the operator registered this service there.
type Config struct {
	Name     string   // in addresses of pages: small letters, digits, hyphens
	Label    string   // on the button
	Issuer   string   // exactly as the provider prints it
	ClientID string   //
	Secret   string   // "" for a client that has none
	Domains  []string // A-labels: whose addresses the provider may vouch for, no others
	Redirect string   // address to come back to, of this provider alone
}

// Provider is an OpenID provider. It is read when it is first needed, so that
// one which is down keeps nobody else out.
type Provider struct {
	Config
	client *http.Client

	mu    sync.Mutex // guards found
	found *oidc.Provider
}

// Identity is who somebody is, and the address that the provider vouches for.
type Identity struct {
	Issuer  string
	Subject string // unique for the issuer, and never given to anybody else
	Address mailaddr.Address
	At      time.Time // when they proved there who they are; zero where the provider does not say
}

// New returns a provider. Nothing is asked yet.
func New(c Config) *Provider {
	return &Provider{Config: c, client: &http.Client{Timeout: 10 * time.Second}}
}

// Host is where its people sign in, for the page that leads there.
func (p *Provider) Host() string {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return ""
	}
	return u.Host
}

// Vouches reports whether the provider may vouch for addresses of a domain (A-labels).
func (p *Provider) Vouches(domain string) bool { return slices.Contains(p.Domains, domain) }

func (p *Provider) fault(kind fault.Kind, key string, because error) error {
	return fault.New(kind, key).With("label", p.Label).Because(because)
}

// discover reads what the provider says of itself, once.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
	if err != nil {
		return nil, p.fault(fault.Unavailable, "sso.unreachable", err)
	}
	p.found = found
	return found, nil
}

// Check asks the provider anew what it is, for whoever configured it. Faults:
// sso.unreachable{label}.
func (p *Provider) Check(ctx context.Context) error {
	p.mu.Lock()
	p.found = nil
	p.mu.Unlock()
	_, err := p.discover(ctx)
	return err
}

func (p *Provider) flow(found *oidc.Provider) *oauth2.Config {
	end := found.Endpoint()
	// Said and not found out by trying: a code is sent once.
	end.AuthStyle = oauth2.AuthStyleInHeader
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if found.Claims(&says) == nil && slices.Contains(says.Methods, "client_secret_post") || p.Secret == "" {
		end.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: end, RedirectURL: p.Redirect,
		Scopes: []string{oidc.ScopeOpenID, "email"}}
}

// Authorize is the provider's address to send a person to. verifier is 43 to 128
// characters (RFC 7636). Faults: sso.unreachable{label}.
func (p *Provider) Authorize(ctx context.Context, state, nonce, verifier string) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.flow(found).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// algorithms are those that need the provider's own key. A symmetric one could
// be made by whoever knows its public key (AT-47).
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// Identify exchanges the code that the person came back with, and checks what
// the provider says of them. Faults, each with {label}: sso.failed,
// sso.unverified, sso.domain, sso.unreachable.
func (p *Provider) Identify(ctx context.Context, code, nonce, verifier string) (Identity, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.flow(found).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Identity{}, p.fault(fault.Denied, "sso.failed", exchangeError(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Identity{}, p.fault(fault.Denied, "sso.failed", errors.New("the provider gave no ID token"))
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: algorithms}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, p.fault(fault.Denied, "sso.failed", err)
	}
	var claims claims
	if err := id.Claims(&claims); err != nil {
		return Identity{}, p.fault(fault.Denied, "sso.failed", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1:
		err = errors.New("the ID token has another nonce")
	case id.Subject == "" || len(id.Subject) > 255: // Core, section 2
		err = errors.New("the ID token has no subject")
	case len(id.Audience) > 1 && claims.Party != p.ClientID, claims.Party != "" && claims.Party != p.ClientID: // Core, section 3.1.3.7
		err = errors.New("the ID token is for another party")
	}
	if err != nil {
		return Identity{}, p.fault(fault.Denied, "sso.failed", err)
	}
	return p.vouched(id.Subject, claims)
}

// claims are what is read of an ID token beyond what the library checks.
type claims struct {
	At       int64  `json:"auth_time"` // seconds since 1970 (Core, section 2)
	Party    string `json:"azp"`
	Email    string `json:"email"`
	Verified any    `json:"email_verified"`
	// Microsoft Entra has no email_verified, and lets a tenant's administrator write
	// any address; this claim says that its domain is the tenant's own.
	Owned any `json:"xms_edov"`
	// Google has accounts under addresses of other mail services, verified once at
	// most; only of its own and of those of a Workspace, which it names here, does it know whose they are.
	Hosted string `json:"hd"`
}

// yes reads a claim that providers write as a boolean, a string or a number.
func yes(claim any) bool {
	switch v := claim.(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	case float64:
		return v == 1
	}
	return false
}

const (
	entra  = "https://login.microsoftonline.com/"
	google = "https://accounts.google.com"
)

func (p *Provider) vouched(subject string, c claims) (Identity, error) {
	if !yes(c.Verified) && !(yes(c.Owned) && c.Verified == nil && strings.HasPrefix(p.Issuer, entra)) {
		return Identity{}, p.fault(fault.Denied, "sso.unverified", errors.New("email_verified is not true"))
	}
	a, err := mailaddr.Parse(c.Email)
	if err != nil {
		return Identity{}, p.fault(fault.Denied, "sso.unverified", err)
	}
	if p.Issuer == google && c.Hosted == "" && a.Domain() != "gmail.com" {
		return Identity{}, p.fault(fault.Denied, "sso.unverified", errors.New("not an account of a Google Workspace"))
	}
	if !p.Vouches(a.Domain()) {
		return Identity{}, p.fault(fault.Denied, "sso.domain", fmt.Errorf("%s is not a domain of this provider's", a.Domain()))
	}
	who := Identity{Issuer: p.Issuer, Subject: subject, Address: a}
	if c.At > 0 {
		who.At = time.Unix(c.At, 0)
	}
	return who, nil
}

// exchangeError says what went wrong without the answer's body, which may repeat the code.
func exchangeError(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) && r.Response != nil {
		return fmt.Errorf("exchange the code: %s %q", r.Response.Status, r.ErrorCode)
	}
	return fmt.Errorf("exchange the code: %w", err)
}
