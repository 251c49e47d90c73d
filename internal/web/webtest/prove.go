package webtest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
)

// Prove gives the browser a visitor's session that has proved an address, as
// the code of an envelope does.
func (b *Browser) Prove(t testing.TB, address string) {
	t.Helper()
	token := id.NewToken()
	must(t, b.h.DB.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertSession(store.Session{
			TokenHash: token.Hash(), Scope: store.ScopeVisitor, Address: address, Nonce: strings.Repeat("00", 32), Client: "test",
			ExpiresAt: tx.Now.Add(time.Hour),
		})
	}))
	u, err := url.Parse(b.h.Origin)
	must(t, err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "pli", Value: token.Reveal(), Path: "/"}})
}

// Authenticator gives a person an authenticator app, of which no code was taken
// in this step or later, and returns its seed and their recovery codes.
func (h *House) Authenticator(t testing.TB, address string) (seed string, recovery []string) {
	t.Helper()
	ctx := t.Context()
	s, err := h.Accounts.SignIn(ctx, nil, address, Password, "192.0.2.1", "test")
	must(t, err)
	must(t, h.Accounts.Welcome(ctx, s))
	must(t, h.Accounts.SetUpAuthenticator(ctx, s))
	app, err := h.Accounts.SettingUp(ctx, s)
	must(t, err)
	_, recovery, err = h.Accounts.ConfirmAuthenticator(ctx, s, AppCode(t, app.Seed, -1))
	must(t, err)
	return app.Seed, recovery
}

// AppCode is what an authenticator app shows, some steps from now.
func AppCode(t testing.TB, seed string, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(seed, time.Now().Add(time.Duration(steps)*30*time.Second))
	must(t, err)
	return code
}
