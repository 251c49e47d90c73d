package account_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
)

// An invitation is written in the language in which it is sent; by somebody
// who acts in none, in the account's.
func TestInvitationLanguage(t *testing.T) {
	each(t, func(w *world) {
		ada, _ := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		own := get[account.AccountView](w)(w.Account(w.Context(), actor, 100042)).Language
		for _, c := range []struct{ language, want string }{{"fr", "fr"}, {"en", "en"}, {"", own}} {
			actor.Language = c.language
			get[account.Pending](w)(w.Invite(w.Context(), actor, 100042, "", "lea@example.net", time.Time{}))
			if l, _ := last[account.InvitationLetter](w.mail); l.Language != c.want {
				t.Errorf("in %q it is written in %q, not %q", c.language, l.Language, c.want)
			}
		}
	})
}
