package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/account/accounttest"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/server"
	"github.com/pli-mail/pli/internal/store"
)

// TestEveryDoor is TestNobodyGivesMore of account through the doors that people
// have: random people act on the running service by its pages, by the API with a
// token of all scopes, and by importing files, and after each act nobody holds
// more than they were granted, no other account has changed, and an administrator
// is left (I1, I2, I5). pli admin --server goes through the API; on the host it is
// the operator's.
func TestEveryDoor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := prepare(t, t.TempDir(), "http://"+l.Addr().String(), "")
	c.Listeners = []net.Listener{l}
	h := &doors{t: t, Server: run(t, c), origin: c.Config.PublicURL, done: map[string]int{}, byDelegates: map[string]int{},
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	rapid.Check(t, func(r *rapid.T) { h.walk(r) })
	for _, door := range []string{"page", "api"} {
		acts := 0
		for what := range h.done {
			if strings.HasSuffix(what, " "+door) {
				acts++
			}
		}
		if acts < 8 {
			t.Errorf("too little was done by %s: %v", door, h.done)
		}
		if h.done["import "+door] == 0 {
			t.Errorf("nothing was imported by %s: %v", door, h.done)
		}
	}
	if len(h.byDelegates) < 4 {
		t.Errorf("too little was done by who has some rights only: %v", h.byDelegates)
	}
}

type doors struct {
	*server.Server
	t                 *testing.T
	origin            string
	http              *http.Client
	n                 int
	done, byDelegates map[string]int
}

// key is what somebody goes through the doors with.
type key struct{ session, token string }

func (h *doors) address() string {
	h.n++
	return fmt.Sprintf("q%d@example.org", h.n)
}

// enter makes a user, who has chosen a password, with a session and a token.
func (h *doors) enter(r *rapid.T, number int64, groups ...string) (address string, k key) {
	session, token := id.NewToken(), id.NewAPIToken()
	u := store.User{ID: id.New(), AccountID: number, Managed: true, Address: h.address(), FirstName: "Q", Language: "en", TimeZone: "UTC", Theme: "auto", State: store.UserActive}
	u.DisplayAddress = u.Address
	if err := h.DB.Update(h.t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertUser(u, store.Password{Hash: "x"}); err != nil {
			return err
		}
		if err := tx.SetWelcomed(u.ID); err != nil {
			return err
		}
		for _, g := range groups {
			if _, err := tx.InsertMembership(g, u.ID, time.Time{}); err != nil {
				return err
			}
		}
		if err := tx.InsertSession(store.Session{TokenHash: session.Hash(), UserID: u.ID, Scope: store.ScopeFull, Nonce: strings.Repeat("0", 64), Client: "test",
			Method: "password", ExpiresAt: tx.Now.Add(time.Hour)}); err != nil {
			return err
		}
		return tx.InsertToken(store.APIToken{ID: id.New(), AccountID: number, UserID: u.ID, Name: "all", Scopes: account.Scopes, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}, token.Hash())
	}); err != nil {
		r.Fatal(err)
	}
	return u.Address, key{session.Reveal(), token.Reveal()}
}

func (h *doors) look(r *rapid.T, numbers ...int64) accounttest.Picture {
	p, err := accounttest.Look(h.t.Context(), h.DB, numbers...)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// post sends a form to a page, and reports whether it was taken.
func (h *doors) post(r *rapid.T, k key, path string, form url.Values) bool {
	return h.send(r, k, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), nil)
}

func (h *doors) send(r *rapid.T, k key, path, kind string, body io.Reader, at *string) bool {
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.origin+path, body)
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.AddCookie(&http.Cookie{Name: "pli", Value: k.session})
	res, err := h.http.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	if res.StatusCode >= 500 {
		r.Fatalf("%s: %d %s", path, res.StatusCode, raw)
	}
	to := res.Header.Get("Location")
	if at != nil {
		*at = to
	}
	return res.StatusCode == http.StatusSeeOther && !strings.Contains(to, "/signin") && !strings.Contains(to, "/admin/request")
}

// call is an operation of the API, and reports whether it was taken.
func call[In, Out any](h *doors, r *rapid.T, k key, o client.Operation[In, Out], in In) (Out, bool) {
	out, err := o.Call(h.t.Context(), &client.Client{Origin: h.origin, Token: k.token, Language: "en", HTTP: h.http}, in)
	var p *client.Problem
	if err != nil && (!errors.As(err, &p) || p.Status >= 500) {
		r.Fatalf("%s: %v", o.ID, err)
	}
	return out, err == nil
}

