package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

func (a *app) adminReport(f *adminFlags) *cobra.Command {
	var days int
	var month, by string
	c := a.command("report NUMBER", "admin.report", "  pli admin report 100042 --days 90\n  pli admin report 100042 --month 2026-11 --by sender -o csv", a.exactly("NUMBER"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			return o.report(ctx, f, args[0], days, month, by)
		}))
	c.Flags().IntVar(&days, "days", 30, a.t("cli.flag.report_days"))
	c.Flags().StringVar(&month, "month", "", a.t("cli.flag.report_month"))
	c.Flags().StringVar(&by, "by", "day", a.t("cli.flag.report_by"))
	return c
}

func (o *administrator) report(ctx context.Context, f *adminFlags, of string, days int, month, by string) error {
	n, err := number(of)
	if err != nil {
		return err
	}
	names := map[string]string{"day": "rp.day", "sender": "rp.sender", "domain": "rp.domain"}
	if names[by] == "" {
		return usage("cli.usage.choice", "value", by, "choices", "day, sender, domain")
	}
	r, err := do(ctx, o, client.GetReport, client.ReportIn{Account: n, Days: days, Month: month})
	if err != nil {
		return err
	}
	t := &table{columns: []column{{by, names[by]}, {"messages", "rp.messages"}, {"recipients", "rp.recipients"}, {"opened", "rp.opened"}, {"not_opened", "rp.unopened"}, {"not_delivered", "rp.failed"}}}
	if by == "day" {
		t.columns = append(t.columns, column{"invited", "rp.invited"}, column{"added", "rp.added"}, column{"first_sign_ins", "rp.activated"})
		for _, d := range r.Days {
			x := d.Counts
			t.add(d.Day, x.Messages, x.Recipients, x.Opened, x.Recipients-x.Opened, x.Failed, x.Invited, x.Added, x.Activated)
		}
	}
	for _, c := range map[string][]client.ReportNamed{"sender": r.Senders, "domain": r.Domains}[by] {
		t.add(c.Name, c.Messages, c.Recipients, c.Opened, c.Recipients-c.Opened, c.Failed)
	}
	return o.write(t, f.format, false)
}
