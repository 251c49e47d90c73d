package api_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// A decision takes a word; one that is no plain text of its length decides nothing.
func TestWordOfADecision(t *testing.T) {
	t.Parallel()
	h := house(t)
	admin, user := bearer(t, h, webtest.Admin), bearer(t, h, webtest.User)
	path := "/api/v1/access-requests/" + request(t, h)
	for _, do := range []string{"/grant", "/refuse"} {
		if a := user.Do(t, "POST", path+do, map[string]any{"word": "let them in"}); a.Status != 403 {
			t.Errorf("%s by who may not: %d", do, a.Status)
		}
		if a := tokenOf(t, h, "reports").Do(t, "POST", path+do, map[string]any{"word": "let them in"}); a.Status != 403 {
			t.Errorf("%s by a token without the scope: %d", do, a.Status)
		}
		for _, bad := range []any{strings.Repeat("x", 301), "a\u0000b", "a\rBcc: eve@z.test"} {
			if a := admin.Do(t, "POST", path+do, map[string]any{"word": bad}); a.Status != 422 || !strings.Contains(a.Body, `"name":"word"`) {
				t.Errorf("%s %q: %d %s", do, bad, a.Status, a.Body)
			}
		}
		if a := admin.Do(t, "POST", path+do, map[string]any{"word": []string{"x"}}); a.Status < 400 || a.Status >= 500 {
			t.Errorf("%s with a list: %d", do, a.Status)
		}
	}
	if a := admin.Do(t, "POST", path+"/refuse", map[string]any{"word": "Not <b>yet</b>\n."}); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := admin.Do(t, "POST", path+"/grant", map[string]any{"word": "after all"}); a.Status != 404 {
		t.Errorf("decided twice: %d", a.Status)
	}
	if a := admin.Do(t, "POST", "/api/v1/access-requests/"+request(t, h)+"/refuse", map[string]any{}); a.Status != 200 {
		t.Errorf("without a word: %d %s", a.Status, a.Body)
	}
}
