package brand_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/brand"
	"github.com/pli-mail/pli/internal/fault"
)

var owner = brand.Owner{Site: "Pli", Domains: []string{"example.org"}}

// Each text is plain, short, no link, and nobody else's name.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ field, value, key string }{
		{"name", "Example Health", ""},
		{"name", "  Hôpital   Saint-Luc  ", ""},
		{"name", "J.P. Morgan & Co. S.A.", ""},
		{"name", "Клиника Здоровье", ""},
		{"name", "Dépliants & Plis", ""}, // the site's name as part of a word
		{"name", "example.org", ""},
		{"name", "Care at care.example.org", ""},
		{"name", "evil.example", "b.bad.domain"},
		{"name", "example.org.evil.net", "b.bad.domain"},
		{"name", "notexample.org", "b.bad.domain"},
		{"name", "bank\u3002example", "b.bad.domain"},
		{"name", "info@example.org", ""},
		{"name", "info@bank.example", "b.bad.domain"},
		{"name", "https://example.org", "b.bad.link"},
		{"name", "Pli", "b.bad.site"},
		{"name", "The PLI support", "b.bad.site"},
		{"name", "Exаmple Health", "b.bad.mixed"}, // a Cyrillic a
		{"name", "abc\u202egpj.exe", "b.bad.characters"},
		{"name", "a\u200bb", "b.bad.characters"},
		{"name", "a\u00adb", "b.bad.characters"},
		{"name", "a\nb", "b.bad.characters"},
		{"name", "a\x00b", "b.bad.characters"},
		{"name", "a\xff", "b.bad.characters"},
		{"name", "\u3164", "b.bad.characters"},
		{"name", "a\u0301\u0301\u0301\u0301", "b.bad.characters"},
		{"name", "\U000e0041x", "b.bad.characters"},
		{"name", "…!", "b.bad.noname"},
		{"name", strings.Repeat("x", 61), "b.bad.long"},
		{"intro_en", "This message comes from Example Health. Keep it.", ""},
		{"intro_en", "Go to example.org", "b.bad.domain"}, // also one's own: a reader presses it
		{"intro_en", "Go to HTTP://x", "b.bad.link"},
		{"intro_en", "Call www.x", "b.bad.link"},
		{"intro_en", "Write to a@b", "b.bad.link"},
		{"intro_en", "Use 192.0.2.1 now", "b.bad.domain"},
		{"intro_fr", "Ce message vient de l'hôpital\u00a0: gardez-le.", ""},
		{"intro_fr", "javascript:alert", "b.bad.link"},
		{"footer", "Example Health SA · example.org · +41 22 000 00 00", ""},
		{"footer", "help@example.org", ""},
		{"footer", "evil.example", "b.bad.domain"},
		{"contact", "help@example.org", ""},
		{"contact", "https://example.org/help?x=1", ""},
		{"contact", "+33 (0)1 23 45 67 89", ""},
		{"contact", "http://example.org", "b.bad.contact"},
		{"contact", "https://user@example.org", "b.bad.contact"},
		{"contact", "https://example.org#x", "b.bad.contact"},
		{"contact", "https://еxample.org", "b.bad.contact"},
		{"contact", "javascript:alert(1)", "b.bad.contact"},
		{"contact", "Name <help@example.org>", "b.bad.contact"},
		{"contact", "call us", "b.bad.contact"},
		{"color", "#1A4F9C", ""},
		{"color", "#fff", ""},
		{"color", "red", "b.bad.color"},
		{"color", "#12345", "b.bad.color"},
		{"color", "#808080", "b.contrast"},
		{"color", "#1a4f9c;}", "b.bad.long"},
	} {
		var b brand.Brand
		*b.Field(x.field) = x.value
		err := b.Check(owner)
		got := ""
		if err != nil {
			got = fault.Of(err).Fields[0].Key
		}
		if got != x.key || err != nil && fault.Of(err).Fields[0].Name != x.field {
			t.Errorf("%s %q: %q (%v), not %q", x.field, x.value, got, err, x.key)
		}
	}
	b := brand.Brand{Name: " A  B ", Color: "#ABC"}
	if err := b.Check(owner); err != nil || b.Name != "A B" || b.Color != "#aabbcc" || brand.Read(b.Encode()) != b {
		t.Errorf("%+v: %v", b, err)
	}
	if brand.Read("{") != (brand.Brand{}) {
		t.Error("what cannot be read is not the standard")
	}
}

