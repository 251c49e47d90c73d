package api_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// Rules are read, put in force where they are still as they were read, listed and
// tried; what is wrong is told line by line; another account's are not there.
func TestRules(t *testing.T) {
	t.Parallel()
	h := house(t)
	admin := bearer(t, h, webtest.Admin)
	var rules struct {
		Version int64
		Text    string
	}
	a := admin.Do(t, "GET", at("rules"), nil)
	if a.JSON(t, &rules); a.Status != 200 || rules.Version != 0 || !strings.Contains(rules.Text, "keywords") || a.Header.Get("ETag") != `"0"` {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	put := func(match, text string) webtest.Answer {
		return admin.Do(t, "PUT", at("rules"), map[string]string{"text": text}, "If-Match", match)
	}
	if a := put(`"0"`, "default = 'seal'"); a.Status != 200 || a.Header.Get("ETag") != `"1"` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	refused(t, put(`"0"`, "default = 'plain'"), 412, "people.rulesmoved")
	bad := put(`"1"`, "default = 'x'\n[[rule]]\nname = 'R'\n")
	refused(t, bad, 422, "cli.rules.bad")
	if strings.Count(bad.Body, `"text"`) < 2 || !strings.Contains(bad.Body, "line 2, then of rule 1") {
		t.Errorf("%s", bad.Body)
	}
	twice := put(`"1"`, "[[rule]]\nname = 'R'\nthen = 'seal'\n[[rule]]\nname = 'r'\nthen = 'plain'\n")
	refused(t, twice, 422, "cli.rules.bad")
	if !strings.Contains(twice.Body, "line 5, name of rule 2: rule 1 has this name already") {
		t.Errorf("%s", twice.Body)
	}
	if a := put("", strings.Repeat("#", 1<<20)); a.Status != 413 {
		t.Errorf("1 MiB: %d", a.Status)
	}
	if a := admin.Do(t, "GET", at("rules/versions"), nil); a.Status != 200 || strings.Count(a.Body, `"version"`) != 1 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := admin.Do(t, "GET", at("rules/versions/1"), nil); a.Status != 200 || !strings.Contains(a.Body, "default = 'seal'") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, path := range []string{at("rules/versions/2"), "/api/v1/accounts/200007/rules", "/api/v1/accounts/200007/rules/versions/1"} {
		if a := admin.Do(t, "GET", path, nil); a.Status != 404 {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := admin.Do(t, "POST", at("rules/simulate"), map[string]any{"text": "default = 'seal'", "days": 7}); a.Status != 200 || !strings.Contains(a.Body, `"items":[]`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for name, n := range map[string]int{"limit": 501, "days": 366} {
		refused(t, admin.Do(t, "POST", at("rules/simulate"), map[string]any{"text": "default = 'seal'", name: n}), 422, "api.badjson")
		refused(t, admin.Do(t, "POST", at("rules/simulate"), map[string]any{"text": "default = 'seal'", name: 0}), 422, "api.badjson")
	}
	refused(t, tokenOf(t, h, "settings", "messages").Do(t, "POST", at("rules/simulate"), map[string]any{"text": ""}), 403, "tok.session")
}
