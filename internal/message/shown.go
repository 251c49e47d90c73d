package message

import (
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/pli-mail/pli/envelope"
)

// Shown copies to dst, as UTF-8 and at most limit octets, the text that a
// reader is shown: the parts of role text or, where there are none, what is
// left of those of role html without their marks. plain says which. open gives
// the message from its start.
func Shown(dst io.Writer, m *envelope.Manifest, open func() (io.ReadCloser, error), limit int64) (plain bool, err error) {
	role := "html"
	for _, p := range m.Parts {
		plain = plain || p.Role == "text"
	}
	if plain {
		role = "text"
	}
	w := &limitWriter{w: dst, left: limit}
	r, err := open()
	if err != nil {
		return plain, err
	}
	defer r.Close()
	at := int64(0)
	for _, p := range m.Parts {
		if p.Role != role || w.left <= 0 {
			continue
		}
		if at > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return plain, err
			}
		}
		if _, err := io.CopyN(io.Discard, r, p.Offset-at); err != nil {
			return plain, err
		}
		part := io.LimitReader(r, p.Length)
		if plain {
			err = copyText(w, part, p)
		} else {
			err = copyHTML(w, part, p)
		}
		if err != nil {
			return plain, err
		}
		at = p.Offset + p.Length
	}
	return plain, nil
}

// copyHTML reads all of src, and writes its text.
func copyHTML(dst io.Writer, src io.Reader, p envelope.Part) error {
	decoded, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(copyText(w, src, p))
	}()
	defer func() {
		decoded.Close()
		<-done
	}()
	if err := stripHTML(dst, decoded); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, decoded)
	return err
}

// What begins a line of its own, and what is not text.
var (
	blocks = atoms(atom.Address, atom.Article, atom.Blockquote, atom.Br, atom.Center, atom.Dd, atom.Div, atom.Dl, atom.Dt, atom.H1, atom.H2,
		atom.H3, atom.H4, atom.H5, atom.H6, atom.Hr, atom.Li, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Table, atom.Tr, atom.Ul)
	unread = atoms(atom.Script, atom.Style, atom.Template, atom.Title, atom.Noscript)
)

func atoms(list ...atom.Atom) map[atom.Atom]bool {
	m := make(map[atom.Atom]bool, len(list))
	for _, a := range list {
		m[a] = true
	}
	return m
}

// maxToken bounds what one mark of a page may hold in memory, in octets.
const maxToken = 1 << 20

func stripHTML(dst io.Writer, src io.Reader) error {
	z := html.NewTokenizer(src)
	z.SetMaxBuf(maxToken)
	t := stripper{w: dst, fresh: true}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF && err != html.ErrBufferExceeded {
				return err
			}
			return t.err
		case html.TextToken:
			t.text(z.Token().Data)
		case html.StartTagToken, html.SelfClosingTagToken:
			t.open(z.Token())
		case html.EndTagToken:
			t.close(z.Token())
		}
		if t.err != nil {
			return t.err
		}
	}
}

// stripper writes the text of a page: white space as one blank, a line for each block.
type stripper struct {
	w      io.Writer
	err    error
	hidden atom.Atom // the element that is being left out
	href   string    // of the link that is being read
	said   string    // its text
	fresh  bool      // at the start of a line
	blank  bool      // white space came
}

func (t *stripper) write(s string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, s)
	}
}

func (t *stripper) line() {
	if !t.fresh {
		t.write("\n")
	}
	t.fresh, t.blank = true, false
}

func (t *stripper) text(s string) {
	if t.hidden != 0 {
		return
	}
	for i, word := range strings.Fields(s) {
		if (i > 0 || t.blank || strings.TrimLeft(s, " \t\r\n\f") != s) && !t.fresh {
			t.write(" ")
		}
		t.write(word)
		t.said += word
		t.fresh, t.blank = false, false
	}
	t.blank = strings.TrimRight(s, " \t\r\n\f") != s
}

func (t *stripper) open(token html.Token) {
	if t.hidden != 0 {
		return
	}
	if unread[token.DataAtom] && token.Type == html.StartTagToken {
		t.hidden = token.DataAtom
		return
	}
	switch {
	case token.DataAtom == atom.Br:
		t.write("\n")
		t.fresh, t.blank = true, false
	case blocks[token.DataAtom]:
		t.line()
	case token.DataAtom == atom.Td || token.DataAtom == atom.Th:
		t.blank = true
	case token.DataAtom == atom.A:
		t.href, t.said = "", ""
		for _, a := range token.Attr {
			if a.Key == "href" {
				t.href = a.Val
			}
		}
	}
}

func (t *stripper) close(token html.Token) {
	if t.hidden != 0 {
		if token.DataAtom == t.hidden {
			t.hidden = 0
		}
		return
	}
	switch {
	case token.DataAtom == atom.A:
		// Where it leads is what its text may hide.
		web := strings.HasPrefix(t.href, "https://") || strings.HasPrefix(t.href, "http://")
		if web && t.href != t.said && t.href != t.said+"/" {
			t.text(" <" + cleanText(t.href) + ">")
		}
		t.href = ""
	case blocks[token.DataAtom]:
		t.line()
	}
}

// WritePart writes the decoded octets of one part to w. open gives the message
// from its start.
func WritePart(w io.Writer, p envelope.Part, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, p.Offset); err != nil {
		return err
	}
	return Decode(w, io.LimitReader(r, p.Length), p.Encoding)
}
