package console

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// usersPage is A7.
type usersPage struct {
	head
	Query, Status string
	Chips         []web.Link
	Rows          []userRow
	May           bool // the reader has the right over people, at least over a group
	Pager         web.Pager
	Lifts         []liftRow // on the first page of all
	Total         string    // users on all pages, in words
	More          bool      // more people are invited than are shown
	Acts          []web.Option
	Groups        groupField // to add users to
}

// liftRow is somebody who lost their second factor and waits.
type liftRow struct {
	web.Link
	Lift account.Lift
}

type userRow struct {
	ID                    string // "" for who was only invited
	Name, Address, Groups string
	URL                   string // "" for who was only invited
	Invitation            string // address of an invitation, "" for a user
	LastSignIn            time.Time
	Status                personStatus
	Managed, Locked       bool
}

// statuses are the filters of the list, by their value in its address.
var statuses = []struct{ value, text string }{
	{"", "adm.all"}, {store.OnlyActive, "adm.chip.active"}, {account.OnlyInvited, "adm.chip.invited"}, {store.OnlyBlocked, "adm.chip.blocked"},
	{store.OnlyAdministrators, "adm.admins"}, {store.OnlyNoSecond, "adm.chip.nosecond"},
}

func (c *Console) users(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	status := q.Get("status")
	var wrong error
	if !slices.ContainsFunc(statuses, func(s struct{ value, text string }) bool { return s.value == status }) {
		wrong = mistakes{{Name: "status", Key: "people.choice"}}.err()
		status = ""
	}
	list, err := c.accounts.Users(r.Context(), r.Actor(), a.ID, q.Get("q"), status, q.Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &usersPage{head: headOf(r, a, r.T("seed.users")), Query: q.Get("q"), Status: status, Pager: pager(r, list.Next), May: a.Held.HasSome(store.RightUsers)}
	page.Total, page.More = totalText(r, list.Total), list.More
	if page.May {
		for _, act := range account.BulkActs {
			page.Acts = append(page.Acts, web.Option{Value: act, Text: r.T("bulk.act." + act)})
		}
		if page.Groups, err = c.groupField(r, a, ""); err != nil {
			return err
		}
	}
	if page.May && q.Get("after") == "" && q.Get("q") == "" && status == "" {
		lifts, err := c.accounts.Lifts(r.Context(), r.Actor(), a.ID, "", pageSize)
		if err != nil {
			return err
		}
		for _, l := range lifts.Lifts {
			page.Lifts = append(page.Lifts, liftRow{web.Link{URL: userPath(a.ID, l.User.ID), Text: nameOf(l.User)}, l})
		}
	}
	for _, s := range statuses {
		page.Chips = append(page.Chips, web.Link{URL: with(r, "status", s.value), Text: r.T(s.text), Current: s.value == q.Get("status")})
	}
	if wrong != nil {
		return r.Again(c.pages, "users", page, wrong)
	}
	for _, u := range list.Users {
		var in []string
		for _, g := range u.Groups {
			in = append(in, account.GroupName(r.Printer, g))
		}
		page.Rows = append(page.Rows, userRow{
			ID: u.ID, Name: nameOf(u.User), Address: u.DisplayAddress, Groups: strings.Join(in, ", "), URL: page.Path + "/" + u.ID,
			LastSignIn: u.LastSignInAt, Status: statusOf(r.Printer, u.User),
			Managed: u.Managed && u.ID != r.Session.UserID, Locked: u.State == store.UserLocked,
		})
	}
	for _, i := range list.Pending {
		row := pendingRow(r, a, i, "")
		page.Rows = append(page.Rows, userRow{Name: row.Name, Address: row.Address, Invitation: row.Invitation, Status: row.Status})
	}
	return r.Render(c.pages, "users", page)
}

// totalText says how many there are on all pages, as far as they are counted.
func totalText(r *web.Request, n int) string {
	switch {
	case n == 0:
		return ""
	case n > store.MaxCount:
		return r.T("u.totalmany")
	}
	return r.T("u.total", "n", n)
}

// exportUsers answers with the users that the filters select, as a file that an
// import reads.
func (c *Console) exportUsers(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	status := r.PostFormValue("status")
	if !slices.ContainsFunc(statuses, func(s struct{ value, text string }) bool { return s.value == status }) {
		return mistakes{{Name: "status", Key: "people.choice"}}.err()
	}
	write, err := c.accounts.ExportUsers(r.Context(), r.Actor(), n, r.PostFormValue("q"), status, r.Printer)
	if err != nil {
		return err
	}
	return r.Download(fmt.Sprintf("pli-users-%d.csv", n), write)
}

// userPage is A9.
type userPage struct {
	head
	Name, Email, LanguageName string
	Status                    personStatus
	Groups                    []userGroup
	Rights                    []reason
	May, Audits               bool     // the reader may act on them, and read the log about them
	Names                     []string // of groups that they can be added to
	LastSignIn, CreatedAt     time.Time
	Managed                   bool
	SignOut                   bool // the reader can end their sessions
	Tokens                    int  // API tokens that they made and that count
	FirstName, LastName       string
	Languages                 []web.Option
	Locked                    bool
	Recent                    []event
	Lift                      *account.Lift // of a second factor that they lost; nil where they did not ask
	Self                      bool
	Second                    personStatus
	Required, Release         bool // of this person, whatever the account says; the reader can take that back
	Merge                     *account.Merge
	Revision                  string
}

// userOf reads the account and the user in the address.
func (c *Console) userOf(r *web.Request) (account.AccountHead, account.UserView, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return a, account.UserView{}, err
	}
	u, err := c.accounts.User(r.Context(), r.Actor(), a.ID, r.PathValue("user"))
	return a, u, err
}

