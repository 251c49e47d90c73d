package account

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
	"github.com/pli-mail/pli/internal/keyset"
	"github.com/pli-mail/pli/internal/store"
)

// AuditPage is a page of audit records, newest first.
type AuditPage struct {
	Records []store.AuditRow
	Next    string // cursor, "" on the last page
}

// Audit returns an account's records. Those of number 0, of no account, are the
// operator's.
func (s *Service) Audit(ctx context.Context, actor Actor, number int64, after string, limit int) (AuditPage, error) {
	limit = limited(limit)
	var out AuditPage
	err := s.look(ctx, actor, auditView, number, func(tx *store.Tx, a store.Account) error {
		list := auditList(number)
		before, err := list.Key(after)
		if err != nil {
			return err
		}
		rows, err := tx.ListAudit(a.ID, before, limit+1)
		out.Records, out.Next = keyset.Page(list, rows, limit, func(r store.AuditRow) string { return r.ID })
		return err
	})
	return out, err
}

// UserActivity returns the newest records about one user of the account: to who
// reaches some groups only, those of the user's own signing in and its factors, as
// others may name what they do not see.
func (s *Service) UserActivity(ctx context.Context, actor Actor, number int64, userID string, limit int) ([]store.AuditRow, error) {
	var out []store.AuditRow
	err := s.lookWithin(ctx, actor, auditView, number, func(tx *store.Tx, a store.Account, r reach) error {
		u, err := r.user(tx, userID)
		if err != nil {
			return err
		}
		f := store.AuditFilter{AccountID: a.ID, Target: u.Address}
		if !r.all {
			f.Kinds = []string{"session", "password", "factor"}
		}
		out, err = tx.FilterAudit(f, "", false, limited(limit))
		return err
	})
	return out, err
}

// Sentence says an audit record in one sentence. What was refused is one
// sentence for all acts, with the act's name in it.
func Sentence(p i18n.Printer, r store.AuditRow) string {
	args := map[string]any{"target": r.Target}
	for k, v := range r.Detail {
		args[k] = v
	}
	if n, err := strconv.Atoi(r.Detail["n"]); err == nil {
		args["n"] = n // chooses the plural
	}
	args["actor"] = ActorText(p, r.Actor)
	if r.Target == "" {
		args["target"] = args["actor"]
	}
	if args["group"] == AdministratorsName {
		args["group"] = p.T("seed.admins")
	}
	if r.Detail["right"] != "" {
		args["right"] = p.T("rt." + r.Detail["right"])
	}
	if scopes := strings.Split(r.Detail["scopes"], ","); slices.Contains(Scopes, scopes[0]) {
		for i, scope := range scopes {
			scopes[i] = ScopeName(p, scope)
		}
		args["scopes"] = strings.Join(scopes, ", ")
	}
	if do := r.Detail["do"]; r.Action == string(userBulk) && slices.Contains(BulkActs, do) {
		args["do"] = p.T("bulk.act." + do)
	}
	if required, ok := map[string]string{"yes": "po.flag.true", "no": "po.flag.false"}[r.Detail["required"]]; ok {
		args["required"] = p.T(required)
	}
	if until, err := time.ParseInLocation(time.DateOnly, r.Detail["until"], p.Zone); err == nil {
		args["until"] = p.Date(until)
	}
	if on, err := time.Parse(time.RFC3339, r.Detail["on"]); err == nil {
		args["on"] = p.Time(on)
	}
	if r.Action == string(accountEdit) && r.Detail["what"] != "" {
		args["what"] = p.T("life.what." + r.Detail["what"])
	}
	if r.Outcome == store.Refused {
		what := p.T("au.a." + r.Action)
		if what == "au.a."+r.Action {
			what = p.T("au.a.other", "action", r.Action)
		}
		s := p.T("au.s.denied", "actor", args["actor"], "reason", what)
		if n := r.Detail["times"]; n != "" {
			s = p.T("au.times", "sentence", s, "n", n)
		}
		return s
	}
	key := "au.s." + r.Action // au.v: the same act, told otherwise
	switch {
	case r.Action == string(memberAdd) && r.Detail["until"] != "":
		key = "au.v.member.add_until"
	case r.Action == string(memberEnd) && r.Detail["until"] == "":
		key = "au.v.member.no_end"
	case r.Action == string(rulesSet) && r.Detail["restored"] != "":
		key = "au.v.rules.restore"
	case r.Detail["scope"] != "":
		key = "au.v." + r.Action + "_over"
	case r.Action == "request.send" && r.Detail["right"] != "" && r.Detail["right"] != store.RightAll:
		key = "au.v.request.send_right"
	case r.Action == string(requestDecide) && r.Detail["granted"] == "yes" && r.Detail["right"] != "" && r.Detail["right"] != store.RightAll:
		key = "au.v.request.grant_right"
	case r.Action == "envelope.release" || r.Action == "envelope.lease" || r.Action == "envelope.released_assisted" || r.Action == "envelope.assisted_upload":
		args["target"] = args["recipient"]
	case r.Action == string(inviteAccept) && r.Detail["group"] != "":
		key = "au.v.invitation.accept_group"
	case r.Action == string(requestDecide) && r.Detail["granted"] == "yes":
		key = "au.v.request.grant"
	}
	s := p.Say(key, args)
	if s == key {
		return p.T("au.s.other", "actor", args["actor"], "action", r.Action, "target", r.Target)
	}
	return s
}

// ActorText names whom the audit records name, for people.
func ActorText(p i18n.Printer, actor string) string {
	kind, name, _ := strings.Cut(actor, ":")
	switch {
	case kind == "operator":
		return p.T("au.operator", "name", name)
	case name != "":
		return name
	case actor == "system":
		return "Pli"
	}
	return p.T("au.nobody")
}
