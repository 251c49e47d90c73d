package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// profilePage is A17.
type profilePage struct {
	head
	Languages, Zones   []web.Option
	Name               string
	Contacts           []contactRow
	Operates           bool
	Edits              bool // may change the first part
	Administers        bool // may export and delete
	Suspended, Leaving bool
	Shut               bool // it was suspended before
	DeleteAt           time.Time
	Revision           string
}

// contactRow is the field of one kind of contact.
type contactRow struct{ Kind, Label, Hint, Value string }

func (c *Console) profilePage(r *web.Request) (*profilePage, error) {
	n, err := numberOf(r)
	if err != nil {
		return nil, err
	}
	a, contacts, err := c.accounts.AccountProfile(r.Context(), r.Actor(), n)
	if err != nil {
		return nil, err
	}
	page := &profilePage{head: headOf(r, a, r.T("life.settings")), Name: a.Name, Operates: r.Operates(), Administers: a.Held.Everything(),
		Suspended: a.State == store.AccountSuspended, Leaving: a.State == store.AccountDeleting, DeleteAt: a.Deletion.At, Revision: account.ProfileRevision(a.Account), Shut: a.Deletion.Before == store.AccountSuspended,
		Languages: r.Languages(a.Language), Zones: web.Zones(a.TimeZone)}
	page.Edits = page.Settles && !page.Leaving
	for _, kind := range account.ContactKinds {
		page.Contacts = append(page.Contacts, contactRow{kind, "life.contact." + kind, "life.contact." + kind + ".hint", strings.Join(contacts[kind], ", ")})
	}
	return page, nil
}

func (c *Console) profile(r *web.Request) error {
	page, err := c.profilePage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "account-settings", page)
}

func (c *Console) editAccount(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	form := r.PostFormValue
	p := account.Profile{Name: form("name"), Language: form("language"), TimeZone: form("time_zone"), Contacts: account.Contacts{}}
	for _, kind := range account.ContactKinds {
		p.Contacts[kind] = strings.FieldsFunc(form(kind), func(c rune) bool { return strings.ContainsRune(",; \t\r\n", c) })
	}
	if _, err := c.accounts.EditAccount(r.Context(), asSeen(r), n, p); err != nil {
		return web.Retry(r, c.pages, "account-settings", c.profilePage, err)
	}
	r.Flash("ok", "life.saved")
	return r.Redirect(accountPath(n) + "/settings")
}

func settingsLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/settings", Text: r.T("life.settings")}
}

// deletionPage asks whether to delete an account.
type deletionPage struct {
	head
	What   string
	Shut   bool // it is suspended
	Proved bool
	Back   string
}

func (c *Console) deletionPage(r *web.Request) (*deletionPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	d, err := c.accounts.Deletion(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	page := &deletionPage{head: headOf(r, a, r.T("life.delete"), settingsLink(r, a.ID)), Shut: a.State == store.AccountSuspended, Proved: d.Proved, Back: accountPath(a.ID) + "/settings"}
	page.What = r.T("as2.deletewhat", "u", d.Users, "e", d.Messages, "date", r.Printer.Time(d.At))
	return page, nil
}

func (c *Console) confirmDeletion(r *web.Request) error {
	page, err := c.deletionPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "account-delete", page)
}

func (c *Console) deleteAccount(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	due, err := c.accounts.DeleteAccount(r.Context(), r.Actor(), n, r.PostFormValue("number"))
	if fault.HasKey(err, "second.again") {
		return proveFirst(r, accountPath(n)+"/delete")
	}
	if err != nil {
		return web.Retry(r, c.pages, "account-delete", c.deletionPage, err)
	}
	r.Flash("warn", "life.asked", "number", n, "date", r.Printer.Time(due))
	return r.Redirect(accountPath(n))
}

func (c *Console) keepAccount(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := c.accounts.KeepAccount(r.Context(), r.Actor(), n); err != nil {
		return err
	}
	r.Flash("ok", "life.kept", "number", n)
	return r.Redirect(accountPath(n))
}

// archivesPage lists the archives of all that an account has, and begins one.
type archivesPage struct {
	head
	Rows    []archiveRow
	Running bool
	Proved  bool
}

type archiveRow struct {
	ID             string
	At             time.Time
	By, Size, Sum  string
	Status         personStatus
	Done, Total    int
	Running, Ready bool
	EndsAt         time.Time
}

func (c *Console) archivesPage(r *web.Request) (*archivesPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	list, err := c.accounts.Archives(r.Context(), r.Actor(), a.ID)
	if err != nil {
		return nil, err
	}
	page := &archivesPage{head: headOf(r, a, r.T("life.export"), settingsLink(r, a.ID))}
	page.Path = accountPath(a.ID) + "/export"
	for _, v := range list {
		row := archiveRow{ID: v.ID, At: v.CreatedAt, By: v.ActorName, Sum: v.Sum, Done: v.Done, Total: max(v.Total, v.Done, 1), Running: v.Running(), Ready: v.Ready(), EndsAt: v.EndsAt}
		switch {
		case row.Running:
			row.Status, page.Running = personStatus{"info", r.T("life.making")}, true
		case row.Ready:
			row.Status, row.Size = personStatus{"ok", r.T("life.ready")}, r.Printer.Bytes(v.Size)
		case v.State == store.JobDone:
			row.Status = personStatus{"", r.T("life.over")}
		default:
			row.Status = personStatus{"warn", r.T(v.Reason)}
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

func (c *Console) archives(r *web.Request) error {
	page, err := c.archivesPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "account-export", page)
}

func (c *Console) startArchive(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	path := accountPath(n) + "/export"
	if _, err := c.accounts.StartArchive(r.Context(), r.Actor(), n); fault.HasKey(err, "second.again") {
		return proveFirst(r, path)
	} else if err != nil {
		return web.Retry(r, c.pages, "account-export", c.archivesPage, err)
	}
	r.Flash("ok", "life.started")
	return r.Redirect(path)
}

func (c *Console) stopArchive(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := c.accounts.StopArchive(r.Context(), r.Actor(), n, r.PathValue("job")); err != nil {
		return err
	}
	return r.Redirect(accountPath(n) + "/export")
}

func (c *Console) fetchArchive(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	in, size, err := c.accounts.FetchArchive(r.Context(), r.Actor(), n, r.PathValue("job"))
	if fault.HasKey(err, "second.again") {
		return proveFirst(r, accountPath(n)+"/export")
	}
	if err != nil {
		return err
	}
	defer in.Close()
	r.W.Header().Set("Content-Length", fmt.Sprint(size))
	return r.Download(fmt.Sprintf("account-%d.zip", n), func(w io.Writer) error { _, err := io.Copy(w, in); return err })
}

// life are the addresses of an account's settings, export and deletion.
func (c *Console) life(kit *web.Kit, account string) {
	for _, a := range []struct {
		pattern string
		handle  func(*web.Request) error
	}{
		{"GET " + account + "/settings", c.profile}, {"POST " + account + "/settings", c.editAccount},
		{"GET " + account + "/delete", c.confirmDeletion}, {"POST " + account + "/delete", c.deleteAccount},
		{"POST " + account + "/keep", c.keepAccount},
		{"GET " + account + "/export", c.archives}, {"POST " + account + "/export", c.startArchive},
		{"POST " + account + "/export/{job}/stop", c.stopArchive}, {"POST " + account + "/export/{job}/file", c.fetchArchive},
	} {
		kit.Handle(a.pattern, a.handle, web.Admin)
	}
}
