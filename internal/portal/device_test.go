package portal_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pageFile    = regexp.MustCompile(`(?:src|href)="/static/([\w.-]+)\?v=`)
	workerFiles = regexp.MustCompile(`const FILES = \[(.*)\];`)
	importedBy  = regexp.MustCompile(`(from |import |import\()'\./([\w-]+\.js)\?v=[0-9a-f]{16}'`)
)

// What /device needs, and what that imports, its worker keeps: without the
// network it would not open otherwise. A large file is fetched with a session,
// so that what fetches it is needed by nobody who has no network.
func TestTheWorkerKeepsWhatItsPageImports(t *testing.T) {
	t.Parallel()
	b := house(t).Browser(t)
	found := workerFiles.FindStringSubmatch(b.Get(t, "/static/device-worker.js").Body)
	if found == nil {
		t.Fatal("the worker names no files")
	}
	kept := strings.Split(strings.ReplaceAll(found[1], "'", ""), ", ")
	var needed []string
	for _, m := range pageFile.FindAllStringSubmatch(b.Get(t, "/device?lang=en").Body, -1) {
		needed = append(needed, m[1])
	}
	if !slices.Contains(needed, "device.js") {
		t.Fatalf("the page loads %v", needed)
	}
	for i := 0; i < len(needed); i++ {
		if !slices.Contains(kept, needed[i]) {
			t.Errorf("%s is not kept", needed[i])
		}
		if !strings.HasSuffix(needed[i], ".js") {
			continue
		}
		a := b.Get(t, "/static/"+needed[i])
		if a.Status != 200 {
			t.Errorf("%s: %d", needed[i], a.Status)
		}
		for _, m := range importedBy.FindAllStringSubmatch(a.Body, -1) {
			if m[2] != "readlarge.js" && !slices.Contains(needed, m[2]) {
				needed = append(needed, m[2])
			}
		}
	}
	for _, name := range kept {
		if !slices.Contains(needed, name) {
			t.Errorf("%s is kept and not needed", name)
		}
	}
}
