package blob_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/blob"
)

func newStore(t *testing.T) (*blob.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blobs")
	s, err := blob.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func put(t *testing.T, s *blob.Store, text string) string {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	name, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBlob(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	name := put(t, s, "ciphertext")
	f, size, err := s.Open(name)
	if err != nil || size != 10 {
		t.Fatalf("open: %d, %v", size, err)
	}
	if err := s.Delete(name); err != nil { // a reader reads on
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "ciphertext" {
		t.Errorf("read: %q, %v", got, err)
	}
	f.Close()
	if _, _, err := s.Open(name); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("open a deleted one: %v", err)
	}
	if err := s.Delete(name); err != nil {
		t.Errorf("delete twice: %v", err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

func TestAbortAndFailureLeaveNothing(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "x")
	w.Abort()
	w.Abort()
	ctx, cancel := context.WithCancel(t.Context())
	if w, err = s.Create(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.WriteString(w, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("write after cancel: %v", err)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("commits after a failed write")
	}
	w.Abort()
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A name comes back from a database: it must not lead out of the directory.
func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	secret := filepath.Join(filepath.Dir(dir), strings.Repeat("a", 32))
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../" + filepath.Base(secret), strings.Repeat("A", 32), strings.Repeat("a", 31) + "/", strings.Repeat("a", 28) + ".new"} {
		if _, _, err := s.Open(name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("open %q: %v", name, err)
		}
		if err := s.Delete(name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	old, young := put(t, s, "old"), put(t, s, "young")
	w, err := s.Create(t.Context()) // never committed
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	past := time.Now().Add(-time.Hour)
	for _, name := range files(t, dir) {
		if name != young {
			if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	err = s.Older(t.Context(), time.Now().Add(-time.Minute), func(name string) error {
		got = append(got, name)
		return nil
	})
	if err != nil || !slices.Equal(got, []string{old}) {
		t.Errorf("older: %v, %v", got, err)
	}
	left := files(t, dir)
	slices.Sort(left)
	want := []string{old, young}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: %v", left)
	}
}
