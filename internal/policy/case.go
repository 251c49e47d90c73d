package policy

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pli-mail/pli/internal/mailaddr"
)

const (
	searchedText = 1 << 20 // octets of a message's text that rules look into
	searchTime   = 250 * time.Millisecond
)

// Case is one message before an account's rules. What its recipients have in
// common is found out once.
type Case struct {
	r *Rules
	f *Facts

	keyword string
	header  Options
	wish    Action // of the header, "" = none
	field   string
	ignored []string
	kind    string // encrypted, calendar, ""
	auto    bool   // sent by a program

	text     []byte
	textRead bool
	found    map[*rule]bool // whose text matched
	spent    time.Duration  // on searching
	groups   map[string][]string
}

// Case begins with a message.
func (r *Rules) Case(f *Facts) *Case {
	c := &Case{r: r, f: f, found: map[*rule]bool{}, groups: map[string][]string{}}
	for _, k := range r.keywords {
		if findKeyword(f.Subject, k) >= 0 {
			c.keyword = k
			break
		}
	}
	c.readHeader()
	c.kind = KindOf(f.Header, f.Parts)
	return c
}

// findKeyword finds a keyword in a subject, whatever the case, where it is not
// a piece of a longer word.
func findKeyword(subject, keyword string) int {
	for at := 0; at+len(keyword) <= len(subject); {
		i := indexFold(subject[at:], keyword)
		if i < 0 {
			return -1
		}
		i += at
		before, _ := utf8.DecodeLastRuneInString(subject[:i])
		after, _ := utf8.DecodeRuneInString(subject[i+len(keyword):])
		first, _ := utf8.DecodeRuneInString(keyword)
		last, _ := utf8.DecodeLastRuneInString(keyword)
		if !(isWord(first) && isWord(before)) && !(isWord(last) && isWord(after)) {
			return i
		}
		at = i + 1
	}
	return -1
}

func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// readHeader reads the fields by which a sender, or a filter before us, says
// what is to be done: our own, and those that filters for CRES write.
func (c *Case) readHeader() {
	yes, no := true, false
	read := func(name string, to **bool) {
		v, ok := c.f.Header.First(name)
		if !ok {
			return
		}
		c.seal(name)
		switch strings.ToLower(v) {
		case "true", "yes", "1":
			*to = &yes
		case "false", "no", "0":
			*to = &no
		default:
			c.ignored = append(c.ignored, name)
		}
	}
	h := &c.header
	read("x-postx-reply-enabled", &h.Reply)
	read("x-postx-reply-all-enabled", &h.ReplyAll)
	read("x-postx-forward-enabled", &h.Forward)
	read("x-postx-send-return-receipt", &h.Receipt)
	var script, applet, offline *bool
	read("x-postx-use-script", &script)
	read("x-postx-suppress-applet-for-open", &applet)
	read("x-postx-remember-envelope-key-checkbox", &offline)
	h.ScriptFree = script != nil && !*script
	h.ServerDecrypt, h.Offline = applet != nil && *applet, offline != nil && *offline
	if v, ok := c.f.Header.First("x-postx-expirationdate"); ok {
		c.seal("x-postx-expirationdate")
		if d, ok := relativeTime(v); ok {
			h.Expires = d
		} else {
			c.ignored = append(c.ignored, "x-postx-expirationdate")
		}
	}
	if _, ok := c.f.Header.First("disposition-notification-to"); ok && h.Receipt == nil {
		h.Receipt = &yes
	}
	for _, v := range c.f.Header.All("x-pli-seal") {
		switch strings.ToLower(v) {
		case "yes", "true", "1":
			c.wish, c.field = Seal, "x-pli-seal" // of several, one yes is enough
		case "no", "false", "0":
			if c.wish == "" || c.field != "x-pli-seal" {
				c.wish, c.field = Plain, "x-pli-seal"
			}
		default:
			c.ignored = append(c.ignored, "x-pli-seal")
		}
	}
	if v, ok := c.f.Header.First("auto-submitted"); ok && !strings.EqualFold(v, "no") {
		c.auto = true
	}
}

func (c *Case) seal(field string) {
	if c.wish == "" {
		c.wish, c.field = Seal, field
	}
}

// relativeTime reads +hours:minutes:seconds, as CRES has it.
func relativeTime(v string) (time.Duration, bool) {
	parts := strings.Split(strings.TrimPrefix(strings.TrimSpace(v), "+"), ":")
	if len(parts) != 3 {
		return 0, false
	}
	var n [3]int64
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseInt(p, 10, 32); err != nil || n[i] < 0 {
			return 0, false
		}
	}
	d := time.Duration(n[0])*time.Hour + time.Duration(n[1])*time.Minute + time.Duration(n[2])*time.Second
	return d, d > 0 && d < 100*365*24*time.Hour
}

