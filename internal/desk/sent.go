package desk

import (
	"net/url"
	"slices"
	"time"

	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/web"
)

const pageSize = 50

// view is what the address of the list says.
type view struct {
	Status      keyserver.Filter
	Query       string
	From, Until string // days, as 2006-01-02
}

func viewOf(v url.Values) view {
	return view{keyserver.Filter(v.Get("status")), v.Get("q"), v.Get("from"), v.Get("until")}
}

// readable reports whether each of its parts means something.
func (v view) readable() bool {
	for _, day := range []string{v.From, v.Until} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return false
		}
	}
	return slices.ContainsFunc(filters, func(f filter) bool { return f.filter == v.Status })
}

// search reads the days where the person is; what is no day narrows nothing.
func (v view) search(r *web.Request) keyserver.SentSearch {
	s := keyserver.SentSearch{Filter: v.Status, Text: v.Query}
	day := func(text string, after int) time.Time {
		at, err := time.ParseInLocation(time.DateOnly, text, r.Printer.Zone)
		if err != nil {
			return time.Time{}
		}
		return at.AddDate(0, 0, after)
	}
	s.From, s.Until = day(v.From, 0), day(v.Until, 1)
	return s
}

func (v view) url(after string) string {
	q := url.Values{}
	for _, x := range [][2]string{{"status", string(v.Status)}, {"q", v.Query}, {"from", v.From}, {"until", v.Until}, {"after", after}} {
		if x[1] != "" {
			q.Set(x[0], x[1])
		}
	}
	if len(q) == 0 {
		return "/sent"
	}
	return "/sent?" + q.Encode()
}

// URL is the address of the view's first page.
func (v view) URL() string { return v.url("") }

type sentPage struct {
	web.Base
	View  view
	Tabs  []web.Link
	Rows  []sentRow
	Pager web.Pager
}

// Narrowed reports whether the view leaves something out.
func (p *sentPage) Narrowed() bool { return p.View != view{} }

// sentRow is one message with its one word of status.
type sentRow struct {
	keyserver.SentRow
	Title string
	To    string
	Tag   keyserver.Status
}

type filter struct {
	filter keyserver.Filter
	key    string
}

var filters = []filter{
	{keyserver.FilterAll, "desk.all"},
	{keyserver.FilterNotOpened, "sent.notopened"},
	{keyserver.FilterOpened, "desk.opened"},
	{keyserver.FilterLocked, "desk.locked"},
	{keyserver.FilterExpired, "desk.expired"},
}

func (d *desk) sent(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	q := r.URL.Query()
	v := viewOf(q)
	p := &sentPage{Base: r.Base(r.T("sent.h1")), View: v}
	for _, f := range filters {
		tab := v
		tab.Status = f.filter
		p.Tabs = append(p.Tabs, web.Link{URL: tab.URL(), Text: r.T(f.key), Current: f.filter == v.Status})
	}
	rows, next, err := d.Keys.Sent(r.Context(), r.Session.UserID, v.search(r), q.Get("after"), pageSize)
	if err != nil {
		return err
	}
	for _, row := range rows {
		p.Rows = append(p.Rows, sentRow{row, title(r, row), recipients(r, row), row.Status(r.Printer)})
	}
	p.Pager = web.Pager{Printer: r.Printer, Timed: true}
	if next != "" {
		p.Pager.Next = v.url(next)
	}
	if q.Get("after") != "" {
		p.Pager.Prev = v.URL()
	}
	return r.Render(d.pages, "sent", p)
}

func title(r *web.Request, row keyserver.SentRow) string {
	if row.Subject == "" {
		return r.T("desk.nosubject")
	}
	return row.Subject
}

func recipients(r *web.Request, row keyserver.SentRow) string {
	if len(row.Recipients) == 1 {
		return row.Recipients[0].Address
	}
	return r.T("desk.recipients", "n", len(row.Recipients))
}

type detailPage struct {
	web.Base
	keyserver.SentDetail
	Heading    string
	Tag        keyserver.Status
	Recipients []recipientRow
	Reasons    []string // why the gateway sealed it
	Events     []eventRow
	Undo       int // seconds left in which the sending can be undone
}

type recipientRow struct {
	keyserver.SentRecipient
	Reference string
	Tag       keyserver.Status
}

// Alive reports whether something can still be done for this recipient.
func (r recipientRow) Alive() bool {
	return r.State == keyserver.StateActive || r.State == keyserver.StateLocked || r.State == keyserver.StateExpired
}

// Resendable reports whether a notice can be sent again.
func (r recipientRow) Resendable() bool {
	return r.State == keyserver.StateActive && (r.Delivery == "sent" || r.CanCorrect)
}

// Alive reports whether something can still be done with the message.
func (p *detailPage) Alive() bool {
	return p.State == keyserver.StateActive || p.State == keyserver.StateLocked || p.State == keyserver.StateExpired
}

// Ended reports whether it can no longer be opened, but can be given another end.
func (p *detailPage) Ended() bool { return p.State == keyserver.StateExpired }

type eventRow struct {
	keyserver.Event
	Text  string
	Times int // how often in a row, At being the last: a page that is loaded again asks for the key again
	first time.Time
}

// inARow is how far apart two openings by one person are that make one line: what
// Times opened counts as one visit.
const inARow = 10 * time.Minute

// follows reports whether e, the older one, is one more of what the row says.
func (row *eventRow) follows(e keyserver.Event) bool {
	return e.Action == "envelope.release" && row.Action == e.Action && row.Recipient == e.Recipient && row.first.Sub(e.At) < inARow
}

func (d *desk) detail(r *web.Request) error {
	if err := allowed(r); err != nil {
		return err
	}
	m, err := d.Keys.SentDetail(r.Context(), r.Session.UserID, r.PathValue("id"))
	if err != nil {
		return err
	}
	p := &detailPage{SentDetail: m, Heading: title(r, m.SentRow), Tag: m.SentRow.Status(r.Printer)}
	p.Base = r.Base(p.Heading, r.T("sent.h1"))
	for _, s := range m.Recipients {
		p.Recipients = append(p.Recipients, recipientRow{s, id.ShowReference(s.Ref), s.Status(r.Printer)})
	}
	for _, o := range m.Way {
		if why := o.Say(r.Printer); !slices.Contains(p.Reasons, why) {
			p.Reasons = append(p.Reasons, why)
		}
	}
	for _, e := range m.Activity {
		if n := len(p.Events); n > 0 && p.Events[n-1].follows(e) {
			p.Events[n-1].Times++
			p.Events[n-1].first = e.At
			continue
		}
		p.Events = append(p.Events, eventRow{Event: e, Text: e.Say(r.Printer), Times: 1, first: e.At})
	}
	if until, err := d.Sealing.UndoUntil(r.Context(), r.Session.UserID, m.MessageID); err != nil {
		return err
	} else if !until.IsZero() {
		p.Undo = int(until.Sub(d.Now()).Seconds()) + 1
	}
	return r.Render(d.pages, "detail", p)
}
