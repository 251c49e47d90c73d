package portal_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

const withFiles = "From: \"C. Roux\" <claire@elsewhere.example>\nTo: jean@example.net\nCc: Rosa <rosa@example.com>\nSubject: Results <1>\nMIME-Version: 1.0\n" +
	"Content-Type: multipart/mixed; boundary=b\n\n" +
	"--b\nContent-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n" +
	"<style>p{}</style><p>All is <b>well</b>, caf=E9.</p><script>alert(1)</script><p>See <a href=3D\"https://evil.example/x\">our site</a> &lt;now&gt;</p>\n" +
	"--b\nContent-Type: text/html\nContent-Disposition: attachment; filename=\"r\xc3\xa9sum\xc3\xa9.html\"\nContent-Transfer-Encoding: base64\n\nPGI+aGk8L2I+\n--b--\n"

// addressed has the browser prove Jean's address by the reference alone, as a
// browser without script comes from the mail's link.
func addressed(t *testing.T, h *webtest.House, b *webtest.Browser, e webtest.Envelope) {
	t.Helper()
	if a := b.Post(t, "/e/"+e.Ref+"/code", "email", jean); a.Status != 303 {
		t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	if a := b.Post(t, "/e/"+e.Ref+"/verify", "code", h.Code(t)); a.Status != 303 {
		t.Fatalf("verify: %d %s", a.Status, a.Body)
	}
}

func handOver(t *testing.T, b *webtest.Browser, e webtest.Envelope, link, file string) webtest.Answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	name := "securedoc.html"
	if file == "" { // as a browser posts a field where no file was chosen
		name = ""
	}
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(part, file)
	w.WriteField("link", link)
	w.Close()
	return b.Do(t, "POST", "/e/"+e.Ref+"/online?lang=en", body.String(), "Content-Type", w.FormDataContentType())
}

func (b linkOf) String() string { return b.h.Origin + "/m/" + b.e.Ref + "#" + b.e.Slot.E.Base64() }

type linkOf struct {
	h *webtest.House
	e webtest.Envelope
}

