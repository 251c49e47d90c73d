package policy_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/policy"
)

// Whatever was decided, and whatever else is tried: what a forecast tells is what
// the other rules do with the message itself, and what it holds possible has that in it.
func TestForecastIsWhatRulesDo(t *testing.T) {
	t.Parallel()
	conditions := []string{"", "sender = ['@example.org']", "sender = ['group:Doctors']", "recipient = ['@x.test']", "not_recipient = ['*.x.test']", "size_over = '10 B'",
		"attachment = ['*.pdf']", "attachment = ['*']", "attachment = ['report*.pdf', 'image/*']", "sensitivity = ['private']", "subject_matches = 'hi'", "text_matches = 'secret'",
		"header = {'X-Class' = 'a|b'}", "text_matches = 'secret'\nattachment = ['*.pdf']", "text_matches = 'secret'\nsize_over = '10 B'"}
	told := map[policy.Verdict]int{}
	rapid.Check(t, func(rt *rapid.T) {
		ruleset := func(name string) *policy.Rules {
			draw := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, name+" "+what) }
			var s strings.Builder
			fmt.Fprintf(&s, "keywords = [%s]\ndefault = '%s'\ncalendar = '%s'\n", draw("keywords", "'[secure]'", "'[secure]', '[secret]'", ""), draw("default", "plain", "seal"), draw("calendar", "plain", "rules", "seal"))
			for i := range rapid.IntRange(0, 4).Draw(rt, name+" rules") {
				n := fmt.Sprint(i)
				then := draw("then"+n, "seal", "plain", "tls", "refuse")
				fmt.Fprintf(&s, "[[rule]]\nname = 'R'\nthen = '%s'\n%s\n%s\n", then, draw("if"+n, conditions...), draw("with"+n, "", "expires = '3 days'", "level = 'high'"))
			}
			return parse(t, s.String())
		}
		was, next := ruleset("was"), ruleset("next")
		h := message.Header{{Name: "sensitivity", Value: rapid.SampledFrom([]string{"Private", "none"}).Draw(rt, "sensitivity")}, {Name: "x-class", Value: rapid.SampledFrom([]string{"a", "c"}).Draw(rt, "class")}}
		if seal := rapid.SampledFrom([]string{"", "", "yes", "no"}).Draw(rt, "seal"); seal != "" {
			h = append(h, message.HeaderField{Name: "x-pli-seal", Value: seal})
		}
		var parts []envelope.Part
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"", "report 1.pdf", "x.PDF", "y.jpeg", "odd", "a.b c"}), 0, 3).Draw(rt, "files") {
			parts = append(parts, envelope.Part{Role: "attachment", Name: name, Type: rapid.SampledFrom([]string{"application/pdf", "image/jpeg", "text/calendar"}).Draw(rt, "type")})
		}
		groups := func(a mailaddr.Address) ([]string, error) { return []string{"Doctors"}[:a.Domain()[0]%2], nil }
		text := rapid.SampledFrom([]string{"a secret", "nothing"}).Draw(rt, "text")
		f := &policy.Facts{Sender: mailaddr.MustParse(rapid.SampledFrom([]string{"ana@example.org", "ana@a.example.org"}).Draw(rt, "sender")),
			Subject: rapid.SampledFrom([]string{"hi", "[secure] hi", "[secret] bye", "[secret] [secure]"}).Draw(rt, "subject"), Header: h, Size: rapid.Int64Range(0, 20).Draw(rt, "size"),
			Parts: parts, Groups: groups, Text: func(dst io.Writer, _ int64) error { _, err := io.WriteString(dst, text); return err }}
		if rapid.IntRange(0, 9).Draw(rt, "null") == 0 {
			f.Sender, f.NullSender = mailaddr.Address{}, true
		}
		before, after := was.Case(f), next.Case(f)
		to := []string{"bob@x.test", "bob@y.test", "bob@a.x.test"}
		decisions := map[string]policy.Decision{}
		for _, x := range to {
			d, err := before.Decide(mailaddr.MustParse(x))
			if err != nil {
				rt.Fatal(err)
			}
			decisions[x] = d
		}
		sketch, err := policy.DecodeSketch(before.Sketch().Encode())
		if err != nil {
			rt.Fatal(err)
		}
		replay := next.Replay(groups)
		for _, x := range to {
			d := decisions[x]
			would, err := after.Decide(mailaddr.MustParse(x))
			if err != nil {
				rt.Fatal(err)
			}
			got, err := replay.Of(policy.Past{Sender: f.Sender, Size: f.Size, Rules: was, Sketch: &sketch, Outcome: policy.Outcome{Recipient: x, Action: d.Action, Why: d.Why}})
			if err != nil {
				rt.Fatal(err)
			}
			told[got.Verdict]++
			if !slices.Contains(got.After, would.Action) {
				rt.Fatalf("%s: %v, and the rules say %s", x, got, would.Action)
			}
			same := d.Action == would.Action && (d.Action != policy.Seal || d.Options.Permissions() == would.Options.Permissions() && d.Options.Expires == would.Options.Expires)
			if got.Verdict == policy.Stays && !same || got.Verdict == policy.Changes && same {
				rt.Fatalf("%s: %+v, and the rules say %s %+v after %s %+v", x, got, would.Action, would.Options, d.Action, d.Options)
			}
			if same && len(got.After) == 1 && got.Verdict == policy.Changes {
				rt.Fatalf("%s: nothing changes: %+v", x, got)
			}
		}
	})
	if told[policy.Stays] == 0 || told[policy.Changes] == 0 || told[policy.Untold] == 0 {
		t.Errorf("the cases are one-sided: %v", told)
	}
}

