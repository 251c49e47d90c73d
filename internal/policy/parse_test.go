package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
)

// Everything that is wrong is said at once, each with its line.
func TestProblemLines(t *testing.T) {
	t.Parallel()
	_, err := policy.Parse([]byte(`keywords = 1
default = true
color = "red"

[[rule]]
name = "One"
reciever = ["@x.test"]
sender = []
sensitivity = [1]
reply = "yes"
header = { "X A" = "a", X-B = 2 }
size_over = "0 MB"

[[rule]]
name = "Two"
then = "seal"
reason = "none of a seal"
subject_matches = ""
expires = "0 days"

[[rule]]
name = "Three"
then = "plain"
[rule.header]
X-C = "("
`))
	var got []string
	problems, ok := err.(*policy.Problems)
	if !ok {
		t.Fatal(err)
	}
	for _, p := range problems.List {
		got = append(got, fmt.Sprintf("%d %d %s %s", p.Line, p.Rule, p.Key, strings.TrimPrefix(p.Text, "policy.")))
	}
	want := []string{"1 0 keywords wantlist", "2 0 default wantstring", "3 0 color unknown", "5 1 then missing", "7 1 reciever unknown", "8 1 sender empty",
		"9 1 sensitivity wantlist", "10 1 reply wantbool", "11 1 header.X A wantfields", "11 1 header.X-B wantfields", "12 1 size_over size",
		"17 2 reason noreason", "18 2 subject_matches empty", "19 2 expires expires", "25 3 header.X-C expression"}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s := problems.Say(cat.Printer("en", nil)); s[3] != "line 5, then of rule 1: this must be said: seal, plain, tls, refuse" || s[2] != "line 3, color: this key is not known" {
		t.Errorf("%q", s)
	}
	for _, lang := range []string{"en", "fr"} {
		for _, s := range problems.Say(cat.Printer(lang, nil)) {
			if strings.Contains(s, "policy.") {
				t.Errorf("%s: %s", lang, s)
			}
		}
	}
	if s := problems.Error(); !strings.Contains(s, "line 5 rule 1 then") {
		t.Error(s)
	}
}

// What would make every message slow is refused when it is written.
func TestExpensive(t *testing.T) {
	t.Parallel()
	one := func(e string) string { return "[[rule]]\nname = 'R'\nthen = 'seal'\ntext_matches = '" + e + "'\n" }
	for name, text := range map[string]string{
		"steps":   one(strings.Repeat("(?:x{1000})", 20)),
		"classes": one(strings.Repeat(`\p{L}`, 300)),
		"length":  one(strings.Repeat("x", 2001)),
		"nested":  one("((x{100}){100}){100}"),
		"many":    strings.Repeat(one("x{900}"), 200),
		"rules":   strings.Repeat("[[rule]]\nname = 'R'\nthen = 'seal'\n", 501),
		"octets":  "# " + strings.Repeat("x", 300_000),
		"no TOML": "default = \n",
		"no list": "rule = 'x'",
		"mixed":   "rule = [{ name = 'R', then = 'seal' }, 'x']",
		"words":   `keywords = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u"]`,
	} {
		if _, err := policy.Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		} else if len(err.Error()) > 3000 {
			t.Errorf("%s: a long error", name)
		}
	}
	parse(t, strings.Repeat(one(`(?i)\bpatient\p{L}{0,20}\b`), 20)) // what people write
}

// No two rules that somebody writes have one name, as people read names; a set that
// was put in force before that was asked for is read.
func TestNamesDiffer(t *testing.T) {
	t.Parallel()
	set := func(names ...string) []byte {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "[[rule]]\nname = %q\nthen = 'seal'\n", n)
		}
		return []byte(b.String())
	}
	for _, same := range [][]string{{"Lab", "Lab"}, {"Lab", "Clinic", "LAB "}, {"Straße", "STRASSE"}, {"é", "e\u0301"}, {"To the  lab", "to the lab"}} {
		text := set(same...)
		bad, ok := policy.Check(text).(*policy.Problems)
		if !ok || len(bad.List) != 1 || bad.List[0].Rule != len(same) || bad.List[0].Line != 3*len(same)-1 || bad.List[0].Text != "policy.twice" || bad.List[0].Args["n"] != 1 {
			t.Errorf("%q: %v", same, bad)
		}
		if _, err := policy.Parse(text); err != nil {
			t.Errorf("%q in force: %v", same, err)
		}
	}
	if err := policy.Check(set("Lab", "Labs", "L ab")); err != nil {
		t.Error(err)
	}
	if bad, ok := policy.Check(set("", " ")).(*policy.Problems); !ok || len(bad.List) != 2 || bad.List[1].Text != "policy.noname" {
		t.Errorf("without names: %v", bad)
	}
}

// The examples in the default's comments are rules that work.
func TestDefaultText(t *testing.T) {
	t.Parallel()
	text := policy.DefaultText()
	at := strings.Index(text, "# [[rule]]")
	if at < 0 {
		t.Fatal("no example")
	}
	var examples strings.Builder
	for line := range strings.Lines(text[at:]) {
		examples.WriteString(strings.TrimPrefix(line, "#"))
	}
	r := parse(t, text[:at]+examples.String())
	d, err := r.Case(facts(t, head+"Subject: [secure] x\r\n\r\n")).Decide(bob)
	if err != nil || d.Action != policy.Seal {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := policy.Default().Case(facts(t, head+"\r\n")).Decide(bob); err != nil || d.Action != policy.Plain || d.Why.Source != policy.SourceDefault {
		t.Errorf("%+v, %v", d, err)
	}
}
