package api

import (
	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web"
)

func tokenOf(t account.TokenView) client.Token {
	return client.Token{ID: t.ID, Name: t.Name, Maker: t.Maker.DisplayAddress, Scopes: t.Scopes,
		CreatedAt: client.Time{Time: t.CreatedAt}, ExpiresAt: client.Time{Time: t.ExpiresAt}, UsedAt: client.Time{Time: t.UsedAt}}
}

func (a *api) listTokens(r *web.Request, in client.ListIn) (out client.Page[client.Token], err error) {
	p, err := a.Accounts.Tokens(r.Context(), r.Actor(), in.Account, in.After, in.Limit)
	return pageOf(p.Tokens, p.Next, tokenOf), err
}

// pageOf is a page of what one is made of each.
func pageOf[From, To any](from []From, next string, one func(From) To) client.Page[To] {
	out := client.Page[To]{Items: make([]To, 0, len(from)), Next: next}
	for _, x := range from {
		out.Items = append(out.Items, one(x))
	}
	return out
}

func (a *api) makeToken(r *web.Request, in client.TokenIn) (client.NewToken, error) {
	t, secret, err := a.Accounts.MakeToken(r.Context(), r.Actor(), in.Account, account.NewToken{UserID: in.User, Name: in.Name, Scopes: in.Scopes, Days: in.Days})
	return client.NewToken{Token: tokenOf(t), Secret: secret.Reveal()}, err
}

func (a *api) getToken(r *web.Request, in client.TokenPath) (client.Token, error) {
	t, err := a.Accounts.Token(r.Context(), r.Actor(), in.Account, in.Token)
	return tokenOf(t), err
}

func (a *api) revokeToken(r *web.Request, in client.TokenPath) (client.None, error) {
	_, err := a.Accounts.RevokeToken(r.Context(), r.Actor(), in.Account, in.Token)
	return client.None{}, err
}
