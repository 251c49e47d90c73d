// Package arch holds no code: its tests read the sources themselves (not through
// go list, whose result the test cache hides) and compare them with ARCHITECTURE.md.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pli-mail/pli/"

// source is one Go file of the product: not a test, not a test kit.
type source struct {
	pkg     string // as in ARCHITECTURE.md: "envelope", "store", "cmd/pli"
	path    string
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "testdata", "browser", "tools":
				return filepath.SkipDir
			}
			if strings.HasSuffix(d.Name(), "test") && strings.HasPrefix(rel, "internal/") { // storetest and its like
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{pkg: name(filepath.ToSlash(filepath.Dir(rel))), path: rel}
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d source files found: is the test in the right place?", len(out))
	}
	return out
}

func name(dir string) string { return strings.TrimPrefix(dir, "internal/") }

func document(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rows maps each package of the layer drawing to its row; row 0 is the top.
func rows(t *testing.T) map[string]int {
	t.Helper()
	m := regexp.MustCompile("(?s)<!-- layers -->\n```\n(.*?)```").FindStringSubmatch(document(t))
	if m == nil {
		t.Fatal("ARCHITECTURE.md has no layer drawing")
	}
	out := map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
		for _, p := range strings.Fields(line) {
			out[p] = i
		}
	}
	return out
}

func TestLayers(t *testing.T) {
	row := rows(t)
	seen := map[string]bool{}
	for _, s := range sources(t) {
		from, ok := row[s.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in the layer drawing", s.path, s.pkg)
			continue
		}
		seen[s.pkg] = true
		for _, i := range s.imports {
			if !strings.HasPrefix(i, module) {
				continue
			}
			p := name(strings.TrimPrefix(i, module))
			to, ok := row[p]
			if !ok {
				t.Errorf("%s imports %s, which is not in the layer drawing", s.path, p)
			} else if to <= from {
				t.Errorf("%s imports %s, which is not below it", s.path, p)
			}
		}
	}
	for p := range row {
		if !seen[p] {
			t.Errorf("the layer drawing has %s, which does not exist", p)
		}
	}
}

// doors are the imports that only some packages may have.
var doors = map[string]string{
	"database/sql":                    "store",
	"github.com/jackc/pgx":            "store",
	"modernc.org/sqlite":              "store",
	"html/template":                   "web portal people desk console mailbox notice",
	"github.com/emersion/go-smtp":     "mailbox",
	"github.com/miekg/dns":            "mx",
	"github.com/pires/go-proxyproto":  "smtpd",
	"net/smtp":                        "",
	"math/rand":                       "outbox mx webhook",
	"unsafe":                          "",
	"os/exec":                         "backup",
	"C":                               "",
	"github.com/spf13/cobra":          "cmd/pli",
	"github.com/pelletier/go-toml":    "config policy keylines",
	"github.com/alexedwards/argon2id": "account",
}

func TestDoors(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.imports {
			for door, who := range doors {
				if (i == door || strings.HasPrefix(i, door+"/")) && !strings.Contains(" "+who+" ", " "+s.pkg+" ") {
					t.Errorf("%s imports %s, which is for: %s", s.path, i, who)
				}
			}
		}
	}
}

// os.Exit skips what others deferred; only the command may decide to end.
func TestOnlyTheCommandExits(t *testing.T) {
	for _, s := range sources(t) {
		raw, err := os.ReadFile(filepath.Join("..", "..", s.path))
		if err != nil {
			t.Fatal(err)
		}
		if s.pkg != "cmd/pli" && regexp.MustCompile(`\b(os\.Exit|log\.Fatal)`).Match(raw) {
			t.Errorf("%s ends the program", s.path)
		}
	}
}

// Every package has its line in the code map, and every line its package.
func TestCodeMap(t *testing.T) {
	_, codeMap, _ := strings.Cut(document(t), "| Package | What it is |")
	codeMap, _, _ = strings.Cut(codeMap, "\n\n")
	row := rows(t)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|").FindAllStringSubmatch(codeMap, -1) {
		p := name(m[1])
		if _, ok := row[p]; !ok {
			t.Errorf("the code map has %s, which does not exist", p)
		}
		delete(row, p)
	}
	var missing []string
	for p := range row {
		missing = append(missing, p)
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("not in the code map: %s", strings.Join(missing, ", "))
	}
}

// Nothing is left for later.
func TestNoLeftovers(t *testing.T) {
	bad := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`) // in pieces: this file leaves nothing for later either
	for _, s := range sources(t) {
		raw, err := os.ReadFile(filepath.Join("..", "..", s.path))
		if err != nil {
			t.Fatal(err)
		}
		if m := bad.Find(raw); m != nil {
			t.Errorf("%s: %s", s.path, m)
		}
	}
}
