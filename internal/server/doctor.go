package server

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/audit"
	"github.com/pli-mail/pli/internal/breached"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

// How a check ended.
const (
	CheckOK   = "OK"
	CheckWarn = "WARN"
	CheckFail = "FAIL"
)

// Finding is the outcome of one check: its stable id, a sentence, and what to
// do about it, which is nothing when it is OK.
type Finding struct {
	ID, Status   string
	Text, Remedy string // catalogue keys
	Args         []any
}

// Doctor looks at everything that the service needs, one thing after the other.
type Doctor struct {
	Conf  *config.Config
	Found []Finding
}

// OK adds what was found well.
func (d *Doctor) OK(id, text string, args ...any) {
	d.Found = append(d.Found, Finding{ID: id, Status: CheckOK, Text: text, Args: args})
}

// Warn adds what somebody should look at.
func (d *Doctor) Warn(id, text, remedy string, args ...any) {
	d.Found = append(d.Found, Finding{id, CheckWarn, text, remedy, args})
}

// Fail adds what does not work.
func (d *Doctor) Fail(id, text, remedy string, args ...any) {
	d.Found = append(d.Found, Finding{id, CheckFail, text, remedy, args})
}

// Files looks at the root key, at the other secrets and at the directories.
func (d *Doctor) Files() {
	if _, err := masterkey.Open(d.Conf.MasterKeyFile); err != nil {
		d.Fail("masterkey", "cli.doctor.masterkey", "cli.doctor.masterkey.do", "file", d.Conf.MasterKeyFile, "reason", Reason(err))
	} else {
		d.OK("masterkey", "cli.doctor.masterkey.ok", "file", d.Conf.MasterKeyFile)
	}
	for _, secret := range []string{d.Conf.DatabasePasswordFile, d.Conf.Mail.PasswordFile, d.Conf.Mail.DKIM.KeyFile, d.Conf.TLS.Key, d.Conf.Gateway.Key, d.Conf.Audit.TokenFile} {
		if secret == "" {
			continue
		}
		info, err := os.Stat(secret)
		switch {
		case err != nil:
			d.Fail("secrets", "cli.doctor.secret", "cli.doctor.secret.do", "file", secret, "reason", Reason(err))
		case info.Mode().Perm()&0o007 != 0:
			d.Warn("secrets", "cli.doctor.readable", "cli.doctor.readable.do", "file", secret)
		default:
			d.OK("secrets", "cli.doctor.secret.ok", "file", secret)
		}
	}
	if file := d.Conf.BreachedPasswords; file != "" {
		if err := breached.Check(file); err != nil {
			d.Fail("passwords", "cli.doctor.breached", "cli.doctor.breached.do", "file", file, "reason", Reason(err))
		} else {
			d.OK("passwords", "cli.doctor.breached.ok", "file", file)
		}
	}
	for _, dir := range []string{d.Conf.DataDir, filepath.Join(d.Conf.DataDir, "blobs"), filepath.Join(d.Conf.DataDir, "spool")} {
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != d.Conf.DataDir {
			continue // made when it is needed
		}
		f, err := os.CreateTemp(dir, ".pli-doctor-*")
		if err != nil {
			d.Fail("data", "cli.doctor.data", "cli.doctor.data.do", "file", dir, "reason", Reason(err))
			continue
		}
		f.Close()
		os.Remove(f.Name())
		d.OK("data", "cli.doctor.data.ok", "file", dir)
	}
	d.Disk()
}

const (
	diskWarn = 1 << 30
	diskFail = 100 << 20
)

// Disk looks at how much can still be written.
func (d *Doctor) Disk() {
	free, err := diskFree(d.Conf.DataDir)
	args := []any{"file", d.Conf.DataDir, "free", free >> 20}
	switch {
	case err != nil: // said by Files already, or not to be known on this system
	case free < diskFail:
		d.Fail("disk", "cli.doctor.disk", "cli.doctor.disk.do", args...)
	case free < diskWarn:
		d.Warn("disk", "cli.doctor.disk", "cli.doctor.disk.do", args...)
	default:
		d.OK("disk", "cli.doctor.disk", args...)
	}
}

