package smtpd_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whatever a client sends, the server neither breaks nor takes more messages
// than there are ends of data, and what it takes is what a slow reading finds.
func FuzzDialogue(f *testing.F) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) < 40 {
		f.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var in bytes.Buffer
		for line := range strings.Lines(string(raw)) {
			line = strings.TrimSuffix(line, "\n")
			if s, ok := strings.CutPrefix(line, "C: "); ok {
				in.WriteString(s + "\r\n")
			} else if s, ok := strings.CutPrefix(line, "C! "); ok {
				s, err := strconv.Unquote(`"` + s + `"`)
				if err != nil {
					f.Fatal(err)
				}
				in.WriteString(s)
			}
		}
		f.Add(in.Bytes())
	}
	b := &box{}
	_, addr := serve(f, small, b)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 300_000 || bytes.Contains(bytes.ToUpper(in), []byte("STARTTLS")) {
			return
		}
		b.mu.Lock()
		b.mails = nil
		b.mu.Unlock()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skip(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			c.Write(in)
			c.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(c)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("%v after %q", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if !regexp.MustCompile(`^[2-5][0-9][0-9][ -][ -~]*\r\n$`).MatchString(line) {
				t.Fatalf("not a reply: %q", line)
			}
		}
		got := b.all()
		want := slowly(in)
		if len(got) > len(want) {
			t.Fatalf("%d mails where a slow reading finds %d", len(got), len(want))
		}
		for _, m := range got {
			found := false
			for _, w := range want {
				found = found || w == m
			}
			if !found {
				t.Fatalf("%q is none of %q", m, want)
			}
		}
	})
}

// slowly reads every message that could be one: after DATA, or in chunks. It
// does not know what was refused, so it finds more, and never less.
func slowly(in []byte) (mails []string) {
	text := string(in)
	for at := 0; at < len(text); at++ {
		rest := text[at:]
		if at > 0 && text[at-1] != '\n' {
			continue
		}
		line, after, _ := strings.Cut(rest, "\n")
		word := strings.ToUpper(strings.TrimSpace(line))
		if word == "DATA" {
			var m strings.Builder
			for {
				l, more, ok := strings.Cut(after, "\n")
				if !ok || l == ".\r" {
					if ok {
						mails = append(mails, m.String())
					}
					break
				}
				m.WriteString(strings.TrimPrefix(l, ".") + "\n")
				after = more
			}
		}
		if strings.HasPrefix(word, "BDAT ") {
			mails = append(mails, chunks(rest)...)
		}
	}
	return mails
}

// chunks reads the chunks that follow one another.
func chunks(text string) (mails []string) {
	var m strings.Builder
	for {
		line, after, ok := strings.Cut(text, "\n")
		f := strings.Fields(line)
		if !ok || len(f) == 0 {
			return mails
		}
		if !strings.EqualFold(f[0], "BDAT") { // NOOP may stand between
			text = after
			continue
		}
		if len(f) < 2 {
			return mails
		}
		n, err := strconv.Atoi(f[1])
		if err != nil || n > len(after) || n < 0 {
			return mails
		}
		m.WriteString(after[:n])
		text = after[n:]
		if len(f) == 3 && strings.EqualFold(f[2], "LAST") {
			return append(mails, m.String())
		}
	}
}
