package desk_test

import (
	"strings"
	"testing"

	"github.com/pli-mail/pli/internal/web/webtest"
)

// AT-59: the pages of what somebody else sent are not there, neither are the
// acts; looking at one's own changes nothing.
func TestActPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, webtest.User)
	made := form(t, b, [][2]string{{"to", "bob@example.net, carol@example.net"}, {"subject", "Devis"}, {"body", "x"}}, nil)
	at := strings.SplitN(made.Header.Get("Location"), "?", 2)[0]
	if made.Status != 303 || !strings.HasPrefix(at, "/sent/") {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	made = form(t, b, [][2]string{{"to", "dan@example.net"}, {"subject", "Other"}, {"body", "x"}}, nil)
	other := b.Get(t, strings.SplitN(made.Header.Get("Location"), "?", 2)[0]).Body
	slot := strings.SplitN(strings.SplitN(other, `name="slot" value="`, 2)[1], `"`, 2)[0] // of another message

	eve := h.Browser(t)
	eve.SignIn(t, webtest.Admin) // of the same account, but its sender alone sees its pages
	for _, act := range []string{"lock", "expire", "recall", "expiry", "resend", "readdress"} {
		if a := eve.Get(t, at+"/"+act); a.Status != 404 {
			t.Errorf("somebody else's %s: %d", act, a.Status)
		}
		if a := b.Get(t, at+"/"+act+"?slot="+slot); a.Status != 404 {
			t.Errorf("another message's slot, %s: %d", act, a.Status)
		}
		if a := b.Post(t, at+"/"+act, "slot", slot, "choice", "7", "to", "x@example.net"); a.Status != 404 {
			t.Errorf("another message's slot, %s: %d", act, a.Status)
		}
	}
	for _, act := range []string{"lock", "expire", "recall", "expiry"} {
		if a := b.Get(t, at+"/"+act); a.Status != 200 {
			t.Errorf("%s: %d", act, a.Status)
		}
	}
	for _, page := range []string{at, "/sent?status=locked", "/sent?q=dan@example.net", "/sent?from=2026-02-31&until=x"} {
		if a := b.Get(t, page); a.Status != 200 || strings.Contains(a.Body, ">Locked<") && page == at {
			t.Errorf("%s: %d", page, a.Status)
		}
	}

	if a := b.Get(t, "/sent?after=x"); a.Status != 422 || !strings.Contains(a.Body, "begin at the first page") {
		t.Errorf("a place of no list: %d %s", a.Status, a.Body)
	}

	// A form that cannot be used comes back with what was typed.
	long := strings.Repeat("a", 201)
	if a := b.Post(t, at+"/lock", "reason", long); a.Status != 422 || !strings.Contains(a.Body, long) || !strings.Contains(a.Body, "Reason") {
		t.Errorf("a long reason: %d %s", a.Status, a.Body)
	}
	if a := b.Post(t, at+"/expiry", "choice", "date", "until", "tomorrow"); a.Status != 422 {
		t.Errorf("no date: %d", a.Status)
	}
	if a := b.Post(t, at+"/expiry", "choice", "never"); a.Status != 422 || !strings.Contains(a.Body, "30 days at most") {
		t.Errorf("more than the organisation allows: %d %s", a.Status, a.Body)
	}

	// Several: nothing selected, an unknown act, an administrator by its id.
	if a := b.Post(t, "/sent/many", "act", "lock"); a.Status != 303 {
		t.Errorf("nothing selected: %d", a.Status)
	}
	for _, act := range []string{"", "recall", "x"} {
		if a := b.Post(t, "/sent/many", "act", act, "id", at[len("/sent/"):]); a.Status != 422 {
			t.Errorf("act %q: %d", act, a.Status)
		}
	}
	if a := eve.Post(t, "/sent/many", "act", "lock", "id", at[len("/sent/"):]); a.Status != 200 || !strings.Contains(a.Body, "1 envelope changed") {
		t.Errorf("by an administrator: %d %s", a.Status, a.Body)
	}
	if a := b.Post(t, "/sent/many", "act", "expire", "which", "matching", "q", "devis"); a.Status != 200 || !strings.Contains(a.Body, "End all envelopes that match now?") {
		t.Errorf("asked before: %d %s", a.Status, a.Body)
	}
	if a := b.Post(t, "/sent/many", "act", "expire", "which", "matching", "q", "devis", "confirm", "1"); a.Status != 200 || !strings.Contains(a.Body, "1 envelope changed") {
		t.Errorf("done: %d %s", a.Status, a.Body)
	}
	if a := b.Get(t, "/sent?status=expired").Body; !strings.Contains(a, "Devis") || strings.Contains(a, ">Other<") {
		t.Error("not the ones that matched")
	}
}
