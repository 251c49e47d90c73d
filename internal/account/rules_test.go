package account_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/id"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// passes puts a message through the rules in force, and leaves its transit.
func (w *world) passes(number int64, from, raw string, to ...string) string {
	w.Helper()
	ctx := w.Context()
	set := get[store.RuleSet](w)(w.Rules(ctx, w.root, number, 0))
	rules := get[*policy.Rules](w)(policy.Parse([]byte(set.Body)))
	rules.Version = set.Version
	sender := get[mailaddr.Address](w)(mailaddr.Parse(from))
	f := get[*policy.Facts](w)(policy.ReadFacts(sender, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(raw)), nil },
		func(a mailaddr.Address) ([]string, error) { return w.GroupNames(ctx, number, a) }))
	c := rules.Case(f)
	var outcomes []policy.Outcome
	for _, x := range to {
		d := get[policy.Decision](w)(c.Decide(mailaddr.MustParse(x)))
		outcomes = append(outcomes, policy.Outcome{Recipient: x, Action: d.Action, Why: d.Why})
	}
	trace := id.Ordered()
	box := get[[]byte](w)(w.SealSketch(trace, c.Sketch()))
	w.ok(w.db.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertTransit(store.Transit{ID: trace, AccountID: number, Sender: from, Size: f.Size, Detail: policy.EncodeOutcomes(outcomes), Sketch: box})
	}))
	return trace
}

// Rules are tried on what came: counted and paged, without the messages of other
// accounts, by who may see both rules and messages; groups are as they are now.
func TestSimulateRules(t *testing.T) {
	each(t, func(w *world) {
		ctx, since := w.Context(), time.Now().Add(-time.Hour)
		ada, _ := w.account(100042, "ada@example.org")
		w.account(100043, "bo@example.com")
		w.ok(second(w.SetRules(ctx, ada.Actor(here), 100042, "[[rule]]\nname = 'D'\ntext_matches = 'diagnosis'\nthen = 'seal'\n")))
		var traces []string
		for i := range 3 {
			traces = append(traces, w.passes(100042, "ada@example.org", fmt.Sprintf("Subject: %d\r\n\r\nhello\r\n", i), "eve@x.test", "max@y.test"))
		}
		w.passes(100042, "ada@example.org", "Subject: x\r\n\r\na diagnosis\r\n", "eve@x.test")
		w.passes(100043, "bo@example.com", "Subject: x\r\n\r\nhello\r\n", "eve@x.test")
		w.ok(w.db.Update(ctx, func(tx *store.Tx) error { // one from before sketches were kept
			return tx.InsertTransit(store.Transit{ID: id.Ordered(), AccountID: 100042, Sender: "ada@example.org",
				Detail: policy.EncodeOutcomes([]policy.Outcome{{Recipient: "eve@x.test", Action: policy.Plain}})})
		}))

		next := "[[rule]]\nname = 'D'\ntext_matches = 'diagnosis'\nthen = 'seal'\n[[rule]]\nname = 'X'\nrecipient = ['@x.test']\nsender = ['group:Account Administrators']\nthen = 'refuse'\n"
		var seen []string
		for after, pages := "", 0; ; pages++ {
			s := get[account.Simulation](w)(w.SimulateRules(ctx, ada.Actor(here), 100042, next, since, after, 2))
			if s.Messages != 5 || s.Counts[policy.Changes] != 3 || s.Counts[policy.Stays] != 4 || s.Counts[policy.Untold] != 1 || s.Moves[[2]policy.Action{policy.Plain, policy.Refuse}] != 3 {
				t.Fatalf("%+v", s)
			}
			for _, x := range s.Changed {
				seen = append(seen, x.Transit)
				if x.Recipient != "eve@x.test" || x.Number != 2 || x.Rule != "X" || x.Before != policy.Plain {
					t.Errorf("%+v", x)
				}
			}
			if after = s.Next; after == "" {
				if pages != 1 {
					t.Errorf("%d pages", pages+1)
				}
				break
			}
		}
		if len(seen) != 3 || seen[0] != traces[2] || seen[1] != traces[1] || seen[2] != traces[0] {
			t.Errorf("%v of %v", seen, traces)
		}
		none := get[account.Simulation](w)(w.SimulateRules(ctx, ada.Actor(here), 100042, next, time.Now().Add(time.Hour), "", 2))
		if none.Messages != 0 {
			t.Errorf("the future has %d messages", none.Messages)
		}
		if _, err := w.SimulateRules(ctx, ada.Actor(here), 100043, next, since, "", 2); !fault.Is(err, fault.NotFound) {
			t.Errorf("another account's: %v", err)
		}
		// Settings alone are not enough, and messages of a group neither: it tells who wrote to whom.
		for name, grants := range map[string][]store.Grant{"Settings": {{Right: store.RightSettings}}, "Messages": {{Right: store.RightMessages}}} {
			g := get[store.Group](w)(w.AddGroup(ctx, w.root, 100042, name))
			get[account.GroupRights](w)(w.SetGroupRights(ctx, w.root, 100042, g.ID, grants))
			address := strings.ToLower(name) + "@example.org"
			get[account.Added](w)(w.AddUser(ctx, w.root, 100042, account.NewUser{Address: address, Password: good, Confirm: good, GroupID: g.ID, Own: true}))
			if _, err := w.SimulateRules(ctx, w.signIn(address, good).Actor(here), 100042, next, since, "", 2); !fault.Is(err, fault.Denied) {
				t.Errorf("with %s: %v", name, err)
			}
		}
		// What is kept says nothing in the database.
		w.ok(w.db.View(ctx, func(tx *store.Tx) error {
			row, err := tx.FindTransit(traces[0])
			if bytes.Contains(row.Sketch, []byte("{")) && bytes.Contains(row.Sketch, []byte(`"c"`)) {
				t.Error("a sketch is not sealed")
			}
			return err
		}))
	})
}

