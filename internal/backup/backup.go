// Package backup copies a running service into a directory and makes a service
// of such a copy again.
//
//	DIR/repository.json      whose backups are here
//	DIR/keys                 keys of accounts and months, as of the newest backup
//	DIR/blobs/ab/ab12…       ciphertext, of all backups together
//	DIR/20261127T013000Z/    one backup: manifest.json, database, blobs (their names and sums)
//
// The database and the keys are encrypted under the root key, which is not in
// it. As the keys are there once, and replaced by each backup, what is destroyed
// in the service can be read from no older backup after the next one.
package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

const (
	format     = 1
	partial    = ".part"
	idLayout   = "20060102T150405Z"
	manifest   = "manifest.json"
	keysFile   = "keys"
	repository = "repository.json"
)

// Manifest is what a backup has, as manifest.json beside it.
type Manifest struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Version   string    `json:"version"`   // of Pli
	Engine    string    `json:"engine"`    // sqlite, postgres
	Schema    int64     `json:"schema"`    // of the database
	AuditPos  int64     `json:"audit_pos"` // records of the audit log that had their place
	Database  File      `json:"database"`
	List      File      `json:"list"`  // of the blobs
	Blobs     int       `json:"blobs"` // how many
	BlobBytes int64     `json:"blob_bytes"`
	Gone      int       `json:"gone"` // blobs that the service deleted while it was copied

	Added int64 `json:"-"` // bytes written by Create
}

// Size is all that a restored service takes, in bytes, without its indexes.
func (m Manifest) Size() int64 { return m.Database.Size + m.BlobBytes }

// File is one file of a backup as it lies there.
type File struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type owner struct {
	Format  int    `json:"format"`
	Service string `json:"service"` // of one root key
}

func serviceOf(root *masterkey.Root) string {
	return hex.EncodeToString(root.MAC("backup repository")[:16])
}

// Config is what Create needs.
type Config struct {
	DB       *store.DB
	URL      string // of the database, for pg_dump
	Root     *masterkey.Root
	Blobs    *blob.Store
	Scratch  string // directory for a copy of SQLite's database, while it is encrypted
	Version  string
	To       string // directory
	Keep     int    // how many backups stay there; 0: all
	Progress func() // called now and then, may be nil
}

// Create makes a backup while the service runs, and removes those that are too
// many. What is whole has its name; one that was broken off has not.
// Faults: backup.foreign, backup.pgdump, backup.nodump.
func Create(ctx context.Context, c Config) (m Manifest, err error) {
	if err := c.claim(); err != nil {
		return m, err
	}
	if err := dropPartial(c.To); err != nil {
		return m, err
	}
	now := c.DB.Now().UTC()
	m = Manifest{Format: format, CreatedAt: now.Truncate(time.Second), Version: c.Version, Engine: c.DB.Engine()}
	for m.ID = now.Format(idLayout); exists(filepath.Join(c.To, m.ID)); m.ID = now.Format(idLayout) { // one in the same second
		now = now.Add(time.Second)
	}
	dir := filepath.Join(c.To, m.ID+partial)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return m, fmt.Errorf("make backup: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	known, err := knownSums(c.To)
	if err != nil {
		return m, err
	}
	var keys store.Keys
	err = c.DB.Snapshot(ctx, c.Scratch, func(s *store.Snapshot) error {
		m.Schema, m.AuditPos, keys = s.Schema, s.AuditPos, s.Keys()
		if m.Database, err = c.database(ctx, s, filepath.Join(dir, "database"), m.ID); err != nil {
			return err
		}
		return c.blobs(ctx, s, dir, known, &m)
	})
	if err != nil {
		return m, err
	}
	if err := c.keys(keys); err != nil {
		return m, err
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return m, err
	}
	if _, err := put(filepath.Join(dir, manifest), bytes.NewReader(append(text, '\n'))); err != nil {
		return m, err
	}
	if err := errors.Join(blob.SyncDir(dir), os.Rename(dir, filepath.Join(c.To, m.ID)), blob.SyncDir(c.To)); err != nil {
		return m, fmt.Errorf("finish backup: %w", err)
	}
	m.Added += m.Database.Size
	return m, prune(c.To, c.Keep)
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// claim makes the directory this service's, and refuses another's.
func (c Config) claim() error {
	if err := os.MkdirAll(filepath.Join(c.To, "blobs"), 0o700); err != nil {
		return fmt.Errorf("make backup directory: %w", err)
	}
	path, own := filepath.Join(c.To, repository), owner{format, serviceOf(c.Root)}
	var there owner
	err := readJSON(path, &there)
	if errors.Is(err, fs.ErrNotExist) {
		text, err := json.Marshal(own)
		if err == nil {
			_, err = put(path, bytes.NewReader(append(text, '\n')))
		}
		return err
	}
	if err != nil {
		return err
	}
	if there != own {
		return fault.New(fault.Conflict, "backup.foreign").With("dir", c.To).Because(errors.New("it has the backups of another service"))
	}
	return nil
}

// database writes the encrypted copy of the database.
func (c Config) database(ctx context.Context, s *store.Snapshot, path, id string) (File, error) {
	return write(path, func(w io.Writer) error {
		enc, err := seal(w, c.Root, "backup/database/"+id)
		if err != nil {
			return err
		}
		if s.File == "" {
			err = dump(ctx, c.URL, s.Name, enc)
		} else {
			err = copyFile(ctx, enc, s.File)
		}
		if err != nil {
			return err
		}
		return enc.Close()
	})
}

func copyFile(ctx context.Context, to io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, patient{ctx, f})
	return err
}

// patient reads until ctx ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// blobs copies what the snapshot names and is not there yet, and lists all.
func (c Config) blobs(ctx context.Context, s *store.Snapshot, dir string, known map[string]File, m *Manifest) (err error) {
	m.List, err = write(filepath.Join(dir, "blobs"), func(w io.Writer) error {
		done := map[string]bool{}
		return s.Blobs(func(name string) error {
			if done[name] {
				return nil
			}
			done[name] = true
			if c.Progress != nil {
				c.Progress()
			}
			path := blobPath(c.To, name)
			f, ok := known[name]
			if info, err := os.Stat(path); !ok || err != nil || info.Size() != f.Size {
				if f, err = c.blob(ctx, name, path); errors.Is(err, blob.ErrNotFound) {
					m.Gone++
					return nil
				} else if err != nil {
					return err
				}
				m.Added += f.Size
			}
			m.Blobs, m.BlobBytes = m.Blobs+1, m.BlobBytes+f.Size
			_, err := fmt.Fprintf(w, "%s %d %s\n", name, f.Size, f.SHA256)
			return err
		})
	})
	return err
}

func blobPath(dir, name string) string { return filepath.Join(dir, "blobs", name[:2], name) }

func (c Config) blob(ctx context.Context, name, path string) (File, error) {
	r, _, err := c.Blobs.Open(name)
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return File{}, err
	}
	return put(path, patient{ctx, r})
}

