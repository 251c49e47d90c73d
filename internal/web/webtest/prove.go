package webtest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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
