package portal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/api"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/portal"
	"github.com/pli-mail/pli/internal/web"
	"github.com/pli-mail/pli/internal/web/webtest"
)

const (
	jean = "jean@example.net"
	raw  = "From: claire.roux@example.org\nTo: jean@example.net\nSubject: Your results\nMIME-Version: 1.0\nContent-Type: text/plain\n\nAll is well.\n"
	note = "Hello Jean, the results that we spoke about."
)

func house(t testing.TB) *webtest.House {
	t.Helper()
	h := webtest.New(t)
	err := portal.Register(portal.Config{Kit: h.Kit, Keys: h.Keys, Spool: t.TempDir(), From: []string{"envelopes@example.org"}, Contact: "help@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Register(api.Config{Kit: h.Kit, Accounts: h.Accounts, Keys: h.Keys}); err != nil {
		t.Fatal(err)
	}
	return h
}

func send(t testing.TB, h *webtest.House) webtest.Envelope {
	t.Helper()
	return h.Send(t, webtest.Mail{To: jean, Subject: "Your results", Note: note, Raw: raw, Expires: time.Now().AddDate(0, 1, 0)})
}

// prove answers the challenge, as the script of /open does.
func prove(t testing.TB, b *webtest.Browser, e webtest.Envelope) webtest.Answer {
	t.Helper()
	a := b.Do(t, "POST", "/api/v1/open/challenge", map[string]string{"slot": e.Slot.ID.String()})
	var c struct{ Slot, Nonce string }
	a.JSON(t, &c)
	nonce, err := base64.RawURLEncoding.DecodeString(c.Nonce)
	if err != nil || c.Slot != e.Slot.ID.String() {
		t.Fatalf("challenge: %s", a.Body)
	}
	proof := envelope.Possession(e.Slot.Pop, nonce)
	return b.Do(t, "POST", "/api/v1/open/possession", map[string]string{"slot": c.Slot, "proof": base64.RawURLEncoding.EncodeToString(proof[:])})
}

func release(t testing.TB, b *webtest.Browser, e webtest.Envelope) webtest.Answer {
	t.Helper()
	return b.Do(t, "POST", "/api/v1/open/release", map[string]string{"slot": e.Slot.ID.String()})
}

// opened walks the pages up to the message, without script but for the proof.
func opened(t testing.TB, h *webtest.House, b *webtest.Browser, e webtest.Envelope) {
	t.Helper()
	if a := prove(t, b, e); a.Status != 200 || !strings.Contains(a.Body, `"next":"/e/`+e.Ref+`"`) {
		t.Fatalf("possession: %d %s", a.Status, a.Body)
	}
	if a := b.Post(t, "/e/"+e.Ref+"/code"); a.Status != 303 || a.Header.Get("Location") != "/e/"+e.Ref+"/code" {
		t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	code := h.Code(t)
	if a := b.Post(t, "/e/"+e.Ref+"/verify", "code", code[:3]+" "+code[3:]); a.Status != 303 || a.Header.Get("Location") != "/e/"+e.Ref+"/message" {
		t.Fatalf("verify: %d %s", a.Status, a.Body)
	}
}

func has(t testing.TB, a webtest.Answer, status int, texts ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("status %d, want %d", a.Status, status)
	}
	for _, s := range texts {
		if !strings.Contains(a.Body, s) {
			t.Errorf("no %q in %s", s, a.Body)
		}
	}
}

// From possession to the key, and what the browser gets opens the envelope.
func TestOpen(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b := h.Browser(t)
	if a := prove(t, b, e); a.Status != 200 {
		t.Fatal(a.Body)
	}
	has(t, b.Get(t, "/e/"+e.Ref+"?lang=en"), 200, "You have an envelope", "Claire Roux, Example Health", "Verified: example.org", note, "j•••@example.net",
		e.Ref[:3]+"-"+e.Ref[3:], "Send me a code by e-mail", `action="/e/`+e.Ref+`/code"`)
	has(t, b.Get(t, "/e/"+e.Ref+"?lang=fr"), 200, "Une enveloppe vous attend", "Vérifié", "Recevoir un code par e-mail")
	before := b.Cookie("pli")
	opened(t, h, b, e)
	// AT-43: proving the address begins another session.
	if before == "" || b.Cookie("pli") == before {
		t.Error("the session is the same as before the code")
	}
	page := b.Get(t, "/e/"+e.Ref+"/message?lang=en")
	has(t, page, 200, `data-slot="`+e.Slot.ID.String()+`"`, `data-release="/api/v1/open/release"`, "Opened just now. Claire Roux can see that you opened it.")
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src 'self' data: blob:") ||
		!regexp.MustCompile(`style-src 'self' 'sha256-[A-Za-z0-9+/=]+';`).MatchString(csp) || !strings.Contains(csp, "trusted-types app dompurify pli-message pli-thread") {
		t.Errorf("policy: %s", csp)
	}
	if page.Header.Get("Cache-Control") != "no-store" {
		t.Error("the message page may be kept")
	}

	file := b.Get(t, "/api/v1/open/envelope/"+e.Slot.ID.String())
	if file.Status != 200 || file.Body != string(e.File) || file.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("ciphertext: %d, %d bytes", file.Status, len(file.Body))
	}
	var r struct{ S, HH, PH string }
	release(t, b, e).JSON(t, &r)
	if got := plain(t, e, r.S); got != strings.ReplaceAll(raw, "\n", "\r\n") {
		t.Errorf("opened %q", got)
	}
}

