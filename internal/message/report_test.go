package message_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"bufio"

	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/message"
)

// report is a delivery report with one recipient, which set changes.
func report(set func(*message.Report)) *message.Mail {
	m := &message.Mail{
		From: box("Pli", "pli@service.test"), To: []message.Mailbox{box("", "ana@corp.test")}, Subject: "Not delivered",
		Date: time.Date(2026, 11, 26, 13, 58, 0, 0, time.UTC), MessageID: "r1@service.test", InReplyTo: []string{"one@corp.test"}, Boundary: "pli_test",
		Text: "Votre message n'a pas été remis.\n.\nFrom here\n--pli_tes\n",
		Report: &message.Report{
			Reporting: "gw.service.test", EnvelopeID: "QQ314159", Arrived: time.Date(2026, 11, 26, 12, 0, 0, 0, time.FixedZone("", 3600)),
			Header:     "Date: Thu, 26 Nov 2026 12:00:00 +0100\r\nFrom: Ana <ana@corp.test>\r\nMessage-ID: <one@corp.test>\r\n",
			Recipients: []message.Delivery{{Final: "bob@x.test", Original: "rfc822;bob@old.test", Action: "failed", Status: "5.1.1", Remote: "mx.x.test", Said: "550 5.1.1 no such user"}},
		},
	}
	if set != nil {
		set(m.Report)
	}
	return m
}

// read takes a report apart with the standard library alone.
func read(t *testing.T, raw string) (header mail.Header, text string, groups []textproto.MIMEHeader, headers string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(raw, "\r\n"), "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
			t.Errorf("a line that not every server passes on: %q", line)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" { // RFC 6522, section 3
		t.Fatalf("%s %v, %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	next := func(want string) []byte {
		t.Helper()
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err != nil || kind != want {
			t.Fatalf("a part is %s, want %s", kind, want)
		}
		var r io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			r = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text = string(next("text/plain"))
	status := bufio.NewReader(io.MultiReader(bytes.NewReader(next("message/delivery-status")), strings.NewReader("\r\n\r\n")))
	for {
		h, err := textproto.NewReader(status).ReadMIMEHeader()
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if len(h) == 0 {
			break
		}
		groups = append(groups, h)
	}
	headers = string(next("text/rfc822-headers"))
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the third part: %v", err)
	}
	return m.Header, text, groups, headers
}

// RFC 3464: three parts, of which the second is for programs.
func TestReport(t *testing.T) {
	t.Parallel()
	m := report(func(r *message.Report) {
		r.Recipients = append(r.Recipients, message.Delivery{Final: "eve@z.test", Action: "delayed", Status: "4.4.7"})
	})
	header, text, groups, headers := read(t, build(t, m))
	if header.Get("Auto-Submitted") != "auto-replied" || header.Get("In-Reply-To") != "<one@corp.test>" {
		t.Errorf("%v", header)
	}
	if strings.ReplaceAll(text, "\r\n", "\n") != m.Text {
		t.Errorf("text %q", text)
	}
	want := []textproto.MIMEHeader{
		{"Reporting-Mta": {"dns; gw.service.test"}, "Original-Envelope-Id": {"QQ314159"}, "Arrival-Date": {"Thu, 26 Nov 2026 12:00:00 +0100"}},
		{"Original-Recipient": {"rfc822; bob@old.test"}, "Final-Recipient": {"rfc822; bob@x.test"}, "Action": {"failed"}, "Status": {"5.1.1"},
			"Remote-Mta": {"dns; mx.x.test"}, "Diagnostic-Code": {"smtp; 550 5.1.1 no such user"}},
		{"Final-Recipient": {"rfc822; eve@z.test"}, "Action": {"delayed"}, "Status": {"4.4.7"}},
	}
	if d := cmp.Diff(want, groups); d != "" {
		t.Error(d)
	}
	if headers != m.Report.Header {
		t.Errorf("headers %q", headers)
	}
}

