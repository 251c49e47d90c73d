package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
)

var importColumns = []column{{"line", "cli.col.line"}, {"verdict", "cli.col.verdict"}, {"email", "cli.col.email"}, {"name", "cli.col.name"}, {"error", "cli.col.error"}}

// How often progress is said, and where somebody else runs the import, looked at.
const importPeriod = time.Second

func (a *app) userImport(f *adminFlags) *cobra.Command {
	var how account.Import
	var group, onError string
	var dry bool
	c := a.command("import NUMBER FILE", "admin.user.import",
		"  pli admin user import 100042 people.csv --dry-run\n  pli admin user import 100042 people.csv --invite --group \"Ward 3\"",
		a.exactly("NUMBER", "FILE"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if onError != "skip" && onError != "abort" {
				return usage("cli.import.onerror", "value", onError)
			}
			how.AllOr = onError == "abort"
			if group != "" {
				_, g, err := o.group(ctx, args[0], group)
				if err != nil {
					return err
				}
				how.GroupID = g.ID
			}
			in := io.NopCloser(o.stdin)
			how.File = "-"
			if args[1] != "-" {
				if in, err = os.Open(args[1]); err != nil {
					return err
				}
				how.File = filepath.Base(args[1])
			}
			defer in.Close()
			v, err := o.Accounts.CheckImport(ctx, o.actor, n, how, in)
			if err != nil {
				return err
			}
			bad := v.Counts[store.RowError]
			o.say("cli.import.read", "create", v.Counts[store.RowCreate], "update", v.Counts[store.RowUpdate], "same", v.Counts[store.RowSame], "bad", bad)
			if dry {
				if err := o.importRows(ctx, n, v.ID, f.format, ""); err != nil {
					return err
				}
				if err := o.Accounts.CancelImport(ctx, o.actor, n, v.ID); err != nil {
					return err
				}
				if bad > 0 {
					return quiet(exitProblems)
				}
				return nil
			}
			if how.AllOr && bad > 0 {
				if err := o.importRows(ctx, n, v.ID, f.format, store.RowError); err != nil {
					return err
				}
				o.say("cli.import.aborted", "n", bad)
				if err := o.Accounts.CancelImport(ctx, o.actor, n, v.ID); err != nil {
					return err
				}
				return quiet(exitProblems)
			}
			if err := o.Accounts.StartImport(ctx, o.actor, n, v.ID); err != nil {
				return err
			}
			return o.runImport(ctx, n, v.ID, f.format)
		}))
	c.Flags().BoolVar(&dry, "dry-run", false, a.t("cli.import.dryrun"))
	c.Flags().BoolVar(&how.Invite, "invite", false, a.t("cli.import.invite"))
	c.Flags().BoolVar(&how.Update, "update", false, a.t("cli.import.update"))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	c.Flags().StringVar(&onError, "on-error", "skip", a.t("cli.import.onerrorflag"))
	return c
}

// runImport goes on with an import, or watches a server that does, and says how
// far it is. What is interrupted the server ends.
func (o *operator) runImport(ctx context.Context, n int64, jobID string, f format) error {
	ended := make(chan error, 1)
	work, stop := context.WithCancel(ctx)
	defer func() { stop(); <-ended }()
	go func() {
		defer close(ended)
		for work.Err() == nil {
			more, err := o.Accounts.RunJobs(work)
			if err != nil && work.Err() == nil {
				ended <- err
				return
			}
			if !more {
				select {
				case <-work.Done():
				case <-time.After(importPeriod / 4):
				}
			}
		}
	}()
	for said := -1; ; {
		v, err := o.Accounts.Import(ctx, o.actor, n, jobID)
		switch {
		case err != nil:
			return err
		case v.State == store.JobDone:
			o.say("ic.done", "n", v.Done, "m", v.Counts[store.RowError]+v.Failed)
			return o.importRows(ctx, n, jobID, f, store.RowError, store.RowFailed)
		case v.State == store.JobStopped:
			return failed(v.Reason)
		case v.Reason == "im.waits":
			o.say("im.waits")
			return quiet(exitLater)
		case v.Done != said:
			said = v.Done
			o.say("cli.import.progress", "done", v.Done, "total", v.Total)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case <-time.After(importPeriod / 4):
		}
	}
}

// importRows writes the rows of an import that have one of these verdicts, "" for all.
func (o *operator) importRows(ctx context.Context, n int64, jobID string, f format, verdicts ...string) error {
	t := &table{columns: importColumns}
	for _, verdict := range verdicts {
		for after := 0; ; {
			rows, err := o.Accounts.ImportRows(ctx, o.actor, n, jobID, verdict, after, 1000)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				after = row.Line
				said := ""
				if row.Key != "" {
					args := map[string]any{}
					for k, x := range row.Args {
						args[k] = x
					}
					said = o.p.Say(row.Key, args)
				}
				t.add(row.Line, row.Verdict, row.Address, strings.TrimSpace(row.FirstName+" "+row.LastName), said)
			}
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	return o.write(t, f, false)
}
