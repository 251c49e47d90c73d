package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

const blue = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M0 0h4v4z" fill="#00f"/></svg>`

// The page says what is wrong beside what was typed, previews without saving, and
// serves what it has made under the strictest of policies.
func TestBrandingPage(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const path = "/admin/accounts/100042/branding"
	a := b.Post(t, path, "name", "evil.example", "color", "#808080", "do", "save")
	if a.Status != 422 || !strings.Contains(a.Body, `value="evil.example"`) || !strings.Contains(a.Body, "#868686") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a = b.Post(t, path, "name", "Clinic", "color", "#0b5d5b", "intro_fr", "Bonjour.", "plang", "fr", "ptheme", "dark", "do", "preview")
	if a.Status != 200 || strings.Count(a.Body, "<iframe") != 2 {
		t.Fatalf("preview: %d", a.Status)
	}
	if a := b.Get(t, path); strings.Contains(a.Body, "Clinic") {
		t.Error("a preview saves")
	}
	q := "?in=fr&theme=dark&name=Clinic&color=%230b5d5b&intro_fr=Bonjour."
	for what, policy := range map[string]string{"page": "style-src " + h.Origin, "mail": "style-src 'unsafe-inline'"} {
		a := b.Get(t, path+"/preview"+q+"&what="+what)
		csp := a.Header.Get("Content-Security-Policy")
		if a.Status != 200 || !strings.Contains(a.Body, "Bonjour.") || !strings.Contains(csp, policy) || !strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src") || strings.Contains(a.Body, "<script") {
			t.Errorf("%s: %d %s\n%s", what, a.Status, csp, a.Body)
		}
	}
	if a := b.Get(t, path+"/preview?name=evil.example"); a.Status != 422 {
		t.Errorf("a preview of what is refused: %d", a.Status)
	}
	if a := b.Post(t, path, "name", "Clinic", "color", "#0b5d5b", "do", "save"); a.Status != 303 {
		t.Fatalf("save: %d", a.Status)
	}
	if a := b.Get(t, path); !strings.Contains(a.Body, "The branding is saved") || !strings.Contains(a.Body, `value="Clinic"`) {
		t.Errorf("after saving: %s", a.Body)
	}
	upload := func(file string) webtest.Answer {
		body := "--x\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"logo.svg\"\r\nContent-Type: image/svg+xml\r\n\r\n" + file + "\r\n--x--\r\n"
		return b.Do(t, "POST", path+"/logo", body, "Content-Type", "multipart/form-data; boundary=x")
	}
	if a := upload(strings.Replace(blue, "<path", `<path onload="x()"`, 1)); a.Status != 422 || !strings.Contains(a.Body, "onload") || !strings.Contains(a.Body, `value="Clinic"`) {
		t.Errorf("a hostile logo: %d %s", a.Status, a.Body)
	}
	if a := upload(strings.Repeat("x", 300<<10)); a.Status != 422 && a.Status != 413 {
		t.Errorf("too large: %d", a.Status)
	}
	if a := upload(blue); a.Status != 303 {
		t.Fatalf("logo: %d %s", a.Status, a.Body)
	}
	page := b.Get(t, path).Body
	_, rest, _ := strings.Cut(page, `<img class="logo" src="`)
	at, _, _ := strings.Cut(rest, `"`)
	// Anybody may fetch it, who knows its hash.
	a = h.Browser(t).Get(t, at)
	if a.Status != 200 || a.Header.Get("Content-Type") != "image/svg+xml" || a.Header.Get("Content-Security-Policy") != "default-src 'none'; style-src 'unsafe-inline'; sandbox" ||
		a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || len(a.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("%s: %d %v", at, a.Status, a.Header)
	}
	a = h.Browser(t).Get(t, "/brand/0b5d5b.css")
	if a.Status != 200 || a.Body != ":root{--brand:#0b5d5b;--on-brand:#ffffff}\n" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %d %s", a.Status, a.Body)
	}
	for _, none := range []string{"/brand/808080.css", "/brand/0b5d5b.css.css", "/brand/" + strings.Repeat("0", 64), "/brand/", "/brand/..%2f", "/brand/0B5D5B.css"} {
		if a := h.Browser(t).Get(t, none); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", none, a.Status)
		}
	}
	if a := b.Post(t, path+"/reset"); a.Status != 303 {
		t.Errorf("reset: %d", a.Status)
	}
	if a := h.Browser(t).Get(t, at); a.Status != http.StatusNotFound {
		t.Errorf("after the reset %s: %d", at, a.Status)
	}
}
