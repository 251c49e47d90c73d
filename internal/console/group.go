package console

import (
	"net/url"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// groupsPage is A5, the page of the seed.
type groupsPage struct {
	head
	Query       string
	Rows        []groupRow
	Pager       web.Pager
	Many        bool // enough groups to search among
	OnlyBuiltin bool
	Builtin     bool // the built-in one is among them
	ReadOnly    bool // nothing here is the reader's to change
}

type groupRow struct {
	Name    string
	URL     string
	Builtin bool
	Members string
	May     bool // the reader may change who is in it
}

func (c *Console) groupsPage(r *web.Request) (*groupsPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	list, err := c.accounts.Groups(r.Context(), r.Actor(), a.ID, query.Get("q"), query.Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page := &groupsPage{
		head: headOf(r, a, r.T("seed.groups")), Query: query.Get("q"), Many: list.Total > 5, OnlyBuiltin: list.Total == 1 && query.Get("q") == "",
		Pager: pager(r, list.Next),
	}
	page.ReadOnly = !page.Manages
	for _, g := range list.Groups {
		page.Builtin = page.Builtin || g.Builtin
		page.ReadOnly = page.ReadOnly && !a.Held.Over(store.RightUsers, g.ID)
		page.Rows = append(page.Rows, groupRow{account.GroupName(r.Printer, g), accountPath(a.ID) + "/groups/" + g.ID, g.Builtin, counted(r.Printer, g.Members), a.Held.Over(store.RightUsers, g.ID)})
	}
	return page, nil
}

func (c *Console) groups(r *web.Request) error {
	page, err := c.groupsPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "groups", page)
}

func (c *Console) addGroup(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	g, err := c.accounts.AddGroup(r.Context(), r.Actor(), n, r.PostFormValue("name"))
	if err != nil {
		return web.Retry(r, c.pages, "groups", c.groupsPage, err)
	}
	r.Flash("ok", "g.added", "name", g.Name)
	return r.Redirect(accountPath(n) + "/groups")
}

// groupOf reads the account and the group in the address.
func (c *Console) groupOf(r *web.Request) (account.AccountHead, store.Group, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return a, store.Group{}, err
	}
	g, err := c.accounts.Group(r.Context(), r.Actor(), a.ID, r.PathValue("group"))
	return a, g, err
}

// groupPage is a group's name, and what its members may do.
type groupPage struct {
	head
	Group   string
	GroupID string
	Builtin bool
	Rights  []rightRow
	May     bool // the reader may change some of it

	Revision, RightsRevision string
}

func (c *Console) groupPage(r *web.Request) (*groupPage, error) {
	a, g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	name := account.GroupName(r.Printer, g)
	page := &groupPage{head: headOf(r, a, name, groupsLink(r, a.ID)), Group: name, GroupID: g.ID, Builtin: g.Builtin, Revision: account.GroupRevision(g)}
	return page, c.rightRows(r, a, g, page)
}

func (c *Console) group(r *web.Request) error {
	page, err := c.groupPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "group", page)
}

func (c *Console) renameGroup(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	g, err := c.accounts.RenameGroup(r.Context(), asSeen(r), n, r.PathValue("group"), r.PostFormValue("name"))
	if err != nil {
		return web.Retry(r, c.pages, "group", c.groupPage, err)
	}
	r.Flash("ok", "adm.grouprenamed", "name", g.Name)
	return r.Redirect(accountPath(n) + "/groups")
}

// confirmPage asks once more before what cannot simply be undone. The focus is
// on the safe choice, and the button names the act.
type confirmPage struct {
	head
	Question     string
	Sub          string
	Warning      string
	Lines        []string
	Keep, Button string
	Back         string
	Stopped      string   // why it cannot be done, "" if it can: then only Instead is offered
	Instead      web.Link // what to do first
}

// confirm begins a confirm page about something of an account; act names it in
// the breadcrumb.
func confirm(r *web.Request, a account.AccountHead, act, question, back string, between ...web.Link) *confirmPage {
	page := &confirmPage{
		head: headOf(r, a, question, between...), Question: question, Back: back,
		Sub: r.T("adm.account", "number", a.ID) + " · " + a.Name,
	}
	page.Crumbs[len(page.Crumbs)-1].Text = act
	return page
}

// lastAdministrator is the confirm page of an act that would leave the account
// without an administrator: it asks nothing, and leads to where one is added.
func (c *Console) lastAdministrator(r *web.Request, a account.AccountHead, name, act string, between ...web.Link) (*confirmPage, error) {
	g, err := c.accounts.GroupNamed(r.Context(), r.Actor(), a.ID, account.AdministratorsName)
	if err != nil {
		return nil, err
	}
	page := confirm(r, a, act, act, "", between...)
	page.Stopped = r.T("m.last", "name", name)
	page.Instead = web.Link{URL: accountPath(a.ID) + "/groups/" + g.ID + "/members#f-user", Text: r.T("adm.addadmin")}
	return page, nil
}

// refuse answers with the confirm page once more and what stands in the way.
func (c *Console) refuse(r *web.Request, page *confirmPage, err error) error {
	page.Input = url.Values{}
	return r.Again(c.pages, "confirm", page, err)
}

func (c *Console) deletePage(r *web.Request) (*confirmPage, error) {
	a, g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	if g.Builtin {
		return nil, fault.New(fault.Conflict, "g.nodelete")
	}
	if !a.Held.Has(store.RightUsers) {
		return nil, fault.New(fault.Denied, "err.forbidden")
	}
	page := confirm(r, a, r.T("c.delete"), r.T("adm.groupdelq", "group", g.Name), accountPath(a.ID)+"/groups", groupsLink(r, a.ID))
	page.Lines = []string{r.T("adm.groupdelwhat", "n", g.Members)}
	switch {
	case g.Members == 0:
		page.Lines = []string{r.T("adm.groupdel0")}
	case g.Members > store.MaxCount:
		page.Lines = []string{r.T("adm.groupdelmany")}
	}
	page.Keep, page.Button = r.T("adm.groupkeep"), r.T("adm.groupdel")
	return page, nil
}

func (c *Console) confirmDeleteGroup(r *web.Request) error {
	page, err := c.deletePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) deleteGroup(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	g, err := c.accounts.DeleteGroup(r.Context(), r.Actor(), n, r.PathValue("group"))
	if err != nil {
		return err
	}
	switch {
	case g.Members == 0:
		r.Flash("ok", "adm.groupdeleted0", "name", g.Name)
	case g.Members > store.MaxCount:
		r.Flash("ok", "adm.groupdeletedmany", "name", g.Name)
	default:
		r.Flash("ok", "adm.groupdeleted", "name", g.Name, "n", g.Members)
	}
	return r.Redirect(accountPath(n) + "/groups")
}
