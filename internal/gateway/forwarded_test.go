package gateway_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/gateway"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/smtpd"
	"github.com/pli-mail/pli/internal/store/storetest"
)

const openAddress = "open@pli.example"

// newOpenHouse has the open address, a sealed mail for each recipient, and then
// no upstream any more: whoever connects is a stranger.
func newOpenHouse(t *testing.T, to ...string) (h *house, files []string) {
	t.Helper()
	h = newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Open = mailaddr.MustParse(openAddress) })
	for _, a := range to {
		h.sent(h.send("ana@example.org", letter("[secure] hi", "The secret is out.\r\n"), a))
		files = append(files, file(t, h.hop.to(t, a, 1)[0].raw))
	}
	if err := h.accounts.RemoveUpstream(t.Context(), h.root, 100042, "local"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upstream to be a stranger", func() bool { return h.send("ana@example.org", letter("hi", "x\r\n"), "probe@y.test")[0] == '5' })
	return h, files
}

// forwarded is a mail that carries files, with further fields in its header.
func forwarded(fields string, files ...string) string {
	var b strings.Builder
	b.WriteString("From: Mallory <mallory@evil.test>\r\nReply-To: victim@evil.test\r\nSubject: Fwd: sealed\r\n" + fields +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>see below</p>\r\n")
	for _, f := range files {
		b.WriteString("--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=e.html\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		for text := base64.StdEncoding.EncodeToString([]byte(f)); text != ""; {
			n := min(76, len(text))
			b.WriteString(text[:n] + "\r\n")
			text = text[n:]
		}
	}
	return b.String() + "--b--\r\n"
}

// AT-75: whoever forwards whatever to the open address, the one mail that comes
// of it goes to the address of the slot.
func TestOpenAddress(t *testing.T) {
	t.Parallel()
	h, files := newOpenHouse(t, "bob@x.test", "eve@x.test")
	before := len(h.hop.all())
	half := func(f string) string {
		return regexp.MustCompile(`id="part">\s*([\w.-]+)`).FindStringSubmatch(f)[1]
	}
	mine, other := files[0], files[1]
	swapped := strings.ReplaceAll(mine, half(mine), half(other))
	deep := forwarded("", mine)
	for range 4 {
		deep = "From: a@b.test\r\nContent-Type: message/rfc822\r\n\r\n" + deep
	}
	for name, c := range map[string]struct{ from, raw string }{
		"a bounce":            {"", forwarded("", mine)},
		"an automatic answer": {"mallory@evil.test", forwarded("Auto-Submitted: auto-replied\r\n", mine)},
		"a list":              {"mallory@evil.test", forwarded("List-Id: <l.evil.test>\r\n", mine)},
		"bulk":                {"mallory@evil.test", forwarded("Precedence: Bulk\r\n", mine)},
		"a loop":              {"mallory@evil.test", forwarded(strings.Repeat("Received: from a by b; now\r\n", 30), mine)},
		"two envelopes":       {"mallory@evil.test", forwarded("", mine, other)},
		"the same twice":      {"mallory@evil.test", forwarded("", mine, mine)},
		"garbage":             {"mallory@evil.test", "\x01\x02\x03\r\nno header\r\n\r\n"},
		"no envelope":         {"mallory@evil.test", forwarded("")},
		"another's half":      {"mallory@evil.test", forwarded("", swapped)},
		"without its half":    {"mallory@evil.test", forwarded("", regexp.MustCompile(`(id="part">\s*)[\w.-]+`).ReplaceAllString(mine, "$1"))},
		"one that was cut":    {"mallory@evil.test", forwarded("", mine[:strings.Index(mine, "-----END")])},
		"many parts":          {"mallory@evil.test", forwarded("", append([]string{mine}, make([]string, 30)...)...)},
		"too deep":            {"mallory@evil.test", deep},
	} {
		if r := h.send(c.from, c.raw, openAddress); !strings.HasPrefix(r, "250 2.0.0 ok") {
			t.Errorf("%s: %q", name, r)
		}
		if storetest.Count(t, h.db, "outbox") != 0 {
			t.Fatalf("%s is answered", name)
		}
	}
	if n, l := storetest.Count(t, h.db, "stages"), storetest.Count(t, h.db, "outbox"); n != 0 || l != 0 || len(h.hop.all()) != before {
		t.Fatalf("%d stages, %d letters, %d mails", n, l, len(h.hop.all())-before)
	}

	// While the answer waits, its E is nowhere in clear.
	h.hop.refuse(func(string) error { return &smtpd.Reply{Code: 450, Enhanced: "4.2.0", Text: "later"} }, nil)
	inner := "From: mallory@evil.test\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: text/plain\r\n\r\nopen it\r\n" +
		"--o\r\nContent-Type: message/rfc822\r\n\r\n" + forwarded("", mine) + "\r\n--o--\r\n"
	var wg sync.WaitGroup
	for i := range 10 { // in one second
		raw := inner
		if i%2 == 1 {
			raw = forwarded("Return-Path: <victim@evil.test>\r\n", mine)
		}
		x := h.dial()
		wg.Go(func() {
			if r := x.send(fmt.Sprintf("mallory%d@evil.test", i), raw, openAddress); r[0] != '2' && !strings.HasPrefix(r, "451 4.3.2 busy") {
				t.Errorf("%q", r)
			}
		})
	}
	wg.Wait()
	if n := storetest.Count(t, h.db, "outbox"); n != 1 {
		t.Fatalf("%d letters", n)
	}
	secret, err := envelope.ParseSecret(half(mine))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range [][]byte{secret[:], []byte(half(mine))} {
		if storetest.Holds(t, h.db, e) || strings.Contains(h.log.String(), string(e)) {
			t.Error("E is in the database or the log")
		}
		err := filepath.Walk(h.dir, func(path string, info os.FileInfo, err error) error {
			if err != nil || info.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if strings.Contains(string(b), string(e)) {
				t.Errorf("E is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	h.hop.refuse(nil, nil)
	storetest.Exec(t, h.db, "UPDATE outbox SET next_at = 0")
	h.box.Wake()
	answer := h.hop.to(t, "bob@x.test", 2)[1]
	if answer.from != "" || !strings.Contains(answer.raw, "Auto-Submitted: auto-replied\r\n") || strings.Contains(answer.raw, "evil.test") {
		t.Errorf("from %q:\n%.900s", answer.from, answer.raw)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(answer.raw, "=\r\n", ""), "=3D", "=") // of quoted-printable
	if !regexp.MustCompile(`https://envelope\.example\.org/s/[0-9a-f]{32}#e=` + regexp.QuoteMeta(half(mine))).MatchString(text) {
		t.Errorf("there is no link:\n%s", text)
	}
	if r := h.send("mallory@evil.test", forwarded("", mine), openAddress); r[0] != '2' {
		t.Errorf("once more: %q", r)
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(h.hop.all()); n != before+1 {
		t.Errorf("%d mails", n-before)
	}
	// The answer itself, sent back by some program, is not answered.
	if r := h.send("bob@x.test", answer.raw, openAddress); r[0] != '2' {
		t.Errorf("the answer: %q", r)
	}
}

// Mail programs and filters give the file other names and types, and forward
// the mail in other ways; the bare binary beside it is nothing more.
func TestOpenAddressFiles(t *testing.T) {
	t.Parallel()
	ways := map[string]func(file string) string{
		"as text":     func(f string) string { return attached("text/plain; name=\"envelope.html.txt\"", f) },
		"as a binary": func(f string) string { return attached("application/octet-stream; name=\"securedoc.htm_\"", f) },
		"nameless":    func(f string) string { return attached("application/octet-stream", f) },
		"as any type": func(f string) string { return attached("x-nobody/knows; name=ENVELOPE.HTML", f) },
		"inline, alone": func(f string) string {
			return "From: m@evil.test\r\nContent-Type: text/html\r\nContent-Disposition: inline\r\n\r\n" + strings.ReplaceAll(strings.ReplaceAll(f, "\r\n", "\n"), "\n", "\r\n")
		},
		"with the binary": func(f string) string {
			payload, _, err := envelope.FindArmor(strings.NewReader(f))
			if err != nil {
				t.Fatal(err)
			}
			bare, err := io.ReadAll(payload)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(attached("text/html; name=e.html", f), "--b--\r\n") + strings.TrimPrefix(attached("application/octet-stream; name=e.pli", string(bare)), before)
		},
	}
	var to []string
	for i := range len(ways) {
		to = append(to, fmt.Sprintf("r%d@x.test", i))
	}
	h, files := newOpenHouse(t, to...)
	mails := len(h.hop.all())
	i := 0
	for name, way := range ways {
		if r := h.send("mallory@evil.test", way(files[i]), openAddress); !strings.HasPrefix(r, "250 2.0.0 ok") {
			t.Errorf("%s: %q", name, r)
		}
		h.hop.to(t, to[i], 2) // the envelope, and now the answer
		i++
	}
	// A file that is only the binary has no half: nothing comes of it.
	if r := h.send("mallory@evil.test", attached("application/octet-stream; name=e.pli", "\x89PLI1\r\n\x1a"), openAddress); r[0] != '2' {
		t.Errorf("the binary: %q", r)
	}
	if n := len(h.hop.all()) - mails; n != len(ways) {
		t.Errorf("%d mails", n)
	}
}

const before = "From: m@evil.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"

// attached is a mail that carries one file of a type.
func attached(kind, file string) string {
	var b strings.Builder
	b.WriteString(before + "--b\r\nContent-Type: " + kind + "\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for text := base64.StdEncoding.EncodeToString([]byte(file)); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String() + "--b--\r\n"
}

// A stranger's MAIL makes nobody known: who begins mails and sends none is sent
// away, and of what one network sends at once two are taken.
func TestOpenAddressHoldsNobody(t *testing.T) {
	t.Parallel()
	h, _ := newOpenHouse(t)
	x := h.dial()
	last := ""
	for n := 0; n < 60 && !strings.HasPrefix(last, "421 "); n++ {
		if last = x.say("MAIL FROM:<ana@example.org>"); last[0] == '2' {
			x.say("RSET")
		}
	}
	if !strings.HasPrefix(last, "421 ") {
		t.Errorf("MAIL and RSET without end: %q", last)
	}
	var slow []*client
	for range 2 {
		y := h.dial()
		y.say("MAIL FROM:<ana@example.org>")
		y.say("RCPT TO:<" + openAddress + ">")
		if r := y.say("DATA"); !strings.HasPrefix(r, "354 ") {
			t.Fatal(r)
		}
		slow = append(slow, y)
	}
	eventually(t, "two that are slow to take both places", func() bool {
		return strings.HasPrefix(h.send("ana@example.org", letter("hi", "x\r\n"), openAddress), "451 4.3.2 busy")
	})
	for _, y := range slow {
		y.c.Close()
	}
	eventually(t, "the places to be free again", func() bool { return h.send("ana@example.org", letter("hi", "x\r\n"), openAddress)[0] == '2' })
}

// An upstream may forward too, in a message of its own.
func TestOpenAddressOfUpstream(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t), func(c *gateway.Config, _ *smtpd.Config) { c.Open = mailaddr.MustParse(openAddress) })
	h.sent(h.send("ana@example.org", letter("[secure] hi", "x\r\n"), "bob@x.test"))
	mine := file(t, h.hop.to(t, "bob@x.test", 1)[0].raw)
	for _, to := range [][]string{{"eve@x.test", openAddress}, {openAddress, "eve@x.test"}} {
		if r := h.send("ana@example.org", letter("hi", "x\r\n"), to...); !strings.HasPrefix(r, "452 4.5.3 ") {
			t.Errorf("%v: %q", to, r)
		}
	}
	h.sent(h.send("ana@example.org", forwarded("", mine), openAddress))
	h.hop.to(t, "bob@x.test", 2)
	if n := len(h.hop.all()); n != 2 {
		t.Errorf("%d mails", n)
	}
}

// The open address opens no relay: whoever is not admitted reaches it and
// nothing else, and not too often (AT-69).
func TestOpenAddressIsNoRelay(t *testing.T) {
	t.Parallel()
	h, _ := newOpenHouse(t)
	before := len(h.hop.all())
	raw := letter("hi", "x\r\n")
	for _, to := range [][]string{{"bob@x.test"}, {openAddress, "bob@x.test"}, {"bob@x.test", openAddress}, {"open@other.test"}, {"open@sub.pli.example"}, {"open+x@pli.example"}} {
		if r := h.send("ana@example.org", raw, to...); r[0] != '5' {
			t.Errorf("to %v: %q", to, r)
		}
	}
	x := h.dial()
	x.say("MAIL FROM:<ana@example.org>")
	if r := x.say("RCPT TO:<bob@x.test>"); r[0] != '5' {
		t.Error(r)
	}
	if r := x.say("DATA"); !strings.HasPrefix(r, "554 ") {
		t.Errorf("without a recipient: %q", r)
	}
	x.say("RSET")
	x.say("MAIL FROM:<ana@example.org>")
	if r := x.say("RCPT TO:<OPEN@PLI.example>"); r[0] != '2' {
		t.Error(r)
	}
	last := ""
	for n := 0; n < 20 && !strings.HasPrefix(last, "421 "); n++ {
		last = x.say("RCPT TO:<bob@x.test>")
	}
	if !strings.HasPrefix(last, "421 ") {
		t.Errorf("after many refusals: %q", last)
	}
	y := h.dial()
	y.say("MAIL FROM:<ana@example.org> SIZE=60000000")
	if r := y.say("RCPT TO:<" + openAddress + ">"); !strings.HasPrefix(r, "552 ") {
		t.Errorf("huge, as announced: %q", r)
	}
	y.say("RSET")
	if r := y.send("ana@example.org", raw+strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 52<<10), openAddress); !strings.HasPrefix(r, "552 ") {
		t.Errorf("huge: %q", r)
	}
	refused := ""
	for range 40 {
		z := h.dial()
		z.say("MAIL FROM:<ana@example.org>")
		refused = z.say("RCPT TO:<" + openAddress + ">")
		z.c.Close()
	}
	if !strings.HasPrefix(refused, "450 4.7.1 ") {
		t.Errorf("too often: %q", refused)
	}
	if n := len(h.hop.all()); n != before {
		t.Errorf("%d mails", n-before)
	}
}
