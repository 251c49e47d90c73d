package desk_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/desk"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

type saved struct {
	Draft struct {
		ID      string
		Version int64
		Files   []struct{ ID, Text string }
	}
	Saved, Next string
	Kept        bool
	Problems    []struct{ Field, Text string }
}

// save posts the form to [Save draft] as the page's script does.
func save(t *testing.T, b *webtest.Browser, fields [][2]string, files map[string][]byte) (saved, int) {
	t.Helper()
	a := formTo(t, b, "/compose/draft", fields, files, "Accept", "application/json")
	var s saved
	a.JSON(t, &s)
	return s, a.Status
}

func of(s saved, fields ...[2]string) [][2]string {
	out := [][2]string{{"draft", s.Draft.ID}, {"version", fmt.Sprint(s.Draft.Version)}}
	for _, f := range s.Draft.Files {
		out = append(out, [2]string{"had", f.ID}, [2]string{"keep", f.ID})
	}
	return append(out, fields...)
}

// I5: a draft is its owner's alone; of two windows the second is told, and
// what was typed there is kept.
func TestDrafts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b, other := h.Browser(t), h.Browser(t)
	b.SignIn(t, webtest.User)
	other.SignIn(t, webtest.Admin)
	one, status := save(t, b, [][2]string{{"to", "jean@example.net"}, {"subject", "Private plan"}, {"body", "Text"}}, map[string][]byte{"a.txt": []byte("file")})
	if status != 200 || one.Draft.Version != 1 || len(one.Draft.Files) != 1 || one.Saved == "" {
		t.Fatalf("%d %+v", status, one)
	}
	if n := h.waiting(t); n != 0 {
		t.Errorf("%d letters of a draft", n)
	}
	path := "/compose?draft=" + one.Draft.ID
	for _, p := range []string{path, "/compose/review?draft=" + one.Draft.ID, "/drafts/" + one.Draft.ID + "/delete"} {
		if a := other.Get(t, p); a.Status != 404 || strings.Contains(a.Body, "Private") {
			t.Errorf("another user: GET %s: %d", p, a.Status)
		}
	}
	for _, p := range []string{"/drafts/" + one.Draft.ID + "/delete", "/compose/review"} {
		if a := other.Post(t, p, "draft", one.Draft.ID, "version", "1"); a.Status != 404 {
			t.Errorf("another user: POST %s: %d", p, a.Status)
		}
	}
	if a := other.Get(t, "/drafts"); strings.Contains(a.Body, "Private") {
		t.Error("another user's list has it")
	}
	if theirs, status := save(t, other, of(one, [2]string{"body", "theirs"}), nil); status != 409 || theirs.Draft.ID != "" {
		t.Errorf("another user saves: %d %+v", status, theirs)
	}
	if page := b.Visit(t, path); !strings.Contains(page.Value(t, "Subject"), "Private plan") || !says(page, "a.txt") {
		t.Error("the draft does not come back")
	}

	two, status := save(t, b, of(one, [2]string{"subject", "There"}), nil)
	if status != 200 || two.Draft.Version != 2 || len(two.Draft.Files) != 1 {
		t.Fatalf("%d %+v", status, two)
	}
	a := formTo(t, b, "/compose/draft", of(one, [2]string{"subject", "Typed here"}), nil, "Cookie", "lang=en; pli="+b.Cookie("pli"))
	if a.Status != 409 || !strings.Contains(a.Body, "Your text is kept below") || !strings.Contains(a.Body, "Typed here") || !strings.Contains(a.Body, `name="version" value="2"`) {
		t.Errorf("stale: %d", a.Status)
	}
	if a = formTo(t, b, "/compose", of(one, [2]string{"to", "jean@example.net"}, [2]string{"body", "Text"}), nil); a.Status != 409 || h.waiting(t) != 0 {
		t.Errorf("a stale draft is sent: %d, %d letters", a.Status, h.waiting(t))
	}
	if page := b.Visit(t, "/drafts/"+one.Draft.ID+"/delete").Press(t, "Delete the draft"); !page.Has(`Draft "There" deleted.`) || !says(page, "No drafts.") {
		t.Error("the draft is not deleted")
	}
	// Saved once more from the window that is still open: a new draft.
	three, status := save(t, b, of(two, [2]string{"subject", "Again"}), nil)
	if status != 409 || three.Draft.ID != "" {
		t.Errorf("%d %+v", status, three)
	}
	if three, status = save(t, b, of(three, [2]string{"subject", "Again"}), nil); status != 200 || three.Draft.Version != 1 {
		t.Errorf("%d %+v", status, three)
	}
}

