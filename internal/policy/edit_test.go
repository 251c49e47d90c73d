package policy_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
)

func english(t *testing.T) i18n.Printer {
	t.Helper()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	return cat.Printer("en", nil)
}

const written = `# Head.
default = "plain"

# About A.
[[rule]]
name = "A" # here
recipient = ["@a.test"]
then = "seal"

# Of nothing.

# About B.
[[rule]]
name = "B"
recipient = [
  "@b.test",
]
then = "seal"
[rule.header]
X-Y = "z"
# The end.
`

func TestRulesAreChangedAsText(t *testing.T) {
	t.Parallel()
	moved, err := policy.Move(written, 1, 1)
	if err != nil || !strings.Contains(moved, "# About B.\n[[rule]]\nname = \"B\"\nrecipient = [\n  \"@b.test\",\n]\nthen = \"seal\"\n[rule.header]\nX-Y = \"z\"\n\n# Of nothing.\n\n# About A.\n[[rule]]") {
		t.Errorf("moved: %v\n%s", err, moved)
	}
	if back, err := policy.Move(moved, 2, -1); err != nil || back != written {
		t.Errorf("moved back: %v\n%s", err, back)
	}
	for _, x := range [][2]int{{1, -1}, {2, 1}, {0, 1}, {7, 1}} {
		if same, err := policy.Move(written, x[0], x[1]); err != nil || same != written {
			t.Errorf("moved %v: %v", x, err)
		}
	}
	removed, err := policy.Remove(written, 1)
	if want := "# Head.\ndefault = \"plain\"\n\n# Of nothing.\n\n# About B.\n"; err != nil || !strings.HasPrefix(removed, want) {
		t.Errorf("removed: %v\n%s", err, removed)
	}
	if _, err := policy.Remove("rule = [{ name = \"A\", then = \"seal\" }]", 1); !errors.Is(err, policy.ErrByHand) {
		t.Errorf("rules in one line: %v", err)
	}
	trap := "[[rule]]\nname = \"A\"\nthen = \"seal\"\nsubject_matches = '''\nx\n# y'''\n[[rule]]\nname = \"B\"\nthen = \"seal\"\n"
	if s, err := policy.Remove(trap, 2); !errors.Is(err, policy.ErrByHand) {
		t.Errorf("what looks like a comment: %v\n%s", err, s)
	}
	for _, first := range []bool{true, false} {
		s, err := policy.Add(policy.DefaultText(), policy.NewRule{Name: `A "b" \ 'c'`, SubjectBegins: "[x] (y)", Recipients: []string{"a.test", "b@c.test", "*.d.test"}, Group: "Doctors",
			Attachment: []string{"*.pdf"}, SizeMB: 5, HeaderName: "X-A", Text: `\b\d+"`, Then: policy.Refuse, Reason: "No."}, first)
		if err != nil || !strings.HasPrefix(s, strings.TrimRight(policy.DefaultText(), "\n")) {
			t.Fatalf("added: %v\n%s", err, s)
		}
		_, told, _ := parse(t, s).Tell(english(t))
		if want := "If it is from a member of Doctors and it goes to anyone at a.test, b@c.test or anyone at a domain below d.test and it is larger than 5\u00a0MB and it has a file like *.pdf " +
			"and its subject begins with “[x] (y)” and its text matches “\\b\\d+\"” and it has a header field x-a, it is refused with the words “No”."; len(told) != 1 || told[0].Text != want {
			t.Errorf("told %+v\nwant %s", told, want)
		}
	}
	s, err := policy.Add(written, policy.NewRule{Name: "C", Then: policy.Seal}, true)
	if err != nil || !strings.Contains(s, "\n[[rule]]\nname = \"C\"\nthen = \"seal\"\n\n# About A.") {
		t.Errorf("added before: %v\n%s", err, s)
	}
}

// Whatever is typed into the form is what the rule then says, or the check tells of it.
func TestAddedRulesCanBeRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := policy.NewRule{Name: rapid.String().Draw(t, "name"), SubjectBegins: rapid.String().Draw(t, "begins"), HeaderName: "X", HeaderValue: rapid.String().Draw(t, "value"),
			Group: rapid.String().Draw(t, "group"), Reason: rapid.String().Draw(t, "reason"), Then: policy.Refuse}
		s, err := policy.Add(policy.DefaultText(), n, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = policy.Parse([]byte(s))
		var bad *policy.Problems
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		if bad != nil && len(bad.List) > 0 && bad.List[0].Text == "policy.syntax" {
			t.Fatalf("%+v: %v\n%s", n, err, s)
		}
	})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\n", "a\r\nb", ""},
		{"", "a\n", "+a\n"},
		{"a\n", "", "-a\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\nx\n7\n8\n9\n", "…\n 3\n 4\n 5\n-6\n+x\n 7\n 8\n 9\n"},
		{"a\nb\nc\n", "b\nd\nc\n", "-a\n b\n+d\n c\n"},
	} {
		if got := policy.Unified(policy.Diff(c.a, c.b)); got != c.want {
			t.Errorf("%q to %q: %s", c.a, c.b, got)
		}
	}
	long := strings.Repeat("x\ny\n", 4000)
	if d := policy.Diff(long+"a\n", "b\n"+long); len(d) == 0 {
		t.Error("two long texts are the same")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 12).Draw(t, name), "\n")
		}
		a, b := text("a"), text("b")
		var before, after []string
		left := false
		for _, l := range policy.Diff(a, b) {
			left = left || l.Sign() == "…"
			if l.Old > 0 {
				before = append(before, l.Text)
			}
			if l.New > 0 {
				after = append(after, l.Text)
			}
		}
		whole := func(got []string, s string) bool {
			return strings.Join(got, "\n") == strings.TrimSuffix(s, "\n")
		}
		if len(before)+len(after) > 0 && !left && (!whole(before, a) || !whole(after, b)) {
			t.Fatalf("%q to %q: %q, %q", a, b, before, after)
		}
	})
}
