package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// integrationsPage is A18.
type integrationsPage struct {
	head
	Rows   []tokenRow
	Pager  web.Pager
	Scopes []scopeRow // that the person can give
	Days   []web.Option
	Secret string // of the token that was just made, "" at all other times
	Made   string // its name
	Hooks  []webhookRow
	Fresh  bool // the person has proved lately that it is them
}

type tokenRow struct {
	account.TokenView
	Holder, What string
	URL          string // revokes it
	Status       personStatus
}

type scopeRow struct {
	Name, Text, Hint string
	Chosen           bool
}

func integrationsLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/integrations", Text: r.T("it.h1")}
}

func (c *Console) integrationsPage(r *web.Request) (*integrationsPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	tokens, err := c.accounts.Tokens(r.Context(), r.Actor(), a.ID, r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page := &integrationsPage{head: headOf(r, a, r.T("it.h1")), Pager: pager(r, tokens.Next)}
	if page.Fresh, err = c.provedLately(r); err != nil {
		return nil, err
	}
	hooks, err := c.accounts.Webhooks(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	for _, v := range hooks {
		page.Hooks = append(page.Hooks, webhookRowOf(r, a.ID, v))
	}
	for _, t := range tokens.Tokens {
		row := tokenRow{TokenView: t, Holder: nameOf(t.Maker), URL: page.Path + "/tokens/" + t.ID + "/revoke", Status: personStatus{"ok", r.T("st.active")}}
		switch {
		case t.Ended:
			row.Status = personStatus{"", r.T("tok.ended")}
		case t.Maker.State != store.UserActive:
			row.Status = personStatus{"bad", r.T("st.blocked")}
		}
		var names []string
		for _, scope := range t.Scopes {
			names = append(names, account.ScopeName(r.Printer, scope))
		}
		row.What = strings.Join(names, ", ")
		page.Rows = append(page.Rows, row)
	}
	for _, scope := range account.Scopes {
		if scope != store.ScopeSend && !a.Held.HasSome(scope) {
			continue
		}
		row := scopeRow{Name: scope, Text: account.ScopeName(r.Printer, scope), Hint: r.T("rt." + scope + ".hint"), Chosen: r.PostFormValue("scope-"+scope) != ""}
		if scope == store.ScopeSend {
			row.Hint = r.T("tok.send.hint")
		}
		page.Scopes = append(page.Scopes, row)
	}
	chosen := r.PostFormValue("days")
	for _, days := range []int{7, 30, 90, 180, 365} {
		page.Days = append(page.Days, web.Option{Value: strconv.Itoa(days), Text: r.T("tok.ndays", "n", days), Selected: strconv.Itoa(days) == chosen || chosen == "" && days == 90})
	}
	return page, nil
}

func (c *Console) integrations(r *web.Request) error {
	page, err := c.integrationsPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "integrations", page)
}

// makeToken answers with the token itself, which no later page can show.
func (c *Console) makeToken(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	in := account.NewToken{Name: r.PostFormValue("name")}
	in.Days, _ = strconv.Atoi(r.PostFormValue("days")) // 0 is refused
	for _, scope := range account.Scopes {
		if r.PostFormValue("scope-"+scope) != "" {
			in.Scopes = append(in.Scopes, scope)
		}
	}
	var t account.TokenView
	var secret id.Token
	err = r.Once(func() (err error) {
		t, secret, err = c.accounts.MakeToken(r.Context(), r.Actor(), n, in)
		return err
	})
	if err != nil && !web.Mendable(err) {
		return err
	}
	page, perr := c.integrationsPage(r)
	if perr != nil {
		return perr
	}
	if err != nil {
		return r.Again(c.pages, "integrations", page, err)
	}
	page.Secret, page.Made = secret.Reveal(), t.Name
	for i := range page.Scopes {
		page.Scopes[i].Chosen = false
	}
	return r.RenderStatus(http.StatusCreated, c.pages, "integrations", page)
}

func (c *Console) confirmRevokeToken(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	t, err := c.accounts.Token(r.Context(), r.Actor(), a.ID, r.PathValue("token"))
	if err != nil {
		return err
	}
	page := confirm(r, a, r.T("tok.revoke"), r.T("tok.revokeq", "name", t.Name), accountPath(a.ID)+"/integrations", integrationsLink(r, a.ID))
	page.Lines = []string{r.T("tok.revokewhat")}
	page.Keep, page.Button = r.T("c.cancel"), r.T("tok.revoke")
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) revokeToken(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	t, err := c.accounts.RevokeToken(r.Context(), r.Actor(), n, r.PathValue("token"))
	if err != nil {
		return err
	}
	r.Flash("ok", "tok.revoked", "name", t.Name)
	return r.Redirect(accountPath(n) + "/integrations")
}
