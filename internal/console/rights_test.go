package console_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// routeRule is the declared result of one address for an administrator of the
// account in it. For everybody else the results follow from outside.
type routeRule struct {
	status  int
	outside bool // not of one account: also for other administrators
}

// matrix declares every address of the console. An address that is not here
// fails the test (AT-56).
var matrix = map[string]routeRule{
	"GET /admin":          {303, true},
	"GET /admin/{$}":      {303, true},
	"GET /admin/accounts": {200, true},

	"GET /admin/accounts/new":  {403, true}, // an operator's
	"POST /admin/accounts/new": {403, true},
	"GET /admin/audit":         {404, true},
	"GET /admin/audit/{event}": {404, true},
	"GET /admin/audit/chains":  {403, true},
	"POST /admin/audit/export": {404, true},
	"GET /admin/system":        {403, true},

	"GET /admin/system/mail":       {403, true},
	"POST /admin/system/mail":      {403, true},
	"GET /admin/system/signin":     {403, true},
	"POST /admin/system/signin":    {403, true},
	"GET /admin/system/legal":      {403, true},
	"POST /admin/system/legal":     {403, true},
	"GET /admin/support":           {403, true},
	"POST /admin/support":          {403, true},
	"GET /admin/jobs":              {200, true},
	"GET /admin/jobs/{id}":         {404, true}, // no such job
	"POST /admin/jobs/{id}/cancel": {404, true},
	"GET /admin/system/settings":   {403, true},
	"POST /admin/system/settings":  {403, true},

	"GET /admin/accounts/{n}":          {200, false},
	"GET /admin/accounts/{n}/suspend":  {403, false},
	"POST /admin/accounts/{n}/suspend": {403, false},
	"GET /admin/accounts/{n}/resume":   {403, false},
	"POST /admin/accounts/{n}/resume":  {403, false},
	"GET /admin/accounts/{n}/suggest":  {200, false},
	"GET /admin/accounts/{n}/audit":    {200, false},
	"GET /admin/accounts/{n}/requests": {200, false},

	"GET /admin/accounts/{n}/audit/{event}": {404, false}, // no such event
	"POST /admin/accounts/{n}/audit/export": {200, false},

	"POST /admin/accounts/{n}/requests": {404, false}, // no such request

	"GET /admin/accounts/{n}/groups":                                {200, false},
	"POST /admin/accounts/{n}/groups":                               {422, false}, // no name
	"GET /admin/accounts/{n}/groups/{group}":                        {200, false},
	"POST /admin/accounts/{n}/groups/{group}":                       {422, false},
	"GET /admin/accounts/{n}/groups/{group}/delete":                 {409, false}, // the built-in one
	"POST /admin/accounts/{n}/groups/{group}/rights":                {409, false}, // the built-in one
	"GET /admin/accounts/{n}/groups/{group}/members/remove":         {200, false},
	"POST /admin/accounts/{n}/groups/{group}/members/remove":        {422, false}, // nobody was chosen
	"GET /admin/accounts/{n}/groups/{group}/members/{user}/end":     {200, false},
	"POST /admin/accounts/{n}/groups/{group}/members/{user}/end":    {303, false}, // without an end, as it is
	"POST /admin/accounts/{n}/users/{user}/groups":                  {422, false}, // no group
	"POST /admin/accounts/{n}/groups/{group}/delete":                {409, false},
	"GET /admin/accounts/{n}/groups/{group}/members":                {200, false},
	"POST /admin/accounts/{n}/groups/{group}/members":               {422, false},
	"GET /admin/accounts/{n}/groups/{group}/members/{user}/remove":  {200, false},
	"POST /admin/accounts/{n}/groups/{group}/members/{user}/remove": {409, false}, // the last one

	"POST /admin/accounts/{n}/invitations/{invitation}/resend": {303, false},
	"GET /admin/accounts/{n}/invitations/{invitation}/revoke":  {200, false},
	"POST /admin/accounts/{n}/invitations/{invitation}/revoke": {303, false},

	"GET /admin/accounts/{n}/settings":            {200, false},
	"POST /admin/accounts/{n}/settings":           {422, false}, // no name
	"GET /admin/accounts/{n}/delete":              {200, false},
	"POST /admin/accounts/{n}/delete":             {422, false}, // no number typed
	"POST /admin/accounts/{n}/keep":               {409, false}, // it is not about to be deleted
	"GET /admin/accounts/{n}/export":              {200, false},
	"POST /admin/accounts/{n}/export":             {303, false},
	"POST /admin/accounts/{n}/export/{job}/stop":  {404, false}, // a job of another kind
	"POST /admin/accounts/{n}/export/{job}/file":  {404, false},
	"GET /admin/accounts/{n}/messages":            {200, false},
	"POST /admin/accounts/{n}/messages":           {404, false}, // no such act
	"POST /admin/accounts/{n}/messages/export":    {200, false},
	"GET /admin/accounts/{n}/messages/{message}":  {404, false}, // no such message
	"POST /admin/accounts/{n}/messages/{message}": {404, false},
	"GET /admin/accounts/{n}/reports":             {200, false},
	"GET /admin/accounts/{n}/reports/{by}":        {404, false}, // no such table

	"GET /admin/accounts/{n}/domains":                                  {200, false},
	"POST /admin/accounts/{n}/domains":                                 {422, false}, // no name
	"GET /admin/accounts/{n}/domains/{domain}":                         {200, false},
	"POST /admin/accounts/{n}/domains/{domain}/check":                  {303, false},
	"POST /admin/accounts/{n}/domains/{domain}/senders":                {303, false},
	"POST /admin/accounts/{n}/domains/{domain}/keys":                   {303, false},
	"GET /admin/accounts/{n}/domains/{domain}/keys/{selector}/remove":  {404, false}, // no such key
	"POST /admin/accounts/{n}/domains/{domain}/keys/{selector}/remove": {404, false},
	"GET /admin/accounts/{n}/domains/{domain}/remove":                  {200, false},
	"POST /admin/accounts/{n}/domains/{domain}/remove":                 {303, false},

	"GET /admin/accounts/{n}/rules":                          {200, false},
	"POST /admin/accounts/{n}/rules":                         {404, false}, // no such version
	"GET /admin/accounts/{n}/rules/edit":                     {200, false},
	"POST /admin/accounts/{n}/rules/edit":                    {422, false}, // no form
	"GET /admin/accounts/{n}/rules/add":                      {200, false},
	"POST /admin/accounts/{n}/rules/add":                     {422, false},
	"GET /admin/accounts/{n}/rules/compare":                  {200, false},
	"GET /admin/accounts/{n}/rules/versions/{version}":       {200, false},
	"POST /admin/accounts/{n}/rules/versions/{version}/undo": {412, false}, // another version is in force
	"GET /admin/accounts/{n}/policies":                       {200, false},
	"POST /admin/accounts/{n}/policies":                      {303, false}, // nothing is said, and so nothing changes
	"GET /admin/accounts/{n}/limits":                         {200, false},
	"POST /admin/accounts/{n}/limits":                        {403, false}, // an operator's
	"GET /admin/accounts/{n}/groups/{group}/policies":        {200, false},
	"POST /admin/accounts/{n}/groups/{group}/policies":       {303, false},

	"GET /admin/accounts/{n}/branding":              {200, false},
	"POST /admin/accounts/{n}/branding":             {303, false},
	"GET /admin/accounts/{n}/branding/contrast":     {200, false},
	"GET /admin/accounts/{n}/branding/preview":      {200, false},
	"POST /admin/accounts/{n}/branding/logo":        {422, false}, // no file
	"POST /admin/accounts/{n}/branding/logo/remove": {303, false},
	"POST /admin/accounts/{n}/branding/reset":       {303, false},

	"GET /admin/accounts/{n}/integrations":                         {200, false},
	"POST /admin/accounts/{n}/integrations":                        {422, false}, // no name
	"GET /admin/accounts/{n}/integrations/tokens/{token}/revoke":   {404, false}, // no such token
	"POST /admin/accounts/{n}/integrations/tokens/{token}/revoke":  {404, false},
	"GET /admin/accounts/{n}/integrations/webhooks/new":            {200, false},
	"POST /admin/accounts/{n}/integrations/webhooks/new":           {422, false}, // no address
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}":         {404, false}, // no such webhook
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}":        {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/test":   {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/pause":  {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/resume": {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/resend": {404, false},
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}/rotate":  {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/rotate": {404, false},
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}/delete":  {404, false},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/delete": {404, false},

	"GET /admin/accounts/{n}/users":                  {200, false},
	"GET /admin/accounts/{n}/users/new":              {200, false},
	"POST /admin/accounts/{n}/users/new":             {422, false},
	"GET /admin/accounts/{n}/users/invite":           {200, false},
	"POST /admin/accounts/{n}/users/invite":          {422, false},
	"POST /admin/accounts/{n}/users/export":          {200, false},
	"GET /admin/accounts/{n}/users/import":           {200, false},
	"POST /admin/accounts/{n}/users/import":          {422, false}, // no file
	"GET /admin/accounts/{n}/imports":                {200, false},
	"GET /admin/accounts/{n}/imports/template":       {200, false},
	"GET /admin/accounts/{n}/imports/{job}":          {200, false},
	"GET /admin/accounts/{n}/imports/{job}/rejected": {200, false},
	"POST /admin/accounts/{n}/imports/{job}/start":   {303, false},
	"POST /admin/accounts/{n}/imports/{job}/cancel":  {303, false},
	"GET /admin/accounts/{n}/users/{user}":           {200, false},
	"POST /admin/accounts/{n}/users/{user}/edit":     {303, false},
	"POST /admin/accounts/{n}/users/{user}/sessions": {303, false},
	"POST /admin/accounts/{n}/users/{user}/second":   {303, false},
	"POST /admin/accounts/{n}/users/{user}/merge":    {422, false}, // no address
	"POST /admin/accounts/{n}/users/bulk":            {404, false}, // no such act
	"GET /admin/accounts/{n}/bulk/{job}":             {404, false}, // another kind of job
	"POST /admin/accounts/{n}/bulk/{job}/stop":       {404, false},
	"POST /admin/accounts/{n}/users/{user}/tokens":   {303, false},
	"POST /admin/accounts/{n}/users/{user}/block":    {409, false},
	"POST /admin/accounts/{n}/users/{user}/unblock":  {303, false},
	"POST /admin/accounts/{n}/users/{user}/lift":     {404, false}, // no such act
	"GET /admin/accounts/{n}/users/{user}/reset":     {200, false},
	"POST /admin/accounts/{n}/users/{user}/reset":    {409, false}, // oneself
	"GET /admin/accounts/{n}/users/{user}/delete":    {200, false},
	"POST /admin/accounts/{n}/users/{user}/delete":   {409, false},
}

