package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Rules returns a version of an account's rules, version 0 being the one in
// force. An account that never wrote any has the default, as version 0.
func (s *Service) Rules(ctx context.Context, actor Actor, number, version int64) (store.RuleSet, error) {
	var out store.RuleSet
	err := s.look(ctx, actor, rulesView, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = ruleSet(tx, a.ID, version)
		return err
	})
	return out, err
}

// ruleSet is a version of an account's rules; version 0 is the one in force, or
// the default.
func ruleSet(tx *store.Tx, number, version int64) (store.RuleSet, error) {
	out, err := tx.FindRuleSet(number, version)
	if errors.Is(err, store.ErrNotFound) && version == 0 {
		return defaultRules(number), nil
	}
	return out, err
}

func defaultRules(number int64) store.RuleSet {
	return store.RuleSet{AccountID: number, Body: policy.DefaultText()}
}

// RulesPage is a page of the versions of an account's rules, the newest first.
type RulesPage struct {
	Versions []store.RuleSet
	Next     string // cursor, "" on the last page
}

// RulesHistory lists the versions of an account's rules.
func (s *Service) RulesHistory(ctx context.Context, actor Actor, number int64, after string, limit int) (out RulesPage, err error) {
	limit = limited(limit)
	err = s.look(ctx, actor, rulesView, number, func(tx *store.Tx, a store.Account) error {
		list := keyset.Of("rules", number)
		below, _, err := list.Numbered(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListRuleSets(a.ID, below, limit+1)
		out.Versions, out.Next = keyset.Page(list, rows, limit, func(s store.RuleSet) string { return keyset.Numbered(s.Version, "") })
		return err
	})
	return out, err
}

// RulesPair returns two versions of an account's rules, to compare. Here 0 is
// the default, which every account began with.
func (s *Service) RulesPair(ctx context.Context, actor Actor, number, before, after int64) (a, b store.RuleSet, err error) {
	err = s.look(ctx, actor, rulesView, number, func(tx *store.Tx, x store.Account) (err error) {
		if a, err = versionOf(tx, x.ID, before); err == nil {
			b, err = versionOf(tx, x.ID, after)
		}
		return err
	})
	return a, b, err
}

// versionOf is a version of an account's rules, 0 being the default.
func versionOf(tx *store.Tx, number, version int64) (store.RuleSet, error) {
	if version == 0 {
		return defaultRules(number), nil
	}
	return tx.FindRuleSet(number, version)
}

// RulesRevision names a version of the rules, for Actor.IfMatch.
func RulesRevision(version int64) string { return strconv.FormatInt(version, 10) }

// SetRules puts new rules in force, as the next version. Where another came
// between since the one that actor.IfMatch names, nothing changes
// (people.rulesmoved). What is wrong with the text is a *policy.Problems.
func (s *Service) SetRules(ctx context.Context, actor Actor, number int64, text string) (store.RuleSet, error) {
	return s.setRules(ctx, actor, number, func(*store.Tx) (string, error) { return text, policy.Check([]byte(text)) })
}

// RestoreRules puts an earlier version in force again, as the next version; 0 is
// the default. Faults: as SetRules.
func (s *Service) RestoreRules(ctx context.Context, actor Actor, number, version int64) (store.RuleSet, error) {
	return s.setRules(ctx, actor, number, func(tx *store.Tx) (string, error) {
		old, err := versionOf(tx, number, version)
		return old.Body, err
	}, "restored", strconv.FormatInt(version, 10))
}

func (s *Service) setRules(ctx context.Context, actor Actor, number int64, read func(*store.Tx) (string, error), detail ...string) (store.RuleSet, error) {
	var out store.RuleSet
	moved := fault.New(fault.Stale, "people.rulesmoved")
	err := s.actWithin(ctx, actor, rulesSet, number, func(tx *store.Tx, a store.Account, r reach) error {
		if err := r.whole(); err != nil {
			return err
		}
		text, err := read(tx)
		if err != nil {
			return err
		}
		rules, err := policy.Parse([]byte(text))
		if err != nil { // of what is restored
			return err
		}
		if err := groupsOfRules(tx, a.ID, rules); err != nil {
			return err
		}
		last, err := tx.FindRuleSet(a.ID, 0)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := r.unchanged(RulesRevision(last.Version)); err != nil {
			return moved.With("version", last.Version).Because(err)
		}
		out = store.RuleSet{AccountID: a.ID, Version: last.Version + 1, Body: text, Author: actor.String(), CreatedAt: tx.Now}
		if err := tx.InsertRuleSet(out); err != nil {
			return err
		}
		return record(tx, actor, rulesSet, a.ID, "rules", append([]string{"version", strconv.FormatInt(out.Version, 10)}, detail...)...)
	})
	if errors.Is(err, store.ErrTaken) {
		err = moved.With("version", out.Version).Because(err)
	}
	return out, err
}

// RulesFault makes a failure of what is wrong with rules: a line for each problem,
// in a field called text. Other errors are as they came.
func RulesFault(p i18n.Printer, err error) error {
	var bad *policy.Problems
	switch {
	case errors.As(err, &bad):
		f := fault.New(fault.Invalid, "cli.rules.bad").With("n", len(bad.List)).Because(err)
		for _, s := range bad.Say(p) {
			f = f.In("text", "rules.problem", fault.Args{"text": s})
		}
		return f
	case errors.Is(err, policy.ErrByHand):
		return fault.New(fault.Conflict, "rules.byhand").Because(err)
	}
	return err
}

// GroupNames returns the groups of an account that an address's user is in, for
// the gateway's rules.
func (s *Service) GroupNames(ctx context.Context, number int64, a mailaddr.Address) (names []string, err error) {
	err = s.c.DB.View(ctx, func(tx *store.Tx) error {
		names, err = tx.ListGroupNames(number, a.Canonical())
		return err
	})
	return names, err
}

// TryRules says what rules would do with a message, for each recipient; nothing is
// sent or kept. A zero sender is the null sender. Groups are the account's. What
// is wrong with the text is a *policy.Problems.
func (s *Service) TryRules(ctx context.Context, actor Actor, number int64, text string, open func() (io.ReadCloser, error), from mailaddr.Address, to []mailaddr.Address) ([]policy.Outcome, error) {
	var out []policy.Outcome
	err := s.look(ctx, actor, rulesView, number, func(tx *store.Tx, a store.Account) error {
		rules, err := policy.Parse([]byte(text))
		if err != nil {
			return err
		}
		facts, err := policy.ReadFacts(from, open, func(x mailaddr.Address) ([]string, error) { return tx.ListGroupNames(a.ID, x.Canonical()) })
		if err != nil {
			return err
		}
		c := rules.Case(facts)
		for _, x := range to {
			d, err := c.Decide(x)
			if err != nil {
				return err
			}
			out = append(out, policy.Outcome{Recipient: x.String(), Action: d.Action, Why: d.Why, Said: d.Refusal})
		}
		return nil
	})
	return out, err
}

// SealSketch seals what is kept of a message for trying rules.
func (s *Service) SealSketch(transit string, sketch policy.Sketch) ([]byte, error) {
	box, err := s.c.Root.Seal(sketchPurpose(transit), sketch.Encode())
	if err != nil {
		return nil, fmt.Errorf("seal sketch: %w", err)
	}
	return box, nil
}

func sketchPurpose(transit string) string { return "transit/" + transit }

// Simulation is what rules would have done with the messages of some days. A
// message counts once for each of its recipients.
type Simulation struct {
	Messages int                      // looked at
	Partly   bool                     // there are more, which were not
	Counts   map[policy.Verdict]int   //
	Moves    map[[2]policy.Action]int // of those that change: from what to what; to "" where that depends on what was not kept
	Changed  []SimulatedChange        // a page of them, newest first
	Next     string                   // for the next page, "" on the last
}

// SimulatedChange is one message, for one recipient, that rules would change.
type SimulatedChange struct {
	policy.Forecast
	Transit   string
	At        time.Time
	Sender    string // "" = the null sender
	Recipient string
	Was       policy.Outcome
}

const (
	simulatedMost  = 10_000 // messages
	simulatedBatch = 500
)

// SimulateRules tries rules on what came through the gateway since a moment, and
// pages the messages that would change: after is Next of the page before. Who asks
// must have the right over messages too: the answer tells who wrote to whom.
// What is wrong with the text is a *policy.Problems. Fault: try.busy.
func (s *Service) SimulateRules(ctx context.Context, actor Actor, number int64, text string, since time.Time, after string, limit int) (Simulation, error) {
	out := Simulation{Counts: map[policy.Verdict]int{}, Moves: map[[2]policy.Action]int{}}
	limit = limited(limit)
	err := s.look(ctx, actor, messageExplain, number, func(tx *store.Tx, a store.Account) error {
		if _, r, err := can(tx, actor, rulesView, number, false); err != nil {
			return err
		} else if err := r.whole(); err != nil {
			return err
		}
		rules, err := policy.Parse([]byte(text))
		if err != nil {
			return err
		}
		if err := groupsOfRules(tx, a.ID, rules); err != nil {
			return err
		}
		end, err := s.trials.begin(a.ID)
		if err != nil {
			return err
		}
		defer end()
		p := pastMail{s: s, tx: tx, number: a.ID, versions: map[int64]*policy.Rules{}}
		replay := rules.Replay(func(x mailaddr.Address) ([]string, error) { return tx.ListGroupNames(a.ID, x.Canonical()) })
		for before := ""; !out.Partly; {
			rows, err := tx.ListTransitsSince(a.ID, since, before, simulatedBatch)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if out.Messages == simulatedMost {
					out.Partly = true
					break
				}
				before = row.ID
				if err := p.try(&out, replay, row, after, limit); err != nil {
					return err
				}
			}
			if len(rows) < simulatedBatch {
				break
			}
		}
		return nil
	})
	return out, err
}

