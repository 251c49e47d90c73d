package message_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/message"
)

// What rules search: every text, decoded, whatever its kind and encoding.
func TestTextOf(t *testing.T) {
	t.Parallel()
	part := func(fields, body string) string { return "--b\r\n" + fields + "\r\n\r\n" + body + "\r\n" }
	raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		part("Content-Type: text/plain; charset=iso-8859-1", "caf\xe9") +
		part("Content-Type: image/png\r\nContent-Transfer-Encoding: base64", "c2VjcmV0") +
		part("Content-Type: TEXT/Rtf\r\nContent-Transfer-Encoding: base64", "cnRmIGhlcmU=") +
		part("Content-Type: text/html; charset=utf-16le\r\nContent-Transfer-Encoding: base64", "6QBoAA==") +
		part("Content-Type: text/plain; charset=x-nobody-knows", "as it is") +
		part("Content-Type: text/csv\r\nContent-Transfer-Encoding: quoted-printable", "a=3Bb=\r\n,c") +
		part("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", "!!b2s-broken") + "--b--\r\n"
	m, err := message.Index(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(raw)), nil }
	text := func(limit int64) string {
		var b bytes.Buffer
		if err := message.TextOf(&b, m, open, limit); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := text(1 << 20); !strings.HasPrefix(got, "café\nrtf here\néh\nas it is\na;b,c\nok") {
		t.Errorf("%q", got)
	}
	if got := text(7); got != "café\nr" {
		t.Errorf("%q", got)
	}
	enough := errors.New("enough")
	if err := message.TextOf(full{enough}, m, open, 100); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	broken := errors.New("broken")
	if err := message.TextOf(io.Discard, m, func() (io.ReadCloser, error) { return nil, broken }, 100); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }
