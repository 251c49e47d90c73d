package account_test

import (
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
)

func TestSettings(t *testing.T) {
	each(t, func(w *world) {
		w.account(100042, "ana@example.org")
		changes := []account.Setting{{Name: "level", Value: "high"}, {Name: "online", Value: "false"}, {Name: "lease_days", Value: "3"}}
		want := policy.Settings{Level: policy.High, NoOnline: true, LeaseDays: 3}
		if s := get[policy.Settings](w)(w.Settings(w.Context(), w.root, 100042)); s != (policy.Settings{}) {
			w.Fatalf("%+v", s)
		}
		if s := get[policy.Settings](w)(w.SetSettings(w.Context(), w.root, 100042, changes)); s != want {
			w.Fatalf("%+v", s)
		}
		for _, bad := range []account.Setting{{Name: "level", Value: "highest"}, {Name: "nothing", Value: "1"}, {Name: "lease_days", Value: "-1"}} {
			_, err := w.SetSettings(w.Context(), w.root, 100042, []account.Setting{{Name: "reply", Value: "false"}, bad})
			w.fails(err, fault.Invalid, "people.setting")
		}
		if s := get[policy.Settings](w)(w.Settings(w.Context(), w.root, 100042)); s != want {
			w.Errorf("after a refusal: %+v", s)
		}
		if n := w.audit(100042, "account.settings", "done"); n != 3 {
			w.Errorf("%d records of 3 changes", n)
		}
	})
}
