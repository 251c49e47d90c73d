package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/breached"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/server"
	"github.com/pli-mail/pli/internal/store"
)

// How a check ended.
const (
	checkOK   = "OK"
	checkWarn = "WARN"
	checkFail = "FAIL"
)

// finding is the outcome of one check: its stable id, a sentence, and what to
// do about it, which is nothing when it is OK.
type finding struct {
	id, status   string
	text, remedy string // catalogue keys
	args         []any
}

// doctor looks at everything that the service needs, one thing after the other.
type doctor struct {
	conf  *config.Config
	found []finding
}

func (d *doctor) ok(id, text string, args ...any) {
	d.found = append(d.found, finding{id: id, status: checkOK, text: text, args: args})
}

func (d *doctor) warn(id, text, remedy string, args ...any) {
	d.found = append(d.found, finding{id, checkWarn, text, remedy, args})
}

func (d *doctor) fail(id, text, remedy string, args ...any) {
	d.found = append(d.found, finding{id, checkFail, text, remedy, args})
}

func (a *app) doctorCommand() *cobra.Command {
	var path *string
	var asJSON bool
	c := a.command("doctor [--config FILE] [--json]", "doctor", "  pli doctor --config /etc/pli/pli.toml", a.exactly(), func(cmd *cobra.Command, _ []string) error {
		d := &doctor{}
		if err := a.checkConfig(d, *path); err != nil {
			return err
		}
		if d.conf != nil {
			d.checkFiles()
			d.checkDatabase(cmd.Context(), a)
			d.checkCertificate(time.Now())
			d.checkSmarthost(cmd.Context())
			d.checkGateway(cmd.Context(), time.Now())
		}
		return a.report(d.found, asJSON)
	})
	c.Flags().BoolVar(&asJSON, "json", false, a.t("cli.flag.json"))
	path = a.configFlag(c)
	return c
}

func (a *app) report(found []finding, asJSON bool) error {
	bad := false
	p := a.p
	if asJSON {
		p = a.catalogue.Printer("en", nil) // for programs
	}
	list := []object{}
	var b strings.Builder
	for _, f := range found {
		bad = bad || f.status != checkOK
		text, remedy := p.T(f.text, f.args...), ""
		if f.remedy != "" {
			remedy = p.T(f.remedy, f.args...)
		}
		list = append(list, object{{"id", f.id}, {"status", f.status}, {"text", text}, {"remedy", remedy}})
		fmt.Fprintf(&b, "%-5s %-12s %s\n", f.status, f.id, text)
		if remedy != "" {
			fmt.Fprintf(&b, "%-18s %s\n", "", remedy)
		}
	}
	var err error
	if asJSON {
		err = encode(a.stdout, list)
	} else {
		_, err = a.stdout.Write([]byte(b.String()))
	}
	if err == nil && bad {
		err = quiet(exitProblems)
	}
	return err
}

func (a *app) checkConfig(d *doctor, path string) error {
	conf, err := config.Load(path)
	var ps *config.Problems
	switch {
	case errors.As(err, &ps):
		for _, sentence := range ps.Say(a.p) {
			d.fail("config", "cli.said", "cli.doctor.config.do", "sentence", sentence)
		}
	case errors.Is(err, fs.ErrNotExist):
		d.fail("config", "cli.nofile", "cli.doctor.noconfig.do", "file", path)
	case err != nil:
		return err
	default:
		d.conf = conf
		d.ok("config", "cli.config.good", "file", path)
	}
	return nil
}

