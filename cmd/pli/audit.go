package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/store"
)

var auditColumns = []column{{"id", "cli.col.id"}, {"at", "cli.col.at"}, {"sentence", "cli.col.what"}, {"actor", "cli.col.who"}, {"action", "cli.col.action"}, {"target", "cli.col.target"}, {"outcome", "cli.col.outcome"}, {"origin", "cli.col.origin"}, {"seq", "cli.col.place"}, {"account", "cli.col.account"}}

// tailEvery is how often tail looks for what is new.
const tailEvery = time.Second

// auditFlags are the filters that the commands of the log have in common.
type auditFlags struct {
	actor, action, target, outcome, ip, from, to string
	since                                        time.Duration
}

func (f *auditFlags) flags(a *app, c *cobra.Command) {
	c.Flags().StringVar(&f.actor, "actor", "", a.t("cli.audit.actor"))
	c.Flags().StringVar(&f.action, "action", "", a.t("cli.audit.action"))
	c.Flags().StringVar(&f.target, "target", "", a.t("cli.audit.target"))
	c.Flags().StringVar(&f.outcome, "outcome", "", a.t("cli.audit.outcome"))
	c.Flags().StringVar(&f.ip, "ip", "", a.t("cli.audit.ip"))
	c.Flags().StringVar(&f.from, "from", "", a.t("cli.audit.from"))
	c.Flags().StringVar(&f.to, "to", "", a.t("cli.audit.to"))
	c.Flags().DurationVar(&f.since, "since", 0, a.t("cli.audit.since"))
}

func (f *auditFlags) query(now time.Time) (q account.AuditQuery, err error) {
	q = account.AuditQuery{Actor: f.actor, Action: f.action, Target: f.target, Outcome: f.outcome, Origin: f.ip}
	if f.outcome != "" && f.outcome != store.Done && f.outcome != store.Refused {
		return q, usage("cli.usage.choice", "value", f.outcome, "choices", store.Done+", "+store.Refused)
	}
	if f.since != 0 && f.from != "" {
		return q, usage("cli.usage.notboth", "a", "--since", "b", "--from")
	}
	if q.From, err = day(f.from, 0, time.Local); err != nil {
		return q, err
	}
	if f.since > 0 {
		q.From = now.Add(-f.since)
	}
	q.To, err = day(f.to, 1, time.Local) // the day named is in it
	return q, err
}

// day reads a day of that zone, or a moment in RFC 3339. more days are added to a day.
func day(s string, more int, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, zone); err == nil {
		return t.AddDate(0, 0, more), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usage("cli.audit.badtime", "value", s)
	}
	return t, nil
}

func (a *app) adminAudit(f *adminFlags) *cobra.Command {
	accept := a.command("accept", "admin.audit.accept", "", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		seen, has, err := o.Audit.Accept(ctx, o.actor.String(), o.actor.Origin)
		if err != nil {
			return err
		}
		o.say("cli.audit.accepted", "seen", seen, "has", has)
		return nil
	}))
	return a.group("audit", "admin.audit", a.auditList(f), a.auditTail(f), a.auditShow(f), a.auditExport(f), a.auditExportAll(f), accept)
}

func (a *app) auditList(f *adminFlags) *cobra.Command {
	var limit int
	var filter auditFlags
	list := a.command("list [NUMBER]", "admin.audit.list", "  pli admin audit list --since 24h --outcome refused\n  pli admin audit list 100042 --actor ana@example.org", a.exactly("[NUMBER]"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		q, err := filter.query(time.Now())
		if err != nil {
			return err
		}
		t := &table{columns: auditColumns}
		if len(args) == 0 && o.host != nil {
			if err := o.host.siteAudit(ctx, t, q, limit); err != nil {
				return err
			}
			return o.write(t, f.format, false)
		}
		n, err := o.auditOf(ctx, args)
		if err != nil {
			return err
		}
		if err := every(ctx, limit, func(after string, size int) (client.Page[client.AuditEvent], error) {
			return do(ctx, o, client.ListAudit, client.AuditIn{Account: n, Actor: q.Actor, Action: q.Action, Target: q.Target, Outcome: q.Outcome, Origin: q.Origin,
				From: client.Time{Time: q.From}, To: client.Time{Time: q.To}, After: after, Limit: size})
		}, func(e client.AuditEvent) { t.add(eventRow(e)...) }); err != nil {
			return err
		}
		return o.write(t, f.format, false)
	}))
	list.Flags().IntVar(&limit, "limit", 50, a.t("cli.flag.limit"))
	filter.flags(a, list)
	return list
}

