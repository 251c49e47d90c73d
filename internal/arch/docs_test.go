package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The README leads to every page of docs; the commands have an index of their own.
func TestDocsAreLinked(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*/*.md")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, p := range pages {
		if link := strings.TrimPrefix(filepath.ToSlash(p), "../../"); !strings.Contains(string(readme), "]("+link+")") {
			t.Errorf("README.md does not lead to %s", link)
		}
	}
}
