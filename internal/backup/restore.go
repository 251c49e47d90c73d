package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"crypto/sha256"

	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/store"
)

// Find is the directory of one backup: that at path itself, or the newest in it.
// Faults: backup.none.
func Find(path string) (string, error) {
	path = filepath.Clean(path)
	if exists(filepath.Join(path, manifest)) {
		return path, nil
	}
	all, err := List(path)
	if err == nil && len(all) == 0 || errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "backup.none").With("dir", path).Because(err)
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(path, all[0].ID), nil
}

// Problem is what is wrong with a backup: a file, and how.
type Problem struct{ File, Why string } // Why: missing, altered, unreadable

// Verify reads the backup in dir whole. With a root key it also decrypts what is
// encrypted; nil looks at sizes and sums only.
func Verify(ctx context.Context, dir string, root *masterkey.Root) (m Manifest, bad []Problem, err error) {
	if m, err = read(dir); err != nil {
		return m, nil, err
	}
	look := func(path string, want File) error {
		why, err := differs(ctx, path, want)
		if why != "" {
			bad = append(bad, Problem{path, why})
		}
		return err
	}
	err = errors.Join(look(filepath.Join(dir, "database"), m.Database), look(filepath.Join(dir, "blobs"), m.List))
	if err != nil || len(bad) > 0 {
		return m, bad, err
	}
	above, n := filepath.Dir(dir), 0
	if err := eachBlob(dir, func(name string, f File) error { n++; return look(blobPath(above, name), f) }); err != nil {
		return m, bad, err
	}
	if n != m.Blobs {
		bad = append(bad, Problem{filepath.Join(dir, "blobs"), "altered"})
	}
	if !exists(filepath.Join(above, keysFile)) {
		bad = append(bad, Problem{filepath.Join(above, keysFile), "missing"})
	} else if root != nil {
		if _, err := readKeys(above, root); err != nil {
			bad = append(bad, Problem{filepath.Join(above, keysFile), "unreadable"})
		}
		if err := openDatabase(ctx, dir, m, root, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }); errors.Is(err, errSealed) {
			bad = append(bad, Problem{filepath.Join(dir, "database"), "unreadable"})
		} else if err != nil {
			return m, bad, err
		}
	}
	return m, bad, nil
}

// differs says why a file is not what it should be, "" where it is.
func differs(ctx context.Context, path string, want File) (string, error) {
	sum := &counter{Hash: sha256.New()}
	if err := copyFile(ctx, sum, path); errors.Is(err, fs.ErrNotExist) {
		return "missing", nil
	} else if err != nil {
		return "", err
	}
	if sum.file() != want {
		return "altered", nil
	}
	return "", nil
}

func readKeys(above string, root *masterkey.Root) (keys store.Keys, err error) {
	f, err := os.Open(filepath.Join(above, keysFile))
	if err != nil {
		return keys, err
	}
	defer f.Close()
	r, err := unseal(f, root, "backup/keys")
	if err != nil {
		return keys, err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return keys, err
	}
	return keys, json.Unmarshal(raw, &keys)
}

func openDatabase(ctx context.Context, dir string, m Manifest, root *masterkey.Root, use func(io.Reader) error) error {
	f, err := os.Open(filepath.Join(dir, "database"))
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := unseal(patient{ctx, f}, root, "backup/database/"+m.ID)
	if err != nil {
		return err
	}
	return use(r)
}

// Restored is where Restore put a service.
type Restored struct {
	Manifest
	Dir      string // to be data_dir
	Database string // to be database, without a password
}

