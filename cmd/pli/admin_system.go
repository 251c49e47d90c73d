package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/server"
	"github.com/pli-mail/pli/internal/store"
)

func (a *app) adminSystem(f *adminFlags) *cobra.Command {
	status := a.command("status", "admin.system.status", "  pli admin system status --json", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		conf, err := o.loadConfig(*f.config)
		if err != nil {
			return err
		}
		s, err := o.Status(ctx, server.Config{Config: conf, Catalogue: o.catalogue, Version: version}, o.actor)
		if err != nil {
			return err
		}
		name, err := f.format.choose(o.stdout)
		if err != nil {
			return err
		}
		if name == "json" || name == "jsonl" {
			return encode(o.stdout, statusObject(s))
		}
		t := &table{columns: []column{{"name", "cli.col.name"}, {"value", "cli.col.value"}}}
		t.add("version", s.Version)
		t.add("database", s.Engine+", "+o.p.Bytes(s.Size))
		t.add("schema", s.Schema)
		t.add("disk_free", o.p.Bytes(s.DiskFree))
		t.add("letters_waiting", s.Waiting)
		t.add("letters_failed", s.Failed)
		t.add("oldest_letter", s.Oldest)
		t.add("last_backup", s.Backup.EndedAt)
		for _, n := range s.Nodes {
			t.add("node", n.Host+", "+n.Version+", "+n.SeenAt.Format(time.RFC3339))
		}
		for _, l := range s.Leases {
			t.add("lease", l.Name+", "+l.Holder)
		}
		for _, c := range s.Certs {
			t.add("certificate", c.File+", "+c.Until.Format(time.RFC3339)+c.Wrong)
		}
		for _, k := range s.Keys {
			t.add("dkim", k.Selector+"._domainkey."+k.Domain)
		}
		t.add("jobs", len(s.Jobs))
		for _, x := range s.Streams {
			t.add("receiver", x.Name+" "+x.LastError)
		}
		return o.write(t, f.format, false)
	}))
	return a.group("system", "admin.system", status)
}

// statusObject is the state of the service for programs.
func statusObject(s account.System) object {
	at := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC().Format(time.RFC3339)
	}
	nodes, leases, backups, certs, keys, jobs, streams := []object{}, []object{}, []object{}, []object{}, []object{}, []object{}, []object{}
	for _, n := range s.Nodes {
		nodes = append(nodes, object{{"host", n.Host}, {"version", n.Version}, {"started_at", at(n.StartedAt)}, {"seen_at", at(n.SeenAt)}, {"clock_skew_ms", n.Skew.Milliseconds()}, {"disk_free_bytes", n.DiskFree}})
	}
	for _, l := range s.Leases {
		leases = append(leases, object{{"name", l.Name}, {"holder", l.Holder}, {"until", at(l.Until)}})
	}
	for _, b := range s.Backups {
		backups = append(backups, object{{"id", b.ID}, {"begun_at", at(b.BegunAt)}, {"ended_at", at(b.EndedAt)}, {"host", b.Host}, {"place", b.Place}, {"bytes", b.Size}, {"written_bytes", b.Added}, {"failed", b.Reason}})
	}
	for _, c := range s.Certs {
		certs = append(certs, object{{"door", c.Door}, {"file", c.File}, {"until", at(c.Until)}, {"problem", c.Wrong}})
	}
	for _, k := range s.Keys {
		keys = append(keys, object{{"domain", k.Domain}, {"selector", k.Selector}, {"since", at(k.Since)}})
	}
	for _, j := range s.Jobs {
		jobs = append(jobs, object{{"id", j.ID}, {"account", j.AccountID}, {"kind", j.Kind}, {"state", j.State}, {"done", j.Done}, {"total", j.Total}})
	}
	for _, x := range s.Streams {
		streams = append(streams, object{{"name", x.Name}, {"waiting", x.Waiting}, {"failing_since", at(x.FailingSince)}, {"error", x.LastError}})
	}
	return object{{"version", s.Version}, {"engine", s.Engine}, {"schema", s.Schema}, {"schema_known", s.Known}, {"database_bytes", s.Size}, {"disk_free_bytes", s.DiskFree},
		{"outbox", object{{"waiting", s.Waiting}, {"failed", s.Failed}, {"oldest_at", at(s.Oldest)}}}, {"last_backup_at", at(s.Backup.EndedAt)}, {"backups", backups},
		{"nodes", nodes}, {"leases", leases}, {"certificates", certs}, {"dkim_keys", keys}, {"jobs", jobs}, {"receivers", streams}}
}

