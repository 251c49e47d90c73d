package web

import (
	"regexp"
	"testing"
)

var hashedImport = regexp.MustCompile(`'\./([\w-]+\.js)\?v=([0-9a-f]{16})'`)

// Every script that is imported is so under its address with a hash, and the
// hash is of what is served.
func TestImportsHaveHashes(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, f := range a.named {
		if f.kind != kindOf(".js") {
			continue
		}
		if imported.Match(f.raw) {
			t.Errorf("%s imports a script under its bare address", name)
		}
		n += len(hashedImport.FindAll(f.raw, -1))
		for _, m := range hashedImport.FindAllSubmatch(f.raw, -1) {
			if want := a.named[string(m[1])].hash; string(m[2]) != want {
				t.Errorf("%s imports %s as %s, which is %s", name, m[1], m[2], want)
			}
		}
	}
	if n == 0 {
		t.Error("no script imports another")
	}
}
