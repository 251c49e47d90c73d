package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pli-mail/pli/internal/fault"
)

// statusOf is the one place where a kind of failure becomes an HTTP status.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied, fault.Closed:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Stale:
		return http.StatusPreconditionFailed
	case fault.Gone:
		return http.StatusGone
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// headingOf is the catalogue key of the page's heading (F3 to F8).
func headingOf(k fault.Kind) string {
	switch k {
	case fault.Invalid, fault.Conflict, fault.Stale:
		return "err.title"
	case fault.Unauthenticated:
		return "sess.h1"
	case fault.Denied:
		return "e403.h1"
	case fault.Closed, fault.Gone:
		return "web.closed"
	case fault.NotFound:
		return "e404.h1"
	case fault.TooLarge:
		return "web.toolarge"
	case fault.TooMany:
		return "e429.h1"
	case fault.Unavailable:
		return "e503.h1"
	default:
		return "e500.h1"
	}
}

// asFault is fault.Of, which also knows a body over its limit.
func asFault(err error) *fault.Error {
	var big *http.MaxBytesError
	if errors.As(err, &big) && !fault.Is(err, fault.TooLarge) {
		return fault.New(fault.TooLarge, "web.toolarge.p").With("n", int(big.Limit>>20)).Because(err)
	}
	return fault.Of(err)
}

// failPage is F3 to F8.
type failPage struct {
	Base
	Heading, Text string
	SignIn        string // where to sign in again, "" if that does not help
}

// fail answers a request with what went wrong. People see the text of its key;
// the cause is in the log only, under the number that the page shows.
func (k *Kit) fail(r *Request, err error) {
	if errIsCancel(err) && r.Context().Err() != nil {
		return
	}
	if rec, ok := r.W.(*recorder); ok && rec.status != 0 {
		k.conf.Log.Error("answer broken off", "err", err)
		panic(http.ErrAbortHandler) // whoever reads must see that this is not all
	}
	f := asFault(err)
	status := statusOf(f.Kind)
	if r.status != 0 {
		status = r.status
	}
	text := Say(r.Printer, f.Key, f.Args)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		n := incident()
		k.conf.Log.Error("failure", "incident", n, "err", err, "method", r.Method, "address", r.Pattern)
		text = r.T("e500.p", "id", n)
		if f.Kind == fault.Unavailable {
			text = r.T("e503.p")
		}
	}
	h := r.answer()
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	k.headers(h, defaultPolicy(), r.entry)
	if f.Kind == fault.TooMany {
		retryAfter(h, f)
	}
	if r.json && status == http.StatusUnauthorized {
		challenge := `Bearer realm="Pli"`
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"` // RFC 6750
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if r.json {
		problem(r, status, f, text)
		return
	}
	page := &failPage{Base: r.Base(r.T(headingOf(f.Kind))), Heading: r.T(headingOf(f.Kind)), Text: text}
	if f.Kind == fault.Unauthenticated {
		if f.Key == "sess.h1" { // the heading says that
			page.Text = r.T("web.signedout")
		}
		page.SignIn = "/signin?next=" + url.QueryEscape(r.self())
	}
	if err := r.render(status, k.errors, "fail", page); err != nil {
		k.conf.Log.Error("render the page of a failure", "err", err)
		http.Error(r.W, r.T("e500.h1"), http.StatusInternalServerError)
	}
}

// problem answers as RFC 9457 says, with the catalogue key for programs.
func problem(r *Request, status int, f *fault.Error, text string) {
	title := r.T(headingOf(f.Kind))
	if f.Key == "api.badtoken" { // no session has ended
		title = r.T("api.badtoken.h1")
	}
	type field struct {
		Name   string `json:"name"`
		Key    string `json:"key"`
		Detail string `json:"detail"`
	}
	body := struct {
		Type   string         `json:"type"`
		Title  string         `json:"title"`
		Status int            `json:"status"`
		Key    string         `json:"key"`
		Detail string         `json:"detail"`
		Args   map[string]any `json:"args,omitempty"`
		Fields []field        `json:"fields,omitempty"`
	}{"about:blank", title, status, f.Key, text, f.Args, nil}
	for _, fl := range f.Fields {
		body.Fields = append(body.Fields, field{fl.Name, fl.Key, Say(r.Printer, fl.Key, fl.Args)})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		raw = []byte(`{"type":"about:blank","status":500,"key":"e500.h1"}`)
	}
	r.answer().Set("Content-Type", "application/problem+json")
	r.W.WriteHeader(status)
	r.W.Write(append(raw, '\n'))
}

// retryAfter says in seconds what the text says in minutes.
func retryAfter(h http.Header, f *fault.Error) {
	if n, ok := f.Args["n"].(int); ok && n > 0 {
		h.Set("Retry-After", strconv.Itoa(n*60))
	}
}
