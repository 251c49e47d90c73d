package console

import (
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// siteHead is what the pages over all accounts share. Its tabs are an operator's.
type siteHead struct {
	web.Base
	Crumbs   []web.Link
	Tabs     []web.Link
	Path     string
	Operates bool
}

func siteHeadOf(r *web.Request, title string) siteHead {
	h := siteHead{Base: r.Base(title), Path: r.URL.Path, Operates: r.Operates()}
	if !h.Operates {
		return h
	}
	for _, t := range [][2]string{{"/admin/accounts", "seed.accounts"}, {"/admin/audit", "au.h1"}, {"/admin/system", "sy.h1"}, {"/admin/support", "sp.tab"}} {
		below := strings.HasPrefix(r.URL.Path, t[0]+"/") || t[0] == "/admin/system" && strings.HasPrefix(r.URL.Path, "/admin/jobs")
		h.Tabs = append(h.Tabs, web.Link{URL: t[0], Text: r.T(t[1]), Current: below || r.URL.Path == t[0], Below: below})
	}
	return h
}

// newAccountPage is A3.
type newAccountPage struct {
	siteHead
	Languages, Zones []web.Option
}

func newAccountPageOf(r *web.Request, language, zone string) *newAccountPage {
	return &newAccountPage{siteHeadOf(r, r.T("accn.h1")), r.Languages(language), web.Zones(zone)}
}

func (c *Console) newAccount(r *web.Request) error {
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return err
	}
	return r.Render(c.pages, "account-new", newAccountPageOf(r, r.Printer.Lang, r.Printer.Zone.String()))
}

// Envelopes of a new account can be opened, and are kept for the link, for so
// many days unless its settings say otherwise.
const (
	expiryDays = 30
	keepDays   = 14
)

func (c *Console) openAccount(r *web.Request) error {
	form := r.PostFormValue
	var a store.Account
	var err error
	if r.Operates() { // another is refused below, and it is recorded
		err = r.Required("name", "adm.name", "administrator", "accn.first")
	}
	if err == nil {
		n := account.NewAccount{Name: form("name"), Language: form("language"), TimeZone: form("time_zone"), ExpiryDays: expiryDays, KeepDays: keepDays}
		if domain := strings.TrimSpace(form("domain")); domain != "" {
			n.Domains = []string{domain}
		}
		a, err = c.accounts.OpenAccount(r.Context(), r.Actor(), n, form("administrator"))
	}
	if err != nil {
		return r.Again(c.pages, "account-new", newAccountPageOf(r, form("language"), form("time_zone")), err)
	}
	r.Flash("ok", "accn.done", "number", a.ID)
	return r.Redirect(accountPath(a.ID))
}

// siteAuditPage is A20.
type siteAuditPage struct {
	siteHead
	auditForm
	Rows  []siteEvent
	Pager web.Pager
}

type siteEvent struct {
	event
	URL     string
	Account int64 // 0 = of none
}

func (c *Console) siteAudit(r *web.Request) error {
	page, wrong, err := c.siteAuditPage(r, r.URL.Query().Get)
	if err != nil {
		return err
	}
	if wrong != nil {
		return r.Again(c.pages, "site-audit", page, wrong)
	}
	return r.Render(c.pages, "site-audit", page)
}

// siteAuditPage is auditPage over all accounts.
func (c *Console) siteAuditPage(r *web.Request, get func(string) string) (page *siteAuditPage, wrong, err error) {
	form, q, wrong := auditFormOf(r, get)
	q.Older, q.Newer = get("after"), get("before")
	log, err := c.accounts.ReadSiteAudit(r.Context(), r.Actor(), q, pageSize)
	if err != nil {
		return nil, nil, err
	}
	page = &siteAuditPage{siteHead: siteHeadOf(r, r.T("sa.h1")), auditForm: form}
	page.Path = "/admin/audit"
	if wrong != nil {
		r.Self = page.Path + "?" + form.Filter.values().Encode()
		return page, wrong, nil
	}
	page.Pager = timedPager(r, form.Filter, log)
	for _, row := range log.Records {
		e := siteEvent{eventOf(r.Printer, row), page.Path + "/" + row.ID, row.AccountID}
		if row.AccountID != 0 {
			e.URL = accountPath(row.AccountID) + "/audit/" + row.ID
		}
		page.Rows = append(page.Rows, e)
	}
	return page, nil, nil
}

