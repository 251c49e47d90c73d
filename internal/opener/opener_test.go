package opener_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"html"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/opener"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	begin = "-----BEGIN PLI ENVELOPE-----"
	end   = "-----END PLI ENVELOPE-----"
)

func page(lang string, payload []byte) opener.Page {
	var e envelope.Secret
	for i := range e {
		e[i] = byte(i)
	}
	return opener.Page{
		Lang: lang, Origin: "https://keys.example.test:8443",
		Sender: "Élodie \"<b>\" Durand <elodie@corp.test>", Organisation: ".Clinique & fils", Reference: "From A-42",
		Part: envelope.KeyPart{E: e}, Head: []byte("\x89PLI1\r\n\x1a\n head of the file"),
		Payload:     func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil },
		PayloadSize: int64(len(payload)),
	}
}

// payload is fixed bytes that look random.
func payload(n int) []byte {
	b := make([]byte, 0, n+32)
	for sum := sha256.Sum256(nil); len(b) < n; sum = sha256.Sum256(sum[:]) {
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func write(t testing.TB, p opener.Page) string {
	t.Helper()
	var b bytes.Buffer
	n, err := p.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo says %d and wrote %d", n, b.Len())
	}
	return b.String()
}

func split(t testing.TB, s string) (before, armor, after string) {
	t.Helper()
	before, rest, ok := strings.Cut(s, begin)
	armor, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("no armor")
	}
	return before, armor, after
}

// every runs a test over both languages and both sizes.
func every(t *testing.T, f func(t *testing.T, s string, small bool, raw []byte)) {
	for _, lang := range []string{"en", "fr"} {
		for _, n := range []int{4096, 200_000} {
			p := page(lang, payload(n))
			raw := append(bytes.Clone(p.Head), payload(n)...)
			t.Run(lang, func(t *testing.T) { f(t, write(t, p), n < 48<<10, raw) })
		}
	}
}

// Section 5, rule 1: ASCII, short lines, nothing that SMTP or mbox changes.
func TestLines(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, _ bool, _ []byte) {
		if !strings.HasPrefix(s, "<!DOCTYPE html>\r\n") || !strings.Contains(s, `<meta charset="utf-8">`) {
			t.Error("not declared as HTML in UTF-8")
		}
		inArmor := false
		for i, line := range strings.Split(s, "\r\n") {
			inArmor = inArmor && line != end || line == begin
			limit := 300
			if inArmor {
				limit = 76
			}
			if len(line) > limit {
				t.Errorf("line %d has %d characters: %.60s", i+1, len(line), line)
			}
			if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "From ") {
				t.Errorf("line %d begins with %.10q", i+1, line)
			}
			for _, c := range []byte(line) {
				if c < ' ' || c > '~' {
					t.Fatalf("line %d has the octet %#x", i+1, c)
				}
			}
		}
	})
}

// A masked half is longer: its lines are short too, and it is the one in link and form.
func TestMaskedPart(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4096, 200_000} {
		p := page("fr", payload(n))
		p.Part = envelope.KeyPart{E: p.Part.E, Salt: bytes.Repeat([]byte{0xff}, 16), Hint: strings.Repeat("é", envelope.MaxHint/2)}
		s := write(t, p)
		before, _, _ := split(t, s)
		for i, line := range strings.Split(before, "\r\n") {
			if len(line) > 300 {
				t.Errorf("line %d has %d characters", i+1, len(line))
			}
		}
		one := strings.ReplaceAll(before, "\r\n", "") // as a browser reads an address
		if !strings.Contains(one, `action="`+p.Origin+`/u#e=`+p.Part.Text()+`"`) || n < 48<<10 && !strings.Contains(one, `href="`+p.Origin+`/l#e=`+p.Part.Text()+`&amp;x=`) {
			t.Error("form or link without the part")
		}
		if !strings.Contains(before, "phrase secr&#232;te") {
			t.Error("the file does not say that it takes a passphrase")
		}
		_, part, err := envelope.FindArmor(strings.NewReader(s))
		if err != nil || part == nil || part.Text() != p.Part.Text() {
			t.Errorf("FindArmor: %v, %v", part, err)
		}
	}
}

