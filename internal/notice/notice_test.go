package notice_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/notice"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const origin = "https://envelope.example.org"

func newWriter(t *testing.T) *notice.Writer {
	t.Helper()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	w, err := notice.New(cat, origin)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var (
	paris, _ = time.LoadLocation("Europe/Paris")
	half     = envelope.Secret{1, 2, 3, 0xff}
	sample   = notice.Envelope{
		Sender: "Claire Roux", SenderAddress: "claire.roux@example.org", Organisation: "Example Health",
		To: "jean@example.net", Note: "Bonjour Jean, voici les résultats dont nous avons parlé au téléphone.\n\nÀ bientôt <b>Claire</b>",
		Ref: "7KQ42F", Part: envelope.KeyPart{E: half},
		ExpiresAt: time.Date(2026, 12, 24, 22, 59, 59, 0, time.UTC), KeptUntil: time.Date(2026, 12, 7, 10, 0, 0, 0, time.UTC),
		File: "securedoc_20261123T135800.html",
	}
)

func langs(order ...string) notice.Languages { return notice.Languages{Order: order, Zone: paris} }

// mails are all mails of the service in every language choice.
func mails(t *testing.T) map[string]notice.Mail {
	w := newWriter(t)
	out := map[string]notice.Mail{}
	add := func(name string) func(notice.Mail, error) {
		return func(m notice.Mail, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out[name] = m
		}
	}
	at := time.Date(2026, 11, 1, 8, 5, 0, 0, time.UTC)
	add("envelope-both")(w.Envelope(langs("fr", "en"), sample))
	light := sample
	light.File = ""
	add("envelope-light-en")(w.Envelope(langs("en"), light))
	only := sample
	only.KeptUntil, only.ExpiresAt, only.Organisation, only.Note = time.Time{}, time.Time{}, "", ""
	add("envelope-only-fr")(w.Envelope(langs("fr"), only))
	for _, lang := range i18n.Languages {
		l := langs(lang)
		add("envelope-" + lang)(w.Envelope(l, sample))
		add("code-" + lang)(w.Code(l, notice.Code{Code: "042137", Ref: "7KQ42F", Sender: "Claire Roux", Organisation: "Example Health"}))
		add("signin-" + lang)(w.SignInCode(l, "042137"))
		add("recover-" + lang)(w.RecoverCode(l, "042137"))
		add("alias-" + lang)(w.AliasCode(l, "042137"))
		add("opened-" + lang)(w.Opened(l, notice.Opened{Ref: "7KQ42F", Recipient: "jean@example.net", MessageID: strings.Repeat("ab", 16), At: at}))
		add("remind-" + lang)(w.Reminder(l, notice.Reminder{Sender: "Claire Roux", SenderAddress: "claire@example.org", Organisation: "Example Health", Ref: "7KQ42F",
			SentAt: at, ExpiresAt: at.AddDate(0, 0, 7)}))
		add("forwarded-" + lang)(w.Forwarded(l, notice.Forwarded{Sender: "Claire Roux", SenderAddress: "claire@example.org", Organisation: "Example Health", Ref: "7KQ42F",
			SentAt: at, Until: at.AddDate(0, 0, 8), Stage: "01a217bb-c1d1-714e-8dde-40067ef5078b", Part: envelope.KeyPart{E: half}}))
		add("unread-" + lang)(w.Unread(l, notice.Unread{Ref: "7KQ42F", Recipients: []string{"jean@example.net", "rosa@example.com"}, MessageID: strings.Repeat("ab", 16), SentAt: at}))
		add("bounce-" + lang)(w.Bounce(l, notice.Bounce{Ref: "7KQ42F", MessageID: strings.Repeat("ab", 16), Recipient: "jean@example.net", SentAt: at,
			Reason: "550 5.1.1 <jean@example.net>: user unknown"}))
		add("bounce-other-" + lang)(w.Bounce(l, notice.Bounce{Subject: "Hello", Recipient: "jean@example.net", SentAt: at}))
		add("invitation-" + lang)(w.Invitation(l, notice.Invitation{Admin: "Ana Silva", Organisation: "Example Health", Token: "TOKEN", Until: at}))
		add("adminadded-" + lang)(w.AdminAdded(l, notice.AdminAdded{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042}))
		add("webhookoff-" + lang)(w.WebhookOff(l, notice.WebhookOff{Host: "hooks.example.org", Organisation: "Example Health", Number: 100042}))
		add("webhookgone-" + lang)(w.WebhookOff(l, notice.WebhookOff{Host: "hooks.example.org", Gone: true, Organisation: "Example Health", Number: 100042}))
		add("joined-" + lang)(w.Joined(l, notice.Joined{Admin: "Ana Silva", Organisation: "Example Health", Group: "Nurses", Number: 100042}))
		add("access-" + lang)(w.AccessRequested(l, notice.AccessRequested{Person: "Marc Roy", Address: "marc@example.org", Right: "all", Reason: "I run the desk.",
			Organisation: "Example Health", Number: 100042}))
		add("access-right-" + lang)(w.AccessRequested(l, notice.AccessRequested{Person: "Marc Roy", Address: "marc@example.org", Right: "reports",
			Organisation: "Example Health", Number: 100042}))
		add("granted-" + lang)(w.AccessDecided(l, notice.AccessDecided{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042, Right: "reports", Group: "Auditors"}))
		add("refused-" + lang)(w.AccessDecided(l, notice.AccessDecided{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042, Right: "reports"}))
		add("refused-site-" + lang)(w.AccessDecided(l, notice.AccessDecided{Right: "all", Word: "Ask your own organisation."}))
		add("granted-word-" + lang)(w.AccessDecided(l, notice.AccessDecided{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042, Right: "reports", Group: "Auditors",
			Word: "Until the inspection is over."}))
		add("refused-word-" + lang)(w.AccessDecided(l, notice.AccessDecided{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042, Right: "reports",
			Word: "Not before <b>March</b>.\nThe figures of the ward are on its own page, which you can see today already."}))
		add("adminadded-word-" + lang)(w.AdminAdded(l, notice.AdminAdded{Admin: "Ana Silva", Organisation: "Example Health", Number: 100042, Word: "You replace me in August."}))
		for _, what := range []string{"passkey_added", "passkey_removed", "authenticator_added", "authenticator_removed", "recovery_made", "recovery_used", "alias_added", "alias_removed", "lift_asked", "lift_approved", "lift_done"} {
			f := notice.FactorChanged{What: what, At: at, Place: "192.0.2.7"}
			switch what {
			case "lift_asked":
				f.Stop = "TOKEN"
			case "lift_approved":
				f.Stop, f.Place = "TOKEN", ""
			}
			if strings.HasPrefix(what, "passkey") {
				f.Name = "Work phone"
			} else if strings.HasPrefix(what, "alias") {
				f.Name = "claire@old.example"
			}
			add("factor-" + what + "-" + lang)(w.FactorChanged(l, f))
		}
		add("pwchanged-" + lang)(w.PasswordChanged(l, at, "192.0.2.7"))
	}
	return out
}

func TestGolden(t *testing.T) {
	t.Parallel()
	all := mails(t)
	if len(all) < 23 {
		t.Fatalf("only %d mails", len(all))
	}
	for name, m := range all {
		for ext, got := range map[string]string{".txt": "Subject: " + m.Subject + "\n\n" + m.Text, ".html": m.HTML} {
			path := filepath.Join("testdata", name+ext)
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; run with -update and look at the change\n%s", path, got)
			}
		}
	}
}

