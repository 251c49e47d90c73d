package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// maxMembers is how many bytes the form with a file of members may have.
const maxMembers = 4 << 20

// membersPage is A6: the seed's User ID and Add to Group, and what became of
// the addresses that were typed.
type membersPage struct {
	head
	Group   string
	GroupID string
	Typed   string // in the field User ID
	Until   string // in the field for the last day
	Query   string
	May     bool // the reader may change who is in it
	Many    bool // enough members to search among
	Rows    []memberRow
	More    bool // more people are invited than are shown
	Pager   web.Pager

	Tried   bool       // addresses were typed, and not all could be added
	Mixed   string     // counts, when there were several
	Blocked []web.Link // users who are, each a link to their page
	Wrong   []string   // what is no address
	Missing []missing  // each needs a decision
}

type memberRow struct {
	Name, Address string
	URL           string // of the user's page, "" for who was only invited
	Status        personStatus
	LastSignIn    time.Time
	You, Marked   bool
	ID            string // of a member
	Ends          string // last day of the membership, in words; "" = none
	Ended         bool
	Remove        string // address of the page that removes a member
	Invitation    string // address of an invitation, "" for a member
	Until         time.Time
}

// missing is an address of nobody, with what may be done about it.
type missing struct {
	Address string
	Meant   string // a user whose address is much like it, or ""
	Rest    string // the other addresses that wait for a decision
}

func (c *Console) membersPage(r *web.Request) (*membersPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	list, err := c.accounts.Members(r.Context(), r.Actor(), a.ID, r.PathValue("group"), r.URL.Query().Get("q"), r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	name := account.GroupName(r.Printer, list.Group)
	page := &membersPage{
		head: headOf(r, a, name, groupsLink(r, a.ID)), Group: name, GroupID: list.Group.ID,
		Typed: r.URL.Query().Get("user"), Until: r.FormValue("until"), Query: r.URL.Query().Get("q"), Pager: pager(r, list.Next),
		May: list.May, Many: list.Group.Members > 20, More: list.More,
	}
	page.Title = strings.Join([]string{r.T("g.members"), name, r.T("adm.account", "number", a.ID), a.Name}, " – ")
	mark := r.URL.Query().Get("mark")
	for _, m := range list.Members {
		u := m.User
		page.Rows = append(page.Rows, memberRow{
			Name: nameOf(u), Address: u.DisplayAddress, URL: accountPath(a.ID) + "/users/" + u.ID, Status: statusOf(r.Printer, u),
			LastSignIn: u.LastSignInAt, You: u.ID == r.Session.UserID, Marked: u.ID == mark, Remove: page.Path + "/" + u.ID,
			ID: u.ID, Ends: untilText(r, a, m.Until), Ended: m.Ended,
		})
	}
	for _, i := range list.Pending {
		page.Rows = append(page.Rows, pendingRow(r, a, i, mark))
	}
	return page, nil
}

func pendingRow(r *web.Request, a account.AccountHead, i account.Pending, mark string) memberRow {
	row := memberRow{
		Name: i.Address, Address: i.Address, Status: personStatus{"warn", r.T("st.invited")}, Marked: i.ID == mark,
		Invitation: accountPath(a.ID) + "/invitations/" + i.ID, Until: i.ExpiresAt, Ends: untilText(r, a, i.Until),
	}
	if i.Expired {
		row.Status = personStatus{"bad", r.T("adm.invexpired")}
	}
	return row
}

func (c *Console) members(r *web.Request) error {
	page, err := c.membersPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "members", page)
}

// addMembers adds who was typed, or does what was decided about one address
// that is nobody's.
func (c *Console) addMembers(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	group := r.PathValue("group")
	typed, err := c.typedMembers(r)
	if err != nil {
		return c.notAdded(r, n, r.PostFormValue("user"), account.AddResult{}, nil, err)
	}
	switch r.PostFormValue("do") {
	case "invite":
		return c.inviteMember(r, n, group)
	case "create":
		q := url.Values{"group": {group}, "user": {r.PostFormValue("user")}}
		for _, name := range []string{"rest", "until"} {
			if v := r.PostFormValue(name); v != "" {
				q.Set(name, v)
			}
		}
		return r.Redirect(accountPath(n) + "/users/new?" + q.Encode())
	}
	return c.add(r, n, group, typed, nil)
}

