package console

import (
	"net/http"
	"slices"
	"strings"
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
	More     bool       // they hold some right already
	Contacts []account.Contact
	Operator bool // the contact is of whoever runs the service
	Rights   []web.Option
	Last     store.AccessRequest // their newest, zero if they never asked
	Right    string              // that it was for, in words
}

func (c *Console) requestPage(r *web.Request) (*requestPage, error) {
	page := &requestPage{Base: r.Base(r.T("e403.h1")), More: len(r.Session.AdminOf) > 0}
	if page.More {
		page.Base = r.Base(r.T("rt.askmore"))
	}
	for _, right := range append([]string{store.RightAll}, account.Rights...) {
		page.Rights = append(page.Rights, web.Option{Value: right, Text: r.T("rt." + right), Selected: right == store.RightAll})
	}
	var err error
	if page.Contacts, err = c.accounts.WhoCanHelp(r.Context(), r.Session); err != nil {
		return nil, err
	}
	page.Operator = r.User().AccountID == 0
	page.Last, err = c.accounts.LastRequest(r.Context(), r.Session)
	page.Right = r.T("rt." + page.Last.Right)
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
	if page.More {
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
	Rows  []requestRow
	Pager web.Pager
}

type requestRow struct {
	ID, Name, Address, Right, Reason string
	CreatedAt                        time.Time
	Groups                           []givingGroup // that give it
	Admin                            bool          // it is to be an administrator
}

// givingGroup is a group that a grant puts somebody into.
type givingGroup struct {
	ID, Name string
	Also     string // what else that gives, in words
}

// alsoText says what a group gives beside what was asked for.
func alsoText(r *web.Request, also []account.Given) string {
	var out []string
	for _, x := range also {
		out = append(out, r.T("rt."+x.Right)+" ("+overText(r, x.Over)+")")
	}
	return strings.Join(out, ", ")
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
	list, err := c.accounts.Requests(r.Context(), r.Actor(), a.ID, r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page := &requestsPage{head: headOf(r, a, r.T("adm.requests")), Pager: pager(r, list.Next)}
	for _, q := range list.Requests {
		row := requestRow{ID: q.ID, Name: nameOf(q.User), Address: q.User.DisplayAddress, Right: r.T("rt." + q.Right), Reason: q.Reason, CreatedAt: q.CreatedAt, Admin: q.Right == store.RightAll}
		for _, g := range q.Groups {
			row.Groups = append(row.Groups, givingGroup{g.ID, account.GroupName(r.Printer, g.Group), alsoText(r, g.Also)})
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
	id := r.PostFormValue("id")
	d, err := c.accounts.DecideRequest(r.Context(), r.Actor(), id, grant, r.PostFormValue("group"), r.PostFormValue("word-"+id))
	if err != nil {
		return r.Again(c.pages, "requests", page, wordIn(id, err))
	}
	also := alsoText(r, d.Also)
	switch {
	case !grant:
		r.Flash("ok", "adm.refused", "name", nameOf(d.User))
	case d.Right == store.RightAll:
		r.Flash("ok", "adm.granted", "name", nameOf(d.User))
	case also == "":
		r.Flash("ok", "adm.grantedgroup", "name", nameOf(d.User), "group", d.Group.Name)
	default:
		r.Flash("ok", "adm.grantedalso", "name", nameOf(d.User), "group", d.Group.Name, "rights", also)
	}
	return r.Redirect(accountPath(page.Number) + "/requests")
}

// wordIn says of which row's word err is: each request has its own field.
func wordIn(id string, err error) error {
	if f := fault.Of(err); len(f.Fields) > 0 {
		out := *f
		out.Fields = slices.Clone(f.Fields)
		for i := range out.Fields {
			out.Fields[i].Name += "-" + id
		}
		return &out
	}
	return err
}
