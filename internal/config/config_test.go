package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pli-mail/pli/internal/config"
	"github.com/pli-mail/pli/internal/i18n"
)

var update = flag.Bool("update", false, "write the golden files again")

func printer(t testing.TB, lang string) i18n.Printer {
	t.Helper()
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c.Printer(lang, nil)
}

// Each file is a configuration and the exact sentences, in both languages, that it gets.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("only %d files in testdata/bad: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse("pli.toml", a.Files[0].Data)
			var ps *config.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("no problems found: %v", err)
			}
			got := &txtar.Archive{Comment: a.Comment, Files: []txtar.File{a.Files[0],
				{Name: "en", Data: []byte(strings.Join(ps.Say(printer(t, "en")), "\n") + "\n")},
				{Name: "fr", Data: []byte(strings.Join(ps.Say(printer(t, "fr")), "\n") + "\n")}}}
			golden(t, f, string(txtar.Format(got)))
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is not up to date (-update writes it):\n%s", path, d)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	golden(t, "../../etc/pli.toml", config.Example())
	golden(t, "../../docs/reference/config.md", config.Reference())
}

// The example is a valid file, and so is it with every key that is commented out.
func TestExampleParses(t *testing.T) {
	t.Parallel()
	if _, err := config.Parse("pli.toml", []byte(config.Example())); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, line := range strings.Split(config.Example(), "\n") {
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.Contains(rest, " = ") || strings.HasPrefix(rest, "[")) {
			line = rest
		}
		all = append(all, line)
	}
	text := strings.Replace(strings.Join(all, "\n"), `database_password_file = ""`, "", 1)
	c, err := config.Parse("/etc/pli/pli.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != "sqlite:/etc/pli/data/pli.db" || c.DataDir != "/etc/pli/data" || c.TLS.HTTPRedirect != ":80" {
		t.Errorf("%+v", c)
	}
}

// What is shown is itself a valid file that says the same.
func TestShowRoundTrip(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("/etc/pli/pli.toml", []byte(config.Example()))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("/elsewhere/pli.toml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c.Values(), again.Values()); d != "" {
		t.Error(d)
	}
}

func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("s3 cret/@\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(config.Example(), `database = "sqlite:data/pli.db"`,
		"database = \"postgres://pli@db.example.org/pli\"\ndatabase_password_file = \"pw\"", 1)
	c, err := config.Parse(filepath.Join(dir, "pli.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.DatabaseURL()
	if err != nil || got != "postgres://pli:s3%20cret%2F%40@db.example.org/pli" {
		t.Errorf("%q %v", got, err)
	}
	var b strings.Builder
	if err := c.Show(&b); err != nil || strings.Contains(b.String(), "cret") {
		t.Errorf("%v: a secret in\n%s", err, b.String())
	}
}

// The public address is compared as text by every opener, so it is kept as browsers write it.
func TestPublicURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://PLI.example.org/":     "https://pli.example.org",
		"https://pli.example.org:443":  "https://pli.example.org",
		"https://pli.example.org:8443": "https://pli.example.org:8443",
		"http://localhost:8080":        "http://localhost:8080",
		"http://127.0.0.1:80":          "http://127.0.0.1",
		"http://[::1]:8080":            "",
		"https://plí.example.org":      "",
		"https://":                     "",
		"https://user@pli.example.org": "",
	} {
		c, err := config.Parse("pli.toml", []byte(strings.Replace(config.Example(), "https://pli.example.org", given, 1)))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: accepted as %s", given, c.PublicURL)
		case want != "" && (err != nil || c.PublicURL != want):
			t.Errorf("%s: %v %v", given, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(config.Example()))
	f.Add([]byte("listen = 1\n[tls]\ncert=\"\\u0000\"\n[[mail]]\n[a.b.c]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("pli.toml", data)
		if (c == nil) == (err == nil) {
			t.Fatal(c, err)
		}
	})
}
