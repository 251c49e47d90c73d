package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// docPage is the API for people to read.
type docPage struct {
	web.Base
	Example  string
	Rules    []string
	Chapters []*chapter
}

type chapter struct {
	ID, Name   string
	Operations []operationRow
}

type operationRow struct {
	ID, Method, Path, Summary, Note, Who, Refuses string
	Status                                        int
	Takes, Gives                                  []memberRow
}

type memberRow struct{ Name, Type, Doc string }

// page shows the declarations, in the order of their registration. What they say
// is in English, as their names are; the page around them is in both languages.
func (a *api) page(pages *web.Pages) web.Handler {
	return func(r *web.Request) error {
		p := &docPage{Base: r.Base(r.T("apidoc.h1")),
			Example: "curl -H \"Authorization: Bearer $PLI_TOKEN\" " + a.Kit.Origin() + client.GetServer.Path}
		for _, key := range []string{"apidoc.rule.bytes", "apidoc.rule.strict", "apidoc.rule.problem", "apidoc.rule.pages", "apidoc.rule.retry", "apidoc.rule.match", "apidoc.rule.limit"} {
			p.Rules = append(p.Rules, r.T(key))
		}
		for _, o := range a.operations {
			c := p.chapter(o.Tag)
			c.Operations = append(c.Operations, row(r, o))
		}
		return r.Render(pages, "api", p)
	}
}

func (p *docPage) chapter(tag string) *chapter {
	for _, c := range p.Chapters {
		if c.Name == tag {
			return c
		}
	}
	c := &chapter{ID: "chapter-" + strings.ReplaceAll(strings.ToLower(tag), " ", "-"), Name: tag}
	p.Chapters = append(p.Chapters, c)
	return c
}

func row(r *web.Request, o declared) operationRow {
	row := operationRow{ID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Summary, Note: o.Note, Status: o.Success()}
	switch {
	case o.Right != "" && o.Right != client.AnyScope:
		row.Who = r.T("apidoc.who.right", "right", o.Right)
	case o.Who == client.SignedIn:
		row.Who = r.T("apidoc.who.session")
	case o.Who == client.Visitor:
		row.Who = r.T("apidoc.who.visitor")
	default:
		row.Who = r.T("apidoc.who.anyone")
	}
	for _, p := range client.Params(o.in) {
		what := kindOf(p.Type)
		if p.Enum != nil {
			what = strings.Join(p.Enum, " | ")
		}
		if p.Place != client.InBody {
			what += " (" + string(p.Place) + ")"
		}
		if !p.Required {
			what += "?"
		}
		row.Takes = append(row.Takes, memberRow{p.Name, what, p.Doc})
	}
	row.Gives = members("", o.out, 0)
	var refuses []string
	for _, status := range client.Failures(o.Spec, o.in) {
		refuses = append(refuses, strconv.Itoa(status))
	}
	row.Refuses = strings.Join(refuses, ", ")
	return row
}

// members lists what an answer holds, nested ones by a dotted name.
func members(prefix string, t reflect.Type, depth int) (out []memberRow) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[client.Stream]() {
		return []memberRow{{"application/octet-stream", "bytes", ""}}
	}
	if t.Kind() != reflect.Struct || depth > 3 {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		what := kindOf(f.Type)
		if e := f.Tag.Get("enum"); e != "" {
			what = strings.ReplaceAll(e, ",", " | ")
		}
		if strings.Contains(opts, "omitempty") {
			what += "?"
		}
		out = append(out, memberRow{prefix + name, what, f.Tag.Get("doc")})
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner != reflect.TypeFor[client.Time]() {
			out = append(out, members(prefix+name+".", inner, depth+1)...)
		}
	}
	return out
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[client.Time]():
		return "time"
	case t == reflect.TypeFor[json.RawMessage]():
		return "any"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return kindOf(t.Elem()) + "[]"
	case reflect.Map:
		return fmt.Sprintf("{%s}", kindOf(t.Elem()))
	case reflect.Struct:
		return "object"
	case reflect.Int, reflect.Int64, reflect.Uint32:
		return "integer"
	case reflect.Interface:
		return "bytes"
	}
	return t.Kind().String()
}
