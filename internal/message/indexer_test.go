package message_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/message"
)

// reading is all that an Indexer says.
type reading struct {
	Manifest *envelope.Manifest
	Header   message.Header
}

// inPieces writes raw in pieces of the sizes that size gives, and passes on
// each in a buffer that is overwritten afterwards, as a connection's is.
func inPieces(raw string, size func(left int) int) reading {
	x := message.NewIndexer()
	for len(raw) > 0 {
		n := size(len(raw))
		b := []byte(raw[:n])
		x.Write(b)
		for i := range b {
			b[i] = '#'
		}
		raw = raw[n:]
	}
	m, h := x.Finish()
	return reading{m, h}
}

func whole(raw string) reading { return inPieces(raw, func(left int) int { return left }) }

func same(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, want, got reading) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

// The ambiguous messages have one reading, wherever they are cut: in two at
// each octet, and in pieces of every small size.
func TestIndexerInPieces(t *testing.T) {
	t.Parallel()
	for _, name := range testFiles(t, "testdata/mime/*.eml", 20) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw := string(b)
		want := whole(raw)
		golden := envelope.Manifest{}
		if err := json.Unmarshal(readFile(t, strings.TrimSuffix(name, ".eml")+".json"), &golden); err != nil {
			t.Fatal(err)
		}
		same(t, name, reading{&golden, want.Header}, want)
		for n := 1; n <= 17; n++ {
			same(t, name, want, inPieces(raw, func(left int) int { return min(n, left) }))
		}
		for at := 1; at < min(len(raw), 2000); at++ {
			first := true
			same(t, name, want, inPieces(raw, func(left int) int {
				if first {
					first = false
					return at
				}
				return left
			}))
		}
	}
}

// Random messages of the pieces that readers stumble over, cut at random.
func TestIndexerHolds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", 64<<10)
	piece := rapid.SampledFrom([]string{
		"Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: multipart/alternative;\r\n boundary=\"c c\"\r\n", "Content-Type: text/html\r\n",
		"Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: quoted-printable\r\n", "Subject: =?utf-8?q?=C3=A9?=\r\n", "From: a@x.test\r\n",
		"Content-Disposition: attachment; filename*0=a; filename*1=b\r\n", " folded\r\n", "\r\n", "\n", "\r", "\r\n\r\n", "--b\r\n", "--b--\r\n", "--c c\r\n", "--c c-- \r\n", "--b", "-",
		"aGVsbG8=\r\n", "=C3=A9 =\r\n", "begin 644 f\r\n", "text\r\n", "a\x00b", "é\r\n", long, long[1:], long + "\r", "From x\r\n", ">", "end\r\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		if rapid.Bool().Draw(t, "message") {
			b.WriteString("From: a@x.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n")
		}
		for _, s := range rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces") {
			b.WriteString(s)
		}
		raw := b.String()
		want := whole(raw)
		if err := want.Manifest.Check(); err != nil || want.Manifest.Length != int64(len(raw)) {
			t.Errorf("%v, length %d of %d", err, want.Manifest.Length, len(raw))
		}
		most := rapid.SampledFrom([]int{3, 100, 5000, 70_000}).Draw(t, "most")
		if most == 3 && len(raw) > 20_000 {
			most = 100
		}
		size := rapid.IntRange(1, most)
		same(t, "in pieces", want, inPieces(raw, func(left int) int { return min(left, size.Draw(t, "size")) }))
		m, err := message.Index(strings.NewReader(raw))
		if err != nil {
			t.Errorf("%v", err)
		}
		same(t, "Index", want, reading{m, want.Header})
	})
}

// A write of nothing changes nothing, and nothing at all is not a message.
func TestIndexerOfNothing(t *testing.T) {
	t.Parallel()
	x := message.NewIndexer()
	for range 3 {
		if n, err := x.Write(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	m, h := x.Finish()
	same(t, "nothing", whole(""), reading{m, h})
	if len(h) != 0 || m.Length != 0 {
		t.Errorf("%+v", m)
	}
}

// The header is the message's own, in its order, unfolded.
func TestIndexerHeader(t *testing.T) {
	t.Parallel()
	raw := "Received: one\r\nX-Wish:  seal,\r\n\tplease \r\nReceived: two\r\nSubject: =?utf-8?b?w6k=?=\r\n" +
		"To: =?utf-8?q?B=C3=B6b?= <bob@x.test>, not an address\r\nCc: eve@z.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"Received: body\r\n--b\r\nReceived: part\r\n\r\nx\r\n--b--\r\n"
	h := whole(raw).Header
	if v, ok := h.First("x-wish"); !ok || strings.Join(strings.Fields(v), " ") != "seal, please" {
		t.Errorf("%q", v)
	}
	if d := cmp.Diff([]string{"one", "two"}, h.All("received")); d != "" {
		t.Error(d)
	}
	if v, ok := h.First("date"); ok || v != "" {
		t.Errorf("%q", v)
	}
	if h[3].Text() != "é" {
		t.Errorf("%q", h[3].Text())
	}
	if list := h.Mailboxes("to"); len(list) != 0 { // one that cannot be read spoils the list
		t.Errorf("%v", list)
	}
	if list := h.Mailboxes("cc"); len(list) != 1 || list[0].Addr.String() != "eve@z.test" {
		t.Errorf("%v", list)
	}
}