// keys replaces the keys that were there.
func (c Config) keys(keys store.Keys) error {
	text, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	_, err = write(filepath.Join(c.To, keysFile), func(w io.Writer) error {
		enc, err := seal(w, c.Root, "backup/keys")
		if err != nil {
			return err
		}
		if _, err := enc.Write(text); err != nil {
			return err
		}
		return enc.Close()
	})
	return err
}

// put writes a file from r.
func put(path string, r io.Reader) (File, error) {
	return write(path, func(w io.Writer) error { _, err := io.Copy(w, r); return err })
}

// write makes a file whole, durable and its owner's only, or not at all.
func write(path string, fill func(io.Writer) error) (_ File, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "*"+partial) // mode 0600
	if err != nil {
		return File{}, fmt.Errorf("write backup: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	sum := &counter{Hash: sha256.New()}
	b := bufio.NewWriterSize(io.MultiWriter(f, sum), 256<<10)
	if err := fill(b); err != nil {
		return File{}, err
	}
	if err := errors.Join(b.Flush(), f.Sync()); err != nil {
		return File{}, fmt.Errorf("write backup: %w", err)
	}
	if err := errors.Join(f.Close(), os.Rename(f.Name(), path), blob.SyncDir(filepath.Dir(path))); err != nil {
		return File{}, fmt.Errorf("write backup: %w", err)
	}
	return sum.file(), nil
}

type counter struct {
	hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return c.Hash.Write(p) }

func (c *counter) file() File { return File{c.n, hex.EncodeToString(c.Sum(nil))} }

func readJSON(path string, to any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

var isID = regexp.MustCompile(`^\d{8}T\d{6}Z$`).MatchString

// List returns the whole backups in a directory, the newest first.
func List(dir string) (out []Manifest, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !isID(e.Name()) {
			continue
		}
		m, err := read(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.Reverse(out)
	return out, nil
}

// read reads the manifest of one backup. Faults: backup.none, backup.newer.
func read(dir string) (m Manifest, err error) {
	if err := readJSON(filepath.Join(dir, manifest), &m); errors.Is(err, fs.ErrNotExist) {
		return m, fault.New(fault.NotFound, "backup.none").With("dir", dir).Because(err)
	} else if err != nil {
		return m, err
	}
	if m.Format != format {
		return m, fault.New(fault.Invalid, "backup.newer").With("dir", dir)
	}
	return m, nil
}

// eachBlob calls fn for each blob of the backup in dir.
func eachBlob(dir string, fn func(name string, f File) error) error {
	f, err := os.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		part := strings.Fields(lines.Text())
		if len(part) != 3 || len(part[0]) != 32 || strings.Trim(part[0], "0123456789abcdef") != "" {
			return fmt.Errorf("read the list of blobs in %s: a line is none", dir)
		}
		n, err := strconv.ParseInt(part[1], 10, 64)
		if err != nil {
			return fmt.Errorf("read the list of blobs in %s: %w", dir, err)
		}
		if err := fn(part[0], File{n, part[2]}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// knownSums are the blobs that the backups there have: none is read again.
func knownSums(dir string) (map[string]File, error) {
	out := map[string]File{}
	all, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if err := eachBlob(filepath.Join(dir, m.ID), func(name string, f File) error { out[name] = f; return nil }); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// dropPartial removes what a run that was broken off left.
func dropPartial(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partial) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// prune keeps the newest backups, and the blobs that they name. One that is
// removed loses its name first, so that it never looks whole without them.
func prune(dir string, keep int) error {
	all, err := List(dir)
	if err != nil {
		return err
	}
	if keep > 0 && len(all) > keep {
		for _, m := range all[keep:] {
			path := filepath.Join(dir, m.ID)
			if err := os.Rename(path, path+partial); err != nil {
				return fmt.Errorf("remove old backup: %w", err)
			}
			if err := os.RemoveAll(path + partial); err != nil {
				return fmt.Errorf("remove old backup: %w", err)
			}
		}
	}
	named, err := knownSums(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if _, ok := named[e.Name()]; ok {
			return nil
		}
		return os.Remove(path)
	})
}