// objects are what stands in an address.
type objects struct{ n, group, user, invitation, domain, job string }

func (o objects) path(pattern string) string {
	_, path, _ := strings.Cut(pattern, " ")
	return strings.NewReplacer("{$}", "", "{n}", o.n, "{group}", o.group, "{user}", o.user, "{invitation}", o.invitation, "{domain}", o.domain, "{selector}", "none", "{job}", o.job, "{message}", "none", "{version}", "0").Replace(path)
}

func objectsOf(t *testing.T, h *webtest.House, number int64, text, address string) objects {
	t.Helper()
	ctx, op := t.Context(), account.Operator("test")
	groups, err := h.Accounts.Groups(ctx, op, number, "", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	i, err := h.Accounts.Invite(ctx, op, number, groups.Groups[0].ID, "guest-of-"+text+"@example.net", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	domain := "example-" + text + ".test"
	if _, _, err := h.Accounts.AddDomain(ctx, op, number, domain); err != nil {
		t.Fatal(err)
	}
	v, err := h.Accounts.CheckImport(ctx, op, number, account.Import{File: "people.csv"}, strings.NewReader("email\nnew-"+text+"@example.net\nnone\n"))
	if err != nil {
		t.Fatal(err)
	}
	return objects{text, groups.Groups[0].ID, idOf(t, h, address), i.ID, domain, v.ID}
}

// AT-56: every address of the console, for everybody, on objects of their own
// account and of another, gives exactly the declared result.
func TestMatrix(t *testing.T) {
	t.Parallel()
	h := house(t)
	stranger(t, h)
	ours := objectsOf(t, h, webtest.Account, "100042", webtest.Admin)
	theirs := objectsOf(t, h, 200007, "200007", "clara@elsewhere.example")

	nobody, user, admin, other := h.Browser(t), h.Browser(t), h.Browser(t), h.Browser(t)
	temporary := h.Browser(t)
	user.SignIn(t, webtest.User)
	admin.SignIn(t, webtest.Admin)
	other.SignIn(t, "clara@elsewhere.example")
	temporary.SignIn(t, "paul@example.org")

	ask := func(b *webtest.Browser, pattern string, o objects) (int, string) {
		method, _, _ := strings.Cut(pattern, " ")
		a := b.Do(t, method, o.path(pattern), nil)
		return a.Status, a.Header.Get("Location")
	}
	seen := 0
	for _, rt := range h.Kit.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if !strings.HasPrefix(path, "/admin") || path == "/admin/signin" || path == "/admin/request" {
			continue
		}
		seen++
		rule, declared := matrix[rt.Pattern]
		if !declared {
			t.Errorf("AT-56: %s is not declared", rt.Pattern)
			continue
		}
		check := func(who string, b *webtest.Browser, o objects, status int, to string) {
			t.Helper()
			got, at := ask(b, rt.Pattern, o)
			if got != status || to != "" && !strings.HasPrefix(at, to) {
				t.Errorf("AT-56: %s %s as %s: %d %s, not %d %s", method, o.path(rt.Pattern), who, got, at, status, to)
			}
		}
		if method == http.MethodGet {
			check("nobody", nobody, ours, 303, "/admin/signin?next=")
			check("a user", user, ours, 303, "/admin/request")
			check("one with a temporary password", temporary, ours, 303, "/password") // AT-42
		} else {
			check("nobody", nobody, ours, 401, "")
			// The act itself refuses, and records it.
			before := refusals(t, h)
			check("a user", user, ours, cmp.Or(map[string]int{"/admin/audit/export": 404}[path], 403), "") // the log of no account is not there
			if n := refusals(t, h) - before; n != 1 {
				t.Errorf("%s as a user leaves %d records", rt.Pattern, n)
			}
			check("one with a temporary password", temporary, ours, 303, "/password")
		}
		// The answers that change something come last: what is asked for is still there.
		if rule.outside {
			check("an administrator of another account", other, ours, rule.status, "")
		} else {
			check("an administrator of another account", other, ours, 404, "")
			check("the administrator, in another account", admin, theirs, 404, "")
			check("the administrator, in no account", admin, objects{"999999", ours.group, ours.user, ours.invitation, ours.domain, ours.job}, 404, "")
			if strings.Contains(path, "{group}") || strings.Contains(path, "{user}") || strings.Contains(path, "{invitation}") || strings.Contains(path, "{domain}") || strings.Contains(path, "{job}") {
				mixed := objects{ours.n, theirs.group, theirs.user, theirs.invitation, theirs.domain, theirs.job}
				check("the administrator, with ids of another account", admin, mixed, 404, "") // AT-59
			}
		}
		check("the administrator", admin, ours, rule.status, "")
	}
	if seen != len(matrix) {
		t.Errorf("%d addresses are served, %d declared", seen, len(matrix))
	}
	if n := administrators(t, h); n != 1 {
		t.Errorf("AT-58: after all that the account has %d administrators", n)
	}
}

// refusals counts the refusals that are recorded, of whichever account.
func refusals(t *testing.T, h *webtest.House) (n int) {
	t.Helper()
	err := h.DB.View(t.Context(), func(tx *store.Tx) error {
		for _, number := range []int64{0, webtest.Account} {
			for before := ""; ; {
				rows, err := tx.ListAudit(number, before, 500)
				if err != nil || len(rows) == 0 {
					if err != nil {
						return err
					}
					break
				}
				for _, r := range rows {
					if r.Outcome == store.Refused {
						n++
					}
				}
				before = rows[len(rows)-1].ID
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func administrators(t *testing.T, h *webtest.House) int {
	t.Helper()
	var left []store.User
	if err := h.DB.View(t.Context(), func(tx *store.Tx) (err error) {
		left, err = tx.ListAdministrators(webtest.Account, 10)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return len(left)
}

// AT-58: a user gives themselves no right, by any form.
func TestUserGrantsThemselvesNothing(t *testing.T) {
	t.Parallel()
	h := house(t)
	o := objectsOf(t, h, webtest.Account, "100042", webtest.User)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	path := "/admin/accounts/100042"
	for _, form := range [][]string{
		{path + "/groups/" + o.group + "/members", "user", webtest.User},
		{path + "/groups/" + o.group + "/members", "do", "invite", "user", webtest.User},
		{path + "/users/new", "do", "save", "address", "other@example.org", "password", "a password of mine", "confirm", "a password of mine", "group", o.group},
		{path + "/users/" + idOf(t, h, webtest.Admin) + "/reset"},
		{path + "/groups", "name", "Mine"},
		{path + "/requests", "id", "x", "do", "grant"},
	} {
		if a := b.Post(t, form[0], form[1:]...); a.Status != 403 {
			t.Errorf("AT-58: %v answers %d", form, a.Status)
		}
	}
	if n := administrators(t, h); n != 1 {
		t.Errorf("AT-58: %d administrators", n)
	}
	// A request names no account but one's own, whatever the form says.
	if a := b.Post(t, "/admin/request", "reason", "x", "account", "200007"); a.Status != 303 {
		t.Errorf("asking: %d", a.Status)
	}
}

// AT-59: people and groups of another account, in bodies, filters and searches,
// are as if they were not there.
func TestOtherAccountsAreNotThere(t *testing.T) {
	t.Parallel()
	h := house(t)
	_, group, user := stranger(t, h)
	o := objectsOf(t, h, webtest.Account, "100042", webtest.Admin)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	path := "/admin/accounts/100042"

	// Their people are nonexistent, in the very same words as nobody's.
	theirs := b.Post(t, path+"/groups/"+o.group+"/members", "user", "clara@elsewhere.example")
	nobodys := b.Post(t, path+"/groups/"+o.group+"/members", "user", "carla@elsewhere.example")
	if theirs.Status != 422 || strings.ReplaceAll(theirs.Body, "clara@", "carla@") != nobodys.Body {
		t.Errorf("AT-59: somebody of another account and nobody give %d and %d, or other words", theirs.Status, nobodys.Status)
	}
	if a := b.Post(t, path+"/users/new", "do", "save", "address", "new@example.org", "first_name", "N", "last_name", "R", "password", "a password of mine", "confirm", "a password of mine", "enforce", "1", "group", group); a.Status != 404 {
		t.Errorf("AT-59: a group of another account in a form: %d", a.Status)
	}
	if a := b.Post(t, path+"/users/invite", "user", "new@example.org", "group", group); a.Status != 404 {
		t.Errorf("AT-59: an invitation to a group of another account: %d", a.Status)
	}
	for _, q := range []string{"/users?q=clara", "/users?q=200007", "/groups?q=else", "/suggest?q=clara&group=" + group} {
		if a := b.Get(t, path+q); strings.Contains(a.Body, "elsewhere.example") || strings.Contains(a.Body, user) {
			t.Errorf("AT-59: %s shows somebody of another account", q)
		}
	}
	if a := b.Get(t, "/admin/accounts"); strings.Contains(a.Body, "200007") || !strings.Contains(a.Body, "Showing 1 account.") {
		t.Error("AT-59: the list knows of another account")
	}
}

// delegates is the declared result of each address for who manages all people,
// who manages one group, and who reads the log, on the administrators' group and
// an administrator: 200 where they may look, 403 where it is too much for them,
// 404 where it is as if it were not there.
var delegates = map[string][3]int{
	"GET /admin/accounts/{n}/suspend":                                  {403, 403, 403},
	"POST /admin/accounts/{n}/suspend":                                 {403, 403, 403},
	"GET /admin/accounts/{n}/resume":                                   {403, 403, 403},
	"POST /admin/accounts/{n}/resume":                                  {403, 403, 403},
	"GET /admin/accounts/{n}":                                          {200, 200, 200},
	"GET /admin/accounts/{n}/settings":                                 {403, 403, 200},
	"POST /admin/accounts/{n}/settings":                                {403, 403, 403},
	"GET /admin/accounts/{n}/delete":                                   {403, 403, 403},
	"POST /admin/accounts/{n}/delete":                                  {403, 403, 403},
	"POST /admin/accounts/{n}/keep":                                    {403, 403, 403},
	"GET /admin/accounts/{n}/export":                                   {403, 403, 403},
	"POST /admin/accounts/{n}/export":                                  {403, 403, 403},
	"POST /admin/accounts/{n}/export/{job}/stop":                       {403, 403, 403},
	"POST /admin/accounts/{n}/export/{job}/file":                       {403, 403, 403},
	"GET /admin/accounts/{n}/messages":                                 {404, 404, 404},
	"POST /admin/accounts/{n}/messages":                                {404, 404, 404},
	"POST /admin/accounts/{n}/messages/export":                         {404, 404, 404},
	"GET /admin/accounts/{n}/messages/{message}":                       {404, 404, 404},
	"POST /admin/accounts/{n}/messages/{message}":                      {404, 404, 404},
	"GET /admin/accounts/{n}/suggest":                                  {200, 200, 200},
	"GET /admin/accounts/{n}/audit":                                    {403, 403, 200},
	"GET /admin/accounts/{n}/audit/{event}":                            {403, 403, 404},
	"POST /admin/accounts/{n}/audit/export":                            {403, 403, 200},
	"GET /admin/accounts/{n}/requests":                                 {200, 403, 403},
	"POST /admin/accounts/{n}/requests":                                {404, 403, 403},
	"GET /admin/accounts/{n}/groups":                                   {200, 200, 200},
	"POST /admin/accounts/{n}/groups":                                  {303, 403, 403},
	"GET /admin/accounts/{n}/groups/{group}":                           {200, 404, 200},
	"POST /admin/accounts/{n}/groups/{group}":                          {409, 403, 403},
	"POST /admin/accounts/{n}/groups/{group}/rights":                   {409, 404, 403},
	"GET /admin/accounts/{n}/groups/{group}/delete":                    {409, 404, 409},
	"POST /admin/accounts/{n}/groups/{group}/delete":                   {409, 403, 403},
	"GET /admin/accounts/{n}/groups/{group}/members":                   {200, 404, 200},
	"POST /admin/accounts/{n}/groups/{group}/members":                  {403, 404, 403},
	"GET /admin/accounts/{n}/groups/{group}/members/remove":            {200, 404, 200},
	"POST /admin/accounts/{n}/groups/{group}/members/remove":           {403, 404, 403},
	"GET /admin/accounts/{n}/groups/{group}/members/{user}/end":        {200, 404, 200},
	"POST /admin/accounts/{n}/groups/{group}/members/{user}/end":       {403, 404, 403},
	"GET /admin/accounts/{n}/groups/{group}/members/{user}/remove":     {200, 404, 200},
	"POST /admin/accounts/{n}/groups/{group}/members/{user}/remove":    {403, 404, 403},
	"POST /admin/accounts/{n}/invitations/{invitation}/resend":         {403, 404, 403},
	"GET /admin/accounts/{n}/invitations/{invitation}/revoke":          {403, 404, 403},
	"POST /admin/accounts/{n}/invitations/{invitation}/revoke":         {403, 404, 403},
	"GET /admin/accounts/{n}/reports":                                  {403, 403, 403},
	"GET /admin/accounts/{n}/reports/{by}":                             {403, 403, 403},
	"GET /admin/accounts/{n}/domains":                                  {403, 403, 200},
	"POST /admin/accounts/{n}/domains":                                 {403, 403, 403},
	"GET /admin/accounts/{n}/domains/{domain}":                         {403, 403, 200},
	"POST /admin/accounts/{n}/domains/{domain}/check":                  {403, 403, 403},
	"POST /admin/accounts/{n}/domains/{domain}/senders":                {403, 403, 403},
	"POST /admin/accounts/{n}/domains/{domain}/keys":                   {403, 403, 403},
	"GET /admin/accounts/{n}/domains/{domain}/keys/{selector}/remove":  {403, 403, 404},
	"POST /admin/accounts/{n}/domains/{domain}/keys/{selector}/remove": {403, 403, 403},
	"GET /admin/accounts/{n}/domains/{domain}/remove":                  {403, 403, 200},
	"POST /admin/accounts/{n}/domains/{domain}/remove":                 {403, 403, 403},
	"GET /admin/accounts/{n}/rules":                                    {403, 403, 200},
	"POST /admin/accounts/{n}/rules":                                   {403, 403, 404}, // no such act
	"GET /admin/accounts/{n}/rules/edit":                               {403, 403, 200},
	"POST /admin/accounts/{n}/rules/edit":                              {403, 403, 422}, // no form
	"GET /admin/accounts/{n}/rules/add":                                {403, 403, 403},
	"POST /admin/accounts/{n}/rules/add":                               {403, 403, 403},
	"GET /admin/accounts/{n}/rules/compare":                            {403, 403, 200},
	"GET /admin/accounts/{n}/rules/versions/{version}":                 {403, 403, 200},
	"POST /admin/accounts/{n}/rules/versions/{version}/undo":           {403, 403, 403},
	"GET /admin/accounts/{n}/branding":                                 {403, 403, 200},
	"POST /admin/accounts/{n}/branding":                                {403, 403, 403},
	"GET /admin/accounts/{n}/branding/contrast":                        {403, 403, 200},
	"GET /admin/accounts/{n}/branding/preview":                         {403, 403, 200},
	"POST /admin/accounts/{n}/branding/logo":                           {403, 403, 403},
	"POST /admin/accounts/{n}/branding/logo/remove":                    {403, 403, 403},
	"POST /admin/accounts/{n}/branding/reset":                          {403, 403, 403},
	"GET /admin/accounts/{n}/policies":                                 {403, 403, 200},
	"POST /admin/accounts/{n}/policies":                                {403, 403, 403},
	"GET /admin/accounts/{n}/limits":                                   {403, 403, 200},
	"POST /admin/accounts/{n}/limits":                                  {403, 403, 403},
	"GET /admin/accounts/{n}/groups/{group}/policies":                  {403, 403, 200},
	"POST /admin/accounts/{n}/groups/{group}/policies":                 {403, 403, 403},
	"GET /admin/accounts/{n}/integrations":                             {403, 403, 403},
	"POST /admin/accounts/{n}/integrations":                            {403, 403, 403},
	"GET /admin/accounts/{n}/integrations/tokens/{token}/revoke":       {403, 403, 403},
	"GET /admin/accounts/{n}/integrations/webhooks/new":                {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/new":               {403, 403, 403},
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}":             {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}":            {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/test":       {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/pause":      {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/resume":     {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/resend":     {403, 403, 403},
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}/rotate":      {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/rotate":     {403, 403, 403},
	"GET /admin/accounts/{n}/integrations/webhooks/{hook}/delete":      {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/webhooks/{hook}/delete":     {403, 403, 403},
	"POST /admin/accounts/{n}/integrations/tokens/{token}/revoke":      {403, 403, 403},
	"GET /admin/accounts/{n}/users":                                    {200, 200, 200},
	"GET /admin/accounts/{n}/users/new":                                {200, 200, 403},
	"POST /admin/accounts/{n}/users/new":                               {403, 404, 403},
	"GET /admin/accounts/{n}/users/invite":                             {200, 200, 403},
	"POST /admin/accounts/{n}/users/invite":                            {403, 404, 403},
	"POST /admin/accounts/{n}/users/export":                            {200, 200, 200},
	"GET /admin/accounts/{n}/users/import":                             {200, 403, 403},
	"POST /admin/accounts/{n}/users/import":                            {422, 403, 403},
	"GET /admin/accounts/{n}/imports":                                  {200, 403, 403},
	"GET /admin/accounts/{n}/imports/template":                         {200, 403, 403},
	"GET /admin/accounts/{n}/imports/{job}":                            {200, 403, 403},
	"GET /admin/accounts/{n}/imports/{job}/rejected":                   {200, 403, 403},
	"POST /admin/accounts/{n}/imports/{job}/start":                     {303, 403, 403},
	"POST /admin/accounts/{n}/imports/{job}/cancel":                    {303, 403, 403},
	"GET /admin/accounts/{n}/users/{user}":                             {200, 404, 200},
	"POST /admin/accounts/{n}/users/{user}/groups":                     {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/edit":                       {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/sessions":                   {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/second":                     {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/merge":                      {422, 404, 403},
	"POST /admin/accounts/{n}/users/bulk":                              {404, 404, 403},
	"GET /admin/accounts/{n}/bulk/{job}":                               {404, 404, 403},
	"POST /admin/accounts/{n}/bulk/{job}/stop":                         {404, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/tokens":                     {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/block":                      {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/lift":                       {404, 404, 404}, // no such act
	"POST /admin/accounts/{n}/users/{user}/unblock":                    {403, 404, 403},
	"GET /admin/accounts/{n}/users/{user}/reset":                       {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/reset":                      {403, 404, 403},
	"GET /admin/accounts/{n}/users/{user}/delete":                      {403, 404, 403},
	"POST /admin/accounts/{n}/users/{user}/delete":                     {403, 404, 403},
}

// AT-56, AT-58: every address for everybody who has some rights only.
func TestMatrixOfDelegates(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	ours := objectsOf(t, h, webtest.Account, "100042", webtest.Admin)
	ward := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Ward"))
	browsers := make([]*webtest.Browser, 3)
	for i, grant := range []store.Grant{{Right: store.RightUsers}, {Right: store.RightUsers, Scope: ward.ID}, {Right: store.RightAudit}} {
		g := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "D"+string(rune('0'+i))))
		must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, g.ID, []store.Grant{grant}))
		address := "delegate" + string(rune('0'+i)) + "@example.org"
		must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password, GroupID: g.ID}))
		browsers[i] = h.Browser(t)
		browsers[i].SignIn(t, address)
	}
	for _, rt := range h.Kit.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if !strings.HasPrefix(path, "/admin/accounts/{n}") {
			continue
		}
		want, declared := delegates[rt.Pattern]
		if !declared {
			t.Errorf("AT-56: %s is not declared for delegates", rt.Pattern)
		}
		var got [3]int
		for i, b := range browsers {
			if method == http.MethodGet {
				got[i] = b.Get(t, ours.path(rt.Pattern)).Status
				continue
			}
			group := ours.group
			if strings.HasSuffix(path, "/groups") {
				group = "Account Administrators"
			}
			got[i] = b.Post(t, ours.path(rt.Pattern)+"?who="+ours.user, "name", "Mine", "user", "zoe@example.net", "group", group, "address", "zoe@example.net", "first_name", "Zoe", "last_name", "E",
				"password", webtest.Password, "confirm", webtest.Password, "domain", "mine.example", "id", "none", "do", "grant", "version", "0", "rule", "1").Status
		}
		if got != want {
			t.Errorf("AT-56: %q: {%d, %d, %d},", rt.Pattern, got[0], got[1], got[2])
		}
	}
	if n := administrators(t, h); n != 1 {
		t.Errorf("AT-58: after all that the account has %d administrators", n)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A group's rights are what its page says: given, confined, and taken.
func TestGroupRightsPage(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	ward := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Ward"))
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	path := "/admin/accounts/100042/groups/" + ward.ID
	b.Post(t, path+"/rights", "on", "0", "right-0", "users", "scope-0", ward.ID, "right-1", "audit", "scope-1", "")
	got := must[account.GroupRights](t)(h.Accounts.GroupRights(ctx, op, webtest.Account, ward.ID))
	if len(got.Grants) != 1 || got.Grants[0].Grant != (store.Grant{Right: store.RightUsers, Scope: ward.ID}) {
		t.Errorf("given %+v", got.Grants)
	}
	if a := b.Get(t, path); strings.Count(a.Body, " checked") != 1 || !strings.Contains(a.Body, `value="`+ward.ID+`" selected`) {
		t.Errorf("the page does not say what was given: %s", a.Body)
	}
	b.Post(t, path+"/rights", "right-0", "users", "scope-0", ward.ID)
	if got = must[account.GroupRights](t)(h.Accounts.GroupRights(ctx, op, webtest.Account, ward.ID)); len(got.Grants) != 0 {
		t.Errorf("taken, and left %+v", got.Grants)
	}
	if a := b.Post(t, path+"/rights", "on", "0", "right-0", "settings", "scope-0", ward.ID); a.Status != 422 {
		t.Errorf("settings over one group: %d", a.Status)
	}
}

// The last day of a membership is the account's, whichever zone its reader is in.
func TestLastDayIsTheAccounts(t *testing.T) {
	t.Parallel()
	h := house(t)
	ward := must[store.Group](t)(h.Accounts.AddGroup(t.Context(), account.Operator("test"), webtest.Account, "Ward"))
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	b.Post(t, "/profile", "first_name", "Ana", "last_name", "Silva", "language", "en", "time_zone", "Asia/Tokyo")
	path := "/admin/accounts/100042/groups/" + ward.ID + "/members"
	b.Post(t, path, "user", webtest.User, "until", "2099-11-30")
	if a := b.Get(t, path); !strings.Contains(a.Body, "until 30 November 2099") || strings.Contains(a.Body, "1 December") {
		t.Errorf("%s", a.Body)
	}
	b.Post(t, path, "user", webtest.User, "until", "2099-12-31")
	if a := b.Get(t, path); !strings.Contains(a.Body, "is already a member: until 31 December 2099") || !strings.Contains(a.Body, "until 31 December 2099") {
		t.Errorf("added once more: %s", a.Body)
	}
}

// The page of a group names no other group to who manages this one only.
func TestGroupPageNamesNoForeignGroup(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	group := func(name string) store.Group {
		return must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, name))
	}
	ward, leads, far := group("Ward"), group("Leads"), group("Far and secret")
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, leads.ID, []store.Grant{{Right: store.RightUsers, Scope: ward.ID}}))
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, ward.ID, []store.Grant{{Right: store.RightAudit, Scope: far.ID}}))
	must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: "lead@example.org", Password: webtest.Password, Confirm: webtest.Password, GroupID: leads.ID}))
	path := "/admin/accounts/100042/groups/" + ward.ID
	b := h.Browser(t)
	b.SignIn(t, "lead@example.org")
	if a := b.Get(t, path); a.Status != 200 || strings.Contains(a.Body, far.Name) || strings.Contains(a.Body, far.ID) || !strings.Contains(a.Body, "only members of a group that you do not manage") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Post(t, path+"/rights", "on", "0", "right-0", "audit", "scope-0", ""); a.Status != http.StatusForbidden {
		t.Errorf("posted all the same: %d", a.Status)
	}
	b = h.Browser(t)
	b.SignIn(t, webtest.Admin)
	if a := b.Get(t, path); !strings.Contains(a.Body, far.Name) {
		t.Errorf("an administrator: %s", a.Body)
	}
}

