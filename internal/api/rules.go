package api

import (
	"slices"

	"github.com/pli-mail/pli/client"
	"github.com/pli-mail/pli/internal/account"
	"github.com/pli-mail/pli/internal/policy"
	"github.com/pli-mail/pli/internal/store"
	"github.com/pli-mail/pli/internal/web"
)

func (a *api) registerRules() {
	handle(a, client.GetRules, a.getRules)
	handle(a, client.SetRules, a.setRules)
	handle(a, client.ListRulesVersions, a.listRulesVersions)
	handle(a, client.GetRulesVersion, a.getRulesVersion)
	handle(a, client.RestoreRules, a.restoreRules)
	handle(a, client.SimulateRules, a.simulateRules)
}

func rulesOf(s store.RuleSet) client.Rules {
	return client.Rules{Version: s.Version, Author: s.Author, CreatedAt: client.Time{Time: s.CreatedAt}, Text: s.Body, ETag: quoted(account.RulesRevision(s.Version))}
}

func (a *api) getRules(r *web.Request, in client.Account) (client.Rules, error) {
	s, err := a.Accounts.Rules(r.Context(), r.Actor(), in.Account, 0)
	return rulesOf(s), err
}

func (a *api) setRules(r *web.Request, in client.RulesIn) (client.Rules, error) {
	s, err := a.Accounts.SetRules(r.Context(), matching(r, in.IfMatch), in.Account, in.Text)
	return rulesOf(s), account.RulesFault(r.Printer, err)
}

func (a *api) restoreRules(r *web.Request, in client.RulesRestore) (client.Rules, error) {
	s, err := a.Accounts.RestoreRules(r.Context(), matching(r, in.IfMatch), in.Account, in.Version)
	return rulesOf(s), account.RulesFault(r.Printer, err)
}

func (a *api) listRulesVersions(r *web.Request, in client.ListIn) (out client.Page[client.RuleVersion], err error) {
	list, err := a.Accounts.RulesHistory(r.Context(), r.Actor(), in.Account, in.After, in.Limit)
	return pageOf(list.Versions, list.Next, func(s store.RuleSet) client.RuleVersion {
		return client.RuleVersion{Version: s.Version, Author: s.Author, CreatedAt: client.Time{Time: s.CreatedAt}}
	}), err
}

func (a *api) getRulesVersion(r *web.Request, in client.RulesVersionPath) (client.Rules, error) {
	s, _, err := a.Accounts.RulesPair(r.Context(), r.Actor(), in.Account, in.Version, in.Version)
	return rulesOf(s), err
}

func (a *api) simulateRules(r *web.Request, in client.SimulationIn) (out client.Simulation, err error) {
	if in.Days == 0 {
		in.Days = 1
	}
	s, err := a.Accounts.SimulateRules(r.Context(), r.Actor(), in.Account, in.Text, a.Now().AddDate(0, 0, -in.Days), in.After, in.Limit)
	if err != nil {
		return out, account.RulesFault(r.Printer, err)
	}
	out = client.Simulation{Messages: s.Messages, Partly: s.Partly, Changes: s.Counts[policy.Changes], Stays: s.Counts[policy.Stays], Untold: s.Counts[policy.Untold],
		Moves: []client.SimulationMove{}, Items: []client.SimulationRow{}, Next: s.Next}
	for m, n := range s.Moves {
		out.Moves = append(out.Moves, client.SimulationMove{From: string(m[0]), To: string(m[1]), N: n})
	}
	slices.SortFunc(out.Moves, func(a, b client.SimulationMove) int { return b.N - a.N })
	for _, x := range s.Changed {
		row := client.SimulationRow{Trace: x.Transit, At: client.Time{Time: x.At}, Sender: x.Sender, Recipient: x.Recipient, Was: string(x.Before), Rule: x.Number, RuleName: x.Rule}
		for _, w := range x.After {
			row.Would = append(row.Would, string(w))
		}
		out.Items = append(out.Items, row)
	}
	return out, nil
}