// typedMembers are the addresses of the form: those of its field, and those of its file.
func (c *Console) typedMembers(r *web.Request) (string, error) {
	typed := r.PostFormValue("user")
	f, _, err := r.FormFile("file") // in memory: what the address takes is less than what would go to the disk
	switch {
	case errors.Is(err, http.ErrMissingFile), errors.Is(err, http.ErrNotMultipart):
		return typed, nil
	case err != nil:
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return typed, fault.New(fault.TooLarge, "im.toolarge").With("n", maxMembers>>20).In("file", "im.toolarge", fault.Args{"n": maxMembers >> 20}).Because(err)
		}
		return typed, fault.New(fault.Invalid, "im.broken").In("file", "im.broken", nil).Because(err)
	}
	defer f.Close()
	list, err := account.AddressesIn(f)
	if strings.TrimSpace(typed) != "" {
		list = append([]string{typed}, list...)
	}
	return strings.Join(list, ", "), err
}

// add adds the people of the addresses in raw. before is what has been done
// already by the same request, to be said on the page that comes.
func (c *Console) add(r *web.Request, n int64, group, raw string, before *web.Flash) error {
	var result account.AddResult
	until, err := c.lastDay(r, n)
	if err == nil {
		result, err = c.accounts.AddMembers(r.Context(), r.Actor(), n, group, raw, until)
	}
	if err != nil {
		return c.notAdded(r, n, raw, result, before, err)
	}
	name := account.GroupName(r.Printer, result.Group)
	path := accountPath(n) + "/groups/" + group + "/members"
	switch {
	case len(result.Added) == 1 && len(result.Already)+len(result.Invited) == 0:
		r.Flash("ok", "m.added", "email", result.Added[0].DisplayAddress, "group", name)
	case len(result.Already) == 1 && len(result.Added)+len(result.Invited) == 0:
		flashAlready(r, result.Already[0])
		path += "?mark=" + result.Already[0].ID
	case len(result.Invited) == 1 && len(result.Added)+len(result.Already) == 0:
		r.Flash("info", "adm.pending", "email", result.Invited[0].Address, "group", name)
		path += "?mark=" + result.Invited[0].ID
	default:
		r.Flash("ok", "adm.mixed", "list", mixed(r, len(result.Added), len(result.Already), len(result.Invited), 0))
	}
	return r.Redirect(path)
}

// flashAlready says that somebody was in a group before, and the end that was given now.
func flashAlready(r *web.Request, u store.User) {
	if day := r.PostFormValue("until"); day != "" {
		r.Flash("ok", "m.alreadyuntil", "email", u.DisplayAddress, "date", dayText(r.Printer, day))
		return
	}
	r.Flash("info", "m.already", "email", u.DisplayAddress)
}

// notAdded shows the form again, with what became of the addresses where they were looked at.
func (c *Console) notAdded(r *web.Request, n int64, raw string, result account.AddResult, before *web.Flash, err error) error {
	if !web.Mendable(err) {
		return err
	}
	page, perr := c.membersPage(r)
	if perr != nil {
		return perr
	}
	if page.Typed = raw; result.Group.ID != "" {
		page.tried(r, n, raw, result)
	}
	page.Flash = before
	return r.Again(c.pages, "members", page, err)
}

// mixed counts what became of several addresses; what happened to none is left out.
func mixed(r *web.Request, added, already, invited, undecided int) string {
	var parts []string
	for _, part := range []struct {
		n   int
		key string
	}{{added, "adm.mixadded"}, {already, "adm.mixalready"}, {invited, "adm.mixinvited"}, {undecided, "adm.mixdecide"}} {
		if part.n > 0 {
			parts = append(parts, r.T(part.key, "n", part.n))
		}
	}
	return strings.Join(parts, ", ")
}

// tried puts on the page what became of the addresses, and the decisions that
// the missing ones need.
func (p *membersPage) tried(r *web.Request, n int64, raw string, result account.AddResult) {
	p.Tried, p.Typed, p.Wrong = true, raw, slices.DeleteFunc(slices.Clone(result.Bad), func(s string) bool { return s == "" })
	added, already, invited, undecided := len(result.Added), len(result.Already), len(result.Invited), len(result.Missing)+len(result.Bad)+len(result.Locked)
	if added+already+invited+undecided > 1 {
		p.Mixed = r.T("adm.mixed", "list", mixed(r, added, already, invited, undecided))
	}
	for _, u := range result.Locked {
		p.Blocked = append(p.Blocked, web.Link{URL: accountPath(n) + "/users/" + u.ID, Text: u.DisplayAddress})
	}
	for i, address := range result.Missing {
		rest := slices.Delete(slices.Clone(result.Missing), i, i+1)
		p.Missing = append(p.Missing, missing{address, result.Meant[address], strings.Join(rest, ", ")})
	}
}