// Restore makes a service's data of the backup in dir: in the directory to,
// which must be empty or missing, with the database in it, or, of PostgreSQL, in
// the empty database at url. known is the newest schema that this program knows.
// Beside it stands a mark that the log was longer: pli serve asks an operator first.
// Faults: backup.broken, backup.newer, backup.notempty, backup.wrongkey, backup.engine.
func Restore(ctx context.Context, dir, to, url string, root *masterkey.Root, known int64) (out Restored, err error) {
	m, err := read(dir)
	if err != nil {
		return out, err
	}
	out = Restored{Manifest: m, Dir: to, Database: "sqlite:" + filepath.Join(to, "pli.db")}
	isPostgres := m.Engine == "postgres"
	above := filepath.Dir(dir)
	var own owner
	switch err := readJSON(filepath.Join(above, repository), &own); {
	case err != nil:
		return out, fault.New(fault.NotFound, "backup.none").With("dir", above).Because(err)
	case own.Service != serviceOf(root):
		return out, fault.New(fault.Invalid, "backup.wrongkey")
	case m.Schema > known:
		return out, fault.New(fault.Invalid, "backup.newer").With("dir", dir)
	case isPostgres && !strings.HasPrefix(url, "postgres"):
		return out, fault.New(fault.Invalid, "backup.engine")
	}
	keys, err := readKeys(above, root)
	if err != nil {
		return out, fault.New(fault.Invalid, "backup.broken").With("file", filepath.Join(above, keysFile)).Because(err)
	}
	if isPostgres {
		out.Database = "" // as configured
		if err := store.IsEmpty(ctx, url); errors.Is(err, store.ErrNotEmpty) {
			return out, fault.New(fault.Conflict, "backup.notempty").With("dir", "PostgreSQL")
		} else if err != nil {
			return out, err
		}
	}
	if err := empty(to); err != nil {
		return out, err
	}
	// First what no start can do without: until the database is there, and after, the
	// log is shorter than it was, as the mark says.
	mark := fmt.Sprintf("%d\n", m.AuditPos+1)
	if _, err := put(filepath.Join(to, "audit.mark"), strings.NewReader(mark)); err != nil {
		return out, err
	}
	if err := restoreBlobs(ctx, dir, filepath.Join(to, "blobs"), m); err != nil {
		return out, err
	}
	if isPostgres {
		if err := openDatabase(ctx, dir, m, root, func(r io.Reader) error { return load(ctx, url, r) }); err != nil {
			return out, broken(dir, err)
		}
		return out, store.PutKeys(ctx, url, keys)
	}
	path := filepath.Join(to, "pli.db"+partial)
	if err := openDatabase(ctx, dir, m, root, func(r io.Reader) error { _, err := put(path, r); return err }); err != nil {
		return out, broken(dir, err)
	}
	if err := store.PutKeys(ctx, "sqlite:"+path, keys); err != nil {
		return out, err
	}
	return out, errors.Join(os.Rename(path, filepath.Join(to, "pli.db")), blob.SyncDir(to))
}

func broken(dir string, err error) error {
	if errors.Is(err, errSealed) {
		return fault.New(fault.Invalid, "backup.broken").With("file", filepath.Join(dir, "database")).Because(err)
	}
	return err
}

// empty makes a directory, or sees that nothing is in it.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if len(entries) > 0 {
		return fault.New(fault.Conflict, "backup.notempty").With("dir", dir)
	}
	return nil
}

func restoreBlobs(ctx context.Context, dir, to string, m Manifest) error {
	if _, err := blob.New(to); err != nil { // which makes the directory
		return err
	}
	if why, err := differs(ctx, filepath.Join(dir, "blobs"), m.List); err != nil || why != "" {
		return errors.Join(err, fault.New(fault.Invalid, "backup.broken").With("file", filepath.Join(dir, "blobs")))
	}
	return eachBlob(dir, func(name string, want File) error {
		path := blobPath(filepath.Dir(dir), name)
		f, err := os.Open(path)
		if err != nil {
			return fault.New(fault.Invalid, "backup.broken").With("file", path).Because(err)
		}
		defer f.Close()
		got, err := put(filepath.Join(to, name), patient{ctx, f})
		if err == nil && got != want {
			return fault.New(fault.Invalid, "backup.broken").With("file", path)
		}
		return err
	})
}
