package console

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// settingsForm is one layer of settings, as its page shows and changes it (A14).
type settingsForm struct {
	Heading  string
	Intro    string
	Sections []settingSection
	Revision string
	Inherit  string // key of the choice to say nothing
	Empty    string // what an empty field means
	May      bool   // the reader may change them
	History  string // the log's part about them; "" = they may not read it
	Effect   *account.Effect
	Changes  []settingChange // the newest
	Pager    web.Pager
}

// settingChange is a change of a setting, which ID undoes where it stands still.
type settingChange struct {
	ID, Who, Label, Value, Was string
	At                         time.Time
	Stands                     bool
}

type settingSection struct {
	ID, Title, Lead string
	Rows            []settingRow
}

// settingRow is a setting: a choice where it has Options, else a number.
type settingRow struct {
	Name, Label, Hint, Value string
	Options                  []web.Option
	Holds                    string // in words, for who may only read
}

// policyPage are the settings of an account, its limits, or those of a group.
type policyPage struct {
	head
	settingsForm
}

// siteSettingsPage are those of the whole service.
type siteSettingsPage struct {
	siteHead
	Links []web.Link
	settingsForm
}

// settingWords says a value of a setting.
func settingWords(p i18n.Printer, x policy.Setting, value string) string {
	switch {
	case x.Words != nil && x.Words[0] == "false":
		return p.T("po.flag." + value)
	case x.Words != nil:
		return p.T("po.v." + x.Name + "." + value)
	case value == "0":
		return p.T("po.zero." + x.Name)
	}
	n, _ := strconv.Atoi(value)
	return p.T("po.unit."+x.Unit, "n", n)
}

// fromWords says which layer a value is of, on the page of layer at.
func fromWords(p i18n.Printer, from, at policy.From) string {
	switch {
	case from == at:
		return p.T("po.here")
	case from == policy.FromSite:
		return p.T("po.inherited")
	}
	return p.T("po.from." + string(from))
}

func settingsFormOf(r *web.Request, v account.SettingsView, key string) settingsForm {
	f := settingsForm{Heading: r.T("po." + key + ".h1"), Intro: r.T("po." + key + ".p"), Revision: v.Revision(), Inherit: "po.inherit", Empty: r.T("po.empty")}
	if v.Layer == policy.FromSite { // there is nothing above it
		f.Inherit, f.Empty = "po.inherit.site", r.T("po.empty.site")
	}
	above := v.Stack.Above(v.Layer)
	for _, x := range policy.Table {
		if !x.In(v.Layer) {
			continue
		}
		if n := len(f.Sections); n == 0 || f.Sections[n-1].ID != x.About {
			s := settingSection{ID: x.About, Title: r.T("po.about." + x.About)}
			if x.About == policy.AboutEnding {
				days, most := v.Stack.Find("expiry_days"), v.Stack.Find("expiry_max")
				if n, _ := strconv.Atoi(days.Value); most.Value != "0" && n > 0 {
					s.Lead = r.T("po.until", "n", n, "max", most.Value)
				}
			}
			f.Sections = append(f.Sections, s)
		}
		found, said := v.Stack.Find(x.Name), v.Said()[x.Name]
		inherited := above.Find(x.Name)
		row := settingRow{Name: x.Name, Label: r.T("po.s." + x.Name), Value: said, Holds: settingWords(r.Printer, x, found.Value)}
		row.Hint = r.T("po.holds", "value", row.Holds, "from", fromWords(r.Printer, found.From, v.Layer))
		if used := usedWords(r.Printer, x.Name, v); used != "" {
			row.Hint += " " + used
		}
		if x.Words != nil {
			row.Options = []web.Option{{Value: "", Text: r.T(f.Inherit, "value", settingWords(r.Printer, x, inherited.Value)), Selected: said == ""}}
			bound := v.Stack.Bound(x.Name, v.Layer)
			for i := range x.Words {
				w := x.Words[len(x.Words)-1-i]
				if w == said || bound.From == policy.FromDefault || !x.Looser(w, bound.Value) {
					row.Options = append(row.Options, web.Option{Value: w, Text: settingWords(r.Printer, x, w), Selected: w == said})
				}
			}
		}
		s := &f.Sections[len(f.Sections)-1]
		s.Rows = append(s.Rows, row)
	}
	return f
}

