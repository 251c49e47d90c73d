package people

import (
	"strings"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// preferences are what the new-account page and the profile ask for.
type preferences struct {
	FirstName, LastName      string
	Languages, Zones, Themes []web.Option
	Notify                   bool
}

func preferencesOf(r *web.Request, u *store.User) preferences {
	p := preferences{
		FirstName: u.FirstName, LastName: u.LastName, Notify: u.NotifyOpened,
		Languages: r.Languages(u.Language), Zones: web.Zones(u.TimeZone),
	}
	for _, t := range []string{"auto", "light", "dark"} {
		p.Themes = append(p.Themes, web.Option{Value: t, Text: r.T("me.theme." + t), Selected: t == u.Theme})
	}
	return p
}

// save keeps what was typed, and uses it in this browser at once.
func (p *People) save(r *web.Request) error {
	prefs := account.Preferences{
		FirstName: r.PostFormValue("first_name"), LastName: r.PostFormValue("last_name"), Language: r.PostFormValue("language"),
		TimeZone: r.PostFormValue("time_zone"), Theme: r.PostFormValue("theme"), NotifyOpened: r.PostFormValue("notify_opened") != "",
	}
	if err := r.Required(names...); err != nil {
		return err
	}
	if err := p.accounts.SavePreferences(r.Context(), r.Session, prefs); err != nil {
		return err
	}
	r.SetLanguage(prefs.Language)
	r.SetTheme(prefs.Theme)
	return nil
}

// welcomePage is the new-account page: what the account is for, then preferences.
type welcomePage struct {
	web.Base
	preferences
	Name   string
	Sender bool // they belong to an account, and may send
	Next   string
}

func newWelcomePage(r *web.Request) *welcomePage {
	u := r.User()
	page := &welcomePage{Name: u.FirstName, Sender: u.AccountID != 0, Next: r.Next("/"), preferences: preferencesOf(r, u)}
	if page.Name == "" {
		page.Name = u.DisplayAddress
	}
	page.Languages = r.Languages(r.Printer.Lang) // what they read now, not what somebody chose for them
	page.Base = r.Base(r.T("me.welcome", "name", page.Name))
	return page
}

func (p *People) welcome(r *web.Request) error {
	if to := unfinished(r); to != "" {
		return r.Redirect(to)
	}
	return r.Render(p.pages, "welcome", newWelcomePage(r))
}

func (p *People) welcomed(r *web.Request) error {
	if to := unfinished(r); to != "" {
		return r.Redirect(to)
	}
	page := newWelcomePage(r)
	if err := p.save(r); err != nil {
		return r.Again(p.pages, "welcome", page, err)
	}
	if err := p.accounts.Welcome(r.Context(), r.Session); err != nil {
		return err
	}
	r.Flash("ok", "c.saved")
	return r.Redirect(home(r.User(), page.Next))
}

// profilePage is the first tab of R13.
type profilePage struct {
	web.Base
	Tabs []web.Link
	preferences
}

// tabs are the profile's, with the one in front marked.
func tabs(r *web.Request) []web.Link {
	out := []web.Link{
		{URL: "/profile", Text: r.T("me.prefs")},
		{URL: security, Text: r.T("sec.h1")},
		{URL: "/profile/addresses", Text: r.T("alias.h1")},
		{URL: data, Text: r.T("data.h1")},
	}
	for i := range out {
		out[i].Current = strings.TrimSuffix(r.URL.Path, "/passkeys") == out[i].URL
	}
	return out
}

func newProfilePage(r *web.Request) *profilePage {
	return &profilePage{Base: r.Base(r.T("pr.h1")), Tabs: tabs(r), preferences: preferencesOf(r, r.User())}
}

func (p *People) profile(r *web.Request) error {
	return r.Render(p.pages, "profile", newProfilePage(r))
}

func (p *People) saveProfile(r *web.Request) error {
	if err := p.save(r); err != nil {
		return r.Again(p.pages, "profile", newProfilePage(r), err)
	}
	r.Flash("ok", "c.saved")
	return r.Redirect("/profile")
}

// deviceName says in words what a User-Agent header says in code: the browser
// and the system, where both are well known.
func deviceName(p i18n.Printer, client string) string {
	find := func(marks ...string) string {
		for i := 0; i+1 < len(marks); i += 2 {
			if strings.Contains(client, marks[i]) {
				return marks[i+1]
			}
		}
		return ""
	}
	if strings.HasPrefix(client, "pli") || strings.HasPrefix(client, "Go-http-client") {
		return p.T("me.terminal")
	}
	// Order matters: each of these also names the ones after it.
	browser := find("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari")
	system := find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "Linux", "Linux")
	switch {
	case browser == "":
		return p.T("me.browser")
	case system == "":
		return browser
	}
	return browser + " – " + system
}
