package account_test

import (
	"net/netip"
	"testing"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// What may be an upstream, and what the gateway then makes of a client.
func TestUpstreams(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		add := func(number int64, n account.NewUpstream) string {
			w.Helper()
			secret, err := w.AddUpstream(ctx, w.root, number, n)
			w.ok(err)
			if secret.IsZero() {
				return ""
			}
			return secret.Hash()
		}
		for name, bad := range map[string]account.NewUpstream{
			"all of IPv4":    {Name: "a", Networks: []string{"0.0.0.0/0"}},
			"half of it":     {Name: "a", Networks: []string{"0.0.0.0/1"}},
			"a provider's":   {Name: "a", Networks: []string{"203.0.0.0/15"}},
			"all of IPv6":    {Name: "a", Networks: []string{"::/0"}},
			"a wide IPv6":    {Name: "a", Networks: []string{"2001:db8::/32"}},
			"mapped":         {Name: "a", Networks: []string{"::ffff:0.0.0.0/96"}},
			"no network":     {Name: "a", Networks: []string{"example.org"}},
			"two ways":       {Name: "a", Networks: []string{"192.0.2.1"}, Password: true},
			"no way":         {Name: "a"},
			"a token alone":  {Name: "a", Token: true},
			"no name":        {Name: "", Networks: []string{"192.0.2.1"}},
			"an odd name":    {Name: "a b", Networks: []string{"192.0.2.1"}},
			"no certificate": {Name: "a", Certificate: "abcd"},
		} {
			_, err := w.AddUpstream(ctx, w.root, 100042, bad)
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		add(100042, account.NewUpstream{Name: "net", Networks: []string{"192.0.2.77/24"}})
		add(100043, account.NewUpstream{Name: "net", Networks: []string{"192.0.2.0/24"}})
		add(100042, account.NewUpstream{Name: "private", Networks: []string{"10.0.0.0/8"}})
		token := add(100042, account.NewUpstream{Name: "cloud", Networks: []string{"0.0.0.0/0"}, Token: true})
		add(100042, account.NewUpstream{Name: "two", Networks: []string{"198.51.100.7", "2001:db8::/48"}})
		password := add(100042, account.NewUpstream{Name: "mta", Password: true})
		key := "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
		add(100042, account.NewUpstream{Name: "cert", Certificate: key})
		for _, taken := range []account.NewUpstream{{Name: "net", Networks: []string{"198.51.100.1"}}, {Name: "mta", Password: true}} {
			_, err := w.AddUpstream(ctx, w.root, 100042, taken)
			w.fails(err, fault.Conflict, "people.upstreamtaken")
		}
		_, err := w.AddUpstream(ctx, w.root, 100043, account.NewUpstream{Name: "mta", Password: true})
		w.fails(err, fault.Conflict, "people.upstreamtaken") // a user name is one account's

		state := get[*account.Admission](w)(w.Admission(ctx))
		names := func(addr, key, user, hash string) (out string) {
			a, _ := netip.ParseAddr(addr)
			for _, u := range state.Match(a, key, user, hash) {
				if u.Name == "cloud" && u.SecretHash != token {
					t.Error("the token is not kept")
				}
				out += u.Name + " "
			}
			return out
		}
		for _, c := range []struct{ addr, key, user, hash, want string }{
			{"192.0.2.5", "", "", "", "cloud net net "}, // of two accounts: the sender's domain decides
			{"10.9.9.9", "", "", "", "cloud private "},
			{"2001:db8::1", "", "", "", "two "},
			{"198.51.100.7", "", "", "", "cloud two "},
			{"2001:db8:1::1", "", "", "", ""},
			{"", key, "", "", "cert "},
			{"", key[1:], "", "", ""},
			{"", "", "mta", password, "mta "},
			{"", "", "mta", password[1:], ""},
			{"", "", "mta", "", ""},
			{"", "", "net", "", ""},
			{"", "", "", password, ""},
		} {
			if got := names(c.addr, c.key, c.user, c.hash); got != c.want {
				t.Errorf("%+v: %q", c, got)
			}
		}
		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		state = get[*account.Admission](w)(w.Admission(ctx))
		if got := names("192.0.2.5", key, "mta", password); got != "net " {
			t.Errorf("a suspended account's upstreams: %q", got)
		}
		w.ok(w.RemoveUpstream(ctx, w.root, 100043, "net"))
		w.fails(w.RemoveUpstream(ctx, w.root, 100043, "net"), fault.NotFound, "e404.h1")
	})
}

// Rules are versioned, and of two who change them at once one is told.
func TestRules(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		actor := ada.Actor(here)
		first := get[store.RuleSet](w)(w.Rules(ctx, actor, 100042, 0))
		if first.Version != 0 || first.Body != policy.DefaultText() {
			t.Errorf("%+v", first)
		}
		if _, err := w.SetRules(ctx, actor, 100042, "default = \"perhaps\"\nnonsense = 1\n"); err == nil {
			t.Error("nonsense is in force")
		}
		one := get[store.RuleSet](w)(w.SetRules(ctx, actor, 100042, `default = "seal"`))
		two := get[store.RuleSet](w)(w.SetRules(ctx, actor, 100042, `default = "plain"`))
		if one.Version != 1 || two.Version != 2 {
			t.Errorf("versions %d and %d", one.Version, two.Version)
		}
		stale := actor
		stale.IfMatch = account.RulesRevision(1)
		_, err := w.SetRules(ctx, stale, 100042, `default = "seal"`)
		w.fails(err, fault.Stale, "people.rulesmoved")
		if old := get[store.RuleSet](w)(w.Rules(ctx, actor, 100042, 1)); old.Body != `default = "seal"` || old.Author != "user:ada@example.org" {
			t.Errorf("%+v", old)
		}
		_, err = w.Rules(ctx, actor, 100042, 9)
		w.fails(err, fault.NotFound, "e404.h1")
		if list := get[account.RulesPage](w)(w.RulesHistory(ctx, actor, 100042, "", 1)); len(list.Versions) != 1 || list.Versions[0].Version != 2 {
			t.Errorf("%+v", list)
		}
		if list := get[account.RulesPage](w)(w.RulesHistory(ctx, actor, 100042, get[account.RulesPage](w)(w.RulesHistory(ctx, actor, 100042, "", 1)).Next, 10)); len(list.Versions) != 1 || list.Versions[0].Version != 1 {
			t.Errorf("%+v", list)
		}
		state := get[*account.Admission](w)(w.Admission(ctx))
		if r, err := state.Rules(100042); err != nil || r.Version != 2 {
			t.Errorf("in force: %+v, %v", r, err)
		}
		// What cannot be read decides nothing.
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.InsertRuleSet(store.RuleSet{AccountID: 100042, Version: 3, Body: "future = true"})
		}))
		state = get[*account.Admission](w)(w.Admission(ctx))
		if _, err := state.Rules(100042); err == nil {
			t.Error("rules of a later version decide")
		}
	})
}
