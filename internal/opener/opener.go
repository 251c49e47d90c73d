// Package opener writes the HTML file that carries an envelope to its
// recipient (docs/spec/envelope-v1.md, section 5).
//
// The file must get through mail filters and open in any browser, mail program
// or viewer, with or without script, so its form is narrow: ASCII, short
// lines, CRLF, none of the words that filters take for malware, one armor, and
// a policy that allows its own script and style and nothing else.
package opener

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // for the script and the style
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pli-mail/pli/envelope"
)

//go:embed opener.js
var script string

//go:embed opener.css
var style string

// What of the file is the same for all, as mail carries it.
var (
	mailScript, mailStyle = crlf(script), crlf(style)
	scriptHash, styleHash = hashSource(script), hashSource(style)
)

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// linkLimit is the largest .pli binary, in octets, that is also put into the
// link and the form field. Each costs as much again as the armor, so they are
// for ordinary letters; the mail that carries the file has a link of its own.
const linkLimit = 12 << 10

// Page is what one recipient's file says.
type Page struct {
	Lang         string // "en" or "fr", also with a region; anything else is English
	Origin       string // the key server, https://host[:port]; also http for localhost
	Sender       string // as claimed, for people; empty: said to be not stated
	Organisation string // of the sender; may be empty
	Reference    string // to name the message on the telephone; may be empty
	ScriptFree   bool   // without the file's own script: what is left are the link, the form, and the page to drop it on

	Part        envelope.KeyPart // the recipient's half of the key
	Head        []byte           // every byte of the .pli file before the payload
	Payload     func() (io.ReadCloser, error)
	PayloadSize int64 // octets that Payload gives; checked
}

var originPattern = regexp.MustCompile(`^(https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?$`)

// Name is the file's name, "securedoc_20261123T135800.html": the date and time
// in UTC, so that neither sender nor subject is in it.
func Name(t time.Time) string {
	return "securedoc_" + t.UTC().Format("20060102T150405") + ".html"
}

// WriteTo writes the file. The payload is read once; a large one is never held in memory.
func (p Page) WriteTo(w io.Writer) (int64, error) {
	c := &countWriter{w: w}
	if err := p.write(c); err != nil {
		return c.n, fmt.Errorf("write envelope file: %w", err)
	}
	return c.n, nil
}

func (p Page) write(w io.Writer) error {
	if !originPattern.MatchString(p.Origin) {
		return fmt.Errorf("%q is not an origin", p.Origin)
	}
	if p.Payload == nil || p.PayloadSize < 0 {
		return errors.New("no payload")
	}
	r, err := p.Payload()
	if err != nil {
		return err
	}
	defer r.Close()
	// The announced size decides the form of the file, so it must be true.
	payload := &exactReader{r: r, left: p.PayloadSize}
	if p.isSmall() {
		small := make([]byte, len(p.Head)+int(p.PayloadSize)+1)
		copy(small, p.Head)
		n, err := io.ReadFull(payload, small[len(p.Head):])
		if err != io.ErrUnexpectedEOF && (err != io.EOF || p.PayloadSize > 0) {
			return cmp.Or(err, errPayloadSize)
		}
		small = small[:len(p.Head)+n]
		b := p.top(small)
		armor := envelope.NewMailArmorWriter(b)
		armor.Write(small)
		armor.Close()
		b.WriteString(p.tail())
		_, err = w.Write(b.Bytes())
		return err
	}
	if _, err := w.Write(p.top(nil).Bytes()); err != nil {
		return err
	}
	armor := envelope.NewMailArmorWriter(w)
	if _, err := armor.Write(p.Head); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(armor, payload, make([]byte, 32<<10)); err != nil {
		return err
	}
	if err := armor.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(w, p.tail())
	return err
}

func (p Page) tail() string {
	if p.ScriptFree {
		return "</template>\r\n</body>\r\n</html>\r\n"
	}
	return "</template>\r\n<script>" + mailScript + "</script>\r\n</body>\r\n</html>\r\n"
}

// Size is how long the file is at most, in octets.
func (p Page) Size() int64 {
	n := int64(len(p.Head)) + p.PayloadSize
	base64 := (n/57 + 2) * 78
	size := base64 + int64(len(style)+len(script)) + 8<<10
	if p.isSmall() {
		size += 2*base64 + 1024
	}
	return size
}

func (p Page) isSmall() bool { return int64(len(p.Head))+p.PayloadSize <= linkLimit }

