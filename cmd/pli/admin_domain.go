package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
)

func (a *app) adminDomain(f *adminFlags) *cobra.Command {
	list := a.command("list [NUMBER]", "admin.domain.list", "", a.exactly("[NUMBER]"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		numbers, err := o.accounts(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: []column{{"domain", "cli.col.domain"}, {"account", "cli.col.account"}, {"created_at", "cli.col.created"}, {"state", "cli.col.state"}}}
		for _, n := range numbers {
			if n == 0 {
				continue // every domain is an account's
			}
			p, err := do(ctx, o, client.ListDomains, client.Account{Account: n})
			if err != nil {
				return err
			}
			for _, d := range p.Items {
				t.add(d.Domain, n, d.CreatedAt.Time, d.State)
			}
		}
		return o.write(t, f.format, false)
	}))
	add := a.command("add NUMBER DOMAIN", "admin.domain.add", "  pli admin domain add 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			if o.host == nil { // from elsewhere it takes the record in DNS
				return o.verifyDomain(ctx, f, args)
			}
			n, err := number(args[0])
			if err != nil {
				return err
			}
			return o.host.addDomain(ctx, n, args[1])
		}))
	remove := a.command("remove NUMBER DOMAIN", "admin.domain.remove", "  pli admin domain remove 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			if _, err := do(ctx, o, client.RemoveDomain, client.DomainAct{Account: n, Domain: args[1]}); err != nil {
				return o.domainGone(ctx, err, n, args[1])
			}
			o.say("cli.domain.removed", "domain", args[1], "number", n)
			return nil
		}))
	verify := a.command("verify NUMBER DOMAIN", "admin.domain.verify", "  pli admin domain verify 100042 example.org", a.exactly("NUMBER", "DOMAIN"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error { return o.verifyDomain(ctx, f, args) }))
	key := a.command("key NUMBER DOMAIN", "admin.domain.key", "", a.exactly("NUMBER", "DOMAIN"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			d, err := do(ctx, o, client.MakeDKIMKey, client.DomainAct{Account: n, Domain: args[1]})
			if err != nil {
				return o.domainGone(ctx, err, n, args[1])
			}
			return o.write(recordsOf(d), f.format, false)
		}))
	removeKey := a.command("remove-key NUMBER DOMAIN SELECTOR", "admin.domain.removekey", "", a.exactly("NUMBER", "DOMAIN", "SELECTOR"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			_, err = do(ctx, o, client.RemoveDKIMKey, client.DKIMKeyPath{Account: n, Domain: args[1], Selector: args[2]})
			if err == nil {
				o.say("cli.domain.keyremoved", "selector", args[2], "domain", args[1])
			}
			return err
		}))
	return a.group("domain", "admin.domain", list, add, verify, key, removeKey, a.domainSenders(f), remove)
}

// domainSenders says who may send under a domain.
func (a *app) domainSenders(f *adminFlags) *cobra.Command {
	return a.command("senders NUMBER DOMAIN [GROUP]", "admin.domain.senders", "  pli admin domain senders 100042 example.org \"Press office\"", a.exactly("NUMBER", "DOMAIN", "[GROUP]"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			in := client.DomainChange{Account: n, Domain: args[1]}
			said := "cli.domain.anybody"
			if len(args) > 2 {
				_, g, err := o.group(ctx, args[0], args[2])
				if err != nil {
					return err
				}
				in.Senders, said = g.ID, "cli.domain.only"
			}
			if _, err := do(ctx, o, client.ChangeDomain, in); err != nil {
				return o.domainGone(ctx, err, n, args[1])
			}
			o.say(said, "domain", args[1], "group", strings.Join(args[2:], ""))
			return nil
		}))
}

// verifyDomain claims a domain, unless the account has or claims it, looks at
// DNS, and prints the records that it should have. While one is missing the
// status is that of checks that found problems.
func (o *administrator) verifyDomain(ctx context.Context, f *adminFlags, args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	if _, err := do(ctx, o, client.ClaimDomain, client.DomainIn{Account: n, Domain: args[1]}); err != nil && !refused(err, "dom.already") {
		return o.domainGone(ctx, err, n, args[1])
	}
	at := client.DomainPath{Account: n, Domain: args[1]}
	d, unasked := do(ctx, o, client.CheckDomain, at)
	if err := unasked; refused(err, "dom.nodns") { // the records are known all the same
		d, err = do(ctx, o, client.GetDomain, at)
		if err != nil {
			return err
		}
	} else if err != nil {
		return o.domainGone(ctx, err, n, args[1])
	}
	if err := o.write(recordsOf(d), f.format, false); err != nil || unasked != nil {
		return errors.Join(err, unasked)
	}
	if d.State == "waiting" {
		f := failed("dom.notyet", "domain", d.Domain)
		f.code = exitProblems
		return f
	}
	return nil
}

// recordsOf are the records that a domain should have in DNS, and how they are.
func recordsOf(d client.Domain) *table {
	t := &table{columns: []column{{"record", "cli.col.record"}, {"name", "dom.rec.name"}, {"value", "dom.rec.value"}, {"state", "cli.col.state"}}}
	for _, r := range d.Records {
		t.add(r.For, r.Name, r.Value, r.State)
	}
	return t
}

// domainGone says which of account and domain is not there.
func (o *administrator) domainGone(ctx context.Context, err error, n int64, name string) error {
	if !missing(err) {
		return err
	}
	if _, known := do(ctx, o, client.GetAccount, client.Account{Account: n}); missing(known) {
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

// areDomains is asked before anything is made.
func areDomains(names []string) error {
	for _, name := range names {
		if _, err := mailaddr.ParseDomain(name); err != nil {
			return usage("people.domain", "domain", name)
		}
	}
	return nil
}
