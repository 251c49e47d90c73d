package console

import (
	"net/url"
	"slices"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// bulkSurePage asks whether to act on all users that a search selects.
type bulkSurePage struct {
	head
	Question, What, Back string
	Whom                 []string // what selects them; none: all
	Bulk                 account.Bulk
}

// bulkPage is what became of the users who were acted on: of some who were
// ticked, or of a job.
type bulkPage struct {
	head
	Heading string
	Says    string
	View    *account.BulkView // nil: of some who were ticked
	Running bool
	Reason  string
	Failed  bool // only those are shown
	Rows    []bulkRow
	Undo    *web.Undo
	Pager   web.Pager
	Back    string
}

type bulkRow struct {
	Address string
	Status  personStatus
}

func bulkRows(r *web.Request, list []account.BulkRow) (out []bulkRow) {
	for _, row := range list {
		says := personStatus{"ok", r.T("bulk.okrow")}
		if row.Failed {
			says = personStatus{"bad", r.Printer.Say(row.Key, row.Args)}
		}
		address := row.Address
		if address == "" {
			address = "–"
		}
		out = append(out, bulkRow{address, says})
	}
	return out
}

// actOnUsers does an act on the users who were ticked, or after a question on all that match.
func (c *Console) actOnUsers(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "err.title").Because(err)
	}
	b := account.Bulk{Do: r.PostFormValue("do"), Query: r.PostFormValue("q"), Status: r.PostFormValue("status")}
	if b.Do == account.BulkGroup {
		if b.GroupID, err = c.groupTyped(r, a.ID, r.PostFormValue("group")); fault.HasKey(err, "rt.groupname") {
			r.Flash("bad", "rt.groupname")
			return r.Redirect(usersQuery(accountPath(a.ID)+"/users", b))
		} else if err != nil {
			return err
		}
	}
	if !a.Held.HasSome(store.RightUsers) {
		return fault.New(fault.Denied, "err.forbidden")
	}
	if !slices.Contains(account.BulkActs, b.Do) || !slices.ContainsFunc(statuses, func(s struct{ value, text string }) bool { return s.value == b.Status }) {
		return fault.New(fault.NotFound, "e404.p")
	}
	act, path := r.T("bulk.act."+b.Do), accountPath(a.ID)+"/users"
	back, ids := usersQuery(path, b), r.PostForm["id"]
	switch {
	case b.Do == account.BulkGroup && b.GroupID == "":
		r.Flash("bad", "bulk.whichgroup")
		return r.Redirect(back)
	case r.PostFormValue("which") == "matching" && r.PostFormValue("sure") == "":
		list, err := c.accounts.Users(r.Context(), r.Actor(), a.ID, b.Query, b.Status, "", 1)
		if err != nil {
			return err
		}
		page := &bulkSurePage{head: headOf(r, a, act, usersLink(r, a.ID)), Question: r.T("bulk.sure", "act", act), What: r.T("bulk.sure.n", "n", list.Total), Back: back, Bulk: b}
		if list.Total > store.MaxCount {
			page.What = r.T("bulk.sure.many")
		}
		if b.Query != "" {
			page.Whom = append(page.Whom, r.T("bulk.sure.query", "text", b.Query))
		}
		for _, s := range statuses {
			if b.Status != "" && s.value == b.Status {
				page.Whom = append(page.Whom, r.T("bulk.sure.status", "status", r.T(s.text)))
			}
		}
		return r.Render(c.pages, "users-sure", page)
	case r.PostFormValue("which") == "matching":
		j, err := c.accounts.StartBulk(r.Context(), r.Actor(), a.ID, b)
		if fault.HasKey(err, "second.again") {
			return proveFirst(r, back)
		}
		if err != nil {
			return err
		}
		return r.Redirect(accountPath(a.ID) + "/bulk/" + j.ID)
	case len(ids) == 0:
		r.Flash("bad", "bulk.nothing")
		return r.Redirect(back)
	}
	rows, err := c.accounts.ActOnUsers(r.Context(), r.Actor(), a.ID, b, ids)
	switch {
	case fault.HasKey(err, "second.again"):
		return proveFirst(r, back)
	case fault.HasKey(err, "people.toomany"):
		r.Flash("bad", "bulk.toomany", "n", len(ids))
		return r.Redirect(back)
	case err != nil:
		return err
	}
	if slices.ContainsFunc(rows, func(row account.BulkRow) bool { return row.Key == "second.again" }) {
		return proveFirst(r, back)
	}
	failed := slices.DeleteFunc(slices.Clone(rows), func(row account.BulkRow) bool { return !row.Failed })
	undo := undoOf(path, b.Do, rows)
	if len(failed) == 0 {
		r.FlashUndo("ok", undo, "bulk.done", "act", act, "n", len(rows))
		return r.Redirect(back)
	}
	page := &bulkPage{head: headOf(r, a, act, usersLink(r, a.ID)), Heading: act, Says: r.T("bulk.result", "act", act, "ok", len(rows)-len(failed), "bad", len(failed)), Rows: bulkRows(r, failed), Undo: undo, Back: back}
	r.Self = path
	return r.Render(c.pages, "users-bulk", page)
}

