package policy_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/policy"
)

const head = "From: ana@example.org\r\nTo: bob@x.test\r\n"

// facts are those of a message from ana@example.org.
func facts(t testing.TB, raw string) *policy.Facts {
	t.Helper()
	x := message.NewIndexer()
	x.Write([]byte(raw))
	m, h := x.Finish()
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(raw)), nil }
	return &policy.Facts{Sender: mailaddr.MustParse("ana@example.org"), Subject: m.Subject, Header: h, Size: int64(len(raw)), Parts: m.Parts, Invites: x.Invites(),
		Groups: func(a mailaddr.Address) ([]string, error) {
			if a.Canonical() == "ana@example.org" {
				return []string{"Doctors"}, nil
			}
			return nil, nil
		},
		Text: func(dst io.Writer, limit int64) error { return message.TextOf(dst, m, open, limit) }}
}

func parse(t testing.TB, text string) *policy.Rules {
	t.Helper()
	r, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decide(t testing.TB, rules, raw, to string) policy.Decision {
	t.Helper()
	d, err := parse(t, rules).Case(facts(t, raw)).Decide(mailaddr.MustParse(to))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const defaults = "keywords = [\"[secure]\", \"[chiffrer]\"]\n"

// Each line: rules, message, what comes of it and which source decided.
func TestDecide(t *testing.T) {
	t.Parallel()
	rule := func(s string) string { return defaults + "[[rule]]\nname = \"R\"\nthen = \"seal\"\n" + s }
	pdf := head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pdf; name=\"Report.PDF\"\r\n\r\nx\r\n--b--\r\n"
	invite := head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nx\r\n--b--\r\n"
	for name, c := range map[string]struct {
		rules, raw, to string
		action         policy.Action
		source         string
	}{
		"nothing":              {defaults, head + "Subject: hi\r\n\r\nx\r\n", "", policy.Plain, policy.SourceDefault},
		"default seal":         {defaults + `default = "seal"`, head + "\r\n", "", policy.Seal, policy.SourceDefault},
		"keyword":              {defaults, head + "Subject: Re: [SECURE] hi\r\n\r\n", "", policy.Seal, policy.SourceKeyword},
		"French keyword":       {defaults, head + "Subject: =?utf-8?q?[Chiffrer]_r=C3=A9sultats?=\r\n\r\n", "", policy.Seal, policy.SourceKeyword},
		"no keyword":           {defaults, head + "Subject: insecure] [secure\r\n\r\n", "", policy.Plain, policy.SourceDefault},
		"word keyword":         {`keywords = ["secure"]`, head + "Subject: insecure\r\n\r\n", "", policy.Plain, policy.SourceDefault},
		"keyword over no":      {defaults, head + "Subject: [secure]\r\nX-Pli-Seal: no\r\n\r\n", "", policy.Seal, policy.SourceKeyword},
		"header yes":           {defaults, head + "X-Pli-Seal: yes\r\n\r\n", "", policy.Seal, policy.SourceHeader},
		"header no over rule":  {rule(""), head + "X-Pli-Seal: no\r\n\r\n", "", policy.Plain, policy.SourceHeader},
		"header no and yes":    {defaults, head + "X-Pli-Seal: no\r\nX-Pli-Seal: yes\r\n\r\n", "", policy.Seal, policy.SourceHeader},
		"header nonsense":      {defaults, head + "X-Pli-Seal: perhaps\r\n\r\n", "", policy.Plain, policy.SourceDefault},
		"CRES header":          {defaults, head + "X-PostX-Reply-Enabled: true\r\n\r\n", "", policy.Seal, policy.SourceHeader},
		"CRES header, but no":  {defaults, head + "X-PostX-Reply-Enabled: true\r\nX-Pli-Seal: no\r\n\r\n", "", policy.Plain, policy.SourceHeader},
		"everything":           {rule(""), head + "\r\n", "", policy.Seal, policy.SourceRule},
		"sender domain":        {rule(`sender = ["@example.org"]`), head + "\r\n", "", policy.Seal, policy.SourceRule},
		"sender below":         {rule(`sender = ["*.example.org"]`), head + "\r\n", "", policy.Plain, policy.SourceDefault},
		"sender group":         {rule(`sender = ["group:doctors"]`), head + "\r\n", "", policy.Seal, policy.SourceRule},
		"recipient group":      {rule(`recipient = ["group:Doctors"]`), head + "\r\n", "", policy.Plain, policy.SourceDefault},
		"recipient":            {rule(`recipient = ["Bob@X.test"]`), head + "\r\n", "bob@x.test", policy.Seal, policy.SourceRule},
		"recipient below":      {rule(`recipient = ["*.gov.test"]`), head + "\r\n", "a@tax.gov.test", policy.Seal, policy.SourceRule},
		"not recipient":        {rule(`not_recipient = ["@x.test"]`), head + "\r\n", "bob@x.test", policy.Plain, policy.SourceDefault},
		"size":                 {rule(`size_over = "1 kB"`), head + "\r\n" + strings.Repeat("x", 1000), "", policy.Seal, policy.SourceRule},
		"size not":             {rule(`size_over = "1 MB"`), head + "\r\n", "", policy.Plain, policy.SourceDefault},
		"attachment type":      {rule(`attachment = ["application/*"]`), pdf, "", policy.Seal, policy.SourceRule},
		"attachment name":      {rule(`attachment = ["*.pdf"]`), pdf, "", policy.Seal, policy.SourceRule},
		"attachment other":     {rule(`attachment = ["*.docx"]`), pdf, "", policy.Plain, policy.SourceDefault},
		"sensitivity":          {rule(`sensitivity = ["private"]`), head + "Sensitivity: Private\r\n\r\n", "", policy.Seal, policy.SourceRule},
		"subject":              {rule(`subject_matches = "(?i)diagnos"`), head + "Subject: =?utf-8?b?RGlhZ25vc2Vz?=\r\n\r\n", "", policy.Seal, policy.SourceRule},
		"text":                 {rule(`text_matches = '\b\d{13}\b'`), head + "\r\nn 1234567890123 .\r\n", "", policy.Seal, policy.SourceRule},
		"text in base64":       {rule(`text_matches = 'secret'`), head + "Content-Transfer-Encoding: base64\r\n\r\nYSBzZWNyZXQ=\r\n", "", policy.Seal, policy.SourceRule},
		"text in UTF-16":       {rule(`text_matches = 'é'`), head + "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9\r\n", "", policy.Seal, policy.SourceRule},
		"header expression":    {rule("header = { \"X-Class\" = \"(?i)conf\" }"), head + "X-Class: Confidential\r\n\r\n", "", policy.Seal, policy.SourceRule},
		"all of two":           {rule("sender = [\"@example.org\"]\nsubject_matches = 'x'"), head + "Subject: y\r\n\r\n", "", policy.Plain, policy.SourceDefault},
		"S/MIME":               {rule(""), head + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nx", "", policy.Plain, policy.SourceKind},
		"S/MIME, rules decide": {"encrypted = \"rules\"\n" + rule(""), head + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nx", "", policy.Seal, policy.SourceRule},
		"OpenPGP":              {rule(""), head + "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b--\r\n", "", policy.Plain, policy.SourceKind},
		"invitation":           {rule(""), invite, "", policy.Plain, policy.SourceKind},
		"invitation, keyword":  {rule(""), "Subject: [secure]\r\n" + invite, "", policy.Seal, policy.SourceKeyword},
	} {
		if c.to == "" {
			c.to = "bob@x.test"
		}
		d := decide(t, c.rules, c.raw, c.to)
		if d.Action != c.action || d.Why.Source != c.source {
			t.Errorf("%s: %s by %s, want %s by %s", name, d.Action, d.Why.Source, c.action, c.source)
		}
	}
}

// A bounce has nobody who could own its envelope.
func TestNullSender(t *testing.T) {
	t.Parallel()
	f := facts(t, head+"Subject: [secure]\r\n\r\n")
	f.NullSender = true
	d, err := parse(t, `default = "seal"`).Case(f).Decide(mailaddr.MustParse("bob@x.test"))
	if err != nil || d.Action != policy.Plain || d.Why.Source != policy.SourceNull {
		t.Errorf("%+v, %v", d, err)
	}
}

// The fields that filters for CRES write keep their meaning.
func TestOptions(t *testing.T) {
	t.Parallel()
	raw := head + "Subject: Re:  [secure]  hi [secure] \r\nX-PostX-Reply-Enabled: true\r\nX-PostX-Reply-All-Enabled: false\r\nX-PostX-Forward-Enabled: TRUE\r\n" +
		"X-PostX-Send-Return-Receipt: true\r\nX-PostX-ExpirationDate: +24:30:00\r\nX-PostX-ReadNotificationDate: 3 days\r\nX-PostX-Use-Script: false\r\n" +
		"X-PostX-Suppress-Applet-For-Open: true\r\nX-PostX-Remember-Envelope-Key-Checkbox: true\r\n\r\n"
	o := decide(t, defaults+"[[rule]]\nname='R'\nthen='seal'\nreply=false\nexpires='9 days'\nsubject='keep'\n", raw, "bob@x.test").Options
	yes := func(b *bool) bool { return b != nil && *b }
	if !yes(o.Reply) || o.ReplyAll == nil || *o.ReplyAll || !yes(o.Forward) || !yes(o.Receipt) || o.Expires != 24*time.Hour+30*time.Minute || o.Remind != 72*time.Hour ||
		!o.ScriptFree || !o.ServerDecrypt || o.Offline == nil || !*o.Offline || !o.KeepSubject {
		t.Errorf("%+v", o)
	}
	if s := o.Subject("Re:  [secure]  hi [secure] "); s != "Re: hi" {
		t.Errorf("subject %q", s)
	}
	d := decide(t, defaults, head+"X-PostX-ExpirationDate: tomorrow\r\nX-PostX-Use-Script: maybe\r\n\r\n", "bob@x.test")
	if len(d.Why.Ignored) != 2 || d.Options.Expires != 0 || d.Options.ScriptFree {
		t.Errorf("%+v", d)
	}
	if d := decide(t, defaults, head+"Disposition-Notification-To: ana@example.org\r\n\r\n", "bob@x.test"); !yes(d.Options.Receipt) {
		t.Error("a receipt that the mail program asked for is not sent")
	}
	// RFC 3834: nobody is told of what a program sent.
	if d := decide(t, defaults, head+"Auto-Submitted: auto-replied\r\nX-PostX-Send-Return-Receipt: true\r\nX-PostX-ReadNotificationDate: 1d\r\n\r\n", "bob@x.test"); yes(d.Options.Receipt) || d.Options.Remind != 0 {
		t.Error("a program gets receipts")
	}
}

// A rule set with everything wrong about it says so at once, in both languages.
func TestProblems(t *testing.T) {
	t.Parallel()
	_, err := policy.Parse([]byte(`keywords = [" x"]
default = "perhaps"
[[rule]]
sender = ["nobody"]
size_over = "much"
attachment = [""]
sensitivity = ["secret"]
subject_matches = "("
header = { X = "(" }
then = "burn"
expires = "soon"
reason = "café"
`))
	problems, ok := err.(*policy.Problems)
	if !ok || len(problems.List) != 12 {
		t.Fatalf("%v", err)
	}
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "fr"} {
		for _, s := range problems.Say(cat.Printer(lang, nil)) {
			if strings.Contains(s, "policy.") || strings.Contains(s, "{") {
				t.Errorf("%s: %s", lang, s)
			}
		}
	}
	_, err = policy.Parse([]byte("a = 1\nb = 2\n"))
	if problems, ok := err.(*policy.Problems); !ok || len(problems.List) != 2 || problems.List[1].Line != 2 {
		t.Errorf("%v", err)
	}
	if _, err := policy.Parse([]byte("default = \n")); err == nil {
		t.Error("no TOML is no error")
	}
}

// Every reason can be said in both languages.
func TestSay(t *testing.T) {
	t.Parallel()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	var list []policy.Outcome
	for _, w := range []policy.Why{
		{Source: policy.SourceKeyword, What: "[secure]"}, {Source: policy.SourceHeader, What: "x-pli-seal"},
		{Source: policy.SourceKind, What: policy.KindEncrypted}, {Source: policy.SourceKind, What: policy.KindCalendar},
		{Source: policy.SourceRule, Rule: "R", Number: 2, Version: 4, Matched: []string{"sender:@x", "recipient:@y", "size", "sensitivity:private", "attachment:a.pdf", "header:x", "subject", "text", "text:late"}},
		{Source: policy.SourceRule, Rule: "R", Number: 1}, {Source: policy.SourceNull}, {Source: policy.SourceDefault, Ignored: []string{"x-postx-use-script"}},
		{Source: policy.SourceDefault, Way: policy.WayNone}, {Source: policy.SourceDefault, Way: policy.WayDANE},
	} {
		for _, a := range []policy.Action{policy.Plain, policy.Seal, policy.Refuse, policy.TLS} {
			list = append(list, policy.Outcome{Recipient: "bob@x.test", Action: a, Why: w, Result: policy.ResultSent})
		}
	}
	again, err := policy.DecodeOutcomes(policy.EncodeOutcomes(list))
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "fr"} {
		for _, o := range again {
			if s := o.Say(cat.Printer(lang, nil)); strings.Contains(s, "policy.") || strings.ContainsAny(s, "{}") || strings.Contains(s, "..") {
				t.Errorf("%s: %s", lang, s)
			}
		}
	}
}

// The precedence holds whatever else is said.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keyword, header := rapid.Bool().Draw(t, "keyword"), rapid.SampledFrom([]string{"", "yes", "no"}).Draw(t, "header")
		then := rapid.SampledFrom([]string{"seal", "plain", "refuse", "tls"}).Draw(t, "then")
		matches, fallback := rapid.Bool().Draw(t, "matches"), rapid.SampledFrom([]string{"seal", "plain"}).Draw(t, "default")
		raw := head
		if keyword {
			raw += "Subject: [secure] x\r\n"
		}
		if header != "" {
			raw += "X-Pli-Seal: " + header + "\r\n"
		}
		to := "@other.test"
		if matches {
			to = "@x.test"
		}
		rules := defaults + "default = '" + fallback + "'\n[[rule]]\nname = 'R'\nrecipient = ['" + to + "']\nthen = '" + then + "'\n"
		r, err := policy.Parse([]byte(rules))
		if err != nil {
			t.Fatal(err)
		}
		x := message.NewIndexer()
		x.Write([]byte(raw + "\r\n"))
		m, h := x.Finish()
		d, err := r.Case(&policy.Facts{Sender: mailaddr.MustParse("ana@example.org"), Subject: m.Subject, Header: h}).Decide(mailaddr.MustParse("bob@x.test"))
		if err != nil {
			t.Fatal(err)
		}
		want := policy.Action(fallback)
		switch {
		case keyword:
			want = policy.Seal
		case header == "yes":
			want = policy.Seal
		case header == "no":
			want = policy.Plain
		case matches:
			want = policy.Action(then)
		}
		if d.Action != want {
			t.Fatalf("%s, want %s", d.Action, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(policy.DefaultText()))
	f.Add([]byte("[[rule]]\nname='R'\nthen='seal'\nsender=['group:x','@a.test','*.b.test','c@d.test']\nheader={a='b'}\n"))
	f.Add([]byte("[[rule]]\nname='R'\nthen='refuse'\nheader={x=''}\nsubject_matches='x'\nsize_over='5 MB'\nattachment=['*/*']\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := policy.Parse(text)
		if err != nil {
			if p, ok := err.(*policy.Problems); !ok || len(p.List) == 0 {
				t.Fatalf("%#v", err)
			}
			return
		}
		facts := &policy.Facts{Sender: mailaddr.MustParse("a@b.test"), Subject: "[secure] x", Header: message.Header{{Name: "x", Value: "y"}},
			Text: func(dst io.Writer, _ int64) error { _, err := io.WriteString(dst, "some text"); return err }}
		if _, err := r.Case(facts).Decide(mailaddr.MustParse("c@d.test")); err != nil {
			t.Fatal(err)
		}
	})
}

// A level is the strictest of what the header and the rule say; the field alone
// seals nothing.
func TestLevelOfMail(t *testing.T) {
	t.Parallel()
	rules := parse(t, "[[rule]]\nname = \"all\"\nsubject_matches = \"results\"\nthen = \"seal\"\nlevel = \"medium\"\n")
	for _, c := range []struct {
		header, level string
		action        policy.Action
	}{
		{"Subject: results\r\n", policy.Medium, policy.Seal},
		{"Subject: results\r\nX-Pli-Level: low\r\n", policy.Medium, policy.Seal},
		{"Subject: results\r\nX-Pli-Level:  HIGH \r\n", policy.High, policy.Seal},
		{"Subject: results\r\nX-Pli-Level: high\r\nX-Pli-Level: low\r\n", policy.High, policy.Seal},
		{"Subject: results\r\nX-Pli-Level: highest\r\n", policy.Medium, policy.Seal},
		{"Subject: lunch\r\nX-Pli-Level: high\r\n", "", policy.Plain},
		{"Subject: lunch\r\nX-Pli-Seal: yes\r\nX-Pli-Level: low\r\n", policy.Low, policy.Seal},
	} {
		d, err := rules.Case(facts(t, head+c.header+"\r\nText.\r\n")).Decide(mailaddr.MustParse("bob@x.test"))
		if err != nil || d.Action != c.action || c.action == policy.Seal && d.Options.Permissions().Level != c.level {
			t.Errorf("%q: %s %q, %v", c.header, d.Action, d.Options.Level, err)
		}
	}
	if _, err := policy.Parse([]byte("[[rule]]\nname = \"a\"\nthen = \"seal\"\nlevel = \"highest\"\n")); err == nil {
		t.Error("an unknown level was read")
	}
}