// checkFiles looks at the root key, at the other secrets and at the directories.
func (d *doctor) checkFiles() {
	if _, err := masterkey.Open(d.conf.MasterKeyFile); err != nil {
		d.fail("masterkey", "cli.doctor.masterkey", "cli.doctor.masterkey.do", "file", d.conf.MasterKeyFile, "reason", reason(err))
	} else {
		d.ok("masterkey", "cli.doctor.masterkey.ok", "file", d.conf.MasterKeyFile)
	}
	for _, secret := range []string{d.conf.DatabasePasswordFile, d.conf.Mail.PasswordFile, d.conf.Mail.DKIM.KeyFile, d.conf.TLS.Key, d.conf.Gateway.Key, d.conf.Audit.TokenFile} {
		if secret == "" {
			continue
		}
		info, err := os.Stat(secret)
		switch {
		case err != nil:
			d.fail("secrets", "cli.doctor.secret", "cli.doctor.secret.do", "file", secret, "reason", reason(err))
		case info.Mode().Perm()&0o007 != 0:
			d.warn("secrets", "cli.doctor.readable", "cli.doctor.readable.do", "file", secret)
		default:
			d.ok("secrets", "cli.doctor.secret.ok", "file", secret)
		}
	}
	if file := d.conf.BreachedPasswords; file != "" {
		if err := breached.Check(file); err != nil {
			d.fail("passwords", "cli.doctor.breached", "cli.doctor.breached.do", "file", file, "reason", reason(err))
		} else {
			d.ok("passwords", "cli.doctor.breached.ok", "file", file)
		}
	}
	for _, dir := range []string{d.conf.DataDir, filepath.Join(d.conf.DataDir, "blobs"), filepath.Join(d.conf.DataDir, "spool")} {
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != d.conf.DataDir {
			continue // made when it is needed
		}
		f, err := os.CreateTemp(dir, ".pli-doctor-*")
		if err != nil {
			d.fail("data", "cli.doctor.data", "cli.doctor.data.do", "file", dir, "reason", reason(err))
			continue
		}
		f.Close()
		os.Remove(f.Name())
		d.ok("data", "cli.doctor.data.ok", "file", dir)
	}
	d.checkDisk()
}

const (
	diskWarn = 1 << 30
	diskFail = 100 << 20
)

func (d *doctor) checkDisk() {
	free, err := diskFree(d.conf.DataDir)
	args := []any{"file", d.conf.DataDir, "free", free >> 20}
	switch {
	case err != nil: // said by checkFiles already, or not to be known on this system
	case free < diskFail:
		d.fail("disk", "cli.doctor.disk", "cli.doctor.disk.do", args...)
	case free < diskWarn:
		d.warn("disk", "cli.doctor.disk", "cli.doctor.disk.do", args...)
	default:
		d.ok("disk", "cli.doctor.disk", args...)
	}
}

