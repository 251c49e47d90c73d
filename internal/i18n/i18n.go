// Package i18n holds the two catalogues, English and French, and says every
// visible text of Pli in either. A text that is missing in one of them, or that
// differs in its placeholders, fails the tests.
package i18n

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
)

// One file per part of the program and language: portal.en.json, portal.fr.json.
//
//go:embed locales/*.json
var locales embed.FS

// Languages are the catalogues, the default first.
var Languages = []string{"en", "fr"}

var matcher = language.NewMatcher([]language.Tag{language.English, language.French, language.CanadianFrench})

// Catalogue is both languages' texts. It is safe for concurrent use.
type Catalogue struct {
	bundle *goi18n.Bundle
	keys   []string // in order
}

// Load reads the embedded catalogues, once: nothing changes them.
func Load() (*Catalogue, error) { return load() }

var load = sync.OnceValues(func() (*Catalogue, error) {
	b := goi18n.NewBundle(language.English)
	b.RegisterUnmarshalFunc("json", json.Unmarshal)
	files, err := locales.ReadDir("locales")
	if err != nil {
		return nil, err
	}
	c := &Catalogue{bundle: b}
	for _, f := range files {
		file, err := b.LoadMessageFileFS(locales, "locales/"+f.Name())
		if err != nil {
			return nil, fmt.Errorf("load catalogue %s: %w", f.Name(), err)
		}
		for _, m := range file.Messages {
			c.keys = append(c.keys, m.ID)
		}
	}
	slices.Sort(c.keys)
	c.keys = slices.Compact(c.keys) // each is in both languages
	return c, nil
})

// Printer returns a printer for lang, "en" or "fr"; anything else prints English.
// Times are shown in zone; nil means UTC.
func (c *Catalogue) Printer(lang string, zone *time.Location) Printer {
	if lang != "fr" {
		lang = "en"
	}
	if zone == nil {
		zone = time.UTC
	}
	return Printer{lang, zone, goi18n.NewLocalizer(c.bundle, lang), c}
}

// Match returns the language to use for an Accept-Language header.
func Match(accept string) string {
	tag, _ := language.MatchStrings(matcher, accept)
	if base, _ := tag.Base(); base.String() == "fr" {
		return "fr"
	}
	return "en"
}

// Known reports whether lang is one of Languages.
func Known(lang string) bool { return lang == "en" || lang == "fr" }

// Printer says texts in one language. The zero Printer is not usable.
type Printer struct {
	Lang string
	Zone *time.Location
	loc  *goi18n.Localizer
	all  *Catalogue
}

// Keys returns the keys of the texts that begin with prefix, in order.
func (p Printer) Keys(prefix string) []string {
	from, _ := slices.BinarySearch(p.all.keys, prefix)
	to := from
	for to < len(p.all.keys) && strings.HasPrefix(p.all.keys[to], prefix) {
		to++
	}
	return p.all.keys[from:to]
}

// T returns the text of key with its placeholders filled from pairs of name and
// value. A value named "n" also chooses the plural form. A key that is in no
// catalogue prints as itself, so that a slip shows and hides nothing.
func (p Printer) T(key string, pairs ...any) string {
	args := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return p.Say(key, args)
}

// Size is a number of bytes among the values of a text: each language writes it its own way.
type Size int64

// Say is T with the placeholders in a map. A time among them is shown as its day.
func (p Printer) Say(key string, args map[string]any) string {
	for name, v := range args {
		switch v := v.(type) {
		case Size:
			args = maps.Clone(args) // the caller's stays as it is
			args[name] = p.Bytes(int64(v))
		case time.Time:
			args = maps.Clone(args)
			args[name] = p.Date(v)
		}
	}
	lc := &goi18n.LocalizeConfig{MessageID: key, TemplateData: args, TemplateParser: braces{}}
	switch n := args["n"].(type) {
	case int:
		lc.PluralCount = n
	case int64:
		lc.PluralCount = n
	}
	s, err := p.loc.Localize(lc)
	if err != nil && s == "" {
		return key
	}
	return s
}

// Date is the day, Time the day and minute, both in the printer's zone.
func (p Printer) Date(t time.Time) string { return p.format(t, false) }

// Time is the day and the minute in the printer's zone.
func (p Printer) Time(t time.Time) string { return p.format(t, true) }

var months = map[string][]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"fr": {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
}

func (p Printer) format(t time.Time, minutes bool) string {
	t = t.In(p.Zone)
	day := fmt.Sprint(t.Day())
	if p.Lang == "fr" && t.Day() == 1 {
		day = "1er"
	}
	s := fmt.Sprintf("%s %s %d", day, months[p.Lang][t.Month()-1], t.Year())
	if minutes {
		sep := ", "
		if p.Lang == "fr" {
			sep = " à "
		}
		s += sep + t.Format("15:04")
	}
	return s
}

// Bytes is a size for people: "248 kB", "1,2 Mo".
func (p Printer) Bytes(n int64) string {
	units := strings.Fields(p.T("web.units"))
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	s := fmt.Sprintf("%.0f", v)
	if u > 0 && v < 10 {
		s = strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	if p.Lang == "fr" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s + "\u00a0" + units[u]
}

// braces fills {name}. Nothing in a value is ever read as a placeholder.
type braces struct{}

func (braces) Cacheable() bool { return true }

func (braces) Parse(src, _, _ string) (template.ParsedTemplate, error) { return filled(src), nil }

type filled string

func (f filled) Execute(data any) (string, error) {
	args, _ := data.(map[string]any)
	if !strings.Contains(string(f), "{") {
		return string(f), nil
	}
	var b strings.Builder
	rest := string(f)
	for {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		j := strings.IndexByte(rest[i:], '}')
		if j < 0 {
			break
		}
		b.WriteString(rest[:i])
		name := rest[i+1 : i+j]
		if v, ok := args[name]; ok {
			fmt.Fprint(&b, v)
		} else {
			b.WriteString(rest[i : i+j+1])
		}
		rest = rest[i+j+1:]
	}
	b.WriteString(rest)
	return b.String(), nil
}
