package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// unprovoked are documented answers that no request alone gets, by operation (or
// chapter) and status, with why, and the test or the command line's story that
// shows them instead.
var unprovoked = map[string][2]string{
	"Session 200":       {"takes a password or a code", "internal/api TestSession"},
	"Opening 200":       {"takes an envelope's proof", "internal/api TestSealAndOpen"},
	"Opening 404":       {"what is not there is challenged like any other (AT-56); ids are proved first", "internal/keyserver TestChallengeUnknown"},
	"Opening 410":       {"takes an envelope that has ended", "internal/keyserver TestActs"},
	"Sealing 200":       {"takes a sealed file", "cmd/pli seal_large"},
	"retry 409":         {"while the first call with the key runs", "internal/api TestIdempotency"},
	"checkDomain 409":   {"a look at DNS that finds the proof of somebody else's claim", "internal/account TestDomains"},
	"appendLarge 200":   {"takes a sealed file", "cmd/pli seal_large"},
	"appendLarge 409":   {"takes a file that was begun", "internal/keyserver TestLargeTransfer"},
	"appendLarge 413":   {"takes a file that was begun", "cmd/pli seal_large"},
	"changeUser 409":    {"takes somebody whom no administrator made", "internal/account TestAddWhoEnrolled"},
	"endSessions 409":   {"takes somebody whom no administrator made", "internal/account TestAddWhoEnrolled"},
	"changeWebhook 409": {"takes one that the service has switched off", "internal/account TestWebhookRetries"},
	"redeliver 409":     {"takes one that the service has switched off", "internal/account TestWebhookRetries"},
	"checkImport 413":   {"its rows are judged before, 40 MiB of them", "internal/console TestImportOfHostileFiles"},
	"decideLift 200":    {"takes a wish with a mailed code", "internal/account TestLift"},
	"resendSent 200":    {"takes a mail that has left", "internal/keyserver TestResend"},
	"setRules 409":      {"takes two who save at once", "internal/account TestRules"},
	"restoreRules 409":  {"takes two who save at once", "internal/account TestRules"},
}

// What shows an answer that nothing here provokes is there.
func TestUnprovoked(t *testing.T) {
	t.Parallel()
	for name, why := range unprovoked {
		dir, test, _ := strings.Cut(why[1], " ")
		if !strings.HasPrefix(test, "Test") {
			if _, err := os.Stat(filepath.Join("../..", dir, "testdata", test+".txtar")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "\nfunc "+test+"(t *testing.T)")
		}) {
			t.Errorf("%s: there is no %s", name, why[1])
		}
	}
}

// reach is a house with all that the document's operations can be called on and by.
type reach struct {
	*webtest.House
	schemas map[string]any
	got     map[string]bool // operation and status
}

