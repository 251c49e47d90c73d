package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
)

var messageColumns = []column{{"id", "cli.col.id"}, {"sealed_at", "cli.col.sealed"}, {"sender", "cli.col.sender"}, {"recipient", "cli.col.to"}, {"ref", "cli.col.ref"},
	{"state", "cli.col.state"}, {"delivery", "cli.col.delivery"}, {"openings", "cli.col.openings"}, {"first_opened_at", "cli.col.firstopened"}, {"expires_at", "cli.col.expires"}}

// messageFlags are what a search for messages of an account is narrowed by.
type messageFlags struct{ filter, query, sender, recipient, from, until string }

func (m *messageFlags) flags(a *app, c *cobra.Command) {
	c.Flags().StringVar(&m.filter, "filter", "", a.t("cli.message.filter"))
	c.Flags().StringVar(&m.query, "query", "", a.t("cli.message.query"))
	c.Flags().StringVar(&m.sender, "sender", "", a.t("cli.message.sender"))
	c.Flags().StringVar(&m.recipient, "recipient", "", a.t("cli.message.recipient"))
	c.Flags().StringVar(&m.from, "from", "", a.t("cli.message.from"))
	c.Flags().StringVar(&m.until, "until", "", a.t("cli.message.until"))
}

// search is what they say: until the end of a day that is named.
func (m *messageFlags) search(ctx context.Context, o *administrator, n int64) (client.AccountMessagesIn, error) {
	in := client.AccountMessagesIn{Account: n, Filter: m.filter, Query: m.query, Sender: m.sender, Recipient: m.recipient}
	if m.from+m.until == "" {
		return in, nil
	}
	zone, err := o.zone(ctx, n)
	if err != nil {
		return in, err
	}
	if in.From.Time, err = day(m.from, 0, zone); err != nil {
		return in, err
	}
	in.Until.Time, err = day(m.until, 1, zone)
	return in, err
}

