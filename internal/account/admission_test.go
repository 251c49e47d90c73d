package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/store/storetest"
)

// What the gateway sees of accounts, domains and rules, and that it sees what changed.
func TestAdmission(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		for domain, number := range map[string]int64{"example.org": 100042, "example.com": 100043} {
			_, _, err := w.AddDomain(ctx, w.root, number, domain)
			w.ok(err)
		}
		owner := func(domain string) int64 {
			w.Helper()
			a, ok := get[*account.Admission](w)(w.Admission(ctx)).Owner(domain)
			if !ok {
				return 0
			}
			return a.ID
		}
		if owner("example.org") != 100042 || owner("example.com") != 100043 || owner("mail.example.org") != 0 || owner("") != 0 {
			t.Error("the wrong account's domains")
		}
		rules := func(number int64) *policy.Rules {
			w.Helper()
			return get[*policy.Rules](w)(get[*account.Admission](w)(w.Admission(ctx)).Rules(number))
		}
		standard := rules(100043)
		w.ok(second(w.SetRules(ctx, ada.Actor(here), 100042, `default = "seal"`)))
		one := rules(100042)
		if one.Version != 1 || rules(100042) != one {
			t.Error("a version that is known is read again")
		}
		if standard.Version != 0 || rules(100043) != standard {
			t.Error("an account without rules has not the default")
		}
		w.ok(second(w.SetRules(ctx, w.root, 100042, `default = "plain"`)))
		two := rules(100042)
		if two.Version != 2 {
			t.Errorf("version %d is in force", two.Version)
		}
		// Who has the old picture decides by it to the end.
		f := &policy.Facts{Sender: mailaddr.MustParse("ada@example.org")}
		for r, want := range map[*policy.Rules]policy.Action{one: policy.Seal, two: policy.Plain} {
			if d, err := r.Case(f).Decide(mailaddr.MustParse("eve@x.test")); err != nil || d.Action != want || d.Why.Version != r.Version {
				t.Errorf("%+v, %v", d, err)
			}
		}
		// One account's rules that cannot be read are no other's business.
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
			return tx.InsertRuleSet(store.RuleSet{AccountID: 100042, Version: 3, Body: "future = true"})
		}))
		state := get[*account.Admission](w)(w.Admission(ctx))
		if _, err := state.Rules(100042); err == nil {
			t.Error("rules that cannot be read decide")
		}
		get[*policy.Rules](w)(state.Rules(100043))
		w.ok(second(w.SetRules(ctx, w.root, 100042, `default = "plain"`)))
		if r := rules(100042); r.Version != 4 {
			t.Errorf("mended rules have version %d", r.Version)
		}

		if names := get[[]string](w)(w.GroupNames(ctx, 100042, mailaddr.MustParse("Ada@example.org"))); len(names) != 1 {
			t.Errorf("groups %v", names)
		}
		night := get[store.Group](w)(w.AddGroup(ctx, w.root, 100042, "Night"))
		get[account.AddResult](w)(w.AddMembers(ctx, w.root, 100042, night.ID, "ada@example.org", time.Time{}))
		if names := get[[]string](w)(w.GroupNames(ctx, 100042, mailaddr.MustParse("ada@example.org"))); len(names) != 2 || names[1] != "Night" {
			t.Errorf("groups %v", names)
		}
		if names := get[[]string](w)(w.GroupNames(ctx, 100043, mailaddr.MustParse("ada@example.org"))); len(names) != 0 {
			t.Errorf("in another account: groups %v", names)
		}

		w.ok(w.SuspendAccount(ctx, w.root, 100042))
		state = get[*account.Admission](w)(w.Admission(ctx))
		if _, ok := state.Owner("example.org"); ok {
			t.Error("a suspended account sends")
		}
		if _, err := state.Rules(100042); err == nil {
			t.Error("a suspended account has rules")
		}
	})
}

func second[T any](_ T, err error) error { return err }

// What is refused, and what is done about upstreams and rules, the log says in words.
func TestActsHaveSentences(t *testing.T) {
	t.Parallel()
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "fr"} {
		p := c.Printer(lang, nil)
		for _, act := range account.Acts() {
			r := store.AuditRow{Actor: "user:ada@example.org", Action: act, Target: "mta1", Outcome: store.Refused, Detail: map[string]string{"version": "3"}}
			if s := account.Sentence(p, r); strings.Contains(s, act) {
				t.Errorf("%s: %s", lang, s)
			}
			r.Outcome = store.Done
			if s := account.Sentence(p, r); (act == "upstream.add" || act == "upstream.remove" || act == "rules.set") && (strings.Contains(s, act) || strings.Contains(s, "{")) {
				t.Errorf("%s: %s", lang, s)
			}
		}
		for _, e := range account.EventTypes(p) { // what webhooks choose by
			noun, _, _ := strings.Cut(e.Name, ".")
			if key := "wh.noun." + noun; p.T(key) == key {
				t.Errorf("%s: no text %s", lang, key)
			}
		}
	}
}

// Networks that strangers send from, too.
func TestWideNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account(100042, "ada@example.org")
	for network, wide := range map[string]bool{
		"198.51.0.0/16": false, "198.50.0.0/15": true, "10.0.0.0/8": false, "172.16.0.0/12": false, "172.16.0.0/11": true,
		"192.168.0.0/15": true, "192.168.0.0/16": false, "127.0.0.0/8": false, "0.0.0.0/0": true,
		"2001:db8:1::/48": false, "2001:db8::/47": true, "fd00::/8": false, "fc00::/7": true, "::/1": true, "::1": false, "::ffff:192.0.2.1": false,
	} {
		_, err := w.AddUpstream(w.Context(), w.root, 100042, account.NewUpstream{Name: "mta", Networks: []string{network}})
		if fault.Is(err, fault.Invalid) != wide || !wide && err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if err == nil {
			w.ok(w.RemoveUpstream(w.Context(), w.root, 100042, "mta"))
		}
		secret, err := w.AddUpstream(w.Context(), w.root, 100042, account.NewUpstream{Name: "mta", Networks: []string{network}, Token: true})
		if err != nil || secret.IsZero() {
			t.Errorf("%s with a token: %v", network, err)
		}
		list := get[[]account.Upstream](w)(w.Upstreams(w.Context(), w.root, 100042))
		if len(list) != 1 || list[0].Kind != store.UpstreamNetwork {
			t.Errorf("%+v", list)
		}
		w.ok(w.RemoveUpstream(w.Context(), w.root, 100042, "mta"))
	}
}
