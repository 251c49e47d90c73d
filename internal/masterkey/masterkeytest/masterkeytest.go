// Package masterkeytest makes a master key for a test.
package masterkeytest

import (
	"path/filepath"
	"testing"

	"github.com/pli-mail/pli/internal/masterkey"
)

// Root returns a new master key, whose file goes with the test.
func Root(t testing.TB) *masterkey.Root {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := masterkey.Create(path); err != nil {
		t.Fatal(err)
	}
	root, err := masterkey.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