// Text can be read on every colour that is taken, and the one that is proposed
// is taken, near, and the same where nothing is wrong.
func TestClosest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "color")
		c := brand.Color{R: b[0], G: b[1], B: b[2]}
		n := c.Closest()
		if n.Ratio() < brand.Readable {
			t.Fatalf("%s → %s: %.2f", c, n, n.Ratio())
		}
		if c.Ratio() >= brand.Readable && n != c {
			t.Fatalf("%s can be read on, and becomes %s", c, n)
		}
		if brand.Contrast(n, c) > 1.5 {
			t.Fatalf("%s is far from %s", n, c)
		}
		if p, ok := brand.ParseColor(c.String()); !ok || p != c {
			t.Fatalf("%s is read as %s", c, p)
		}
	})
	for _, x := range []struct{ a, b string }{{"#000000", "#ffffff"}, {"#ffffff", "#000000"}} {
		a, _ := brand.ParseColor(x.a)
		b, _ := brand.ParseColor(x.b)
		if r := brand.Contrast(a, b); r != 21 {
			t.Errorf("black and white: %v", r)
		}
	}
	if c, _ := brand.ParseColor("#767676"); fmt.Sprintf("%.2f", c.Ratio()) != "4.54" { // the well-known grey
		t.Errorf("%v", c.Ratio())
	}
}

func pngOf(t *testing.T, w, h int, fill color.Color) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			if (x/7+y/5)%2 == 0 {
				img.Set(x, y, fill)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is a PNG chunk.
func chunk(kind string, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	out = append(append(out, kind...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// Of a PNG or a JPEG only the pixels are left, in bounds.
func TestPictures(t *testing.T) {
	t.Parallel()
	plain := pngOf(t, 300, 90, color.NRGBA{200, 30, 60, 255})
	text := chunk("tEXt", []byte("Comment\x00<script>alert(1)</script>"))
	polyglot := slices.Concat(plain[:33], text, plain[33:], []byte("<html><script>alert(1)</script>"))
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 1000, 10)), nil); err != nil {
		t.Fatal(err)
	}
	withExif := slices.Concat(photo.Bytes()[:2], []byte{0xff, 0xe1, 0, 12}, []byte("Exif\x00\x00GPS!"), photo.Bytes()[2:])
	for name, raw := range map[string][]byte{"png": plain, "polyglot": polyglot, "jpeg": withExif, "one pixel": pngOf(t, 1, 1, color.White), "wide": pngOf(t, 2048, 1, color.Black), "tall": pngOf(t, 1, 2048, color.Black)} {
		p, err := brand.ReadLogo(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, out := range [][]byte{p.Body, p.Mail} {
			c, err := png.DecodeConfig(bytes.NewReader(out))
			if err != nil || bytes.Contains(out, []byte("script")) || bytes.Contains(out, []byte("tEXt")) || bytes.Contains(out, []byte("GPS")) || !bytes.HasSuffix(out, chunk("IEND", nil)) {
				t.Errorf("%s: %v %v", name, c, err)
			}
		}
		if p.Type != brand.TypePNG || len(p.Body) > brand.MaxLogo || len(p.Mail) > 8<<10 || p.Width < 1 || p.Width > 160 || p.Height < 1 || p.Height > 40 || len(p.Digest) != 64 {
			t.Errorf("%s: %+v, %d and %d bytes", name, p.Logo, len(p.Body), len(p.Mail))
		}
	}
	if a, _ := brand.ReadLogo(plain); true {
		if b, _ := brand.ReadLogo(polyglot); a.Digest != b.Digest {
			t.Error("what is behind the picture is in it")
		}
	}
}

// What is no picture, or too large a one, is refused before it is decoded.
func TestHostilePictures(t *testing.T) {
	t.Parallel()
	header := func(w, h uint32) []byte {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
		return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(b, 8, 6, 0, 0, 0)))
	}
	good := pngOf(t, 40, 40, color.Black)
	for name, x := range map[string]struct {
		raw []byte
		key string
	}{
		"nothing":         {nil, "b.logo.none"},
		"100k × 100k":     {header(100_000, 100_000), "b.logo.side"},
		"2^31":            {header(1<<31-1, 1), "b.logo.side"},
		"no pixels":       {header(2048, 2048), "b.logo.broken"},
		"zero":            {header(0, 5), "b.logo.broken"},
		"cut":             {good[:len(good)-30], "b.logo.broken"},
		"GIF and script":  {[]byte("GIF89a/*\x01\x00\x01\x00\x00\x00*/=1;alert(1)"), "b.logo.kind"},
		"script":          {[]byte("alert(1)"), "b.logo.kind"},
		"WebP":            {[]byte("RIFF\x00\x00\x00\x00WEBPVP8 "), "b.logo.kind"},
		"HTML":            {[]byte("<!doctype html><script>alert(1)</script>"), "b.logo.svg"},
		"too many bytes":  {append(slices.Clone(good), make([]byte, brand.MaxLogo)...), "b.logo.large"},
		"JPEG of nothing": {[]byte{0xff, 0xd8, 0xff, 0xe0}, "b.logo.broken"},
		"PDF":             {[]byte("%PDF-1.4"), "b.logo.kind"},
	} {
		if _, err := brand.ReadLogo(x.raw); !fault.HasKey(err, x.key) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, not %s", name, err, x.key)
		}
	}
}

