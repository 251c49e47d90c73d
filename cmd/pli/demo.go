package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var (
		dir     string
		port    int
		undo    int
		asJSON  bool
		verbose bool
	)
	c := a.command("demo [--dir DIR] [--port N] [--undo SECONDS] [--json]", "demo", "  pli demo\n  pli demo --dir trial --port 0", a.exactly(),
		func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), demo.Config{Dir: dir, Port: port, Undo: undo}, asJSON, verbose)
		})
	c.Flags().StringVar(&dir, "dir", "", a.t("cli.demo.dir"))
	c.Flags().IntVar(&port, "port", 8080, a.t("cli.demo.port"))
	c.Flags().IntVar(&undo, "undo", 5, a.t("cli.demo.undo"))
	c.Flags().BoolVar(&asJSON, "json", false, a.t("cli.demo.json"))
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, a.t("cli.demo.verbose"))
	return c
}

func (a *app) demo(ctx context.Context, c demo.Config, asJSON, verbose bool) error {
	if c.Port < 0 || c.Port > 65534 {
		return usage("cli.demo.badport", "value", c.Port)
	}
	if c.Undo < 0 || c.Undo > 300 {
		return usage("cli.demo.badundo", "value", c.Undo)
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	c.Catalogue, c.Version = a.catalogue, version
	c.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	d, err := demo.New(ctx, c)
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- d.Run(ctx) }()
	if err := answers(ctx, d.URL); err != nil && ctx.Err() == nil {
		return errors.Join(err, <-running)
	}
	if d.PortTaken {
		a.tell("cli.demo.porttaken", "port", c.Port, "url", d.URL)
	}
	if asJSON {
		err = encode(a.stdout, object{{"url", d.URL}, {"admin_url", d.URL + "/admin"}, {"mailbox_url", d.MailboxURL},
			{"account", fmt.Sprint(demo.Account)}, {"users", demo.Users()}, {"gateway", d.Gateway}})
	} else {
		err = a.introduce(d)
	}
	if err != nil {
		return err
	}
	if err := <-running; err != nil {
		return err
	}
	if d.Temporary {
		a.tell("cli.demo.removed", "dir", d.Dir)
	} else {
		a.tell("cli.demo.kept", "dir", d.Dir)
	}
	return nil
}

// introduce says where everything is, and who can sign in.
func (a *app) introduce(d *demo.Demo) error {
	var b strings.Builder
	row := func(label, value string) { fmt.Fprintf(&b, "  %-16s %s\n", label, value) }
	fmt.Fprintf(&b, "%s\n\n", a.t("cli.demo.ready"))
	row(a.t("cli.demo.site"), d.URL)
	row(a.t("cli.demo.console"), d.URL+"/admin")
	row(a.t("cli.demo.mailbox"), d.MailboxURL)
	row(a.t("cli.demo.gateway"), "smtp://"+d.Gateway)
	fmt.Fprintf(&b, "\n%s\n\n", a.t("cli.demo.account", "number", demo.Account))
	for _, u := range demo.Users() {
		fmt.Fprintf(&b, "  %-24s %-27s %s\n", u.Email, u.Password, a.t("cli.demo.role."+u.Role))
	}
	fmt.Fprintf(&b, "\n%s\n  pli admin --config %s account list\n", a.t("cli.demo.operator"), d.ConfigFile)
	fmt.Fprintf(&b, "\n%s\n  swaks --server %s --from %s --to lea@example.net --header 'Subject: [secure] Hello'\n\n%s\n",
		a.t("cli.demo.mail"), d.Gateway, demo.Users()[0].Email, a.t("cli.demo.stop"))
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

// answers waits until the service does.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/healthz: %s", url, r.Status)
	}
	return nil
}