// past fills in what was changed of these settings.
func (f *settingsForm) past(r *web.Request, accounts *account.Service, at account.Place) error {
	page, err := accounts.SettingsHistory(r.Context(), r.Actor(), at, r.URL.Query().Get("after"), changesShown)
	if err != nil {
		return err
	}
	for _, c := range page.Changes {
		x, ok := policy.FindSetting(c.Name)
		if !ok {
			continue // one that there is no more
		}
		say := func(value string) string {
			if value == "" {
				return r.T("po.unsaid")
			}
			return settingWords(r.Printer, x, value)
		}
		f.Changes = append(f.Changes, settingChange{c.ID, account.ActorText(r.Printer, c.Actor), r.T("po.s." + c.Name), say(c.Value), say(c.Was), c.At, c.Stands})
	}
	f.Pager = pager(r, page.Next)
	f.Pager.Timed = true
	return nil
}

const changesShown = 10

// usedWords says how much of a quota is used.
func usedWords(p i18n.Printer, name string, v account.SettingsView) string {
	if v.Layer != policy.FromLimits {
		return ""
	}
	switch name {
	case "quota_users":
		return p.T("po.used.users", "n", v.Usage.Users)
	case "quota_mib":
		return p.T("po.used.mib", "n", (v.Usage.Bytes+1<<20-1)>>20)
	case "quota_day":
		return p.T("po.used.day", "n", v.Usage.Envelopes)
	}
	return ""
}

// settingsKind is which settings an address is of.
type settingsKind struct {
	key, action, at string // at: what follows the account in the address
	place           func(r *web.Request, number int64) account.Place
	may             func(*web.Request, account.AccountHead) bool
}

func settles(_ *web.Request, a account.AccountHead) bool { return a.Held.Has(store.RightSettings) }

var (
	policiesOf = settingsKind{"account", "account.settings", "/policies", func(_ *web.Request, n int64) account.Place { return account.SettingsOf(n) }, settles}
	limitsOf   = settingsKind{"limits", "account.limits", "/limits", func(_ *web.Request, n int64) account.Place { return account.LimitsOf(n) },
		func(r *web.Request, _ account.AccountHead) bool { return r.Operates() }}
	policiesOfGroup = settingsKind{"group", "group.settings", "", func(r *web.Request, n int64) account.Place {
		return account.SettingsOfGroup(n, r.PathValue("group"))
	}, settles}
)

func (c *Console) policyPage(k settingsKind) func(*web.Request) (*policyPage, error) {
	return func(r *web.Request) (*policyPage, error) {
		a, err := c.accountOf(r)
		if err != nil {
			return nil, err
		}
		at := k.place(r, a.ID)
		v, err := c.accounts.Settings(r.Context(), r.Actor(), at)
		if err != nil {
			return nil, err
		}
		page := &policyPage{settingsForm: settingsFormOf(r, v, k.key)}
		if err := page.past(r, c.accounts, at); err != nil {
			return nil, err
		}
		history := url.Values{"action": {k.action}}
		if v.Layer == policy.FromGroup {
			name := account.GroupName(r.Printer, v.Group)
			page.head = headOf(r, a, page.Heading, groupsLink(r, a.ID), web.Link{URL: accountPath(a.ID) + "/groups/" + v.Group.ID, Text: name})
			page.Heading = r.T("po.group.of", "group", name)
			history.Set("target", v.Group.Name)
		} else {
			page.head = headOf(r, a, page.Heading)
		}
		if page.May = k.may(r, a); a.Held.Has(store.RightAudit) {
			page.History = accountPath(a.ID) + "/audit?" + history.Encode()
		}
		return page, nil
	}
}

