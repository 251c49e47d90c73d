package web_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/web"
)

// What a spreadsheet would compute is text there.
func TestInert(t *testing.T) {
	for cell, want := range map[string]string{"": "", "a=1": "a=1", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "12": "12"} {
		if got := web.Inert(cell); got != want {
			t.Errorf("%q: %q, want %q", cell, got, want)
		}
	}
}
