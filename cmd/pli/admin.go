package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/server"
)

// operator is what an administration command works with: the services on the
// database of the configuration, beside a server that may be running.
type operator struct {
	speaker
	*server.Parts
	actor account.Actor
	conf  server.Config
}

// speaker tells people what a command did.
type speaker struct {
	*app
	quiet bool
}

// adminFlags are common to all administration commands.
type adminFlags struct {
	config *string
	format format
	quiet  bool
	remote remote
}

func (a *app) adminCommand() *cobra.Command {
	var f adminFlags
	c := a.group("admin", "admin",
		a.adminSite(&f), a.adminAccount(&f), a.adminBranding(&f), a.adminOperator(&f), a.adminDomain(&f), a.adminUpstream(&f),
		a.adminRules(&f), a.adminUser(&f), a.adminGroup(&f), a.adminInvitation(&f), a.adminImport(&f),
		a.adminMessage(&f), a.adminRequest(&f), a.adminToken(&f), a.adminWebhook(&f), a.adminOutbox(&f), a.adminAudit(&f),
		a.adminReport(&f), a.adminClock(&f), a.adminSystem(&f), a.adminSupport(&f), a.adminJob(&f),
	)
	f.config = a.configFlag(c)
	a.remoteFlags(c, &f.remote)
	f.format.flags(a, c)
	c.PersistentFlags().BoolVarP(&f.quiet, "quiet", "q", false, a.t("cli.flag.quiet"))
	a.complete(&f, c)
	return c
}

// act makes the run function of a command that only the service's host has: it
// opens the services, lets fn use them, and closes them. Mails that fn causes are
// sent by the running server.
func (a *app) act(f *adminFlags, fn func(ctx context.Context, o *operator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if _, err := f.format.choose(a.stdout); err != nil {
			return err
		}
		if cmd.Flag("server") != nil {
			at, err := a.where(cmd, f.remote)
			if err != nil {
				return err
			}
			if at.server != "" {
				no := usage("cli.remote.host", "command", cmd.CommandPath(), "server", at.server)
				no.hints = []string{a.t("cli.remote.hosthint", "command", cmd.CommandPath())}
				return no
			}
		}
		return a.onHost(cmd, f, func(o *operator) error { return o.nothingThere(ctx, cmd, args, fn(ctx, o, args)) })
	}
}

// onHost opens the services of this host's configuration for fn, and closes them.
func (a *app) onHost(cmd *cobra.Command, f *adminFlags, fn func(o *operator) error) error {
	conf, err := a.loadConfig(*f.config)
	if err != nil {
		return err
	}
	// A path that is wrong must not become a new, empty database.
	if file, ok := strings.CutPrefix(conf.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return a.noDatabase(file, err)
		}
	}
	c := server.Config{Config: conf, Catalogue: a.catalogue, Version: version,
		Log: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	parts, err := server.Open(cmd.Context(), c)
	if err != nil {
		return err
	}
	err = fn(&operator{speaker: speaker{a, f.quiet}, Parts: parts, actor: operatorActor(a), conf: c})
	if e := parts.Close(); err == nil {
		err = e
	}
	return err
}

func (a *app) noDatabase(file string, err error) error {
	if !os.IsNotExist(err) {
		return err
	}
	f := failed("cli.nodatabase", "file", file)
	f.hints = []string{"pli setup", "pli serve"}
	return f
}

func operatorActor(a *app) account.Actor { return account.Operator(a.operatorName()) }

// operatorName is who stands in the audit log: the person behind sudo, if there is one.
func (a *app) operatorName() string {
	if name := a.getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// say tells what was done, on standard error: standard output is for data.
func (o speaker) say(key string, pairs ...any) {
	if !o.quiet {
		o.tell(key, pairs...)
	}
}

// number reads an account number.
func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, usage("cli.badnumber", "value", s)
	}
	return n, nil
}

func (o speaker) noAccount(n int64) error {
	f := failed("cli.noaccount", "number", n)
	f.code = exitNotFound
	return f
}

// nothingThere says in the terminal's words what a command did not find: on
// the web that is a page.
func (o *operator) nothingThere(ctx context.Context, cmd *cobra.Command, args []string, err error) error {
	if !fault.HasKey(err, "e404.h1") || len(args) == 0 {
		return err
	}
	if strings.Contains(cmd.Use, "NUMBER") {
		n, bad := number(args[0])
		if bad != nil {
			return err
		}
		if _, known := o.Accounts.Account(ctx, o.actor, n); fault.Is(known, fault.NotFound) {
			return o.noAccount(n)
		}
	}
	f := failed("cli.nothing", "name", args[len(args)-1])
	f.code = exitNotFound
	return f
}

// confirm asks before something is destroyed. Without a terminal the flag
// --confirm must repeat the account number.
func (o speaker) confirm(given string, n int64, question string) error {
	return o.ask(given, n, question, "cli.needsconfirm")
}

// confirmed is confirm of what can be undone.
func (o speaker) confirmed(given string, n int64, question string) error {
	return o.ask(given, n, question, "cli.needsnumber")
}

func (o speaker) ask(given string, n int64, question, otherwise string) error {
	want := strconv.FormatInt(n, 10)
	if given == want {
		return nil
	}
	if given != "" || !isTerminal(o.stdin) {
		return usage(otherwise, "number", want)
	}
	fmt.Fprintf(o.stderr, "%s %s ", question, o.t("cli.typenumber", "number", want))
	line, err := o.readLine("")
	if err != nil {
		return err
	}
	if line != want {
		return quiet(exitInterrupted)
	}
	return nil
}

// temporary is a temporary password: read from standard input, or made here
// and then to be shown once.
func (o speaker) temporary(fromStdin bool) (password string, made bool, err error) {
	if !fromStdin {
		return id.NewPassword(), true, nil
	}
	password, err = o.readPassword("cli.askpassword", true)
	return password, false, err
}

// pages gathers rows from a list that comes in pages. limit 0 is all.
func pages(limit int, next func(after string, n int) (got int, cursor string, err error)) error {
	after, total := "", 0
	for {
		n := 200
		if limit > 0 {
			n = min(n, limit-total)
		}
		got, cursor, err := next(after, n)
		total += got
		if err != nil || cursor == "" || (limit > 0 && total >= limit) {
			return err
		}
		after = cursor
	}
}
