package web_test

import (
	"net/http"
	"net/http/httptest"

	"github.com/pli-mail/pli/internal/web"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// serve asks a kit that listens nowhere, from 192.0.2.1.
func serve(k *web.Kit, method, path string, h http.Header) webtest.Answer {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "https://pli.example"+path, nil)
	for name, v := range h {
		r.Header[name] = v
	}
	k.ServeHTTP(w, r)
	return webtest.Answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
}