// Rule 2: a policy with the hashes of what is really there.
func TestPolicy(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, _ bool, _ []byte) {
		lf := strings.ReplaceAll(s, "\r\n", "\n") // as HTML parsers read it
		m := regexp.MustCompile(`(?s)http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(lf)
		if m == nil {
			t.Fatal("no policy")
		}
		hash := func(open, closing string) string {
			_, rest, ok := strings.Cut(lf, open)
			body, _, ok2 := strings.Cut(rest, closing)
			if !ok || !ok2 {
				t.Fatalf("no %s", open)
			}
			sum := sha256.Sum256([]byte(body))
			return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
		want := "default-src 'none'; script-src " + hash("<script>", "</script>") + "; style-src " + hash("<style>", "</style>") +
			"; form-action https://keys.example.test:8443; base-uri 'none'"
		if got := strings.Join(strings.Fields(m[1]), " "); got != want {
			t.Errorf("policy %s\nwant %s", got, want)
		}
		if !strings.Contains(s, `<meta name="referrer" content="no-referrer">`) {
			t.Error("no referrer policy")
		}
		if strings.Index(lf, "Content-Security-Policy") > strings.Index(lf, "<style>") {
			t.Error("the policy comes late")
		}
	})
}

// Rule 3: one armor, in the template, with the whole file in it; rule 4: the
// part before it, and E nowhere in the form or the armor.
func TestArmorAndPart(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, small bool, raw []byte) {
		if strings.Count(s, begin) != 1 || strings.Count(s, end) != 1 || strings.Count(s, "application/x-pli-part") != 1 {
			t.Fatal("not exactly one armor and one part")
		}
		before, armor, _ := split(t, s)
		if !strings.HasSuffix(before, "<template id=\"payload\">\r\n") {
			t.Error("the armor is not in the template")
		}
		e := page("en", nil).Part.Text()
		if len(e) != 43 || !strings.Contains(before, `<script type="application/x-pli-part" id="part">`+e+`</script>`) {
			t.Error("no part before the armor")
		}
		got, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(armor), ""))
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("armor holds %d bytes, %v; want %d", len(got), err, len(raw))
		}
		form := regexp.MustCompile(`(?s)<form[^>]*>(.*)</form>`).FindStringSubmatch(s)
		if strings.Contains(form[1], e) || strings.Contains(armor, e) {
			t.Error("E is in the form or in the armor")
		}
		if !strings.Contains(s, `action="https://keys.example.test:8443/u#e=`+e+`"`) {
			t.Error("no fragment in the form's action")
		}

		r, part, err := envelope.FindArmor(strings.NewReader(s))
		if err != nil || part == nil || part.Text() != e {
			t.Fatalf("FindArmor: part %v, %v", part, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("FindArmor: %d bytes, %v", len(got), err)
		}
	})
}

// Rule 5: up to 64 KiB of base64 also the link and the field, which need no script.
func TestLinkAndField(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, small bool, raw []byte) {
		link := regexp.MustCompile(`(?s)<a rel="noopener noreferrer" target="_blank" id="link"\s+href="([^"]*)"`).FindStringSubmatch(s)
		field := regexp.MustCompile(`(?s)<textarea name="envelope"[^>]*>\s*(.*?)\s*</textarea>`).FindStringSubmatch(s)
		file := strings.Contains(s, `<input type="file" name="envelope" id="file" hidden>`)
		if !small {
			if link != nil || field != nil || !file {
				t.Error("a large file has the link or the field, or lacks the file input")
			}
			return
		}
		if link == nil || field == nil || file {
			t.Fatal("a small file lacks the link or the field, or has the file input")
		}
		href := strings.Join(strings.Fields(html.UnescapeString(link[1])), "") // browsers drop line breaks
		x, ok := strings.CutPrefix(href, "https://keys.example.test:8443/l#e="+page("en", nil).Part.Text()+"&x=")
		if got, err := base64.RawURLEncoding.DecodeString(x); !ok || err != nil || !bytes.Equal(got, raw) {
			t.Errorf("link: %.80s, %v", href, err)
		}
		armor := html.UnescapeString(field[1])
		r, _, err := envelope.FindArmor(strings.NewReader(armor))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("field: %d bytes, %v", len(got), err)
		}
	})
}

func TestSizeOfTheLinkForm(t *testing.T) {
	t.Parallel()
	head := len(page("en", nil).Head)
	for n, want := range map[int]bool{12<<10 - head: true, 12<<10 - head + 1: false} {
		if got := strings.Contains(write(t, page("en", payload(n))), "/l#e="); got != want {
			t.Errorf("%d bytes: link %v", n+head, got)
		}
	}
}

