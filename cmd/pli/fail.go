package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

// The exit statuses (docs/reference/commands).
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitNotAllowed  = 4
	exitConflict    = 5
	exitProblems    = 6
	exitClosed      = 7
	exitLater       = 75
	exitInterrupted = 130
)

// failure is what a command could not do: the status it ends with and the
// sentence it says. Hints are lines below it, ready to be shown.
type failure struct {
	code  int
	key   string
	args  map[string]any
	hints []string
	cause error
	said  string // key of the server's problem, "" where it was not the server
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.key + ": " + f.cause.Error()
	}
	return f.key
}

func (f *failure) Unwrap() error { return f.cause }

// failed is a failure with status 1.
func failed(key string, pairs ...any) *failure {
	f := &failure{code: exitFailed, key: key, args: map[string]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return f
}

// usage is a failure with status 2.
func usage(key string, pairs ...any) *failure {
	f := failed(key, pairs...)
	f.code = exitUsage
	return f
}

// quiet ends the program with a status and says no more.
type quiet int

func (q quiet) Error() string { return fmt.Sprintf("exit status %d", int(q)) }

// hinted adds lines that say what can be done about err.
type hinted struct {
	err   error
	hints []string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// exitCode maps what a fault means to an exit status, once for all commands.
func exitCode(k fault.Kind) int {
	switch k {
	case fault.Invalid, fault.TooLarge:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Unauthenticated, fault.Denied:
		return exitNotAllowed
	case fault.Conflict, fault.Stale:
		return exitConflict
	case fault.Closed, fault.Gone:
		return exitClosed
	case fault.TooMany, fault.Unavailable:
		return exitLater
	}
	return exitFailed
}

// fail says err on standard error and returns the exit status.
func (a *app) fail(err error) int {
	if err == nil {
		return 0
	}
	var q quiet
	if errors.As(err, &q) {
		return int(q)
	}
	code, sentence, hints := a.explain(err)
	fmt.Fprintf(a.stderr, "%s %s\n", a.t("cli.error"), printable(sentence))
	for _, h := range hints {
		for line := range strings.SplitSeq(h, "\n") {
			fmt.Fprintf(a.stderr, "  %s\n", printable(line))
		}
	}
	return code
}

func (a *app) explain(err error) (code int, sentence string, hints []string) {
	var (
		own      *failure
		shown    *fault.Error
		problems *config.Problems
		more     *hinted
		older    *audit.RolledBack
		answered *client.Problem
	)
	if errors.As(err, &more) {
		defer func() { hints = append(hints, more.hints...) }()
	}
	switch {
	case errors.As(err, &own):
		hints = own.hints
		if own.cause != nil {
			hints = append([]string{own.cause.Error()}, hints...)
		}
		return own.code, a.p.Say(own.key, own.args), hints
	case errors.As(err, &problems):
		return exitFailed, a.t("cli.config.bad", "n", len(problems.List), "file", problems.File), problems.Say(a.p)
	case errors.As(err, &shown):
		code = exitCode(shown.Kind)
		if shown.Key == "seed.nonexistent" {
			code = exitNotFound // the input was good: what it names does not exist
		}
		for _, f := range shown.Fields {
			if f.Key != shown.Key {
				hints = append(hints, web.Say(a.p, f.Key, f.Args))
			}
		}
		if shown.Kind == fault.Internal && shown.Unwrap() != nil {
			return code, shown.Unwrap().Error(), hints
		}
		return code, web.Say(a.p, shown.Key, shown.Args), hints
	case errors.As(err, &answered):
		code = exitOf(answered)
		if answered.Key == "seed.nonexistent" {
			code = exitNotFound // the input was good: what it names does not exist
		}
		for _, f := range answered.Fields {
			if f.Key != answered.Key {
				hints = append(hints, f.Detail)
			}
		}
		if answered.Key == "second.again" { // in a terminal, one proves who one is by signing in
			hints = append(hints, a.t("cli.remote.again"))
		}
		return code, answered.Error(), hints
	case errors.As(err, &older):
		return exitProblems, a.t("cli.audit.rolledback", "file", older.Mark, "seen", older.Seen, "has", older.Has), []string{"pli admin audit accept"}
	case errors.Is(err, fs.ErrPermission):
		return exitNotAllowed, err.Error(), nil
	}
	return exitFailed, err.Error(), nil
}

// flagError says what is wrong with a flag in the reader's language.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		without *pflag.ValueRequiredError
		bad     *pflag.InvalidValueError
		f       *failure
	)
	switch {
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = "-" + unknown.GetSpecifiedName()
		}
		f = usage("cli.usage.unknownflag", "flag", name)
	case errors.As(err, &without):
		f = usage("cli.usage.flagvalue", "flag", without.GetSpecifiedName())
	case errors.As(err, &bad):
		f = usage("cli.usage.badvalue", "flag", bad.GetFlag().Name, "value", bad.GetValue())
	default:
		f = usage("cli.usage.bad", "reason", err.Error())
	}
	f.hints = []string{cmd.UseLine(), a.t("cli.usage.seehelp", "command", cmd.CommandPath())}
	return f
}

func (a *app) unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	f := usage("cli.usage.unknowncommand", "name", name)
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		f.hints = append(f.hints, a.t("cli.usage.didyoumean", "name", strings.Join(near, ", ")))
	}
	f.hints = append(f.hints, a.t("cli.usage.seehelp", "command", cmd.CommandPath()))
	return f
}
