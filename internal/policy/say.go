package policy

import (
	"strconv"
	"strings"

	"github.com/pli-mail/pli/internal/i18n"
)

// Say tells in words what became of a message, and why.
func (o Outcome) Say(p i18n.Printer) string {
	what := o.Action
	if what == TLS && o.Why.Way != "" { // it has been decided since
		what = Plain
	}
	s := p.T("policy.did."+string(what), "reason", o.Why.say(p))
	switch o.Why.Way {
	case "":
	case WayNone:
		s += " " + p.T("policy.way.none")
	default:
		s += " " + p.T("policy.way.proved", "how", o.Why.Way)
	}
	if len(o.Why.Ignored) > 0 {
		s += " " + p.T("policy.ignored", "fields", strings.Join(o.Why.Ignored, ", "))
	}
	return s
}

// say is the reason, as a part of a sentence.
func (w Why) say(p i18n.Printer) string {
	switch w.Source {
	case SourceKeyword, SourceHeader:
		return p.T("policy.why."+w.Source, "what", w.What)
	case SourceKind:
		return p.T("policy.why.kind." + w.What)
	case SourceRule:
		var found []string
		for _, m := range w.Matched {
			name, detail, has := strings.Cut(m, ":")
			key := "policy.if." + name
			if !has {
				key += ".any"
			}
			found = append(found, p.T(key, "what", detail))
		}
		version := "" // of rules that are only tried
		if w.Version > 0 {
			version = p.T("policy.version", "version", strconv.FormatInt(w.Version, 10))
		}
		key := "policy.why.rule"
		if len(found) == 0 {
			key = "policy.why.rule.all"
		}
		return p.T(key, "n", w.Number, "name", w.Rule, "version", version, "found", strings.Join(found, ", "))
	case SourceNull:
		return p.T("policy.why.null")
	}
	return p.T("policy.why.default")
}
