package console_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// What became of several addresses is counted with the right plurals and
// without zeros, and words that are no address are one slip.
func TestMixed(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	path := b.Visit(t, "/admin/accounts/100042/groups?lang=en").Href(t, "Account Administrators")
	for _, c := range []struct{ lang, typed, want, not string }{
		{"en", webtest.Admin + ", nobody@example.net", "<p>1 already a member, 1 needs a decision.</p>", " added"},
		{"en", webtest.Admin + ", x@example.net, y@example.net", "<p>1 already a member, 2 need a decision.</p>", " added"},
		{"fr", webtest.Admin + ", pas une adresse", "<p>1 déjà membre, 1 à décider.</p>", " ajouté"},
		{"fr", "pas une adresse", "\u00a0: pas une adresse</p>", "à décider"},
	} {
		b.Visit(t, path+"?lang="+c.lang)
		a := b.Post(t, path, "user", c.typed)
		if a.Status != 422 || !strings.Contains(a.Body, c.want) || strings.Contains(a.Body, c.not) {
			_, problem, _ := strings.Cut(a.Body, `id="problem"`)
			t.Errorf("%q: %d %.900s", c.typed, a.Status, problem)
		}
	}
}

// Who made their own sign-in is removed from the account, neither blocked nor
// deleted: the page, its question and its answer say so. Their invitation was
// written in the language of the page it was sent from.
func TestLeave(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	b.Visit(t, "/admin/accounts/100042/users/invite?lang=en").Press(t, "Send an invitation", "User Name", "lea@example.net")
	lea := h.Browser(t)
	const own = "four blue owls sing at nine"
	p := lea.Visit(t, h.Invited()+"?lang=en")
	if !strings.Contains(p.Body, " UTC</time>") {
		t.Error("the end of the invitation names no zone")
	}
	p.Press(t, "Accept and choose a password", "First Name", "Léa", "Last Name", "Martin", "Password", own, "Confirm password", own)

	user := b.Visit(t, "/admin/accounts/100042/users").Follow(t, "Léa Martin")
	if !user.Has("This person created their own sign-in, so it cannot be blocked here. You can remove them from the account: they are signed out at once.") ||
		strings.Contains(user.Body, "/block") {
		t.Errorf("%q", user.Texts("p"))
	}
	ask := user.Follow(t, "Remove from the account")
	if ask.Heading(t) != "Remove Léa Martin from account 100042?" {
		t.Errorf("asks %q", ask.Heading(t))
	}
	if done := ask.Press(t, "Remove Léa Martin"); !done.Has("Léa Martin is no longer in this account.") {
		t.Errorf("%d %q", done.Status, done.Texts("p"))
	}
}

// A page of several forms, one of which is refused, shows the others as they were.
func TestOtherForms(t *testing.T) {
	t.Parallel()
	h := house(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.Admin)
	user := b.Visit(t, "/admin/accounts/100042/users?lang=en").Follow(t, "Ana Silva")
	refused := user.Press(t, "Propose to merge", "Address of the user who goes", "nobody@example.org")
	if refused.Status != 422 {
		t.Fatalf("%d %q", refused.Status, refused.Texts("p"))
	}
	for label, want := range map[string]string{"Address of the user who goes": "nobody@example.org", "First Name": "Ana", "Last Name": "Silva"} {
		if got := refused.Value(t, label); got != want {
			t.Errorf("%s: %q, not %q", label, got, want)
		}
	}
}