// usersQuery is the list of users that an act selects.
func usersQuery(path string, b account.Bulk) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": b.Query, "status": b.Status} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// undoOf takes an act back on those whom it changed; nil where there is no way back.
func undoOf(path, do string, rows []account.BulkRow) *web.Undo {
	if do != account.BulkBlock {
		return nil
	}
	undo := &web.Undo{Action: path + "/bulk", Fields: [][2]string{{"do", account.BulkUnblock}}}
	for _, row := range rows {
		if row.Changed {
			undo.Fields = append(undo.Fields, [2]string{"id", row.ID})
		}
	}
	if len(undo.Fields) == 1 {
		return nil
	}
	return undo
}

func (c *Console) bulkPage(r *web.Request) (*bulkPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	v, err := c.accounts.Bulk(r.Context(), r.Actor(), a.ID, r.PathValue("job"))
	if err != nil {
		return nil, err
	}
	act, get := r.T("bulk.act."+v.Do), r.URL.Query()
	page := &bulkPage{head: headOf(r, a, act, usersLink(r, a.ID)), Heading: act, View: &v, Running: v.State == store.JobRunning, Failed: get.Get("show") == "failed", Back: accountPath(a.ID) + "/users"}
	page.Path = accountPath(a.ID) + "/bulk/" + v.ID
	page.Says = r.T("bulk.result", "act", act, "ok", v.Done, "bad", v.Job.Failed)
	if v.Reason != "" {
		page.Reason = r.T(v.Reason)
	}
	list, err := c.accounts.BulkRows(r.Context(), r.Actor(), a.ID, v.ID, page.Failed, get.Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page.Pager = web.Pager{Printer: r.Printer}
	show := "?show=" + get.Get("show")
	if list.Next != "" {
		page.Pager.Next = page.Path + show + "&after=" + list.Next
	}
	if get.Get("after") != "" {
		page.Pager.Prev = page.Path + show
	}
	page.Rows = bulkRows(r, list.Rows)
	return page, nil
}

func (c *Console) bulk(r *web.Request) error {
	page, err := c.bulkPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "users-bulk", page)
}

func (c *Console) stopBulk(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := c.accounts.StopBulk(r.Context(), r.Actor(), n, r.PathValue("job")); err != nil && !fault.HasKey(err, "job.over") {
		return err
	}
	return r.Redirect(accountPath(n) + "/bulk/" + r.PathValue("job"))
}

// secondOf says how somebody stands with their second factor.
func (c *Console) secondOf(r *web.Request, u account.UserView) personStatus {
	switch {
	case u.Second:
		return personStatus{"ok", r.T("fa.has")}
	case u.Needs && !u.SecondDue.IsZero() && u.SecondDue.After(c.accounts.Now()):
		return personStatus{"warn", r.T("fa.due", "date", r.Printer.Time(u.SecondDue))}
	case u.Needs:
		return personStatus{"warn", r.T("fa.needs")}
	}
	return personStatus{"", r.T("fa.none")}
}

func (c *Console) requireSecond(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	required := r.PostFormValue("required") == "yes"
	u, err := c.accounts.RequireSecond(r.Context(), r.Actor(), n, r.PathValue("user"), required)
	if err != nil {
		return c.userAgain(r, err)
	}
	if required {
		r.Flash("ok", "fa.required", "name", nameOf(u))
	} else {
		r.Flash("ok", "fa.released", "name", nameOf(u))
	}
	return r.Redirect(userPath(n, u.ID))
}

func (c *Console) mergeUser(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if r.PostFormValue("do") == "cancel" {
		u, err := c.accounts.CancelMerge(r.Context(), r.Actor(), n, r.PathValue("user"))
		if err != nil {
			return c.userAgain(r, err)
		}
		r.Flash("ok", "merge.cancelled")
		return r.Redirect(userPath(n, u.ID))
	}
	m, err := c.accounts.ProposeMerge(r.Context(), r.Actor(), n, r.PathValue("user"), r.PostFormValue("address"))
	if err != nil {
		return c.userAgain(r, err)
	}
	r.Flash("ok", "merge.asked", "name", nameOf(m.Keep), "email", m.Gone.DisplayAddress)
	return r.Redirect(userPath(n, m.Keep.ID))
}
