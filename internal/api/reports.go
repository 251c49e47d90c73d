package api

import (
	"time"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) report(r *web.Request, in client.ReportIn) (out client.Report, err error) {
	if in.Days == 0 && !r.URL.Query().Has("days") {
		in.Days = 30
	}
	var month time.Time
	if in.Month != "" {
		if month, err = account.ReportMonth(in.Month); err != nil {
			return out, err
		}
	}
	report, err := a.Accounts.Report(r.Context(), r.Actor(), in.Account, in.Days, month, account.MaxReportNames)
	if err != nil {
		return out, err
	}
	out = client.Report{From: report.From.Format(time.DateOnly), To: report.To.Format(time.DateOnly), Total: countsOf(report.Total),
		Days: []client.ReportDay{}, Senders: namedOf(report.Senders), Domains: namedOf(report.Domains)}
	for _, d := range report.Days {
		out.Days = append(out.Days, client.ReportDay{Day: d.Day.Format(time.DateOnly), Counts: countsOf(d)})
	}
	return out, nil
}

func countsOf(d account.ReportDay) client.ReportCounts {
	return client.ReportCounts{Messages: d.Messages, Recipients: d.Recipients, Opened: d.Opened, Failed: d.Failed, Invited: d.Invited, Added: d.Added, Activated: d.Activated}
}

func namedOf(list []store.ReportCount) []client.ReportNamed {
	out := make([]client.ReportNamed, len(list))
	for i, c := range list {
		out[i] = client.ReportNamed{Name: c.Name, Messages: c.Messages, Recipients: c.Recipients, Opened: c.Opened, Failed: c.Failed}
	}
	return out
}
