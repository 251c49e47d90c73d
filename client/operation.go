package client

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Who may call an operation at all; what they may do is decided by the act.
type Who int

const (
	Anyone   Who = iota + 1 // no session needed
	Visitor                 // a session of a visitor, or any other
	SignedIn                // a person's session, or a token
)

// Scopes of an API token beside the rights of a group.
const (
	ScopeSend = "send" // to send as its maker, and to see what they sent
	AnyScope  = "any"  // of what any token may call
)

// Spec is what an operation says of itself: the router, the OpenAPI document,
// the readable page and the tests are made from it.
type Spec struct {
	ID      string // lowerCamelCase, unique
	Method  string
	Path    string // below the server's origin, with {name} for a path parameter
	Tag     string // the chapter it belongs to
	Summary string // one line
	Note    string // what a caller must know besides, "" for nothing
	Who     Who
	Right   string // scope that an API token must have, AnyScope: whichever; "": tokens may not call it
	Status  int    // of success, 200 unless said
	Fails   []int  // HTTP statuses of refusals that are this operation's own, beside Failures' common ones
	Retry   bool   // takes Idempotency-Key
	MaxBody int64  // bytes, 1 MiB unless said
}

// Operation is one act of the API that takes an In and answers with an Out.
//
// In is a struct. A field tagged path:"name", query:"name" or header:"Name" is
// that parameter; one tagged json is a member of the body; an io.Reader tagged
// body:"media/type" is the body itself. Fields without omitempty, and query
// parameters tagged required:"true", must be there. enum:"a,b" lists the values
// that there are, doc:"…" says what a field means. Out is a struct of json
// members, or *Stream; its field tagged header:"ETag" is that header, and for
// If-Match of what changes it.
type Operation[In, Out any] struct{ Spec }

// Success is the status of an answer that is no refusal.
func (s Spec) Success() int {
	if s.Status != 0 {
		return s.Status
	}
	return http.StatusOK
}

// Place is where a parameter travels.
type Place string

// Places.
const (
	InPath   Place = "path"
	InQuery  Place = "query"
	InHeader Place = "header"
	InBody   Place = "body"   // a member of the JSON body
	IsBody   Place = "octets" // the body itself
)

// Param is one field of an input.
type Param struct {
	Name     string // on the wire; of IsBody the media type
	Place    Place
	Type     reflect.Type
	Index    int // of the field
	Doc      string
	Enum     []string
	Max      int // of a number of at least 1; 0: none is said
	Required bool
}

// Params are the fields of an input type, in order.
func Params(in reflect.Type) []Param {
	var out []Param
	for i := range in.NumField() {
		f := in.Field(i)
		p := Param{Type: f.Type, Index: i, Doc: f.Tag.Get("doc")}
		if e := f.Tag.Get("enum"); e != "" {
			p.Enum = strings.Split(e, ",")
		}
		if m := f.Tag.Get("max"); m != "" {
			var err error
			if p.Max, err = strconv.Atoi(m); err != nil {
				panic(fmt.Sprintf("client: field %s of %s: %v", f.Name, in, err))
			}
		}
		for _, place := range []Place{InPath, InQuery, InHeader} {
			if name := f.Tag.Get(string(place)); name != "" {
				p.Name, p.Place = name, place
				p.Required = place == InPath || f.Tag.Get("required") == "true"
			}
		}
		if media := f.Tag.Get("body"); media != "" {
			p.Name, p.Place, p.Required = media, IsBody, true
		}
		if tag, ok := f.Tag.Lookup("json"); ok && p.Place == "" {
			name, opts, _ := strings.Cut(tag, ",")
			p.Name, p.Place, p.Required = name, InBody, !strings.Contains(opts, "omitempty")
		}
		if p.Place == "" {
			panic(fmt.Sprintf("client: field %s of %s does not say where it travels", f.Name, in))
		}
		out = append(out, p)
	}
	return out
}

// Types are the types of an operation's input and output.
func (o Operation[In, Out]) Types() (in, out reflect.Type) {
	return reflect.TypeFor[In](), reflect.TypeFor[Out]()
}

// Failures are the statuses that an operation may refuse with, in order.
func Failures(s Spec, in reflect.Type) []int {
	out := append([]int{http.StatusUnauthorized, http.StatusTooManyRequests}, s.Fails...)
	if s.Who == SignedIn || s.Right == "" { // where a token may not come
		out = append(out, http.StatusForbidden)
	}
	params := Params(in)
	if len(params) > 0 || s.Method != http.MethodGet {
		out = append(out, http.StatusUnprocessableEntity)
	}
	if TakesBody(s, params) {
		out = append(out, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge)
	}
	if slices.ContainsFunc(params, func(p Param) bool { return p.Place == InPath }) {
		out = append(out, http.StatusNotFound)
	}
	if slices.ContainsFunc(params, func(p Param) bool { return p.Name == "If-Match" }) {
		out = append(out, http.StatusPreconditionFailed)
	}
	if s.Retry {
		out = append(out, http.StatusConflict)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ETag is the index of the field of an output that is its ETag, -1 for none.
func ETag(out reflect.Type) int {
	if out.Kind() == reflect.Struct {
		for i := range out.NumField() {
			if out.Field(i).Tag.Get("header") == "ETag" {
				return i
			}
		}
	}
	return -1
}

// TakesBody reports whether an operation's requests have a body: also a POST
// without members has, {}, as its media type is what no form of another site can send.
func TakesBody(s Spec, params []Param) bool {
	return s.Method == http.MethodPost || slices.ContainsFunc(params, func(p Param) bool { return p.Place == InBody || p.Place == IsBody })
}

// Stream is an answer that is not JSON. Whoever gets it closes it.
type Stream struct {
	io.ReadCloser
	Size int64  // bytes, -1 when not known
	Type string // media type
	Name string // to save it under, "" for none
}

// Page is one page of a list. Next is the cursor for after=, "" on the last page.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// None is the input or the output of what takes or gives nothing.
type None struct{}

// Time is a moment in UTC, "" for none.
type Time struct{ time.Time }

// MarshalJSON writes RFC 3339 to the second.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`""`), nil
	}
	return []byte(t.UTC().Format(`"` + time.RFC3339 + `"`)), nil
}

// UnmarshalJSON reads RFC 3339.
func (t *Time) UnmarshalJSON(raw []byte) error { return t.parse(strings.Trim(string(raw), `"`)) }

// UnmarshalText reads RFC 3339, for parameters.
func (t *Time) UnmarshalText(raw []byte) error { return t.parse(string(raw)) }

// MarshalText is the same as in JSON, without quotes.
func (t Time) MarshalText() ([]byte, error) {
	if t.IsZero() {
		return nil, nil
	}
	return []byte(t.UTC().Format(time.RFC3339)), nil
}

func (t *Time) parse(s string) (err error) {
	t.Time = time.Time{}
	if s != "" && s != "null" {
		t.Time, err = time.Parse(time.RFC3339, s)
	}
	return err
}
