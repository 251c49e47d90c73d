package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write docs/reference/commands again")

const commandDocs = "../../docs/reference/commands"

func englishApp(t *testing.T) *app {
	t.Helper()
	a, err := newApp(strings.NewReader(""), t.Output(), t.Output(), func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The manual of the commands is made from them, and is up to date.
func TestDocs(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = commandDocs
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := englishApp(t).root()
	root.DisableAutoGenTag = true
	if err := doc.GenMarkdownTree(root, dir); err != nil {
		t.Fatal(err)
	}
	got, want := read(t, dir), read(t, commandDocs)
	if len(got) < 30 {
		t.Fatalf("only %d pages", len(got))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/reference/commands is not up to date: go test ./cmd/pli -run TestDocs -update\n%s", d)
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(raw)
	}
	return out
}

// Every command and flag says what it is for, in both languages: a key that is
// in no catalogue would show itself.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		a := englishApp(t)
		a.p = a.catalogue.Printer(lang, nil)
		var walk func(c *cobra.Command)
		walk = func(c *cobra.Command) {
			if c.Hidden {
				return
			}
			help := c.UsageString()
			for _, text := range []string{c.Short, c.Long, help} {
				if text == "" || strings.Contains(text, "cli.") {
					t.Errorf("%s: %s has no help: %q", lang, c.CommandPath(), text)
				}
			}
			for _, sub := range c.Commands() {
				walk(sub)
			}
		}
		walk(a.root())
	}
}
