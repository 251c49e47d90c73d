package console

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

// event is one audit record as a sentence.
type event struct {
	ID       string
	Sentence string
	At       time.Time
	From     string // network address, or "terminal"
	Refused  bool
}

func eventsOf(p i18n.Printer, rows []store.AuditRow) []event {
	out := make([]event, len(rows))
	for i, row := range rows {
		out[i] = eventOf(p, row)
	}
	return out
}

func eventOf(p i18n.Printer, row store.AuditRow) event {
	e := event{row.ID, account.Sentence(p, row), row.At, row.Origin, row.Outcome == store.Refused}
	if row.Origin == "terminal" {
		e.From = p.T("me.terminal")
	}
	return e
}

// auditPage is A16.
type auditPage struct {
	head
	auditForm
	Chain account.AuditChain
	Rows  []event
	Pager web.Pager
}

// auditForm is the form with the filters of a log.
type auditForm struct {
	Filter           auditFilter
	Actions, Results []web.Option
}

// auditFilter is what the address of the page says, as it was typed.
type auditFilter struct{ Actor, Action, Target, Result, From, To, IP string }

// Some reports whether anything is filtered.
func (f auditFilter) Some() bool { return f != auditFilter{} }

// Fields are the filters, for forms that pass them on.
func (f auditFilter) Fields() [][2]string {
	return [][2]string{{"actor", f.Actor}, {"action", f.Action}, {"target", f.Target}, {"result", f.Result}, {"from", f.From}, {"to", f.To}, {"ip", f.IP}}
}

// auditFormOf reads the filters of a page or a form; wrong says what of them means nothing.
func auditFormOf(r *web.Request, get func(string) string) (form auditForm, q account.AuditQuery, wrong error) {
	f := auditFilter{get("actor"), get("action"), get("target"), get("result"), get("from"), get("to"), strings.TrimSpace(get("ip"))}
	q = account.AuditQuery{Actor: f.Actor, Action: f.Action, Target: f.Target, Outcome: f.Result, Origin: f.IP}
	var m mistakes
	form = auditForm{Filter: f, Actions: []web.Option{{Text: r.T("au.any")}}}
	for _, act := range account.AuditActions(r.Printer) {
		form.Actions = append(form.Actions, web.Option{Value: act.Name, Text: act.Text})
	}
	form.Actions = m.choose("action", f.Action, form.Actions)
	form.Results = m.choose("result", f.Result, []web.Option{{Text: r.T("au.any")}, {Value: store.Done, Text: r.T("au.done")}, {Value: store.Refused, Text: r.T("au.refused")}})
	q.From, q.To = m.period(r, day{"from", f.From}, day{"to", f.To})
	return form, q, m.err()
}

// values are the filters as the address has them.
func (f auditFilter) values() url.Values {
	out := url.Values{}
	for _, v := range f.Fields() {
		if v[1] != "" {
			out.Set(v[0], v[1])
		}
	}
	return out
}

func (c *Console) audit(r *web.Request) error {
	page, wrong, err := c.auditPage(r, r.URL.Query().Get)
	if err != nil {
		return err
	}
	if wrong != nil {
		return r.Again(c.pages, "audit", page, wrong)
	}
	return r.Render(c.pages, "audit", page)
}

// auditPage reads the page that the filters ask for. Where they are wrong, nothing is listed.
func (c *Console) auditPage(r *web.Request, get func(string) string) (page *auditPage, wrong, err error) {
	a, err := c.accountOf(r)
	if err != nil {
		return nil, nil, err
	}
	form, q, wrong := auditFormOf(r, get)
	q.Older, q.Newer = get("after"), get("before")
	log, err := c.accounts.ReadAudit(r.Context(), r.Actor(), a.ID, q, pageSize)
	if err != nil {
		return nil, nil, err
	}
	page = &auditPage{head: headOf(r, a, r.T("au.h1")), auditForm: form, Chain: log.Chain}
	page.Path = accountPath(a.ID) + "/audit"
	if wrong != nil {
		r.Self = page.Path + "?" + form.Filter.values().Encode()
		return page, wrong, nil
	}
	page.Rows, page.Pager = eventsOf(r.Printer, log.Records), timedPager(r, form.Filter, log)
	return page, nil, nil
}