// timedPager leads to older and newer events that the filter selects.
func timedPager(r *web.Request, filter auditFilter, log account.AuditLog) web.Pager {
	p := web.Pager{Printer: r.Printer, Timed: true}
	for _, to := range []struct {
		url          *string
		name, cursor string
	}{{&p.Next, "after", log.Older}, {&p.Prev, "before", log.Newer}} {
		if to.cursor != "" {
			v := filter.values()
			v.Set(to.name, to.cursor)
			*to.url = r.URL.Path + "?" + v.Encode()
		}
	}
	return p
}

// exportSiteAudit answers with the events of all accounts that the filters select, as a file.
func (c *Console) exportSiteAudit(r *web.Request) error {
	q, format, wrong := exportOf(r)
	if wrong != nil {
		page, wrong, err := c.siteAuditPage(r, r.PostFormValue)
		if err != nil {
			return err
		}
		return r.Again(c.pages, "site-audit", page, wrong)
	}
	next, err := c.accounts.ExportSiteAudit(r.Context(), r.Actor(), q, format)
	if err != nil {
		return err
	}
	return writeAudit(r, "pli-audit", format, store.AuditHead{}, next)
}

// chainsPage says of each account's log whether it verifies.
type chainsPage struct {
	siteHead
	Rows  []chainRow
	Pager web.Pager
}

type chainRow struct {
	Number int64 // 0: of no account
	URL    string
	Events int64
	At     time.Time // last full check; zero: none yet
	Status personStatus
}

func (c *Console) chains(r *web.Request) error {
	heads, next, err := c.accounts.AuditChains(r.Context(), r.Actor(), r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &chainsPage{siteHead: siteHeadOf(r, r.T("sa.chains")), Pager: pager(r, next)}
	for _, h := range heads {
		row := chainRow{Number: h.AccountID, Events: h.Seq, At: h.CheckedAt, Status: personStatus{"ok", r.T("sa.whole")}}
		if h.AccountID != 0 {
			row.URL = accountPath(h.AccountID) + "/audit"
		}
		switch {
		case h.BrokenSeq != 0:
			row.Status = personStatus{"bad", r.T("sa.broken", "seq", h.BrokenSeq)}
		case h.CheckedAt.IsZero():
			row.Status = personStatus{"", r.T("sa.unchecked")}
		}
		page.Rows = append(page.Rows, row)
	}
	return r.Render(c.pages, "chains", page)
}

// siteEventPage is one event of no account, whole.
type siteEventPage struct {
	siteHead
	eventView
}

func (c *Console) siteEvent(r *web.Request) error {
	row, chain, err := c.accounts.AuditEvent(r.Context(), r.Actor(), 0, r.PathValue("event"))
	if err != nil {
		return err
	}
	view, err := eventViewOf(r.Printer, row, chain)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "site-event", &siteEventPage{siteHeadOf(r, r.T("au.event")), view})
}

// statePage asks whether to suspend an account, or to resume it.
func (c *Console) statePage(r *web.Request) (page *confirmPage, suspend bool, err error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, false, err
	}
	suspend = strings.HasSuffix(r.URL.Path, "/suspend")
	key := "as2.resume"
	if suspend {
		key = "as2.suspend"
	}
	page = confirm(r, a, r.T(key), r.T(key+"q", "number", a.ID), accountPath(a.ID))
	page.Lines = []string{r.T(key + "what")}
	page.Keep, page.Button = r.T("c.cancel"), r.T(key)
	return page, suspend, nil
}

func (c *Console) confirmState(r *web.Request) error {
	page, _, err := c.statePage(r)
	if err != nil {
		return err
	}
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return err
	}
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) setState(r *web.Request) error {
	page, suspend, err := c.statePage(r)
	if err != nil {
		return err
	}
	do, said := c.accounts.ResumeAccount, "as2.resumed"
	if suspend {
		do, said = c.accounts.SuspendAccount, "as2.suspended"
	}
	if err := do(r.Context(), r.Actor(), page.Number); err != nil {
		return err
	}
	r.Flash("ok", said, "number", page.Number)
	return r.Redirect(accountPath(page.Number))
}
