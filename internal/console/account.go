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
	Users, Sealed string // "–" for who may not know
	Status        personStatus
}

// accountStates are what the list of accounts can be filtered by.
var accountStates = []struct{ value, text string }{{"", "adm.all"}, {store.AccountActive, "st.active"}, {store.AccountSuspended, "st.suspended"}, {store.AccountDeleting, "st.deleting"}}

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
		row := accountRow{a.ID, a.Name, "–", "–", "–", accountStatus(r.Printer, a.Account)}
		if a.Counted {
			row.Users, row.Sealed = counted(r.Printer, a.Users), strconv.FormatInt(a.Recent.Sealed, 10)
			row.Domains = cmp.Or(strings.Join(a.Domains[:min(3, len(a.Domains))], ", "), "–")
		}
		page.Rows = append(page.Rows, row)
	}
	return r.Render(c.pages, "accounts", page)
}

// counted is a number that is counted up to store.MaxCount.
func counted(p i18n.Printer, n int) string {
	if n > store.MaxCount {
		return p.T("c.many")
	}
	return strconv.Itoa(n)
}

func accountStatus(p i18n.Printer, a store.Account) personStatus {
	switch a.State {
	case store.AccountSuspended:
		return personStatus{"warn", p.T("st.suspended")}
	case store.AccountDeleting:
		return personStatus{"bad", p.T("st.deleting")}
	case store.AccountDeleted:
		return personStatus{"", p.T("st.deleted")}
	}
	return personStatus{"ok", p.T("st.active")}
}

// overviewPage is A4.
type overviewPage struct {
	head
	OneAdmin            bool
	Requests, Admins    int
	Users, Groups       string
	AdminsID            string // of the built-in group, "" where the reader does not see it
	Counted, Audits     bool   // what the reader may know
	Mine                []reason
	Operates, Suspended bool
	Lack                string // how many have no second factor, "" = none
	CreatedAt           time.Time
	Leaving, Gone, Shut bool // it is being deleted, is deleted, was suspended before
	Administers         bool // the reader may cancel that
	DeleteAt            time.Time
	Claims              []string // domains that wait for their record
	account.RecentFigures
	Recent []event

	Near []string // of the quotas of which 80 % are used
}

func (c *Console) overview(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	a, err := c.accounts.Account(r.Context(), r.Actor(), n)
	if err != nil {
		return err
	}
	page := &overviewPage{
		head: headOf(r, a.AccountHead, ""), OneAdmin: a.Administrators < 2, Requests: a.Requests, Users: counted(r.Printer, a.Users), Admins: a.Administrators,
		Groups: counted(r.Printer, a.Groups), CreatedAt: a.CreatedAt, Counted: a.Counted, Audits: a.Held.Has(store.RightAudit),
	}
	for _, q := range a.Quotas {
		if q.Near() {
			page.Near = append(page.Near, r.T("po.todo."+q.Name, "n", q.Used, "max", q.Max))
		}
	}
	page.Operates, page.Suspended = r.Operates(), a.State == store.AccountSuspended
	page.Leaving, page.Gone, page.Administers, page.DeleteAt = a.State == store.AccountDeleting, a.State == store.AccountDeleted, a.Held.Everything(), a.Deletion.At
	page.Shut = a.Deletion.Before == store.AccountSuspended
	page.RecentFigures = a.Recent
	if page.Settles {
		page.Claims = a.Claims[:min(3, len(a.Claims))]
	}
	if page.Manages || page.Audits {
		groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, 1) // the built-in one comes first
		if err != nil {
			return err
		}
		if len(groups) > 0 { // of an account that is deleted nothing is left
			page.AdminsID = groups[0].ID
		}
	}
	if a.State == store.AccountActive && page.Counted && (page.Manages || page.Audits) {
		lack, err := c.accounts.Users(r.Context(), r.Actor(), a.ID, "", store.OnlyNoSecond, "", 1)
		if err != nil {
			return err
		}
		if page.Lack = r.T("fa.lack", "n", lack.Total); lack.Total > store.MaxCount {
			page.Lack = r.T("fa.lackmany")
		} else if lack.Total == 0 {
			page.Lack = ""
		}
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
		page.Mine = reasonsOf(r, a.AccountHead, mine)
	}
	return r.Render(c.pages, "account", page)
}

// accountOf reads the account in the address.
func (c *Console) accountOf(r *web.Request) (account.AccountHead, error) {
	n, err := numberOf(r)
	if err != nil {
		return account.AccountHead{}, err
	}
	return c.accounts.AccountHead(r.Context(), r.Actor(), n)
}
