package brand

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An SVG file is a program and a document. Of one only shapes, their paint and
// what they are called are taken over, element by element into a new file: what
// is not in these lists is refused by name, or, in other namespaces (editors
// leave much there), left out. Nothing that can call, load, link, move or repeat
// is in them: no use, image, pattern, filter or animation.

const (
	svgSpace = "http://www.w3.org/2000/svg"

	svgDepth    = 24   // elements inside one another
	svgElements = 4000 //
)

var svgElementsAllowed = []string{"svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "title", "desc",
	"defs", "linearGradient", "radialGradient", "stop", "clipPath", "mask", "style"}

// Attributes that are numbers, or names of a fixed kind.
var svgAttributes = []string{"id", "class", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "fx", "fy", "width", "height", "points",
	"transform", "gradientTransform", "gradientUnits", "spreadMethod", "offset", "clipPathUnits", "maskUnits", "maskContentUnits", "pathLength"}

// Properties that are attributes, or stand in a style.
var svgProperties = []string{"fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit",
	"stroke-dasharray", "stroke-dashoffset", "opacity", "color", "clip-path", "clip-rule", "mask", "stop-color", "stop-opacity", "display", "visibility", "paint-order", "vector-effect"}

var (
	svgValue    = regexp.MustCompile(`^[-+#%.,()\w\s]*$`)
	svgName     = regexp.MustCompile(`^[A-Za-z_][\w.-]*$`)
	svgPaint    = regexp.MustCompile(`^url\(\s*["']?(#[A-Za-z_][\w.-]*)["']?\s*\)$`)
	svgSelector = regexp.MustCompile(`^[.#]?[A-Za-z_][\w-]*$`)
	svgUnit     = regexp.MustCompile(`^\s*([0-9.]+)(?:px)?\s*$`)
	svgIgnored  = []string{"version", "baseProfile", "preserveAspectRatio", "enable-background", "overflow", "role", "focusable",
		"contentScriptType", "contentStyleType", "zoomAndPan"}
)

// svgProblem is why a file is not taken: a catalogue key, and what it is about.
type svgProblem struct{ key, what string }

func (p *svgProblem) Error() string { return p.key + ": " + p.what }

func refuse(what string) error { return &svgProblem{"b.logo.svg", what} }

// cleanSVG is a file anew, with only what the lists above allow.
func cleanSVG(raw []byte) ([]byte, *svgProblem) {
	c := &cleaner{in: xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))))}
	if err := c.run(); err != nil {
		var p *svgProblem
		if errors.As(err, &p) {
			return nil, p
		}
		return nil, &svgProblem{"b.logo.broken", ""}
	}
	return c.out.Bytes(), nil
}

type cleaner struct {
	in    *xml.Decoder
	out   bytes.Buffer
	open  []string // names of the elements that are open
	count int
}

// within reports whether an element of that name is open.
func (c *cleaner) within(names ...string) bool {
	return slices.ContainsFunc(c.open, func(n string) bool { return slices.Contains(names, n) })
}