// siteAudit reads the log of all accounts, which only this host has.
func (o *operator) siteAudit(ctx context.Context, t *table, q account.AuditQuery, limit int) error {
	return pages(limit, func(after string, n int) (int, string, error) {
		q.Older = after
		log, err := o.Accounts.ReadSiteAudit(ctx, o.actor, q, n)
		for _, r := range log.Records {
			t.add(o.auditRow(r)...)
		}
		return len(log.Records), log.Older, err
	})
}

// auditOf is the account that was named, 0 being of none; else the caller's.
func (o *administrator) auditOf(ctx context.Context, args []string) (int64, error) {
	if len(args) > 0 {
		return orNone(args[0])
	}
	own, err := o.accounts(ctx, nil)
	if err != nil {
		return 0, err
	}
	if len(own) == 0 {
		return 0, usage("cli.usage.missing", "name", "NUMBER")
	}
	return own[0], nil
}

func eventRow(e client.AuditEvent) []any {
	var of, seq any // nothing, for what belongs to no account or has no place yet
	if e.Account != 0 {
		of = e.Account
	}
	if e.Seq != 0 {
		seq = e.Seq
	}
	return []any{e.ID, e.At.Time, e.Sentence, e.Actor, e.Action, e.Target, e.Outcome, e.Origin, seq, of}
}

// orNone reads an account number, or 0 for what belongs to no account.
func orNone(s string) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	return number(s)
}

func (o *operator) auditRow(r store.AuditRow) []any {
	var of, seq any // nothing, for what belongs to no account or has no place yet
	if r.AccountID != 0 {
		of = r.AccountID
	}
	if r.Seq != 0 {
		seq = r.Seq
	}
	return []any{r.ID, r.At, o.sentence(r), r.Actor, r.Action, r.Target, r.Outcome, r.Origin, seq, of}
}

func (o *operator) sentence(r store.AuditRow) string { return account.Sentence(o.p, r) }

func (a *app) auditTail(f *adminFlags) *cobra.Command {
	return a.command("tail [NUMBER]", "admin.audit.tail", "  pli admin audit tail --json", a.exactly("[NUMBER]"), a.act(f, func(ctx context.Context, o *operator, args []string) error {
		only := int64(-1)
		if len(args) > 0 {
			n, err := orNone(args[0])
			if err != nil {
				return err
			}
			only = n
		}
		format := f.format
		if format.json || format.name == "json" { // a list that does not end
			format.json, format.name = false, "jsonl"
		}
		pos, err := o.Accounts.BeginAuditTail(ctx, o.actor, max(only, 0))
		if err != nil {
			return err
		}
		for {
			if _, err := o.Audit.Chain(ctx); err != nil {
				return err
			}
			rows, err := o.Accounts.AuditTail(ctx, o.actor, pos)
			if err != nil {
				return err
			}
			t := &table{columns: auditColumns}
			for _, r := range rows {
				pos = r.Pos
				if only < 0 || r.AccountID == only {
					t.add(o.auditRow(r)...)
				}
			}
			if len(t.rows) > 0 {
				if err := o.write(t, format, false); err != nil {
					return err
				}
				format.noHeaders = true
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tailEvery):
			}
		}
	}))
}

