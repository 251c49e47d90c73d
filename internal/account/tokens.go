package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// Scopes are what an API token may have: the rights, and to send.
var Scopes = append(slices.Clone(Rights), store.ScopeSend)

// ScopeName is what a scope of a token is called.
func ScopeName(p i18n.Printer, scope string) string {
	if scope == store.ScopeSend {
		return p.T("tok.send")
	}
	return p.T("rt." + scope)
}

const (
	maxTokens     = 200 // of one account
	maxTokenDays  = 365
	tokenDayHours = 24 * time.Hour
	tokenUseNoted = time.Hour // when it was last used is known to the hour, and saves a write per call
)

// NewToken is an API token to be made.
type NewToken struct {
	UserID string   // whose it is, "" = the actor's; another's only an operator makes
	Name   string   // what it is for
	Scopes []string // of Scopes
	Days   int      // until it ends, 1 to 365
}

// TokenView is a token as the account's administrators see it.
type TokenView struct {
	store.APIToken
	Maker store.User
	Ended bool // by time
}

// TokensPage is a page of an account's tokens, the newest first.
type TokensPage struct {
	Tokens []TokenView
	Next   string // cursor, "" on the last page
}

// throughToken is what an actor has through their token: of what they hold
// themself, only what its scopes name, so that the bearer of a token over people
// cannot act on an administrator, though its maker could. A token that does not
// count now has nothing.
func throughToken(tx *store.Tx, actor Actor, number int64, holds []store.Holding) (live bool, out []store.Holding, err error) {
	t, err := tx.LiveToken(actor.TokenID, actor.UserID, number)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	for _, h := range holds {
		for _, scope := range t.Scopes {
			if h.Right == scope || h.Right == store.RightAll && slices.Contains(Rights, scope) {
				x := h
				x.Right = scope
				out = append(out, x)
			}
		}
	}
	return true, out, nil
}

// TokenSession returns what the bearer of an API token is known by: a session of
// its maker's that no row keeps. What the token may do, each act decides. One
// that is unknown, has ended or whose maker may no longer sign in gives
// Unauthenticated.
func (s *Service) TokenSession(ctx context.Context, token id.Token) (*Session, error) {
	var out *Session
	var t store.APIToken
	var now time.Time
	err := s.c.DB.View(ctx, func(tx *store.Tx) error {
		now = tx.Now
		row, err := tx.FindTokenByHash(token.Hash())
		if err != nil {
			return err
		}
		if t, err = tx.LiveToken(row.ID, row.UserID, row.AccountID); err != nil {
			return err
		}
		out, err = view(tx, id.Token{}, store.Session{UserID: t.UserID, Scope: store.ScopeFull, CreatedAt: t.CreatedAt, SeenAt: tx.Now, ExpiresAt: t.ExpiresAt})
		if out != nil {
			out.APIToken = &t
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ended()
	}
	if err == nil && now.Sub(t.UsedAt) > tokenUseNoted {
		err = s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.TouchToken(t.ID) })
	}
	return out, err
}

// MakeToken makes an API token, and returns it with what it is: the token itself
// can never be read again. Its scopes are rights that its maker has now, or send;
// made by another token, none that this does not have, nor does it live longer.
// A person who signed in must have proved lately that it is them. Faults: tok.noname,
// tok.noscope, tok.scope{scope}, tok.days{n}, tok.many{n}, rt.beyond, second.again.
func (s *Service) MakeToken(ctx context.Context, actor Actor, number int64, n NewToken) (TokenView, id.Token, error) {
	n.Name = clean(n.Name)
	if err := checkToken(n); err != nil {
		return TokenView{}, id.Token{}, err
	}
	token := id.NewAPIToken()
	var out TokenView
	err := s.act(ctx, actor, tokenMake, number, func(tx *store.Tx, a store.Account) (err error) {
		out = TokenView{}
		if n.UserID == "" {
			n.UserID = actor.UserID
		}
		if n.UserID != actor.UserID && actor.Kind != KindOperator {
			return notFound()
		}
		if out.Maker, err = tx.FindUser(n.UserID); err != nil {
			return err
		}
		if out.Maker.AccountID != a.ID {
			return notFound()
		}
		if err := recentlyProved(tx, actor); err != nil {
			return err
		}
		if have, err := tx.CountTokens(a.ID); err != nil {
			return err
		} else if have >= maxTokens {
			return fault.New(fault.Conflict, "tok.many").With("n", maxTokens)
		}
		out.APIToken = store.APIToken{ID: id.New(), AccountID: a.ID, UserID: n.UserID, Name: n.Name, CreatedAt: tx.Now,
			ExpiresAt: tx.Now.Add(time.Duration(n.Days) * tokenDayHours)}
		for _, scope := range Scopes { // in one order, each once
			if slices.Contains(n.Scopes, scope) {
				out.Scopes = append(out.Scopes, scope)
			}
		}
		if err := mayMake(tx, actor, out.APIToken); err != nil {
			return err
		}
		if err := tx.InsertToken(out.APIToken, token.Hash()); err != nil {
			return err
		}
		return record(tx, actor, tokenMake, a.ID, out.Name, "maker", out.Maker.Address, "scopes", strings.Join(out.Scopes, ","), "until", LastDay(ZoneOf(a.TimeZone), out.ExpiresAt))
	})
	if err != nil {
		return TokenView{}, id.Token{}, err
	}
	return out, token, nil
}

