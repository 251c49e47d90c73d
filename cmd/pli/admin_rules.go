package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminRules(f *adminFlags) *cobra.Command {
	var version int64
	show := a.command("show NUMBER [--version N]", "admin.rules.show", "  pli admin rules show 100042 > rules.toml", a.exactly("NUMBER"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			set, err := o.rules(ctx, n, version)
			if err != nil {
				return err
			}
			if set.Version == 0 {
				o.say("cli.rules.default", "number", n)
			} else {
				o.say("cli.rules.version", "version", set.Version, "author", set.Author, "date", set.CreatedAt)
			}
			_, err = io.WriteString(o.stdout, set.Body)
			return err
		}))
	show.Flags().Int64Var(&version, "version", 0, a.t("cli.flag.rulesversion"))
	ifVersion := int64(-1)
	set := a.command("set NUMBER FILE [--if-version N]", "admin.rules.set", "  pli admin rules set 100042 rules.toml --if-version 3", a.exactly("NUMBER", "FILE"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			text, err := o.readText(args[1])
			if err != nil {
				return err
			}
			return o.setRules(ctx, n, text, ifVersion)
		}))
	set.Flags().Int64Var(&ifVersion, "if-version", -1, a.t("cli.flag.ifversion"))
	history := a.command("history NUMBER", "admin.rules.history", "", a.exactly("NUMBER"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"version", "cli.col.version"}, {"author", "cli.col.author"}, {"created_at", "cli.col.created"}}}
		for below := int64(0); ; {
			list, err := o.Accounts.RulesHistory(ctx, o.actor, n, below, 100)
			if fault.Is(err, fault.NotFound) {
				return o.noAccount(n)
			}
			if err != nil {
				return err
			}
			for _, s := range list {
				t.add(s.Version, s.Author, s.CreatedAt)
				below = s.Version
			}
			if len(list) < 100 {
				return o.write(t, f.format, false)
			}
		}
	}))
	restore := a.command("restore NUMBER VERSION", "admin.rules.restore", "  pli admin rules restore 100042 3", a.exactly("NUMBER", "VERSION"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			v, err := number(args[1])
			if err != nil {
				return err
			}
			old, err := o.rules(ctx, n, v)
			if err != nil {
				return err
			}
			return o.setRules(ctx, n, old.Body, -1)
		}))
	check := a.command("check FILE", "admin.rules.check", "  pli admin rules check rules.toml", a.exactly("FILE"), func(_ *cobra.Command, args []string) error {
		text, err := a.readText(args[0])
		if err != nil {
			return err
		}
		if _, err := policy.Parse([]byte(text)); err != nil {
			err := a.badRules(err)
			var f *failure
			if errors.As(err, &f) {
				f.code = exitProblems
			}
			return err
		}
		if !f.quiet {
			a.tell("cli.rules.good", "file", args[0])
		}
		return nil
	})
	return a.group("rules", "admin.rules", show, set, check, history, restore)
}

func (o *operator) rules(ctx context.Context, n, version int64) (store.RuleSet, error) {
	set, err := o.Accounts.Rules(ctx, o.actor, n, version)
	if fault.Is(err, fault.NotFound) {
		if _, known := o.Accounts.Account(ctx, o.actor, n); known != nil {
			return set, o.noAccount(n)
		}
		f := failed("cli.norules", "number", n, "version", version)
		f.code = exitNotFound
		return set, f
	}
	return set, err
}

func (o *operator) setRules(ctx context.Context, n int64, text string, ifVersion int64) error {
	set, err := o.Accounts.SetRules(ctx, o.actor, n, text, ifVersion)
	if fault.Is(err, fault.NotFound) {
		return o.noAccount(n)
	}
	if err != nil {
		return o.badRules(err)
	}
	o.say("cli.rules.set", "version", set.Version, "number", n)
	return nil
}

// badRules says all that is wrong with a rule set.
func (a *app) badRules(err error) error {
	var bad *policy.Problems
	if !errors.As(err, &bad) {
		return err
	}
	f := usage("cli.rules.bad", "n", len(bad.List))
	f.hints = bad.Say(a.p)
	return f
}

// readText reads a small file, or standard input for "-".
func (a *app) readText(path string) (string, error) {
	in := a.stdin
	if path == "-" {
		if err := a.takeInput("-"); err != nil {
			return "", err
		}
	} else {
		file, err := os.Open(path)
		if err != nil {
			return "", notFound(err, path)
		}
		defer file.Close()
		in = file
	}
	b, err := io.ReadAll(io.LimitReader(in, 1<<20))
	return strings.TrimPrefix(string(b), "\ufeff"), err
}
