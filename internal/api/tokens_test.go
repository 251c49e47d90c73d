package api_test

import (
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// tokenOf is a program with an API token of the administrator.
func tokenOf(t *testing.T, h *webtest.House, scopes ...string) *webtest.Browser {
	t.Helper()
	var made struct{ Secret string }
	a := bearer(t, h, webtest.Admin).Do(t, "POST", at("tokens"), map[string]any{"name": "a program", "scopes": scopes, "days": 30})
	if a.JSON(t, &made); a.Status != 201 || !strings.HasPrefix(made.Secret, "pli_") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b := h.Browser(t)
	b.Header.Set("Authorization", "Bearer "+made.Secret)
	return b
}

func at(path string) string { return fmt.Sprintf("/api/v1/accounts/%d/%s", webtest.Account, path) }

// made does a POST and returns the id in its answer.
func made(t *testing.T, b *webtest.Browser, path string, in map[string]any) string {
	t.Helper()
	var out struct {
		ID, Message string
		Token       struct{ ID string }
	}
	a := b.Do(t, "POST", path, in)
	if a.JSON(t, &out); a.Status != 201 {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return out.ID + out.Message + out.Token.ID
}

// request is one of a new user's for the right over users, which a group gives.
func request(t *testing.T, h *webtest.House) string {
	t.Helper()
	admin := bearer(t, h, webtest.Admin)
	g := made(t, admin, at("groups"), map[string]any{"name": id.New()})
	if a := admin.Do(t, "PUT", at("groups/"+g+"/rights"), map[string]any{"grants": []any{map[string]any{"right": "users"}}}); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	ctx, address := t.Context(), id.New()+"@example.org"
	if _, err := h.Accounts.AddUser(ctx, account.Operator("test"), webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password, Own: true}); err != nil {
		t.Fatal(err)
	}
	sess, err := h.Accounts.SignIn(ctx, nil, address, webtest.Password, "192.0.2.1", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Accounts.RequestAccess(ctx, sess, webtest.Account, store.RightUsers, ""); err != nil {
		t.Fatal(err)
	}
	all, err := h.Accounts.Requests(ctx, account.Operator("test"), webtest.Account, "", 50)
	if err != nil {
		t.Fatal(err)
	}
	return all.Requests[len(all.Requests)-1].ID
}

// filled calls an operation with what it takes, on things that are there.
func filled(t *testing.T, h *webtest.House, o operation) (path string, body any) {
	t.Helper()
	admin := bearer(t, h, webtest.Admin)
	name := id.New()
	user := func() string {
		return made(t, admin, at("users"), map[string]any{"email": id.New() + "@example.org", "first_name": "A", "last_name": "B", "password": webtest.Password})
	}
	group := func() string { return made(t, admin, at("groups"), map[string]any{"name": id.New()}) }
	path = strings.NewReplacer("{account}", fmt.Sprint(webtest.Account), "{domain}", "example.org", "{version}", "0").Replace(o.path)
	if strings.Contains(path, "{selector}") {
		var d struct{ Keys []struct{ Selector string } }
		admin.Do(t, "POST", at("domains/example.org/keys"), map[string]any{})
		admin.Do(t, "GET", at("domains/example.org"), nil).JSON(t, &d)
		path = strings.ReplaceAll(path, "{selector}", d.Keys[0].Selector)
	}
	var g string
	if strings.Contains(path, "{group}") {
		g = group()
		path = strings.ReplaceAll(path, "{group}", g)
	}
	if strings.Contains(path, "{user}") {
		u := user()
		path = strings.ReplaceAll(path, "{user}", u)
		if g != "" {
			var who struct{ Email string }
			admin.Do(t, "GET", at("users/"+u), nil).JSON(t, &who)
			admin.Do(t, "POST", at("groups/"+g+"/members"), map[string]any{"emails": []string{who.Email}})
		}
	}
	if strings.Contains(path, "{invitation}") {
		path = strings.ReplaceAll(path, "{invitation}", made(t, admin, at("invitations"), map[string]any{"email": name + "@example.net"}))
	}
	if strings.Contains(path, "{token}") {
		path = strings.ReplaceAll(path, "{token}", made(t, admin, at("tokens"), map[string]any{"name": name, "scopes": []string{"send"}, "days": 1}))
	}
	if strings.Contains(path, "{webhook}") {
		var w struct{ Webhook struct{ ID string } }
		admin.Do(t, "POST", at("webhooks"), map[string]any{"url": "https://hooks.example.org/", "events": []string{"user.*"}}).JSON(t, &w)
		path = strings.ReplaceAll(path, "{webhook}", w.Webhook.ID)
	}
	if strings.Contains(path, "{message}") {
		path = strings.ReplaceAll(path, "{message}", made(t, admin, "/api/v1/messages/send", map[string]any{"to": []string{"jean@example.net"}, "text": "x"}))
	}
	if strings.Contains(path, "{import}") {
		admin.Header.Set("Content-Type", "text/csv")
		var job struct{ ID string }
		if a := admin.Do(t, "POST", at("imports"), "email\n"+name+"@example.org\nnobody\n"); a.Status != 201 {
			t.Fatalf("%d %s", a.Status, a.Body)
		} else {
			a.JSON(t, &job)
		}
		admin.Header.Del("Content-Type")
		path = strings.ReplaceAll(path, "{import}", job.ID)
	}
	if strings.Contains(path, "{job}") {
		path = strings.ReplaceAll(path, "{job}", made(t, admin, at("user-jobs"), map[string]any{"do": "unblock"}))
	}
	if settings, _, ok := strings.Cut(path, "/changes/{event}"); ok {
		for _, days := range []string{"20", "25"} {
			admin.Do(t, "PATCH", settings, map[string]any{"settings": []map[string]any{{"name": "expiry_max", "value": days}}})
		}
		var list struct{ Items []struct{ Event string } }
		admin.Do(t, "GET", settings+"/changes", nil).JSON(t, &list)
		path = strings.ReplaceAll(path, "{event}", list.Items[0].Event)
	}
	if strings.Contains(path, "{event}") {
		var log struct{ Items []struct{ ID string } }
		admin.Do(t, "GET", at("audit"), nil).JSON(t, &log)
		path = strings.ReplaceAll(path, "{event}", log.Items[0].ID)
	}
	if strings.Contains(path, "{request}") {
		path = strings.ReplaceAll(path, "{request}", request(t, h))
	}
	if o.id == "registerMessage" {
		in, _, _, _, _ := sealAtHome(t, h.Origin)
		return path, in
	}
	if o.id == "exportAudit" {
		path += "?format=csv"
	}
	if o.id == "setLogo" {
		var logo strings.Builder
		if err := png.Encode(&logo, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
			t.Fatal(err)
		}
		return path, logo.String()
	}
	if o.octets == "text/csv" {
		return path, "email\nsomebody@example.org\n"
	}
	if o.id == "redeliver" {
		return path, map[string]any{"failed_since": "2026-11-01T00:00:00Z"}
	}
	if o.body == nil {
		return path, nil
	}
	in := map[string]any{}
	required, _ := o.body["required"].([]any)
	for _, x := range required {
		in[x.(string)] = map[string]any{
			"name": name, "email": name + "@example.org", "first_name": "A", "last_name": "B", "password": webtest.Password, "emails": []string{webtest.User},
			"grants": []any{}, "until": "", "scopes": []string{"integrations"}, "users": []string{}, "required": false, "days": 1, "domain": name + ".example", "language": "en", "time_zone": "UTC", "approve": true, "do": "lock", "senders_group": "", "to": []string{"jean@example.net"}, "slot": "x", "text": "default = 'seal'",
			"url": "https://hooks.example.org/" + name, "events": []string{"user.*"},
		}[x.(string)]
	}
	switch o.id {
	case "sendMessage":
		in["text"] = "x"
	case "actOnUsers", "actOnAllUsers":
		if in["do"] = "unblock"; in["users"] != nil || o.id == "actOnUsers" {
			in["users"] = []string{user()}
		}
	case "actOnAccountMessages":
		in["all"] = true
	case "proposeMerge":
		in["email"] = name + "@example.org"
		made(t, admin, at("users"), map[string]any{"email": in["email"], "first_name": "A", "last_name": "B", "password": webtest.Password})
	}
	if strings.HasSuffix(o.path, "/users/act") || strings.HasSuffix(o.path, "/user-jobs") {
		in["do"] = "signout"
	}
	return path, in
}

// Of every operation the scope that the document names is the one that the act
// demands: a token with all others is refused, one with it alone is not.
func TestScopes(t *testing.T) {
	t.Parallel()
	h := house(t)
	_, doc := document(t, h)
	others := map[string]*webtest.Browser{}
	alone := map[string]*webtest.Browser{}
	for _, o := range operations(doc) {
		path, body := filled(t, h, o)
		switch o.scope {
		case "any":
			continue
		case "":
			if o.method == "GET" && strings.Contains(path, "{") {
				path = strings.NewReplacer("{slot}", strings.Repeat("0", 32), "{id}", "x").Replace(path) + "?at=0"
			}
			refused(t, tokenOf(t, h, account.Scopes...).Do(t, o.method, path, body), 403, "tok.session")
			continue
		}
		if others[o.scope] == nil {
			others[o.scope] = tokenOf(t, h, slices.DeleteFunc(slices.Clone(account.Scopes), func(s string) bool { return s == o.scope })...)
			alone[o.scope] = tokenOf(t, h, o.scope)
		}
		without := others[o.scope]
		if o.method == "GET" && (o.scope == "users" || o.scope == "settings") { // who reads the log may look at these too
			without = tokenOf(t, h, "messages", "reports", "integrations", "send")
		}
		if strings.HasSuffix(o.path, "accounts/{account}") || strings.HasSuffix(o.path, "/accounts") { // any right in it
			without = tokenOf(t, h, "send")
		}
		if strings.Contains(o.path, "{message}/") { // an administrator's too, with the scope messages
			without = tokenOf(t, h, "users", "integrations")
		}
		kind := []string{}
		if o.octets != "" {
			kind = []string{"Content-Type", o.octets}
		}
		// A message of others is not there for who may not see it.
		if a := without.Do(t, o.method, path, body, kind...); a.Status != 403 && !(strings.Contains(o.path, "/messages") && a.Status == 404) {
			t.Errorf("%s without %s: %d %s", o.id, o.scope, a.Status, a.Body)
		}
		if a := alone[o.scope].Do(t, o.method, path, body, kind...); a.Status == 403 || a.Status == 401 || a.Status >= 500 || strings.Contains(o.path, "{message}/") && o.id != "resendSent" && a.Status != 200 {
			t.Errorf("%s with %s: %d %s\n%s", o.id, o.scope, a.Status, a.Body, h.Logged())
		}
	}
}

// A program sends a message with a file, sees it, locks and withdraws it.
func TestSendByToken(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := tokenOf(t, h, "send")
	in := map[string]any{"to": []string{"jean@example.net"}, "subject": "Results", "text": "All is well.", "level": "low",
		"files": []any{map[string]any{"name": "a.txt", "type": "text/plain", "content": base64.StdEncoding.EncodeToString([]byte("hello"))}}}
	message := made(t, b, "/api/v1/messages/send", in)
	var list struct {
		Items []struct {
			ID, Subject, State string
			Recipients         []struct{ Slot, Email string }
		}
	}
	b.Do(t, "GET", "/api/v1/messages?q=Results", nil).JSON(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != message || list.Items[0].Subject != "Results" || list.Items[0].Recipients[0].Email != "jean@example.net" {
		t.Fatalf("%+v", list)
	}
	var one struct{ State string }
	for _, act := range []struct{ do, state string }{{"lock", "locked"}, {"unlock", "active"}, {"recall", "recalled"}} {
		if a := b.Do(t, "POST", "/api/v1/messages/"+message+"/"+act.do, map[string]any{}); a.Status != 200 {
			t.Fatalf("%s: %d %s", act.do, a.Status, a.Body)
		}
		b.Do(t, "GET", "/api/v1/messages/"+message, nil).JSON(t, &one)
		if one.State != act.state {
			t.Errorf("%s: %s", act.do, one.State)
		}
	}
	for name, bad := range map[string]map[string]any{
		"no address": {"to": []string{"nobody"}, "text": "x"}, "nobody": {"to": []string{}, "text": "x"}, "nothing": {"to": []string{"jean@example.net"}},
		"no base64": {"to": []string{"jean@example.net"}, "text": "x", "files": []any{map[string]any{"name": "a", "content": "%"}}},
		"past":      {"to": []string{"jean@example.net"}, "text": "x", "expires_at": "2020-01-01T00:00:00Z"},
		"late":      {"to": []string{"jean@example.net"}, "text": "x", "expires_at": time.Now().AddDate(0, 0, 32).Format(time.RFC3339)},
	} {
		if a := b.Do(t, "POST", "/api/v1/messages/send", bad); a.Status != 422 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	// A visitor's release is not for a token, whoever made it.
	refused(t, b.Do(t, "POST", "/api/v1/open/release", map[string]string{"slot": list.Items[0].Recipients[0].Slot}), 403, "tok.session")
	forged := h.Browser(t)
	forged.Header.Set("Authorization", "Bearer pli_"+strings.Repeat("A", 43))
	refused(t, forged.Do(t, "GET", "/api/v1/messages", nil), 401, "api.badtoken")
	// The token is in no other place than the header.
	if a := h.Browser(t).Do(t, "GET", "/api/v1/messages?token=x", nil); a.Status != 401 {
		t.Errorf("%d", a.Status)
	}
}

// Of calls with one key only the first acts, also at once.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := tokenOf(t, h, "users")
	token := b.Header.Get("Authorization")
	call := func(key, name string) webtest.Answer {
		c := h.Browser(t)
		c.Header.Set("Authorization", token)
		c.Header.Set("Idempotency-Key", key)
		return c.Do(t, "POST", at("groups"), map[string]any{"name": name})
	}
	first := call("one", "Ward")
	again := call("one", "Ward")
	if first.Status != 201 || again.Status != 201 || first.Body != again.Body {
		t.Errorf("%d %s, again %d %s", first.Status, first.Body, again.Status, again.Body)
	}
	var g struct{ ID string }
	first.JSON(t, &g)
	is := b.Do(t, "GET", at("groups/"+g.ID), nil).Header.Get("ETag")
	if is == "" || first.Header.Get("ETag") != is || again.Header.Get("ETag") != is {
		t.Errorf("ETag %q, again %q, is %q", first.Header.Get("ETag"), again.Header.Get("ETag"), is)
	}
	refused(t, call("one", "Other"), 422, "api.retry.other")
	refused(t, call("two", "Ward"), 409, "g.dup")
	refused(t, call("two", "Ward"), 409, "g.dup") // what was refused is tried again
	refused(t, call(strings.Repeat("k", 65), "x"), 422, "api.badparameter")
	var wait sync.WaitGroup
	answers := make([]webtest.Answer, 8)
	for i := range answers {
		wait.Go(func() { answers[i] = call("three", "At once") })
	}
	wait.Wait()
	for _, a := range answers {
		if a.Status != 201 && !(a.Status == 409 && strings.Contains(a.Body, "api.retry.running")) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if call("three", "At once").Status != 201 {
		t.Error("no answer was kept")
	}
	other := tokenOf(t, h, "users")
	other.Header.Set("Idempotency-Key", "one")
	refused(t, other.Do(t, "POST", at("groups"), map[string]any{"name": "Ward"}), 409, "g.dup") // another's key
}

// A token calls 600 times a minute.
func TestCallsPerMinute(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := tokenOf(t, h, "users")
	for i := range 601 {
		a := b.Do(t, "GET", "/api/v1/server", nil)
		if i < 600 && a.Status != http.StatusOK {
			t.Fatalf("call %d: %d", i, a.Status)
		}
		if i == 600 {
			refused(t, a, 429, "e429.p")
			if a.Header.Get("Retry-After") != "60" {
				t.Error(a.Header)
			}
		}
	}
}

// A change that names what it saw is refused once that is not so any more, and
// of two at once one is.
// The rights of a group name no other group to who manages this one only.
func TestGroupRightsNameNoForeignGroup(t *testing.T) {
	t.Parallel()
	h := house(t)
	admin := tokenOf(t, h, "users", "audit")
	group := func(name string) string { return made(t, admin, at("groups"), map[string]any{"name": name}) }
	give := func(group, right, over string) {
		t.Helper()
		a := admin.Do(t, "PUT", at("groups/"+group+"/rights"), map[string]any{"grants": []any{map[string]any{"right": right, "over": over}}})
		if a.Status != 200 || !strings.Contains(a.Body, over) || !strings.Contains(a.Body, `"over_name"`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	ward, leads, far := group("Ward"), group("Leads"), group("Far and secret")
	give(leads, "users", ward)
	give(ward, "audit", far)
	if _, err := h.Accounts.AddMembers(t.Context(), account.Operator("test"), webtest.Account, leads, webtest.User, time.Time{}); err != nil {
		t.Fatal(err)
	}
	lead := bearer(t, h, webtest.User)
	if a := lead.Do(t, "GET", at("groups/"+ward+"/rights"), nil); a.Status != 200 || strings.Contains(a.Body, far) || strings.Contains(a.Body, "Far and secret") || !strings.Contains(a.Body, `"over_other":true`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	refused(t, lead.Do(t, "GET", at("groups/"+far+"/rights"), nil), 404, "e404.h1")
	if a := admin.Do(t, "GET", at("groups/"+ward+"/rights"), nil); !strings.Contains(a.Body, "Far and secret") || strings.Contains(a.Body, "over_other") {
		t.Errorf("an administrator: %s", a.Body)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := tokenOf(t, h, "users")
	call := func(method, path, etag string, in any) webtest.Answer {
		c := h.Browser(t)
		c.Header.Set("Authorization", b.Header.Get("Authorization"))
		if etag != "" {
			c.Header.Set("If-Match", etag)
		}
		return c.Do(t, method, path, in)
	}
	g := at("groups/" + made(t, b, at("groups"), map[string]any{"name": "Ward"}))
	was := call("GET", g, "", nil).Header.Get("ETag")
	if a := call("PATCH", g, was, map[string]any{"name": "Ward 2"}); a.Status != 200 || a.Header.Get("ETag") == was {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	refused(t, call("PATCH", g, was, map[string]any{"name": "Ward 3"}), 412, "api.stale")
	refused(t, call("DELETE", g, was, nil), 412, "api.stale")
	rights := call("GET", g+"/rights", "", nil).Header.Get("ETag")
	if a := call("PUT", g+"/rights", rights, map[string]any{"grants": []any{map[string]any{"right": "users"}}}); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	refused(t, call("PUT", g+"/rights", rights, map[string]any{"grants": []any{}}), 412, "api.stale")
	now := call("GET", g, "", nil).Header.Get("ETag")
	var wait sync.WaitGroup
	status := make([]int, 6)
	for i := range status {
		wait.Go(func() { status[i] = call("PATCH", g, now, map[string]any{"name": fmt.Sprint("At once ", i)}).Status })
	}
	wait.Wait()
	slices.Sort(status)
	if !slices.Equal(status, []int{200, 412, 412, 412, 412, 412}) {
		t.Errorf("%v", status)
	}
	b.Header = tokenOf(t, h, "settings").Header
	d := at("domains/example.org")
	was = call("GET", d, "", nil).Header.Get("ETag")
	if a := call("POST", d+"/check", "", map[string]any{}); a.Status != 409 && (was == "" || call("GET", d, "", nil).Header.Get("ETag") != was) {
		t.Errorf("a look at DNS changed what nobody did: %d", a.Status)
	}
	if a := call("PATCH", d, was, map[string]any{"senders_group": strings.TrimPrefix(g, at("groups/"))}); a.Status != 200 || a.Header.Get("ETag") == was {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, x := range []struct {
		method, path string
		in           any
	}{{"PATCH", "", map[string]any{"senders_group": ""}}, {"POST", "/keys", map[string]any{}}, {"DELETE", "", nil}} {
		refused(t, call(x.method, d+x.path, was, x.in), 412, "api.stale")
	}
	was = call("GET", d, "", nil).Header.Get("ETag")
	if a := call("POST", d+"/keys", was, map[string]any{}); a.Status != 201 || a.Header.Get("ETag") == was {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	refused(t, call("DELETE", d+"/keys/none", was, nil), 412, "api.stale")
	b = tokenOf(t, h, "users")
	u := at("users/" + made(t, b, at("users"), map[string]any{"email": "etag@example.org", "first_name": "A", "last_name": "B", "password": webtest.Password}))
	seen := call("GET", u, "", nil).Header.Get("ETag")
	if a := call("POST", u+"/block", seen, map[string]any{}); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, x := range []struct {
		method, path string
		in           any
	}{{"POST", "/unblock", map[string]any{}}, {"POST", "/password", map[string]any{"password": webtest.Password}}, {"DELETE", "", nil}} {
		refused(t, call(x.method, u+x.path, seen, x.in), 412, "api.stale")
	}
	if a := call("DELETE", u, "*", nil); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
