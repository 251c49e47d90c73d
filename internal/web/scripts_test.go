package web

import (
	"bytes"
	"os/exec"
	"path"
	"testing"
)

// A script that does not parse leaves its page empty, and no other test sees it.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is missing: apt-get install nodejs")
	}
	assets, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range assets.named {
		if path.Ext(name) != ".js" {
			continue
		}
		check := exec.Command("node", "--check", "--input-type=module")
		check.Stdin = bytes.NewReader(f.raw)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