// A browser without script does not give its files again: they are in the draft
// also when something else was wrong.
func TestFilesOfRefusedForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	a := form(t, b, [][2]string{{"to", "jean@"}, {"body", "Text"}}, map[string][]byte{"plan.txt": []byte("file")})
	if a.Status != 422 || !strings.Contains(a.Body, "plan.txt (4\u00a0B)") || strings.Contains(a.Body, "Choose your files again") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	value := func(name string) string {
		return regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.Body)[1]
	}
	fields := [][2]string{{"draft", value("draft")}, {"version", value("version")}, {"had", value("had")}, {"keep", value("keep")}, {"to", "jean@example.net"}}
	if a = form(t, b, fields, nil); a.Status != 303 {
		t.Fatalf("sent with the kept file alone: %d %s", a.Status, a.Body)
	}
	if n := h.waiting(t); n != 1 {
		t.Errorf("%d letters", n)
	}
	if page := b.Visit(t, "/drafts"); !says(page, "No drafts.") {
		t.Error("what was sent is still a draft")
	}
}

// Where no more drafts fit, a form can be sent, and what is not sent makes none.
func TestDraftsAreFull(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	for range sealing.MaxDrafts {
		if _, status := save(t, b, [][2]string{{"body", "Text"}}, nil); status != 200 {
			t.Fatal(status)
		}
	}
	file := map[string][]byte{"plan.txt": []byte("file")}
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf("p%d@example.net", i)
	}
	lang := []string{"Cookie", "lang=en; pli=" + b.Cookie("pli")}
	for what, fields := range map[string][][2]string{
		"a wrong date":    {{"to", "jean@example.net"}, {"body", "Text"}, {"until", "soon"}},
		"a second look":   {{"to", strings.Join(many, ",")}, {"body", "Text"}},
		"another version": {{"draft", "none"}, {"version", "7"}, {"to", "jean@example.net"}, {"body", "Text"}},
	} {
		if a := form(t, b, fields, file, lang...); a.Status < 400 || strings.Contains(a.Body, "plan.txt (4") {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	if a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"body", "Text"}}, file); a.Status != 303 || h.waiting(t) != 1 {
		t.Errorf("sent: %d, %d letters", a.Status, h.waiting(t))
	}
	var n int
	err := h.DB.View(t.Context(), func(tx *store.Tx) error {
		u, err := tx.FindUserByAddress(webtest.User)
		if err == nil {
			n, err = tx.CountDrafts(u.ID)
		}
		return err
	})
	if err != nil || n != sealing.MaxDrafts {
		t.Errorf("%d drafts, %v", n, err)
	}
}

