package console

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// rulesPage says an account's rules in sentences, and lists their versions.
type rulesPage struct {
	head
	rulesTold
	Version  int64
	Who      string
	Versions []versionRow
	Pager    web.Pager
	From, To []web.Option // to compare
}

// rulesTold are rules in sentences.
type rulesTold struct {
	Before []string
	Rules  []policy.Told
	Last   string
	Unread bool // this version of the service cannot read them
	Moves  bool // the reader may move and remove rules
}

type versionRow struct {
	Version int64
	Who     string
	At      time.Time
	InForce bool
}

func tellRules(p i18n.Printer, body string) rulesTold {
	rules, err := policy.Parse([]byte(body))
	if err != nil {
		return rulesTold{Unread: true}
	}
	t := rulesTold{}
	t.Before, t.Rules, t.Last = rules.Tell(p)
	return t
}

func rulesLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/rules", Text: r.T("rules.tab")}
}

func (c *Console) rulesPage(r *web.Request) (*rulesPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	set, err := c.accounts.Rules(r.Context(), r.Actor(), a.ID, 0)
	if err != nil {
		return nil, err
	}
	versions, err := c.accounts.RulesHistory(r.Context(), r.Actor(), a.ID, r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page := &rulesPage{head: headOf(r, a, r.T("rules.tab")), rulesTold: tellRules(r.Printer, set.Body), Version: set.Version}
	page.Moves = page.Settles
	if set.Version > 0 {
		page.Who = account.ActorText(r.Printer, set.Author)
	}
	for _, v := range versions.Versions {
		page.Versions = append(page.Versions, versionRow{v.Version, account.ActorText(r.Printer, v.Author), v.CreatedAt, v.Version == set.Version})
		n := strconv.FormatInt(v.Version, 10)
		page.From = append(page.From, web.Option{Value: n, Text: r.T("rules.version", "n", n), Selected: v.Version == set.Version-1})
		page.To = append(page.To, web.Option{Value: n, Text: r.T("rules.version", "n", n), Selected: v.Version == set.Version})
	}
	page.From = append(page.From, web.Option{Value: "0", Text: r.T("rules.version.default"), Selected: set.Version == 1})
	page.Pager = pager(r, versions.Next)
	page.Pager.Timed = true
	return page, nil
}

func (c *Console) rules(r *web.Request) error {
	page, err := c.rulesPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "rules", page)
}

// typedVersion is the version that a form was made from. What is none is one that
// will never be: who may not act is refused before it is looked at.
func typedVersion(r *web.Request) int64 {
	v, err := versionIn(r.PostFormValue("version"))
	if err != nil {
		return math.MaxInt64
	}
	return v
}

// versionIn reads a version of the rules from a form or an address.
func versionIn(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || strconv.FormatInt(v, 10) != text {
		return 0, fault.New(fault.NotFound, "e404.p")
	}
	return v, nil
}

// changeRules moves or removes one rule of those that the page showed.
func (c *Console) changeRules(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	version := typedVersion(r)
	rule, err := strconv.Atoi(r.PostFormValue("rule"))
	if err != nil {
		rule = 0 // none
	}
	before, _, err := c.accounts.RulesPair(r.Context(), r.Actor(), n, version, version)
	if err != nil {
		return err
	}
	text := before.Body
	switch r.PostFormValue("do") {
	case "up":
		text, err = policy.Move(text, rule, -1)
	case "down":
		text, err = policy.Move(text, rule, 1)
	case "remove":
		text, err = policy.Remove(text, rule)
	default:
		err = fault.New(fault.NotFound, "e404.p")
	}
	if err == nil {
		err = c.putRules(r, n, before, text)
	}
	if err != nil {
		return web.Retry(r, c.pages, "rules", c.rulesPage, account.RulesFault(r.Printer, err))
	}
	return r.Redirect(accountPath(n) + "/rules")
}

