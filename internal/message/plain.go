package message

import (
	"io"
	"strings"

	"github.com/emersion/go-message/charset"

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
	if p.Charset == "" || p.Charset == "utf-8" || p.Charset == "us-ascii" {
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
