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
	Users  string // "–" for who may not know
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
		users := "–"
		if a.Counted {
			users = strconv.Itoa(a.Users)
		}
		page.Rows = append(page.Rows, accountRow{a.ID, a.Name, users, status})
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
	AdminsID                        string // of the built-in group, "" where the reader does not see it
	Counted, Audits                 bool   // what the reader may know
	Mine                            []reason
	CreatedAt                       time.Time
	Recent                          []event
}

func (c *Console) overview(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	page := &overviewPage{
		head: headOf(r, a, ""), OneAdmin: a.Administrators < 2, Requests: a.Requests, Users: a.Users, Admins: a.Administrators,
		Groups: a.Groups, CreatedAt: a.CreatedAt, Counted: a.Counted, Audits: a.Held.Has(store.RightAudit),
	}
	if page.Manages || page.Audits {
		groups, err := c.accounts.Groups(r.Context(), r.Actor(), a.ID, "", "", 1) // the built-in one comes first
		if err != nil {
			return err
		}
		page.AdminsID = groups.Groups[0].ID
	}
	if page.Audits {
		log, err := c.accounts.Audit(r.Context(), r.Actor(), a.ID, "", 5)
		if err != nil {
			return err
		}
		page.Recent = eventsOf(r.Printer, log.Records)
	}
	if !a.Held.Everything() {
		mine, err := c.accounts.Own(r.Context(), r.Actor(), a.ID)
		if err != nil {
			return err
		}
		page.Mine = reasonsOf(r, a, mine)
	}
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
