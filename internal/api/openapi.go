package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/web"
)

// object is a JSON object whose members keep their order: the document reads
// from top to bottom.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemas are the types of the document, each once, by name.
type schemas map[string]object

// document serves what the declarations say: as OpenAPI 3.1, and as a page.
func (a *api) document() error {
	pages, err := a.Kit.Parse(files)
	if err != nil {
		return err
	}
	doc, err := json.MarshalIndent(openAPI(a.Kit.Origin(), a.operations), "", " ")
	if err != nil {
		return err
	}
	doc = append(doc, '\n')
	a.Kit.HandleJSON("GET /api/v1/openapi.json", func(r *web.Request) error { return r.Raw("application/json", doc) }, web.Public, web.AnyScope())
	a.Kit.Handle("GET /api", a.page(pages), web.Public)
	return nil
}

func openAPI(origin string, ops []declared) object {
	types := schemas{}
	types.of(reflect.TypeFor[client.Problem]())
	var tags []object
	paths := object{}
	for _, o := range ops {
		if !slices.ContainsFunc(tags, func(t object) bool { return t[0].value == o.Tag }) {
			tags = append(tags, object{{"name", o.Tag}})
		}
		op := member{strings.ToLower(o.Method), operation(types, o)}
		i := slices.IndexFunc(paths, func(m member) bool { return m.name == o.Path })
		if i < 0 {
			paths = append(paths, member{o.Path, object{op}})
			continue
		}
		paths[i].value = append(paths[i].value.(object), op)
	}
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	slices.Sort(names)
	all := object{}
	for _, name := range names {
		all = append(all, member{name, types[name]})
	}
	return object{
		{"openapi", "3.1.0"},
		{"info", object{
			{"title", "Pli"}, {"version", "1"},
			{"license", object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
			{"description", "Identifiers are lower-case hex. Keys, hashes and other bytes are base64url without padding. Times are RFC 3339 in UTC. " +
				"Requests are application/json without unknown members, parameters without unknown names; refusals are application/problem+json (RFC 9457) " +
				"with the text's name in \"key\", in the language of Accept-Language (en, fr). Lists are pages: pass \"next\" as after=."},
		}},
		{"servers", []object{{{"url", origin}}}},
		{"tags", tags},
		{"paths", paths},
		{"components", object{
			{"schemas", all},
			{"securitySchemes", object{{"bearer", object{{"type", "http"}, {"scheme", "bearer"}, {"description", "the token of a session, or an API token"}}}}},
		}},
	}
}

func operation(types schemas, o declared) object {
	out := object{{"operationId", o.ID}, {"tags", []string{o.Tag}}, {"summary", o.Summary}}
	note := o.Note
	switch o.Right {
	case "":
		note = strings.TrimSpace(note + " Not with an API token.")
	case client.AnyScope:
	default:
		note = strings.TrimSpace(note + " An API token needs the scope " + o.Right + ".")
	}
	if note != "" {
		out = append(out, member{"description", note})
	}
	if o.Who == client.Anyone {
		out = append(out, member{"security", []object{{}, {{"bearer", []string{}}}}})
	} else {
		out = append(out, member{"security", []object{{{"bearer", []string{}}}}})
	}
	params, body := []object{}, object(nil)
	var properties object
	var required []string
	for _, p := range client.Params(o.in) {
		schema := withEnum(types.of(p.Type), p.Enum)
		if p.Max > 0 {
			schema = append(slices.Clip(schema), member{"minimum", 1}, member{"maximum", p.Max})
		}
		switch p.Place {
		case client.InBody:
			properties = append(properties, member{p.Name, described(schema, p.Doc)})
			if p.Required {
				required = append(required, p.Name)
			}
		case client.IsBody:
			body = object{{p.Name, object{{"schema", object{}}}}}
		default:
			q := object{{"name", p.Name}, {"in", string(p.Place)}, {"required", p.Required}, {"schema", schema}}
			if p.Doc != "" {
				q = append(q, member{"description", p.Doc})
			}
			params = append(params, q)
		}
	}
	if o.Retry {
		params = append(params, object{{"name", "Idempotency-Key"}, {"in", "header"}, {"required", false}, {"schema", object{{"type", "string"}, {"maxLength", maxKey}}},
			{"description", "of calls with the same key and input only the first acts, within a day; all get its answer. With another input 422, while the first runs 409"}})
	}
	if len(params) > 0 {
		out = append(out, member{"parameters", params})
	}
	if body == nil && client.TakesBody(o.Spec, client.Params(o.in)) {
		schema := object{{"type", "object"}, {"properties", orEmpty(properties)}, {"additionalProperties", false}}
		if required != nil {
			schema = append(schema, member{"required", required})
		}
		body = object{{"application/json", object{{"schema", schema}}}}
	}
	if body != nil {
		most := o.MaxBody
		if most == 0 {
			most = 1 << 20
		}
		size := fmt.Sprintf("at most %d KiB", most>>10)
		if most>>20 > 0 {
			size = fmt.Sprintf("at most %d MiB", most>>20)
		}
		out = append(out, member{"requestBody", object{{"description", size}, {"required", true}, {"content", body}}})
	}
	media, answer := "application/json", types.of(o.out)
	if o.out == reflect.TypeFor[*client.Stream]() {
		media, answer = "application/octet-stream", object{}
	}
	done := object{{"description", "done"}, {"content", object{{media, object{{"schema", answer}}}}}}
	if client.ETag(o.out) >= 0 {
		done = append(done, member{"headers", object{{"ETag", object{{"description", "for If-Match of what changes it"}, {"schema", object{{"type", "string"}}}}}}})
	}
	responses := object{{strconv.Itoa(o.Success()), done}}
	for _, status := range client.Failures(o.Spec, o.in) {
		what := http.StatusText(status)
		if status == http.StatusConflict && !slices.Contains(o.Fails, status) {
			what = "the first call with the same Idempotency-Key still runs"
		}
		responses = append(responses, member{strconv.Itoa(status), object{{"description", what},
			{"content", object{{"application/problem+json", object{{"schema", types.of(reflect.TypeFor[client.Problem]())}}}}}}})
	}
	return append(out, member{"responses", responses})
}

func orEmpty(o object) object {
	if o == nil {
		return object{}
	}
	return o
}

func withEnum(schema object, values []string) object {
	if values == nil {
		return schema
	}
	return append(slices.Clip(schema), member{"enum", values})
}

func described(schema object, doc string) object {
	if doc == "" {
		return schema
	}
	return append(slices.Clip(schema), member{"description", doc})
}

// of is the schema of a type; a struct's is kept under its name and referred to.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[client.Time]():
		return object{{"type", "string"}, {"description", "RFC 3339 in UTC, empty for none"}}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int, reflect.Int64, reflect.Uint32:
		return object{{"type", "integer"}}
	case reflect.Float64:
		return object{{"type", "number"}}
	case reflect.Slice:
		return object{{"type", "array"}, {"items", s.of(t.Elem())}}
	case reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", s.of(t.Elem())}}
	case reflect.Struct:
	default:
		panic(fmt.Sprintf("api: a type %s cannot be in an answer", t))
	}
	name := schemaName(t)
	if _, ok := s[name]; !ok {
		s[name] = nil // it may contain itself
		properties, required := object{}, []string{}
		for i := range t.NumField() {
			f := t.Field(i)
			jsonName, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if jsonName == "-" || jsonName == "" {
				continue
			}
			var enum []string
			if e := f.Tag.Get("enum"); e != "" {
				enum = strings.Split(e, ",")
			}
			properties = append(properties, member{jsonName, described(withEnum(s.of(f.Type), enum), f.Tag.Get("doc"))})
			if !strings.Contains(opts, "omitempty") {
				required = append(required, jsonName)
			}
		}
		schema := object{{"type", "object"}, {"properties", properties}}
		if len(required) > 0 {
			schema = append(schema, member{"required", required})
		}
		s[name] = schema
	}
	return object{{"$ref", "#/components/schemas/" + name}}
}

// schemaName is a type's name; Page[User] is UserPage.
func schemaName(t reflect.Type) string {
	name := t.Name()
	outer, inner, ok := strings.Cut(name, "[")
	if !ok {
		return name
	}
	return inner[strings.LastIndex(inner, ".")+1:len(inner)-1] + outer
}
