package console

import (
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// scopesShown is how many groups a right can be confined to on the page; the
// command line knows all.
const scopesShown = 200

// rightRow is one grant of a group, or one that it can be given.
type rightRow struct {
	Right, Text, Hint, Over string
	On, May                 bool
	Scopes                  []web.Option // over whom; none where it is the whole account's only
}

// reason is a right that somebody has, and why.
type reason struct {
	Text, Over, Because string
	URL                 string // of the group that gives it, "" where the reader does not see it
	Until               string // last day, in words; "" = none
}

func overText(r *web.Request, scope string) string {
	if scope == "" {
		return r.T("rt.account")
	}
	return r.T("rt.members", "group", scope)
}

// reasonsOf says rights in words.
func reasonsOf(r *web.Request, a account.AccountHead, rights []account.Effective) []reason {
	var out []reason
	for _, e := range rights {
		x := reason{Text: rightText(r, e.Right, e.Scope.ID != "" || e.Apart), Over: overText(r, e.Scope.Name), Because: r.T("rt.because", "group", account.GroupName(r.Printer, e.Because)), Until: untilText(r, a, e.Until)}
		if e.Apart {
			x.Over = r.T("rt.overother")
		}
		if e.Because.ID == "" {
			x.Because = r.T("rt.becauseother")
		} else if a.Held.Has(store.RightUsers) || a.Held.Has(store.RightAudit) {
			x.URL = accountPath(a.ID) + "/groups/" + e.Because.ID
		}
		out = append(out, x)
	}
	return out
}

// untilText is the last day of a membership in words, "" for one without an end.
func untilText(r *web.Request, a account.AccountHead, until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return r.T("rt.until", "date", dayText(r.Printer, account.LastDay(account.ZoneOf(a.TimeZone), until)))
}

// rightText names a right, over everybody or over some people only: of these the log
// shows what they did to sign in, and no more.
func rightText(r *web.Request, right string, some bool) string {
	if some && right == store.RightAudit {
		return r.T("rt.audit.some")
	}
	return r.T("rt." + right)
}

// dayText says a day (YYYY-MM-DD). It is the account's, whichever zone its reader is in.
func dayText(p i18n.Printer, day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	p.Zone = time.UTC
	return p.Date(t)
}

// rightRows fills the page of a group: its grants, and what it can be given.
func (c *Console) rightRows(r *web.Request, a account.AccountHead, g store.Group, page *groupPage) error {
	rights, err := c.accounts.GroupRights(r.Context(), r.Actor(), a.ID, g.ID)
	if err != nil || g.Builtin {
		return err
	}
	page.RightsRevision = rights.Revision
	groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, scopesShown)
	if err != nil {
		return err
	}
	for _, right := range account.Rights {
		whole := false
		for _, x := range rights.Grants {
			if x.Right != right {
				continue
			}
			whole = whole || x.Scope == "" && !x.Apart
			page.Rights = append(page.Rights, rightRowOf(r, rights, groups, x, true))
		}
		x := account.GroupGrant{Grant: store.Grant{Right: right}}
		if row := rightRowOf(r, rights, groups, x, false); !whole && rights.Held.HasSome(right) && rights.Held.Has(store.RightUsers) && (rights.May(x.Grant) || len(row.Scopes) > 0) {
			row.May = true
			page.Rights = append(page.Rights, row)
		}
	}
	page.May = slices.ContainsFunc(page.Rights, func(x rightRow) bool { return x.May })
	return nil
}

func rightRowOf(r *web.Request, rights account.GroupRights, groups []store.Group, x account.GroupGrant, on bool) rightRow {
	row := rightRow{Right: x.Right, Text: rightText(r, x.Right, x.Scope != "" || x.Apart), Hint: r.T("rt." + x.Right + ".hint"), Over: overText(r, x.Over), On: on, May: rights.May(x.Grant)}
	if x.Apart {
		row.Over = r.T("rt.overother")
	}
	if !account.Confinable(x.Right) {
		return row
	}
	if rights.May(store.Grant{Right: x.Right}) {
		row.Scopes = append(row.Scopes, web.Option{Value: "", Text: r.T("rt.account"), Selected: x.Scope == ""})
	}
	if x.Scope != "" && !slices.ContainsFunc(groups, func(g store.Group) bool { return g.ID == x.Scope }) {
		row.Scopes = append(row.Scopes, web.Option{Value: x.Scope, Text: row.Over, Selected: true})
	}
	for _, g := range groups {
		if rights.May(store.Grant{Right: x.Right, Scope: g.ID}) {
			row.Scopes = append(row.Scopes, web.Option{Value: g.ID, Text: overText(r, account.GroupName(r.Printer, g)), Selected: g.ID == x.Scope})
		}
	}
	return row
}

// setRights takes the form of a group's rights. What the reader may not change
// stays as it is.
func (c *Console) setRights(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "e404.p").Because(err)
	}
	group := r.PathValue("group")
	was, err := c.accounts.GroupRights(r.Context(), r.Actor(), n, group)
	if err != nil {
		return err
	}
	var grants []store.Grant
	for _, x := range was.Grants {
		if !was.May(x.Grant) {
			grants = append(grants, x.Grant)
		}
	}
	for _, i := range r.PostForm["on"] {
		grants = append(grants, store.Grant{Right: r.PostFormValue("right-" + i), Scope: r.PostFormValue("scope-" + i)})
	}
	if _, err := c.accounts.SetGroupRights(r.Context(), asSeen(r), n, group, grants); err != nil {
		return web.Retry(r, c.pages, "group", c.groupPage, err)
	}
	r.Flash("ok", "rt.saved")
	return r.Redirect(accountPath(n) + "/groups/" + group)
}