func checkToken(n NewToken) error {
	var p problems
	if n.Name == "" {
		p.add("name", "tok.noname", nil)
	} else if len([]rune(n.Name)) > maxName {
		p.add("name", "people.namelong", fault.Args{"n": maxName})
	}
	if len(n.Scopes) == 0 {
		p.add("scopes", "tok.noscope", nil)
	}
	for _, scope := range n.Scopes {
		if !slices.Contains(Scopes, scope) {
			p.add("scopes", "tok.scope", fault.Args{"scope": scope})
			break
		}
	}
	if n.Days < 1 || n.Days > maxTokenDays {
		p.add("days", "tok.days", fault.Args{"n": maxTokenDays})
	}
	return p.err()
}

// mayMake refuses a token with a right that its maker does not have, or that is
// more than the token has which makes it.
func mayMake(tx *store.Tx, actor Actor, t store.APIToken) error {
	beyond := &refusal{fault.New(fault.Denied, "rt.beyond"), t.AccountID, t.Name}
	holds, err := tx.ListHoldings(t.UserID, t.AccountID)
	if err != nil {
		return err
	}
	held := Held{holds: holds}
	for _, scope := range t.Scopes {
		if scope != store.ScopeSend && !held.HasSome(scope) {
			return beyond
		}
	}
	if actor.TokenID == "" {
		return nil
	}
	by, err := tx.LiveToken(actor.TokenID, actor.UserID, t.AccountID)
	if err != nil {
		return err
	}
	if t.ExpiresAt.After(by.ExpiresAt) || slices.ContainsFunc(t.Scopes, func(scope string) bool { return !slices.Contains(by.Scopes, scope) }) {
		return beyond
	}
	return nil
}

// Tokens lists an account's tokens, whoever made them.
func (s *Service) Tokens(ctx context.Context, actor Actor, number int64, after string, limit int) (TokensPage, error) {
	limit = limited(limit)
	var out TokensPage
	err := s.look(ctx, actor, tokenView, number, func(tx *store.Tx, a store.Account) error {
		out = TokensPage{}
		list := keyset.Of("tokens", number)
		ms, lastID, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListTokens(a.ID, time.UnixMilli(ms), lastID, limit+1)
		if err != nil {
			return err
		}
		rows, out.Next = keyset.Page(list, rows, limit, func(t store.APIToken) string { return keyset.Numbered(t.CreatedAt.UnixMilli(), t.ID) })
		for _, t := range rows {
			maker, err := tx.FindUser(t.UserID)
			if err != nil {
				return err
			}
			out.Tokens = append(out.Tokens, TokenView{t, maker, !t.ExpiresAt.After(tx.Now)})
		}
		return nil
	})
	return out, err
}

// Token returns one token of an account.
func (s *Service) Token(ctx context.Context, actor Actor, number int64, tokenID string) (TokenView, error) {
	var out TokenView
	err := s.look(ctx, actor, tokenView, number, func(tx *store.Tx, a store.Account) (err error) {
		if out.APIToken, err = tx.FindToken(a.ID, tokenID); err == nil {
			out.Maker, err = tx.FindUser(out.UserID)
		}
		return err
	})
	return out, err
}

// RevokeToken ends a token of an account, whoever made it, and returns it.
func (s *Service) RevokeToken(ctx context.Context, actor Actor, number int64, tokenID string) (store.APIToken, error) {
	var t store.APIToken
	err := s.act(ctx, actor, tokenRevoke, number, func(tx *store.Tx, a store.Account) (err error) {
		if t, err = tx.FindToken(a.ID, tokenID); err != nil {
			return err
		}
		if err := tx.DeleteToken(t.ID); err != nil {
			return err
		}
		return record(tx, actor, tokenRevoke, a.ID, t.Name)
	})
	return t, err
}

// TokensOf counts the API tokens that a user has made and that have not ended by time.
func (s *Service) TokensOf(ctx context.Context, actor Actor, number int64, userID string) (n int, err error) {
	err = s.lookWithin(ctx, actor, userView, number, func(tx *store.Tx, a store.Account, r reach) error {
		u, err := r.user(tx, userID)
		if err != nil {
			return err
		}
		n, err = tx.CountTokensOf(u.ID)
		return err
	})
	return n, err
}

// EndTokens ends all API tokens that a user has made, and returns how many those were.
func (s *Service) EndTokens(ctx context.Context, actor Actor, number int64, userID string) (u store.User, n int64, err error) {
	err = s.actWithin(ctx, actor, tokenEnd, number, func(tx *store.Tx, a store.Account, r reach) (err error) {
		if u, err = r.subject(tx, userID); err != nil {
			return err
		}
		n, err = endTokens(tx, actor, u)
		return err
	})
	return u, n, err
}

// endTokens ends all API tokens of a person, and records that where there were
// any: of somebody who is blocked, or whose password or second factor was
// replaced because it was lost, perhaps to whoever made the tokens.
func endTokens(tx *store.Tx, actor Actor, u store.User) (int64, error) {
	n, err := tx.DeleteTokensOf(u.ID)
	if err != nil || n == 0 {
		return n, err
	}
	return n, record(tx, actor, tokenEnd, u.AccountID, u.Address, "n", fmt.Sprint(n))
}

// MaySend refuses an actor whose token does not name the scope send. Without a
// token, whoever signed in may.
func (s *Service) MaySend(ctx context.Context, sess *Session) error {
	if !sess.SignedIn() {
		return ended()
	}
	if sess.APIToken == nil {
		return nil
	}
	return s.c.DB.View(ctx, func(tx *store.Tx) error {
		ok, err := tx.TokenAllows(sess.APIToken.ID, sess.UserID, sess.APIToken.AccountID, store.ScopeSend)
		if err == nil && !ok {
			err = fault.New(fault.Denied, "err.forbidden")
		}
		return err
	})
}
