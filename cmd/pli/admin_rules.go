package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
)

func (a *app) adminRules(f *adminFlags) *cobra.Command {
	var version int64
	show := a.command("show NUMBER [--version N]", "admin.rules.show", "  pli admin rules show 100042 > rules.toml", a.exactly("NUMBER"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
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
				o.say("cli.rules.version", "version", set.Version, "author", set.Author, "date", set.CreatedAt.Time)
			}
			_, err = io.WriteString(o.stdout, set.Text)
			return err
		}))
	show.Flags().Int64Var(&version, "version", 0, a.t("cli.flag.rulesversion"))
	ifVersion := int64(-1)
	set := a.command("set NUMBER FILE [--if-version N]", "admin.rules.set", "  pli admin rules set 100042 rules.toml --if-version 3", a.exactly("NUMBER", "FILE"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
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
	history := a.command("history NUMBER", "admin.rules.history", "", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"version", "cli.col.version"}, {"author", "cli.col.author"}, {"created_at", "cli.col.created"}}}
		if err := every(ctx, 0, func(after string, size int) (client.Page[client.RuleVersion], error) {
			return do(ctx, o, client.ListRulesVersions, client.ListIn{Account: n, After: after, Limit: size})
		}, func(v client.RuleVersion) { t.add(v.Version, v.Author, v.CreatedAt.Time) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	restore := a.command("restore NUMBER VERSION", "admin.rules.restore", "  pli admin rules restore 100042 3", a.exactly("NUMBER", "VERSION"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			v, err := versionOf(args[1])
			if err != nil {
				return err
			}
			return o.restoreRules(ctx, n, v, "")
		}))
	undoIf := int64(-1)
	undo := a.command("undo NUMBER [--if-version N]", "admin.rules.undo", "  pli admin rules undo 100042 --if-version 4", a.exactly("NUMBER"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			now, err := o.rules(ctx, n, 0)
			if err != nil {
				return err
			}
			if now.Version == 0 {
				f := failed("cli.rules.nothingtoundo", "number", n)
				f.code = exitNotFound
				return f
			}
			if err := still(now, undoIf); err != nil {
				return err
			}
			return o.restoreRules(ctx, n, now.Version-1, now.ETag) // undoes what was looked at
		}))
	undo.Flags().Int64Var(&undoIf, "if-version", -1, a.t("cli.flag.ifversion"))
	diff := a.command("diff NUMBER VERSION [VERSION]", "admin.rules.diff", "  pli admin rules diff 100042 3 4", a.exactly("NUMBER", "VERSION", "[VERSION]"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			return o.diffRules(ctx, args, f.format)
		}))
	days, most := 1, 50
	simulate := a.command("simulate NUMBER FILE [--days N] [--limit N]", "admin.rules.simulate", "  pli admin rules simulate 100042 rules.toml --days 7", a.exactly("NUMBER", "FILE"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			text, err := o.readText(args[1])
			if err != nil {
				return err
			}
			return o.simulateRules(ctx, n, text, days, most, f.format)
		}))
	simulate.Flags().IntVar(&days, "days", 1, a.t("cli.flag.simdays"))
	simulate.Flags().IntVar(&most, "limit", 50, a.t("cli.flag.simlist"))
	check := a.command("check FILE", "admin.rules.check", "  pli admin rules check rules.toml", a.exactly("FILE"), func(_ *cobra.Command, args []string) error {
		text, err := a.readText(args[0])
		if err != nil {
			return err
		}
		if err := policy.Check([]byte(text)); err != nil {
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
	return a.group("rules", "admin.rules", show, set, check, history, restore, undo, diff, simulate)
}

// rules are a version of an account's rules; version 0 is the one in force, or the default.
func (o *administrator) rules(ctx context.Context, n, version int64) (client.Rules, error) {
	if version == 0 {
		return do(ctx, o, client.GetRules, client.Account{Account: n})
	}
	return o.rulesVersion(ctx, n, version)
}

// rulesVersion is a version of an account's rules, 0 being the default.
func (o *administrator) rulesVersion(ctx context.Context, n, version int64) (client.Rules, error) {
	r, err := do(ctx, o, client.GetRulesVersion, client.RulesVersionPath{Account: n, Version: version})
	return r, o.noRules(ctx, err, n, version)
}

// noRules says which of account and version is not there.
func (o *administrator) noRules(ctx context.Context, err error, n, version int64) error {
	return o.noneOf(ctx, err, n, failed("cli.norules", "number", n, "version", version))
}

// noneOf is what says that something of an account is not there, where the account is.
func (o *administrator) noneOf(ctx context.Context, err error, n int64, what *failure) error {
	if !missing(err) {
		return err
	}
	if _, known := do(ctx, o, client.GetAccount, client.Account{Account: n}); known != nil {
		return err // nothingThere says so
	}
	what.code = exitNotFound
	return what
}

// still refuses where another version is in force than the one that is meant; below 0 is any.
func still(now client.Rules, version int64) error {
	if version < 0 || now.Version == version {
		return nil
	}
	f := failed("people.rulesmoved", "version", now.Version)
	f.code = exitConflict
	return f
}

func (o *administrator) setRules(ctx context.Context, n int64, text string, ifVersion int64) error {
	in := client.RulesIn{Account: n, Text: text}
	if ifVersion >= 0 {
		now, err := o.rules(ctx, n, 0)
		if err == nil {
			err = still(now, ifVersion)
		}
		if err != nil {
			return err
		}
		in.IfMatch = now.ETag
	}
	set, err := do(ctx, o, client.SetRules, in)
	if err != nil {
		return err
	}
	o.say("cli.rules.set", "version", set.Version, "number", n)
	return nil
}

// versionOf reads a version of the rules; 0 is the default.
func versionOf(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		return 0, usage("cli.rules.badversion", "value", s)
	}
	return v, nil
}

func (o *administrator) restoreRules(ctx context.Context, n, version int64, ifMatch string) error {
	set, err := do(ctx, o, client.RestoreRules, client.RulesRestore{Account: n, Version: version, IfMatch: ifMatch})
	if err != nil {
		return o.noRules(ctx, err, n, version)
	}
	o.say("cli.rules.set", "version", set.Version, "number", n)
	return nil
}

// diffRules compares two versions, the second being the one in force unless it is named.
func (o *administrator) diffRules(ctx context.Context, args []string, f format) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	first, err := versionOf(args[1])
	if err != nil {
		return err
	}
	a, err := o.rulesVersion(ctx, n, first)
	if err != nil {
		return err
	}
	var b client.Rules
	if len(args) > 2 {
		var second int64
		if second, err = versionOf(args[2]); err == nil {
			b, err = o.rulesVersion(ctx, n, second)
		}
	} else {
		b, err = o.rules(ctx, n, 0)
	}
	if err != nil {
		return err
	}
	lines := policy.Diff(a.Text, b.Text)
	if f.name == "" && !f.json {
		_, err = io.WriteString(o.stdout, policy.Unified(lines))
		return err
	}
	t := &table{columns: []column{{"old", "cli.col.diffold"}, {"new", "cli.col.diffnew"}, {"sign", "cli.col.sign"}, {"line", "cli.col.line"}}}
	for _, l := range lines {
		t.add(l.Old, l.New, l.Sign(), l.Text)
	}
	return o.write(t, f, false)
}

