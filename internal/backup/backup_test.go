package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/backup"
	"github.com/pli-mail/pli/internal/blob"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/masterkey"
	"github.com/pli-mail/pli/internal/masterkey/masterkeytest"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

type house struct {
	db    *store.DB
	blobs *blob.Store
	root  *masterkey.Root
	c     backup.Config
}

var epochBox = []byte("the box of a month's key")

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	blobs, err := blob.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &house{db: db, blobs: blobs, root: masterkeytest.Root(t)}
	h.c = backup.Config{DB: db, URL: storetest.Address(t, db), Root: h.root, Blobs: blobs, Scratch: t.TempDir(), Version: "test", To: t.TempDir()}
	h.update(t, func(tx *store.Tx) error {
		err := tx.InsertAccount(store.Account{ID: 100042, Name: "Example Health", Language: "en", TimeZone: "Europe/Paris", State: store.AccountActive})
		if err == nil {
			_, err = tx.KeepAccountKey(store.AccountKey{AccountID: 100042, Version: 1, Root: 1, Box: []byte("the box of the account's key")})
		}
		if err == nil {
			_, err = tx.KeepEpochKey(store.EpochKey{AccountID: 100042, Month: 202601, Version: 1, Box: epochBox})
		}
		return err
	})
	return h
}

func (h *house) update(t *testing.T, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := h.db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// keep writes a blob that the database names.
func (h *house) keep(t *testing.T, content string) string {
	t.Helper()
	w, err := h.blobs.Create(t.Context())
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, func(tx *store.Tx) error {
		if err := tx.InsertStage(store.Stage{ID: name, TokenHash: name, ExpiresAt: tx.Now.Add(time.Hour)}); err != nil {
			return err
		}
		return tx.FillStage(name, name, tx.Now.Add(time.Hour))
	})
	return name
}

func (h *house) create(t *testing.T) backup.Manifest {
	t.Helper()
	m, err := backup.Create(t.Context(), h.c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// restore makes a service of a backup and returns its directory and its database.
func (h *house) restore(t *testing.T, id string) (string, *store.DB) {
	t.Helper()
	dir, url := filepath.Join(t.TempDir(), "restored"), ""
	if h.db.Engine() == "postgres" {
		url = storetest.EmptyPostgres(t)
	}
	_, known, err := h.db.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := backup.Restore(t.Context(), filepath.Join(h.c.To, id), dir, url, h.root, known)
	if err != nil {
		t.Fatal(err)
	}
	if url == "" {
		url = out.Database
	}
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return dir, db
}

func (h *house) problems(t *testing.T, id string, root *masterkey.Root) []backup.Problem {
	t.Helper()
	_, bad, err := backup.Verify(t.Context(), filepath.Join(h.c.To, id), root)
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

func epoch(t *testing.T, db *store.DB) (k store.EpochKey) {
	t.Helper()
	if err := db.View(t.Context(), func(tx *store.Tx) (err error) { k, err = tx.FindEpochKey(100042, 202601); return err }); err != nil {
		t.Fatal(err)
	}
	return k
}

// What comes back is what was there, whichever engine; what is at rest in
// the backup tells nobody anything.
func TestRestore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		name := h.keep(t, "ciphertext")
		m := h.create(t)
		if m.Blobs != 1 || m.BlobBytes != 10 || m.Gone != 0 || m.Schema == 0 || m.Engine != db.Engine() {
			t.Errorf("%+v", m)
		}
		if bad := h.problems(t, m.ID, h.root); len(bad) > 0 {
			t.Errorf("a good one is %v", bad)
		}
		filepath.WalkDir(h.c.To, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte("Example Health")) || bytes.Contains(raw, epochBox) {
				t.Errorf("%s is in clear", path)
			}
			return err
		})
		dir, back := h.restore(t, m.ID)
		if k := epoch(t, back); !bytes.Equal(k.Box, epochBox) {
			t.Errorf("the key came back as %+v", k)
		}
		if err := back.View(t.Context(), func(tx *store.Tx) error {
			a, err := tx.FindAccount(100042)
			if a.Name != "Example Health" {
				t.Errorf("%+v", a)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if raw, err := os.ReadFile(filepath.Join(dir, "blobs", name)); err != nil || string(raw) != "ciphertext" {
			t.Errorf("%q %v", raw, err)
		}
		if raw, err := os.ReadFile(filepath.Join(dir, "audit.mark")); err != nil || strings.TrimSpace(string(raw)) == "0" {
			t.Errorf("the mark is %q: %v", raw, err)
		}
	})
}

// AT-37, for backups that pli makes: the keys are those of the newest, so that
// what is destroyed comes back from no older one.
func TestDestroyedStaysSo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		first := h.create(t)
		h.update(t, func(tx *store.Tx) error {
			_, err := tx.DestroyEpochKey(store.EpochKey{AccountID: 100042, Month: 202601}, tx.Now)
			return err
		})
		h.create(t)
		_, back := h.restore(t, first.ID)
		if k := epoch(t, back); len(k.Box) > 0 || k.DestroyedAt.IsZero() {
			t.Errorf("the older backup opens a month that was destroyed: %+v", k)
		}

		h.update(t, func(tx *store.Tx) error { // the whole account is deleted
			_, err := tx.DestroyAccountKeys(100042)
			return err
		})
		h.create(t)
		_, back = h.restore(t, first.ID)
		var key store.AccountKey
		err := back.View(t.Context(), func(tx *store.Tx) (err error) { key, err = tx.FindAccountKey(100042); return err })
		if err != nil || len(key.Box) > 0 {
			t.Errorf("the older backup has the key of an account that was destroyed: %+v, %v", key, err)
		}
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(dir, id, blob string) error
		root  bool // only with the key is it found
	}{
		"a byte of the database": {func(dir, id, _ string) error { return flip(filepath.Join(dir, id, "database"), 5000) }, false},
		"the database is cut":    {func(dir, id, _ string) error { return os.Truncate(filepath.Join(dir, id, "database"), 5000) }, false},
		"a blob":                 {func(dir, _, b string) error { return flip(filepath.Join(dir, "blobs", b[:2], b), 3) }, false},
		"a blob is gone":         {func(dir, _, b string) error { return os.Remove(filepath.Join(dir, "blobs", b[:2], b)) }, false},
		"the list":               {func(dir, id, _ string) error { return os.Truncate(filepath.Join(dir, id, "blobs"), 0) }, false},
		"the keys are gone":      {func(dir, _, _ string) error { return os.Remove(filepath.Join(dir, "keys")) }, false},
		"the keys":               {func(dir, _, _ string) error { return flip(filepath.Join(dir, "keys"), 120) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, storetest.Open(t))
			b := h.keep(t, "ciphertext")
			m := h.create(t)
			if err := tt.spoil(h.c.To, m.ID, b); err != nil {
				t.Fatal(err)
			}
			if found := len(h.problems(t, m.ID, nil)) > 0; found == tt.root {
				t.Errorf("without the key: found %v", found)
			}
			if len(h.problems(t, m.ID, h.root)) == 0 {
				t.Error("with the key nothing is found")
			}
			_, err := backup.Restore(t.Context(), filepath.Join(h.c.To, m.ID), filepath.Join(t.TempDir(), "x"), "", h.root, 9999)
			if err == nil {
				t.Error("it is restored")
			}
		})
	}
}

