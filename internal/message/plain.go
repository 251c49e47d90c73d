package message

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"

	"github.com/pli-mail/pli/envelope"
)

// TextOf copies the text parts of a message to dst as UTF-8, one after the
// other, at most limit octets of it. open gives the message from its start.
// A character set that is not known is copied as it is. An error of dst ends it.
func TextOf(dst io.Writer, m *envelope.Manifest, open func() (io.ReadCloser, error), limit int64) error {
	w := &limitWriter{w: dst, left: limit}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	at := int64(0)
	for _, p := range m.Parts {
		if !strings.HasPrefix(p.Type, "text/") {
			continue
		}
		if _, err := io.CopyN(io.Discard, r, p.Offset-at); err != nil {
			return err
		}
		if err := copyText(w, io.LimitReader(r, p.Length), p); err != nil {
			return err
		}
		at = p.Offset + p.Length
		if w.left <= 0 {
			return nil
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

// copyText reads all of src, so that the reader beneath is behind the part.
func copyText(dst io.Writer, src io.Reader, p envelope.Part) error {
	switch p.Charset {
	case "":
		g := guess{w: dst}
		if err := Decode(&g, src, p.Encoding); err != nil {
			return err
		}
		return g.close()
	case "utf-8", "us-ascii":
		return Decode(dst, src, p.Encoding)
	}
	decoded, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(Decode(w, src, p.Encoding))
	}()
	defer func() { // and src is nobody's any more
		decoded.Close()
		<-done
	}()
	var text io.Reader = decoded
	if t, err := charset.Reader(p.Charset, decoded); err == nil {
		text = t
	}
	_, err := io.Copy(dst, text)
	return err
}

// guess makes UTF-8 of text that does not say what it is: an octet that cannot
// be UTF-8 is one of Windows-1252, as mail programs guess.
type guess struct {
	w    io.Writer
	held []byte // of a character that is not whole yet
}

func (g *guess) Write(p []byte) (int, error) {
	if len(g.held) == 0 && utf8.Valid(p) {
		return g.w.Write(p)
	}
	in := append(g.held, p...)
	g.held = nil
	out := make([]byte, 0, len(in)+16)
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		if r == utf8.RuneError && n == 1 {
			if !utf8.FullRune(in) {
				g.held = slices.Clone(in)
				break
			}
			r = charmap.Windows1252.DecodeByte(in[0])
		}
		out, in = utf8.AppendRune(out, r), in[n:]
	}
	if _, err := g.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (g *guess) close() error {
	var out []byte
	for _, b := range g.held {
		out = utf8.AppendRune(out, charmap.Windows1252.DecodeByte(b))
	}
	_, err := g.w.Write(out)
	return err
}

// limitWriter takes everything and passes on the first octets.
type limitWriter struct {
	w    io.Writer
	left int64
}

func (l *limitWriter) Write(p []byte) (int, error) {
	k := min(int64(len(p)), l.left)
	l.left -= k
	if k > 0 {
		if _, err := l.w.Write(p[:k]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
