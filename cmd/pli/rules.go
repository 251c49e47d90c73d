package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/mailaddr"
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
			t, err := a.trialOf(f.format, args[0], from, to)
			if err != nil {
				return err
			}
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
				adm, err := o.administrator()
				if err != nil {
					return err
				}
				set, err := adm.rules(ctx, n, 0)
				if missing(err) {
					return o.noAccount(n)
				}
				if err != nil {
					return err
				}
				r, err := policy.Parse([]byte(set.Text))
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
	from    mailaddr.Address // zero: the null sender
	to      []mailaddr.Address
}

// trialOf reads the addresses of the SMTP envelope.
func (a *app) trialOf(f format, message, from string, to []string) (*trial, error) {
	if from == "" || len(to) == 0 {
		return nil, usage("cli.rules.who")
	}
	t := &trial{app: a, format: f, message: message}
	if from != "<>" {
		to = append([]string{from}, to...)
	}
	for _, s := range to {
		x, err := mailaddr.Parse(s)
		if err != nil {
			return nil, usage("cli.badaddress", "value", s)
		}
		t.to = append(t.to, x)
	}
	if from != "<>" {
		t.from, t.to = t.to[0], t.to[1:]
	}
	return t, nil
}

func (t *trial) run(r *policy.Rules, groups func(mailaddr.Address) ([]string, error)) error {
	src, err := t.source(t.message)
	if err != nil {
		return err
	}
	defer src.Close()
	facts, err := policy.ReadFacts(t.from, src.Open, groups)
	if err != nil {
		return err
	}
	c := r.Case(facts)
	out := &table{columns: []column{{"recipient", "cli.col.to"}, {"action", "cli.col.action"}, {"why", "cli.col.why"}, {"number", "cli.col.rule"}}}
	for _, to := range t.to {
		d, err := c.Decide(to)
		if err != nil {
			return err
		}
		out.add(to.String(), string(d.Action), policy.Outcome{Action: d.Action, Why: d.Why}.Say(t.p), d.Why.Number)
	}
	return t.write(out, t.format, false)
}