func (a *app) auditShow(f *adminFlags) *cobra.Command {
	return a.command("show NUMBER EVENT", "admin.audit.show", "", a.exactly("NUMBER", "EVENT"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := orNone(args[0])
		if err != nil {
			return err
		}
		e, err := do(ctx, o, client.GetAudit, client.AuditPath{Account: n, Event: args[1]})
		if err != nil {
			return err
		}
		t := &table{columns: append(slices.Clone(auditColumns), column{"detail", "cli.col.detail"}, column{"hash", "cli.col.hash"})}
		var detail []string
		for name, value := range e.Detail {
			detail = append(detail, name+"="+value)
		}
		slices.Sort(detail)
		t.add(append(eventRow(e), detail, e.Hash)...)
		return o.write(t, f.format, true)
	}))
}

func (a *app) auditExport(f *adminFlags) *cobra.Command {
	var format string
	var filter auditFlags
	export := a.command("export NUMBER", "admin.audit.export", "  pli admin audit export 100042 --format jsonl > log.jsonl", a.exactly("NUMBER"), a.administer(f, func(ctx context.Context, o *administrator, args []string) error {
		n, err := orNone(args[0])
		if err != nil {
			return err
		}
		q, err := filter.query(time.Now())
		if err != nil {
			return err
		}
		if !slices.Contains(audit.Formats, format) {
			return usage("cli.usage.choice", "value", format, "choices", strings.Join(audit.Formats, ", "))
		}
		return o.save(do(ctx, o, client.ExportAudit, client.AuditExportIn{Account: n, Format: format, Actor: q.Actor, Action: q.Action, Target: q.Target, Outcome: q.Outcome, Origin: q.Origin,
			From: client.Time{Time: q.From}, To: client.Time{Time: q.To}}))
	}))
	export.Flags().StringVar(&format, "format", "jsonl", a.t("cli.audit.format"))
	filter.flags(a, export)
	return export
}

// auditExportAll exports the log of all accounts, which no account's tokens may.
func (a *app) auditExportAll(f *adminFlags) *cobra.Command {
	var format string
	var filter auditFlags
	export := a.command("export-all", "admin.audit.exportall", "  pli admin audit export-all --since 24h --format csv > log.csv", a.exactly(), a.act(f, func(ctx context.Context, o *operator, _ []string) error {
		q, err := filter.query(o.DB.Now())
		if err != nil {
			return err
		}
		w, err := audit.NewWriter(o.stdout, format, version, o.sentence)
		if err != nil {
			return usage("cli.usage.choice", "value", format, "choices", strings.Join(audit.Formats, ", "))
		}
		next, err := o.Accounts.ExportSiteAudit(ctx, o.actor, q, format)
		if err != nil {
			return err
		}
		for {
			rows, err := next(ctx)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				return w.End(audit.HeadOf(store.AuditHead{}))
			}
			if err := w.Write(rows); err != nil {
				return err
			}
		}
	}))
	export.Flags().StringVar(&format, "format", "jsonl", a.t("cli.audit.format"))
	filter.flags(a, export)
	return export
}

// auditCommand verifies logs, here or in a file from elsewhere.
func (a *app) auditCommand() *cobra.Command {
	var f adminFlags
	var of, file, key, against string
	var printKey bool
	verify := a.command("verify [--account NUMBER] [--file EXPORT.jsonl --key KEY]", "audit.verify",
		"  pli audit verify\n  pli audit verify --account 100042 --checkpoint kept.json\n  pli audit verify --file log.jsonl --key 6kpsY…", a.exactly(), func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return a.verifyFile(file, key, f.format)
			}
			return a.act(&f, func(ctx context.Context, o *operator, _ []string) error {
				if printKey {
					k, err := o.Audit.Key(ctx)
					if err == nil {
						_, err = fmt.Fprintln(o.stdout, base64.StdEncoding.EncodeToString(k))
					}
					return err
				}
				return o.verify(ctx, of, against, f.format)
			})(cmd, args)
		})
	verify.Flags().StringVar(&of, "account", "", a.t("cli.audit.of"))
	verify.Flags().StringVar(&file, "file", "", a.t("cli.audit.file"))
	verify.Flags().StringVar(&key, "key", "", a.t("cli.audit.key"))
	verify.Flags().StringVar(&against, "checkpoint", "", a.t("cli.audit.checkpoint"))
	verify.Flags().BoolVar(&printKey, "print-key", false, a.t("cli.audit.printkey"))
	c := a.group("audit", "audit", verify)
	f.config = a.configFlag(c)
	f.format.flags(a, c)
	return c
}

