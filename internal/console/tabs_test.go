package console_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// A tab says of itself that it is the page, or the section that the page is in.
func TestTabs(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	group := objectsOf(t, h, webtest.Account, "100042", webtest.Admin).group
	for path, want := range map[string]string{"/groups": "page", "/groups/" + group + "/members": "true"} {
		tab := `<a href="/admin/accounts/100042/groups" aria-current="` + want + `">`
		if a := b.Get(t, "/admin/accounts/100042"+path); !strings.Contains(a.Body, tab) || strings.Count(a.Body, `href="/admin/accounts/100042/groups" aria-current`) != 1 {
			t.Errorf("%s: no %s", path, tab)
		}
	}
}
