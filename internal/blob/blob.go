// Package blob keeps ciphertext in a directory, one file per blob, under random
// names. It never sees plain text, so what it leaves on a disk opens nothing.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/id"
)

// ErrNotFound is a name under which nothing is kept.
var ErrNotFound = errors.New("no such blob")

// Store is a directory of blobs. Its methods are safe for concurrent use, also
// by several processes.
type Store struct{ dir string }

// New opens the directory, which it makes, readable by its owner only, where it is missing.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Store{dir}, nil
}

// Writer takes the bytes of one blob. It ends by Commit or Abort.
type Writer struct {
	ctx context.Context
	s   *Store
	f   *os.File
	err error // the first of Write; Commit refuses then
}

const unfinished = ".new"

// Create begins a blob, which has no name until Commit. Writes fail once ctx is done.
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, id.New()+unfinished), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create blob: %w", err)
	}
	return &Writer{ctx: ctx, s: s, f: f}, nil
}

// Write appends b.
func (w *Writer) Write(b []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(b)
	w.err = err
	return n, err
}

// Commit makes the blob durable and returns its name. After an error nothing is kept.
func (w *Writer) Commit() (name string, err error) {
	temporary := w.f.Name()
	name = strings.TrimSuffix(filepath.Base(temporary), unfinished)
	err = w.err
	if err == nil {
		err = w.f.Sync()
	}
	err = errors.Join(err, w.f.Close())
	if err == nil {
		err = os.Rename(temporary, filepath.Join(w.s.dir, name))
	}
	if err == nil {
		err = SyncDir(w.s.dir)
	}
	if err != nil {
		os.Remove(temporary)
		return "", fmt.Errorf("commit blob: %w", err)
	}
	return name, nil
}

// Abort forgets the blob. After Commit it does nothing.
func (w *Writer) Abort() {
	if w.f.Close() == nil { // otherwise Commit has closed it
		os.Remove(w.f.Name())
	}
}

// Open returns the blob and its size in bytes, or ErrNotFound. The caller must
// close it. A blob that is deleted meanwhile can still be read to its end.
func (s *Store) Open(name string) (io.ReadSeekCloser, int64, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	return f, info.Size(), nil
}

// Delete removes the blob; that it is not there is no error.
func (s *Store) Delete(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// Older calls f with the name of each blob last written before t, and removes
// what was begun before t and never committed.
func (s *Store) Older(ctx context.Context, t time.Time, f func(name string) error) error {
	d, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer d.Close()
	for ctx.Err() == nil {
		entries, err := d.ReadDir(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.ModTime().Before(t) {
				continue // gone meanwhile, or young
			}
			if name := e.Name(); isName(name) {
				err = f(name)
			} else if isName(strings.TrimSuffix(name, unfinished)) {
				err = os.Remove(filepath.Join(s.dir, name))
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return ctx.Err()
}

// path refuses what is not a name of Commit: names come back from the database,
// and none may lead out of the directory.
func (s *Store) path(name string) (string, error) {
	if !isName(name) {
		return "", ErrNotFound
	}
	return filepath.Join(s.dir, name), nil
}

func isName(s string) bool { return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" }

// SyncDir makes the names in a directory durable, for whoever else keeps ciphertext as files.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
