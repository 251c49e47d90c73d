package breached_test

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/breached"
)

func TestCommon(t *testing.T) {
	t.Parallel()
	if breached.Size() < 40_000 { // a test that reads a file must fail when it finds none
		t.Fatalf("only %d passwords are built in", breached.Size())
	}
	if !strings.Contains(breached.NOTICE, "Permission is hereby granted") {
		t.Error("the list has no licence")
	}
	for _, s := range []string{"password", "PassWord", "qwertyuiop", "passwordpassword", "password2024!!", "1qaz2wsx1qaz2wsx"} {
		if !breached.Common(s) {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"", "correct horse battery staple", "spare-key-77", "ab3f-9kq2-mm4x-pp7z-8t2w", "🦊 jumps over 7 naïve œufs"} {
		if breached.Common(s) {
			t.Errorf("%q is found", s)
		}
	}
}

func TestInFile(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{"plain": "%s\n", "counted": "%s:12\n", "windows": "%s:3\r\n"} {
		for _, n := range []int{0, 1, 2, 3, 1000} {
			var lines []string
			for i := range n {
				lines = append(lines, fmt.Sprintf(format, fmt.Sprintf("%X", sha1.Sum(fmt.Appendf(nil, "stolen %d", i)))))
			}
			sort.Strings(lines)
			path := filepath.Join(t.TempDir(), "list.txt")
			if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := breached.Check(path); (err == nil) != (n > 0) {
				t.Errorf("%s, %d lines: %v", name, n, err)
			}
			for i := range n + 20 {
				in, err := breached.InFile(path, fmt.Sprintf("stolen %d", i))
				if err != nil || in != (i < n) {
					t.Fatalf("%s, %d lines: %d is found: %v, %v", name, n, i, in, err)
				}
			}
		}
	}
	path := filepath.Join(t.TempDir(), "words.txt")
	if err := os.WriteFile(path, []byte("password\n123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := breached.InFile(path, "x"); err == nil {
		t.Error("a list of words is taken for one of hashes")
	}
	if _, err := breached.InFile(filepath.Join(t.TempDir(), "none"), "x"); err == nil {
		t.Error("no error for a missing file")
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var shuffled strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&shuffled, "%X\n", sha1.Sum(fmt.Appendf(nil, "stolen %d", i)))
	}
	for name, text := range map[string]string{"words": "password\n123456\n", "empty": "", "unsorted": shuffled.String(),
		"digits": strings.Repeat("z", 40) + "\n", "one line": strings.Repeat("0", 4096)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := breached.Check(path); err == nil {
			t.Errorf("%s: taken for a list", name)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if breached.Check(path) == nil {
			t.Errorf("%s: taken for a list", path)
		}
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		breached.Common("correct horse battery staple")
	}
}
