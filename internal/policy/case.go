package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pli-mail/pli/internal/mailaddr"
)

// Case is one message before an account's rules. What its recipients have in
// common is found out once.
type Case struct {
	r *Rules
	f *Facts

	keyword string
	asked   asked

	kind      string // encrypted, calendar, ""
	kindKnown bool
	common    []verdict // of each rule
	groups    map[string][]string

	text     []byte
	textRead bool
	spent    time.Duration // on searching
}

// verdict is whether the conditions of a rule that are about the message, and
// not about who sends or gets it, are true.
type verdict struct {
	known, ok bool
	found     []string
}

// Case begins with a message.
func (r *Rules) Case(f *Facts) *Case {
	return &Case{r: r, f: f, keyword: hasKeyword(f.Subject, r.keywords), asked: readHeader(f.Header),
		common: make([]verdict, len(r.rules)), groups: map[string][]string{}}
}

// Decide says what becomes of the message for one recipient.
func (c *Case) Decide(to mailaddr.Address) (Decision, error) {
	d := Decision{Why: Why{Ignored: c.asked.ignored, Version: c.r.Version}}
	if err := c.first(&d); err != nil {
		return Decision{}, err
	}
	w := c.asked.wishes
	if d.Action != Plain {
		// A rule says how, too, where something above it has said whether.
		n, found, err := c.match(to)
		if err != nil {
			return Decision{}, err
		}
		switch {
		case n == 0 && d.Action == "":
			d.Action, d.Why.Source = c.r.fallback, SourceDefault
		case n > 0:
			r := &c.r.rules[n-1]
			w = w.over(r.wishes)
			if d.Action == "" {
				d.Action, d.Refusal = r.then, r.refusal
				d.Why.Source, d.Why.Rule, d.Why.Number, d.Why.Matched = SourceRule, r.name, n, found
			}
		}
	}
	if c.asked.auto {
		no := false
		w.receipt, w.remind = &no, 0 // RFC 3834: a program is not answered
	}
	d.Options = w.over(c.r.wishes).options(c.r.keywords)
	return d, nil
}

// first is what decides before the rules do.
func (c *Case) first(d *Decision) error {
	switch {
	case c.f.NullSender:
		// Nobody could own the envelope, nor be told that it could not be opened.
		d.Action, d.Why.Source = Plain, SourceNull
		return nil
	case c.keyword != "":
		d.Action, d.Why.Source, d.Why.What = Seal, SourceKeyword, c.keyword
		return nil
	case c.asked.action != "":
		d.Action, d.Why.Source, d.Why.What = c.asked.action, SourceHeader, c.asked.field
		return nil
	}
	if err := c.readKind(); err != nil {
		return err
	}
	switch {
	case c.kind == KindEncrypted && c.r.encrypted != "":
		d.Action, d.Why.Source, d.Why.What = c.r.encrypted, SourceKind, c.kind
	case c.kind == KindCalendar && c.r.calendar != "":
		d.Action, d.Why.Source, d.Why.What = c.r.calendar, SourceKind, c.kind
	}
	return nil
}

func (c *Case) readKind() (err error) {
	if c.kindKnown {
		return nil
	}
	c.kind = KindOf(c.f.Header, c.f.Parts, c.f.Invites)
	// OpenPGP of before MIME shows in the text only, which is not read in vain.
	matters := len(c.r.rules) > 0 || c.r.encrypted != c.r.fallback
	if c.kind == "" && c.r.encrypted != "" && matters && textFirst(c.f.Parts) {
		var armored bool
		if armored, err = c.beginsWith("-----BEGIN PGP MESSAGE-----"); armored {
			c.kind = KindEncrypted
		}
	}
	c.kindKnown = err == nil
	return err
}

// match finds the first rule that matches, counted from 1; 0 for none.
func (c *Case) match(to mailaddr.Address) (int, []string, error) {
	for i := range c.r.rules {
		found, ok, err := c.matches(i, to)
		if err != nil {
			return 0, nil, err
		}
		if ok {
			return i + 1, found, nil
		}
	}
	return 0, nil, nil
}

// matches tries a rule's conditions, those that cost least first.
func (c *Case) matches(i int, to mailaddr.Address) (found []string, ok bool, err error) {
	r, v := &c.r.rules[i], &c.common[i]
	if v.known && !v.ok {
		return nil, false, nil
	}
	for _, l := range []struct {
		name string
		list []who
		a    mailaddr.Address
	}{{"sender", r.sender, c.f.Sender}, {"recipient", r.recipient, to}} {
		if len(l.list) == 0 {
			continue
		}
		w, err := c.among(l.list, l.a)
		if err != nil || w == "" {
			return nil, false, err
		}
		found = append(found, condition(l.name, w))
	}
	if w, err := c.among(r.notRecipient, to); err != nil || w != "" {
		return nil, false, err
	}
	if !v.known {
		if v.found, v.ok, err = c.ofMessage(r); err != nil {
			return nil, false, err
		}
		v.known = true
	}
	return append(found, v.found...), v.ok, nil
}