// A report holds of the mail what its Header says and nothing else (AT-71).
func TestReportSaysOnlyTheHeader(t *testing.T) {
	t.Parallel()
	m := report(func(r *message.Report) { r.Header, r.EnvelopeID = "", "" })
	m.HTML = "<p>the secret body</p>"
	m.Attachments = []message.Attachment{file("secret.txt", "text/plain", "the secret file")}
	raw := build(t, m)
	_, _, groups, headers := read(t, raw)
	if headers != "" || len(groups) != 2 || groups[0].Get("Original-Envelope-Id") != "" {
		t.Errorf("%q, %v", headers, groups)
	}
	if strings.Contains(raw, "secret") {
		t.Error("more than the header is told")
	}
}

// What other servers said reaches the report, whatever it is: a report that
// cannot be written is a sender who never hears of it.
func TestReportOfStrangeReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, said, want string // want: begins with
	}{
		{"several lines", "550 5.7.1 one\n5.7.1 two", "smtp; 550 5.7.1 one 5.7.1 two"},
		{"a header of its own", "550 no\r\nBcc: eve@z.test\r\n\r\nbody", "smtp; 550 no Bcc: eve@z.test"},
		{"controls", "550 a\x00b\x1b[31m\tc\u202ed", "smtp; 550 a b [31m cd"},
		{"letters", "550 boîte inconnue", "smtp; 550 bo?te inconnue"},
		{"not UTF-8", "550 \xff\xfe", "smtp; 550 ?"},
		{"a long line", "550 " + strings.Repeat("word ", 600), "smtp; 550 word word"},
		{"a long word", "550 " + strings.Repeat("x", 3000), "smtp; 550 xxxx"},
		{"blanks", "550   a" + strings.Repeat(" ", 200) + "b", "smtp; 550 a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, groups, _ := read(t, build(t, report(func(r *message.Report) { r.Recipients[0].Said = c.said })))
			if len(groups) != 2 || len(groups[1]) != 6 {
				t.Fatalf("%v", groups)
			}
			if got := groups[1].Get("Diagnostic-Code"); !strings.HasPrefix(strings.Join(strings.Fields(got), " "), c.want) {
				t.Errorf("%.100q", got)
			}
		})
	}
}

// Names that came in the encoding of SMTP parameters stand decoded in a report
// (RFC 3461, sections 4.2 and 4.4); addresses beyond ASCII have a form of their own (RFC 6533).
func TestReportNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ original, final, envelope, wantOriginal, wantFinal, wantEnvelope string }{
		{"rfc822;a+2Bb+3Dc@x.test", "bob@x.test", "A+2B1", "rfc822; a+b=c@x.test", "rfc822; bob@x.test", "A+1"},
		{"x400;/G=A+20B/", "bob@x.test", "plain", "x400; /G=A B/", "rfc822; bob@x.test", "plain"},
		// What would end the line, or is no such encoding, stays as it came.
		{"rfc822;a+0D+0AX:+20y@x.test", "bob@x.test", "A+0D+0AB", "rfc822; a+0D+0AX:+20y@x.test", "rfc822; bob@x.test", "A+0D+0AB"},
		{"rfc822;a+b@x.test", "bob@x.test", "A+", "rfc822; a+b@x.test", "rfc822; bob@x.test", "A+"},
		{"", "josé@x.test", "", "", `utf-8; jos\x{E9}@x.test`, ""},
		{"utf-8;josé@x.test", "😀@x.test", "", `utf-8; jos\x{E9}@x.test`, `utf-8; \x{1F600}@x.test`, ""},
		{`utf-8;jos\x{E9}@x.test`, "bob@x.test", "", `utf-8; jos\x{E9}@x.test`, "rfc822; bob@x.test", ""},
	} {
		_, _, groups, _ := read(t, build(t, report(func(r *message.Report) {
			r.EnvelopeID, r.Recipients[0].Original, r.Recipients[0].Final = c.envelope, c.original, c.final
		})))
		got := []string{groups[1].Get("Original-Recipient"), groups[1].Get("Final-Recipient"), groups[0].Get("Original-Envelope-Id")}
		if d := cmp.Diff([]string{c.wantOriginal, c.wantFinal, c.wantEnvelope}, got); d != "" {
			t.Error(d)
		}
	}
}
