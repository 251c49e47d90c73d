package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/backup"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/server"
)

var backupColumns = []column{{"id", "cli.col.id"}, {"created_at", "cli.col.created"}, {"version", "cli.col.version"}, {"engine", "cli.col.engine"}, {"schema", "cli.col.schema"},
	{"events", "cli.col.events"}, {"database_bytes", "cli.col.dbbytes"}, {"blobs", "cli.col.blobs"}, {"blob_bytes", "cli.col.blobbytes"}, {"gone", "cli.col.gone"}}

func backupRow(t *table, m backup.Manifest) {
	t.add(m.ID, m.CreatedAt, m.Version, m.Engine, m.Schema, m.AuditPos, m.Database.Size, m.Blobs, m.BlobBytes, m.Gone)
}

func (a *app) backupCommand() *cobra.Command {
	var f adminFlags
	c := a.group("backup", "backup", a.backupCreate(&f), a.backupList(&f), a.backupVerify(&f), a.backupRestore(&f))
	f.config = a.configFlag(c)
	f.format.flags(a, c)
	c.PersistentFlags().BoolVarP(&f.quiet, "quiet", "q", false, a.t("cli.flag.quiet"))
	return c
}

func (a *app) backupCreate(f *adminFlags) *cobra.Command {
	var to string
	var keep int
	c := a.command("create [--to DIR] [--keep N]", "backup.create", "  pli backup create --to /var/backups/pli --keep 14", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		conf, err := o.loadConfig(*f.config)
		if err != nil {
			return err
		}
		if to == "" {
			if to = conf.Backup.To; to == "" {
				return usage("cli.backup.where")
			}
		}
		m, err := o.Backup(ctx, server.Config{Config: conf, Catalogue: o.catalogue, Version: version}, o.actor, to, keep)
		if err != nil {
			return err
		}
		t := &table{columns: backupColumns}
		backupRow(t, m)
		if err := o.write(t, f.format, true); err != nil {
			return err
		}
		o.say("cli.backup.made", "id", m.ID, "dir", to)
		o.say("cli.backup.key", "file", conf.MasterKeyFile)
		return nil
	}))
	c.Flags().StringVar(&to, "to", "", a.t("cli.backup.to"))
	c.Flags().IntVar(&keep, "keep", 0, a.t("cli.backup.keep"))
	return c
}

func (a *app) backupList(f *adminFlags) *cobra.Command {
	return a.command("list DIR", "backup.list", "  pli backup list /var/backups/pli", a.exactly("DIR"), func(_ *cobra.Command, args []string) error {
		all, err := backup.List(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: backupColumns}
		for _, m := range all {
			backupRow(t, m)
		}
		return a.write(t, f.format, false)
	})
}

func (a *app) backupVerify(f *adminFlags) *cobra.Command {
	return a.command("verify DIR", "backup.verify", "  pli backup verify /var/backups/pli\n  pli backup verify /var/backups/pli/20261127T023000Z", a.exactly("DIR"), func(cmd *cobra.Command, args []string) error {
		dir, err := backup.Find(args[0])
		if err != nil {
			return err
		}
		// On another machine there may be no key, and sums say much.
		var root *masterkey.Root
		if conf, err := a.loadConfig(*f.config); err == nil {
			if root, err = masterkey.Open(conf.MasterKeyFile); err != nil {
				root = nil
			}
		}
		m, bad, err := backup.Verify(cmd.Context(), dir, root)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"file", "cli.col.file"}, {"problem", "cli.col.problem"}}}
		for _, p := range bad {
			t.add(p.File, p.Why)
		}
		if len(bad) > 0 || f.format.json {
			if err := a.write(t, f.format, false); err != nil {
				return err
			}
		}
		switch {
		case len(bad) > 0:
			a.tell("cli.backup.bad", "id", m.ID, "n", len(bad))
			return quiet(exitProblems)
		case f.quiet:
		case root == nil:
			a.tell("cli.backup.sums", "id", m.ID)
		default:
			a.tell("cli.backup.good", "id", m.ID, "date", a.p.Time(m.CreatedAt), "n", m.Blobs)
		}
		return nil
	})
}

func (a *app) backupRestore(f *adminFlags) *cobra.Command {
	var to string
	c := a.command("restore BACKUP --to DIR", "backup.restore", "  pli backup restore /var/backups/pli --to /var/lib/pli-restored", a.exactly("BACKUP"), func(cmd *cobra.Command, args []string) error {
		if to == "" {
			return usage("cli.backup.whereto")
		}
		conf, err := a.loadConfig(*f.config)
		if err != nil {
			return err
		}
		out, err := server.Restore(cmd.Context(), conf, args[0], to)
		if err != nil {
			return err
		}
		database := out.Database
		if database == "" {
			database = conf.Database
		}
		t := &table{columns: []column{{"id", "cli.col.id"}, {"created_at", "cli.col.created"}, {"data_dir", "cli.col.datadir"}, {"database", "cli.col.database"}}}
		t.add(out.ID, out.CreatedAt, out.Dir, database)
		if err := a.write(t, f.format, true); err != nil {
			return err
		}
		if !f.quiet {
			a.tell("cli.backup.restored", "id", out.ID, "date", a.p.Time(out.CreatedAt), "dir", out.Dir, "database", database)
		}
		return nil
	})
	c.Flags().StringVar(&to, "to", "", a.t("cli.backup.restoreto"))
	return c
}
