package mailbox

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // without it only UTF-8 is decoded
	"github.com/emersion/go-message/mail"
	"golang.org/x/net/html"
)

// maxText is how much of a mail's text is kept in memory to be shown.
const maxText = 1 << 20

// part is one leaf of a mail, while it is being read.
type part struct {
	mediaType string
	name      string
	attached  bool
	picture   string // content id of one that stands in the HTML, "" for none
	body      io.Reader
}

// walk reads the mail in r and gives every leaf to visit until visit returns
// false. It returns the header, and an error when the rest cannot be read.
func walk(r io.Reader, visit func(part) bool) (mail.Header, error) {
	mr, err := mail.CreateReader(r)
	if err != nil && !message.IsUnknownCharset(err) {
		return mail.Header{}, err
	}
	defer mr.Close()
	for leaves := 0; leaves < 1000; leaves++ {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			return mr.Header, nil
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return mr.Header, err
		}
		leaf := part{body: p.Body}
		switch h := p.Header.(type) {
		case *mail.InlineHeader:
			leaf.mediaType, _, _ = h.ContentType()
			_, params, _ := h.ContentDisposition()
			leaf.name = params["filename"]
			if strings.HasPrefix(leaf.mediaType, "image/") {
				leaf.picture = strings.Trim(h.Get("Content-Id"), "<>")
			}
			leaf.attached = leaf.mediaType != "text/plain" && leaf.mediaType != "text/html" && leaf.picture == ""
		case *mail.AttachmentHeader:
			leaf.mediaType, _, _ = h.ContentType()
			leaf.name, _ = h.Filename()
			leaf.attached = true
		}
		leaf.name = safeName(leaf.name, leaf.mediaType)
		if !visit(leaf) {
			return mr.Header, nil
		}
	}
	return mr.Header, errors.New("more than 1,000 parts")
}

// parse fills m from the source r.
func (m *Mail) parse(r io.Reader) {
	h, err := walk(r, func(p part) bool {
		if p.attached {
			n, err := io.Copy(io.Discard, p.body)
			m.Attachments = append(m.Attachments, Attachment{p.name, p.mediaType, n})
			m.note(err)
			return true
		}
		var b bytes.Buffer
		_, err := io.Copy(&b, io.LimitReader(p.body, maxText))
		m.note(err)
		text := strings.ToValidUTF8(b.String(), "\uFFFD")
		switch {
		case p.picture != "":
			if m.Pictures == nil {
				m.Pictures = map[string]string{}
			}
			m.Pictures[p.picture] = "data:" + p.mediaType + ";base64," + base64.StdEncoding.EncodeToString(b.Bytes())
		case p.mediaType == "text/html" && m.HTML == "":
			m.HTML = text
		case p.mediaType == "text/plain" && m.Text == "":
			m.Text = strings.ReplaceAll(text, "\r\n", "\n")
		}
		return true
	})
	m.note(err)
	if from, err := h.AddressList("From"); err == nil && len(from) > 0 {
		m.From = showAddress(from[0].Name, from[0].Address)
	} else {
		m.From = h.Get("From")
	}
	m.Subject, _ = h.Subject()
	m.Sender = strings.Trim(h.Get("Return-Path"), "<>")
	for f := h.FieldsByKey("Delivered-To"); f.Next(); {
		m.To = append(m.To, f.Value())
	}
	m.Links = links(m.Text, m.HTML)
}

func (m *Mail) note(err error) {
	if err != nil && m.Problem == "" {
		m.Problem = err.Error()
	}
}

func showAddress(name, address string) string {
	if name == "" {
		return address
	}
	return fmt.Sprintf("%s <%s>", name, address)
}

var textLink = regexp.MustCompile(`https?://[^\s<>"']+`)

// links are the addresses that the mail leads to, each once, those of the HTML first.
func links(text, page string) []string {
	out := []string{}
	add := func(u string) {
		u = strings.TrimRight(u, ".,;)")
		if strings.HasPrefix(u, "http") && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		t := z.Token()
		if t.Data != "a" {
			continue
		}
		for _, a := range t.Attr {
			if a.Key == "href" {
				add(a.Val)
			}
		}
	}
	for _, u := range textLink.FindAllString(text, -1) {
		add(u)
	}
	return out
}

// safeName is an attachment's name without a directory and without controls
// or marks that reorder what is seen.
func safeName(name, mediaType string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, path.Base(strings.ReplaceAll(name, `\`, "/")))
	name = strings.TrimSpace(name)
	if name != "" && name != "." && name != "/" {
		return name
	}
	name = "attachment"
	if ext, err := mime.ExtensionsByType(mediaType); err == nil && len(ext) > 0 {
		name += ext[0]
	}
	return name
}