// TestStatuses provokes every answer that the document names: each operation as
// whom it refuses, on what is not there or of another account, with what it does
// not take, and as it should be. No answer is undocumented or of our side's
// fault, and each is as its schema says.
func TestStatuses(t *testing.T) {
	t.Parallel()
	h := house(t)
	_, doc := document(t, h)
	r := &reach{h, doc["components"].(map[string]any)["schemas"].(map[string]any), map[string]bool{}}
	temporary, idle := h.Browser(t), h.Browser(t)
	all := tokenOf(t, h, account.Scopes...)
	other := r.tenant(t)
	ops := operations(doc)
	var paths []string
	for i, o := range ops {
		admin := bearer(t, h, webtest.Admin) // each session has its 600 calls a minute
		if i%20 == 0 || ops[i-1].id == "signOut" {
			temporary.SignIn(t, "paul@example.org")
		}
		path, body := filled(t, h, o)
		paths = append(paths, path)
		kind := o.octets
		if kind == "" {
			kind = "application/json"
		}
		do := func(b *webtest.Browser, path string, body any, header ...string) int {
			t.Helper()
			if body != nil || o.octets != "" {
				header = append([]string{"Content-Type", kind}, header...)
			}
			return r.call(t, o, b, path, body, header...)
		}
		forged := []string{"Authorization", "Bearer pli_" + strings.Repeat("A", 43)}
		for _, status := range o.answers {
			switch status {
			case 401:
				do(idle, path, body, forged...)
			case 403:
				do(temporary, path, body)
				if o.scope == "" {
					do(all, path, body)
				}
			case 404:
				r.elsewhere(t, o, admin, other, path, body, do)
			case 412:
				do(admin, path, body, "If-Match", `"stale"`)
			case 413:
				if o.id != "checkImport" {
					r.call(t, o, admin, path, strings.Repeat(" ", o.most+1<<10), "Content-Type", kind)
				}
			case 415:
				r.call(t, o, admin, path, "x", "Content-Type", "text/plain")
			case 422:
				do(admin, path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"no-such=1", body)
			case 409, 410:
				if provoke := conflicts[fmt.Sprint(o.id, " ", status)]; provoke != nil {
					provoke(t, r, o, admin)
				}
			}
		}
		do(admin, path, body)
	}
	worn := bearer(t, h, webtest.Admin)
	for i, o := range ops {
		for range 700 { // over a minute's limit, which may begin anew meanwhile
			if r.got[o.id+" 429"] {
				break
			}
			for worn.Do(t, "GET", "/api/v1/server", nil).Status != http.StatusTooManyRequests {
			}
			r.call(t, o, worn, paths[i], nil)
		}
	}
	used := map[string]bool{}
	for _, o := range ops {
		for _, status := range o.answers {
			name := fmt.Sprint(o.id, " ", status)
			if r.got[name] {
				continue
			}
			found := ""
			for _, as := range []string{name, fmt.Sprint(o.tag, " ", status), map[bool]string{true: "retry 409"}[o.waits && status == 409]} {
				if _, ok := unprovoked[as]; ok {
					found = as
					break
				}
			}
			if used[found] = true; found == "" {
				t.Errorf("%s is documented, and nothing gets it", name)
			}
		}
	}
	for name := range unprovoked {
		if !used[name] {
			t.Errorf("%s needs no reason", name)
		}
	}
}

// call calls an operation and checks the answer by the document.
func (r *reach) call(t *testing.T, o operation, b *webtest.Browser, path string, body any, header ...string) int {
	t.Helper()
	for _, x := range o.parameters {
		if p := x.(map[string]any); p["in"] == "header" && p["required"] == true {
			header = append(header, p["name"].(string), "0")
		}
	}
	a := b.Do(t, o.method, path, body, header...)
	r.got[fmt.Sprint(o.id, " ", a.Status)] = true
	if !slices.Contains(o.answers, a.Status) {
		t.Errorf("%s %s: %d %.300s is not documented (%v)\n%s", o.id, path, a.Status, a.Body, o.answers, r.Logged())
		return a.Status
	}
	if a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
		t.Errorf("%s: 429 without Retry-After", o.id)
	}
	if schema := o.schemas[a.Status]; schema != nil {
		var got any
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
			t.Errorf("%s: %d %.300s: %v", o.id, a.Status, a.Body, err)
		} else if wrong := (generator{nil, r.schemas, nil}).fits("", schema, got); wrong != "" {
			t.Errorf("%s: %d %.300s: %s", o.id, a.Status, a.Body, wrong)
		}
	}
	return a.Status
}

const otherAccount = 100043