// pastMail reads what is remembered of messages.
type pastMail struct {
	s        *Service
	tx       *store.Tx
	number   int64
	versions map[int64]*policy.Rules // nil: it cannot be read
}

// try counts what would become of one message.
func (p *pastMail) try(out *Simulation, replay *policy.Replay, row store.Transit, after string, limit int) error {
	out.Messages++
	outcomes, err := policy.DecodeOutcomes(row.Detail)
	if err != nil {
		return err
	}
	m := policy.Past{Size: row.Size, At: row.At}
	if row.Sender != "" {
		m.Sender, err = mailaddr.Parse(row.Sender)
	}
	if err == nil {
		m.Sketch = p.sketch(row)
	}
	shown, full, changed := after == "" || row.ID < after, len(out.Changed) >= limit, false
	for _, o := range outcomes {
		if m.Rules, err = p.rules(o.Why.Version); err != nil {
			return err
		}
		m.Outcome = o
		f, err := replay.Of(m)
		if err != nil {
			return err
		}
		out.Counts[f.Verdict]++
		if f.Verdict != policy.Changes {
			continue
		}
		move := [2]policy.Action{f.Before, ""}
		if len(f.After) == 1 {
			move[1] = f.After[0]
		}
		out.Moves[move]++
		changed = true
		if shown && !full { // a message's recipients stay on one page
			out.Changed = append(out.Changed, SimulatedChange{f, row.ID, row.At, row.Sender, o.Recipient, o})
		}
	}
	if shown && full && changed && out.Next == "" {
		out.Next = out.Changed[len(out.Changed)-1].Transit
	}
	return nil
}

