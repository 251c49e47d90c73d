package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pli-mail/pli/internal/i18n"
)

// app is one run of the program: where it reads and writes, and in which language it speaks.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	catalogue      *i18n.Catalogue
	p              i18n.Printer
	inputUsed      string // what reads standard input, so that nothing else does
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string, args []string) (*app, error) {
	c, err := i18n.Load()
	if err != nil {
		return nil, err
	}
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, catalogue: c,
		p: c.Printer(language(getenv, args), nil)}, nil
}

// language is that of --lang, else of the environment as POSIX orders it. It
// is needed before the flags are read, because the help is made of it.
func language(getenv func(string) string, args []string) string {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if v, ok := strings.CutPrefix(arg, "--lang="); ok {
			return v
		}
		if arg == "--lang" && i+1 < len(args) {
			return args[i+1]
		}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			if strings.HasPrefix(strings.ToLower(v), "fr") {
				return "fr"
			}
			return "en"
		}
	}
	return "en"
}

// run does what args say and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return a.fail(err)
}

// t says a catalogue text.
func (a *app) t(key string, pairs ...any) string { return a.p.T(key, pairs...) }

// tell writes a sentence for people on standard error.
func (a *app) tell(key string, pairs ...any) {
	io.WriteString(a.stderr, printable(a.t(key, pairs...))+"\n") // nobody to tell when that fails
}

// printable takes out what a terminal would obey: names and texts may come from
// a server that an envelope chose.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, s)
}

// isTerminal reports whether f is a terminal.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "pli",
		Short:         a.t("cli.pli.short"),
		Long:          a.t("cli.pli.long"),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return a.unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageTemplate(a.usageTemplate())
	root.SetHelpTemplate("{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}\n\n{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}")
	root.SetFlagErrorFunc(a.flagError)
	root.PersistentFlags().String("lang", "", a.t("cli.flag.lang"))
	root.PersistentFlags().BoolP("help", "h", false, a.t("cli.flag.help"))
	root.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true, RunE: func(cmd *cobra.Command, args []string) error {
		c, _, err := cmd.Root().Find(args)
		if err != nil || c == nil {
			return a.unknownCommand(cmd.Root(), strings.Join(args, " "))
		}
		return c.Help()
	}})
	root.AddCommand(
		a.sealCommand(), a.openCommand(), a.signinCommand(), a.signoutCommand(),
		a.demoCommand(), a.serveCommand(), a.setupCommand(), a.doctorCommand(), a.keyCommand(), a.backupCommand(), a.adminCommand(), a.rulesCommand(), a.explainCommand(), a.auditCommand(), a.configCommand(),
		a.versionCommand(), a.completionCommand(), a.manCommand(),
	)
	return root
}

// command makes a subcommand whose texts are cli.KEY.short and cli.KEY.long.
func (a *app) command(use, key, example string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: a.t("cli." + key + ".short"), Long: a.t("cli." + key + ".long"),
		Example: example, Args: args, RunE: run, DisableFlagsInUseLine: true,
	}
}

// group makes a command that only has subcommands.
func (a *app) group(name, key string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: a.t("cli." + key + ".short"), Long: a.t("cli." + key + ".long"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return a.unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(subs...)
	return c
}

// exactly wants the named arguments, no more and no fewer. A name that ends
// with …, in brackets or not, may be given more than once, one in brackets may be left out.
func (a *app) exactly(names ...string) cobra.PositionalArgs {
	most, least := len(names), 0
	for _, n := range names {
		if strings.HasSuffix(strings.TrimSuffix(n, "]"), "…") {
			most = -1
		}
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return &failure{code: exitUsage, key: "cli.usage.missing", args: map[string]any{"name": names[len(args)]}, hints: []string{cmd.UseLine()}}
		}
		if most >= 0 && len(args) > most {
			return &failure{code: exitUsage, key: "cli.usage.extra", args: map[string]any{"value": args[most]}, hints: []string{cmd.UseLine()}}
		}
		return nil
	}
}

func (a *app) usageTemplate() string {
	return a.t("cli.usage.usage") + `{{if .HasAvailableSubCommands}}
  {{.CommandPath}} ` + a.t("cli.usage.command") + `{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

` + a.t("cli.usage.examples") + `
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

` + a.t("cli.usage.commands") + `{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

` + a.t("cli.usage.flags") + `
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

` + a.t("cli.usage.global") + `
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`
}
