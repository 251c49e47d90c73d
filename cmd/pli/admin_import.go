package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

var importColumns = []column{{"line", "cli.col.line"}, {"verdict", "cli.col.verdict"}, {"email", "cli.col.email"}, {"name", "cli.col.name"}, {"error", "cli.col.error"}}

// How often progress is said, and where somebody else runs the import, looked at.
const importPeriod = time.Second

func (a *app) userImport(f *adminFlags) *cobra.Command {
	var how client.ImportIn
	var group, onError string
	var dry bool
	c := a.command("import NUMBER FILE", "admin.user.import",
		"  pli admin user import 100042 people.csv --dry-run\n  pli admin user import 100042 people.csv --invite --group \"Ward 3\"",
		a.exactly("NUMBER", "FILE"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if onError != "skip" && onError != "abort" {
				return usage("cli.import.onerror", "value", onError)
			}
			how.Account, how.AllOrNothing = n, onError == "abort"
			if group != "" {
				_, g, err := o.group(ctx, args[0], group)
				if err != nil {
					return err
				}
				how.Group = g.ID
			}
			in := io.NopCloser(o.stdin)
			how.File = "-"
			if args[1] != "-" {
				if in, err = os.Open(args[1]); err != nil {
					return notFound(err, args[1])
				}
				how.File = filepath.Base(args[1])
			}
			defer in.Close()
			how.Body = in
			v, err := do(ctx, o, client.CheckImport, how)
			if err != nil {
				return err
			}
			at, bad := client.ImportPath{Account: n, Import: v.ID}, v.Rows.Error
			o.say("cli.import.read", "create", v.Rows.Create, "update", v.Rows.Update, "same", v.Rows.Same, "exists", v.Rows.Exists, "bad", bad)
			if dry {
				if err := o.importRows(ctx, at, f.format, ""); err != nil {
					return err
				}
				if _, err := do(ctx, o, client.CancelImport, at); err != nil {
					return err
				}
				if bad > 0 {
					return quiet(exitProblems)
				}
				return nil
			}
			if how.AllOrNothing && bad > 0 {
				return o.abortImport(ctx, at, f.format)
			}
			if _, err := do(ctx, o, client.StartImport, at); refused(err, "im.allornothing") { // found just now
				return o.abortImport(ctx, at, f.format)
			} else if err != nil {
				return err
			}
			return o.runImport(ctx, at, f.format)
		}))
	c.Flags().BoolVar(&dry, "dry-run", false, a.t("cli.import.dryrun"))
	c.Flags().BoolVar(&how.Invite, "invite", false, a.t("cli.import.invite"))
	c.Flags().BoolVar(&how.Update, "update", false, a.t("cli.import.update"))
	c.Flags().StringVar(&group, "group", "", a.t("cli.user.group"))
	c.Flags().StringVar(&onError, "on-error", "skip", a.t("cli.import.onerrorflag"))
	return c
}

// abortImport shows the rows that kept an import of all or nothing from beginning, and discards it.
func (o *administrator) abortImport(ctx context.Context, at client.ImportPath, f format) error {
	v, err := do(ctx, o, client.GetImport, at)
	if err != nil {
		return err
	}
	if err := o.importRows(ctx, at, f, "error"); err != nil {
		return err
	}
	o.say("cli.import.aborted", "n", v.Rows.Error)
	if _, err := do(ctx, o, client.CancelImport, at); err != nil {
		return err
	}
	return quiet(exitProblems)
}

// runImport watches an import.
func (o *administrator) runImport(ctx context.Context, at client.ImportPath, f format) error {
	said := -1
	return o.watch(ctx, at.Import, func() (bool, error) {
		v, err := do(ctx, o, client.GetImport, at)
		switch {
		case err != nil:
			return true, err
		case v.State == "done":
			o.say("ic.done", "n", v.Done, "m", v.Rows.Error+v.Rows.Exists+v.Failed)
			return true, o.importRows(ctx, at, f, "error", "failed")
		case v.State == "stopped":
			return true, failed(v.Reason)
		case v.Reason == "im.waits":
			o.say("im.waits")
			return true, quiet(exitLater)
		case v.Done != said:
			said = v.Done
			o.say("cli.import.progress", "done", v.Done, "total", v.Total)
		}
		return false, nil
	})
}

