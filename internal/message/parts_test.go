package message_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pli-mail/pli/internal/message"
)

func mixed(parts ...string) string {
	return "From: a@x.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" +
		strings.Join(parts, "\r\n--x\r\n") + "\r\n--x--\r\n"
}

func TestRoles(t *testing.T) {
	t.Parallel()
	const (
		text  = "Content-Type: text/plain\r\n\r\ntext"
		html  = "Content-Type: text/html; charset=\"UTF-8\"\r\n\r\n<b>html"
		image = "Content-Type: image/png\r\nContent-ID: <i@x>\r\nContent-Disposition: inline\r\n\r\nPNG"
		file  = "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nPDF"
	)
	multi := func(kind, boundary string, parts ...string) string {
		return "Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n" +
			strings.Join(parts, "\r\n--"+boundary+"\r\n") + "\r\n--" + boundary + "--"
	}
	for _, c := range []struct{ name, raw, want string }{
		{"plain", text, "text"},
		{"html only", html, "html"},
		{"alternative with image and file", mixed(multi("alternative", "a", text, multi("related", "r", html, image)), file), "text html inline attachment"},
		{"related around alternative", multi("related", "r", multi("alternative", "a", text, html), image), "text html inline"},
		{"inline image without html", mixed(text, image), "text attachment"},
		{"footer of a list", mixed(html, text), "html attachment"},
		{"footer of a plain list", mixed(text, text), "text text"},
		{"text goes on after a picture", mixed(text, file, text), "text attachment text"},
		{"a page goes on after a file", multi("alternative", "a", text, multi("mixed", "m", html, file, html)), "text html attachment html"},
		{"a third form of the same", multi("alternative", "a", text, html, html), "text html attachment"},
		{"a page that a page refers to", multi("related", "r", html, html), "html attachment"},
		{"two alternatives", mixed(multi("alternative", "a", text), multi("alternative", "b", html)), "text attachment"},
		{"text with a name", mixed("Content-Type: text/plain; name=a.txt\r\n\r\nA", text), "attachment text"},
		{"forwarded message", mixed(text, "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody"), "text attachment"},
		{"digest", multi("digest", "d", "\r\nSubject: in\r\n\r\nbody"), "attachment"},
	} {
		m := index(t, c.raw)
		var roles []string
		for _, p := range m.Parts {
			roles = append(roles, p.Role)
		}
		if got := strings.Join(roles, " "); got != c.want {
			t.Errorf("%s: roles %q, want %q", c.name, got, c.want)
		}
		if len(m.Unusual) > 0 {
			t.Errorf("%s: unusual %v", c.name, m.Unusual)
		}
	}
}

// Odd mail is read, never refused, and says what is odd.
func TestUnusual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, code string }{
		{"", "not-a-message"},
		{"\r\nbody\r\n", "not-a-message"},
		{"no header here\r\n\r\nbody\r\n", "not-a-message"},
		{"\x89PNG\r\n\x1a\n\x00\x00", "not-a-message"},
		{"From alice@x.test Mon Nov 23 10:00:00 2026\r\nSubject: s\r\n\r\nb", "mbox-line"},
		{"Subject: s\r\nthis is the body\r\n", "bad-header-line"},
		{"Subject: s\r\n \r\n\r\nb", "blank-continuation"},
		{"Subject: s\r\n\r\na\x00b", "nul"},
		{"Subject: s\r\n\r\na\nb\r\n", "bare-lf"},
		{"Subject: s\r\n\r\na\rb\r\n", "bare-cr"},
		{"Subject: s\r\n\r\na\r", "bare-cr"},
		{"Subject: =?utf-8?q?a=E2=80=AEb?=\r\n\r\n", "bidi-in-header"},
		{"Subject: \xff\r\n\r\n", "bad-header-charset"},
		{"Subject: a\r\nSubject: b\r\n\r\n", "duplicate-subject"},
		{"From: not an address\r\n\r\n", "bad-from"},
		{"Date: yesterday\r\n\r\n", "bad-date"},
		{"Content-Type: text\r\n\r\nb", "bad-content-type"},
		{"Content-Type: multipart/mixed\r\n\r\nb", "missing-boundary"},
		{"Content-Type: multipart/mixed; boundary=x\r\n\r\nall there is\r\n", "no-parts"},
		{"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n\r\na\r\n--x--\r\n", "encoded-multipart"},
		{"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--xy\r\nb\r\n--x--\r\n", "odd-boundary"},
		{"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nSubject: s\r\n--x--\r\n", "no-blank-line"},
		{"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\nhidden\r\n", "epilogue-text"},
		{"Content-Type: message/partial; id=a; number=1\r\n\r\nb", "message-partial"},
		{"Content-Transfer-Encoding: rot13\r\n\r\nb", "unknown-encoding"},
		{"Content-Transfer-Encoding: base64\r\n\r\naGVs*bG8=", "bad-base64"},
		{"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8", "bad-base64"},
		{"Content-Transfer-Encoding: base64\r\n\r\naGVs=", "bad-base64"},
		{"Content-Transfer-Encoding: quoted-printable\r\n\r\na=zz", "bad-quoted-printable"},
		{"Content-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-", "unknown-charset"},
		{"Content-Disposition: attachment; filename=a.txt; filename*=utf-8''b.exe\r\n\r\n", "name-conflict"},
		{"Content-Disposition: attachment; filename=my file.pdf\r\n\r\n", "bad-parameter"},
	} {
		m := index(t, c.raw)
		if !slices.Contains(m.Unusual, c.code) {
			t.Errorf("%q: unusual %v, want %s", c.raw, m.Unusual, c.code)
		}
		if len(m.Parts) == 0 {
			t.Errorf("%q: no part", c.raw)
		}
	}
}

