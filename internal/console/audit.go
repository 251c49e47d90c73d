package console

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
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
	Chain   account.AuditChain
	Filter  auditFilter
	Actions []account.AuditAction
	Rows    []event
	Pager   web.Pager
}

// auditFilter is what the address of the page says, as it was typed.
type auditFilter struct{ Actor, Action, Target, Result, From, To string }

// Some reports whether anything is filtered.
func (f auditFilter) Some() bool { return f != auditFilter{} }

// auditFilterOf reads the filters of a page or a form. A day that is none is left out.
func auditFilterOf(r *web.Request, get func(string) string) (auditFilter, account.AuditQuery) {
	f := auditFilter{get("actor"), get("action"), get("target"), get("result"), get("from"), get("to")}
	if f.Result != store.Done && f.Result != store.Refused {
		f.Result = ""
	}
	q := account.AuditQuery{Actor: f.Actor, Action: f.Action, Target: f.Target, Outcome: f.Result}
	var err error
	if q.From, err = time.ParseInLocation(time.DateOnly, f.From, r.Printer.Zone); err != nil {
		f.From = ""
	}
	if q.To, err = time.ParseInLocation(time.DateOnly, f.To, r.Printer.Zone); err != nil {
		f.To = ""
	} else {
		q.To = q.To.AddDate(0, 0, 1) // the day is in it
	}
	return f, q
}

// values are the filters as the address has them.
func (f auditFilter) values() url.Values {
	out := url.Values{}
	for _, v := range [][2]string{{"actor", f.Actor}, {"action", f.Action}, {"target", f.Target}, {"result", f.Result}, {"from", f.From}, {"to", f.To}} {
		if v[1] != "" {
			out.Set(v[0], v[1])
		}
	}
	return out
}

func (c *Console) audit(r *web.Request) error {
	a, err := c.accountOf(r)
	if err != nil {
		return err
	}
	get := r.URL.Query().Get
	filter, q := auditFilterOf(r, get)
	q.Older, q.Newer = get("after"), get("before")
	log, err := c.accounts.ReadAudit(r.Context(), r.Actor(), a.ID, q, pageSize)
	if err != nil {
		return err
	}
	page := &auditPage{headOf(r, a, r.T("au.h1")), log.Chain, filter, account.AuditActions(r.Printer), eventsOf(r.Printer, log.Records), timedPager(r, filter, log)}
	return r.Render(c.pages, "audit", page)
}

// eventPage is one event, whole.
type eventPage struct {
	head
	eventView
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
		v.Detail = append(v.Detail, name+": "+row.Detail[name])
	}
	if row.Seq > 0 {
		v.Place, v.Hash = strconv.FormatInt(row.Seq, 10), hex.EncodeToString(row.Digest)
	}
	var raw bytes.Buffer
	err := json.Indent(&raw, audit.JSON(row, sayer(p)), "", "  ")
	v.Raw = raw.String()
	return v, err
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
	return r.Render(c.pages, "audit-event", &eventPage{headOf(r, a, r.T("au.event"), web.Link{URL: accountPath(a.ID) + "/audit", Text: r.T("au.h1")}), view})
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
	_, q := auditFilterOf(r, r.FormValue)
	format := r.FormValue("format")
	if !slices.Contains(audit.Formats, format) {
		format = audit.Formats[0]
	}
	next, end, err := c.accounts.ExportAudit(r.Context(), r.Actor(), a.ID, q, format)
	if err != nil {
		return err
	}
	rows, err := next(r.Context())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("pli-audit-%d.%s", a.ID, map[string]string{"csv": "csv", "jsonl": "jsonl", "cef": "cef.txt"}[format])
	return r.Download(name, func(to io.Writer) error {
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
