package console

import (
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// domainsPage is A13.
type domainsPage struct {
	head
	Rows []domainRow
}

type domainRow struct {
	Name, URL        string
	Status           personStatus
	SPF, DKIM, DMARC personStatus
	CheckedAt        time.Time
}

func domainsLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/domains", Text: r.T("d.h1")}
}

func (c *Console) domainsPage(r *web.Request) (*domainsPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	page := &domainsPage{head: headOf(r, a, r.T("d.h1"))}
	claims, err := c.accounts.Claims(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	domains, err := c.accounts.Domains(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range claims {
		page.Rows = append(page.Rows, domainRow{Name: d.Name, URL: page.Path + "/" + d.Name, CheckedAt: d.CheckedAt,
			Status: personStatus{"warn", r.T("dom.waiting")}})
	}
	for _, d := range domains {
		page.Rows = append(page.Rows, domainRow{Name: d.Name, URL: page.Path + "/" + d.Name, CheckedAt: d.CheckedAt, Status: personStatus{"ok", r.T("d.ok")},
			SPF: checked(r.Printer, d.Checks.SPF), DKIM: checked(r.Printer, d.Checks.DKIM), DMARC: checked(r.Printer, d.Checks.DMARC)})
	}
	slices.SortStableFunc(page.Rows, func(a, b domainRow) int { return strings.Compare(a.Name, b.Name) })
	return page, nil
}

// checked is the word for what was found of a record.
func checked(p i18n.Printer, c store.DNSCheck) personStatus {
	switch c.State {
	case store.CheckOK:
		return personStatus{"ok", p.T("dom.check.ok")}
	case store.CheckWeak:
		return personStatus{"warn", p.T("dom.check.weak")}
	case store.CheckMissing:
		return personStatus{"bad", p.T("dom.check.missing")}
	case store.CheckWrong:
		return personStatus{"bad", p.T("dom.check.wrong")}
	case store.CheckNone:
		return personStatus{"", p.T("dom.check.none")}
	}
	return personStatus{"", p.T("dom.check.not")}
}

func (c *Console) domains(r *web.Request) error {
	page, err := c.domainsPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "domains", page)
}

func (c *Console) claimDomain(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	d, err := c.accounts.ClaimDomain(r.Context(), r.Actor(), n, r.PostFormValue("domain"))
	if err != nil {
		return web.Retry(r, c.pages, "domains", c.domainsPage, err)
	}
	r.Flash("info", "dom.claimed", "domain", d.Name)
	return r.Redirect(accountPath(n) + "/domains/" + d.Name)
}

// domainPage is one domain: its records, its keys and who sends under it.
type domainPage struct {
	head
	account.DomainView
	Records []recordRow
	Keys    []keyRow
	Groups  groupField // who may send
}

type recordRow struct {
	Title, What string
	Name, Value string
	ID          string // of the value, for copying
	Status      personStatus
	Found       string // what is there instead, "" for nothing
}

type keyRow struct {
	Selector string
	Status   personStatus
	Since    time.Time
	URL      string // removes it
}

func (c *Console) domainPage(r *web.Request) (*domainPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	d, err := c.accounts.Domain(r.Context(), r.Actor(), a.ID, r.PathValue("domain"))
	if err != nil {
		return nil, err
	}
	page := &domainPage{head: headOf(r, a, d.Name, domainsLink(r, a.ID)), DomainView: d}
	add := func(id, title, what string, want account.DNSRecord, have store.DNSCheck) {
		if want.Name == "" {
			return
		}
		row := recordRow{Title: r.T(title), What: r.T(what), Name: want.Name, Value: want.Value, ID: id, Status: checked(r.Printer, have)}
		if have.State == store.CheckWrong || have.State == store.CheckWeak {
			row.Found = have.Found
		}
		page.Records = append(page.Records, row)
	}
	if d.Claimed {
		proof := store.DNSCheck{State: store.CheckMissing}
		if d.Found != "" {
			proof = store.DNSCheck{State: store.CheckWrong, Found: d.Found}
		}
		if d.CheckedAt.IsZero() {
			proof = store.DNSCheck{}
		}
		add("proof", "dom.proof", "dom.proof.what", d.Expects.Proof, proof)
		return page, nil
	}
	add("proof", "dom.proof", "dom.proof.keep", d.Expects.Proof, d.Checks.Proof)
	add("spf", "dom.spf", "dom.spf.what", d.Expects.SPF, d.Checks.SPF)
	for _, want := range d.Expects.DKIM {
		add("dkim-"+want.Name, "dom.dkim", "dom.dkim.what", want, d.KeyCheck(want))
	}
	advice := "dom.dmarc.what"
	if d.Checks.DMARC.State == store.CheckWeak {
		advice = "dom.dmarc.weak"
	}
	add("dmarc", "dom.dmarc", advice, d.Expects.DMARC, d.Checks.DMARC)
	for _, k := range d.Keys {
		class := map[string]string{store.KeyActive: "ok", store.KeyWaiting: "warn"}[k.State]
		page.Keys = append(page.Keys, keyRow{k.Selector, personStatus{class, r.T("dom.key." + k.State)}, k.ChangedAt, accountPath(a.ID) + "/domains/" + d.Name + "/keys/" + k.Selector + "/remove"})
	}
	groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, groupsShown)
	if err != nil {
		return nil, err
	}
	if len(groups) > groupsShown {
		page.Groups.Named, err = c.groupCalled(r, a.ID, d.SendersGroup)
		return page, err
	}
	page.Groups.Options = []web.Option{{Value: "", Text: r.T("dom.senders.all"), Selected: d.SendersGroup == ""}}
	known := d.SendersGroup == ""
	for _, g := range groups {
		page.Groups.Options = append(page.Groups.Options, web.Option{Value: g.ID, Text: r.T("dom.senders.group", "group", account.GroupName(r.Printer, g)), Selected: d.SendersGroup == g.ID})
		known = known || d.SendersGroup == g.ID
	}
	if !known {
		page.Groups.Options = append(page.Groups.Options, web.Option{Value: d.SendersGroup, Text: r.T("dom.senders.gone"), Selected: true})
	}
	return page, nil
}