func (c *Console) inviteMember(r *web.Request, n int64, group string) error {
	var i account.Pending
	until, err := c.lastDay(r, n)
	if err == nil {
		i, err = c.accounts.Invite(r.Context(), r.Actor(), n, group, r.PostFormValue("user"), until)
	}
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.membersPage(r)
		if perr != nil {
			return perr
		}
		page.Typed = r.PostFormValue("user")
		return r.Again(c.pages, "members", page, err)
	}
	if rest := r.PostFormValue("rest"); rest != "" {
		done := &web.Flash{Kind: "ok", Key: "m.invited", Args: map[string]any{"email": i.Address}}
		return c.add(r, n, group, rest, done)
	}
	r.Flash("ok", "m.invited", "email", i.Address)
	return r.Redirect(accountPath(n) + "/groups/" + group + "/members?mark=" + i.ID)
}

// lastDay reads the end of a membership: of the last day in the field "until".
func (c *Console) lastDay(r *web.Request, n int64) (time.Time, error) {
	if r.PostFormValue("until") == "" {
		return time.Time{}, nil
	}
	a, err := c.accounts.AccountHead(r.Context(), r.Actor(), n)
	if err != nil {
		return time.Time{}, err
	}
	return account.EndOfDay(account.ZoneOf(a.TimeZone), r.PostFormValue("until"))
}

// endPage changes until when somebody is in a group.
type endPage struct {
	head
	Name, Group, Until, Back string
}

func (c *Console) endPage(r *web.Request) (*endPage, error) {
	a, g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	m, err := c.accounts.Member(r.Context(), r.Actor(), a.ID, g.ID, r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	group, name := account.GroupName(r.Printer, g), nameOf(m.User)
	back := accountPath(a.ID) + "/groups/" + g.ID + "/members"
	page := &endPage{head: headOf(r, a, r.T("rt.endq", "name", name, "group", group), groupsLink(r, a.ID), web.Link{URL: back, Text: group}),
		Name: name, Group: group, Until: account.LastDay(account.ZoneOf(a.TimeZone), m.Until), Back: back}
	page.Crumbs[len(page.Crumbs)-1].Text = r.T("rt.end")
	return page, nil
}

func (c *Console) memberEnd(r *web.Request) error {
	page, err := c.endPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "member-end", page)
}

func (c *Console) setMemberEnd(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	until, err := c.lastDay(r, n)
	var m store.Member
	var g store.Group
	if err == nil {
		m, g, err = c.accounts.SetMembershipEnd(r.Context(), r.Actor(), n, r.PathValue("group"), r.PathValue("user"), until)
	}
	if err != nil {
		return web.Retry(r, c.pages, "member-end", c.endPage, err)
	}
	if until.IsZero() {
		r.Flash("ok", "rt.noend", "name", nameOf(m.User), "group", account.GroupName(r.Printer, g))
	} else {
		r.Flash("ok", "rt.ends", "name", nameOf(m.User), "group", account.GroupName(r.Printer, g), "date", dayText(r.Printer, r.PostFormValue("until")))
	}
	return r.Redirect(accountPath(n) + "/groups/" + g.ID + "/members?mark=" + m.ID)
}

// removeManyPage asks whether to take those whose ids are in the address out of a group.
func (c *Console) removeManyPage(r *web.Request) (*confirmPage, error) {
	a, g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	ids := r.URL.Query()["who"]
	group, back := account.GroupName(r.Printer, g), accountPath(a.ID)+"/groups/"+g.ID+"/members"
	page := confirm(r, a, r.T("m.remove"), r.T("rt.manyq", "n", len(ids), "group", group), back, groupsLink(r, a.ID), web.Link{URL: back, Text: group})
	for _, id := range ids {
		m, err := c.accounts.Member(r.Context(), r.Actor(), a.ID, g.ID, id)
		if fault.Is(err, fault.NotFound) && len(ids) > 1 {
			continue // not in it any more
		}
		if err != nil {
			return nil, err
		}
		page.Lines = append(page.Lines, nameOf(m.User)+" – "+m.DisplayAddress)
		if g.Builtin && m.ID == r.Session.UserID {
			page.Warning = r.T("m.self")
		}
	}
	page.Keep, page.Button = r.T("c.cancel"), r.T("m.remove")
	if len(ids) == 0 {
		page.Question, page.Stopped, page.Instead = r.T("m.remove"), r.T("rt.nobody"), web.Link{URL: back, Text: r.T("g.view")}
	}
	return page, nil
}

