package policy

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/i18n"
)

// Told is one rule in words.
type Told struct {
	Number int // from 1
	Name   string
	Then   Action
	Text   string // a sentence
}

// Tell says what rules do: first what comes before the rules, then each rule in
// its order, last what becomes of all other mail.
func (r *Rules) Tell(p i18n.Printer) (before []string, rules []Told, last string) {
	if len(r.keywords) > 0 {
		quoted := make([]string, len(r.keywords))
		for i, k := range r.keywords {
			quoted[i] = p.T("rules.quoted", "text", k)
		}
		before = append(before, p.T("rules.keywords", "list", either(p, quoted)))
	}
	before = append(before, p.T("rules.header"))
	for _, k := range []struct {
		kind string
		then Action
	}{{KindEncrypted, r.encrypted}, {KindCalendar, r.calendar}} {
		key := "rules.kind." + k.kind + "."
		if k.then == "" {
			before = append(before, p.T(key+"rules"))
		} else {
			before = append(before, p.T(key+string(k.then)))
		}
	}
	for i := range r.rules {
		x := &r.rules[i]
		rules = append(rules, Told{i + 1, x.name, x.then, x.tell(p)})
	}
	last = p.T("rules.last." + string(r.fallback))
	if r.wishes.keepSubject != nil && *r.wishes.keepSubject {
		last += " " + p.T("rules.keepsubject")
	}
	return before, rules, last
}

// tell is a rule as a sentence, without its name.
func (r *rule) tell(p i18n.Printer) string {
	conditions := r.conditions(p)
	then := p.T("rules.then." + string(r.then))
	if r.then == Refuse && r.refusal != "" {
		then = p.T("rules.then.refuse.reason", "reason", strings.TrimSuffix(r.refusal, "."))
	}
	s := p.T("rules.all", "then", then)
	if len(conditions) > 0 {
		s = p.T("rules.if", "conditions", strings.Join(conditions, p.T("rules.and")), "then", then)
	}
	if w := r.wishes.tell(p); len(w) > 0 {
		s += " " + p.T("rules.with", "list", strings.Join(w, "; "))
	}
	return s
}

func (r *rule) conditions(p i18n.Printer) (out []string) {
	for _, l := range []struct {
		key  string
		list []who
	}{{"rules.if.sender", r.sender}, {"rules.if.recipient", r.recipient}, {"rules.if.not", r.notRecipient}} {
		if len(l.list) > 0 {
			names := make([]string, len(l.list))
			for i, w := range l.list {
				names[i] = w.tell(p)
			}
			out = append(out, p.T(l.key, "who", either(p, names)))
		}
	}
	if r.sizeOver > 0 {
		out = append(out, p.T("rules.if.size", "size", p.Bytes(r.sizeOver)))
	}
	if len(r.attachment) > 0 {
		key := "rules.if.attachment"
		if slices.Equal(r.attachment, []string{"*"}) {
			key = "rules.if.anyfile"
		}
		out = append(out, p.T(key, "list", either(p, r.attachment)))
	}
	if len(r.sensitivity) > 0 {
		out = append(out, p.T("rules.if.sensitivity", "list", either(p, r.sensitivity)))
	}
	if r.subject != nil {
		if word, ok := beginning(r.subject.String()); ok {
			out = append(out, p.T("rules.if.begins", "text", word))
		} else {
			out = append(out, p.T("rules.if.subject", "what", r.subject.String()))
		}
	}
	if r.text != nil {
		out = append(out, p.T("rules.if.text", "what", r.text.String()))
	}
	for _, h := range r.header {
		key := "rules.if.header"
		if h.value.String() == "^" {
			key = "rules.if.field"
		}
		out = append(out, p.T(key, "name", h.name, "what", h.value.String()))
	}
	return out
}

func (w who) tell(p i18n.Printer) string {
	switch {
	case w.group != "":
		return p.T("rules.who.group", "group", w.group)
	case w.below:
		return p.T("rules.who.below", "domain", w.domain)
	case w.domain != "":
		return p.T("rules.who.domain", "domain", w.domain)
	}
	return w.written
}

func (w wishes) tell(p i18n.Printer) (out []string) {
	if w.expires > 0 {
		if days := w.expires / (24 * time.Hour); days*24*time.Hour == w.expires {
			out = append(out, p.T("rules.with.days", "n", int(days)))
		} else {
			out = append(out, p.T("rules.with.hours", "n", int(w.expires/time.Hour)))
		}
	}
	if w.level != "" {
		out = append(out, p.T("rules.with.level."+w.level))
	}
	for _, x := range []struct {
		name string
		flag *bool
	}{{"receipt", w.receipt}, {"reply", w.reply}, {"reply_all", w.replyAll}, {"forward", w.forward}, {"script_free", w.scriptFree},
		{"server_decrypt", w.serverDecrypt}, {"offline", w.offline}, {"subject", w.keepSubject}} {
		if x.flag == nil {
			continue
		}
		answer := ".no"
		if *x.flag {
			answer = ".yes"
		}
		out = append(out, p.T("rules.with."+x.name+answer))
	}
	return out
}

// either joins texts with commas, and "or" before the last.
func either(p i18n.Printer, list []string) string {
	if n := len(list) - 1; n > 0 {
		return strings.Join(list[:n], ", ") + p.T("rules.or") + list[n]
	}
	return strings.Join(list, "")
}

const beginsWith = `(?i)^\s*`

// BeginsWith is an expression for a subject that begins with a word.
func BeginsWith(word string) string { return beginsWith + regexp.QuoteMeta(word) }

// beginning gives the word of such an expression.
func beginning(e string) (string, bool) {
	rest, ok := strings.CutPrefix(e, beginsWith)
	if !ok || rest == "" {
		return "", false
	}
	tree, err := syntax.Parse(rest, syntax.Perl)
	if err != nil || tree.Op != syntax.OpLiteral || tree.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	return string(tree.Rune), true
}
