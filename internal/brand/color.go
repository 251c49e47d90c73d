package brand

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
)

// Color is a colour in sRGB.
type Color struct{ R, G, B uint8 }

// Readable is the least contrast of text with what it stands on (WCAG 2.2, 1.4.3).
const Readable = 4.5

var (
	white = Color{0xff, 0xff, 0xff}
	ink   = Color{0x16, 0x20, 0x2c} // the text colour of the light pages
)

// ParseColor reads #rrggbb or #rgb, in either case.
func ParseColor(s string) (Color, bool) {
	h, ok := strings.CutPrefix(s, "#")
	if len(h) == 3 {
		h = string([]byte{h[0], h[0], h[1], h[1], h[2], h[2]})
	}
	b, err := hex.DecodeString(h)
	if !ok || err != nil || len(b) != 3 {
		return Color{}, false
	}
	return Color{b[0], b[1], b[2]}, true
}

// String is #rrggbb.
func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// luminance is the relative luminance, 0 to 1 (WCAG 2.2).
func (c Color) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is the contrast of two colours, 1 to 21 (WCAG 2.2).
func Contrast(a, b Color) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Text is the colour of text on c: white or the pages' own dark one, whichever
// is easier to read. It is the same where a page is light or dark, for c is.
func (c Color) Text() Color {
	if Contrast(c, white) >= Contrast(c, ink) {
		return white
	}
	return ink
}

// Ratio is the contrast of Text on c.
func (c Color) Ratio() float64 { return Contrast(c, c.Text()) }

// Closest is c where text on it can be read, else the colour nearest to it on
// its ways to black and to white on which text can be.
func (c Color) Closest() Color {
	for i := range 256 {
		darker, lighter := c.towards(Color{}, i), c.towards(white, i)
		if darker.Ratio() >= Readable && (lighter.Ratio() < Readable || darker.distance(c) <= lighter.distance(c)) {
			return darker
		}
		if lighter.Ratio() >= Readable {
			return lighter
		}
	}
	return ink // not reached: black can be written on
}

// towards is c, i 255ths of the way to another colour.
func (c Color) towards(to Color, i int) Color {
	mix := func(from, to uint8) uint8 { return uint8((int(from)*(255-i) + int(to)*i + 127) / 255) }
	return Color{mix(c.R, to.R), mix(c.G, to.G), mix(c.B, to.B)}
}

func (c Color) distance(to Color) int {
	square := func(a, b uint8) int { return (int(a) - int(b)) * (int(a) - int(b)) }
	return square(c.R, to.R) + square(c.G, to.G) + square(c.B, to.B)
}

// StylePath is the address of the style sheet of a colour. It depends on the
// colour only, so it may be kept for ever and tells nobody whose it is.
func (c Color) StylePath() string { return Path + strings.TrimPrefix(c.String(), "#") + ".css" }

// Style is the style sheet at StylePath: two custom properties, which the pages'
// own style sheet uses for the header's edge and the main button.
func (c Color) Style() string {
	return ":root{--brand:" + c.String() + ";--on-brand:" + c.Text().String() + "}\n"
}