// actions are the acts on record for an envelope's message, oldest first, with
// their reason where they were refused.
func actions(t *testing.T, h *webtest.House, e webtest.Envelope) (out []string) {
	t.Helper()
	err := h.DB.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.ListAuditOf(webtest.Account, h.MessageOf(t, e), 100)
		for _, r := range rows {
			out = append(out, strings.TrimSpace(r.Action+" "+r.Detail["reason"]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(out)
	return out
}

// A reader without script: the address is proved, the link or the file handed
// over, the server shows the text and gives the files, and says so to everybody.
func TestOpenOnline(t *testing.T) {
	t.Parallel()
	h := house(t)
	for _, kept := range []bool{true, false} {
		e := h.Send(t, webtest.Mail{To: jean, Subject: "Results", Raw: withFiles, Online: true, NotKept: !kept})
		b := h.Browser(t)
		addressed(t, h, b, e)
		page := b.Get(t, "/e/"+e.Ref+"/message?lang=en")
		has(t, page, 200, `action="/e/`+e.Ref+`/online"`, "Let the server open it")
		has(t, b.Get(t, "/e/"+e.Ref+"?lang=en"), 200, `action="/e/`+e.Ref+`/online"`)

		has(t, handOver(t, b, e, "", ""), 422, "Choose the file, or paste the link.")
		has(t, handOver(t, b, e, h.Origin+"/m/"+e.Ref, ""), 422, "This is not the whole link")
		has(t, handOver(t, b, e, "", "not an envelope"), 422, "This file is not an envelope")

		var a webtest.Answer
		if kept {
			a = handOver(t, b, e, linkOf{h, e}.String(), "")
		} else {
			has(t, handOver(t, b, e, linkOf{h, e}.String(), ""), 422, "choose the file attached")
			a = handOver(t, b, e, "", e.Armor(t))
		}
		has(t, a, 200, "The server opened this message at your request", "Results &lt;1&gt;", "All is well, café.\n", "our site &lt;https://evil.example/x&gt; &lt;now&gt;",
			"C. Roux &lt;claire@elsewhere.example&gt;", "Rosa &lt;rosa@example.com&gt;", "résumé.html", "This file type can harm your computer", "9\u00a0B")
		if strings.Contains(a.Body, "alert(1)") || strings.Contains(a.Body, e.Slot.E.Base64()) || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("it shows too much, or may be kept: %s", a.Body)
		}
		action := regexp.MustCompile(`action="(/e/\w+/online/\d+)"`).FindStringSubmatch(a.Body)[1]
		for range 2 {
			f := b.Post(t, action)
			if f.Status != 200 || f.Body != "<b>hi</b>" || f.Header.Get("Content-Type") != "application/octet-stream" ||
				f.Header.Get("Content-Disposition") != "attachment; filename*=utf-8''r%C3%A9sum%C3%A9.html" {
				t.Errorf("file: %d %q %v", f.Status, f.Body, f.Header)
			}
		}
		if f := b.Post(t, "/e/"+e.Ref+"/online/7"); f.Status != 404 {
			t.Errorf("no such part: %d", f.Status)
		}
		got := actions(t, h, e)
		if n := strings.Count(strings.Join(got, "\n"), "envelope.released_assisted"); n < 4 {
			t.Errorf("on record: %v", got)
		}
		if rows := fmt.Sprint(h.Tables(t)); strings.Contains(rows, e.Slot.E.Base64()) || strings.Contains(rows, "our site") {
			t.Error("the database has what was handed over, or what it opened")
		}
		// Another session has nothing of it, with the cookie or without.
		other := h.Browser(t)
		other.Header.Set("Cookie", "online="+b.Cookie("online"))
		if f := other.Post(t, action); f.Status != 410 && f.Status != 404 {
			t.Errorf("a stranger with the cookie: %d", f.Status)
		}
		// A lock reaches what the server had opened.
		claire := claireOf(t, h)
		if _, err := h.Keys.Act(t.Context(), claire, keyserver.Act{Kind: keyserver.ActLock}, h.MessageOf(t, e), ""); err != nil {
			t.Fatal(err)
		}
		if f := b.Post(t, action); f.Status == 200 {
			t.Error("a locked envelope's file was given")
		}
	}
}

func claireOf(t *testing.T, h *webtest.House) keyserver.Actor {
	t.Helper()
	u, err := h.Accounts.UserByAddress(t.Context(), account.Operator("test"), webtest.Account, webtest.User)
	if err != nil {
		t.Fatal(err)
	}
	return keyserver.Actor{UserID: u.ID, Name: "user:" + webtest.User, Origin: "test"}
}

// AT-26: the server opens nothing that its header or its account forbids, nor
// for who has not proved the address; refusals are on record, and nothing that
// was handed over is in log or files.
func TestOnlineRefused(t *testing.T) {
	t.Parallel()
	h := house(t)
	online := webtest.Mail{To: jean, Subject: "Results", Raw: withFiles, Online: true}
	never := online
	never.Online = false

	e := h.Send(t, never)
	b := h.Browser(t)
	addressed(t, h, b, e)
	if a := b.Get(t, "/e/"+e.Ref+"/message?lang=en"); strings.Contains(a.Body, "/online") {
		t.Error("it is offered for what forbids it")
	}
	has(t, handOver(t, b, e, linkOf{h, e}.String(), ""), 403, "does not allow the server to open")
	if got := actions(t, h, e); !slices.Contains(got, "envelope.release_denied online") {
		t.Errorf("on record: %v", got)
	}

	// The account decides at the act: an envelope that is out obeys.
	e = h.Send(t, online)
	b = h.Browser(t)
	addressed(t, h, b, e)
	has(t, handOver(t, b, e, linkOf{h, e}.String(), ""), 200)
	if _, err := h.Accounts.SetSettings(t.Context(), account.Operator("test"), account.SettingsOf(webtest.Account), []account.Setting{{Name: "online", Value: "false"}}); err != nil {
		t.Fatal(err)
	}
	has(t, handOver(t, b, e, linkOf{h, e}.String(), ""), 403, "does not allow")
	if _, err := h.Accounts.SetSettings(t.Context(), account.Operator("test"), account.SettingsOf(webtest.Account), []account.Setting{{Name: "online", Value: "true"}}); err != nil {
		t.Fatal(err)
	}

	// The mail alone is not enough, nor is another's half.
	holder := h.Browser(t)
	prove(t, holder, e)
	if a := handOver(t, holder, e, linkOf{h, e}.String(), ""); a.Status != 403 {
		t.Errorf("without the address: %d", a.Status)
	}
	stranger := h.Browser(t)
	stranger.Post(t, "/e/"+e.Ref+"/code", "email", "nobody@example.net")
	if a := handOver(t, stranger, e, h.Origin+"/m/"+e.Ref+"#"+strings.Repeat("A", 42)+"E", ""); a.Status != 404 {
		t.Errorf("a stranger: %d", a.Status)
	}
	other := h.Send(t, online)
	if a := handOver(t, b, e, linkOf{h, other}.String(), ""); a.Status != 403 {
		t.Errorf("another envelope's half: %d", a.Status)
	}
	if a := b.Get(t, "/e/"+e.Ref+"/online"); a.Status != 405 {
		t.Errorf("GET: %d", a.Status)
	}
}

// The page that the server makes warns of the files that the script warns of.
func TestSameWarnings(t *testing.T) {
	t.Parallel()
	words := func(file, from string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), from)
		list, _, _ := strings.Cut(after, "split(")
		list, _, _ = strings.Cut(list, "`)")
		return regexp.MustCompile(`[a-z0-9-]+`).FindAllString(list, -1)
	}
	script, server := words("../web/static/files.js", "DANGEROUS = new Set("), words("online.go", "strings.Fields(`")
	if !slices.Equal(script, server) || len(server) < 70 {
		t.Errorf("the script has %v, the server %v", script, server)
	}
}

// A message that is not to be passed on says so, and offers no copy of itself.
func TestNotToBePassedOn(t *testing.T) {
	t.Parallel()
	h := house(t)
	yes, no := true, false
	for _, c := range []struct {
		forward *bool
		asked   bool
	}{{nil, false}, {&yes, false}, {&no, true}} {
		e := h.Send(t, webtest.Mail{To: jean, Raw: raw, Forward: c.forward})
		b := h.Browser(t)
		opened(t, h, b, e)
		page := b.Get(t, "/e/"+e.Ref+"/message?lang=en").Body
		if says, copies := strings.Contains(page, "The sender asked you not to forward this."), strings.Contains(page, "data-eml"); says != c.asked || copies == c.asked {
			t.Errorf("forward %v: it says so: %v, offers a copy: %v", c.forward, says, copies)
		}
	}
}