// subjectOf is userOf for a page that asks whether to act on them.
func (c *Console) subjectOf(r *web.Request) (account.AccountHead, account.UserView, error) {
	a, u, err := c.userOf(r)
	if err == nil && !u.May {
		key := "rt.above"
		if !a.Held.HasSome(store.RightUsers) {
			key = "err.forbidden"
		}
		err = fault.New(fault.Denied, key).With("name", nameOf(u.User))
	}
	return a, u, err
}

// userAgain shows a user's page again, for a form that was sent to another address.
func (c *Console) userAgain(r *web.Request, err error) error {
	return web.Retry(r, c.pages, "user", func(r *web.Request) (*userPage, error) {
		page, err := c.userPage(r)
		if err == nil {
			r.Self = page.Path
		}
		return page, err
	}, err)
}

func (c *Console) user(r *web.Request) error {
	page, err := c.userPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "user", page)
}

func (c *Console) userPage(r *web.Request) (*userPage, error) {
	a, u, err := c.userOf(r)
	if err != nil {
		return nil, err
	}
	page := &userPage{
		head: headOf(r, a, nameOf(u.User), usersLink(r, a.ID)), Name: nameOf(u.User), Email: u.DisplayAddress,
		LanguageName: r.T("me.lang." + u.Language), Status: statusOf(r.Printer, u.User), LastSignIn: u.LastSignInAt, CreatedAt: u.CreatedAt,
		Managed: u.Managed, Self: u.ID == r.Session.UserID, Second: c.secondOf(r, u), Required: u.SecondRequired, Release: u.SecondByGroup || a.Held.Has(store.RightUsers), Merge: u.Merge, Locked: u.State == store.UserLocked,
		FirstName: u.FirstName, LastName: u.LastName, Languages: r.Languages(u.Language), SignOut: u.Managed || u.ID == r.Session.UserID,
		May: u.May, Audits: a.Held.Has(store.RightAudit), Rights: reasonsOf(r, a, u.Rights), Revision: account.UserRevision(u.User),
	}
	page.Path = userPath(a.ID, u.ID) // also where a form about them comes back
	for _, g := range u.Groups {
		page.Groups = append(page.Groups, userGroup{web.Link{URL: accountPath(a.ID) + "/groups/" + g.ID + "/members", Text: account.GroupName(r.Printer, g)}, untilText(r, a, g.Until)})
		page.Audits = page.Audits || a.Held.Over(store.RightAudit, g.ID)
	}
	if page.Audits {
		log, err := c.accounts.UserActivity(r.Context(), r.Actor(), a.ID, u.ID, 10)
		if err != nil {
			return nil, err
		}
		page.Recent = eventsOf(r.Printer, log)
	}
	if page.May {
		if page.Tokens, err = c.accounts.TokensOf(r.Context(), r.Actor(), a.ID, u.ID); err != nil {
			return nil, err
		}
		if page.Lift, err = c.accounts.LiftOf(r.Context(), r.Actor(), a.ID, u.ID); err != nil {
			return nil, err
		}
		groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, scopesShown)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			page.Names = append(page.Names, account.GroupName(r.Printer, g))
		}
	}
	return page, nil
}

// userGroup is a group that a user is in.
type userGroup struct {
	web.Link
	Until string // last day, in words; "" = none
}