// watch looks at a job until it is over, and on this host goes on with it beside
// the server that may do so. What is interrupted the server ends.
func (o *administrator) watch(ctx context.Context, jobID string, look func() (over bool, err error)) error {
	ended := make(chan error, 1)
	work, stop := context.WithCancel(ctx)
	defer func() { stop(); <-ended }()
	go func() {
		defer close(ended)
		for o.host != nil && work.Err() == nil {
			more, err := o.host.Accounts.RunJob(work, jobID)
			if err != nil && work.Err() == nil {
				ended <- err
				return
			}
			if !more {
				select {
				case <-work.Done():
				case <-time.After(importPeriod):
				}
			}
		}
		<-work.Done()
	}()
	for {
		if over, err := look(); over {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case <-time.After(importPeriod):
		}
	}
}

// importRows writes the rows of an import that have one of these verdicts, "" for all.
func (o *administrator) importRows(ctx context.Context, at client.ImportPath, f format, verdicts ...string) error {
	t := &table{columns: importColumns}
	for _, verdict := range verdicts {
		if err := every(ctx, 0, func(after string, n int) (client.Page[client.ImportRow], error) {
			return do(ctx, o, client.ListImportRows, client.ImportRowsIn{Account: at.Account, Import: at.Import, Verdict: verdict, After: after, Limit: 1000})
		}, func(row client.ImportRow) {
			t.add(row.Line, row.Verdict, row.Email, strings.TrimSpace(row.FirstName+" "+row.LastName), row.Detail)
		}); err != nil {
			return err
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	return o.write(t, f, false)
}

// adminImport looks at imports that pli admin user import, or a page, began.
func (a *app) adminImport(f *adminFlags) *cobra.Command {
	columns := []column{{"id", "cli.col.id"}, {"file", "cli.col.file"}, {"state", "cli.col.state"}, {"total", "cli.col.rows"}, {"done", "cli.col.done"}, {"failed", "cli.col.failed"}, {"created_at", "cli.col.created"}, {"ended_at", "cli.col.ended"}}
	add := func(t *table, v client.Import) {
		t.add(v.ID, v.File, v.State, v.Total, v.Done, v.Failed, v.CreatedAt.Time, v.EndedAt.Time)
	}
	on := func(verb string, run func(ctx context.Context, o *administrator, at client.ImportPath) error) *cobra.Command {
		return a.command(verb+" NUMBER ID", "admin.import."+verb, "", a.exactly("NUMBER", "ID"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return run(ctx, o, client.ImportPath{Account: n, Import: args[1]})
		}))
	}
	list := a.command("list NUMBER", "admin.import.list", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: columns}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.Import], error) {
			return do(ctx, o, client.ListImports, client.ListIn{Account: n, After: after, Limit: size})
		}, func(v client.Import) { add(t, v) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	show := on("show", func(ctx context.Context, o *administrator, at client.ImportPath) error {
		v, err := do(ctx, o, client.GetImport, at)
		if err != nil {
			return err
		}
		t := &table{columns: columns}
		add(t, v)
		return o.write(t, f.format, true)
	})
	rows := on("rows", func(ctx context.Context, o *administrator, at client.ImportPath) error {
		return o.importRows(ctx, at, f.format, "")
	})
	rejected := on("rejected", func(ctx context.Context, o *administrator, at client.ImportPath) error {
		return o.save(do(ctx, o, client.RejectedRows, at))
	})
	cancel := on("cancel", func(ctx context.Context, o *administrator, at client.ImportPath) error {
		if _, err := do(ctx, o, client.CancelImport, at); err != nil {
			return err
		}
		o.say("cli.import.cancelled")
		return nil
	})
	return a.group("import", "admin.import", list, show, rows, rejected, cancel)
}