func (c *Console) domain(r *web.Request) error {
	page, err := c.domainPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "domain", page)
}

// onDomain does fn and goes back to the domain's page, where a refusal is said too.
func (c *Console) onDomain(r *web.Request, fn func(n int64, name string) (flash string, err error)) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	name := r.PathValue("domain")
	flash, err := fn(n, name)
	if err != nil {
		return web.Retry(r, c.pages, "domain", c.domainPage, err)
	}
	kind := "ok"
	if flash == "dom.notyet" {
		kind = "warn"
	}
	r.Flash(kind, flash, "domain", name)
	return r.Redirect(accountPath(n) + "/domains/" + name)
}

func (c *Console) checkDomain(r *web.Request) error {
	return c.onDomain(r, func(n int64, name string) (string, error) {
		d, err := c.accounts.CheckDomain(r.Context(), r.Actor(), n, name)
		switch {
		case err != nil:
			return "", err
		case d.Claimed:
			return "dom.notyet", nil
		}
		return "dom.checked", nil
	})
}

func (c *Console) setDomainSenders(r *web.Request) error {
	return c.onDomain(r, func(n int64, name string) (string, error) {
		group, err := c.groupTyped(r, n, r.PostFormValue("group"))
		if err != nil {
			return "", err
		}
		return "dom.saved", c.accounts.SetDomainSenders(r.Context(), asSeen(r), n, name, group)
	})
}

func (c *Console) makeKey(r *web.Request) error {
	return c.onDomain(r, func(n int64, name string) (string, error) {
		_, err := c.accounts.MakeDKIMKey(r.Context(), r.Actor(), n, name)
		return "dom.keymade", err
	})
}

func (c *Console) confirmRemoveDomain(r *web.Request) error {
	page, err := c.domainPage(r)
	if err != nil {
		return err
	}
	confirm := &confirmPage{head: page.head, Question: r.T("dom.removeq", "domain", page.Name), Back: accountPath(page.Number) + "/domains/" + page.Name,
		Keep: r.T("dom.keep"), Button: r.T("dom.remove")}
	if !page.Claimed {
		confirm.Lines = []string{r.T("dom.removewhat")}
	}
	return r.Render(c.pages, "confirm", confirm)
}

func (c *Console) removeDomain(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	name := r.PathValue("domain")
	if err := c.accounts.RemoveDomain(r.Context(), r.Actor(), n, name); err != nil {
		return err
	}
	r.Flash("ok", "dom.removed", "domain", name)
	return r.Redirect(accountPath(n) + "/domains")
}

func (c *Console) confirmRemoveKey(r *web.Request) error {
	page, err := c.domainPage(r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(page.Keys, func(k keyRow) bool { return k.Selector == r.PathValue("selector") })
	if i < 0 {
		return fault.New(fault.NotFound, "e404.p")
	}
	confirm := &confirmPage{head: page.head, Question: r.T("dom.keyremoveq", "selector", page.Keys[i].Selector), Back: accountPath(page.Number) + "/domains/" + page.Name,
		Keep: r.T("dom.keykeep"), Button: r.T("dom.keyremove"), Lines: []string{r.T("dom.keyremovewhat")}}
	return r.Render(c.pages, "confirm", confirm)
}

func (c *Console) removeKey(r *web.Request) error {
	return c.onDomain(r, func(n int64, name string) (string, error) {
		return "dom.keyremoved", c.accounts.RemoveDKIMKey(r.Context(), r.Actor(), n, name, r.PathValue("selector"))
	})
}