func flip(path string, at int) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw[at] ^= 1
	return os.WriteFile(path, raw, 0o600)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	m := h.create(t)
	dir := filepath.Join(h.c.To, m.ID)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "pli.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	if _, err := masterkey.Create(other); err != nil {
		t.Fatal(err)
	}
	stranger, err := masterkey.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	for _, tt := range []struct {
		to    string
		root  *masterkey.Root
		known int64
		want  string
	}{
		{full, h.root, 9999, "backup.notempty"},
		{fresh, stranger, 9999, "backup.wrongkey"},
		{fresh, h.root, 1, "backup.newer"},
	} {
		if _, err := backup.Restore(t.Context(), dir, tt.to, "", tt.root, tt.known); !fault.HasKey(err, tt.want) {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
	theirs := h.c
	theirs.Root = stranger
	if _, err := backup.Create(t.Context(), theirs); !fault.HasKey(err, "backup.foreign") {
		t.Errorf("into another service's directory: %v", err)
	}
	if _, err := backup.Find(t.TempDir()); !fault.HasKey(err, "backup.none") {
		t.Errorf("where there is none: %v", err)
	}
	if found, err := backup.Find(h.c.To); err != nil || found != dir {
		t.Errorf("%s %v", found, err)
	}
}

// What is broken off has no name of a backup, and the next run removes it; a blob
// that is there is not copied again; no more are kept than are asked for.
func TestKeepAndBreakOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t))
	first := h.keep(t, "one")
	one := h.create(t)
	ctx, cancel := context.WithCancel(t.Context())
	broken := h.c
	broken.Progress = cancel
	h.keep(t, "two")
	if _, err := backup.Create(ctx, broken); !errors.Is(err, context.Canceled) {
		t.Fatalf("broken off: %v", err)
	}
	if all, err := backup.List(h.c.To); err != nil || len(all) != 1 || all[0].ID != one.ID {
		t.Errorf("%v %v", all, err)
	}
	half := filepath.Join(h.c.To, "20200101T000000Z.part") // as after a power cut
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	h.update(t, func(tx *store.Tx) error { _, err := tx.TakeStage(first, first); return err })
	h.c.Keep = 1
	two := h.create(t)
	if two.Blobs != 1 || two.Added != two.Database.Size+3 {
		t.Errorf("%+v", two)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("the half one is still there")
	}
	if all, _ := backup.List(h.c.To); len(all) != 1 || all[0].ID != two.ID {
		t.Errorf("kept %v", all)
	}
	if _, err := os.Stat(filepath.Join(h.c.To, "blobs", first[:2], first)); err == nil {
		t.Error("a blob that no backup names is still there")
	}
	three := h.create(t)
	if three.Added != three.Database.Size {
		t.Errorf("a blob was copied again: %+v", three)
	}
}

// Where PostgreSQL's programs are missing, it says so, and nothing looks whole.
func TestNoDump(t *testing.T) {
	h := newHouse(t, func() *store.DB {
		url := storetest.EmptyPostgres(t)
		db, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		storetest.Know(db, url)
		return db
	}())
	t.Setenv("PATH", t.TempDir())
	if _, err := backup.Create(t.Context(), h.c); !fault.HasKey(err, "backup.nodump") {
		t.Errorf("%v", err)
	}
	if all, err := backup.List(h.c.To); err != nil || len(all) > 0 {
		t.Errorf("%v %v", all, err)
	}
}