// A message that is none is carried whole.
func TestNotAMessageIsOneAttachment(t *testing.T) {
	t.Parallel()
	m := index(t, "hello\r\nworld")
	if len(m.Parts) != 1 || m.Parts[0].Name != "message.eml" || m.Parts[0].Role != "attachment" || m.Parts[0].Offset != 0 || m.Parts[0].Length != 12 {
		t.Errorf("parts %+v", m.Parts)
	}
}

// A part that is too deep keeps its own header, so that it opens as a message.
func TestTooDeepPartStartsAtItsHeader(t *testing.T) {
	t.Parallel()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(nested(30)); err != nil {
		t.Fatal(err)
	}
	m := index(t, raw.String())
	if p := m.Parts[0]; !strings.HasPrefix(raw.String()[p.Offset:], "Content-Type: multipart/mixed; boundary=b20\r\n") {
		t.Errorf("part starts with %q", raw.String()[p.Offset:p.Offset+60])
	}
}

// AT-65: what decodes to a line break stays one line.
func TestHeaderTextIsNeutral(t *testing.T) {
	t.Parallel()
	m := index(t, "Subject: =?utf-8?q?a=0D=0ABcc:_v@x.test?=\r\nFrom: =?utf-8?q?A=0D=0AB?= <a@x.test>\r\n"+
		"Date: Mon, 23 Nov 2026 14:00:00 +0100\r\nTo: undisclosed-recipients:;\r\n\r\n")
	if strings.ContainsAny(m.Subject+m.From[0].Name, "\r\n") {
		t.Errorf("subject %q, name %q", m.Subject, m.From[0].Name)
	}
	if m.Date != "2026-11-23T14:00:00+01:00" || len(m.To) != 0 {
		t.Errorf("date %q, to %v", m.Date, m.To)
	}
}

// AT-79: names are neutral and the real extension stays in sight.
func TestSafeName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a.txt": "a.txt", `..\x`: "x", "../../etc/passwd": "passwd", "a\u202Ecod.exe": "acod.exe",
		"CON": "_CON", "con.txt": "_con.txt", "LPT1": "_LPT1", "COM¹.x": "_COM¹.x", "common.txt": "common.txt",
		"a.exe.": "a.exe", "a.exe . .": "a.exe", "a\r\nb.exe": "a b.exe", "a\x00.exe": "a_.exe",
		"invoice.pdf" + strings.Repeat(" ", 99) + ".exe": "invoice.pdf .exe", ".bashrc": "_.bashrc", "...": "", "": "", "dir/": "dir",
		"a:b.txt": "a_b.txt", "cafe\u0301.txt": "café.txt", "a\u200b.txt": "a.txt", "\xff.txt": "\ufffd.txt",
	} {
		if got := message.SafeName(in); got != want {
			t.Errorf("SafeName(%q) = %q, want %q", in, got, want)
		}
	}
	long := message.SafeName(strings.Repeat("é", 300) + ".exe")
	if len(long) > 255 || !strings.HasSuffix(long, ".exe") {
		t.Errorf("long name becomes %d octets: %q", len(long), long)
	}
}

// A set by its name in the Encoding standard, and of a page the one that it names itself.
func TestCharsets(t *testing.T) {
	t.Parallel()
	const page = "Content-Type: text/html\r\n\r\n"
	for raw, want := range map[string]string{
		"Content-Type: text/plain; charset=CP932\r\n\r\nx":                    "shift_jis",
		"Content-Type: text/plain; charset=\"koi8-r\"\r\n\r\nx":               "koi8-r",
		page + "<meta charset=KOI8-R>":                                        "koi8-r",
		page + "<META http-equiv=x content=\"text/html; charset=gb2312\">":    "gb2312",
		page + "<meta charset=utf-7>":                                         "",
		page + "<meta charset=utf-16>":                                        "",
		page + "<meta name=charset>koi8-r":                                    "",
		page + "<p>" + strings.Repeat("x", 1024) + "<meta charset=koi8-r>":    "",
		"Content-Type: text/html; charset=utf-8\r\n\r\n<meta charset=koi8-r>": "utf-8",
		"Content-Type: text/plain\r\n\r\n<meta charset=koi8-r>":               "",
		"Content-Type: text/html; name=a.html\r\n\r\n<meta charset=koi8-r>":   "",
	} {
		if m := index(t, raw); m.Parts[0].Charset != want {
			t.Errorf("%q: %q, want %q", raw, m.Parts[0].Charset, want)
		}
	}
}

