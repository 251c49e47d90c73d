package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/policy"
)

// rulesCommand tries rules on a message. With --account they are those of an
// account, and its groups are known; with --rules nothing but two files is needed.
func (a *app) rulesCommand() *cobra.Command {
	var f adminFlags
	var file, from string
	var to []string
	var n int64
	test := a.command("test FILE.eml (--rules FILE | --account NUMBER [--config FILE]) --from ADDRESS --to ADDRESS…", "rules.test",
		"  pli rules test report.eml --rules rules.toml --from ana@example.org --to bob@insurer.example\n  pli rules test report.eml --account 100042 --from ana@example.org --to bob@insurer.example",
		a.exactly("FILE.eml"), func(cmd *cobra.Command, args []string) error {
			if _, err := f.format.choose(a.stdout); err != nil {
				return err
			}
			if (file == "") == (n == 0) {
				return usage("cli.rules.which")
			}
			t := &trial{app: a, format: f.format, message: args[0], from: from, to: to}
			if file != "" {
				text, err := a.readText(file)
				if err != nil {
					return err
				}
				r, err := policy.Parse([]byte(text))
				if err != nil {
					return a.badRules(err)
				}
				return t.run(r, func(mailaddr.Address) ([]string, error) { return nil, nil })
			}
			return a.act(&f, func(ctx context.Context, o *operator, _ []string) error {
				set, err := o.rules(ctx, n, 0)
				if err != nil {
					return err
				}
				r, err := policy.Parse([]byte(set.Body))
				if err != nil {
					return a.badRules(err)
				}
				r.Version = set.Version
				return t.run(r, func(x mailaddr.Address) ([]string, error) { return o.Accounts.GroupNames(ctx, n, x) })
			})(cmd, args)
		})
	test.Flags().StringVar(&file, "rules", "", a.t("cli.flag.rules"))
	test.Flags().Int64Var(&n, "account", 0, a.t("cli.flag.ofaccount"))
	test.Flags().StringVar(&from, "from", "", a.t("cli.flag.from"))
	test.Flags().StringSliceVar(&to, "to", nil, a.t("cli.flag.to"))
	f.config = a.configFlag(test)
	f.format.flags(a, test)
	return a.group("rules", "rules", test)
}

// trial is one message before rules, without anything being sent.
type trial struct {
	*app
	format  format
	message string
	from    string
	to      []string
}

func (t *trial) run(r *policy.Rules, groups func(mailaddr.Address) ([]string, error)) error {
	src, err := t.source(t.message)
	if err != nil {
		return err
	}
	defer src.Close()
	x := message.NewIndexer()
	in, err := src.Open()
	if err != nil {
		return err
	}
	size, err := io.Copy(x, in)
	in.Close()
	if err != nil {
		return err
	}
	manifest, header := x.Finish()
	facts := &policy.Facts{Subject: manifest.Subject, Header: header, Size: size, Parts: manifest.Parts, Groups: groups,
		Text: func(dst io.Writer, limit int64) error { return message.TextOf(dst, manifest, src.Open, limit) }}
	if t.from == "" || len(t.to) == 0 {
		return usage("cli.rules.who")
	}
	if facts.Sender, err = mailaddr.Parse(t.from); err != nil {
		return usage("cli.badaddress", "value", t.from)
	}
	c := r.Case(facts)
	out := &table{columns: []column{{"recipient", "cli.col.to"}, {"action", "cli.col.action"}, {"why", "cli.col.why"}, {"number", "cli.col.rule"}}}
	for _, s := range t.to {
		a, err := mailaddr.Parse(s)
		if err != nil {
			return usage("cli.badaddress", "value", s)
		}
		d, err := c.Decide(a)
		if err != nil {
			return err
		}
		out.add(a.String(), string(d.Action), policy.Outcome{Action: d.Action, Why: d.Why}.Say(t.p), d.Why.Number)
	}
	return t.write(out, t.format, false)
}
