package main

import (
	"io"
	"strings"
	"testing"

	"github.com/pli-mail/pli/client"
)

// Who is asked to prove who they are learns how, in a terminal.
func TestProofInATerminal(t *testing.T) {
	t.Parallel()
	a, err := newApp(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, hints := a.explain(&client.Problem{Status: 403, Key: "second.again"})
	if len(hints) != 1 || !strings.Contains(hints[0], "pli signin") {
		t.Errorf("%q", hints)
	}
}
