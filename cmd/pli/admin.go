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
	"github.com/pli-mail/pli/internal/store"
)

// operator is what an administration command works with: the services on the
// database of the configuration, beside a server that may be running.
type operator struct {
	*app
	*server.Parts
	actor account.Actor
	quiet bool
}

// adminFlags are common to all administration commands.
type adminFlags struct {
	config *string
	format format
	quiet  bool
}

func (a *app) adminCommand() *cobra.Command {
	var f adminFlags
	c := a.group("admin", "admin", a.adminAccount(&f), a.adminOperator(&f), a.adminDomain(&f), a.adminUpstream(&f), a.adminRules(&f), a.adminUser(&f), a.adminGroup(&f), a.adminRequest(&f), a.adminToken(&f), a.adminOutbox(&f), a.adminAudit(&f), a.adminReport(&f), a.adminClock(&f))
	f.config = a.configFlag(c)
	f.format.flags(a, c)
	c.PersistentFlags().BoolVarP(&f.quiet, "quiet", "q", false, a.t("cli.flag.quiet"))
	return c
}

// act makes the run function of a command: it opens the services, lets fn use
// them, and closes them. Mails that fn causes are sent by the running server.
func (a *app) act(f *adminFlags, fn func(ctx context.Context, o *operator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if _, err := f.format.choose(a.stdout); err != nil {
			return err
		}
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
		parts, err := server.Open(ctx, server.Config{Config: conf, Catalogue: a.catalogue, Version: version,
			Log: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			return err
		}
		o := &operator{app: a, Parts: parts, actor: operatorActor(a), quiet: f.quiet}
		err = o.nothingThere(ctx, cmd, args, fn(ctx, o, args))
		if e := parts.Close(); err == nil {
			err = e
		}
		return err
	}
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
func (o *operator) say(key string, pairs ...any) {
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

// user finds a user of an account by address.
func (o *operator) user(ctx context.Context, account, address string) (int64, account.UserView, error) {
	n, err := number(account)
	if err != nil {
		return 0, noUser, err
	}
	u, err := o.Accounts.UserByAddress(ctx, o.actor, n, address)
	if fault.Is(err, fault.NotFound) {
		if _, known := o.Accounts.Account(ctx, o.actor, n); known == nil {
			f := failed("cli.nouser", "email", address, "number", n)
			f.code = exitNotFound
			return n, u, f
		}
		err = o.noAccount(n)
	}
	return n, u, err
}

var noUser account.UserView

func (o *operator) noAccount(n int64) error {
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

// group finds a group by its name; the built-in one has a name in each language.
func (o *operator) group(ctx context.Context, account, name string) (int64, store.Group, error) {
	n, err := number(account)
	if err != nil {
		return 0, store.Group{}, err
	}
	g, err := o.Accounts.GroupNamed(ctx, o.actor, n, o.englishGroup(name))
	if fault.Is(err, fault.NotFound) {
		if _, known := o.Accounts.Account(ctx, o.actor, n); known != nil {
			return n, g, o.noAccount(n)
		}
		f := failed("cli.nogroup", "name", name, "number", n)
		f.code = exitNotFound
		return n, g, f
	}
	return n, g, err
}

func (o *operator) englishGroup(name string) string {
	for _, lang := range []string{"en", "fr"} {
		if strings.EqualFold(name, o.catalogue.Printer(lang, nil).T("seed.admins")) {
			return o.catalogue.Printer("en", nil).T("seed.admins")
		}
	}
	return name
}

// groupName is how a group is called in the reader's language.
func (o *operator) groupName(g store.Group) string {
	if g.Builtin {
		return o.t("seed.admins")
	}
	return g.Name
}

// confirm asks before something is destroyed. Without a terminal the flag
// --confirm must repeat the account number.
func (o *operator) confirm(given string, n int64, question string) error {
	want := strconv.FormatInt(n, 10)
	if given == want {
		return nil
	}
	if given != "" || !isTerminal(o.stdin) {
		return usage("cli.needsconfirm", "number", want)
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
func (o *operator) temporary(fromStdin bool) (password string, made bool, err error) {
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
