package desk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/desk"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/intake"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// house is a service with the sender's pages; its outbox waits for ever.
type house struct {
	*webtest.House
	box *outbox.Outbox
}

func newHouse(t *testing.T, set ...func(*desk.Config)) house {
	t.Helper()
	h := webtest.New(t)
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	words, err := notice.New(cat, h.Origin)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	box := outbox.New(outbox.Config{DB: h.DB, Root: h.Root, Blobs: h.Blobs, Log: log})
	post := &sealing.Postman{Outbox: box, Words: words, From: message.Mailbox{Addr: mailaddr.MustParse("envelopes@example.org")}}
	s := sealing.New(sealing.Config{DB: h.DB, Keys: h.Keys, Blobs: h.Blobs, Outbox: box, Words: words, Post: post, Spool: t.TempDir(), Origin: h.Origin, Log: log, MaxFiles: 1 << 20})
	c := desk.Config{Kit: h.Kit, Accounts: h.Accounts, Keys: h.Keys, Sealing: s, Now: time.Now}
	for _, f := range set {
		f(&c)
	}
	if err := desk.Register(c); err != nil {
		t.Fatal(err)
	}
	if err := desk.RegisterIntakes(h.Kit, intake.New(intake.Config{DB: h.DB, Root: h.Root, Sealing: s, Post: post}), time.Now); err != nil {
		t.Fatal(err)
	}
	return house{h, box}
}

func (h house) waiting(t *testing.T) int {
	t.Helper()
	c, err := h.box.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(c.Waiting)
}

// form posts the page's form: fields in the page's order, files last.
func form(t *testing.T, b *webtest.Browser, fields [][2]string, files map[string][]byte, header ...string) webtest.Answer {
	t.Helper()
	return formTo(t, b, "/compose", fields, files, header...)
}

func formTo(t *testing.T, b *webtest.Browser, path string, fields [][2]string, files map[string][]byte, header ...string) webtest.Answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 { // an empty file input, as browsers send it
		if _, err := w.CreateFormFile("files", ""); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		p, err := w.CreateFormFile("files", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Do(t, "POST", path, body.String(), append(header, "Content-Type", w.FormDataContentType())...)
}

// What the passphrase's script posts is checked; it is not given back.
func TestPassphraseFields(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	good, salt := strings.Repeat("A", 43), strings.Repeat("A", 22)
	for name, c := range map[string]struct {
		key, salt, hint string
		want            int
	}{
		"right": {good, salt, "hint", 303}, "none": {"", "", "left over", 303}, "short key": {good[1:], salt, "", 422},
		"no salt": {good, "", "", 422}, "long salt": {good, salt + "AA", "", 422}, "long hint": {good, salt, strings.Repeat("h", 121), 422},
	} {
		a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"body", "Text"}, {"pp_key", c.key}, {"pp_salt", c.salt}, {"pp_hint", c.hint}}, nil)
		if a.Status != c.want {
			t.Errorf("%s: %d, want %d", name, a.Status, c.want)
		}
		if c.key != "" && strings.Contains(a.Body, c.key) {
			t.Errorf("%s: the key comes back", name)
		}
	}
}

// What no browser sends is refused as a form that cannot be read, or taken for
// a file of no known type; it is not a failure of the service.
func TestOddParts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	const fields = "--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\njean@example.net\r\n--x\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\nText\r\n"
	const disposition = "Content-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n"
	part := func(header string) string { return "--x\r\n" + header + "\r\ncontent\r\n" }
	long := "application/" + strings.Repeat("x", 1200)
	for name, c := range map[string]struct {
		form string
		want int
	}{
		"a long type":                      {fields + part(disposition+"Content-Type: "+long+"\r\n") + "--x--\r\n", 303},
		"a long type with a long name":     {fields + part(disposition+"Content-Type: "+strings.Repeat("y", 60)+"/"+strings.Repeat("x", 60)+"\r\n") + "--x--\r\n", 303},
		"a type that is none":              {fields + part(disposition+"Content-Type: a/b/c é;;\r\n") + "--x--\r\n", 303},
		"a control in a header":            {fields + part(disposition+"Content-Type: text/\x01plain\r\n") + "--x--\r\n", 422},
		"a NUL in a file's name":           {fields + part("Content-Disposition: form-data; name=\"files\"; filename=\"a\x00.txt\"\r\n") + "--x--\r\n", 422},
		"a control in a field's header":    {part("Content-Disposition: form-data; name=\"t\x02o\"\r\n") + fields + "--x--\r\n", 422},
		"a second file's header":           {fields + part(disposition) + part(disposition+"Content-Type: text/\x7f\x01plain\r\n") + "--x--\r\n", 422},
		"no colon in a header":             {fields + part("Content-Disposition\r\n") + "--x--\r\n", 422},
		"a file that breaks off":           {fields + "--x\r\n" + disposition + "\r\nconte", 422},
		"a field that breaks off":          {"--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\njean", 422},
		"an encoding that is not followed": {fields + part(disposition+"Content-Transfer-Encoding: quoted-printable\r\n") + "--x\r\n" + disposition + "Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ\x00\r\n--x--\r\n", 422},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			want := c.want
			if want == 303 && accept == "application/json" {
				want = 200
			}
			a := b.Do(t, "POST", "/compose", c.form, "Content-Type", "multipart/form-data; boundary=x", "Accept", accept)
			if a.Status != want {
				t.Errorf("%s, %s: %d, want %d", name, accept, a.Status, want)
			}
			if want == 422 && !strings.Contains(a.Body, "The form did not arrive whole.") {
				t.Errorf("%s, %s: %.2000s", name, accept, a.Body)
			}
		}
	}
}

