package account_test

import (
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
)

// One account tries rules or settings on the past once at a time, and a node for
// three accounts; who may not try is told that and no more.
func TestTrialsAtOnce(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		bo, _ := w.account(100043, "bo@example.com")
		rules := func(by account.Actor, number int64) error {
			_, err := w.SimulateRules(ctx, by, number, "default = 'seal'", time.Now().Add(-time.Hour), "", 2)
			return err
		}
		settings := func(by account.Actor, at account.Place) error {
			_, err := w.TrySettings(ctx, by, at, []account.Setting{{Name: "expiry_max", Value: "7"}})
			return err
		}
		hold := func(number int64) func() {
			return get[func()](w)(account.BeginTrial(w.Service, number))
		}
		end := hold(100042)
		w.fails(rules(ada.Actor(here), 100042), fault.TooMany, "try.busy")
		w.fails(settings(ada.Actor(here), account.SettingsOf(100042)), fault.TooMany, "try.busy")
		w.fails(rules(bo.Actor(here), 100042), fault.NotFound, "e404.h1")
		w.ok(rules(bo.Actor(here), 100043))
		w.ok(settings(bo.Actor(here), account.SettingsOf(100043)))

		second, site := hold(100044), hold(0)
		w.fails(rules(bo.Actor(here), 100043), fault.TooMany, "try.busy")
		second()
		w.fails(settings(w.root, account.OfSite()), fault.TooMany, "try.busy")
		site()
		end()
		for range 2 { // each gives its place back, whatever comes of it
			w.ok(rules(ada.Actor(here), 100042))
			w.ok(settings(w.root, account.OfSite()))
			if _, err := w.SimulateRules(ctx, ada.Actor(here), 100042, "nonsense", time.Now(), "", 2); err == nil || fault.Is(err, fault.TooMany) {
				w.Errorf("rules that cannot be read: %v", err)
			}
		}
	})
}
