package brand

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"

	"github.com/pli-mail/pli/internal/fault"
)

// Media types of a logo as it is served.
const (
	TypePNG = "image/png"
	TypeSVG = "image/svg+xml"
)

const (
	// MaxLogo is the most bytes of a picture, as it comes and as it is served.
	MaxLogo = 256 << 10
	// MaxSide is the most pixels of a side of a picture as it comes.
	MaxSide = 2048
	// maxMail is the most bytes of the picture that each mail carries.
	maxMail = 8 << 10
)

// Boxes in which a picture is made to fit, in pixels: two for each of the page.
var (
	pageBox = image.Pt(640, 160)
	mailBox = image.Pt(320, 80)
)

// Picture is a logo made ready: as pages get it, and as mails carry it.
type Picture struct {
	Logo
	Body []byte // of Type
	Mail []byte // PNG; nil: there is none, as of an SVG
}

// ReadLogo makes a logo of a PNG, a JPEG or an SVG file. What comes out was
// written here: of a PNG or JPEG only its pixels are left, of an SVG only the
// shapes and colours of svg.go. Faults: b.logo.*.
func ReadLogo(raw []byte) (Picture, error) {
	bad := func(key string, pairs ...any) error {
		args := fault.Args{}
		for i := 0; i+1 < len(pairs); i += 2 {
			args[pairs[i].(string)] = pairs[i+1]
		}
		f := fault.New(fault.Invalid, key).In("logo", key, args)
		f.Args = args
		return f
	}
	var p Picture
	switch {
	case len(raw) == 0:
		return p, bad("b.logo.none")
	case len(raw) > MaxLogo:
		return p, bad("b.logo.large", "n", MaxLogo>>10)
	case bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")), bytes.HasPrefix(raw, []byte{0xff, 0xd8, 0xff}):
		config, decode := png.DecodeConfig, png.Decode
		if raw[0] == 0xff {
			config, decode = jpeg.DecodeConfig, jpeg.Decode
		}
		// A header may promise any size: it is read before room is made for it.
		c, err := config(bytes.NewReader(raw))
		if err != nil || c.Width < 1 || c.Height < 1 {
			return p, bad("b.logo.broken")
		}
		if c.Width > MaxSide || c.Height > MaxSide {
			return p, bad("b.logo.side", "n", MaxSide, "width", c.Width, "height", c.Height)
		}
		img, err := decode(bytes.NewReader(raw))
		if err != nil {
			return p, bad("b.logo.broken")
		}
		p.Type = TypePNG
		p.Body, _ = fit(img, pageBox, MaxLogo)
		var size image.Point
		p.Mail, size = fit(img, mailBox, maxMail)
		p.Width, p.Height = max(1, (size.X+1)/2), max(1, (size.Y+1)/2)
	case bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), " \t\r\n"), []byte("<")):
		body, problem := cleanSVG(raw)
		if problem != nil {
			return p, bad(problem.key, "what", problem.what)
		}
		p.Type, p.Body = TypeSVG, body
	default:
		return p, bad("b.logo.kind")
	}
	sum := sha256.Sum256(p.Body)
	p.Digest = hex.EncodeToString(sum[:])
	return p, nil
}

// fit is a picture as PNG, in a box and in at most limit bytes.
func fit(img image.Image, box image.Point, limit int) ([]byte, image.Point) {
	b := img.Bounds()
	for scale := min(1, float64(box.X)/float64(b.Dx()), float64(box.Y)/float64(b.Dy())); ; scale *= 0.8 {
		small := shrink(img, max(1, int(float64(b.Dx())*scale)), max(1, int(float64(b.Dy())*scale)))
		var out bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
			panic(err) // a picture in memory, of at least one pixel
		}
		if size := small.Bounds().Size(); out.Len() <= limit || size == image.Pt(1, 1) {
			return out.Bytes(), size
		}
	}
}

// shrink averages a picture over the pixels that become one.
func shrink(img image.Image, width, height int) *image.NRGBA {
	b := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		y0, y1 := b.Min.Y+y*b.Dy()/height, b.Min.Y+(y+1)*b.Dy()/height
		for x := range width {
			x0, x1 := b.Min.X+x*b.Dx()/width, b.Min.X+(x+1)*b.Dx()/width
			var sum [4]uint64
			for yy := y0; yy < y1; yy++ {
				for xx := x0; xx < x1; xx++ {
					cr, cg, cb, ca := img.At(xx, yy).RGBA() // alpha is in the others, so that what is clear counts for nothing
					sum[0], sum[1], sum[2], sum[3] = sum[0]+uint64(cr), sum[1]+uint64(cg), sum[2]+uint64(cb), sum[3]+uint64(ca)
				}
			}
			n := uint64((y1 - y0) * (x1 - x0))
			out.Set(x, y, color.RGBA64{uint16(sum[0] / n), uint16(sum[1] / n), uint16(sum[2] / n), uint16(sum[3] / n)})
		}
	}
	return out
}
