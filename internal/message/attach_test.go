package message_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/message"
)

// What was in the message reads as before, and the files behind it.
func TestAttach(t *testing.T) {
	t.Parallel()
	file := message.Attachment{Name: "été.bin", Type: "image/png", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("file")), nil }}
	for name, c := range map[string]struct{ raw, roles string }{
		"plain":       {"From: a@b.example\nSubject: Hi\n\nText\n--x\n", "text attachment"},
		"CRLF":        {"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html;\r\n charset=utf-8\r\nSubject: Hi\r\n\r\n<p>x", "html attachment"},
		"multipart":   {"From: a@b.example\r\nSubject: Hi\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nText\r\n--x\r\nContent-Disposition: attachment\r\n\r\nf\r\n--x--\r\n", "text attachment attachment"},
		"no body":     {"From: a@b.example\r\nSubject: Hi", "text attachment"},
		"quoted body": {"From: a@b.example\nSubject: Hi\nContent-Transfer-Encoding: quoted-printable\n\n=41\n", "text attachment"},
	} {
		var out bytes.Buffer
		if err := message.Attach(&out, strings.NewReader(c.raw), []message.Attachment{file}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before, err := message.Index(strings.NewReader(c.raw))
		if err != nil {
			t.Fatal(err)
		}
		m, err := message.Index(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out.String())
		}
		var roles []string
		for i, p := range m.Parts {
			roles = append(roles, p.Role)
			if i < len(before.Parts) && (p.SHA256 != before.Parts[i].SHA256 || p.Type != before.Parts[i].Type) {
				t.Errorf("%s: part %d is another: %+v, was %+v", name, i, p, before.Parts[i])
			}
		}
		last := m.Parts[len(m.Parts)-1]
		if strings.Join(roles, " ") != c.roles || last.Name != "été.bin" || last.Size != 4 || m.Subject != "Hi" || len(m.From) != 1 {
			t.Errorf("%s: %v, %+v\n%s", name, roles, m, out.String())
		}
	}
	if err := message.Attach(io.Discard, strings.NewReader("A: "+strings.Repeat("x", 300<<10)), nil); err == nil {
		t.Error("an endless header was taken")
	}
}
