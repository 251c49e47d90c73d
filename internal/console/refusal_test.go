package console

import (
	"testing"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/store"
)

// An event's page says why something was refused as whoever tried it read it, and
// shows a key only where the record does not have what its text needs.
func TestRefusalText(t *testing.T) {
	t.Parallel()
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := catalogue.Printer("en", nil)
	for _, c := range []struct{ reason, want string }{
		{"err.forbidden", p.T("err.forbidden")},
		{"rt.above", p.T("rt.above", "name", "ada@example.org")},
		{"people.short", "people.short"}, // how many characters, it does not say
		{"made up", "made up"},
	} {
		row := store.AuditRow{Target: "ada@example.org", Outcome: store.Refused, Detail: map[string]string{"reason": c.reason}}
		if got := refusalText(p, row); got != c.want {
			t.Errorf("%s reads %q, want %q", c.reason, got, c.want)
		}
	}
	if p.T("err.forbidden") == "err.forbidden" {
		t.Error("no text err.forbidden")
	}
}
