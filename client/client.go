// Package client speaks to a Pli server's JSON API. It declares every operation
// once, with its input and output types; the server answers by the same
// declarations, and the OpenAPI document is made from them.
//
//	c := &client.Client{Origin: "https://pli.example.org", Token: token}
//	users, err := client.ListUsers.Call(ctx, c, client.ListUsersIn{Account: 100042})
//
// Identifiers are lower-case hex. Keys, hashes and other bytes are base64url
// without padding. A refusal is a *Problem.
package client

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// maxAnswer is the most that is read of a JSON answer.
const maxAnswer = 16 << 20

// Client is one server, and who calls it. It may be used by many goroutines
// while nobody changes it.
type Client struct {
	Origin   string // scheme, host and port, without a path
	Token    string // of a session or an API token, "" before there is one
	Language string // of the texts in refusals
	Agent    string // User-Agent
	HTTP     *http.Client
}

// Problem is a refusal as the server says it (RFC 9457).
type Problem struct {
	Type   string         `json:"type"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Key    string         `json:"key"`    // names the text, for programs
	Detail string         `json:"detail"` // the text, for people
	Args   map[string]any `json:"args,omitempty"`
	Fields []ProblemField `json:"fields,omitempty"`
}

// ProblemField is one member of the input with what is wrong about it.
type ProblemField struct {
	Name   string `json:"name"`
	Key    string `json:"key"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// Strange is an answer that is not one of the API's: another server, or a
// proxy's page.
type Strange struct{ Err error }

func (s *Strange) Error() string { return s.Err.Error() }
func (s *Strange) Unwrap() error { return s.Err }

// Call does the operation. The error is a *Problem when the server refused,
// a *Strange when its answer is not one of the API's, or what the transport said.
func (o Operation[In, Out]) Call(ctx context.Context, c *Client, in In) (out Out, err error) {
	return o.CallOnce(ctx, c, "", in)
}

// CallOnce is Call with an idempotency key: of calls with the same key and
// input only the first acts, and all get its answer.
func (o Operation[In, Out]) CallOnce(ctx context.Context, c *Client, key string, in In) (out Out, err error) {
	req, err := c.request(ctx, o.Spec, reflect.ValueOf(in))
	if err != nil {
		return out, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	answer, err := hc.Do(req)
	if err != nil {
		return out, err
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil {
			return out, err
		}
		p := &Problem{}
		if json.Unmarshal(raw, p) != nil || p.Error() == "" {
			p.Title = answer.Status
		}
		p.Status = answer.StatusCode
		return out, p
	}
	if s, ok := any(&out).(**Stream); ok {
		*s = &Stream{answer.Body, answer.ContentLength, answer.Header.Get("Content-Type"), ""}
		return out, nil
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, &Strange{fmt.Errorf("answer of %s: %w", c.Origin, err)}
	}
	if i := ETag(reflect.TypeFor[Out]()); i >= 0 {
		reflect.ValueOf(&out).Elem().Field(i).SetString(answer.Header.Get("ETag"))
	}
	return out, nil
}

func (c *Client) request(ctx context.Context, s Spec, in reflect.Value) (*http.Request, error) {
	path, query, header := s.Path, url.Values{}, http.Header{}
	body := map[string]any{}
	var raw io.Reader
	params := Params(in.Type())
	for _, p := range params {
		v := in.Field(p.Index)
		if p.Place == IsBody {
			raw, _ = v.Interface().(io.Reader)
			header.Set("Content-Type", p.Name)
			continue
		}
		if p.Place == InBody {
			if p.Required || !v.IsZero() {
				body[p.Name] = v.Interface()
			}
			continue
		}
		if v.IsZero() && p.Place != InPath && !p.Required {
			continue
		}
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		switch p.Place {
		case InPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
		case InQuery:
			query.Set(p.Name, text)
		case InHeader:
			header.Set(p.Name, text)
		}
	}
	if raw == nil && TakesBody(s, params) {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		raw = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	target := c.Origin + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, s.Method, target, raw)
	if err != nil {
		return nil, err
	}
	header.Set("Accept", "application/json")
	if c.Language != "" {
		header.Set("Accept-Language", c.Language)
	}
	if c.Agent != "" {
		header.Set("User-Agent", c.Agent)
	}
	if c.Token != "" {
		header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header = header
	return req, nil
}

// textOf writes a parameter as ParseText reads it.
func textOf(v reflect.Value) (string, error) {
	if t, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := t.MarshalText()
		return string(b), err
	}
	if v.Kind() == reflect.Slice {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(v.Interface()), nil
}
