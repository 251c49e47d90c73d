package message_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	gomail "github.com/emersion/go-message/mail"

	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
)

func box(name, addr string) message.Mailbox {
	return message.Mailbox{Name: name, Addr: mailaddr.MustParse(addr)}
}

func file(name, typ, content string) message.Attachment {
	return message.Attachment{Name: name, Type: typ, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

func sample() *message.Mail {
	html := file("securedoc_20261123T135800.html", "text/html", "<!DOCTYPE html>\n<p>one\r\n<p>two")
	html.Encoding = message.SevenBit
	return &message.Mail{
		From:    box("Élodie \"É\" Durand", "elodie@corp.test"),
		Sender:  box("", "pli@service.test"),
		ReplyTo: []message.Mailbox{box("Durand, Élodie", "reply@service.test")},
		To:      []message.Mailbox{box("Bob", "bob@x.test"), box("Smith, John", "john@y.test")},
		Cc:      []message.Mailbox{box("a@b.test", "eve@z.test")},
		Subject: "Résultats de l'analyse du 23 novembre 2026 et quelques mots de plus pour plier la ligne",
		Date:    time.Date(2026, 11, 23, 13, 58, 0, 0, time.UTC), MessageID: "id1@service.test",
		InReplyTo: []string{"id0@x.test"}, References: []string{"ida@x.test", "id0@x.test"},
		Fields: []message.Field{{Name: "X-Pli-Loop", Value: "token"}}, Auto: true,
		Text: "Bonjour,\n\n.un point\nFrom ici\nune ligne " + strings.Repeat("longue ", 30) + "\nété\n",
		HTML: "<p>Bonjour</p>", Boundary: "pli_test",
		Attachments: []message.Attachment{
			html, file("résumé de l'année, très long nom de fichier pour la suite.pdf", "application/pdf", strings.Repeat("%PDF\x00\xff", 100)),
			file("empty.txt", "text/plain", ""), file("", "", "x"),
		},
	}
}

func build(t testing.TB, m *message.Mail) string {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo says %d, wrote %d", n, b.Len())
	}
	if size, err := m.Size(); err != nil || size != n {
		t.Fatalf("Size is %d, %v; wrote %d", size, err, n)
	}
	return b.String()
}

func TestMailGolden(t *testing.T) {
	t.Parallel()
	got := build(t, sample())
	if again := build(t, sample()); again != got {
		t.Error("two passes differ")
	}
	const golden = "testdata/mail.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, golden); string(want) != got {
		t.Errorf("mail is\n%s", got)
	}
	for i, line := range strings.Split(got, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.HasPrefix(line, "From ") || strings.HasPrefix(line, ".") {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
}

// What Mail writes, Index reads without a remark, and a second reader agrees.
func TestMailIsReadBack(t *testing.T) {
	t.Parallel()
	in := sample()
	raw := build(t, in)
	m := index(t, raw)
	if len(m.Unusual) > 0 {
		t.Errorf("unusual: %v", m.Unusual)
	}
	if m.Subject != in.Subject || m.From[0].Name != in.From.Name || m.From[0].Address != "elodie@corp.test" ||
		len(m.To) != 2 || m.To[1].Name != "Smith, John" || m.Cc[0].Name != "a@b.test" || m.Date != "2026-11-23T13:58:00Z" {
		t.Errorf("manifest %+v", m)
	}
	var roles, names []string
	for _, p := range m.Parts {
		roles, names = append(roles, p.Role), append(names, p.Name)
	}
	if got := strings.Join(roles, " "); got != "text html attachment attachment attachment attachment" {
		t.Errorf("roles %s", got)
	}
	if names[2] != in.Attachments[0].Name || names[3] != in.Attachments[1].Name {
		t.Errorf("names %q", names)
	}
	text := decodePart(t, raw, m.Parts[0].Offset, m.Parts[0].Length, m.Parts[0].Encoding)
	if strings.ReplaceAll(text, "\r\n", "\n") != in.Text {
		t.Errorf("text %q", text)
	}
	if pdf := decodePart(t, raw, m.Parts[3].Offset, m.Parts[3].Length, m.Parts[3].Encoding); pdf != strings.Repeat("%PDF\x00\xff", 100) {
		t.Errorf("pdf %q", pdf)
	}

	r, err := gomail.CreateReader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := r.Header.Subject(); s != in.Subject {
		t.Errorf("subject by go-message: %q", s)
	}
	var files []string
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := p.Header.(*gomail.AttachmentHeader); ok {
			name, err := h.Filename()
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
	}
	if len(files) != 4 || files[1] != in.Attachments[1].Name {
		t.Errorf("files by go-message: %q", files)
	}
}

func decodePart(t testing.TB, raw string, offset, length int64, encoding string) string {
	t.Helper()
	var b bytes.Buffer
	if err := message.Decode(&b, strings.NewReader(raw[offset:offset+length]), encoding); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMailShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, html string
		files            int
		roles            string
	}{
		{"empty", "", "", 0, "text"},
		{"text", "a\n", "", 0, "text"},
		{"html", "", "<p>é", 0, "html"},
		{"both", "a", "<p>", 0, "text html"},
		{"text and file", "a", "", 1, "text attachment"},
		{"file", "", "", 1, "text attachment"},
		{"html and files", "", "<p>", 2, "html attachment attachment"},
	} {
		m := &message.Mail{From: box("", "a@x.test"), Text: c.text, HTML: c.html}
		for range c.files {
			m.Attachments = append(m.Attachments, file("a.bin", "", "abc"))
		}
		m.Boundary = "b"
		m.MessageID, m.Date = "i@x.test", time.Unix(0, 0)
		got := index(t, build(t, m))
		var roles []string
		for _, p := range got.Parts {
			roles = append(roles, p.Role)
		}
		if strings.Join(roles, " ") != c.roles || len(got.Unusual) > 0 {
			t.Errorf("%s: roles %v, unusual %v", c.name, roles, got.Unusual)
		}
	}
}

// AT-65: no value can write a header.
func TestMailRefusesInjection(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a\r\nBcc: v@x.test", "a\nb", "a\rb", "a\x00b", "a\x1bb", "a\u0085b"} {
		for name, change := range map[string]func(m *message.Mail){
			"subject":    func(m *message.Mail) { m.Subject = bad },
			"name":       func(m *message.Mail) { m.From.Name = bad },
			"reply-to":   func(m *message.Mail) { m.ReplyTo[0].Name = bad },
			"message id": func(m *message.Mail) { m.MessageID = bad + "@x" },
			"reference":  func(m *message.Mail) { m.References = []string{bad + "@x"} },
			"field":      func(m *message.Mail) { m.Fields[0].Value = bad },
			"file":       func(m *message.Mail) { m.Attachments[0].Name = bad },
		} {
			m := sample()
			change(m)
			if _, err := m.WriteTo(io.Discard); !errors.Is(err, message.ErrInjection) {
				t.Errorf("%s %q: %v", name, bad, err)
			}
		}
	}
	for name, change := range map[string]func(m *message.Mail){
		"field name":         func(m *message.Mail) { m.Fields[0].Name = "X: a\r\nBcc" },
		"type":               func(m *message.Mail) { m.Attachments[0].Type = "text/html; a=b" },
		"encoding":           func(m *message.Mail) { m.Attachments[0].Encoding = "8bit" },
		"boundary":           func(m *message.Mail) { m.Boundary = "a\"b" },
		"boundary in text":   func(m *message.Mail) { m.Text = "--pli_test--" },
		"no from":            func(m *message.Mail) { m.From = message.Mailbox{} },
		"empty to":           func(m *message.Mail) { m.To[0] = message.Mailbox{} },
		"8 bits":             func(m *message.Mail) { m.Attachments[0] = sevenBit("é") },
		"long line":          func(m *message.Mail) { m.Attachments[0] = sevenBit(strings.Repeat("a", 999)) },
		"very long line":     func(m *message.Mail) { m.Attachments[0] = sevenBit(strings.Repeat("a", 99_999)) },
		"bare CR":            func(m *message.Mail) { m.Attachments[0] = sevenBit("a\rb") },
		"delimiter in file":  func(m *message.Mail) { m.Attachments[0] = sevenBit("a\r\n--pli_test--\r\n") },
		"size that is wrong": func(m *message.Mail) { m.Attachments[1].Size = 7 },
		"word of 1 MB":       func(m *message.Mail) { m.MessageID = strings.Repeat("a", 1<<20) + "@x" },
	} {
		m := sample()
		change(m)
		if _, err := m.WriteTo(io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func sevenBit(content string) message.Attachment {
	a := file("a.txt", "text/plain", content)
	a.Encoding = message.SevenBit
	return a
}

// A subject of any content comes back as it went in, on short lines.
func TestSubjectsSurvive(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "a", "=?utf-8?q?a?=", "a  b", "日本語のとても長い件名" + strings.Repeat("です", 50), "🔒 " + strings.Repeat("x", 500),
		strings.Repeat("word ", 100) + "end", "a: b; c=\"d\"",
	} {
		m := &message.Mail{From: box(strings.TrimSpace(s), "a@x.test"), Subject: s, Boundary: "b", MessageID: "i@x.test", Date: time.Unix(0, 0)}
		raw := build(t, m)
		got := index(t, raw)
		if got.Subject != s || got.From[0].Name != strings.TrimSpace(s) {
			t.Errorf("subject %q, name %q; want %q", got.Subject, got.From[0].Name, s)
		}
		for line := range strings.SplitSeq(raw, "\r\n") {
			if len(line) > 300 {
				t.Errorf("line of %d octets: %.80q", len(line), line)
			}
		}
	}
}

func TestSizeKnownWithoutReading(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 56, 57, 58, 114, 1000} {
		a := file("a.bin", "", strings.Repeat("x", n))
		a.Size = int64(n)
		m := &message.Mail{From: box("", "a@x.test"), Attachments: []message.Attachment{a}, Boundary: "b", MessageID: "i@x.test", Date: time.Unix(0, 0)}
		build(t, m)
		text := sevenBit(strings.Repeat("x\r\n", n))
		text.Size = int64(3 * n)
		m.Attachments = append(m.Attachments, text)
		build(t, m)
	}
}