func (c *cleaner) run() error {
	for {
		t, err := c.in.Token()
		if err == io.EOF {
			if c.count == 0 || len(c.open) > 0 {
				return refuse("<svg>")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			return refuse("<!" + strings.ToUpper(firstWord(string(t))) + ">") // a DTD declares entities
		case xml.ProcInst:
			if t.Target != "xml" {
				return refuse("<?" + firstWord(t.Target) + "?>")
			}
		case xml.StartElement:
			if err := c.start(t); err != nil {
				return err
			}
		case xml.EndElement:
			c.out.WriteString("</" + c.open[len(c.open)-1] + ">")
			c.open = c.open[:len(c.open)-1]
		case xml.CharData:
			if len(c.open) > 0 && slices.Contains([]string{"title", "desc"}, c.open[len(c.open)-1]) {
				if err := xml.EscapeText(&c.out, t); err != nil {
					return err
				}
			}
		}
	}
}

func firstWord(s string) string {
	w := strings.FieldsFunc(s, func(r rune) bool { return r < 'A' || r > 'z' })
	if len(w) == 0 || len(w[0]) > 20 {
		return "…"
	}
	return w[0]
}

func (c *cleaner) start(e xml.StartElement) error {
	name := e.Name.Local
	switch c.count++; {
	case c.count > svgElements || len(c.open) >= svgDepth:
		return &svgProblem{"b.logo.deep", ""}
	case c.count == 1 && (name != "svg" || e.Name.Space != svgSpace):
		return refuse("<" + firstWord(name) + ">")
	case c.count > 1 && len(c.open) == 0:
		return refuse("<" + firstWord(name) + ">")
	case e.Name.Space != svgSpace || name == "metadata":
		return c.in.Skip()
	case !slices.Contains(svgElementsAllowed, name) || name == "svg" && len(c.open) > 0:
		return refuse("<" + firstWord(name) + ">")
	case len(c.open) > 0 && slices.Contains([]string{"title", "desc"}, c.open[len(c.open)-1]):
		return refuse("<" + firstWord(name) + ">")
	case c.within("mask", "clipPath") && (name == "mask" || name == "clipPath"):
		return refuse("<" + name + ">")
	}
	if name == "style" {
		return c.style()
	}
	c.out.WriteString("<" + name)
	c.open = append(c.open, name)
	if name == "svg" {
		box, err := viewBox(e.Attr)
		if err != nil {
			return err
		}
		c.put("xmlns", svgSpace)
		c.put("viewBox", box)
	}
	seen := map[string]bool{}
	for _, a := range e.Attr {
		if err := c.attribute(name, a, seen); err != nil {
			return err
		}
	}
	c.out.WriteString(">")
	return nil
}

// put writes an attribute whose value has no character to escape.
func (c *cleaner) put(name, value string) { c.out.WriteString(" " + name + `="` + value + `"`) }

func (c *cleaner) attribute(element string, a xml.Attr, seen map[string]bool) error {
	name, value := a.Name.Local, strings.TrimSpace(a.Value)
	switch {
	case name == "href": // in whichever namespace
		if element != "linearGradient" && element != "radialGradient" || !strings.HasPrefix(value, "#") || !svgName.MatchString(value[1:]) {
			return refuse("href")
		}
	case strings.HasPrefix(strings.ToLower(name), "on"):
		return refuse(firstWord(name))
	case a.Name.Space != "" || name == "xmlns" || strings.HasPrefix(name, "data-") || strings.HasPrefix(name, "aria-") || slices.Contains(svgIgnored, name):
		return nil
	case element == "svg" && slices.Contains([]string{"viewBox", "width", "height", "x", "y"}, name):
		return nil
	case name == "style":
		properties, err := declarations(value, true)
		for _, p := range properties {
			if err == nil {
				err = c.property(p[0], p[1], seen)
			}
		}
		return err
	case slices.Contains(svgProperties, name):
		return c.property(name, value, seen)
	case !slices.Contains(svgAttributes, name) || !svgValue.MatchString(value) || strings.Contains(strings.ToLower(value), "url"):
		return refuse(firstWord(name))
	}
	if !seen[name] {
		seen[name] = true
		c.put(name, value)
	}
	return nil
}

// property writes a property as an attribute. What is clipped or masked is not
// inside of what clips or masks: such things multiply.
func (c *cleaner) property(name, value string, seen map[string]bool) error {
	value, ok := propertyValue(name, value, true)
	if !ok || (name == "mask" || name == "clip-path") && c.within("mask", "clipPath") {
		return refuse(name)
	}
	if !seen[name] {
		seen[name] = true
		c.put(name, value)
	}
	return nil
}

// propertyValue is the value of a property as it is written. Only paint may name
// an element of the file; where masks may, mask and clip-path as well.
func propertyValue(name, value string, masks bool) (string, bool) {
	if !slices.Contains(svgProperties, name) {
		return "", false
	}
	if m := svgPaint.FindStringSubmatch(value); m != nil {
		paint := name == "fill" || name == "stroke" || masks && (name == "mask" || name == "clip-path")
		return "url(" + m[1] + ")", paint
	}
	return value, svgValue.MatchString(value) && !strings.Contains(strings.ToLower(value), "url")
}

// declarations reads name:value;… of a style. What editors add for text and
// layout, which is not here, is left out.
func declarations(s string, masks bool) (out [][2]string, err error) {
	for d := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(d, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if strings.TrimSpace(d) == "" {
			continue
		}
		if !ok || !svgName.MatchString(strings.TrimLeft(name, "-")) || strings.ContainsAny(value, `\@<>{}/`) {
			return nil, refuse("style")
		}
		if !slices.Contains(svgProperties, name) {
			if strings.Contains(strings.ToLower(value), "url") || strings.Contains(value, "(") {
				return nil, refuse(name)
			}
			continue
		}
		value, ok = propertyValue(name, value, masks)
		if !ok {
			return nil, refuse(name)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

// style takes over a style sheet of simple rules: .name{fill:red}.
func (c *cleaner) style() error {
	var text strings.Builder
	for {
		t, err := c.in.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
			continue
		case xml.Comment: // was a way to hide rules from old browsers
			continue
		case xml.EndElement:
		default:
			return refuse("style")
		}
		break
	}
	c.out.WriteString("<style>")
	for rest := strings.TrimSpace(text.String()); rest != ""; {
		head, after, ok := strings.Cut(rest, "{")
		body, next, closed := strings.Cut(after, "}")
		if !ok || !closed {
			return refuse("style")
		}
		var selectors []string
		for s := range strings.SplitSeq(head, ",") {
			if s = strings.TrimSpace(s); !svgSelector.MatchString(s) {
				return refuse("style")
			}
			selectors = append(selectors, s)
		}
		properties, err := declarations(body, false)
		if err != nil {
			return err
		}
		c.out.WriteString(strings.Join(selectors, ",") + "{")
		for _, p := range properties {
			c.out.WriteString(p[0] + ":" + p[1] + ";")
		}
		c.out.WriteString("}")
		rest = strings.TrimSpace(next)
	}
	c.out.WriteString("</style>")
	return nil
}

// viewBox is the file's own, or one of its width and height. A picture without
// both has no size of its own, and is none.
func viewBox(attrs []xml.Attr) (string, error) {
	var box, width, height string
	for _, a := range attrs {
		switch {
		case a.Name.Space != "":
		case a.Name.Local == "viewBox":
			box = a.Value
		case a.Name.Local == "width":
			width = a.Value
		case a.Name.Local == "height":
			height = a.Value
		}
	}
	numbers := strings.FieldsFunc(box, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	if box == "" {
		w, h := svgUnit.FindStringSubmatch(width), svgUnit.FindStringSubmatch(height)
		if w == nil || h == nil {
			return "", refuse("viewBox")
		}
		numbers = []string{"0", "0", w[1], h[1]}
	}
	if len(numbers) != 4 {
		return "", refuse("viewBox")
	}
	for i, n := range numbers {
		v, err := strconv.ParseFloat(n, 64)
		if err != nil || !(v > -1e6 && v < 1e6) || i > 1 && v <= 0 {
			return "", refuse("viewBox")
		}
		numbers[i] = strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strings.Join(numbers, " "), nil
}
