package message_test

import (
	"io"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/message"
)

// The text is what a reader is shown: plain text where there is some, else the
// words of the page without its marks, its scripts, and what a link hides.
func TestShown(t *testing.T) {
	t.Parallel()
	multi := func(parts ...string) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	page := func(s string) string { return "Content-Type: text/html\r\n\r\n" + s }
	for _, c := range []struct {
		name, raw, want string
		plain           bool
	}{
		{"plain before formatted", multi("Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9 <b>", page("<p>other</p>")), "café <b>", true},
		{"a file is not text", multi("Content-Type: image/png\r\n\r\nPNG", "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfile"), "", false},
		{"blocks and blanks", page("<h1>A</h1>\r\n <p>b <b>c</b>\r\nd<br>e</p><table><tr><td>1</td><td>2</td></tr></table>f"), "A\nb c d\ne\n1 2\nf", false},
		{"what is not text", page("<title>t</title><style>p{}</style><script>x</script><!-- c --><p>y<noscript>n</noscript>"), "y", false},
		{"a link says where it leads", page(`<a href="https://evil.example/">bank.example</a> <a href="https://a.example">https://a.example</a> <a href="javascript:x">c</a>`),
			"bank.example <https://evil.example/> https://a.example c", false},
		{"no charset, and no UTF-8", "Content-Type: text/plain\r\n\r\nd\xe9j\xe0 vu \x80", "déjà vu €", true},
		{"no charset, and UTF-8", "Content-Type: text/plain\r\n\r\ndéjà vu €", "déjà vu €", true},
		{"a character cut off", "Content-Type: text/plain\r\n\r\nx \xe2\x82", "x â‚", true},
		{"goes on after a file", multi("Content-Type: text/plain\r\n\r\none", "Content-Type: image/png\r\n\r\nPNG", "Content-Type: text/plain\r\n\r\ntwo"), "one\ntwo", true},
		{"marks as text", page("&lt;script&gt; &amp; &eacute;"), "<script> & é", false},
		{"cut short", page("a<p title=\""), "a", false},
		{"nothing", "\r\n", "", true},
	} {
		m, err := message.Index(strings.NewReader(c.raw))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		plain, err := message.Shown(&b, m, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.raw)), nil }, 1000)
		if got := strings.TrimRight(b.String(), "\r\n"); err != nil || got != c.want || (plain != c.plain && c.want != "") {
			t.Errorf("%s: %q, %v, %v", c.name, got, plain, err)
		}
	}
	raw := page(strings.Repeat("<p>word</p>", 1000))
	m, err := message.Index(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := message.Shown(&b, m, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(raw)), nil }, 22); err != nil || b.Len() != 22 {
		t.Errorf("limit: %q %v", b.String(), err)
	}
}