const space = `xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"`

// A logo as drawing programs write it stays what it is.
func TestSVG(t *testing.T) {
	t.Parallel()
	raw := `<?xml version="1.0" encoding="UTF-8"?><!-- made by hand -->
<svg ` + space + ` xmlns:inkscape="http://www.inkscape.org/" width="120px" height="40" version="1.1" inkscape:version="1.3" onoff="">
<metadata><x/></metadata><inkscape:grid id="g"><inkscape:script/></inkscape:grid><title>Example &amp; Health</title>
<style>.a{fill:#1a4f9c;font-family:Arial;}.b , #c{stroke:red}</style>
<defs><linearGradient id="g1"><stop offset="0" stop-color="#fff"/></linearGradient><linearGradient id="g2" xlink:href="#g1" x1="0%"/><clipPath id="k"><circle cx="5" cy="5" r="5"/></clipPath></defs>
<g transform="translate(1, 2)" clip-path="url(#k)" style="fill:url('#g2'); stroke-width: 2px"><path class="a" d="M0 0h10v10z"/></g></svg>`
	raw = strings.Replace(raw, ` onoff=""`, "", 1)
	p, err := brand.ReadLogo([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><title>Example &amp; Health</title><style>.a{fill:#1a4f9c;}.b,#c{stroke:red;}</style>` +
		`<defs><linearGradient id="g1"><stop offset="0" stop-color="#fff"></stop></linearGradient><linearGradient id="g2" href="#g1" x1="0%"></linearGradient><clipPath id="k"><circle cx="5" cy="5" r="5"></circle></clipPath></defs>` +
		`<g transform="translate(1, 2)" clip-path="url(#k)" fill="url(#g2)" stroke-width="2px"><path class="a" d="M0 0h10v10z"></path></g></svg>`
	if string(p.Body) != want || p.Type != brand.TypeSVG || p.Mail != nil || p.Width != 0 {
		t.Errorf("%s", p.Body)
	}
}

// Whatever can run, load, lead away or multiply is refused, or is not in what comes out.
func TestHostileSVG(t *testing.T) {
	t.Parallel()
	wrap := func(inner string) string { return `<svg ` + space + ` viewBox="0 0 1 1">` + inner + `</svg>` }
	laughs := `<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>` + wrap(`<title>&b;</title>`)
	for name, raw := range map[string]string{
		"script":             wrap(`<script>alert(1)</script>`),
		"onload":             `<svg ` + space + ` viewBox="0 0 1 1" onload="alert(1)"/>`,
		"onload, cased":      `<svg ` + space + ` viewBox="0 0 1 1" ONLOAD="alert(1)"/>`,
		"animate":            wrap(`<path d="M0"><animate attributeName="href" values="javascript:alert(1)"/></path>`),
		"set":                wrap(`<set attributeName="href" to="https://evil.example"/>`),
		"a":                  wrap(`<a href="https://evil.example"><path d="M0"/></a>`),
		"use, external":      wrap(`<use xlink:href="https://evil.example/x.svg#a"/>`),
		"use, own":           wrap(`<use href="#a"/>`),
		"image":              wrap(`<image href="https://evil.example/x.png"/>`),
		"data image":         wrap(`<image xlink:href="data:image/svg+xml;base64,AAAA"/>`),
		"foreignObject":      wrap(`<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><script>1</script></body></foreignObject>`),
		"nested svg":         wrap(`<svg><foreignObject/></svg>`),
		"import":             wrap(`<style>@import url(https://evil.example/x.css);</style>`),
		"import, escaped":    wrap(`<style>@\69mport "https://evil.example";</style>`),
		"import in CDATA":    wrap(`<style><![CDATA[@import "//evil.example";]]></style>`),
		"style url":          wrap(`<style>.a{fill:url(https://evil.example/#x)}</style>`),
		"style mask":         wrap(`<style>.a{mask:url(#m)}</style>`),
		"style selector":     wrap(`<style>*{fill:red}</style>`),
		"style in style":     wrap(`<style>.a{fill:red}<style/></style>`),
		"font":               wrap(`<style>@font-face{font-family:a;src:url(x)}</style>`),
		"attribute url":      wrap(`<path d="M0" fill="url(https://evil.example/#x)"/>`),
		"url, by entity":     wrap(`<path d="M0" fill="&#117;rl(//evil.example)"/>`),
		"url, escaped":       wrap(`<path d="M0" style="fill:\75rl(//evil.example)"/>`),
		"style expression":   wrap(`<path d="M0" style="width:expression(alert(1))"/>`),
		"background":         wrap(`<path d="M0" style="background:url(//evil.example)"/>`),
		"gradient href":      wrap(`<linearGradient xlink:href="https://evil.example#a"/>`),
		"gradient script":    wrap(`<linearGradient href="javascript:alert(1)"/>`),
		"any href":           wrap(`<path d="M0" href="#a"/>`),
		"href of a stranger": wrap(`<path d="M0" xmlns:e="urn:e" e:href="https://evil.example"/>`),
		"filter":             wrap(`<filter id="f"><feImage href="//evil.example"/></filter>`),
		"pattern":            wrap(`<pattern id="p"/>`),
		"text":               wrap(`<text>Sign in at evil.example</text>`),
		"entities":           laughs,
		"external entity":    `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + wrap(`<title>&x;</title>`),
		"doctype":            `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">` + wrap(""),
		"unknown entity":     wrap(`<title>&nbsp;</title>`),
		"stylesheet":         `<?xml-stylesheet href="https://evil.example/x.css"?>` + wrap(""),
		"other root":         `<html xmlns="http://www.w3.org/1999/xhtml"><script/></html>`,
		"no namespace":       `<svg viewBox="0 0 1 1"/>`,
		"two roots":          wrap("") + wrap(""),
		"no size":            `<svg ` + space + `/>`,
		"not closed":         `<svg ` + space + ` viewBox="0 0 1 1"><g>`,
		"deep":               wrap(strings.Repeat("<g>", 50) + strings.Repeat("</g>", 50)),
		"wide":               wrap(strings.Repeat("<g/>", 5000)),
		"masks in masks":     wrap(`<mask id="a"><g mask="url(#b)"/></mask>`),
		"clips in clips":     wrap(`<clipPath id="a"><path d="M0" style="clip-path:url(#b)"/></clipPath>`),
		"UTF-16":             "\xff\xfe<\x00s\x00v\x00g\x00",
		"other charset":      `<?xml version="1.0" encoding="UTF-7"?>` + wrap(""),
	} {
		p, err := brand.ReadLogo([]byte(raw))
		if err == nil {
			t.Errorf("%s is taken: %s", name, p.Body)
			continue
		}
		if f := fault.Of(err); f.Kind != fault.Invalid || !strings.HasPrefix(f.Key, "b.logo.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What other namespaces hold is left out with all that is in it.
	p, err := brand.ReadLogo([]byte(wrap(`<h:iframe xmlns:h="http://www.w3.org/1999/xhtml" src="//evil.example"><script/></h:iframe><title><![CDATA[<script>]]></title>`)))
	if err != nil || strings.Contains(string(p.Body), "iframe") || strings.Contains(string(p.Body), "<script") {
		t.Errorf("%s %v", p.Body, err)
	}
}

// FuzzSVG: whatever comes out has allowed elements only, no address, and comes
// out of itself unchanged.
func FuzzSVG(f *testing.F) {
	f.Add([]byte(`<svg ` + space + ` viewBox="0 0 1 1"><style>.a{fill:red}</style><g style="fill:url(#a)"/></svg>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := brand.ReadLogo(raw)
		if err != nil || p.Type != brand.TypeSVG {
			return
		}
		again, err := brand.ReadLogo(p.Body)
		if err != nil || !bytes.Equal(again.Body, p.Body) {
			t.Fatalf("%q comes out of itself as %q: %v", p.Body, again.Body, err)
		}
		for d := xml.NewDecoder(bytes.NewReader(p.Body)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", p.Body, err)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			for _, a := range e.Attr {
				v := strings.ToLower(a.Value)
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || a.Name.Local != "xmlns" && (strings.ContainsAny(v, ":/\\@") || strings.Contains(v, "url(") && !strings.Contains(v, "url(#")) {
					t.Fatalf("%q", p.Body)
				}
			}
		}
	})
}