// No image, no script, no pixel, one host; no key of the catalogue shows, no
// placeholder is left empty (ux.md 4.2).
func TestMailsAreCalm(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`https?://[^\s"'<>)]+`)
	bare := regexp.MustCompile(`\bmail\.[a-z]+|\{[a-z]+\}|%!\w\(|\x{e000}|\x{e001}|<no value>|ZgotmplZ`)
	for name, m := range mails(t) {
		for _, text := range []string{m.Text, m.HTML, m.Subject} {
			for _, a := range address.FindAllString(text, -1) {
				if !strings.HasPrefix(a, origin+"/") {
					t.Errorf("%s: link to %s", name, a)
				}
			}
			if s := bare.FindString(text); s != "" {
				t.Errorf("%s: %q is left in the text", name, s)
			}
		}
		for _, tag := range []string{"<img", "<script", "<iframe", "<link", "background=", "url(", "utm_"} {
			if strings.Contains(strings.ToLower(m.HTML), tag) {
				t.Errorf("%s: %s in the HTML", name, tag)
			}
		}
		for i, l := range strings.Split(m.Text, "\n") {
			if len([]rune(l)) > 78 && !strings.Contains(l, "http") {
				t.Errorf("%s: line %d has %d characters: %s", name, i+1, len([]rune(l)), l)
			}
		}
		// The text says all that the HTML says: same links, same count.
		links := strings.Count(m.HTML, "href=")
		if n := len(address.FindAllString(m.Text, -1)); n < links {
			t.Errorf("%s: %d links in the HTML, %d in the text", name, links, n)
		}
	}
}

// The text comes before anything else and holds what a person needs.
func TestEnvelopeSaysWhatMatters(t *testing.T) {
	t.Parallel()
	m := mails(t)["envelope-en"]
	for _, want := range []string{
		"Claire Roux sent you an envelope", "From: Claire Roux <claire.roux@example.org>", "To: jean@example.net",
		"Available until 24 December 2026", "Reference: 7KQ-42F", "Read Message:\n" + origin + "/m/7KQ42F#" + half.Base64(),
		"type envelope.example.org", "never ask for your password", "nobody will be told",
		"https://envelope.example.org/help/check", "/m/7KQ42F?lang=fr#" + half.Base64(), "securedoc_20261123T135800.html", "7 December 2026",
	} {
		if !strings.Contains(strings.ReplaceAll(m.Text, "\n", " "), strings.ReplaceAll(want, "\n", " ")) {
			t.Errorf("text lacks %q:\n%s", want, m.Text)
		}
	}
	if m.Subject != "Claire Roux (Example Health) sent you an envelope" {
		t.Errorf("subject %q", m.Subject)
	}
	if !strings.Contains(m.HTML, "&lt;b&gt;Claire&lt;/b&gt;") {
		t.Error("the note is not escaped in the HTML")
	}
	if light := mails(t)["envelope-light-en"]; !strings.Contains(light.Text, "until 7 December 2026") || strings.Contains(light.Text, "24 December") {
		t.Errorf("without the file the mail must name the end of the link:\n%s", light.Text)
	}
}

