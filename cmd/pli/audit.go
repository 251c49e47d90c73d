package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminAudit(f *adminFlags) *cobra.Command {
	var limit int
	list := a.command("list [NUMBER]", "admin.audit.list", "", a.exactly("[NUMBER]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		numbers, err := o.accountNumbers(ctx, args)
		if err != nil {
			return err
		}
		records, err := o.audit(ctx, numbers, limit)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"at", "cli.col.at"}, {"sentence", "cli.col.what"}, {"actor", "cli.col.who"}, {"action", "cli.col.action"}, {"target", "cli.col.target"}, {"outcome", "cli.col.outcome"}, {"origin", "cli.col.origin"}, {"account", "cli.col.account"}}}
		for _, r := range records {
			var of any // nothing, for what belongs to no account
			if r.AccountID != 0 {
				of = r.AccountID
			}
			t.add(r.ID, r.At, account.Sentence(o.p, r), r.Actor, r.Action, r.Target, r.Outcome, r.Origin, of)
		}
		return o.write(t, f.format, false)
	}))
	list.Flags().IntVar(&limit, "limit", 50, a.t("cli.flag.limit"))
	accept := a.command("accept", "admin.audit.accept", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		seen, has, err := o.Audit.Accept(ctx, o.actor.String(), o.actor.Origin)
		if err != nil {
			return err
		}
		o.say("cli.audit.accepted", "seen", seen, "has", has)
		return nil
	}))
	return a.group("audit", "admin.audit", list, accept)
}

// audit gathers the newest records of the accounts. Their ids are in the order
// of time, whichever account they are of.
func (o *operator) audit(ctx context.Context, numbers []int64, limit int) ([]store.AuditRow, error) {
	var out []store.AuditRow
	for _, n := range numbers {
		if err := pages(limit, func(after string, size int) (int, string, error) {
			p, err := o.Accounts.Audit(ctx, o.actor, n, after, size)
			out = append(out, p.Records...)
			return len(p.Records), p.Next, err
		}); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b store.AuditRow) int { return cmp.Compare(b.ID, a.ID) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