// Decide says what becomes of the message for one recipient.
func (c *Case) Decide(to mailaddr.Address) (Decision, error) {
	d := Decision{Options: c.header, Why: Why{Ignored: c.ignored, Version: c.r.Version}}
	matched, number, conditions, err := c.match(to)
	if err != nil {
		return d, err
	}
	if matched != nil {
		d.Options = d.Options.over(matched.options)
	}
	if c.keyword != "" {
		d.Options.keywords = []string{c.keyword}
	}
	d.Options.KeepSubject = d.Options.KeepSubject || c.r.keep
	if c.auto {
		no := false
		d.Options.Receipt = &no // RFC 3834: a program is not answered
	}
	kind := Action("")
	switch c.kind {
	case KindEncrypted:
		kind = c.r.encrypted
	case KindCalendar:
		kind = c.r.calendar
	}
	switch {
	case c.f.NullSender:
		// Nobody could own the envelope, nor be told that it could not be opened.
		d.Action, d.Why.Source = Plain, SourceNull
	case c.keyword != "":
		d.Action, d.Why.Source, d.Why.What = Seal, SourceKeyword, c.keyword
	case c.wish != "":
		d.Action, d.Why.Source, d.Why.What = c.wish, SourceHeader, c.field
	case kind != "":
		d.Action, d.Why.Source, d.Why.What = kind, SourceKind, c.kind
	case matched != nil:
		d.Action, d.Why.Source, d.Why.Rule, d.Why.Number, d.Why.Matched = matched.then, SourceRule, matched.name, number, conditions
		d.Refusal = matched.refusal
	default:
		d.Action, d.Why.Source = c.r.fallback, SourceDefault
	}
	return d, nil
}

// match finds the first rule that matches.
func (c *Case) match(to mailaddr.Address) (*rule, int, []string, error) {
	for i := range c.r.rules {
		r := &c.r.rules[i]
		conditions, ok, err := c.matches(r, to)
		if err != nil {
			return nil, 0, nil, err
		}
		if ok {
			return r, i + 1, conditions, nil
		}
	}
	return nil, 0, nil, nil
}

// matches tries a rule's conditions, the cheap ones first.
func (c *Case) matches(r *rule, to mailaddr.Address) (found []string, ok bool, err error) {
	add := func(what, detail string) {
		if detail != "" {
			what += ":" + detail
		}
		found = append(found, what)
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
		add(l.name, w)
	}
	if w, err := c.among(r.notRecipient, to); err != nil || w != "" {
		return nil, false, err
	}
	if r.sizeOver > 0 {
		if c.f.Size <= r.sizeOver {
			return nil, false, nil
		}
		add("size", "")
	}
	if len(r.sensitivity) > 0 {
		v, _ := c.f.Header.First("sensitivity")
		if v = strings.ToLower(v); !slices.Contains(r.sensitivity, v) {
			return nil, false, nil
		}
		add("sensitivity", v)
	}
	if len(r.attachment) > 0 {
		name := c.attachment(r.attachment)
		if name == "" {
			return nil, false, nil
		}
		add("attachment", name)
	}
	for _, h := range r.header {
		if !c.headerMatches(h) {
			return nil, false, nil
		}
		add("header", h.name)
	}
	if r.subject != nil {
		if !r.subject.MatchString(c.f.Subject) {
			return nil, false, nil
		}
		add("subject", "")
	}
	if r.text != nil {
		ok, late, err := c.textMatches(r)
		if err != nil || !ok {
			return nil, false, err
		}
		if late {
			add("text", "late")
		} else {
			add("text", "")
		}
	}
	return found, true, nil
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
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, w.group) }) {
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

// attachment returns the name, or the type, of the first file that is listed.
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
			if ok, _ := path.Match(pattern, strings.ToLower(what)); ok && what != "" {
				return what
			}
		}
	}
	return ""
}

func (c *Case) headerMatches(h headerMatch) bool {
	for _, f := range c.f.Header {
		if f.Name == h.name && h.value.MatchString(f.Text()) {
			return true
		}
	}
	return false
}

// textMatches searches the text, once for all recipients. Go's expressions need
// a time that grows with the text and not beyond; what has taken too long
// together counts as found, for it is better to seal too much.
func (c *Case) textMatches(r *rule) (found, late bool, err error) {
	if found, known := c.found[r]; known {
		return found, false, nil
	}
	if !c.textRead {
		var b bytes.Buffer
		if c.f.Text != nil {
			if err := c.f.Text(&b, searchedText); err != nil {
				return false, false, fmt.Errorf("read text: %w", err)
			}
		}
		c.text, c.textRead = b.Bytes(), true
	}
	const piece, overlap = 64 << 10, 4 << 10
	begun := time.Now()
	for at := 0; ; at += piece - overlap {
		if c.spent+time.Since(begun) > searchTime {
			return true, true, nil
		}
		end := min(at+piece, len(c.text))
		if r.text.Match(c.text[at:end]) {
			found = true
		}
		if found || end == len(c.text) {
			break
		}
	}
	c.spent += time.Since(begun)
	c.found[r] = found
	return found, false, nil
}