// S1: more than 20 people are looked at first; what is sent is what was looked at.
func TestReview(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("p%d@example.net", i))
	}
	a := form(t, b, [][2]string{{"to", strings.Join(many, ",")}, {"body", "Text"}}, nil)
	if a.Status != 303 || !strings.HasPrefix(a.Header.Get("Location"), "/sent/") {
		t.Fatalf("20 people: %d %s", a.Status, a.Header.Get("Location"))
	}
	a = form(t, b, [][2]string{{"to", strings.Join(many, ",")}, {"cc", "eve@clinic.example"}, {"subject", "All"}, {"body", "Text"}}, map[string][]byte{"a.txt": []byte("x")})
	path := a.Header.Get("Location")
	if a.Status != 303 || !strings.HasPrefix(path, "/compose/review?draft=") {
		t.Fatalf("21 people: %d %s", a.Status, path)
	}
	page := b.Visit(t, path)
	for _, want := range []string{"You are about to send to 21 people", "p19@example.net", "eve@clinic.example", "clinic.example"} {
		if !says(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	draft := strings.TrimPrefix(path, "/compose/review?draft=")
	if a = b.Post(t, "/compose/review", "draft", draft, "version", "9"); a.Status != 409 {
		t.Errorf("another version than that looked at: %d", a.Status)
	}
	if n := h.waiting(t); n != 20 {
		t.Errorf("%d letters before the second look", n)
	}
	if page = page.Press(t, "Send to 21 people"); !says(page, "sent to 21 recipients.") {
		t.Error("not sent")
	}
	if n := h.waiting(t); n != 41 {
		t.Errorf("%d letters", n)
	}
}

// S2: Undo is a plain form; it withdraws the message and gives the draft back.
func TestUndoPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *desk.Config) { c.Undo = 30 * time.Second })
	b, other := h.Browser(t), h.Browser(t)
	b.SignIn(t, webtest.User)
	other.SignIn(t, webtest.Admin)
	path := form(t, b, [][2]string{{"to", "jean@example.net"}, {"subject", "Too early"}, {"body", "Text"}}, map[string][]byte{"a.txt": []byte("x")}).Header.Get("Location")
	page := b.Visit(t, path)
	if !says(page, "The mails leave in") {
		t.Fatal("no undo")
	}
	if a := other.Post(t, strings.TrimSuffix(path, "?new=1")+"/undo"); a.Status != 404 {
		t.Errorf("another user undoes it: %d", a.Status)
	}
	page = page.Press(t, "Undo")
	if !page.Has("Not sent. It is back in your drafts.") || page.Value(t, "Subject") != "Too early" || !says(page, "a.txt") {
		t.Error("the draft is not back")
	}
	if n := h.waiting(t); n != 0 {
		t.Errorf("%d letters", n)
	}
	if a := b.Get(t, path); a.Status != 404 {
		t.Errorf("the message is still there: %d", a.Status)
	}
}

// What an account does not allow is not offered, and its days are a limit (I9).
func TestLimitsOfTheAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) string { return time.Now().In(zone).AddDate(0, 0, n).Format(time.DateOnly) }
	for name, tt := range map[string]struct {
		until, remind string
		want          string
	}{
		"the last day":           {day(30), "", ""},
		"a day more":             {day(31), "", "Your organisation allows 30 days at most."},
		"as long as it can be":   {"", day(30), ""},
		"reminded in time":       {day(5), day(5), ""},
		"reminded too late":      {day(5), day(6), "Choose a day from today on"},
		"reminded yesterday":     {"", day(-1), "Choose a day from today on"},
		"reminded on no day":     {"", "soon", "Choose a day from today on"},
		"reminded today":         {"", day(0), ""},
		"reminded after the end": {"", day(31), "Choose a day from today on"},
	} {
		a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"body", "Text"}, {"until", tt.until}, {"remind", tt.remind}}, nil, "Cookie", "lang=en; pli="+b.Cookie("pli"))
		if ok := a.Status == 303; ok != (tt.want == "") || !strings.Contains(a.Body, tt.want) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	page := b.Visit(t, "/compose")
	if !says(page, "Recipients can reply") || !says(page, "Recipients cannot forward it") || !says(page, "Once on each device") {
		t.Error("the page does not offer what the account allows")
	}
	if _, err := h.Accounts.SetSettings(t.Context(), account.Operator("test"), account.SettingsOf(webtest.Account),
		[]account.Setting{{Name: "reply", Value: "false"}, {Name: "forward", Value: "true"}, {Name: "level", Value: "medium"}}); err != nil {
		t.Fatal(err)
	}
	page = b.Visit(t, "/compose")
	if !says(page, "Recipients cannot reply") || !says(page, "Recipients can forward it") || says(page, "Once on each device") {
		t.Error("the page offers what the account does not allow")
	}
	for options, want := range map[string]policy.Permissions{
		"":  {},
		"1": {Forward: new(bool), Level: policy.High},
	} {
		a := form(t, b, [][2]string{{"to", "jean@example.net"}, {"body", "Text"}, {"options", options}, {"reply", "1"}, {"level", "high"}}, nil)
		got := h.policyOf(t, a.Header.Get("Location"))
		if got != want.Encode() {
			t.Errorf("options %q: %s, want %s", options, got, want.Encode())
		}
	}
}

