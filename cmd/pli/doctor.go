package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/server"
)

func (a *app) doctorCommand() *cobra.Command {
	var path *string
	var asJSON bool
	c := a.command("doctor [--config FILE] [--json]", "doctor", "  pli doctor --config /etc/pli/pli.toml", a.exactly(), func(cmd *cobra.Command, _ []string) error {
		d := &server.Doctor{}
		if err := a.checkConfig(d, *path); err != nil {
			return err
		}
		if d.Conf != nil {
			d.Files()
			a.checkDatabase(cmd.Context(), d)
			d.Certificate(time.Now())
			d.Smarthost(cmd.Context())
			d.Gateway(cmd.Context(), time.Now())
		}
		return a.report(d.Found, asJSON)
	})
	c.Flags().BoolVar(&asJSON, "json", false, a.t("cli.flag.json"))
	path = a.configFlag(c)
	return c
}

func (a *app) report(found []server.Finding, asJSON bool) error {
	bad := false
	p := a.p
	if asJSON {
		p = a.catalogue.Printer("en", nil) // for programs
	}
	list := []object{}
	var b strings.Builder
	for _, f := range found {
		bad = bad || f.Status != server.CheckOK
		text, remedy := p.T(f.Text, f.Args...), ""
		if f.Remedy != "" {
			remedy = p.T(f.Remedy, f.Args...)
		}
		list = append(list, object{{"id", f.ID}, {"status", f.Status}, {"text", text}, {"remedy", remedy}})
		fmt.Fprintf(&b, "%-5s %-12s %s\n", f.Status, f.ID, text)
		if remedy != "" {
			fmt.Fprintf(&b, "%-18s %s\n", "", remedy)
		}
	}
	var err error
	if asJSON {
		err = encode(a.stdout, list)
	} else {
		_, err = a.stdout.Write([]byte(b.String()))
	}
	if err == nil && bad {
		err = quiet(exitProblems)
	}
	return err
}

func (a *app) checkConfig(d *server.Doctor, path string) error {
	conf, err := config.Load(path)
	var ps *config.Problems
	switch {
	case errors.As(err, &ps):
		for _, sentence := range ps.Say(a.p) {
			d.Fail("config", "cli.said", "cli.doctor.config.do", "sentence", sentence)
		}
	case errors.Is(err, fs.ErrNotExist):
		d.Fail("config", "cli.nofile", "cli.doctor.noconfig.do", "file", path)
	case err != nil:
		return err
	default:
		d.Conf = conf
		d.OK("config", "cli.config.good", "file", path)
	}
	return nil
}

// checkDatabase looks at the database, and at what only the open one can tell.
func (a *app) checkDatabase(ctx context.Context, d *server.Doctor) {
	if file, ok := strings.CutPrefix(d.Conf.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			d.Warn("database", "cli.nodatabase", "cli.doctor.nodatabase.do", "file", file)
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if !d.Database(ctx) {
		return
	}
	c := server.Config{Config: d.Conf, Catalogue: a.catalogue, Version: version, Log: slog.New(slog.DiscardHandler)}
	parts, err := server.Open(ctx, c)
	if err != nil {
		return // for a reason that stands above already
	}
	defer parts.Close()
	d.Service(ctx, parts, c, operatorActor(a), a.t)
}
