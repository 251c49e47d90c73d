package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/web/webtest"
)

var update = flag.Bool("update", false, "write docs/reference/openapi.json")

const reference = "../../docs/reference/openapi.json"

// document is the OpenAPI document that a house serves.
func document(t *testing.T, h *webtest.House) (raw string, doc map[string]any) {
	t.Helper()
	a := h.Browser(t).Do(t, "GET", "/api/v1/openapi.json", nil)
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("the document: %d %s", a.Status, a.Header)
	}
	a.JSON(t, &doc)
	return strings.ReplaceAll(a.Body, h.Origin, "https://pli.example.org"), doc
}

func TestDocument(t *testing.T) {
	h := house(t)
	raw, doc := document(t, h)
	if *update {
		if err := os.WriteFile(reference, []byte(raw), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), raw); d != "" {
		t.Errorf("docs/reference/openapi.json is not up to date: go test ./internal/api -run TestDocument -update\n%s", d)
	}
	for _, ref := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(raw, -1) {
		if _, ok := doc["components"].(map[string]any)["schemas"].(map[string]any)[ref[1]]; !ok {
			t.Errorf("the document has no schema %s", ref[1])
		}
	}
	seen := map[string]bool{}
	for _, o := range operations(doc) {
		if seen[o.id] {
			t.Errorf("two operations are called %s", o.id)
		}
		seen[o.id] = true
	}
	if a := h.Browser(t).Do(t, "GET", "/api", nil); a.Status != 200 || !strings.Contains(a.Body, "/api/v1/open/release") {
		t.Errorf("the page: %d", a.Status)
	}
}

// operation is one of the document's, as a program that only has the document knows it.
type operation struct {
	id, method, path string
	parameters       []any
	body             map[string]any // schema, nil for none or for octets
	octets           string         // media type of a body that is not JSON
	answers          []int
	schemas          map[int]map[string]any // of JSON answers, by status
	tag              string
	waits            bool   // answers 409 only while the first call with its idempotency key runs
	most             int    // bytes of a body
	scope            string // that a token needs, "" none may, "any" whichever
}

