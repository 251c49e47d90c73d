package gateway_test

import (
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/gateway"
)

// outside are the fields that the header of a sealed mail can have, each once.
var outside = []string{"Received", "X-Pli-Transit", "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-Id", "In-Reply-To", "References",
	"Auto-Submitted", "Importance", "X-Priority", "Mime-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Language", "X-Auto-Response-Suppress"}

// FuzzRewrite: whatever a message's header is, what passes is the message itself
// after two trace fields and without the token, and what is written anew for the
// sealed mail is a header that everybody reads in the same way and that says
// nothing else (AT-65).
func FuzzRewrite(f *testing.F) {
	for _, glob := range []string{"testdata/mime/*.eml", "testdata/python/*.txt"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 16<<10 {
				f.Add(string(b))
			}
		}
	}
	f.Add("X-Pli-Upstream: secret\r\n folded\r\nx-pli-upstream : again\r\nSubject: a\r\n\r\nX-Pli-Upstream: body\r\n")
	f.Add("To: =?utf-8?q?a=0d=0aBcc:_eve@x.test?= <b@x.test>\r\nMessage-ID: <a\r\n b@x>\r\nReferences: <a@b> <c@d\r\n>\r\n\r\n")
	f.Add("From: a@example.org, b@example.org\r\nReply-To: \"x\r\n\tBcc: y\" <r@x.test>\r\nImportance: high\r\n\tX: y\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		raw = strings.ReplaceAll(strings.ReplaceAll(raw, "\r", ""), "\n", "\r\n") // as it comes out of SMTP
		sealed, passed, token := gateway.Rewrite(t, raw)

		trace, rest, ok := strings.Cut(passed, "\r\nX-Pli-Transit: 01a217bb-c1d1-714e-8dde-40067ef5078b\r\n")
		if !ok || !strings.HasPrefix(trace, "Received: from mta.example.org ([192.0.2.1])\r\n\tby gw.example.org (Pli) ") {
			t.Fatalf("%q", passed)
		}
		header, _, _ := strings.Cut(raw, "\r\n\r\n")
		if !strings.Contains(strings.ToLower(header), "x-pli-upstream") && rest != raw {
			t.Fatalf("%q became %q", raw, rest)
		}
		if header, _, _ := strings.Cut(rest, "\r\n\r\n"); token != "" && strings.HasPrefix(strings.ToLower(header), "x-pli-upstream") {
			t.Fatalf("the token goes out: %q", rest)
		}

		if err := sealed.Check(); err != nil {
			return // refused when it is sealed, before anything is durable
		}
		var b strings.Builder
		if _, err := sealed.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if s := strings.ReplaceAll(b.String(), "\r\n", ""); strings.ContainsAny(s, "\r\n\x00") {
			t.Fatalf("bare CR, LF or NUL in %q", b.String())
		}
		for l := range strings.SplitSeq(b.String(), "\r\n") {
			if len(l) > 998 {
				t.Fatalf("a line of %d octets", len(l))
			}
		}
		m, err := mail.ReadMessage(strings.NewReader(b.String()))
		if err != nil {
			t.Fatalf("%v: %q", err, b.String())
		}
		for name, values := range m.Header {
			if !slices.Contains(outside, name) || len(values) != 1 {
				t.Fatalf("%s: %q", name, values)
			}
		}
		if list, err := m.Header.AddressList("From"); err != nil || len(list) != 1 {
			t.Fatalf("From: %q, %v", m.Header.Get("From"), err)
		}
	})
}
