package console

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// Host is what the server that the pages run in tells of itself. Nil functions tell nothing.
type Host struct {
	Checks func(context.Context, account.Actor, i18n.Printer) []Check
	State  func(context.Context, account.Actor) (account.System, error)
	// TestMail sends a mail, and says which server took it, or answered what.
	TestMail func(ctx context.Context, to mailaddr.Address, subject, text string) (server string, err error)
	// TestSignIn asks a provider what it is.
	TestSignIn func(ctx context.Context, name string) error
	Mail       []Setting
	Providers  []Provider
	Level      string // of accessibility, as configured
}

// Setting is one value of the configuration: its key there, and what it says.
type Setting struct{ Key, Value string }

// Provider is an organisation's sign-in as configured.
type Provider struct {
	Name, Label, Issuer, ClientID, Redirect string
	Domains                                 []string
}

// Check is one thing that was looked at: how it is, and what to do about it.
type Check struct {
	ID, Class    string // ok, warn, bad
	Text, Remedy string // catalogue keys; nothing to do where all is well
	Args         []any
}

// systemPage is A19.
type systemPage struct {
	siteHead
	Links  []web.Link
	Bad    int
	Checks []checkRow
	State  account.System
	Nodes  []nodeRow
	Told   bool // State says something
}

type checkRow struct {
	ID, Text, Remedy string
	Status           personStatus
}

type nodeRow struct {
	store.Node
	Status personStatus
}

// nodeGone is after how long without a word a node counts as gone.
const nodeGone = 2 * time.Minute

// systemLinks are the pages beside A19.
func systemLinks(r *web.Request) (out []web.Link) {
	for _, l := range [][2]string{{"/admin/system", "sy.h1"}, {"/admin/system/settings", "po.site.link"}, {"/admin/system/mail", "sm.h1"}, {"/admin/system/signin", "ss.h1"}, {"/admin/system/legal", "sl.h1"}, {"/admin/jobs", "job.h1"}} {
		out = append(out, web.Link{URL: l[0], Text: r.T(l[1]), Current: r.URL.Path == l[0]})
	}
	return out
}

func (c *Console) system(r *web.Request) error {
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return err
	}
	page := &systemPage{siteHead: siteHeadOf(r, r.T("sy.h1")), Links: systemLinks(r)}
	if c.host.Checks != nil {
		page.Checks = checkRows(r.Printer, c.host.Checks(r.Context(), r.Actor(), r.Printer))
	}
	for _, row := range page.Checks {
		if row.Status.Class != "ok" {
			page.Bad++
		}
	}
	if c.host.State == nil {
		return r.Render(c.pages, "system", page)
	}
	var err error
	if page.State, err = c.host.State(r.Context(), r.Actor()); err != nil {
		return err
	}
	page.Told = true
	for _, n := range page.State.Nodes {
		row := nodeRow{n, personStatus{"ok", r.T("sy.node.here")}}
		if c.accounts.Now().Sub(n.SeenAt) > nodeGone {
			row.Status = personStatus{"warn", r.T("sy.node.gone")}
		}
		page.Nodes = append(page.Nodes, row)
	}
	return r.Render(c.pages, "system", page)
}

// checkRows are the checks in words, what needs somebody first.
func checkRows(p i18n.Printer, checks []Check) (out []checkRow) {
	for _, class := range []string{"bad", "warn", "ok"} {
		for _, k := range checks {
			if k.Class != class {
				continue
			}
			row := checkRow{ID: k.ID, Text: p.T(k.Text, k.Args...), Status: personStatus{class, p.T("sy.state." + class)}}
			if k.Remedy != "" {
				row.Remedy = p.T(k.Remedy, k.Args...)
			}
			out = append(out, row)
		}
	}
	return out
}

// settingsPage is A21's mail and sign-in: what the configuration says, and a try.
type settingsPage struct {
	siteHead
	Links     []web.Link
	Settings  []Setting
	Providers []Provider
	To        string
}

func (c *Console) settingsPage(r *web.Request, title string) (*settingsPage, error) {
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return nil, err
	}
	return &settingsPage{siteHead: siteHeadOf(r, r.T(title)), Links: systemLinks(r), Settings: c.host.Mail, Providers: c.host.Providers, To: r.User().DisplayAddress}, nil
}

func (c *Console) systemMail(r *web.Request) error {
	page, err := c.settingsPage(r, "sm.h1")
	if err != nil {
		return err
	}
	return r.Render(c.pages, "system-mail", page)
}

// testMail sends a mail to the operator's own address.
func (c *Console) testMail(r *web.Request) error {
	to, err := mailaddr.Parse(r.User().Address)
	if err != nil {
		return err
	}
	if err := c.accounts.TestSystem(r.Context(), r.Actor(), "mail", to.Canonical()); err != nil {
		return err
	}
	if c.host.TestMail == nil {
		return fault.New(fault.Unavailable, "e503.h1")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 25*time.Second)
	defer cancel()
	server, err := c.host.TestMail(ctx, to, r.T("sm.subject"), r.T("sm.text"))
	if err != nil {
		r.Flash("bad", "sm.testerr", "server", server, "reason", err.Error())
	} else {
		r.Flash("ok", "sm.testok", "server", server)
	}
	return r.Redirect("/admin/system/mail")
}

func (c *Console) systemSignIn(r *web.Request) error {
	page, err := c.settingsPage(r, "ss.h1")
	if err != nil {
		return err
	}
	return r.Render(c.pages, "system-signin", page)
}

// testSignIn asks one provider what it is; nobody signs in by it.
func (c *Console) testSignIn(r *web.Request) error {
	name := r.PostFormValue("name")
	known := slices.ContainsFunc(c.host.Providers, func(p Provider) bool { return p.Name == name })
	if err := c.accounts.TestSystem(r.Context(), r.Actor(), "signin", name); err != nil {
		return err
	}
	if !known {
		return fault.New(fault.NotFound, "e404.p")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 12*time.Second)
	defer cancel()
	if err := c.host.TestSignIn(ctx, name); err != nil {
		reason := err.Error()
		if cause := fault.Of(err).Unwrap(); cause != nil {
			reason = cause.Error()
		}
		r.Flash("bad", "ss.testerr", "name", name, "reason", reason)
	} else {
		r.Flash("ok", "ss.testok", "name", name)
	}
	return r.Redirect("/admin/system/signin")
}

// legalPage is A21's legal texts.
type legalPage struct {
	siteHead
	Links      []web.Link
	Legal      account.Legal
	Configured string
}

// Levels are the choices; the empty one is what the configuration says.
func (p *legalPage) Levels() []web.Option {
	out := []web.Option{{Value: "", Text: p.T("sl.asconf", "level", p.T("web.a11y."+p.Configured)), Selected: p.Legal.Level == ""}}
	for _, l := range []string{"full", "partial", "none"} {
		out = append(out, web.Option{Value: l, Text: p.T("web.a11y." + l), Selected: p.Legal.Level == l})
	}
	return out
}

func (c *Console) legalPage(r *web.Request) (*legalPage, error) {
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return nil, err
	}
	configured := c.host.Level
	if configured == "" {
		configured = "partial"
	}
	return &legalPage{siteHead: siteHeadOf(r, r.T("sl.h1")), Links: systemLinks(r), Legal: c.accounts.Legal(r.Context()), Configured: configured}, nil
}

func (c *Console) legal(r *web.Request) error {
	page, err := c.legalPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "system-legal", page)
}

func (c *Console) setLegal(r *web.Request) error {
	form := r.PostFormValue
	in := account.Legal{Level: form("level"), URL: form("url"), Privacy: map[string]string{"en": form("privacy_en"), "fr": form("privacy_fr")}}
	if err := c.accounts.SetLegal(r.Context(), r.Actor(), in); err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, failed := c.legalPage(r)
		if failed != nil {
			return failed
		}
		page.Legal = in
		return r.Again(c.pages, "system-legal", page, err)
	}
	r.Flash("ok", "sl.saved")
	return r.Redirect("/admin/system/legal")
}

