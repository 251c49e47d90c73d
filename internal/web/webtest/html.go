package webtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Page is an answer read as a person reads it: by headings, links, labels and
// buttons, without script.
type Page struct {
	Answer
	Path string // where it came from, after redirects

	b   *Browser
	doc *html.Node
}

// Visit asks for a page and follows redirects.
func (b *Browser) Visit(t testing.TB, path string) Page {
	t.Helper()
	return b.follow(t, path, b.Get(t, path))
}

func (b *Browser) follow(t testing.TB, path string, a Answer) Page {
	t.Helper()
	for range 6 {
		if a.Status != http.StatusSeeOther {
			doc, err := html.Parse(strings.NewReader(a.Body))
			must(t, err)
			return Page{a, path, b, doc}
		}
		path = a.Header.Get("Location")
		a = b.Get(t, path)
	}
	t.Fatalf("too many redirects, the last to %s", path)
	return Page{}
}

// all returns the elements that fit.
func (p Page) all(fits func(*html.Node) bool) []*html.Node {
	var out []*html.Node
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && fits(n) {
			out = append(out, n)
		}
	}
	return out
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// textOf is the text of an element, with one space for any white space.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), " ")
}

// Texts are the texts of all elements with that name.
func (p Page) Texts(element string) []string {
	var out []string
	for _, n := range p.all(func(n *html.Node) bool { return n.Data == element }) {
		out = append(out, textOf(n))
	}
	return out
}

// Title is the text of <title>.
func (p Page) Title() string { return strings.Join(p.Texts("title"), "|") }

// Heading is the page's one h1.
func (p Page) Heading(t testing.TB) string {
	t.Helper()
	h := p.Texts("h1")
	if len(h) != 1 {
		t.Fatalf("%s has %d h1: %q", p.Path, len(h), h)
	}
	return h[0]
}

// Has reports whether an element says exactly that.
func (p Page) Has(text string) bool {
	return len(p.all(func(n *html.Node) bool { return textOf(n) == text })) > 0
}

// Href is the address of the link that says text, or whose name for screen
// readers it is.
func (p Page) Href(t testing.TB, text string) string {
	t.Helper()
	links := p.all(func(n *html.Node) bool {
		return n.Data == "a" && (textOf(n) == text || attr(n, "aria-label") == text)
	})
	if len(links) == 0 {
		t.Fatalf("%s (%d) has no link %q; links: %q", p.Path, p.Status, text, p.Texts("a"))
	}
	return attr(links[0], "href")
}

// Follow visits what the link leads to.
func (p Page) Follow(t testing.TB, text string) Page {
	t.Helper()
	path, _, _ := strings.Cut(p.Href(t, text), "#")
	return p.b.Visit(t, p.resolve(t, path))
}

func (p Page) resolve(t testing.TB, path string) string {
	t.Helper()
	base, err := url.Parse(p.Path)
	must(t, err)
	u, err := base.Parse(path)
	must(t, err)
	return u.RequestURI()
}

// Value is what stands in the input with that label.
func (p Page) Value(t testing.TB, label string) string {
	t.Helper()
	n := p.input(t, label)
	if n.Data == "textarea" {
		return textOf(n)
	}
	return attr(n, "value")
}

func (p Page) input(t testing.TB, label string) *html.Node {
	t.Helper()
	for _, l := range p.all(func(n *html.Node) bool { return n.Data == "label" && textOf(n) == label }) {
		for _, n := range p.all(func(n *html.Node) bool { return attr(n, "id") == attr(l, "for") }) {
			return n
		}
	}
	t.Fatalf("%s (%d) has no input labelled %q; labels: %q", p.Path, p.Status, label, p.Texts("label"))
	return nil
}

// Press fills inputs, by label and value, and presses the button that says text.
// A check box is ticked by "on" and unticked by "".
func (p Page) Press(t testing.TB, text string, filled ...string) Page {
	t.Helper()
	buttons := p.all(func(n *html.Node) bool {
		return n.Data == "button" && (textOf(n) == text || attr(n, "aria-label") == text)
	})
	if len(buttons) == 0 {
		t.Fatalf("%s (%d) has no button %q; buttons: %q", p.Path, p.Status, text, p.Texts("button"))
	}
	form := buttons[0].Parent
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		t.Fatalf("the button %q is in no form", text)
	}
	set := map[*html.Node]string{}
	for i := 0; i+1 < len(filled); i += 2 {
		set[p.input(t, filled[i])] = filled[i+1]
	}
	values := formValues(form, set)
	if name := attr(buttons[0], "name"); name != "" {
		values.Set(name, attr(buttons[0], "value"))
	}
	path := p.resolve(t, p.Path)
	if has(form, "action") {
		path = p.resolve(t, attr(form, "action"))
	}
	if attr(form, "method") != "post" {
		path, _, _ = strings.Cut(path, "?")
		return p.b.Visit(t, path+"?"+values.Encode())
	}
	return p.b.follow(t, path, p.b.Do(t, "POST", path, values))
}

// formValues is what a browser would send of a form.
func formValues(form *html.Node, set map[*html.Node]string) url.Values {
	v := url.Values{}
	for n := range form.Descendants() {
		name := attr(n, "name")
		if n.Type != html.ElementNode || name == "" {
			continue
		}
		value, given := set[n]
		switch {
		case n.Data == "input" && attr(n, "type") == "checkbox":
			if given && value != "" || !given && has(n, "checked") {
				v.Set(name, attr(n, "value"))
			}
		case n.Data == "input" || n.Data == "textarea":
			if !given && n.Data == "input" {
				value = attr(n, "value")
			} else if !given {
				value = textOf(n)
			}
			v.Set(name, value)
		case n.Data == "select":
			v.Set(name, chosen(n, value, given))
		}
	}
	return v
}

// chosen is the value of a select: of the option that says text, if one was given.
func chosen(n *html.Node, text string, given bool) string {
	first, selected := "", ""
	found := false
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" {
			continue
		}
		if !found {
			first, found = attr(o, "value"), true
		}
		if given && (textOf(o) == text || attr(o, "value") == text) || !given && has(o, "selected") {
			selected = attr(o, "value")
			return selected
		}
	}
	return first
}
