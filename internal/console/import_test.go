package console_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// sendFile posts the form of an import as a browser does.
func sendFile(t *testing.T, b *webtest.Browser, name string, file []byte, fields ...string) webtest.Answer {
	t.Helper()
	return sendFileTo(t, b, "/admin/accounts/100042/users/import", name, file, fields...)
}

func sendFileTo(t *testing.T, b *webtest.Browser, path, name string, file []byte, fields ...string) webtest.Answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		w.WriteField(fields[i], fields[i+1])
	}
	p, err := w.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	p.Write(file)
	w.Close()
	return b.Do(t, http.MethodPost, path, body.String(), "Content-Type", w.FormDataContentType())
}

// A file may be anything. What cannot be read says so, 422 or 413; what can be
// shows each row as text, and gives back no cell that a spreadsheet would run.
func TestImportOfHostileFiles(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	for _, c := range []struct {
		name   string
		file   []byte
		status int
	}{
		{"empty", nil, 422},
		{"a program", append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 4096)...), 422},
		{"a workbook", []byte("PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00"), 422},
		{"no heading", []byte("a@example.org,A,B\n"), 422},
		{"a huge cell", []byte("email,nom\n\"" + strings.Repeat("x", 2<<20) + "\n"), 422},
		{"a huge quoted cell", []byte("email,nom\n\"" + strings.Repeat("xxxxxxxxxxxxxxx\n", 1<<17) + "\",x\n"), 303},
		{"many cells", []byte("email,nom\n" + strings.Repeat(",", 200_000) + "\na@example.org,x\n"), 303},
		{"many headings", []byte("email" + strings.Repeat(",x", 200) + "\n"), 422},
		{"NUL", []byte("email,nom\na\x00b@example.org,A\x00B\n"), 303},
		{"too large", append([]byte("email\n"), bytes.Repeat([]byte("a@example.org,"+strings.Repeat("x", 4000)+"\n"), 33<<20/4015)...), 413},
	} {
		rec := sendFile(t, b, c.name+".csv", c.file)
		if rec.Status != c.status {
			t.Errorf("%s: %d, not %d", c.name, rec.Status, c.status)
		}
		if rec.Status == 303 {
			if p := b.Visit(t, rec.Header.Get("Location")); p.Status != 200 || len(p.Body) > 100_000 {
				t.Errorf("%s: the page is %d, %d bytes", c.name, p.Status, len(p.Body))
			}
		}
	}

	rec := sendFile(t, b, "<b>\u202exlsx.csv", []byte("email,first_name,last_name\nbad,=HYPERLINK(1),<script>alert(1)</script>\n\"@x\",-1,+2\n"), "new", "plain")
	p := b.Visit(t, rec.Header.Get("Location"))
	if strings.Contains(p.Body, "<script>alert") || strings.Contains(p.Body, "<b>") || strings.Contains(p.Body, "\u202e") {
		t.Error("a cell or the file's name is not text")
	}
	got := b.Get(t, rec.Header.Get("Location")+"/rejected").Body
	want := "\ufeffemail,first_name,last_name,error\r\nbad,'=HYPERLINK(1),<script>alert(1)</script>,Not a valid address: bad\r\n'@x,'-1,'+2,Not a valid address: @x\r\n"
	if got != want {
		t.Errorf("%q, not\n%q", got, want)
	}
}

// What is exported can be imported, and has all pages of what the list shows.
func TestExportOfUsers(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	var file strings.Builder
	file.WriteString("email,first_name,last_name\n")
	for i := range 1203 {
		fmt.Fprintf(&file, "p%04d@example.org,=Paul %d,Petit\n", i, i)
	}
	rec := sendFile(t, b, "people.csv", []byte(file.String()), "new", "plain")
	at := rec.Header.Get("Location")
	if a := b.Post(t, at+"/start"); a.Status != 303 {
		t.Fatalf("start: %d", a.Status)
	}
	for more := true; more; {
		var err error
		if more, err = h.Accounts.RunJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p := b.Visit(t, at); !p.Has("1203 users imported, 0 left out.") {
		t.Errorf("%q", p.Texts("strong"))
	}
	a := b.Post(t, "/admin/accounts/100042/users/export", "q", "p")
	if n := strings.Count(a.Body, "\r\np"); n < 1203 || !strings.Contains(a.Body, "p1202@example.org,'=Paul 1202,Petit,,en,active,,2") {
		t.Errorf("%d rows", n)
	}
	left := sendFile(t, b, "users.csv", []byte(a.Body), "allor", "1")
	p := b.Visit(t, left.Header.Get("Location"))
	for _, want := range []string{"No row has an error.", "People who are users already, and are left out: 1204.", "Users already (1204)", "Already exists: left out"} {
		if !strings.Contains(p.Body, want) {
			t.Errorf("the preview lacks %q", want)
		}
	}
	again := sendFile(t, b, "users.csv", []byte(a.Body), "update", "1")
	if p := b.Visit(t, again.Header.Get("Location")); !strings.Contains(p.Body, "(0 new, 0 updates). No row has an error.") {
		t.Errorf("an export is no import: %q %q", p.Texts("strong"), p.Texts("td"))
	}
}

// The list of imports leads on to those before, and back.
func TestImportsLeadOn(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	for i := range 60 {
		if err := h.DB.Update(t.Context(), func(tx *store.Tx) error {
			return tx.InsertJob(store.Job{ID: fmt.Sprintf("m%02d", i), AccountID: webtest.Account, Kind: account.KindImport, State: store.JobDone, Params: `{"file":"staff.csv"}`})
		}); err != nil {
			t.Fatal(err)
		}
	}
	path := fmt.Sprintf("/admin/accounts/%d/imports", webtest.Account)
	first := b.Get(t, path)
	next := regexp.MustCompile(`href="([^"]*after=[^"]*)" rel="next"`).FindStringSubmatch(first.Body)
	if n := strings.Count(first.Body, `<th scope="row">`); n != 50 || next == nil {
		t.Fatalf("%d: %d rows, on to %q", first.Status, n, next)
	}
	url := strings.ReplaceAll(next[1], "&amp;", "&")
	if strings.HasPrefix(url, "?") {
		url = path + url
	}
	last := b.Get(t, url)
	if n := strings.Count(last.Body, `<th scope="row">`); n != 10 || strings.Contains(last.Body, `rel="next"`) {
		t.Errorf("%d: %d rows on the last page", last.Status, n)
	}
	if a := b.Get(t, path+"?after=x"); a.Status != 422 && a.Status != 400 {
		t.Errorf("a place that was not given out: %d", a.Status)
	}
}