// tenant is the administrator of another account.
func (r *reach) tenant(t *testing.T) *webtest.Browser {
	t.Helper()
	ctx, op := t.Context(), account.Operator("test")
	if _, err := r.Accounts.CreateAccount(ctx, op, account.NewAccount{Number: otherAccount, Name: "Other", Language: "en", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Accounts.AddAdministrator(ctx, op, otherAccount, account.NewUser{Address: "root@other.example", Password: webtest.Password, Confirm: webtest.Password, Own: true}, false); err != nil {
		t.Fatal(err)
	}
	b := r.Browser(t)
	var s struct{ Token string }
	b.Do(t, "POST", "/api/v1/session", map[string]string{"email": "root@other.example", "password": webtest.Password}).JSON(t, &s)
	b.Header.Set("Authorization", "Bearer "+s.Token)
	return b
}

var inPath = regexp.MustCompile(`\{[a-z]+\}`)

// elsewhere calls an operation on what is not there, as another account's
// administrator on what is there, and on that under their own account's number:
// there is no difference.
func (r *reach) elsewhere(t *testing.T, o operation, admin, other *webtest.Browser, path string, body any, do func(*webtest.Browser, string, any, ...string) int) {
	t.Helper()
	parts, names := strings.Split(path, "/"), strings.Split(o.path, "/")
	for i := len(parts) - 1; i > 0; i-- {
		if !inPath.MatchString(names[i]) {
			continue
		}
		unknown := slices.Clone(parts)
		if unknown[i] = strings.Repeat("0", 31) + "1"; names[i] == "{account}" {
			unknown[i] = "999999"
		}
		do(admin, strings.Join(unknown, "/"), body)
	}
	if !strings.Contains(o.path, "{account}") {
		return
	}
	if got := do(other, path, body); got != 404 {
		t.Errorf("%s on another account's: %d", o.id, got)
	}
	if inPath.MatchString(strings.NewReplacer("{account}", "", "{version}", "").Replace(o.path)) { // versions have numbers
		if got := do(other, strings.Replace(path, strconv.Itoa(webtest.Account), strconv.Itoa(otherAccount), 1), body); got != 404 {
			t.Errorf("%s on another account's under one's own: %d", o.id, got)
		}
	}
}

// conflicts provoke the answers that take something to be so already.
var conflicts = map[string]func(t *testing.T, r *reach, o operation, admin *webtest.Browser){}

func init() {
	twice := func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
		path, body := filled(t, r.House, o)
		r.call(t, o, admin, path, body)
		r.call(t, o, admin, path, body)
	}
	// on calls an operation on something of the account that is as it is.
	on := func(path func(t *testing.T, r *reach) string) func(*testing.T, *reach, operation, *webtest.Browser) {
		return func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			_, body := filled(t, r.House, o)
			r.call(t, o, admin, at(path(t, r)), body)
		}
	}
	administrators := func(t *testing.T, r *reach) string {
		return "groups/" + r.find(t, "groups?name=Account+Administrators")
	}
	lastOne := func(t *testing.T, r *reach) string { return "users/" + r.find(t, "users?email="+webtest.Admin) }
	and := func(f func(*testing.T, *reach) string, more string) func(*testing.T, *reach) string {
		return func(t *testing.T, r *reach) string { return f(t, r) + more }
	}
	ended := func(then string) func(*testing.T, *reach, operation, *webtest.Browser) {
		return func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			message := strings.Split(strings.SplitN(path, "/messages/", 2)[1], "/")[0]
			if then != "" {
				if a := admin.Do(t, "POST", "/api/v1/messages/"+message+"/"+then, map[string]any{}); a.Status != 200 {
					t.Fatal(a.Body)
				}
			}
			var m struct{ Recipients []struct{ Slot string } }
			admin.Do(t, "GET", "/api/v1/messages/"+message, nil).JSON(t, &m)
			in := body.(map[string]any)
			if o.id == "resendSent" || then == "" {
				in["slot"] = m.Recipients[0].Slot
			}
			if o.id == "actOnAccountMessage" && then == "" {
				in["do"] = "resend"
			}
			r.call(t, o, admin, path, in)
		}
	}
	for name, provoke := range map[string]func(*testing.T, *reach, operation, *webtest.Browser){
		"undoSetting 409": twice, "undoGroupSetting 409": twice, "claimDomain 409": twice, "stopUserJob 409": twice, "addGroup 409": twice, "addUser 409": twice, "startImport 409": twice, "cancelImport 409": twice, "invite 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			r.call(t, o, admin, at("invitations"), map[string]any{"email": webtest.User})
		},
		"registerMessage 409": twice, "makeDkimKey 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			for range 10 {
				r.call(t, o, admin, path, body)
			}
		},
		"renameGroup 409": on(administrators), "deleteGroup 409": on(administrators), "setGroupRights 409": on(and(administrators, "/rights")),
		"setMemberEnd 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			r.call(t, o, admin, at(administrators(t, r)+"/members/"+strings.TrimPrefix(lastOne(t, r), "users/")), map[string]any{"until": "2099-01-01T00:00:00Z"})
		},
		"removeMember 409": on(func(t *testing.T, r *reach) string {
			return administrators(t, r) + "/members/" + strings.TrimPrefix(lastOne(t, r), "users/")
		}),
		"blockUser 409": on(and(lastOne, "/block")), "deleteUser 409": on(lastOne),
		"resetPassword 409": on(and(lastOne, "/password")), "sendPasswordLink 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			admin.Do(t, "POST", strings.TrimSuffix(path, "password-link")+"block", map[string]any{})
			r.call(t, o, admin, path, body)
		},
		"proposeMerge 409": twice,
		"lockSent 410":     ended("expire"), "unlockSent 410": ended("expire"), "resendSent 410": ended("expire"), "actOnAccountMessage 410": ended("expire"),
		// the mail waits still
		"resendSent 409": ended(""), "actOnAccountMessage 409": ended(""),
		"makeToken 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			for range 300 {
				if r.call(t, o, admin, path, body) != 201 {
					break
				}
			}
			var list struct{ Items []struct{ ID string } }
			admin.Do(t, "GET", at("tokens?limit=200"), nil).JSON(t, &list)
			for _, x := range list.Items[:min(len(list.Items), 50)] {
				admin.Do(t, "DELETE", at("tokens/"+x.ID), nil)
			}
		},
		"makeWebhook 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			for range 25 {
				if r.call(t, o, admin, path, body) != 201 {
					break
				}
			}
			var list struct{ Items []struct{ ID string } }
			admin.Do(t, "GET", at("webhooks"), nil).JSON(t, &list)
			for _, x := range list.Items { // each other operation makes its own
				admin.Do(t, "DELETE", at("webhooks/"+x.ID), nil)
			}
		},
		"testWebhook 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, body := filled(t, r.House, o)
			admin.Do(t, "PATCH", strings.TrimSuffix(path, "/test"), map[string]any{"state": "paused"})
			r.call(t, o, admin, path, body)
		},
		"grantAccess 409": func(t *testing.T, r *reach, o operation, admin *webtest.Browser) {
			path, _ := filled(t, r.House, o)
			r.call(t, o, admin, path, map[string]any{"group": strings.Repeat("0", 32)})
		},
	} {
		conflicts[name] = provoke
	}
}

