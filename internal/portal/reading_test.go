package portal_test

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/console"
	"github.com/pli-mail/pli/internal/desk"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/message"
	"github.com/pli-mail/pli/internal/notice"
	"github.com/pli-mail/pli/internal/outbox"
	"github.com/pli-mail/pli/internal/people"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/sso"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// wholeHouse has the pages of everybody: recipients, senders, administrators.
func wholeHouse(t testing.TB) *webtest.House {
	t.Helper()
	h := house(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(people.New(h.Kit, h.Accounts, h.Keys, sso.New(sso.Config{Name: "work", Label: "Work", Issuer: "http://127.0.0.1:1"})))
	check(console.New(h.Kit, h.Accounts, h.Keys, console.Host{}))
	cat, err := i18n.Load()
	check(err)
	words, err := notice.New(cat, h.Origin)
	check(err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	box := outbox.New(outbox.Config{DB: h.DB, Root: h.Root, Blobs: h.Blobs, Log: log})
	post := &sealing.Postman{Outbox: box, Words: words, From: message.Mailbox{Addr: mailaddr.MustParse("envelopes@example.org")}}
	s := sealing.New(sealing.Config{DB: h.DB, Keys: h.Keys, Blobs: h.Blobs, Outbox: box, Words: words, Post: post, Spool: t.TempDir(), Origin: h.Origin, Log: log})
	check(desk.Register(desk.Config{Kit: h.Kit, Accounts: h.Accounts, Keys: h.Keys, Sealing: s, Now: time.Now}))
	return h
}

// AT-49: GET and HEAD of every address there is, three times, by a stranger, by
// who holds the mail, by a user, by an administrator and by who must set a
// password first, change no row of any table but when a session was last used,
// and mail nothing. A scanner that submits every form it is shown opens nothing.
func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	h := wholeHouse(t)
	e := send(t, h)
	op := account.Operator("test")
	groups, err := h.Accounts.Groups(t.Context(), op, webtest.Account, "", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	group := groups.Groups[0].ID
	i, err := h.Accounts.Invite(t.Context(), op, webtest.Account, group, "guest@example.net", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	claire, err := h.Accounts.UserByAddress(t.Context(), op, webtest.Account, webtest.User)
	if err != nil {
		t.Fatal(err)
	}
	holder := h.Browser(t)
	prove(t, holder, e)
	who := map[string]*webtest.Browser{"a stranger": h.Browser(t), "who holds the mail": holder}
	for name, address := range map[string]string{"a user": webtest.User, "an administrator": webtest.Admin, "who must set a password": "paul@example.org"} {
		who[name] = h.Browser(t)
		who[name].SignIn(t, address)
	}
	body, kind := form(t, "envelope", e.Armor(t))
	staged := strings.TrimPrefix(holder.Do(t, "POST", "/u", body, "Content-Type", kind).Header.Get("Location"), "/s/")
	codes, before := h.Codes(), h.Tables(t)
	if len(before) < 15 || len(before["sessions"]) < 4 || len(before["stages"]) != 1 {
		t.Fatalf("%d tables, %d sessions, %d stages", len(before), len(before["sessions"]), len(before["stages"]))
	}
	fill := strings.NewReplacer("{ref}", e.Ref, "{slot}", e.Slot.ID.String(), "{$}", "", "{n}", "100042", "{group}", group, "{user}", claire.ID, "{provider}", "work", "{account}", "100042", "{domain}", "example.org", "{event}", group, "{selector}", "pli", "{message}", group, "{job}", group, "{by}", "day", "{version}", "0", "{import}", group,
		"{hook}", group, "{webhook}", group, "{invitation}", i.ID, "{token}", strings.TrimPrefix(h.Invited(), "/invite/"))
	ids := map[string]string{"GET /s/{id}": staged, "GET /sent/{id}": h.MessageOf(t, e)}
	read, shown := 0, map[string]int{}
	for range 3 {
		for _, rt := range h.Kit.Routes() {
			method, path, _ := strings.Cut(rt.Pattern, " ")
			if method != "GET" {
				continue
			}
			read++
			path = fill.Replace(strings.ReplaceAll(path, "{id}", ids[rt.Pattern]))
			if strings.Contains(path, "{") {
				t.Fatalf("%s is not filled", rt.Pattern)
			}
			for name, b := range who {
				if a := b.Get(t, path); a.Status == 200 {
					shown[rt.Pattern]++
				} else if a.Status >= 500 {
					t.Errorf("GET %s by %s: %d", path, name, a.Status)
				}
				if a := b.Do(t, "HEAD", path, nil); a.Body != "" {
					t.Errorf("HEAD %s by %s has a body", path, name)
				}
			}
		}
		for _, path := range []string{"/api/v1/open/release", "/e/" + e.Ref + "/verify", "/u"} {
			if a := holder.Get(t, path); a.Status != 405 {
				t.Errorf("GET %s: %d", path, a.Status)
			}
		}
	}
	after := h.Tables(t)
	// That somebody looks at the log, or takes all people as a file, is in the log (I12), and that a user was refused; of the envelope nothing is.
	for _, row := range after["audit"] {
		looked := strings.Contains(row, "action:audit.view ") || strings.Contains(row, "action:user.list ") || strings.Contains(row, "outcome:refused ")
		if !slices.Contains(before["audit"], row) && (!looked || !strings.Contains(row, "actor:user:")) {
			t.Errorf("reading recorded %s", row)
		}
	}
	after["audit"] = before["audit"]
	// Calls of the API are counted, whatever they ask.
	counted := func(row string) bool { return strings.Contains(row, "name:api:") }
	before["throttles"], after["throttles"] = slices.DeleteFunc(before["throttles"], counted), slices.DeleteFunc(after["throttles"], counted)
	if d := webtest.Changed(before, after); d != "" {
		t.Errorf("reading changed %s", d)
	}
	if h.Codes() != codes {
		t.Error("a code was mailed")
	}
	if len(shown) < 35 {
		t.Errorf("only %d of %d addresses were shown to anybody: %v", len(shown), read/3, shown)
	}

	scanner := h.Browser(t)
	scanner.Post(t, "/e/"+e.Ref+"/code")
	scanner.Post(t, "/e/"+e.Ref+"/verify")
	scanner.Post(t, "/e/"+e.Ref+"/verify", "code", "")
	if a := release(t, scanner, e); a.Status == 200 {
		t.Error("a scanner got the key")
	}
	scanner.Get(t, "/e/"+e.Ref+"/message")
	opened(t, h, holder, e)
	if a := release(t, holder, e); a.Status != 200 {
		t.Errorf("the recipient afterwards: %d %s", a.Status, a.Body)
	}
	if d := webtest.Changed(before, h.Tables(t)); !strings.Contains(d, "audit") {
		t.Errorf("the comparison does not see an opening: %q", d)
	}
	if n := releases(t, h); n > 2 { // theirs, and the scanner's, refused
		t.Errorf("%d records of releases", n)
	}
}

func releases(t testing.TB, h *webtest.House) int {
	t.Helper()
	page, err := h.Accounts.Audit(t.Context(), account.Operator("test"), webtest.Account, "", 500)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, row := range page.Records {
		if strings.HasPrefix(row.Action, "envelope.release") {
			n++
		}
	}
	return n
}
