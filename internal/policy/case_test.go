package policy_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/policy"
)

var bob = mailaddr.MustParse("bob@x.test")

// Expressions that make other engines run for ever end in time, for however
// many rules and recipients; what was not found by then counts as found.
func TestSearchTime(t *testing.T) {
	t.Parallel()
	for name, condition := range map[string]string{
		"nested":   "text_matches = '(a*)*(x|y|[^q]{1,400}){1,2}$$z'",
		"optional": "text_matches = '(?:a?){900}(?:a?){900}z'",
		"header":   "header = { X-Long = '(?:a?){900}(?:a?){900}z' }",
	} {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, "[[rule]]\nname = 'R'\nthen = 'seal'\nrecipient = ['@x%d.test']\n%s\n", i, condition)
		}
		long := strings.Repeat("a", 200_000)
		f := facts(t, head+"X-Long: "+long+"\r\n\r\n"+strings.Repeat(long+"\r\n", 5))
		c := parse(t, b.String()).Case(f)
		begun := time.Now()
		for i := range 20 {
			d, err := c.Decide(mailaddr.MustParse(fmt.Sprintf("bob@x%d.test", i)))
			if err != nil || d.Action != policy.Seal || !slices.Contains(d.Why.Matched, "text:late") {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
		if took := time.Since(begun); took > 2*time.Second { // far above the limit: other tests run beside
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Who makes a text slow does not make it plain: a rule that lets mail go in clear
// does not get what there was no time for.
func TestLateIsNotPlain(t *testing.T) {
	t.Parallel()
	slow := "text_matches = '(?:a?){900}(?:a?){900}z'\n"
	rules := "default = 'seal'\n[[rule]]\nname = 'Clear'\nthen = 'plain'\n" + slow + "[[rule]]\nname = 'Again'\nthen = 'plain'\nheader = { X-A = 'b' }\n"
	c := parse(t, rules).Case(facts(t, head+"X-A: b\r\n\r\n"+strings.Repeat(strings.Repeat("a", 900)+"\r\n", 1000)))
	if d, err := c.Decide(bob); err != nil || d.Action != policy.Seal {
		t.Errorf("%+v, %v", d, err)
	}
}

// A text is searched as a whole, however long: an expression may span it, and
// its beginning and end are where they are.
func TestSearchesTheWholeText(t *testing.T) {
	t.Parallel()
	raw := head + "\r\nBEGIN" + strings.Repeat(" word", 60_000) + " END\r\n"
	for expression, want := range map[string]policy.Action{
		`(?s)^BEGIN.*END\s*$`: policy.Seal,
		`^word`:               policy.Plain,
		`\Bord\b`:             policy.Seal,
	} {
		if d := decide(t, "[[rule]]\nname = 'R'\nthen = 'seal'\ntext_matches = '"+expression+"'\n", raw, "bob@x.test"); d.Action != want {
			t.Errorf("%s: %s", expression, d.Action)
		}
	}
}

// What recipients have in common is asked once.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	f := facts(t, head+"\r\nsome text\r\n")
	texts, groups, text, group := 0, map[string]int{}, f.Text, f.Groups
	f.Text = func(dst io.Writer, limit int64) error { texts++; return text(dst, limit) }
	f.Groups = func(a mailaddr.Address) ([]string, error) { groups[a.String()]++; return group(a) }
	c := parse(t, `encrypted = "rules"
[[rule]]
name = "one"
sender = ["group:Doctors"]
recipient = ["group:Partners"]
then = "seal"
[[rule]]
name = "two"
sender = ["group:ｄｏｃｔｏｒｓ"]
text_matches = "text"
then = "seal"
`).Case(f)
	for i := range 50 {
		d, err := c.Decide(mailaddr.MustParse(fmt.Sprintf("bob%d@x.test", i%2)))
		if err != nil || d.Why.Rule != "two" || !slices.Equal(d.Why.Matched, []string{"sender:group:ｄｏｃｔｏｒｓ", "text"}) {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	if texts != 1 || groups["ana@example.org"] != 1 || groups["bob0@x.test"] != 1 {
		t.Errorf("%d texts read, groups asked %v", texts, groups)
	}
}

// What cannot be found out decides nothing.
func TestFailures(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	f := facts(t, head+"\r\nx\r\n")
	f.Groups = func(mailaddr.Address) ([]string, error) { return nil, broken }
	f.Text = func(io.Writer, int64) error { return broken }
	for _, condition := range []string{"sender = ['group:A']", "recipient = ['group:A']", "not_recipient = ['group:A']", "text_matches = 'x'"} {
		c := parse(t, "encrypted = 'rules'\n[[rule]]\nname = 'R'\nthen = 'seal'\n"+condition).Case(f)
		for range 2 {
			if d, err := c.Decide(bob); !errors.Is(err, broken) || d.Action != "" {
				t.Errorf("%s: %+v, %v", condition, d, err)
			}
		}
	}
	if _, err := parse(t, "default = 'seal'").Case(f).Decide(bob); !errors.Is(err, broken) {
		t.Errorf("OpenPGP: %v", err)
	}
}

// Conditions by what a message has, and what is said of them.
func TestConditions(t *testing.T) {
	t.Parallel()
	mixed := func(part string) string {
		return head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n" + part + "\r\n\r\nx\r\n--b--\r\n"
	}
	for _, c := range []struct{ rule, raw, want string }{
		{`attachment = ["*.docx"]`, mixed(`Content-Disposition: attachment; filename="a/b.DOCX"`), "attachment"},
		{`attachment = ["rapport-?t?.pdf"]`, mixed(`Content-Disposition: attachment; filename*=utf-8''rapport-%C3%A9t%C3%A9.pdf`), "attachment"},
		{`attachment = ["[a].txt"]`, mixed(`Content-Disposition: attachment; filename="[a].txt"`), "attachment"},
		{`attachment = ["*a*b*"]`, mixed(`Content-Disposition: attachment; filename="xxabxaxx"`), "attachment"},
		{`attachment = ["*a*bc"]`, mixed(`Content-Disposition: attachment; filename="abcabd"`), ""},
		{`attachment = ["application/pdf"]`, head + "Content-Type: application/pdf\r\n\r\nx", "attachment"},
		{`attachment = ["text/*"]`, head + "\r\nx", ""},
		{`sensitivity = ["company-confidential"]`, head + "Sensitivity: Company Confidential\r\n\r\n", "sensitivity"},
		{`sensitivity = ["Confidential"]`, head + "Sensitivity: Private\r\nSensitivity: Company-Confidential\r\n\r\n", "sensitivity"},
		{`sensitivity = ["private"]`, head + "Sensitivity: Personal\r\n\r\n", ""},
		{`header = { "X-A" = "", x-b = "^b$" }`, head + "X-A: \r\nX-B: a\r\nX-B: b\r\n\r\n", "header"},
		{`header = { "X-A" = "" }`, head + "X-B: b\r\n\r\n", ""},
		{"[rule.header]\nX-A = \"b\"", head + "X-A: =?utf-8?q?a_b?=\r\n\r\n", "header"},
	} {
		d := decide(t, "[[rule]]\nname = 'R'\nthen = 'seal'\n"+c.rule, c.raw, "bob@x.test")
		if got := strings.Join(d.Why.Matched, " "); c.want == "" != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}

// Mail that is encrypted, and mail for calendars.
func TestKinds(t *testing.T) {
	t.Parallel()
	armor := "-----BEGIN PGP MESSAGE-----\r\n\r\nabc\r\n-----END PGP MESSAGE-----\r\n"
	for name, c := range map[string]struct{ raw, want string }{
		"S/MIME":          {head + "Content-Type: application/x-pkcs7-mime; name=smime.p7m\r\n\r\nx", "encrypted"},
		"S/MIME signed":   {head + "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nx", ""},
		"a part named so": {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nx\r\n--b--\r\n", ""},
		"Exchange, with a file": {head + "Content-Class: urn:content-classes:calendarmessage\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n" +
			"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n--b--\r\n", ""},
		"S/MIME certificates": {head + "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n\r\nx", ""},
		"PGP/MIME":            {head + "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--\r\n", "encrypted"},
		"PGP in the text":     {head + "\r\n\r\n" + armor, "encrypted"},
		"PGP in base64":       {head + "Content-Transfer-Encoding: base64\r\n\r\nLS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCgo=\r\n", "encrypted"},
		"PGP further down":    {head + "\r\nLook:\r\n" + armor, ""},
		"PGP, a signed text":  {head + "\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nx\r\n", ""},
		"invitation":          {head + "Content-Type: text/calendar; method=REQUEST\r\n\r\nx", "calendar"},
		"Exchange":            {head + "Content-Class: urn:content-classes:calendarmessage\r\n\r\nx", "calendar"},
		"an invitation with a name": {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: text/calendar; method=REQUEST; name=meeting.ics\r\n" +
			"Content-Disposition: attachment; filename=meeting.ics\r\n\r\nx\r\n--b--\r\n", "calendar"},
		"a calendar file": {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: text/calendar\r\n" +
			"Content-Disposition: attachment; filename=meeting.ics\r\n\r\nx\r\n--b--\r\n", ""},
	} {
		d := decide(t, "default = 'seal'", c.raw, "bob@x.test")
		if d.Why.What != c.want || (d.Action == policy.Plain) != (c.want != "") {
			t.Errorf("%s: %+v", name, d)
		}
		if d := decide(t, "default = 'seal'\nencrypted = 'rules'\ncalendar = 'rules'", c.raw, "bob@x.test"); d.Why.Source != policy.SourceDefault {
			t.Errorf("%s by rules: %+v", name, d)
		}
		if d := decide(t, "encrypted = 'seal'\ncalendar = 'seal'", c.raw, "bob@x.test"); (d.Action == policy.Seal) != (c.want != "") {
			t.Errorf("%s sealed: %+v", name, d)
		}
	}
}

// Options come from the sender's fields before the rule, and from the rule
// before the account.
func TestOptionsPrecedence(t *testing.T) {
	t.Parallel()
	rules := "subject = 'keep'\n[[rule]]\nname = 'R'\nthen = 'seal'\nscript_free = true\nserver_decrypt = true\noffline = true\nsubject = 'neutral'\nexpires = '12 hours'\n"
	o := decide(t, rules, head+"\r\n", "bob@x.test").Options
	if !o.ScriptFree || !o.ServerDecrypt || o.Offline == nil || !*o.Offline || o.KeepSubject || o.Expires != 12*time.Hour {
		t.Errorf("of the rule: %+v", o)
	}
	o = decide(t, rules, head+"X-PostX-Use-Script: true\r\nX-PostX-Suppress-Applet-For-Open: false\r\nX-PostX-Remember-Envelope-Key-Checkbox: false\r\n\r\n", "bob@x.test").Options
	if o.ScriptFree || o.ServerDecrypt || o.Offline != nil && *o.Offline {
		t.Errorf("of the header: %+v", o)
	}
	if o = decide(t, "subject = 'keep'\ndefault = 'seal'", head+"\r\n", "bob@x.test").Options; !o.KeepSubject {
		t.Errorf("of the account: %+v", o)
	}
	// What says whether does not say how: the rule still does.
	d := decide(t, rules+"forward = false\n", head+"X-Pli-Seal: yes\r\n\r\n", "bob@x.test")
	if d.Why.Source != policy.SourceHeader || d.Options.Forward == nil || *d.Options.Forward {
		t.Errorf("%+v", d)
	}
}

func TestHeaderFields(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"+24:00:00": 24 * time.Hour, "48:30:15": 48*time.Hour + 30*time.Minute + 15*time.Second, "+7:00:00:00": 7 * 24 * time.Hour,
		"+7 days": 7 * 24 * time.Hour, "3d": 3 * 24 * time.Hour,
		"": 0, "+0:00:00": 0, "-1:00:00": 0, "24:00": 0, "9999999999:0:0": 0, "2147483647:0:0": 0, "+1:-1:0": 0, "soon": 0, "7 weeks": 0,
	} {
		d := decide(t, "", head+"X-PostX-ExpirationDate: "+value+"\r\n\r\n", "bob@x.test")
		if d.Options.Expires != want || (len(d.Why.Ignored) == 0) != (want > 0) || d.Action != policy.Seal {
			t.Errorf("%q: %+v", value, d)
		}
	}
	d := decide(t, "", head+"X-PostX-Something-New: x\r\n\r\n", "bob@x.test")
	if d.Action != policy.Seal || !slices.Equal(d.Why.Ignored, []string{"x-postx-something-new"}) {
		t.Errorf("a control that is not known: %+v", d)
	}
	for value, receipt := range map[string]bool{"no": true, "no; x=y": true, "No (person)": true, "auto-generated": false, "auto-replied; x": false, "": false} {
		d := decide(t, "default = 'seal'", head+"Auto-Submitted: "+value+"\r\nDisposition-Notification-To: ana@example.org\r\n\r\n", "bob@x.test")
		if d.Options.Receipt == nil || *d.Options.Receipt != receipt {
			t.Errorf("Auto-Submitted %q: %+v", value, d)
		}
	}
}

func TestKeywordLeavesTheSubject(t *testing.T) {
	t.Parallel()
	o := decide(t, `keywords = ["[secure]", "[chiffrer]", "secure mail"]`, head+"\r\n", "bob@x.test").Options
	for subject, want := range map[string]string{
		"[secure] hi": "hi", "hi [SECURE]": "hi", "hi[secure]there": "hi there", "[secure]": "", "  [secure]\t[chiffrer] a  b ": "a  b ",
		"Re: [chiffrer] Résultats : été": "Re: Résultats : été", "a secure mailbox": "a secure mailbox", "a Secure Mail box": "a box",
		"nothing  here ": "nothing  here ", "": "", "[secure": "[secure", "é[secure]é": "é é",
	} {
		if got := o.Subject(subject); got != want {
			t.Errorf("%q becomes %q, want %q", subject, got, want)
		}
	}
}

// Options of several recipients of one envelope are the strictest.
func TestStrictest(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	a := policy.Options{Expires: 5, Reply: &yes, ReplyAll: &yes, Offline: &yes, KeepSubject: true, ServerDecrypt: true}
	b := policy.Options{Expires: 3, Reply: &no, Forward: &no, Receipt: &yes, ScriptFree: true, Offline: &no}
	for _, o := range []policy.Options{a.Strictest(b), b.Strictest(a)} {
		if o.Expires != 3 || *o.Reply || !*o.ReplyAll || *o.Forward || !*o.Receipt || !o.ScriptFree || *o.Offline || o.KeepSubject || o.ServerDecrypt {
			t.Errorf("%+v", o)
		}
	}
}

// For whatever rules and message, what decides is the first in the order that
// says something, every recipient gets an answer, and the same one twice.
func TestDecideHolds(t *testing.T) {
	t.Parallel()
	conditions := []string{"", "sender = ['@example.org']", "sender = ['@other.test']", "recipient = ['@x.test']", "recipient = ['group:Doctors']",
		"not_recipient = ['*.x.test', 'bob@x.test']", "size_over = '10 B'", "attachment = ['*.pdf']", "sensitivity = ['private']",
		"subject_matches = '(?i)hi'", "text_matches = 'secret'", "header = { X-Class = 'a|b' }"}
	rapid.Check(t, func(rt *rapid.T) {
		var rules strings.Builder
		kind := rapid.SampledFrom([]policy.Action{"plain", "seal", "rules"}).Draw(rt, "kind")
		fallback := rapid.SampledFrom([]policy.Action{policy.Plain, policy.Seal}).Draw(rt, "default")
		fmt.Fprintf(&rules, "keywords = ['[secure]']\ndefault = '%s'\ncalendar = '%s'\n", fallback, kind)
		thens := rapid.SliceOfN(rapid.SampledFrom([]policy.Action{policy.Plain, policy.Seal, policy.TLS, policy.Refuse}), 0, 5).Draw(rt, "then")
		for _, then := range thens {
			fmt.Fprintf(&rules, "[[rule]]\nname = 'R'\nthen = '%s'\n%s\n", then, rapid.SampledFrom(conditions).Draw(rt, "condition"))
		}
		subject := rapid.SampledFrom([]string{"hi", "[secure] hi", "bye"}).Draw(rt, "subject")
		seal := rapid.SampledFrom([]string{"", "yes", "no", "perhaps"}).Draw(rt, "seal")
		h := message.Header{{Name: "sensitivity", Value: "Private"}, {Name: "x-class", Value: rapid.SampledFrom([]string{"a", "c"}).Draw(rt, "class")}}
		if seal != "" {
			h = append(h, message.HeaderField{Name: "x-pli-seal", Value: seal})
		}
		calendar := rapid.Bool().Draw(rt, "calendar")
		parts := []envelope.Part{{Role: "attachment", Name: "a.pdf", Type: "application/pdf"}}
		if calendar {
			parts = []envelope.Part{{Role: "attachment", Type: "text/calendar"}}
		}
		null := rapid.IntRange(0, 9).Draw(rt, "null") == 0
		c := parse(t, rules.String()).Case(&policy.Facts{Sender: mailaddr.MustParse("ana@example.org"), NullSender: null, Subject: subject, Header: h,
			Size: rapid.Int64Range(0, 20).Draw(rt, "size"), Parts: parts,
			Text: func(dst io.Writer, _ int64) error { _, err := io.WriteString(dst, "a secret"); return err }})
		for _, to := range []string{"bob@x.test", "bob@y.test", "bob@a.x.test"} {
			d, err := c.Decide(mailaddr.MustParse(to))
			if err != nil {
				rt.Fatal(err)
			}
			again, err := c.Decide(mailaddr.MustParse(to))
			if err != nil || again.Action != d.Action || again.Why.Number != d.Why.Number || !slices.Equal(again.Why.Matched, d.Why.Matched) {
				rt.Fatalf("%+v, then %+v, %v", d, again, err)
			}
			source, action := policy.SourceDefault, fallback
			switch {
			case null:
				source, action = policy.SourceNull, policy.Plain
			case subject == "[secure] hi":
				source, action = policy.SourceKeyword, policy.Seal
			case seal == "yes":
				source, action = policy.SourceHeader, policy.Seal
			case seal == "no":
				source, action = policy.SourceHeader, policy.Plain
			case calendar && kind != "rules":
				source, action = policy.SourceKind, kind
			case d.Why.Source == policy.SourceRule:
				source, action = policy.SourceRule, thens[d.Why.Number-1]
			}
			if d.Why.Source != source || d.Action != action {
				rt.Fatalf("%s by %s, want %s by %s; rules\n%s", d.Action, d.Why.Source, action, source, rules.String())
			}
		}
	})
}