// top is everything before the armor. Every line is short and starts with a
// tag or with base64, so that no text of the sender can begin a line.
func (p Page) top(small []byte) *bytes.Buffer {
	lang, s := words(p.Lang)
	_, host, _ := strings.Cut(p.Origin, "://")
	strong := `<span class="host">` + host + `</span>`
	e := p.Part.Text()
	fragment := e
	if p.Part.Masked() {
		fragment = "\r\n" + e // longer: on a line of its own, which a browser takes out of an address
	}
	b := new(bytes.Buffer)
	b.Grow(len(mailStyle) + len(mailScript) + 6<<10 + len(small)*9/2)
	put := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s)
		}
		b.WriteString("\r\n")
	}

	put(`<!DOCTYPE html>`)
	put(`<html lang="`, lang, `">`)
	put(`<head>`)
	put(`<meta charset="utf-8">`)
	// Spaces of any kind divide a policy, so it can be broken into short lines.
	put(`<meta http-equiv="Content-Security-Policy" content="default-src 'none';`)
	if !p.ScriptFree {
		put(` script-src '`, scriptHash, `';`)
	}
	put(` style-src '`, styleHash, `';`)
	put(` form-action `, p.Origin, `; base-uri 'none'">`)
	put(`<meta name="referrer" content="no-referrer">`)
	put(`<meta name="viewport" content="width=device-width, initial-scale=1">`)
	put(`<meta name="pli-origin" content="`, p.Origin, `">`)
	put(`<title>`, text(s.Title), `</title>`)
	put(`<style>`, mailStyle, `</style>`)
	put(`</head>`)
	put(`<body>`)
	put(`<main>`)
	put(`<h1>`, text(s.Heading), `</h1>`)
	put(`<dl>`)
	sender := claim(p.Sender)
	if sender == "" {
		sender = text(s.Unknown)
	}
	put(`<dt>`, text(s.Sender), `</dt>`)
	put(`<dd>`, sender, `</dd>`)
	if v := claim(p.Organisation); v != "" {
		put(`<dt>`, text(s.Organisation), `</dt>`)
		put(`<dd>`, v, `</dd>`)
	}
	if v := claim(p.Reference); v != "" {
		put(`<dt>`, text(s.Reference), `</dt>`)
		put(`<dd>`, v, `</dd>`)
	}
	put(`</dl>`)
	put(sentence(s.Intro, strong))
	if p.Part.Masked() {
		put(`<p>`, text(s.Passphrase), `</p>`)
	}
	put(`<p id="go" hidden><button type="button" id="open">`, text(s.Open), `</button></p>`)
	put(sentence(s.AddressBar, strong))
	// Shown in full without script; with script it waits behind its summary.
	put(`<details id="ways" open>`)
	put(`<summary>`, text(s.OtherWays), `</summary>`)
	put(`<p id="stuck" role="status" hidden>`, text(s.Stuck), `</p>`)
	page := `<a rel="noopener noreferrer" target="_blank"` + "\r\n" + ` href="` + p.Origin + `/open">` + host + `/open</a>`
	put(sentence(s.Drop, page))
	if small != nil {
		// A browser takes line breaks out of an address, so this one can have short lines.
		put(`<p><a rel="noopener noreferrer" target="_blank" id="link"`)
		put(` href="`, p.Origin, `/l#e=`, fragment, `&amp;x=`)
		put(fold(base64.RawURLEncoding, small), `">`, text(s.Link), `</a> (`, text(s.LinkNote), `)</p>`)
	}
	hidden := " hidden"
	if small != nil {
		hidden = ""
	}
	put(`<form id="form" method="post" enctype="multipart/form-data" target="_blank" rel="noopener noreferrer"`, hidden)
	put(` action="`, p.Origin, `/u#e=`, fragment, `">`)
	if small != nil {
		// The browser sends a whole armor from here, but the file has only one:
		// the character references keep its lines from being found.
		put(`<textarea name="envelope" id="field" hidden readonly>`)
		put(`-----BEGIN PLI ENVEL&#79;PE-----`)
		put(fold(base64.StdEncoding, small))
		put(`-----END PLI ENVEL&#79;PE-----`)
		put(`</textarea>`)
	} else {
		put(`<input type="file" name="envelope" id="file" hidden>`)
	}
	put(`<p><button type="submit">`, text(s.Form), `</button></p>`)
	put(sentence(s.FormNote, strong))
	put(`</form>`)
	put(`</details>`)
	put(`<p class="note">`, text(s.Unexpected), `</p>`)
	put(`</main>`)
	put(`<script type="application/x-pli-part" id="part">`, e, `</script>`)
	put(`<template id="payload">`)
	return b
}

// sentence writes a paragraph around its one %s, on lines of their own, so
// that a long host does not make a long line.
func sentence(format, insert string) string {
	before, after, _ := strings.Cut(format, "%s")
	return "<p>" + text(before) + "<!--\r\n-->" + insert + "<!--\r\n-->" + text(after) + "</p>"
}

func hashSource(s string) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(s, "\r\n", "\n"))) // as HTML parsers see it
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// text escapes for HTML and leaves ASCII only.
func text(s string) string {
	if !strings.ContainsFunc(s, isSpecial) {
		return s
	}
	b := make([]byte, 0, len(s)+32)
	for _, r := range s {
		if isSpecial(r) {
			b = append(strconv.AppendInt(append(b, "&#"...), int64(r), 10), ';')
		} else {
			b = append(b, byte(r))
		}
	}
	return string(b)
}

func isSpecial(r rune) bool {
	return r == '<' || r == '>' || r == '&' || r == '"' || r == '\'' || r >= 0x7f
}

// claim is text from outside, neutralised: no controls, no format characters
// (which include the bidirectional ones), and cut so that its line stays short.
func claim(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			continue
		}
		t := text(string(r))
		if b.Len()+len(t) > 240 {
			b.WriteString("...")
			break
		}
		b.WriteString(t)
	}
	return strings.TrimSpace(b.String())
}

// fold is base64 in lines of 76.
func fold(enc *base64.Encoding, raw []byte) string {
	out := make([]byte, 0, enc.EncodedLen(len(raw))*78/76+78)
	for len(raw) > 57 {
		out = append(enc.AppendEncode(out, raw[:57]), '\r', '\n')
		raw = raw[57:]
	}
	return string(enc.AppendEncode(out, raw))
}

// exactReader fails unless r has exactly left octets.
type exactReader struct {
	r    io.Reader
	left int64
}

var errPayloadSize = errors.New("payload is not as long as announced")

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 || err == io.EOF && e.left > 0 {
		return 0, errPayloadSize
	}
	return n, err
}

// countWriter counts what it passes on.
type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