// addUserToGroup puts a user into the group whose name was typed.
func (c *Console) addUserToGroup(r *web.Request) error {
	a, u, err := c.userOf(r)
	if err != nil {
		return err
	}
	var result account.AddResult
	until, err := c.lastDay(r, a.ID)
	if err == nil {
		var group string
		if group, err = c.groupTyped(r, a.ID, r.PostFormValue("group")); err == nil && group == "" {
			err = fault.New(fault.Invalid, "rt.groupname").In("group", "rt.groupname", nil)
		}
		if err == nil {
			result, err = c.accounts.AddMembers(r.Context(), r.Actor(), a.ID, group, u.DisplayAddress, until)
		}
	}
	if err != nil {
		return c.userAgain(r, err)
	}
	if len(result.Added) == 0 {
		flashAlready(r, u.User)
	} else {
		r.Flash("ok", "m.added", "email", u.DisplayAddress, "group", account.GroupName(r.Printer, result.Group))
	}
	return r.Redirect(userPath(a.ID, u.ID))
}

func userPath(number int64, userID string) string {
	return accountPath(number) + "/users/" + userID
}

func (c *Console) blockUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, err := c.accounts.BlockUser(r.Context(), r.Actor(), n, r.PathValue("user"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.FlashUndo("ok", &web.Undo{Action: userPath(n, u.ID) + "/unblock"}, "ud.blocked", "name", nameOf(u))
	return r.Redirect(userPath(n, u.ID))
}

func (c *Console) editUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	form := r.PostFormValue
	u, err := c.accounts.EditUser(r.Context(), asSeen(r), n, r.PathValue("user"), form("first_name"), form("last_name"), form("language"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.Flash("ok", "us.edited", "name", nameOf(u))
	return r.Redirect(userPath(n, u.ID))
}

func (c *Console) endSessions(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, ended, err := c.accounts.EndSessions(r.Context(), r.Actor(), n, r.PathValue("user"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.Flash("ok", "us.signedout", "name", nameOf(u), "n", int(ended))
	return r.Redirect(userPath(n, u.ID))
}

func (c *Console) endTokens(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, ended, err := c.accounts.EndTokens(r.Context(), r.Actor(), n, r.PathValue("user"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.Flash("ok", "us.endedtokens", "name", nameOf(u), "n", int(ended))
	return r.Redirect(userPath(n, u.ID))
}

func (c *Console) unblockUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, err := c.accounts.UnblockUser(r.Context(), r.Actor(), n, r.PathValue("user"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.Flash("ok", "adm.unblocked", "name", nameOf(u))
	return r.Redirect(userPath(n, u.ID))
}

// deleteUserPage asks whether to take a user out of the account. One who made
// their account themselves keeps it, outside.
func (c *Console) deleteUserPage(r *web.Request) (*confirmPage, error) {
	a, u, err := c.subjectOf(r)
	if err != nil {
		return nil, err
	}
	name, back := nameOf(u.User), userPath(a.ID, u.ID)
	act, question, button, what := r.T("c.delete"), r.T("ud.deleteq", "name", name), r.T("adm.deletename", "name", name), r.T("ud.deletewhat")
	if !u.Managed {
		act, question = r.T("adm.leave"), r.T("adm.leaveq", "name", name, "number", a.ID)
		button, what = r.T("adm.removename", "name", name), r.T("adm.leaves")
	}
	between := []web.Link{usersLink(r, a.ID), {URL: back, Text: name}}
	if u.LastAdmin {
		return c.lastAdministrator(r, a, name, act, between...)
	}
	page := confirm(r, a, act, question, back, between...)
	page.Keep, page.Button, page.Lines = r.T("adm.keepuser", "name", name), button, []string{what}
	if u.ID == r.Session.UserID {
		page.Warning = r.T("m.self")
	}
	return page, nil
}

func (c *Console) confirmDeleteUser(r *web.Request) error {
	page, err := c.deleteUserPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) deleteUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, err := c.accounts.DeleteUser(r.Context(), r.Actor(), n, r.PathValue("user"))
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.deleteUserPage(r)
		if perr != nil {
			return perr
		}
		return c.refuse(r, page, err)
	}
	if u.Managed {
		r.Flash("ok", "adm.deleted", "name", nameOf(u))
	} else {
		r.Flash("ok", "adm.left", "name", nameOf(u))
	}
	if u.ID == r.Session.UserID {
		return r.Redirect("/")
	}
	return r.Redirect(accountPath(n) + "/users")
}

// invitePage asks a person to join the account, without a group or with one.
type invitePage struct {
	head
	Groups groupField
}

func (c *Console) invitePage(r *web.Request) (*invitePage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	groups, err := c.groupField(r, a, "")
	return &invitePage{headOf(r, a, r.T("adm.invitetitle"), usersLink(r, a.ID)), groups}, err
}

func (c *Console) newInvitation(r *web.Request) error {
	page, err := c.invitePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "user-invite", page)
}

func (c *Console) invite(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	var i account.Pending
	group, err := c.groupTyped(r, n, r.PostFormValue("group"))
	if err == nil {
		i, err = c.accounts.Invite(r.Context(), r.Actor(), n, group, r.PostFormValue("user"), time.Time{})
	}
	if err != nil {
		return web.Retry(r, c.pages, "user-invite", c.invitePage, err)
	}
	r.Flash("ok", "m.invited", "email", i.Address)
	return r.Redirect(accountPath(n) + "/users?status=" + url.QueryEscape(account.OnlyInvited))
}

// groupField is the choice of a group: of those that there are or, where they are too
// many to choose from, by name.
type groupField struct {
	Options []web.Option // empty: too many
	Named   string       // the one that is chosen, where they are too many
}

// groupsShown is from how many on a group is named instead of chosen.
const groupsShown = 200

// groupField is the field of a group to put people into, none first.
func (c *Console) groupField(r *web.Request, a account.AccountHead, chosen string) (f groupField, err error) {
	if !a.Held.HasSome(store.RightUsers) {
		return f, fault.New(fault.Denied, "err.forbidden")
	}
	groups, err := c.accounts.GroupChoices(r.Context(), r.Actor(), a.ID, groupsShown)
	if err != nil {
		return f, err
	}
	if own := a.Held.Groups(store.RightUsers); !a.Held.Has(store.RightUsers) && len(own) <= groupsShown { // of all that they see, those that they manage
		groups = nil
		for _, id := range own {
			g, err := c.accounts.Group(r.Context(), r.Actor(), a.ID, id)
			if err != nil {
				return f, err
			}
			groups = append(groups, g)
		}
	}
	if len(groups) > groupsShown { // and the built-in one
		f.Named, err = c.groupCalled(r, a.ID, chosen)
		return f, err
	}
	if a.Held.Has(store.RightUsers) { // who manages some groups only chooses one of them
		f.Options = append(f.Options, web.Option{Value: "", Text: r.T("adm.nogroup"), Selected: chosen == ""})
	}
	for _, g := range groups {
		if a.Held.Over(store.RightUsers, g.ID) {
			f.Options = append(f.Options, web.Option{Value: g.ID, Text: account.GroupName(r.Printer, g), Selected: g.ID == chosen})
		}
	}
	return f, nil
}

// groupCalled is the name of a group by its ID, the ID itself where it is gone.
func (c *Console) groupCalled(r *web.Request, number int64, groupID string) (string, error) {
	if groupID == "" {
		return "", nil
	}
	g, err := c.accounts.Group(r.Context(), r.Actor(), number, groupID)
	if fault.Is(err, fault.NotFound) {
		return groupID, nil
	}
	return account.GroupName(r.Printer, g), err
}

var groupID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// groupTyped is the ID of a group that a groupField gave, "" for none: what is no ID is
// its name. Fault: rt.groupname.
func (c *Console) groupTyped(r *web.Request, number int64, typed string) (string, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" || groupID.MatchString(typed) {
		return typed, nil
	}
	g, err := c.groupNamed(r, number, typed)
	return g.ID, err
}

// groupNamed finds a group whose name was typed. Fault: rt.groupname.
func (c *Console) groupNamed(r *web.Request, number int64, name string) (store.Group, error) {
	g, err := c.accounts.GroupNamed(r.Context(), r.Actor(), number, name)
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.Invalid, "rt.groupname").In("group", "rt.groupname", nil)
	}
	return g, err
}

// decideLift approves, or refuses, that a user's lost second factor goes.
func (c *Console) decideLift(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	approve := r.PostFormValue("do") == "approve"
	if !approve && r.PostFormValue("do") != "refuse" {
		if _, _, err := c.userOf(r); err != nil {
			return err
		}
		return fault.New(fault.NotFound, "e404.p")
	}
	u, err := c.accounts.DecideLift(r.Context(), r.Actor(), n, r.PathValue("user"), approve)
	if err != nil {
		return c.userAgain(r, err)
	}
	if approve {
		r.Flash("ok", "lift.adm.approved", "name", nameOf(u))
	} else {
		r.Flash("ok", "lift.adm.refused", "name", nameOf(u))
	}
	return r.Redirect(userPath(n, u.ID))
}
