package console_test

import (
	"bytes"
	"mime/multipart"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// work posts the form in which rules are edited and tried.
func work(t *testing.T, b *webtest.Browser, file string, pairs ...string) webtest.Answer {
	t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := m.WriteField(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if file != "" {
		p, err := m.CreateFormFile("file", "a.eml")
		if err != nil {
			t.Fatal(err)
		}
		p.Write([]byte(file))
	}
	m.Close()
	return b.Do(t, "POST", "/admin/accounts/100042/rules/edit", body.String(), "Content-Type", m.FormDataContentType())
}

const badName = `<img src=x onerror=alert(1)>`

// Hostile rules are refused whole, or shown as they are; nothing typed is lost.
func TestHostileRules(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	large := "# " + strings.Repeat("é", 1<<19) + "\n"
	var dear strings.Builder
	for range 30 {
		dear.WriteString("[[rule]]\nname = 'R'\nthen = 'seal'\ntext_matches = '\\pL{200}'\n")
	}
	for name, c := range map[string]struct {
		text, says string
	}{
		"1 MiB":      {large, "256"},
		"expensive":  {dear.String(), "take too long"},
		"NUL":        {"# \x00\n", "TOML"},
		"not UTF-8":  {"# \xff\n", "TOML"},
		"deep":       {"x = " + strings.Repeat("[", 50_000), "TOML"},
		"two faults": {"default = 'x'\n[[rule]]\nname = 'R'\n", "line 2, then of rule 1"},
	} {
		for _, do := range []string{"save", "try"} {
			a := work(t, b, "", "text", c.text, "version", "0", "do", do)
			if a.Status != 422 || !strings.Contains(a.Body, c.says) || !strings.Contains(a.Body, "<title>Error: ") {
				t.Errorf("%s, %s: %d, without %q", name, do, a.Status, c.says)
			}
			if name != "NUL" && name != "not UTF-8" && !strings.Contains(strings.ReplaceAll(a.Body, "&#34;", `"`), c.text) {
				t.Errorf("%s, %s: the text is lost", name, do)
			}
		}
	}
	text := "[[rule]]\nname = '" + badName + "'\nsubject_matches = '<b>'\nthen = 'refuse'\nreason = '</textarea><script>alert(1)</script>'\n"
	if a := work(t, b, "", "text", text, "version", "0", "do", "save"); a.Status != 303 {
		t.Fatalf("put in force: %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"", "/edit", "/compare", "/versions/1"} {
		if a := b.Get(t, "/admin/accounts/100042/rules"+path); a.Status != 200 || strings.Contains(a.Body, badName) || strings.Contains(a.Body, "<script>alert") || !strings.Contains(a.Body, "&lt;img src=x") {
			t.Errorf("%s: %d, or HTML of a rule", path, a.Status)
		}
	}
	if a := work(t, b, "", "text", text, "version", "7", "do", "save"); a.Status != 303 { // nothing differs
		t.Errorf("the same again: %d", a.Status)
	}
	if a := work(t, b, "", "text", text+"# x\n", "version", "0", "do", "save"); a.Status != 412 || !strings.Contains(a.Body, `name="version" value="1"`) || !strings.Contains(a.Body, `class="new"`) {
		t.Errorf("changed meanwhile: %d", a.Status)
	}
	// A text that does not pass the check has not seen what is in force meanwhile.
	if a := work(t, b, "", "text", "x", "version", "0", "do", "save"); a.Status != 422 || !strings.Contains(a.Body, `name="version" value="0"`) {
		t.Errorf("wrong, and changed meanwhile: %d", a.Status)
	}
}

// A message that rules are tried on is kept nowhere.
func TestTriedMessageIsNotKept(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	b.Get(t, "/admin/accounts/100042/rules/edit")
	before := h.Tables(t)
	a := work(t, b, "Subject: [secure] lumbago\r\n\r\nlumbago\r\n", "text", "keywords = ['[secure]']", "version", "0", "from", webtest.User, "to", "a@x.test; b@y.test", "do", "message")
	if a.Status != 200 || strings.Count(a.Body, "because its subject has [secure]") != 2 || strings.Contains(a.Body, "lumbago") {
		t.Errorf("tried: %d %s", a.Status, a.Body)
	}
	if after := h.Tables(t); !reflect.DeepEqual(before, after) {
		t.Error("trying a message leaves something in the database")
	}
	if strings.Contains(h.Logged(), "lumbago") {
		t.Error("the log has the message")
	}
	for _, pairs := range [][]string{{"from", "no", "to", "a@x.test"}, {"from", "<>", "to", ""}, {"from", "<>", "to", "a@x.test, " + strings.Repeat("b@x.test,", 100)}, {"from", "<>", "to", "a b"}} {
		if a := work(t, b, "Subject: x\r\n\r\n", append(pairs, "text", "", "version", "0", "do", "message")...); a.Status != 422 {
			t.Errorf("%v: %d", pairs, a.Status)
		}
	}
	if a := work(t, b, strings.Repeat("x", 11<<20), "text", "", "version", "0", "from", "<>", "to", "a@x.test", "do", "message"); a.Status != 413 {
		t.Errorf("11 MiB: %d", a.Status)
	}
}

// Another account's versions are not there; who has the settings only does not
// learn who wrote to whom; who reads the log reads the rules and changes none.
func TestRulesOfOthers(t *testing.T) {
	t.Parallel()
	h := house(t)
	stranger(t, h)
	ctx, op := t.Context(), account.Operator("test")
	for _, text := range []string{"default = 'seal'", "default = 'plain'"} {
		must[store.RuleSet](t)(h.Accounts.SetRules(ctx, op, 200007, text))
	}
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	for _, path := range []string{"200007/rules", "200007/rules/versions/1", "200007/rules/compare?from=1&to=2", "100042/rules/versions/1", "100042/rules/versions/-1", "100042/rules/versions/01", "100042/rules/compare?from=0&to=2"} {
		if a := b.Get(t, "/admin/accounts/"+path); a.Status != 404 {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := b.Post(t, "/admin/accounts/100042/rules/versions/1/undo", "version", "0"); a.Status != 404 {
		t.Errorf("another account's version put in force: %d", a.Status)
	}
	delegate := func(right string) *webtest.Browser {
		g := must[store.Group](t)(h.Accounts.AddGroup(ctx, op, webtest.Account, "Of "+right))
		must[account.GroupRights](t)(h.Accounts.SetGroupRights(ctx, op, webtest.Account, g.ID, []store.Grant{{Right: right}}))
		address := right + "@example.org"
		must[account.Added](t)(h.Accounts.AddUser(ctx, op, webtest.Account, account.NewUser{Address: address, Password: webtest.Password, Confirm: webtest.Password, GroupID: g.ID, Own: true}))
		d := h.Browser(t)
		d.SignIn(t, address)
		return d
	}
	settles, reads := delegate(store.RightSettings), delegate(store.RightAudit)
	if a := work(t, settles, "", "text", "default = 'seal'", "version", "0", "do", "try"); a.Status != 403 {
		t.Errorf("simulated without the right over messages: %d", a.Status)
	}
	if a := settles.Get(t, "/admin/accounts/100042/rules/edit"); a.Status != 200 || strings.Contains(a.Body, `value="try"`) {
		t.Errorf("offered without the right: %d", a.Status)
	}
	if a := work(t, reads, "", "text", "default = 'seal'", "version", "0", "do", "save"); a.Status != 403 {
		t.Errorf("put in force by who reads: %d", a.Status)
	}
	if a := reads.Get(t, "/admin/accounts/100042/rules/edit"); a.Status != 200 || strings.Contains(a.Body, `value="save"`) {
		t.Errorf("offered to who reads: %d", a.Status)
	}
	if a := work(t, settles, "", "text", "default = 'seal'\n[[rule]]\nname = 'A'\nthen = 'seal'\n", "version", "0", "do", "save"); a.Status != 303 {
		t.Errorf("put in force by who has the settings: %d", a.Status)
	}
	for _, do := range []string{"remove", "up"} {
		if a := reads.Post(t, "/admin/accounts/100042/rules", "version", "1", "rule", "1", "do", do); do == "remove" && a.Status != 403 {
			t.Errorf("%s by who reads: %d", do, a.Status)
		}
	}
	if a := settles.Post(t, "/admin/accounts/100042/rules", "version", "1", "rule", "1", "do", "remove"); a.Status != 303 {
		t.Errorf("removed: %d", a.Status)
	}
	if set := must[store.RuleSet](t)(h.Accounts.Rules(ctx, op, webtest.Account, 0)); set.Version != 2 || strings.Contains(set.Body, "[[rule]]") {
		t.Errorf("%+v", set)
	}
}

// A form of nothing but ends of lines is refused without being taken apart line by line.
func TestLongRulesAreNotCompared(t *testing.T) {
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	text := strings.Repeat("\n", 6<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if a := work(t, b, "", "text", text, "version", "0", "do", "save"); a.Status != 422 {
		t.Errorf("status %d", a.Status)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 300 {
		t.Errorf("it took %d MiB", n)
	}
}

// The form of a rule says what is wrong with its name, at its field: there is none,
// or another rule has it.
func TestRuleNames(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const at = "/admin/accounts/100042/rules/add"
	add := func(name, place string) webtest.Answer {
		return b.Post(t, at, "name", name, "begins", "[lab]", "then", "seal", "file", "none", "place", place)
	}
	if a := add("Lab reports", "last"); a.Status != 303 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for name, says := range map[string]string{"": "Give the rule a name.", "lab REPORTS": "Another rule has this name already"} {
		for _, place := range []string{"first", "last"} {
			a := add(name, place)
			if a.Status != 422 || strings.Count(a.Body, says) != 2 || !strings.Contains(a.Body, `href="#f-name"`) || !strings.Contains(a.Body, `value="[lab]"`) || strings.Contains(a.Body, "cannot be used") {
				t.Errorf("%q, %s: %d %s", name, place, a.Status, a.Body)
			}
		}
	}
	text := "[[rule]]\nname = 'R'\nthen = 'seal'\n[[rule]]\nname = 'r'\nthen = 'plain'\n"
	if a := work(t, b, "", "text", text, "version", "1", "do", "save"); a.Status != 422 || !strings.Contains(a.Body, "line 5, name of rule 2: rule 1 has this name already") {
		t.Errorf("as text: %d", a.Status)
	}
}