func operations(doc map[string]any) (out []operation) {
	for path, methods := range doc["paths"].(map[string]any) {
		for method, x := range methods.(map[string]any) {
			m := x.(map[string]any)
			o := operation{id: m["operationId"].(string), method: strings.ToUpper(method), path: path, schemas: map[int]map[string]any{}}
			o.parameters, _ = m["parameters"].([]any)
			o.tag = m["tags"].([]any)[0].(string)
			note, _ := m["description"].(string)
			if _, scope, ok := strings.Cut(note, "An API token needs the scope "); ok {
				o.scope = strings.TrimSuffix(scope, ".")
			} else if !strings.Contains(note, "Not with an API token.") {
				o.scope = "any"
			}
			if b, ok := m["requestBody"].(map[string]any); ok {
				unit := ""
				fmt.Sscanf(b["description"].(string), "at most %d %s", &o.most, &unit)
				o.most <<= map[string]int{"KiB": 10, "MiB": 20}[unit]
				for media, c := range b["content"].(map[string]any) {
					if media == "application/json" {
						o.body = c.(map[string]any)["schema"].(map[string]any)
					} else {
						o.octets = media
					}
				}
			}
			for status, answer := range m["responses"].(map[string]any) {
				n, _ := strconv.Atoi(status)
				o.waits = o.waits || n == 409 && answer.(map[string]any)["description"] != "Conflict"
				o.answers = append(o.answers, n)
				for media, c := range answer.(map[string]any)["content"].(map[string]any) {
					if strings.HasSuffix(media, "json") {
						o.schemas[n] = c.(map[string]any)["schema"].(map[string]any)
					}
				}
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return out
}

// TestContract calls every operation of the document as nobody, as a user, as an
// administrator and by tokens of theirs, on what is there and what is not, with
// values that fit the schemas, are nearly right, or wrong: no answer is of our
// side's fault, none is of a status that the document does not name, and each is
// as its schema says.
func TestContract(t *testing.T) {
	h := house(t)
	_, doc := document(t, h)
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	ops := operations(doc)
	bearers := map[string]string{}
	for _, scopes := range [][]string{account.Scopes, {"users"}, {"send"}, {"settings", "integrations"}} {
		bearers["token "+strings.Join(scopes, ",")] = tokenOf(t, h, scopes...).Header.Get("Authorization")
	}
	there := map[string]string{"account": strconv.Itoa(webtest.Account), "domain": "example.org"}
	for _, o := range ops {
		path, _ := filled(t, h, o)
		for i, part := range strings.Split(o.path, "/") {
			if name := strings.Trim(part, "{}"); name != part && there[name] == "" {
				there[name] = strings.Split(path, "/")[i]
			}
		}
	}
	who := slices.Concat([]string{"nobody", "visitor", webtest.User, webtest.Admin}, slices.Sorted(maps.Keys(bearers)))
	rapid.Check(t, func(r *rapid.T) {
		o := rapid.SampledFrom(ops).Draw(r, "operation")
		b := h.Browser(t)
		by := rapid.SampledFrom(who).Draw(r, "who")
		if bearers[by] != "" {
			b.Header.Set("Authorization", bearers[by])
		}
		switch by {
		case "visitor":
			var s struct{ Token string }
			b.Do(t, "POST", "/api/v1/visit", map[string]any{}).JSON(t, &s)
			b.Header.Set("Authorization", "Bearer "+s.Token)
		case webtest.User:
			b = bearer(t, h, webtest.User)
		case webtest.Admin:
			b = bearer(t, h, webtest.Admin)
		}
		g := generator{r, schemas, there}
		path, query := o.path, []string{}
		for _, x := range o.parameters {
			p := x.(map[string]any)
			name, v := p["name"].(string), g.text(p["schema"].(map[string]any), p["name"].(string))
			switch p["in"] {
			case "path":
				if there[name] != "" && rapid.IntRange(0, 3).Draw(r, "there "+name) > 0 {
					v = there[name]
				}
				path = strings.ReplaceAll(path, "{"+name+"}", v)
			case "query":
				if p["required"] == true || rapid.Bool().Draw(r, "give "+name) {
					query = append(query, name+"="+v)
				}
			case "header":
				b.Header.Set(name, v)
			}
		}
		if len(query) > 0 {
			path += "?" + strings.Join(query, "&")
		}
		var body any
		if o.body != nil {
			body = g.value(o.body, 0)
		} else if o.octets != "" {
			b.Header.Set("Content-Type", o.octets)
		}
		a := b.Do(t, o.method, path, body)
		if !slices.Contains(o.answers, a.Status) {
			r.Fatalf("%s %s with %v: %d %s is not documented (%v)\n%s", o.method, path, body, a.Status, a.Body, o.answers, h.Logged())
		}
		if schema := o.schemas[a.Status]; schema != nil {
			var got any
			if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
				r.Fatal(err)
			}
			if wrong := g.fits("", schema, got); wrong != "" {
				r.Fatalf("%s: %d %s: %s", o.id, a.Status, a.Body, wrong)
			}
		}
	})
}

// generator makes values for the document's schemas.
type generator struct {
	r       *rapid.T
	schemas map[string]any
	there   map[string]string // ids of what there is, by the parameter's name
}

// fits says what of an answer is not as its schema says, "" for nothing.
func (g generator) fits(at string, schema map[string]any, got any) string {
	if ref, ok := schema["$ref"].(string); ok {
		schema = g.schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	}
	ok := true
	switch schema["type"] {
	case "object":
		var members map[string]any
		if members, ok = got.(map[string]any); !ok {
			break
		}
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := members[name.(string)]; !there {
				return at + "." + name.(string) + " is missing"
			}
		}
		for name, v := range members {
			p, known := properties[name].(map[string]any)
			if !known {
				if properties == nil || schema["additionalProperties"] != nil {
					continue
				}
				return at + "." + name + " is not in the document"
			}
			if wrong := g.fits(at+"."+name, p, v); wrong != "" {
				return wrong
			}
		}
	case "array":
		var items []any
		if items, ok = got.([]any); !ok {
			break
		}
		for _, v := range items {
			if wrong := g.fits(at+"[]", schema["items"].(map[string]any), v); wrong != "" {
				return wrong
			}
		}
	case "string":
		_, ok = got.(string)
	case "boolean":
		_, ok = got.(bool)
	case "integer", "number":
		_, ok = got.(float64)
	}
	if e, limited := schema["enum"].([]any); ok && limited && !slices.Contains(e, got) {
		return fmt.Sprintf("%s is %v, none of %v", at, got, e)
	}
	if !ok {
		return fmt.Sprintf("%s is %v, not of type %v", at, got, schema["type"])
	}
	return ""
}

func (g generator) text(schema map[string]any, name string) string {
	switch schema["type"] {
	case "integer":
		return strconv.Itoa(rapid.SampledFrom([]int{0, 1, 50, webtest.Account, 1 << 40}).Draw(g.r, name))
	case "boolean":
		return strconv.FormatBool(rapid.Bool().Draw(g.r, name))
	}
	if e, ok := schema["enum"].([]any); ok && rapid.Bool().Draw(g.r, "known "+name) {
		return fmt.Sprint(rapid.SampledFrom(e).Draw(g.r, name))
	}
	return rapid.SampledFrom([]string{"x", "00", strings.Repeat("a1", 16), "%00", "2030-01-01T00:00:00Z", "no-such"}).Draw(g.r, name)
}

func (g generator) value(schema map[string]any, depth int) any {
	if ref, ok := schema["$ref"].(string); ok {
		schema = g.schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	}
	if rapid.IntRange(0, 19).Draw(g.r, "spoil") == 0 {
		return rapid.SampledFrom([]any{nil, "x", 7, -1.5, true, []any{}, map[string]any{"x": 1}}).Draw(g.r, "spoilt")
	}
	switch schema["type"] {
	case "object":
		out := map[string]any{}
		properties, _ := schema["properties"].(map[string]any)
		names := make([]string, 0, len(properties))
		for n := range properties {
			names = append(names, n)
		}
		slices.Sort(names)
		required, _ := json.Marshal(schema["required"])
		for _, n := range names {
			if strings.Contains(string(required), strconv.Quote(n)) || rapid.Bool().Draw(g.r, "give "+n) {
				out[n] = g.value(properties[n].(map[string]any), depth+1)
			}
		}
		return out
	case "array":
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(g.r, "items") {
			out = append(out, g.value(schema["items"].(map[string]any), depth+1))
		}
		return out
	case "integer":
		return rapid.SampledFrom([]int64{0, 1, -1, 365, 1 << 20, 1 << 50}).Draw(g.r, "integer")
	case "number":
		return 0.5
	case "boolean":
		return rapid.Bool().Draw(g.r, "boolean")
	}
	if e, ok := schema["enum"].([]any); ok && rapid.Bool().Draw(g.r, "known") {
		return rapid.SampledFrom(e).Draw(g.r, "enum")
	}
	return rapid.SampledFrom([]string{"", "x", webtest.User, "new@example.org", strings.Repeat("b2", 16), strings.Repeat("A", 43), "2030-01-01T00:00:00Z",
		"é\u0000\u202e", strings.Repeat("w", 5000)}).Draw(g.r, "string")
}
