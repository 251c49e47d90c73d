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
	"crypto/sha256"
	_ "embed" // for the script and the style
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/pli-mail/pli/envelope"
)

//go:embed opener.js
var script string

//go:embed opener.css
var style string

// linkLimit is the largest .pli binary, in octets, that is also put into the
// link and the form field: 48 KiB is 64 KiB of base64. Above it addresses are
// too long for browsers, and Chromium needs seconds to submit the field.
const linkLimit = 48 << 10

// Page is what one recipient's file says.
type Page struct {
	Lang         string // "en" or "fr", also with a region; anything else is English
	Origin       string // the key server, https://host[:port]; also http for localhost
	Sender       string // as claimed, for people; empty: said to be not stated
	Organisation string // of the sender; may be empty
	Reference    string // to name the message on the telephone; may be empty
	ScriptFree   bool   // without the file's own script: what is left are the link, the form, and the page to drop it on

	E           envelope.Secret // the recipient's half of the key
	Head        []byte          // every byte of the .pli file before the payload
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
	c := &crlfWriter{w: w}
	err := p.write(c)
	return c.n, err
}

func (p Page) write(w io.Writer) error {
	if !originPattern.MatchString(p.Origin) {
		return fmt.Errorf("write envelope file: %q is not an origin", p.Origin)
	}
	if p.Payload == nil || p.PayloadSize < 0 {
		return errors.New("write envelope file: no payload")
	}
	r, err := p.Payload()
	if err != nil {
		return fmt.Errorf("write envelope file: %w", err)
	}
	defer r.Close()
	// The announced size decides the form of the file, so it must be true.
	body := io.MultiReader(bytes.NewReader(p.Head), &exactReader{r: r, left: p.PayloadSize})

	var small []byte
	if p.isSmall() {
		if small, err = io.ReadAll(body); err != nil {
			return fmt.Errorf("write envelope file: %w", err)
		}
		body = bytes.NewReader(small)
	}
	if _, err := io.WriteString(w, p.top(small)); err != nil {
		return fmt.Errorf("write envelope file: %w", err)
	}
	armor := envelope.NewArmorWriter(w)
	if _, err := io.CopyBuffer(armor, body, make([]byte, 64<<10)); err != nil {
		return fmt.Errorf("write envelope file: %w", err)
	}
	if err := armor.Close(); err != nil {
		return fmt.Errorf("write envelope file: %w", err)
	}
	if _, err := io.WriteString(w, p.tail()); err != nil {
		return fmt.Errorf("write envelope file: %w", err)
	}
	return nil
}

func (p Page) tail() string {
	if p.ScriptFree {
		return "</template>\n</body>\n</html>\n"
	}
	return "</template>\n<script>" + script + "</script>\n</body>\n</html>\n"
}

// Size is how long the file is at most, in octets.
func (p Page) Size() int64 {
	n := int64(len(p.Head)) + p.PayloadSize
	base64 := (n/57 + 2) * 78
	size := int64(2*len(p.top(nil))) + base64 + int64(2*len(p.tail()))
	if p.isSmall() {
		size += 2*base64 + 1024
	}
	return size
}

func (p Page) isSmall() bool { return int64(len(p.Head))+p.PayloadSize <= linkLimit }

