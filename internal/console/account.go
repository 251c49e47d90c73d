package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// accountsPage is A2. Who administers one account still sees the list, with
// one row: the seed's path is the same for everybody.
type accountsPage struct {
	web.Base
	Crumbs []web.Link
	Query  string
	Rows   []accountRow
	Pager  web.Pager
	Alone  bool // the visitor has a password or a mailed code only: no second factor
}

type accountRow struct {
	Number int64
	Name   string
	Users  int
	Status personStatus
}

func (c *Console) list(r *web.Request) error {
	list, err := c.accounts.Accounts(r.Context(), r.Actor(), r.FormValue("after"), pageSize)
	if err != nil {
		return err
	}
	page := &accountsPage{
		Base: r.Base(r.T("seed.accounts")), Query: strings.TrimSpace(r.FormValue("q")),
		Pager: pager(r, list.Next),
	}
	factors, err := c.accounts.Factors(r.Context(), r.Session)
	if err != nil {
		return err
	}
	page.Alone = !factors.Any()
	for _, a := range list.Accounts {
		if !accountMatches(a, page.Query) {
			continue
		}
		status := personStatus{"ok", r.T("st.active")}
		if a.State != store.AccountActive {
			status = personStatus{"warn", r.T("st.suspended")}
		}
		page.Rows = append(page.Rows, accountRow{a.ID, a.Name, a.Users, status})
	}
	return r.Render(c.pages, "accounts", page)
}

// accountMatches searches in what is listed: a person administers few accounts.
func accountMatches(a account.AccountView, query string) bool {
	q := strings.ToLower(query)
	return strings.HasPrefix(strconv.FormatInt(a.ID, 10), q) || strings.Contains(strings.ToLower(a.Name), q)
}

// overviewPage is A4.
type overviewPage struct {
	head
	OneAdmin                        bool
	Requests, Users, Admins, Groups int
	AdminsID                        string // of the built-in group
	CreatedAt                       time.Time
	Recent                          []event
}

func (c *Console) overview(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	groups, err := c.accounts.Groups(r.Context(), r.Actor(), a.ID, "", "", 1)
	if err != nil {
		return err
	}
	log, err := c.accounts.Audit(r.Context(), r.Actor(), a.ID, "", 5)
	if err != nil {
		return err
	}
	page := &overviewPage{
		head: headOf(r, a, ""), OneAdmin: a.Administrators < 2, Requests: a.Requests, Users: a.Users, Admins: a.Administrators,
		Groups: a.Groups, CreatedAt: a.CreatedAt,
	}
	for _, g := range groups.Groups {
		if g.Builtin {
			page.AdminsID = g.ID
		}
	}
	page.Recent = eventsOf(r.Printer, log.Records)
	return r.Render(c.pages, "account", page)
}

// accountOf reads the account in the address.
func (c *Console) accountOf(r *web.Request) (account.AccountView, error) {
	n, err := numberOf(r)
	if err != nil {
		return account.AccountView{}, err
	}
	return c.accounts.Account(r.Context(), r.Actor(), n)
}
