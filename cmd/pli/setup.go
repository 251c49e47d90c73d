package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/server"
)

// answers are what pli setup needs to know. Each has a flag; in a terminal, what is
// not given is asked.
type setupAnswers struct {
	config         string
	nonInteractive bool
	asJSON         bool
	passwordStdin  bool
	values         map[string]*string // by key of the configuration file
	account        account.NewAccount
	domains        []string // of the account
	admin          account.NewUser
}

// setupKeys are the keys of the configuration that setup writes, in its order.
var setupKeys = []struct {
	key, flag, def string
	ask            bool // in a terminal
}{
	{"public_url", "public-url", "", true},
	{"listen", "listen", "localhost:8443", true},
	{"database", "database", "sqlite:data/pli.db", true},
	{"database_password_file", "database-password-file", "", false},
	{"data_dir", "data-dir", "data", false},
	{"master_key_file", "master-key-file", "master.key", false},
	{"support", "support", "", true},
	{"tls.cert", "tls-cert", "", true},
	{"tls.key", "tls-key", "", true},
	{"tls.http_redirect", "http-redirect", "", false},
	{"mail.smarthost", "smarthost", "", true},
	{"mail.tls", "smarthost-tls", "", true},
	{"mail.username", "smarthost-username", "", true},
	{"mail.password_file", "smarthost-password-file", "", true},
	{"mail.from", "from", "", true},
}

func (a *app) setupCommand() *cobra.Command {
	s := &setupAnswers{values: map[string]*string{}}
	c := a.command("setup [--config FILE]", "setup",
		"  pli setup --config /etc/pli/pli.toml\n  pli setup --non-interactive --config pli.toml --public-url https://pli.example.org --smarthost smtp.example.org:587 \\\n    --from envelopes@example.org --account \"Example Health\" --admin ana@example.org --password-stdin",
		a.exactly(), func(cmd *cobra.Command, _ []string) error { return a.setup(cmd.Context(), s) })
	path := a.getenv("PLI_CONFIG")
	if path == "" {
		path = defaultConfig
	}
	c.Flags().StringVar(&s.config, "config", path, a.t("cli.setup.config"))
	c.Flags().BoolVar(&s.nonInteractive, "non-interactive", false, a.t("cli.setup.noninteractive"))
	c.Flags().BoolVar(&s.asJSON, "json", false, a.t("cli.flag.json"))
	c.Flags().BoolVar(&s.passwordStdin, "password-stdin", false, a.t("cli.user.passwordstdin"))
	for _, k := range setupKeys {
		s.values[k.key] = c.Flags().String(k.flag, "", a.t("cli.setup.key", "key", k.key))
	}
	c.Flags().StringVar(&s.account.Name, "account", "", a.t("cli.setup.account"))
	c.Flags().Int64Var(&s.account.Number, "account-number", 0, a.t("cli.account.number"))
	c.Flags().StringArrayVar(&s.domains, "domain", nil, a.t("cli.account.domain"))
	c.Flags().StringVar(&s.account.TimeZone, "time-zone", "UTC", a.t("cli.account.timezone"))
	c.Flags().StringVar(&s.admin.Address, "admin", "", a.t("cli.setup.admin"))
	c.Flags().StringVar(&s.admin.FirstName, "admin-first-name", "", a.t("cli.user.first"))
	c.Flags().StringVar(&s.admin.LastName, "admin-last-name", "", a.t("cli.user.last"))
	return c
}

func (a *app) setup(ctx context.Context, s *setupAnswers) error {
	if _, err := os.Lstat(s.config); err == nil {
		return exists(s.config)
	}
	if !s.nonInteractive {
		if !isTerminal(a.stdin) {
			return usage("cli.setup.noterminal")
		}
		if err := a.askSetup(s); err != nil {
			return err
		}
	}
	if s.account.Name == "" || s.admin.Address == "" {
		return usage("cli.setup.noaccount")
	}
	if err := areDomains(s.domains); err != nil {
		return err
	}
	s.account.Language, s.account.ExpiryDays, s.account.KeepDays = a.p.Lang, 30, 14
	if s.passwordStdin {
		password, err := a.readPassword("cli.askpassword", true)
		if err != nil {
			return err
		}
		s.admin.Password, s.admin.Confirm, s.admin.EnforceExpiry = password, password, true
	}
	text := s.file()
	conf, err := config.Parse(s.config, []byte(text)) // nothing is written before it is good
	if err != nil {
		return err
	}
	done, err := a.install(ctx, s, conf, text)
	if err != nil {
		return err
	}
	return a.tellSetup(s, conf, done)
}