// sketch is what was kept of a message. What cannot be read, because it is from
// before or its key is gone, is not known: nil.
func (p *pastMail) sketch(row store.Transit) *policy.Sketch {
	raw, err := p.s.c.Root.Open(sketchPurpose(row.ID), row.Sketch)
	if err != nil {
		return nil
	}
	sketch, err := policy.DecodeSketch(raw)
	if err != nil {
		return nil
	}
	return &sketch
}

// rules are those of a version, nil where this Pli cannot read them.
func (p *pastMail) rules(version int64) (*policy.Rules, error) {
	if r, ok := p.versions[version]; ok {
		return r, nil
	}
	set, err := versionOf(p.tx, p.number, version)
	if errors.Is(err, store.ErrNotFound) {
		p.versions[version] = nil
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	r, err := policy.Parse([]byte(set.Body))
	if err != nil {
		r = nil // what those rules asked is not known
	}
	p.versions[version] = r
	return r, nil
}

// groupsOfRules refuses rules with a group that the account has not: what is for its
// members would be for nobody.
func groupsOfRules(tx *store.Tx, number int64, rules *policy.Rules) error {
	var missing policy.Problems
	for _, n := range rules.Groups() {
		_, err := tx.FindGroupByName(number, policy.GroupKey(n.Group))
		if errors.Is(err, store.ErrNotFound) {
			missing.List = append(missing.List, policy.Problem{Rule: n.Rule, Key: n.Key, Text: "policy.nogroup", Args: map[string]any{"name": n.Group}})
		} else if err != nil {
			return err
		}
	}
	if len(missing.List) > 0 {
		return &missing
	}
	return nil
}

// unruled refuses to take a group's name away while a rule in force is for its members:
// their mail would go out as if there were none.
func unruled(tx *store.Tx, g store.Group) error {
	set, err := tx.FindRuleSet(g.AccountID, 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	rules, err := policy.Parse([]byte(set.Body))
	if err != nil {
		return nil // no rules that hold: mail is held back until they are mended
	}
	for _, n := range rules.Groups() {
		if policy.GroupKey(n.Group) == g.NameKey {
			return &refusal{fault.New(fault.Conflict, "g.ruled").With("n", n.Rule), g.AccountID, g.Name}
		}
	}
	return nil
}
