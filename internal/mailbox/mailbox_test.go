package mailbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailbox"
)

const sample = "From: =?utf-8?q?Cl=C3=A9a_Roux?= <clea@example.org>\r\nTo: jean@example.net\r\n" +
	"Subject: =?utf-8?q?R=C3=A9sultats?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
	"--y\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nD=E9tails: http://localhost:1/m/7KQ42F#abc.\r\n" +
	"--y\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p><a href=\"http://localhost:1/m/7KQ42F#abc\">Read</a> <A HREF='http://localhost:1/help'>help</A><script>alert(1)</script>\r\n--y--\r\n" +
	"--x\r\nContent-Type: text/html; name=\"e.html\"\r\nContent-Disposition: attachment; filename=\"../r\xc3\xa9sum\xc3\xa9.html\"\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n" +
	"--x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--x--\r\n"

// open starts a mailbox in dir with its SMTP server, and returns both addresses.
func open(t *testing.T, dir string) (smtpAddr, url string) {
	t.Helper()
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mailbox.Open(mailbox.Config{Dir: dir, Site: "http://localhost:1", Catalogue: c, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.ServeSMTP(ctx, l) }()
	pages := httptest.NewServer(b.Handler())
	t.Cleanup(func() {
		pages.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), pages.URL
}

func send(t *testing.T, addr string, to []string, source string) error {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.SendMail("bounces@example.org", to, strings.NewReader(source))
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestMailArrivesAndStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, url := open(t, dir)
	if err := send(t, addr, []string{"jean@example.net", "b@example.net"}, sample); err != nil {
		t.Fatal(err)
	}
	check := func(url string) {
		t.Helper()
		_, body := get(t, url+"/api/mails")
		var list []mailbox.Mail
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 {
			t.Fatalf("%v in %s", err, body)
		}
		m := list[0]
		want := mailbox.Mail{ID: "1", To: []string{"jean@example.net", "b@example.net"}, From: "Cléa Roux <clea@example.org>", Sender: "bounces@example.org",
			Subject: "Résultats", Text: "Détails: http://localhost:1/m/7KQ42F#abc.", HTML: m.HTML, Date: m.Date, Size: m.Size,
			Links:       []string{"http://localhost:1/m/7KQ42F#abc", "http://localhost:1/help"},
			Attachments: []mailbox.Attachment{{Name: "résumé.html", Type: "text/html", Size: 9}, {Name: "attachment.pdf", Type: "application/pdf", Size: 5}}}
		if d := cmp.Diff(want, m); d != "" {
			t.Error(d)
		}
		r, body := get(t, url+"/api/mails/1/attachments/0")
		if body != "<b>hi</b>" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment;") || !strings.Contains(r.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%q %v", body, r.Header)
		}
		if _, body := get(t, url+"/mails/1/attachments/1"); body != "%PDF-" {
			t.Errorf("%q", body)
		}
		if _, raw := get(t, url+"/mails/1/raw"); !strings.HasSuffix(raw, sample) {
			t.Errorf("the source is not what was sent:\n%s", raw)
		}
	}
	check(url)
	_, again := open(t, dir) // a mailbox that is kept shows the same after a restart
	check(again)
}

func TestPages(t *testing.T) {
	t.Parallel()
	addr, url := open(t, t.TempDir())
	if _, body := get(t, url+"/?lang=fr"); !strings.Contains(body, "Aucun e-mail pour l") {
		t.Error(body)
	}
	if err := send(t, addr, []string{"jean@example.net"}, sample); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, url+"/?to=JEAN"); !strings.Contains(body, `<a href="/mails/1">Résultats</a>`) || !strings.Contains(body, "2 attachments") {
		t.Error(body)
	}
	if _, body := get(t, url+"/?to=nobody"); !strings.Contains(body, "Nothing matches") {
		t.Error(body)
	}
	_, body := get(t, url+"/mails/1?lang=fr")
	for _, want := range []string{`<html lang="fr">`, "Cléa Roux &lt;clea@example.org&gt;", `download="résumé.html"`, "sandbox=", "Détails: http"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	r, body := get(t, url+"/mails/1/html")
	if !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Count(body, `target="_blank" rel="noopener noreferrer" `) != 2 {
		t.Errorf("%v\n%s", r.Header, body)
	}
	for _, path := range []string{"/mails/2", "/mails/x", "/mails/1/attachments/2", "/mails/1/attachments/-1", "/mails/../../etc/passwd", "/nothing"} {
		if r, _ := get(t, url+path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	addr, url := open(t, t.TempDir())
	err := send(t, addr, []string{"a@bounce.example"}, sample)
	if err == nil || !strings.Contains(err.Error(), "No such mailbox") {
		t.Error(err)
	}
	if err := send(t, addr, []string{"a@example.net"}, "Subject: x\r\n\r\n"+string(bytes.Repeat([]byte("0123456789abcdef\r\n"), 72<<20/18+1))); err == nil {
		t.Error("a mail over the limit was taken")
	}
	if _, body := get(t, url+"/api/mails"); strings.TrimSpace(body) != "[]" {
		t.Error(body)
	}
	// A page whose name points at this machine must not read the mails (DNS rebinding).
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/mails", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "attacker.example:80"
	req.Header.Set("Accept-Language", "fr")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(string(said), "ne répond qu'à la machine") {
		t.Errorf("%s %s %v", r.Status, said, err)
	}
	if r, body := get(t, url+"/api/mails/7?lang=fr"); r.StatusCode != http.StatusNotFound || r.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, "Page introuvable") {
		t.Errorf("%s %v %s", r.Status, r.Header, body)
	}
}
