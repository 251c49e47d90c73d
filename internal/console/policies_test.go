package console_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// Each setting has its sentence, its heading, and words for its values.
func TestSettingsHaveTexts(t *testing.T) {
	t.Parallel()
	cat, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range policy.Table {
		keys := []string{"po.s." + x.Name, "po.about." + x.About, "cli.setting." + x.Name}
		switch {
		case x.Words == nil:
			if keys = append(keys, "po.unit."+x.Unit); x.Min == 0 {
				keys = append(keys, "po.zero."+x.Name)
			}
		case x.Words[0] != "false":
			for _, w := range x.Words {
				keys = append(keys, "po.v."+x.Name+"."+w)
			}
		}
		for _, k := range keys {
			if text := cat.Printer("en", nil).T(k, "n", 2); text == "" || strings.Contains(text, k) {
				t.Errorf("%s has no text", k)
			}
		}
	}
}

// What is beyond a layer above is said at its field, and what was typed stays;
// of two who change the same settings the second is told; a check saves nothing.
func TestPoliciesPage(t *testing.T) {
	t.Parallel()
	h := house(t)
	if _, err := h.Accounts.SetSettings(t.Context(), account.Operator("test"), account.OfSite(), []account.Setting{{Name: "expiry_max", Value: "60"}}); err != nil {
		t.Fatal(err)
	}
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const at = "/admin/accounts/100042/policies"
	revision := func() string {
		_, rest, _ := strings.Cut(b.Visit(t, at).Body, `name="revision" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	seen := revision()
	a := b.Do(t, "POST", at, url.Values{"revision": {seen}, "expiry_max": {"61"}, "lease_days": {"3"}})
	if a.Status != 422 || !strings.Contains(a.Body, "longer than the site allows (60 days)") || !strings.Contains(a.Body, `name="lease_days" value="3"`) {
		t.Errorf("%d", a.Status)
	}
	a = b.Do(t, "POST", at, url.Values{"revision": {seen}, "expiry_max": {"45"}, "try": {"1"}})
	if a.Status != 200 || !strings.Contains(a.Body, `id="effect"`) || strings.Contains(a.Body, "&lt;time") || revision() != seen {
		t.Errorf("a check: %d", a.Status)
	}
	if a = b.Do(t, "POST", at, url.Values{"revision": {seen}, "expiry_max": {"45"}}); a.Status != 303 || revision() == seen {
		t.Errorf("saved: %d", a.Status)
	}
	if a = b.Do(t, "POST", at, url.Values{"revision": {seen}, "expiry_max": {"40"}}); a.Status != 412 || !strings.Contains(a.Body, `name="expiry_max" value="40"`) || !strings.Contains(a.Body, "still here") {
		t.Errorf("stale: %d", a.Status)
	}
	_, rest, _ := strings.Cut(b.Visit(t, at).Body, `name="undo" value="`)
	id, _, undoable := strings.Cut(rest, `"`)
	if a = b.Do(t, "POST", at, url.Values{"undo": {id}}); a.Status != 303 || !undoable || strings.Contains(b.Visit(t, at).Body, `value="45"`) {
		t.Errorf("undone: %d", a.Status)
	}
	if a = b.Do(t, "POST", at, url.Values{"undo": {id}}); a.Status != 409 || !strings.Contains(a.Body, "changed again since") {
		t.Errorf("undone twice: %d", a.Status)
	}
}

// From 80 % of a quota on the overview says so, and who can raise it.
func TestQuotaOnOverview(t *testing.T) {
	t.Parallel()
	h := house(t)
	limit := func(n string) {
		t.Helper()
		if _, err := h.Accounts.SetSettings(t.Context(), account.Operator("test"), account.LimitsOf(100042), []account.Setting{{Name: "quota_users", Value: n}}); err != nil {
			t.Fatal(err)
		}
	}
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	limit("100")
	for i := 0; ; i++ { // four
		v := must[account.AccountView](t)(h.Accounts.Account(t.Context(), account.Operator("test"), 100042))
		if v.Quotas[0].Used == 4 {
			break
		}
		must[account.Added](t)(h.Accounts.AddUser(t.Context(), account.Operator("test"), 100042, account.NewUser{Address: "q" + strconv.Itoa(i) + "@example.org", Password: webtest.Password, Confirm: webtest.Password}))
	}
	const says, who = "of %s users that the operators of this service allow are in use", "The operators of this service can raise this"
	for most, near := range map[string]bool{"4": true, "5": true, "6": false} {
		limit(most)
		if a := b.Get(t, "/admin/accounts/100042"); strings.Contains(a.Body, "4 "+fmt.Sprintf(says, most)) != near || strings.Contains(a.Body, who) != near {
			t.Errorf("4 of %s users: %s", most, a.Body)
		}
	}
}