func (d *doctor) checkDatabase(ctx context.Context, a *app) {
	if file, ok := strings.CutPrefix(d.conf.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			d.warn("database", "cli.nodatabase", "cli.doctor.nodatabase.do", "file", file)
			return
		}
	}
	url, err := d.conf.DatabaseURL()
	if err != nil {
		d.fail("database", "cli.doctor.database", "cli.doctor.database.do", "reason", reason(err))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	current, known, err := store.Inspect(ctx, url)
	args := []any{"current", current, "known", known}
	switch {
	case err != nil:
		d.fail("database", "cli.doctor.database", "cli.doctor.database.do", "reason", reason(err))
		return
	case current > known:
		d.fail("schema", "cli.doctor.newer", "cli.doctor.newer.do", args...)
		return
	case current < known:
		d.warn("schema", "cli.doctor.older", "cli.doctor.older.do", args...)
		return
	}
	d.ok("database", "cli.doctor.database.ok", args...)
	parts, err := server.Open(ctx, server.Config{Config: d.conf, Catalogue: a.catalogue, Version: version, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return // for a reason that stands above already
	}
	defer parts.Close()
	d.checkService(ctx, parts, &operator{app: a, Parts: parts, actor: operatorActor(a)})
}

// checkService looks at what only the open database can tell.
func (d *doctor) checkService(ctx context.Context, parts *server.Parts, o *operator) {
	err := parts.DB.View(ctx, func(tx *store.Tx) error {
		_, err := tx.FindServiceKey("seal")
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		d.ok("unwrap", "cli.doctor.unwrap.none") // made at the first sealing
	} else if _, err := parts.Keys.SealKey(ctx); err != nil {
		d.fail("unwrap", "cli.doctor.unwrap", "cli.doctor.unwrap.do", "file", d.conf.MasterKeyFile, "reason", reason(err))
	} else {
		d.ok("unwrap", "cli.doctor.unwrap.ok")
	}
	if clock, err := parts.Keys.Clock(ctx); err == nil && clock.Seen.Sub(clock.Now) > time.Minute {
		d.fail("clock", "cli.doctor.clock", "cli.doctor.clock.do", "now", clock.Now.Format(time.RFC3339), "seen", clock.Seen.Format(time.RFC3339))
	} else if err == nil {
		d.ok("clock", "cli.doctor.clock.ok", "now", clock.Now.Format(time.RFC3339))
	}
	if n, err := parts.Outbox.Count(ctx); err == nil {
		args := []any{"waiting", n.Waiting, "failed", n.Failed}
		if n.Failed > 0 || (!n.Oldest.IsZero() && time.Since(n.Oldest) > time.Hour) {
			d.warn("outbox", "cli.doctor.outbox", "cli.doctor.outbox.do", args...)
		} else {
			d.ok("outbox", "cli.doctor.outbox", args...)
		}
	}
	d.checkAudit(ctx, parts, o)
	if len(d.conf.Gateway.Listen) > 0 {
		if state, err := o.Accounts.Admission(ctx); err == nil && state.Upstreams() == 0 {
			d.warn("gateway", "cli.doctor.gateway.nobody", "cli.doctor.gateway.nobody.do")
		} else if err == nil {
			d.ok("gateway", "cli.doctor.gateway.upstreams", "n", state.Upstreams())
		}
	}
	if err := d.checkAccounts(ctx, o); err != nil {
		d.fail("accounts", "cli.doctor.database", "cli.doctor.database.do", "reason", reason(err))
	}
}

// auditLate is for how long an event may wait for the notary, or for a receiver.
const auditLate = 5 * time.Minute

// checkAudit looks at the chain's last checks, and at who gets the events.
func (d *doctor) checkAudit(ctx context.Context, parts *server.Parts, o *operator) {
	var oldest time.Time
	var broken []store.AuditHead
	if err := parts.DB.View(ctx, func(tx *store.Tx) (err error) {
		if _, oldest, err = tx.CountUnchained(1); err != nil {
			return err
		}
		broken, err = tx.ListBrokenAudit(10)
		return err
	}); err != nil {
		d.fail("audit", "cli.doctor.database", "cli.doctor.database.do", "reason", reason(err))
		return
	}
	for _, h := range broken {
		d.fail("audit", "cli.audit.broken", "cli.doctor.audit.broken.do", "number", h.AccountID, "seq", h.BrokenSeq, "id", cmp.Or(h.BrokenID, "–"), "why", o.t("cli.audit.why."+h.BrokenWhy))
	}
	var older *audit.RolledBack
	switch err := parts.Audit.CheckMark(ctx); {
	case errors.As(err, &older):
		d.fail("audit", "cli.audit.rolledback", "cli.doctor.audit.rolledback.do", "file", older.Mark, "seen", older.Seen, "has", older.Has)
	case !oldest.IsZero() && parts.DB.Now().Sub(oldest) > auditLate:
		d.warn("audit", "cli.doctor.audit.late", "cli.doctor.audit.late.do", "date", oldest.Format(time.RFC3339))
	case err == nil && len(broken) == 0:
		d.ok("audit", "cli.doctor.audit.ok")
	}
	streams, err := parts.Streams(server.Config{Config: d.conf, Catalogue: o.catalogue, Version: version, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.fail("siem", "cli.said", "cli.doctor.siem.do", "sentence", reason(err))
	}
	for _, s := range streams {
		state, waiting, err := s.State(ctx)
		args := []any{"name", s.Name(), "waiting", waiting, "reason", state.LastError}
		switch {
		case err != nil:
			d.fail("siem", "cli.doctor.database", "cli.doctor.database.do", "reason", reason(err))
		case state.FailingSince.IsZero():
			d.ok("siem", "cli.doctor.siem.ok", args...)
		case parts.DB.Now().Sub(state.FailingSince) > auditLate:
			d.fail("siem", "cli.doctor.siem", "cli.doctor.siem.do", args...)
		default:
			d.warn("siem", "cli.doctor.siem", "cli.doctor.siem.do", args...)
		}
	}
}

// checkAccounts looks for accounts that nobody can administer.
func (d *doctor) checkAccounts(ctx context.Context, o *operator) error {
	return pages(0, func(after string, size int) (int, string, error) {
		p, err := o.Accounts.Accounts(ctx, o.actor, after, size)
		for _, v := range p.Accounts {
			if v.Administrators == 0 && v.State == store.AccountActive {
				d.warn("accounts", "cli.doctor.noadmin", "cli.doctor.noadmin.do", "number", v.ID)
			}
		}
		return len(p.Accounts), p.Next, err
	})
}

// reason is a failure in the words of the system or of the catalogue.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "open database: ")
}
