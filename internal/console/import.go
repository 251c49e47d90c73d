package console

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/roster"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

const (
	maxImport = 32 << 20 // bytes of an uploaded file, with the form around it
	maxPaste  = 4 << 20  // bytes of the form's fields, which are held in memory
)

// importPage is A11.
type importPage struct {
	head
	New    []web.Option // how new people come in
	Groups groupField
	Some   bool // there are imports to look at
}

func importLink(r *web.Request, number int64) web.Link {
	return web.Link{URL: accountPath(number) + "/imports", Text: r.T("im.list")}
}

func (c *Console) importPage(r *web.Request) (*importPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	before, err := c.accounts.Imports(r.Context(), r.Actor(), a.ID, "", 1)
	if err != nil {
		return nil, err
	}
	groups, err := c.groupField(r, a, "")
	return &importPage{headOf(r, a, r.T("im.h1"), usersLink(r, a.ID)), []web.Option{
		{Value: "invite", Text: r.T("im.new.invite"), Selected: true}, {Value: "plain", Text: r.T("im.new.plain")},
	}, groups, len(before.Imports) > 0}, err
}

func (c *Console) newImport(r *web.Request) error {
	page, err := c.importPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "import", page)
}

// upload reads the fields of a form as they arrive, and stops at its file, which
// is the last; nil where none was chosen.
func upload(r *web.Request) (url.Values, *multipart.Part, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "im.nofile").In("file", "im.nofile", nil).Because(err)
	}
	form := url.Values{}
	left := int64(maxPaste)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil, nil
		} else if err != nil {
			return form, nil, unread(err)
		}
		if p.FileName() != "" {
			return form, p, nil
		}
		b, err := io.ReadAll(io.LimitReader(p, left+1))
		if err != nil {
			return form, nil, unread(err)
		}
		if left -= int64(len(b)); left < 0 {
			return form, nil, fault.New(fault.TooLarge, "im.pastelarge").With("n", maxPaste>>20).In("paste", "im.pastelarge", fault.Args{"n": maxPaste >> 20})
		}
		form.Add(p.FormName(), string(b))
	}
}

// unread is what reading an upload failed with, as the form says it.
func unread(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return fault.New(fault.TooLarge, "im.toolarge").With("n", maxImport>>20).In("file", "im.toolarge", fault.Args{"n": maxImport >> 20}).Because(err)
	}
	return err
}

func (c *Console) checkImport(r *web.Request) error {
	page, err := c.importPage(r)
	if err != nil {
		return err
	}
	form, file, err := upload(r)
	page.Input = form
	how := account.Import{Invite: form.Get("new") != "plain", Update: form.Get("update") != "", AllOr: form.Get("allor") != ""}
	if err == nil {
		how.GroupID, err = c.groupTyped(r, page.Number, form.Get("group"))
	}
	var from io.Reader
	switch {
	case err != nil:
	case file != nil:
		how.File, from = file.FileName(), file
	case strings.TrimSpace(form.Get("paste")) != "":
		how.File, from = r.T("im.pasted"), strings.NewReader(form.Get("paste"))
	default:
		err = fault.New(fault.Invalid, "im.nofile").In("file", "im.nofile", nil)
	}
	var v account.ImportView
	if err == nil {
		v, err = c.accounts.CheckImport(r.Context(), r.Actor(), page.Number, how, from)
		err = unread(err)
	}
	if err != nil {
		return r.Again(c.pages, "import", page, err)
	}
	return r.Redirect(accountPath(page.Number) + "/imports/" + v.ID)
}

// importTemplate is an empty file with the headings, in the reader's language.
func (c *Console) importTemplate(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	if _, err := c.accounts.Imports(r.Context(), r.Actor(), a.ID, "", 1); err != nil {
		return err
	}
	return r.Download(r.T("im.templatename"), func(to io.Writer) error {
		w := roster.NewWriter(to)
		w.Write(strings.Split(r.T("im.columns"), ",")...)
		return w.Flush()
	})
}

// importsPage lists what was imported in the last month.
type importsPage struct {
	head
	Rows  []importRow
	Pager web.Pager
}

type importRow struct {
	URL, File, Who string
	At             time.Time
	Status         personStatus
	Done, Total    int
}

func (c *Console) imports(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	list, err := c.accounts.Imports(r.Context(), r.Actor(), a.ID, r.URL.Query().Get("after"), pageSize)
	if err != nil {
		return err
	}
	page := &importsPage{head: headOf(r, a, r.T("im.list"), usersLink(r, a.ID)), Pager: pager(r, list.Next)}
	page.Pager.Timed = true
	for _, v := range list.Imports {
		page.Rows = append(page.Rows, importRow{r.URL.Path + "/" + v.ID, v.File, v.ActorName, v.CreatedAt, jobStatus(r, v.Job), v.Done, v.Total})
	}
	return r.Render(c.pages, "imports", page)
}

func jobStatus(r *web.Request, j store.Job) personStatus {
	if j.Reason == account.ImportDiscarded {
		return personStatus{"", r.T("job.s.discarded")}
	}
	return personStatus{map[string]string{store.JobRunning: "info", store.JobDone: "ok", store.JobStopped: "bad"}[j.State], r.T("job.s." + j.State)}
}

// jobPage is A12, then A22: what an import will do, is doing, did.
type jobPage struct {
	head
	View           account.ImportView
	Heading        string
	Read           string // what was read, from where
	Reason         string
	Verdict        string // which rows are shown, "" = all
	Chips          []web.Link
	Rows           []verdictRow
	Pager          web.Pager
	Bad            int // rows with errors, or that failed
	Running, Ready bool
}

type verdictRow struct {
	Line          int
	Address, Name string
	Says          personStatus
}

