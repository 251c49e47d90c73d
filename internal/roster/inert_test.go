package roster_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/roster"
)

// What a spreadsheet would compute is text there.
func TestInert(t *testing.T) {
	for cell, want := range map[string]string{"": "", "a=1": "a=1", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "12": "12", "＝1": "'＝1", "a＝1": "a＝1", "x;=1": "x;'=1", "x\t=1": "x\t'=1", "x; \"@1": "x; \"'@1", "=1;-2": "'=1;'-2", "a;b": "a;b"} {
		if got := roster.Inert(cell); got != want {
			t.Errorf("%q: %q, want %q", cell, got, want)
		}
	}
}
