package account

import (
	"context"
	"errors"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/store"
)

const backupCreate action = "backup.create"

const (
	backupLease = "backup"
	leaseTime   = 2 * time.Minute // without a word from its holder
)

// Backup lets do make a backup while nobody else makes one, and records what came
// of it. actor is an operator on the service's host, or the service itself; holder
// says who does it, to people. Faults: backup.running.
func (s *Service) Backup(ctx context.Context, actor Actor, holder string, do func(ctx context.Context) (store.Backup, error)) error {
	take := func(ctx context.Context) error {
		return s.c.DB.Update(ctx, func(tx *store.Tx) error {
			if actor.Kind != KindSystem {
				if _, _, err := can(tx, actor, backupCreate, 0, false); err != nil {
					return err
				}
			}
			ok, err := tx.TakeLease(store.Lease{Name: backupLease, Holder: holder, Until: tx.Now.Add(leaseTime)})
			if err == nil && !ok {
				err = fault.New(fault.Conflict, "backup.running")
			}
			return err
		})
	}
	if err := take(ctx); err != nil {
		return s.refused(ctx, actor, backupCreate, err)
	}
	begun := s.c.DB.Now()
	working, stop := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		for {
			select {
			case <-working.Done():
				return
			case <-time.After(leaseTime / 4):
				if err := take(working); err != nil {
					stop(err)
				}
			}
		}
	}()
	b, err := do(working)
	if cause := context.Cause(working); err != nil && cause != nil && ctx.Err() == nil {
		err = cause // the lease was lost
	}
	stop(nil)
	<-renewed
	b.BegunAt = begun
	if err != nil {
		b.Reason = said(err)
	}
	return errors.Join(err, s.c.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := tx.EndLease(backupLease, holder); err != nil {
			return err
		}
		if err := tx.InsertBackup(b); err != nil {
			return err
		}
		if b.Reason != "" {
			return record(tx, actor, "backup.fail", 0, b.Place, "reason", b.Reason)
		}
		return record(tx, actor, backupCreate, 0, b.ID, "place", b.Place, "host", b.Host)
	}))
}

// said is why something failed, in the words of the system, for those who run it.
func said(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	if reason, ok := f.Args["reason"].(string); ok {
		return reason
	}
	if cause := f.Unwrap(); cause != nil {
		return cause.Error()
	}
	return f.Key
}

// System is the state of the service, for those who run it.
type System struct {
	Version       string
	Engine        string // sqlite, postgres
	Schema, Known int64  // migration numbers: of the database, of the program
	Size          int64  // of the database, bytes
	DiskFree      int64  // where this node's data is, bytes; -1: not known

	Waiting, Failed int64     // letters
	Oldest          time.Time // of the waiting ones; zero: none

	Webhooks store.WebhookBacklog

	Nodes  []store.Node
	Leases []store.Lease

	Backup  store.Backup   // the last good one; zero: none
	Backups []store.Backup // those that were tried, the newest first

	Jobs    []store.Job // that run or are being read, of all accounts
	Keys    []MailKey
	Certs   []Certificate
	Streams []EventStream
	Places  []Door
}

// MailKey is a DKIM key that signs now.
type MailKey struct {
	Domain, Selector string
	Since            time.Time // zero: of the configuration
}

// Certificate is one that a door shows.
type Certificate struct {
	Door  string // tls, gateway
	File  string
	Until time.Time
	Wrong string // why it cannot be read, "" = it can
}

// EventStream is a receiver of the audit log's events.
type EventStream struct {
	Name         string
	Waiting      int64
	FailingSince time.Time // zero: it took the last ones
	LastError    string
}

// Door is how full a door of this node is.
type Door struct {
	Name          string // gateway
	Open, Most    int
	Strangers     int // of Open
	MostStrangers int
}

// System returns what the database knows of the state of the service; the
// certificates and the like are the server's to add.
func (s *Service) System(ctx context.Context, actor Actor) (out System, err error) {
	out.Engine, out.DiskFree = s.c.DB.Engine(), -1
	if out.Schema, out.Known, err = s.c.DB.Schema(ctx); err != nil {
		return out, err
	}
	err = s.look(ctx, actor, systemView, 0, func(tx *store.Tx, _ store.Account) (err error) {
		if out.Size, err = tx.Size(); err != nil {
			return err
		}
		if out.Waiting, out.Failed, out.Oldest, err = tx.CountOutbox(); err != nil {
			return err
		}
		if out.Webhooks, err = tx.WebhookBacklog(); err != nil {
			return err
		}
		if out.Nodes, err = tx.ListNodes(); err != nil {
			return err
		}
		if out.Leases, err = tx.ListLeases(); err != nil {
			return err
		}
		if out.Backups, err = tx.ListBackups(10); err != nil {
			return err
		}
		if out.Backup, err = tx.FindGoodBackup(); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if out.Jobs, err = tx.ListRunningJobs(50); err != nil {
			return err
		}
		keys, err := tx.ListActiveDKIMKeys()
		for _, k := range keys {
			out.Keys = append(out.Keys, MailKey{k.Domain, k.Selector, k.ChangedAt})
		}
		return err
	})
	return out, err
}

// LastBackup returns the last backup that was tried, store.ErrNotFound where none was.
func (s *Service) LastBackup(ctx context.Context) (b store.Backup, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		all, err := tx.ListBackups(1)
		if err == nil && len(all) == 0 {
			err = store.ErrNotFound
		}
		if err == nil {
			b = all[0]
		}
		return err
	})
	return b, err
}

// Beat says that a program serves on this database, its clock and its disk.
func (s *Service) Beat(ctx context.Context, n store.Node) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error {
		clock, err := tx.Clock()
		if err != nil {
			return err
		}
		n.Skew = s.c.DB.Now().Sub(clock).Round(time.Millisecond)
		return tx.KeepNode(n)
	})
}

// EndBeat says that it stops.
func (s *Service) EndBeat(ctx context.Context, id string) error {
	return s.c.DB.Update(ctx, func(tx *store.Tx) error { return tx.DeleteNode(id) })
}