// jobsPage lists jobs: an operator's of all accounts, an administrator's of theirs.
type jobsPage struct {
	siteHead
	Links []web.Link
	Rows  []jobRow
	Pager web.Pager
}

type jobRow struct {
	store.Job
	URL, Kind, Why string
	Status         personStatus
	Open           bool // it can be cancelled
}

func jobRowOf(r *web.Request, j store.Job) jobRow {
	row := jobRow{Job: j, URL: "/admin/jobs/" + j.ID, Kind: r.T("job.k." + j.Kind), Status: jobStatus(r, j), Open: j.State != store.JobDone && j.State != store.JobStopped}
	if row.Kind == "job.k."+j.Kind {
		row.Kind = j.Kind
	}
	if j.Reason != "" {
		row.Why = r.T(j.Reason, "n", account.MaxImportRows)
	}
	return row
}

func (c *Console) jobs(r *web.Request) error {
	list, err := c.accounts.Jobs(r.Context(), r.Actor(), r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &jobsPage{siteHead: siteHeadOf(r, r.T("job.h1")), Pager: pager(r, list.Next)}
	if page.Operates {
		page.Links = systemLinks(r)
	}
	for _, j := range list.Jobs {
		page.Rows = append(page.Rows, jobRowOf(r, j))
	}
	return r.Render(c.pages, "jobs", page)
}

// anyJobPage is A22 for a job that has no page of its own.
type anyJobPage struct {
	siteHead
	Job jobRow
}

func (c *Console) anyJob(r *web.Request) error {
	j, err := c.accounts.Job(r.Context(), r.Actor(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if j.Kind == account.KindImport {
		return r.Redirect(accountPath(j.AccountID) + "/imports/" + j.ID)
	}
	row := jobRowOf(r, j)
	return r.Render(c.pages, "job", &anyJobPage{siteHeadOf(r, row.Kind), row})
}

func (c *Console) cancelJob(r *web.Request) error {
	if err := c.accounts.CancelJob(r.Context(), r.Actor(), r.PathValue("id")); err != nil {
		return err
	}
	r.Flash("ok", "job.cancelled")
	return r.Redirect("/admin/jobs")
}

// supportPage is where an operator looks up what happened to somebody's mail.
type supportPage struct {
	siteHead
	Asked  bool
	Query  string
	Reason string
	Found  account.Support
	Events []event
}

// Nothing reports that nothing was found.
func (p *supportPage) Nothing() bool {
	return p.Asked && p.Found.Person == nil && len(p.Found.Messages)+len(p.Found.Transits)+len(p.Found.Letters)+len(p.Found.Events) == 0
}

// Ref is a reference as people read it.
func (p *supportPage) Ref(s string) string {
	if len(s) == 6 {
		return s[:3] + "-" + s[3:]
	}
	return s
}

// Delivery is how a recipient's mail stands, in words.
func (p *supportPage) Delivery(d string) string {
	if s := p.T("sp.d." + d); s != "sp.d."+d {
		return s
	}
	return d
}

// Said are an envelope's events in sentences.
func (p *supportPage) Said(rows []store.AuditRow) []event { return eventsOf(p.Printer, rows) }

func (c *Console) support(r *web.Request) error {
	if err := c.accounts.MaySeeSystem(r.Context(), r.Actor()); err != nil {
		return err
	}
	return r.Render(c.pages, "support", &supportPage{siteHead: siteHeadOf(r, r.T("sp.h1"))})
}

// lookUp answers with what was found: the look is recorded, so that it is a POST.
func (c *Console) lookUp(r *web.Request) error {
	page := &supportPage{siteHead: siteHeadOf(r, r.T("sp.h1")), Query: strings.TrimSpace(r.PostFormValue("q")), Reason: strings.TrimSpace(r.PostFormValue("reason"))}
	found, err := c.accounts.LookUp(r.Context(), r.Actor(), page.Query, page.Reason)
	if err != nil {
		return r.Again(c.pages, "support", page, err)
	}
	page.Asked, page.Found = true, found
	page.Events = eventsOf(r.Printer, found.Events)
	page.Input = r.PostForm
	return r.Render(c.pages, "support", page)
}