// sameRules compares two texts, of which the second may be any. One that is too
// long is not taken apart: a few million empty lines would take a gigabyte.
func sameRules(body, text string) bool {
	return len(text) <= policy.MaxText && policy.Diff(body, text) == nil
}

// putRules puts a text in force that was made from a version, and says so.
func (c *Console) putRules(r *web.Request, number int64, from store.RuleSet, text string) error {
	if sameRules(from.Body, text) {
		r.Flash("info", "rules.same")
		return nil
	}
	actor := r.Actor()
	actor.IfMatch = account.RulesRevision(from.Version)
	set, err := c.accounts.SetRules(r.Context(), actor, number, text)
	if err == nil {
		r.Flash("ok", "rules.saved", "version", set.Version)
	}
	return err
}

// undoRules puts an earlier version in force again.
func (c *Console) undoRules(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	version, err := versionIn(r.PathValue("version"))
	if err != nil {
		return err
	}
	actor := r.Actor()
	actor.IfMatch = account.RulesRevision(typedVersion(r))
	set, err := c.accounts.RestoreRules(r.Context(), actor, n, version)
	if err != nil {
		return web.Retry(r, c.pages, "rules", c.rulesPage, account.RulesFault(r.Printer, err))
	}
	if version == 0 {
		r.Flash("ok", "rules.undone.default", "version", set.Version)
	} else {
		r.Flash("ok", "rules.undone", "old", version, "version", set.Version)
	}
	return r.Redirect(accountPath(n) + "/rules")
}

// versionPage is one version of the rules.
type versionPage struct {
	head
	rulesTold
	Version, InForce int64
	Who              string
	At               time.Time
	Text             string
}

func (c *Console) rulesVersion(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	version, err := versionIn(r.PathValue("version"))
	if err != nil {
		return err
	}
	set, now, err := c.twoVersions(r, a.ID, version, -1)
	if err != nil {
		return err
	}
	page := &versionPage{head: headOf(r, a, versionName(r, version), rulesLink(r, a.ID)), rulesTold: tellRules(r.Printer, set.Body), Version: version,
		InForce: now.Version, At: set.CreatedAt, Text: set.Body}
	if version > 0 {
		page.Who = account.ActorText(r.Printer, set.Author)
	}
	return r.Render(c.pages, "rules-version", page)
}

// twoVersions reads two versions of the rules; the second -1 is the one in force.
func (c *Console) twoVersions(r *web.Request, number, one, two int64) (a, b store.RuleSet, err error) {
	if two >= 0 {
		return c.accounts.RulesPair(r.Context(), r.Actor(), number, one, two)
	}
	if a, _, err = c.accounts.RulesPair(r.Context(), r.Actor(), number, one, one); err == nil {
		b, err = c.accounts.Rules(r.Context(), r.Actor(), number, 0)
	}
	return a, b, err
}

func versionName(r *web.Request, version int64) string {
	if version == 0 {
		return r.T("rules.version.default")
	}
	return r.T("rules.version", "n", strconv.FormatInt(version, 10))
}

// comparePage shows two versions of the rules line by line.
type comparePage struct {
	head
	Heading string
	Diff    []policy.DiffLine
}

func (c *Console) compareRules(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	from, err := versionIn(cmp.Or(r.URL.Query().Get("from"), "0"))
	if err != nil {
		return err
	}
	to := int64(-1)
	if s := r.URL.Query().Get("to"); s != "" {
		if to, err = versionIn(s); err != nil {
			return err
		}
	}
	before, after, err := c.twoVersions(r, a.ID, from, to)
	if err != nil {
		return err
	}
	name := r.T("rules.compare.h1", "from", versionName(r, before.Version), "to", versionName(r, after.Version))
	return r.Render(c.pages, "rules-compare", &comparePage{headOf(r, a, name, rulesLink(r, a.ID)), name, policy.Diff(before.Body, after.Body)})
}
