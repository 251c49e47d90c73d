package message

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Attach writes the message in r to w with files behind it: its fields stay, and
// its content becomes, octet for octet, the first part of a multipart/mixed. The
// files must be Base64 ones. A header beyond 256 KiB is refused.
func Attach(w io.Writer, r io.Reader, files []Attachment) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var outer, inner bytes.Buffer
	end, into, size := "\r\n", &outer, 0
	for first := true; ; first = false {
		line, err := in.ReadBytes('\n')
		if size += len(line); size > maxHeader {
			return errors.New("attach to mail: the header is too long")
		}
		if first && !bytes.HasSuffix(line, []byte("\r\n")) {
			end = "\n"
		}
		text := bytes.TrimRight(line, "\r\n")
		if len(text) > 0 && text[0] != ' ' && text[0] != '\t' {
			name, _, _ := strings.Cut(strings.ToLower(string(text)), ":")
			into = &outer
			if strings.HasPrefix(name, "content-") {
				into = &inner
			} else if strings.TrimRight(name, " \t") == "mime-version" {
				into = &bytes.Buffer{} // there is one below
			}
		}
		if len(text) > 0 {
			into.Write(text)
			into.WriteString(end)
		}
		if err == io.EOF || len(text) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("attach to mail: %w", err)
		}
	}
	boundary := "pli_" + rand.Text()
	c := &countWriter{w: w}
	fmt.Fprintf(&outer, "MIME-Version: 1.0%s", end)
	fmt.Fprintf(&outer, "Content-Type: multipart/mixed; boundary=%q%s%s--%s%s%s%s", boundary, end, end, boundary, end, inner.String(), end)
	if _, err := c.Write(outer.Bytes()); err != nil {
		return err
	}
	if _, err := io.Copy(c, in); err != nil {
		return fmt.Errorf("attach to mail: %w", err)
	}
	for i := range files {
		if err := files[i].write(c, boundary, false); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(c, "\r\n--%s--\r\n", boundary)
	return err
}
