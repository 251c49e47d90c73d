package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/backup"
	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/store"
)

// Backup makes a backup in the directory to and keeps so many there, 0 for all,
// as actor. What came of it is recorded.
func (p *Parts) Backup(ctx context.Context, c Config, actor account.Actor, to string, keep int) (m backup.Manifest, err error) {
	to, err = filepath.Abs(to)
	if err != nil {
		return m, err
	}
	url, err := c.Config.DatabaseURL()
	if err != nil {
		return m, err
	}
	host := hostname()
	err = p.Accounts.Backup(ctx, actor, fmt.Sprintf("%s/%d", host, os.Getpid()), func(ctx context.Context) (store.Backup, error) {
		m, err = backup.Create(ctx, backup.Config{DB: p.DB, URL: url, Root: p.Root, Blobs: p.Blobs, Scratch: p.spool, Version: c.Version, To: to, Keep: keep})
		return store.Backup{ID: m.ID, Host: host, Place: to, Size: m.Size(), Added: m.Added}, err
	})
	return m, err
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "?"
	}
	return name
}

// backupRetry is how long after one that failed another is tried.
const backupRetry = time.Hour

// backupDue reports whether it is time: the last day's hour has come since the
// last one was begun, or that one failed a while ago. at is hh:mm of now's clock;
// the zero last is none.
func backupDue(now time.Time, at string, last store.Backup) bool {
	t, err := time.Parse("15:04", at)
	if err != nil {
		return false // the configuration is checked: this does not happen
	}
	hour := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
	if hour.After(now) {
		hour = hour.AddDate(0, 0, -1)
	}
	return last.BegunAt.Before(hour) || last.Reason != "" && !last.BegunAt.Add(backupRetry).After(now)
}

// scheduleBackups makes the backups that the configuration asks for.
func (s *Server) scheduleBackups(ctx context.Context) {
	conf := s.conf.Config.Backup
	for conf.To != "" && ctx.Err() == nil {
		last, err := s.Accounts.LastBackup(ctx)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		if err == nil && backupDue(s.DB.Now().In(time.Local), conf.At, last) {
			var m backup.Manifest
			if m, err = s.Backup(ctx, s.conf, account.Actor{Kind: account.KindSystem}, conf.To, int(conf.Keep)); err == nil {
				s.conf.Log.Info("backup made", "id", m.ID, "bytes", m.Size(), "written", m.Added)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.conf.Log.Error("backup", "error", err)
		}
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
		}
	}
}

// Restore makes data of a backup: see backup.Restore. The configuration has the
// root key, and of PostgreSQL the database.
func Restore(ctx context.Context, conf *config.Config, from, to string) (backup.Restored, error) {
	var out backup.Restored
	dir, err := backup.Find(from)
	if err != nil {
		return out, err
	}
	root, err := openRoot(conf)
	if err != nil {
		return out, err
	}
	url, err := conf.DatabaseURL()
	if err != nil {
		return out, err
	}
	if to, err = filepath.Abs(to); err != nil {
		return out, err
	}
	known, err := store.Known()
	if err != nil {
		return out, err
	}
	if strings.HasPrefix(url, "sqlite:") {
		url = ""
	}
	return backup.Restore(ctx, dir, to, url, root, known)
}

const (
	backupOld     = 7 * 24 * time.Hour // without one
	backupMissing = 36 * time.Hour     // where the server makes one each day
)

// checkBackups looks at when the last one was made.
func (d *Doctor) checkBackups(ctx context.Context, parts *Parts) {
	var good store.Backup
	var tried []store.Backup
	err := parts.DB.View(ctx, func(tx *store.Tx) (err error) {
		if tried, err = tx.ListBackups(1); err != nil {
			return err
		}
		good, err = tx.FindGoodBackup()
		return err
	})
	old := backupOld
	if d.Conf.Backup.To != "" {
		old = backupMissing
	}
	args := []any{"date", good.EndedAt.Format(time.RFC3339), "place", good.Place, "host", good.Host}
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		d.Fail("backup", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
	case len(tried) > 0 && tried[0].Reason != "":
		d.Fail("backup", "cli.doctor.backup.failed", "cli.doctor.backup.failed.do", "place", tried[0].Place, "reason", tried[0].Reason)
	case err != nil:
		d.Warn("backup", "sy.nobackup", "cli.doctor.backup.do")
	case parts.DB.Now().Sub(good.EndedAt) > old:
		d.Warn("backup", "cli.doctor.backup.ok", "cli.doctor.backup.do", args...)
	default:
		d.OK("backup", "cli.doctor.backup.ok", args...)
	}
}

// clockSkew is how far two clocks of the service may be apart.
const clockSkew = 5 * time.Second

// checkNodes looks at the programs that serve on this database.
func (d *Doctor) checkNodes(ctx context.Context, parts *Parts) {
	var nodes []store.Node
	if err := parts.DB.View(ctx, func(tx *store.Tx) (err error) { nodes, err = tx.ListNodes(); return err }); err != nil {
		d.Fail("nodes", "cli.doctor.database", "cli.doctor.database.do", "reason", Reason(err))
		return
	}
	versions, here := map[string]bool{}, 0
	for _, n := range nodes {
		gone := parts.DB.Now().Sub(n.SeenAt)
		args := []any{"host", n.Host, "date", n.SeenAt.Format(time.RFC3339), "skew", n.Skew.String()}
		switch {
		case gone > nodeGone:
			d.Warn("nodes", "cli.doctor.nodes.gone", "cli.doctor.nodes.gone.do", args...)
			continue
		case n.Skew.Abs() > clockSkew:
			d.Warn("nodes", "cli.doctor.nodes.skew", "cli.doctor.nodes.skew.do", args...)
		}
		versions[n.Version] = true
		here++
	}
	if len(versions) > 1 {
		d.Warn("nodes", "cli.doctor.nodes.versions", "cli.doctor.nodes.versions.do", "n", len(versions))
	} else if here > 0 {
		d.OK("nodes", "cli.doctor.nodes.ok", "n", here)
	}
}
