package keylines_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/keylines"
)

func TestOf(t *testing.T) {
	t.Parallel()
	m := keylines.Of([]byte(`a = 1
[server]
listen = "x"
tls.key = "y"

[[rule]]
name = "one"
header = { X = "y" }
[rule.more]
deep = 1
[[rule]]
name = "two"
[[rule.part]]
p = 1
[[rule.part]]
p = 2
`))
	for name, want := range map[string]int{
		"a": 1, "server": 2, "server.listen": 3, "server.tls.key": 4, "server.absent": 2, "absent": 0, "absent.too": 0,
		"rule": 6, "rule[0]": 6, "rule[0].name": 7, "rule[0].header": 8, "rule[0].header.X": 8, "rule[0].more.deep": 10,
		"rule[1]": 11, "rule[1].name": 12, "rule[1].then": 11, "rule[1].part[0].p": 14, "rule[1].part[1].p": 16, "rule[7].name": 6,
	} {
		if got := m.Line(name); got != want {
			t.Errorf("%s is on line %d, not %d", name, got, want)
		}
	}
	if n := keylines.Of([]byte("a = 1\nb = = 2\n")).Line("a"); n != 1 {
		t.Errorf("before what cannot be read: line %d", n)
	}
}
