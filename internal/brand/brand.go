// Package brand is how an account may look to its recipients: a name, a logo, a
// colour and a few lines of plain text. Everything in it comes from an
// administrator whom recipients need not trust, so it is checked here, once,
// before it is kept: text without controls, format characters or links, colours
// on which text can be read, pictures that are made anew (logo.go, svg.go).
package brand

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
)

// Path is where logos and style sheets are served, at the public address.
const Path = "/brand/"

// Brand is what an account has set. The zero value is the service's own look.
type Brand struct {
	Name    string `json:"name,omitempty"`     // instead of the account's
	Color   string `json:"color,omitempty"`    // #rrggbb
	IntroEN string `json:"intro_en,omitempty"` // a line for mail and opening page
	IntroFR string `json:"intro_fr,omitempty"`
	Contact string `json:"contact,omitempty"` // mail address, https address or telephone number
	Footer  string `json:"footer,omitempty"`
	Logo    Logo   `json:"logo,omitzero"`
}

// Logo names a kept picture.
type Logo struct {
	Digest string `json:"digest,omitempty"` // SHA-256 in hex of what is served
	Type   string `json:"type,omitempty"`   // TypePNG or TypeSVG

	// Of the picture in mails, in pixels of the page; 0: mails have none.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// Fields are the values that are text, in the order in which they are shown.
var Fields = []string{"name", "color", "intro_en", "intro_fr", "contact", "footer"}

// Field is the place of one of Fields in b, nil for another name.
func (b *Brand) Field(name string) *string {
	switch name {
	case "name":
		return &b.Name
	case "color":
		return &b.Color
	case "intro_en":
		return &b.IntroEN
	case "intro_fr":
		return &b.IntroFR
	case "contact":
		return &b.Contact
	case "footer":
		return &b.Footer
	}
	return nil
}

// Limit is how many characters a field may have.
func Limit(field string) int {
	switch field {
	case "name":
		return 60
	case "color":
		return 7
	case "contact":
		return 120
	}
	return 200
}

// Read reads what Encode wrote. What cannot be read is the service's own look:
// a mail goes out all the same.
func Read(text string) (b Brand) {
	if text == "" || json.Unmarshal([]byte(text), &b) != nil {
		return Brand{}
	}
	return b
}

// Encode writes b, "" for the zero value.
func (b Brand) Encode() string {
	if b == (Brand{}) {
		return ""
	}
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers can be written
	}
	return string(raw)
}

// Set reports whether there is anything but the service's own look.
func (b Brand) Set() bool { return b != Brand{} }

// Of is b with the name that it shows: its own, or that of its account.
func (b Brand) Of(account string) Brand {
	if b.Set() && b.Name == "" {
		b.Name = account
	}
	return b
}

// Organisation is the name to show for an account of that name.
func (b Brand) Organisation(account string) string {
	if b.Name != "" {
		return b.Name
	}
	return account
}

// Intro is the introduction in a language: only in the one that it was written in.
func (b Brand) Intro(lang string) string {
	if lang == "fr" {
		return b.IntroFR
	}
	return b.IntroEN
}

// Accent is the colour, and whether there is one.
func (b Brand) Accent() (Color, bool) { return ParseColor(b.Color) }

// StylePath is the address of the colour's style sheet, "" without a colour.
func (b Brand) StylePath() string {
	if c, ok := b.Accent(); ok {
		return c.StylePath()
	}
	return ""
}

// LogoPath is the address of the logo, "" without one.
func (b Brand) LogoPath() string {
	if b.Logo.Digest == "" {
		return ""
	}
	return Path + b.Logo.Digest
}

// MailLogo is the Content-ID of the picture in mails, "" for none.
func (b Brand) MailLogo() string {
	if b.Logo.Width == 0 {
		return ""
	}
	return "logo." + b.Logo.Digest[:16] + "@brand.pli"
}

// Owner is who sets a brand, and whom it must not be taken for.
type Owner struct {
	Site    string   // name of the service
	Domains []string // proved by the account
}

// Check puts the values into the form in which they are kept, or says what is
// wrong with which. Faults: b.problem, with one of b.bad.* for each field.
func (b *Brand) Check(o Owner) error {
	f := fault.New(fault.Invalid, "b.problem")
	bad := func(field, key string, args fault.Args) { f = f.In(field, key, args) }
	for _, name := range Fields {
		v := b.Field(name)
		*v = strings.Join(strings.FieldsFunc(*v, func(r rune) bool { return r == ' ' }), " ")
		switch {
		case *v == "":
		case !plain(*v):
			bad(name, "b.bad.characters", nil)
		case utf8.RuneCountInString(*v) > Limit(name):
			bad(name, "b.bad.long", fault.Args{"n": Limit(name)})
		default:
			if key, args := b.check(name, *v, o); key != "" {
				bad(name, key, args)
			}
		}
	}
	if len(f.Fields) > 0 {
		return f
	}
	return nil
}

