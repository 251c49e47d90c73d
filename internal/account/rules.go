package account

import (
	"context"
	"errors"
	"strconv"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/mailaddr"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
)

// Rules returns a version of an account's rules, version 0 being the one in
// force. An account that never wrote any has the default, as version 0.
func (s *Service) Rules(ctx context.Context, actor Actor, number, version int64) (store.RuleSet, error) {
	var out store.RuleSet
	err := s.look(ctx, actor, rulesView, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.FindRuleSet(a.ID, version)
		if errors.Is(err, store.ErrNotFound) && version == 0 {
			out, err = store.RuleSet{AccountID: a.ID, Body: policy.DefaultText()}, nil
		}
		return err
	})
	return out, err
}

// RulesHistory lists up to limit versions of an account's rules below the given
// one, newest first; below 0 begins with the newest.
func (s *Service) RulesHistory(ctx context.Context, actor Actor, number, below int64, limit int) ([]store.RuleSet, error) {
	var out []store.RuleSet
	err := s.look(ctx, actor, rulesView, number, func(tx *store.Tx, a store.Account) (err error) {
		out, err = tx.ListRuleSets(a.ID, below, limited(limit))
		return err
	})
	return out, err
}

// SetRules puts new rules in force, as the next version. ifVersion is the
// version that they were made from, or -1 not to ask: where another came
// between, nothing changes (people.rulesmoved). What is wrong with the text is a
// *policy.Problems.
func (s *Service) SetRules(ctx context.Context, actor Actor, number int64, text string, ifVersion int64) (store.RuleSet, error) {
	if _, err := policy.Parse([]byte(text)); err != nil {
		return store.RuleSet{}, err
	}
	var out store.RuleSet
	moved := fault.New(fault.Conflict, "people.rulesmoved")
	err := s.act(ctx, actor, rulesSet, number, func(tx *store.Tx, a store.Account) error {
		last, err := tx.FindRuleSet(a.ID, 0)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if ifVersion >= 0 && last.Version != ifVersion {
			return moved.With("version", last.Version)
		}
		out = store.RuleSet{AccountID: a.ID, Version: last.Version + 1, Body: text, Author: actor.String(), CreatedAt: tx.Now}
		if err := tx.InsertRuleSet(out); err != nil {
			return err
		}
		return record(tx, actor, rulesSet, a.ID, "rules", "version", strconv.FormatInt(out.Version, 10))
	})
	if errors.Is(err, store.ErrTaken) {
		err = moved.With("version", out.Version).Because(err)
	}
	return out, err
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