// simulateRules says what rules would have done with the messages of some days. It
// is the host's: by the API it is for people who have signed in, not for tokens,
// and the common road on the host goes no further than these.
func (o *operator) simulateRules(ctx context.Context, n int64, text string, days, most int, f format) error {
	if days < 1 || days > 365 || most < 0 || most > 500 {
		return usage("cli.rules.badrange")
	}
	since := time.Now().AddDate(0, 0, -days)
	s, err := o.Accounts.SimulateRules(ctx, o.actor, n, text, since, "", max(1, most))
	if fault.Is(err, fault.NotFound) {
		return o.noAccount(n)
	}
	if err != nil {
		return o.badRules(err)
	}
	o.say("cli.rules.simulated", "messages", s.Messages, "date", since, "changes", s.Counts[policy.Changes], "stays", s.Counts[policy.Stays], "untold", s.Counts[policy.Untold])
	if s.Partly {
		o.say("cli.rules.simpartly")
	}
	t := &table{columns: []column{{"trace", "cli.col.trace"}, {"at", "cli.col.created"}, {"sender", "cli.col.mailfrom"}, {"recipient", "cli.col.to"},
		{"was", "cli.col.was"}, {"would", "cli.col.would"}, {"number", "cli.col.rule"}}}
	for i, x := range s.Changed {
		if i == most {
			break
		}
		var would []string
		for _, a := range x.After {
			would = append(would, string(a))
		}
		t.add(x.Transit, x.At, x.Sender, x.Recipient, string(x.Before), strings.Join(would, "|"), x.Number)
	}
	return o.write(t, f, false)
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
