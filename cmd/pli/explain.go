package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/fault"
)

// explainCommand says what the gateway did with a message, and why.
func (a *app) explainCommand() *cobra.Command {
	var f adminFlags
	var n int64
	c := a.command("explain MESSAGE-ID [--account NUMBER] [--config FILE]", "explain",
		"  pli explain '<20261126.1234@example.org>'\n  pli explain 7KQ-42F", a.exactly("MESSAGE-ID"),
		a.act(&f, func(ctx context.Context, o *operator, args []string) error {
			list, err := o.Accounts.Transits(ctx, o.actor, n, args[0])
			if fault.Is(err, fault.NotFound) {
				f := failed("cli.explain.none", "name", args[0])
				f.code = exitNotFound
				return f
			}
			if err != nil {
				return err
			}
			t := &table{columns: []column{{"trace", "cli.col.trace"}, {"at", "cli.col.when"}, {"account", "cli.col.account"}, {"upstream", "cli.col.upstream"},
				{"message_id", "cli.col.messageid"}, {"from", "cli.col.from"}, {"to", "cli.col.to"}, {"action", "cli.col.action"}, {"why", "cli.col.why"},
				{"result", "cli.col.result"}, {"said", "cli.col.said"}, {"envelope", "cli.col.envelope"}}}
			for _, x := range list {
				for _, w := range x.Outcomes {
					t.add(x.ID, x.At, x.AccountID, x.Upstream, x.MessageID, x.Sender, w.Recipient, string(w.Action), w.Say(o.p), w.Result, w.Said, w.Envelope)
				}
			}
			name, err := f.format.choose(a.stdout)
			if err != nil || name != "table" {
				return o.write(t, f.format, false)
			}
			for _, x := range list {
				fmt.Fprintf(a.stdout, "%s\n", printable(a.t("cli.explain.head", "date", a.p.Time(x.At), "sender", x.Sender, "upstream", x.Upstream, "trace", x.ID)))
				for _, w := range x.Outcomes {
					fmt.Fprintf(a.stdout, "  %s: %s\n", printable(w.Recipient), printable(w.Say(o.p)))
					if w.Said != "" {
						fmt.Fprintf(a.stdout, "    %s\n", printable(a.t("cli.explain.said", "text", w.Said)))
					}
				}
			}
			return nil
		}))
	c.Flags().Int64Var(&n, "account", 0, a.t("cli.flag.ofaccount"))
	f.config = a.configFlag(c)
	f.format.flags(a, c)
	return c
}