func TestSendAndSee(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	a := form(t, b, [][2]string{{"to", "Jean <jean@example.net>; rosa@example.net\njean@EXAMPLE.net"}, {"subject", "Results"}, {"note", "Hello"}, {"body", "Text"}, {"until", ""}}, map[string][]byte{"a.txt": []byte("file")})
	if a.Status != 303 || !strings.HasPrefix(a.Header.Get("Location"), "/sent/") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if n := h.waiting(t); n != 2 {
		t.Errorf("%d letters, want one for each of two people", n)
	}
	page := b.Visit(t, a.Header.Get("Location"))
	for _, want := range []string{"Results", "jean@example.net", "rosa@example.net", "sent to 2 recipients."} {
		if !says(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	page = b.Visit(t, "/sent").Press(t, "Lock – Results")
	if !page.Has(`"Results" is locked. Nobody can open it until you unlock it.`) {
		t.Error("locking is not confirmed")
	}
	if page = b.Visit(t, "/sent?status=locked"); !page.Has("Results") {
		t.Error("the list of locked ones does not have it")
	}
	if page = page.Press(t, "Unlock – Results"); !says(page, "can be opened again") {
		t.Error("unlocking is not confirmed")
	}
}

// Bad input: each wrong field is named, in the reader's language, and what was typed is kept.
func TestRefusedFormKeepsEverything(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	for name, tt := range map[string]struct {
		to, body, until string
		want            []string
	}{
		"nobody":      {"", "Texte", "", []string{"Ajoutez au moins un destinataire."}},
		"two wrong":   {"jean@, @b", "Texte", "", []string{"Vérifiez cette adresse\u00a0: jean@", "Vérifiez cette adresse\u00a0: @b"}},
		"empty":       {"jean@example.net", "  ", "", []string{"Écrivez un message ou ajoutez un fichier."}},
		"past":        {"jean@example.net", "Texte", "2020-01-01", []string{"Choisissez une date à venir"}},
		"no date":     {"jean@example.net", "Texte", "tomorrow", []string{"Choisissez une date à venir"}},
		"all at once": {"jean@", "", "2020-01-01", []string{"Vérifiez cette adresse", "Écrivez un message", "Choisissez une date"}},
	} {
		t.Run(name, func(t *testing.T) {
			fields := [][2]string{{"to", tt.to}, {"subject", "Objet gardé"}, {"note", "Mot gardé"}, {"body", tt.body}, {"until", tt.until}}
			a := form(t, b, fields, nil, "Cookie", "lang=fr; pli="+b.Cookie("pli"))
			if a.Status != 422 || !strings.Contains(a.Body, "Objet gardé") || !strings.Contains(a.Body, "Mot gardé") || !strings.Contains(a.Body, "<title>Erreur") {
				t.Errorf("%d, or something was lost", a.Status)
			}
			s := form(t, b, fields, nil, "Cookie", "lang=fr; pli="+b.Cookie("pli"), "Accept", "application/json")
			var said struct {
				Problems []struct{ Field, Text string }
			}
			if err := json.Unmarshal([]byte(s.Body), &said); err != nil || s.Status != 422 {
				t.Fatalf("%d %v", s.Status, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(a.Body, want) {
					t.Errorf("the page does not say %q", want)
				}
				if !strings.Contains(fmt.Sprint(said.Problems), want) {
					t.Errorf("the script is not told %q: %v", want, said.Problems)
				}
			}
		})
	}
	if n := h.waiting(t); n != 0 {
		t.Errorf("%d letters were sent", n)
	}
}

// The limits are sealing's, and count as the page does: a line's end is one
// character, which a browser sends as two. What is over is named with all else.
func TestLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	note := strings.Repeat("é", 480) + strings.Repeat("\r\n", 19) + "."
	if a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"note", note}, {"body", "Text"}}, nil); a.Status != 303 {
		t.Errorf("a note of 500 characters: %d", a.Status)
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("p%d@example.net", i))
	}
	for name, tt := range map[string]struct {
		fields [][2]string
		want   []string
	}{
		"each over": {
			[][2]string{{"to", strings.Join(many, ",")}, {"subject", strings.Repeat("x", 201)}, {"note", note + strings.Repeat("x", 20)}, {"body", strings.Repeat("x", 1<<20+1)}, {"until", "2020-01-01"}},
			[]string{"100", "200", "500", "1048576", "Choose a date"},
		},
		"what desk and sealing refuse": {
			[][2]string{{"to", "jean@"}, {"subject", "a\x00b"}, {"note", strings.Repeat("x", 501)}, {"body", " "}, {"until", "soon"}},
			[]string{"jean@", "Subject", "500", "Write a message", "Choose a date"},
		},
	} {
		a := form(t, b, tt.fields, nil, "Accept", "application/json", "Cookie", "lang=en; pli="+b.Cookie("pli"))
		var said struct {
			Problems []struct{ Field, Text string }
		}
		a.JSON(t, &said)
		if a.Status != 422 || len(said.Problems) != 5 {
			t.Fatalf("%s: %d %v", name, a.Status, said.Problems)
		}
		for _, want := range tt.want {
			if !strings.Contains(fmt.Sprint(said.Problems), want) {
				t.Errorf("%s: no %q in %v", name, want, said.Problems)
			}
		}
	}
	if a := form(t, b, [][2]string{{"to", strings.Repeat("@,", 1<<19)}, {"body", "Text"}}, nil); a.Status != 422 || strings.Count(a.Body, "Check this address") > 50 {
		t.Errorf("half a million wrong addresses: %d, %d named", a.Status, strings.Count(a.Body, "Check this address"))
	}
	if a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"body", strings.Repeat("x", 8<<20)}}, nil); a.Status != 413 {
		t.Errorf("more than any text: %d", a.Status)
	}
	if n := h.waiting(t); n != 1 {
		t.Errorf("%d letters", n)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	fields := [][2]string{{"to", "jean@example.net"}, {"body", "Text"}}
	a := form(t, b, fields, map[string][]byte{"big.bin": make([]byte, 1<<20+1)})
	if a.Status != 413 || !strings.Contains(a.Body, "big.bin") {
		t.Errorf("%d, and the file is not named", a.Status)
	}
	if a = form(t, b, fields, map[string][]byte{"just.bin": make([]byte, 1<<20)}); a.Status != 303 {
		t.Errorf("a file of exactly the limit: %d", a.Status)
	}
}

