package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminDomain(f *adminFlags) *cobra.Command {
	list := a.command("list [NUMBER]", "admin.domain.list", "", a.exactly("[NUMBER]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		numbers, err := o.accountNumbers(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"domain", "cli.col.domain"}, {"account", "cli.col.account"}, {"created_at", "cli.col.created"}}}
		for _, n := range numbers {
			if n == 0 {
				continue // every domain is an account's
			}
			list, err := o.Accounts.Domains(ctx, o.actor, n)
			if fault.Is(err, fault.NotFound) {
				return o.noAccount(n)
			}
			if err != nil {
				return err
			}
			for _, d := range list {
				t.add(d.Name, d.AccountID, d.CreatedAt)
			}
		}
		return o.write(t, f.format, false)
	}))
	add := a.command("add NUMBER DOMAIN", "admin.domain.add", "  pli admin domain add 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return o.addDomain(ctx, n, args[1])
		}))
	remove := a.command("remove NUMBER DOMAIN", "admin.domain.remove", "  pli admin domain remove 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			err = o.Accounts.RemoveDomain(ctx, o.actor, n, args[1])
			if err != nil {
				return o.domainGone(ctx, err, n, args[1])
			}
			o.say("cli.domain.removed", "domain", args[1], "number", n)
			return nil
		}))
	verify := a.command("verify NUMBER DOMAIN", "admin.domain.verify", "  pli admin domain verify 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error { return o.verifyDomain(ctx, f, args) }))
	key := a.command("key NUMBER DOMAIN", "admin.domain.key", "", a.exactly("NUMBER", "DOMAIN"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			d, err := o.Accounts.MakeDKIMKey(ctx, o.actor, n, args[1])
			if err != nil {
				return o.domainGone(ctx, err, n, args[1])
			}
			return o.write(recordsOf(d), f.format, false)
		}))
	return a.group("domain", "admin.domain", list, add, verify, key, remove)
}

// verifyDomain claims a domain, unless the account has or claims it, looks at
// DNS, and prints the records that it should have. While one is missing the
// status is that of checks that found problems.
func (o *operator) verifyDomain(ctx context.Context, f *adminFlags, args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	if _, err := o.Accounts.ClaimDomain(ctx, o.actor, n, args[1]); err != nil && !fault.HasKey(err, "dom.already") {
		return o.domainGone(ctx, err, n, args[1])
	}
	d, err := o.Accounts.CheckDomain(ctx, o.actor, n, args[1])
	if err != nil {
		return o.domainGone(ctx, err, n, args[1])
	}
	if err := o.write(recordsOf(d), f.format, false); err != nil {
		return err
	}
	if d.Claimed {
		f := failed("dom.notyet", "domain", d.Name)
		f.code = exitProblems
		return f
	}
	return nil
}

// recordsOf are the records that a domain should have in DNS, and how they are.
func recordsOf(d account.DomainView) *table {
	t := &table{columns: []column{{"record", "cli.col.record"}, {"name", "dom.rec.name"}, {"value", "dom.rec.value"}, {"state", "cli.col.state"}}}
	add := func(what string, r account.DNSRecord, c store.DNSCheck) {
		if r.Name != "" {
			t.add(what, r.Name, r.Value, c.State)
		}
	}
	add("proof", d.Expects.Proof, d.Checks.Proof)
	if d.Claimed {
		return t
	}
	add("spf", d.Expects.SPF, d.Checks.SPF)
	for _, r := range d.Expects.DKIM {
		add("dkim", r, d.Checks.DKIM)
	}
	add("dmarc", d.Expects.DMARC, d.Checks.DMARC)
	return t
}

// domainGone says which of account and domain is not there.
func (o *operator) domainGone(ctx context.Context, err error, n int64, name string) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if _, known := o.Accounts.Account(ctx, o.actor, n); known != nil {
		return o.noAccount(n)
	}
	f := failed("cli.nodomain", "domain", name, "number", n)
	f.code = exitNotFound
	return f
}

func (o *operator) addDomain(ctx context.Context, n int64, name string) error {
	d, already, err := o.Accounts.AddDomain(ctx, o.actor, n, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return o.noAccount(n)
	case err != nil:
		return err
	case already:
		o.say("cli.domain.already", "domain", d.Name, "number", n)
	default:
		o.say("cli.domain.added", "domain", d.Name, "number", n)
	}
	return nil
}

// addDomains gives a new account its domains. If one cannot be had, the account
// is there without it.
func (o *operator) addDomains(ctx context.Context, n int64, names []string) error {
	for _, name := range names {
		if err := o.addDomain(ctx, n, name); err != nil {
			return &hinted{err, []string{fmt.Sprintf("pli admin domain add %d %s", n, name)}}
		}
	}
	return nil
}

// areDomains is asked before anything is made.
func areDomains(names []string) error {
	for _, name := range names {
		if _, err := mailaddr.ParseDomain(name); err != nil {
			return usage("people.domain", "domain", name)
		}
	}
	return nil
}