// Database looks at the database and its schema, and reports whether both are as they must be.
func (d *Doctor) Database(ctx context.Context) bool {
	url, err := d.Conf.DatabaseURL()
	current, known := int64(0), int64(0)
	if err == nil {
		current, known, err = store.Inspect(ctx, url)
	}
	args := []any{"current", current, "known", known}
	switch {
	case err != nil:
		d.Fail("database", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
	case current > known:
		d.Fail("schema", "cli.doctor.newer", "cli.doctor.newer.do", args...)
	case current < known:
		d.Warn("schema", "cli.doctor.older", "cli.doctor.older.do", args...)
	default:
		d.OK("database", "cli.doctor.database.ok", args...)
		return true
	}
	return false
}

// Service looks at what only the open database can tell, as actor, an operator;
// c is what the parts were opened with, and say says a catalogue's text.
func (d *Doctor) Service(ctx context.Context, parts *Parts, c Config, actor account.Actor, say func(key string, pairs ...any) string) {
	err := parts.DB.View(ctx, func(tx *store.Tx) error {
		_, err := tx.FindServiceKey("seal")
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		d.OK("unwrap", "cli.doctor.unwrap.none") // made at the first sealing
	} else if _, err := parts.Keys.SealKey(ctx); err != nil {
		d.Fail("unwrap", "cli.doctor.unwrap", "cli.doctor.unwrap.do", "file", d.Conf.MasterKeyFile, "reason", Reason(err))
	} else {
		d.OK("unwrap", "cli.doctor.unwrap.ok")
	}
	if clock, err := parts.Keys.Clock(ctx); err == nil && clock.Seen.Sub(clock.Now) > time.Minute {
		d.Fail("clock", "cli.doctor.clock", "cli.doctor.clock.do", "now", clock.Now.Format(time.RFC3339), "seen", clock.Seen.Format(time.RFC3339))
	} else if err == nil {
		d.OK("clock", "cli.doctor.clock.ok", "now", clock.Now.Format(time.RFC3339))
	}
	if n, err := parts.Outbox.Count(ctx); err == nil {
		args := []any{"waiting", n.Waiting, "failed", n.Failed}
		if n.Failed > 0 || (!n.Oldest.IsZero() && time.Since(n.Oldest) > time.Hour) {
			d.Warn("outbox", "cli.doctor.outbox", "cli.doctor.outbox.do", args...)
		} else {
			d.OK("outbox", "cli.doctor.outbox", args...)
		}
	}
	d.checkWebhooks(ctx, parts)
	d.checkAudit(ctx, parts, c, say)
	d.checkBackups(ctx, parts)
	d.checkNodes(ctx, parts)
	if len(d.Conf.Gateway.Listen) > 0 {
		if state, err := parts.Accounts.Admission(ctx); err == nil && state.Upstreams() == 0 {
			d.Warn("upstreams", "cli.doctor.gateway.nobody", "cli.doctor.gateway.nobody.do")
		} else if err == nil {
			d.OK("upstreams", "cli.doctor.gateway.upstreams", "n", state.Upstreams())
		}
	}
	if err := d.checkAccounts(ctx, parts, actor); err != nil {
		d.Fail("accounts", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
	}
}

// webhooksLate is for how long a webhook's next delivery may be due.
const webhooksLate = 10 * time.Minute

// checkWebhooks looks at what waits for receivers. One that does not answer is
// its account's business, and is told; that nothing is sent at all is the service's.
func (d *Doctor) checkWebhooks(ctx context.Context, parts *Parts) {
	b, err := parts.Accounts.WebhookBacklog(ctx)
	args := []any{"n", b.Hooks, "failing", b.Failing, "off", b.Off, "waiting", b.Waiting}
	switch {
	case err != nil:
		d.Fail("webhooks", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
	case b.Hooks == 0: // nobody uses them
	case !b.Oldest.IsZero() && parts.DB.Now().Sub(b.Oldest) > webhooksLate:
		d.Warn("webhooks", "cli.doctor.webhooks.late", "cli.doctor.webhooks.late.do", append(args, "date", b.Oldest.Format(time.RFC3339))...)
	default:
		d.OK("webhooks", "cli.doctor.webhooks", args...)
	}
}

// auditLate is for how long an event may wait for the notary, or for a receiver.
const auditLate = 5 * time.Minute

// checkAudit looks at the chain's last checks, and at who gets the events.
func (d *Doctor) checkAudit(ctx context.Context, parts *Parts, c Config, say func(key string, pairs ...any) string) {
	var oldest time.Time
	var broken []store.AuditHead
	if err := parts.DB.View(ctx, func(tx *store.Tx) (err error) {
		if _, oldest, err = tx.CountUnchained(1); err != nil {
			return err
		}
		broken, err = tx.ListBrokenAudit(10)
		return err
	}); err != nil {
		d.Fail("audit", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
		return
	}
	for _, h := range broken {
		d.Fail("audit", "cli.audit.broken", "cli.doctor.audit.broken.do", "number", h.AccountID, "seq", h.BrokenSeq, "id", cmp.Or(h.BrokenID, "–"), "why", say("cli.audit.why."+h.BrokenWhy))
	}
	var older *audit.RolledBack
	switch err := parts.Audit.CheckMark(ctx); {
	case errors.As(err, &older):
		d.Fail("audit", "cli.audit.rolledback", "cli.doctor.audit.rolledback.do", "file", older.Mark, "seen", older.Seen, "has", older.Has)
	case !oldest.IsZero() && parts.DB.Now().Sub(oldest) > auditLate:
		d.Warn("audit", "cli.doctor.audit.late", "cli.doctor.audit.late.do", "date", oldest.Format(time.RFC3339))
	case err == nil && len(broken) == 0:
		d.OK("audit", "cli.doctor.audit.ok")
	}
	streams, err := parts.Streams(c)
	if err != nil {
		d.Fail("siem", "cli.said", "cli.doctor.siem.do", "sentence", Reason(err))
	}
	for _, s := range streams {
		state, waiting, err := s.State(ctx)
		args := []any{"name", s.Name(), "waiting", waiting, "reason", state.LastError}
		switch {
		case err != nil:
			d.Fail("siem", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
		case state.FailingSince.IsZero():
			d.OK("siem", "cli.doctor.siem.ok", args...)
		case parts.DB.Now().Sub(state.FailingSince) > auditLate:
			d.Fail("siem", "cli.doctor.siem", "cli.doctor.siem.do", args...)
		default:
			d.Warn("siem", "cli.doctor.siem", "cli.doctor.siem.do", args...)
		}
	}
}

// checkAccounts looks for accounts that nobody can administer.
func (d *Doctor) checkAccounts(ctx context.Context, parts *Parts, actor account.Actor) error {
	for after := ""; ; {
		p, err := parts.Accounts.Accounts(ctx, actor, after, 500)
		if err != nil {
			return err
		}
		for _, v := range p.Accounts {
			if v.Administrators == 0 && v.State == store.AccountActive {
				d.Warn("accounts", "cli.doctor.noadmin", "cli.doctor.noadmin.do", "number", v.ID)
			}
		}
		if after = p.Next; after == "" {
			return nil
		}
	}
}

// Reason is a failure in the words of the system or of the catalogue.
func Reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "open database: ")
}
