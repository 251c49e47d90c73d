package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/explanation/security-cases.md and ARCHITECTURE.md name
// is there, and the former knows of each case of security.md, AT-01 to AT-90.
func TestNamedTestsExist(t *testing.T) {
	raw, err := os.ReadFile("../../docs/explanation/security-cases.md")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Join(regexp.MustCompile(`(?m)^\|.*$`).FindAllString(string(raw), -1), "\n") // the tables
	known := map[string]string{}
	for _, glob := range []string{"../../envelope/*_test.go", "../../cmd/pli/*_test.go", "../../internal/*/*_test.go"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", glob, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel("../..", filepath.Dir(f))
			known[name(filepath.ToSlash(rel))] += string(b)
		}
	}
	named := 0
	for _, cell := range regexp.MustCompile("`([a-z/]+)` ((?:(?:Test|Fuzz)[A-Za-z0-9]+(?:, )?)+)").FindAllStringSubmatch(cases, -1) {
		for _, test := range strings.Split(strings.Trim(cell[2], ", "), ", ") {
			named++
			if !strings.Contains(known[cell[1]], "\nfunc "+test+"(") {
				t.Errorf("security-cases.md: %s has no %s", cell[1], test)
			}
		}
	}
	if total := len(testName.FindAllString(cases, -1)); named != total || total < 100 {
		t.Errorf("security-cases.md: %d of %d tests stand behind their package", named, total)
	}
	var all strings.Builder
	for _, text := range known {
		all.WriteString(text)
	}
	for _, test := range testName.FindAllString(document(t), -1) {
		if !strings.Contains(all.String(), "\nfunc "+test+"(") {
			t.Errorf("ARCHITECTURE.md: there is no %s", test)
		}
	}
	for _, line := range strings.Split(cases, "\n") {
		for _, list := range regexp.MustCompile(`stor(?:y|ies) ((?:\*[a-z]+\*(?:, )?)+)`).FindAllStringSubmatch(line, -1) {
			for _, story := range strings.Split(strings.Trim(list[1], ", "), ", ") {
				if _, err := os.Stat("../../browser/stories/" + strings.Trim(story, "*") + ".mjs"); err != nil {
					t.Errorf("security-cases.md: %v", err)
				}
			}
		}
	}
	for n := 1; n <= 90; n++ {
		if id := "AT-" + string(rune('0'+n/10)) + string(rune('0'+n%10)); !strings.Contains(cases, id) {
			t.Errorf("security-cases.md: nothing of %s", id)
		}
	}
}

var testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]*`)