// I5, AT-59: somebody else's message is one that does not exist, to its own account's administrator too.
func TestForeignMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner, other := h.Browser(t), h.Browser(t)
	owner.SignIn(t, webtest.User)
	other.SignIn(t, webtest.Admin)
	path := form(t, owner, [][2]string{{"to", "jean@example.net"}, {"subject", "Private"}, {"body", "Text"}}, nil).Header.Get("Location")
	for _, p := range []string{path, "/sent/" + strings.Repeat("0", 32), "/sent/x"} {
		if a := other.Get(t, p); a.Status != 404 || strings.Contains(a.Body, "Private") {
			t.Errorf("GET %s: %d", p, a.Status)
		}
	}
	if a := h.Browser(t).Get(t, path); a.Status != 303 {
		t.Errorf("a stranger: %d", a.Status)
	}
	if a := owner.Get(t, path); a.Status != 200 {
		t.Errorf("the owner: %d", a.Status)
	}
}

// Somebody who belongs to no account opens, and does not send.
func TestNoAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sender, b := h.Browser(t), h.Browser(t)
	sender.SignIn(t, webtest.User)
	form(t, sender, [][2]string{{"to", "jean@example.net"}, {"body", "Text"}}, nil)
	b.Prove(t, "jean@example.net")
	s, err := h.Accounts.Session(t.Context(), tokenOf(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = h.Accounts.Enrol(t.Context(), s, account.Enrolment{FirstName: "Jean", LastName: "Roy", Password: webtest.Password, Confirm: webtest.Password, Language: "en"}); err != nil {
		t.Fatal(err)
	}
	b.Header.Set("Cookie", "pli="+s.Token.Reveal())
	for _, p := range []string{"/compose", "/sent"} {
		if a := b.Get(t, p); a.Status != 403 || !strings.Contains(a.Body, "belong to an organisation") {
			t.Errorf("%s: %d", p, a.Status)
		}
	}
}

func tokenOf(t *testing.T, b *webtest.Browser) id.Token {
	t.Helper()
	k, err := id.ParseToken(b.Cookie("pli"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// says reports whether the text is anywhere on the page.
func says(p webtest.Page, text string) bool {
	return strings.Contains(strings.Join(p.Texts("main"), " "), text)
}
