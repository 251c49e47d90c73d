package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// newUserPage is A8, with the seed's labels.
type newUserPage struct {
	head
	Prefill   string // of the user name
	Until     string // last day in the group, "" = none
	Rest      string // other addresses that wait for a decision on the members page
	Generated string // password that was made here, shown until the form is saved
	Enforce   bool
	Lasts     string // how long a temporary password works, in words
	Least     int    // characters of a password that is not temporary
	Languages []web.Option
	Groups    groupField
}

// Secret is one of the two password inputs. A password that was made here is
// put in it, readable; one that somebody typed never comes back.
func (p *newUserPage) Secret(name, label, hint string) (secret, error) {
	pairs := []any{"type", "password", "required", true}
	if hint != "" {
		pairs = append(pairs, "hinttext", p.T(hint, "n", p.Least))
	}
	f, err := p.Field(name, label, pairs...)
	if p.Generated != "" {
		f.Type, f.Value = "text", p.Generated
	}
	return secret{f}, err
}

type secret struct{ web.Field }

func (c *Console) newUserPage(r *web.Request, from url.Values) (*newUserPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	groups, err := c.groupField(r, a, from.Get("group"))
	if err != nil {
		return nil, err
	}
	set, err := policy.ReadSettings(a.Settings)
	lasts := r.T("po.unit.hours", "n", set.TemporaryHours)
	if set.TemporaryHours%24 == 0 {
		lasts = r.T("po.unit.days", "n", set.TemporaryHours/24)
	}
	return &newUserPage{
		head: headOf(r, a, r.T("seed.add_user"), usersLink(r, a.ID)), Prefill: from.Get("user"), Rest: from.Get("rest"), Until: from.Get("until"), Enforce: true, Lasts: lasts, Least: set.PasswordLength,
		Languages: r.Languages(r.Printer.Lang), Groups: groups,
	}, err
}

func (c *Console) newUser(r *web.Request) error {
	page, err := c.newUserPage(r, r.URL.Query())
	if err != nil {
		return err
	}
	if page.Prefill != "" { // from the members page: the person is known, and needs a password
		page.Generated = id.NewPassword()
	}
	return r.Render(c.pages, "user-new", page)
}

func (c *Console) addUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	form := func(name string) string { return r.PostFormValue(name) }
	if form("do") == "generate" {
		page, err := c.newUserPage(r, r.PostForm)
		if err != nil {
			return err
		}
		page.Input, page.Generated, page.Enforce = r.PostForm, id.NewPassword(), form("enforce") != ""
		return r.Render(c.pages, "user-new", page)
	}
	added, err := account.Added{}, r.Required("address", "seed.username", "first_name", "seed.first_name", "last_name", "seed.last_name", "password", "seed.password")
	var until time.Time
	if err == nil {
		until, err = c.lastDay(r, n)
	}
	group := ""
	if err == nil {
		group, err = c.groupTyped(r, n, form("group"))
	}
	if err == nil {
		added, err = c.accounts.AddUser(r.Context(), r.Actor(), n, account.NewUser{
			Address: form("address"), FirstName: form("first_name"), LastName: form("last_name"), Password: form("password"), Confirm: form("confirm"),
			EnforceExpiry: form("enforce") != "", GroupID: group, Until: until, Language: form("language"),
		})
	}
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.newUserPage(r, r.PostForm)
		if perr != nil {
			return perr
		}
		page.Enforce = form("enforce") != ""
		if made := form("generated"); made == form("password") && made == form("confirm") {
			page.Generated = made
		}
		return r.Again(c.pages, "user-new", page, err)
	}
	done := []string{r.T("seed.user_added", "email", added.User.DisplayAddress)}
	back := accountPath(n) + "/users"
	if added.Group.ID != "" {
		done = append(done, r.T("m.added", "email", added.User.DisplayAddress, "group", account.GroupName(r.Printer, added.Group)))
		back = accountPath(n) + "/groups/" + added.Group.ID + "/members"
		if rest := form("rest"); rest != "" {
			back += "?user=" + url.QueryEscape(rest)
		}
	}
	if form("generated") != "" && form("generated") == form("password") {
		return c.showPassword(r, r.T("seed.add_user"), done, added.User.DisplayAddress, form("password"), added.User.TemporaryUntil, back)
	}
	switch len(done) {
	case 1:
		r.Flash("ok", "seed.user_added", "email", added.User.DisplayAddress)
	default:
		r.Flash("ok", "adm.two", "first", done[0], "second", done[1])
	}
	return r.Redirect(back)
}

// passwordPage shows a temporary password, once: it is the answer to the form
// that made it, and no address leads back to it.
type passwordPage struct {
	head
	Heading        string
	Done           []string
	Who, Password  string
	Until          time.Time // zero for a password that does not end
	Back, BackText string
}

func (c *Console) showPassword(r *web.Request, heading string, done []string, who, password string, until time.Time, back string) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	page := &passwordPage{
		head: headOf(r, a, heading, usersLink(r, a.ID)), Heading: heading, Done: done, Who: who, Password: password, Back: back, BackText: r.T("c.continue"),
		Until: until,
	}
	return r.RenderStatus(http.StatusOK, c.pages, "password", page)
}

// resetPage asks how a user is to get another password: by a link that is mailed
// to them, or by a temporary one that whoever asks for it passes on.
type resetPage struct {
	head
	Name, Email, Back, Question string
	Temporary                   bool // they may be given one
	Self                        bool
}

func (c *Console) resetPage(r *web.Request) (*resetPage, error) {
	a, u, err := c.subjectOf(r)
	if err != nil {
		return nil, err
	}
	name, back := nameOf(u.User), userPath(a.ID, u.ID)
	page := &resetPage{head: headOf(r, a, r.T("u.reset"), usersLink(r, a.ID), web.Link{URL: back, Text: name}), Name: name, Email: u.DisplayAddress, Back: back,
		Question: r.T("adm.resetq", "name", name), Self: u.ID == r.Session.UserID}
	page.Temporary = u.Managed && !page.Self
	return page, nil
}

func (c *Console) confirmReset(r *web.Request) error {
	page, err := c.resetPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "user-reset", page)
}

func (c *Console) resetPassword(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if r.PostFormValue("do") == "link" {
		u, err := c.accounts.SendPasswordLink(r.Context(), r.Actor(), n, r.PathValue("user"))
		if err != nil {
			return web.Retry(r, c.pages, "user-reset", c.resetPage, err)
		}
		r.Flash("ok", "reset.link.done", "name", nameOf(u))
		return r.Redirect(userPath(n, u.ID))
	}
	made := id.NewPassword()
	var u store.User
	err = r.Once(func() (err error) {
		u, err = c.accounts.ResetPassword(r.Context(), r.Actor(), n, r.PathValue("user"), made, made)
		return err
	})
	if err != nil {
		return web.Retry(r, c.pages, "user-reset", c.resetPage, err)
	}
	done := []string{r.T("adm.resetdone", "name", nameOf(u))}
	return c.showPassword(r, r.T("u.reset"), done, u.DisplayAddress, made, u.TemporaryUntil, userPath(n, u.ID))
}