func (h *doors) walk(r *rapid.T) {
	ctx, root := h.t.Context(), account.Operator("test")
	h.n++
	numbers := []int64{int64(1_000_000 + 10*h.n), int64(1_000_001 + 10*h.n)}
	keys := map[string]key{}
	for _, n := range numbers {
		if _, err := h.Accounts.CreateAccount(ctx, root, account.NewAccount{Number: n, Name: "A", TimeZone: "UTC"}); err != nil {
			r.Fatal(err)
		}
		var groups []string
		for _, name := range []string{"", "ward", "leads", "desk"} {
			if name != "" {
				if _, err := h.Accounts.AddGroup(ctx, root, n, name); err != nil {
					r.Fatal(err)
				}
			}
			found, err := h.Accounts.Groups(ctx, root, n, name, "", 50)
			if err != nil {
				r.Fatal(err)
			}
			groups = append(groups, found.Groups[len(found.Groups)-1].ID)
		}
		for i, grants := range [][]store.Grant{2: {{Right: store.RightUsers, Scope: groups[1]}, {Right: store.RightMessages, Scope: groups[1]}}, 3: {{Right: store.RightUsers}}} {
			if grants == nil {
				continue
			}
			if _, err := h.Accounts.SetGroupRights(ctx, root, n, groups[i], grants); err != nil {
				r.Fatal(err)
			}
		}
		for _, in := range [][]string{{groups[0]}, {groups[0]}, {groups[3]}, {groups[2]}, {groups[1], groups[2]}, {groups[1]}, {}} {
			address, k := h.enter(r, n, in...)
			keys[address] = k
		}
	}
	before := h.look(r, numbers...)
	for range 12 {
		before = h.step(r, keys, numbers, before)
	}
}

func draw[T any](r *rapid.T, what string, from []T) T { return rapid.SampledFrom(from).Draw(r, what) }

