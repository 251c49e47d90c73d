package api_test

import (
	"encoding/base64"
	"testing"

	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// A list takes no place that it has not given out itself: not of another account,
// not of another list, and nothing that somebody made up.
func TestCursors(t *testing.T) {
	t.Parallel()
	h := house(t)
	_, doc := document(t, h)
	n := 0
	for _, o := range operations(doc) {
		after := false
		for _, p := range o.parameters {
			after = after || p.(map[string]any)["name"] == "after"
		}
		if !after {
			continue
		}
		n++
		path, _ := filled(t, h, o)
		admin := bearer(t, h, webtest.Admin) // each session has its 600 calls a minute
		for _, list := range []keyset.List{"users/100043", "invitations/100043", "groups/100043", "requests/100043", "nothing"} {
			for _, key := range []string{"zoe@example.org", keyset.Numbered(1764000000000, "abc")} {
				refused(t, admin.Do(t, "GET", path+"?after="+list.Cursor(key), nil), 422, "err.cursor")
			}
		}
		for _, cursor := range []string{"!", "0", "50", "1764000000000.abc", base64.RawURLEncoding.EncodeToString([]byte("zoe@example.org"))} {
			a := admin.Do(t, "GET", path+"?after="+cursor, nil)
			refused(t, a, 422, "err.cursor")
			var p problem
			if a.JSON(t, &p); len(p.Fields) != 1 || p.Fields[0].Name != "after" {
				t.Errorf("%s: %s", path, a.Body)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d lists page", n)
	}
}