// An earlier version, and the default, come back as a new version; not where
// another was put in force meanwhile.
func TestRestoreRules(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		by := ada.Actor(here)
		for _, text := range []string{"default = 'seal'", "default = 'plain'"} {
			w.ok(second(w.SetRules(ctx, by, 100042, text)))
		}
		stale := by
		stale.IfMatch = account.RulesRevision(1)
		_, err := w.RestoreRules(ctx, stale, 100042, 1)
		w.fails(err, fault.Stale, "people.rulesmoved")
		if _, err := w.RestoreRules(ctx, by, 100042, 7); !fault.Is(err, fault.NotFound) {
			t.Errorf("a version that is not: %v", err)
		}
		if set := get[store.RuleSet](w)(w.RestoreRules(ctx, by, 100042, 1)); set.Version != 3 || set.Body != "default = 'seal'" {
			t.Errorf("%+v", set)
		}
		if set := get[store.RuleSet](w)(w.RestoreRules(ctx, by, 100042, 0)); set.Version != 4 || set.Body != policy.DefaultText() {
			t.Errorf("%+v", set)
		}
		log := get[account.AuditLog](w)(w.ReadAudit(ctx, by, 100042, account.AuditQuery{Action: "rules.set"}, 10))
		if len(log.Records) != 4 || log.Records[0].Detail["restored"] != "0" || log.Records[1].Detail["restored"] != "1" {
			t.Errorf("%+v", log.Records)
		}
	})
}

// Rules name groups that there are, and a group that rules in force name keeps its name:
// else mail for which they are would go out as if there were none.
func TestRulesNameGroups(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		ada, _ := w.account(100042, "ada@example.org")
		a := ada.Actor(here)
		ward := w.group(ada, "Ward 3")
		rule := func(group string) string {
			return "default = \"plain\"\n[[rule]]\nname = \"Ward\"\nsender = [\"group:" + group + "\"]\nthen = \"seal\"\n"
		}
		_, err := w.SetRules(ctx, a, 100042, rule("Ward 4"))
		var bad *policy.Problems
		if !errors.As(err, &bad) || len(bad.List) != 1 || bad.List[0].Text != "policy.nogroup" || bad.List[0].Rule != 1 {
			t.Errorf("a group that there is not: %v", err)
		}
		street := w.group(ada, "Straße")
		get[store.RuleSet](w)(w.SetRules(ctx, a, 100042, rule("STRASSE")))
		w.user(100042, "max@example.org")
		w.into(ada, street, "max@example.org")
		rules, err := policy.Parse([]byte(rule("STRASSE")))
		w.ok(err)
		if got := rules.Groups(); len(got) != 1 || policy.GroupKey(got[0].Group) != policy.GroupKey("Straße") {
			t.Errorf("%+v", got)
		}
		get[store.RuleSet](w)(w.SetRules(ctx, a, 100042, rule("ward 3")))
		w.fails(second(w.RenameGroup(ctx, a, 100042, ward.ID, "Ward 3b")), fault.Conflict, "g.ruled")
		w.fails(second(w.DeleteGroup(ctx, a, 100042, ward.ID)), fault.Conflict, "g.ruled")
		get[store.Group](w)(w.RenameGroup(ctx, a, 100042, ward.ID, "WARD 3"))
		get[store.RuleSet](w)(w.SetRules(ctx, a, 100042, "default = \"plain\"\n"))
		get[store.Group](w)(w.RenameGroup(ctx, a, 100042, ward.ID, "Ward 3b"))
		_, err = w.RestoreRules(ctx, a, 100042, 2)
		if !errors.As(err, &bad) {
			t.Errorf("an earlier version with a name that is gone: %v", err)
		}
		w.ok(second(w.DeleteGroup(ctx, a, 100042, ward.ID)))
	})
}
