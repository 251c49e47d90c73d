package desk_test

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/envelope"
	"github.com/pli-mail/pli/internal/keyserver"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

const jean = "jean@example.net"

// holder is a browser that has proved the mail of an envelope, and jean's address.
func (h house) holder(t *testing.T, e webtest.Envelope) *webtest.Browser {
	t.Helper()
	b := h.Browser(t)
	b.Prove(t, jean)
	proof := envelope.Possession(e.Slot.Pop, make([]byte, 32)) // Prove's nonce
	s, err := h.Accounts.Session(t.Context(), tokenOf(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Keys.Prove(t.Context(), keyserver.Visitor{Session: s.Hash}, e.Slot.ID, proof[:]); err != nil {
		t.Fatal(err)
	}
	return b
}

func (h house) set(t *testing.T, s policy.Layer) {
	t.Helper()
	if err := h.DB.Update(t.Context(), func(tx *store.Tx) error { return tx.SetAccountSettings(webtest.Account, s.Encode()) }); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, b *webtest.Browser, path string, fields [][2]string, file string, header ...string) webtest.Answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if file != "" {
		p, err := w.CreateFormFile("files", "a.txt")
		if err != nil {
			t.Fatal(err)
		}
		p.Write([]byte(file))
	}
	w.Close()
	return b.Do(t, "POST", path, body.String(), append(header, "Content-Type", w.FormDataContentType())...)
}

// The pages of an answer: who may not open is sent to the card, which tells a
// stranger nothing; a form that cannot be used comes back with what was typed;
// what is locked meanwhile is not sent.
func TestAnswerPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	e := h.Send(t, webtest.Mail{To: jean, Subject: "Your results", Raw: "From: claire.roux@example.org\nSubject: Your results\n\nText\n", Expires: time.Now().AddDate(0, 1, 0)})
	path := "/e/" + e.Ref
	stranger, b := h.Browser(t), h.holder(t, e)
	text := [][2]string{{"subject", "Re: Your results"}, {"body", "Thank you."}}
	for _, p := range []string{path + "/reply", path + "/reply?to=all", path + "/forward", "/e/ZZZZZZ/reply"} {
		card, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(p, "/forward"), "?to=all"), "/reply")
		if a := stranger.Get(t, p); a.Status != 303 || a.Header.Get("Location") != card {
			t.Errorf("a stranger at %s: %d %s", p, a.Status, a.Header.Get("Location"))
		}
		if a := answer(t, stranger, p, text, ""); a.Status != 401 && a.Status != 404 {
			t.Errorf("a stranger's answer at %s: %d", p, a.Status)
		}
	}
	if a := b.Get(t, "/e/x/reply"); a.Status != 404 {
		t.Errorf("no reference: %d", a.Status)
	}
	for _, p := range []string{"/forward", "/reply?to=all"} { // the account is silent; nobody else is named
		if a := b.Get(t, path+p); a.Status != 403 || !strings.Contains(a.Body, "does not allow this answer") || strings.Contains(a.Body, "<form class=\"card") {
			t.Errorf("%s: %d", p, a.Status)
		}
		if a := answer(t, b, path+p, append(text, [2]string{"to", "dan@example.net"}), ""); a.Status != 403 {
			t.Errorf("%s: %d", p, a.Status)
		}
	}
	page := b.Visit(t, path+"/reply")
	if page.Heading(t) != "Reply to Claire Roux" || page.Value(t, "Subject") != "Re: Your results" || !page.Has("Only Claire Roux can read it.") || !page.Has(jean) {
		t.Errorf("%s", page.Body)
	}
	a := answer(t, b, path+"/reply", [][2]string{{"subject", "Kept\x00"}, {"body", "  "}}, "", "Cookie", "lang=en; pli="+b.Cookie("pli"))
	if a.Status != 422 || !strings.Contains(a.Body, "Write a message") || !strings.Contains(a.Body, "Kept") {
		t.Errorf("%d", a.Status)
	}
	a = answer(t, b, path+"/reply", [][2]string{{"subject", "Re: Your results"}, {"to", "eve@example.net"}, {"cc", "eve@example.net"}, {"body", "Thank you."}}, "file")
	if a.Status != 303 || a.Header.Get("Location") != path || h.waiting(t) != 1 {
		t.Fatalf("%d, %d letters: %s", a.Status, h.waiting(t), a.Body)
	}
	if p := b.Visit(t, path); !says(p, "Your reply has been sent.") {
		t.Error("nothing is said")
	}
	rows, err := h.box.List(t.Context(), "", "", 10)
	if err != nil || len(rows) != 1 || rows[0].Recipient != webtest.User {
		t.Errorf("%+v, %v", rows, err) // and not to eve
	}

	h.set(t, policy.Layer{"forward": "true"})
	if a := answer(t, b, path+"/forward", [][2]string{{"to", "dan@, kim@example.net"}, {"body", "x"}}, ""); a.Status != 422 || !strings.Contains(a.Body, "dan@") {
		t.Errorf("a wrong address: %d", a.Status)
	}
	if a := answer(t, b, path+"/forward", [][2]string{{"to", strings.Repeat("p@example.net,", 3) + many(21)}, {"body", "x"}}, ""); a.Status != 422 || !strings.Contains(a.Body, "at most 20 people") {
		t.Errorf("too many: %d", a.Status)
	}
	if a := answer(t, b, path+"/forward", [][2]string{{"to", "kim@example.net"}, {"body", "See this"}}, "", "Accept", "application/json"); a.Status != 200 || !strings.Contains(a.Body, `"next":"`+path+`"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	claire := h.Browser(t)
	claire.SignIn(t, webtest.User)
	sent := claire.Visit(t, "/sent/"+h.MessageOf(t, e))
	for _, want := range []string{"Answered by " + jean, "Passed on by " + jean + " to kim@example.net", "Not passed on for " + jean + ": the sender or the account does not allow it"} {
		if !says(sent, want) {
			t.Errorf("the sender is not told %q", want)
		}
	}

	before := h.waiting(t)
	claire.Post(t, "/sent/"+h.MessageOf(t, e)+"/lock")
	for accept, want := range map[string]int{"text/html": 403, "application/json": 403} {
		if a := answer(t, b, path+"/reply", text, "", "Accept", accept); a.Status != want || !strings.Contains(a.Body, "locked") || h.waiting(t) != before {
			t.Errorf("locked, %s: %d %s", accept, a.Status, a.Body)
		}
	}
	if a := b.Get(t, path+"/reply"); a.Status != 303 || a.Header.Get("Location") != path {
		t.Errorf("locked: %d", a.Status)
	}
}

func many(n int) string {
	var list []string
	for i := range n {
		list = append(list, "p"+strings.Repeat("x", i)+"@example.net")
	}
	return strings.Join(list, ",")
}