// Rule 6: words that mail filters take for malware, outside the base64.
func TestForbiddenWords(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, _ bool, _ []byte) {
		before, _, after := split(t, s)
		before = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}`).ReplaceAllString(before, "")
		lower := strings.ToLower(before + after)
		for _, word := range []string{
			"password", "atob", "eval", "blob", "createobjecturl", "location", "download", "data:", "document.write", "fromcharcode", "unescape", "innerhtml", "<iframe", "onload", "fetch(", "xmlhttprequest",
		} {
			if strings.Contains(lower, word) {
				t.Errorf("the word %q", word)
			}
		}
		script := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(s)
		if script == nil || strings.Contains(script[1], "@") || strings.Contains(script[1], "corp.test") {
			t.Error("an address in the script")
		}
		if strings.Count(s, "<script>") != 1 {
			t.Error("not one script")
		}
	})
}

// Rule 7: visible without script and style. AT-27: with a dead script the
// drop instruction is still there.
func TestVisibleWithoutScript(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, s string, _ bool, _ []byte) {
		visible := html.UnescapeString(regexp.MustCompile(`(?s)<!--.*?-->|<[^>]*>`).ReplaceAllString(s, ""))
		for _, want := range []string{
			`Élodie "<b>" Durand <elodie@corp.test>`, ".Clinique & fils", "From A-42",
			"keys.example.test:8443", "keys.example.test:8443/open",
		} {
			if !strings.Contains(visible, want) {
				t.Errorf("not visible: %s", want)
			}
		}
		if !strings.Contains(s, `<details id="ways" open>`) || !strings.Contains(s, `<p id="go" hidden>`) {
			t.Error("without script the button should be hidden and the other ways open")
		}
	})
}

// AT-65 for the file: claims are neutral.
func TestClaimsAreNeutral(t *testing.T) {
	t.Parallel()
	p := page("en", payload(10))
	p.Sender = "a\r\n.b\u202ec\x00</dd><script>alert(1)</script>" + strings.Repeat("é", 1000)
	s := write(t, p)
	if strings.Contains(s, "<script>alert") || strings.Contains(s, "\r\n.b") || strings.Contains(s, "8238") {
		t.Error("the sender's text is not neutral")
	}
	for line := range strings.SplitSeq(s, "\r\n") {
		if len(line) > 300 {
			t.Errorf("line of %d", len(line))
		}
	}
	p.Sender = ""
	if s := write(t, p); !strings.Contains(s, "<dd>not stated</dd>") {
		t.Error("no word on a missing sender")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, change := range map[string]func(p *opener.Page){
		"origin with path":   func(p *opener.Page) { p.Origin += "/x" },
		"origin in http":     func(p *opener.Page) { p.Origin = "http://keys.example.test" },
		"origin with quote":  func(p *opener.Page) { p.Origin = `https://a"b` },
		"origin in capitals": func(p *opener.Page) { p.Origin = "https://Keys.example.test" },
		"no payload":         func(p *opener.Page) { p.Payload = nil },
		"long payload":       func(p *opener.Page) { p.PayloadSize-- },
		"short payload":      func(p *opener.Page) { p.PayloadSize++ },
		"failing payload":    func(p *opener.Page) { p.Payload = func() (io.ReadCloser, error) { return nil, boom } },
	} {
		p := page("en", payload(100_000))
		change(&p)
		if _, err := p.WriteTo(io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p := page("en", payload(10))
	p.Origin = "http://localhost:8080"
	write(t, p)
}

func TestName(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 14, 58, 0, 0, time.FixedZone("", 3600))
	if got := opener.Name(at); got != "securedoc_20261123T135800.html" {
		t.Errorf("name %q", got)
	}
}

// Both languages have every word, and not the same ones by mistake.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	c := opener.Catalogue()
	en, fr := reflect.ValueOf(c["en"]), reflect.ValueOf(c["fr"])
	for i := range en.NumField() {
		name, a, b := en.Type().Field(i).Name, en.Field(i).String(), fr.Field(i).String()
		if a == "" || b == "" || a == b || strings.Count(a, "%s") != strings.Count(b, "%s") {
			t.Errorf("%s: %q and %q", name, a, b)
		}
	}
	for tag, want := range map[string]string{"fr": "fr", "fr-CA": "fr", "FR": "fr", "de": "en", "": "en"} {
		if s := write(t, page(tag, payload(1))); !strings.Contains(s, `<html lang="`+want+`">`) {
			t.Errorf("%q is not in %s", tag, want)
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		got := write(t, page(lang, payload(200)))
		name := "testdata/small-" + lang + ".golden"
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s differs; -update rewrites it. It is now\n%s", name, got)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	p := page("en", payload(10<<20))
	b.SetBytes(p.PayloadSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
