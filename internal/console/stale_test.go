package console_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// Of two administrators who have the same form open, the second is told that the
// first has saved theirs, and undoes nothing of it.
func TestTwoAdministratorsSave(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	o := objectsOf(t, h, webtest.Account, "100042", webtest.User)
	path := "/admin/accounts/100042"
	group := path + "/groups/" + must[store.Group](t)(h.Accounts.AddGroup(t.Context(), account.Operator("test"), webtest.Account, "Ward")).ID
	for _, c := range []struct {
		page, form    string
		first, second url.Values
	}{
		{group, group, url.Values{"name": {"Ward 1"}}, url.Values{"name": {"Ward 2"}}},
		{group, group + "/rights", url.Values{"on": {"0"}, "right-0": {"audit"}, "scope-0": {""}}, url.Values{"on": {"0"}, "right-0": {"reports"}, "scope-0": {""}}},
		{path + "/users/" + o.user, path + "/users/" + o.user + "/edit", url.Values{"first_name": {"Ann"}, "last_name": {"Roux"}}, url.Values{"first_name": {"Bea"}, "last_name": {"Roux"}}},
	} {
		_, form, _ := strings.Cut(b.Visit(t, c.page).Body, `action="`+c.form+`"`)
		form, _, _ = strings.Cut(form, "</form>")
		_, rest, _ := strings.Cut(form, `name="revision" value="`)
		seen, _, _ := strings.Cut(rest, `"`)
		for i, form := range []url.Values{c.first, c.second} {
			form.Set("revision", seen)
			if a := b.Do(t, "POST", c.form, form); a.Status != []int{303, 412}[i] {
				t.Errorf("%s: answer %d is %d", c.form, i+1, a.Status)
			}
		}
	}
}