func TestNamesOfParts(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Content-Disposition: attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf":                                            "résumé.pdf",
		"Content-Disposition: attachment; filename*0*=UTF-8''r%C3%A9;\r\n filename*1=sum; filename*2*=%C3%A9.pdf":           "résumé.pdf",
		"Content-Disposition: attachment; filename=\"=?iso-8859-1?q?r=E9sum=E9.pdf?=\"":                                     "résumé.pdf",
		"Content-Disposition: attachment; filename*=iso-8859-1'fr'r%E9sum%E9.pdf":                                           "résumé.pdf",
		"Content-Type: application/pdf; name=\"a \\\"b\\\".pdf\"":                                                           "a _b_.pdf",
		"Content-Disposition: attachment (filename=x); filename=y.txt":                                                      "y.txt",
		"Content-Disposition: attachment; filename=r.pdf;\r\n\tfilename*=utf-8''r.pdf\r\nContent-Type: a/b; name=\"r.pdf\"": "r.pdf",
	} {
		m := index(t, header+"\r\n\r\nx")
		if m.Parts[0].Name != want {
			t.Errorf("%q: name %q, want %q", header, m.Parts[0].Name, want)
		}
		if slices.Contains(m.Unusual, "name-conflict") {
			t.Errorf("%q: unusual %v", header, m.Unusual)
		}
	}
}

// The rules that the browser's decodePart has to match.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ encoding, in, want string }{
		{"identity", "a\r\nb=\x00", "a\r\nb=\x00"},
		{"base64", "aGVsbG8=", "hello"},
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "aGk=aGk=", "hi"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVsb", "hel"},
		{"base64", "a*G-V_s bG8=", "hello"},
		{"base64", "YQ==\r\n\r\nYQ==", "a"},
		{"base64", "=aGk=", ""},
		{"base64", "aGl=", "hi"},
		{"quoted-printable", "caf=C3=a9 =\r\nau lait", "café au lait"},
		{"quoted-printable", "a= \t\r\nb=\nc=", "abc"},
		{"quoted-printable", "a= ", "a"},
		{"quoted-printable", "a= b", "a= b"},
		{"quoted-printable", "a  \r\nb \t\nc  ", "a\r\nb\nc"},
		{"quoted-printable", "a\r \nb\r\r\nc\rd\r", "a\nb\r\nc\rd"},
		{"quoted-printable", "=zz=4=41==42=\r\n=4", "=zz=4A=B=4"},
		{"quoted-printable", "=4 \r\n=4\n==\n", "=4\r\n=4\n="},
		{"quoted-printable", "=20 \n\n", " \n\n"},
	} {
		for _, one := range []bool{false, true} {
			src := iotest.DataErrReader(strings.NewReader(c.in))
			if one {
				src = iotest.OneByteReader(src)
			}
			var out bytes.Buffer
			if err := message.Decode(&out, src, c.encoding); err != nil || out.String() != c.want {
				t.Errorf("%s %q: %q, %v; want %q", c.encoding, c.in, out.String(), err, c.want)
			}
		}
	}
	if err := message.Decode(&bytes.Buffer{}, strings.NewReader(""), "x"); !errors.Is(err, message.ErrEncoding) {
		t.Errorf("unknown encoding: %v", err)
	}
}

// AT-68: blanks without end are no memory; the part is then given as it is.
func TestEndlessBlanks(t *testing.T) {
	t.Parallel()
	m := index(t, "Content-Transfer-Encoding: quoted-printable\r\n\r\na=41"+strings.Repeat(" ", 70<<10)+"b")
	if p := m.Parts[0]; p.Encoding != "identity" || p.Size != p.Length || !slices.Contains(m.Unusual, "bad-quoted-printable") {
		t.Errorf("part %+v, unusual %v", p, m.Unusual)
	}
}

func TestIndexReturnsReadErrors(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	if _, err := message.Index(iotest.ErrReader(boom)); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
}

// FuzzIndex: no panic, ranges in bounds and apart, digests that Decode agrees
// with, and the same reading however the octets arrive.
func FuzzIndex(f *testing.F) {
	for _, name := range testFiles(f, "testdata/mime/*.eml", 20) {
		f.Add(readFile(f, name))
	}
	f.Add([]byte(mixed("Content-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb=C3", "\r\n", "")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := message.Index(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		check(t, raw, m)
	})
}