// askSetup asks for what no flag gave.
func (a *app) askSetup(s *setupAnswers) error {
	a.tell("cli.setup.intro", "file", s.config)
	ask := func(value *string, key, def string) error {
		if *value != "" {
			return nil
		}
		prompt := a.t(key)
		if def != "" {
			prompt += " [" + def + "]"
		}
		fmt.Fprintf(a.stderr, "%s ", prompt)
		line, err := a.readLine("")
		if *value = line; line == "" {
			*value = def
		}
		return err
	}
	for _, k := range setupKeys {
		skip := (k.key == "tls.key" && *s.values["tls.cert"] == "") || (k.key == "mail.password_file" && *s.values["mail.username"] == "")
		def := k.def
		if k.key == "mail.tls" {
			def = "starttls"
		}
		if !k.ask || skip {
			continue
		}
		if err := ask(s.values[k.key], "cli.setup.ask."+k.key, def); err != nil {
			return err
		}
	}
	if err := ask(&s.account.Name, "cli.setup.ask.account", ""); err != nil {
		return err
	}
	if len(s.domains) == 0 {
		domains := ""
		if err := ask(&domains, "cli.setup.ask.domain", ""); err != nil {
			return err
		}
		s.domains = strings.FieldsFunc(domains, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return ask(&s.admin.Address, "cli.setup.ask.admin", "")
}

// file is the configuration file that the answers make.
func (s *setupAnswers) file() string {
	var b strings.Builder
	b.WriteString("# Configuration of Pli. All keys: docs/reference/config.md. Check it with: pli doctor\n")
	table := ""
	for _, k := range setupKeys {
		value := *s.values[k.key]
		if value == "" {
			value = k.def
		}
		if value == "" {
			continue
		}
		name := k.key
		if t, rest, ok := strings.Cut(k.key, "."); ok {
			if t != table {
				table = t
				fmt.Fprintf(&b, "\n[%s]\n", t)
			}
			name = rest
		}
		fmt.Fprintf(&b, "%s = %s\n", name, config.Quote(value))
	}
	return b.String()
}

// installed is what was made and must be told.
type installed struct {
	recovery string
	number   int64
	domains  []string // of the account
	admin    account.AdministratorAdded
}

// install writes everything, or leaves nothing behind.
func (a *app) install(ctx context.Context, s *setupAnswers, conf *config.Config, text string) (done installed, err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	made := func(path string) { undo = append(undo, func() { os.Remove(path) }) }
	for _, dir := range []string{filepath.Dir(s.config), conf.DataDir, filepath.Dir(conf.MasterKeyFile)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return done, err
		}
	}
	if file, ok := strings.CutPrefix(conf.Database, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return done, err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			for _, more := range []string{"", "-wal", "-shm"} {
				made(file + more)
			}
		}
	}
	if done.recovery, err = masterkey.Create(conf.MasterKeyFile); err != nil {
		return done, err
	}
	made(conf.MasterKeyFile)
	parts, err := server.Open(ctx, server.Config{Config: conf, Catalogue: a.catalogue, Version: version,
		Log: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return done, err
	}
	undo = append(undo, func() { parts.Close() })
	actor := operatorActor(a)
	acc, err := parts.Accounts.CreateAccount(ctx, actor, s.account)
	if err != nil {
		return done, err
	}
	done.number = acc.ID
	for _, name := range s.domains {
		d, _, err := parts.Accounts.AddDomain(ctx, actor, acc.ID, name)
		if err != nil {
			return done, err
		}
		done.domains = append(done.domains, d.Name)
	}
	if done.admin, err = parts.Accounts.AddAdministrator(ctx, actor, acc.ID, s.admin, false); err != nil {
		return done, err
	}
	var out outputs
	defer out.abort()
	f, err := out.create(s.config, 0o640, false)
	if err != nil {
		return done, err
	}
	if _, err := f.WriteString(text); err != nil {
		return done, err
	}
	if err := out.commit(); err != nil {
		return done, err
	}
	made(s.config)
	return done, parts.Close()
}

// tellSetup prints what must be kept, once.
func (a *app) tellSetup(s *setupAnswers, conf *config.Config, done installed) error {
	if s.asJSON {
		return encode(a.stdout, object{{"config", s.config}, {"master_key_file", conf.MasterKeyFile}, {"recovery_key", done.recovery},
			{"account", fmt.Sprint(done.number)}, {"administrator", done.admin.User.DisplayAddress}, {"temporary_password", done.admin.TemporaryPassword}})
	}
	var b strings.Builder
	line := func(key string, pairs ...any) { b.WriteString(a.t(key, pairs...) + "\n") }
	line("cli.setup.recovery")
	fmt.Fprintf(&b, "\n  %s\n\n", done.recovery)
	line("cli.setup.account.done", "number", done.number, "name", s.account.Name)
	for _, d := range done.domains {
		line("cli.domain.added", "domain", d, "number", done.number)
	}
	line("cli.setup.admin.done", "email", done.admin.User.DisplayAddress, "url", conf.PublicURL+"/admin")
	if done.admin.TemporaryPassword != "" {
		line("cli.user.temporary", "date", a.p.Time(done.admin.User.TemporaryUntil.In(time.UTC)))
		fmt.Fprintf(&b, "\n  %s\n", done.admin.TemporaryPassword)
	}
	b.WriteByte('\n')
	line("cli.setup.next")
	fmt.Fprintf(&b, "  pli doctor --config %s\n  pli serve --config %s\n", s.config, s.config)
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}