// separators are how a separator is called.
var separators = map[string]string{",": "im.sep.comma", ";": "im.sep.semicolon", "\t": "im.sep.tab"}

func (c *Console) jobPage(r *web.Request) (*jobPage, error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, err
	}
	v, err := c.accounts.Import(r.Context(), r.Actor(), a.ID, r.PathValue("job"))
	if err != nil {
		return nil, err
	}
	page := &jobPage{View: v, Heading: r.T("ic.h1"), Running: v.State == store.JobRunning, Ready: v.State == store.JobReady,
		Bad: v.Counts[store.RowError] + v.Counts[store.RowFailed]}
	if !page.Ready {
		page.Heading = r.T("ic.h1.run", "file", v.File)
	}
	page.head = headOf(r, a, page.Heading, usersLink(r, a.ID), importLink(r, a.ID))
	page.Path = accountPath(a.ID) + "/imports/" + v.ID // also where a form comes back
	rows := 0
	for _, n := range v.Counts {
		rows += n
	}
	page.Read = r.T("ic.read", "n", rows, "file", v.File, "encoding", v.Encoding, "sep", r.T(separators[v.Separator]))
	if v.Reason != "" {
		page.Reason = r.T(v.Reason, "n", account.MaxImportRows)
	}

	get := r.URL.Query()
	page.Verdict = get.Get("verdict")
	if !get.Has("verdict") && v.Counts[store.RowError] > 0 {
		page.Verdict = store.RowError // errors first
	}
	chosen := false
	for _, verdict := range []string{store.RowError, store.RowFailed, store.RowCreate, store.RowUpdate, store.RowSame, store.RowExists} {
		if n := v.Counts[verdict]; n > 0 {
			page.Chips = append(page.Chips, web.Link{URL: page.Path + "?verdict=" + verdict, Text: r.T("ic.chip."+verdict, "n", n), Current: verdict == page.Verdict})
			chosen = chosen || verdict == page.Verdict
		}
	}
	if !chosen {
		page.Verdict = ""
	}
	page.Chips = append(page.Chips, web.Link{URL: page.Path + "?verdict=", Text: r.T("ic.chip.all", "n", rows), Current: !chosen})

	list, err := c.accounts.ImportRows(r.Context(), r.Actor(), a.ID, v.ID, page.Verdict, get.Get("after"), pageSize)
	if err != nil {
		return nil, err
	}
	page.Pager = web.Pager{Printer: r.Printer}
	if list.Next != "" {
		page.Pager.Next = page.Path + "?verdict=" + page.Verdict + "&after=" + list.Next
	}
	if get.Get("after") != "" {
		page.Pager.Prev = page.Path + "?verdict=" + page.Verdict
	}
	for _, row := range list.Rows {
		name := strings.TrimSpace(row.FirstName + " " + row.LastName)
		page.Rows = append(page.Rows, verdictRow{row.Line, account.Cited(row.Address), account.Cited(name), saysOf(r, v, row)})
	}
	return page, nil
}

// saysOf says what will happen, happened, or is wrong with a row.
func saysOf(r *web.Request, v account.ImportView, row account.ImportRow) personStatus {
	done := v.State != store.JobReady && row.Line <= v.Position
	left := v.State == store.JobStopped && !done
	made := "ic.create"
	if v.Invite {
		made = "ic.invite"
	}
	switch {
	case row.Verdict == store.RowError || row.Verdict == store.RowFailed:
		return personStatus{"bad", row.Wrong(r.Printer)}
	case row.Verdict == store.RowSame:
		return personStatus{"", r.T("ic.same")}
	case row.Verdict == store.RowExists:
		return personStatus{"", r.T("ic.exists")}
	case left:
		return personStatus{"warn", r.T("ic.left")}
	case row.Verdict == store.RowCreate && done:
		return personStatus{"ok", r.T(made + "d")}
	case row.Verdict == store.RowCreate:
		return personStatus{"ok", r.T(made)}
	case done:
		return personStatus{"ok", r.T("ic.updated")}
	}
	var fields []string
	for _, key := range row.Changes {
		fields = append(fields, strings.ToLower(strings.TrimSuffix(r.T(key), "*")))
	}
	if len(row.Groups) > 0 {
		fields = append(fields, strings.ToLower(r.T("seed.groups")))
	}
	return personStatus{"info", r.T("ic.update", "fields", strings.Join(fields, ", "))}
}

func (c *Console) job(r *web.Request) error {
	page, err := c.jobPage(r)
	if err != nil {
		return err
	}
	return r.Render(c.pages, "import-job", page)
}

// startImport lets it run; cancelImport ends it.
func (c *Console) startImport(r *web.Request) error {
	return c.steerImport(r, func(n int64, job string) error { return c.accounts.StartImport(r.Context(), r.Actor(), n, job) })
}

func (c *Console) cancelImport(r *web.Request) error {
	return c.steerImport(r, func(n int64, job string) error { return c.accounts.CancelImport(r.Context(), r.Actor(), n, job) })
}

func (c *Console) steerImport(r *web.Request, do func(n int64, job string) error) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := do(n, r.PathValue("job")); err != nil {
		if !web.Mendable(err) {
			return err
		}
		page, perr := c.jobPage(r)
		if perr != nil {
			return perr
		}
		r.Self = page.Path
		return r.Again(c.pages, "import-job", page, err)
	}
	return r.Redirect(accountPath(n) + "/imports/" + r.PathValue("job"))
}

// rejected is a file of the rows with errors.
func (c *Console) rejected(r *web.Request) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	write, err := c.accounts.Rejected(r.Context(), r.Actor(), n, r.PathValue("job"), r.Printer)
	if err != nil {
		return err
	}
	return r.Download(r.T("ic.rejectedname"), write)
}
