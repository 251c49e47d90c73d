package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// What the help says may be given more than once can be, and what it shows as an example can be typed.
func TestArguments(t *testing.T) {
	t.Parallel()
	quoted := regexp.MustCompile(`"[^"]*"|'[^']*'`)
	root, many := englishApp(t).root(), 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Args == nil || c.HasSubCommands() {
			return
		}
		words := strings.Fields(c.Use)[1:]
		if n := len(words); n > 0 && !strings.Contains(c.Use, "--") && !strings.Contains(c.Use, " -") && strings.HasSuffix(strings.TrimSuffix(words[n-1], "]"), "…") {
			many++
			if err := c.Args(c, append(words, "one", "two")); err != nil {
				t.Errorf("%s: more than one is refused: %v", c.CommandPath(), err)
			}
		}
		for example := range strings.SplitSeq(strings.ReplaceAll(c.Example, "\\\n", ""), "\n") {
			args, found := strings.CutPrefix(strings.TrimSpace(quoted.ReplaceAllString(example, "x")), c.CommandPath())
			if !found {
				continue
			}
			args, _, _ = strings.Cut(args, " > ")
			args, _, _ = strings.Cut(args, " | ")
			same, rest, err := root.Find(strings.Fields(c.CommandPath() + args)[1:])
			if err != nil {
				t.Errorf("%s: %v", example, err)
				continue
			}
			if err := same.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", example, err)
			} else if err := same.Args(same, same.Flags().Args()); err != nil {
				t.Errorf("%s: %v", example, err)
			}
		}
	}
	walk(root)
	if many < 7 {
		t.Errorf("only %d commands take several", many)
	}
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// What the documents refer to is there, the headings too.
func TestLinks(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*/*.md", "docs/*/*/*.md"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	links := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(raw), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, ":") {
				continue
			}
			links++
			target := f
			if to != "" {
				target = filepath.Join(filepath.Dir(f), to)
			}
			text, err := os.ReadFile(target)
			if err != nil {
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: %s is not there", f, m[1])
				}
				continue
			}
			if anchor != "" && !slices.ContainsFunc(heading.FindAllStringSubmatch(string(text), -1), func(h []string) bool {
				return strings.ReplaceAll(strings.ToLower(notInAnchors.ReplaceAllString(h[1], "")), " ", "-") == anchor
			}) {
				t.Errorf("%s: %s has no such heading", f, m[1])
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links", links)
	}
}