// Rules that stay as they are change nothing, whatever they look into; and a new
// rule behind them is told apart from them.
func TestForecastKnowsWhatWasSearched(t *testing.T) {
	t.Parallel()
	text := "[[rule]]\nname = 'Diagnoses'\ntext_matches = 'diagnosis'\nthen = 'seal'\n"
	was := parse(t, text)
	f := facts(t, head+"Subject: hi\r\n\r\nall is well\r\n")
	c := was.Case(f)
	d, err := c.Decide(mailaddr.MustParse("bob@x.test"))
	if err != nil {
		t.Fatal(err)
	}
	sketch := c.Sketch()
	past := policy.Past{Sender: f.Sender, Size: f.Size, Rules: was, Sketch: &sketch, Outcome: policy.Outcome{Recipient: "bob@x.test", Action: d.Action, Why: d.Why}}
	for rules, want := range map[string]policy.Verdict{
		text: policy.Stays,
		text + "[[rule]]\nname = 'X'\nrecipient = ['@x.test']\nthen = 'seal'\n":       policy.Changes,
		text + "[[rule]]\nname = 'X'\nsubject_matches = 'hi'\nthen = 'seal'\n":        policy.Untold,
		strings.Replace(text, "'diagnosis'", "'diagnos'", 1):                          policy.Untold,
		"default = 'seal'\n" + text:                                                   policy.Changes,
		"keywords = ['hi']\n" + text:                                                  policy.Untold,
		text + "[[rule]]\nname = 'X'\nrecipient = ['@elsewhere.test']\nthen = 'seal'": policy.Stays,
	} {
		got, err := parse(t, rules).Replay(f.Groups).Of(past)
		if err != nil || got.Verdict != want {
			t.Errorf("%s: %+v, want %s, %v", rules, got, want, err)
		}
	}
	past.Sketch = nil
	if got, err := was.Replay(f.Groups).Of(past); err != nil || got.Verdict != policy.Untold {
		t.Errorf("without a sketch: %+v, %v", got, err)
	}
}

// A sketch holds no file's name, subject, text or value of a field.
func TestSketchKeepsNoContent(t *testing.T) {
	t.Parallel()
	raw := head + "Subject: Quarterly figures\r\nX-Class: strictly\r\nSensitivity: Private\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlumbago\r\n" +
		"--b\r\nContent-Type: application/pdf; name=\"Smith.Findings.PDF\"\r\n\r\nx\r\n--b\r\nContent-Type: application/octet-stream; name=\"dump.of the lot\"\r\n\r\nx\r\n--b--\r\n"
	c := parse(t, "[[rule]]\nname = 'R'\ntext_matches = 'lumb'\nthen = 'refuse'\nreason = 'No'\n").Case(facts(t, raw))
	if _, err := c.Decide(mailaddr.MustParse("bob@x.test")); err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.Sketch().Encode()), `{"f":["application/pdf .pdf","application/octet-stream ."],"c":"y"}`; got != want {
		t.Errorf("a sketch is %s, want %s", got, want)
	}
}