// adminSupport looks up what happened to somebody's mail.
func (a *app) adminSupport(f *adminFlags) *cobra.Command {
	var reason string
	look := a.command("look WHAT --reason TEXT", "admin.support.look", "  pli admin support look 7KQ-42F --reason 'ticket 4711: the code does not come'\n  pli admin support look jean@example.net --reason 'ticket 4712'", a.exactly("WHAT"),
		a.act(f, func(ctx context.Context, o *operator, args []string) error {
			found, err := o.Accounts.LookUp(ctx, o.actor, args[0], reason)
			if err != nil {
				return err
			}
			name, err := f.format.choose(o.stdout)
			if err != nil {
				return err
			}
			if name == "json" || name == "jsonl" {
				return encode(o.stdout, supportObject(o, found))
			}
			t := &table{columns: []column{{"at", "cli.col.at"}, {"account", "cli.col.account"}, {"what", "cli.col.what"}, {"detail", "cli.col.detail"}}}
			if p := found.Person; p != nil {
				t.add(p.SignedInAt, p.AccountID, p.Address, p.State)
			}
			for _, m := range found.Messages {
				for _, r := range m.Recipients {
					t.add(m.SealedAt, m.AccountID, r.Ref+" "+m.Sender+" → "+r.Address, r.Delivery+" "+r.Said)
				}
				for _, l := range m.Letters {
					t.add(l.CreatedAt, m.AccountID, l.Kind+" → "+l.Recipient, l.State+" "+l.Said)
				}
				for _, e := range m.Events {
					t.add(e.At, m.AccountID, o.sentence(e), e.Origin)
				}
			}
			for _, x := range found.Transits {
				for _, w := range x.Outcomes {
					t.add(x.At, x.AccountID, x.Trace+" "+x.Sender+" → "+w.Recipient, w.Action+" "+w.Result+" "+w.Said)
				}
			}
			for _, l := range found.Letters {
				t.add(l.CreatedAt, 0, l.Kind+" → "+l.Recipient, l.State+" "+l.Said)
			}
			for _, e := range found.Events {
				t.add(e.At, e.AccountID, o.sentence(e), e.Origin)
			}
			if len(t.rows) == 0 {
				f := failed("cli.nothing", "name", args[0])
				f.code = exitNotFound
				return f
			}
			return o.write(t, f.format, false)
		}))
	look.Flags().StringVar(&reason, "reason", "", a.t("cli.support.reason"))
	return a.group("support", "admin.support", look)
}

func supportObject(o *operator, v account.Support) object {
	at := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC().Format(time.RFC3339)
	}
	letters := func(list []account.SupportLetter) []object {
		out := []object{}
		for _, l := range list {
			out = append(out, object{{"id", l.ID}, {"kind", l.Kind}, {"recipient", l.Recipient}, {"state", l.State}, {"attempts", l.Attempts}, {"created_at", at(l.CreatedAt)}, {"next_at", at(l.NextAt)}, {"said", l.Said}})
		}
		return out
	}
	messages, transits := []object{}, []object{}
	for _, m := range v.Messages {
		to := []object{}
		for _, r := range m.Recipients {
			to = append(to, object{{"reference", r.Ref}, {"address", r.Address}, {"delivery", r.Delivery}, {"delivered_at", at(r.DeliveredAt)}, {"said", r.Said}, {"openings", r.Openings},
				{"first_opened_at", at(r.FirstOpenedAt)}, {"last_opened_at", at(r.LastOpenedAt)}, {"locked_at", at(r.LockedAt)}, {"withdrawn_at", at(r.RecalledAt)}})
		}
		messages = append(messages, object{{"id", m.ID}, {"account", m.AccountID}, {"sender", m.Sender}, {"sealed_at", at(m.SealedAt)}, {"expires_at", at(m.ExpiresAt)}, {"locked_at", at(m.LockedAt)},
			{"withdrawn_at", at(m.RecalledAt)}, {"destroyed_at", at(m.DestroyedAt)}, {"bytes", m.Size}, {"kept", m.Kept}, {"carrier", m.Carrier}, {"trace", m.Trace}, {"recipients", to}, {"letters", letters(m.Letters)}, {"events", eventObjects(o, m.Events)}})
	}
	for _, x := range v.Transits {
		outcomes := []object{}
		for _, w := range x.Outcomes {
			outcomes = append(outcomes, object{{"recipient", w.Recipient}, {"action", w.Action}, {"source", w.Source}, {"rule", w.Rule}, {"result", w.Result}, {"said", w.Said}, {"envelope", w.Envelope}})
		}
		transits = append(transits, object{{"trace", x.Trace}, {"account", x.AccountID}, {"upstream", x.Upstream}, {"message_id", x.MessageID}, {"sender", x.Sender}, {"bytes", x.Size}, {"at", at(x.At)}, {"outcomes", outcomes}})
	}
	var person any
	if p := v.Person; p != nil {
		person = object{{"address", p.Address}, {"account", p.AccountID}, {"state", p.State}, {"temporary_password", p.Temporary}, {"second_factor", p.SecondFactor}, {"created_at", at(p.CreatedAt)}, {"signed_in_at", at(p.SignedInAt)}}
	}
	return object{{"person", person}, {"messages", messages}, {"transits", transits}, {"letters", letters(v.Letters)}, {"events", eventObjects(o, v.Events)}}
}

func eventObjects(o *operator, rows []store.AuditRow) []object {
	out := []object{}
	for _, r := range rows {
		out = append(out, object{{"at", r.At.UTC().Format(time.RFC3339)}, {"account", r.AccountID}, {"sentence", o.sentence(r)}, {"actor", r.Actor}, {"action", r.Action}, {"outcome", r.Outcome}, {"origin", r.Origin}})
	}
	return out
}

// adminJob lists jobs and stops one.
func (a *app) adminJob(f *adminFlags) *cobra.Command {
	var limit int
	list := a.command("list", "admin.job.list", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		t := &table{columns: []column{{"id", "cli.col.id"}, {"account", "cli.col.account"}, {"kind", "cli.col.kind"}, {"state", "cli.col.state"}, {"done", "cli.col.done"}, {"failed", "cli.col.failed"}, {"total", "cli.col.total"}, {"by", "cli.col.who"}, {"created_at", "cli.col.created"}}}
		if err := pages(limit, func(after string, n int) (int, string, error) {
			p, err := o.Accounts.Jobs(ctx, o.actor, after, n)
			for _, j := range p.Jobs {
				t.add(j.ID, j.AccountID, j.Kind, j.State, j.Done, j.Failed, j.Total, j.Actor, j.CreatedAt)
			}
			return len(p.Jobs), p.Next, err
		}); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	list.Flags().IntVar(&limit, "limit", 50, a.t("cli.flag.limit"))
	cancel := a.command("cancel ID", "admin.job.cancel", "", a.exactly("ID"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		err := o.Accounts.CancelJob(ctx, o.actor, args[0])
		if err == nil {
			o.say("job.cancelled")
		}
		return err
	}))
	return a.group("job", "admin.job", list, cancel)
}
