package spool_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pli-mail/pli/internal/spool"
)

func write(t testing.TB, data []byte) *spool.File {
	t.Helper()
	f := spool.New(t.TempDir())
	t.Cleanup(func() { f.Close() })
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(100_000))
		if _, err := f.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	return f
}

func read(f *spool.File) ([]byte, error) {
	r, err := f.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		data := bytes.Repeat([]byte("plain text "), n/11+1)[:n]
		f := write(t, data)
		if f.Size() != int64(n) {
			t.Errorf("size %d, want %d", f.Size(), n)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if got, err := read(f); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes: read %d, %v", n, len(got), err)
				}
			})
		}
		wg.Wait()
	}
}

func TestPlainTextIsNotOnDisk(t *testing.T) {
	t.Parallel()
	f := write(t, bytes.Repeat([]byte("very secret words "), 20_000))
	disk := make([]byte, f.Size()+1<<20)
	n, _ := f.Disk().ReadAt(disk, 0)
	if int64(n) < f.Size() {
		t.Fatalf("%d bytes on disk for %d", n, f.Size())
	}
	if bytes.Contains(disk[:n], []byte("secret")) {
		t.Error("plain text is on the disk")
	}
}

func TestChangedFileIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *spool.File) error{
		"first byte": func(f *spool.File) error { _, err := f.Disk().WriteAt([]byte{1, 2, 3}, 0); return err },
		"last tag":   func(f *spool.File) error { _, err := f.Disk().WriteAt(make([]byte, 16), 200_000+3*16); return err },
		"truncated":  func(f *spool.File) error { return f.Disk().Truncate(100_000) },
		"at a chunk": func(f *spool.File) error { return f.Disk().Truncate(64<<10 + 16) },
		"chunks swapped": func(f *spool.File) error {
			a, b := make([]byte, 64<<10+16), make([]byte, 64<<10+16)
			f.Disk().ReadAt(a, 0)
			f.Disk().ReadAt(b, int64(len(a)))
			f.Disk().WriteAt(b, 0)
			_, err := f.Disk().WriteAt(a, int64(len(a)))
			return err
		},
	} {
		f := write(t, bytes.Repeat([]byte("x"), 200_000))
		if err := change(f); err != nil {
			t.Fatal(err)
		}
		if _, err := read(f); !errors.Is(err, spool.ErrChanged) {
			t.Errorf("%s: %v, want ErrChanged", name, err)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := spool.New(dir)
	if _, err := f.Reader(); !errors.Is(err, spool.ErrState) {
		t.Errorf("reader before finish: %v", err)
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, spool.ErrState) {
		t.Errorf("write after finish: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := f.Reader(); !errors.Is(err, spool.ErrState) {
		t.Errorf("reader after close: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := spool.New(filepath.Join(dir, "none")).Write(make([]byte, 1<<20)); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"pli-spool-1", "pli-spool-2", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := spool.Sweep(dir); n != 2 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
