package api

import (
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/web"
)

// declared is an operation as the document and the page tell it.
type declared struct {
	client.Spec
	in, out reflect.Type
}

// handle answers an operation with fn.
func handle[In, Out any](a *api, o client.Operation[In, Out], fn func(*web.Request, In) (Out, error)) {
	in, out := o.Types()
	a.operations = append(a.operations, declared{o.Spec, in, out})
	access := map[client.Who]web.Access{client.Anyone: web.Public, client.Visitor: web.Visitor, client.SignedIn: web.SignedIn}[o.Who]
	var opts []web.RouteOption
	if o.MaxBody > 0 {
		opts = append(opts, web.Body(o.MaxBody))
	}
	if o.Right != "" {
		opts = append(opts, web.Tokens())
	}
	if o.Tag == "Session" {
		opts = append(opts, web.AnyScope())
	}
	params, etag := client.Params(in), client.ETag(out)
	a.Kit.HandleJSON(o.Method+" "+o.Path, func(r *web.Request) error {
		if r.Session != nil {
			if err := a.Accounts.Meter(r.Context(), r.Session); err != nil {
				return err
			}
		}
		if r.OnHost() && o.Right == client.ScopeSend { // who has no address sends nothing
			return fault.New(fault.Denied, "api.noaccount")
		}
		var in In
		if err := bind(r, params, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		if key := r.Header.Get("Idempotency-Key"); o.Retry && key != "" {
			return once(a, r, o.Spec, key, in, etag, fn)
		}
		out, err := fn(r, in)
		if err != nil {
			return err
		}
		if s, ok := any(out).(*client.Stream); ok {
			defer s.Close()
			if s.Size < 0 {
				return r.Download(s.Name, func(w io.Writer) error {
					_, err := io.Copy(w, s)
					return err
				})
			}
			return r.Stream(s, s.Size)
		}
		if next := nextOf(reflect.ValueOf(out)); next != "" {
			u := *r.URL
			query := u.Query()
			query.Set("after", next)
			u.RawQuery = query.Encode()
			r.W.Header().Set("Link", "<"+u.RequestURI()+`>; rel="next"`)
		}
		return respond(r, o.Success(), revision(out, etag), out)
	}, access, opts...)
}

// revision is an output's ETag, the field of that index; "" where it has none.
func revision(out any, field int) string {
	if field < 0 {
		return ""
	}
	return reflect.ValueOf(out).Field(field).String()
}

func respond(r *web.Request, status int, etag string, body any) error {
	if etag != "" {
		r.W.Header().Set("ETag", etag)
	}
	return r.JSONStatus(status, body)
}

// nextOf is the cursor of a page's next one, "" where there is none.
func nextOf(out reflect.Value) string {
	if f := out.FieldByName("Next"); out.NumField() == 2 && f.IsValid() {
		return f.String()
	}
	return ""
}

// maxKey is the most characters of an idempotency key.
const maxKey = 64

// kept is an answer as it is kept for whoever asks again.
type kept struct {
	ETag string          `json:"etag,omitempty"`
	Body json.RawMessage `json:"body"`
}

// once is fn for a call with an idempotency key.
func once[In, Out any](a *api, r *web.Request, o client.Spec, key string, in In, etag int, fn func(*web.Request, In) (Out, error)) error {
	if len(key) > maxKey {
		return badParameter("Idempotency-Key", "api.badparameter", nil)
	}
	input, err := json.Marshal(in)
	if err != nil {
		return err
	}
	call, err := a.Accounts.Once(r.Context(), r.Actor(), o.ID, key, input)
	if err != nil {
		return err
	}
	if call.Status != 0 {
		var was kept
		if err := json.Unmarshal(call.Answer, &was); err != nil {
			return err
		}
		if was.Body == nil { // kept by a program from before
			was.Body = call.Answer
		}
		return respond(r, call.Status, was.ETag, was.Body)
	}
	out, err := fn(r, in)
	if err != nil {
		// Of a failure of ours nobody knows whether it acted.
		if fault.Of(err).Kind != fault.Internal {
			err = errors.Join(err, a.Accounts.Unanswered(r.Context(), call))
		}
		return err
	}
	is := kept{ETag: revision(out, etag)}
	if is.Body, err = json.Marshal(out); err != nil {
		return err
	}
	answer, err := json.Marshal(is)
	if err != nil {
		return err
	}
	if err := a.Accounts.Answered(r.Context(), call, o.Success(), answer); err != nil {
		return err
	}
	return respond(r, o.Success(), is.ETag, is.Body)
}

// bind reads the request into the fields of an input. What the operation does
// not know is refused: a misspelt filter must not list everything.
func bind(r *web.Request, params []client.Param, in reflect.Value) error {
	query := r.URL.Query()
	for name := range query {
		if !slices.ContainsFunc(params, func(p client.Param) bool { return p.Place == client.InQuery && p.Name == name }) {
			return badParameter(name, "api.noparameter", nil)
		}
	}
	members := map[string]client.Param{}
	for _, p := range params {
		v := in.Field(p.Index)
		var text string
		switch p.Place {
		case client.InBody:
			members[p.Name] = p
			continue
		case client.IsBody:
			if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != p.Name {
				return r.Unsupported(p.Name)
			}
			v.Set(reflect.ValueOf(io.Reader(r.Body)))
			continue
		case client.InPath:
			text = r.PathValue(p.Name)
		case client.InQuery:
			text = query.Get(p.Name)
			if len(query[p.Name]) > 1 {
				return badParameter(p.Name, "api.badparameter", nil)
			}
		case client.InHeader:
			text = r.Header.Get(p.Name)
		}
		if text == "" && !p.Required {
			continue
		}
		if err := setText(v, text); err != nil || !allowed(p, text) {
			if p.Place == client.InPath {
				return fault.New(fault.NotFound, "e404.p").Because(err)
			}
			return badParameter(p.Name, "api.badparameter", err)
		}
		if p.Max > 0 && (v.Int() < 1 || v.Int() > int64(p.Max)) {
			return refusedParameter(p.Name, "api.range", fault.Args{"name": p.Name, "n": p.Max})
		}
	}
	octets := slices.ContainsFunc(params, func(p client.Param) bool { return p.Place == client.IsBody })
	if octets || len(members) == 0 && r.Method != http.MethodPost {
		return nil
	}
	return bindBody(r, members, in)
}

func bindBody(r *web.Request, members map[string]client.Param, in reflect.Value) error {
	var body map[string]json.RawMessage
	if err := r.ReadJSON(&body); err != nil {
		return err
	}
	for name, raw := range body {
		p, ok := members[name]
		if !ok {
			return wrongMember(name, "api.nomember")
		}
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		dec.DisallowUnknownFields()
		v := in.Field(p.Index)
		if err := dec.Decode(v.Addr().Interface()); err != nil {
			// The cause could hold what was meant to be a key.
			var t *json.UnmarshalTypeError
			if errors.As(err, &t) && t.Field != "" {
				name += "." + t.Field
			}
			return badField(name, nil)
		}
		if v.Kind() == reflect.String && !allowed(p, v.String()) {
			return badField(name, nil)
		}
		if p.Max > 0 && (v.Int() < 1 || v.Int() > int64(p.Max)) {
			return fault.New(fault.Invalid, "api.badjson").In(name, "api.range", fault.Args{"name": name, "n": p.Max})
		}
	}
	for name, p := range members {
		if _, ok := body[name]; p.Required && !ok {
			return wrongMember(name, "api.missing")
		}
	}
	return nil
}

func wrongMember(name, key string) error {
	return fault.New(fault.Invalid, "api.badjson").In(name, key, fault.Args{"name": name})
}

// allowed reports whether text is one of the values of p, or empty where it need not be there.
func allowed(p client.Param, text string) bool {
	return p.Enum == nil || slices.Contains(p.Enum, text) || text == "" && !p.Required
}

func setText(v reflect.Value, text string) error {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && (n < 0 || strconv.FormatInt(n, 10) != text) {
			err = strconv.ErrSyntax
		}
		v.SetInt(n)
		return err
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err
	case reflect.Slice:
		v.Set(reflect.ValueOf(strings.Split(text, ",")))
	default:
		panic("api: a parameter cannot be of type " + v.Type().String())
	}
	return nil
}
