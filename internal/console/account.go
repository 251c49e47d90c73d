package console

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// accountsPage is A2. Who administers one account still sees the list, with
// one row: the seed's path is the same for everybody.
type accountsPage struct {
	siteHead
	Query, Status string
	Chips         []web.Link
	Rows          []accountRow
	Pager         web.Pager
	Alone         bool // the visitor has a password or a mailed code only: no second factor
}

type accountRow struct {
	Number        int64
	Name, Domains string
	Users         string // "–" for who may not know
	Status        personStatus
}

// accountStates are what the list of accounts can be filtered by.
var accountStates = []struct{ value, text string }{{"", "adm.all"}, {store.AccountActive, "st.active"}, {store.AccountSuspended, "st.suspended"}}

func (c *Console) list(r *web.Request) error {
	page := &accountsPage{siteHead: siteHeadOf(r, r.T("seed.accounts")), Query: strings.TrimSpace(r.FormValue("q"))}
	for _, s := range accountStates {
		if s.value == r.FormValue("status") {
			page.Status = s.value
		}
	}
	list, err := c.accounts.FindAccounts(r.Context(), r.Actor(), account.AccountQuery{Text: page.Query, State: page.Status, After: r.FormValue("after")}, pageSize)
	if err != nil {
		return err
	}
	page.Pager = pager(r, list.Next)
	if page.Operates {
		for _, s := range accountStates {
			page.Chips = append(page.Chips, web.Link{URL: with(r, "status", s.value), Text: r.T(s.text), Current: s.value == page.Status})
		}
	}
	factors, err := c.accounts.Factors(r.Context(), r.Session)
	if err != nil {
		return err
	}
	page.Alone = !factors.Any()
	for _, a := range list.Accounts {
		row := accountRow{a.ID, a.Name, "–", "–", accountStatus(r.Printer, a.Account)}
		if a.Counted {
			row.Users = strconv.Itoa(a.Users)
			row.Domains = cmp.Or(strings.Join(a.Domains[:min(3, len(a.Domains))], ", "), "–")
		}
		page.Rows = append(page.Rows, row)
	}
	return r.Render(c.pages, "accounts", page)
}

func accountStatus(p i18n.Printer, a store.Account) personStatus {
	if a.State == store.AccountSuspended {
		return personStatus{"warn", p.T("st.suspended")}
	}
	return personStatus{"ok", p.T("st.active")}
}

// overviewPage is A4.
type overviewPage struct {
	head
	OneAdmin                        bool
	Requests, Users, Admins, Groups int
	AdminsID                        string // of the built-in group, "" where the reader does not see it
	Counted, Audits                 bool   // what the reader may know
	Mine                            []reason
	Operates, Suspended             bool
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
	page.Operates, page.Suspended = r.Operates(), a.State == store.AccountSuspended
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