func (b *Brand) check(field, v string, o Owner) (key string, args fault.Args) {
	switch field {
	case "color":
		c, ok := ParseColor(v)
		if !ok {
			return "b.bad.color", nil
		}
		b.Color = c.String()
		if c.Ratio() < Readable {
			return "b.contrast", fault.Args{"ratio": ShowRatio(c.Ratio()), "hex": c.Closest().String()}
		}
	case "contact":
		if !isContact(v) {
			return "b.bad.contact", nil
		}
	case "name":
		switch {
		case mixed(v):
			return "b.bad.mixed", nil
		case len(words(v)) == 0:
			return "b.bad.noname", nil
		case named(v, o.Site):
			return "b.bad.site", fault.Args{"site": o.Site}
		}
		return links(v, o.Domains)
	case "footer":
		return links(v, o.Domains)
	default:
		return links(v, nil)
	}
	return "", nil
}

// ShowRatio is a contrast to one decimal, rounded down: 4.49 is not enough.
func ShowRatio(r float64) float64 { return float64(int(r*10)) / 10 }

// plain reports whether s has nothing but what is seen where it stands: no
// controls, no format characters (bidirectional ones and zero-width ones among
// them), no private ones, and no towers of marks.
func plain(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	marks := 0
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point) || invisible(r) {
			return false
		}
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		if marks > 2 {
			return false
		}
	}
	return true
}

// invisible reports whether r is a letter or a space that shows nothing.
func invisible(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0' && r != '\u202f' || unicode.Is(unicode.Variation_Selector, r)
}

// mixed reports whether a word has letters of scripts that look alike.
func mixed(s string) bool {
	alike := []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Cherokee}
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }) {
		found := -1
		for _, r := range w {
			i := slices.IndexFunc(alike, func(t *unicode.RangeTable) bool { return unicode.Is(t, r) })
			if i >= 0 && found >= 0 && i != found {
				return true
			}
			if i >= 0 {
				found = i
			}
		}
	}
	return false
}

// words are the words of s, without case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) })
}

// named reports whether a text has a name's words in it.
func named(s, name string) bool {
	in, of := words(s), words(name)
	for i := 0; len(of) > 0 && i+len(of) <= len(in); i++ {
		if slices.Equal(in[i:i+len(of)], of) {
			return true
		}
	}
	return false
}

var (
	host  = regexp.MustCompile(`[\pL\pN][\pL\pN\pM-]*(?:[.\x{3002}\x{ff0e}\x{ff61}][\pL\pN][\pL\pN\pM-]*)+`)
	dots  = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")
	dress = regexp.MustCompile(`(?i)://|\bwww\.|\b(?:https?|mailto|javascript|data|tel):`)
)

// links says what in a text a mail program or a reader would take for an
// address that is not of these domains.
func links(s string, own []string) (key string, args fault.Args) {
	if dress.MatchString(s) || len(own) == 0 && strings.ContainsAny(s, "@\uff20") {
		return "b.bad.link", nil
	}
	for _, h := range host.FindAllString(s, -1) {
		h = strings.ToLower(dots.Replace(h))
		top := h[strings.LastIndexByte(h, '.')+1:]
		if number := !strings.ContainsFunc(h, unicode.IsLetter); number && strings.Count(h, ".") != 3 || !number && utf8.RuneCountInString(top) < 2 {
			continue // 2.5, S.A.
		}
		if !slices.ContainsFunc(own, func(d string) bool { return h == d || strings.HasSuffix(h, "."+d) }) {
			return "b.bad.domain", fault.Args{"domain": h}
		}
	}
	return "", nil
}

var (
	phone   = regexp.MustCompile(`^\+?[0-9][0-9 \x{a0}\x{202f}().\-/]{3,30}$`)
	webHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+(:[0-9]{1,5})?$`)
	webPath = regexp.MustCompile(`^[A-Za-z0-9/._~%?=&+-]*$`)
)

// isContact reports whether s is a mail address, an https address with a plain
// host, or a telephone number. It is shown as text, never as a link.
func isContact(s string) bool {
	if rest, ok := strings.CutPrefix(s, "https://"); ok {
		u, err := url.Parse(s)
		return err == nil && u.User == nil && webHost.MatchString(u.Host) && webPath.MatchString(strings.TrimPrefix(rest, u.Host))
	}
	if strings.Contains(s, "@") {
		a, err := mailaddr.Parse(s)
		return err == nil && a.IsASCII() && a.String() == s
	}
	return phone.MatchString(s)
}
