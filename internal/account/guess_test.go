package account

import (
	"strings"
	"testing"
	"time"
)

// AT-54: no password that a stranger can send takes long to judge.
func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"4@8({[<369&#1!|0$5+72%" + strings.Repeat("4@8(3", 50), strings.Repeat("a1", 128), strings.Repeat("@4$5", 64),
		strings.Repeat("19991231", 32), strings.Repeat("qwerty", 42), strings.Repeat("motherfather", 21),
	} {
		start := time.Now()
		guessable(s, []string{"Lea", "Martin", "lea.martin@example.org"})
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%.12s…: %v", s, took)
		}
	}
}