// top is everything before the armor. Every line is short and starts with a
// tag or with base64, so that no text of the sender can begin a line.
func (p Page) top(small []byte) string {
	lang, s := words(p.Lang)
	_, host, _ := strings.Cut(p.Origin, "://")
	strong := `<span class="host">` + host + `</span>`
	e := p.E.Base64()
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	put(`<!DOCTYPE html>`)
	put(`<html lang="%s">`, lang)
	put(`<head>`)
	put(`<meta charset="utf-8">`)
	// Spaces of any kind divide a policy, so it can be broken into short lines.
	put(`<meta http-equiv="Content-Security-Policy" content="default-src 'none';`)
	if !p.ScriptFree {
		put(` script-src '%s';`, hashSource(script))
	}
	put(` style-src '%s';`, hashSource(style))
	put(` form-action %s; base-uri 'none'">`, p.Origin)
	put(`<meta name="referrer" content="no-referrer">`)
	put(`<meta name="viewport" content="width=device-width, initial-scale=1">`)
	put(`<meta name="pli-origin" content="%s">`, p.Origin)
	put(`<title>%s</title>`, text(s.Title))
	put(`<style>%s</style>`, style)
	put(`</head>`)
	put(`<body>`)
	put(`<main>`)
	put(`<h1>%s</h1>`, text(s.Heading))
	put(`<dl>`)
	sender := claim(p.Sender)
	if sender == "" {
		sender = text(s.Unknown)
	}
	put(`<dt>%s</dt>`, text(s.Sender))
	put(`<dd>%s</dd>`, sender)
	if v := claim(p.Organisation); v != "" {
		put(`<dt>%s</dt>`, text(s.Organisation))
		put(`<dd>%s</dd>`, v)
	}
	if v := claim(p.Reference); v != "" {
		put(`<dt>%s</dt>`, text(s.Reference))
		put(`<dd>%s</dd>`, v)
	}
	put(`</dl>`)
	put(`%s`, sentence(s.Intro, strong))
	put(`<p id="go" hidden><button type="button" id="open">%s</button></p>`, text(s.Open))
	put(`%s`, sentence(s.AddressBar, strong))
	// Shown in full without script; with script it waits behind its summary.
	put(`<details id="ways" open>`)
	put(`<summary>%s</summary>`, text(s.OtherWays))
	put(`<p id="stuck" role="status" hidden>%s</p>`, text(s.Stuck))
	page := `<a rel="noopener noreferrer" target="_blank"` + "\n" + ` href="` + p.Origin + `/open">` + host + `/open</a>`
	put(`%s`, sentence(s.Drop, page))
	if small != nil {
		// A browser takes line breaks out of an address, so this one can have short lines.
		put(`<p><a rel="noopener noreferrer" target="_blank" id="link"`)
		put(` href="%s/l#e=%s&amp;x=`, p.Origin, e)
		put(`%s">%s</a> (%s)</p>`, fold(base64.RawURLEncoding.EncodeToString(small)), text(s.Link), text(s.LinkNote))
	}
	hidden := " hidden"
	if small != nil {
		hidden = ""
	}
	put(`<form id="form" method="post" enctype="multipart/form-data" target="_blank" rel="noopener noreferrer"%s`, hidden)
	put(` action="%s/u#e=%s">`, p.Origin, e)
	if small != nil {
		// The browser sends a whole armor from here, but the file has only one:
		// the character references keep its lines from being found.
		put(`<textarea name="envelope" id="field" hidden readonly>`)
		put(`-----BEGIN PLI ENVEL&#79;PE-----`)
		put(`%s`, fold(base64.StdEncoding.EncodeToString(small)))
		put(`-----END PLI ENVEL&#79;PE-----`)
		put(`</textarea>`)
	} else {
		put(`<input type="file" name="envelope" id="file" hidden>`)
	}
	put(`<p><button type="submit">%s</button></p>`, text(s.Form))
	put(`%s`, sentence(s.FormNote, strong))
	put(`</form>`)
	put(`</details>`)
	put(`<p class="note">%s</p>`, text(s.Unexpected))
	put(`</main>`)
	put(`<script type="application/x-pli-part" id="part">%s</script>`, e)
	put(`<template id="payload">`)
	return b.String()
}

// sentence writes a paragraph around its one %s, on lines of their own, so
// that a long host does not make a long line.
func sentence(format, insert string) string {
	before, after, _ := strings.Cut(format, "%s")
	return "<p>" + text(before) + "<!--\n-->" + insert + "<!--\n-->" + text(after) + "</p>"
}

func hashSource(s string) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(s, "\r\n", "\n"))) // as HTML parsers see it
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// text escapes for HTML and leaves ASCII only.
func text(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<' || r == '>' || r == '&' || r == '"' || r == '\'' || r >= 0x7f:
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
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

// fold breaks base64 into lines of 76.
func fold(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76])
		b.WriteByte('\n')
		s = s[76:]
	}
	b.WriteString(s)
	return b.String()
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

// crlfWriter turns LF into CRLF, the form that mail carries, so that the file
// has one size and one digest on the way.
type crlfWriter struct {
	w   io.Writer
	n   int64
	buf []byte
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	out := c.buf[:0]
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			out = append(out, rest...)
			break
		}
		out = append(append(out, rest[:i]...), '\r', '\n')
		rest = rest[i+1:]
	}
	c.buf = out
	n, err := c.w.Write(out)
	c.n += int64(n)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
