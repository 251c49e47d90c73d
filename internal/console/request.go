package console

import (
	"net/http"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// requestPage is what someone sees at /admin who is not an administrator: who
// can help, and a way to ask them.
type requestPage struct {
	web.Base
	Crumbs   []web.Link // none: they stand outside
	Contacts []account.Contact
	Operator bool      // the contact is of whoever runs the service
	Asked    time.Time // when they asked already, zero if they have not
	Rights   []web.Option
}

func (c *Console) requestPage(r *web.Request) (*requestPage, error) {
	page := &requestPage{Base: r.Base(r.T("e403.h1"))}
	for _, right := range append([]string{store.RightAll}, account.Rights...) {
		page.Rights = append(page.Rights, web.Option{Value: right, Text: r.T("rt." + right), Selected: right == store.RightAll})
	}
	var err error
	if page.Contacts, err = c.accounts.WhoCanHelp(r.Context(), r.Session); err != nil {
		return nil, err
	}
	page.Operator = r.User().AccountID == 0
	page.Asked, err = c.accounts.AskedAt(r.Context(), r.Session)
	return page, err
}

// hasAll reports whether there is nothing that the reader could ask for.
func (c *Console) hasAll(r *web.Request) (bool, error) {
	if len(r.Session.AdminOf) == 0 {
		return false, nil
	}
	held, err := c.accounts.Holds(r.Context(), r.Actor(), r.Session.AdminOf[0])
	return held.Everything(), err
}

func (c *Console) request(r *web.Request) error {
	if all, err := c.hasAll(r); err != nil {
		return err
	} else if all {
		return r.Redirect("/admin/accounts")
	}
	page, err := c.requestPage(r)
	if err != nil {
		return err
	}
	status := http.StatusForbidden
	if len(r.Session.AdminOf) > 0 {
		status = http.StatusOK // they are in, and ask for more
	}
	return r.RenderStatus(status, c.pages, "request", page)
}

// ask sends the request to the administrators of the person's own account: no
// other can be named.
func (c *Console) ask(r *web.Request) error {
	if all, err := c.hasAll(r); err != nil {
		return err
	} else if all {
		return r.Redirect("/admin/accounts")
	}
	if err := c.accounts.RequestAccess(r.Context(), r.Session, r.User().AccountID, r.PostFormValue("right"), r.PostFormValue("reason")); err != nil {
		return web.Retry(r, c.pages, "request", c.requestPage, err)
	}
	r.Flash("ok", "adm.asked")
	return r.Redirect("/admin/request")
}

// requestsPage lists who asks for access.
type requestsPage struct {
	head
	Rows []requestRow
}

type requestRow struct {
	ID, Name, Address, Right, Reason string
	CreatedAt                        time.Time
	Groups                           []web.Option // that give it, where there is a choice
	May                              bool         // the reader may grant it
}

func (c *Console) requests(r *web.Request) error {
	page, err := c.requestsPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "requests", page)
}

func (c *Console) requestsPage(r *web.Request) (*requestsPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	list, err := c.accounts.Requests(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	page := &requestsPage{head: headOf(r, a, r.T("adm.requests"))}
	for _, q := range list {
		row := requestRow{ID: q.ID, Name: nameOf(q.User), Address: q.User.DisplayAddress, Right: r.T("rt." + q.Right), Reason: q.Reason, CreatedAt: q.CreatedAt, May: len(q.Groups) > 0}
		for _, g := range q.Groups {
			row.Groups = append(row.Groups, web.Option{Value: g.ID, Text: groupName(r.Printer, g)})
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

func (c *Console) decide(r *web.Request) error {
	page, err := c.requestsPage(r) // also: is the account in the address theirs
	if err != nil {
		return err
	}
	grant := r.PostFormValue("do") == "grant"
	if !grant && r.PostFormValue("do") != "refuse" {
		return fault.New(fault.NotFound, "e404.p")
	}
	u, err := c.accounts.DecideRequest(r.Context(), r.Actor(), r.PostFormValue("id"), grant, r.PostFormValue("group"))
	if err != nil {
		return r.Again(c.pages, "requests", page, err)
	}
	if grant {
		r.Flash("ok", "adm.granted", "name", nameOf(u))
	} else {
		r.Flash("ok", "adm.refused", "name", nameOf(u))
	}
	return r.Redirect(accountPath(page.Number) + "/requests")
}