func (h house) policyOf(t *testing.T, location string) (policy string) {
	t.Helper()
	messageID, _, _ := strings.Cut(strings.TrimPrefix(location, "/sent/"), "?")
	err := h.DB.View(t.Context(), func(tx *store.Tx) error {
		m, err := tx.FindMessage(messageID)
		policy = m.Policy
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// Contacts are each sender's own. Whether a stranger has an account is not told.
func TestContactsAndHow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b, other := h.Browser(t), h.Browser(t)
	b.SignIn(t, webtest.User)
	other.SignIn(t, webtest.Admin)
	form(t, b, [][2]string{{"to", "Jean Roy <jean@example.net>"}, {"body", "Text"}}, nil)
	people := func(b *webtest.Browser, q string) (out []string) {
		var said struct {
			People []struct{ Email, Name string }
		}
		b.Get(t, "/compose/people?q="+q).JSON(t, &said)
		for _, p := range said.People {
			out = append(out, p.Name+" "+p.Email)
		}
		return out
	}
	if got := people(b, "roy"); len(got) != 1 || got[0] != "Jean Roy jean@example.net" {
		t.Errorf("%v", got)
	}
	if got := people(other, "roy"); len(got) != 0 {
		t.Errorf("another user is told %v", got)
	}

	// Jean enrols: only whom Jean has opened for, signed in, is told.
	free := store.User{ID: strings.Repeat("a", 32), Address: "jean@example.net", DisplayAddress: "jean@example.net", Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive}
	if err := h.DB.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(free, store.Password{}) }); err != nil {
		t.Fatal(err)
	}
	how := func(b *webtest.Browser, to, level string) string {
		var said struct{ How []string }
		b.Do(t, "POST", "/compose/how", "to="+to+"&level="+level, "Content-Type", "application/x-www-form-urlencoded", "Cookie", "lang=en; pli="+b.Cookie("pli")).JSON(t, &said)
		return strings.Join(said.How, "\n")
	}
	const code, signed, second = "with a code", "by signing in", "second factor"
	for name, tt := range map[string]struct{ to, level, want string }{
		"an enrolled stranger":          {"jean@example.net", "", code},
		"nobody we know":                {"rosa@example.net", "low", code},
		"a managed user of theirs":      {webtest.Admin, "medium", code},
		"anybody, at the highest level": {"rosa@example.net", "high", second},
	} {
		if got := how(b, tt.to, tt.level); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	session, err := h.Accounts.Session(t.Context(), tokenOf(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.DB.Update(t.Context(), func(tx *store.Tx) error { return tx.MarkEnrolled(session.UserID, "jean@example.net") }); err != nil {
		t.Fatal(err)
	}
	if got := how(b, "jean@example.net", ""); !strings.Contains(got, signed) {
		t.Errorf("who has opened signed in: %q", got)
	}
	if got := how(other, "jean@example.net", ""); !strings.Contains(got, code) {
		t.Errorf("another sender is told %q", got)
	}

	page := b.Visit(t, "/settings")
	if !says(page, "jean@example.net") || !says(page, "Jean Roy") {
		t.Error("the contact is not listed")
	}
	if page = page.Press(t, "Remove – jean@example.net"); !says(page, "No contacts yet.") {
		t.Error("the contact is not removed")
	}
	if page = page.Press(t, "Save", "Signature", "Claire\n", "For how many days envelopes can be opened", "31"); !says(page, "Your organisation allows 30 days at most.") {
		t.Error("more days than the account's")
	}
	b.Visit(t, "/settings").Press(t, "Save", "Signature", "Claire\nRoux\n", "For how many days envelopes can be opened", "7")
	if got := b.Visit(t, "/compose").Value(t, "Message"); got != "Claire Roux" {
		t.Errorf("a new message begins as %q", got)
	}
}