func plain(t testing.TB, e webtest.Envelope, s string) string {
	t.Helper()
	half, err := envelope.ParseSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	env, err := envelope.Parse(bytes.NewReader(e.File), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c, err := env.Open(half, e.Slot.E, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// AT-28: a user whom an administrator made is offered the code as any visitor
// is, though they are signed in with the envelope's address.
func TestManagedUserIsOfferedTheCode(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := h.Send(t, webtest.Mail{To: webtest.Admin, Subject: "Your results", Note: note, Raw: raw, Expires: time.Now().AddDate(0, 1, 0)})
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	prove(t, b, e)
	card := b.Get(t, "/e/"+e.Ref+"?lang=en")
	has(t, card, 200, "Send me a code by e-mail", `action="/e/`+e.Ref+`/code"`)
	if strings.Contains(card.Body, "/signin?next=") {
		t.Error("the password is offered, which would not do")
	}
	if a := release(t, b, e); a.Status != 403 || strings.Contains(a.Body, `"s"`) {
		t.Fatalf("released without a code: %d %s", a.Status, a.Body)
	}
	opened(t, h, b, e)
	has(t, release(t, b, e), 200, `"s"`)
}

// Who only has the reference learns nothing of the envelope, not even whether
// there is one, and may ask for a code by naming the address.
func TestReferenceAlone(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b := h.Browser(t)
	if a := b.Post(t, "/", "ref", strings.ToLower(e.Ref[:3])+"-"+e.Ref[3:]); a.Header.Get("Location") != "/e/"+e.Ref {
		t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
	}
	has(t, b.Post(t, "/", "ref", "O0I1"), 422, "No envelope has this reference.", `aria-invalid="true"`, `value="O0I1"`, "<title>Error:")
	blur := func(a webtest.Answer, ref string) string {
		return strings.NewReplacer(ref, "REF", ref[:3]+"-"+ref[3:], "REF").Replace(a.Body)
	}
	real, none := b.Get(t, "/e/"+e.Ref), b.Get(t, "/e/ZZZZZZ")
	if real.Status != 200 || blur(real, e.Ref) != blur(none, "ZZZZZZ") {
		t.Error("a reference that exists looks different")
	}
	for _, private := range []string{"Claire", "Example Health", note, jean, "j•••"} {
		if strings.Contains(real.Body, private) {
			t.Errorf("shows %q", private)
		}
	}
	has(t, b.Post(t, "/e/"+e.Ref+"/code", "email", "no address"), 422, "name@example.org", "no address")
	// The same answer whether the address is right; the mail goes to the right one only.
	if a := b.Post(t, "/e/"+e.Ref+"/code", "email", "stranger@example.net"); a.Status != 303 || h.Codes() != 0 {
		t.Errorf("%d, %d codes", a.Status, h.Codes())
	}
	wrong := b.Get(t, "/e/"+e.Ref+"/code")
	c := h.Browser(t)
	if a := c.Post(t, "/e/"+e.Ref+"/code", "email", jean); a.Status != 303 || h.Codes() != 1 {
		t.Errorf("%d, %d codes", a.Status, h.Codes())
	}
	if right := c.Get(t, "/e/"+e.Ref+"/code"); right.Body != wrong.Body {
		t.Error("the right address looks different")
	}
	// With the address proved, and no envelope: asked for the file, and no key.
	if a := c.Post(t, "/e/"+e.Ref+"/verify", "code", h.Code(t)); a.Status != 303 {
		t.Fatal(a.Body)
	}
	has(t, c.Get(t, "/e/"+e.Ref+"/message"), 200, `data-release=""`, "choose that file here")
	if a := release(t, c, e); a.Status != 403 || strings.Contains(a.Body, `"s"`) {
		t.Errorf("released without possession: %d %s", a.Status, a.Body)
	}
	has(t, b.Get(t, "/e/nonsense"), 404, "No envelope has this reference.")
}

// AT-44: a wrong code costs a try; another browser's is no code at all.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b, other := h.Browser(t), h.Browser(t)
	prove(t, b, e)
	prove(t, other, e)
	b.Post(t, "/e/"+e.Ref+"/code")
	code := h.Code(t)
	wrong := fmt.Sprintf("%06d", (atoi(code)+1)%1000000)
	has(t, b.Post(t, "/e/"+e.Ref+"/verify?lang=en", "code", wrong), 422, "That code is not right. You have 4 tries left.", `href="#f-code"`, `aria-invalid="true"`,
		`href="/e/`+e.Ref+`/code?lang=fr"`)
	if a := other.Post(t, "/e/"+e.Ref+"/verify", "code", code); a.Status != 422 {
		t.Errorf("another browser used the code: %d", a.Status)
	}
	for range 4 {
		b.Post(t, "/e/"+e.Ref+"/verify", "code", wrong)
	}
	if a := b.Post(t, "/e/"+e.Ref+"/verify", "code", code); a.Status == 303 {
		t.Error("the code worked after five wrong ones")
	}
}

// AT-43: a code that was sent twice does not take away what it proved.
func TestCodeSentTwice(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b, twice := h.Browser(t), h.Browser(t)
	prove(t, b, e)
	twice.Header.Set("Cookie", "pli="+b.Cookie("pli"))
	opened(t, h, b, e)
	if a := twice.Post(t, "/e/"+e.Ref+"/verify", "code", h.Code(t)); a.Status != 303 || a.Header.Get("Location") != "/e/"+e.Ref || twice.Cookie("pli") != "" {
		t.Errorf("%d to %s, cookie %q", a.Status, a.Header.Get("Location"), twice.Cookie("pli"))
	}
	has(t, b.Get(t, "/e/"+e.Ref), 200, `href="/e/`+e.Ref+`/message"`)
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// AT-30: locked and expired say so, and no answer has the key.
func TestClosed(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b := h.Browser(t)
	opened(t, h, b, e)
	claire := h.Browser(t).SignIn(t, webtest.User)
	actor := keyserver.Actor{UserID: claire.UserID, Name: "user:" + webtest.User, Origin: "192.0.2.1"}
	if _, err := h.Keys.Act(t.Context(), actor, keyserver.Act{Kind: keyserver.ActLock}, h.MessageOf(t, e), ""); err != nil {
		t.Fatal(err)
	}
	a := b.Get(t, "/e/"+e.Ref+"?lang=en")
	has(t, a, 200, "The sender has locked this envelope.", "Contact Claire Roux.")
	if strings.Contains(a.Body, "/code") || strings.Contains(a.Body, "/message\"") {
		t.Error("a locked envelope has a button")
	}
	if a := b.Get(t, "/e/"+e.Ref+"/message"); a.Status != 303 {
		t.Errorf("message page of a locked envelope: %d", a.Status)
	}
	has(t, release(t, b, e), 403, `"key":"open.locked"`, "Contact Claire Roux.")
	if _, err := h.Keys.Act(t.Context(), actor, keyserver.Act{Kind: keyserver.ActUnlock}, h.MessageOf(t, e), ""); err != nil {
		t.Fatal(err)
	}
	if a := release(t, b, e); a.Status != 200 {
		t.Errorf("after unlocking: %d", a.Status)
	}
	now := h.DB.Now
	h.DB.Now = func() time.Time { return now().AddDate(0, 2, 0) }
	f := h.Send(t, webtest.Mail{To: jean, Raw: raw, Expires: time.Now().AddDate(0, 2, 1)})
	c := h.Browser(t)
	prove(t, c, e)
	has(t, c.Get(t, "/e/"+e.Ref+"?lang=fr"), 200, "Cette enveloppe était disponible jusqu'au")
	opened(t, h, c, f)
	has(t, release(t, c, e), 403, `"key":"open.expired"`)
}

// Somebody with another address is told which one the envelope is for, masked.
func TestOtherAddress(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	prove(t, b, e)
	has(t, b.Get(t, "/e/"+e.Ref+"?lang=en"), 200, "You are here as ana@example.org, but this envelope was sent to j•••@example.net.", "Send me a code by e-mail")
	// AT-28: an administrator of the very account gets no key.
	if a := release(t, b, e); a.Status != 403 || strings.Contains(a.Body, `"s"`) {
		t.Errorf("released to an administrator: %d %s", a.Status, a.Body)
	}
	// AT-28, I3: and so does a temporary password, after the proof or not.
	p := h.Browser(t)
	p.SignIn(t, "paul@example.org")
	if a := release(t, p, e); a.Status != 403 {
		t.Errorf("released to a temporary password: %d", a.Status)
	}
}

// AT-15, AT-16, AT-19: the entry pages have no Cross-Origin-Opener-Policy and
// nothing private, /open has one; none may be framed.
func TestEntryPages(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b := h.Browser(t)
	for path, coop := range map[string]string{
		"/r": "", "/l": "", "/m/" + e.Ref: "", "/s/0123": "", "/up": "same-origin-allow-popups", "/open": "same-origin-allow-popups", "/open?id=00": "same-origin-allow-popups",
		"/e/" + e.Ref: "same-origin-allow-popups",
	} {
		a := b.Get(t, path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"lang=en")
		if got := a.Header.Get("Cross-Origin-Opener-Policy"); got != coop || a.Status != 200 {
			t.Errorf("%s: %d, %q", path, a.Status, got)
		}
		if !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || a.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s may be framed", path)
		}
		if path != "/e/"+e.Ref && !strings.Contains(a.Body, "which needs JavaScript") { // AT-26
			t.Errorf("%s explains nothing without script", path)
		}
		// AT-24: the fragment goes first; the script that does it waits for nothing.
		if head, _, _ := strings.Cut(a.Body, "</head>"); strings.HasPrefix(path, "/m") &&
			(!strings.Contains(head, `<script src="/static/fragment.js`) || strings.Index(head, "fragment.js") > strings.Index(head, "entry.js")) {
			t.Errorf("%s does not remove the fragment first", path)
		}
		for _, private := range []string{"Claire", jean, note} {
			if strings.Contains(a.Body, private) {
				t.Errorf("%s shows %s", path, private)
			}
		}
	}
}

func form(t testing.TB, field, file string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	p, err := w.CreateFormFile(field, "envelope.txt")
	if err != nil {
		t.Fatal(err)
	}
	p.Write([]byte(file))
	w.Close()
	return b.String(), w.FormDataContentType()
}

// AT-22, AT-23, AT-55: the form of a file without script stages the ciphertext
// for the browser that posted it, once; and reads no session.
func TestStage(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	b, other := h.Browser(t), h.Browser(t)
	armor := e.Armor(t)
	post := func(file string) webtest.Answer {
		body, kind := form(t, "envelope", file)
		return b.Do(t, "POST", "/u", body, "Content-Type", kind, "Origin", "null", "Sec-Fetch-Site", "cross-site")
	}
	a := post(armor)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/s/") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if c := strings.Join(a.Header["Set-Cookie"], "\n"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") || strings.Contains(c, "pli=") {
		t.Errorf("cookies: %s", c)
	}
	if a := b.Get(t, to); a.Status != 200 || !strings.Contains(a.Body, `data-stage="`+to+`/data"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := other.Post(t, to+"/data"); a.Status != 404 {
		t.Errorf("another browser: %d", a.Status)
	}
	if a := b.Do(t, "POST", to+"/data", nil, "Sec-Fetch-Site", "cross-site"); a.Status != 403 {
		t.Errorf("another site: %d", a.Status)
	}
	if a := b.Post(t, to+"/data"); a.Status != 200 || a.Body != string(e.File) {
		t.Errorf("%d, %d bytes of %d", a.Status, len(a.Body), len(e.File))
	}
	if a := b.Post(t, to+"/data"); a.Status != 404 {
		t.Errorf("a second time: %d", a.Status)
	}
	if strings.Contains(h.Logged(), e.Slot.E.Base64()) {
		t.Error("the log has E")
	}
	for name, file := range map[string]string{"text": "hello", "two": armor + armor, "cut": armor[:len(armor)/2], "empty": ""} {
		if a := post(file); a.Status != 422 || a.Header.Get("Cross-Origin-Opener-Policy") != "" {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	body, kind := form(t, "other", armor)
	if a := b.Do(t, "POST", "/u", body, "Content-Type", kind); a.Status != 422 {
		t.Errorf("other field: %d", a.Status)
	}
	if a := b.Do(t, "POST", "/u", "x", "Content-Type", "text/plain"); a.Status != 422 {
		t.Errorf("no form: %d", a.Status)
	}
}

// What was forwarded to the open address is for whoever has the link, as often
// as they like, and only a post gives it.
func TestForwarded(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	if _, told, err := h.Keys.Forward(t.Context(), "192.0.2.7", bytes.NewReader(e.File), envelope.KeyPart{E: e.Slot.E}, 1<<20); err != nil || !told {
		t.Fatal(told, err)
	}
	to := "/s/" + h.Code(t)
	for range 2 {
		b := h.Browser(t)
		if a := b.Get(t, to); a.Status != 200 || !strings.Contains(a.Body, `data-stage="`+to+`/data"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if a := b.Post(t, to+"/data"); a.Status != 200 || a.Body != string(e.File) {
			t.Errorf("%d, %d bytes of %d", a.Status, len(a.Body), len(e.File))
		}
	}
	if a := h.Browser(t).Post(t, to+"x/data"); a.Status != 404 {
		t.Errorf("another id: %d", a.Status)
	}
	if a := release(t, h.Browser(t), e); a.Status < 400 {
		t.Errorf("released to who only has the link: %d", a.Status)
	}
}

// Unknown envelopes are challenged like known ones, and the proof fails alike.
func TestUnknownEnvelope(t *testing.T) {
	t.Parallel()
	h := house(t)
	e := send(t, h)
	stranger := e
	rand.Read(stranger.Slot.ID[:])
	wrong := e
	wrong.Slot.Pop[0] ^= 1
	a, b := prove(t, h.Browser(t), stranger), prove(t, h.Browser(t), wrong)
	if a.Status != b.Status || a.Body != b.Body || a.Status < 400 {
		t.Errorf("unknown: %d %s; wrong: %d %s", a.Status, a.Body, b.Status, b.Body)
	}
}

func TestHelpPages(t *testing.T) {
	t.Parallel()
	b := house(t).Browser(t)
	if a := b.Get(t, "/help/check?lang=en"); strings.Contains(a.Body, "Forward the mail") {
		t.Error("it names an open address that there is not")
	}
	h := webtest.New(t)
	if err := portal.Register(portal.Config{Kit: h.Kit, Keys: h.Keys, Spool: t.TempDir(), From: []string{"envelopes@example.org"}, Open: "open@example.org"}); err != nil {
		t.Fatal(err)
	}
	for lang, want := range map[string]string{"en": "Forward the mail with its file to open@example.org", "fr": "avec son fichier à open@example.org"} {
		has(t, h.Browser(t).Get(t, "/help/check?lang="+lang), 200, want)
	}
	has(t, b.Get(t, "/help/check?lang=en"), 200, "How to check a message", "envelopes@example.org", "or from its sender's own address", "not a qualified registered delivery service")
	has(t, b.Get(t, "/help/check?lang=fr"), 200, "Comment vérifier un message", "recommandé électronique qualifié")
	has(t, b.Get(t, "/help/accessibility?lang=fr"), 200, "partiellement conforme", "help@example.org")
}

// Every address of a recipient's way is for everybody, and says so.
func TestAccessDeclared(t *testing.T) {
	t.Parallel()
	want := map[string]web.Access{}
	for _, p := range []string{"GET /r", "GET /l", "GET /m/{ref}", "POST /u", "GET /s/{id}", "POST /s/{id}/data"} {
		want[p] = web.Entry
	}
	for _, rt := range house(t).Kit.Routes() {
		if a, entry := want[rt.Pattern]; entry != (rt.Access == web.Entry) || entry && a != rt.Access {
			t.Errorf("%s is %s", rt.Pattern, rt.Access)
		}
		if rt.Cross && rt.Pattern != "POST /u" {
			t.Errorf("%s may be posted to by other sites", rt.Pattern)
		}
	}
}
