package console_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web/webtest"
)

// A list whose filters mean nothing is not shown, nor exported or acted on: its
// form has what was typed, and what is wrong with it at the field.
func TestWrongFilters(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	const a = "/admin/accounts/100042"
	for _, x := range []struct{ path, kept, field, says string }{
		{a + "/messages?from=2026-02-30&q=ann", `type="text" id="f-from" name="from" value="2026-02-30"`, "f-from", "Write the day as YYYY-MM-DD."},
		{a + "/messages?until=soon&q=ann", `id="f-until" name="until" value="soon"`, "f-until", "Write the day as YYYY-MM-DD."},
		{a + "/messages?from=2026-03-02&until=2026-03-01&q=ann", `type="date" id="f-until" name="until" value="2026-03-01"`, "f-until", "The last day is before the first."},
		{a + "/messages?status=lost&q=ann", `name="q" value="ann"`, "f-status", "Choose one of the values in the list."},
		{a + "/users?status=lost&q=ann", `name="q" value="ann"`, "f-status", "Choose one of the values in the list."},
		{a + "/audit?from=x&actor=ann", `id="f-from" name="from" value="x"`, "f-from", "Write the day as YYYY-MM-DD."},
		{a + "/audit?from=2026-03-02&to=2026-03-01&actor=ann", `name="to" value="2026-03-01"`, "f-to", "The last day is before the first."},
		{a + "/audit?action=user.fly&actor=ann", `<option value="user.fly" selected>`, "f-action", "Choose one of the values in the list."},
		{a + "/audit?result=lost&actor=ann", `<option value="lost" selected>`, "f-result", "Choose one of the values in the list."},
		{a + "/reports?days=x", "", "f-days", "days"},
		{a + "/reports?days=100000", "", "f-days", "days"},
		{a + "/reports?month=2026-13", "", "f-month", "A month is written like 2026-11."},
	} {
		page := b.Get(t, x.path)
		if page.Status != 422 || !strings.Contains(page.Body, x.kept) || !strings.Contains(page.Body, `id="`+x.field) || !strings.Contains(page.Body, `href="#`+x.field) || strings.Count(page.Body, x.says) < 2 {
			t.Errorf("%s: %d %s", x.path, page.Status, page.Body)
		}
		for _, is := range []string{"<table", `/export"`, "Nothing matches", "<figure"} {
			if strings.Contains(page.Body, is) {
				t.Errorf("%s shows a list: %s", x.path, is)
			}
		}
	}
	for path, fields := range map[string][]string{
		"/messages":        {"do", "lock", "which", "matching", "sure", "1", "from", "x"},
		"/messages/export": {"until", "x"},
		"/audit/export":    {"from", "x", "actor", "ann"},
		"/users/export":    {"status", "x"},
	} {
		if page := b.Post(t, a+path, fields...); page.Status != 422 || strings.Contains(page.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %d %s", path, page.Status, page.Body)
		}
	}
	if page := b.Get(t, a+"/reports/day?days=x"); page.Status != 422 {
		t.Errorf("the report's file: %d", page.Status)
	}
	for _, path := range []string{"/messages?from=2026-03-01&until=2026-03-01&status=locked", "/audit?from=2026-03-01&to=2026-03-02&result=done&action=user.add", "/audit?action=account.settings",
		"/reports?days=7", "/reports?month=2026-01", "/reports?days=", "/users?status=blocked"} {
		if page := b.Get(t, a+path); page.Status != 200 || strings.Contains(page.Body, "There is a problem") {
			t.Errorf("%s: %d", path, page.Status)
		}
	}

	// At the service's log, and of the right: who may not read is refused as ever.
	op := h.Browser(t)
	seed, _ := h.Authenticator(t, webtest.User)
	if _, _, err := h.Accounts.AddOperator(t.Context(), account.Operator("test"), webtest.User); err != nil {
		t.Fatal(err)
	}
	op.SignIn(t, webtest.User)
	op.Visit(t, "/admin/accounts").Press(t, "Continue", "Enter the code from your authenticator app", webtest.AppCode(t, seed, 1))
	for _, path := range []string{"/admin/audit?from=x&actor=ann", "/admin/audit?result=lost", "/admin/audit?action=site.settings&to=x"} {
		if page := op.Get(t, path); page.Status != 422 || strings.Contains(page.Body, "<table") {
			t.Errorf("%s: %d %s", path, page.Status, page.Body)
		}
	}
	if page := op.Get(t, "/admin/audit?action=site.settings"); page.Status != 200 {
		t.Errorf("%d", page.Status)
	}
	nobody := h.Browser(t)
	figures := must[store.Group](t)(h.Accounts.AddGroup(t.Context(), account.Operator("test"), webtest.Account, "Figures"))
	must[account.GroupRights](t)(h.Accounts.SetGroupRights(t.Context(), account.Operator("test"), webtest.Account, figures.ID, []store.Grant{{Right: store.RightReports}}))
	must[account.Added](t)(h.Accounts.AddUser(t.Context(), account.Operator("test"), webtest.Account, account.NewUser{Address: "nobody@example.org", Password: webtest.Password, Confirm: webtest.Password, GroupID: figures.ID}))
	nobody.SignIn(t, "nobody@example.org")
	for _, path := range []string{"/messages?from=x", "/audit?from=x", "/users?status=x"} {
		if was, now := nobody.Get(t, a+strings.Split(path, "?")[0]).Status, nobody.Get(t, a+path).Status; was != now || now < 400 || now == 422 {
			t.Errorf("%s: %d, without the filter %d", path, now, was)
		}
	}
}
