// Package ssotest is an OpenID provider for tests, which does wrong on demand.
package ssotest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Client is how the service is known to every provider of this package.
const (
	Client = "pli-client"
	Secret = "a secret & more"
)

// IdP is a provider on the loopback interface.
type IdP struct {
	URL string // its issuer

	// Claims changes what an ID token says; nil leaves it right.
	Claims func(map[string]any)
	// Alg is RS256 unless set: also none, and HS256 with the public key.
	Alg string

	key   *rsa.PrivateKey
	mu    sync.Mutex
	codes map[string]visit
	Uses  int // exchanges of a code that was right
}

type visit struct{ email, subject, nonce, challenge, redirect string }

// New starts a provider, until the test ends.
func New(t testing.TB) *IdP {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &IdP{key: key, codes: map[string]visit{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("POST /token", p.token)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	p.URL = s.URL
	return p
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (p *IdP) discovery(w http.ResponseWriter, _ *http.Request) {
	write(w, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	})
}

func (p *IdP) keys(w http.ResponseWriter, _ *http.Request) {
	write(w, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
		"n": b64(p.key.N.Bytes()), "e": b64(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

// Arrive is what a person does there who was sent to an authorization address:
// they sign in with that address, and come back with a code and a state.
func (p *IdP) Arrive(t testing.TB, authorization, email, subject string) (code, state string) {
	t.Helper()
	u, err := url.Parse(authorization)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("client_id") != Client || q.Get("response_type") != "code" || len(q.Get("nonce")) < 32 || len(q.Get("state")) < 32 {
		t.Fatalf("asked with %v", q)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code = rand.Text()
	p.codes[code] = visit{email, subject, q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	return code, q.Get("state")
}

func (p *IdP) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != Client || secret != url.QueryEscape(Secret) || b64(sum[:]) != v.challenge || r.PostFormValue("redirect_uri") != v.redirect {
		w.WriteHeader(http.StatusBadRequest)
		write(w, map[string]string{"error": "invalid_grant"})
		return
	}
	p.Uses++
	claims := map[string]any{"iss": p.URL, "aud": Client, "sub": v.subject, "nonce": v.nonce, "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Minute).Unix(), "email": v.email, "email_verified": true}
	if p.Claims != nil {
		p.Claims(claims)
	}
	write(w, map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.sign(claims)})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *IdP) sign(claims map[string]any) string {
	alg := p.Alg
	if alg == "" {
		alg = "RS256"
	}
	head, _ := json.Marshal(map[string]string{"alg": alg, "kid": "1", "typ": "JWT"})
	body, _ := json.Marshal(claims)
	text := b64(head) + "." + b64(body)
	switch alg {
	case "RS256":
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return text + "." + b64(sig)
	case "HS256":
		der, err := x509.MarshalPKIXPublicKey(p.key.Public())
		if err != nil {
			panic(err)
		}
		m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		m.Write([]byte(text))
		return text + "." + b64(m.Sum(nil))
	}
	return text + "."
}