func (o *operator) verify(ctx context.Context, of, against string, f format) error {
	if _, err := o.Audit.Chain(ctx); err != nil { // what was recorded just now is verified too
		return err
	}
	var results []audit.Result
	switch {
	case against != "":
		raw, err := os.ReadFile(against)
		if err != nil {
			return err
		}
		c, err := audit.ReadCheckpoint(raw)
		if err != nil {
			return usage("cli.audit.nocheckpoint", "file", against)
		}
		r, err := o.Audit.VerifyAgainst(ctx, c)
		if err != nil {
			return err
		}
		results = append(results, r)
	case of != "":
		n, err := orNone(of)
		if err != nil {
			return err
		}
		r, err := o.Audit.Check(ctx, n)
		if err != nil {
			return err
		}
		if n != 0 && r.Seq == 0 && r.Broken == nil {
			if _, err := o.Accounts.Account(ctx, o.actor, n); err != nil {
				return err
			}
		}
		results = append(results, r)
	default:
		accounts, err := o.Audit.Accounts(ctx)
		if err != nil {
			return err
		}
		for _, n := range accounts {
			r, err := o.Audit.Check(ctx, n)
			if err != nil {
				return err
			}
			results = append(results, r)
		}
	}
	return o.verified(results, f)
}

// verified prints what was found, a line for each log: also as what to keep elsewhere.
func (a *app) verified(results []audit.Result, f format) error {
	t := &table{columns: []column{{"account", "cli.col.account"}, {"events", "cli.col.events"}, {"verifies", "cli.col.verifies"}, {"from_seq", "cli.col.fromseq"}, {"from_event", "cli.col.fromevent"}, {"why", "cli.col.reason"}, {"checkpoint", "cli.col.checkpoint"}}}
	bad := false
	for _, r := range results {
		head := ""
		if r.Head.Seq > 0 {
			head = string(r.Head.JSON())
		}
		if r.Broken == nil {
			t.add(r.Account, r.Seq, true, nil, "", "", head)
			continue
		}
		bad = true
		t.add(r.Account, r.Seq, false, r.Broken.Seq, r.Broken.ID, r.Broken.Why, head)
		a.tell("cli.audit.broken", "number", r.Account, "seq", r.Broken.Seq, "id", cmp.Or(r.Broken.ID, "–"), "why", a.t("cli.audit.why."+r.Broken.Why))
	}
	if err := a.write(t, f, false); err != nil {
		return err
	}
	if bad {
		return quiet(exitProblems)
	}
	return nil
}

func (a *app) verifyFile(file, text string, f format) error {
	var key ed25519.PublicKey
	if text != "" {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return usage("cli.audit.badkey")
		}
		key = raw
	}
	in := io.NopCloser(a.stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return notFound(err, file)
		}
		in = f
	}
	defer in.Close()
	r, err := audit.VerifyFile(in, key)
	if errors.Is(err, audit.ErrForm) {
		f := failed("cli.audit.noexport", "file", file)
		f.code, f.cause = exitUsage, err
		return f
	}
	if err != nil {
		return err
	}
	if f.json || f.name != "" {
		return a.verified([]audit.Result{r}, f)
	}
	if r.Broken != nil {
		a.tell("cli.audit.broken", "number", r.Account, "seq", r.Broken.Seq, "id", cmp.Or(r.Broken.ID, "–"), "why", a.t("cli.audit.why."+r.Broken.Why))
		return quiet(exitProblems)
	}
	said := "cli.audit.fits"
	if key != nil {
		said = "cli.audit.whole"
	}
	a.tell(said, "number", r.Account, "n", r.Seq)
	return nil
}