func (c *Console) settings(k settingsKind) web.Handler {
	return func(r *web.Request) error {
		page, err := c.policyPage(k)(r)
		if err != nil {
			return err
		}
		return r.Render(c.pages, "settings", page)
	}
}

// setSettings saves what was typed, or says what it would have meant.
func (c *Console) setSettings(k settingsKind) web.Handler {
	return func(r *web.Request) error {
		a, err := c.accountOf(r) // there is none for who is not of it
		if err != nil {
			return err
		}
		at := k.place(r, a.ID)
		effect, changed, err := c.change(r, at)
		if err != nil {
			return web.Retry(r, c.pages, "settings", c.policyPage(k), err)
		}
		if effect != nil {
			page, err := c.policyPage(k)(r)
			if err != nil {
				return err
			}
			page.Effect, page.Input = effect, r.PostForm
			return r.Render(c.pages, "settings", page)
		}
		flashSaved(r, changed)
		return r.Redirect(r.URL.Path)
	}
}

// change does to a layer what a form says: Effect where it only asks.
func (c *Console) change(r *web.Request, at account.Place) (*account.Effect, bool, error) {
	if id := r.PostFormValue("undo"); id != "" {
		_, err := c.accounts.UndoSetting(r.Context(), r.Actor(), at, id)
		return nil, err == nil, err
	}
	var changes []account.Setting
	asks := r.PostFormValue("try") != ""
	for _, x := range policy.Table {
		if x.In(at.Layer) && r.PostForm.Has(x.Name) {
			changes = append(changes, account.Setting{Name: x.Name, Value: r.PostFormValue(x.Name)})
		}
	}
	if asks {
		e, err := c.accounts.TrySettings(r.Context(), r.Actor(), at, changes)
		return &e, false, inRange(err)
	}
	actor := asSeen(r)
	v, err := c.accounts.SetSettings(r.Context(), actor, at, changes)
	return nil, err == nil && v.Revision() != actor.IfMatch, inRange(err)
}

// inRange says which numbers may stand in a field: a command names the setting instead.
func inRange(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || !fault.HasKey(err, "people.setting") {
		return err
	}
	out := *f
	out.Fields = slices.Clone(f.Fields)
	for i, field := range out.Fields {
		x, ok := policy.FindSetting(field.Name)
		if !ok || x.Words != nil || field.Key != "people.setting" {
			continue
		}
		key := "po.range"
		if x.Open {
			key = "po.range.open"
		}
		out.Fields[i].Key, out.Fields[i].Args = key, fault.Args{"least": x.Min, "most": x.Max}
	}
	return &out
}

func flashSaved(r *web.Request, changed bool) {
	if changed {
		r.Flash("ok", "po.saved")
	} else {
		r.Flash("info", "po.same")
	}
}

func (c *Console) siteSettingsPage(r *web.Request) (*siteSettingsPage, error) {
	v, err := c.accounts.Settings(r.Context(), r.Actor(), account.OfSite())
	if err != nil {
		return nil, err
	}
	page := &siteSettingsPage{siteHead: siteHeadOf(r, r.T("po.site.h1")), Links: systemLinks(r), settingsForm: settingsFormOf(r, v, "site")}
	if err := page.past(r, c.accounts, account.OfSite()); err != nil {
		return nil, err
	}
	page.May, page.History = true, "/admin/audit?action=site.settings"
	return page, nil
}

func (c *Console) siteSettings(r *web.Request) error {
	page, err := c.siteSettingsPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "site-settings", page)
}

func (c *Console) setSiteSettings(r *web.Request) error {
	effect, changed, err := c.change(r, account.OfSite())
	if err != nil {
		return web.Retry(r, c.pages, "site-settings", c.siteSettingsPage, err)
	}
	if effect != nil {
		page, err := c.siteSettingsPage(r)
		if err != nil {
			return err
		}
		page.Effect, page.Input = effect, r.PostForm
		return r.Render(c.pages, "site-settings", page)
	}
	flashSaved(r, changed)
	return r.Redirect(r.URL.Path)
}