func (a *app) adminMessage(f *adminFlags) *cobra.Command {
	var find messageFlags
	var limit int
	list := a.command("list NUMBER", "admin.message.list", "  pli admin message list 100042 --recipient jean@example.net --filter notopened", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := number(args[0])
		if err != nil {
			return err
		}
		in, err := find.search(ctx, o, n)
		if err != nil {
			return err
		}
		t := &table{columns: messageColumns}
		if err := every(ctx, limit, func(after string, size int) (client.Page[client.AccountMessage], error) {
			in.After, in.Limit = after, size
			return do(ctx, o, client.ListAccountMessages, in)
		}, func(m client.AccountMessage) { addMessage(t, m) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	find.flags(a, list)
	list.Flags().IntVar(&limit, "limit", 50, a.t("cli.flag.limit"))
	show := a.command("show NUMBER MESSAGE", "admin.message.show", "", a.exactly("NUMBER", "MESSAGE"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		m, err := o.message(ctx, args)
		if err != nil {
			return err
		}
		t := &table{columns: messageColumns}
		addMessage(t, m)
		return o.write(t, f.format, false)
	}))
	subs := []*cobra.Command{list, show}
	for _, do := range []string{"lock", "unlock", "expire", "recall", "end", "resend"} {
		subs = append(subs, a.messageAct(f, do))
	}
	return a.group("message", "admin.message", append(subs, a.messageAll(f))...)
}

// addMessage adds a row for each recipient.
func addMessage(t *table, m client.AccountMessage) {
	for _, r := range m.Recipients {
		t.add(m.ID, m.SealedAt.Time, m.Sender, r.Email, r.Ref, r.State, r.Delivery, r.Openings, r.FirstOpen.Time, m.ExpiresAt.Time)
	}
}

// message finds one by its id, or by a reference that people see.
func (o *administrator) message(ctx context.Context, args []string) (client.AccountMessage, error) {
	n, err := number(args[0])
	if err != nil {
		return client.AccountMessage{}, err
	}
	if len(args[1]) < 16 { // no id
		p, err := do(ctx, o, client.ListAccountMessages, client.AccountMessagesIn{Account: n, Query: args[1], Limit: 1})
		if err != nil || len(p.Items) > 0 {
			return append(p.Items, client.AccountMessage{})[0], err
		}
	}
	return do(ctx, o, client.GetAccountMessage, client.AccountMessagePath{Account: n, Message: args[1]})
}

// messageAct makes the command that does one thing to a message, or to one recipient's.
func (a *app) messageAct(f *adminFlags, what string) *cobra.Command {
	var recipient, reason, until, confirm string
	c := a.command(what+" NUMBER MESSAGE", "admin.message."+what, "  pli admin message "+what+" 100042 7KQ42F", a.exactly("NUMBER", "MESSAGE"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		m, err := o.message(ctx, args)
		if err != nil {
			return err
		}
		n, err := number(args[0])
		if err != nil {
			return err
		}
		in := client.MessageAct{Account: n, Message: m.ID, Do: what, Reason: reason}
		for _, r := range m.Recipients {
			if recipient != "" && strings.EqualFold(r.Email, recipient) || recipient == "" && what == "resend" && len(m.Recipients) == 1 {
				in.Slot = r.Slot
			}
		}
		if in.Slot == "" && (recipient != "" || what == "resend") {
			missing := failed("cli.message.norecipient", "email", recipient)
			missing.code = exitNotFound
			return missing
		}
		if until != "" {
			zone, err := o.zone(ctx, n)
			if err != nil {
				return err
			}
			if in.Until.Time, err = day(until, 1, zone); err != nil {
				return err
			}
		}
		if what == "expire" || what == "recall" { // the keys are destroyed
			if err := o.confirm(confirm, n, o.t("cli.message.sure", "id", args[1])); err != nil {
				return err
			}
		}
		done, err := do(ctx, o, client.ActOnAccountMessage, in)
		if err != nil {
			return err
		}
		if !done.Changed {
			o.say("cli.message.same")
			return nil
		}
		o.say("cli.message.done", "n", done.Opened)
		return nil
	}))
	c.Flags().StringVar(&recipient, "recipient", "", a.t("cli.message.onlyfor"))
	switch what {
	case "lock":
		c.Flags().StringVar(&reason, "reason", "", a.t("cli.message.reason"))
	case "end":
		c.Flags().StringVar(&until, "until", "", a.t("cli.message.newend"))
	case "expire", "recall":
		c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	}
	return c
}

// messageAll does one thing to all messages that a search finds.
func (a *app) messageAll(f *adminFlags) *cobra.Command {
	var find messageFlags
	var confirm, after string
	c := a.command("all NUMBER lock|unlock|expire", "admin.message.all", "  pli admin message all 100042 lock --recipient jean@example.net --from 2026-11-23", a.exactly("NUMBER", "lock|unlock|expire"),
		a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			s, err := find.search(ctx, o, n)
			if err != nil {
				return err
			}
			in := client.MessagesAct{Account: n, Do: args[1], Filter: s.Filter, Query: s.Query, Sender: s.Sender, Recipient: s.Recipient, From: s.From, Until: s.Until, After: after}
			if args[1] != "lock" && args[1] != "unlock" && args[1] != "expire" {
				return usage("cli.usage.choice", "value", args[1], "choices", "lock, unlock, expire")
			}
			question := "cli.message.sureall"
			if s == (client.AccountMessagesIn{Account: n}) {
				question, in.All = "cli.message.sureevery", true
			}
			confirmed := o.confirmed
			if args[1] == "expire" {
				confirmed = o.confirm
			}
			if err := confirmed(confirm, n, o.t(question, "act", args[1])); err != nil {
				return err
			}
			t := &table{columns: []column{{"changed", "cli.col.changed"}, {"same", "cli.col.same"}, {"refused", "cli.col.refused"}, {"opened", "cli.col.opened"}}}
			var all client.MessagesActed
			broken := false
			for {
				done, err := do(ctx, o, client.ActOnAccountMessages, in)
				if err != nil && in.After == after {
					return err
				}
				all.Changed, all.Same, all.Refused, all.Opened = all.Changed+done.Changed, all.Same+done.Same, all.Refused+done.Refused, all.Opened+done.Opened
				if err == nil {
					in.After = done.Next
				}
				if broken = err != nil || done.Broken; broken || done.Next == "" {
					break
				}
			}
			t.add(all.Changed, all.Same, all.Refused, all.Opened)
			if err := o.write(t, f.format, true); err != nil || !broken {
				return err
			}
			return failed("cli.message.broken", "after", in.After)
		}))
	c.ValidArgs = []string{"lock", "unlock", "expire"}
	find.flags(a, c)
	c.Flags().StringVar(&after, "after", "", a.t("cli.message.after"))
	c.Flags().StringVar(&confirm, "confirm", "", a.t("cli.flag.confirm"))
	return c
}
