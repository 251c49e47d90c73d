package portal_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/web/webtest"
)

func level(t testing.TB, h *webtest.House, level string) webtest.Envelope {
	t.Helper()
	return h.Send(t, webtest.Mail{To: jean, Subject: "Your results", Raw: raw, Level: level})
}

// Whoever ticks the box is asked for no code for the next low envelope; a
// medium one has no box and asks.
func TestRememberedDevice(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	low := level(t, h, policy.Low)
	opened(t, h, b, low) // the box is there, and was not ticked
	if b.Cookie("pli-device") != "" {
		t.Error("remembered without having been asked")
	}
	b = h.Browser(t)
	prove(t, b, low)
	b.Post(t, "/e/"+low.Ref+"/code")
	has(t, b.Get(t, "/e/"+low.Ref+"/code?lang=en"), 200, "Remember this device")
	b.Post(t, "/e/"+low.Ref+"/verify", "code", h.Code(t), "remember", "1")
	device := b.Cookie("pli-device")
	if len(device) != 43 {
		t.Fatalf("cookie %q", device)
	}

	again := h.Browser(t)
	again.Header.Set("Cookie", "pli-device="+device)
	next := level(t, h, policy.Low)
	visit := func(e webtest.Envelope) { // a session of its own, in the same browser
		t.Helper()
		if a := prove(t, again, e); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		again.Header.Set("Cookie", "pli-device="+device+"; pli="+again.Cookie("pli"))
	}
	visit(next)
	a := again.Get(t, "/e/"+next.Ref+"?lang=en")
	has(t, a, 200, "this device is remembered for j•••@example.net", "Do not remember this device any longer")
	if a := release(t, again, next); a.Status != 200 {
		t.Errorf("release: %d %s", a.Status, a.Body)
	}
	medium := level(t, h, policy.Medium)
	visit(medium)
	if a := release(t, again, medium); a.Status != 403 || !strings.Contains(a.Body, `"key":"release.level.code"`) || !strings.Contains(a.Body, `"step":"/e/`+medium.Ref+`"`) {
		t.Errorf("a medium envelope: %d %s", a.Status, a.Body)
	}
	again.Post(t, "/e/"+medium.Ref+"/code")
	if a := again.Get(t, "/e/"+medium.Ref+"/code?lang=en"); strings.Contains(a.Body, "Remember this device") {
		t.Error("a medium envelope offers to remember the device")
	}
	if a := again.Post(t, "/e/"+next.Ref+"/forget"); a.Status != 303 {
		t.Fatalf("forget: %d", a.Status)
	}
	if a := release(t, again, next); a.Status != 403 || !strings.Contains(a.Body, `"key":"release.code"`) {
		t.Errorf("once it was forgotten: %d %s", a.Status, a.Body)
	}
}

// AT-29: the page of a high envelope says what is missing, and where it is got.
func TestHighPages(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := level(t, h, policy.High)
	b := h.Browser(t)
	prove(t, b, e)
	has(t, b.Get(t, "/e/"+e.Ref+"?lang=en"), 200, "an account for j•••@example.net with a second factor", "Send me a code")
	b.Post(t, "/e/"+e.Ref+"/code")
	b.Post(t, "/e/"+e.Ref+"/verify", "code", h.Code(t))
	has(t, b.Get(t, "/e/"+e.Ref+"?lang=fr"), 200, "Créer un compte", `href="/enrol?next=%2fe%2f`+e.Ref+`"`)
	if a := b.Get(t, "/e/"+e.Ref+"/message"); a.Status != 303 || a.Header.Get("Location") != "/e/"+e.Ref {
		t.Errorf("the message's page: %d %s", a.Status, a.Header.Get("Location"))
	}
	if a := release(t, b, e); a.Status != 403 || !strings.Contains(a.Body, `"step":"/e/`+e.Ref+`"`) {
		t.Errorf("release: %d %s", a.Status, a.Body)
	}

	other := h.Browser(t)
	other.SignIn(t, webtest.User)
	prove(t, other, e)
	other.Post(t, "/e/"+e.Ref+"/code")
	other.Post(t, "/e/"+e.Ref+"/verify", "code", h.Code(t))
	has(t, other.Get(t, "/e/"+e.Ref+"?lang=en"), 200, "You are signed in as "+webtest.User, `href="/profile/addresses"`)

	mine := h.Send(t, webtest.Mail{To: webtest.User, Subject: "s", Raw: raw, Level: policy.High})
	own := h.Browser(t)
	own.SignIn(t, webtest.User)
	prove(t, own, mine)
	own.Post(t, "/e/"+mine.Ref+"/code") // an administrator made this user
	own.Post(t, "/e/"+mine.Ref+"/verify", "code", h.Code(t))
	has(t, own.Get(t, "/e/"+mine.Ref+"?lang=en"), 200, "your account has none yet", `href="/profile/security"`)
}