// eventPage is one event, whole.
type eventPage struct {
	head
	eventView
	Message string // path of the message that it is about, where the reader sees messages
}

// eventView is all that is known of an event.
type eventView struct {
	Event  event
	Row    store.AuditRow
	Detail []string // name: value
	Place  string
	Hash   string
	Raw    string
	Broken bool // the log does not verify from here or from before
}

func eventViewOf(p i18n.Printer, row store.AuditRow, chain account.AuditChain) (eventView, error) {
	v := eventView{Event: eventOf(p, row), Row: row, Place: p.T("au.unplaced"), Broken: chain.BrokenSeq != 0 && row.Seq >= chain.BrokenSeq}
	for _, name := range slices.Sorted(maps.Keys(row.Detail)) {
		value := row.Detail[name]
		if name == "reason" && row.Outcome == store.Refused {
			value = refusalText(p, row)
		}
		v.Detail = append(v.Detail, name+": "+value)
	}
	if row.Seq > 0 {
		v.Place, v.Hash = strconv.FormatInt(row.Seq, 10), hex.EncodeToString(row.Digest)
	}
	var raw bytes.Buffer
	err := json.Indent(&raw, audit.JSON(row, sayer(p)), "", "  ")
	v.Raw = raw.String()
	return v, err
}

// refusalText is what whoever was refused was told, as far as the record knows it;
// else the key of that text.
func refusalText(p i18n.Printer, row store.AuditRow) string {
	key := row.Detail["reason"]
	args := map[string]any{"name": row.Target, "email": row.Target}
	for name, v := range row.Detail {
		args[name] = v
	}
	if text := p.Say(key, args); !strings.Contains(text, "{") {
		return text
	}
	return key
}

func (c *Console) auditEvent(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	row, chain, err := c.accounts.AuditEvent(r.Context(), r.Actor(), a.ID, r.PathValue("event"))
	if err != nil {
		return err
	}
	view, err := eventViewOf(r.Printer, row, chain)
	if err != nil {
		return err
	}
	page := &eventPage{head: headOf(r, a, r.T("au.event"), web.Link{URL: accountPath(a.ID) + "/audit", Text: r.T("au.h1")}), eventView: view}
	messages := accountPath(a.ID) + "/messages"
	if strings.HasPrefix(row.Action, "envelope.") && len(row.Target) == 32 && slices.ContainsFunc(page.Tabs, func(t web.Link) bool { return t.URL == messages }) {
		page.Message = messages + "/" + url.PathEscape(row.Target)
	}
	return r.Render(c.pages, "audit-event", page)
}

func sayer(p i18n.Printer) audit.Say {
	return func(row store.AuditRow) string { return account.Sentence(p, row) }
}

// exportAudit answers with the events that the filters select, as a file.
func (c *Console) exportAudit(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	q, format, wrong := exportOf(r)
	if wrong != nil {
		page, wrong, err := c.auditPage(r, r.PostFormValue)
		if err != nil {
			return err
		}
		return r.Again(c.pages, "audit", page, wrong)
	}
	next, end, err := c.accounts.ExportAudit(r.Context(), r.Actor(), a.ID, q, format)
	if err != nil {
		return err
	}
	return writeAudit(r, fmt.Sprintf("pli-audit-%d", a.ID), format, end, next)
}

// exportOf is what somebody wants exported, and in which format.
func exportOf(r *web.Request) (q account.AuditQuery, format string, wrong error) {
	_, q, wrong = auditFormOf(r, r.PostFormValue)
	format = r.PostFormValue("format")
	if !slices.Contains(audit.Formats, format) {
		format = audit.Formats[0]
	}
	return q, format, wrong
}

// writeAudit answers with the events that next gives, as a file of that name.
func writeAudit(r *web.Request, name, format string, end store.AuditHead, next func(context.Context) ([]store.AuditRow, error)) error {
	rows, err := next(r.Context())
	if err != nil {
		return err
	}
	return r.Download(name+"."+map[string]string{"csv": "csv", "jsonl": "jsonl", "cef": "cef.txt"}[format], func(to io.Writer) error {
		w, err := audit.NewWriter(to, format, r.Base().Version, sayer(r.Printer))
		for ; err == nil && len(rows) > 0; rows, err = next(r.Context()) {
			if err := w.Write(rows); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		return w.End(audit.HeadOf(end))
	})
}
