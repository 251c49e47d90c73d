package console

import (
	"cmp"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

const (
	reportDays = 30 // of a report without a period
	reportTop  = 20 // senders and domains on the page
)

// reportPage is A17.
type reportPage struct {
	head
	account.Report
	Periods []web.Link
	Query   string // of the period, with its question mark
	Mail    chart
	Failed  chart
	People  chart
	Senders []share
	Domains []share
}

// chart is a figure of bars, one for each day, of one or two parts. Its
// coordinates are those of a picture of Width by 100.
type chart struct {
	Width float64
	Most  int64 // what the highest bar is
	Bars  []bar
}

type bar struct {
	X, W         float64
	Y, H         float64 // the first part, from below
	AboveY, Over float64 // the second, on top of it
}

// chartOf makes a chart of two parts of each day; the second may be nil.
func chartOf(days []account.ReportDay, first, second func(account.ReportDay) int64) chart {
	c := chart{Width: float64(10 * len(days))}
	if second == nil {
		second = func(account.ReportDay) int64 { return 0 }
	}
	for _, d := range days {
		c.Most = max(c.Most, first(d)+second(d))
	}
	if c.Most == 0 {
		return c
	}
	for i, d := range days {
		h, over := 100*float64(first(d))/float64(c.Most), 100*float64(second(d))/float64(c.Most)
		c.Bars = append(c.Bars, bar{X: float64(10*i) + 1, W: 8, Y: 100 - h, H: h, AboveY: 100 - h - over, Over: over})
	}
	return c
}

// share is a row by sender or domain, with a bar beside it.
type share struct {
	store.ReportCount
	Part float64 // of the first, of 100
}

// Unopened is how many recipients have not opened.
func (s share) Unopened() int64 { return s.Recipients - s.Opened }

func sharesOf(counts []store.ReportCount) []share {
	out := make([]share, len(counts))
	for i, c := range counts {
		out[i] = share{c, 100 * float64(c.Recipients) / float64(max(1, counts[0].Recipients))}
	}
	return out
}

// reported reads the report of the period in the address: days, or a month. query
// is that period in an address; wrong says why it is none, and the report is of
// the usual one.
func (c *Console) reported(r *web.Request, names int) (a account.AccountHead, report account.Report, query string, wrong, err error) {
	if a, err = c.accountOf(r); err != nil {
		return a, report, "", nil, err
	}
	q, days, month := r.URL.Query(), reportDays, time.Time{}
	switch name := q.Get("month"); {
	case name != "":
		month, wrong = account.ReportMonth(name)
		query = "?month=" + name
	case q.Get("days") != "":
		days, wrong = account.ReportPeriod(q.Get("days"))
	}
	if query == "" {
		query = "?days=" + strconv.Itoa(days)
	}
	if wrong != nil {
		days, month, query = reportDays, time.Time{}, ""
	}
	report, err = c.accounts.Report(r.Context(), r.Actor(), a.ID, days, month, names)
	return a, report, query, wrong, err
}

func (c *Console) report(r *web.Request) error {
	a, report, query, wrong, err := c.reported(r, reportTop)
	if err != nil {
		return err
	}
	page := &reportPage{head: headOf(r, a, r.T("rp.h1")), Report: report, Senders: sharesOf(report.Senders), Domains: sharesOf(report.Domains), Query: query}
	for _, n := range []int{7, 30, 90} {
		page.Periods = append(page.Periods, web.Link{URL: "?days=" + strconv.Itoa(n), Text: r.T("rp.days", "n", n)})
	}
	today := time.Now().In(report.To.Location())
	first := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, today.Location())
	page.Periods = append(page.Periods, web.Link{URL: "?month=" + first.Format("2006-01"), Text: r.T("rp.thismonth")},
		web.Link{URL: "?month=" + first.AddDate(0, -1, 0).Format("2006-01"), Text: r.T("rp.lastmonth")})
	for i, p := range page.Periods {
		page.Periods[i].URL, page.Periods[i].Current = r.URL.Path+p.URL, p.URL == page.Query
	}
	if wrong != nil {
		return r.Again(c.pages, "reports", page, wrong)
	}
	page.Mail = chartOf(report.Days, func(d account.ReportDay) int64 { return d.Opened }, account.ReportDay.Unopened)
	page.Failed = chartOf(report.Days, func(d account.ReportDay) int64 { return d.Failed }, nil)
	page.People = chartOf(report.Days, func(d account.ReportDay) int64 { return d.Added }, func(d account.ReportDay) int64 { return d.Activated })
	return r.Render(c.pages, "reports", page)
}

// exportReport answers with a table of the report as a file.
func (c *Console) exportReport(r *web.Request) error {
	a, report, _, wrong, err := c.reported(r, account.MaxReportNames)
	if err = cmp.Or(err, wrong); err != nil {
		return err
	}
	by := r.PathValue("by")
	name := "pli-report-" + strconv.FormatInt(a.ID, 10) + "-" + by + ".csv"
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	header := []string{"messages", "recipients", "opened", "not_opened", "not_delivered"}
	counts := map[string][]store.ReportCount{"sender": report.Senders, "domain": report.Domains}
	if list, ok := counts[by]; ok {
		return r.CSV(name, append([]string{by}, header...), func(write func(...string) error) error {
			for _, c := range list {
				if err := write(c.Name, number(c.Messages), number(c.Recipients), number(c.Opened), number(c.Recipients-c.Opened), number(c.Failed)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if by != "day" {
		return fault.New(fault.NotFound, "e404.p")
	}
	return r.CSV(name, append(append([]string{"day"}, header...), "invited", "added", "first_sign_ins"), func(write func(...string) error) error {
		for _, d := range report.Days {
			if err := write(d.Day.Format(time.DateOnly), number(d.Messages), number(d.Recipients), number(d.Opened), number(d.Unopened()), number(d.Failed),
				number(d.Invited), number(d.Added), number(d.Activated)); err != nil {
				return err
			}
		}
		return nil
	})
}
