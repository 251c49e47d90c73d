package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// AT-59: a form about another account is refused once, with one record of it
// among those of the administrator's own, and the answer is that refusal.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	h := house(t)
	stranger(t, h)
	theirs := objectsOf(t, h, 200007, "200007", "clara@elsewhere.example")
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	refusals := func() (n int) {
		page, err := h.Accounts.Audit(t.Context(), account.Operator("test"), webtest.Account, "", 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Records {
			if row.Outcome == store.Refused {
				n++
			}
		}
		return n
	}
	fields := []string{"user", "new@example.org", "name", "New", "address", "new@example.org", "first_name", "N", "last_name", "W",
		"password", "four blue owls sing", "confirm", "four blue owls sing", "enforce", "1", "id", "x"}
	for _, rt := range h.Kit.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if method != http.MethodPost || !strings.HasPrefix(path, "/admin/accounts/{n}") {
			continue
		}
		for _, do := range []string{"", "invite", "generate", "grant"} {
			before := refusals()
			a := b.Post(t, theirs.path(rt.Pattern), append(fields, "do", do)...)
			if n := refusals() - before; do == "" && (n != 1 || a.Status != 404) || n > 1 || a.Status < 300 {
				t.Errorf("%s, do=%s: %d, %d refusals recorded", rt.Pattern, do, a.Status, n)
			}
		}
	}
}
