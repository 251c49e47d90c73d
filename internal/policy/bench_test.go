package policy_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/policy"
)

// What deciding costs each message: nothing looked into, the beginning of the
// text, and all of 20 KiB of it.
func BenchmarkDecide(b *testing.B) {
	raw := head + "Subject: Results\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and again.\r\n", 360)
	for name, rules := range map[string]string{
		"keyword": policy.DefaultText(),
		"default": `default = "seal"`,
		"text":    "[[rule]]\nname = 'R'\ntext_matches = '\\b\\d{13}\\b'\nthen = 'seal'\n",
	} {
		b.Run(name, func(b *testing.B) {
			r := parse(b, rules)
			f := facts(b, raw)
			if name == "keyword" {
				f.Subject = "[secure] " + f.Subject
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Case(f).Decide(bob); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