func (h *doors) step(r *rapid.T, keys map[string]key, numbers []int64, before accounttest.Picture) accounttest.Picture {
	users := slices.DeleteFunc(slices.Sorted(maps.Keys(before.People)), func(a string) bool { return before.People[a].ID == "" })
	actors := slices.DeleteFunc(slices.Clone(users), func(a string) bool { return keys[a] == key{} })
	if rapid.Bool().Draw(r, "with rights") {
		actors = slices.DeleteFunc(actors, func(a string) bool { return len(before.People[a].Holds) == 0 })
	}
	address := draw(r, "who", actors)
	who, k := before.People[address], keys[address]
	own := rapid.IntRange(0, 9).Draw(r, "own account") > 0
	named := map[string]store.Group{}
	for _, g := range before.Groups {
		if !own || g.AccountID == who.Account {
			named[fmt.Sprint(g.AccountID, " ", g.Name)] = g
		}
	}
	groups := slices.Sorted(maps.Keys(named))
	group, scope := named[draw(r, "group", groups)], named[draw(r, "scope", groups)]
	target := draw(r, "target", slices.DeleteFunc(slices.Clone(users), func(a string) bool { return own && before.People[a].Account != who.Account }))
	user := before.People[target].ID
	n := draw(r, "account in the address", slices.Concat(slices.Repeat([]int64{who.Account}, 9), numbers))
	at := fmt.Sprintf("/admin/accounts/%d", n)
	page := rapid.Bool().Draw(r, "by page")
	grants := slices.Clone(before.Grants[group.ID])
	if len(grants) > 0 && rapid.Bool().Draw(r, "take") {
		grants = grants[1:]
	}
	given := store.Grant{Right: draw(r, "right", append([]string{store.RightAll}, account.Rights...))}
	if rapid.Bool().Draw(r, "confined") {
		given.Scope = scope.ID
	}
	grants = append(grants, given)
	const password = "a password of two words 71"
	acts := map[string]func() bool{
		"add": func() bool {
			if page {
				return h.post(r, k, at+"/groups/"+group.ID+"/members", url.Values{"user": {target}})
			}
			out, ok := call(h, r, k, client.AddMembers, client.AddMembersIn{Account: n, Group: group.ID, Emails: []string{target}})
			return ok && len(out.Added) > 0
		},
		"remove": func() bool {
			if page {
				return h.post(r, k, at+"/groups/"+group.ID+"/members/"+user+"/remove", nil)
			}
			_, ok := call(h, r, k, client.RemoveMember, client.MemberPath{Account: n, Group: group.ID, User: user})
			return ok
		},
		"grant": func() bool {
			if page {
				form := url.Values{}
				for i, g := range grants {
					i := fmt.Sprint(i)
					form.Add("on", i)
					form.Set("right-"+i, g.Right)
					form.Set("scope-"+i, g.Scope)
				}
				return h.post(r, k, at+"/groups/"+group.ID+"/rights", form)
			}
			in := client.GroupRightsIn{Account: n, Group: group.ID}
			for _, g := range grants {
				in.Grants = append(in.Grants, client.Grant{Right: g.Right, Over: g.Scope})
			}
			_, ok := call(h, r, k, client.SetGroupRights, in)
			return ok
		},
		"group": func() bool {
			if page {
				return h.post(r, k, at+"/groups", url.Values{"name": {h.address()}})
			}
			_, ok := call(h, r, k, client.AddGroup, client.GroupIn{Account: n, Name: h.address()})
			return ok
		},
		"group rename": func() bool {
			if page {
				return h.post(r, k, at+"/groups/"+group.ID, url.Values{"name": {h.address()}})
			}
			_, ok := call(h, r, k, client.RenameGroup, client.GroupChange{Account: n, Group: group.ID, Name: h.address()})
			return ok
		},
		"group delete": func() bool {
			if page {
				return h.post(r, k, at+"/groups/"+group.ID+"/delete", nil)
			}
			_, ok := call(h, r, k, client.DeleteGroup, client.GroupAct{Account: n, Group: group.ID})
			return ok
		},
		"user": func() bool {
			if page {
				return h.post(r, k, at+"/users/new", url.Values{"address": {h.address()}, "first_name": {"Q"}, "last_name": {"R"}, "password": {password}, "confirm": {password}, "group": {group.ID}})
			}
			_, ok := call(h, r, k, client.AddUser, client.UserIn{Account: n, Email: h.address(), FirstName: "Q", LastName: "R", Password: password, Group: group.ID})
			return ok
		},
		"invite": func() bool {
			if page {
				return h.post(r, k, at+"/groups/"+group.ID+"/members", url.Values{"do": {"invite"}, "user": {h.address()}})
			}
			_, ok := call(h, r, k, client.Invite, client.InvitationIn{Account: n, Group: group.ID, Email: h.address()})
			return ok
		},
		"edit": func() bool {
			if page {
				return h.post(r, k, at+"/users/"+user+"/edit", url.Values{"first_name": {"S"}, "last_name": {"T"}, "language": {"fr"}})
			}
			_, ok := call(h, r, k, client.ChangeUser, client.UserChange{Account: n, User: user, FirstName: "S", LastName: "T", Language: "fr"})
			return ok
		},
		"block": func() bool {
			if page {
				return h.post(r, k, at+"/users/"+user+"/block", nil)
			}
			_, ok := call(h, r, k, client.BlockUser, client.UserAct{Account: n, User: user})
			return ok
		},
		"unblock": func() bool {
			if page {
				return h.post(r, k, at+"/users/"+user+"/unblock", nil)
			}
			_, ok := call(h, r, k, client.UnblockUser, client.UserAct{Account: n, User: user})
			return ok
		},
		"delete": func() bool {
			if page {
				return h.post(r, k, at+"/users/"+user+"/delete", nil)
			}
			_, ok := call(h, r, k, client.DeleteUser, client.UserAct{Account: n, User: user})
			return ok
		},
		"import": func() bool {
			file := fmt.Sprintf("email,first_name,groups\n%s,New,%s\n%s,Old,%s\n", h.address(), group.Name, target, scope.Name)
			if page {
				return h.importPage(r, k, at, file, group.ID)
			}
			v, ok := call(h, r, k, client.CheckImport, client.ImportIn{Account: n, Update: true, Group: group.ID, Body: strings.NewReader(file)})
			if ok {
				_, ok = call(h, r, k, client.StartImport, client.ImportPath{Account: n, Import: v.ID})
			}
			if ok {
				h.finish(r, n, v.ID)
			}
			return ok
		},
	}
	what := draw(r, "act", slices.Sorted(maps.Keys(acts)))
	ok := acts[what]()
	after := h.look(r, numbers...)
	door := map[bool]string{true: " page", false: " api"}[page]
	for _, problem := range []string{before.Check(what+door, address, after), after.Standing(numbers...)} {
		if problem != "" {
			r.Fatal(problem)
		}
	}
	if ok {
		if !who.Active {
			r.Fatalf("%s%s by %s, who is %s", what, door, address, who.State)
		}
		if h.done[what+door]++; !accounttest.Has(who.Holds, store.Holding{Grant: store.Grant{Right: store.RightAll}}) {
			h.byDelegates[what+door]++
		}
	}
	return after
}

func (h *doors) importPage(r *rapid.T, k key, at, file, group string) bool {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range map[string]string{"paste": file, "new": "plain", "update": "on", "group": group} {
		if err := w.WriteField(name, value); err != nil {
			r.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		r.Fatal(err)
	}
	var job string
	if !h.send(r, k, at+"/users/import", w.FormDataContentType(), &b, &job) || !h.post(r, k, job+"/start", nil) {
		return false
	}
	var n int64
	if _, err := fmt.Sscanf(at, "/admin/accounts/%d", &n); err != nil {
		r.Fatal(err)
	}
	h.finish(r, n, job[strings.LastIndexByte(job, '/')+1:])
	return true
}

// finish waits until an import is over.
func (h *doors) finish(r *rapid.T, n int64, job string) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := h.Accounts.RunJobs(ctx); err != nil {
			r.Fatal(err)
		}
		v, err := h.Accounts.Import(ctx, account.Operator("test"), n, job)
		if err != nil {
			r.Fatal(err)
		}
		if v.State != store.JobRunning {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
