package desk_test

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// make makes a link by its form, and returns the address of its page and the link.
func (h house) make(t *testing.T, b *webtest.Browser, more ...string) (page, link string) {
	t.Helper()
	a := b.Post(t, "/requests/new", append([]string{"title", "Your <card>", "text", "Both\r\nsides", "until", time.Now().AddDate(0, 0, 3).Format(time.DateOnly)}, more...)...)
	if a.Status != 303 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	page = a.Header.Get("Location")
	_, rest, ok := strings.Cut(b.Get(t, page).Body, h.Origin+"/q/")
	if !ok {
		t.Fatal("the page shows no link")
	}
	return page, "/q/" + rest[:43]
}

// Whoever follows the link, a scanner too, changes nothing, gets no session and
// tells no other site where they were.
func TestLookingAtALink(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	page, link := h.make(t, b)
	stranger := h.Browser(t)
	before := h.Tables(t)
	for _, method := range []string{"GET", "HEAD", "GET"} {
		a := stranger.Do(t, method, link, nil)
		if a.Status != 200 || len(a.Header.Values("Set-Cookie")) != 0 || a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", method, a.Status, a.Header)
		}
		if method == "GET" && (!strings.Contains(a.Body, "Your &lt;card&gt;") || !strings.Contains(a.Body, "Claire Roux, Example Health")) {
			t.Errorf("the page says %s", a.Body)
		}
	}
	for _, path := range []string{"/code", "/verify", "/answer"} {
		if a := stranger.Get(t, link+path); a.Status != 405 && a.Status != 404 {
			t.Errorf("GET %s: %d", path, a.Status)
		}
	}
	if changed := webtest.Changed(before, h.Tables(t)); changed != "" {
		t.Errorf("looking changed %s", changed)
	}
	if log := h.Logged(); strings.Contains(log, strings.TrimPrefix(link, "/q/")) {
		t.Error("the log has the token")
	}
	if a := stranger.Get(t, "/q/"+strings.Repeat("A", 43)); a.Status != 404 {
		t.Errorf("an unknown link: %d", a.Status)
	}

	// The pages of the request are its user's.
	other := h.Browser(t)
	other.SignIn(t, webtest.Admin)
	for _, path := range []string{page, page + "/delete"} {
		if a := other.Get(t, path); a.Status != 404 {
			t.Errorf("another user at %s: %d", path, a.Status)
		}
	}
	for _, path := range []string{page + "/close", page + "/delete"} {
		if a := other.Post(t, path); a.Status != 404 {
			t.Errorf("another user posts %s: %d", path, a.Status)
		}
		if a := stranger.Post(t, path); a.Status != 401 {
			t.Errorf("a stranger posts %s: %d", path, a.Status)
		}
	}
	if a := b.Post(t, page+"/close"); a.Status != 303 {
		t.Errorf("close: %d", a.Status)
	}
	if a := stranger.Get(t, link); a.Status != 410 || strings.Contains(a.Body, "data-ask") || strings.Contains(a.Body, "Both") {
		t.Errorf("a closed link: %d", a.Status)
	}
	if a := b.Post(t, page+"/delete"); a.Status != 303 || b.Get(t, page).Status != 404 || stranger.Get(t, link).Status != 404 {
		t.Errorf("delete: %d", a.Status)
	}
}

// A form that is wrong comes back with what was typed.
func TestWrongRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	a := b.Post(t, "/requests/new", "title", "", "text", "keep me", "until", "2020-01-01", "types", "p/df", "count", "many")
	for _, want := range []string{"keep me", "2020-01-01", "p/df", "Say what you need.", "Choose a day", "Write file types"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if a.Status != 422 || len(h.Tables(t)["intakes"]) != 0 {
		t.Errorf("%d, and a request was made", a.Status)
	}
}

// What is no answer is refused as such, and not as a failure of the service.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	_, link := h.make(t, b)
	stranger := h.Browser(t)
	post := func(parts ...string) int {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for i := 0; i+1 < len(parts); i += 2 {
			p, err := w.CreateFormFile(parts[i], "x")
			if err == nil {
				_, err = p.Write([]byte(parts[i+1]))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return stranger.Do(t, "POST", link+"/answer", body.String(), "Content-Type", w.FormDataContentType()).Status
	}
	secret := strings.Repeat("A", 43)
	head := `{"name":"J","email":"j@example.net","mh":"","rh":"","wrap":"` + strings.Repeat("A", 64) + `","s":"` + secret + `","e":"` + secret + `"}`
	for name, got := range map[string]int{
		"no form":             stranger.Do(t, "POST", link+"/answer", "x").Status,
		"nothing":             post(),
		"payload first":       post("payload", "x"),
		"no JSON":             post("head", "x", "payload", "x"),
		"no keys":             post("head", `{"name":"J"}`, "payload", "x"),
		"a short half":        post("head", strings.Replace(head, secret, "AAAA", 1), "payload", "x"),
		"no payload":          post("head", head),
		"a head without head": post("head", head, "payload", "x"),
		"an endless head":     post("head", head+strings.Repeat(" ", 300<<10), "payload", "x"),
	} {
		if got != 422 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if a := stranger.Do(t, "POST", link+"/verify", map[string]string{"code": "123456"}); a.Status != 401 {
		t.Errorf("a code without a session: %d", a.Status)
	}
	if a := stranger.Do(t, "POST", link+"/code", map[string]string{"email": "x"}); a.Status != 422 {
		t.Errorf("a code for no address: %d", a.Status)
	}
	if a := stranger.Do(t, "POST", link+"/code", map[string]string{"email": "jean@example.net"}); a.Status != 200 || h.waiting(t) != 1 {
		t.Errorf("a code: %d, %d mails", a.Status, h.waiting(t))
	}
}