// find is the id of the first of a list of the account.
func (r *reach) find(t *testing.T, list string) string {
	t.Helper()
	var p struct{ Items []struct{ ID string } }
	bearer(t, r.House, webtest.Admin).Do(t, "GET", at(list), nil).JSON(t, &p)
	if len(p.Items) == 0 {
		t.Fatalf("%s: there is none", list)
	}
	return p.Items[0].ID
}

// TestOddBodies sends every operation what nobody should: values of other types,
// huge numbers, NUL, deep nesting, members twice and members that there are not.
// Nothing is answered that the document does not name, and nothing of our side's fault.
func TestOddBodies(t *testing.T) {
	t.Parallel()
	h := house(t)
	_, doc := document(t, h)
	r := &reach{h, doc["components"].(map[string]any)["schemas"].(map[string]any), map[string]bool{}}
	rnd := rand.New(rand.NewPCG(5, 36))
	odd := []string{"null", "true", "-1", "1e400", "9223372036854775808", "-9223372036854775809", "1.5", `""`, `"\u0000"`, `"` + strings.Repeat("x", 70_000) + `"`, `"\ud800"`,
		"[]", "[null]", "{}", `{"a":{}}`, strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000), strings.Repeat(`{"a":`, 12_000) + "1" + strings.Repeat("}", 12_000),
		`"2030-13-45T99:00:00Z"`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `"'; DROP TABLE users; --"`, "\xff\xfe", `"` + id.New() + `"`}
	for _, o := range operations(doc) {
		if o.body == nil {
			continue
		}
		b := bearer(t, h, webtest.Admin)
		path, good := filled(t, h, o)
		raw, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		properties, _ := o.body["properties"].(map[string]any)
		var names []string
		for name := range properties {
			names = append(names, name)
		}
		slices.Sort(names)
		bodies := []string{"", "{", "[]", "null", "7", `{"no-such":1}`, string(raw) + "{}", "{\"\\u0000\":1}", odd[15]}
		for range 14 {
			if len(names) == 0 {
				break
			}
			name := names[rnd.IntN(len(names))]
			var with []string
			for m, v := range members {
				if m != name {
					with = append(with, fmt.Sprintf("%q:%s", m, v))
				}
			}
			slices.Sort(with)
			with = append(with, fmt.Sprintf("%q:%s", name, odd[rnd.IntN(len(odd))]))
			if rnd.IntN(4) == 0 {
				with = append(with, fmt.Sprintf("%q:%s", name, odd[rnd.IntN(len(odd))]))
			}
			bodies = append(bodies, "{"+strings.Join(with, ",")+"}")
		}
		for _, body := range bodies {
			r.call(t, o, b, path, body, "Content-Type", "application/json")
		}
	}
}