// The page of a user does not offer a delegate to take back what was required by
// who manages everybody, and says why.
func TestReleaseIsOffered(t *testing.T) {
	t.Parallel()
	h := house(t)
	ctx, op := t.Context(), account.Operator("test")
	ward := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Ward"))
	leads := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Leads"))
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, leads.ID, []store.Grant{{Right: store.RightUsers, Scope: ward.ID}}))
	person := func(address, group string) store.User {
		return must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password, GroupID: group})).User
	}
	person("lead@example.org", leads.ID)
	nina := person("nina@example.org", ward.ID)
	b := h.Browser(t)
	b.SignIn(t, "lead@example.org")
	path := "/admin/accounts/100042/users/" + nina.ID
	const button, says = "Require it no longer", "Only such an administrator"
	b.Post(t, path+"/second", "required", "yes")
	if a := b.Get(t, path); !strings.Contains(a.Body, button) || strings.Contains(a.Body, says) {
		t.Errorf("of what they required themselves: %s", a.Body)
	}
	must[store.User](t)(h.Accounts.RequireSecond(ctx, op, webtest.Account, nina.ID, true))
	if a := b.Get(t, path); strings.Contains(a.Body, button) || !strings.Contains(a.Body, says) {
		t.Errorf("of what an operator required: %s", a.Body)
	}
	if a := b.Post(t, path+"/second", "required", "no"); a.Status != http.StatusForbidden {
		t.Errorf("posted all the same: %d", a.Status)
	}
}