// condition is one of Why.Matched.
func condition(name, detail string) string {
	if detail == "" {
		return name
	}
	return name + ":" + detail
}

// ofMessage tries the conditions that are the same for every recipient.
func (c *Case) ofMessage(r *rule) (found []string, ok bool, err error) {
	if r.sizeOver > 0 {
		if c.f.Size <= r.sizeOver {
			return nil, false, nil
		}
		found = append(found, "size")
	}
	if len(r.sensitivity) > 0 {
		i := slices.IndexFunc(c.f.Header.All("sensitivity"), func(v string) bool { return slices.Contains(r.sensitivity, sensitivity(v)) })
		if i < 0 {
			return nil, false, nil
		}
		found = append(found, condition("sensitivity", sensitivity(c.f.Header.All("sensitivity")[i])))
	}
	if len(r.attachment) > 0 {
		pattern := c.attachment(r.attachment)
		if pattern == "" {
			return nil, false, nil
		}
		found = append(found, condition("attachment", pattern))
	}
	for _, h := range r.header {
		ok, late := false, false
		for _, f := range c.f.Header {
			if f.Name == h.name && !ok {
				ok, late = c.searchFor(r, h.value, []byte(f.Text()))
			}
		}
		if !ok {
			return nil, false, nil
		}
		found = append(found, lateOr(late, condition("header", h.name)))
	}
	if r.subject != nil {
		ok, late := c.searchFor(r, r.subject, []byte(c.f.Subject))
		if !ok {
			return nil, false, nil
		}
		found = append(found, lateOr(late, "subject"))
	}
	if r.text != nil {
		text, err := c.readText()
		if err != nil {
			return nil, false, err
		}
		ok, late := c.searchFor(r, r.text, text)
		if !ok {
			return nil, false, nil
		}
		found = append(found, lateOr(late, "text"))
	}
	return found, true, nil
}

// searchFor searches for a rule. A rule that lets mail go in clear does not get
// what there was no time for: who makes a text slow must not make it plain.
func (c *Case) searchFor(r *rule, e *expression, text []byte) (ok, late bool) {
	ok, late = c.search(e, text)
	return ok && !(late && (r.then == Plain || r.then == TLS)), late
}

// lateOr is a condition that was found, or for which there was no time.
func lateOr(late bool, condition string) string {
	if late {
		return "text:late"
	}
	return condition
}

// sensitivity is a value of the field, in one of the words of RFC 4021, section
// 2.1.55, however a mail program writes them.
func sensitivity(v string) string {
	v = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(v)), " ", "-")
	if v == "confidential" {
		return "company-confidential"
	}
	return v
}

// among returns the entry of a list that an address belongs to, "" for none.
func (c *Case) among(list []who, a mailaddr.Address) (string, error) {
	for _, w := range list {
		switch {
		case w.address != "":
			if w.address == a.Canonical() {
				return w.written, nil
			}
		case w.group != "":
			names, known := c.groups[a.Canonical()]
			if !known && c.f.Groups != nil {
				var err error
				if names, err = c.f.Groups(a); err != nil {
					return "", fmt.Errorf("read groups of an address: %w", err)
				}
				c.groups[a.Canonical()] = names
			}
			if key := GroupKey(w.group); slices.ContainsFunc(names, func(n string) bool { return GroupKey(n) == key }) {
				return w.written, nil
			}
		case w.below:
			if strings.HasSuffix(a.Domain(), "."+w.domain) {
				return w.written, nil
			}
		case a.Domain() == w.domain:
			return w.written, nil
		}
	}
	return "", nil
}

// attachment gives the pattern that a file of the message has, "" for none. The
// file's name is not said: it is sealed with the message.
func (c *Case) attachment(patterns []string) string {
	for _, p := range c.f.Parts {
		if p.Role != "attachment" && p.Role != "inline" {
			continue
		}
		for _, pattern := range patterns {
			what := p.Name
			if strings.Contains(pattern, "/") {
				what = p.Type
			}
			if what != "" && like([]rune(pattern), []rune(strings.ToLower(what))) {
				return pattern
			}
		}
	}
	return ""
}

// like matches a pattern in which * is any text and ? any character. Where a
// star has taken too little it takes one more, and only the last star can.
func like(pattern, s []rune) bool {
	p, star, taken := 0, -1, 0
	for i := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, taken = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			taken++
			p, i = star+1, taken
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
