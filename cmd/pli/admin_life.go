package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
)

func (a *app) accountUpdate(f *adminFlags) *cobra.Command {
	var name, language, zone string
	var contacts []string
	var c *cobra.Command
	c = a.command("update NUMBER", "admin.account.update", "  pli admin account update 100042 --name \"Example Health\" --contact security=soc@example.org",
		a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			p, err := do(ctx, o, client.GetProfile, client.Account{Account: n})
			if err != nil {
				return err
			}
			for _, x := range []struct {
				into *string
				to   string
				flag string
			}{{&p.Name, name, "name"}, {&p.Language, language, "language"}, {&p.TimeZone, zone, "time-zone"}} {
				if c.Flags().Changed(x.flag) { // also to nothing, which is then said to be wrong
					*x.into = x.to
				}
			}
			kinds := map[string]*[]string{"technical": &p.Technical, "security": &p.Security, "privacy": &p.Privacy}
			for _, x := range contacts {
				kind, list, ok := strings.Cut(x, "=")
				if !ok || kinds[kind] == nil {
					return usage("cli.life.badcontact", "value", x)
				}
				*kinds[kind] = strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
			}
			if _, err := do(ctx, o, client.SetProfile, client.ProfileIn{Account: n, Name: p.Name, Language: p.Language, TimeZone: p.TimeZone,
				Technical: p.Technical, Security: p.Security, Privacy: p.Privacy}); err != nil {
				return err
			}
			return o.showAccount(ctx, n, f.format)
		}))
	c.Flags().StringVar(&name, "name", "", a.t("cli.life.name"))
	c.Flags().StringVar(&language, "language", "", a.t("cli.account.language"))
	c.Flags().StringVar(&zone, "time-zone", "", a.t("cli.account.timezone"))
	c.Flags().StringArrayVar(&contacts, "contact", nil, a.t("cli.life.contact"))
	return c
}

func (a *app) accountDelete(f *adminFlags) *cobra.Command {
	var typed string
	c := a.command("delete NUMBER", "admin.account.delete", "  pli admin account delete 100042 --confirm 100042",
		a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			due, err := o.Accounts.DeleteAccount(ctx, o.actor, n, typed)
			if err != nil {
				return err
			}
			o.say("life.asked", "number", n, "date", o.p.Time(due))
			return nil
		}))
	c.Flags().StringVar(&typed, "confirm", "", a.t("cli.life.confirm"))
	return c
}

func (a *app) accountKeep(f *adminFlags) *cobra.Command {
	return a.command("keep NUMBER", "admin.account.keep", "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		if err := o.Accounts.KeepAccount(ctx, o.actor, n); err != nil {
			return err
		}
		o.say("life.kept", "number", n)
		return nil
	}))
}

func (a *app) accountExport(f *adminFlags) *cobra.Command {
	var to string
	c := a.command("export NUMBER", "admin.account.export", "  pli admin account export 100042 --to account-100042.zip",
		a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) (err error) {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if to == "" {
				return usage("cli.life.needto")
			}
			if err := folderOf(to); err != nil {
				return err
			}
			out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // what is there stays
			if errors.Is(err, fs.ErrExist) {
				return exists(to)
			}
			if err != nil {
				return err
			}
			defer func() {
				if err = errors.Join(err, out.Close()); err != nil {
					err = errors.Join(err, os.Remove(to))
				}
			}()
			v, err := o.Accounts.StartArchive(ctx, o.actor, n)
			if err != nil {
				return err
			}
			if v, err = o.runArchive(ctx, n, v.ID); err != nil {
				return err
			}
			in, _, err := o.Accounts.FetchArchive(ctx, o.actor, n, v.ID)
			if err != nil {
				return err
			}
			if _, err := io.Copy(out, in); err != nil {
				return errors.Join(err, in.Close())
			}
			o.say("cli.life.exported", "file", to, "size", o.p.Bytes(v.Size), "sum", v.Sum)
			return in.Close()
		}))
	c.Flags().StringVar(&to, "to", "", a.t("cli.life.to"))
	return c
}

// runArchive makes an archive, or watches a server that does. What is
// interrupted is stopped.
func (o *operator) runArchive(ctx context.Context, n int64, jobID string) (account.ArchiveView, error) {
	for {
		if _, err := o.Accounts.RunJob(ctx, jobID); err != nil && ctx.Err() == nil {
			return account.ArchiveView{}, err
		}
		if ctx.Err() != nil {
			return account.ArchiveView{}, errors.Join(ctx.Err(), o.Accounts.StopArchive(context.WithoutCancel(ctx), o.actor, n, jobID))
		}
		v, err := o.Accounts.Archive(ctx, o.actor, n, jobID)
		switch {
		case err != nil || v.Ready():
			return v, err
		case !v.Running():
			return v, failed(v.Reason)
		}
		select {
		case <-ctx.Done():
		case <-time.After(importPeriod):
		}
	}
}
