package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/store"
)

// markEvery is how often the file beside the database is written: what was
// chained since may be missing in a database without being noticed by it.
const markEvery = 10 * time.Second

// RolledBack is a database whose log ends before one that was seen: it is an
// older copy, and what was locked, ended or withdrawn since is so no more.
type RolledBack struct {
	Mark      string
	Seen, Has int64 // how many records the log had, and has
}

func (e *RolledBack) Error() string {
	return fmt.Sprintf("the database is older than its audit log: %s has seen %d events, and there are %d", e.Mark, e.Seen, e.Has)
}

// CheckMark returns *RolledBack where the database is behind the file beside it.
func (n *Notary) CheckMark(ctx context.Context) error {
	if n.c.Mark == "" {
		return nil
	}
	raw, err := os.ReadFile(n.c.Mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the audit log's mark: %w", err)
	}
	seen, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return fmt.Errorf("read the audit log's mark: %s is not a number", n.c.Mark)
	}
	has, err := n.pos(ctx)
	if err != nil {
		return err
	}
	if has < seen {
		return &RolledBack{n.c.Mark, seen, has}
	}
	return nil
}

func (n *Notary) pos(ctx context.Context) (pos int64, err error) {
	err = n.c.DB.View(ctx, func(tx *store.Tx) (err error) { pos, err = tx.NotaryPos(); return err })
	if err != nil {
		return 0, fmt.Errorf("read the audit log's length: %w", err)
	}
	return pos, nil
}

// mark writes how long the log is, unless it did so just now.
func (n *Notary) mark(ctx context.Context) error {
	n.mu.Lock()
	due := n.c.Mark != "" && time.Since(n.markedAt) >= markEvery
	n.mu.Unlock()
	if !due {
		return nil
	}
	var back *RolledBack
	if err := n.CheckMark(ctx); errors.As(err, &back) { // it is never taken back but by Accept
		n.mu.Lock()
		n.markedAt = time.Now()
		n.mu.Unlock()
		n.c.Log.Error("the audit log was cut, or its database put back in time", "error", err)
		return nil
	}
	return n.Mark(ctx)
}

// Mark writes how long the log is into the file beside the database, whatever
// the file said.
func (n *Notary) Mark(ctx context.Context) error {
	if n.c.Mark == "" {
		return nil
	}
	pos, err := n.pos(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.markedAt = time.Now()
	if pos == n.marked {
		return nil
	}
	if err := write(n.c.Mark, strconv.FormatInt(pos, 10)+"\n"); err != nil {
		return fmt.Errorf("write the audit log's mark: %w", err)
	}
	n.marked = pos
	return nil
}

// write replaces a file whole: what is read is never half of it.
func write(path, content string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".audit-mark-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(content)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Accept takes the database as it is for the log, for an operator who has
// restored a backup knowingly, and records that. It returns how many events the
// file beside it had seen, and how many there are.
func (n *Notary) Accept(ctx context.Context, actor, origin string) (seen, has int64, err error) {
	var back *RolledBack
	if err := n.CheckMark(ctx); err != nil && !errors.As(err, &back) {
		return 0, 0, err
	}
	if back == nil {
		has, err = n.pos(ctx)
		return has, has, err
	}
	if err := n.c.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertAudit(store.AuditRow{Actor: actor, Action: "audit.accept", Target: "audit", Origin: origin,
			Detail: map[string]string{"seen": strconv.FormatInt(back.Seen, 10), "has": strconv.FormatInt(back.Has, 10)}})
	}); err != nil {
		return 0, 0, fmt.Errorf("record the acceptance: %w", err)
	}
	return back.Seen, back.Has, n.Mark(ctx)
}
