package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminReport(f *adminFlags) *cobra.Command {
	var days int
	var month, by string
	c := a.command("report NUMBER", "admin.report", "  pli admin report 100042 --days 90\n  pli admin report 100042 --month 2026-11 --by sender -o csv", a.exactly("NUMBER"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			return o.report(ctx, f, args[0], days, month, by)
		}))
	c.Flags().IntVar(&days, "days", 30, a.t("cli.flag.report_days"))
	c.Flags().StringVar(&month, "month", "", a.t("cli.flag.report_month"))
	c.Flags().StringVar(&by, "by", "day", a.t("cli.flag.report_by"))
	return c
}

func (o *operator) report(ctx context.Context, f *adminFlags, of string, days int, month, by string) error {
	n, err := number(of)
	if err != nil {
		return err
	}
	var first time.Time
	if month != "" {
		if first, err = account.ReportMonth(month); err != nil {
			return err
		}
	}
	names := map[string]string{"day": "rp.day", "sender": "rp.sender", "domain": "rp.domain"}
	if names[by] == "" {
		return usage("cli.usage.choice", "value", by, "choices", "day, sender, domain")
	}
	r, err := o.Accounts.Report(ctx, o.actor, n, days, first, account.MaxReportNames)
	if fault.Is(err, fault.NotFound) {
		return o.noAccount(n)
	}
	if err != nil {
		return err
	}
	t := &table{columns: []column{{by, names[by]}, {"messages", "rp.messages"}, {"recipients", "rp.recipients"}, {"opened", "rp.opened"}, {"not_delivered", "rp.failed"}}}
	if by == "day" {
		t.columns = append(t.columns, column{"invited", "rp.invited"}, column{"added", "rp.added"}, column{"first_sign_ins", "rp.activated"})
		for _, d := range r.Days {
			t.add(d.Day.Format(time.DateOnly), d.Messages, d.Recipients, d.Opened, d.Failed, d.Invited, d.Added, d.Activated)
		}
	}
	for _, c := range map[string][]store.ReportCount{"sender": r.Senders, "domain": r.Domains}[by] {
		t.add(c.Name, c.Messages, c.Recipients, c.Opened, c.Failed)
	}
	return o.write(t, f.format, false)
}