func (c *Console) confirmRemoveMembers(r *web.Request) error {
	page, err := c.removeManyPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) removeMembers(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	users, g, err := c.accounts.RemoveMembers(r.Context(), r.Actor(), n, r.PathValue("group"), r.URL.Query()["who"])
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.removeManyPage(r)
		if perr != nil {
			return perr
		}
		return c.refuse(r, page, err)
	}
	r.Flash("ok", "rt.removed", "n", len(users), "group", account.GroupName(r.Printer, g))
	if g.Builtin && slices.ContainsFunc(users, func(u store.User) bool { return u.ID == r.Session.UserID }) {
		return r.Redirect("/") // no longer theirs to see
	}
	return r.Redirect(accountPath(n) + "/groups/" + g.ID + "/members")
}

// removePage asks whether to take a person out of a group.
func (c *Console) removePage(r *web.Request) (*confirmPage, error) {
	a, g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	if _, err := c.accounts.Member(r.Context(), r.Actor(), a.ID, g.ID, r.PathValue("user")); err != nil {
		return nil, err
	}
	u, err := c.accounts.User(r.Context(), r.Actor(), a.ID, r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	group, name := account.GroupName(r.Printer, g), nameOf(u.User)
	back := accountPath(a.ID) + "/groups/" + g.ID + "/members"
	between := []web.Link{groupsLink(r, a.ID), {URL: back, Text: group}}
	if g.Builtin && u.LastAdmin {
		return c.lastAdministrator(r, a, name, r.T("m.remove"), between...)
	}
	page := confirm(r, a, r.T("m.remove"), r.T("m.removeq", "name", name, "group", group), back, between...)
	page.Keep, page.Button = r.T("adm.keepmember", "name", name), r.T("adm.removename", "name", name)
	if g.Builtin {
		page.Lines = []string{r.T("m.removewhat", "number", a.ID)}
		if u.ID == r.Session.UserID {
			page.Warning = r.T("m.self")
		}
	} else {
		page.Lines = []string{r.T("adm.removewhat", "number", a.ID)}
	}
	return page, nil
}

func (c *Console) confirmRemoveMember(r *web.Request) error {
	page, err := c.removePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) removeMember(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	u, g, err := c.accounts.RemoveMember(r.Context(), r.Actor(), n, r.PathValue("group"), r.PathValue("user"))
	if err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.removePage(r)
		if perr != nil {
			return perr
		}
		return c.refuse(r, page, err)
	}
	r.Flash("ok", "adm.removed", "name", nameOf(u), "group", account.GroupName(r.Printer, g))
	if g.Builtin && u.ID == r.Session.UserID {
		return r.Redirect("/") // no longer theirs to see
	}
	return r.Redirect(accountPath(n) + "/groups/" + g.ID + "/members")
}

func (c *Console) resendInvitation(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	i, err := c.accounts.ResendInvitation(r.Context(), r.Actor(), n, r.PathValue("invitation"))
	if fault.HasKey(err, "second.again") {
		return proveFirst(r, accountPath(n)+"/users?status="+url.QueryEscape(account.OnlyInvited))
	}
	if err != nil {
		return err
	}
	r.Flash("ok", "m.invited", "email", i.Address)
	return r.Redirect(backFrom(n, i) + "?mark=" + i.ID)
}

// backFrom is the list that an invitation stands in.
func backFrom(n int64, i account.Pending) string {
	if i.GroupID == "" {
		return accountPath(n) + "/users"
	}
	return accountPath(n) + "/groups/" + i.GroupID + "/members"
}

func (c *Console) confirmRevokeInvitation(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	i, err := c.accounts.OpenInvitation(r.Context(), r.Actor(), a.ID, r.PathValue("invitation"))
	if err != nil {
		return err
	}
	page := confirm(r, a, r.T("adm.revoke"), r.T("adm.revokeq", "email", i.Address), backFrom(a.ID, i), usersLink(r, a.ID))
	page.Lines = []string{r.T("adm.revokewhat")}
	page.Keep, page.Button = r.T("adm.revokekeep"), r.T("adm.revoke")
	return r.Render(c.pages, "confirm", page)
}

func (c *Console) revokeInvitation(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	i, err := c.accounts.RevokeInvitation(r.Context(), r.Actor(), n, r.PathValue("invitation"))
	if err != nil {
		return err
	}
	r.Flash("ok", "adm.revoked", "email", i.Address)
	return r.Redirect(backFrom(n, i))
}

// suggest answers the people search of the User ID field: users of this account
// and nobody else.
func (c *Console) suggest(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	list, err := c.accounts.Suggest(r.Context(), r.Actor(), n, r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	type person struct {
		Name   string `json:"name"`
		Email  string `json:"email"`
		Member bool   `json:"member"`
	}
	people := []person{}
	for _, p := range list {
		people = append(people, person{p.Name, p.Address, slices.Contains(p.Groups, r.URL.Query().Get("group"))})
	}
	return r.JSON(struct {
		People []person `json:"people"`
	}{people})
}