// AT-65: what people type cannot turn the text round, hide, or begin a line of its own.
func TestNamesAreNeutralised(t *testing.T) {
	t.Parallel()
	w := newWriter(t)
	e := sample
	e.Sender = "Ana\r\nBcc: x@evil.test\u202egpj.exe\u200b \ue000Silva\x00"
	e.Organisation = strings.Repeat("é", 5000)
	e.Note = "one\u2066two\r\nthree\x07"
	m, err := w.Envelope(langs("en"), e)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{m.Subject, m.Text, m.HTML} {
		if strings.ContainsAny(s, "\u202e\u2066\u200b\ue000\x00\x07\r") {
			t.Errorf("a character that hides or turns is left in %q", s)
		}
	}
	if strings.Contains(m.Subject, "\n") || strings.Contains(m.Text, "\nBcc") || len([]rune(m.Subject)) > 200 {
		t.Errorf("subject %q", m.Subject)
	}
	if !strings.Contains(m.Text, "  onetwo\n  three") {
		t.Errorf("the note lost its lines:\n%s", m.Text)
	}
}

// AT-65: the word of who decides stays theirs: no header, no line at the margin
// that could be one of ours, no markup, and said to be theirs.
func TestWordIsQuoted(t *testing.T) {
	t.Parallel()
	w := newWriter(t)
	word := "one\r\nBcc: x@evil.test\r\n\r\n-- \n<a href=\"https://evil.test\">Open</a>\u202e\x07\n" + strings.Repeat("long ", 40)
	for _, lang := range []string{"en", "fr"} {
		for name, write := range map[string]func() (notice.Mail, error){
			"refused": func() (notice.Mail, error) {
				return w.AccessDecided(langs(lang), notice.AccessDecided{Admin: "Ana\r\nBcc: x@evil.test", Number: 100042, Right: "reports", Word: word})
			},
			"granted": func() (notice.Mail, error) {
				return w.AccessDecided(langs(lang), notice.AccessDecided{Admin: "Ana", Number: 100042, Right: "reports", Group: "Auditors", Word: word})
			},
			"site": func() (notice.Mail, error) {
				return w.AccessDecided(langs(lang), notice.AccessDecided{Right: "all", Word: word})
			},
			"administrator": func() (notice.Mail, error) {
				return w.AdminAdded(langs(lang), notice.AdminAdded{Admin: "Ana", Number: 100042, Word: word})
			},
		} {
			m, err := write()
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.Subject, "one") || strings.ContainsAny(m.Text+m.HTML, "\r\u202e\x07") {
				t.Errorf("%s %s: subject %q", lang, name, m.Subject)
			}
			if strings.Contains(m.HTML, "<a href=\"https://evil") || !strings.Contains(m.HTML, "&lt;a href=&#34;https://evil.test&#34;&gt;Open") {
				t.Errorf("%s %s: the word is not escaped in the HTML", lang, name)
			}
			author := map[string]string{"en": "write", "fr": "écri"}[lang]
			before, after, _ := strings.Cut(m.Text, "\n\n  one\n  Bcc: x@evil.test\n\n  --\n  <a href=")
			if lines := strings.Split(before, "\n"); after == "" || !strings.Contains(lines[len(lines)-1], author) {
				t.Errorf("%s %s: not quoted as somebody's:\n%s", lang, name, m.Text)
			}
			if strings.Contains(m.Text, "\nBcc") || strings.Contains(m.Text, "\nlong") {
				t.Errorf("%s %s: a line at the margin:\n%s", lang, name, m.Text)
			}
		}
	}
}

func TestLanguageChoice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ choice, own, want string }{
		{"en", "fr", "en"}, {"fr", "en", "fr"}, {"both", "fr", "fr en"}, {"both", "en", "en fr"}, {"", "", "en fr"}, {"de", "fr", "fr en"},
	} {
		if got := strings.Join(notice.In(c.choice, c.own, nil).Order, " "); got != c.want {
			t.Errorf("In(%q, %q) = %s, want %s", c.choice, c.own, got, c.want)
		}
	}
}

// A reason of our own is said in the reader's language, the next hop's as it is.
func TestBounceReason(t *testing.T) {
	w := newWriter(t)
	for reason, want := range map[string]string{
		"mail.fail.size":            "dépasse la taille",
		"550 5.1.1 no such {user}!": "550 5.1.1 no such {user}!",
	} {
		m, err := w.Bounce(langs("fr"), notice.Bounce{Recipient: "jean@example.net", Reason: reason})
		if err != nil || !strings.Contains(strings.ReplaceAll(m.Text, "\n", " "), want) {
			t.Errorf("%s: %v\n%s", reason, err, m.Text)
		}
	}
}
